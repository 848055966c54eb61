# links.sh - plain names for directories whose own names other programs cannot take (env.sh says
# which). A deployment's links live as long as it; those of a build while somebody builds.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154

# own_directory DIR: makes it, in a place that all users share: takes only what is ours, and no link.
own_directory() {
    mkdir -p -m 711 "$1" && [[ ! -L $1 && -O $1 ]] && return 0
    printf '%s belongs to someone else: remove it, or set SLUICE_VAR\n' "$1" >&2
    return 1
}

# link NAME PATH: makes PATH and leads NAME to it, unless NAME is PATH itself.
link() {
    [[ $1 != "$2" ]] || return 0
    mkdir -p "$2" && ln -sfn "$2" "$1"
}

# The deployment's directory and links, where it has something.
links_keep() {
    [[ ! -d $REAL_VAR ]] || links_make
}

links_make() {
    own_directory "$SHORT" &&
        link "$TREE" "$REAL_TREE" && link "$VAR" "$REAL_VAR" && link "$BUILD" "$REAL_BUILD"
}

# Makes the links of a build, until making_end or the end of this process. Several may build.
making_begin() {
    [[ $MAKING_TREE != "$REAL_TREE" || $MAKING_BUILD != "$REAL_BUILD" ]] || return 0
    while :; do
        own_directory "$MAKING" || return
        exec {MAKING_FD}<"$MAKING" && flock -s "$MAKING_FD" || return
        # Whoever left last may have removed it meanwhile.
        [[ ! $MAKING -ef /proc/self/fd/$MAKING_FD ]] || break
        exec {MAKING_FD}<&-
    done
    link "$MAKING_TREE" "$REAL_TREE"
    # A build inside the tree is reached through the tree's link.
    [[ $MAKING_BUILD != "$MAKING"/build ]] || link "$MAKING_BUILD" "$REAL_BUILD"
}

# The last one that builds removes them.
making_end() {
    [[ -n ${MAKING_FD:-} ]] || return 0
    ! flock -xn "$MAKING_FD" || rm -rf "$MAKING"
    exec {MAKING_FD}<&-
    MAKING_FD=
}
