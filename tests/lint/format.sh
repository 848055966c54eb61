#!/usr/bin/env bash
# format.sh check|fix [FILE…] - clang-format 14 over every tracked C file.
set -euo pipefail
cd "$(dirname "$0")/../.."
mode=${1:-check}
shift || true
if [ $# -gt 0 ]; then
  files=("$@")
else
  mapfile -t files < <(git ls-files -co --exclude-standard '*.c' '*.h')
fi
case $mode in
  fix) clang-format-14 -i "${files[@]}" ;;
  check) clang-format-14 --dry-run -Werror "${files[@]}" && echo "format: ${#files[@]} files" ;;
  *) echo "usage: format.sh check|fix [FILE…]" >&2; exit 2 ;;
esac
