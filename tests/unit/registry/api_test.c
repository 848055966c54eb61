// api_test.c - the rules between an API's fields, its nested ids, lists, and what goes with it.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/crypto/crypto.h"
#include "tests/unit/registry/fixture.h"

#define HEAD                                                                                       \
    "{\"group_id\": \"%s\", \"name\": \"Api_http\", \"type\": 1, \"req_protocol\": \"HTTPS\","     \
    " \"req_method\": \"GET\", \"auth_type\": \"NONE\", \"backend_type\": \"HTTP\","
#define BACKEND                                                                                    \
    " \"backend_api\": {\"url_domain\": \"127.0.0.1:80\", \"req_protocol\": \"HTTP\","             \
    " \"req_method\": \"GET\", \"req_uri\": \"%s\", \"timeout\": 5000}"

static const char *
new_group(struct fixture *f, const char *name)
{
    return fixture_create(f, "group.create", "",
                          sl_arena_printf(f->arena, "{\"name\": \"%s\"}", name));
}

// A web API with these paths and parameters.
static const char *
web_body(struct fixture *f, const char *group, const char *uri, const char *backend_uri,
         const char *rest)
{
    return sl_arena_printf(f->arena, HEAD " \"req_uri\": \"%s\"," BACKEND "%s}", group, uri,
                           backend_uri, rest);
}

static const char user_param[] =
    ", \"req_params\": [{\"name\": \"user\", \"type\": \"STRING\", \"location\": \"PATH\"}]";

static void
a_web_api_is_answered_whole(void **state)
{
    static const char *const names[] = {"id",
                                        "name",
                                        "type",
                                        "version",
                                        "req_protocol",
                                        "req_method",
                                        "req_uri",
                                        "auth_type",
                                        "auth_opt",
                                        "cors",
                                        "match_mode",
                                        "backend_type",
                                        "group_id",
                                        "group_name",
                                        "group_version",
                                        "status",
                                        "arrange_necessary",
                                        "tags",
                                        "backend_api",
                                        "req_params",
                                        "backend_params",
                                        "register_time",
                                        "update_time",
                                        "api_group_info"};
    struct fixture *f = *state;
    const char *rest =
        ", \"tags\": [\"webApi\"], \"req_params\": [{\"name\": \"user\", \"type\": \"STRING\","
        " \"location\": \"PATH\"}], \"backend_params\": [{\"name\": \"id\", \"value\": \"user\","
        " \"location\": \"PATH\", \"origin\": \"REQUEST\"}]";
    fixture_create(f, "api.create", "",
                   web_body(f, new_group(f, "g01"), "/u/{user}", "/b/{id}", rest));
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        if (json_object_get(f->body, names[i]) == NULL) {
            fail_msg("%s is missing", names[i]);
        }
    }
    const json_t *param = json_array_get(json_object_get(f->body, "req_params"), 0);
    const json_t *mapped = json_array_get(json_object_get(f->body, "backend_params"), 0);
    assert_int_equal(json_integer_value(json_object_get(param, "required")), 1);
    assert_int_equal(json_integer_value(json_object_get(param, "valid_enable")), 2);
    assert_int_equal(json_integer_value(json_object_get(param, "pass_through")), 1);
    assert_true(json_equal(json_object_get(param, "id"), json_object_get(mapped, "req_param_id")));
    const json_t *backend = json_object_get(f->body, "backend_api");
    assert_int_equal(json_integer_value(json_object_get(backend, "vpc_channel_status")), 2);
    assert_string_equal(json_string_value(json_object_get(backend, "retry_count")), "-1");
    assert_int_equal(strlen(json_string_value(json_object_get(backend, "id"))), 32);
    assert_string_equal(fixture_text(f, "version"), "V0.0.1");
}

struct rule {
    const char *uri;
    const char *backend_uri;
    const char *rest;
    enum sl_code code;
};

