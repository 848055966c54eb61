// ngx_http_sluice_event.c - a request as the event that a function is invoked with (runtime.md
// 10.3).
//
// The event takes the request's place: the proxy sends it as the body, and none of the client's
// headers but those in it. The body of the request is read before, under the node's budget.
//
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "services/nginx/ngx_http_sluice_param.h"

#define ESCAPED_MAX 6     // bytes that one byte of text becomes at most: "\u001f"
#define FIXED_ROOM  512   // names and marks of the event
#define PART_ROOM   32    // marks around a name and a value
#define FILE_CHUNK  49152 // bytes of a body that lies in a file, read at a time

// One name and value; `order` is how they came.
struct part {
    struct sl_str name;
    struct sl_str value;
    size_t order;
};

// The parts of one object of the event.
struct parts {
    struct part *list;
    size_t count;
    bool joined; // values of one name are joined by ','; else the first counts
};

// -- text -----------------------------------------------------------------------------------------

static u_char *
append(u_char *out, struct sl_str text)
{
    return text.len == 0 ? out : ngx_cpymem(out, text.ptr, text.len);
}

// Text inside JSON quotes; a byte that is no character becomes U+FFFD.
static u_char *
append_text(u_char *out, struct sl_str text)
{
    while (text.len > 0) {
        size_t size = sl_utf8_char(text);

        if (size == 0) {
            out = append(out, SL_STR("\\ufffd"));
            size = 1;
        } else {
            out = (u_char *)ngx_escape_json(out, (u_char *)(uintptr_t)text.ptr, size);
        }
        text.ptr += size;
        text.len -= size;
    }
    return out;
}

static u_char *
append_member(u_char *out, struct sl_str mark, struct sl_str text)
{
    out = append(out, mark);
    out = append_text(out, text);
    *out++ = '"';
    return out;
}

static int
compare_parts(const void *left, const void *right)
{
    const struct part *a = left;
    const struct part *b = right;
    int order = ngx_memcmp(a->name.ptr, b->name.ptr, ngx_min(a->name.len, b->name.len));

    if (order == 0 && a->name.len == b->name.len) {
        return a->order < b->order ? -1 : 1;
    }
    if (order == 0) {
        return a->name.len < b->name.len ? -1 : 1;
    }
    return order;
}

// `{"a":"1","b":"2"}`; sorts the parts.
static u_char *
append_object(u_char *out, struct parts *parts)
{
    *out++ = '{';
    if (parts->count > 1) {
        qsort(parts->list, parts->count, sizeof(*parts->list), compare_parts);
    }
    for (size_t i = 0; i < parts->count; i++) {
        bool again = i > 0 && sl_str_equal(parts->list[i].name, parts->list[i - 1].name);

        if (!again) {
            out = append(out, i > 0 ? SL_STR("\",\"") : SL_STR("\""));
            out = append_text(out, parts->list[i].name);
            out = append(out, SL_STR("\":\""));
        } else if (parts->joined) {
            out = append(out, sl_str_equal(parts->list[i].name, SL_STR("x-forwarded-for"))
                                  ? SL_STR(", ")
                                  : SL_STR(","));
        }
        if (!again || parts->joined) {
            out = append_text(out, parts->list[i].value);
        }
    }
    if (parts->count > 0) {
        *out++ = '"';
    }
    *out++ = '}';
    return out;
}

// -- what the event tells -------------------------------------------------------------------------

static void
add_part(struct parts *parts, struct sl_str name, struct sl_str value)
{
    parts->list[parts->count] = (struct part){name, value, parts->count};
    parts->count++;
}

static size_t
room_of(const struct parts *parts)
{
    size_t room = 2;

    for (size_t i = 0; i < parts->count; i++) {
        room += ESCAPED_MAX * (parts->list[i].name.len + parts->list[i].value.len) + PART_ROOM;
    }
    return room;
}

// The headers that the gateway adds to what the client says. Those of a client go before.
static ngx_int_t
add_own_headers(struct param_work *work, struct parts *parts)
{
    ngx_http_request_t *r = work->request;
    struct sl_str address = ngx_http_sluice_view(&r->connection->addr_text);
    u_char *port = ngx_pnalloc(r->pool, sizeof("65535"));
    u_char *end;

    if (port == NULL) {
        return NGX_ERROR;
    }
    end = ngx_http_sluice_digits(port, ngx_inet_get_port(r->connection->local_sockaddr), 1);
    add_part(parts, SL_STR("x-forwarded-port"),
             (struct sl_str){(const char *)port, (size_t)(end - port)});
    add_part(parts, SL_STR("x-forwarded-proto"),
             ngx_http_sluice_is_tls(r) ? SL_STR("https") : SL_STR("http"));
    add_part(parts, SL_STR("x-forwarded-for"), address);
    add_part(parts, SL_STR("x-real-ip"), address);
    struct sl_str id = {work->ctx->request_id, sizeof(work->ctx->request_id) - 1};
    add_part(parts, SL_STR("x-request-id"), id);
    // Functions that are HTTP servers see no event but its headers.
    add_part(parts, SL_STR("x-apig-request-id"), id);
    add_part(parts, SL_STR("x-apig-api-id"), (struct sl_str){work->ctx->api_id, SL_ID_LEN});
    add_part(parts, SL_STR("x-apig-source-stage"), work->ctx->env_name);
    add_part(parts, SL_STR("x-apig-source-ip"), ngx_http_sluice_view(&work->ctx->client_addr));
    return NGX_OK;
}

