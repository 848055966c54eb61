#!/bin/bash
# scratch_pg.sh - a throw-away PostgreSQL for one test: private directory, unix socket only.
#
#   scratch_pg.sh with COMMAND…   starts one, sets SLUICE_TEST_DB (libpq conninfo) and
#                                 SLUICE_TEST_PG_DIR, runs COMMAND, removes everything
#   scratch_pg.sh start DIR       starts one in DIR (which must not exist); prints the conninfo
#   scratch_pg.sh stop DIR        stops it and removes DIR
#
# DIR must be short: a unix socket's path has at most 107 bytes. PostgreSQL refuses to run as root;
# then it runs as the user postgres. SLUICE_PG_BIN names another place of the binaries.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

bin=${SLUICE_PG_BIN:-/usr/lib/postgresql/15/bin}

as_owner() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && exec setpriv --reuid=postgres --regid=postgres --clear-groups env -u PGOPTIONS "$@")
    else
        "$@"
    fi
}

conninfo() { echo "host=$1 dbname=postgres user=sluice"; }

start() {
    local dir=$1
    mkdir -m 0755 "$dir"
    [ "$(id -u)" != 0 ] || chown postgres: "$dir"
    as_owner "$bin/initdb" -D "$dir/data" -U sluice -A trust -E UTF8 --locale=C.UTF-8 -N \
        >"$dir.log" 2>&1 || { cat "$dir.log" >&2; exit 1; }
    as_owner "$bin/pg_ctl" -D "$dir/data" -w -t 120 -l "$dir/log" -o "-k $dir -c listen_addresses='' \
        -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=50 \
        -c shared_buffers=32MB -c dynamic_shared_memory_type=mmap" start >"$dir.log" 2>&1 </dev/null ||
        { cat "$dir.log" "$dir/log" >&2; exit 1; }
    rm -f "$dir.log"
    conninfo "$dir"
}

stop() {
    local dir=$1
    as_owner "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1 || true
    rm -rf "$dir" "$dir.log"
}

case ${1:-} in
start) start "$2" ;;
stop) stop "$2" ;;
with)
    shift
    dir=$(mktemp -u "${TMPDIR:-/tmp}/slpg.XXXXXX")
    [ ${#dir} -le 80 ] || dir=$(mktemp -u /tmp/slpg.XXXXXX)
    trap 'stop "$dir"' EXIT
    start "$dir" >/dev/null
    SLUICE_TEST_DB=$(conninfo "$dir") SLUICE_TEST_PG_DIR=$dir "$@"
    ;;
*) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
