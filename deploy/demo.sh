#!/usr/bin/env bash
# demo.sh - what a gateway is for, with curl: from an empty group to a throttled, authenticated call.
#
#   deploy/demo.sh [--keep]
#
# Sends the files of deploy/demo/ (their @WORDS@ filled in, the results in var/demo/) to the running
# front and calls the published API through both nodes. Every step prints the command it ran, ready
# to be pasted, and checks the outcome. Deletes what it made unless told to --keep it.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
umask 077
DEPLOY=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib/env.sh
source "$DEPLOY/lib/env.sh"
# shellcheck source=lib/ui.sh
source "$DEPLOY/lib/ui.sh"

WORK=$VAR/demo
KEEP=no
CALLS=12
LIMIT=3
PUBLISH_WAIT_MS=10000

fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

# A top-level or nested field of the last reply: field id, field auths 0 id.
field() {
    python3 -c '
import json, sys
value = json.load(open(sys.argv[1]))
for word in sys.argv[2:]:
    value = value[int(word)] if isinstance(value, list) else value[word]
print(value)' "$WORK/reply.json" "$@"
}

# Fills @NAME@ in a file of deploy/demo from the shell variable of that name.
filled() {
    local text name
    text=$(<"$DEPLOY/demo/$1")
    while [[ $text =~ @([A-Z_]+)@ ]]; do
        name=${BASH_REMATCH[1]}
        text=${text//"@$name@"/${!name}}
    done
    printf '%s\n' "$text" >"$WORK/$1"
}

# run WANTED_STATUS COMMAND…: prints the command, runs it, keeps the body, checks the status.
run() {
    local wanted=$1 got options=()
    shift
    printf '    %s\n' "$(printable "$@")"
    # deploy/sign hands to curl what stands behind --.
    [[ $1 == curl ]] || options=(--)
    got=$("$@" "${options[@]}" -sS -o "$WORK/reply.json" -D "$WORK/headers" -w '%{http_code}' --path-as-is) ||
        fail "the request itself failed: $got"
    if [[ $got != "$wanted" ]]; then
        fail "status $got instead of $wanted: $(head -c 600 "$WORK/reply.json")"
    fi
    printf '    -> %s %s\n' "$got" "$(head -c 160 "$WORK/reply.json")"
}

# Quotes where a shell needs it; the token stands in a file, not on the screen.
printable() {
    local word out='' token
    printf -v token %q "$WORK/token"
    for word in "$@"; do
        case $word in
        "X-Auth-Token: "*) out+=" \"X-Auth-Token: \$(cat $token)\"" ;;
        *[!A-Za-z0-9_./:=@%+,-]*) out+=" '${word//\'/\'\\\'\'}'" ;;
        *) out+=" $word" ;;
        esac
    done
    printf '%s' "${out# }"
}

# manage WANTED METHOD PATH [FILE]: one management request with the token.
manage() {
    local wanted=$1 method=$2 path=$3 file=${4:-} command
    command=(curl -X "$method" "$GATEWAY$path" -H "X-Auth-Token: $TOKEN")
    if [[ -n $file ]]; then
        filled "$file"
        command+=(-H 'Content-Type: application/json' -d "@$WORK/$file")
    fi
    run "$wanted" "${command[@]}"
}

chapter() {
    printf '\n'
    say "$*"
}

log_in() {
    chapter 'a token for the administrator'
    filled 01-token.json
    run 201 curl -X POST "$SLUICE_ENDPOINT/v3/auth/tokens" -H 'Content-Type: application/json' \
        -d "@$WORK/01-token.json"
    TOKEN=$(tr -d '\r' <"$WORK/headers" | sed -n 's/^[Xx]-[Ss]ubject-[Tt]oken: *//p')
    [[ -n $TOKEN ]] || fail 'no X-Subject-Token in the reply'
    printf '%s' "$TOKEN" >"$WORK/token"
}

describe() {
    chapter 'a group, an API in it, published to RELEASE'
    manage 201 POST /api-groups 02-group.json
    GROUP_ID=$(field id) DOMAIN=$(field sl_domain)
    manage 201 POST /apis 03-api.json
    API_ID=$(field id)
    manage 201 POST "/apis/action?wait_ms=$PUBLISH_WAIT_MS" 04-publish.json
    PUBLISH_ID=$(field publish_id)
    chapter 'an app with an AppCode, authorised to call the API'
    manage 201 POST /apps 05-app.json
    APP_ID=$(field id) APP_KEY=$(field app_key) APP_SECRET=$(field app_secret)
    manage 201 POST "/apps/$APP_ID/app-codes" 06-app-code.json
    manage 201 POST /app-auths 07-app-auth.json
    live_everywhere
}

