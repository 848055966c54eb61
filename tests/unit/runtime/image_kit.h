// image_kit.h - what the tests of the live image share: an image of their own, short ways to APIs.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_RUNTIME_IMAGE_KIT_H
#define SL_TESTS_RUNTIME_IMAGE_KIT_H

#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <czmq.h>

#include "common/runtime/image_build.h"
#include "common/runtime/image_format.h"

#define GROUP_1 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"
#define GROUP_2 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2"

struct kit {
    char name[64];                    // of the image
    struct sl_image_builder *builder; //
    struct sl_image *image;           // a reader
};

// Files of an image in shared memory, of a kind ("s" segments, "d" directories, "" all); removes
// them when asked to.
static inline size_t
kit_files_of(const char *name, const char *kind, bool remove_them)
{
    char begin[256];
    snprintf(begin, sizeof(begin), IMAGE_ROOT "/sluice-%s-%d-%s", name, SL_IMAGE_FORMAT, kind);
    size_t count = 0;
    zlist_t *paths = zlist_new();
    zlist_autofree(paths);
    zdir_t *root = zdir_new(IMAGE_ROOT, "-");
    zfile_t **files = zdir_flatten(root);
    for (size_t i = 0; files[i] != NULL; i++) {
        const char *path = zfile_filename(files[i], NULL);
        if (strncmp(path, begin, strlen(begin)) == 0) {
            count++;
            if (remove_them) {
                unlink(path);
            }
        }
    }
    zdir_flatten_free(&files);
    zdir_destroy(&root);
    zlist_destroy(&paths);
    return count;
}

static inline size_t
kit_files(const char *name, bool remove_them)
{
    return kit_files_of(name, "", remove_them);
}

static inline int
kit_open(void **state)
{
    static int number;
    struct kit *kit = calloc(1, sizeof(*kit));
    snprintf(kit->name, sizeof(kit->name), "unit-%d-%d", (int)getpid(), number++);
    struct sl_error err;
    kit->builder = sl_image_builder_new(kit->name, &err);
    kit->image = sl_image_open(kit->name, &err);
    *state = kit;
    return kit->builder == NULL || kit->image == NULL ? -1 : 0;
}

static inline int
kit_close(void **state)
{
    struct kit *kit = *state;
    sl_image_builder_free(&kit->builder);
    sl_image_free(&kit->image);
    kit_files(kit->name, true);
    free(kit);
    return 0;
}

static inline void
kit_commit(struct kit *kit, uint64_t revision)
{
    struct sl_error err;
    if (sl_image_builder_commit(kit->builder, "epoch", revision, &err) != 0) {
        fail_msg("commit: %s", err.detail);
    }
    sl_image_refresh(kit->image);
}

static inline void
kit_put(struct kit *kit, const char *key, const struct sl_entry *entry)
{
    struct sl_error err;
    assert_int_equal(sl_image_builder_put(kit->builder, key, entry, &err), 0);
}

// An API entry whose publish_id ends in `number`. Returns the id, static.
static inline const char *
kit_api(struct kit *kit, const char *group, unsigned number, enum sl_method method,
        enum sl_match_mode mode, const char *path)
{
    static char id[SL_ID_SIZE];
    snprintf(id, sizeof(id), "%032x", number);
    struct sl_entry entry = {
        .kind = SL_KIND_API,
        .api = {.publish_id = id,
                .api_id = id,
                .name = path,
                .group_id = group,
                .env_id = "DEFAULT_ENVIRONMENT_RELEASE_ID",
                .env_name = "RELEASE",
                .version_id = id,
                .path = path,
                .throttle_id = "",
                .method = method,
                .match_mode = mode,
                .schemes = SL_SCHEME_HTTP,
                .backend_type = SL_BACKEND_HTTP,
                .http = {"127.0.0.1", "/", 80, false, SL_METHOD_ANY, 5000, 0},
                .mock = {"", 0}},
    };
    kit_put(kit, id, &entry);
    return id;
}

// The number that kit_api() gave an API.
static inline int
kit_number(const struct sl_img_api *api)
{
    char id[SL_ID_SIZE] = {0};
    memcpy(id, api->publish_id, SL_ID_LEN);
    return (int)strtol(id, NULL, 16);
}

// Number of the API that a request reaches; -1 no path, -2 no method.
static inline int
kit_route(struct kit *kit, enum sl_method method, const char *path, struct sl_route *ret_route)
{
    struct sl_route unused;
    struct sl_route *route = ret_route == NULL ? &unused : ret_route;
    switch (sl_image_route(kit->image, GROUP_1, SL_STR("RELEASE"), method, sl_str(path), route)) {
    case SL_ROUTE_NO_PATH:
        return -1;
    case SL_ROUTE_NO_METHOD:
        return -2;
    default:
        return kit_number(route->api);
    }
}

#endif
