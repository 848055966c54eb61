// counter_kit.h - counters of one node with one key, for the tests of counters.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_COUNTER_KIT_H
#define SL_TESTS_COUNTER_KIT_H

#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/runtime/counter_agent.h"
#include "common/runtime/counter_layout.h"

#define POLICY       "0123456789abcdef0123456789abcdef"
#define POLICY_UPPER "0123456789ABCDEF0123456789ABCDEF"
#define PUBLISH      "ffffffffffffffff0000000000000000"
#define WINDOW       3600

struct fixture {
    char name[64];                // of the file
    size_t keys;                  // that it has room for
    struct sl_counters *counters; //
    struct sl_counter_key key;    // api, an hour
    struct sl_counter_take take;  // of it, limit 3
    uint32_t window;              // the hour that it is
};

static inline void
unlink_counters(const char *name, size_t keys)
{
    char path[128];
    sl_counters_path(name, keys, path, sizeof(path));
    unlink(path);
    snprintf(path, sizeof(path), "/dev/shm/sluice-%s-wake", name);
    unlink(path);
}

static inline int
setup_with(void **state, size_t slots)
{
    static struct fixture fixture;
    struct sl_error err;
    memset(&fixture, 0, sizeof(fixture));
    snprintf(fixture.name, sizeof(fixture.name), "unit-counter-%d", getpid());
    fixture.keys = slots;
    unlink_counters(fixture.name, slots);
    fixture.counters = sl_counters_open(fixture.name, slots, &err);
    assert_non_null(fixture.counters);
    assert_int_equal(0, sl_counters_attend(fixture.counters, &err));
    sl_counter_policy_key(&fixture.key, POLICY, PUBLISH, SL_COUNT_API, NULL, WINDOW);
    fixture.take = (struct sl_counter_take){
        .key = &fixture.key, .policy_id = POLICY, .limit = 3, .revision = 1, .window_s = WINDOW};
    fixture.window = sl_counter_window(sl_counters_clock(fixture.counters, sl_mono_ms()), WINDOW);
    sl_counters_beat(fixture.counters, sl_mono_ms());
    for (uint32_t i = 0; i < SL_SHARDS; i++) {
        sl_counters_set_up(fixture.counters, i, true);
    }
    *state = &fixture;
    return 0;
}

static inline int
setup(void **state)
{
    return setup_with(state, 1024);
}

static inline int
setup_small(void **state)
{
    return setup_with(state, 16);
}

static inline int
teardown(void **state)
{
    struct fixture *f = *state;
    unlink_counters(f->name, f->keys);
    sl_counters_free(&f->counters);
    return 0;
}

static inline enum sl_counter_answer
take_one(struct fixture *f)
{
    size_t first;
    return sl_counters_take(f->counters, &f->take, 1, sl_mono_ms(), SL_COUNTER_FIRST, &first);
}

static inline struct sl_counter_span
grant(struct fixture *f, uint32_t slot, uint32_t window, uint32_t allowed, bool exhausted)
{
    struct sl_counter_span span;
    sl_counters_apply(f->counters, slot, &(struct sl_counter_span){window, allowed, 0}, 0,
                      exhausted, &span);
    return span;
}

#endif
