// arena.c - see arena.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 8192 // a typical command fits into one
#define ALIGNMENT   16

struct block {
    struct block *next; // older block
    size_t size_bytes;  // of bytes[]
    size_t used_bytes;  // of bytes[]
    _Alignas(ALIGNMENT) char bytes[];
};

struct release {
    struct release *next; // registered before
    void (*run)(void *);  //
    void *pointer;        //
};

struct sl_arena {
    struct block *blocks;     // newest first
    struct release *releases; // newest first
    size_t max_bytes;         //
    size_t held_bytes;        // by all blocks
    bool failed;              // an allocation was refused
};

struct sl_arena *
sl_arena_new(size_t max_bytes)
{
    struct sl_arena *arena = calloc(1, sizeof(*arena));
    if (arena != NULL) {
        arena->max_bytes = max_bytes;
    }
    return arena;
}

static void
run_releases(struct sl_arena *arena)
{
    while (arena->releases != NULL) {
        struct release *release = arena->releases;
        arena->releases = release->next;
        release->run(release->pointer);
    }
}

static void
free_blocks(struct sl_arena *arena, struct block *keep)
{
    struct block *block = arena->blocks;
    while (block != keep) {
        struct block *next = block->next;
        arena->held_bytes -= block->size_bytes;
        free(block);
        block = next;
    }
    arena->blocks = keep;
}

void
sl_arena_free(struct sl_arena **arena)
{
    if (arena == NULL || *arena == NULL) {
        return;
    }
    run_releases(*arena);
    free_blocks(*arena, NULL);
    free(*arena);
    *arena = NULL;
}

void
sl_arena_clear(struct sl_arena *arena)
{
    run_releases(arena);
    struct block *first = arena->blocks;
    while (first != NULL && first->next != NULL) {
        first = first->next;
    }
    free_blocks(arena, first);
    if (first != NULL) {
        first->used_bytes = 0;
    }
    arena->failed = false;
}

// Makes room for `size_bytes` (aligned) in the newest block.
static bool
grow(struct sl_arena *arena, size_t size_bytes)
{
    size_t want = size_bytes > BLOCK_BYTES ? size_bytes : BLOCK_BYTES;
    if (want > arena->max_bytes - arena->held_bytes) {
        want = size_bytes;
    }
    if (want > arena->max_bytes - arena->held_bytes) {
        return false;
    }
    struct block *block = malloc(sizeof(*block) + want);
    if (block == NULL) {
        return false;
    }
    block->next = arena->blocks;
    block->size_bytes = want;
    block->used_bytes = 0;
    arena->blocks = block;
    arena->held_bytes += want;
    return true;
}

void *
sl_arena_alloc(struct sl_arena *arena, size_t size_bytes)
{
    if (size_bytes > arena->max_bytes) {
        arena->failed = true;
        return NULL;
    }
    size_t aligned = (size_bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct block *block = arena->blocks;
    if (block == NULL || aligned > block->size_bytes - block->used_bytes) {
        if (!grow(arena, aligned)) {
            arena->failed = true;
            return NULL;
        }
        block = arena->blocks;
    }
    void *pointer = block->bytes + block->used_bytes;
    block->used_bytes += aligned;
    memset(pointer, 0, aligned);
    return pointer;
}

void *
sl_arena_array(struct sl_arena *arena, size_t count, size_t size_bytes)
{
    size_t total = 0;
    if (__builtin_mul_overflow(count, size_bytes, &total)) {
        arena->failed = true;
        return NULL;
    }
    return sl_arena_alloc(arena, total);
}

char *
sl_arena_dup(struct sl_arena *arena, const char *text)
{
    return text == NULL ? NULL : sl_arena_dupn(arena, text, strlen(text));
}

char *
sl_arena_dupn(struct sl_arena *arena, const void *bytes, size_t len)
{
    char *copy = sl_arena_alloc(arena, len + 1);
    if (copy != NULL && len > 0) {
        memcpy(copy, bytes, len);
    }
    return copy;
}

char *
sl_arena_printf(struct sl_arena *arena, const char *fmt, ...)
{
    va_list values;
    va_list again;
    va_start(values, fmt);
    va_copy(again, values);
    int len = vsnprintf(NULL, 0, fmt, values);
    va_end(values);
    char *text = len < 0 ? NULL : sl_arena_alloc(arena, (size_t)len + 1);
    if (text != NULL) {
        vsnprintf(text, (size_t)len + 1, fmt, again);
    }
    va_end(again);
    return text;
}

int
sl_arena_defer(struct sl_arena *arena, void (*release)(void *), void *pointer)
{
    struct release *entry = sl_arena_alloc(arena, sizeof(*entry));
    if (entry == NULL) {
        release(pointer);
        return -1;
    }
    entry->run = release;
    entry->pointer = pointer;
    entry->next = arena->releases;
    arena->releases = entry;
    return 0;
}

bool
sl_arena_failed(const struct sl_arena *arena)
{
    return arena->failed;
}

int
sl_arena_check(const struct sl_arena *arena, struct sl_error *err)
{
    if (arena->failed) {
        sl_fail(err, SL_E_INTERNAL);
        return sl_error_detail(err, "the arena's maximum of %zu bytes", arena->max_bytes);
    }
    return 0;
}