static void
every_broken_rule_has_its_own_code(void **state)
{
    static const struct rule rules[] = {
        {"/u/{user}", "/", "", SL_E_PATH_PARAM_UNDEFINED},
        {"/u", "/", user_param, SL_E_PATH_PARAM_UNDEFINED},
        {"/u/{user}/{user}", "/", user_param, SL_E_PATH_PARAM_UNDEFINED},
        {"/u/x{user}", "/", user_param, SL_E_PARAM_INVALID},
        {"/u/{user+}/x", "/", user_param, SL_E_PARAM_INVALID},
        {"/u", "/{id}", "", SL_E_BACKEND_PATH_UNDEFINED},
        {"/u", "/",
         ", \"backend_params\": [{\"name\": \"id\", \"value\": \"1\", \"location\": \"PATH\","
         " \"origin\": \"CONSTANT\"}]",
         SL_E_BACKEND_PATH_UNDEFINED},
        {"/u", "/",
         ", \"backend_params\": [{\"name\": \"id\", \"value\": \"no\", \"location\": \"QUERY\","
         " \"origin\": \"REQUEST\"}]",
         SL_E_MAPPED_PARAM_UNDEFINED},
        {"/u", "/",
         ", \"backend_params\": [{\"name\": \"id\", \"value\":"
         " \"$context.authorizer.frontend.x\", \"location\": \"QUERY\", \"origin\": \"SYSTEM\"}]",
         SL_E_AUTHORIZER_PARAM},
        {"/u", "/",
         ", \"backend_params\": [{\"name\": \"id\", \"value\": \"x\", \"location\": \"QUERY\","
         " \"origin\": \"SYSTEM\"}]",
         SL_E_PARAM_INVALID},
        {"/u", "/",
         ", \"req_params\": [{\"name\": \"a\", \"type\": \"STRING\", \"location\": \"QUERY\"},"
         " {\"name\": \"A\", \"type\": \"STRING\", \"location\": \"QUERY\"}]",
         SL_E_PARAM_NAME_EXISTS},
        {"/u", "/",
         ", \"req_params\": [{\"name\": \"X-Stage\", \"type\": \"STRING\","
         " \"location\": \"HEADER\"}]",
         SL_E_PARAM_INVALID},
        {"/u", "/", ", \"tags\": [\"a\", \"a\"]", SL_E_TAG_EXISTS},
        {"/u", "/",
         ", \"req_params\": [{\"name\": \"n\", \"type\": \"NUMBER\", \"location\": \"QUERY\","
         " \"min_num\": 5, \"max_num\": 4}]",
         SL_E_PARAM_INVALID},
        {"/u", "/",
         ", \"req_params\": [{\"name\": \"n\", \"type\": \"STRING\", \"location\": \"QUERY\","
         " \"min_size\": 5, \"max_size\": 4}]",
         SL_E_PARAM_INVALID},
    };
    struct fixture *f = *state;
    const char *group = new_group(f, "g01");
    for (size_t i = 0; i < SL_COUNT(rules); i++) {
        const char *body = web_body(f, group, rules[i].uri, rules[i].backend_uri, rules[i].rest);
        assert_int_equal(fixture_call(f, "api.create", "", "", body), -1);
        if (f->err.code != rules[i].code) {
            fail_msg("rule %zu: %s, not %s", i, sl_error_name(f->err.code),
                     sl_error_name(rules[i].code));
        }
    }
}

static void
a_backend_that_is_not_described_is_missing(void **state)
{
    struct fixture *f = *state;
    const char *body = sl_arena_printf(f->arena, HEAD "\"req_uri\": \"/a\"}", new_group(f, "g01"));
    assert_int_equal(fixture_call(f, "api.create", "", "", body), -1);
    assert_int_equal(f->err.code, SL_E_PARAM_MISSING);
    assert_string_equal(f->err.args[0], "backend_api");
}

static void
a_timeout_beyond_the_gateways_is_out_of_range(void **state)
{
    struct fixture *f = *state;
    const char *set = sl_arena_printf(
        f->arena, "{\"id\": \"%s\", \"settings\": {\"backend_timeout\": \"4000\"}}", f->gateway);
    assert_int_equal(fixture_admin(f, "instance.set", set), 0);
    const char *body = web_body(f, new_group(f, "g01"), "/u", "/", "");
    assert_int_equal(fixture_call(f, "api.create", "", "", body), -1);
    assert_int_equal(f->err.code, SL_E_PARAM_RANGE);
    assert_string_equal(f->err.args[0], "backend_api.timeout");
}

