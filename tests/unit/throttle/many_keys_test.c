// many_keys_test.c - an owner of very many keys: what it holds of each, and that no message waits
// for a look at all of them.
//
// Times are compared with each other only. Sanitized builds take a tenth of the keys.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/runtime/counter.h"
#include "services/throttle/account.h"
#include "tests/unit/collide.h"

#ifdef __SANITIZE_ADDRESS__
#define KEYS 10000
#else
#define KEYS 100000
#endif
#define PART       400       // keys of a message
#define NODES      50        // of the gateway; the first one has all the keys
#define KEY_BYTES  800       // that a key may take of memory
#define GROWN_MAX  (4 << 20) // bytes that a few more may take
#define LIMIT      1000
#define WINDOW_S   3600
#define GATEWAY    "0123456789abcdef0123456789abcdef"
#define POLICY     "11112222333344445555666677778888"
#define PUBLISH    "88887777666655554444333322221111"
#define BOOT       "99990000999900009999000099990000"
#define START_MS   1800000000000LL
#define OVER_MS    (2 * WINDOW_S * 1000LL) // when every window is over
#define TICK_MS    10
#define SWEEP_S    2 // in which the owner looks at every key once
#define TICKS_MANY (SWEEP_S * 1000 / TICK_MS / 10)
#define TURNS      5 // in one of which nobody else takes the processor's caches

struct owner {
    struct account *account;
    char ids[NODES][SL_ID_SIZE];
    int64_t report;                        // number of the last request
    int used;                              // units of each key that the node says it spent
    int64_t epoch;                         // of all shards
    int64_t now_ms;                        // accounting clock
    int64_t allowed;                       // of the first key of the last event
    struct account_contact contact;        // the first node's row
    struct account_ceiling ceilings[PART]; // to write
    size_t ceiling_count;                  //
};

static void
note_event(void *arg, const char *node_id, json_t *body)
{
    struct owner *owner = arg;
    (void)node_id;
    const json_t *key = json_array_get(json_object_get(body, "keys"), 0);
    const json_t *grant = json_array_get(json_object_get(key, "g"), 0);
    owner->allowed = json_integer_value(json_array_get(grant, 2));
}

// Adds what the first node says of a key.
static void
add_key(const struct owner *owner, json_t *keys, const char *text, int wants)
{
    uint32_t window = sl_counter_window(owner->now_ms, WINDOW_S);
    json_array_append_new(keys,
                          json_pack("{sssisisis[[Iiiii]]}", "k", text, "s", WINDOW_S, "l", LIMIT,
                                    "r", 1, "w", (json_int_t)window, 0, 0, owner->used, wants));
}

// The first node's request with these keys, which are taken.
static void
send(struct owner *owner, json_t *keys)
{
    struct sl_error err;
    json_t *request = json_pack(
        "{sssisIsisisisbs[[iiIIb]]so}", "boot", BOOT, "inc", 1, "n", (json_int_t)++owner->report,
        "membership", 1, "members", NODES, "divides", 0, "leaves", 0, "shards", 0, SL_SHARDS - 1,
        (json_int_t)owner->epoch, (json_int_t)owner->now_ms, 1, "keys", keys);
    account_lease(owner->account, true);
    json_t *reply =
        account_exchange(owner->account, GATEWAY, owner->ids[0], request, owner->now_ms, &err);
    assert_non_null(reply);
    json_decref(reply);
    json_decref(request);
}

