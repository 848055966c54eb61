// resolve_test.c - names and literals in the image, restricted networks.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/node/node_kit.h"

#include <glob.h>

#include "common/base/clock.h"
#include "services/node/resolve.h"
#include "tests/unit/collide.h"

#define GROWN_MAX (64 << 20) // bytes that an image with a few APIs may take

struct place {
    char image_name[64];
    struct sl_image_builder *builder;
    struct resolve *resolve;
    struct sl_image *image;
};

static int
open_place(void **state)
{
    static int number;
    struct place *place = calloc(1, sizeof(*place));
    struct sl_error err;
    snprintf(place->image_name, sizeof(place->image_name), "unit-resolve-%d-%d", (int)getpid(),
             number++);
    place->builder = sl_image_builder_new(place->image_name, &err);
    place->resolve = resolve_new(place->builder, &err);
    place->image = sl_image_open(place->image_name, &err);
    *state = place;
    return place->builder == NULL || place->resolve == NULL || place->image == NULL ? -1 : 0;
}

static int
close_place(void **state)
{
    struct place *place = *state;
    char pattern[128];
    glob_t files;
    resolve_free(&place->resolve);
    sl_image_builder_free(&place->builder);
    sl_image_free(&place->image);
    snprintf(pattern, sizeof(pattern), "/dev/shm/sluice-%s-*", place->image_name);
    if (glob(pattern, 0, NULL, &files) == 0) {
        for (size_t i = 0; i < files.gl_pathc; i++) {
            unlink(files.gl_pathv[i]);
        }
        globfree(&files);
    }
    free(place);
    return 0;
}

static void
want(struct place *place, const char *id, const char *host)
{
    struct sl_error err;
    struct sl_entry entry = kit_api(id, "/", host);
    assert_int_equal(sl_image_builder_put(place->builder, id, &entry, &err), 0);
    resolve_want(place->resolve, host);
}

// Runs the resolver until nothing waits for a first answer, then commits.
static const struct sl_img_upstream *
settle(struct place *place, const char *host)
{
    int64_t deadline_ms = sl_mono_ms() + 60000;
    while (resolve_is_waiting(place->resolve) && sl_mono_ms() < deadline_ms) {
        struct pollfd polls[RESOLVE_POLLS];
        size_t count = resolve_polls(place->resolve, polls);
        poll(polls, count, 20);
        resolve_run(place->resolve, polls, count);
        resolve_tick(place->resolve);
    }
    struct sl_error err;
    assert_true(resolve_take_changes(place->resolve));
    assert_false(resolve_take_changes(place->resolve));
    assert_int_equal(sl_image_builder_commit(place->builder, "e", 1, &err), 0);
    sl_image_refresh(place->image);
    return sl_image_upstream(place->image, sl_str(host));
}

static void
a_literal_address_is_there_without_asking(void **state)
{
    struct place *place = *state;
    want(place, API_1, "127.0.0.9");
    assert_false(resolve_is_waiting(place->resolve));
    const struct sl_img_upstream *upstream = settle(place, "127.0.0.9");
    assert_non_null(upstream);
    const struct sl_img_address *address = sl_img_items(&upstream->addresses);
    assert_int_equal(upstream->addresses.count, 1);
    assert_int_equal(address->family, AF_INET);
    assert_int_equal(address->bytes[3], 9);
}

static void
a_backend_without_host_is_not_asked_for(void **state)
{
    struct place *place = *state;
    want(place, API_1, "");
    assert_false(resolve_is_waiting(place->resolve));
    resolve_tick(place->resolve);
    assert_false(resolve_is_waiting(place->resolve));
    assert_false(resolve_take_changes(place->resolve));
}

static void
a_name_of_the_hosts_file_resolves(void **state)
{
    struct place *place = *state;
    want(place, API_1, "localhost");
    const struct sl_img_upstream *upstream = settle(place, "localhost");
    assert_non_null(upstream);
    assert_in_range(upstream->addresses.count, 1, RESOLVE_ADDRESSES);
    const struct sl_img_address *address = sl_img_items(&upstream->addresses);
    assert_true(address->family == AF_INET || address->family == AF_INET6);
}

static void
addresses_in_restricted_networks_are_denied_until_the_list_changes(void **state)
{
    struct place *place = *state;
    static const char *const networks[] = {"127.0.0.0/8", "::1"};
    struct sl_gateway gateway = {.id = GATEWAY, .restricted = networks, .restricted_count = 2};
    want(place, API_1, "127.0.0.9");
    resolve_restrict(place->resolve, &gateway);
    const struct sl_img_upstream *upstream = settle(place, "127.0.0.9");
    assert_int_equal(upstream->denied, 1);
    assert_int_equal(upstream->addresses.count, 0);
    gateway.restricted_count = 0;
    resolve_restrict(place->resolve, &gateway);
    upstream = settle(place, "127.0.0.9");
    assert_int_equal(upstream->denied, 0);
    assert_int_equal(upstream->addresses.count, 1);
}

// Whoever publishes chooses hosts: with tables that anybody can foresee, half as many of these
// ended the agent of every node.
static void
hosts_made_to_collide_cost_no_more_than_others(void **state)
{
    struct place *place = *state;
    char host[COLLIDE_SIZE];
    const struct collide hosts = collide("", "fd00:0:", ':', 5);
    size_t before = collide_mapped();
    for (unsigned i = 0; i < COLLIDE_TEXTS; i++) {
        char id[SL_ID_SIZE];
        collide_text(&hosts, i, host);
        char *end = strchr(host, '\0');
        snprintf(id, sizeof(id), "%032x", i + 1);
        snprintf(end, COLLIDE_SIZE - (size_t)(end - host), "1"); // the last of eight groups
        want(place, id, host);
    }
    assert_false(resolve_is_waiting(place->resolve));
    assert_non_null(settle(place, host));
    assert_true(collide_mapped() - before < GROWN_MAX);
}

static void
freeing_with_a_question_under_way_is_safe(void **state)
{
    struct place *place = *state;
    want(place, API_1, "name.invalid");
    resolve_free(&place->resolve);
    assert_null(place->resolve);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_literal_address_is_there_without_asking),
        TEST(a_backend_without_host_is_not_asked_for),
        TEST(a_name_of_the_hosts_file_resolves),
        TEST(addresses_in_restricted_networks_are_denied_until_the_list_changes),
        TEST(hosts_made_to_collide_cost_no_more_than_others),
        TEST(freeing_with_a_question_under_way_is_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
