// durable_test.c - the store behind the image and its thread: a disk that is slow, one that
// refuses, and one that takes again.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/node/node_kit.h"

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include "services/node/durable.c"

struct place {
    char path[64];
    struct keys keys;
    struct sl_store *store;
    struct durable *durable;
};

static int
open_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    struct sl_error err;
    char public_key[41];
    char secret_key[41];
    sl_crypto_init();
    snprintf(place->path, sizeof(place->path), "/tmp/sluice-durable-XXXXXX");
    *state = place;
    if (mkdtemp(place->path) == NULL || zmq_curve_keypair(public_key, secret_key) != 0 ||
        keys_init(&place->keys, secret_key, &err) != 0) {
        return -1;
    }
    bool discarded;
    place->durable = durable_new(place->path, &place->keys, &discarded);
    place->store = durable_store(place->durable);
    return place->store == NULL ? -1 : 0;
}

static int
close_place(void **state)
{
    struct place *place = *state;
    durable_free(&place->durable);
    keys_clear(&place->keys);
    kit_remove_tree(place->path);
    free(place);
    return 0;
}

static void
limit_files(rlim_t bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void
note(struct place *place, const char *key, const char *body, uint64_t revision)
{
    struct sl_wire_entry entry = {"api", key, revision, 1, sl_str(body)};
    struct sl_revision at = {.epoch = "e1", .number = revision};
    durable_note(place->durable, &entry);
    durable_position(place->durable, &at);
}

static int
add_key(void *arg, const struct sl_store_record *record, struct sl_error *err)
{
    (void)err;
    char *text = arg;
    size_t len = strlen(text);
    snprintf(text + len, 64 - len, "%s ", record->key);
    return 0;
}

static int
count_one(void *arg, const struct sl_store_record *record, struct sl_error *err)
{
    (void)record;
    (void)err;
    ++*(size_t *)arg;
    return 0;
}

static void
assert_stored(struct place *place, const char *keys, uint64_t expected)
{
    char text[64] = "";
    char epoch[SL_ID_SIZE];
    uint64_t revision = 0;
    struct sl_error err;
    assert_int_equal(sl_store_each(place->store, add_key, text, &err), 0);
    assert_string_equal(text, keys);
    sl_store_position(place->store, epoch, &revision);
    assert_int_equal(revision, expected);
}

static void
write_all_of(struct place *place)
{
    durable_finish(place->durable);
    assert_string_equal(durable_reason(place->durable), "");
}

// Sets when a store that failed is tried again.
static void
retry_at(struct place *place, int64_t at_ms)
{
    pthread_mutex_lock(&place->durable->lock);
    place->durable->retry_at_ms = at_ms;
    pthread_cond_broadcast(&place->durable->changed);
    pthread_mutex_unlock(&place->durable->lock);
}

// Waits until the writer has tried again, with success.
static void
wait_for_recovery(struct place *place)
{
    pthread_mutex_lock(&place->durable->lock);
    while (place->durable->reason[0] != '\0') {
        pthread_cond_wait(&place->durable->changed, &place->durable->lock);
    }
    pthread_mutex_unlock(&place->durable->lock);
}

// Waits until the writer has taken what was handed over.
static void
wait_for_writer(struct place *place)
{
    bool is_taken = false;
    while (!is_taken) {
        pthread_mutex_lock(&place->durable->lock);
        is_taken = !place->durable->handed.is_due;
        pthread_mutex_unlock(&place->durable->lock);
        sched_yield();
    }
}

static void
reopen(struct place *place)
{
    bool discarded;
    durable_free(&place->durable);
    place->durable = durable_new(place->path, &place->keys, &discarded);
    assert_non_null(place->durable);
    place->store = durable_store(place->durable);
}

static void
what_came_together_is_written_together(void **state)
{
    struct place *place = *state;
    note(place, "a", "1", 1);
    note(place, "b", "2", 2);
    assert_stored(place, "", 0);
    write_all_of(place);
    assert_stored(place, "a b ", 2);
    struct sl_wire_entry gone = {.kind = "api", .key = "a", .revision = 3};
    struct sl_revision at = {.epoch = "e1", .number = 3};
    durable_note(place->durable, &gone);
    durable_position(place->durable, &at);
    write_all_of(place);
    assert_stored(place, "b ", 3);
    assert_int_equal(atomic_load(&place->durable->backlog_bytes), 0);
}

// Who reads holds a transaction up as a slow disk does.
static void
handing_over_waits_for_no_transaction(void **state)
{
    struct place *place = *state;
    assert_true(durable_read_begin(place->durable));
    note(place, "a", "1", 1);
    durable_flush(place->durable);
    wait_for_writer(place);
    note(place, "b", "1", 2);
    durable_flush(place->durable);
    note(place, "a", "2", 3);
    durable_flush(place->durable);
    assert_string_equal(durable_reason(place->durable), "");
    assert_stored(place, "", 0);
    durable_read_end(place->durable);
    write_all_of(place);
    assert_stored(place, "a b ", 3);
}

static void
during_a_transaction_nothing_is_read(void **state)
{
    struct place *place = *state;
    pthread_mutex_lock(&place->durable->store_lock); // as the writer does
    assert_false(durable_read_begin(place->durable));
    pthread_mutex_unlock(&place->durable->store_lock);
    assert_true(durable_read_begin(place->durable));
    durable_read_end(place->durable);
}

// Whatever the writer is at, what can be read is a revision whole, and no later one comes first.
static void
revisions_are_written_in_order_and_whole(void **state)
{
    struct place *place = *state;
    uint64_t last = 0;
    for (uint64_t revision = 1; revision <= 200; revision++) {
        char key[16];
        snprintf(key, sizeof(key), "%d", (int)revision);
        note(place, key, "1", revision);
        durable_flush(place->durable);
        if (durable_read_begin(place->durable)) {
            char epoch[SL_ID_SIZE];
            uint64_t at = 0;
            size_t count = 0;
            struct sl_error err;
            sl_store_position(place->store, epoch, &at);
            assert_int_equal(sl_store_each(place->store, count_one, &count, &err), 0);
            durable_read_end(place->durable);
            assert_int_equal(count, at);
            assert_true(at >= last && at <= revision);
            last = at;
        }
    }
    write_all_of(place);
    reopen(place);
    char epoch[SL_ID_SIZE];
    uint64_t at = 0;
    sl_store_position(place->store, epoch, &at);
    assert_int_equal(at, 200);
}

static void
a_new_content_key_is_written_without_an_entry(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    note(place, "a", "1", 1);
    write_all_of(place);
    place->keys.contents[0] = (struct sl_seal_key){.bytes = {7}};
    place->keys.count = 1;
    place->keys.unsaved = true;
    write_all_of(place);
    assert_false(place->keys.unsaved);
    memset(place->keys.contents, 0, sizeof(place->keys.contents));
    place->keys.count = 0;
    reopen(place);
    assert_int_equal(keys_load(&place->keys, place->store, &err), 0);
    assert_int_equal(place->keys.count, 1);
    assert_int_equal(place->keys.contents[0].bytes[0], 7);
}

static void
a_full_disk_is_the_reason_until_it_takes_again(void **state)
{
    struct place *place = *state;
    static char large[300000];
    memset(large, 'x', sizeof(large) - 1);
    note(place, "a", "1", 1);
    write_all_of(place);
    limit_files(65536);
    note(place, "b", large, 2);
    durable_finish(place->durable);
    assert_non_null(strstr(durable_reason(place->durable), "durable store"));
    retry_at(place, INT64_MAX / 2); // as if its second did not end
    note(place, "c", "3", 3);
    limit_files(RLIM_INFINITY);
    durable_finish(place->durable);
    assert_non_null(strstr(durable_reason(place->durable), "durable store"));
    assert_stored(place, "a ", 1);
    retry_at(place, 0);
    wait_for_recovery(place);
    assert_string_equal(durable_reason(place->durable), "");
    assert_stored(place, "a b c ", 3);
}

// A disk that was full at the start: what comes meanwhile is written once there is room.
static void
a_store_that_could_not_be_opened_is_opened_later(void **state)
{
    struct place *place = *state;
    durable_free(&place->durable);
    kit_remove_tree(place->path);
    assert_int_equal(mkdir(place->path, 0700), 0);
    limit_files(0);
    reopen(place);
    assert_null(place->store);
    assert_non_null(strstr(durable_reason(place->durable), "durable store"));
    retry_at(place, INT64_MAX / 2); // as if its second did not end
    durable_afresh(place->durable);
    note(place, "a", "1", 7);
    durable_finish(place->durable);
    assert_true(durable_read_begin(place->durable));
    assert_null(durable_store(place->durable));
    durable_read_end(place->durable);
    limit_files(RLIM_INFINITY);
    retry_at(place, 0);
    wait_for_recovery(place);
    place->store = durable_store(place->durable);
    assert_stored(place, "a ", 7);
}

// An end does not wait for a disk that refuses.
static void
an_end_comes_while_the_disk_is_full(void **state)
{
    struct place *place = *state;
    static char large[300000];
    memset(large, 'x', sizeof(large) - 1);
    limit_files(65536);
    note(place, "a", large, 1);
    durable_finish(place->durable);
    note(place, "b", "1", 2);
    durable_finish(place->durable);
    durable_free(&place->durable);
    assert_null(place->durable);
    limit_files(RLIM_INFINITY);
    reopen(place);
    assert_stored(place, "", 0);
}

static void
a_full_set_replaces_what_waited(void **state)
{
    struct place *place = *state;
    note(place, "a", "1", 1);
    write_all_of(place);
    assert_true(durable_read_begin(place->durable));
    note(place, "b", "1", 2);
    durable_flush(place->durable);
    note(place, "c", "1", 3);
    durable_afresh(place->durable);
    note(place, "d", "1", 9);
    durable_flush(place->durable);
    note(place, "e", "1", 10);
    durable_flush(place->durable);
    durable_read_end(place->durable);
    write_all_of(place);
    assert_stored(place, "d e ", 10);
}

static void
a_backlog_beyond_its_bound_empties_the_store(void **state)
{
    struct place *place = *state;
    note(place, "a", "1", 1);
    write_all_of(place);
    atomic_store(&place->durable->backlog_bytes, DURABLE_BACKLOG_MAX); // as if much waited
    note(place, "b", "1", 2);
    atomic_store(&place->durable->backlog_bytes, 0);
    write_all_of(place);
    assert_stored(place, "", 0);
    note(place, "c", "1", 3); // is of no use without the ones before it
    write_all_of(place);
    assert_stored(place, "", 0);
    durable_afresh(place->durable);
    note(place, "c", "1", 3);
    write_all_of(place);
    assert_stored(place, "c ", 3);
}

// What is noted while a store that was found is copied is written behind it.
static void
a_large_store_that_was_found_is_read_while_it_is_copied(void **state)
{
    struct place *place = *state;
    char name[16];
    char epoch[SL_ID_SIZE];
    uint64_t revision = 0;
    for (int i = 0; i < 1500; i++) {
        snprintf(name, sizeof(name), "%d", i);
        note(place, name, "1", 1);
    }
    write_all_of(place);
    reopen(place);
    assert_true(durable_read_begin(place->durable));
    note(place, "a", "1", 2);
    durable_flush(place->durable);
    for (int i = 0; i < 100; i++) {
        size_t count = 0;
        struct sl_error err;
        assert_int_equal(sl_store_each(place->store, count_one, &count, &err), 0);
        assert_int_equal(count, 1500);
    }
    sl_store_position(place->store, epoch, &revision);
    assert_int_equal(revision, 1);
    durable_read_end(place->durable);
    note(place, "b", "1", 3);
    write_all_of(place);
    sl_store_position(place->store, epoch, &revision);
    assert_int_equal(revision, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_came_together_is_written_together),
        TEST(handing_over_waits_for_no_transaction),
        TEST(during_a_transaction_nothing_is_read),
        TEST(revisions_are_written_in_order_and_whole),
        TEST(a_new_content_key_is_written_without_an_entry),
        TEST(a_large_store_that_was_found_is_read_while_it_is_copied),
        TEST(a_full_disk_is_the_reason_until_it_takes_again),
        TEST(a_store_that_could_not_be_opened_is_opened_later),
        TEST(an_end_comes_while_the_disk_is_full),
        TEST(a_full_set_replaces_what_waited),
        TEST(a_backlog_beyond_its_bound_empties_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
