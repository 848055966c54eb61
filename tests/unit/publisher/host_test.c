// host_test.c - domains of groups as nodes get them.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/publisher/fixture.h"

#include "services/publisher/compile.h"

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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_domain_leads_to_its_group),
        FIXTURE_TEST(a_name_longer_than_a_key_is_found_by_its_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
