// ngx_http_sluice_target.c - path, query and headers of the backend request.
//
// What the API does not declare is passed on as it came: the query keeps its order and encoding,
// the headers stay where they are. Only what a declaration or a mapping touches is rewritten.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_param.h"

#include "services/nginx/ngx_http_sluice_path.h"

// -- encoding -------------------------------------------------------------------------------------

static bool
must_escape_in_path(u_char byte)
{
    return byte <= ' ' || byte >= 0x7f || strchr("%?#\"<>\\^`{|}", byte) != NULL;
}

static bool
must_escape_in_segment(u_char byte)
{
    return byte == '/' || must_escape_in_path(byte);
}

static bool
must_escape_in_query(u_char byte)
{
    return byte <= ' ' || byte >= 0x7f || strchr("\"#%&+<=>[\\]^`{|}", byte) != NULL;
}

// Appends text, the bytes that `must_escape` names percent-encoded, but for the escapes of what is
// escaped already; returns the new end. The destination holds 3 bytes for each.
static u_char *
append_text(u_char *out, struct sl_str text, bool escaped, bool (*must_escape)(u_char))
{
    static const u_char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len; i++) {
        u_char byte = (u_char)text.ptr[i];

        if (must_escape(byte) && !(escaped && byte == '%')) {
            *out++ = '%';
            *out++ = hex[byte >> 4];
            *out++ = hex[byte & 15];
        } else {
            *out++ = byte;
        }
    }
    return out;
}

static u_char *
append_escaped(u_char *out, struct sl_str text, bool (*must_escape)(u_char))
{
    return append_text(out, text, false, must_escape);
}

// A mapping that has nothing to say leaves the name unsaid: what a client writes there would pass
// for the gateway's word.
bool
ngx_http_sluice_target_withholds(const struct param_work *work, enum sl_location location,
                                 struct sl_str name)
{
    const struct sl_img_api *api = work->ctx->api;
    const struct sl_img_req_param *params = sl_img_items(&api->req_params);
    const struct sl_img_backend_param *mapped = sl_img_items(&work->ctx->target->backend_params);
    bool (*equal)(struct sl_str, struct sl_str) =
        location == SL_IN_HEADER ? sl_str_equal_nocase : sl_str_equal;

    for (uint32_t i = 0; i < work->ctx->target->backend_params.count; i++) {
        if (mapped[i].location == location && equal(sl_img_text(&mapped[i].name), name)) {
            return true;
        }
    }
    for (uint32_t i = 0; i < api->req_params.count; i++) {
        if (params[i].location == location && !params[i].pass_through &&
            equal(sl_img_text(&params[i].name), name)) {
            return true;
        }
    }
    return false;
}

// -- building -------------------------------------------------------------------------------------

static const struct param_addition *
path_addition(const struct param_work *work, struct sl_str name)
{
    for (size_t i = 0; i < work->addition_count; i++) {
        if (work->additions[i].location == SL_IN_PATH &&
            sl_str_equal(work->additions[i].name, name)) {
            return &work->additions[i];
        }
    }
    return NULL;
}

// The text that stands for `{name}` or `{name+}` of the backend's path. A name that no mapping
// sets takes the path parameter of the same name. *ret_escaped: its escapes go on as they are.
static bool
template_value(const struct param_work *work, struct sl_str name, struct sl_str *ret_text,
               bool *ret_escaped)
{
    const struct param_addition *found = path_addition(work, name);

    if (found != NULL) {
        *ret_text = found->text;
        *ret_escaped = found->escaped;
        return true;
    }
    *ret_escaped = work->ctx->raw_path;
    return ngx_http_sluice_path_value(work, name, ret_text);
}

static size_t
path_room(const struct param_work *work)
{
    size_t room = sl_img_text(&work->ctx->target->path).len + work->ctx->route.remainder.len;

    for (size_t i = 0; i < work->addition_count; i++) {
        room += work->additions[i].text.len;
    }
    for (size_t i = 0; i < work->ctx->route.capture_count; i++) {
        room += work->ctx->route.captures[i].len;
    }
    return room;
}

