// keys_test.c - content keys: taken, kept, used, saved.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/node/node_kit.h"

struct place {
    char path[64];
    char public_key[41], secret_key[41];
    struct keys keys;
    struct sl_arena *arena;
};

static int
open_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    struct sl_error err;
    sl_crypto_init();
    snprintf(place->path, sizeof(place->path), "/tmp/sluice-keys-XXXXXX");
    place->arena = sl_arena_new(1 << 20);
    *state = place;
    return mkdtemp(place->path) != NULL &&
                   zmq_curve_keypair(place->public_key, place->secret_key) == 0
               ? keys_init(&place->keys, place->secret_key, &err)
               : -1;
}

static int
close_place(void **state)
{
    struct place *place = *state;
    keys_clear(&place->keys);
    sl_arena_free(&place->arena);
    kit_remove_tree(place->path);
    free(place);
    return 0;
}

static void
take(struct place *place, uint8_t fill)
{
    struct sl_seal_key key;
    struct sl_error err;
    memset(key.bytes, fill, sizeof(key.bytes));
    assert_int_equal(keys_take(&place->keys, kit_box(place->arena, place->public_key, &key), &err),
                     0);
}

// Whether a body sealed under the key of `fill` opens.
static bool
opens(struct place *place, uint8_t fill)
{
    struct sl_seal_key key;
    struct sl_str sealed;
    struct sl_str plain;
    struct sl_error err;
    memset(key.bytes, fill, sizeof(key.bytes));
    assert_int_equal(
        sl_seal(place->arena, &key, SL_STR("context"), SL_STR("secret"), &sealed, &err), 0);
    return keys_unseal(&place->keys, place->arena, SL_STR("context"), sealed, &plain, &err) == 0 &&
           sl_str_equal(plain, SL_STR("secret"));
}

static void
a_body_opens_with_the_key_it_was_sealed_under(void **state)
{
    struct place *place = *state;
    assert_false(opens(place, 1));
    take(place, 1);
    take(place, 2);
    take(place, 1);
    assert_int_equal(place->keys.count, 2);
    assert_true(opens(place, 1));
    assert_true(opens(place, 2));
    assert_false(opens(place, 3));
}

static void
the_oldest_of_too_many_keys_goes(void **state)
{
    struct place *place = *state;
    for (uint8_t i = 1; i <= KEYS_MAX + 1; i++) {
        take(place, i);
    }
    assert_false(opens(place, 1));
    assert_true(opens(place, 2));
    assert_true(opens(place, KEYS_MAX + 1));
}

static void
a_box_for_another_node_is_refused(void **state)
{
    struct place *place = *state;
    char public_key[41];
    char secret_key[41];
    struct sl_seal_key key = {{7}};
    struct sl_error err;
    assert_int_equal(zmq_curve_keypair(public_key, secret_key), 0);
    assert_int_equal(keys_take(&place->keys, kit_box(place->arena, public_key, &key), &err), -1);
    assert_int_equal(place->keys.count, 0);
}

static void
saved_keys_come_back_for_their_node_only(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    SL_AUTO(sl_store) store = sl_store_open(place->path, NULL, &err);
    assert_non_null(store);
    take(place, 1);
    take(place, 2);
    assert_int_equal(sl_store_begin(store, false, &err), 0);
    assert_int_equal(keys_save(&place->keys, store, &err), 0);
    assert_int_equal(sl_store_commit(store, "e", 1, &err), 0);
    keys_clear(&place->keys);
    assert_int_equal(keys_init(&place->keys, place->secret_key, &err), 0);
    assert_int_equal(keys_load(&place->keys, store, &err), 0);
    assert_true(opens(place, 1));
    assert_true(opens(place, 2));
    char public_key[41];
    char secret_key[41];
    assert_int_equal(zmq_curve_keypair(public_key, secret_key), 0);
    assert_int_equal(keys_init(&place->keys, secret_key, &err), 0);
    assert_int_equal(keys_load(&place->keys, store, &err), 0);
    assert_int_equal(place->keys.count, 0);
}

static void
a_secret_key_that_is_not_z85_is_refused(void **state)
{
    (void)state;
    struct keys keys;
    struct sl_error err;
    assert_int_equal(keys_init(&keys, "short", &err), -1);
    assert_int_equal(err.code, SL_E_CONFIG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_body_opens_with_the_key_it_was_sealed_under),
        TEST(the_oldest_of_too_many_keys_goes),
        TEST(a_box_for_another_node_is_refused),
        TEST(saved_keys_come_back_for_their_node_only),
        TEST(a_secret_key_that_is_not_z85_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
