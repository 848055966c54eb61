// image_read.h - the reader's mappings, shared by image_read.c and its lookups; private.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_IMAGE_READ_H
#define SL_RUNTIME_IMAGE_READ_H

#include "common/runtime/image_format.h"

struct image_mapping {
    uint64_t id;       // of the segment (or the generation)
    const void *base;  // NULL: not mapped
    size_t size_bytes; //
};

#define IMAGE_LINKS     1024  // power of two
#define IMAGE_MEMOS     32768 // power of two
#define IMAGE_MEMO_TEXT 156   // bytes of host, path and environment together

// A record that was found by its id or name, in the place of where that text lies.
struct image_link {
    uint64_t epoch;     // that it was found in; 0: never
    const void *record; //
    enum image_part part;
};

// A call and what it leads to. Three cache lines, written only where calls come.
struct image_memo {
    uint64_t epoch; // that it is good for; 0: none
    struct sl_image_answer answer;
    uint8_t host_len, path_len, env_len, method;
    char text[IMAGE_MEMO_TEXT]; // host, path, environment
};
_Static_assert(sizeof(struct image_memo) == 192, "three cache lines");

struct sl_image {
    SL_MAGIC;
    char name[IMAGE_NAME_MAX + 1];
    const struct image_control *control; // NULL: there is none yet
    uint64_t control_inode;              // of the file that it maps
    int64_t looked_s;                    // when we looked whether it is still that file
    struct image_mapping dir;            // base NULL: no image yet
    struct image_mapping *slots;         // one a slot of the directory; mapped on demand
    size_t slot_count;                   //
    struct image_mapping *retired; // replaced in the middle of a decision; unmapped at the next
    size_t retired_count;          //
    uint64_t epoch;                // counts the directories that were mapped
    int spare_fd;                  // given up to map a file when no descriptor is left; -1: none
    bool incomplete;               // sl_image_incomplete()
    struct image_memo *memos;      // IMAGE_MEMOS; NULL: there was no memory for them
    uint32_t memo_turn;            // counts the newcomers that took a place
    struct image_link links[IMAGE_LINKS];
};

// IMAGE_MEMOS empty places, of free(); NULL when memory is out.
struct image_memo *image_memo_new(void);

static inline const struct image_dir *
image_dir_of(const struct sl_image *image)
{
    return image->dir.base;
}

// The segment of a slot, mapped; NULL when the slot is empty or cannot be mapped. When the agent
// replaced the segment since the directory was mapped, moves to the newest directory; *ret_moved
// (may be NULL) then says that slot numbers must be looked up again.
const struct image_segment *image_segment_map(struct sl_image *image, uint32_t slot,
                                              bool *ret_moved);

// The same; quick where the segment is mapped already, as nearly always.
static inline const struct image_segment *
image_segment_get(struct sl_image *image, uint32_t slot, bool *ret_moved)
{
    const void *base = slot < image->slot_count ? image->slots[slot].base : NULL;
    return base != NULL ? base : image_segment_map(image, slot, ret_moved);
}

// The record of `key` in a segment; NULL when there is none. Records of the parts APP, GROUP,
// SIGN, THROTTLE and ROUTES begin with an id of SL_ID_LEN bytes, the others with a struct
// sl_img_str.
const void *image_record_find(const struct image_segment *segment, uint64_t hash,
                              struct sl_str key);

// The segment of a (group, environment), or NULL.
const struct image_segment *
image_routes_find(struct sl_image *image, const char group_id[SL_ID_LEN], struct sl_str env_name);

#endif
