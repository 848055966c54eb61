// image_record_test.c - records of APIs (checks of parameters, policies, hosts) and of features.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/runtime/image_kit.h"

#define PUBLISH_1 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb1"

static void
policies_lie_behind_their_api(void **state)
{
    struct kit *kit = *state;
    static const struct sl_req_param wanted[] = {{.name = "Kind",
                                                  .location = SL_IN_QUERY,
                                                  .checked = true,
                                                  .has_max = true,
                                                  .max = 9,
                                                  .enumerations = "gold,silver"}};
    static const struct sl_backend_param sent[] = {{"k", "KIND", SL_IN_HEADER, SL_FROM_REQUEST}};
    static const struct sl_condition conditions[] = {
        {"kind", "gold", SL_BY_PARAM, SL_MATCH_EXACT},
        {"", "10.0.0.0/8", SL_BY_SOURCE, SL_MATCH_EXACT}};
    static const struct sl_policy policies[] = {
        {.name = "gold",
         .any = true,
         .http = {"gold.example", "/gold", 443, true, SL_METHOD_PUT, 70, 3, false},
         .conditions = conditions,
         .condition_count = 2,
         .backend_params = sent,
         .backend_param_count = 1}};
    struct sl_entry entry = {
        .kind = SL_KIND_API,
        .api = {.publish_id = PUBLISH_1,
                .api_id = GROUP_1,
                .group_id = GROUP_1,
                .env_id = "E",
                .env_name = "RELEASE",
                .path = "/p",
                .throttle_id = "",
                .schemes = SL_SCHEME_HTTP,
                .backend_type = SL_BACKEND_HTTP,
                .http = {"own.example", "/", 80, false, SL_METHOD_ANY, 1500, -1, false},
                .req_params = wanted,
                .req_param_count = 1,
                .policies = policies,
                .policy_count = 1},
    };
    kit_put(kit, PUBLISH_1, &entry);
    kit_commit(kit, 1);
    const struct sl_img_api *api = sl_image_api(kit->image, GROUP_1, SL_STR("RELEASE"), PUBLISH_1);
    assert_non_null(api);
    const struct sl_img_req_param *in = sl_img_items(&api->req_params);
    assert_true(sl_str_equal(sl_img_text(&in->enumerations), SL_STR("gold,silver")));
    assert_true(in->checked && in->has_max && !in->has_min && in->max == 9);
    assert_int_equal(api->policies.count, 1);
    const struct sl_img_policy *policy = sl_img_items(&api->policies);
    assert_true(policy->any && policy->target.tls);
    assert_int_equal(policy->target.port, 443);
    assert_true(sl_str_equal(sl_img_text(&policy->target.host), SL_STR("gold.example")));
    const struct sl_img_backend_param *out = sl_img_items(&policy->target.backend_params);
    assert_int_equal(out->req_param, 0);
    const struct sl_img_condition *when = sl_img_items(&policy->conditions);
    assert_int_equal(when[0].req_param, 0);
    assert_int_equal(when[1].req_param, -1);
    assert_true(sl_str_equal(sl_img_text(&when[1].value), SL_STR("10.0.0.0/8")));
}

static void
a_backend_is_called_by_its_name_and_a_port_that_is_not_the_scheme_s(void **state)
{
    static const struct {
        const char *host;
        uint16_t port;
        bool tls;
        const char *authority;
    } cases[] = {
        {"back.example", 80, false, "back.example"},
        {"back.example", 443, false, "back.example:443"},
        {"back.example", 443, true, "back.example"},
        {"back.example", 80, true, "back.example:80"},
        {"10.0.0.1", 65535, true, "10.0.0.1:65535"},
        {"fd00::1", 80, false, "[fd00::1]"},
        {"fd00::1", 8080, false, "[fd00::1]:8080"},
        {"", 80, false, ""},
    };
    struct kit *kit = *state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        struct sl_entry entry = {
            .kind = SL_KIND_API,
            .api = {.publish_id = PUBLISH_1,
                    .api_id = GROUP_1,
                    .group_id = GROUP_1,
                    .env_id = "E",
                    .env_name = "RELEASE",
                    .path = "/p",
                    .throttle_id = "",
                    .backend_type = SL_BACKEND_HTTP,
                    .http = {cases[i].host, "/", cases[i].port, cases[i].tls, SL_METHOD_ANY, 1,
                             -1}},
        };
        kit_put(kit, PUBLISH_1, &entry);
        kit_commit(kit, i + 1);
        const struct sl_img_api *api =
            sl_image_api(kit->image, GROUP_1, SL_STR("RELEASE"), PUBLISH_1);
        assert_non_null(api);
        assert_true(sl_str_equal(sl_img_text(&api->target.authority), sl_str(cases[i].authority)));
    }
}

static void
the_function_that_grpc_calls_is_a_backend_s_own(void **state)
{
    struct kit *kit = *state;
    static const struct sl_condition when = {"", "10.0.0.0/8", SL_BY_SOURCE, SL_MATCH_EXACT};
    static const struct sl_policy policies[] = {
        {.name = "one", .http = {.host = "h", .path = "/"}, .conditions = &when},
        {.name = "two", .http = {.host = "h", .path = "/", .function = "urn:2"}}};
    struct sl_entry entry = {
        .kind = SL_KIND_API,
        .api = {.publish_id = PUBLISH_1,
                .api_id = GROUP_1,
                .group_id = GROUP_1,
                .env_id = "E",
                .env_name = "RELEASE",
                .path = "/p",
                .throttle_id = "",
                .backend_type = SL_BACKEND_GRPC,
                .http = {.host = "own.example", .path = "/", .port = 80, .function = "urn:1"},
                .policies = policies,
                .policy_count = 2},
    };
    kit_put(kit, PUBLISH_1, &entry);
    kit_commit(kit, 1);
    const struct sl_img_api *api = sl_image_api(kit->image, GROUP_1, SL_STR("RELEASE"), PUBLISH_1);
    assert_non_null(api);
    const struct sl_img_policy *policy = sl_img_items(&api->policies);
    assert_true(sl_str_equal(sl_img_text(&api->target.function), SL_STR("urn:1")));
    assert_int_equal(policy[0].target.function.len, 0);
    assert_true(sl_str_equal(sl_img_text(&policy[1].target.function), SL_STR("urn:2")));
}

