// scale_test.c - a million live counters on one node: memory, cost of a request, the agent's work.
//
// The real counters and the real agent's half of the protocol; an owner of all shards that grants
// every key what it wants. Sanitized builds take a twentieth of the keys.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/runtime/counter_layout.h"
#include "services/node/grants_state.h"

#ifdef __SANITIZE_ADDRESS__
#define KEYS_MANY 50000
#else
#define KEYS_MANY 1000000
#endif
#define KEYS_FEW     1000
#define MEMORY_BYTES (256.0 * KEYS_MANY) // the mapping and the agent: 256 MB for a million
#define COST_RATIO   8                   // of a request among many keys to one among few
#define POLICY       "0123456789abcdef0123456789abcdef"
#define PUBLISH      "fedcba98765432100123456789abcdef"
#define NODE_ID      "00000000000000000000000000000001"
#define LIMIT        1000
#define WINDOW_S     3600
#define TAKES        400000
#define REQUESTS     64    // of the agent that are out at once
#define FLOOD        20000 // new addresses that come before the owner answers anything

// Requests of the agent that the owner has yet to answer.
struct outbox {
    json_t *body[REQUESTS];
    uint64_t token[REQUESTS];
    size_t count;
};

struct node {
    char name[64];
    size_t keys;
    struct sl_counters *counters;
    struct grants *grants;
    struct outbox outbox;
    int64_t now_ms;      // monotonic, of the test
    int64_t epoch;       // of all shards
    int64_t heap_bytes;  // before there was an agent
    size_t keys_heard;   // by the owner
    size_t most_at_once; // keys that one call of the agent sent
};

static void
hear(void *arg, uint32_t shard, json_t *body, uint64_t token)
{
    struct node *node = arg;
    (void)shard;
    assert_true(node->outbox.count < REQUESTS);
    node->outbox.body[node->outbox.count] = body;
    node->outbox.token[node->outbox.count++] = token;
}

static json_t *
message(const struct node *node, json_t *keys)
{
    return json_pack("{sssIsssIso}", "owner", "owner-1", "now",
                     (json_int_t)sl_counters_clock(node->counters, node->now_ms), "boot",
                     sl_counters_boot(node->counters), "inc", (json_int_t)1, "keys", keys);
}

static void
own_all_shards(struct node *node, json_t *body)
{
    json_object_set_new(body, "shards", json_pack("[[iiI]]", 0, SL_SHARDS - 1, node->epoch));
}

// The owner's answer: the whole limit to every key that wants.
static json_t *
answer(struct node *node, const json_t *request)
{
    json_t *keys = json_array();
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(request, "keys"), i, item)
    {
        json_t *windows = json_object_get(item, "w");
        json_t *window = json_array_get(windows, json_array_size(windows) - 1);
        json_int_t seq = json_integer_value(json_array_get(window, 1));
        if (json_integer_value(json_array_get(window, 4)) > 0) {
            json_array_append_new(
                keys, json_pack("{sOsIs[[OIIIb]]}", "k", json_object_get(item, "k"), "e",
                                (json_int_t)node->epoch, "g", json_array_get(window, 0), seq + 1,
                                (json_int_t)LIMIT, (json_int_t)0, 0));
        }
    }
    json_t *reply = message(node, keys);
    own_all_shards(node, reply);
    return reply;
}

// Answers what the agent sent, and what it sends because of the answers.
static void
serve(struct node *node)
{
    while (node->outbox.count > 0) {
        struct outbox out = node->outbox;
        size_t at_once = 0;
        node->outbox.count = 0;
        for (size_t i = 0; i < out.count; i++) {
            json_t *reply = answer(node, out.body[i]);
            at_once += json_array_size(json_object_get(out.body[i], "keys"));
            grants_reply(node->grants, out.token[i], reply, node->now_ms);
            json_decref(reply);
            json_decref(out.body[i]);
        }
        node->keys_heard += at_once;
        node->most_at_once = at_once > node->most_at_once ? at_once : node->most_at_once;
    }
}

static void
announce(struct node *node)
{
    json_t *event = message(node, json_array());
    own_all_shards(node, event);
    grants_event(node->grants, event, node->now_ms);
    json_decref(event);
}

// Lets time pass in steps of the agent's loop.
static void
run_agent(struct node *node, int ticks)
{
    for (int i = 0; i < ticks; i++) {
        node->now_ms += 10;
        grants_tick(node->grants, node->now_ms);
        serve(node);
    }
}

