# state.sh - the deployment's directories, keys and configuration files. Everything here is made
# once and kept; configuration is rendered anew each time and replaced only where it differs.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154

ADMIN=$BIN/sluice-admin
ALLOW=$VAR/allow # who may connect to the buses, and as what; both watch it

state_prepare() {
    logged make_directories
    logged postgres_init
    make_keys
    keep_module
    render_configuration
}

# Copies the module to a name that tells its contents: nginx gets a new one by a new path. Those
# that no process has open any more go.
keep_module() {
    local old
    NGINX_MODULE=$MODULES/ngx_http_sluice_module-$(sha256sum <"$MODULE_BUILT" | cut -c1-16).so
    mkdir -p "$MODULES"
    if [[ ! -e $NGINX_MODULE ]]; then
        cp "$MODULE_BUILT" "$NGINX_MODULE.new"
        mv "$NGINX_MODULE.new" "$NGINX_MODULE"
    fi
    for old in "$MODULES"/*.so; do
        if [[ $old != "$NGINX_MODULE" ]] && ! grep -qsF "$old" /proc/[0-9]*/maps; then
            rm -f "$old"
        fi
    done
}

make_directories() {
    mkdir -p "$CONFIG" "$SECRETS" "$ALLOW" "$VAR/node-1" "$VAR/node-2"
    mkdir -p "$SOCKETS"
    chmod 700 "$SOCKETS"
}

# once FILE COMMAND…: runs the command unless its result is there.
once() {
    [[ -s $1 ]] || logged "${@:2}"
}

make_keys() {
    local tcp=tcp://$HOST name role
    once "$SECRETS/seal.key" "$ADMIN" seal-key new --out "$SECRETS/seal.key"
    once "$SECRETS/bus-1.peer" "$ADMIN" bus new bus-1 --out "$SECRETS/bus-1.peer" \
        --commands "ipc://$SOCKETS/c $tcp:$PORT_BUS1_COMMANDS" \
        --workers "ipc://$SOCKETS/w $tcp:$PORT_BUS1_WORKERS" \
        --events "ipc://$SOCKETS/e $tcp:$PORT_BUS1_EVENTS"
    once "$SECRETS/bus-2.peer" "$ADMIN" bus new bus-2 --out "$SECRETS/bus-2.peer" \
        --commands "$tcp:$PORT_BUS2_COMMANDS" --workers "$tcp:$PORT_BUS2_WORKERS" \
        --events "$tcp:$PORT_BUS2_EVENTS"
    while read -r name role; do
        once "$SECRETS/$name.peer" "$ADMIN" peer new "$name" --role "$role" \
            --bus "$SECRETS/bus-1.peer" --bus "$SECRETS/bus-2.peer" --allow "$ALLOW" \
            --out "$SECRETS/$name.peer"
    done <<'PEERS'
front front
registry-1 worker:registry
registry-2 worker:registry
identity worker:identity
publisher worker:publisher
throttle-1 worker:throttle
throttle-2 worker:throttle
admin admin
PEERS
}

# render TEMPLATE UNIT: fills @NAME@ in deploy/config/TEMPLATE.yaml; @UNIT@ and @N@ say which of
# several it is. Nodes wait for the gateway, whose id is theirs.
render() {
    local text name filled= unit=$2
    local UNIT=$unit N=${unit##*-} GATEWAY=${SLUICE_INSTANCE_ID:-}
    local HTTP_PORT TLS_PORT HEALTH_PORT LISTEN=$HOST NGINX_WORKERS=1
    HTTP_PORT=PORT_NODE${N}_HTTP TLS_PORT=PORT_NODE${N}_TLS HEALTH_PORT=PORT_NODE${N}_HEALTH
    local PEER_PORT=PORT_NODE${N}_PEER
    PEER_PORT=${!PEER_PORT:-}
    HTTP_PORT=${!HTTP_PORT:-} TLS_PORT=${!TLS_PORT:-} HEALTH_PORT=${!HEALTH_PORT:-}
    text=$(<"$TREE/deploy/config/$1.yaml")
    # From left to right once: what is filled in may look like a name itself.
    while [[ $text =~ @([A-Z0-9_]+)@ ]]; do
        name=${BASH_REMATCH[1]}
        filled+=${text%%"@$name@"*}${!name}
        text=${text#*"@$name@"}
    done
    replace "$CONFIG/$unit.yaml" "$filled$text"
}

# Writes TEXT to FILE by rename, unless it is there already.
replace() {
    [[ -f $1 && $(<"$1") == "$2" ]] && return 0
    printf '%s\n' "$2" >"$1.new"
    mv "$1.new" "$1"
}

render_configuration() {
    local unit
    for unit in bus-1 bus-2 registry-1 registry-2 throttle-1 throttle-2; do
        render "${unit%-*}" "$unit"
    done
    for unit in front identity publisher; do
        render "$unit" "$unit"
    done
}
