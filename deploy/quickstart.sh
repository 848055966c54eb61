#!/usr/bin/env bash
# quickstart.sh - a whole gateway on this machine.
#
#   deploy/quickstart.sh [up] [--no-install] [--no-build] [--no-demo]
#                             install packages, build, start, provision, run the demo once;
#                             on a running gateway: see to it that everything is as it should be
#   deploy/quickstart.sh down          stop everything; state stays
#   deploy/quickstart.sh status        every process: state, pid, since when
#   deploy/quickstart.sh logs [-f] [UNIT…]   the ends of the logs; access-1 and access-2: callers
#   deploy/quickstart.sh restart [UNIT…]     stop and start all, or the units named
#   deploy/quickstart.sh demo          run the demo again; it deletes what it made
#   deploy/quickstart.sh clean         stop everything and remove all state
#
# State lives in var/, secrets among it; var/quickstart.env tells how to reach the gateway. Another
# place: SLUICE_VAR=DIRECTORY. Other ports, chosen at the first `up`: SLUICE_PORT_BASE=FIRST_OF_20.
#
# SPDX-License-Identifier: Apache-2.0
set -Eeuo pipefail
umask 077

DEPLOY=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in env links ui units postgres state provision; do
    # shellcheck source=/dev/null
    source "$DEPLOY/lib/$part.sh"
done
unset part
READY_S=60
# What a gateway consists of; tests are built by those who run them.
TARGETS=(sluice-bus sluice-front sluice-registry sluice-identity sluice-publisher sluice-throttle
    sluice-node sluice-admin sluice-sign sluice-echo ngx_http_sluice_module)

usage() {
    sed -n '2,16s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

# Two runs on one deployment wait for each other.
take_lock() {
    links_make || exit
    mkdir -p "$VAR"
    exec {LOCK_FD}>"$VAR/.lock"
    flock "$LOCK_FD"
}

install_packages() {
    step "$LOG/packages.log" 'packages'
    # Not `logged`: sudo may ask for a password.
    "$DEPLOY/deps.sh" product >>"$STEP_LOG" 2>&1
}

build() {
    local status=0
    step "$LOG/build.log" 'build'
    logged making_begin
    make_targets || status=$?
    making_end
    return "$status"
}

make_targets() {
    if [[ ! -f $MAKING_BUILD/build.ninja ]]; then
        logged cmake -S "$MAKING_TREE" -B "$MAKING_BUILD" -G Ninja || return
    fi
    logged ninja -C "$MAKING_BUILD" "${TARGETS[@]}"
}

up() {
    local install=yes compile=yes demo=yes word
    for word in "$@"; do
        case $word in
        --no-install) install=no ;;
        --no-build) compile=no ;;
        --no-demo) demo=no ;;
        *) die "up: unknown word '$word'; see --help" ;;
        esac
    done
    take_lock
    mkdir -p "$LOG" "$RUN" "$SV"
    trap report_failure EXIT
    [[ $install == no ]] || install_packages
    [[ $compile == no ]] || build
    # Keys and configuration name the ports: look at these first.
    step '' 'ports'
    ports_check
    ports_keep
    step "$LOG/state.log" 'configuration and keys'
    state_prepare
    step "$LOG/supervisor.log" 'supervisor'
    logged supervisor_start
    step "$LOG/postgres.log" 'database'
    units_up "$READY_S" postgres
    STEP_LOG=$LOG/migrate.log
    logged postgres_database
    logged "$BIN/sluice-registry" --config "$CONFIG/registry-1.yaml" --migrate
    step "$LOG/supervisor.log" 'buses, workers, management API'
    units_up "$READY_S" bus-1 bus-2
    units_up "$READY_S" registry-1 registry-2 identity publisher throttle-1 throttle-2
    units_up "$READY_S" front echo
    step "$LOG/provision.log" 'account, users, keys, gateway'
    provision
    step "$LOG/supervisor.log" 'nodes'
    units_up "$READY_S" node-1 node-2
    units_up "$READY_S" nginx-1 nginx-2 logs
    if [[ $demo == yes && ! -e $VAR/demo.done ]]; then
        step "$LOG/demo.log" 'demo'
        "$DEPLOY/demo.sh" 2>&1 </dev/null | tee -a "$STEP_LOG"
        : >"$VAR/demo.done"
    fi
    trap - EXIT
    say 'the gateway is up'
    how_to_go_on
}

