// image_memo.c - remembers which API a host, an environment, a path and a method lead to.
//
// A table of fixed size, in sets of two; a newcomer takes the place of either, in turn, unless one
// is free. An entry holds what was asked, byte for byte, and is good for one directory: a switch
// forgets all by counting up. Answers with captured values depend on more than the API, so they are
// not kept.
//
// With many APIs the entry and what it leads to are in no cache of the processor. Their lines are
// asked for at once, before anything waits for the first of them.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/image_read.h"

#include <stdlib.h>

#define WAYS       2  // entries of a set
#define CACHE_LINE 64 // bytes

struct image_memo *
image_memo_new(void)
{
    return calloc(IMAGE_MEMOS, sizeof(struct image_memo));
}

// Asks for the cache lines of `bytes` from `at` on.
static inline void
prefetch(const void *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += CACHE_LINE) {
        __builtin_prefetch((const void *)((uintptr_t)at + i));
    }
}

// Environments of names that are equally long share a set: most callers use one.
static struct image_memo *
set_of(const struct sl_image *image, const struct sl_image_call *call)
{
    uint64_t hash = image_dir_of(image)->seed ^ (call->env_name.len << 8 | call->method);
    hash = sl_hash(hash, call->host.ptr, call->host.len);
    hash = sl_hash(hash, call->path.ptr, call->path.len);
    return &image->memos[hash % (IMAGE_MEMOS / WAYS) * WAYS];
}

static bool
is_of(const struct image_memo *memo, uint64_t epoch, const struct sl_image_call *call)
{
    const char *path = memo->text + call->host.len;
    return memo->epoch == epoch && memo->host_len == call->host.len &&
           memo->path_len == call->path.len && memo->env_len == call->env_name.len &&
           memo->method == call->method && memcmp(path, call->path.ptr, call->path.len) == 0 &&
           memcmp(path + call->path.len, call->env_name.ptr, call->env_name.len) == 0 &&
           memcmp(memo->text, call->host.ptr, call->host.len) == 0;
}

// Empty texts, which may lie nowhere, are rare: HTTP/1.0 without a host.
static bool
is_kept(const struct sl_image_call *call)
{
    return call->host.len > 0 && call->path.len > 0 && call->env_name.len > 0 &&
           call->host.len + call->path.len + call->env_name.len <= IMAGE_MEMO_TEXT;
}

bool
sl_image_recall(const struct sl_image *image, struct sl_image_call *call,
                struct sl_image_answer *ret_answer)
{
    call->epoch = image->epoch;
    if (image->memos == NULL || !sl_image_ready(image) || !is_kept(call)) {
        return false;
    }
    const struct image_memo *memo = set_of(image, call);
    prefetch(memo, sizeof(*memo) + 1); // and the beginning of the next
    for (size_t i = 0; i < WAYS; i++, memo++) {
        if (is_of(memo, image->epoch, call)) {
            *ret_answer = memo->answer;
            prefetch(memo->answer.api, sizeof(*memo->answer.api));
            return true;
        }
    }
    return false;
}

// The place that a newcomer takes.
static struct image_memo *
place_of(struct sl_image *image, const struct sl_image_call *call)
{
    struct image_memo *set = set_of(image, call);
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].epoch != image->epoch) {
            return &set[i];
        }
    }
    return &set[image->memo_turn++ % WAYS];
}

void
sl_image_remember(struct sl_image *image, const struct sl_image_call *call,
                  const struct sl_image_answer *answer)
{
    // What was found while the directory moved may lie in the old one.
    if (image->memos == NULL || image->incomplete || call->epoch != image->epoch ||
        !is_kept(call)) {
        return;
    }
    struct image_memo *memo = place_of(image, call);
    memo->epoch = image->epoch;
    memo->answer = *answer;
    memo->host_len = (uint8_t)call->host.len;
    memo->path_len = (uint8_t)call->path.len;
    memo->env_len = (uint8_t)call->env_name.len;
    memo->method = (uint8_t)call->method;
    char *out = memo->text;
    memcpy(out, call->host.ptr, call->host.len);
    out += call->host.len;
    memcpy(out, call->path.ptr, call->path.len);
    out += call->path.len;
    memcpy(out, call->env_name.ptr, call->env_name.len);
}
