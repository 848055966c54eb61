// channel_test.c - load balance channels: their servers, groups and health checks, and who uses
// one.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

#define CHANNEL "\"port\": 80, \"balance_strategy\": 1, \"member_type\": \"ip\""
#define HEALTH                                                                                     \
    "\"protocol\": \"%s\", \"threshold_normal\": 2, \"threshold_abnormal\": 5, \"timeout\": %d,"   \
    " \"time_interval\": 10"

// Runs a command on a channel; the answer of the handler.
static int
on(struct fixture *f, const char *command, const char *channel, const char *body)
{
    return fixture_call(f, command, fixture_path(f, "vpc_channel_id", channel), "", body);
}

// The same, of a server or a group of the channel.
static int
on_part(struct fixture *f, const char *command, const char *channel, const char *name,
        const char *id, const char *body)
{
    const char *path = sl_arena_printf(f->arena, "{\"vpc_channel_id\": \"%s\", \"%s\": \"%s\"}",
                                       channel, name, id);
    return fixture_call(f, command, path, "", body);
}

// Makes a channel with these further members of its body.
static const char *
make(struct fixture *f, const char *name, const char *more)
{
    const char *body = sl_arena_printf(f->arena, "{\"name\": \"%s\", " CHANNEL "%s}", name, more);
    return fixture_create(f, "channel.create", "", body);
}

static int64_t
changes(struct fixture *f, const char *channel)
{
    return fixture_count(f, sl_arena_printf(f->arena,
                                            "SELECT count(*) FROM runtime_change WHERE"
                                            " kind = 'channel' AND key = '%s'",
                                            channel));
}

// Forgets what was marked, so that the next command shows what it marks.
static void
forget_changes(struct fixture *f)
{
    fixture_sql(f, "DELETE FROM runtime_change WHERE kind = 'channel'");
}

static const json_t *
at(const json_t *object, const char *list, size_t i)
{
    return json_array_get(json_object_get(object, list), i);
}

static const char *
text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static int64_t
number(const json_t *object, const char *name)
{
    assert_true(json_is_integer(json_object_get(object, name)));
    return json_integer_value(json_object_get(object, name));
}

static void
refused(struct fixture *f, int rc, enum sl_code code, const char *arg)
{
    assert_int_equal(rc, -1);
    assert_string_equal(sl_error_name(f->err.code), sl_error_name(code));
    if (arg != NULL) {
        assert_string_equal(f->err.args[0], arg);
    }
}

// What a channel has used of a quota.
static int64_t
used(struct fixture *f, const char *quota, const char *channel)
{
    return fixture_count(f, sl_arena_printf(f->arena,
                                            "SELECT coalesce(sum(used), 0) FROM quota_spent WHERE"
                                            " quota = '%s' AND scope = '%s'",
                                            quota, channel));
}

static void
a_channel_comes_with_its_groups_servers_and_health_check(void **state)
{
    struct fixture *f = *state;
    const char *id =
        make(f, "whole",
             ", \"member_groups\": [{\"member_group_name\": \"one\", \"member_group_weight\": 3},"
             " {\"member_group_name\": \"two\"}], \"members\": [{\"host\": \"10.0.0.1\","
             " \"member_group_name\": \"one\"}, {\"host\": \"10.0.0.2\", \"port\": 81, \"weight\":"
             " 7, \"is_backup\": true}, {\"host\": \"10.0.0.1\", \"weight\": 9}],"
             " \"vpc_health_config\": {\"protocol\": \"TCP\", \"threshold_normal\": 2,"
             " \"threshold_abnormal\": 5, \"timeout\": 5, \"time_interval\": 10}");
    assert_null(json_object_get(f->body, "members")); // the reply to a change
    assert_string_equal(text(at(f->body, "member_groups", 1), "member_group_name"), "two");
    assert_true(changes(f, id) > 0);
    assert_int_equal(used(f, "channel_members", id), 2);
    assert_int_equal(used(f, "channel_groups", id), 2);

    assert_int_equal(on(f, "channel.read", id, ""), 0);
    assert_int_equal(json_array_size(json_object_get(f->body, "members")), 2);
    const json_t *first = at(f->body, "members", 0);
    const json_t *second = at(f->body, "members", 1);
    assert_string_equal(text(first, "host"), "10.0.0.1");
    assert_string_equal(text(first, "ecs_id"), "10.0.0.1");
    assert_string_equal(text(first, "member_group_name"), "one");
    assert_int_equal(number(first, "port"), 80);
    assert_int_equal(number(first, "weight"), 1); // the first of an address counts
    assert_int_equal(number(first, "status"), 1);
    assert_int_equal(number(second, "port"), 81);
    assert_int_equal(number(second, "weight"), 7);
    assert_true(json_is_true(json_object_get(second, "is_backup")));
    assert_string_equal(text(second, "member_group_id"), "");
    const json_t *health = json_object_get(f->body, "vpc_health_config");
    assert_string_equal(text(health, "method"), "GET");
    assert_string_equal(text(health, "vpc_channel_id"), id);
    assert_int_equal(number(health, "status"), 1);
}

