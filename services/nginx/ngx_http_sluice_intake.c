// ngx_http_sluice_intake.c - request id, one canonical path, framing.
//
// nginx refuses malformed lines, duplicate Host, both Content-Length and Transfer-Encoding,
// HTTP/1.0 with Transfer-Encoding and CONNECT on its own (error_page leads those to _error.c). Here
// is what it lets pass and architecture.md 6 does not.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#define RANDOM_BUFFERED 4096 // bytes of randomness a worker fetches at a time

// Bytes that a raw path may hold without being looked at closely; '/' is looked at with its
// neighbour.
static bool
is_plain(u_char byte)
{
    return byte > ' ' && byte != 0x7f && byte != '%' && byte != '#' && byte != ';' && byte != '\\';
}

void
ngx_http_sluice_request_id(ngx_http_sluice_ctx_t *ctx)
{
    static u_char random[RANDOM_BUFFERED];
    static size_t left;

    if (left < sizeof(ctx->request_id) / 2) {
        sl_random(random, sizeof(random));
        left = sizeof(random);
    }
    left -= sizeof(ctx->request_id) / 2;
    sl_hex_encode(random + left, sizeof(ctx->request_id) / 2, ctx->request_id);
}

// A path while it becomes canonical.
struct canonical {
    u_char *out;         // what is written so far, beginning with '/'
    size_t len;          // of it
    size_t segment;      // where the segment being written begins
    bool encoded_before; // the slash before this segment was encoded
    struct sl_str raw;   // what is left to read
};

// Cuts the first byte off, decoded; *ret_encoded says whether it was an escape. False: malformed.
static bool
next_byte(struct sl_str *raw, u_char *ret_byte, bool *ret_encoded)
{
    uint8_t decoded;

    *ret_encoded = raw->ptr[0] == '%';
    if (!*ret_encoded) {
        *ret_byte = (u_char)raw->ptr[0];
        raw->ptr++;
        raw->len--;
        return true;
    }
    if (raw->len < 3 || !sl_hex_decode((struct sl_str){raw->ptr + 1, 2}, &decoded, 1)) {
        return false;
    }
    *ret_byte = decoded;
    raw->ptr += 3;
    raw->len -= 3;
    return true;
}

static bool
is_dots(struct sl_str text)
{
    return (text.len == 1 && text.ptr[0] == '.') ||
           (text.len == 2 && text.ptr[0] == '.' && text.ptr[1] == '.');
}

// Whether some reader of the path could take part of this segment for a dot segment: cut at a
// backslash, or at the semicolon of a path parameter.
static bool
hides_dots(struct sl_str segment)
{
    struct sl_str rest = segment;
    struct sl_str piece;
    bool backslash = memchr(segment.ptr, '\\', segment.len) != NULL;

    while (rest.ptr != NULL) {
        struct sl_str parameters;
        struct sl_str before;

        piece = sl_str_split(&rest, '\\');
        parameters = piece;
        before = sl_str_split(&parameters, ';');
        if (is_dots(before) && (backslash || before.len != piece.len)) {
            return true;
        }
    }
    return false;
}

// Ends the segment: drops an empty or "." one, takes ".." back, refuses an ambiguous one.
// `slash_encoded` is about the slash that follows, if any.
static bool
end_segment(struct canonical *path, bool slash_encoded)
{
    struct sl_str segment = {(const char *)path->out + path->segment, path->len - path->segment};

    if (segment.len > 0 && hides_dots(segment)) {
        return false;
    }
    if (is_dots(segment)) {
        if (path->encoded_before || slash_encoded) {
            return false;
        }
        if (segment.len == 2) {
            if (path->segment == 1) {
                return false; // above the root
            }
            path->segment--;
            while (path->out[path->segment - 1] != '/') {
                path->segment--;
            }
        }
        path->len = path->segment;
    }
    path->encoded_before = slash_encoded || (segment.len == 0 && path->encoded_before);
    return true;
}

static bool
canonicalize(struct canonical *path)
{
    while (path->raw.len > 0) {
        u_char byte;
        bool encoded;

        if (!next_byte(&path->raw, &byte, &encoded) || byte < ' ' || byte == 0x7f ||
            (byte == '#' && !encoded)) {
            return false;
        }
        if (byte != '/') {
            path->out[path->len++] = byte;
            continue;
        }
        if (!end_segment(path, encoded)) {
            return false;
        }
        if (path->len > path->segment) {
            path->out[path->len++] = '/';
            path->segment = path->len;
        }
    }
    return end_segment(path, false);
}

