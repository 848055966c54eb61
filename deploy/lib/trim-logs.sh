#!/usr/bin/env bash
# trim-logs.sh DIR MAX_BYTES KEEP [once] - keeps the logs in DIR from growing without bound.
#
# Whoever writes a log holds it open and appends; so one that reached MAX_BYTES is copied to <log>.1,
# what was <log>.1 to <log>.2 and so on, and then emptied in place. What is written between copy and
# emptying is lost: lines of a moment in many megabytes. Looks every few seconds, or once.
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
umask 077
EVERY_S=5

# trim FILE MAX_BYTES KEEP
trim() {
    local file=$1 keep=$3 size number
    size=$(stat -c %s "$file" 2>/dev/null) || return 0
    ((size >= $2)) || return 0
    for ((number = keep - 1; number > 0; number--)); do
        [[ ! -e $file.$number ]] || mv -f "$file.$number" "$file.$((number + 1))"
    done
    # A full disk must not be filled by the copy: it ends, the log is emptied all the same.
    cp -p --sparse=always "$file" "$file.1" || rm -f "$file.1"
    truncate -s 0 "$file"
}

trim_all() {
    local file
    for file in "$1"/*.log; do
        trim "$file" "$2" "$3"
    done
}

main() {
    local waiting
    trim_all "$@"
    [[ ${4:-} != once ]] || return 0
    exec {waiting}<> <(:)
    while :; do
        read -rt "$EVERY_S" -u "$waiting" || true
        trim_all "$@"
    done
}

main "$@"
