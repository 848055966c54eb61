#!/bin/bash
# configure.sh SOURCE ADDON OBJS: runs nginx-dev's configure with the flags of Debian's nginx, so
# that the module's binary signature equals that of the nginx which loads it. It works in a short
# directory of its own: nginx's scripts do not take paths with blanks.
set -euo pipefail
source_dir=$1 addon=$2 objs=$3
work=$(mktemp -d "${TMPDIR:-/tmp}/sluice-nginx-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$objs" "$work/addon" "$work/objs"
cp "$addon/config" "$work/addon/"
cd "$source_dir"
# shellcheck source=/dev/null
. ./conf_flags
./configure "${NGX_CONF_FLAGS[@]}" --with-cc-opt="-O2 -fPIC" \
    --add-dynamic-module="$work/addon" --builddir="$work/objs" >"$objs/configure.log" 2>&1 ||
    { tail -20 "$objs/configure.log" >&2; exit 1; }
for file in ngx_auto_config.h ngx_auto_headers.h ngx_http_sluice_module_modules.c; do
    cp "$work/objs/$file" "$objs/$file"
done
