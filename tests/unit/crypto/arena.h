// arena.h - the arena that all tests of one program share, made and freed by group fixtures.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_UNIT_CRYPTO_ARENA_H
#define SL_TESTS_UNIT_CRYPTO_ARENA_H

#include "common/base/arena.h"

#define ARENA_MAX (4 * 1024 * 1024)

static struct sl_arena *arena;

static int
setup(void **state)
{
    (void)state;
    arena = sl_arena_new(ARENA_MAX);
    return arena == NULL;
}

static int
teardown(void **state)
{
    (void)state;
    sl_arena_free(&arena);
    return 0;
}

#endif
