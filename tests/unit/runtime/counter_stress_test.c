// counter_stress_test.c - many processes and threads take units while an agent grants and recalls.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/fork.h"
#include "tests/unit/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/runtime/counter_agent.h"
#include "common/runtime/counter_layout.h"

#define POLICY  "0123456789abcdef0123456789abcdef"
#define WORKERS 4
#define RUN_MS  1500
#define LIMIT   500
#define WINDOWS 4096

// What all workers admitted in each second; shared between processes.
struct tally {
    _Atomic uint32_t api[WINDOWS]; // by window modulo WINDOWS
    _Atomic uint32_t app[WINDOWS];
    _Atomic uint32_t done; // workers that finished
};

struct worker {
    char name[64];
    struct tally *tally;
};

static void
open_and_take(const struct worker *worker)
{
    struct sl_error err;
    struct sl_counters *counters = sl_counters_open(worker->name, 64, &err);
    assert(counters != NULL);
    struct sl_counter_key keys[2];
    struct sl_str app = sl_str(POLICY);
    sl_counter_policy_key(&keys[0], POLICY, NULL, SL_COUNT_API, NULL, 1);
    sl_counter_policy_key(&keys[1], POLICY, NULL, SL_COUNT_APP, &app, 1);
    struct sl_counter_take takes[2];
    for (int i = 0; i < 2; i++) {
        takes[i] = (struct sl_counter_take){.key = &keys[i],
                                            .policy_id = POLICY,
                                            .limit = i == 0 ? LIMIT : LIMIT / 2,
                                            .revision = 1,
                                            .window_s = 1};
    }
    int64_t end_ms = sl_mono_ms() + RUN_MS;
    size_t first;
    while (sl_mono_ms() < end_ms) {
        if (sl_counters_take(counters, takes, 2, sl_mono_ms(), SL_COUNTER_FIRST, &first) ==
            SL_COUNTER_TAKEN) {
            atomic_fetch_add(&worker->tally->api[takes[0].window % WINDOWS], 1);
            atomic_fetch_add(&worker->tally->app[takes[1].window % WINDOWS], 1);
        }
    }
    atomic_fetch_add(&worker->tally->done, 1);
    sl_counters_free(&counters);
}

static void *
run_thread(void *arg)
{
    open_and_take(arg);
    return NULL;
}

// Grants and recalls at random, never more than the limit in all.
static void
act_as_agent(struct sl_counters *counters, struct tally *tally, unsigned seed)
{
    struct sl_counter_state state;
    struct sl_counter_span span;
    while (atomic_load(&tally->done) < WORKERS) {
        int64_t now = sl_mono_ms();
        sl_counters_beat(counters, now);
        uint32_t window = sl_counter_window(sl_counters_clock(counters, now), 1);
        for (uint32_t slot = 0; slot < sl_counters_slots(counters); slot++) {
            if (!sl_counters_read(counters, slot, &state)) {
                continue;
            }
            uint32_t target = (uint32_t)rand_r(&seed) % ((uint32_t)state.limit + 1);
            uint32_t ahead = (uint32_t)rand_r(&seed) % 2;
            sl_counters_apply(counters, slot, &(struct sl_counter_span){window + ahead, target, 0},
                              0, target % 7 == 0, &span);
            assert_true(span.window == 0 || span.allowed <= state.limit);
            assert_true(span.used <= span.allowed);
        }
        usleep(200);
    }
}

static void
check(const struct sl_counters *counters, struct tally *tally)
{
    uint64_t admitted = 0;
    for (size_t i = 0; i < WINDOWS; i++) {
        assert_true(atomic_load(&tally->api[i]) <= LIMIT);
        assert_true(atomic_load(&tally->app[i]) <= LIMIT / 2);
        admitted += atomic_load(&tally->api[i]);
    }
    assert_true(admitted > 0);
    // What the agent reads as used is exactly what was admitted: nothing lost, nothing invented.
    struct sl_counter_state state;
    for (uint32_t slot = 0; slot < sl_counters_slots(counters); slot++) {
        for (size_t i = 0; sl_counters_read(counters, slot, &state) && i < SL_COUNTER_WINDOWS;
             i++) {
            struct sl_counter_span span = state.spans[i];
            uint32_t seen = atomic_load(&tally->app[span.window % WINDOWS]);
            assert_true(span.window == 0 || span.used == seen);
        }
    }
}

static void
never_over_with(void **state, bool processes)
{
    (void)state;
    struct worker worker;
    struct sl_error err;
    snprintf(worker.name, sizeof(worker.name), "unit-stress-%d", getpid());
    worker.tally = mmap(NULL, sizeof(*worker.tally), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(worker.tally != MAP_FAILED);
    struct sl_counters *counters = sl_counters_open(worker.name, 64, &err);
    assert_non_null(counters);
    assert_int_equal(0, sl_counters_attend(counters, &err));
    for (uint32_t i = 0; i < SL_SHARDS; i++) {
        sl_counters_set_up(counters, i, true);
    }
    pthread_t threads[WORKERS];
    pid_t children[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        if (!processes) {
            assert_int_equal(0, pthread_create(&threads[i], NULL, run_thread, &worker));
            continue;
        }
        children[i] = fork_child();
        if (children[i] == 0) {
            open_and_take(&worker);
            _exit(0);
        }
    }
    act_as_agent(counters, worker.tally, 7);
    for (int i = 0; i < WORKERS; i++) {
        int status = 0;
        if (processes) {
            assert_int_equal(children[i], waitpid(children[i], &status, 0));
            assert_int_equal(0, status);
        } else {
            assert_int_equal(0, pthread_join(threads[i], NULL));
        }
    }
    check(counters, worker.tally);
    char path[128];
    sl_counters_path(worker.name, 64, path, sizeof(path));
    unlink(path);
    sl_counters_free(&counters);
    munmap(worker.tally, sizeof(*worker.tally));
}

static void
processes_never_take_more_than_was_granted(void **state)
{
    never_over_with(state, true);
}

static void
threads_never_take_more_than_was_granted(void **state)
{
    never_over_with(state, false);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processes_never_take_more_than_was_granted),
        cmocka_unit_test(threads_never_take_more_than_was_granted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