// Appends the template with its {name} parts filled. A name twice in the template would outgrow
// the room, so the second is refused. NULL when a value is missing or would change the path.
static u_char *
append_template(const struct param_work *work, u_char *out, struct sl_str template)
{
    size_t budget = path_room(work);

    while (template.len > 0) {
        struct sl_str text;
        struct sl_str name;
        const char *begin = memchr(template.ptr, '{', template.len);
        const char *end = NULL;
        size_t literal = template.len;
        bool rest_of_path;
        bool escaped;

        if (begin != NULL) {
            literal = (size_t)(begin - template.ptr);
            end = memchr(begin, '}', template.len - literal);
        }
        if (end == NULL) {
            return ngx_cpymem(out, template.ptr, template.len);
        }
        out = ngx_cpymem(out, template.ptr, literal);
        budget -= literal;
        template.ptr += literal;
        template.len -= literal;
        name = (struct sl_str){template.ptr + 1, (size_t)(end - template.ptr - 1)};
        template.len -= name.len + 2;
        template.ptr = end + 1;
        rest_of_path = name.len > 0 && name.ptr[name.len - 1] == '+';
        name.len -= rest_of_path ? 1 : 0;
        if (!template_value(work, name, &text, &escaped) || text.len > budget ||
            !ngx_http_sluice_path_is_safe(text)) {
            return NULL;
        }
        budget -= text.len;
        out = append_text(out, text, escaped,
                          rest_of_path ? must_escape_in_path : must_escape_in_segment);
    }
    return out;
}

static u_char *
append_path(const struct param_work *work, u_char *out)
{
    struct sl_str remainder = work->ctx->route.remainder;
    u_char *begin = out;

    out = append_template(work, out, sl_img_text(&work->ctx->target->path));
    if (out == NULL || out == begin) {
        return out;
    }
    if (remainder.len > 0) { // joined with exactly one slash
        if (out[-1] == '/') {
            out--;
        }
        if (remainder.ptr[0] != '/') {
            *out++ = '/';
        }
        out = append_text(out, remainder, work->ctx->raw_path, must_escape_in_path);
    }
    return out;
}

static size_t
query_room(const struct param_work *work)
{
    size_t room = work->ctx->raw_query.len + 2;

    for (size_t i = 0; i < work->addition_count; i++) {
        room += work->additions[i].location == SL_IN_QUERY
                    ? 3 * (work->additions[i].name.len + work->additions[i].text.len) + 2
                    : 0;
    }
    return room;
}

static bool
touches(const struct param_work *work, enum sl_location location)
{
    const struct sl_img_api *api = work->ctx->api;
    const struct sl_img_req_param *params = sl_img_items(&api->req_params);
    const struct sl_img_backend_param *mapped = sl_img_items(&work->ctx->target->backend_params);

    for (size_t i = 0; i < work->addition_count; i++) {
        if (work->additions[i].location == location) {
            return true;
        }
    }
    for (uint32_t i = 0; i < work->ctx->target->backend_params.count; i++) {
        if (mapped[i].location == location) {
            return true;
        }
    }
    for (uint32_t i = 0; i < api->req_params.count; i++) {
        if (params[i].location == location && !params[i].pass_through) {
            return true;
        }
    }
    return false;
}

static u_char *
append_query(const struct param_work *work, u_char *out)
{
    struct sl_str rest = work->ctx->raw_query;
    struct sl_str pair;
    struct sl_str name;
    struct sl_str value;
    u_char separator = '?';

    if (!touches(work, SL_IN_QUERY)) {
        if (rest.ptr != NULL) {
            *out++ = '?';
            out = ngx_cpymem(out, rest.ptr, rest.len);
        }
        return out;
    }
    while (ngx_http_sluice_query_next(&rest, &pair, &name, &value)) {
        if (!ngx_http_sluice_target_withholds(
                work, SL_IN_QUERY, ngx_http_sluice_query_decode(work->request->pool, name))) {
            *out++ = separator;
            separator = '&';
            out = ngx_cpymem(out, pair.ptr, pair.len);
        }
    }
    for (size_t i = 0; i < work->addition_count; i++) {
        if (work->additions[i].location == SL_IN_QUERY) {
            *out++ = separator;
            separator = '&';
            out = append_escaped(out, work->additions[i].name, must_escape_in_query);
            *out++ = '=';
            out = append_escaped(out, work->additions[i].text, must_escape_in_query);
        }
    }
    return out;
}

