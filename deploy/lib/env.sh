# env.sh - where a quickstart deployment lives: paths, ports, users. Sourced; touches no file.
#
# SLUICE_VAR        state directory            (default: var/ of the tree)
# SLUICE_PORT_BASE  first of 20 ports in a row, of which 17 are used (default: the product's default ports)
# SLUICE_BUILD      build directory            (default: build/ of the tree)
#
# Everything derived from them is read-only afterwards, so several deployments can run side by side.
#
# The three directories may have any name. cmake, nginx, YAML and our templates may not take it, so
# what is told to others is a link with a plain name (links.sh makes it) wherever a name is not plain:
# TREE, VAR, BUILD are ways to REAL_TREE, REAL_VAR, REAL_BUILD.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034

# tame PATH LINK: PATH where its name is plain, else LINK.
tame() {
    local LC_ALL=C
    if [[ $1 == *[!A-Za-z0-9_./+,=-]* ]]; then printf %s "$2"; else printf %s "$1"; fi
}

# real PATH, into REPLY: absolute and without links, there or not. A line end may be part of it.
real() {
    REPLY=$(realpath -mz -- "$1" | tr '\0' /)
    REPLY=${REPLY%/}
}

short_hash() {
    printf %s "$1" | sha256sum | cut -c1-10
}

real "${BASH_SOURCE[0]}"
REAL_TREE=${REPLY%/deploy/lib/env.sh}
real "${SLUICE_VAR:-$REAL_TREE/var}"
REAL_VAR=$REPLY
real "${SLUICE_BUILD:-$REAL_TREE/build}"
REAL_BUILD=$REPLY

# Unix socket paths end at 107 bytes and PostgreSQL may not enter private directories, so what is
# bound to either lives in a short directory of this deployment, with its links; `clean` removes it.
ID=$(short_hash "$REAL_VAR")
SHORT=/var/tmp/sluice-$ID
TREE=$(tame "$REAL_TREE" "$SHORT/tree")
VAR=$(tame "$REAL_VAR" "$SHORT/var")
BUILD=$(tame "$REAL_BUILD" "$SHORT/build")
# Deployments share a build, and a build keeps the names it was configured with: links of their own,
# there while somebody builds.
MAKING=/var/tmp/sluice-$(short_hash "$REAL_TREE")
MAKING_TREE=$(tame "$REAL_TREE" "$MAKING/tree")
MAKING_BUILD=$REAL_BUILD
[[ $REAL_BUILD != "$REAL_TREE"/* ]] || MAKING_BUILD=$MAKING_TREE${REAL_BUILD#"$REAL_TREE"}
MAKING_BUILD=$(tame "$MAKING_BUILD" "$MAKING/build")

# The ports are chosen once: its first `up` writes them down for all that comes later.
PORTS_FILE=$REAL_VAR/ports
if [[ -z ${SLUICE_PORT_BASE:-} && -r $PORTS_FILE ]]; then
    SLUICE_PORT_BASE=$(<"$PORTS_FILE")
fi
PORT_BASE=${SLUICE_PORT_BASE:-}
BIN=$BUILD/bin
MODULE_BUILT=$BUILD/services/nginx/ngx_http_sluice_module.so
MODULES=$VAR/modules # what was built, each under its own name
MIGRATIONS=$TREE/proto/sql

LOG=$VAR/log         # one file a unit, and the steps' own
RUN=$VAR/run         # pid records; a unit's working directory is $RUN/<unit>
SV=$VAR/sv           # the supervisor's service directories
CONFIG=$VAR/config   # rendered from deploy/config
SECRETS=$VAR/secrets # sealing key, peer files
ENV_FILE=$VAR/quickstart.env

SOCKETS=$SHORT/s
SHM_PREFIX=$ID # of the names in /dev/shm: node-1-<id>

PG_BIN=/usr/lib/postgresql/15/bin
PG_SOCKETS=$SHORT/pg
DATABASE="host=$PG_SOCKETS dbname=sluice user=sluice"
if ((EUID == 0)); then
    PG_USER=postgres
    PG_DATA=$SHORT/pgdata
else
    PG_USER=$(id -un)
    PG_DATA=$VAR/postgres
fi

# name=default pairs; with SLUICE_PORT_BASE the n-th name gets the n-th port from there.
PORTS=(
    FRONT=7080 FRONT_HEALTH=7090
    NODE1_HTTP=8080 NODE1_TLS=8443 NODE1_HEALTH=7190
    NODE2_HTTP=8081 NODE2_TLS=8444 NODE2_HEALTH=7191
    BUS2_COMMANDS=7011 BUS2_WORKERS=7012 BUS2_EVENTS=7013
    ECHO=7180
    BUS1_COMMANDS=7001 BUS1_WORKERS=7002 BUS1_EVENTS=7003
    NODE1_PEER=7290 NODE2_PEER=7291
)
for pair in "${PORTS[@]}"; do
    if [[ -n $PORT_BASE ]]; then
        declare -r "PORT_${pair%%=*}=$((PORT_BASE++))"
    else
        declare -r "PORT_${pair%%=*}=${pair#*=}"
    fi
done
unset pair
PORT_BASE=${SLUICE_PORT_BASE:-}
HOST=127.0.0.1
