// image_fixture.c - builds a live image from a JSON file, so that the module is tested without a
// control plane.
//
//   image_fixture NAME FILE REVISION
//
// The file holds lists `groups hosts certificates apps users access_keys token_keys throttles
// channels signs apis`, an object `gateway`, and an object `upstreams` of host → list of addresses,
// or "denied". Members are those of proto/runtime.md; what is bin there is hex here. The image
// stays when the program ends; a second run changes it.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/image_build.h"
#include "common/wire/message.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define ENTRY_MAX ((size_t)1024 * 1024) // bytes of one entry

static struct sl_error failure;

static void
must(int rc)
{
    if (rc != 0) {
        fprintf(stderr, "image_fixture: %s %s %s (%s) at %s\n", sl_error_name(failure.code),
                failure.args[0], failure.args[1], failure.detail, failure.origin);
        exit(1);
    }
}

static void
put(struct sl_image_builder *builder, enum sl_kind kind, const char *key, json_t *object)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(ENTRY_MAX);
    struct sl_entry entry;
    struct sl_str bytes;

    must(arena == NULL ? -1 : 0);
    must(sl_json_pack(arena, object, &bytes, &failure));
    must(sl_entry_decode(arena, kind, bytes, &entry, &failure));
    must(sl_image_builder_put(builder, key, &entry, &failure));
}

// Every member of a list; `key` is the member that names it.
static void
put_all(struct sl_image_builder *builder, enum sl_kind kind, const json_t *list, const char *key)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *object = json_array_get(list, i);

        if (kind == SL_KIND_API) {
            json_object_update_missing_new(object, json_pack("{s:s, s:s}", "env_id",
                                                             "DEFAULT_ENVIRONMENT_RELEASE_ID",
                                                             "env_name", "RELEASE"));
        }
        put(builder, kind, json_string_value(json_object_get(object, key)), object);
    }
}

// Bytes that the file has in hex; "" for what is none.
static struct sl_str
bytes_of(struct sl_arena *arena, const json_t *hex)
{
    struct sl_str text = sl_str(json_is_string(hex) ? json_string_value(hex) : "");
    char *bytes = sl_arena_alloc(arena, text.len / 2 + 1);

    must(bytes == NULL || !sl_hex_decode(text, bytes, text.len / 2) ? -1 : 0);
    return (struct sl_str){bytes, text.len / 2};
}

static const struct sl_str *
list_of(struct sl_arena *arena, const json_t *list)
{
    struct sl_str *all = sl_arena_array(arena, json_array_size(list) + 1, sizeof(*all));

    must(all == NULL ? -1 : 0);
    for (size_t i = 0; i < json_array_size(list); i++) {
        all[i] = bytes_of(arena, json_array_get(list, i));
    }
    return all;
}

static void
put_certificate(struct sl_image_builder *builder, const json_t *object)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(ENTRY_MAX);
    const json_t *chain = json_object_get(object, "chain");
    const json_t *ca = json_object_get(object, "ca");
    struct sl_entry entry = {.kind = SL_KIND_CERTIFICATE};

    must(arena == NULL ? -1 : 0);
    entry.certificate = (struct sl_certificate){
        .id = json_string_value(json_object_get(object, "id")),
        .name = "",
        .algorithm = "",
        .key = bytes_of(arena, json_object_get(object, "key")),
        .chain = list_of(arena, chain),
        .chain_count = json_array_size(chain),
        .ca = list_of(arena, ca),
        .ca_count = json_array_size(ca),
    };
    must(sl_image_builder_put(builder, entry.certificate.id, &entry, &failure));
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

// Members that say `faulty` are what a node's probes fail at.
static void
put_faults(struct sl_image_builder *builder, const json_t *channels)
{
    for (size_t i = 0; i < json_array_size(channels); i++) {
        const json_t *channel = json_array_get(channels, i);
        const json_t *members = json_object_get(channel, "members");

        for (size_t k = 0; k < json_array_size(members); k++) {
            const json_t *member = json_array_get(members, k);

            (void)sl_image_builder_faulty(
                builder, json_string_value(json_object_get(channel, "id")),
                json_string_value(json_object_get(member, "host")),
                (uint16_t)json_integer_value(json_object_get(member, "port")),
                json_is_true(json_object_get(member, "faulty")));
        }
    }
}

int
main(int argc, char **argv)
{
    struct sl_image_builder *builder;
    json_error_t where;
    json_t *root;
    json_t *gateway;
    json_t *upstream;
    const char *host;
    const json_t *certificate;
    size_t i;

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
    gateway = json_object_get(root, "gateway");
    put(builder, SL_KIND_GATEWAY, json_string_value(json_object_get(gateway, "id")), gateway);
    put_all(builder, SL_KIND_GROUP, json_object_get(root, "groups"), "id");
    put_all(builder, SL_KIND_HOST, json_object_get(root, "hosts"), "name");
    json_array_foreach(json_object_get(root, "certificates"), i, certificate)
    {
        put_certificate(builder, certificate);
    }
    put_all(builder, SL_KIND_APP, json_object_get(root, "apps"), "id");
    put_all(builder, SL_KIND_USER, json_object_get(root, "users"), "id");
    put_all(builder, SL_KIND_ACCESS_KEY, json_object_get(root, "access_keys"), "access");
    put_all(builder, SL_KIND_TOKEN_KEY, json_object_get(root, "token_keys"), "id");
    put_all(builder, SL_KIND_THROTTLE, json_object_get(root, "throttles"), "id");
    put_all(builder, SL_KIND_CHANNEL, json_object_get(root, "channels"), "id");
    put_faults(builder, json_object_get(root, "channels"));
    put_all(builder, SL_KIND_SIGN, json_object_get(root, "signs"), "id");
    put_all(builder, SL_KIND_API, json_object_get(root, "apis"), "publish_id");
    json_object_foreach(json_object_get(root, "upstreams"), host, upstream)
    {
        put_upstream(builder, host, upstream);
    }
    must(sl_image_builder_commit(builder, "epoch", strtoull(argv[3], NULL, 10), &failure));
    sl_image_builder_free(&builder);
    json_decref(root);
    return 0;
}