// Until the agent has nothing more to say.
static void
settle(struct node *node)
{
    do {
        node->keys_heard = 0;
        run_agent(node, 120);
    } while (node->keys_heard > 0);
}

static int64_t
heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return (int64_t)(info.uordblks + info.hblkhd);
}

static void
unlink_node(const struct node *node)
{
    char path[128];
    sl_counters_path(node->name, node->keys, path, sizeof(path));
    unlink(path);
    snprintf(path, sizeof(path), "/dev/shm/sluice-%s-wake", node->name);
    unlink(path);
}

static void
open_node(struct node *node, size_t keys)
{
    struct sl_error err;
    *node = (struct node){.keys = keys, .epoch = 1, .now_ms = 1000000};
    snprintf(node->name, sizeof(node->name), "unit-scale-%d", getpid());
    unlink_node(node);
    node->counters = sl_counters_open(node->name, keys, &err);
    assert_non_null(node->counters);
    assert_int_equal(0, sl_counters_attend(node->counters, &err));
    sl_counters_set_offset(node->counters, 1800000000000LL - node->now_ms);
    node->heap_bytes = heap_bytes();
    node->grants = grants_new(&(struct grants_options){.counters = node->counters,
                                                       .node_id = NODE_ID,
                                                       .incarnation = 1,
                                                       .send = hear,
                                                       .arg = node});
    assert_non_null(node->grants);
    announce(node);
    run_agent(node, 2);
}

static void
close_node(struct node *node)
{
    grants_free(&node->grants);
    unlink_node(node);
    sl_counters_free(&node->counters);
}

// A call from the number's address.
static enum sl_counter_answer
call_from(struct node *node, uint32_t number, struct sl_counter_take *ret_take)
{
    char address[16];
    struct sl_counter_key key;
    size_t first;
    snprintf(address, sizeof(address), "10.%u.%u.%u", number >> 16 & 255, number >> 8 & 255,
             number & 255);
    struct sl_str subject = sl_str(address);
    sl_counter_policy_key(&key, POLICY, PUBLISH, SL_COUNT_IP, &subject, WINDOW_S);
    *ret_take = (struct sl_counter_take){
        .key = &key, .policy_id = POLICY, .limit = LIMIT, .revision = 1, .window_s = WINDOW_S};
    enum sl_counter_answer came =
        sl_counters_take(node->counters, ret_take, 1, node->now_ms, SL_COUNTER_FIRST, &first);
    ret_take->key = NULL;
    return came;
}

// A first call from each of `count` addresses, which makes them live.
static void
call_from_all(struct node *node, uint32_t count)
{
    struct sl_counter_take take;
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(SL_COUNTER_WAIT, call_from(node, i, &take));
        assert_true(take.slot < node->keys);
        if (i % 1024 == 1023 || i + 1 == count) {
            node->now_ms++;
            grants_asked(node->grants, node->now_ms);
            serve(node);
        }
    }
    run_agent(node, 200);
}

static double
cpu_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

// Nanoseconds of a call that is admitted, from one of `count` live addresses in no order.
static double
cost_of_call(struct node *node, uint32_t count)
{
    struct sl_counter_take take;
    uint32_t number = 1;
    double start = cpu_ns();
    for (int i = 0; i < TAKES; i++) {
        number = (number * 1664525U + 1013904223U);
        assert_int_equal(SL_COUNTER_TAKEN, call_from(node, (number >> 4) % count, &take));
    }
    return (cpu_ns() - start) / TAKES;
}

// Nanoseconds that the agent spends in a second without news.
static double
cost_of_quiet_second(struct node *node)
{
    double start = cpu_ns();
    run_agent(node, 1000);
    return (cpu_ns() - start) / 10;
}

static void
few_keys(double *ret_call_ns, double *ret_quiet_ns)
{
    struct node node;
    open_node(&node, 4096);
    call_from_all(&node, KEYS_FEW);
    *ret_call_ns = cost_of_call(&node, KEYS_FEW);
    settle(&node);
    *ret_quiet_ns = cost_of_quiet_second(&node);
    close_node(&node);
}

