// image_format.h - how the live image lies in shared memory; private to the image's files.
//
// One control mapping names a generation. A generation is a directory: which segment stands in each
// slot, which slot serves a (group, environment), and the gateway's record. Fixed slots hold the
// shards of the parts below; the slots after them one (group, environment) each. Files, all in
// /dev/shm: `sluice-<name>-<format>-control`, `…-d<generation>`, `…-s<segment>`. Only the control
// file is ever written after it was named; the others are immutable and then unlinked.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_IMAGE_FORMAT_H
#define SL_RUNTIME_IMAGE_FORMAT_H

#include <stdatomic.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/runtime/image.h"

#define IMAGE_ROOT          "/dev/shm"
#define IMAGE_NAME_MAX      96  // characters of an image's name
#define IMAGE_PATH_MAX      192 // characters of a file's path
#define IMAGE_MAGIC_CONTROL 0x534c4331U
#define IMAGE_MAGIC_DIR     0x534c4431U
#define IMAGE_MAGIC_SEGMENT 0x534c5331U
#define IMAGE_ENV_MAX       64                   // characters of an environment's name
#define IMAGE_ALIGN         64                   // of segments, trie nodes and API records
#define IMAGE_SEGMENT_MAX   (1024 * 1024 * 1024) // offsets are 32 bits

// What fixed slots hold. Keys decide the shard; see image_part_bits().
enum image_part {
    IMAGE_APP,         // struct sl_img_app by id
    IMAGE_KEY,         // struct image_index by AppKey
    IMAGE_CODE,        // struct image_index by AppCode
    IMAGE_HOST,        // struct sl_img_host by name, wildcards by what follows the '*'
    IMAGE_GROUP,       // struct sl_img_group by id
    IMAGE_THROTTLE,    // struct sl_img_throttle by id
    IMAGE_SIGN,        // struct sl_img_sign by id
    IMAGE_PAIR,        // struct image_index by the key of a key pair
    IMAGE_UPSTREAM,    // struct sl_img_upstream by host
    IMAGE_USER,        // struct sl_img_user by id
    IMAGE_ACCESS,      // struct sl_img_access_key by access key
    IMAGE_TOKEN_KEY,   // struct sl_img_token_key by id
    IMAGE_CERTIFICATE, // struct sl_img_certificate by id
    IMAGE_CHANNEL,     // struct sl_img_channel by id
    IMAGE_PARTS,
    IMAGE_ROUTES = IMAGE_PARTS, // a (group, environment): its trie, and its APIs by publish_id
};

#define IMAGE_SHARD_BITS  6
#define IMAGE_SHARDS      (1U << IMAGE_SHARD_BITS) // of each part
#define IMAGE_FIXED_SLOTS (IMAGE_PARTS * IMAGE_SHARDS)

struct image_control {
    uint32_t magic;              // IMAGE_MAGIC_CONTROL
    uint32_t format;             // SL_IMAGE_FORMAT
    _Atomic uint64_t generation; // of the live directory; 0: none yet
    uint64_t next_segment;       // builder's: the id that no segment had yet
};

struct image_slot {
    uint64_t id;         // of the segment; 0: the slot is empty
    uint64_t size_bytes; // of its file
};

// One place of a hash table: open addressing, a power of two, never full unless it has one place.
struct image_bucket {
    uint32_t tag; // bits of the hash, to pass over strangers without touching their records
    int32_t off;  // the record, from this field; 0: empty
};

struct image_env {
    char group_id[SL_ID_LEN];
    char name[IMAGE_ENV_MAX]; // of the environment
    uint32_t name_len;
    uint32_t slot;
};

struct image_dir {
    uint32_t magic, format;
    uint64_t size_bytes;
    uint64_t generation;
    uint64_t revision;             // R
    uint64_t seed;                 // of every hash
    char default_group[SL_ID_LEN]; // zeros: none
    struct sl_img_list slots;      // struct image_slot
    struct sl_img_list envs;       // struct image_bucket → struct image_env
    uint32_t has_gateway, pad;
    struct sl_img_gateway gateway;
};

