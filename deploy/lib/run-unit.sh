#!/usr/bin/env bash
# run-unit.sh UNIT - what the supervisor runs: becomes the unit's process, or watches over one that
# outlived its supervisor until it ends.
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

if pid=$(unit_pid "$unit"); then
    # tail ends with the process; a stop asked of us is passed on to it.
    trap 'kill -TERM "$pid" 2>/dev/null' TERM
    tail -f /dev/null --pid="$pid" -s 0.2 &
    watch=$!
    # A signal interrupts the wait; a watch that was killed itself ends it.
    while kill -0 "$watch" 2>/dev/null; do wait "$watch"; done
    exit 0
fi

# What a killed parent left behind (nginx workers) holds the unit's ports.
for pid in $(pids_in "$RUN/$unit"); do
    kill -KILL "$pid" 2>/dev/null
done

unit_command "$unit"
hash=$(unit_hash "$unit")
case $unit in
postgres) cd "$SHORT" ;;
nginx-*)
    cd "$RUN/$unit"
    # The agent renders it.
    wait_for "$CONF_WAIT_S" test -s "$VAR/node-${unit#nginx-}/nginx.conf" || exit 1
    if [[ -n ${SLUICE_NGINX_PRELOAD:-} ]]; then
        # A plain nginx with a sanitized module; nginx itself leaves memory to the kernel.
        export LD_PRELOAD=$SLUICE_NGINX_PRELOAD
        export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0
    fi
    ;;
*) cd "$RUN/$unit" ;;
esac
[[ -z ${PAUSE_FD:-} ]] || exec {PAUSE_FD}<&-
unset SLUICE_VAR SLUICE_BUILD SLUICE_PORT_BASE
printf '%s %s %s\n' $$ "$(start_time $$)" "$hash" >"$RUN/$unit/record"
exec "${COMMAND[@]}"
