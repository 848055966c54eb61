#!/usr/bin/env bash
# run.sh - every test there is, on a fresh clone too: packages, builds, lint, unit, golden, stories,
# outages, Debian packages.
#
#   tests/run.sh [--no-install] [lint | unit | story | chaos | bench | packages]…     default: all
#
# Builds plain (build/), with AddressSanitizer and UndefinedBehaviorSanitizer (build-asan/), and what
# has threads with ThreadSanitizer (build-tsan/); unit, golden and story tests run on the sanitized
# build, the module in nginx included. The closing line
# is `N passed, N failed`; the exit status says the same. Logs: build-asan/test-logs/.
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
for part in env links; do
    # shellcheck source=/dev/null
    source "$(dirname "${BASH_SOURCE[0]}")/../deploy/lib/$part.sh"
done
# The tree may have any name; where compilers could not take it, a plain one leads there meanwhile.
making_begin && cd "$MAKING_TREE" || exit
trap making_end EXIT

PLAIN=build
SANITIZED=build-asan
THREADS=build-tsan
# What runs threads of ours, and so runs under ThreadSanitizer too.
THREADED=(bus_attach_test bus_bus_test bus_peer_test bus_together_test bus_way_test front_auth_look_test front_auth_test
    front_deadline_test
    front_http_test front_tls_test identity_commands_test identity_pool_test node_agent_test node_apply_test
    node_durable_test node_seed_test publisher_test registry_statistics_test
    runtime_counter_stress_test throttle_hand_over_test throttle_keeper_test wire_follow_test)
LOGS=$SANITIZED/test-logs
VENV=$PWD/$PLAIN/venv
JOBS=$((2 * $(nproc))) # half of a test's time is waiting
STARTED=$SECONDS
passed=0 failed=0

say() {
    printf '\n[%4d s] %s\n' $((SECONDS - STARTED)) "$*"
}

# outcome STATUS NAME [LOG]: counts one check and prints it; a failed one shows the log's end.
outcome() {
    if (($1 == 0)); then
        passed=$((passed + 1))
        printf 'ok   %s\n' "$2"
    else
        failed=$((failed + 1))
        printf 'FAIL %s\n' "$2"
        if [[ -n ${3:-} ]]; then
            tail -n "${4:-40}" "$3" | sed 's/^/     /'
        fi
    fi
}

finish() {
    printf '\n%d passed, %d failed\n' "$passed" "$failed"
    exit $((failed > 0))
}

# A step that all others need: without it there is nothing more to run.
must() {
    local name=$1 log=$LOGS/$2.log
    shift 2
    say "$name"
    "$@" >"$log" 2>&1 </dev/null
    local status=$?
    outcome $status "$name" "$log"
    ((status == 0)) || finish
}

# The stock SDK comes from PyPI; where that cannot be reached its stories fail, as they should.
make_venv() {
    [[ -x $VENV/bin/python ]] || /usr/bin/python3 -m venv --system-site-packages "$VENV" || return
    "$VENV/bin/python" -c 'import huaweicloudsdkapig, huaweicloudsdkcore' 2>/dev/null ||
        "$VENV/bin/python" -m pip install -q --disable-pip-version-check -r tests/requirements.txt
}

build_all() {
    cmake -S "$PWD" -B "$PWD/$PLAIN" -G Ninja && ninja -C $PLAIN &&
        cmake -S "$PWD" -B "$PWD/$SANITIZED" -G Ninja -DSLUICE_SANITIZE=address,undefined &&
        ninja -C $SANITIZED &&
        cmake -S "$PWD" -B "$PWD/$THREADS" -G Ninja -DSLUICE_SANITIZE=thread &&
        ninja -C $THREADS "${THREADED[@]}"
}

