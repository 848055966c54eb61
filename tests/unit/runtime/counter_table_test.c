// counter_table_test.c - the table of counters: packed keys, slots that change hands, sizes, news.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/runtime/counter_kit.h"

#include <fcntl.h>
#include <unistd.h>

static void
a_full_table_falls_to_the_policys_overflow_counter(void **state)
{
    struct fixture *f = *state;
    struct sl_counter_key key;
    char id[SL_ID_SIZE];
    uint32_t overflowed = 0;
    for (int i = 0; i < 40; i++) {
        snprintf(id, sizeof(id), "%032d", i);
        struct sl_str subject = {id, SL_ID_LEN};
        sl_counter_policy_key(&key, POLICY, PUBLISH, SL_COUNT_APP, &subject, WINDOW);
        f->take.key = &key;
        take_one(f);
        overflowed += f->take.slot >= f->counters->hashed_slots ? 1 : 0;
    }
    assert_int_equal(40 - 16, overflowed);
    struct sl_counter_state read;
    assert_true(sl_counters_read(f->counters, f->take.slot, &read));
    assert_true(sl_counters_key(f->counters, f->take.slot, &read, &key));
    assert_string_equal("o/" POLICY "/3600", key.text);
    assert_int_equal(f->take.slot,
                     sl_counters_find(f->counters, (struct sl_str){key.text, key.len}));
}

static void
a_slot_changes_hands_only_after_its_windows(void **state)
{
    struct fixture *f = *state;
    take_one(f);
    uint32_t first_slot = f->take.slot;
    grant(f, first_slot, f->window, 1, false);
    int64_t now = sl_mono_ms();
    struct counter_slot *slot = &f->counters->slots[first_slot];
    atomic_store(&slot->touched_s, (uint32_t)(now / 1000) - COUNTER_IDLE_S);
    char id[SL_ID_SIZE];
    struct sl_counter_key key;
    f->take.key = &key;
    for (int i = 0; i < 40; i++) {
        snprintf(id, sizeof(id), "%032d", i);
        struct sl_str subject = {id, SL_ID_LEN};
        sl_counter_policy_key(&key, POLICY, PUBLISH, SL_COUNT_APP, &subject, WINDOW);
        take_one(f);
    }
    struct sl_str old = {f->key.text, f->key.len};
    assert_int_equal(first_slot, sl_counters_find(f->counters, old));
    atomic_store(&slot->touched_s, (uint32_t)(now / 1000) - COUNTER_IDLE_S);
    atomic_store(&f->counters->grants[first_slot].allowed[f->window % SL_COUNTER_WINDOWS],
                 counter_pack(1, 1));
    snprintf(id, sizeof(id), "%032d", 99);
    struct sl_str subject = {id, SL_ID_LEN};
    sl_counter_policy_key(&key, POLICY, PUBLISH, SL_COUNT_APP, &subject, WINDOW);
    take_one(f);
    assert_int_equal(SL_COUNTER_NO_SLOT, sl_counters_find(f->counters, old));
    assert_int_equal(first_slot, f->take.slot);
    f->take.key = &f->key; // which this process remembers in that slot
    take_one(f);
    assert_true(f->take.slot >= f->counters->hashed_slots);
}

// So many keys that some take turns in what a process remembers: each is found again in its
// counter.
static void
keys_that_take_turns_keep_their_counters(void **state)
{
    static uint32_t slots[COUNTER_MEMOS * 3 / 4];
    struct fixture *f = *state;
    static struct sl_counter_key key;
    char id[SL_ID_SIZE];
    f->take.key = &key;
    for (size_t i = 0; i < 2 * SL_COUNT(slots); i++) {
        size_t number = i % SL_COUNT(slots);
        snprintf(id, sizeof(id), "%032zu", number);
        struct sl_str subject = {id, SL_ID_LEN};
        sl_counter_policy_key(&key, POLICY, PUBLISH, SL_COUNT_APP, &subject, WINDOW);
        take_one(f);
        assert_true(i < SL_COUNT(slots) || f->take.slot == slots[number]);
        slots[number] = f->take.slot;
        assert_int_equal(f->take.slot,
                         sl_counters_find(f->counters, (struct sl_str){key.text, key.len}));
    }
}

