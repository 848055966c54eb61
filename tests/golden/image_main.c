// image_main.c - builds the live image of the entries on standard input and prints what its reader
// answers.
//
// Input: {entries: [{kind, key, entry}], remove: [{kind, key}], ask: [{route: {group, env, method,
// path}} | {host} | {app_key} | {app_code} | {throttle} | {group}]}; `entry` has the fields of
// proto/runtime.md, as compile/*.out.yaml have them. `remove` is a second revision. Output: a list,
// one answer a question; null: no such thing.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/runtime/image_kit.h"

#include <jansson.h>

#include "common/wire/message.h"

static const char *
text(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value == NULL ? "" : value;
}

static json_t *
id_of(const char id[SL_ID_LEN])
{
    return json_stringn(id, SL_ID_LEN);
}

static json_t *
str_of(struct sl_str s)
{
    return json_stringn(s.len == 0 ? "" : s.ptr, s.len);
}

static json_t *
field_of(const struct sl_img_str *field)
{
    return str_of(sl_img_text(field));
}

static void
put(struct kit *kit, struct sl_arena *arena, const json_t *given)
{
    struct sl_error err;
    struct sl_str bytes;
    struct sl_entry entry;
    enum sl_kind kind = sl_kind_find(text(given, "kind"));
    if (sl_json_pack(arena, json_object_get(given, "entry"), &bytes, &err) != 0 ||
        sl_entry_decode(arena, kind, bytes, &entry, &err) != 0 ||
        sl_image_builder_put(kit->builder, text(given, "key"), &entry, &err) != 0) {
        fprintf(stderr, "%s %s: %s %s %s\n", text(given, "kind"), text(given, "key"),
                sl_error_name(err.code), err.args[0], err.args[1]);
        exit(EXIT_FAILURE);
    }
}

static enum sl_method
method_of(const char *word)
{
    static const char *const words[] = {"GET",  "POST",  "PUT",     "DELETE",
                                        "HEAD", "PATCH", "OPTIONS", "ANY"};
    for (size_t i = 0; i < SL_COUNT(words); i++) {
        if (strcmp(words[i], word) == 0) {
            return (enum sl_method)i;
        }
    }
    return SL_METHOD_COUNT;
}

static json_t *
answer_route(struct kit *kit, const json_t *asked)
{
    struct sl_route route;
    switch (sl_image_route(kit->image, text(asked, "group"), sl_str(text(asked, "env")),
                           method_of(text(asked, "method")), sl_str(text(asked, "path")), &route)) {
    case SL_ROUTE_NO_PATH:
        return json_string("no path");
    case SL_ROUTE_NO_METHOD:
        return json_string("no method");
    default:
        break;
    }
    json_t *captures = json_object();
    const struct sl_img_str *names = sl_img_items(&route.api->captures);
    for (size_t i = 0; i < route.capture_count; i++) {
        struct sl_str name = sl_img_text(&names[i]);
        json_object_setn_new(captures, name.ptr, name.len, str_of(route.captures[i]));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:i}", "api", field_of(&route.api->name), "captures",
                     captures, "remainder", str_of(route.remainder), "backend",
                     field_of(&route.api->target.host), "timeout_ms",
                     (int)route.api->target.timeout_ms);
}

static json_t *
answer_app(const struct sl_img_app *app)
{
    return app == NULL ? json_null()
                       : json_pack("{s:o, s:o, s:o}", "id", id_of(app->id), "secret",
                                   field_of(&app->secret), "owner", field_of(&app->domain_id));
}

static json_t *
answer_host(const struct sl_img_host *host)
{
    return host == NULL ? json_null()
                        : json_pack("{s:o, s:o, s:b}", "name", field_of(&host->name), "group",
                                    id_of(host->group_id), "debugging", (int)host->debugging);
}

static json_t *
answer_throttle(const struct sl_img_throttle *throttle)
{
    return throttle == NULL
               ? json_null()
               : json_pack("{s:I, s:I, s:I, s:I, s:i}", "api", (json_int_t)throttle->api_limit,
                           "user", (json_int_t)throttle->user_limit, "app",
                           (json_int_t)throttle->app_limit, "ip", (json_int_t)throttle->ip_limit,
                           "window_s", (int)throttle->window_s);
}

static json_t *
answer(struct kit *kit, const json_t *asked)
{
    const json_t *route = json_object_get(asked, "route");
    const char *id = text(asked, "throttle");
    if (route != NULL) {
        return answer_route(kit, route);
    }
    if (json_object_get(asked, "host") != NULL) {
        return answer_host(sl_image_host(kit->image, sl_str(text(asked, "host"))));
    }
    if (json_object_get(asked, "app_key") != NULL) {
        return answer_app(sl_image_app_by_key(kit->image, sl_str(text(asked, "app_key"))));
    }
    if (json_object_get(asked, "app_code") != NULL) {
        return answer_app(sl_image_app_by_code(kit->image, sl_str(text(asked, "app_code"))));
    }
    return strlen(id) == SL_ID_LEN ? answer_throttle(sl_image_throttle(kit->image, id))
                                   : json_null();
}

int
main(void)
{
    json_t *given = json_loadf(stdin, 0, NULL);
    json_t *answers = json_array();
    SL_AUTO(sl_arena) arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
    void *state = NULL;
    size_t at;
    const json_t *item;
    if (given == NULL || arena == NULL || kit_open(&state) != 0) {
        return EXIT_FAILURE;
    }
    struct kit *kit = state;
    json_array_foreach(json_object_get(given, "entries"), at, item)
    {
        put(kit, arena, item);
    }
    kit_commit(kit, 1);
    json_array_foreach(json_object_get(given, "remove"), at, item)
    {
        sl_image_builder_remove(kit->builder, sl_kind_find(text(item, "kind")), text(item, "key"));
    }
    kit_commit(kit, 2);
    json_array_foreach(json_object_get(given, "ask"), at, item)
    {
        json_array_append_new(answers, answer(kit, item));
    }
    json_dumpf(answers, stdout, 0);
    json_decref(answers);
    json_decref(given);
    return kit_close(&state);
}
