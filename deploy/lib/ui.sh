# ui.sh - one line a step with the elapsed time; on failure, which step and where its log is.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

STARTED_US=${EPOCHREALTIME/./}
STEP=start
STEP_LOG=

say() {
    local us=$((${EPOCHREALTIME/./} - STARTED_US))
    printf '[%3d.%01d s] %s\n' $((us / 1000000)) $((us / 100000 % 10)) "$*"
}

# step LOG WORDS…: names what comes next; its output belongs into LOG.
step() {
    STEP_LOG=$1
    shift
    STEP=$*
    say "$STEP"
}

# Runs a command with its output in the step's log.
logged() {
    "$@" >>"$STEP_LOG" 2>&1 </dev/null
}

# Ends the run; WORDS say what is wrong.
die() {
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}

# EXIT trap: names the step that failed and shows the end of its log.
report_failure() {
    local status=$?
    ((status == 0)) && return 0
    printf '\nFAILED in step: %s\n' "$STEP" >&2
    if [[ -n $STEP_LOG && -s $STEP_LOG ]]; then
        printf 'log: %s, which ends:\n' "$STEP_LOG" >&2
        tail -n 15 "$STEP_LOG" | uniq | sed 's/^/    /' >&2
    fi
    exit "$status"
}

# wait_for SECONDS COMMAND…: true as soon as the command is; looks ten times a second.
wait_for() {
    local until=$((${EPOCHREALTIME/./} + $1 * 1000000))
    shift
    until "$@" >/dev/null 2>&1; do
        ((${EPOCHREALTIME/./} < until)) || return 1
        pause
    done
}

# A tenth of a second, without a process.
pause() {
    [[ -n ${PAUSE_FD:-} ]] || exec {PAUSE_FD}<> <(:)
    read -rt 0.1 -u "$PAUSE_FD" || true
}
