// ngx_http_sluice_pattern.h - users' regular expressions (PCRE2), with bounds on their work.
//
// Needs no nginx. A process keeps what it compiled in a table of fixed size; the newest takes the
// place of another. Not thread-safe: a worker is one thread.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef NGX_HTTP_SLUICE_PATTERN_H
#define NGX_HTTP_SLUICE_PATTERN_H

#include "common/base/str.h"

// Whether the pattern is found anywhere in the text. A pattern that does not compile, or that needs
// more work than is allowed, is found nowhere.
bool ngx_http_sluice_pattern_found(struct sl_str pattern, struct sl_str text);

// Frees what was compiled.
void ngx_http_sluice_pattern_exit(void);

#endif
