// seal_test.c - sealed values, boxes, key files: what opens, and all that must not.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crypto/crypto.h"
#include "common/crypto/seal.h"
#include "tests/unit/crypto/arena.h"

static const struct sl_seal_key key_a = {{1, 2, 3}};
static const struct sl_seal_key key_b = {{1, 2, 4}};

static void
what_was_sealed_opens_with_key_and_context(void **state)
{
    (void)state;
    struct sl_error err;
    struct sl_str sealed;
    struct sl_str plain;
    assert_int_equal(sl_seal(arena, &key_a, SL_STR("app:1"), SL_STR("secret"), &sealed, &err), 0);
    assert_int_equal(sealed.len, 6 + SL_SEAL_OVERHEAD);
    assert_int_equal(sl_unseal(arena, &key_a, SL_STR("app:1"), sealed, &plain, &err), 0);
    assert_true(sl_str_equal(plain, SL_STR("secret")));
    assert_int_equal(sl_seal(arena, &key_a, SL_STR(""), SL_STR(""), &sealed, &err), 0);
    assert_int_equal(sl_unseal(arena, &key_a, SL_STR(""), sealed, &plain, &err), 0);
    assert_int_equal(plain.len, 0);
}

static void
another_key_or_context_opens_nothing(void **state)
{
    (void)state;
    struct sl_error err;
    struct sl_str sealed;
    struct sl_str plain;
    assert_int_equal(sl_seal(arena, &key_a, SL_STR("app:1"), SL_STR("secret"), &sealed, &err), 0);
    assert_int_equal(sl_unseal(arena, &key_b, SL_STR("app:1"), sealed, &plain, &err), -1);
    assert_int_equal(err.code, SL_E_SEAL_BROKEN);
    assert_string_equal(err.detail, "sealed under another key");
    assert_int_equal(sl_unseal(arena, &key_a, SL_STR("app:2"), sealed, &plain, &err), -1);
    assert_int_equal(err.code, SL_E_SEAL_BROKEN);
}

static void
every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct sl_error err;
    struct sl_str sealed;
    struct sl_str plain;
    assert_int_equal(sl_seal(arena, &key_a, SL_STR("c"), SL_STR("secret"), &sealed, &err), 0);
    for (size_t i = 0; i < sealed.len * 8; i++) {
        char *copy = sl_arena_dupn(arena, sealed.ptr, sealed.len);
        copy[i / 8] = (char)(copy[i / 8] ^ 1 << i % 8);
        struct sl_str damaged = {copy, sealed.len};
        assert_int_equal(sl_unseal(arena, &key_a, SL_STR("c"), damaged, &plain, &err), -1);
        assert_int_equal(err.code, SL_E_SEAL_BROKEN);
    }
    for (size_t len = 0; len < sealed.len; len++) {
        struct sl_str cut = {sealed.ptr, len};
        assert_int_equal(sl_unseal(arena, &key_a, SL_STR("c"), cut, &plain, &err), -1);
    }
}

static void
the_same_value_never_seals_to_the_same_bytes(void **state)
{
    (void)state;
    struct sl_error err;
    struct sl_str a;
    struct sl_str b;
    assert_int_equal(sl_seal(arena, &key_a, SL_STR("c"), SL_STR("secret"), &a, &err), 0);
    assert_int_equal(sl_seal(arena, &key_a, SL_STR("c"), SL_STR("secret"), &b, &err), 0);
    assert_false(sl_str_equal(a, b));
}

static void
a_lookup_hash_depends_on_key_context_and_value(void **state)
{
    (void)state;
    char first[SL_SHA256_HEX];
    char other[SL_SHA256_HEX];
    sl_seal_lookup(&key_a, SL_STR("code"), SL_STR("v"), first);
    sl_seal_lookup(&key_a, SL_STR("code"), SL_STR("v"), other);
    assert_string_equal(first, other);
    sl_seal_lookup(&key_b, SL_STR("code"), SL_STR("v"), other);
    assert_string_not_equal(first, other);
    sl_seal_lookup(&key_a, SL_STR("secret"), SL_STR("v"), other);
    assert_string_not_equal(first, other);
    sl_seal_lookup(&key_a, SL_STR("code"), SL_STR("w"), other);
    assert_string_not_equal(first, other);
}