static void
one_path_belongs_to_one_api_whatever_its_parameters_are_called(void **state)
{
    struct fixture *f = *state;
    const char *group = new_group(f, "g01");
    fixture_create(f, "api.create", "", web_body(f, group, "/u/{user}", "/", user_param));
    const char *body = sl_arena_printf(
        f->arena,
        "{\"group_id\": \"%s\", \"name\": \"other\", \"type\": 1, \"req_protocol\": \"HTTP\","
        " \"req_method\": \"GET\", \"req_uri\": \"/u/{who}\", \"auth_type\": \"NONE\","
        " \"backend_type\": \"MOCK\", \"mock_info\": {}, \"req_params\": [{\"name\": \"who\","
        " \"type\": \"STRING\", \"location\": \"PATH\"}]}",
        group);
    assert_int_equal(fixture_call(f, "api.create", "", "", body), -1);
    assert_int_equal(f->err.code, SL_E_API_EXISTS);
    assert_int_equal(fixture_call(f, "api.create", "", "", web_body(f, group, "/other", "/", "")),
                     -1);
    assert_int_equal(f->err.code, SL_E_API_NAME_EXISTS);
    fixture_create(f, "api.create", "",
                   web_body(f, new_group(f, "g02"), "/u/{user}", "/", user_param));
}

static void
an_unknown_group_is_named(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_call(f, "api.create", "", "", web_body(f, "nope", "/u", "/", "")), -1);
    assert_int_equal(f->err.code, SL_E_GROUP_NOT_FOUND);
    assert_string_equal(f->err.args[0], "nope");
}

static void
an_update_keeps_ids_and_times_of_what_stays(void **state)
{
    struct fixture *f = *state;
    const char *group = new_group(f, "g01");
    const char *id =
        fixture_create(f, "api.create", "", web_body(f, group, "/u/{user}", "/", user_param));
    json_t *before = f->body;
    const char *body = web_body(f, group, "/v/{user}", "/c", user_param);
    assert_int_equal(fixture_call(f, "api.update", fixture_path(f, "api_id", id), "", body), 0);
    const json_t *old_backend = json_object_get(before, "backend_api");
    const json_t *backend = json_object_get(f->body, "backend_api");
    assert_true(json_equal(json_object_get(old_backend, "id"), json_object_get(backend, "id")));
    assert_true(json_equal(json_object_get(old_backend, "register_time"),
                           json_object_get(backend, "register_time")));
    assert_string_equal(json_string_value(json_object_get(backend, "req_uri")), "/c");
    assert_true(json_equal(
        json_object_get(json_array_get(json_object_get(before, "req_params"), 0), "id"),
        json_object_get(json_array_get(json_object_get(f->body, "req_params"), 0), "id")));
}

static void
an_update_of_the_path_alone_is_judged_with_the_stored_parameters(void **state)
{
    struct fixture *f = *state;
    const char *id = fixture_create(f, "api.create", "",
                                    web_body(f, new_group(f, "g01"), "/u/{user}", "/", user_param));
    const char *path = fixture_path(f, "api_id", id);
    assert_int_equal(fixture_call(f, "api.update", path, "", "{\"req_uri\": \"/w\"}"), -1);
    assert_int_equal(f->err.code, SL_E_PATH_PARAM_UNDEFINED);
    assert_int_equal(fixture_call(f, "api.update", path, "", "{\"req_uri\": \"/w/{user}\"}"), 0);
    assert_int_equal(
        fixture_call(f, "api.update", path, "", "{\"req_uri\": \"/w\", \"req_params\": []}"), 0);
    assert_int_equal(json_array_size(json_object_get(f->body, "req_params")), 0);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM runtime_change WHERE kind = 'api'"), 0);
}

static void
a_changed_backend_type_drops_the_other_backend(void **state)
{
    struct fixture *f = *state;
    const char *id =
        fixture_create(f, "api.create", "", web_body(f, new_group(f, "g01"), "/u", "/", ""));
    assert_int_equal(fixture_call(f, "api.update", fixture_path(f, "api_id", id), "",
                                  "{\"backend_type\": \"MOCK\","
                                  " \"mock_info\": {\"result_content\": \"hi\"}}"),
                     0);
    assert_null(json_object_get(f->body, "backend_api"));
    assert_non_null(json_object_get(f->body, "mock_info"));
}

