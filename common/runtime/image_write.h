// image_write.h - laying out one segment or directory before it becomes a file; private.
//
// The bytes lie in one reserved region of address space, so pointers into it stay good while it
// grows; what is given back to the system between segments is only what was large. Every function
// that takes room answers NULL or -1 when the region is full.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_IMAGE_WRITE_H
#define SL_RUNTIME_IMAGE_WRITE_H

#include "common/base/arena.h"
#include "common/runtime/image_format.h"

struct image_writer {
    char *base;        // the region
    size_t size_bytes; // of the region
    size_t used_bytes; //
};

// Reserves the region. -1 when not even a small one can be had.
int image_writer_init(struct image_writer *writer, struct sl_error *err) SL_MUST_CHECK;
void image_writer_clear(struct image_writer *writer);

// Empties it for the next segment.
void image_writer_reset(struct image_writer *writer);

// Room for `size` zeroed bytes; NULL when the region is full.
void *image_place(struct image_writer *writer, size_t size, size_t align);

// Copies a string behind what is there and lets `field` (inside the region) point at it.
int image_put_text(struct image_writer *writer, struct sl_img_str *field,
                   const char *text) SL_MUST_CHECK;

// The same of bytes.
int image_put_bytes(struct image_writer *writer, struct sl_img_str *field,
                    struct sl_str bytes) SL_MUST_CHECK;

// Room for `count` records and lets `field` point at it; NULL when full, or when count is 0 (then
// *field is empty, too).
void *image_put_list(struct image_writer *writer, struct sl_img_list *field, size_t count,
                     size_t size, size_t align);

// Lets `field` (inside the region) point at `target` (inside the region).
void image_link(int32_t *field, const void *target);

// The number of places of a hash table for `count` records: a power of two, at most 3/4 full, one
// for one record; 0 for none.
size_t image_table_places(size_t count);

// Puts a record into a table that image_put_list() made.
void image_table_add(struct image_bucket *buckets, size_t places, uint64_t hash,
                     const void *record);

// Starts a segment: places its header. NULL when full.
struct image_segment *image_segment_begin(struct image_writer *writer, enum image_part part,
                                          uint64_t seed);
// Ends it: notes the size, checks every offset and aligns the end.
int image_segment_end(struct image_writer *writer, struct sl_error *err) SL_MUST_CHECK;

// Checks every offset of a segment of `size_bytes` bytes, whatever they hold. False: one leads
// outside or a table or trie is not well formed.
bool image_segment_valid(const void *base, size_t size_bytes);

// The routes of one (group, environment): trie and records. The APIs are sorted in place.
int image_write_routes(struct image_writer *writer, uint64_t seed, const struct sl_api **apis,
                       size_t count, struct sl_error *err) SL_MUST_CHECK;

// Fills the record of an API, which lies in the region, but for its captures.
int image_write_api(struct image_writer *writer, struct sl_img_api *record,
                    const struct sl_api *api) SL_MUST_CHECK;

// Fills the record of a channel, which lies in the region.
int image_write_channel(struct image_writer *writer, struct sl_img_channel *record,
                        const struct sl_channel *channel) SL_MUST_CHECK;

// The shard of a part that stands in a fixed slot; `items` are the part's structs (IMAGE_KEY and
// IMAGE_CODE: struct sl_app; IMAGE_UPSTREAM: struct image_upstream).
int image_write_part(struct image_writer *writer, uint32_t slot, uint64_t seed,
                     const void *const *items, size_t count, struct sl_error *err) SL_MUST_CHECK;

// Fills the gateway's record, which lies in the region.
int image_write_gateway(struct image_writer *writer, struct sl_img_gateway *record,
                        const struct sl_gateway *gateway, const char *epoch,
                        uint64_t revision) SL_MUST_CHECK;

// Whether a declared path can be a route: begins with '/', at most SL_PATH_PARAMS_MAX parameters.
bool image_path_valid(const char *path);

// A backend host that some API names, and what it resolves to.
struct image_upstream {
    char *host;
    size_t uses;                      // APIs that name it
    bool known;                       // addresses were set
    bool denied;                      //
    struct sl_img_address *addresses; //
    size_t count;                     //
};

// A full region, as an error.
int image_full(struct sl_error *err);

#endif
