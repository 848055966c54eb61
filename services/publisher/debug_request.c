// debug_request.c - see debug_request.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/debug_request.h"

#include "common/base/buf.h"
#include "common/crypto/sign.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define NAME_MAX_LEN 32                        // of a header's or query's name
#define SENT_MAX     ((size_t)4 * 1024 * 1024) // of a whole request
#define DATE_SIZE    32

// What names of both kinds may not begin with, or be; and what only the client of HTTP says.
static const char *const reserved_prefixes[] = {"x-apig-", "x-sdk-"};
static const char *const reserved_headers[] = {
    "connection", "content-length", "expect",  "host",    "keep-alive",
    "te",         "trailer",        "upgrade", "x-stage", "transfer-encoding",
};

// A request while it is put together.
struct making {
    struct sl_arena *arena;
    const json_t *body;
    const char *host;
    const char *path;  // percent-encoded where it was not ASCII
    const char *query; // "" none
    struct sl_str content;
    struct sl_buf headers; // lines of both forms, each ended by \n
    struct sl_error *err;
};

static const char *
member(const json_t *body, const char *name)
{
    const char *text = json_string_value(json_object_get(body, name));
    return text != NULL ? text : "";
}

static bool
is_reserved(const char *name, bool is_header, bool is_consumer)
{
    for (size_t i = 0; i < SL_COUNT(reserved_prefixes); i++) {
        if (strncasecmp(name, reserved_prefixes[i], strlen(reserved_prefixes[i])) == 0) {
            return true;
        }
    }
    if (!is_header) {
        return strcasecmp(name, "x-stage") == 0;
    }
    for (size_t i = 0; i < SL_COUNT(reserved_headers); i++) {
        if (strcasecmp(name, reserved_headers[i]) == 0) {
            return true;
        }
    }
    return is_consumer &&
           (strcasecmp(name, "x-auth-token") == 0 || strcasecmp(name, "authorization") == 0);
}

static bool
is_name(const char *name, const char *further)
{
    if (!isalpha((unsigned char)name[0]) || strlen(name) > NAME_MAX_LEN) {
        return false;
    }
    for (const char *c = name; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && strchr(further, *c) == NULL) {
            return false;
        }
    }
    return true;
}

static int
refuse(struct making *making, const char *object, const char *name)
{
    char parameter[SL_ERROR_ARG_MAX];
    snprintf(parameter, sizeof(parameter), "%s.%.40s", object, name);
    return sl_fail(making->err, SL_E_PARAM_INVALID, parameter);
}

// x-MY-hEaDer is sent as X-My-Header.
static const char *
normalise(struct sl_arena *arena, const char *name)
{
    char *copy = sl_arena_dup(arena, name);
    char before = '-';
    for (char *c = copy; c != NULL && *c != '\0'; c++) {
        char from = before == '-' ? 'a' : 'A';
        if (*c >= from && *c <= from + 'z' - 'a') {
            *c = (char)(*c ^ ('a' ^ 'A'));
        }
        before = *c;
    }
    return copy;
}

// -- the parts

static bool
is_value(const char *value)
{
    for (const char *c = value; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            return false;
        }
    }
    return true;
}

static int
add_header(struct making *making, const char *name, const json_t *values)
{
    bool is_consumer = strcmp(member(making->body, "mode"), "CONSUMER") == 0;
    if (!is_name(name, ".-") || is_reserved(name, true, is_consumer)) {
        return refuse(making, "header", name);
    }
    const char *sent = normalise(making->arena, name);
    for (size_t i = 0; sent != NULL && i < json_array_size(values); i++) {
        const char *value = json_string_value(json_array_get(values, i));
        if (!is_value(value)) {
            return refuse(making, "header", name);
        }
        sl_buf_addf(&making->headers, "%s: %s\n", sent, value);
    }
    return 0;
}

static int
add_headers(struct making *making)
{
    json_t *headers = json_object_get(making->body, "header");
    for (void *at = json_object_iter(headers); at != NULL;
         at = json_object_iter_next(headers, at)) {
        if (add_header(making, json_object_iter_key(at), json_object_iter_value(at)) != 0) {
            return -1;
        }
    }
    return 0;
}

static void
encode(struct sl_buf *to, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (isalnum((unsigned char)*c) || strchr("-._~", *c) != NULL) {
            sl_buf_addc(to, *c);
        } else {
            sl_buf_addf(to, "%%%02X", (unsigned char)*c);
        }
    }
}

static int
make_query(struct making *making)
{
    const char *name;
    json_t *values;
    SL_AUTO_BUF query;
    sl_buf_init(&query, SENT_MAX);
    json_object_foreach(json_object_get(making->body, "query"), name, values)
    {
        if (!is_name(name, ".-_") || is_reserved(name, false, false)) {
            return refuse(making, "query", name);
        }
        for (size_t i = 0; i < json_array_size(values); i++) {
            sl_buf_addf(&query, "%s%s=", query.len > 0 ? "&" : "", name);
            encode(&query, json_string_value(json_array_get(values, i)));
        }
    }
    making->query = sl_arena_dupn(making->arena, query.len > 0 ? query.ptr : "", query.len);
    return query.failed ? sl_fail(making->err, SL_E_PARAM_INVALID, "query") : 0;
}

