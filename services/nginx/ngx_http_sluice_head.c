// ngx_http_sluice_head.c - reads the header of a backend's answer.
//
// nginx looks at each byte, and then for each name in a hash: a sixth of what it does for a
// request. Backends say the same names again and again, so a worker remembers some, with what nginx
// knows of them. A line is taken here when nginx would take it as it stands: a name of letters,
// digits and hyphens, one blank, a value without control characters or blanks at its ends, CRLF.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_wire.h"

#define NAME_MAX_LEN 32 // characters of a name that is remembered
#define NAMES        64 // that a worker remembers; power of two

// A name as backends wrote it.
struct name {
    size_t len; // 0: none yet
    u_char text[NAME_MAX_LEN];
    u_char lower[NAME_MAX_LEN];
    ngx_uint_t hash;                   // nginx's, of `lower`
    ngx_http_upstream_header_t *known; // what nginx does with it; NULL: nothing
};

// One line; views into the buffer.
struct line {
    const struct name *name;
    const u_char *value;
    const u_char *end; // of the value; CRLF follows
};

// A worker is one thread. What nginx knows lives as long as its configuration, and so the worker.
static struct name names[NAMES];

// Sixteen bytes that are judged at once.
typedef u_char block_t __attribute__((vector_size(16)));
typedef signed char marks_t __attribute__((vector_size(16)));

// The first control character; `last` without one.
static inline const u_char *
find_control(const u_char *at, const u_char *last)
{
    for (; last - at >= (ptrdiff_t)sizeof(block_t); at += sizeof(block_t)) {
        block_t block;
        uint64_t found[2];

        ngx_memcpy(&block, at, sizeof(block));
        marks_t marks = block < (u_char)' ';
        ngx_memcpy(found, &marks, sizeof(found));
        if (found[0] != 0) {
            return at + __builtin_ctzll(found[0]) / 8;
        }
        if (found[1] != 0) {
            return at + sizeof(found[0]) + __builtin_ctzll(found[1]) / 8;
        }
    }
    while (at < last && *at >= ' ') {
        at++;
    }
    return at;
}

// Fills a place with a name; false when it is not of the plain ones.
static bool
learn(ngx_http_request_t *r, struct name *place, const u_char *text, size_t len)
{
    ngx_http_upstream_main_conf_t *umcf =
        ngx_http_get_module_main_conf(r, ngx_http_upstream_module);
    struct name name = {.len = len};

    for (size_t i = 0; i < len; i++) {
        u_char c = ngx_tolower(text[i]);

        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-') {
            return false;
        }
        name.text[i] = text[i];
        name.lower[i] = c;
        name.hash = ngx_hash(name.hash, c);
    }
    name.known = ngx_hash_find(&umcf->headers_in_hash, name.hash, name.lower, len);
    *place = name;
    return true;
}

// What is remembered of a name; NULL when it is not plain.
static const struct name *
name_of(ngx_http_request_t *r, const u_char *text, size_t len)
{
    struct name *place;

    if (len == 0 || len > NAME_MAX_LEN) {
        return NULL;
    }
    place = &names[(18 * len + 5 * text[0] + 42 * text[len - 1]) % NAMES];
    if (place->len == len && ngx_memcmp(place->text, text, len) == 0) {
        return place;
    }
    return learn(r, place, text, len) ? place : NULL;
}

// The line that begins at `at`; false when it is not plain, or not there yet.
static bool
find_line(ngx_http_request_t *r, const u_char *at, const u_char *last, struct line *ret_line)
{
    size_t room = (size_t)(last - at);
    const u_char *colon = memchr(at, ':', ngx_min(room, NAME_MAX_LEN + 1));

    if (colon == NULL || last - colon < 3 || colon[1] != ' ' || colon[2] <= ' ') {
        return false;
    }
    ret_line->value = colon + 2;
    ret_line->end = find_control(ret_line->value, last);
    if (last - ret_line->end < 2 || ret_line->end[0] != CR || ret_line->end[1] != LF ||
        ret_line->end[-1] == ' ') {
        return false;
    }
    ret_line->name = name_of(r, at, (size_t)(colon - at));
    return ret_line->name != NULL;
}

// Adds the header as nginx's proxy does: name and value are terminated. Both forms of the name are
// copied with what stands behind them, as a fixed size is faster; what follows is written later.
static ngx_int_t
add(ngx_http_request_t *r, const struct line *line)
{
    const struct name *name = line->name;
    size_t value_len = (size_t)(line->end - line->value);
    ngx_table_elt_t *header = ngx_list_push(&r->upstream->headers_in.headers);
    u_char *text;

    if (header == NULL) {
        return NGX_ERROR;
    }
    text = ngx_pnalloc(r->pool, name->len + 1 + ngx_max(name->len + value_len + 1, NAME_MAX_LEN));
    if (text == NULL) {
        header->hash = 0;
        return NGX_ERROR;
    }
    header->hash = name->hash;
    header->key = (ngx_str_t){name->len, text};
    ngx_memcpy(text, name->text, NAME_MAX_LEN);
    text[name->len] = '\0';
    header->lowcase_key = text + name->len + 1;
    ngx_memcpy(header->lowcase_key, name->lower, NAME_MAX_LEN);
    header->value = (ngx_str_t){value_len, header->lowcase_key + name->len};
    *ngx_cpymem(header->value.data, line->value, value_len) = '\0';
    if (name->known != NULL && name->known->handler(r, header, name->known->offset) != NGX_OK) {
        return NGX_ERROR;
    }
    return NGX_OK;
}

ngx_int_t
ngx_http_sluice_head_take(ngx_http_request_t *r)
{
    ngx_buf_t *buffer = &r->upstream->buffer;
    struct line line;

    while (find_line(r, buffer->pos, buffer->last, &line)) {
        buffer->pos += line.end + 2 - buffer->pos;
        if (add(r, &line) != NGX_OK) {
            return NGX_ERROR;
        }
    }
    return NGX_OK;
}
