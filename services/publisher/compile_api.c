// compile_api.c - a published definition becomes the api entry that nodes route by.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/compile.h"

#include <stdlib.h>
#include <string.h>

#define PORT_HTTP          80
#define PORT_HTTPS         443
#define DEFAULT_TIMEOUT_MS 5000
#define MOCK_STATUS        200

static const char publication_sql[] =
    "SELECT p.publish_id, p.env_id, e.name, p.version_id, coalesce(b.throttle_id, ''), "
    "v.definition FROM publication p "
    "JOIN api_version v ON v.instance_id = p.instance_id AND v.version_id = p.version_id "
    "JOIN environment e ON e.instance_id = p.instance_id AND e.id = p.env_id "
    "LEFT JOIN throttle_binding b ON b.instance_id = p.instance_id "
    "AND b.publish_id = p.publish_id "
    "WHERE p.instance_id = $1 AND p.publish_id = $2";

struct word {
    const char *text; // as the API writes it
    int value;        // as model.h counts it
};

static const struct word methods[] = {
    {"ANY", SL_METHOD_ANY},   {"DELETE", SL_METHOD_DELETE},   {"GET", SL_METHOD_GET},
    {"HEAD", SL_METHOD_HEAD}, {"OPTIONS", SL_METHOD_OPTIONS}, {"PATCH", SL_METHOD_PATCH},
    {"POST", SL_METHOD_POST}, {"PUT", SL_METHOD_PUT},         {NULL, 0},
};
static const struct word schemes[] = {
    {"BOTH", SL_SCHEME_HTTP | SL_SCHEME_HTTPS},
    {"GRPCS", SL_SCHEME_GRPCS},
    {"HTTP", SL_SCHEME_HTTP},
    {"HTTPS", SL_SCHEME_HTTPS},
    {NULL, 0},
};
static const struct word auths[] = {
    {"APP", SL_AUTH_APP},
    {"AUTHORIZER", SL_AUTH_AUTHORIZER},
    {"IAM", SL_AUTH_IAM},
    {"NONE", SL_AUTH_NONE},
    {NULL, 0},
};
static const struct word match_modes[] = {
    {"NORMAL", SL_MATCH_NORMAL}, {"SWA", SL_MATCH_SWA}, {NULL, 0}};
static const struct word backend_types[] = {
    {"FUNCTION", SL_BACKEND_FUNCTION},
    {"GRPC", SL_BACKEND_GRPC},
    {"HTTP", SL_BACKEND_HTTP},
    {"MOCK", SL_BACKEND_MOCK},
    {NULL, 0},
};
static const struct word locations[] = {
    {"HEADER", SL_IN_HEADER}, {"PATH", SL_IN_PATH}, {"QUERY", SL_IN_QUERY}, {NULL, 0}};
static const struct word origins[] = {
    {"CONSTANT", SL_FROM_CONSTANT},
    {"REQUEST", SL_FROM_REQUEST},
    {"SYSTEM", SL_FROM_SYSTEM},
    {NULL, 0},
};

// A text member; "" when it is absent. The arena keeps a copy: the JSON goes before the entry does.
static const char *
text_of(struct sl_arena *arena, const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    const char *copy = text == NULL ? "" : sl_arena_dup(arena, text);
    return copy == NULL ? "" : copy;
}

// The value of a word member; -1 (ENTRY_BROKEN, naming it) for any other word.
static int
word_of(const json_t *object, const char *name, const struct word *words, struct sl_error *err)
{
    const char *text = json_string_value(json_object_get(object, name));
    for (const struct word *word = words; text != NULL && word->text != NULL; word++) {
        if (strcmp(word->text, text) == 0) {
            return word->value;
        }
    }
    return sl_fail(err, SL_E_ENTRY_BROKEN, "api", name);
}

static bool
is_yes(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name)) == 1;
}

static int
compile_req_params(struct sl_arena *arena, const json_t *list, struct sl_api *api,
                   struct sl_error *err)
{
    size_t count = json_array_size(list);
    struct sl_req_param *params = sl_arena_array(arena, count + 1, sizeof(*params));
    for (size_t i = 0; params != NULL && i < count; i++) {
        const json_t *from = json_array_get(list, i);
        int location = word_of(from, "location", locations, err);
        if (location < 0) {
            return -1;
        }
        params[i] = (struct sl_req_param){
            .name = text_of(arena, from, "name"),
            .default_value = text_of(arena, from, "default_value"),
            .location = (enum sl_location)location,
            .required = is_yes(from, "required") || location == SL_IN_PATH,
            .pass_through = is_yes(from, "pass_through"),
        };
    }
    api->req_params = params;
    api->req_param_count = count;
    return sl_arena_check(arena, err);
}

static int
compile_backend_params(struct sl_arena *arena, const json_t *list, struct sl_api *api,
                       struct sl_error *err)
{
    size_t count = json_array_size(list);
    struct sl_backend_param *params = sl_arena_array(arena, count + 1, sizeof(*params));
    for (size_t i = 0; params != NULL && i < count; i++) {
        const json_t *from = json_array_get(list, i);
        int location = word_of(from, "location", locations, err);
        int origin = word_of(from, "origin", origins, err);
        if (location < 0 || origin < 0) {
            return -1;
        }
        params[i] = (struct sl_backend_param){
            .name = text_of(arena, from, "name"),
            .value = text_of(arena, from, "value"),
            .location = (enum sl_location)location,
            .origin = (enum sl_origin_kind)origin,
        };
    }
    api->backend_params = params;
    api->backend_param_count = count;
    return sl_arena_check(arena, err);
}

static void
lower(char *text)
{
    for (char *c = text; *c != '\0'; c++) {
        if (*c >= 'A' && *c <= 'Z') {
            *c = (char)(*c + ('a' - 'A'));
        }
    }
}