# A change is live within milliseconds of its reply. Who wants to be told publishes again: wait_ms
# answers when every node serves that and all that came before.
live_everywhere() {
    printf '    (published again: with wait_ms the reply says that all of it is live on every node)\n'
    manage 201 POST "/apis/action?wait_ms=$PUBLISH_WAIT_MS" 04-publish.json
}

call() {
    local wanted=$1 url=$2
    shift 2
    run "$wanted" curl -k "$url/greet/world" -H "Host: $DOMAIN" "$@"
}

call_signed() {
    run 200 "$DEPLOY/sign" --app "$APP_KEY" "$APP_SECRET" GET "$1/greet/world" -H "Host: $DOMAIN"
}

call_it() {
    chapter 'an unsigned call is refused'
    call 401 "$SLUICE_DATA_URL"
    chapter 'an AppCode is enough over TLS, and over TLS only'
    call 200 "$SLUICE_DATA_TLS_URL" -H "X-Apig-AppCode: $APP_CODE"
    [[ $(field path) == /hello/world ]] || fail "the backend saw another path: $(field path)"
    call 401 "$SLUICE_DATA_URL" -H "X-Apig-AppCode: $APP_CODE"
    chapter 'a signed call, through both nodes'
    call_signed "$SLUICE_DATA_URL"
    call_signed "$SLUICE_DATA2_URL"
}

throttle_it() {
    local node number admitted=0 status
    chapter "a policy of $LIMIT an hour, bound to the API; $CALLS calls, alternating"
    manage 201 POST /throttles 08-throttle.json
    THROTTLE_ID=$(field id)
    manage 201 POST /throttle-bindings 09-throttle-binding.json
    live_everywhere
    # A window starts with the clock's hour: do not straddle two.
    wait_for 20 mid_hour || true
    printf '    %s\n' "$(printable curl -k "$SLUICE_DATA_TLS_URL/greet/world" -H "Host: $DOMAIN" \
        -H "X-Apig-AppCode: $APP_CODE")"
    for ((number = 0; number < CALLS; number++)); do
        node=$SLUICE_DATA_TLS_URL
        ((number % 2)) && node=$SLUICE_DATA2_TLS_URL
        status=$(curl -sk -o "$WORK/reply.json" -w '%{http_code}' "$node/greet/world" \
            -H "Host: $DOMAIN" -H "X-Apig-AppCode: $APP_CODE")
        printf '    %s' "$status"
        [[ $status == 200 ]] && admitted=$((admitted + 1))
    done
    printf '\n    admitted: %d\n' "$admitted"
    ((admitted == LIMIT)) || fail "$admitted calls admitted instead of $LIMIT"
}

mid_hour() {
    ((EPOCHSECONDS % 3600 < 3590))
}

take_offline() {
    chapter 'taken offline, it is gone'
    manage 201 POST "/apis/action?wait_ms=$PUBLISH_WAIT_MS" 10-offline.json
    call 404 "$SLUICE_DATA_URL" -H "X-Apig-AppCode: $APP_CODE"
    call 404 "$SLUICE_DATA2_URL" -H "X-Apig-AppCode: $APP_CODE"
}

# Deletes what there is, in an order that references allow; also after a failure.
remove() {
    local id path
    printf '\n'
    say 'removing what the demo made'
    if [[ -n ${API_ID:-} ]]; then
        filled 10-offline.json
        delete POST /apis/action -H 'Content-Type: application/json' -d "@$WORK/10-offline.json"
    fi
    for path in "apis/${API_ID:-}" "throttles/${THROTTLE_ID:-}" "apps/${APP_ID:-}" \
        "api-groups/${GROUP_ID:-}"; do
        id=${path#*/}
        [[ -z $id ]] || delete DELETE "/$path"
    done
}

delete() {
    local method=$1 path=$2
    shift 2
    curl -sS -o "$WORK/removed.json" -X "$method" "$GATEWAY$path" -H "X-Auth-Token: $TOKEN" \
        "$@" || true
}

main() {
    case ${1:-} in
    '') ;;
    --keep) KEEP=yes ;;
    *)
        sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        [[ $1 == --help || $1 == -h ]]
        return
        ;;
    esac
    [[ -r $ENV_FILE ]] || fail 'the gateway is not up: deploy/quickstart.sh'
    mkdir -p "$WORK"
    # shellcheck source=/dev/null
    source "$ENV_FILE"
    GATEWAY=$SLUICE_ENDPOINT/v2/$SLUICE_PROJECT_ID/apigw/instances/$SLUICE_INSTANCE_ID
    RUN=$(date +%H%M%S)_$$
    APP_CODE=$(openssl rand -hex 32)
    log_in
    [[ $KEEP == yes ]] || trap remove EXIT
    describe
    call_it
    throttle_it
    take_offline
    printf '\n'
    say "the demo did what it should: $LIMIT of $CALLS calls admitted"
}

main "$@"
