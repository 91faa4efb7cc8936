#!/bin/sh
# Records the answers of real Prometheus servers (2 and 3) that tests/recorded.rs replays.
# Binaries: see tests/support/real.rs. Look at the difference before you commit it.
set -eu
cd "$(dirname "$0")/../.."
exec env CI=true cargo test -p plimsoll-collect --test recorded -- --ignored --exact record
