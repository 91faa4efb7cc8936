#!/bin/sh
# Makes the database and fills it, once for the life of the pod's volume.
set -eu
here=${0%/*}
tmp=${TMPDIR:-/tmp}
if [ -e "$PGDATA/filled" ]; then
    echo "filled before"
    exit 0
fi
# What an interrupted attempt left.
rm -rf "$PGDATA"
initdb --pgdata "$PGDATA" --username postgres --auth-local peer --auth-host reject --encoding UTF8 --locale C \
    --no-sync > "$tmp/initdb.log" 2>&1 || { cat "$tmp/initdb.log"; exit 1; }
# Nobody can connect but this script, and a crash would only begin again: so without any care for durability. Without
# pg_stat_statements too, which would keep the text of CREATE ROLE ... PASSWORD.
pg_ctl start --pgdata "$PGDATA" --silent --wait --log "$tmp/server.log" --options "\
    -c listen_addresses='' -c unix_socket_directories=$tmp -c timezone=Asia/Dhaka \
    -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c wal_level=minimal -c max_wal_senders=0 \
    -c max_wal_size=2GB -c maintenance_work_mem=64MB -c autovacuum=off" || { cat "$tmp/server.log"; exit 1; }
run() { psql --host "$tmp" --username postgres --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$@"; }
run --dbname postgres --file "$here"/roles.sql
run --dbname smartdairy --file "$here"/tables.sql
pg_ctl stop --pgdata "$PGDATA" --silent --wait --mode fast
touch "$PGDATA/filled"
