#!/bin/bash
# configure.sh SOURCE ADDON OBJS: runs nginx-dev's configure with the flags of Debian's nginx, so
# that the module's binary signature equals that of the nginx which loads it.
set -euo pipefail
source_dir=$1 addon=$2 objs=$3
mkdir -p "$objs"
cd "$source_dir"
# shellcheck source=/dev/null
. ./conf_flags
./configure "${NGX_CONF_FLAGS[@]}" --with-cc-opt="-O2 -fPIC" --add-dynamic-module="$addon" \
    --builddir="$objs" >"$objs/configure.log" 2>&1 || { tail -20 "$objs/configure.log" >&2; exit 1; }
touch "$objs/ngx_auto_config.h" "$objs/ngx_http_sluice_module_modules.c"
