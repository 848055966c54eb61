// page.h - a whole set of entries in pages, as nodes hand it to each other and to files.
//
// A page is a msgpack map: the gateway, the content keys boxed to each reader's CURVE key, and a
// part of the set in the form of an answer to `runtime.since` (proto/runtime.md). Entries stay
// sealed under the content keys, so a page is of use to those readers alone. All memory from the
// arena.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_PAGE_H
#define SL_NODE_PAGE_H

#include "common/wire/peer.h"
#include "common/wire/stream.h"
#include "services/node/keys.h"

#define PAGE_KIND_MAX 32 // characters of an entry's kind

// Where a page begins: behind this entry; "" and "": at the first one.
struct page_place {
    char kind[PAGE_KIND_MAX + 1];
    char key[SL_KEY_MAX + 1];
};

// What pages are made of; all borrowed.
struct page_source {
    struct sl_store *store;
    const struct keys *keys;
    const char *gateway_id;
    const char *const *readers; // CURVE public keys, Z85
    size_t reader_count;
};

// A page that was read.
struct page {
    struct sl_stream set;          // is_answer, full; `to` is the revision of the set
    struct sl_str boxes[KEYS_MAX]; // content keys boxed to us, oldest first
    size_t box_count;              //
};

// Makes the page behind `after`. Refuses (UNAVAILABLE) while the store holds no revision.
int page_build(struct sl_arena *arena, const struct page_source *source,
               const struct page_place *after, struct sl_str *ret_bytes,
               struct sl_error *err) SL_MUST_CHECK;

// Reads a page for the node whose public key this is; views of `bytes`. Refuses (BUS_MESSAGE) what
// is no page, (BUS_FORBIDDEN) one of another gateway or without content keys for us.
int page_read(struct sl_arena *arena, struct sl_str bytes, const char *gateway_id,
              const char *public_z85, struct page *ret_page, struct sl_error *err) SL_MUST_CHECK;

// The place behind a page's last entry; false when it was the last page (or holds a name too long).
bool page_next(const struct page *page, struct page_place *ret_place);

#endif
