// ngx_http_sluice_path.h - the one canonical form of a request's path (architecture.md 6).
//
// Pure text: no nginx, no memory of its own, so that tests and the fuzzer take it alone.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef NGX_HTTP_SLUICE_PATH_H
#define NGX_HTTP_SLUICE_PATH_H

#include "common/base/str.h"

// Whether a raw path is its own canonical form; false also where only a closer look could tell.
bool ngx_http_sluice_path_is_canonical(struct sl_str raw);

// Writes the canonical form of a raw path (what stands before '?') into `room`, which holds raw.len
// bytes: escapes decoded once, slashes merged, dot segments resolved. False when the path could be
// read in two ways, leaves the root, or holds a control character, a raw '#' or a broken escape.
bool ngx_http_sluice_path_canonical(struct sl_str raw, char *room, struct sl_str *ret_path);

// The same with escapes left as they are, but for those of unreserved characters, which mean the
// same decoded: `/%61%2fb` is one segment, `a%2Fb`. False also where a dot segment takes back an
// encoded slash. `room` as above.
bool ngx_http_sluice_path_raw(struct sl_str raw, char *room, struct sl_str *ret_path);

// Whether a decoded text may become part of a path: no dot segment in it, none that a reader could
// find by cutting at a backslash or a semicolon, no control character.
bool ngx_http_sluice_path_is_safe(struct sl_str text);

#endif