static void
a_second_opening_maps_the_same_memory_and_may_not_attend(void **state)
{
    struct fixture *f = *state;
    struct sl_error err;
    struct sl_counters *other = sl_counters_open(f->name, 1024, &err);
    assert_non_null(other);
    assert_string_equal(sl_counters_boot(f->counters), sl_counters_boot(other));
    assert_int_equal(-1, sl_counters_attend(other, &err));
    sl_counters_free(&other);
}

static void
keys_survive_being_packed(void **state)
{
    (void)state;
    struct sl_str address = sl_str("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    struct sl_str app = sl_str(POLICY);
    struct sl_counter_key keys[11];
    struct sl_counter_take take = {.policy_id = POLICY, .window_s = WINDOW, .lead_s = 17};
    sl_counter_policy_key(&keys[0], POLICY, PUBLISH, SL_COUNT_IP, &address, WINDOW);
    sl_counter_policy_key(&keys[1], POLICY, NULL, SL_COUNT_API, NULL, WINDOW);
    sl_counter_policy_key(&keys[2], POLICY, NULL, SL_COUNT_APP, &app, WINDOW);
    sl_counter_policy_key(&keys[3], POLICY, PUBLISH, SL_COUNT_USER, &app, WINDOW);
    sl_counter_default_key(&keys[4], POLICY);
    sl_counter_domain_key(&keys[5], POLICY);
    sl_counter_quota_key(&keys[6], POLICY, PUBLISH, WINDOW, 17);
    counter_overflow_key(&keys[7], &take);
    keys[8] = keys[0];
    sl_counter_local_key(&keys[8]);
    assert_int_equal('l', keys[8].text[0]);
    keys[9] = keys[4];
    sl_counter_local_key(&keys[9]);
    take.local = true;
    take.lead_s = 0;
    counter_overflow_key(&keys[10], &take);
    for (size_t i = 0; i < SL_COUNT(keys); i++) {
        struct counter_name name;
        struct sl_counter_key unpacked;
        uint32_t lead_s = i == 6 || i == 7 ? 17 : 0;
        assert_true(counter_pack_name(&keys[i], lead_s, &name));
        counter_unpack_name(&name, WINDOW, &unpacked);
        assert_string_equal(keys[i].text, unpacked.text);
        assert_int_equal(keys[i].len, unpacked.len);
        assert_int_equal(lead_s, counter_lead_of(&name));
    }
}

static void
what_is_no_key_is_not_packed(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "t/",
        "x/" POLICY,
        "d/" POLICY_UPPER,
        "t/" POLICY "/" PUBLISH,
        "t/" POLICY "/-/a/60",
        "t/" POLICY "/*/z/60",
        "t/" POLICY "/*/i0123456789012345678901234567890123456789/60",
        "q/" POLICY "/short/60@1",
    };
    for (size_t i = 0; i < SL_COUNT(texts); i++) {
        struct sl_counter_key key = {.len = (uint32_t)strlen(texts[i])};
        struct counter_name name;
        memcpy(key.text, texts[i], key.len + 1);
        assert_false(counter_pack_name(&key, 0, &name));
    }
}

// Another size is another memory; whoever still has the former one spends what is there and divides
// nothing, even when it is on its own.
static void
another_size_retires_the_memory_of_before(void **state)
{
    struct fixture *f = *state;
    struct sl_error err;
    char path[128];
    size_t first;
    uint64_t members[1] = {1};
    sl_counters_path(f->name, f->keys, path, sizeof(path));
    sl_counters_set_members(f->counters, members, 1, 0, true);
    take_one(f);
    grant(f, f->take.slot, f->window, 1, false);
    sl_counters_set_members(f->counters, members, 1, 0, true);
    struct sl_counters *other = sl_counters_open(f->name, f->keys * 2, &err);
    assert_non_null(other);
    assert_string_not_equal(sl_counters_boot(f->counters), sl_counters_boot(other));
    assert_int_equal(0, access(path, F_OK));
    assert_int_equal(0, sl_counters_attend(other, &err));
    assert_int_equal(-1, access(path, F_OK));
    assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
    int64_t later = sl_mono_ms() + (WINDOW + 3) * 1000;
    assert_int_equal(SL_COUNTER_REFUSED,
                     sl_counters_take(f->counters, &f->take, 1, later, SL_COUNTER_FIRST, &first));
    sl_counters_free(&other);
    unlink_counters(f->name, f->keys * 2);
}

