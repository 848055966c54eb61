// answer.c - collects a request and writes it as JSON.
//
// SPDX-License-Identifier: Apache-2.0
#include "deploy/echo/answer.h"

#include <jansson.h>
#include <microhttpd.h>
#include <openssl/evp.h>

#include <stdlib.h>
#include <string.h>

#define BODY_MAX      (16UL << 20)
#define BODY_MIN_ROOM 4096UL

struct answer {
    char *target;   // raw path and query
    char *body;     // bytes received
    size_t size;    // of body
    size_t room;    // allocated for body
    bool announced; // MHD called once without a body
    bool delayed;   // it was made to wait
};

struct answer *
answer_new(const char *target)
{
    struct answer *answer = calloc(1, sizeof(*answer));
    if (!answer) {
        return NULL;
    }
    answer->target = strdup(target);
    if (!answer->target) {
        answer_free(&answer);
    }
    return answer;
}

void
answer_free(struct answer **answer)
{
    if (!*answer) {
        return;
    }
    free((*answer)->target);
    free((*answer)->body);
    free(*answer);
    *answer = NULL;
}

bool
answer_is_open(const struct answer *answer)
{
    return answer->announced;
}

void
answer_open(struct answer *answer)
{
    answer->announced = true;
}

bool
answer_is_delayed(const struct answer *answer)
{
    return answer->delayed;
}

void
answer_delay(struct answer *answer)
{
    answer->delayed = true;
}

bool
answer_add_body(struct answer *answer, const char *bytes, size_t size)
{
    if (size > BODY_MAX - answer->size) {
        return false;
    }
    if (answer->size + size > answer->room) {
        size_t room = answer->room ? answer->room : BODY_MIN_ROOM;
        while (room < answer->size + size) {
            room *= 2;
        }
        char *grown = realloc(answer->body, room);
        if (!grown) {
            return false;
        }
        answer->body = grown;
        answer->room = room;
    }
    memcpy(answer->body + answer->size, bytes, size);
    answer->size += size;
    return true;
}

// Text that may not be UTF-8 (header values, targets) byte by byte as Latin-1: nothing is lost.
static json_t *
json_latin1(const char *text, size_t size)
{
    json_t *plain = json_stringn(text, size);
    if (plain) {
        return plain;
    }
    char *wide = malloc(2 * size + 1);
    if (!wide) {
        return NULL;
    }
    size_t length = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte < 0x80) {
            wide[length++] = (char)byte;
        } else {
            wide[length++] = (char)(0xC0 | byte >> 6);
            wide[length++] = (char)(0x80 | (byte & 0x3F));
        }
    }
    json_t *value = json_stringn(wide, length);
    free(wide);
    return value;
}

// One header line into the object: repeated names keep every value, in order.
static enum MHD_Result
add_header(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size,
           const char *value, size_t value_size)
{
    (void)kind;
    (void)name_size;
    json_t *values = json_object_get(context, name);
    if (!values) {
        values = json_array();
        json_object_set_new(context, name, values);
    }
    json_array_append_new(values, json_latin1(value ? value : "", value ? value_size : 0));
    return MHD_YES;
}

static void
set_body(json_t *object, const struct answer *answer)
{
    json_t *text = json_stringn(answer->body ? answer->body : "", answer->size);
    if (text) {
        json_object_set_new(object, "body", text);
        return;
    }
    unsigned char *encoded = malloc(4 * (answer->size / 3 + 1) + 1);
    if (encoded) {
        EVP_EncodeBlock(encoded, (unsigned char *)answer->body, (int)answer->size);
        json_object_set_new(object, "body_base64", json_string((char *)encoded));
        free(encoded);
    }
}

char *
answer_json(const struct answer *answer, struct MHD_Connection *connection, const char *method,
            size_t *ret_size)
{
    json_t *object = json_object();
    json_t *headers = json_object();
    const char *query = strchr(answer->target, '?');
    size_t path_size = query ? (size_t)(query - answer->target) : strlen(answer->target);
    query = query ? query + 1 : "";
    json_object_set_new(object, "method", json_string(method));
    json_object_set_new(object, "path", json_latin1(answer->target, path_size));
    json_object_set_new(object, "query", json_latin1(query, strlen(query)));
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, add_header, headers);
    json_object_set_new(object, "headers", headers);
    set_body(object, answer);
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    *ret_size = text ? strlen(text) : 0;
    return text;
}

char *
answer_filler(size_t size, size_t *ret_size)
{
    char *text = malloc(size ? size : 1);
    if (text) {
        memset(text, 'x', size);
        *ret_size = size;
    }
    return text;
}