static void
app_codes_go_with_app_authentication_only(void **state)
{
    struct fixture *f = *state;
    const char *id = fixture_api(f, new_group(f, "g01"), "Api_mock", "/m", false);
    const char *path = fixture_path(f, "api_id", id);
    assert_int_equal(fixture_call(f, "api.update", path, "",
                                  "{\"auth_opt\": {\"app_code_auth_type\": \"HEADER\"}}"),
                     0);
    json_t *option = json_object_get(f->body, "auth_opt");
    assert_string_equal(json_string_value(json_object_get(option, "app_code_auth_type")), "HEADER");
    assert_int_equal(fixture_call(f, "api.update", path, "", "{\"auth_type\": \"NONE\"}"), 0);
    option = json_object_get(f->body, "auth_opt");
    assert_string_equal(json_string_value(json_object_get(option, "app_code_auth_type")),
                        "DISABLE");
}

static void
a_published_api_and_its_environment_stay_and_a_group_with_apis_too(void **state)
{
    struct fixture *f = *state;
    const char *group = new_group(f, "g01");
    const char *id = fixture_api(f, group, "Api_mock", "/m", true);
    const char *path = fixture_path(f, "api_id", id);
    assert_int_equal(fixture_call(f, "api.delete", path, "", ""), -1);
    assert_int_equal(f->err.code, SL_E_API_PUBLISHED);
    assert_int_equal(fixture_call(f, "group.delete", fixture_path(f, "group_id", group), "", ""),
                     -1);
    assert_int_equal(f->err.code, SL_E_GROUP_IN_USE);
    assert_string_equal(f->err.args[0], group);
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "UPDATE publication SET version_id = NULL WHERE api_id = '%s'",
                                   id));
    assert_int_equal(fixture_call(f, "api.delete", path, "", ""), 0);
    assert_int_equal(fixture_call(f, "api.read", path, "", ""), -1);
    assert_int_equal(f->err.code, SL_E_API_NOT_FOUND);
    assert_int_equal(fixture_call(f, "group.delete", fixture_path(f, "group_id", group), "", ""),
                     0);
}

static void
a_published_api_shows_where(void **state)
{
    struct fixture *f = *state;
    const char *id = fixture_api(f, new_group(f, "g01"), "Api_mock", "/m", true);
    assert_int_equal(fixture_call(f, "api.read", fixture_path(f, "api_id", id), "", ""), 0);
    assert_string_equal(fixture_text(f, "run_env_id"), ENV_RELEASE_ID);
    assert_string_equal(fixture_text(f, "run_env_name"), ENV_RELEASE_NAME);
    assert_string_equal(fixture_text(f, "publish_id"), id);
    assert_non_null(json_object_get(f->body, "publish_time"));
}

// The first element of a list with this query has every member that the read has, but for those
// that no list has.
static void
assert_listed_as_read(struct fixture *f, const char *query, json_t *read, const char *except)
{
    const char *name = NULL;
    json_t *value = NULL;
    assert_int_equal(fixture_call(f, "api.list", "", query, ""), 0);
    json_t *element = json_array_get(json_object_get(f->body, "apis"), 0);
    json_object_foreach(read, name, value)
    {
        const json_t *listed = json_object_get(element, name);
        if (strstr(except, name) != NULL) {
            assert_null(listed);
        } else {
            assert_true(json_equal(listed, value));
        }
    }
    json_object_foreach(element, name, value)
    {
        assert_true(json_equal(json_object_get(read, name), value));
    }
}

static void
an_element_of_a_list_says_what_the_read_says(void **state)
{
    struct fixture *f = *state;
    const char *id = fixture_api(f, new_group(f, "g01"), "Api_mock", "/m", true);
    const char *path = fixture_path(f, "api_id", id);
    assert_int_equal(fixture_call(f, "api.update", path, "", "{\"tags\": [\"a\", \"b\\\"c\"]}"), 0);
    assert_int_equal(fixture_call(f, "api.read", path, "", ""), 0);
    json_t *read = f->body;
    assert_int_equal(json_array_size(json_object_get(read, "tags")), 2);
    assert_listed_as_read(f, "", read, "mock_info api_group_info");
    assert_listed_as_read(f, "{\"return_data_mode\": \"include_group\"}", read, "mock_info");
    assert_listed_as_read(f, "{\"return_data_mode\": \"include_group_backend\"}", read, "-");
}

