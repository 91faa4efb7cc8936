#!/bin/sh
# Writes who may do what. Passwords are kept as hashes.
set -eu
hash() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }
umask 077
cat > "${ACL_FILE:-/run/redis/users.acl}" <<END
user default off
user $APP_USERNAME on #$(hash "$APP_PASSWORD") ~session:* ~cache:* resetchannels -@all +get +set +ping
user $READER_USERNAME on #$(hash "$READER_PASSWORD") %R~* resetchannels -@all +ping +info +select +scan +type +pttl +memory|usage +config|get +client|setname
END