static void
count_hosts(void *arg, const char *host)
{
    (void)host;
    ++*(int *)arg;
}

static void
hosts_of_policies_are_upstreams_too(void **state)
{
    struct kit *kit = *state;
    struct sl_error err;
    struct sl_img_address address = {.family = AF_INET, .bytes = {127, 0, 0, 1}};
    static const struct sl_policy policies[] = {
        {.name = "a", .http = {"gold.example", "/", 80, false, SL_METHOD_ANY, 70, 0, false}},
        {.name = "b", .http = {"own.example", "/", 80, false, SL_METHOD_ANY, 70, 0, false}}};
    struct sl_entry entry = {.kind = SL_KIND_API,
                             .api = {.publish_id = PUBLISH_1,
                                     .api_id = GROUP_1,
                                     .group_id = GROUP_1,
                                     .env_id = "E",
                                     .env_name = "RELEASE",
                                     .path = "/p",
                                     .throttle_id = "",
                                     .schemes = SL_SCHEME_HTTP,
                                     .backend_type = SL_BACKEND_HTTP,
                                     .http = {"own.example", "/", 80, false, 7, 1500, -1},
                                     .policies = policies,
                                     .policy_count = 2}};
    int hosts = 0;
    kit_put(kit, PUBLISH_1, &entry);
    sl_image_builder_hosts(kit->builder, count_hosts, &hosts);
    assert_int_equal(hosts, 2);
    assert_int_equal(
        sl_image_builder_upstream(kit->builder, "gold.example", &address, 1, false, &err), 0);
    kit_commit(kit, 1);
    assert_non_null(sl_image_upstream(kit->image, SL_STR("gold.example")));
    entry.api.policy_count = 0;
    kit_put(kit, PUBLISH_1, &entry);
    kit_commit(kit, 2);
    assert_null(sl_image_upstream(kit->image, SL_STR("gold.example")));
}

// Puts a gateway whose one feature says `value`; its record in the image.
static const struct sl_img_gateway *
gateway_saying(struct kit *kit, const char *value, uint64_t revision)
{
    const struct sl_feature_value feature = {"sse_strategy", value};
    struct sl_entry gateway = {
        .kind = SL_KIND_GATEWAY,
        .gateway = {.id = GROUP_2, .features = &feature, .feature_count = value != NULL ? 1 : 0},
    };
    kit_put(kit, GROUP_2, &gateway);
    kit_commit(kit, revision);
    return sl_image_gateway(kit->image);
}

static void
a_feature_is_read_as_a_switch_a_text_and_a_number(void **state)
{
    static const struct {
        const char *value;
        int64_t number;
        bool on;
    } rows[] = {{"on", 0, true},
                {"off", 0, false},
                {"-17", -17, false},
                {"", 0, false},
                {"only", 0, false}};
    struct kit *kit = *state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        const struct sl_img_gateway *gateway = gateway_saying(kit, rows[i].value, i + 1);
        assert_int_equal(sl_img_feature_on(gateway, SL_FEATURE_SSE_STRATEGY), rows[i].on);
        assert_int_equal(sl_img_feature_number(gateway, SL_FEATURE_SSE_STRATEGY, 5),
                         rows[i].number);
        assert_true(sl_str_equal(sl_img_feature_text(gateway, SL_FEATURE_SSE_STRATEGY),
                                 sl_str(rows[i].value)));
    }
    const struct sl_img_gateway *bare = gateway_saying(kit, NULL, 99);
    assert_false(sl_img_feature_on(bare, SL_FEATURE_SSE_STRATEGY));
    assert_int_equal(sl_img_feature_number(bare, SL_FEATURE_SSE_STRATEGY, 5), 5);
    assert_int_equal(sl_img_feature_text(bare, SL_FEATURE_SSE_STRATEGY).len, 0);
    assert_int_equal(sl_img_feature_number(NULL, SL_FEATURE_SSE_STRATEGY, 5), 5);
    assert_false(sl_img_feature_on(NULL, SL_FEATURE_SSE_STRATEGY));
}

static void
names_of_features_are_sorted_and_found(void **state)
{
    (void)state;
    for (enum sl_feature i = 0; i < SL_FEATURE_COUNT; i++) {
        assert_int_equal(sl_feature_find(sl_feature_name(i)), i);
        if (i > 0) {
            assert_true(strcmp(sl_feature_name(i - 1), sl_feature_name(i)) < 0);
        }
    }
    assert_int_equal(sl_feature_find("of_tomorrow"), SL_FEATURE_COUNT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_open, kit_close)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(policies_lie_behind_their_api),
        TEST(the_function_that_grpc_calls_is_a_backend_s_own),
        TEST(a_backend_is_called_by_its_name_and_a_port_that_is_not_the_scheme_s),
        TEST(hosts_of_policies_are_upstreams_too),
        TEST(a_feature_is_read_as_a_switch_a_text_and_a_number),
        TEST(names_of_features_are_sorted_and_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
