# units.sh - the processes of a deployment and their supervisor (runit).
#
# A unit is a service directory under $SV whose run script is lib/run-unit.sh. Each unit runs in the
# working directory $RUN/<unit>, which is how its processes are recognised, and leaves a record
# `pid start-time hash` there: a supervisor that comes new finds the living process and adopts it.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154

# In starting order; stopping goes the other way.
UNITS=(postgres bus-1 bus-2 registry-1 registry-2 identity publisher throttle-1 throttle-2 front
    echo node-1 node-2 nginx-1 nginx-2 logs)
NODES=2 # of the gateway
STOP_WAIT_S=30
# Of a file in $LOG, and how many older ones are kept of each.
LOG_MAX_BYTES=$((16 * 1024 * 1024))
LOG_KEEP=3

# The command of a unit, as the array COMMAND; FILES are what it consists of: when they change,
# `up` restarts it.
unit_command() {
    local unit=$1 binary
    case $unit in
    postgres)
        COMMAND=("$PG_BIN/postgres" -D "$PG_DATA")
        if ((EUID == 0)); then
            COMMAND=(setpriv "--reuid=$PG_USER" "--regid=$PG_USER" --init-groups "${COMMAND[@]}")
        fi
        FILES=("$PG_BIN/postgres")
        ;;
    echo)
        COMMAND=("$BIN/sluice-echo" "$HOST:$PORT_ECHO")
        FILES=("$BIN/sluice-echo")
        ;;
    logs)
        COMMAND=(/bin/bash "$TREE/deploy/lib/trim-logs.sh" "$LOG" "$LOG_MAX_BYTES" "$LOG_KEEP")
        FILES=("$TREE/deploy/lib/trim-logs.sh" "$TREE/deploy/lib/units.sh")
        ;;
    nginx-*)
        local state=$VAR/node-${unit#nginx-}
        COMMAND=(/usr/sbin/nginx -p "$state/" -c "$state/nginx.conf" -e "$LOG/$unit.log"
            -g 'daemon on;')
        # The agent brings a new module in under running calls.
        FILES=(/usr/sbin/nginx)
        ;;
    *)
        binary=${unit%-[0-9]}
        COMMAND=("$BIN/sluice-$binary" --config "$CONFIG/$unit.yaml")
        FILES=("$BIN/sluice-$binary" "$CONFIG/$unit.yaml")
        ;;
    esac
}

# What a unit consists of, as one hash.
unit_hash() {
    unit_command "$1"
    cat "${FILES[@]}" 2>/dev/null | sha256sum | cut -c1-16
}

# The start time of a process in clock ticks: with the pid it names a process for good.
start_time() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    stat=${stat##*) }
    set -- $stat
    # A process that waits to be reaped is gone.
    [[ $1 != Z ]] || return 1
    printf '%s' "${20}"
}

# The pid of a unit's living process.
unit_pid() {
    local pid start
    [[ -r $RUN/$1/record ]] || return 1
    read -r pid start _ <"$RUN/$1/record" || return 1
    [[ $(start_time "$pid") == "$start" ]] || return 1
    printf '%s' "$pid"
}

unit_alive() {
    unit_pid "$1" >/dev/null
}

# True when the unit's process was started from the files that are there.
unit_current() {
    local hash
    read -r _ _ hash <"$RUN/$1/record" 2>/dev/null && [[ $hash == "$(unit_hash "$1")" ]]
}

# Ready: serving, where that can be asked; else alive.
unit_ready() {
    unit_alive "$1" || return 1
    case $1 in
    postgres) "$PG_BIN/pg_isready" -q -h "$PG_SOCKETS" ;;
    bus-1) [[ -S $SOCKETS/c && -S $SOCKETS/w && -S $SOCKETS/e ]] ;;
    bus-2) port_open "$PORT_BUS2_COMMANDS" && port_open "$PORT_BUS2_EVENTS" ;;
    front) curl -fs -m 2 -o "$RUN/front/ready" "http://$HOST:$PORT_FRONT_HEALTH/readyz" ;;
    echo) port_open "$PORT_ECHO" ;;
    # Accounting has told the node among how many it divides: limits are agreed from here on.
    node-*) [[ $(cat "$VAR/$1/limits.state" 2>/dev/null) == "$NODES" ]] ;;
    nginx-1) curl -fs -m 2 -o "$RUN/nginx-1/ready" "http://$HOST:$PORT_NODE1_HEALTH/readyz" ;;
    nginx-2) curl -fs -m 2 -o "$RUN/nginx-2/ready" "http://$HOST:$PORT_NODE2_HEALTH/readyz" ;;
    esac
}

