// cidr_test.c - literal addresses and networks.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include "services/node/cidr.h"

static bool
holds(const char *network, const char *text)
{
    struct sl_img_address address;
    assert_true(cidr_address_parse(text, &address));
    return cidr_holds(network, &address);
}

static void
literal_addresses_are_told_from_names(void **state)
{
    (void)state;
    struct sl_img_address address;
    assert_true(cidr_address_parse("127.0.0.1", &address));
    assert_int_equal(address.family, AF_INET);
    assert_int_equal(address.bytes[0], 127);
    assert_true(cidr_address_parse("[::1]", &address));
    assert_int_equal(address.family, AF_INET6);
    assert_int_equal(address.bytes[15], 1);
    assert_false(cidr_address_parse("localhost", &address));
    assert_false(cidr_address_parse("1.2.3", &address));
    assert_false(cidr_address_parse("", &address));
    assert_false(cidr_address_parse("a-name-that-is-much-longer-than-any-literal-address.example",
                                    &address));
}

static void
an_address_lies_in_a_network_by_its_leading_bits(void **state)
{
    (void)state;
    assert_true(holds("10.0.0.0/8", "10.255.1.2"));
    assert_false(holds("10.0.0.0/8", "11.0.0.1"));
    assert_true(holds("10.1.2.3", "10.1.2.3"));
    assert_false(holds("10.1.2.3", "10.1.2.4"));
    assert_true(holds("0.0.0.0/0", "8.8.8.8"));
    assert_true(holds("172.16.0.0/12", "172.31.255.255"));
    assert_false(holds("172.16.0.0/12", "172.32.0.0"));
    assert_true(holds("fd00::/8", "fd12::1"));
    assert_false(holds("fd00::/8", "fe80::1"));
    assert_false(holds("10.0.0.0/8", "::1"));
}

static void
an_address_mapped_into_ipv6_does_not_slip_through(void **state)
{
    (void)state;
    assert_true(holds("10.0.0.0/8", "::ffff:10.0.0.1"));
}

static void
a_network_that_does_not_parse_holds_nothing(void **state)
{
    (void)state;
    assert_false(holds("10.0.0.0/33", "10.0.0.0"));
    assert_false(holds("10.0.0.0/x", "10.0.0.0"));
    assert_false(holds("10.0.0.0/-1", "10.0.0.0"));
    assert_false(holds("", "10.0.0.0"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literal_addresses_are_told_from_names),
        cmocka_unit_test(an_address_lies_in_a_network_by_its_leading_bits),
        cmocka_unit_test(an_address_mapped_into_ipv6_does_not_slip_through),
        cmocka_unit_test(a_network_that_does_not_parse_holds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