static void
a_list_that_is_given_replaces_and_one_that_is_not_leaves_alone(void **state)
{
    struct fixture *f = *state;
    const char *id = make(f, "lists",
                          ", \"member_groups\": [{\"member_group_name\": \"one\"}], \"members\":"
                          " [{\"host\": \"a\", \"member_group_name\": \"one\", \"weight\": 4},"
                          " {\"host\": \"b\"}]");
    assert_int_equal(on(f, "channel.update", id, "{\"name\": \"lists\", \"port\": 90}"), 0);
    assert_int_equal(on(f, "channel.read", id, ""), 0);
    assert_int_equal(json_array_size(json_object_get(f->body, "members")), 2);
    assert_int_equal(number(at(f->body, "members", 0), "port"), 90); // it follows the channel
    const char *kept = sl_arena_dup(f->arena, text(at(f->body, "members", 0), "id"));

    // What is not said of a server stays; the other goes, and so does its place in the quota.
    assert_int_equal(on(f, "channel.update", id, "{\"members\": [{\"host\": \"a\"}]}"), 0);
    assert_int_equal(on(f, "channel.read", id, ""), 0);
    assert_int_equal(json_array_size(json_object_get(f->body, "members")), 1);
    assert_string_equal(text(at(f->body, "members", 0), "id"), kept);
    assert_int_equal(number(at(f->body, "members", 0), "weight"), 4);
    assert_string_equal(text(at(f->body, "members", 0), "member_group_name"), "one");
    assert_int_equal(used(f, "channel_members", id), 1);

    // A group that goes leaves its servers.
    assert_int_equal(on(f, "channel.update", id, "{\"member_groups\": []}"), 0);
    assert_int_equal(used(f, "channel_groups", id), 0);
    assert_int_equal(on(f, "channel.read", id, ""), 0);
    assert_string_equal(text(at(f->body, "members", 0), "member_group_name"), "");
    assert_int_equal(on(f, "channel.update", id, "{\"members\": []}"), 0);
    assert_int_equal(on(f, "channel_member.list", id, ""), 0);
    assert_int_equal(fixture_number(f, "total"), 0);
}

static void
servers_are_added_replaced_switched_and_removed(void **state)
{
    struct fixture *f = *state;
    const char *id = make(f, "servers", ", \"member_groups\": [{\"member_group_name\": \"one\"}]");
    forget_changes(f);
    assert_int_equal(on(f, "channel_member.add", id,
                        "{\"members\": [{\"host\": \"a\"}, {\"host\": \"b\","
                        " \"member_group_name\": \"one\"}]}"),
                     0);
    assert_int_equal(changes(f, id), 1);
    assert_int_equal(fixture_number(f, "total"), 2);
    const char *first = sl_arena_dup(f->arena, text(at(f->body, "members", 0), "id"));

    const char *ids = sl_arena_printf(f->arena, "{\"member_ids\": [\"%s\"]}", first);
    forget_changes(f);
    assert_int_equal(on(f, "channel_member.disable", id, ids), 0);
    assert_int_equal(changes(f, id), 1);
    // Adding what is there does not switch it on.
    assert_int_equal(
        on(f, "channel_member.add", id, "{\"members\": [{\"host\": \"a\", \"weight\": 5}]}"), 0);
    assert_int_equal(fixture_number(f, "total"), 2);
    assert_int_equal(number(at(f->body, "members", 0), "status"), 2);
    assert_int_equal(number(at(f->body, "members", 0), "weight"), 5);
    assert_int_equal(on(f, "channel_member.enable", id, ids), 0);
    ids = sl_arena_printf(f->arena, "{\"member_ids\": [\"%s\", \"none\"]}", first);
    refused(f, on(f, "channel_member.disable", id, ids), SL_E_CHANNEL_MEMBER_NOT_FOUND, "none");
    assert_int_equal(on(f, "channel_member.list", id, ""), 0);
    assert_int_equal(number(at(f->body, "members", 0), "status"), 1); // all or none

    // Of a group: its servers alone, and what is said of others is not heard.
    assert_int_equal(on(f, "channel_member.replace", id,
                        "{\"member_group_name\": \"one\", \"members\": [{\"host\": \"c\"},"
                        " {\"host\": \"d\", \"member_group_name\": \"two\"}]}"),
                     0);
    assert_int_equal(fixture_number(f, "total"), 2);
    assert_string_equal(text(at(f->body, "members", 0), "host"), "a");
    assert_string_equal(text(at(f->body, "members", 1), "host"), "c");
    assert_string_equal(text(at(f->body, "members", 1), "member_group_name"), "one");

    forget_changes(f);
    assert_int_equal(on_part(f, "channel_member.delete", id, "member_id", first, ""), 0);
    assert_int_equal(changes(f, id), 1);
    assert_int_equal(used(f, "channel_members", id), 1);
    refused(f, on_part(f, "channel_member.delete", id, "member_id", first, ""),
            SL_E_CHANNEL_MEMBER_NOT_FOUND, first);
}