static int64_t
apis_found(struct fixture *f, const char *query)
{
    if (fixture_call(f, "api.list", "", query, "") != 0) {
        fail_msg("%s: %s", query, f->err.detail);
    }
    return fixture_number(f, "total");
}

static void
lists_of_apis_are_brief_and_filtered(void **state)
{
    struct fixture *f = *state;
    const char *group = new_group(f, "g01");
    const char *id = fixture_api(f, group, "Api_one", "/m/one", true);
    fixture_api(f, group, "Api_two", "/m/two", false);
    assert_int_equal(apis_found(f, "{}"), 2);
    const json_t *element = json_array_get(json_object_get(f->body, "apis"), 0);
    assert_null(json_object_get(element, "mock_info"));
    assert_null(json_object_get(element, "api_group_info"));
    assert_int_equal(apis_found(f, "{\"return_data_mode\": \"include_group\"}"), 2);
    element = json_array_get(json_object_get(f->body, "apis"), 0);
    assert_non_null(json_object_get(element, "api_group_info"));
    assert_int_equal(apis_found(f, "{\"env_id\": \"" ENV_RELEASE_ID "\"}"), 1);
    assert_int_equal(apis_found(f, "{\"name\": \"Api\"}"), 2);
    assert_int_equal(apis_found(f, "{\"req_uri\": \"two\"}"), 1);
    assert_int_equal(apis_found(f, "{\"req_uri\": \"/m\", \"precise_search\": \"req_uri\"}"), 0);
    assert_int_equal(apis_found(f, "{\"name\": \"Api_one\", \"precise_search\": \"name,req_uri\"}"),
                     1);
    assert_int_equal(apis_found(f, "{\"type\": 1, \"auth_type\": \"APP\"}"), 2);
    assert_int_equal(apis_found(f, "{\"type\": 2}"), 0);
    assert_int_equal(apis_found(f, fixture_path(f, "group_id", group)), 2);
    assert_int_equal(apis_found(f, fixture_path(f, "id", id)), 1);
    assert_int_equal(apis_found(f, "{\"req_method\": \"POST\"}"), 0);
    assert_int_equal(apis_found(f, "{\"req_protocol\": \"HTTPS\"}"), 2);
}

static int64_t
used(struct fixture *f, const char *quota, const char *scope)
{
    return fixture_count(f, sl_arena_printf(f->arena,
                                            "SELECT coalesce(sum(used), 0) FROM quota_spent WHERE"
                                            " instance_id = '%s' AND quota = '%s' AND scope = '%s'",
                                            f->gateway, quota, scope));
}

static void
an_api_that_moves_counts_in_the_other_group(void **state)
{
    struct fixture *f = *state;
    const char *from = new_group(f, "g01");
    const char *to = new_group(f, "g02");
    const char *id = fixture_api(f, from, "Api_mock", "/m", false);
    assert_int_equal(used(f, "group_apis", from), 1);
    assert_int_equal(fixture_call(f, "api.update", fixture_path(f, "api_id", id), "",
                                  fixture_path(f, "group_id", to)),
                     0);
    assert_string_equal(fixture_text(f, "group_id"), to);
    assert_int_equal(used(f, "group_apis", from), 0);
    assert_int_equal(used(f, "group_apis", to), 1);
    assert_int_equal(used(f, "apis", ""), 1);
}

static void
a_full_group_takes_no_more(void **state)
{
    struct fixture *f = *state;
    const char *set = sl_arena_printf(
        f->arena, "{\"id\": \"%s\", \"settings\": {\"quota_group_apis\": \"1\"}}", f->gateway);
    assert_int_equal(fixture_admin(f, "instance.set", set), 0);
    const char *group = new_group(f, "g01");
    fixture_api(f, group, "Api_one", "/one", false);
    assert_int_equal(fixture_call(f, "api.create", "", "", web_body(f, group, "/two", "/", "")),
                     -1);
    assert_int_equal(f->err.code, SL_E_GROUP_API_QUOTA);
}

