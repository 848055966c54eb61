# provision.sh - what only sluice-admin can make: account, project, users, keys, gateway, nodes.
#
# Each result is kept in $VAR/provision/<name> as soon as it is there, so that a run that was
# interrupted goes on where it stopped.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154

PROVISION=$VAR/provision
ANSWER_S=30 # how long the workers may take until they answer at all
DOMAIN_NAME=quickstart
PROJECT_NAME=quickstart
ADMIN_NAME=admin
READER_NAME=reader

admin() {
    "$ADMIN" --peer "$SECRETS/admin.peer" "$@" 2>>"$STEP_LOG" </dev/null
}

# keep NAME COMMAND…: the JSON answer of a command, asked for once.
keep() {
    local name=$1
    shift
    if [[ ! -s $PROVISION/$name ]]; then
        admin --json "$@" >"$PROVISION/$name.new"
        mv "$PROVISION/$name.new" "$PROVISION/$name"
    fi
}

# A field of a kept answer.
kept() {
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' \
        "$PROVISION/$1" "$2"
}

provision() {
    mkdir -p "$PROVISION"
    if [[ ! -s $PROVISION/domain ]]; then
        admin service wait identity,registry,publisher,throttle --seconds "$ANSWER_S" ||
            die 'the workers do not answer'
    fi
    keep domain domain create "$DOMAIN_NAME"
    keep project project create "$PROJECT_NAME" --domain "$DOMAIN_NAME"
    keep admin user create "$ADMIN_NAME" --domain "$DOMAIN_NAME" --generate \
        --policy 'APIG FullAccess'
    keep reader user create "$READER_NAME" --domain "$DOMAIN_NAME" --generate \
        --policy 'APIG ReadOnlyAccess'
    keep access-key access-key create --user "$ADMIN_NAME" --domain "$DOMAIN_NAME"
    SLUICE_PROJECT_ID=$(kept project id)
    keep gateway gateway create quickstart --project "$SLUICE_PROJECT_ID" --address "$HOST"
    SLUICE_INSTANCE_ID=$(kept gateway id)
    add_nodes
    write_env_file
}

add_nodes() {
    local unit over
    # The second node stands for those on other machines: nothing but tcp leads to its buses.
    while read -r unit over; do
        once "$SECRETS/$unit.peer" admin node add "$unit" --gateway "$SLUICE_INSTANCE_ID" \
            --bus "$SECRETS/bus-1.peer" --bus "$SECRETS/bus-2.peer" ${over:+--over "$over"} \
            --allow "$ALLOW" --out "$SECRETS/$unit.peer"
    done <<'NODES'
node-1
node-2 tcp
NODES
    # Each may get its first image from the other.
    PEERS="tcp://$HOST:$PORT_NODE2_PEER $(public_key node-2)" render node node-1
    PEERS="tcp://$HOST:$PORT_NODE1_PEER $(public_key node-1)" render node node-2
}

# The public key of a peer file.
public_key() {
    sed -n "s/^public_key: '\(.*\)'$/\1/p" "$SECRETS/$1.peer"
}

write_env_file() {
    replace "$ENV_FILE" "SLUICE_ENDPOINT=http://$HOST:$PORT_FRONT
SLUICE_PROJECT_ID=$SLUICE_PROJECT_ID
SLUICE_INSTANCE_ID=$SLUICE_INSTANCE_ID
SLUICE_DOMAIN_NAME=$DOMAIN_NAME
SLUICE_USERNAME=$ADMIN_NAME
SLUICE_PASSWORD=$(kept admin password)
SLUICE_READER_USERNAME=$READER_NAME
SLUICE_READER_PASSWORD=$(kept reader password)
SLUICE_AK=$(kept access-key access)
SLUICE_SK=$(kept access-key secret)
SLUICE_DATA_URL=http://$HOST:$PORT_NODE1_HTTP
SLUICE_DATA2_URL=http://$HOST:$PORT_NODE2_HTTP
SLUICE_DATA_TLS_URL=https://$HOST:$PORT_NODE1_TLS
SLUICE_DATA2_TLS_URL=https://$HOST:$PORT_NODE2_TLS
SLUICE_METRICS_FRONT=http://$HOST:$PORT_FRONT_HEALTH
SLUICE_METRICS_NODE1=http://$HOST:$PORT_NODE1_HEALTH
SLUICE_METRICS_NODE2=http://$HOST:$PORT_NODE2_HEALTH
SLUICE_ECHO_ADDR=$HOST:$PORT_ECHO"
}
