// ledger_test.c - a budget that several processes share, some of which are killed.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/fork.h"
#include "tests/unit/test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "services/nginx/ngx_http_sluice_ledger.h"

#define BUDGET    1000
#define PROCESSES 6
#define ROUNDS    200000

// What the processes of a test share.
struct shared {
    struct ngx_http_sluice_ledger ledger;
    _Atomic uint64_t granted; // a lower bound of what is held: counted after taking, before giving
    _Atomic uint64_t refusals;
    _Atomic bool went_over;
};

static int
map_shared(void **state)
{
    *state = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                  -1, 0);
    return *state == MAP_FAILED ? -1 : 0;
}

static int
unmap_shared(void **state)
{
    return munmap(*state, sizeof(struct shared));
}

static void
a_fresh_ledger_holds_nothing(void **state)
{
    struct shared *shared = *state;

    assert_int_equal(ngx_http_sluice_ledger_held(&shared->ledger), 0);
    ngx_http_sluice_ledger_enter(&shared->ledger, NGX_HTTP_SLUICE_LEDGER_SLOTS - 1);
    assert_int_equal(shared->ledger.used, NGX_HTTP_SLUICE_LEDGER_SLOTS);
    ngx_http_sluice_ledger_enter(&shared->ledger, 3);
    assert_int_equal(shared->ledger.used, NGX_HTTP_SLUICE_LEDGER_SLOTS);
    assert_int_equal(ngx_http_sluice_ledger_held(&shared->ledger), 0);
}

static void
the_budget_may_be_held_to_its_last_byte(void **state)
{
    struct ngx_http_sluice_ledger *ledger = &((struct shared *)*state)->ledger;

    ngx_http_sluice_ledger_enter(ledger, 0);
    assert_true(ngx_http_sluice_ledger_take(ledger, 0, BUDGET - 1, BUDGET));
    assert_true(ngx_http_sluice_ledger_take(ledger, 0, 1, BUDGET));
    assert_false(ngx_http_sluice_ledger_take(ledger, 0, 1, BUDGET));
    assert_int_equal(ngx_http_sluice_ledger_held(ledger), BUDGET);
    assert_int_equal(ledger->refused, 1);
    ngx_http_sluice_ledger_give(ledger, 0, 2);
    assert_true(ngx_http_sluice_ledger_take(ledger, 0, 2, BUDGET));
    ngx_http_sluice_ledger_give(ledger, 0, BUDGET);
    assert_int_equal(ngx_http_sluice_ledger_held(ledger), 0);
}

static void
a_smaller_budget_refuses_until_enough_was_given_back(void **state)
{
    struct ngx_http_sluice_ledger *ledger = &((struct shared *)*state)->ledger;

    ngx_http_sluice_ledger_enter(ledger, 0);
    assert_true(ngx_http_sluice_ledger_take(ledger, 0, BUDGET, BUDGET));
    assert_false(ngx_http_sluice_ledger_take(ledger, 0, 1, BUDGET / 2));
    ngx_http_sluice_ledger_give(ledger, 0, BUDGET / 2);
    assert_false(ngx_http_sluice_ledger_take(ledger, 0, 1, BUDGET / 2));
    ngx_http_sluice_ledger_give(ledger, 0, 1);
    assert_true(ngx_http_sluice_ledger_take(ledger, 0, 1, BUDGET / 2));
}

static void
what_is_larger_than_the_budget_is_refused(void **state)
{
    struct ngx_http_sluice_ledger *ledger = &((struct shared *)*state)->ledger;

    ngx_http_sluice_ledger_enter(ledger, 0);
    assert_false(ngx_http_sluice_ledger_take(ledger, 0, BUDGET + 1, BUDGET));
    assert_true(ngx_http_sluice_ledger_take(ledger, 0, 0, BUDGET));
    assert_int_equal(ngx_http_sluice_ledger_held(ledger), 0);
}

static void
who_enters_a_slot_holds_nothing_of_who_had_it(void **state)
{
    struct ngx_http_sluice_ledger *ledger = &((struct shared *)*state)->ledger;

    ngx_http_sluice_ledger_enter(ledger, 5);
    assert_true(ngx_http_sluice_ledger_take(ledger, 5, 700, BUDGET));
    ngx_http_sluice_ledger_enter(ledger, 5);
    assert_int_equal(ngx_http_sluice_ledger_held(ledger), 0);
}

