// ngx_http_sluice_wire.h - what the module does faster than nginx on the way of bytes.
//
// Each looks for the common case alone, and leaves everything else to nginx as it found it.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef NGX_HTTP_SLUICE_WIRE_H
#define NGX_HTTP_SLUICE_WIRE_H

#include "services/nginx/ngx_http_sluice.h"

// _write.c: what is short goes over this connection in one send(2). Leaves alone a connection that
// does not write as plain ones do. May be called again.
void ngx_http_sluice_write_short(ngx_connection_t *c);

// _head.c: takes the lines of a backend's header that are complete and plain, from where nginx
// would go on reading: at the beginning of a line. The first other one, the empty line above all,
// is nginx's. NGX_ERROR when memory is out or nginx refuses one.
ngx_int_t ngx_http_sluice_head_take(ngx_http_request_t *r);

#endif