struct image_index {
    struct sl_img_str text; // AppKey, AppCode, key of a pair
    char id[SL_ID_LEN];     // of whose it is
};

struct image_segment {
    uint32_t magic;           // IMAGE_MAGIC_SEGMENT
    uint16_t format, part;    // SL_IMAGE_FORMAT, enum image_part
    uint64_t size_bytes;      //
    uint64_t seed;            // of the hashes inside
    struct sl_img_list table; // struct image_bucket → records
    int32_t root;             // IMAGE_ROUTES: struct image_node, from this field
    uint32_t pad[5];
};

// A node of the route trie: one path segment. {p} and {p+} have their own links.
struct image_node {
    struct sl_img_str label;     // literal text
    struct sl_img_list literals; // struct image_bucket → image_node, by hash of the label
    int32_t param;               // node for {p}, from this field; 0: none
    int32_t plus;                // node for {p+}, from this field; 0: none
    struct sl_img_list exact;    // struct image_method: NORMAL APIs that end here
    struct sl_img_list prefix;   // struct image_method: SWA APIs that end here
};

struct image_method {
    uint32_t method; // enum sl_method
    int32_t api;     // struct sl_img_api, from this field
};

// What stands `off` bytes from a field.
static inline const void *
image_follow(const int32_t *field)
{
    return (const char *)field + *field;
}

// The hash of a (group, environment).
static inline uint64_t
image_env_hash(uint64_t seed, const char group_id[SL_ID_LEN], struct sl_str env_name)
{
    return sl_hash(sl_hash(seed, group_id, SL_ID_LEN), env_name.ptr, env_name.len);
}

// The parts of a hash: shard from the top, place from the bottom, tag from the middle.
static inline uint32_t
image_shard_of(uint64_t hash)
{
    return (uint32_t)(hash >> (64 - IMAGE_SHARD_BITS));
}
static inline uint32_t
image_tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 24);
}

// The key under which a host name stands: a wildcard's is what follows its '*'.
static inline struct sl_str
image_host_key(struct sl_str name)
{
    return name.len > 0 && name.ptr[0] == '*' ? (struct sl_str){name.ptr + 1, name.len - 1} : name;
}

// How a declared segment matches. Order matters: it is the order of sorting, of laying out, and of
// preference.
enum image_piece {
    IMAGE_PIECE_LITERAL,
    IMAGE_PIECE_PARAM, // {name}
    IMAGE_PIECE_PLUS,  // {name+}
};

// What is not a whole {name}, and a {name+} that is not last, is literal text.
static inline enum image_piece
image_piece_of(struct sl_str segment, bool is_last)
{
    if (segment.len < 3 || segment.ptr[0] != '{' || segment.ptr[segment.len - 1] != '}') {
        return IMAGE_PIECE_LITERAL;
    }
    if (segment.ptr[segment.len - 2] != '+') {
        return IMAGE_PIECE_PARAM;
    }
    return is_last && segment.len > 3 ? IMAGE_PIECE_PLUS : IMAGE_PIECE_LITERAL;
}

// The segments of a declared path. A trailing slash is a segment of its own, but not in a prefix.
static inline struct sl_str
image_declared(struct sl_str path, bool is_prefix)
{
    while (is_prefix && path.len > 0 && path.ptr[path.len - 1] == '/') {
        path.len--;
    }
    return path;
}

// Writes the path of one file of an image: kind 'c' control, 'd' directory, 's' segment.
void image_path(const char *name, char kind, uint64_t number, char ret_path[IMAGE_PATH_MAX]);

// Whether `name` may name an image: 1 to IMAGE_NAME_MAX letters, digits, '-', '_', '.'.
bool image_name_valid(const char *name);

#endif