// Splits `host[:port]` (or `[v6]:port`) in place; the host in lower case.
static int
split_address(char *address, struct sl_http_backend *backend, struct sl_error *err)
{
    char *host = address;
    char *after = address;
    if (*host == '[') {
        host++;
        after = strchr(host, ']');
        if (after == NULL) {
            return sl_fail(err, SL_E_ENTRY_BROKEN, "api", "url_domain");
        }
        *after++ = '\0';
    }
    char *colon = strchr(after, ':');
    if (colon != NULL) {
        int64_t port = 0;
        *colon = '\0';
        if (!sl_str_int(sl_str(colon + 1), &port) || port < 1 || port > UINT16_MAX) {
            return sl_fail(err, SL_E_ENTRY_BROKEN, "api", "url_domain");
        }
        backend->port = (uint16_t)port;
    }
    lower(host);
    backend->host = host;
    return host[0] != '\0' ? 0 : sl_fail(err, SL_E_ENTRY_BROKEN, "api", "url_domain");
}

static int
compile_http(struct sl_arena *arena, const json_t *from, struct sl_api *api, struct sl_error *err)
{
    struct sl_http_backend *http = &api->http;
    int scheme = word_of(from, "req_protocol", schemes, err);
    int method = word_of(from, "req_method", methods, err);
    if (scheme < 0 || method < 0) {
        return -1;
    }
    char *address = sl_arena_dup(arena, text_of(arena, from, "url_domain"));
    json_int_t timeout_ms = json_integer_value(json_object_get(from, "timeout"));
    int64_t retries = -1;
    // Absent or "-1": the default rule.
    (void)sl_str_int(sl_str(text_of(arena, from, "retry_count")), &retries);
    *http = (struct sl_http_backend){
        .path = text_of(arena, from, "req_uri"),
        .port = scheme == SL_SCHEME_HTTPS ? PORT_HTTPS : PORT_HTTP,
        .tls = scheme == SL_SCHEME_HTTPS,
        .method = (enum sl_method)method,
        .timeout_ms = timeout_ms > 0 ? (uint32_t)timeout_ms : DEFAULT_TIMEOUT_MS,
        .retry_count = (int32_t)retries,
    };
    return address == NULL ? sl_arena_check(arena, err) : split_address(address, http, err);
}

static int
compile_backend(struct sl_arena *arena, const json_t *definition, struct sl_api *api,
                struct sl_error *err)
{
    if (api->backend_type == SL_BACKEND_MOCK) {
        const json_t *mock = json_object_get(definition, "mock_info");
        api->mock = (struct sl_mock_backend){.body = text_of(arena, mock, "result_content"),
                                             .status = MOCK_STATUS};
        return 0;
    }
    if (api->backend_type == SL_BACKEND_HTTP) {
        return compile_http(arena, json_object_get(definition, "backend_api"), api, err);
    }
    return sl_fail(err, SL_E_ENTRY_BROKEN, "api", "backend_type");
}

static int
compile_words(const json_t *definition, struct sl_api *api, struct sl_error *err)
{
    int method = word_of(definition, "req_method", methods, err);
    int match_mode = word_of(definition, "match_mode", match_modes, err);
    int scheme = word_of(definition, "req_protocol", schemes, err);
    int auth = word_of(definition, "auth_type", auths, err);
    int backend_type = word_of(definition, "backend_type", backend_types, err);
    if (method < 0 || match_mode < 0 || scheme < 0 || auth < 0 || backend_type < 0) {
        return -1;
    }
    api->method = (enum sl_method)method;
    api->match_mode = (enum sl_match_mode)match_mode;
    api->schemes = (unsigned)scheme;
    api->auth = (enum sl_auth_type)auth;
    api->backend_type = (enum sl_backend_type)backend_type;
    return 0;
}

int
compile_definition(struct sl_arena *arena, const json_t *definition, struct sl_api *api,
                   struct sl_error *err)
{
    api->api_id = text_of(arena, definition, "id");
    api->name = text_of(arena, definition, "name");
    api->group_id = text_of(arena, definition, "group_id");
    api->path = text_of(arena, definition, "req_uri");
    api->app_code = strcmp(text_of(arena, definition, "app_code_auth_type"), "HEADER") == 0;
    const json_t *req_params = json_object_get(definition, "req_params");
    const json_t *backend_params = json_object_get(definition, "backend_params");
    if (compile_words(definition, api, err) != 0 ||
        compile_req_params(arena, req_params, api, err) != 0 ||
        compile_backend_params(arena, backend_params, api, err) != 0) {
        return -1;
    }
    return compile_backend(arena, definition, api, err);
}

int
compile_api(const struct compile *c, const char *key, struct sl_entry *entry, bool *ret_found,
            struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(c->tx, c->arena, publication_sql, SL_PARAMS(SL_P_TEXT(c->gateway), SL_P_TEXT(key)),
               &rows, err) != 0) {
        return -1;
    }
    *ret_found = sl_rows_count(rows) == 1;
    if (!*ret_found) {
        return 0;
    }
    entry->api = (struct sl_api){.publish_id = sl_rows_text(rows, 0, 0),
                                 .env_id = sl_rows_text(rows, 0, 1),
                                 .env_name = sl_rows_text(rows, 0, 2),
                                 .version_id = sl_rows_text(rows, 0, 3),
                                 .throttle_id = sl_rows_text(rows, 0, 4)};
    json_t *definition = json_loads(sl_rows_text(rows, 0, 5), 0, NULL);
    int rc = definition == NULL ? sl_fail(err, SL_E_ENTRY_BROKEN, "api", "definition")
                                : compile_definition(c->arena, definition, &entry->api, err);
    json_decref(definition);
    return rc;
}
