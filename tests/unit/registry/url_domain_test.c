// url_domain_test.c - domains of groups: their form, their group, what is republished.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

static const char *
path_of(struct fixture *f, const char *group, const char *domain)
{
    return sl_arena_printf(f->arena, "{\"group_id\": \"%s\", \"domain_id\": \"%s\"}", group,
                           domain);
}

static int
bind(struct fixture *f, const char *group, const char *name)
{
    return fixture_call(f, "url_domain.create", fixture_path(f, "group_id", group), "",
                        sl_arena_printf(f->arena, "{\"url_domain\": \"%s\"}", name));
}

static const char *
new_group(struct fixture *f, const char *name)
{
    return fixture_create(f, "group.create", "",
                          sl_arena_printf(f->arena, "{\"name\": \"%s\"}", name));
}

static int64_t
marked(struct fixture *f, const char *host)
{
    return fixture_count(
        f, sl_arena_printf(f->arena,
                           "SELECT count(*) FROM runtime_change WHERE gateway_id = '%s'"
                           " AND kind = 'host' AND key = '%s'",
                           f->gateway, host));
}

static void
only_what_dns_takes_is_a_domain(void **state)
{
    struct fixture *f = *state;
    static const char *const good[] = {"a.b", "xn--bcher-kva.example", "*.a.b", "1.2.3.com",
                                       "A-1.b"};
    static const char *const bad[] = {"a",    "*.a",  "*a.b", "a.*.b", "10.0.0.1",    "a_b.c",
                                      "a.b.", ".a.b", "-a.b", "a-.b",  "a.b:80",      "[::1]",
                                      "",     "*.*",  "a.b/", "a b.c", "b\\u00fc.com"};
    for (size_t i = 0; i < SL_COUNT(good); i++) {
        const char *group = new_group(f, sl_arena_printf(f->arena, "grp_%zu", i));
        if (bind(f, group, good[i]) != 0) {
            fail_msg("%s: %s", good[i], sl_error_name(f->err.code));
        }
    }
    const char *group = new_group(f, "other");
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        if (bind(f, group, bad[i]) == 0 || f->err.code != SL_E_URL_DOMAIN_INVALID) {
            fail_msg("%s: %s", bad[i], sl_error_name(f->err.code));
        }
    }
    char label[65];
    memset(label, 'x', sizeof(label) - 1);
    label[64] = '\0';
    assert_int_equal(bind(f, group, sl_arena_printf(f->arena, "%s.com", label)), -1);
    assert_int_equal(bind(f, group, sl_arena_printf(f->arena, "%s.com", label + 1)), 0);
    const char *first = sl_arena_printf(f->arena, "%s.%s.%s", label + 1, label + 1, label + 1);
    assert_int_equal(bind(f, group, sl_arena_printf(f->arena, "%s.%s", first, label + 3)), 0);
    assert_int_equal(bind(f, group, sl_arena_printf(f->arena, "%s.%s", first, label + 2)), -1);
    assert_int_equal(f->err.code, SL_E_URL_DOMAIN_INVALID);
}

static void
debugging_domains_are_nobodys(void **state)
{
    struct fixture *f = *state;
    const char *group = new_group(f, "grp");
    const char *own = sl_arena_dup(f->arena, fixture_text(f, "sl_domain"));
    assert_int_equal(bind(f, group, own), -1);
    assert_int_equal(f->err.code, SL_E_URL_DOMAIN_INVALID);
    assert_int_equal(bind(f, group, strchr(own, '.') + 1), 0);
    assert_int_equal(bind(f, group, sl_arena_printf(f->arena, "www%s", strchr(own, '.'))), 0);
}

static void
another_group_neither_gets_it_nor_changes_it(void **state)
{
    struct fixture *f = *state;
    const char *group = new_group(f, "grp");
    const char *other = new_group(f, "other");
    assert_int_equal(bind(f, group, "www.Example.com"), 0);
    assert_string_equal(fixture_text(f, "url_domain"), "www.example.com");
    const char *id = sl_arena_dup(f->arena, fixture_text(f, "id"));
    assert_int_equal(bind(f, other, "WWW.example.com"), -1);
    assert_int_equal(f->err.code, SL_E_URL_DOMAIN_EXISTS);
    const char *body = "{\"min_ssl_version\": \"TLSv1.2\"}";
    assert_int_equal(fixture_call(f, "url_domain.update", path_of(f, other, id), "", body), -1);
    assert_int_equal(f->err.code, SL_E_URL_DOMAIN_ELSEWHERE);
    assert_int_equal(fixture_call(f, "url_domain.delete", path_of(f, other, id), "", ""), -1);
    assert_int_equal(f->err.code, SL_E_URL_DOMAIN_ELSEWHERE);
    assert_int_equal(fixture_call(f, "url_domain.update", path_of(f, group, id), "", body), 0);
    assert_string_equal(fixture_text(f, "min_ssl_version"), "TLSv1.2");
    assert_int_equal(bind(f, "nope", "other.example.com"), -1);
    assert_int_equal(f->err.code, SL_E_GROUP_NOT_FOUND);
}

static void
each_change_marks_the_host_and_what_the_group_shows(void **state)
{
    struct fixture *f = *state;
    const char *group = new_group(f, "grp");
    assert_int_equal(bind(f, group, "www.example.com"), 0);
    const char *id = sl_arena_dup(f->arena, fixture_text(f, "id"));
    assert_int_equal(marked(f, "www.example.com"), 1);
    const char *shown = sl_arena_printf(
        f->arena, "SELECT jsonb_array_length(url_domains::jsonb) FROM api_group WHERE id = '%s'",
        group);
    assert_int_equal(fixture_count(f, shown), 1);
    assert_int_equal(bind(f, group, "*.example.com"), 0);
    assert_int_equal(fixture_count(f, shown), 2);
    assert_int_equal(fixture_call(f, "url_domain.delete", path_of(f, group, id), "", ""), 0);
    assert_int_equal(marked(f, "www.example.com"), 2);
    assert_int_equal(fixture_count(f, shown), 1);
    assert_int_equal(fixture_call(f, "group.delete", fixture_path(f, "group_id", group), "", ""),
                     0);
    assert_int_equal(marked(f, "*.example.com"), 2);
}

static void
the_debugging_domain_is_closed_and_opened(void **state)
{
    struct fixture *f = *state;
    const char *path = fixture_path(f, "group_id", new_group(f, "grp"));
    assert_int_equal(
        fixture_call(f, "group.set_access", path, "", "{\"sl_domain_access_enabled\": false}"), 0);
    assert_int_equal(f->reply.body.len, 0);
    assert_int_equal(fixture_call(f, "group.read", path, "", ""), 0);
    assert_true(json_is_false(json_object_get(f->body, "sl_domain_access_enabled")));
    assert_int_equal(fixture_call(f, "group.update", path, "", "{\"name\": \"renamed\"}"), 0);
    assert_true(json_is_false(json_object_get(f->body, "sl_domain_access_enabled")));
    assert_int_equal(
        fixture_call(f, "group.set_access", path, "", "{\"sl_domain_access_enabled\": true}"), 0);
    assert_int_equal(fixture_call(f, "group.read", path, "", ""), 0);
    assert_true(json_is_true(json_object_get(f->body, "sl_domain_access_enabled")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(only_what_dns_takes_is_a_domain),
        FIXTURE_TEST(debugging_domains_are_nobodys),
        FIXTURE_TEST(another_group_neither_gets_it_nor_changes_it),
        FIXTURE_TEST(each_change_marks_the_host_and_what_the_group_shows),
        FIXTURE_TEST(the_debugging_domain_is_closed_and_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