static bool
is_own_header(struct sl_str name)
{
    static const char *const names[] = {"host",
                                        "x-apig-mode",
                                        "x-forwarded-port",
                                        "x-real-ip",
                                        "x-forwarded-proto",
                                        "x-request-id",
                                        "x-apig-request-id",
                                        "x-apig-api-id",
                                        "x-apig-source-stage",
                                        "x-apig-source-ip"};

    for (size_t i = 0; i < SL_COUNT(names); i++) {
        if (sl_str_equal(name, sl_str(names[i]))) {
            return true;
        }
    }
    return false;
}

static ngx_int_t
read_headers(struct param_work *work, struct parts *parts)
{
    static const size_t own = 10;
    ngx_http_request_t *r = work->request;
    const ngx_list_part_t *part = &r->headers_in.headers.part;
    size_t count = own + part->nelts;

    for (const ngx_list_part_t *each = part->next; each != NULL; each = each->next) {
        count += each->nelts;
    }
    parts->joined = true;
    parts->list = ngx_palloc(r->pool, count * sizeof(*parts->list));
    if (parts->list == NULL) {
        return NGX_ERROR;
    }
    for (; part != NULL; part = part->next) {
        const ngx_table_elt_t *header = part->elts;

        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            struct sl_str name = {(const char *)header[i].lowcase_key, header[i].key.len};

            // What was hidden from the backend is called Host.
            if (!is_own_header(name)) {
                add_part(parts, name, ngx_http_sluice_view(&header[i].value));
            }
        }
    }
    if (work->ctx->backend_host.len > 0) { // a mapping says it
        add_part(parts, SL_STR("host"), ngx_http_sluice_view(&work->ctx->backend_host));
        work->ctx->backend_host.len = 0;
    } else if (r->headers_in.host != NULL) {
        add_part(parts, SL_STR("host"), ngx_http_sluice_view(&r->headers_in.host->value));
    }
    return add_own_headers(work, parts);
}

static ngx_int_t
read_query(struct param_work *work, struct parts *parts)
{
    ngx_pool_t *pool = work->request->pool;
    struct sl_str rest;
    struct sl_str pair;
    struct sl_str name;
    struct sl_str value;
    size_t count = 1;

    if (ngx_http_sluice_target_query(work, &rest) != NGX_OK) {
        return NGX_ERROR;
    }
    for (size_t i = 0; i < rest.len; i++) {
        count += rest.ptr[i] == '&' ? 1 : 0;
    }
    parts->list = ngx_palloc(pool, count * sizeof(*parts->list));
    if (parts->list == NULL) {
        return NGX_ERROR;
    }
    while (ngx_http_sluice_query_next(&rest, &pair, &name, &value)) {
        add_part(parts, ngx_http_sluice_query_decode(pool, name),
                 ngx_http_sluice_query_decode(pool, value));
    }
    return NGX_OK;
}

// Mapped path parameters go before the path's own of the same name.
static ngx_int_t
read_path(struct param_work *work, struct parts *parts)
{
    const struct sl_img_str *captures = sl_img_items(&work->ctx->api->captures);
    size_t count = work->addition_count + work->ctx->route.capture_count;

    parts->list = ngx_palloc(work->request->pool, (count + 1) * sizeof(*parts->list));
    if (parts->list == NULL) {
        return NGX_ERROR;
    }
    for (size_t i = 0; i < work->addition_count; i++) {
        if (work->additions[i].location == SL_IN_PATH) {
            add_part(parts, work->additions[i].name, work->additions[i].text);
        }
    }
    for (size_t i = 0; i < work->ctx->route.capture_count; i++) {
        add_part(parts, sl_img_text(&captures[i]), work->ctx->route.captures[i]);
    }
    return NGX_OK;
}

// -- the body -------------------------------------------------------------------------------------

// Bytes that are not yet three.
struct base64 {
    u_char held[3];
    size_t count;
};

static u_char *
append_three(struct base64 *b, u_char *out)
{
    static const u_char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    *out++ = digits[b->held[0] >> 2];
    *out++ = digits[(b->held[0] & 3) << 4 | b->held[1] >> 4];
    *out++ = b->count > 1 ? digits[(b->held[1] & 15) << 2 | b->held[2] >> 6] : '=';
    *out++ = b->count > 2 ? digits[b->held[2] & 63] : '=';
    *b = (struct base64){.count = 0};
    return out;
}

