// counter_fixture.c - an agent that grants whatever limits ask for, so that the module counts
// without a control plane.
//
//   counter_fixture NAME KEYS
//
// Makes the counters called NAME, of the size that workers open, and serves them until it is
// ended; the files stay. A window is granted whole, the next one with it.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/clock.h"
#include "common/runtime/counter_agent.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define BEAT_MS   100 // the agent's own
#define ASKED_MAX 256 // slots looked at in one go

static void
grant(struct sl_counters *counters, uint32_t slot)
{
    struct sl_counter_state state;
    struct sl_counter_span held;

    if (!sl_counters_read(counters, slot, &state)) {
        return;
    }
    int64_t clock_ms = sl_counters_clock(counters, sl_mono_ms()) + state.lead_ms;
    uint32_t window = sl_counter_window(clock_ms, state.window_s);
    for (uint32_t ahead = 0; ahead < 2; ahead++) {
        struct sl_counter_span span = {.window = window + ahead, .allowed = (uint32_t)state.limit};

        sl_counters_apply(counters, slot, &span, 0, false, &held);
    }
}

int
main(int argc, char **argv)
{
    struct sl_error err;
    uint32_t slots[ASKED_MAX];
    struct sl_counters *counters;

    if (argc != 3) {
        fprintf(stderr, "usage: counter_fixture NAME KEYS\n");
        return 2;
    }
    counters = sl_counters_open(argv[1], strtoul(argv[2], NULL, 10), &err);
    if (counters == NULL || sl_counters_attend(counters, &err) != 0) {
        fprintf(stderr, "counter_fixture: %s\n", err.detail);
        return 1;
    }
    sl_counters_set_offset(counters, sl_wall_ms() - sl_mono_ms());
    for (uint32_t shard = 0; shard < SL_SHARDS; shard++) {
        sl_counters_set_up(counters, shard, true);
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct pollfd wake = {.fd = sl_counters_wake_fd(counters), .events = POLLIN};

        sl_counters_beat(counters, sl_mono_ms());
        (void)poll(&wake, 1, BEAT_MS);
        size_t asked = sl_counters_asked(counters, slots, ASKED_MAX);
        for (size_t i = 0; i < asked; i++) {
            grant(counters, slots[i]);
        }
    }
}