static void
members_that_say_too_little_or_name_no_group_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *type;
        const char *member;
        enum sl_code code;
        const char *arg;
    } rows[] = {
        {"ip", "{\"weight\": 1}", SL_E_PARAM_MISSING, "members[0].host"},
        {"ip", "{\"host\": \"\"}", SL_E_PARAM_MISSING, "members[0].host"},
        {"ip", "{\"host\": \"a\"}, {\"host\": \"b\", \"member_group_name\": \"none\"}",
         SL_E_PARAM_INVALID, "members[1].member_group_name"},
        {"ecs", "{\"host\": \"a\", \"ecs_name\": \"n\"}", SL_E_PARAM_MISSING, "members[0].ecs_id"},
        {"ecs", "{\"host\": \"a\", \"ecs_id\": \"n\"}", SL_E_PARAM_MISSING, "members[0].ecs_name"},
        {"ecs", "{\"ecs_id\": \"i\", \"ecs_name\": \"n\"}", SL_E_CHANNEL_MEMBER_NOT_FOUND, "i"},
    };
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        const char *body = sl_arena_printf(f->arena,
                                           "{\"name\": \"few\", \"port\": 80, \"balance_strategy\":"
                                           " 1, \"member_type\": \"%s\", \"members\": [%s]}",
                                           rows[i].type, rows[i].member);
        refused(f, fixture_call(f, "channel.create", "", "", body), rows[i].code, rows[i].arg);
    }
    const char *id = make(f, "few", "");
    refused(f, on(f, "channel_member.replace", id, "{\"member_group_name\": \"none\"}"),
            SL_E_PARAM_INVALID, "member_group_name");
    refused(f, on(f, "channel_member.add", "none", "{\"members\": []}"), SL_E_CHANNEL_NOT_FOUND,
            "none");
    refused(f, on(f, "channel_member.list", "none", ""), SL_E_CHANNEL_NOT_FOUND, "none");
    refused(f, on(f, "channel.read", "none", ""), SL_E_CHANNEL_NOT_FOUND, "none");
}

static void
a_cloud_server_keeps_its_id_and_name(void **state)
{
    struct fixture *f = *state;
    const char *id = fixture_create(f, "channel.create", "",
                                    "{\"name\": \"cloud\", \"port\": 80, \"balance_strategy\": 1,"
                                    " \"member_type\": \"ecs\", \"members\": [{\"host\":"
                                    " \"10.0.0.1\", \"ecs_id\": \"i\", \"ecs_name\": \"n\"}]}");
    assert_int_equal(on(f, "channel_member.list", id, ""), 0);
    assert_string_equal(text(at(f->body, "members", 0), "ecs_id"), "i");
    assert_string_equal(text(at(f->body, "members", 0), "ecs_name"), "n");
    assert_string_equal(text(at(f->body, "members", 0), "host"), "10.0.0.1");
}

