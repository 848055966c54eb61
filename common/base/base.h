// base.h - the few words of C that every file of ours uses.
//
// Scope cleanup, ownership transfer, checked results, magic words. Macros only: no state, no code.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BASE_BASE_H
#define SL_BASE_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The caller must look at the result.
#define SL_MUST_CHECK __attribute__((warn_unused_result))

// printf-like: argument `fmt` is the format, `first` the first value.
#define SL_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

// Declares a pointer to struct `type` that type_free() empties when its scope ends:
// `SL_AUTO(sl_arena) arena = sl_arena_new(…);` calls sl_arena_free(&arena).
#define SL_AUTO(type) __attribute__((cleanup(type##_free))) struct type *

// Moves a pointer out of the variable that owns it: `return SL_TAKE(tx);`
#define SL_TAKE(pointer)                                                                           \
    __extension__({                                                                                \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })

#define SL_COUNT(array) (sizeof(array) / sizeof((array)[0]))

// First member of a struct that travels as void *; set by its constructor to its own number.
#define SL_MAGIC uint32_t magic

// Turns a void * back into its struct and asserts that it is one:
// `struct peer *peer = SL_CAST(peer, PEER_MAGIC, arg);`
#define SL_CAST(type, number, pointer)                                                             \
    __extension__({                                                                                \
        struct type *cast_ = (pointer);                                                            \
        assert(cast_ != NULL && cast_->magic == (number));                                         \
        cast_;                                                                                     \
    })

#endif