// Bytes beyond ASCII are encoded; what would end the path, or the line, is refused.
static int
make_path(struct making *making)
{
    SL_AUTO_BUF path;
    sl_buf_init(&path, SENT_MAX);
    for (const char *c = member(making->body, "path"); *c != '\0'; c++) {
        bool is_escape =
            *c != '%' || (isxdigit((unsigned char)c[1]) && isxdigit((unsigned char)c[2]));
        if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == '?' || *c == '#' || !is_escape) {
            return sl_fail(making->err, SL_E_PARAM_INVALID, "path");
        }
        if ((unsigned char)*c < 0x80) {
            sl_buf_addc(&path, *c);
        } else {
            sl_buf_addf(&path, "%%%02X", (unsigned char)*c);
        }
    }
    making->path = sl_arena_dupn(making->arena, path.ptr, path.len);
    return 0;
}

// Signs as the app whose key was given.
static int
sign(struct making *making, int64_t now_ms)
{
    const char *key = member(making->body, "app_key");
    const char *secret = member(making->body, "app_secret");
    if (key[0] == '\0' && secret[0] == '\0') {
        return 0;
    }
    if (key[0] == '\0' || secret[0] == '\0') {
        return sl_fail(making->err, SL_E_PARAM_MISSING, key[0] == '\0' ? "app_key" : "app_secret");
    }
    char hash[SL_SHA256_HEX];
    char date[DATE_SIZE];
    time_t now = (time_t)(now_ms / 1000);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &parts);
    sl_sha256_hex(making->content, hash);
    const struct sl_sign_header headers[] = {{SL_STR("Host"), sl_str(making->host)},
                                             {SL_STR("X-Sdk-Date"), sl_str(date)}};
    struct sl_sign_request request = {.method = sl_str(member(making->body, "method")),
                                      .raw_path = sl_str(making->path),
                                      .raw_query = sl_str(making->query),
                                      .headers = headers,
                                      .header_count = SL_COUNT(headers),
                                      .body_hash = sl_str(hash)};
    const char *authorization = NULL;
    SL_AUTO(sl_hmac) hmac = sl_hmac_new(sl_str(secret));
    if (hmac == NULL) {
        return sl_fail(making->err, SL_E_INTERNAL);
    }
    if (sl_sign_make(making->arena, &request, sl_str(key), hmac, &authorization, making->err) !=
        0) {
        return -1;
    }
    sl_buf_addf(&making->headers, "X-Sdk-Date: %s\nAuthorization: %s\n", date, authorization);
    return 0;
}

// Whether the request says how long its body is, even if it has none.
static bool
has_length(const struct making *making)
{
    const char *method = member(making->body, "method");
    return making->content.len > 0 || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
           strcmp(method, "PATCH") == 0;
}

static void
add_head(const struct making *making, const char *secret, struct sl_buf *head)
{
    sl_buf_addf(head, "%s %s%s%s HTTP/1.1\nHost: %s\nUser-Agent: APIGatewayDebugClient/1.0\n",
                member(making->body, "method"), making->path, making->query[0] != '\0' ? "?" : "",
                making->query, making->host);
    sl_buf_adds(head, "X-Apig-Mode: debug\n");
    sl_buf_add(head, making->headers.ptr, making->headers.len);
    if (has_length(making)) {
        sl_buf_addf(head, "Content-Length: %zu\n", making->content.len);
    }
    if (secret != NULL) {
        sl_buf_addf(head, "X-Apig-Debug: %s\nConnection: close\n", secret);
    }
    sl_buf_addc(head, '\n');
}

// The request as it is shown, or, with the secret, as it is sent.
static const char *
join(const struct making *making, const char *secret)
{
    SL_AUTO_BUF head;
    SL_AUTO_BUF text;
    sl_buf_init(&head, SENT_MAX);
    sl_buf_init(&text, SENT_MAX);
    add_head(making, secret, &head);
    for (size_t i = 0; i < head.len; i++) {
        if (secret != NULL && head.ptr[i] == '\n') {
            sl_buf_addc(&text, '\r');
        }
        sl_buf_addc(&text, head.ptr[i]);
    }
    sl_buf_add(&text, making->content.ptr, making->content.len);
    bool failed = head.failed || text.failed;
    return failed ? NULL : sl_arena_dupn(making->arena, text.ptr, text.len);
}

static int
make_parts(struct making *making, int64_t now_ms)
{
    const char *stage = member(making->body, "stage");
    if (make_path(making) != 0 || make_query(making) != 0 || add_headers(making) != 0) {
        return -1;
    }
    if (strcmp(member(making->body, "mode"), "CONSUMER") == 0 && stage[0] != '\0') {
        sl_buf_addf(&making->headers, "X-Stage: %s\n", stage);
    }
    return sl_arena_check(making->arena, making->err) != 0 ? -1 : sign(making, now_ms);
}

int
debug_request_make(struct sl_arena *arena, const json_t *body, const struct debug_sending *sending,
                   struct debug_request *ret_request, struct sl_error *err)
{
    struct making making = {.arena = arena, .body = body, .host = sending->host, .err = err};
    making.content = sl_str(member(body, "body"));
    sl_buf_init(&making.headers, SENT_MAX);
    int rc = make_parts(&making, sending->now_ms);
    if (rc == 0) {
        struct debug_request request = {join(&making, NULL), join(&making, sending->secret)};
        bool made = request.shown != NULL && request.sent != NULL && !making.headers.failed;
        rc = made ? 0 : sl_fail(err, SL_E_PARAM_INVALID, "header");
        *ret_request = request;
    }
    sl_buf_clear(&making.headers);
    return rc;
}
