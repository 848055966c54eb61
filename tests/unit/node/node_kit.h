// node_kit.h - what the agent's tests share: a state directory, a content key, sealed entries.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_NODE_KIT_H
#define SL_TESTS_NODE_KIT_H

#include "tests/unit/test.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "common/crypto/crypto.h"
#include "common/runtime/entry.h"
#include "common/wire/follow.h"
#include "services/node/keys.h"

#define GATEWAY "99999999999999999999999999999999"
#define GROUP_1 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"
#define API_1   "00000000000000000000000000000001"
#define API_2   "00000000000000000000000000000002"

static inline int
kit_remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static inline void
kit_remove_tree(const char *path)
{
    nftw(path, kit_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

// A box of `content` for the node whose CURVE keys these are.
static inline struct sl_str
kit_box(struct sl_arena *arena, const char *public_z85, const struct sl_seal_key *content)
{
    uint8_t recipient[32];
    struct sl_str box;
    struct sl_error err;
    assert_non_null(zmq_z85_decode(recipient, public_z85));
    assert_int_equal(sl_box_seal(arena, recipient,
                                 (struct sl_str){(const char *)content->bytes, SL_SEAL_KEY_LEN},
                                 &box, &err),
                     0);
    return box;
}

// An entry as it travels.
static inline struct sl_wire_entry
kit_seal(struct sl_arena *arena, const struct sl_seal_key *content, const char *key,
         const struct sl_entry *entry, uint64_t revision)
{
    struct sl_str plain;
    struct sl_str sealed;
    struct sl_error err;
    char context[256];
    snprintf(context, sizeof(context), GATEWAY "/%s/%s", sl_kind_name(entry->kind), key);
    assert_int_equal(sl_entry_encode(arena, entry, &plain, &err), 0);
    assert_int_equal(sl_seal(arena, content, sl_str(context), plain, &sealed, &err), 0);
    return (struct sl_wire_entry){sl_kind_name(entry->kind), key, revision, 1, sealed};
}

static inline struct sl_entry
kit_api(const char *id, const char *path, const char *host)
{
    return (struct sl_entry){
        .kind = SL_KIND_API,
        .api = {.publish_id = id,
                .api_id = id,
                .name = "a",
                .group_id = GROUP_1,
                .env_id = "E",
                .env_name = "RELEASE",
                .path = path,
                .schemes = SL_SCHEME_HTTP,
                .backend_type = SL_BACKEND_HTTP,
                .http = {host, "/", 80, false, SL_METHOD_ANY, 5000, 0}},
    };
}

#endif
