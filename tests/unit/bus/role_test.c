// role_test.c - who may do what on the bus.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/bus/role.h"

#include "tests/unit/test.h"

static struct role
role_of(const char *text, const char *gateway)
{
    struct role role;
    struct sl_error err;
    assert_int_equal(role_parse(sl_str(text), sl_str(gateway), &role, &err), 0);
    return role;
}

static bool
calls(const struct role *role, const char *service, const char *name)
{
    return role_may_call(role, sl_str(service), sl_str(name));
}

static void
a_front_calls_everything_but_the_nodes_own_commands(void **state)
{
    (void)state;
    struct role front = role_of("front", "");
    assert_true(calls(&front, "registry", "throttle.create"));
    assert_true(calls(&front, "identity", "token.create"));
    assert_true(calls(&front, "publisher", "runtime.since"));
    assert_true(calls(&front, "publisher", "node.list"));
    assert_false(calls(&front, "publisher", "node.report"));
    assert_false(calls(&front, "publisher", "node.debugged"));
    assert_false(calls(&front, "publisher", "node.add"));
    assert_true(role_may_act(&front));
    assert_false(role_may_offer(&front, SL_STR("registry")));
    assert_false(role_may_publish(&front, SL_STR("wake/publisher")));
    assert_true(role_may_subscribe(&front, SL_STR("rt/control")));
    assert_true(role_may_subscribe(&front, SL_STR("head/control")));
    assert_false(role_may_subscribe(&front, SL_STR("rt/")));
    assert_false(role_may_subscribe(&front, SL_STR("rt/g1")));
    assert_false(role_may_subscribe(&front, SL_STR("")));
}

static void
a_worker_offers_its_services_and_no_other(void **state)
{
    (void)state;
    struct role worker = role_of("worker:registry,throttle", "");
    assert_true(role_may_offer(&worker, SL_STR("registry")));
    assert_true(role_may_offer(&worker, SL_STR("throttle/17")));
    assert_true(role_may_offer(&worker, SL_STR("throttle")));
    assert_false(role_may_offer(&worker, SL_STR("throttles")));
    assert_false(role_may_offer(&worker, SL_STR("publisher")));
    assert_false(role_may_offer(&worker, SL_STR("reg")));
    assert_true(calls(&worker, "publisher", "runtime.since"));
    assert_false(role_may_act(&worker));
}

static void
only_the_publisher_publishes_revisions_and_only_the_throttle_recalls(void **state)
{
    (void)state;
    struct role registry = role_of("worker:registry", "");
    struct role publisher = role_of("worker:publisher", "");
    struct role throttle = role_of("worker:throttle", "");
    assert_true(role_may_publish(&registry, SL_STR("wake/publisher")));
    assert_false(role_may_publish(&registry, SL_STR("rt/g1")));
    assert_false(role_may_publish(&registry, SL_STR("node/n1")));
    assert_true(role_may_publish(&publisher, SL_STR("rt/g1")));
    assert_true(role_may_publish(&publisher, SL_STR("head/g1")));
    assert_false(role_may_publish(&publisher, SL_STR("node/n1")));
    assert_true(role_may_publish(&throttle, SL_STR("node/n1")));
    assert_false(role_may_publish(&throttle, SL_STR("rt/g1")));
    assert_false(role_may_publish(&throttle, SL_STR("other")));
}

static void
a_node_sees_its_gateway_and_itself_only(void **state)
{
    (void)state;
    struct role node = role_of("node:n1", "g1");
    assert_true(calls(&node, "publisher", "runtime.since"));
    assert_true(calls(&node, "publisher", "node.report"));
    assert_true(calls(&node, "publisher", "node.debugged"));
    assert_true(calls(&node, "throttle/17", "limits.exchange"));
    assert_false(calls(&node, "publisher", "api.action"));
    assert_false(calls(&node, "publisher", "node.list"));
    assert_false(calls(&node, "registry", "runtime.since"));
    assert_false(calls(&node, "throttle", "limits.exchange"));
    assert_false(role_may_act(&node));
    assert_true(role_may_subscribe(&node, SL_STR("rt/g1")));
    assert_true(role_may_subscribe(&node, SL_STR("head/g1")));
    assert_true(role_may_subscribe(&node, SL_STR("node/n1")));
    assert_false(role_may_subscribe(&node, SL_STR("rt/g")));
    assert_false(role_may_subscribe(&node, SL_STR("rt/g2")));
    assert_false(role_may_subscribe(&node, SL_STR("node/n2")));
    assert_false(role_may_subscribe(&node, SL_STR("wake/publisher")));
    assert_false(role_may_offer(&node, SL_STR("publisher")));
    assert_false(role_may_publish(&node, SL_STR("node/n1")));
}

static void
an_admin_manages_and_follows_nothing(void **state)
{
    (void)state;
    struct role admin = role_of("admin", "");
    assert_true(calls(&admin, "identity", "user.create"));
    assert_true(calls(&admin, "registry", "instance.create"));
    assert_true(calls(&admin, "publisher", "node.add"));
    assert_true(calls(&admin, "bus", "status"));
    assert_false(calls(&admin, "throttle/1", "limits.exchange"));
    assert_true(role_may_act(&admin));
    assert_false(role_may_subscribe(&admin, SL_STR("rt/control")));
}

static void
malformed_roles_are_refused(void **state)
{
    (void)state;
    static const char *const texts[][2] = {{"", ""},        {"root", ""},    {"worker", ""},
                                           {"worker:", ""}, {"node:n1", ""}, {"node", "g1"},
                                           {"front:x", ""}, {"front", "g1"}};
    for (size_t i = 0; i < SL_COUNT(texts); i++) {
        struct role role;
        struct sl_error err;
        assert_int_equal(role_parse(sl_str(texts[i][0]), sl_str(texts[i][1]), &role, &err), -1);
        assert_int_equal(err.code, SL_E_CONFIG);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_front_calls_everything_but_the_nodes_own_commands),
        cmocka_unit_test(a_worker_offers_its_services_and_no_other),
        cmocka_unit_test(only_the_publisher_publishes_revisions_and_only_the_throttle_recalls),
        cmocka_unit_test(a_node_sees_its_gateway_and_itself_only),
        cmocka_unit_test(an_admin_manages_and_follows_nothing),
        cmocka_unit_test(malformed_roles_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