# Adds the counts of a suite's closing line, `suite: N passed, N failed`, in a log.
count_line() {
    local line
    line=$(sed -nE 's/^[a-z]+: ([0-9]+ passed, [0-9]+ failed)$/\1/p' "$1" | tail -n 1)
    if [[ -z $line ]]; then
        outcome 1 "$2" "$1"
        return
    fi
    passed=$((passed + ${line%% *}))
    line=${line#*, }
    failed=$((failed + ${line%% *}))
}

run_lint() {
    say 'lint'
    local log=$LOGS/lint.log
    tests/lint/run.sh $PLAIN 2>&1 </dev/null | tee "$log"
    count_line "$log" 'lint'
}

# Where ctest finds a build's tests. By itself it reads them from the directory's own name, and loses
# its way in some (backslashes): then a list of them in a directory with a plain name.
ctest_directory() {
    local place=$PWD/$1
    if [[ -n ${MAKING_FD:-} ]]; then
        place=$MAKING/ctest-$1
        mkdir -p "$place"
        grep -rl --include=CTestTestfile.cmake '^add_test' "$PWD/$1" | sort |
            sed 's/.*/include("&")/' >"$place/CTestTestfile.cmake"
    fi
    printf %s "$place"
}

# ctest's own lines are the record: one a test. Further arguments go to ctest.
run_ctest() {
    local name=$1 build=$2 log=$LOGS/$3.log
    shift 3
    say "$name"
    ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 \
        TSAN_OPTIONS="suppressions=$PWD/tests/lib/tsan.supp ignore_noninstrumented_modules=1" \
        ctest --test-dir "$(ctest_directory "$build")" -j "$JOBS" --timeout 300 --output-on-failure "$@" \
        >"$log" 2>&1 </dev/null
    local status=$? good bad
    good=$(grep -cE '^ *[0-9]+/[0-9]+ Test .* Passed ' "$log")
    bad=$(grep -cE '^ *[0-9]+/[0-9]+ Test .*\*\*\*' "$log")
    passed=$((passed + good)) failed=$((failed + bad))
    if ((status != 0 || good == 0)); then
        ((bad > 0)) || failed=$((failed + 1))
        sed -n '/\*\*\*/,$p' "$log" | tail -n 120
    fi
    printf '%s: %d passed, %d did not\n' "$name" "$good" "$bad"
}

run_stories() {
    say 'stories, on the sanitized build'
    local log=$LOGS/story.log
    "$VENV/bin/python" tests/lib/run_stories.py --build $SANITIZED --sanitized 2>&1 </dev/null |
        tee "$log"
    count_line "$log" 'stories'
}

run_chaos() {
    say 'outages, on the sanitized build'
    local log=$LOGS/chaos.log
    tests/chaos/run.sh --sanitized 2>&1 </dev/null | tee "$log"
    count_line "$log" 'outages'
}

# That benches work, not what they say.
run_bench() {
    say 'benches, a second each'
    local log=$LOGS/bench.log
    "$VENV/bin/python" tests/bench/bench.py smoke --build "$PWD/$PLAIN" 2>&1 </dev/null | tee "$log"
    count_line "$log" 'bench'
}

run_packages() {
    say 'Debian packages'
    local log=$LOGS/packages-made.log
    /usr/bin/python3 -B tests/packages/check.py "$PWD/$PLAIN" 2>&1 </dev/null | tee "$log"
    count_line "$log" 'packages'
}

main() {
    local install=yes wanted=() word
    for word in "$@"; do
        case $word in
        --no-install) install=no ;;
        lint | unit | story | chaos | bench | packages) wanted+=("$word") ;;
        *)
            sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
            exit 2
            ;;
        esac
    done
    ((${#wanted[@]})) || wanted=(lint unit story chaos bench packages)
    mkdir -p $LOGS $PLAIN
    [[ $install == no ]] || must 'packages' packages deploy/deps.sh bench
    must 'builds, plain and sanitized' build build_all
    say 'Python packages'
    make_venv >"$LOGS/venv.log" 2>&1 </dev/null
    outcome $? 'the stock SDK from PyPI' "$LOGS/venv.log"
    for word in "${wanted[@]}"; do
        case $word in
        lint) run_lint ;;
        unit)
            run_ctest 'unit and golden tests, sanitized' $SANITIZED unit-sanitized
            run_ctest 'unit and golden tests, plain' $PLAIN unit-plain
            run_ctest 'unit tests of what has threads' $THREADS unit-threads \
                -R "^($(IFS='|' && printf '%s' "${THREADED[*]}"))\$"
            ;;
        story) run_stories ;;
        chaos) run_chaos ;;
        bench) run_bench ;;
        packages) run_packages ;;
        esac
    done
    finish
}

main "$@"
