// image_memo.c - remembers which API a host, an environment, a path and a method lead to.
//
// A table of fixed size; a newcomer takes the place of whoever had it. An entry holds what was
// asked, byte for byte, and is good for one directory: a switch forgets all by counting up. Answers
// with captured values depend on more than the API, so they are not kept.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/image_read.h"

#include <stdlib.h>

struct image_memo *
image_memo_new(void)
{
    return calloc(IMAGE_MEMOS, sizeof(struct image_memo));
}

// Environments of names that are equally long share a place: most callers use one.
static struct image_memo *
place_of(const struct sl_image *image, const struct sl_image_call *call)
{
    uint64_t hash = image_dir_of(image)->seed ^ (call->env_name.len << 8 | call->method);
    hash = sl_hash(hash, call->host.ptr, call->host.len);
    hash = sl_hash(hash, call->path.ptr, call->path.len);
    return &image->memos[hash % IMAGE_MEMOS];
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
    const struct image_memo *memo = place_of(image, call);
    const char *path = memo->text + call->host.len;
    if (memo->epoch != image->epoch || memo->host_len != call->host.len ||
        memo->path_len != call->path.len || memo->env_len != call->env_name.len ||
        memo->method != call->method || memcmp(path, call->path.ptr, call->path.len) != 0 ||
        memcmp(path + call->path.len, call->env_name.ptr, call->env_name.len) != 0 ||
        memcmp(memo->text, call->host.ptr, call->host.len) != 0) {
        return false;
    }
    *ret_answer = memo->answer;
    return true;
}

void
sl_image_remember(struct sl_image *image, const struct sl_image_call *call,
                  const struct sl_image_answer *answer)
{
    // What was found while the directory moved may lie in the old one.
    if (image->memos == NULL || call->epoch != image->epoch || !is_kept(call)) {
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