// How many APIs the views of 0150 and 0190, which build JSON value by value, show otherwise than
// the one that writes text.
static const char views_differ_sql[] =
    "SELECT count(*) FROM api a LEFT JOIN api_json o USING (instance_id, id) LEFT JOIN"
    " api_detail_json d USING (instance_id, id) LEFT JOIN api_list_json l USING (instance_id, id)"
    " LEFT JOIN api_text_json t USING (instance_id, id) WHERE (o.body = d.body::jsonb AND"
    " l.body::jsonb = t.body::jsonb AND l.body_group = t.body_group::jsonb AND"
    " l.body_backend = t.body_backend::jsonb) IS NOT TRUE";

static void
what_people_write_is_quoted_and_what_they_leave_out_is_absent(void **state)
{
    struct fixture *f = *state;
    const char *group = new_group(f, "g01");
    const char *one = fixture_api(f, group, "Api_one", "/one", false);
    const char *two = fixture_api(f, group, "Api_two", "/two", true);
    fixture_sql(
        f,
        sl_arena_printf(
            f->arena,
            "UPDATE api SET name = E'\"\\\\ %%s \\u00e9\\U0001F600', remark = E'a\\nb\\t\\u0001\"',"
            " body_remark = '', result_normal_sample = '{\"a\": null}',"
            " result_failure_sample = '</x>', version = 'V\"', tags = '[\"a,b\", \"\\\"\"]',"
            " backend_api = '{\"x\": null, \"y\": {\"z\": null}}', cors = true,"
            " req_params = '[{\"a\": null}]', backend_params = '[1]', func_info = '{}',"
            " policy_https = '[]', policy_mocks = '[{\"m\": \"%%\"}]', policy_functions = '[null]'"
            " WHERE id = '%s'",
            two));
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "UPDATE api_group SET name = E'g\"\\\\', sl_domain = E'd\"'"
                                   " WHERE id = '%s'",
                                   group));
    // Online in a second environment, and there for longer.
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO environment (instance_id, id, name) VALUES"
                                   " ('%s', 'e2', 'e\"2')",
                                   f->gateway));
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO publication (instance_id, publish_id, api_id,"
                                   " env_id, version_id, publish_time) SELECT instance_id, 'p2',"
                                   " api_id, 'e2', version_id, publish_time - interval '1 hour'"
                                   " FROM publication WHERE api_id = '%s'",
                                   two));
    assert_int_equal(fixture_count(f, views_differ_sql), 0);
    assert_int_equal(fixture_call(f, "api.read", fixture_path(f, "api_id", two), "", ""), 0);
    assert_string_equal(fixture_text(f, "run_env_id"), "e2|" ENV_RELEASE_ID);
    assert_string_equal(fixture_text(f, "run_env_name"), "e\"2|RELEASE");
    assert_string_equal(fixture_text(f, "remark"), "a\nb\t\x01\"");
    assert_int_equal(fixture_call(f, "api.read", fixture_path(f, "api_id", one), "", ""), 0);
    assert_int_equal(json_object_size(f->body), 21);
    assert_string_equal(fixture_text(f, "group_name"), "g\"\\");
}

// What a read costs is making its plan ready: each node that a wide row goes through describes it
// anew. So the API's own scan is the first node, and all else is a subquery of it.
static void
a_read_is_one_scan_and_its_subqueries(void **state)
{
    struct fixture *f = *state;
    const struct resource *api = resource_find("api", strlen("api"));
    const char *id = fixture_api(f, new_group(f, "g01"), "Api_one", "/one", false);
    struct sl_rows *rows = NULL;
    SL_AUTO(sl_tx) tx = sl_tx_begin(f->registry.db, &f->err);
    const char *sql = sl_arena_printf(f->arena, "EXPLAIN (COSTS OFF) %s", api->sql_read);
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(f->gateway), SL_P_TEXT(f->project), SL_P_TEXT(id));
    assert_int_equal(sl_sql_built(tx, f->arena, sql, params, &rows, &f->err), 0);
    assert_non_null(strstr(sl_rows_text(rows, 0, 0), " on api_shown"));
}

