// shown_test.c - what a worker keeps of the image's certificates, and for how long.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/runtime/image_kit.h"

#include "services/nginx/ngx_http_sluice_shown.c"

#define HANDSHAKES (HEADS / SWEEP) // until all that is kept was looked through

static ngx_log_t log_played;
static ngx_cycle_t cycle_played;
volatile ngx_cycle_t *ngx_cycle = &cycle_played;
static unsigned complaints;

void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err, const char *format, ...)
{
    (void)level;
    (void)log;
    (void)err;
    (void)format;
    complaints++;
}

// A certificate and its key, in DER.
static struct sl_str leaf;
static struct sl_str key;

static int
make(void **state)
{
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pair);
    X509 *made = X509_new();
    unsigned char *der = NULL;

    log_played.log_level = NGX_LOG_DEBUG;
    cycle_played.log = &log_played;
    (void)X509_set_version(made, X509_VERSION_3);
    (void)X509_gmtime_adj(X509_getm_notBefore(made), 0);
    (void)X509_gmtime_adj(X509_getm_notAfter(made), 3600);
    (void)X509_set_pubkey(made, pair);
    if (X509_sign(made, pair, EVP_sha256()) == 0) {
        return -1;
    }
    leaf.len = (size_t)i2d_X509(made, &der);
    leaf.ptr = (char *)der;
    der = NULL;
    key.len = (size_t)i2d_PKCS8_PRIV_KEY_INFO(info, &der);
    key.ptr = (char *)der;
    X509_free(made);
    PKCS8_PRIV_KEY_INFO_free(info);
    EVP_PKEY_free(pair);
    complaints = 0;
    return kit_open(state);
}

static int
end(void **state)
{
    ngx_http_sluice_shown_exit();
    assert_int_equal(own.count, 0);
    OPENSSL_free((void *)(uintptr_t)leaf.ptr);
    OPENSSL_free((void *)(uintptr_t)key.ptr);
    return kit_close(state);
}

static const char *
id_of(unsigned number)
{
    static char id[SL_ID_SIZE];

    snprintf(id, sizeof(id), "%032x", number);
    return id;
}

static void
put(struct kit *kit, unsigned number, struct sl_str der)
{
    struct sl_entry entry = {
        .kind = SL_KIND_CERTIFICATE,
        .certificate = {id_of(number), "", "ECC", .key = key, .chain = &der, .chain_count = 1}};

    kit_put(kit, id_of(number), &entry);
}

static X509 *
leaf_of(struct kit *kit, unsigned number)
{
    const struct ngx_http_sluice_shown *shown = ngx_http_sluice_shown(kit->image, id_of(number));

    return shown == NULL ? NULL : shown->leaf;
}

static void
what_is_parsed_stays_while_the_image_has_it(void **state)
{
    struct kit *kit = *state;

    put(kit, 1, leaf);
    kit_commit(kit, 1);
    X509 *first = leaf_of(kit, 1);
    assert_non_null(first);
    put(kit, 2, leaf);
    kit_commit(kit, 2);
    for (unsigned i = 0; i < 2 * HANDSHAKES; i++) {
        assert_non_null(leaf_of(kit, 2));
    }
    assert_ptr_equal(leaf_of(kit, 1), first);
    assert_int_equal(own.count, 2);
    assert_null(leaf_of(kit, 3));
    assert_int_equal(complaints, 0);
}

// A key must not outlive its certificate because nobody asks for it any more.
static void
what_left_the_image_is_dropped_by_the_handshakes_of_others(void **state)
{
    struct kit *kit = *state;

    for (unsigned number = 1; number <= 100; number++) {
        put(kit, number, leaf);
    }
    kit_commit(kit, 1);
    for (unsigned number = 1; number <= 100; number++) {
        assert_non_null(leaf_of(kit, number));
    }
    for (unsigned number = 2; number <= 100; number++) {
        sl_image_builder_remove(kit->builder, SL_KIND_CERTIFICATE, id_of(number));
    }
    kit_commit(kit, 2);
    for (unsigned i = 0; i < HANDSHAKES; i++) {
        assert_non_null(leaf_of(kit, 1));
    }
    assert_int_equal(own.count, 1);
}

static void
what_cannot_be_used_is_said_once(void **state)
{
    struct kit *kit = *state;

    put(kit, 1, (struct sl_str){leaf.ptr, leaf.len - 1});
    kit_commit(kit, 1);
    for (unsigned i = 0; i < 3; i++) {
        const struct ngx_http_sluice_shown *shown = ngx_http_sluice_shown(kit->image, id_of(1));
        assert_non_null(shown);
        assert_true(shown->leaf == NULL && shown->key == NULL && shown->authorities == NULL);
    }
    assert_int_equal(complaints, 1);
    put(kit, 1, leaf);
    kit_commit(kit, 2);
    assert_non_null(leaf_of(kit, 1));
    assert_int_equal(own.count, 1);
}

// Every cut of a certificate and every byte of it otherwise: parsed or not, never worse.
static void
damaged_certificates_never_do_worse_than_fail(void **state)
{
    struct kit *kit = *state;
    char *copy = malloc(leaf.len);

    assert_non_null(copy);
    for (size_t at = 0; at < leaf.len; at += 3) {
        memcpy(copy, leaf.ptr, leaf.len);
        copy[at] ^= (char)(1 << at % 8);
        put(kit, (unsigned)(2 * at), (struct sl_str){copy, leaf.len});
        put(kit, (unsigned)(2 * at + 1), (struct sl_str){copy, at + 1});
    }
    kit_commit(kit, 1);
    for (size_t at = 0; at < leaf.len; at += 3) {
        assert_non_null(ngx_http_sluice_shown(kit->image, id_of((unsigned)(2 * at))));
        assert_true(at + 1 == leaf.len || leaf_of(kit, (unsigned)(2 * at + 1)) == NULL);
    }
    free(copy);
}

static void
beyond_its_bound_the_one_that_rested_longest_goes(void **state)
{
    struct kit *kit = *state;

    // Broken ones are kept likewise, and cost nothing to parse.
    for (unsigned number = 1; number <= SHOWN_MAX + 1; number++) {
        put(kit, number, SL_STR("0"));
    }
    kit_commit(kit, 1);
    for (unsigned number = 1; number <= SHOWN_MAX; number++) {
        (void)leaf_of(kit, number);
    }
    (void)leaf_of(kit, 1); // used again
    assert_int_equal(complaints, SHOWN_MAX);
    (void)leaf_of(kit, SHOWN_MAX + 1);
    assert_int_equal(own.count, SHOWN_MAX);
    (void)leaf_of(kit, 1);
    assert_int_equal(complaints, SHOWN_MAX + 1);
    (void)leaf_of(kit, 2); // it had gone
    assert_int_equal(complaints, SHOWN_MAX + 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_parsed_stays_while_the_image_has_it, make, end),
        cmocka_unit_test_setup_teardown(what_left_the_image_is_dropped_by_the_handshakes_of_others,
                                        make, end),
        cmocka_unit_test_setup_teardown(what_cannot_be_used_is_said_once, make, end),
        cmocka_unit_test_setup_teardown(damaged_certificates_never_do_worse_than_fail, make, end),
        cmocka_unit_test_setup_teardown(beyond_its_bound_the_one_that_rested_longest_goes, make,
                                        end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
