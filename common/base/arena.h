// arena.h - memory that lives as long as one command.
//
// Made by the worker loop, given to handlers, freed after the reply: nothing taken from it is
// freed alone. One thread owns an arena. It has a maximum; at the maximum allocation answers NULL
// and sticks: sl_arena_failed() then says so, so that a builder may check once at its end.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BASE_ARENA_H
#define SL_BASE_ARENA_H

#include "common/base/error.h"
#include "common/base/str.h"

struct sl_arena;

// A new arena that never holds more than `max_bytes`. NULL when memory is out.
struct sl_arena *sl_arena_new(size_t max_bytes);

// Frees everything and empties the pointer. Takes NULL and a pointer to NULL.
void sl_arena_free(struct sl_arena **arena);

// Forgets all contents, keeps the first block for the next command; clears the failure.
void sl_arena_clear(struct sl_arena *arena);

// Zeroed memory, aligned for any type; NULL at the maximum.
void *sl_arena_alloc(struct sl_arena *arena, size_t size_bytes);

// `count` zeroed elements of `size_bytes`; NULL at the maximum or when the product overflows.
void *sl_arena_array(struct sl_arena *arena, size_t count, size_t size_bytes);

// A terminated copy of `text` (NULL gives NULL).
char *sl_arena_dup(struct sl_arena *arena, const char *text);

// A terminated copy of `len` bytes.
char *sl_arena_dupn(struct sl_arena *arena, const void *bytes, size_t len);

// A formatted string.
char *sl_arena_printf(struct sl_arena *arena, const char *fmt, ...) SL_PRINTF(2, 3);

// Runs `release(pointer)` when the arena is freed or cleared, newest first; for libraries' objects
// (json_decref, PQclear). -1 at the maximum; `release` has then run at once.
int sl_arena_defer(struct sl_arena *arena, void (*release)(void *), void *pointer);

// Whether an allocation was refused since the arena was made or cleared.
bool sl_arena_failed(const struct sl_arena *arena);

// 0, or -1 with SL_E_INTERNAL when sl_arena_failed().
int sl_arena_check(const struct sl_arena *arena, struct sl_error *err) SL_MUST_CHECK;

#endif