// A fresh X25519 pair.
static void
make_pair(uint8_t secret[32], uint8_t public[32])
{
    size_t len = 32;
    sl_random(secret, 32);
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, 32);
    assert_int_equal(EVP_PKEY_get_raw_public_key(pkey, public, &len), 1);
    EVP_PKEY_free(pkey);
}

static void
a_box_opens_for_its_recipient_alone(void **state)
{
    (void)state;
    struct sl_error err;
    struct sl_str box;
    struct sl_str plain;
    uint8_t secret[2][32];
    uint8_t public[2][32];
    make_pair(secret[0], public[0]);
    make_pair(secret[1], public[1]);
    assert_int_equal(sl_box_seal(arena, public[0], SL_STR("content key"), &box, &err), 0);
    assert_int_equal(sl_box_open(arena, secret[0], box, &plain, &err), 0);
    assert_true(sl_str_equal(plain, SL_STR("content key")));
    assert_int_equal(sl_box_open(arena, secret[1], box, &plain, &err), -1);
    assert_int_equal(err.code, SL_E_SEAL_BROKEN);
    for (size_t i = 0; i < box.len; i++) {
        char *copy = sl_arena_dupn(arena, box.ptr, box.len);
        copy[i] ^= 1;
        assert_int_equal(
            sl_box_open(arena, secret[0], (struct sl_str){copy, box.len}, &plain, &err), -1);
    }
}

static void
a_box_to_a_point_of_small_order_is_refused(void **state)
{
    (void)state;
    struct sl_error err;
    struct sl_str box;
    uint8_t zero[32] = {0};
    assert_int_equal(sl_box_seal(arena, zero, SL_STR("x"), &box, &err), -1);
    assert_int_equal(err.code, SL_E_SEAL_BROKEN);
}

// Writes a key file of this mode and loads it.
static int
load(const char *text, mode_t mode, struct sl_seal_key *ret_key)
{
    char path[] = "/tmp/sl_seal_test_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    struct sl_error err;
    int rc = sl_seal_key_load(path, ret_key, &err);
    unlink(path);
    return rc;
}

static void
a_key_file_holds_64_hex_digits_that_others_cannot_read(void **state)
{
    (void)state;
    struct sl_seal_key key;
    const char *good = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    char text[80];
    assert_int_equal(load(good, 0600, &key), 0);
    assert_int_equal(key.bytes[31], 0x1f);
    snprintf(text, sizeof(text), "%s\n", good);
    assert_int_equal(load(text, 0640, &key), 0);
    assert_int_equal(load(text, 0644, &key), -1);
    snprintf(text, sizeof(text), "%s0\n", good);
    assert_int_equal(load(text, 0600, &key), -1);
    assert_int_equal(load("00", 0600, &key), -1);
    snprintf(text, sizeof(text), "g%s", good + 1);
    assert_int_equal(load(text, 0600, &key), -1);
    struct sl_error err;
    assert_int_equal(sl_seal_key_load("/nonexistent/key", &key, &err), -1);
    assert_int_equal(err.code, SL_E_CONFIG);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sealed_opens_with_key_and_context),
        cmocka_unit_test(another_key_or_context_opens_nothing),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(the_same_value_never_seals_to_the_same_bytes),
        cmocka_unit_test(a_lookup_hash_depends_on_key_context_and_value),
        cmocka_unit_test(a_box_opens_for_its_recipient_alone),
        cmocka_unit_test(a_box_to_a_point_of_small_order_is_refused),
        cmocka_unit_test(a_key_file_holds_64_hex_digits_that_others_cannot_read),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
