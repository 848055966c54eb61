// durable_test.c - the store behind the image: a disk that refuses, and one that takes again.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/node/node_kit.h"

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
    place->store = sl_store_open(place->path, NULL, &err);
    place->durable = durable_new(place->store, &place->keys);
    return place->store == NULL || place->durable == NULL ? -1 : 0;
}

static int
close_place(void **state)
{
    struct place *place = *state;
    durable_free(&place->durable);
    sl_store_free(&place->store);
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
what_came_together_is_written_together(void **state)
{
    struct place *place = *state;
    note(place, "a", "1", 1);
    note(place, "b", "2", 2);
    assert_stored(place, "", 0);
    durable_flush(place->durable);
    assert_stored(place, "a b ", 2);
    struct sl_wire_entry gone = {.kind = "api", .key = "a", .revision = 3};
    struct sl_revision at = {.epoch = "e1", .number = 3};
    durable_note(place->durable, &gone);
    durable_position(place->durable, &at);
    durable_flush(place->durable);
    assert_stored(place, "b ", 3);
}

static void
a_full_disk_is_the_reason_until_it_takes_again(void **state)
{
    struct place *place = *state;
    static char large[300000];
    memset(large, 'x', sizeof(large) - 1);
    note(place, "a", "1", 1);
    durable_flush(place->durable);
    limit_files(65536);
    note(place, "b", large, 2);
    durable_flush(place->durable);
    assert_non_null(strstr(durable_reason(place->durable), "durable store"));
    note(place, "c", "3", 3);
    limit_files(RLIM_INFINITY);
    durable_flush(place->durable); // too early: a second has not passed
    assert_stored(place, "a ", 1);
    place->durable->retry_at_ms = 0;
    durable_flush(place->durable);
    assert_string_equal(durable_reason(place->durable), "");
    assert_stored(place, "a b c ", 3);
}

static void
a_full_set_replaces_what_waited(void **state)
{
    struct place *place = *state;
    note(place, "a", "1", 1);
    durable_flush(place->durable);
    note(place, "b", "1", 2);
    durable_afresh(place->durable);
    note(place, "c", "1", 9);
    durable_flush(place->durable);
    assert_stored(place, "c ", 9);
}

static void
a_backlog_beyond_its_bound_empties_the_store(void **state)
{
    struct place *place = *state;
    note(place, "a", "1", 1);
    durable_flush(place->durable);
    place->durable->backlog_bytes = DURABLE_BACKLOG_MAX; // as if much waited
    note(place, "b", "1", 2);
    durable_flush(place->durable);
    assert_stored(place, "", 0);
    durable_afresh(place->durable);
    note(place, "c", "1", 3);
    durable_flush(place->durable);
    assert_stored(place, "c ", 3);
}

// A copy of many entries is many turns of the loop's; what is noted meanwhile is written behind it.
static void
a_large_store_is_copied_before_the_first_change_a_part_a_turn(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    char name[16];
    for (int i = 0; i < 1500; i++) {
        snprintf(name, sizeof(name), "%d", i);
        note(place, name, "1", 1);
    }
    durable_flush(place->durable);
    sl_store_free(&place->store);
    place->store = sl_store_open(place->path, NULL, &err);
    assert_non_null(place->store);
    place->durable->store = place->store;
    note(place, "a", "1", 2);
    durable_flush(place->durable);
    char epoch[SL_ID_SIZE];
    uint64_t revision = 0;
    sl_store_position(place->store, epoch, &revision);
    assert_int_equal(revision, 1);
    note(place, "b", "1", 3);
    durable_finish(place->durable);
    sl_store_position(place->store, epoch, &revision);
    assert_int_equal(revision, 3);
    assert_false(place->durable->pending);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_came_together_is_written_together),
        TEST(a_large_store_is_copied_before_the_first_change_a_part_a_turn),
        TEST(a_full_disk_is_the_reason_until_it_takes_again),
        TEST(a_full_set_replaces_what_waited),
        TEST(a_backlog_beyond_its_bound_empties_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