ngx_int_t
ngx_http_sluice_canonical(ngx_pool_t *pool, struct sl_str raw, struct sl_str *ret_path)
{
    struct canonical path = {.len = 1, .segment = 1, .raw = raw};
    size_t plain = 0;

    if (raw.len == 0 || raw.ptr[0] != '/') {
        return NGX_ABORT;
    }
    while (plain < raw.len && is_plain((u_char)raw.ptr[plain]) &&
           (raw.ptr[plain] != '/' || plain + 1 == raw.len ||
            (raw.ptr[plain + 1] != '/' && raw.ptr[plain + 1] != '.'))) {
        plain++;
    }
    if (plain == raw.len) {
        *ret_path = raw;
        return NGX_OK;
    }
    path.out = ngx_pnalloc(pool, raw.len + 1);
    if (path.out == NULL) {
        return NGX_ERROR;
    }
    path.out[0] = '/';
    path.raw.ptr++;
    path.raw.len--;
    if (!canonicalize(&path)) {
        return NGX_ABORT;
    }
    *ret_path = (struct sl_str){(const char *)path.out, path.len};
    return NGX_OK;
}

// Host without its port, in lower case, from the pool when that changes it.
static ngx_int_t
host_name(ngx_pool_t *pool, struct sl_str host, struct sl_str *ret_name)
{
    const char *colon = host.len == 0 ? NULL : memrchr(host.ptr, ':', host.len);
    const char *bracket = host.len == 0 ? NULL : memrchr(host.ptr, ']', host.len);
    u_char *lower;

    if (colon != NULL && (bracket == NULL || colon > bracket)) {
        host.len = (size_t)(colon - host.ptr);
    }
    lower = ngx_pnalloc(pool, host.len + 1);
    if (lower == NULL) {
        return NGX_ERROR;
    }
    for (size_t i = 0; i < host.len; i++) {
        lower[i] = (u_char)ngx_tolower((u_char)host.ptr[i]);
    }
    *ret_name = (struct sl_str){(const char *)lower, host.len};
    return NGX_OK;
}

// Whether an absolute-form target names the host that the Host header names, port included.
static bool
target_agrees(const ngx_http_request_t *r)
{
    struct sl_str host;
    struct sl_str target;

    if (r->schema_start == NULL || r->host_start == NULL || r->headers_in.host == NULL) {
        return true;
    }
    host = ngx_http_sluice_view(&r->headers_in.host->value);
    target = (struct sl_str){(const char *)r->host_start, (size_t)(r->host_end - r->host_start)};
    if (r->port_end > r->host_end) {
        target.len = (size_t)(r->port_end - r->host_start);
    }
    return sl_str_equal_nocase(host, target);
}

ngx_int_t
ngx_http_sluice_intake(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    struct sl_str raw = ngx_http_sluice_view(&r->unparsed_uri);
    const char *query;
    ngx_table_elt_t *mode;
    ngx_int_t rc;

    if (r->http_version < NGX_HTTP_VERSION_10) {
        r->http_version = NGX_HTTP_VERSION_10; // so that the refusal has a status line
        return ngx_http_sluice_fail(ctx, SL_E_GW_BAD_REQUEST);
    }
    if (raw.len == 0 || memchr(raw.ptr, '#', raw.len) != NULL || !target_agrees(r)) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_BAD_REQUEST);
    }
    query = memchr(raw.ptr, '?', raw.len);
    if (query != NULL) {
        ctx->raw_query = (struct sl_str){query + 1, raw.len - (size_t)(query + 1 - raw.ptr)};
        raw.len = (size_t)(query - raw.ptr);
    }
    rc = ngx_http_sluice_canonical(r->pool, raw, &ctx->path);
    if (rc != NGX_OK) {
        return rc == NGX_ABORT ? ngx_http_sluice_fail(ctx, SL_E_GW_BAD_REQUEST) : rc;
    }
    if (r->headers_in.host != NULL) {
        rc = host_name(r->pool, ngx_http_sluice_view(&r->headers_in.host->value), &ctx->host);
    } else if (r->headers_in.server.len > 0) {
        rc = host_name(r->pool, ngx_http_sluice_view(&r->headers_in.server), &ctx->host);
    }
    mode = ngx_http_sluice_header(r, "x-apig-mode", sizeof("x-apig-mode") - 1);
    ctx->debug = mode != NULL && mode->value.len == 5 &&
                 ngx_strncasecmp(mode->value.data, (u_char *)"debug", 5) == 0;
    return rc;
}
