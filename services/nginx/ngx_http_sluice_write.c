// ngx_http_sluice_write.c - sends what is short in one piece.
//
// nginx writes every chain of buffers by writev(2). A request to a backend is one buffer, a short
// answer its header and its body: send(2) of one piece costs the kernel a fifth less. Everything
// else (files, long chains, limits of rate, TLS, HTTP/2) goes nginx's own way.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_wire.h"

#define JOINED_MAX 2048 // bytes that are copied together rather than gathered

// Looks at a chain: whether it is memory alone, and one buffer or short. *ret_only: its buffer with
// content, the first one of several.
static bool
is_one_piece(const ngx_chain_t *in, size_t *ret_size, ngx_buf_t **ret_only, ngx_uint_t *ret_count)
{
    size_t size = 0;
    ngx_uint_t count = 0;

    for (; in != NULL; in = in->next) {
        ngx_buf_t *buffer = in->buf;

        if (ngx_buf_special(buffer)) {
            continue;
        }
        if (!ngx_buf_in_memory(buffer) || buffer->last <= buffer->pos) {
            return false;
        }
        if (count++ == 0) {
            *ret_only = buffer;
        }
        size += (size_t)(buffer->last - buffer->pos);
        if (count > 1 && size > JOINED_MAX) {
            return false;
        }
    }
    *ret_size = size;
    *ret_count = count;
    return count > 0;
}

static ngx_chain_t *
write_chain(ngx_connection_t *c, ngx_chain_t *in, off_t limit)
{
    u_char joined[JOINED_MAX];
    ngx_buf_t *only = NULL;
    ngx_uint_t count = 0;
    size_t size = 0;
    u_char *from;
    ssize_t sent;

    if (!c->write->ready || !is_one_piece(in, &size, &only, &count) ||
        (limit != 0 && size > (size_t)limit)) {
        return ngx_send_chain(c, in, limit);
    }
    from = only->pos;
    if (count > 1) {
        u_char *out = joined;

        for (const ngx_chain_t *link = in; link != NULL; link = link->next) {
            if (!ngx_buf_special(link->buf)) {
                out = ngx_cpymem(out, link->buf->pos, (size_t)(link->buf->last - link->buf->pos));
            }
        }
        from = joined;
    }
    sent = ngx_send(c, from, size); // counts c->sent, and says when the socket is full
    if (sent == NGX_ERROR) {
        return NGX_CHAIN_ERROR;
    }
    return ngx_chain_update_sent(in, sent > 0 ? sent : 0);
}

void
ngx_http_sluice_write_short(ngx_connection_t *c)
{
    if (c->send_chain == ngx_send_chain && c->ssl == NULL) {
        c->send_chain = write_chain;
    }
}
