// checker.h - which members of channels are faulty, by this node's own probes (runtime.md 11).
//
// Every member of a channel with a health check is probed at the channel's interval; as many
// failures in a row as its threshold says make it faulty, as many successes healthy again. What is
// known of a member outlasts changes of the channel that leave its host and port; new members, and
// all after a start of the agent, begin healthy. A host without addresses fails, one that has not
// been asked for yet waits. Results go into the image builder: they live from the next commit on.
// One thread; blocks never.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_CHECKER_H
#define SL_NODE_CHECKER_H

#include "common/runtime/image_build.h"

#define CHECKER_PROBES 256 // that run at once; others that are due wait

struct checker;

// `builder` is borrowed. NULL with *err filled.
struct checker *checker_new(struct sl_image_builder *builder, struct sl_error *err);
// Ends its probes. Empties the pointer; takes NULL.
void checker_free(struct checker **checker);

// A channel was put into the builder: says there what is known of its members, and probes them from
// now on as it wants. -1: memory is out.
int checker_put(struct checker *checker, const struct sl_channel *channel,
                struct sl_error *err) SL_MUST_CHECK;

// Readable when probes can go on: then call checker_run().
int checker_fd(const struct checker *checker);
void checker_run(struct checker *checker, int64_t now_ms);

// Begins what is due, ends what is late, forgets channels that the builder has no more. Call it
// every 100 ms or so.
void checker_tick(struct checker *checker, int64_t now_ms);

// Whether a member's health changed since the last call, so that the image wants a commit.
bool checker_take_changes(struct checker *checker);

// How many members are probed, and how many of them are faulty.
void checker_count(const struct checker *checker, size_t *ret_members, size_t *ret_faulty);

#endif
