// certificate_test.c - how many certificates a project has.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define DAY_S 86400

static json_t *
text_of(BIO *bio)
{
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    json_t *text = json_stringn(bytes, (size_t)len);
    BIO_free(bio);
    return text;
}

// A certificate for any host below a.b, as a command brings it.
static json_t *
make_body(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *made = X509_new();
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:*.a.b");
    BIO *content = BIO_new(BIO_s_mem());
    BIO *private = BIO_new(BIO_s_mem());
    X509_set_version(made, 2);
    X509_gmtime_adj(X509_getm_notBefore(made), 0);
    X509_gmtime_adj(X509_getm_notAfter(made), DAY_S);
    X509_set_pubkey(made, key);
    X509_add_ext(made, names, -1);
    assert_true(X509_sign(made, key, EVP_sha256()) > 0);
    PEM_write_bio_X509(content, made);
    PEM_write_bio_PrivateKey(private, key, NULL, NULL, 0, NULL, NULL);
    X509_EXTENSION_free(names);
    X509_free(made);
    EVP_PKEY_free(key);
    return json_pack("{so so}", "cert_content", text_of(content), "private_key", text_of(private));
}

static int
bring(struct fixture *f, const char *command, const char *path, const char *name)
{
    json_t *body = make_body();
    json_object_set_new(body, "name", json_string(name));
    char *text = json_dumps(body, 0);
    int rc = fixture_call(f, command, path, "", text);
    free(text);
    json_decref(body);
    return rc;
}

static void
a_project_has_as_many_certificates_as_one_of_its_gateways_says(void **state)
{
    struct fixture *f = *state;
    struct fixture second;
    const char *path =
        fixture_path(f, "group_id", fixture_create(f, "group.create", "", "{\"name\": \"grp\"}"));
    const char *domain =
        fixture_create(f, "url_domain.create", path, "{\"url_domain\": \"1.a.b\"}");
    path = sl_arena_printf(f->arena, "%.*s, \"domain_id\": \"%s\"}", (int)strlen(path) - 1, path,
                           domain);
    const char *limit = sl_arena_printf(
        f->arena, "{\"id\": \"%s\", \"settings\": {\"project_certificates\": \"1\"}}", f->gateway);
    assert_int_equal(fixture_admin(f, "instance.set", limit), 0);
    assert_int_equal(bring(f, "certificate.create", "", "first"), 0);
    const char *first = sl_arena_dup(f->arena, fixture_text(f, "id"));
    assert_int_equal(bring(f, "certificate.create", "", "more"), -1);
    assert_int_equal(f->err.code, SL_E_RESOURCE_QUOTA);
    assert_int_equal(bring(f, "domain_certificate.add", path, "more"), -1);
    assert_int_equal(f->err.code, SL_E_RESOURCE_QUOTA);
    assert_int_equal(
        bring(f, "certificate.update", fixture_path(f, "certificate_id", first), "same"), 0);
    assert_int_equal(
        fixture_call(f, "certificate.delete", fixture_path(f, "certificate_id", first), "", ""), 0);
    assert_int_equal(bring(f, "domain_certificate.add", path, "more"), 0);
    // Another gateway of the project says nothing, which is more.
    fixture_open(&second, f);
    const char *body =
        sl_arena_printf(f->arena, "{\"name\": \"other\", \"project\": \"%s\"}", f->project);
    assert_int_equal(fixture_admin(&second, "instance.create", body), 0);
    fixture_close(&second);
    assert_int_equal(bring(f, "certificate.create", "", "again"), 0);
}

static void
another_projects_certificates_count_there(void **state)
{
    struct fixture *f = *state;
    const char *limit = sl_arena_printf(
        f->arena, "{\"id\": \"%s\", \"settings\": {\"project_certificates\": \"1\"}}", f->gateway);
    assert_int_equal(fixture_admin(f, "instance.set", limit), 0);
    fixture_sql(f, "INSERT INTO certificate (project_id, id, name, content, certificate_key,"
                   " algorithm, facts) SELECT id, md5(id), 'theirs', '', '', 'ECC', '{}'"
                   " FROM project WHERE id NOT IN (SELECT project_id FROM certificate)");
    fixture_sql(f, sl_arena_printf(f->arena, "DELETE FROM certificate WHERE project_id = '%s'",
                                   f->project));
    assert_int_equal(bring(f, "certificate.create", "", "ours"), 0);
    assert_int_equal(bring(f, "certificate.create", "", "more"), -1);
    assert_int_equal(f->err.code, SL_E_RESOURCE_QUOTA);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_project_has_as_many_certificates_as_one_of_its_gateways_says),
        FIXTURE_TEST(another_projects_certificates_count_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
