// image_record_test.c - the record of an API: checks of parameters, policies and their hosts.
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
         .http = {"gold.example", "/gold", 443, true, SL_METHOD_PUT, 70, 3},
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
                .http = {"own.example", "/", 80, false, SL_METHOD_ANY, 1500, -1},
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
        {.name = "a", .http = {"gold.example", "/", 80, false, SL_METHOD_ANY, 70, 0}},
        {.name = "b", .http = {"own.example", "/", 80, false, SL_METHOD_ANY, 70, 0}}};
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_open, kit_close)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(policies_lie_behind_their_api),
        TEST(hosts_of_policies_are_upstreams_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
