// options_test.c - command lines of sluice-admin: what becomes a body, and what is refused.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "services/admin/admin.h"

static struct sl_arena *arena;
static struct sl_error err;

static int
set_up(void **state)
{
    (void)state;
    arena = sl_arena_new(1 << 20);
    return arena == NULL;
}

static int
tear_down(void **state)
{
    (void)state;
    sl_arena_free(&arena);
    return 0;
}

static const struct command_row *
find(const char *words)
{
    for (const struct command_row *row = command_rows; row->words != NULL; row++) {
        if (strcmp(row->words, words) == 0) {
            return row;
        }
    }
    return NULL;
}

// Parses the words of a command, cut at blanks; NULL with err filled.
static json_t *
parse(const char *words, const char *line)
{
    struct admin admin = {.arena = arena, .row = find(words)};
    char *argv[16];
    int argc = 0;
    char *copy = sl_arena_dup(arena, line);
    for (char *word = strtok_r(copy, " ", &copy); word != NULL; word = strtok_r(NULL, " ", &copy)) {
        argv[argc++] = word;
    }
    json_t *fields = NULL;
    assert_non_null(admin.row);
    return options_parse(&admin, argc, argv, &fields, &err) == 0 ? fields : NULL;
}

// Parses and compares with the JSON text, ' for ".
static void
expect(const char *words, const char *line, const char *text)
{
    char *json = sl_arena_dup(arena, text);
    for (char *c = json; *c != '\0'; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    json_t *wanted = json_loads(json, 0, NULL);
    json_t *fields = parse(words, line);
    assert_non_null(wanted);
    assert_non_null(fields);
    assert_true(json_equal(wanted, fields));
    json_decref(wanted);
    json_decref(fields);
}

static void
refuse(const char *words, const char *line, const char *why)
{
    assert_null(parse(words, line));
    assert_int_equal(err.code, SL_E_ADMIN);
    assert_non_null(strstr(err.args[0], why));
}

static void
words_and_options_become_the_body(void **state)
{
    (void)state;
    expect("domain create", "demo", "{'name': 'demo'}");
    expect("project create", "main --domain demo --id p1",
           "{'name': 'main', 'domain': 'demo', 'id': 'p1'}");
    expect("gateway create", "--address 10.0.0.1 main --project p --address ::1",
           "{'name': 'main', 'project': 'p', 'addresses': ['10.0.0.1', '::1']}");
    expect("access-key create", "--user u --domain d --expires-in 60",
           "{'user': 'u', 'domain': 'd', 'expires_in': 60}");
    expect("access-key create", "--user u --domain d --temporary 900",
           "{'user': 'u', 'domain': 'd', 'temporary': 900}");
    expect("user update", "u --domain d --disable --revoke",
           "{'user': 'u', 'domain': 'd', 'enabled': false, 'revoke': true}");
    expect("gateway set", "g1 domain_call_limit=0 restrict_cidrs=10.0.0.0/8,a=b",
           "{'id': 'g1', 'settings': {'domain_call_limit': '0', 'restrict_cidrs':"
           " '10.0.0.0/8,a=b'}}");
    expect("policy list", "", "{}");
}

static void
what_is_missing_or_foreign_is_named(void **state)
{
    (void)state;
    refuse("domain create", "", "NAME");
    refuse("project create", "main", "--domain");
    refuse("project create", "main --domain", "--domain");
    refuse("project create", "main --domain a --domain b", "--domain");
    refuse("project create", "main --domain a --colour red", "--colour");
    refuse("domain create", "a b", "b");
    refuse("gateway set", "g1", "NAME=VALUE");
    refuse("gateway set", "g1 =x", "=x");
    refuse("access-key create", "--user u --domain d --expires-in soon", "--expires-in");
    refuse("user update", "u --domain d --enable --disable", "--disable");
    refuse("policy create", "p --document /nonexistent", "--document");
}

static void
a_generated_secret_is_long_and_never_the_same(void **state)
{
    (void)state;
    json_t *a = parse("user create", "u --domain d --generate");
    json_t *b = parse("user create", "u --domain d --generate");
    const char *first = json_string_value(json_object_get(a, "password"));
    const char *second = json_string_value(json_object_get(b, "password"));
    assert_int_equal(strlen(first), 24);
    assert_string_not_equal(first, second);
    json_decref(a);
    json_decref(b);
    refuse("user create", "u --domain d --generate --password-stdin", "--password-stdin");
}

static void
every_row_is_whole(void **state)
{
    (void)state;
    for (const struct command_row *row = command_rows; row->words != NULL; row++) {
        const char *blank = strchr(row->words, ' ');
        assert_non_null(blank);
        assert_null(strchr(blank + 1, ' '));
        assert_ptr_equal(find(row->words), row);
        assert_true(row->run != NULL || (row->service != NULL && row->command != NULL));
        assert_true((row->object == NULL) == (row->object_word == NULL));
        assert_non_null(row->options);
        assert_true(row->summary[0] != '\0');
    }
}

static void
a_command_over_the_bus_needs_a_peer_file(void **state)
{
    (void)state;
    struct admin admin = {.arena = arena, .row = find("domain list")};
    json_t *answer = NULL;
    json_t *fields = json_object();
    assert_int_equal(online_send(&admin, fields, &answer, &err), -1);
    assert_int_equal(err.code, SL_E_ADMIN);
    admin.peer_file = "/nonexistent/peer";
    assert_int_equal(online_send(&admin, fields, &answer, &err), -1);
    json_decref(fields);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_options_become_the_body),
        cmocka_unit_test(what_is_missing_or_foreign_is_named),
        cmocka_unit_test(a_generated_secret_is_long_and_never_the_same),
        cmocka_unit_test(every_row_is_whole),
        cmocka_unit_test(a_command_over_the_bus_needs_a_peer_file),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