// A process in slot 1 that holds `bytes` until it is killed.
static pid_t
start_holder(struct ngx_http_sluice_ledger *ledger, uint64_t bytes)
{
    int ready[2];
    char byte;

    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork_child();
    if (pid == 0) {
        ngx_http_sluice_ledger_enter(ledger, 1);
        bool taken = ngx_http_sluice_ledger_take(ledger, 1, bytes, BUDGET);
        if (write(ready[1], taken ? "y" : "n", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void
what_a_killed_process_held_is_free_at_once(void **state)
{
    struct ngx_http_sluice_ledger *ledger = &((struct shared *)*state)->ledger;
    pid_t holder = start_holder(ledger, BUDGET - 100);

    ngx_http_sluice_ledger_enter(ledger, 0);
    assert_int_equal(ngx_http_sluice_ledger_held(ledger), BUDGET - 100);
    assert_false(ngx_http_sluice_ledger_take(ledger, 0, 101, BUDGET));
    assert_int_equal(kill(holder, SIGKILL), 0);
    assert_int_equal(waitpid(holder, NULL, 0), holder);
    assert_int_equal(ngx_http_sluice_ledger_held(ledger), 0);
    assert_true(ngx_http_sluice_ledger_take(ledger, 0, BUDGET, BUDGET));
    assert_false(ngx_http_sluice_ledger_take(ledger, 0, 1, BUDGET));
    // Who replaces it begins with nothing, and the sum is what the living hold.
    ngx_http_sluice_ledger_enter(ledger, 1);
    assert_int_equal(ngx_http_sluice_ledger_held(ledger), BUDGET);
}

// Takes more before giving the former back, so that all of them want more than there is.
static void
take_and_give(struct shared *shared, size_t slot)
{
    unsigned int seed = (unsigned int)slot;
    uint64_t held = 0;

    ngx_http_sluice_ledger_enter(&shared->ledger, slot);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t bytes = 1 + (uint64_t)rand_r(&seed) % (BUDGET / 2);
        bool taken = ngx_http_sluice_ledger_take(&shared->ledger, slot, bytes, BUDGET);

        if (taken && atomic_fetch_add(&shared->granted, bytes) + bytes > BUDGET) {
            shared->went_over = true;
        }
        shared->refusals += taken ? 0 : 1;
        shared->granted -= held;
        ngx_http_sluice_ledger_give(&shared->ledger, slot, held);
        held = taken ? bytes : 0;
    }
    shared->granted -= held;
    ngx_http_sluice_ledger_give(&shared->ledger, slot, held);
}

static void
many_processes_together_never_hold_more(void **state)
{
    struct shared *shared = *state;
    pid_t pids[PROCESSES];

    for (size_t i = 0; i < PROCESSES; i++) {
        pids[i] = fork_child();
        if (pids[i] == 0) {
            take_and_give(shared, i);
            _exit(0);
        }
    }
    for (size_t i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_false(shared->went_over);
    assert_int_equal(shared->granted, 0);
    assert_int_equal(shared->ledger.refused, shared->refusals);
    assert_true(shared->refusals > PROCESSES);
    for (size_t i = 0; i < PROCESSES; i++) {
        assert_int_equal(shared->ledger.slots[i].bytes, 0);
    }
}

#define WITH_MEMORY(test) cmocka_unit_test_setup_teardown(test, map_shared, unmap_shared)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MEMORY(a_fresh_ledger_holds_nothing),
        WITH_MEMORY(the_budget_may_be_held_to_its_last_byte),
        WITH_MEMORY(a_smaller_budget_refuses_until_enough_was_given_back),
        WITH_MEMORY(what_is_larger_than_the_budget_is_refused),
        WITH_MEMORY(who_enters_a_slot_holds_nothing_of_who_had_it),
        WITH_MEMORY(what_a_killed_process_held_is_free_at_once),
        WITH_MEMORY(many_processes_together_never_hold_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