static void
check_memory(const struct node *node)
{
    char path[128];
    struct stat info;
    sl_counters_path(node->name, node->keys, path, sizeof(path));
    assert_int_equal(0, stat(path, &info));
    double agent = (double)(heap_bytes() - node->heap_bytes);
    print_message("%d keys: %.1f MB shared, %.1f MB of the agent\n", KEYS_MANY,
                  (double)info.st_size / 1e6, agent / 1e6);
    // What does not grow with the keys is no part of the promise for a million.
    double fixed = KEYS_MANY < 1000000 ? 1e6 : 0;
    assert_true((double)info.st_size + agent <= MEMORY_BYTES + fixed);
}

// Every slot is in use, by one key each: one more falls to its policy's counter.
static void
check_full(struct node *node)
{
    struct sl_counter_take take;
    struct sl_counter_state read;
    struct sl_counter_key key;
    assert_int_equal(KEYS_MANY, sl_counters_used(node->counters));
    call_from(node, KEYS_MANY, &take);
    assert_true(take.slot >= node->keys);
    assert_true(sl_counters_read(node->counters, take.slot, &read));
    assert_true(sl_counters_key(node->counters, take.slot, &read, &key));
    assert_string_equal("o/" POLICY "/3600", key.text);
}

// Only what changed is reported; a new owner hears everything, a part at a time.
static void
check_reports(struct node *node)
{
    struct sl_counter_take take;
    settle(node);
    run_agent(node, 200);
    assert_int_equal(0, node->keys_heard);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(SL_COUNTER_TAKEN, call_from(node, i * 1000, &take));
    }
    run_agent(node, 100);
    assert_int_equal(3, node->keys_heard);
    node->keys_heard = 0;
    node->most_at_once = 0;
    node->epoch = 2;
    announce(node);
    run_agent(node, KEYS_MANY / 400 + 100);
    // With the overflow counter.
    assert_int_equal(KEYS_MANY + 1, node->keys_heard);
    print_message("a new owner heard all of them; at most %zu in one turn of the agent's loop\n",
                  node->most_at_once);
    assert_true(node->most_at_once < 10000);
}

static void
a_million_keys_cost_what_was_promised(void **state)
{
    (void)state;
    double few_ns, few_quiet_ns;
    struct node node;
    few_keys(&few_ns, &few_quiet_ns);
    open_node(&node, KEYS_MANY);
    call_from_all(&node, KEYS_MANY);
    check_memory(&node);
    double many_ns = cost_of_call(&node, KEYS_MANY);
    print_message("a call: %.0f ns of %d keys, %.0f ns of %d\n", few_ns, KEYS_FEW, many_ns,
                  KEYS_MANY);
    check_full(&node);
    check_reports(&node);
    settle(&node);
    double quiet_ns = cost_of_quiet_second(&node);
    print_message("the agent's quiet second: %.0f us of %d keys, %.0f us of %d\n",
                  few_quiet_ns / 1e3, KEYS_FEW, quiet_ns / 1e3, KEYS_MANY);
    assert_true(many_ns < few_ns * COST_RATIO);
    // A look at every key would be a hundred times that.
    assert_true(quiet_ns < few_quiet_ns * COST_RATIO + 1e6);
    close_node(&node);
}

// While an owner is behind, few requests are out, and once it answers, every address has its units.
static void
an_owner_that_is_behind_is_not_buried(void **state)
{
    (void)state;
    struct sl_counter_take take;
    struct node node;
    open_node(&node, 2 * FLOOD);
    for (uint32_t i = 0; i < FLOOD; i++) {
        assert_int_equal(SL_COUNTER_WAIT, call_from(&node, i, &take));
        if (i % 64 == 63) {
            node.now_ms++;
            grants_asked(node.grants, node.now_ms);
            assert_in_range(node.outbox.count, 1, GRANTS_OUT);
        }
    }
    grants_tick(node.grants, node.now_ms + 10);
    assert_in_range(node.outbox.count, 1, GRANTS_OUT + 1); // and a heartbeat
    node.most_at_once = 0;
    serve(&node);
    assert_true(node.most_at_once <= (size_t)(GRANTS_OUT + 1) * GRANTS_PART);
    for (uint32_t i = 0; i < FLOOD; i++) {
        assert_int_equal(SL_COUNTER_TAKEN, call_from(&node, i, &take));
    }
    close_node(&node);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_owner_that_is_behind_is_not_buried),
        cmocka_unit_test(a_million_keys_cost_what_was_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