port_open() {
    (exec 3<>"/dev/tcp/$HOST/$1") 2>/dev/null
}

# Whether a unit runs, or something that it left behind.
unit_runs() {
    unit_alive "$1" || [[ -n $(pids_in "$RUN/$1") ]]
}

# Ends the run when another program has a port that a unit is about to take. A unit that was only
# starting may have it by the time that its port is looked at.
ports_check() {
    local name unit port
    for name in "${PORTS[@]%%=*}"; do
        case $name in
        FRONT*) unit=front ;;
        NODE1_PEER) unit=node-1 ;;
        NODE2_PEER) unit=node-2 ;;
        NODE1*) unit=nginx-1 ;;
        NODE2*) unit=nginx-2 ;;
        BUS1*) unit=bus-1 ;;
        BUS2*) unit=bus-2 ;;
        ECHO) unit=echo ;;
        esac
        port=PORT_$name
        if ! unit_runs "$unit" && port_open "${!port}" && ! unit_runs "$unit"; then
            die "port ${!port} ($unit) is taken by another program; SLUICE_PORT_BASE moves all"
        fi
    done
}

# Writes the choice of ports down; ends the run when the deployment was made with another one.
ports_keep() {
    if [[ ! -e $PORTS_FILE ]]; then
        printf '%s\n' "$PORT_BASE" >"$PORTS_FILE"
    elif [[ $(<"$PORTS_FILE") != "$PORT_BASE" ]]; then
        die "this gateway's ports are fixed (SLUICE_PORT_BASE=$(<"$PORTS_FILE")): clean it first"
    fi
}

# ---- the supervisor ----

supervisor_pid() {
    local pid start
    [[ -r $RUN/supervisor ]] || return 1
    read -r pid start <"$RUN/supervisor" || return 1
    [[ $(start_time "$pid") == "$start" ]] && printf '%s' "$pid"
}

