// range_test.c - addresses, networks and ranges.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/range.h"

#include "tests/unit/test.h"

static bool
holds(const char *range, const char *address)
{
    struct sl_range outer;
    struct sl_range inner;
    assert_true(sl_range_parse(sl_str(range), &outer));
    assert_true(sl_range_parse(sl_str(address), &inner));
    return sl_range_holds(&outer, &inner);
}

static void
an_address_holds_itself_only(void **state)
{
    (void)state;
    assert_true(holds("10.0.0.1", "10.0.0.1"));
    assert_false(holds("10.0.0.1", "10.0.0.2"));
    assert_true(holds("2001:db8::1", "2001:0db8::0001"));
    assert_false(holds("2001:db8::1", "2001:db8::2"));
}

static void
a_network_holds_what_shares_its_bits(void **state)
{
    (void)state;
    assert_true(holds("192.168.0.100/28", "192.168.0.96"));
    assert_true(holds("192.168.0.100/28", "192.168.0.111"));
    assert_false(holds("192.168.0.100/28", "192.168.0.95"));
    assert_false(holds("192.168.0.100/28", "192.168.0.112"));
    assert_true(holds("0.0.0.0/0", "255.255.255.255"));
    assert_true(holds("10.1.2.3/32", "10.1.2.3"));
    assert_true(holds("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(holds("2001:db8::/33", "2001:db8:8000::1"));
}

static void
a_range_holds_both_its_ends(void **state)
{
    (void)state;
    assert_true(holds("192.168.0.5-192.168.0.10", "192.168.0.5"));
    assert_true(holds("192.168.0.5-192.168.0.10", "192.168.0.10"));
    assert_false(holds("192.168.0.5-192.168.0.10", "192.168.0.4"));
    assert_false(holds("192.168.0.5-192.168.0.10", "192.168.0.11"));
    assert_true(holds("10.0.0.255-10.0.2.0", "10.0.1.77"));
    assert_true(holds("::1-::ff", "::80"));
}

static void
one_of_many_is_enough_and_its_place_does_not_matter(void **state)
{
    (void)state;
    static const char *const texts[] = {"10.0.0.0/24", "::/0", "192.0.2.1-192.0.2.9"};
    static const char *const outside[] = {"10.0.1.0", "192.0.2.0", "192.0.2.10", "10.0.0.0/23"};
    struct sl_range ranges[SL_COUNT(texts)];
    struct sl_range inner;
    for (size_t i = 0; i < SL_COUNT(texts); i++) {
        assert_true(sl_range_parse(sl_str(texts[i]), &ranges[i]));
    }
    for (size_t i = 0; i < SL_COUNT(texts); i++) {
        inner = ranges[i];
        assert_true(sl_ranges_hold(ranges, SL_COUNT(ranges), &inner));
        assert_true(sl_ranges_hold(ranges, i + 1, &inner));
        assert_false(sl_ranges_hold(ranges, i, &inner));
    }
    for (size_t i = 0; i < SL_COUNT(outside); i++) {
        assert_true(sl_range_parse(sl_str(outside[i]), &inner));
        assert_false(sl_ranges_hold(ranges, SL_COUNT(ranges), &inner));
    }
}

// In every byte of an address, higher and lower ones.
static void
addresses_are_in_the_order_of_their_bytes(void **state)
{
    (void)state;
    for (size_t byte = 0; byte < SL_ADDRESS_BYTES; byte++) {
        struct sl_range range = {.is_v6 = 1};
        struct sl_range inner = {.is_v6 = 1};
        memset(range.first, 0x80, sizeof(range.first));
        memset(range.last, 0x80, sizeof(range.last));
        inner = range;
        assert_true(sl_range_holds(&range, &inner));
        inner.first[byte] = inner.last[byte] = 0x7f;
        assert_false(sl_range_holds(&range, &inner));
        inner.first[byte] = inner.last[byte] = 0x81;
        assert_false(sl_range_holds(&range, &inner));
        range.last[byte] = 0x82;
        assert_true(sl_range_holds(&range, &inner));
    }
}

static void
families_do_not_mix_and_mapped_addresses_are_ipv4(void **state)
{
    (void)state;
    assert_false(holds("0.0.0.0/0", "::1"));
    assert_false(holds("::/0", "10.0.0.1"));
    assert_true(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
    assert_true(holds("::ffff:10.0.0.1", "10.0.0.1"));
}

static void
what_is_no_range_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "x",
        "10.0.0",
        "10.0.0.256",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/",
        "10.0.0.0/x",
        "10.0.0.9-10.0.0.1",
        "10.0.0.1-::1",
        "10.0.0.1-",
        "-10.0.0.1",
        "10.0.0.1-10.0.0.9/8",
        "::1/129",
        "10.0.0.1 ",
        "1:2:3:4:5:6:7:8:9",
        "[::1]",
    };
    (void)state;
    for (size_t i = 0; i < SL_COUNT(texts); i++) {
        struct sl_range range = {.is_v6 = 7};
        if (sl_range_parse(sl_str(texts[i]), &range) || range.is_v6 != 7) {
            fail_msg("%s was taken", texts[i]);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_holds_itself_only),
        cmocka_unit_test(a_network_holds_what_shares_its_bits),
        cmocka_unit_test(a_range_holds_both_its_ends),
        cmocka_unit_test(one_of_many_is_enough_and_its_place_does_not_matter),
        cmocka_unit_test(addresses_are_in_the_order_of_their_bytes),
        cmocka_unit_test(families_do_not_mix_and_mapped_addresses_are_ipv4),
        cmocka_unit_test(what_is_no_range_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