static void
groups_are_put_by_name_and_read_changed_and_deleted_by_id(void **state)
{
    struct fixture *f = *state;
    const char *id = make(f, "groups", "");
    assert_int_equal(on(f, "channel_group.put", id,
                        "{\"member_groups\": [{\"member_group_name\": \"one\","
                        " \"member_group_weight\": 3}, {\"member_group_name\": \"two\"},"
                        " {\"member_group_name\": \"one\", \"member_group_weight\": 9}]}"),
                     0);
    assert_int_equal(fixture_number(f, "total"), 2);
    assert_int_equal(number(at(f->body, "member_groups", 0), "member_group_weight"), 3);
    assert_null(json_object_get(at(f->body, "member_groups", 1), "member_group_weight"));
    const char *one =
        sl_arena_dup(f->arena, text(at(f->body, "member_groups", 0), "member_group_id"));
    assert_int_equal(on(f, "channel_group.put", id,
                        "{\"member_groups\": [{\"member_group_name\": \"one\","
                        " \"member_group_remark\": \"r\"}]}"),
                     0);
    assert_int_equal(fixture_number(f, "total"), 2);
    assert_int_equal(on_part(f, "channel_group.read", id, "member_group_id", one, ""), 0);
    assert_int_equal(fixture_number(f, "member_group_weight"), 3);
    assert_string_equal(fixture_text(f, "member_group_remark"), "r");

    forget_changes(f);
    assert_int_equal(on_part(f, "channel_group.update", id, "member_group_id", one,
                             "{\"member_group_name\": \"uno\", \"member_group_weight\": 0}"),
                     0);
    assert_int_equal(changes(f, id), 1);
    assert_string_equal(fixture_text(f, "member_group_name"), "uno");
    refused(f,
            on_part(f, "channel_group.update", id, "member_group_id", one,
                    "{\"member_group_name\": \"two\"}"),
            SL_E_CHANNEL_GROUP_EXISTS, NULL);
    const char *other = make(f, "others", "");
    refused(f, on_part(f, "channel_group.read", other, "member_group_id", one, ""),
            SL_E_CHANNEL_GROUP_NOT_FOUND, one);
    assert_int_equal(on_part(f, "channel_group.delete", id, "member_group_id", one, ""), 0);
    assert_int_equal(used(f, "channel_groups", id), 1);
    refused(f, on_part(f, "channel_group.delete", id, "member_group_id", one, ""),
            SL_E_CHANNEL_GROUP_NOT_FOUND, one);
}

static void
a_health_check_says_what_its_protocol_needs(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *protocol;
        int timeout;
        const char *more;
        enum sl_code code; // SL_E_OK: taken
        const char *arg;
    } rows[] = {
        {"TCP", 5, "", SL_E_OK, NULL},
        {"TCP", 10, "", SL_E_PARAM_RANGE, "time_interval"},
        {"HTTP", 5, "", SL_E_PARAM_MISSING, "path"},
        {"HTTP", 5, ", \"path\": \"/h\"", SL_E_PARAM_MISSING, "http_code"},
        {"HTTP", 5, ", \"path\": \"/h\", \"http_code\": \"201,210-299\"", SL_E_OK, NULL},
        {"HTTP", 5, ", \"path\": \"/h\", \"http_code\": \"201,299-210\"", SL_E_PARAM_INVALID,
         "http_code"},
        {"HTTPS", 5, ", \"path\": \"/h\"", SL_E_OK, NULL},
        {"HTTP", 5, ", \"path\": \"/h\", \"http_code\": \"200\", \"enable_client_ssl\": true",
         SL_E_BACKEND_TLS_UNFIT, NULL},
        {"HTTPS", 5, ", \"path\": \"/h\", \"enable_client_ssl\": true",
         SL_E_FEATURE_CONFIG_NOT_FOUND, NULL},
    };
    const char *id = make(f, "probed", "");
    const char *first = NULL;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        const char *body = sl_arena_printf(f->arena, "{" HEALTH "%s}", rows[i].protocol,
                                           rows[i].timeout, rows[i].more);
        forget_changes(f);
        int rc = on(f, "channel_health.set", id, body);
        if (rows[i].code != SL_E_OK) {
            refused(f, rc, rows[i].code, rows[i].arg);
            continue;
        }
        assert_int_equal(rc, 0);
        assert_int_equal(changes(f, id), 1);
        if (first == NULL) {
            first = sl_arena_dup(f->arena, fixture_text(f, "id"));
        }
        assert_string_equal(fixture_text(f, "id"), first); // one check for each channel
    }
    refused(f,
            on(f, "channel.update", id,
               sl_arena_printf(f->arena, "{\"vpc_health_config\": {" HEALTH "}}", "HTTP", 5)),
            SL_E_PARAM_MISSING, "vpc_health_config.path");
}

