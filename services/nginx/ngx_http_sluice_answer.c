// ngx_http_sluice_answer.c - see ngx_http_sluice_answer.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_answer.h"

#include "common/crypto/json.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define STATUS_MIN 200
#define STATUS_MAX 599

// -- headers --------------------------------------------------------------------------------------

// What the connection or the gateway itself says.
static bool
is_not_the_functions(const char *name)
{
    static const char *const names[] = {
        "connection", "content-length",    "date",    "keep-alive",   "server",
        "trailer",    "transfer-encoding", "upgrade", "x-request-id",
    };

    for (size_t i = 0; i < SL_COUNT(names); i++) {
        if (strcasecmp(name, names[i]) == 0) {
            return true;
        }
    }
    return strncasecmp(name, "x-apig-", sizeof("x-apig-") - 1) == 0;
}

static bool
is_name(const char *name)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    return name[0] != '\0' && strspn(name, token) == strlen(name);
}

static bool
is_value(const json_t *value)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);

    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];

        if ((byte < ' ' && byte != '\t') || byte == 0x7f) {
            return false;
        }
    }
    return text != NULL;
}

static bool
add_header(struct ngx_http_sluice_said *said, const char *name, const json_t *value)
{
    if (!is_name(name) || !is_value(value)) {
        return false;
    }
    if (!is_not_the_functions(name)) {
        said->headers[said->header_count++] = (struct ngx_http_sluice_said_header){
            sl_str(name), {json_string_value(value), json_string_length(value)}};
    }
    return true;
}

// Of each member a text, or a list of texts.
static bool
read_headers(json_t *members, struct ngx_http_sluice_said *said)
{
    size_t count = 1;
    const char *name;
    json_t *value;

    if (members != NULL && !json_is_null(members) && !json_is_object(members)) {
        return false;
    }
    json_object_foreach(members, name, value)
    {
        count += json_is_array(value) ? json_array_size(value) : 1;
    }
    said->headers = calloc(count, sizeof(*said->headers));
    if (said->headers == NULL) {
        return false;
    }
    json_object_foreach(members, name, value)
    {
        size_t items = json_is_array(value) ? json_array_size(value) : 1;

        for (size_t i = 0; i < items; i++) {
            if (!add_header(said, name, json_is_array(value) ? json_array_get(value, i) : value)) {
                return false;
            }
        }
    }
    return true;
}

// -- the body -------------------------------------------------------------------------------------

// Values of the characters, 1 more than they are; 0: none of them.
static const unsigned char digits[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

// Decodes base64 (RFC 4648 section 4), with padding or without.
static bool
decode(struct sl_str text, struct ngx_http_sluice_said *said)
{
    uint32_t bits = 0;
    unsigned held = 0;
    size_t len = 0;

    for (int i = 0; i < 2 && text.len > 0 && text.ptr[text.len - 1] == '='; i++) {
        text.len--;
    }
    said->plain = malloc(text.len / 4 * 3 + 3);
    if (said->plain == NULL || text.len % 4 == 1) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = digits[(unsigned char)text.ptr[i]];

        if (digit == 0) {
            return false;
        }
        bits = bits << 6 | (digit - 1);
        held += 6;
        if (held >= 8) {
            held -= 8;
            said->plain[len++] = (char)(bits >> held & 0xff);
        }
    }
    said->body = (struct sl_str){said->plain, len};
    return true;
}

static bool
read_body(const json_t *object, struct ngx_http_sluice_said *said)
{
    const json_t *body = json_object_get(object, "body");
    const json_t *encoded = json_object_get(object, "isBase64Encoded");

    if ((body != NULL && !json_is_string(body) && !json_is_null(body)) ||
        (encoded != NULL && !json_is_boolean(encoded))) {
        return false;
    }
    said->body = json_is_string(body)
                     ? (struct sl_str){json_string_value(body), json_string_length(body)}
                     : SL_STR("");
    return !json_is_true(encoded) || decode(said->body, said);
}

static bool
read_object(struct ngx_http_sluice_said *said)
{
    const json_t *status = json_object_get(said->object, "statusCode");

    if (!json_is_integer(status) || json_integer_value(status) < STATUS_MIN ||
        json_integer_value(status) > STATUS_MAX) {
        return false;
    }
    said->status = (int)json_integer_value(status);
    return read_headers(json_object_get(said->object, "headers"), said) &&
           read_body(said->object, said);
}

int
ngx_http_sluice_said_read(struct sl_str text, struct ngx_http_sluice_said *ret_said)
{
    struct ngx_http_sluice_said said = {.object = sl_json_read(text, JSON_ALLOW_NUL)};

    if (!read_object(&said)) {
        ngx_http_sluice_said_clear(&said);
        return -1;
    }
    *ret_said = said;
    return 0;
}

void
ngx_http_sluice_said_clear(struct ngx_http_sluice_said *said)
{
    json_decref(said->object);
    free(said->headers);
    free(said->plain);
    *said = (struct ngx_http_sluice_said){.status = 0};
}