static void
open_again(struct fixture *f)
{
    struct sl_error err;
    sl_counters_free(&f->counters);
    f->counters = sl_counters_open(f->name, f->keys, &err);
    assert_non_null(f->counters);
    assert_int_equal(0, sl_counters_attend(f->counters, &err));
}

// An older build keeps its counters in another file. Whoever comes back to this one after it does
// not know what that one held and divided.
static void
a_memory_that_comes_back_divides_nothing_that_is_open(void **state)
{
    struct fixture *f = *state;
    char path[128];
    atomic_store(&f->counters->header->confirmed[7], 1);
    open_again(f);
    assert_int_equal(1, sl_counters_confirmed(f->counters, 7)); // an agent's restart is none
    snprintf(path, sizeof(path), "/dev/shm/sluice-%s-counters-1", f->name);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_not_equal(-1, fd);
    close(fd);
    int64_t before_ms = sl_counters_clock(f->counters, sl_mono_ms());
    open_again(f);
    assert_int_equal(-1, access(path, F_OK));
    assert_true(sl_counters_confirmed(f->counters, 7) >= before_ms);
}

// The agent looks at what changed, and every change is seen.
static void
what_changes_is_news_once(void **state)
{
    struct fixture *f = *state;
    uint64_t news[64] = {0};
    take_one(f);
    uint32_t slot = f->take.slot;
    sl_counters_changed(f->counters, news);
    assert_true(news[slot / 64] == 0); // nothing was taken, nothing is held
    grant(f, slot, f->window, 2, false);
    sl_counters_changed(f->counters, news);
    assert_true(news[slot / 64] == 1ULL << slot % 64);
    news[slot / 64] = 0;
    grant(f, slot, f->window, 2, true);
    sl_counters_changed(f->counters, news);
    assert_true(news[slot / 64] == 0);
    assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
    assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
    sl_counters_changed(f->counters, news);
    assert_true(news[slot / 64] == 1ULL << slot % 64);
}

// Somebody comes back to a key just when its slot is to change hands: one of both gives way.
static void
a_slot_that_is_used_again_does_not_change_hands(void **state)
{
    struct fixture *f = *state;
    take_one(f);
    struct sl_str key = {f->key.text, f->key.len};
    uint64_t tag = counter_tag(f->counters, key);
    struct counter_slot *slot = &f->counters->slots[f->take.slot];
    atomic_store(&slot->touched_s, 0);
    assert_true(counter_keep_slot(f->counters, f->take.slot, tag, sl_mono_ms()));
    assert_int_not_equal(0, atomic_load(&slot->touched_s));
    atomic_store(&slot->tag, COUNTER_TAG_BUSY);
    assert_false(counter_keep_slot(f->counters, f->take.slot, tag, sl_mono_ms()));
    assert_int_equal(SL_COUNTER_NO_SLOT, sl_counters_find(f->counters, key));
}

int
main(void)
{
#define T(name)       cmocka_unit_test_setup_teardown(name, setup, teardown)
#define T_SMALL(name) cmocka_unit_test_setup_teardown(name, setup_small, teardown)
    const struct CMUnitTest tests[] = {
        T(keys_survive_being_packed),
        T(what_is_no_key_is_not_packed),
        T_SMALL(a_full_table_falls_to_the_policys_overflow_counter),
        T_SMALL(a_slot_changes_hands_only_after_its_windows),
        T(keys_that_take_turns_keep_their_counters),
        T(a_slot_that_is_used_again_does_not_change_hands),
        T(a_second_opening_maps_the_same_memory_and_may_not_attend),
        T(another_size_retires_the_memory_of_before),
        T(a_memory_that_comes_back_divides_nothing_that_is_open),
        T(what_changes_is_news_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
