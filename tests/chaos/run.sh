#!/usr/bin/env bash
# run.sh [TIMES] - the outage stories over and over, on the plain build: the long form of what
# tests/run.sh tells once. Default: 10 times. Ends at the first failure.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
for ((round = 1; round <= ${1:-10}; round++)); do
    printf 'round %d\n' "$round"
    build/venv/bin/python tests/lib/run_stories.py --build build tests/story/outage/*.py
done
