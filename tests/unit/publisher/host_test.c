// host_test.c - domains of groups as nodes get them.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/publisher/fixture.h"

#include "common/crypto/crypto.h"
#include "services/publisher/compile.h"

#include <openssl/pem.h>

// Certificates, and the domains that show them.
#define WHOLE    "00000000000000000000000000000001"
#define NO_CHAIN "00000000000000000000000000000002"
#define NO_KEY   "00000000000000000000000000000003"
#define NO_CA    "00000000000000000000000000000004"

// One entry as a node gets it; false: there is none.
static bool
compiled_as(struct fixture *f, enum sl_kind kind, const char *key, struct sl_entry *ret_entry)
{
    SL_AUTO(sl_tx) tx = sl_tx_begin(f->thread.db, &f->err);
    struct compile c = {tx, f->arena, &f->publisher, f->gateway};
    struct compiled compiled;
    assert_non_null(tx);
    assert_int_equal(compile_key(&c, sl_kind_name(kind), key, &compiled, &f->err), 0);
    if (compiled.plain.ptr == NULL) {
        return false;
    }
    assert_int_equal(sl_entry_decode(f->arena, kind, compiled.plain, ret_entry, &f->err), 0);
    return true;
}

static void
bind(struct fixture *f, const char *id, const char *domain)
{
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO group_domain (instance_id, id, group_id,"
                                   " url_domain) VALUES ('%s', '%s', '%s', %s)",
                                   f->gateway, id, f->group, domain));
}

static void
a_domain_leads_to_its_group(void **state)
{
    struct fixture *f = *state;
    struct sl_entry entry;
    bind(f, "d1", "'*.example.com'");
    assert_true(compiled_as(f, SL_KIND_HOST, "*.example.com", &entry));
    assert_string_equal(entry.host.name, "*.example.com");
    assert_string_equal(entry.host.group_id, f->group);
    assert_false(entry.host.debugging);
    assert_false(compiled_as(f, SL_KIND_HOST, "other.example.com", &entry));
}

static void
a_name_longer_than_a_key_is_found_by_its_hash(void **state)
{
    struct fixture *f = *state;
    struct sl_entry entry;
    bind(f, "d2", "repeat('x.', 120) || 'com'");
    const char *key = fixture_text(f, "SELECT md5(repeat('x.', 120) || 'com')");
    assert_true(compiled_as(f, SL_KIND_HOST, key, &entry));
    assert_int_equal(strlen(entry.host.name), 243);
}

// Certificate `id`, and a domain that shows it; `ca` is SQL.
static void
store(struct fixture *f, const char *id, const char *content, const char *key, const char *ca)
{
    struct sl_str sealed;
    const char *context = sl_arena_printf(f->arena, "certificate_key:%s", id);
    assert_int_equal(
        sl_seal(f->arena, &f->publisher.key, sl_str(context), sl_str(key), &sealed, &f->err), 0);
    char *hex = sl_arena_alloc(f->arena, 2 * sealed.len + 1);
    sl_hex_encode(sealed.ptr, sealed.len, hex);
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO certificate (project_id, id, name, content,"
                                   " certificate_key, trusted_root_ca, algorithm, facts) VALUES"
                                   " ('%s', '%s', '%s', '%s', '\\x%s', %s, 'ECC', '{}')",
                                   f->project, id, id, content, hex, ca));
    bind(f, id, sl_arena_printf(f->arena, "'%s.example.com'", id));
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO domain_certificate (instance_id, domain_id,"
                                   " project_id, certificate_id, algorithm) VALUES ('%s', '%s',"
                                   " '%s', '%s', 'ECC')",
                                   f->gateway, id, f->project, id));
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO runtime_change (gateway_id, kind, key) VALUES"
                                   " ('%s', 'certificate', '%s'), ('%s', 'host',"
                                   " '%s.example.com')",
                                   f->gateway, id, f->gateway, id));
}

static const char *
text_of(struct fixture *f, BIO *bio)
{
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    const char *text = sl_arena_dupn(f->arena, bytes, (size_t)len);
    BIO_free(bio);
    return text;
}

// A certificate and its key as PEM.
static void
make_pem(struct fixture *f, const char **ret_content, const char **ret_key)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *made = X509_new();
    BIO *content = BIO_new(BIO_s_mem());
    BIO *private = BIO_new(BIO_s_mem());
    X509_set_pubkey(made, key);
    X509_gmtime_adj(X509_getm_notBefore(made), 0);
    X509_gmtime_adj(X509_getm_notAfter(made), 1);
    assert_true(X509_sign(made, key, EVP_sha256()) > 0);
    PEM_write_bio_X509(content, made);
    PEM_write_bio_PrivateKey(private, key, NULL, NULL, 0, NULL, NULL);
    *ret_content = text_of(f, content);
    *ret_key = text_of(f, private);
    X509_free(made);
    EVP_PKEY_free(key);
}

static void
a_certificate_that_no_longer_parses_is_parked_and_the_rest_goes_on(void **state)
{
    struct fixture *f = *state;
    const char *content = NULL;
    const char *key = NULL;
    struct sl_entry entry;
    make_pem(f, &content, &key);
    store(f, WHOLE, content, key, "NULL");
    store(f, NO_CHAIN, "nothing", key, "NULL");
    store(f, NO_KEY, content, "nothing", "NULL");
    store(f, NO_CA, content, key, "'nothing'");
    for (int i = 0; i < 4; i++) {
        fixture_publish(f);
    }
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM runtime_change"), 3);
    assert_int_equal(fixture_number(f, "SELECT min(failures) FROM runtime_change"), 3);
    assert_string_equal(fixture_text(f, "SELECT string_agg(key, ' ' ORDER BY key) FROM"
                                        " runtime_entry WHERE kind = 'certificate'"),
                        WHOLE);
    assert_true(compiled_as(f, SL_KIND_CERTIFICATE, WHOLE, &entry));
    assert_int_equal(entry.certificate.chain_count, 1);
    assert_true(compiled_as(f, SL_KIND_HOST, NO_KEY ".example.com", &entry));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_domain_leads_to_its_group),
        FIXTURE_TEST(a_name_longer_than_a_key_is_found_by_its_hash),
        FIXTURE_TEST(a_certificate_that_no_longer_parses_is_parked_and_the_rest_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
