// image_build.h - the agent's side of the live image: build segments, switch, unlink the old.
//
// The builder keeps decoded entries in memory, marks what a change touches, and at commit builds
// only the touched segments, pre-faults them, writes a new directory and switches by one
// release-store. Records are those of image.h. One thread owns a builder; one builder an image.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_IMAGE_BUILD_H
#define SL_RUNTIME_IMAGE_BUILD_H

#include "common/runtime/entry.h"
#include "common/runtime/image.h"

struct sl_image_builder;

// Takes over (or creates) the image called `name`, mode 0640. NULL with *err filled.
struct sl_image_builder *sl_image_builder_new(const char *name, struct sl_error *err);
// Leaves the image in place: workers go on reading it.
void sl_image_builder_free(struct sl_image_builder **builder);

// Puts an entry (copied), or removes one. Takes effect at commit.
int sl_image_builder_put(struct sl_image_builder *builder, const char *key,
                         const struct sl_entry *entry, struct sl_error *err) SL_MUST_CHECK;
void sl_image_builder_remove(struct sl_image_builder *builder, enum sl_kind kind, const char *key);
// Forgets all entries: a full set follows.
void sl_image_builder_reset(struct sl_image_builder *builder);

// Sets the addresses that a backend host resolves to.
int sl_image_builder_upstream(struct sl_image_builder *builder, const char *host,
                              const struct sl_img_address *addresses, size_t count, bool denied,
                              struct sl_error *err) SL_MUST_CHECK;
// Forgets what a host resolves to, when no API names it.
void sl_image_builder_forget(struct sl_image_builder *builder, const char *host);
// Calls fn for every backend host that an API or a channel names.
void sl_image_builder_hosts(const struct sl_image_builder *builder,
                            void (*fn)(void *arg, const char *host), void *arg);
// The addresses of a backend host, as they were set; borrowed until they are set again. NULL: not
// yet, or nobody names the host.
const struct sl_img_address *sl_image_builder_addresses(const struct sl_image_builder *builder,
                                                        const char *host, size_t *ret_count);
// A channel's entry by id, or NULL; borrowed until the next put or remove. `faulty` of its members
// is what sl_image_builder_faulty() said.
const struct sl_channel *sl_image_builder_channel(const struct sl_image_builder *builder,
                                                  const char *id);
// Says that the members of a channel which are called `host` and `port` are faulty, or no more.
// Takes effect at commit; a channel that is put begins with healthy members. True: it was
// otherwise.
bool sl_image_builder_faulty(struct sl_image_builder *builder, const char *id, const char *host,
                             uint16_t port, bool faulty);
// The gateway entry, or NULL before one came; borrowed until the next put.
const struct sl_gateway *sl_image_builder_gateway(const struct sl_image_builder *builder);
// A throttle entry by id, or NULL; borrowed likewise.
const struct sl_throttle *sl_image_builder_throttle(const struct sl_image_builder *builder,
                                                    const char *id);

// Builds what changed, validates, pre-faults, switches. On failure the old image stays.
int sl_image_builder_commit(struct sl_image_builder *builder, const char *epoch, uint64_t revision,
                            struct sl_error *err) SL_MUST_CHECK;

#endif
