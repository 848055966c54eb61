// stream.h - revisions on the wire: events, answers to `runtime.since`, heads (proto/bus.md).
//
// The publisher packs, followers unpack. Entries are opaque.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_WIRE_STREAM_H
#define SL_WIRE_STREAM_H

#include "common/base/buf.h"
#include "common/wire/follow.h"

#define SL_STREAM_ENTRIES_MAX 100000 // entries of one message

// An event (prev, to) or an answer (from = prev, to, full, more, at).
struct sl_stream {
    char epoch[SL_ID_SIZE];              //
    uint64_t prev;                       // the revision that the entries build on
    uint64_t to;                         // the revision that they lead to
    bool is_answer;                      // the rest is in use
    bool full;                           // a page of a full set
    bool more;                           // the set (or the span) goes on
    uint64_t at;                         // full: head when the first page was read
    struct sl_str content_key;           // boxed to who asks; empty: none
    const struct sl_wire_entry *entries; //
    size_t count;                        //
};

// Appends one to `buf`; failures stick there.
void sl_stream_pack(struct sl_buf *buf, const struct sl_stream *stream);

// Decodes one; views of `bytes` and memory of the arena. *ret_extra (may be NULL) is an object of
// the keys that are no fields of sl_stream, and of content_key. Refuses (BUS_MESSAGE) all else.
int sl_stream_unpack(struct sl_arena *arena, struct sl_str bytes, struct sl_stream *ret_stream,
                     json_t **ret_extra, struct sl_error *err) SL_MUST_CHECK;

// Appends a head; failures stick in the buffer.
void sl_head_pack(struct sl_buf *buf, const struct sl_revision *head);
// Decodes one. Refuses (BUS_MESSAGE) what is none.
int sl_head_unpack(struct sl_str bytes, struct sl_revision *ret_head,
                   struct sl_error *err) SL_MUST_CHECK;

#endif
