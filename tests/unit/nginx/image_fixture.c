// image_fixture.c - builds a live image from a JSON file, so that the module is tested without a
// control plane.
//
//   image_fixture NAME FILE REVISION
//
// The file holds lists `groups hosts apps throttles apis`, an object `gateway`, and an object
// `upstreams` of host → list of addresses, or "denied". Members have the names of model.h; absent
// ones are empty, 0 or false. The image stays when the program ends; a second run changes it.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/image_build.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define LIST_MAX 1024 // members of any list

static struct sl_error failure;

static void
must(int rc)
{
    if (rc != 0) {
        fprintf(stderr, "image_fixture: %s (%s) at %s\n", sl_error_name(failure.code),
                failure.detail, failure.origin);
        exit(1);
    }
}

static const char *
text(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));

    return value == NULL ? "" : value;
}

static json_int_t
number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static bool
truth(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

// A list of texts; lives until the program ends.
static const char *const *
texts(const json_t *object, const char *name, size_t *ret_count)
{
    const json_t *list = json_object_get(object, name);
    const char **values = calloc(json_array_size(list) + 1, sizeof(*values));

    *ret_count = json_array_size(list);
    for (size_t i = 0; i < *ret_count; i++) {
        values[i] = json_string_value(json_array_get(list, i));
    }
    return values;
}

// The index of the member's text among `names`; 0 when absent.
static int
choice(const json_t *object, const char *name, const char *const *names)
{
    const char *value = text(object, name);

    for (int i = 0; names[i] != NULL; i++) {
        if (sl_str_equal(sl_str(names[i]), sl_str(value))) {
            return i;
        }
    }
    return 0;
}

static const char *const methods[] = {"GET",   "POST",    "PUT", "DELETE", "HEAD",
                                      "PATCH", "OPTIONS", "ANY", NULL};
static const char *const auths[] = {"NONE", "APP", "IAM", "AUTHORIZER", NULL};
static const char *const modes[] = {"NORMAL", "SWA", NULL};
static const char *const backends[] = {"HTTP", "MOCK", NULL};
static const char *const places[] = {"PATH", "QUERY", "HEADER", NULL};
static const char *const origins[] = {"REQUEST", "CONSTANT", "SYSTEM", NULL};

static void
put(struct sl_image_builder *builder, const char *key, const struct sl_entry *entry)
{
    must(sl_image_builder_put(builder, key, entry, &failure));
}

static void
put_group(struct sl_image_builder *builder, const json_t *object)
{
    struct sl_entry entry = {.kind = SL_KIND_GROUP,
                             .group = {.id = text(object, "id"),
                                       .name = text(object, "name"),
                                       .is_default = truth(object, "is_default"),
                                       .sl_domain_enabled = truth(object, "sl_domain_enabled")}};

    put(builder, entry.group.id, &entry);
}

static void
put_host(struct sl_image_builder *builder, const json_t *object)
{
    struct sl_entry entry = {.kind = SL_KIND_HOST,
                             .host = {.name = text(object, "name"),
                                      .group_id = text(object, "group_id"),
                                      .debugging = truth(object, "debugging")}};

    put(builder, entry.host.name, &entry);
}

static void
put_app(struct sl_image_builder *builder, const json_t *object)
{
    struct sl_entry entry = {.kind = SL_KIND_APP,
                             .app = {.id = text(object, "id"),
                                     .name = text(object, "name"),
                                     .key = text(object, "key"),
                                     .secret = text(object, "secret"),
                                     .domain_id = text(object, "domain_id")}};

    entry.app.codes = texts(object, "codes", &entry.app.code_count);
    entry.app.publish_ids = texts(object, "publish_ids", &entry.app.publish_id_count);
    entry.app.acl = texts(object, "acl", &entry.app.acl_count);
    entry.app.acl_mode = (enum sl_acl_mode)number(object, "acl_mode");
    put(builder, entry.app.id, &entry);
}

static void
put_throttle(struct sl_image_builder *builder, const json_t *object)
{
    struct sl_entry entry = {.kind = SL_KIND_THROTTLE,
                             .throttle = {.id = text(object, "id"),
                                          .shared = truth(object, "shared"),
                                          .window_s = (uint32_t)number(object, "window_s"),
                                          .interval = (uint32_t)number(object, "interval"),
                                          .unit = text(object, "unit"),
                                          .api_limit = number(object, "api_limit"),
                                          .user_limit = number(object, "user_limit"),
                                          .app_limit = number(object, "app_limit"),
                                          .ip_limit = number(object, "ip_limit")}};

    put(builder, entry.throttle.id, &entry);
}

static void
read_req_params(const json_t *list, struct sl_api *api)
{
    struct sl_req_param *params = calloc(LIST_MAX, sizeof(*params));

    for (size_t i = 0; i < json_array_size(list) && i < LIST_MAX; i++) {
        const json_t *object = json_array_get(list, i);

        params[i] =
            (struct sl_req_param){.name = text(object, "name"),
                                  .default_value = text(object, "default"),
                                  .location = (enum sl_location)choice(object, "location", places),
                                  .required = truth(object, "required"),
                                  .pass_through = truth(object, "pass_through")};
    }
    api->req_params = params;
    api->req_param_count = json_array_size(list);
}

static void
read_backend_params(const json_t *list, struct sl_api *api)
{
    struct sl_backend_param *params = calloc(LIST_MAX, sizeof(*params));

    for (size_t i = 0; i < json_array_size(list) && i < LIST_MAX; i++) {
        const json_t *object = json_array_get(list, i);

        params[i] = (struct sl_backend_param){
            .name = text(object, "name"),
            .value = text(object, "value"),
            .location = (enum sl_location)choice(object, "location", places),
            .origin = (enum sl_origin_kind)choice(object, "origin", origins)};
    }
    api->backend_params = params;
    api->backend_param_count = json_array_size(list);
}

static void
put_api(struct sl_image_builder *builder, const json_t *object)
{
    const json_t *http = json_object_get(object, "http");
    const json_t *mock = json_object_get(object, "mock");
    struct sl_entry entry = {
        .kind = SL_KIND_API,
        .api = {.publish_id = text(object, "publish_id"),
                .api_id = text(object, "api_id"),
                .name = text(object, "name"),
                .group_id = text(object, "group_id"),
                .env_id = "DEFAULT_ENVIRONMENT_RELEASE_ID",
                .env_name = "RELEASE",
                .version_id = "1",
                .path = text(object, "path"),
                .throttle_id = text(object, "throttle_id"),
                .method = (enum sl_method)choice(object, "method", methods),
                .match_mode = (enum sl_match_mode)choice(object, "match_mode", modes),
                .schemes = (unsigned)number(object, "schemes"),
                .auth = (enum sl_auth_type)choice(object, "auth", auths),
                .app_code = truth(object, "app_code"),
                .backend_type = (enum sl_backend_type)choice(object, "backend_type", backends),
                .http = {.host = text(http, "host"),
                         .path = text(http, "path"),
                         .port = (uint16_t)number(http, "port"),
                         .tls = truth(http, "tls"),
                         .method = (enum sl_method)choice(http, "method", methods),
                         .timeout_ms = (uint32_t)number(http, "timeout_ms"),
                         .retry_count = (int32_t)number(http, "retry_count")},
                .mock = {.body = text(mock, "body"), .status = (uint16_t)number(mock, "status")}}};

    if (entry.api.env_name[0] != '\0' && json_object_get(object, "env_name") != NULL) {
        entry.api.env_name = text(object, "env_name");
    }
    read_req_params(json_object_get(object, "req_params"), &entry.api);
    read_backend_params(json_object_get(object, "backend_params"), &entry.api);
    put(builder, entry.api.publish_id, &entry);
}

static void
put_gateway(struct sl_image_builder *builder, const json_t *object)
{
    struct sl_entry entry = {.kind = SL_KIND_GATEWAY,
                             .gateway = {.id = text(object, "id"),
                                         .domain_call_limit = number(object, "domain_call_limit"),
                                         .api_default_limit = number(object, "api_default_limit"),
                                         .body_max_bytes = number(object, "body_max_bytes"),
                                         .timeout_max_ms = number(object, "timeout_max_ms")}};

    entry.gateway.addresses = texts(object, "addresses", &entry.gateway.address_count);
    entry.gateway.restricted = texts(object, "restricted", &entry.gateway.restricted_count);
    entry.gateway.node_ids = texts(object, "node_ids", &entry.gateway.node_count);
    put(builder, entry.gateway.id, &entry);
}

static void
put_upstream(struct sl_image_builder *builder, const char *host, const json_t *list)
{
    struct sl_img_address addresses[8] = {0};
    size_t count = 0;

    for (size_t i = 0; i < json_array_size(list) && count < SL_COUNT(addresses); i++) {
        const char *address = json_string_value(json_array_get(list, i));

        addresses[count].family = sl_str(address).len > 0 && address[0] == '[' ? AF_INET6 : AF_INET;
        if (inet_pton(AF_INET, address, addresses[count].bytes) == 1) {
            addresses[count++].family = AF_INET;
        } else if (inet_pton(AF_INET6, address, addresses[count].bytes) == 1) {
            addresses[count++].family = AF_INET6;
        }
    }
    must(
        sl_image_builder_upstream(builder, host, addresses, count, json_is_string(list), &failure));
}

static void
put_all(struct sl_image_builder *builder, const json_t *root, const char *name,
        void (*put_one)(struct sl_image_builder *, const json_t *))
{
    const json_t *list = json_object_get(root, name);

    for (size_t i = 0; i < json_array_size(list); i++) {
        put_one(builder, json_array_get(list, i));
    }
}

int
main(int argc, char **argv)
{
    struct sl_image_builder *builder;
    json_error_t where;
    json_t *root;
    json_t *upstream;
    const char *host;

    if (argc != 4) {
        fprintf(stderr, "usage: image_fixture NAME FILE REVISION\n");
        return 2;
    }
    root = json_load_file(argv[2], 0, &where);
    if (root == NULL) {
        fprintf(stderr, "image_fixture: %s:%d: %s\n", argv[2], where.line, where.text);
        return 1;
    }
    builder = sl_image_builder_new(argv[1], &failure);
    must(builder == NULL ? -1 : 0);
    sl_image_builder_reset(builder); // the file is a full set
    put_gateway(builder, json_object_get(root, "gateway"));
    put_all(builder, root, "groups", put_group);
    put_all(builder, root, "hosts", put_host);
    put_all(builder, root, "apps", put_app);
    put_all(builder, root, "throttles", put_throttle);
    put_all(builder, root, "apis", put_api);
    json_object_foreach(json_object_get(root, "upstreams"), host, upstream)
    {
        put_upstream(builder, host, upstream);
    }
    must(sl_image_builder_commit(builder, "epoch", strtoull(argv[3], NULL, 10), &failure));
    sl_image_builder_free(&builder);
    json_decref(root);
    return 0;
}