ngx_int_t
ngx_http_sluice_target_query(struct param_work *work, struct sl_str *ret_query)
{
    u_char *room = ngx_pnalloc(work->request->pool, query_room(work));
    u_char *end;

    if (room == NULL) {
        return NGX_ERROR;
    }
    end = append_query(work, room);
    *ret_query = end == room ? (struct sl_str){NULL, 0}
                             : (struct sl_str){(char *)room + 1, (size_t)(end - room) - 1};
    return NGX_OK;
}

ngx_int_t
ngx_http_sluice_target_same(struct param_work *work)
{
    struct sl_str path = work->ctx->path;
    ngx_str_t *uri = &work->ctx->backend_uri;
    u_char *end;

    uri->data = ngx_pnalloc(work->request->pool, 3 * path.len + query_room(work));
    if (uri->data == NULL) {
        return NGX_ERROR;
    }
    end =
        append_query(work, append_text(uri->data, path, work->ctx->raw_path, must_escape_in_path));
    uri->len = (size_t)(end - uri->data);
    return NGX_OK;
}

ngx_int_t
ngx_http_sluice_target_uri(struct param_work *work)
{
    size_t room = 3 * path_room(work) + query_room(work) + 2;
    ngx_str_t *uri = &work->ctx->backend_uri;
    u_char *end;

    uri->data = ngx_pnalloc(work->request->pool, room);
    if (uri->data == NULL) {
        return NGX_ERROR;
    }
    end = append_path(work, uri->data);
    if (end == NULL) {
        return ngx_http_sluice_fail(work->ctx, SL_E_GW_BAD_REQUEST);
    }
    if (end == uri->data) {
        *end++ = '/';
    }
    end = append_query(work, end);
    uri->len = (size_t)(end - uri->data);
    return NGX_OK;
}

// -- headers --------------------------------------------------------------------------------------

static bool
is_header_text(struct sl_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        u_char byte = (u_char)text.ptr[i];

        if ((byte < ' ' && byte != '\t') || byte == 0x7f) {
            return false;
        }
    }
    return true;
}

static ngx_int_t
add_header(struct param_work *work, const struct param_addition *addition)
{
    ngx_pool_t *pool = work->request->pool;
    ngx_table_elt_t *header;
    ngx_str_t key;
    ngx_str_t value;

    if (!is_header_text(addition->text)) {
        return ngx_http_sluice_fail(work->ctx, SL_E_GW_BAD_REQUEST);
    }
    key = ngx_http_sluice_copy(pool, addition->name);
    value = ngx_http_sluice_copy(pool, addition->text);
    if (key.data == NULL || value.data == NULL) {
        return NGX_ERROR;
    }
    if (sl_str_equal_nocase(addition->name, SL_STR("host"))) {
        work->ctx->backend_host = value;
        return NGX_OK;
    }
    header = ngx_list_push(&work->request->headers_in.headers);
    if (header == NULL) {
        return NGX_ERROR;
    }
    header->key = key;
    header->value = value;
    header->lowcase_key = ngx_pnalloc(pool, key.len);
    if (header->lowcase_key == NULL) {
        return NGX_ERROR;
    }
    header->hash = ngx_hash_strlow(header->lowcase_key, key.data, key.len);
    work->ctx->names |= ngx_http_sluice_name_bit(header->lowcase_key, key.len);
    return NGX_OK;
}

ngx_int_t
ngx_http_sluice_target_headers(struct param_work *work)
{
    ngx_list_part_t *part = &work->request->headers_in.headers.part;
    ngx_int_t rc = NGX_OK;

    if (!touches(work, SL_IN_HEADER)) {
        return NGX_OK;
    }
    do {
        ngx_table_elt_t *header = part->elts;

        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (ngx_http_sluice_target_withholds(work, SL_IN_HEADER,
                                                 ngx_http_sluice_view(&header[i].key))) {
                ngx_http_sluice_header_hide(&header[i]);
            }
        }
        part = part->next;
    } while (part != NULL);
    for (size_t i = 0; i < work->addition_count && rc == NGX_OK; i++) {
        if (work->additions[i].location == SL_IN_HEADER) {
            rc = add_header(work, &work->additions[i]);
        }
    }
    return rc;
}
