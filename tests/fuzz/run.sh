#!/usr/bin/env bash
# run.sh [SECONDS] [NAME…] - the long form: every fuzz target under libFuzzer, ASan and UBSan.
# What it finds stays in build-fuzz/found/; a fixed input joins corpus/NAME.
# run.sh paths [TARGETS] - a million request targets through a real node of build/ to an echo.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "${1:-}" = paths ]; then
  exec /usr/bin/python3 tests/unit/nginx/path_test.py build "${2:-1000000}"
fi
seconds=${1:-600}
shift || true
CC=clang-14 cmake -B build-fuzz -G Ninja -DSLUICE_FUZZ=ON -DSLUICE_SANITIZE=address,undefined >/dev/null
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  for directory in tests/fuzz/corpus/*/; do names+=("$(basename "$directory")"); done
fi
for name in "${names[@]}"; do
  ninja -C build-fuzz "libfuzzer_$name" >/dev/null
  mkdir -p "build-fuzz/found/$name"
  "build-fuzz/fuzz/libfuzzer_$name" -max_total_time="$seconds" -max_len=65536 \
    -artifact_prefix="build-fuzz/found/$name/crash-" "build-fuzz/found/$name" "tests/fuzz/corpus/$name"
done