// A creation travels with the questions about its gateway and its group: what these say comes
// first.
static void
a_gateway_and_a_group_that_are_not_there_go_before_what_else_is_wrong(void **state)
{
    static const char twice[] = ", \"tags\": [\"a\", \"a\"]";
    struct fixture *f = *state;
    const char *group = new_group(f, "g01");
    const char *lost = "0123456789abcdef0123456789abcdef";
    const char *body = web_body(f, lost, "/", "/", twice);
    assert_int_equal(fixture_call(f, "api.create", "", "", body), -1);
    assert_int_equal(f->err.code, SL_E_GROUP_NOT_FOUND);
    assert_string_equal(f->err.args[0], lost);
    assert_int_equal(fixture_call(f, "api.create", "", "", web_body(f, group, "/", "/", twice)),
                     -1);
    assert_int_equal(f->err.code, SL_E_TAG_EXISTS);
    memset(f->project, 'e', SL_ID_LEN);
    assert_int_equal(fixture_call(f, "api.create", "", "", body), -1);
    assert_int_equal(f->err.code, SL_E_INSTANCE_NOT_FOUND);
    assert_int_equal(fixture_call(f, "api.create", "", "", web_body(f, group, "/", "/", "")), -1);
    assert_int_equal(f->err.code, SL_E_INSTANCE_NOT_FOUND);
    const char *made =
        sl_arena_printf(f->arena, "SELECT count(*) FROM api WHERE group_id = '%s'", group);
    assert_int_equal(fixture_count(f, made), 0);
}

static void
a_creation_is_answered_again_whatever_stands_in_its_way_since(void **state)
{
    struct fixture *f = *state;
    char id[SL_ID_SIZE];
    sl_random_id(id);
    const char *group = new_group(f, "g01");
    const char *body = web_body(f, group, "/", "/", "");
    assert_int_equal(fixture_repeat(f, id, "api.create", "", body), 0);
    const json_t *first = f->body;
    // Its name and path are taken, by itself; then its timeout is too long, its group is gone.
    assert_int_equal(fixture_repeat(f, id, "api.create", "", body), 0);
    assert_true(json_equal(first, f->body));
    const char *set = sl_arena_printf(
        f->arena, "{\"id\": \"%s\", \"settings\": {\"backend_timeout\": \"1000\"}}", f->gateway);
    assert_int_equal(fixture_admin(f, "instance.set", set), 0);
    assert_int_equal(fixture_repeat(f, id, "api.create", "", body), 0);
    assert_true(json_equal(first, f->body));
    fixture_sql(f, sl_arena_printf(f->arena, "DELETE FROM api WHERE group_id = '%s'", group));
    fixture_sql(f, sl_arena_printf(f->arena, "DELETE FROM api_group WHERE id = '%s'", group));
    assert_int_equal(fixture_repeat(f, id, "api.create", "", body), 0);
    assert_true(json_equal(first, f->body));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_web_api_is_answered_whole),
        FIXTURE_TEST(every_broken_rule_has_its_own_code),
        FIXTURE_TEST(a_backend_that_is_not_described_is_missing),
        FIXTURE_TEST(a_timeout_beyond_the_gateways_is_out_of_range),
        FIXTURE_TEST(one_path_belongs_to_one_api_whatever_its_parameters_are_called),
        FIXTURE_TEST(an_unknown_group_is_named),
        FIXTURE_TEST(an_update_keeps_ids_and_times_of_what_stays),
        FIXTURE_TEST(an_update_of_the_path_alone_is_judged_with_the_stored_parameters),
        FIXTURE_TEST(a_changed_backend_type_drops_the_other_backend),
        FIXTURE_TEST(app_codes_go_with_app_authentication_only),
        FIXTURE_TEST(a_published_api_and_its_environment_stay_and_a_group_with_apis_too),
        FIXTURE_TEST(a_published_api_shows_where),
        FIXTURE_TEST(lists_of_apis_are_brief_and_filtered),
        FIXTURE_TEST(an_api_that_moves_counts_in_the_other_group),
        FIXTURE_TEST(a_full_group_takes_no_more),
        FIXTURE_TEST(an_element_of_a_list_says_what_the_read_says),
        FIXTURE_TEST(a_gateway_and_a_group_that_are_not_there_go_before_what_else_is_wrong),
        FIXTURE_TEST(a_creation_is_answered_again_whatever_stands_in_its_way_since),
        FIXTURE_TEST(what_people_write_is_quoted_and_what_they_leave_out_is_absent),
        FIXTURE_TEST(a_read_is_one_scan_and_its_subqueries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
