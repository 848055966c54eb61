#!/usr/bin/env bash
# run.sh BUILD - every lint; one line each, and `lint: N passed, N failed` at the end.
set -uo pipefail
cd "$(dirname "$0")/../.."
build=${1:?usage: run.sh BUILD}
[[ $build == /* ]] || build=$PWD/$build
passed=0
failed=0
step() {
  local name=$1
  shift
  local started=$SECONDS log
  if log=$("$@" 2>&1); then
    passed=$((passed + 1))
    echo "ok   lint $name ($((SECONDS - started)) s)"
  else
    failed=$((failed + 1))
    printf 'FAIL lint %s\n%s\n' "$name" "$log"
  fi
}
mkdir -p "$build/lint/cppcheck"
step format tests/lint/format.sh check
step budget /usr/bin/python3 tests/lint/budget.py
step includes /usr/bin/python3 tests/lint/includes.py
step words /usr/bin/python3 tests/lint/words.py
step tidy /usr/bin/python3 tests/lint/tidy.py "$build"
step openapi tests/lint/openapi.sh "$build"
step cppcheck cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 -j "$(nproc)" \
  --enable=warning,portability --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=ctuuninitvar \
  --cppcheck-build-dir="$build/lint/cppcheck" -I . -I "$build" -D_GNU_SOURCE common services
echo "lint: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