# Processes whose working directory is exactly $1, a directory below $VAR.
pids_in() {
    local dir=$REAL_VAR${1#"$VAR"} sign
    for sign in '\' '*' '?' '['; do
        dir=${dir//"$sign"/"\\$sign"}
    done
    LC_ALL=C find /proc -maxdepth 2 -path '/proc/[0-9]*/cwd' -lname "$dir" -printf '%h\n' \
        2>/dev/null | cut -d / -f 3
}

# Writes a unit's service directory. Its file `down` keeps it from starting before its turn.
unit_install() {
    local unit=$1 dir=$SV/.new-$1
    [[ -d $SV/$unit ]] && return 0
    rm -rf "$dir"
    mkdir -p "$dir/control" "$RUN/$unit"
    : >"$dir/down"
    # Nothing of the caller's environment reaches a service, but the sanitizers' options.
    {
        printf '#!/bin/sh\nexec env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin'
        printf ' %q' "HOME=$VAR" "LANG=C.UTF-8" "SLUICE_VAR=$VAR" "SLUICE_BUILD=$BUILD" \
            ${PORT_BASE:+"SLUICE_PORT_BASE=$PORT_BASE"} \
            ${ASAN_OPTIONS:+"ASAN_OPTIONS=$ASAN_OPTIONS"} \
            ${UBSAN_OPTIONS:+"UBSAN_OPTIONS=$UBSAN_OPTIONS"} \
            ${LSAN_OPTIONS:+"LSAN_OPTIONS=$LSAN_OPTIONS"} \
            ${SLUICE_NGINX_PRELOAD:+"SLUICE_NGINX_PRELOAD=$SLUICE_NGINX_PRELOAD"} \
            /bin/bash "$TREE/deploy/lib/run-unit.sh" "$unit"
        printf '\n'
    } >"$dir/run"
    chmod 755 "$dir/run"
    if [[ $unit == postgres ]]; then
        # Its TERM waits for clients; INT ends them.
        printf '#!/bin/sh\nread -r pid rest <%q 2>&- && exec kill -INT "$pid"\n' \
            "$RUN/$unit/record" >"$dir/control/t"
    else
        # Down is TERM, then CONT at once, which takes away the STOP that a leak check at the
        # process's end holds it by: it would wait for ever. So CONT first, then TERM.
        printf '#!/bin/sh\nexec grep -q "want down" supervise/stat\n' >"$dir/control/t"
        printf '#!/bin/sh\nread -r pid <supervise/pid && kill -TERM "$pid"\n' >"$dir/control/d"
        chmod 755 "$dir/control/d"
    fi
    chmod 755 "$dir/control/t"
    mv "$dir" "$SV/$unit"
}

# A supervisor that is alive stays; after its death a new one takes over what still runs: what is
# left of the old one makes way (KILL: TERM would end the services) and new run scripts adopt.
supervisor_start() {
    supervisor_pid >/dev/null && return 0
    local unit pid
    for unit in "${UNITS[@]}"; do
        unit_install "$unit"
        for pid in $(pids_in "$SV/$unit"); do
            kill -KILL "$pid" 2>/dev/null || true
        done
    done
    (
        cd /
        # The caller's descriptors stay the caller's: `up | cat` must end.
        local fd
        for fd in /proc/self/fd/*; do
            fd=${fd##*/}
            ((fd > 2)) && [[ $fd != 255 ]] && eval "exec $fd>&-"
        done
        exec setsid /bin/bash -c '
            stat=$(<"/proc/$$/stat"); stat=${stat##*) }; set -- "$1" "$2" $stat
            printf "%s %s\n" $$ "${22}" >"$1"
            exec env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin runsvdir -P "$2"' \
            supervisor "$RUN/supervisor" "$SV"
    ) </dev/null >>"$LOG/supervisor.log" 2>&1 &
    disown
    wait_for 5 supervisor_pid || die "the supervisor does not start; see $LOG/supervisor.log"
}

# Starts units and waits until each is ready; restarts those whose files changed.
units_up() {
    local seconds=$1 unit
    shift
    for unit in "$@"; do
        unit_install "$unit"
        wait_for 10 test -p "$SV/$unit/supervise/ok" || die "the supervisor ignores $unit"
        rm -f "$SV/$unit/down"
        if ! unit_alive "$unit"; then
            # runsv makes its fifo a moment before it reads it.
            wait_for 10 sv up "$SV/$unit" || die "the supervisor does not start $unit"
        elif ! unit_current "$unit"; then
            say "  $unit: its files changed, restarting it"
            unit_restart "$unit"
        fi
    done
    for unit in "$@"; do
        if ! wait_for "$seconds" unit_ready "$unit"; then
            STEP_LOG=$LOG/$unit.log
            die "$unit is not ready after $seconds s"
        fi
    done
}

unit_restart() {
    local old
    old=$(unit_pid "$1") || true
    logged sv -w "$STOP_WAIT_S" force-restart "$SV/$1" || true
    [[ -z $old ]] || wait_for "$STOP_WAIT_S" unit_moved "$1" "$old"
}

unit_moved() {
    local pid
    pid=$(unit_pid "$1") && [[ $pid != "$2" ]]
}

# Stops the units named together, whoever watches over them. TERM first, KILL when that is not
# enough.
units_down() {
    local unit pid
    for unit in "$@"; do
        if [[ -p $SV/$unit/supervise/ok ]]; then
            sv down "$SV/$unit" >>"$LOG/supervisor.log" 2>&1 || true
        fi
    done
    for unit in "$@"; do
        # A supervisor that is gone, or was about to start the unit again, did not stop it.
        if ! wait_for 1 unit_gone "$unit" && pid=$(unit_pid "$unit"); then
            if [[ $unit == postgres ]]; then kill -INT "$pid"; else kill -TERM "$pid"; fi
        fi
    done
    for unit in "$@"; do
        if ! wait_for "$STOP_WAIT_S" unit_gone "$unit"; then
            pid=$(unit_pid "$unit") && kill -KILL "$pid"
        fi
        for pid in $(pids_in "$RUN/$unit"); do
            kill -KILL "$pid" 2>/dev/null || true
        done
        rm -f "$RUN/$unit/record"
    done
}

unit_gone() {
    ! unit_alive "$1"
}

no_runsv() {
    local unit
    for unit in "${UNITS[@]}"; do
        [[ -z $(pids_in "$SV/$unit") ]] || return 1
    done
}

supervisor_stop() {
    local pid unit
    if pid=$(supervisor_pid); then
        kill -HUP "$pid"
        wait_for "$STOP_WAIT_S" supervisor_gone || kill -KILL "$pid"
    fi
    for unit in "${UNITS[@]}"; do
        for pid in $(pids_in "$SV/$unit"); do
            kill -TERM "$pid" 2>/dev/null || true
        done
    done
    wait_for "$STOP_WAIT_S" no_runsv || die "a supervisor process does not end"
    rm -rf "$SV" "$RUN/supervisor"
}

supervisor_gone() {
    ! supervisor_pid >/dev/null
}