static void
names_and_quotas_hold(void **state)
{
    struct fixture *f = *state;
    const char *id = make(f, "twice", "");
    refused(f, fixture_call(f, "channel.create", "", "", "{\"name\": \"twice\", " CHANNEL "}"),
            SL_E_CHANNEL_EXISTS, NULL);
    SL_AUTO_BUF body;
    sl_buf_init(&body, 4096);
    for (int i = 0; i < 11; i++) {
        sl_buf_addf(&body, "%s{\"host\": \"h%d\"}", i == 0 ? "{\"members\": [" : ", ", i);
    }
    sl_buf_adds(&body, "]}");
    refused(f, on(f, "channel_member.add", id, sl_arena_dupn(f->arena, body.ptr, body.len)),
            SL_E_CHANNEL_MEMBER_QUOTA, NULL);
    assert_int_equal(on(f, "channel_member.list", id, ""), 0);
    assert_int_equal(fixture_number(f, "total"), 0);
    assert_int_equal(on(f, "channel_member.add", id, "{\"members\": [{\"host\": \"h\"}]}"), 0);
    assert_int_equal(on(f, "channel.delete", id, ""), 0);
    assert_int_equal(fixture_count(f, sl_arena_printf(f->arena,
                                                      "SELECT count(*) FROM quota_usage"
                                                      " WHERE scope = '%s'",
                                                      id)),
                     0);
}

// The definition of an API whose backend says this of where it is.
static const char *
definition(struct fixture *f, const char *group, const char *where)
{
    return sl_arena_printf(
        f->arena,
        "{\"name\": \"a\", \"group_id\": \"%s\", \"type\": 1, \"req_protocol\": \"HTTPS\","
        " \"req_method\": \"GET\", \"req_uri\": \"/a\", \"auth_type\": \"NONE\","
        " \"backend_type\": \"HTTP\", \"backend_api\": {\"req_protocol\": \"HTTP\","
        " \"req_method\": \"GET\", \"req_uri\": \"/\", \"timeout\": 1000, %s}}",
        group, where);
}

// That it is a channel; an address beside it counts for nothing.
static const char *
in_channel(struct fixture *f, const char *id)
{
    return sl_arena_printf(f->arena,
                           "\"url_domain\": \"h\", \"vpc_channel_status\": 1,"
                           " \"vpc_channel_info\": {\"vpc_channel_id\": \"%s\"}",
                           id);
}

static void
a_channel_in_use_stays(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"users\"}");
    const char *id = make(f, "used", "");
    const char *other = make(f, "other", "");
    refused(f, fixture_call(f, "api.create", "", "", definition(f, group, in_channel(f, "none"))),
            SL_E_CHANNEL_NOT_FOUND, "none");
    refused(
        f, fixture_call(f, "api.create", "", "", definition(f, group, "\"vpc_channel_status\": 1")),
        SL_E_PARAM_MISSING, "backend_api.vpc_channel_info");
    const char *api = fixture_create(f, "api.create", "", definition(f, group, in_channel(f, id)));
    assert_null(json_object_get(json_object_get(f->body, "backend_api"), "url_domain"));
    refused(f, on(f, "channel.delete", id, ""), SL_E_CHANNEL_IN_USE, NULL);
    assert_int_equal(fixture_call(f, "api.list", "", "{\"vpc_channel_name\": \"USE\"}", ""), 0);
    assert_int_equal(fixture_number(f, "total"), 1);
    assert_int_equal(fixture_call(f, "api.list", "", "{\"vpc_channel_name\": \"othe\"}", ""), 0);
    assert_int_equal(fixture_number(f, "total"), 0);

    // It goes over to another; then back to an address.
    const char *path = fixture_path(f, "api_id", api);
    assert_int_equal(
        fixture_call(f, "api.update", path, "", definition(f, group, in_channel(f, other))), 0);
    assert_int_equal(on(f, "channel.delete", id, ""), 0);
    refused(f, on(f, "channel.delete", other, ""), SL_E_CHANNEL_IN_USE, NULL);
    assert_int_equal(
        fixture_call(f, "api.update", path, "", definition(f, group, "\"url_domain\": \"h\"")), 0);
    assert_int_equal(number(json_object_get(f->body, "backend_api"), "vpc_channel_status"), 2);
    assert_int_equal(on(f, "channel.delete", other, ""), 0);
}

