// ngx_http_sluice_path.c - the one canonical form of a request's path.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_path.h"

#include <string.h>

// Sixteen bytes that are judged at once.
typedef unsigned char block_t __attribute__((vector_size(16)));

// Whether sixteen bytes of a raw path need no closer look; reads one byte more, the last one's
// neighbour.
static bool
is_plain(const char *bytes)
{
    block_t block;
    block_t next;
    uint64_t odd[2];

    memcpy(&block, bytes, sizeof(block));
    memcpy(&next, bytes + 1, sizeof(next));
    block_t marks = (block_t)((block <= ' ') | (block == 0x7f) | (block == '%') | (block == '#') |
                              (block == ';') | (block == '\\') |
                              ((block == '/') & ((next == '/') | (next == '.'))));
    memcpy(odd, &marks, sizeof(odd));
    return (odd[0] | odd[1]) == 0;
}

// A path while it becomes canonical.
struct canonical {
    unsigned char *out;  // what is written so far, beginning with '/'
    size_t len;          // of it
    size_t segment;      // where the segment being written begins
    bool encoded_before; // the slash before this segment was encoded
    struct sl_str raw;   // what is left to read
};

// Cuts the first byte off, decoded; *ret_encoded says whether it was an escape. False: malformed.
static bool
next_byte(struct sl_str *raw, unsigned char *ret_byte, bool *ret_encoded)
{
    uint8_t decoded;

    *ret_encoded = raw->ptr[0] == '%';
    if (!*ret_encoded) {
        *ret_byte = (unsigned char)raw->ptr[0];
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
        unsigned char byte;
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

bool
ngx_http_sluice_path_is_canonical(struct sl_str raw)
{
    char end[sizeof(block_t) + 1];

    if (raw.len == 0 || raw.ptr[0] != '/') {
        return false;
    }
    for (; raw.len > sizeof(block_t); raw.ptr += sizeof(block_t), raw.len -= sizeof(block_t)) {
        if (!is_plain(raw.ptr)) {
            return false;
        }
    }
    memset(end, 'a', sizeof(end));
    memcpy(end, raw.ptr, raw.len);
    return is_plain(end);
}

bool
ngx_http_sluice_path_canonical(struct sl_str raw, char *room, struct sl_str *ret_path)
{
    struct canonical path = {.out = (unsigned char *)room, .len = 1, .segment = 1, .raw = raw};

    if (raw.len == 0 || raw.ptr[0] != '/') {
        return false;
    }
    room[0] = '/';
    path.raw.ptr++;
    path.raw.len--;
    if (!canonicalize(&path)) {
        return false;
    }
    *ret_path = (struct sl_str){room, path.len};
    return true;
}

static bool
is_unreserved(unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

// Writes one segment whose escapes are well formed; answers its end.
static char *
write_segment(char *out, struct sl_str raw)
{
    static const char hex[] = "0123456789ABCDEF";

    while (raw.len > 0) {
        unsigned char byte = 0;
        bool encoded = false;

        (void)next_byte(&raw, &byte, &encoded);
        if (!encoded || is_unreserved(byte)) {
            *out++ = (char)byte;
        } else {
            *out++ = '%';
            *out++ = hex[byte >> 4];
            *out++ = hex[byte & 15];
        }
    }
    return out;
}

// Takes the last segment of `/a/b/` back; false at the root and where a reader that decodes would
// take back less.
static bool
take_back(const char *room, size_t *len)
{
    size_t begin = *len - 1;

    while (begin > 0 && room[begin - 1] != '/') {
        begin--;
    }
    if (*len == 1 || memmem(room + begin, *len - begin, "%2F", 3) != NULL) {
        return false;
    }
    *len = begin;
    return true;
}

bool
ngx_http_sluice_path_raw(struct sl_str raw, char *room, struct sl_str *ret_path)
{
    size_t len = 1;

    if (!ngx_http_sluice_path_canonical(raw, room, ret_path)) {
        return false;
    }
    room[0] = '/';
    while (raw.ptr != NULL) {
        struct sl_str piece = sl_str_split(&raw, '/');
        struct sl_str segment = {room + len,
                                 (size_t)(write_segment(room + len, piece) - room) - len};

        if (is_dots(segment)) {
            if (segment.len == 2 && !take_back(room, &len)) {
                return false;
            }
        } else if (segment.len > 0) {
            len += segment.len;
            if (raw.ptr != NULL) {
                room[len++] = '/';
            }
        }
    }
    *ret_path = (struct sl_str){room, len};
    return true;
}

bool
ngx_http_sluice_path_is_safe(struct sl_str text)
{
    struct sl_str rest = text;

    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f) {
            return false;
        }
    }
    while (rest.ptr != NULL) {
        struct sl_str segment = sl_str_split(&rest, '/');

        if (segment.len > 0 && (is_dots(segment) || hides_dots(segment))) {
            return false;
        }
    }
    return true;
}
