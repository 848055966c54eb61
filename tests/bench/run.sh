#!/usr/bin/env bash
# run.sh WHAT [OPTIONS] - the benches; see --help. Builds plain first, prints to standard output.
#
#   proxy    CPU per proxied request against plain proxy_pass of the same nginx, in interleaved pairs
#   peers    the same work by nginx with Lua and APISIX, the same checks by haproxy and caddy
#   scale    the proxy with 100, 10,000 and 100,000 APIs over up to 1,000 groups, and with 1,000 backends
#   cold     the first call of an API against the next one, at 100, 10,000 and 100,000 APIs
#   handshakes
#            a full handshake with one of 5,000 certificates of the live image beside nginx's static one
#   shapes   bodies of 10 KB and 1 MB, new connections, TLS, HTTP/2
#   rates    the proxy beside plain nginx at 1,000, 10,000 and 30,000 requests a second by the clock: CPU, latencies
#   memory   the image's bytes an API, and what a worker holds of its own
#   publish  milliseconds from a publish to the first 200 on both nodes
#   start    seconds from a node's cold start to /readyz: own store, living peer, publisher; memory
#   changes  one change, a secret's reset, a switch of versions among up to 100,000 APIs on 1, 2 and 4 nodes: time, bytes;
#            under load; in a burst
#   websockets
#            5,000 idle tunnels on each of two nodes through 1,000 publishes; what one costs
#   fleet    start, changes and websockets on one deployment
#   instructions
#            the proxy's rows in instructions of user space, by callgrind; steady on a busy machine
#   limits   how much of a limit is admitted, and that it is never more (RESULTS-limits.md)
#   management
#            reads, lists, creations, updates beside pgbench on the same cluster, 1, 2 and 4 registries
#   keys     a million live limits by address: memory, and what a request costs among so many
#   accounting
#            CPU of throttle workers and agents per 10,000 admitted requests
#   all      each of them as RESULTS.md has it, as sections of that page: 25 minutes of a quiet machine, and what was
#            not run (takes --build, --apisix, --only NAME…, --gate);
#            `tests/bench/run.sh --gate` is `all --gate`: exit 1 when a budget is missed by more than 10 %
#   smoke    each of them for a second, to keep them working; tests/run.sh does this
#
# The figures in RESULTS.md come from these.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
case ${1:-} in
'' | -h | --help)
    sed -n '2,/^# The figures/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    [[ -x build/venv/bin/python ]] && build/venv/bin/python tests/bench/bench.py --help
    exit 0
    ;;
esac
[[ $1 != --* ]] || set -- all "$@"
deploy/deps.sh bench
case $1 in
peers | all) deploy/deps.sh peers || echo 'run.sh: without packages that APISIX needs' >&2 ;;
esac
cmake -S . -B build -G Ninja >/dev/null
ninja -C build >/dev/null
[[ -x build/venv/bin/python ]] || /usr/bin/python3 -m venv --system-site-packages build/venv
build/venv/bin/python -c 'import huaweicloudsdkcore' 2>/dev/null ||
    build/venv/bin/pip install -q --disable-pip-version-check -r tests/requirements.txt
exec build/venv/bin/python tests/bench/bench.py "$@"
