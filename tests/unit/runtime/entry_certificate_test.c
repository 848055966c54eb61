// entry_certificate_test.c - entries of certificates and of the hosts that show them.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include "common/runtime/entry.h"

#include <stdlib.h>
#include <string.h>

#define ID_1 "11111111111111111111111111111111"
#define ID_2 "22222222222222222222222222222222"
#define ID_3 "33333333333333333333333333333333"

static struct sl_entry
some_host(void)
{
    static const char *const certificates[] = {ID_2, ID_3};
    return (struct sl_entry){.kind = SL_KIND_HOST,
                             .host = {.name = "*.example.com",
                                      .group_id = ID_1,
                                      .certificates = certificates,
                                      .certificate_count = 2,
                                      .min_tls = SL_MIN_TLS_1_2,
                                      .verify_client = true,
                                      .redirect_https = true,
                                      .http_port = -1,
                                      .https_port = 8443}};
}

static struct sl_entry
some_certificate(void)
{
    static const struct sl_str chain[] = {{"\x30\0leaf", 6}, {"\x30\xff", 2}};
    static const struct sl_str ca[] = {{"\x30\1ca", 4}};
    return (struct sl_entry){
        .kind = SL_KIND_CERTIFICATE,
        .certificate = {ID_2, "shop", "ECC", {"\x30\0key", 5}, chain, 2, ca, 1}};
}

static void
a_host_that_an_old_reader_would_show_another_certificate_needs_a_newer_one(void **state)
{
    (void)state;
    struct sl_entry certificate = some_certificate();
    assert_int_equal(sl_entry_min_reader(&certificate), 7);
    struct sl_entry entry = {.kind = SL_KIND_HOST, .host = {"example.com", ID_1, true}};
    entry.host.min_tls = SL_MIN_TLS_1_2;
    assert_int_equal(sl_entry_min_reader(&entry), 1);
    struct sl_host telling[] = {{.certificate_count = 1},
                                {.verify_client = true},
                                {.redirect_https = true},
                                {.http_port = -1},
                                {.https_port = -1}};
    for (size_t i = 0; i < SL_COUNT(telling); i++) {
        entry.host = telling[i];
        assert_int_equal(sl_entry_min_reader(&entry), 7);
    }
}

static void
assert_same_certificate(const struct sl_entry *entry)
{
    const struct sl_certificate *certificate = &entry->certificate;
    assert_string_equal(certificate->id, ID_2);
    assert_string_equal(certificate->name, "shop");
    assert_string_equal(certificate->algorithm, "ECC");
    assert_true(sl_str_equal(certificate->key, (struct sl_str){"\x30\0key", 5}));
    assert_int_equal(certificate->chain_count, 2);
    assert_true(sl_str_equal(certificate->chain[0], (struct sl_str){"\x30\0leaf", 6}));
    assert_true(sl_str_equal(certificate->chain[1], (struct sl_str){"\x30\xff", 2}));
    assert_int_equal(certificate->ca_count, 1);
    assert_true(sl_str_equal(certificate->ca[0], (struct sl_str){"\x30\1ca", 4}));
}

static void
assert_same_host(const struct sl_entry *entry)
{
    assert_string_equal(entry->host.name, "*.example.com");
    assert_int_equal(entry->host.certificate_count, 2);
    assert_string_equal(entry->host.certificates[1], ID_3);
    assert_int_equal(entry->host.min_tls, SL_MIN_TLS_1_2);
    assert_true(entry->host.verify_client && entry->host.redirect_https);
    assert_int_equal(entry->host.http_port, -1);
    assert_int_equal(entry->host.https_port, 8443);
}

// Encodes, decodes and copies, and shows both to `check`.
static void
there_and_back(struct sl_entry entry, void (*check)(const struct sl_entry *))
{
    SL_AUTO(sl_arena) arena = sl_arena_new(1 << 20);
    struct sl_error err;
    struct sl_entry back;
    struct sl_str bytes;
    assert_int_equal(sl_entry_encode(arena, &entry, &bytes, &err), 0);
    assert_int_equal(sl_entry_decode(arena, entry.kind, bytes, &back, &err), 0);
    check(&back);
    struct sl_entry *copy = sl_entry_copy(&back);
    assert_non_null(copy);
    sl_arena_free(&arena);
    check(copy);
    free(copy);
}

static void
certificates_and_hosts_come_back_as_they_went_out(void **state)
{
    (void)state;
    there_and_back(some_certificate(), assert_same_certificate);
    there_and_back(some_host(), assert_same_host);
}

static void
a_certificate_without_its_parts_is_refused_and_named(void **state)
{
    (void)state;
    static const struct sl_str none[] = {{"", 0}};
    static const char *const short_ids[] = {ID_1, "short"};
    struct sl_entry bad[] = {some_certificate(), some_certificate(), some_certificate(),
                             some_certificate(), some_host(),        some_host()};
    const char *const names[] = {"chain", "chain", "key", "ca", "certificates", "http_port"};
    bad[0].certificate.chain_count = 0;
    bad[1].certificate.chain = none;
    bad[1].certificate.chain_count = 1;
    bad[2].certificate.key = none[0];
    bad[3].certificate.ca = none;
    bad[4].host.certificates = short_ids;
    bad[5].host.http_port = UINT16_MAX + 1;
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        SL_AUTO(sl_arena) arena = sl_arena_new(1 << 20);
        struct sl_error err;
        struct sl_str bytes;
        struct sl_entry back;
        assert_int_equal(sl_entry_encode(arena, &bad[i], &bytes, &err), 0);
        assert_int_equal(sl_entry_decode(arena, bad[i].kind, bytes, &back, &err), -1);
        assert_string_equal(err.args[1], names[i]);
    }
}

static void
every_truncation_is_refused(void **state)
{
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(16 << 20);
    struct sl_error err;
    struct sl_entry entries[] = {some_host(), some_certificate()};
    for (size_t i = 0; i < SL_COUNT(entries); i++) {
        struct sl_str bytes;
        struct sl_entry back;
        struct sl_str again;
        assert_int_equal(sl_entry_encode(arena, &entries[i], &bytes, &err), 0);
        assert_int_equal(sl_entry_decode(arena, entries[i].kind, bytes, &back, &err), 0);
        assert_int_equal(sl_entry_encode(arena, &back, &again, &err), 0);
        assert_true(sl_str_equal(bytes, again));
        for (size_t len = 0; len < bytes.len; len++) {
            // A block of its own, so that a sanitizer sees a read past the end.
            char *cut = malloc(len + 1);
            assert_non_null(cut);
            memcpy(cut, bytes.ptr, len);
            struct sl_str less = {cut, len};
            assert_int_equal(sl_entry_decode(arena, entries[i].kind, less, &back, &err), -1);
            free(cut);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_host_that_an_old_reader_would_show_another_certificate_needs_a_newer_one),
        cmocka_unit_test(certificates_and_hosts_come_back_as_they_went_out),
        cmocka_unit_test(a_certificate_without_its_parts_is_refused_and_named),
        cmocka_unit_test(every_truncation_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
