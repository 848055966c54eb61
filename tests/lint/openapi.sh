#!/usr/bin/env bash
# openapi.sh BUILD - the contract as front serves it, under an OpenAPI linter from npm.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:?usage: openapi.sh BUILD}" && pwd)
linter=@redocly/cli@1.34.3
folder=$build/npm/redocly
if [[ ! -x $folder/node_modules/.bin/redocly ]]; then
    mkdir -p "$folder"
    (cd "$folder" && echo '{"private": true}' >package.json &&
        npm install --silent --no-fund --no-audit --ignore-scripts "$linter")
fi
cd "$folder"
REDOCLY_TELEMETRY=off node_modules/.bin/redocly lint --config "$here/redocly.yaml" \
    --format=stylish --max-problems 50 "$build/openapi.json"
