// image_builder.h - what the builder holds between commits; private to the builder's files.
//
// Entries live in a table a kind. Each segment has a list of what goes into it and a mark whether
// it changed: the lists of the fixed parts, and one list a (group, environment).
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_IMAGE_BUILDER_H
#define SL_RUNTIME_IMAGE_BUILDER_H

#include <czmq.h>

#include "common/runtime/image_build.h"
#include "common/runtime/image_write.h"

// What one segment is made of, and the segment that is live.
struct image_list {
    const void **items;     // borrowed from the entries
    size_t count, capacity; //
    bool dirty;             // changed since the live segment was built
    struct image_slot live; // in the directory that readers see
    struct image_slot next; // built by the commit that runs
};

// One (group, environment).
struct image_routes {
    struct image_list list; // struct sl_api
    char group_id[SL_ID_SIZE];
    char env_name[IMAGE_ENV_MAX + 1];
    uint32_t slot;
};

struct sl_image_builder {
    SL_MAGIC;
    char name[IMAGE_NAME_MAX + 1];
    int control_fd;                // locked: one builder an image
    struct image_control *control; //
    uint64_t last_segment;         // number used before the control file was made again
    uint64_t last_generation;      // likewise
    uint64_t seed;
    zhashx_t *entries[SL_KIND_COUNT]; // key → struct sl_entry
    zhashx_t *routes;                 // "<group>/<env>" → struct image_routes
    zhashx_t *upstreams;              // host → struct image_upstream
    struct image_list parts[IMAGE_FIXED_SLOTS];
    struct image_routes **slots; // by slot - IMAGE_FIXED_SLOTS; NULL: free
    size_t slot_count;
    struct image_writer writer;
    bool swept; // files of a builder before us are gone
};

// Maps the control file (made when missing) and locks it, so that an image has one builder.
int image_control_open(struct sl_image_builder *builder, struct sl_error *err) SL_MUST_CHECK;
void image_control_close(struct sl_image_builder *builder);

// Sees to it that the control file is there: somebody may have emptied /dev/shm since the last
// commit. Then everything is built anew.
int image_control_ensure(struct sl_image_builder *builder, struct sl_error *err) SL_MUST_CHECK;

// The list of a key's shard.
struct image_list *image_list_of(struct sl_image_builder *builder, enum image_part part,
                                 struct sl_str key);

// Puts an item into a list, or takes it out, and marks the list. -1: memory is out.
int image_list_add(struct image_list *list, const void *item);
void image_list_remove(struct image_list *list, const void *item);

// The routes of (group, env), made when missing; NULL when memory is out.
struct image_routes *image_routes_of(struct sl_image_builder *builder, const char *group_id,
                                     const char *env_name);

// Frees the routes that have no API and no live segment left.
void image_routes_prune(struct sl_image_builder *builder);

#endif