how_to_go_on() {
    cat <<TXT

  management API   http://$HOST:$PORT_FRONT (its contract: /openapi.json)
  data plane       http://$HOST:$PORT_NODE1_HTTP  https://$HOST:$PORT_NODE1_TLS  http://$HOST:$PORT_NODE2_HTTP
  addresses, users and keys: $ENV_FILE

  A first look, as the administrator:
    set -a; . $(printf %q "$ENV_FILE"); set +a
    deploy/sign GET "\$SLUICE_ENDPOINT/v2/\$SLUICE_PROJECT_ID/apigw/instances/\$SLUICE_INSTANCE_ID/api-groups"
  Then: deploy/quickstart.sh status | logs | demo | down | clean
TXT
}

down() {
    [[ -d $REAL_VAR ]] || return 0
    take_lock
    mkdir -p "$LOG"
    trap report_failure EXIT
    step "$LOG/supervisor.log" 'stopping'
    # Whoever asks goes before whoever answers.
    units_down nginx-1 nginx-2 front
    units_down node-1 node-2 echo
    units_down registry-1 registry-2 identity publisher throttle-1 throttle-2
    units_down bus-1 bus-2
    units_down postgres logs
    supervisor_stop
    trap - EXIT
    say 'everything is stopped'
}

clean() {
    down
    rm -rf "$REAL_VAR" "$SHORT"
    rm -f /dev/shm/sluice-*"$SHM_PREFIX"*
    say 'all state is removed'
}

status() {
    local unit pid state lacking=0
    for unit in "${UNITS[@]}"; do
        if ! pid=$(unit_pid "$unit"); then
            state=down pid=-
        elif unit_ready "$unit"; then
            state=ready
        else
            state='not ready'
        fi
        [[ $state == ready ]] || lacking=1
        printf '%-12s %-10s %-8s %s\n' "$unit" "$state" "$pid" \
            "$([[ $pid == - ]] || ps -o etime= -p "$pid")"
    done
    supervisor_pid >/dev/null || printf 'no supervisor: "up" brings it back\n'
    return "$lacking"
}

logs() {
    local follow=() files=() unit file
    if [[ ${1:-} == -f ]]; then
        follow=(-F)
        shift
    fi
    for unit in "$@"; do
        case $unit in
        access-*) file=$VAR/node-${unit#access-}/access.log ;;
        *) file=$LOG/$unit.log ;;
        esac
        [[ -e $file ]] || die "no log of '$unit' in ${file%/*}"
        files+=("$file")
    done
    ((${#files[@]})) || files=("$LOG"/*.log)
    exec tail -n 20 "${follow[@]}" "${files[@]}"
}

restart() {
    local unit
    if (($# == 0)); then
        down
        # The next run takes the lock itself.
        [[ -z ${LOCK_FD:-} ]] || exec {LOCK_FD}>&-
        exec "$DEPLOY/quickstart.sh" up --no-install --no-build --no-demo
    fi
    take_lock
    for unit in "$@"; do
        [[ -d $SV/$unit ]] || die "no unit '$unit'; see status"
        step "$LOG/supervisor.log" "restarting $unit"
        unit_restart "$unit"
        wait_for "$READY_S" unit_ready "$unit" || die "$unit is not ready after $READY_S s"
    done
}

main() {
    local command=${1:-up} word
    (($# == 0)) || shift
    # Whoever asks what `clean` does must not find out by losing everything.
    for word in "$command" "$@"; do
        case $word in
        --help | -h | help)
            [[ $command == demo ]] || { usage && return 0; }
            ;;
        esac
    done
    links_keep || exit
    case $command in
    up | logs | restart) "$command" "$@" ;;
    down | status | clean)
        (($# == 0)) || die "$command takes no further words; see --help"
        "$command"
        ;;
    --no-*) up "$command" "$@" ;;
    demo) exec "$DEPLOY/demo.sh" "$@" ;;
    *) die "unknown word '$command'; see --help" ;;
    esac
}

main "$@"
