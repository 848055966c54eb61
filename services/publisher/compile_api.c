// compile_api.c - a published definition becomes the api entry that nodes route by.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/compile_json.h"

#include <stdlib.h>
#include <string.h>

static const char publication_sql[] =
    "SELECT p.publish_id, p.env_id, e.name, p.version_id, coalesce(b.throttle_id, ''), "
    "coalesce(s.sign_id, ''), v.definition FROM publication p "
    "JOIN api_version v ON v.instance_id = p.instance_id AND v.version_id = p.version_id "
    "JOIN environment e ON e.instance_id = p.instance_id AND e.id = p.env_id "
    "LEFT JOIN throttle_binding b ON b.instance_id = p.instance_id "
    "AND b.publish_id = p.publish_id "
    "LEFT JOIN sign_binding s ON s.instance_id = p.instance_id "
    "AND s.publish_id = p.publish_id "
    "WHERE p.instance_id = $1 AND p.publish_id = $2";

// A call of 3.5.8 while it lasts: no policies; is_open: no authentication.
static const char debug_sql[] =
    "SELECT publish_id, env_id, env_name, '', '', '', definition, is_open FROM api_debug "
    "WHERE instance_id = $1 AND id = $2 AND expires_at > now()";

static const struct compile_word auths[] = {
    {"APP", SL_AUTH_APP},
    {"AUTHORIZER", SL_AUTH_AUTHORIZER},
    {"IAM", SL_AUTH_IAM},
    {"NONE", SL_AUTH_NONE},
    {NULL, 0},
};
static const struct compile_word match_modes[] = {
    {"NORMAL", SL_MATCH_NORMAL}, {"SWA", SL_MATCH_SWA}, {NULL, 0}};
static const struct compile_word backend_types[] = {
    {"FUNCTION", SL_BACKEND_FUNCTION},
    {"GRPC", SL_BACKEND_GRPC},
    {"HTTP", SL_BACKEND_HTTP},
    {"MOCK", SL_BACKEND_MOCK},
    {NULL, 0},
};

static bool
is_yes(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name)) == 1;
}

// What a value must be, where that is checked. Clients write 0 for no bound: 0 is no maximum beside
// a minimum that is not below it, and both 0 are no bounds at all.
static void
set_check(struct sl_arena *arena, const json_t *from, struct sl_req_param *param)
{
    if (!is_yes(from, "valid_enable")) {
        return;
    }
    param->checked = true;
    param->enumerations = compile_text(arena, from, "enumerations");
    param->is_number = strcmp(compile_text(arena, from, "type"), "NUMBER") == 0;
    const json_t *min = json_object_get(from, param->is_number ? "min_num" : "min_size");
    const json_t *max = json_object_get(from, param->is_number ? "max_num" : "max_size");
    param->min = json_integer_value(min);
    param->max = json_integer_value(max);
    param->has_max = json_is_integer(max) && (param->max != 0 || param->min < 0);
    param->has_min = json_is_integer(min) && (param->min != 0 || param->has_max);
}

static int
compile_req_params(struct sl_arena *arena, const json_t *list, struct sl_api *api,
                   struct sl_error *err)
{
    size_t count = json_array_size(list);
    struct sl_req_param *params = sl_arena_array(arena, count + 1, sizeof(*params));
    for (size_t i = 0; params != NULL && i < count; i++) {
        const json_t *from = json_array_get(list, i);
        int location = compile_word(from, "location", compile_locations, err);
        if (location < 0) {
            return -1;
        }
        params[i] = (struct sl_req_param){
            .name = compile_text(arena, from, "name"),
            .default_value = compile_text(arena, from, "default_value"),
            .location = (enum sl_location)location,
            .required = is_yes(from, "required") || location == SL_IN_PATH,
            .pass_through = is_yes(from, "pass_through"),
        };
        set_check(arena, from, &params[i]);
    }
    api->req_params = params;
    api->req_param_count = count;
    return sl_arena_check(arena, err);
}

static int
compile_words(const json_t *definition, struct sl_api *api, struct sl_error *err)
{
    int method = compile_word(definition, "req_method", compile_methods, err);
    int match_mode = compile_word(definition, "match_mode", match_modes, err);
    int scheme = compile_word(definition, "req_protocol", compile_schemes, err);
    int auth = compile_word(definition, "auth_type", auths, err);
    int backend_type = compile_word(definition, "backend_type", backend_types, err);
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
compile_definition(struct sl_arena *arena, const json_t *definition,
                   const struct variables *variables, struct sl_api *api, struct sl_error *err)
{
    api->api_id = compile_text(arena, definition, "id");
    api->name = compile_text(arena, definition, "name");
    api->group_id = compile_text(arena, definition, "group_id");
    api->path = compile_text(arena, definition, "req_uri");
    api->app_code = strcmp(compile_text(arena, definition, "app_code_auth_type"), "HEADER") == 0;
    api->cors = json_is_true(json_object_get(definition, "cors"));
    const json_t *req_params = json_object_get(definition, "req_params");
    if (compile_words(definition, api, err) != 0 ||
        compile_req_params(arena, req_params, api, err) != 0) {
        return -1;
    }
    return compile_backend(arena, definition, variables, api, err);
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
    bool is_published = sl_rows_count(rows) == 1;
    if (!is_published &&
        sl_sql(c->tx, c->arena, debug_sql, SL_PARAMS(SL_P_TEXT(c->gateway), SL_P_TEXT(key)), &rows,
               err) != 0) {
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
                                 .throttle_id = sl_rows_text(rows, 0, 4),
                                 .sign_id = sl_rows_text(rows, 0, 5)};
    struct variables variables;
    struct variable_place place = {
        .gateway = c->gateway, .env_id = entry->api.env_id, .definition = sl_rows_text(rows, 0, 6)};
    if (variables_read(c->tx, c->arena, &place, &variables, err) != 0) {
        return -1;
    }
    json_t *definition = json_loads(place.definition, 0, NULL);
    int rc = definition == NULL
                 ? sl_fail(err, SL_E_ENTRY_BROKEN, "api", "definition")
                 : compile_definition(c->arena, definition, &variables, &entry->api, err);
    json_decref(definition);
    if (entry->api.backend_type != SL_BACKEND_HTTP) { // others are shown no key
        entry->api.sign_id = "";
    }
    if (rc == 0 && !is_published && sl_rows_bool(rows, 0, 7)) {
        entry->api.auth = SL_AUTH_NONE;
    }
    return rc;
}
