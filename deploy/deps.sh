#!/usr/bin/env bash
# deps.sh - installs the Debian packages that Sluice needs.
#
#   deploy/deps.sh [product | test | bench | peers]   default: product; each holds those before it, all is bench
#
# Asks apt only for what is missing and never upgrades what is there. While apt runs, package
# scripts may neither start services nor create a PostgreSQL cluster; the two files that say so
# are put in place for the run and taken away again. What already runs is left alone.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

# Under sudo the script arrives on standard input and needs no file of the tree.
here=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")" && pwd)
POLICY=/usr/sbin/policy-rc.d
CLUSTER_DIR=/etc/postgresql-common/createcluster.d
CLUSTER_CONF=$CLUSTER_DIR/99-sluice-no-cluster.conf
LOCK_WAIT_S=300

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

# The packages of a section and those before it.
wanted() {
    awk -v last="$1" '
        /^# (product|test|bench|peers)$/ { over = over || section == last; section = $2; next }
        /^#/ || NF == 0            { next }
        $2 == "unless" && system("command -v " $3 " >/dev/null") == 0 { next }
        !over { print $1 }' "$here/packages.txt"
}

# Those of them that dpkg does not have.
missing() {
    local name
    # One query for all; names that dpkg never heard of are absent from its answer.
    local have
    have=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null |
        awk '$1 == "ii" { print $2 }') || true
    for name in "$@"; do
        grep -qxF -- "$name" <<<"$have" || printf '%s\n' "$name"
    done
}

# Everything below runs as root.

put_guards() {
    # Two runs at once would take each other's guards away; a directory's lock leaves no file.
    exec 9<"${POLICY%/*}"
    flock 9
    made_dir=no
    saved_policy=
    trap take_guards EXIT
    trap 'exit 130' INT TERM
    if [[ -e $POLICY || -L $POLICY ]]; then
        saved_policy=$(mktemp "$POLICY.sluice-XXXXXX")
        mv -f "$POLICY" "$saved_policy"
    fi
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
    if [[ ! -d $CLUSTER_DIR ]]; then
        made_dir=yes
        mkdir -p "$CLUSTER_DIR"
    fi
    printf 'create_main_cluster = false\n' >"$CLUSTER_CONF"
}

take_guards() {
    rm -f "$POLICY" "$CLUSTER_CONF"
    if [[ -n $saved_policy ]]; then
        mv -f "$saved_policy" "$POLICY"
    fi
    # The directory stays when a package now owns it.
    if [[ $made_dir == yes ]] && ! dpkg -S "$CLUSTER_DIR" >/dev/null 2>&1; then
        rmdir --ignore-fail-on-non-empty "$CLUSTER_DIR" "${CLUSTER_DIR%/*}" 2>/dev/null || true
    fi
}

install_packages() {
    local apt=(apt-get -y -o "DPkg::Lock::Timeout=$LOCK_WAIT_S" -o Acquire::Retries=3
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold)
    export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
    put_guards
    # Indexes may be absent or old on a fresh machine: refresh them when apt does not know a
    # candidate, and again when an install from stale ones fails.
    if ! "${apt[@]}" -s install --no-install-recommends "$@" >/dev/null 2>&1; then
        "${apt[@]}" update
    fi
    if ! "${apt[@]}" install --no-install-recommends "$@"; then
        "${apt[@]}" update
        "${apt[@]}" install --no-install-recommends "$@"
    fi
}

main() {
    local last=${1:-product}
    case $last in
    product | test | bench | peers) ;;
    all) last=bench ;;
    -h | --help)
        usage
        return 0
        ;;
    --as-root)
        shift
        install_packages "$@"
        return 0
        ;;
    *)
        printf 'deps.sh: unknown section "%s" (product, test, bench, peers or all)\n' "$1" >&2
        return 2
        ;;
    esac
    local names lacking
    mapfile -t names < <(wanted "$last")
    mapfile -t lacking < <(missing "${names[@]}")
    if ((${#lacking[@]} == 0)); then
        return 0
    fi
    printf 'installing: %s\n' "${lacking[*]}"
    if ((EUID == 0)); then
        install_packages "${lacking[@]}"
    elif command -v sudo >/dev/null; then
        # sudo may need the script where its path is closed to root (network homes): read it here.
        sudo -n true 2>/dev/null || printf 'sudo is needed to install packages\n'
        sudo bash -s -- --as-root "${lacking[@]}" <"${BASH_SOURCE[0]}"
    else
        printf 'deps.sh: run as root, or install sudo, or install by hand: %s\n' \
            "${lacking[*]}" >&2
        return 1
    fi
}

main "$@"
