#!/usr/bin/env bash
# run.sh - a cluster under constant load loses one part after another; prints expected and measured.
#
#   tests/chaos/run.sh [--sanitized] [--long] [--only WORD…] [--keep] [--other BUILD]
#
# Two minutes on addresses of loopback; --long builds hosts in network namespaces (root) and plays
# what needs them, a change to the build before this and back too (made from the history; --other: to
# another). Needs a build (build/, --sanitized: build-asan/) and the Python packages that
# tests/run.sh installs. Closing line: `chaos: N passed, N failed`.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=build own_mounts=()
[[ " $* " != *' --sanitized '* ]] || build=build-asan
# What a row mounts is nobody else's, and gone with the run.
((EUID != 0)) || own_mounts=(unshare --mount --propagation private)
exec "${own_mounts[@]}" build/venv/bin/python tests/chaos/run.py --build $build "$@"
