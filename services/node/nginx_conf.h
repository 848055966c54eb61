// nginx_conf.h - nginx.conf, rendered from the template that the module's room owns.
//
// Written by rename, and only when it differs from what is there: the answer says so, because
// nothing else may make nginx reload.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_NGINX_CONF_H
#define SL_NODE_NGINX_CONF_H

#include "common/base/buf.h"
#include "services/node/settings.h"

#define NGINX_CONF_MAX (256 * 1024) // bytes of a rendered file

// The template, linked into the program.
extern const char nginx_conf_template[];

// Renders `template` into `out`. Refuses (CONFIG, naming the setting) a value that nginx's syntax
// cannot hold, and a name that the template uses and nothing gives.
int nginx_conf_render(const char *template, const struct settings *settings, struct sl_buf *out,
                      struct sl_error *err) SL_MUST_CHECK;

// Renders and writes it. *ret_changed: the file is another than before, which is kept beside it.
int nginx_conf_write(const struct settings *settings, bool *ret_changed,
                     struct sl_error *err) SL_MUST_CHECK;

#define NGINX_LOGS 2 // access logs: line, JSON

// Puts back the file that the last change replaced; what stood there goes. Refuses (INTERNAL) when
// there is none.
int nginx_conf_restore(const struct settings *settings, struct sl_error *err) SL_MUST_CHECK;

// The path that settings give to nginx.conf, to access log `index`; from `arena`.
const char *nginx_conf_log(const struct settings *settings, size_t index, struct sl_arena *arena);
const char *nginx_conf_path(const struct settings *settings, struct sl_arena *arena);

#endif