static u_char *
append_base64(struct base64 *b, u_char *out, const u_char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        b->held[b->count++] = bytes[i];
        if (b->count == sizeof(b->held)) {
            out = append_three(b, out);
        }
    }
    return out;
}

// The part of a body that nginx wrote to a file.
static u_char *
append_file(ngx_http_request_t *r, struct base64 *b, u_char *out, const ngx_buf_t *buffer)
{
    off_t at = buffer->file_pos;
    u_char *chunk = ngx_palloc(r->pool, FILE_CHUNK);

    while (chunk != NULL && at < buffer->file_last) {
        size_t wanted = (size_t)ngx_min(buffer->file_last - at, FILE_CHUNK);
        ssize_t got = ngx_read_file(buffer->file, chunk, wanted, at);

        if (got <= 0) {
            return NULL;
        }
        out = append_base64(b, out, chunk, (size_t)got);
        at += got;
    }
    return chunk == NULL ? NULL : out;
}

static u_char *
append_body(ngx_http_request_t *r, u_char *out)
{
    struct base64 b = {.count = 0};
    const ngx_chain_t *part = r->request_body == NULL ? NULL : r->request_body->bufs;

    for (; part != NULL && out != NULL; part = part->next) {
        const ngx_buf_t *buffer = part->buf;

        out = ngx_buf_in_memory(buffer)
                  ? append_base64(&b, out, buffer->pos, (size_t)(buffer->last - buffer->pos))
                  : append_file(r, &b, out, buffer);
    }
    return out != NULL && b.count > 0 ? append_three(&b, out) : out;
}

static size_t
body_room(const ngx_http_request_t *r)
{
    const ngx_chain_t *part = r->request_body == NULL ? NULL : r->request_body->bufs;
    size_t size = 0;

    for (; part != NULL; part = part->next) {
        size += (size_t)ngx_buf_size(part->buf);
    }
    return size / 3 * 4 + 4;
}

// The event stands where the body stood.
static ngx_int_t
put_body(ngx_http_request_t *r, u_char *event, size_t len)
{
    ngx_chain_t *link = ngx_alloc_chain_link(r->pool);
    ngx_buf_t *buffer = ngx_calloc_buf(r->pool);

    if (r->request_body == NULL) {
        r->request_body = ngx_pcalloc(r->pool, sizeof(*r->request_body));
    }
    if (link == NULL || buffer == NULL || r->request_body == NULL) {
        return NGX_ERROR;
    }
    buffer->start = buffer->pos = event;
    buffer->end = buffer->last = event + len;
    buffer->memory = 1;
    buffer->last_buf = 1;
    *link = (ngx_chain_t){buffer, NULL};
    r->request_body->bufs = link;
    r->headers_in.content_length_n = (off_t)len;
    r->headers_in.chunked = 0;
    return NGX_OK;
}

ngx_int_t
ngx_http_sluice_event(struct param_work *work)
{
    ngx_http_request_t *r = work->request;
    ngx_http_sluice_ctx_t *ctx = work->ctx;
    struct parts headers = {.count = 0};
    struct parts query = {.count = 0};
    struct parts path = {.count = 0};
    u_char *event;
    u_char *out;

    if (read_headers(work, &headers) != NGX_OK || read_query(work, &query) != NGX_OK ||
        read_path(work, &path) != NGX_OK) {
        return NGX_ERROR;
    }
    event = ngx_palloc(
        r->pool, FIXED_ROOM + room_of(&headers) + room_of(&query) + room_of(&path) + body_room(r) +
                     ESCAPED_MAX * (ctx->path.len + ctx->env_name.len + r->method_name.len));
    if (event == NULL) {
        return NGX_ERROR;
    }
    out = append_body(r, append(event, SL_STR("{\"body\":\"")));
    if (out == NULL) {
        return NGX_ERROR;
    }
    out = append(out, SL_STR("\",\"isBase64Encoded\":true"));
    out = append_member(out, SL_STR(",\"httpMethod\":\""), ngx_http_sluice_view(&r->method_name));
    out = append_member(out, SL_STR(",\"path\":\""), ctx->path);
    out = append_object(append(out, SL_STR(",\"headers\":")), &headers);
    out = append_object(append(out, SL_STR(",\"queryStringParameters\":")), &query);
    out = append_object(append(out, SL_STR(",\"pathParameters\":")), &path);
    out = append_member(out, SL_STR(",\"requestContext\":{\"requestId\":\""),
                        (struct sl_str){ctx->request_id, sizeof(ctx->request_id) - 1});
    out = append_member(out, SL_STR(",\"apiId\":\""), (struct sl_str){ctx->api_id, SL_ID_LEN});
    out = append_member(out, SL_STR(",\"stage\":\""), ctx->env_name);
    out = append(out, SL_STR("}}"));
    ctx->backend_uri = ngx_http_sluice_copy(r->pool, sl_img_text(&ctx->target->path));
    return ctx->backend_uri.data == NULL ? NGX_ERROR : put_body(r, event, (size_t)(out - event));
}