// Sets the feature as `feature` says (NULL: leaves it), then calls the channel `name`.
static int
rename_with(struct fixture *f, const char *id, const char *name, const char *feature)
{
    if (feature != NULL) {
        fixture_sql(f, "UPDATE feature SET update_time = now() - interval '1 hour'");
        const char *body =
            sl_arena_printf(f->arena, "{\"name\": \"vpc_name_modifiable\", %s}", feature);
        assert_int_equal(fixture_call(f, "feature.set", "", "", body), 0);
    }
    return on(f, "channel.update", id,
              sl_arena_printf(f->arena, "{\"name\": \"%s\", " CHANNEL "}", name));
}

static void
a_name_stays_while_the_gateway_says_so(void **state)
{
    struct fixture *f = *state;
    const char *id = make(f, "first-name", "");
    assert_int_equal(rename_with(f, id, "second", NULL), 0);
    static const char *const off[] = {"\"enable\": true, \"config\": \"off\"",
                                      "\"enable\": false, \"config\": \"on\"", "\"enable\": false"};
    for (size_t i = 0; i < SL_COUNT(off); i++) {
        refused(f, rename_with(f, id, "third", off[i]), SL_E_FEATURE_UNSUPPORTED,
                "vpc_name_modifiable");
        assert_int_equal(rename_with(f, id, "second", NULL), 0); // all else may change
    }
    make(f, "another", ""); // and be made
    assert_int_equal(rename_with(f, id, "third", "\"enable\": true, \"config\": \"on\""), 0);
    assert_string_equal(fixture_text(f, "name"), "third");
}

// Each row: a query of the list, and how many of the two channels it finds.
static void
channels_are_found_by_what_their_servers_and_groups_are(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *query;
        int found;
    } rows[] = {
        {"{}", 2},
        {"{\"name\": \"FIR\"}", 1},
        {"{\"name\": \"fir\", \"precise_search\": \"name\"}", 0},
        {"{\"member_host\": \"10.0.0.1\"}", 2},
        {"{\"member_host\": \"10.0.0\"}", 0},
        {"{\"member_port\": 80}", 1},
        {"{\"member_port\": 81}", 1},
        {"{\"member_group_name\": \"N\"}", 1},
        {"{\"member_group_name\": \"n\", \"precise_search\": \"member_group_name\"}", 0},
        {"{\"member_group_name\": \"one\", \"precise_search\": \"member_group_name\"}", 1},
        {"{\"member_group_id\": \"none\"}", 0},
    };
    make(f, "first",
         ", \"member_groups\": [{\"member_group_name\": \"one\"}], \"members\": [{\"host\":"
         " \"10.0.0.1\"}]");
    make(f, "second", ", \"members\": [{\"host\": \"10.0.0.1\", \"port\": 81}]");
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        assert_int_equal(fixture_call(f, "channel.list", "", rows[i].query, ""), 0);
        if (fixture_number(f, "total") != rows[i].found) {
            fail_msg("%s found %d", rows[i].query, (int)fixture_number(f, "total"));
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_channel_comes_with_its_groups_servers_and_health_check),
        FIXTURE_TEST(a_list_that_is_given_replaces_and_one_that_is_not_leaves_alone),
        FIXTURE_TEST(servers_are_added_replaced_switched_and_removed),
        FIXTURE_TEST(members_that_say_too_little_or_name_no_group_are_refused),
        FIXTURE_TEST(a_cloud_server_keeps_its_id_and_name),
        FIXTURE_TEST(groups_are_put_by_name_and_read_changed_and_deleted_by_id),
        FIXTURE_TEST(a_health_check_says_what_its_protocol_needs),
        FIXTURE_TEST(names_and_quotas_hold),
        FIXTURE_TEST(a_channel_in_use_stays),
        FIXTURE_TEST(a_name_stays_while_the_gateway_says_so),
        FIXTURE_TEST(channels_are_found_by_what_their_servers_and_groups_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
