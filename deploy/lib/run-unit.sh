#!/usr/bin/env bash
# run-unit.sh UNIT - what the supervisor runs: becomes the unit's process, or watches over one until
# it ends: one that outlived its supervisor, and nginx, which hands over to another process when its
# module changes.
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
lib=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=env.sh
source "$lib/env.sh"
# shellcheck source=ui.sh
source "$lib/ui.sh"
# shellcheck source=units.sh
source "$lib/units.sh"
CONF_WAIT_S=30

unit=$1
exec </dev/null >>"$LOG/$unit.log" 2>&1

# Writes down which process the unit is.
keep_record() {
    printf '%s %s %s\n' "$1" "$(start_time "$1")" "$(unit_hash "$unit")" >"$RUN/$unit/record"
}

# The nginx that a node's pid file names, when it lives: master of this unit now.
nginx_pid() {
    local named
    [[ $unit == nginx-* ]] && read -r named <"$VAR/node-${unit#nginx-}/nginx.pid" &&
        [[ /proc/$named/cwd -ef $RUN/$unit ]] && start_time "$named" >/dev/null &&
        printf '%s' "$named"
} 2>/dev/null

# Waits until process $1 has ended, and whoever took over from it.
watch_over() {
    local pid=$1 next watch
    # A stop asked of us is passed on to it; nginx may have two masters for a while.
    trap 'kill -TERM "$pid" $(nginx_pid) 2>/dev/null' TERM
    while :; do
        tail -f /dev/null --pid="$pid" -s 0.2 & # ends with the process
        watch=$!
        # A signal interrupts the wait; a watch that was killed itself ends it.
        while kill -0 "$watch" 2>/dev/null; do wait "$watch"; done
        next=$(nginx_pid) && [[ $next != "$pid" ]] || return 0
        pid=$next
        keep_record "$pid"
    done
}

if pid=$(unit_pid "$unit"); then
    watch_over "$pid"
    exit 0
elif pid=$(nginx_pid); then
    keep_record "$pid"
    watch_over "$pid"
    exit 0
fi

# What a killed parent left behind (nginx workers) holds the unit's ports.
for pid in $(pids_in "$RUN/$unit"); do
    kill -KILL "$pid" 2>/dev/null
done

unit_command "$unit"
case $unit in
postgres) cd "$SHORT" ;;
nginx-*)
    # The agent renders it.
    wait_for "$CONF_WAIT_S" test -s "$VAR/node-${unit#nginx-}/nginx.conf" || exit 1
    if [[ -n ${SLUICE_NGINX_PRELOAD:-} ]]; then
        # A plain nginx with a sanitized module; nginx itself leaves memory to the kernel. A master
        # gives the next one what its configuration names.
        export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0
        COMMAND[-1]+=' env LD_PRELOAD; env ASAN_OPTIONS; env UBSAN_OPTIONS;'
    fi
    [[ -z ${PAUSE_FD:-} ]] || exec {PAUSE_FD}<&-
    unset PAUSE_FD
    (cd "$RUN/$unit" && exec env -u SLUICE_VAR -u SLUICE_BUILD -u SLUICE_PORT_BASE \
        LD_PRELOAD="${SLUICE_NGINX_PRELOAD:-}" "${COMMAND[@]}") || exit 1
    wait_for "$CONF_WAIT_S" nginx_pid || exit 1
    pid=$(nginx_pid)
    keep_record "$pid"
    watch_over "$pid"
    exit 0
    ;;
*) cd "$RUN/$unit" ;;
esac
[[ -z ${PAUSE_FD:-} ]] || exec {PAUSE_FD}<&-
unset SLUICE_VAR SLUICE_BUILD SLUICE_PORT_BASE
keep_record $$
exec "${COMMAND[@]}"