// The first node speaks of addresses `first` to `last`, each of which wants so many units.
static void
report(struct owner *owner, int first, int last, int wants)
{
    json_t *keys = json_array();
    for (int i = first; i < last; i++) {
        char address[32];
        struct sl_counter_key key;
        snprintf(address, sizeof(address), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        struct sl_str subject = sl_str(address);
        sl_counter_policy_key(&key, POLICY, PUBLISH, SL_COUNT_IP, &subject, WINDOW_S);
        add_key(owner, keys, key.text, wants);
    }
    send(owner, keys);
}

static void
write_row(void *arg, const char *gateway_id, const char *node_id,
          const struct account_contact *wanted)
{
    struct owner *owner = arg;
    if (strcmp(node_id, owner->ids[0]) == 0) {
        owner->contact = *wanted;
    }
    (void)gateway_id;
}

static void
write_ceiling(void *arg, const struct account_ceiling *wanted)
{
    struct owner *owner = arg;
    owner->ceilings[owner->ceiling_count++] = *wanted;
}

static void
take_shards(struct owner *owner)
{
    owner->epoch++;
    for (uint32_t shard = 0; shard < SL_SHARDS; shard++) {
        account_own(owner->account, shard, owner->epoch, INT64_MIN);
    }
}

static void
open_owner(struct owner *owner)
{
    struct sl_error err;
    const char *ids[NODES];
    const struct account_hooks hooks = {.publish = note_event, .arg = owner};
    *owner = (struct owner){.now_ms = START_MS};
    for (int i = 0; i < NODES; i++) {
        snprintf(owner->ids[i], SL_ID_SIZE, "%032x", i + 1);
        ids[i] = owner->ids[i];
    }
    owner->account = account_new("owner", &hooks);
    assert_non_null(owner->account);
    assert_int_equal(0, account_nodes(owner->account, GATEWAY, ids, NODES, &err));
    take_shards(owner);
    report(owner, 0, 0, 0);
    account_contacts(owner->account, owner->now_ms, true, write_row, owner);
    account_contact(owner->account, GATEWAY, owner->ids[0], &owner->contact);
}

// These keys want a unit and get it.
static void
serve(struct owner *owner, int first, int last)
{
    report(owner, first, last, 1);
    owner->ceiling_count = 0;
    account_ceilings(owner->account, PART, write_ceiling, owner);
    for (size_t i = 0; i < owner->ceiling_count; i++) {
        account_ceiling(owner->account, &owner->ceilings[i], &owner->ceilings[i], owner->now_ms);
    }
    account_ceilings_written(owner->account);
    account_tick(owner->account, ++owner->now_ms);
}

static void
fill(struct owner *owner)
{
    for (int first = 0; first < KEYS; first += PART) {
        serve(owner, first, first + PART);
    }
}

static double
cpu_ms(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

// Milliseconds that the timers take when `passed_ms` went by since they last ran, `times` over.
static double
cost_of_ticks(struct owner *owner, int64_t passed_ms, int times)
{
    double start = cpu_ms();
    for (int i = 0; i < times; i++) {
        owner->now_ms += passed_ms;
        account_tick(owner->account, owner->now_ms);
    }
    return cpu_ms() - start;
}

static int64_t
heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return (int64_t)(info.uordblks + info.hblkhd);
}

static void
count_usage(void *arg, const struct account_usage *usage)
{
    (void)usage;
    ++*(size_t *)arg;
}

// 50 nodes share the gateway, but a key costs what those hold that ask for it.
static void
a_key_takes_little_memory(void **state)
{
    (void)state;
    struct owner owner;
    open_owner(&owner);
    int64_t before = heap_bytes();
    fill(&owner);
    double bytes = (double)(heap_bytes() - before) / KEYS;
    print_message("%.0f bytes a key\n", bytes);
    assert_true(KEYS < 100000 || bytes <= KEY_BYTES);
    account_free(&owner.account);
}

// Callers of one address come a few times each: not every other call is worth an exchange.
static void
a_call_that_waits_brings_a_handful_of_a_long_window(void **state)
{
    (void)state;
    struct owner owner;
    open_owner(&owner);
    serve(&owner, 0, 1);
    assert_int_equal(1 + LIMIT / 100, owner.allowed);
    account_free(&owner.account);
}

static void
no_tick_looks_at_every_key(void **state)
{
    (void)state;
    struct owner owner;
    open_owner(&owner);
    fill(&owner);
    cost_of_ticks(&owner, TICK_MS, 2000); // until nothing waits
    bool is_cheap = false;
    for (int turn = 0; turn < TURNS && !is_cheap; turn++) {
        double all = cost_of_ticks(&owner, SWEEP_S * 1000, 1);
        double tenth = cost_of_ticks(&owner, TICK_MS, TICKS_MANY);
        print_message("a look at all: %.3f ms; a tenth of that time, tick by tick: %.3f ms\n", all,
                      tenth);
        is_cheap = tenth < all / 2;
    }
    assert_true(is_cheap);
    account_free(&owner.account);
}

// Shards go one by one when another process comes: each takes its own keys along and no others.
static void
a_shard_goes_with_its_own_keys(void **state)
{
    (void)state;
    struct owner owner;
    open_owner(&owner);
    fill(&owner);
    double all = cost_of_ticks(&owner, SWEEP_S * 1000, 1);
    double start = cpu_ms();
    for (uint32_t shard = 0; shard < SL_SHARDS; shard++) {
        account_disown(owner.account, shard);
    }
    double gone = cpu_ms() - start;
    print_message("a look at all: %.3f ms; giving all away: %.3f ms\n", all, gone);
    assert_true(gone < all * 100); // not a thousand looks
    take_shards(&owner);
    report(&owner, 0, PART, 1);
    owner.ceiling_count = 0;
    account_ceilings(owner.account, PART, write_ceiling, &owner);
    assert_int_equal(PART, owner.ceiling_count); // they are new
    account_free(&owner.account);
}

// Callers choose their addresses, and so keys. Those of one shard are in one table: with one that
// anybody can foresee, half as many ended the process.
static void
keys_made_to_collide_cost_no_more_than_others(void **state)
{
    (void)state;
    struct owner owner;
    char text[COLLIDE_SIZE];
    uint32_t first = SL_SHARDS;
    size_t count = 0;
    const struct collide texts = collide(GATEWAY "/", "t/", ':', COLLIDE_BLOCKS);
    open_owner(&owner);
    size_t before = collide_mapped();
    for (unsigned i = 0; i < 1U << COLLIDE_BLOCKS && count < COLLIDE_TEXTS; i++) {
        collide_text(&texts, i, text);
        uint32_t shard = sl_counter_shard(sl_str(text));
        first = first == SL_SHARDS ? shard : first;
        if (shard == first) {
            json_t *keys = json_array();
            add_key(&owner, keys, text, 1);
            send(&owner, keys);
            count++;
        }
    }
    assert_int_equal(COLLIDE_TEXTS, count);
    assert_true(collide_mapped() - before < GROWN_MAX);
    owner.ceiling_count = 0;
    account_ceilings(owner.account, PART, write_ceiling, &owner);
    assert_int_equal(COLLIDE_TEXTS, owner.ceiling_count); // each is a key of its own
    account_free(&owner.account);
}

// What is over is forgotten even if its usage was never written: the database may be slow.
static void
what_is_over_is_forgotten(void **state)
{
    (void)state;
    struct owner owner;
    size_t written = 0;
    int64_t before = 0;
    open_owner(&owner);
    before = heap_bytes();
    fill(&owner);
    owner.used = 1;
    fill(&owner);
    cost_of_ticks(&owner, OVER_MS, 2);
    assert_true(heap_bytes() - before < KEYS * 100);
    account_usages(owner.account, KEYS, count_usage, &written);
    assert_int_equal(0, written);
    account_free(&owner.account);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_takes_little_memory),
        cmocka_unit_test(a_call_that_waits_brings_a_handful_of_a_long_window),
        cmocka_unit_test(no_tick_looks_at_every_key),
        cmocka_unit_test(a_shard_goes_with_its_own_keys),
        cmocka_unit_test(keys_made_to_collide_cost_no_more_than_others),
        cmocka_unit_test(what_is_over_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
