// image_route_test.c - which API a path and a method reach: runtime.md 2.3 and 2.4 line by line,
// and the trie against a matcher that tries every API.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/runtime/image_kit.h"

#define NORMAL SL_MATCH_NORMAL
#define SWA    SL_MATCH_SWA
#define GET    SL_METHOD_GET
#define POST   SL_METHOD_POST
#define ANY    SL_METHOD_ANY

#define GROUP_3 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa3"
#define APP_1   "00000000000000000000000000000a01"

static void
one_api(struct kit *kit, enum sl_match_mode mode, const char *path)
{
    sl_image_builder_reset(kit->builder);
    kit_api(kit, GROUP_1, 1, GET, mode, path);
    kit_commit(kit, 1);
}

static void
an_exact_path_matches_as_a_whole_and_with_its_case(void **state)
{
    struct kit *kit = *state;
    one_api(kit, NORMAL, "/test");
    assert_int_equal(kit_route(kit, GET, "/test", NULL), 1);
    assert_int_equal(kit_route(kit, GET, "/test/", NULL), -1);
    assert_int_equal(kit_route(kit, GET, "/Test", NULL), -1);
    assert_int_equal(kit_route(kit, GET, "/test/a", NULL), -1);
    assert_int_equal(kit_route(kit, GET, "/tes", NULL), -1);
    assert_int_equal(kit_route(kit, GET, "/", NULL), -1);
    one_api(kit, NORMAL, "/test/");
    assert_int_equal(kit_route(kit, GET, "/test", NULL), -1);
    assert_int_equal(kit_route(kit, GET, "/test/", NULL), 1);
    one_api(kit, NORMAL, "/");
    assert_int_equal(kit_route(kit, GET, "/", NULL), 1);
    assert_int_equal(kit_route(kit, GET, "/a", NULL), -1);
}

static void
a_prefix_matches_itself_and_below_at_a_boundary(void **state)
{
    struct kit *kit = *state;
    struct sl_route route;
    one_api(kit, SWA, "/test/AA");
    assert_int_equal(kit_route(kit, GET, "/test/AA/BB", &route), 1);
    assert_true(sl_str_equal(route.remainder, SL_STR("/BB")));
    assert_int_equal(kit_route(kit, GET, "/test/AA", &route), 1);
    assert_int_equal(route.remainder.len, 0);
    assert_int_equal(kit_route(kit, GET, "/test/AACC", NULL), -1);
    assert_int_equal(kit_route(kit, GET, "/test", NULL), -1);
    one_api(kit, SWA, "/test/");
    assert_int_equal(kit_route(kit, GET, "/test", NULL), 1);
    assert_int_equal(kit_route(kit, GET, "/test/AA/CC", &route), 1);
    assert_true(sl_str_equal(route.remainder, SL_STR("/AA/CC")));
    one_api(kit, SWA, "/");
    assert_int_equal(kit_route(kit, GET, "/", NULL), 1);
    assert_int_equal(kit_route(kit, GET, "/x/y", &route), 1);
    assert_true(sl_str_equal(route.remainder, SL_STR("/x/y")));
}

static void
a_parameter_is_one_whole_segment_that_is_not_empty(void **state)
{
    struct kit *kit = *state;
    struct sl_route route;
    one_api(kit, NORMAL, "/users/{id}/books/{isbn}");
    assert_int_equal(kit_route(kit, GET, "/users/7/books/x", &route), 1);
    assert_int_equal(route.capture_count, 2);
    assert_true(sl_str_equal(route.captures[0], SL_STR("7")));
    assert_true(sl_str_equal(route.captures[1], SL_STR("x")));
    const struct sl_img_str *names = sl_img_items(&route.api->captures);
    assert_int_equal(route.api->captures.count, 2);
    assert_true(sl_str_equal(sl_img_text(&names[0]), SL_STR("id")));
    assert_true(sl_str_equal(sl_img_text(&names[1]), SL_STR("isbn")));
    assert_int_equal(kit_route(kit, GET, "/users//books/x", NULL), -1);
    assert_int_equal(kit_route(kit, GET, "/users/7/books/", NULL), -1);
    assert_int_equal(kit_route(kit, GET, "/users/7/books/x/y", NULL), -1);
}

static void
a_plus_parameter_takes_the_rest_with_its_slashes(void **state)
{
    struct kit *kit = *state;
    struct sl_route route;
    one_api(kit, NORMAL, "/files/{name+}");
    assert_int_equal(kit_route(kit, GET, "/files/a/b/c", &route), 1);
    assert_int_equal(route.capture_count, 1);
    assert_true(sl_str_equal(route.captures[0], SL_STR("a/b/c")));
    assert_int_equal(kit_route(kit, GET, "/files/a", NULL), 1);
    assert_int_equal(kit_route(kit, GET, "/files/a/", &route), 1);
    assert_true(sl_str_equal(route.captures[0], SL_STR("a/")));
    assert_int_equal(kit_route(kit, GET, "/files/", NULL), -1);
    assert_int_equal(kit_route(kit, GET, "/files", NULL), -1);
}

static void
exact_beats_prefix_and_the_longest_prefix_wins(void **state)
{
    struct kit *kit = *state;
    kit_api(kit, GROUP_1, 1, GET, SWA, "/a");
    kit_api(kit, GROUP_1, 2, GET, SWA, "/a/b");
    kit_api(kit, GROUP_1, 3, GET, NORMAL, "/a/b");
    kit_api(kit, GROUP_1, 4, GET, SWA, "/");
    kit_api(kit, GROUP_1, 5, GET, NORMAL, "/x/{rest+}");
    kit_api(kit, GROUP_1, 6, GET, SWA, "/x/y");
    kit_api(kit, GROUP_1, 7, GET, SWA, "/a/{p}");
    kit_commit(kit, 1);
    assert_int_equal(kit_route(kit, GET, "/a/b", NULL), 3);
    assert_int_equal(kit_route(kit, GET, "/a/b/c", NULL), 2);
    assert_int_equal(kit_route(kit, GET, "/a", NULL), 1);
    assert_int_equal(kit_route(kit, GET, "/a/c", NULL), 7);
    assert_int_equal(kit_route(kit, GET, "/a/", NULL), 1);
    assert_int_equal(kit_route(kit, GET, "/q", NULL), 4);
    assert_int_equal(kit_route(kit, GET, "/x/y/z", NULL), 5);
    assert_int_equal(kit_route(kit, GET, "/x", NULL), 4);
}

static void
literal_beats_parameter_beats_plus_from_the_left(void **state)
{
    struct kit *kit = *state;
    kit_api(kit, GROUP_1, 1, GET, NORMAL, "/a/b");
    kit_api(kit, GROUP_1, 2, GET, NORMAL, "/a/{p}");
    kit_api(kit, GROUP_1, 3, GET, NORMAL, "/a/{p+}");
    kit_api(kit, GROUP_1, 4, GET, NORMAL, "/{p}/c");
    kit_api(kit, GROUP_1, 5, GET, NORMAL, "/{q}/{r}");
    kit_commit(kit, 1);
    struct sl_route route;
    assert_int_equal(kit_route(kit, GET, "/a/b", NULL), 1);
    assert_int_equal(kit_route(kit, GET, "/a/c", NULL), 2);
    assert_int_equal(kit_route(kit, GET, "/a/c/d", NULL), 3);
    assert_int_equal(kit_route(kit, GET, "/z/c", NULL), 4);
    assert_int_equal(kit_route(kit, GET, "/z/y", &route), 5);
    assert_true(sl_str_equal(route.captures[0], SL_STR("z")));
    assert_true(sl_str_equal(route.captures[1], SL_STR("y")));
}

static void
a_specific_method_beats_any_and_the_next_best_path_serves_a_missing_one(void **state)
{
    struct kit *kit = *state;
    kit_api(kit, GROUP_1, 1, POST, NORMAL, "/a/b");
    kit_api(kit, GROUP_1, 2, GET, SWA, "/a");
    kit_api(kit, GROUP_1, 3, ANY, NORMAL, "/m");
    kit_api(kit, GROUP_1, 4, GET, NORMAL, "/m");
    kit_api(kit, GROUP_1, 5, POST, NORMAL, "/n/{p}");
    kit_api(kit, GROUP_1, 6, SL_METHOD_PUT, NORMAL, "/n/x");
    kit_commit(kit, 1);
    assert_int_equal(kit_route(kit, GET, "/a/b", NULL), 2);
    assert_int_equal(kit_route(kit, POST, "/a/b", NULL), 1);
    assert_int_equal(kit_route(kit, GET, "/m", NULL), 4);
    assert_int_equal(kit_route(kit, POST, "/m", NULL), 3);
    assert_int_equal(kit_route(kit, SL_METHOD_COUNT, "/m", NULL), 3);
    assert_int_equal(kit_route(kit, POST, "/n/x", NULL), 5);
    assert_int_equal(kit_route(kit, GET, "/n/x", NULL), -2);
    assert_int_equal(kit_route(kit, SL_METHOD_HEAD, "/a/b", NULL), -2);
    assert_int_equal(kit_route(kit, POST, "/a", NULL), -2);
    assert_int_equal(kit_route(kit, POST, "/zzz", NULL), -1);
}

static void
groups_and_environments_do_not_see_each_other(void **state)
{
    struct kit *kit = *state;
    kit_api(kit, GROUP_1, 1, GET, NORMAL, "/a");
    kit_commit(kit, 1);
    struct sl_route route;
    assert_int_equal(
        sl_image_route(kit->image, GROUP_2, SL_STR("RELEASE"), GET, SL_STR("/a"), &route),
        SL_ROUTE_NO_PATH);
    assert_int_equal(
        sl_image_route(kit->image, GROUP_1, SL_STR("release"), GET, SL_STR("/a"), &route),
        SL_ROUTE_NO_PATH);
    assert_int_equal(sl_image_route(kit->image, GROUP_1, SL_STR(""), GET, SL_STR("/a"), &route),
                     SL_ROUTE_NO_PATH);
}

// -- the trie against a matcher that tries every API

#define PROPERTY_ROUTES  60
#define PROPERTY_ROUNDS  60
#define PROPERTY_LOOKUPS 300

struct naive_route {
    char path[64];
    enum sl_match_mode mode;
    enum sl_method method;
    bool hidden; // does not count
};

// How well a declared path matches, better is greater, compared as text: one letter a segment, then
// what ends it. Empty: not at all.
static bool
naive_match(const struct naive_route *route, const char *path, char ret_rank[64])
{
    const char *declared = route->path;
    size_t at = 0;
    char *rank = ret_rank;
    if (route->mode == SWA && strcmp(declared, "/") == 0) {
        declared = "";
    }
    while (*declared == '/') {
        const char *end = strchrnul(declared + 1, '/');
        size_t len = (size_t)(end - declared - 1);
        if (path[at] != '/') {
            return false;
        }
        size_t seg = strcspn(path + at + 1, "/");
        if (len >= 3 && end[-2] == '+' && declared[1] == '{') {
            *rank++ = 'a';
            at += strlen(path + at + 1) == 0 ? 0 : strlen(path + at);
            if (path[at] != '\0') {
                return false;
            }
        } else if (declared[1] == '{') {
            *rank++ = 'b';
            at += seg + 1;
            if (seg == 0) {
                return false;
            }
        } else {
            *rank++ = 'c';
            if (seg != len || memcmp(path + at + 1, declared + 1, len) != 0) {
                return false;
            }
            at += seg + 1;
        }
        declared = end;
    }
    *rank = '\0';
    return route->mode == SWA ? path[at] == '\0' || path[at] == '/' : path[at] == '\0';
}

// Whether a candidate beats the best so far.
static bool
naive_beats(const struct naive_route *a, const char *rank, const struct naive_route *b,
            const char *best)
{
    if (a->mode != b->mode) {
        return a->mode == NORMAL;
    }
    if (a->mode == SWA && strlen(rank) != strlen(best)) {
        return strlen(rank) > strlen(best);
    }
    int order = strcmp(rank, best);
    return order != 0 ? order > 0 : a->method != ANY && b->method == ANY;
}

static int
naive_route(const struct naive_route *routes, enum sl_method method, const char *path)
{
    int best = -1;
    char best_rank[64] = "";
    for (int i = 0; i < PROPERTY_ROUTES; i++) {
        char rank[64];
        if (routes[i].hidden || !naive_match(&routes[i], path, rank)) {
            continue;
        }
        if (routes[i].method != method && routes[i].method != ANY) {
            best = best == -1 ? -2 : best;
        } else if (best < 0 || naive_beats(&routes[i], rank, &routes[best], best_rank)) {
            best = i;
            memcpy(best_rank, rank, sizeof(best_rank));
        }
    }
    return best;
}

static unsigned
random_below(unsigned *seed, unsigned limit)
{
    return (unsigned)rand_r(seed) % limit;
}

static void
append(char path[64], const char *text)
{
    size_t len = strlen(path);
    snprintf(path + len, 64 - len, "%s", text);
}

static void
random_path(unsigned *seed, bool declared, char ret_path[64])
{
    static const char *const words[] = {"a", "b", "aa", "c", "{p}", "{q}", "{r+}"};
    unsigned count = random_below(seed, 5);
    ret_path[0] = '\0';
    for (unsigned i = 0; i < count; i++) {
        unsigned word = random_below(seed, declared ? (i + 1 == count ? 7 : 6) : 4);
        append(ret_path, "/");
        append(ret_path, words[word]);
    }
    if (count == 0 || (random_below(seed, 8) == 0 && strchr(ret_path, '+') == NULL)) {
        append(ret_path, "/");
    }
}

// Two routes are one when they differ only in the names of parameters.
static bool
is_taken(const struct naive_route *routes, int count, const struct naive_route *route)
{
    for (int i = 0; i < count; i++) {
        char path[64];
        memcpy(path, routes[i].path, sizeof(path));
        for (char *at = path; (at = strstr(at, "{q}")) != NULL;) {
            at[1] = 'p';
        }
        if (strcmp(path, route->path) == 0 && routes[i].mode == route->mode &&
            routes[i].method == route->method) {
            return true;
        }
    }
    return false;
}

// Draws routes that differ.
static void
draw_routes(unsigned *seed, struct naive_route *routes)
{
    static const enum sl_method methods[] = {GET, POST, ANY};
    for (int i = 0; i < PROPERTY_ROUTES; i++) {
        struct naive_route *route = &routes[i];
        do {
            random_path(seed, true, route->path);
            route->mode = random_below(seed, 3) == 0 ? SWA : NORMAL;
            route->method = methods[random_below(seed, 3)];
            route->hidden = false;
            size_t len = strlen(route->path);
            if (route->mode == SWA && len > 1 && route->path[len - 1] == '/') {
                route->path[len - 1] = '\0'; // not significant
            }
            for (char *at = route->path; (at = strstr(at, "{q}")) != NULL;) {
                at[1] = 'p';
            }
        } while (is_taken(routes, i, route));
    }
}

// What a lookup finds, as a number like kit_route()'s.
typedef int lookup_fn(struct kit *kit, enum sl_method method, const char *path);

static int
by_group(struct kit *kit, enum sl_method method, const char *path)
{
    return kit_route(kit, method, path, NULL);
}

static int
by_app(struct kit *kit, enum sl_method method, const char *path)
{
    struct sl_route route;
    const struct sl_img_app *app = sl_image_app(kit->image, APP_1);
    assert_non_null(app);
    switch (sl_image_route_app(kit->image, app, SL_STR("RELEASE"), method, sl_str(path), &route)) {
    case SL_ROUTE_NO_PATH:
        return -1;
    case SL_ROUTE_NO_METHOD:
        return -2;
    default:
        return kit_number(route.api);
    }
}

static void
agree(struct kit *kit, unsigned *seed, const struct naive_route *routes, lookup_fn *lookup)
{
    static const enum sl_method methods[] = {GET, POST};
    for (int i = 0; i < PROPERTY_LOOKUPS; i++) {
        char path[64];
        random_path(seed, false, path);
        enum sl_method method = methods[random_below(seed, 2)];
        int expected = naive_route(routes, method, path);
        int found = lookup(kit, method, path);
        if (found != expected) {
            fail_msg("%s: trie %d (%s), matcher %d (%s)", path, found,
                     found < 0 ? "" : routes[found].path, expected,
                     expected < 0 ? "" : routes[expected].path);
        }
    }
}

static void
the_trie_agrees_with_a_matcher_that_tries_every_api(void **state)
{
    struct kit *kit = *state;
    unsigned seed = 20240730;
    for (int round = 0; round < PROPERTY_ROUNDS; round++) {
        struct naive_route routes[PROPERTY_ROUTES];
        sl_image_builder_reset(kit->builder);
        draw_routes(&seed, routes);
        for (int i = 0; i < PROPERTY_ROUTES; i++) {
            kit_api(kit, GROUP_1, (unsigned)i, routes[i].method, routes[i].mode, routes[i].path);
        }
        kit_commit(kit, (uint64_t)round + 1);
        agree(kit, &seed, routes, by_group);
    }
}

// -- among the APIs of an app

static void
put_app(struct kit *kit, const char *const *publish_ids, size_t publish_id_count,
        const char *const *groups, size_t group_count)
{
    struct sl_entry entry = {.kind = SL_KIND_APP,
                             .app = {.id = APP_1,
                                     .name = "shop",
                                     .key = "key",
                                     .secret = "secret",
                                     .domain_id = "",
                                     .publish_ids = publish_ids,
                                     .publish_id_count = publish_id_count,
                                     .quota = {.id = ""},
                                     .groups = groups,
                                     .group_count = group_count}};
    kit_put(kit, APP_1, &entry);
}

static void
an_app_s_apis_are_routed_as_if_they_were_one_group(void **state)
{
    static const char *const groups[] = {GROUP_1, GROUP_2, GROUP_3};
    struct kit *kit = *state;
    unsigned seed = 20250218;
    for (int round = 0; round < PROPERTY_ROUNDS; round++) {
        struct naive_route routes[PROPERTY_ROUTES];
        char ids[PROPERTY_ROUTES][SL_ID_SIZE];
        const char *may[PROPERTY_ROUTES];
        size_t count = 0;
        sl_image_builder_reset(kit->builder);
        draw_routes(&seed, routes);
        for (int i = 0; i < PROPERTY_ROUTES; i++) {
            const char *id = kit_api(kit, groups[random_below(&seed, 3)], (unsigned)i,
                                     routes[i].method, routes[i].mode, routes[i].path);
            routes[i].hidden = random_below(&seed, 4) == 0;
            memcpy(ids[i], id, SL_ID_SIZE);
            if (!routes[i].hidden) {
                may[count++] = ids[i];
            }
        }
        put_app(kit, may, count, groups, SL_COUNT(groups));
        kit_commit(kit, (uint64_t)round + 1);
        agree(kit, &seed, routes, by_app);
    }
}

static void
what_is_equally_near_is_of_the_group_that_stands_first(void **state)
{
    static const char *const ids[] = {"00000000000000000000000000000001",
                                      "00000000000000000000000000000002"};
    static const char *const orders[][2] = {{GROUP_1, GROUP_2}, {GROUP_2, GROUP_1}};
    struct kit *kit = *state;
    kit_api(kit, GROUP_1, 1, GET, NORMAL, "/a/{p}");
    kit_api(kit, GROUP_2, 2, GET, NORMAL, "/a/{q}");
    for (size_t i = 0; i < SL_COUNT(orders); i++) {
        put_app(kit, ids, 2, orders[i], 2);
        kit_commit(kit, i + 1);
        assert_int_equal(by_app(kit, GET, "/a/b"), (int)i + 1);
    }
    put_app(kit, &ids[0], 1, orders[1], 2); // the other one is not the app's
    kit_commit(kit, 3);
    assert_int_equal(by_app(kit, GET, "/a/b"), 1);
    assert_int_equal(by_app(kit, POST, "/a/b"), -2);
    put_app(kit, ids, 2, NULL, 0); // app_route is off
    kit_commit(kit, 4);
    assert_int_equal(by_app(kit, GET, "/a/b"), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_exact_path_matches_as_a_whole_and_with_its_case,
                                        kit_open, kit_close),
        cmocka_unit_test_setup_teardown(a_prefix_matches_itself_and_below_at_a_boundary, kit_open,
                                        kit_close),
        cmocka_unit_test_setup_teardown(a_parameter_is_one_whole_segment_that_is_not_empty,
                                        kit_open, kit_close),
        cmocka_unit_test_setup_teardown(a_plus_parameter_takes_the_rest_with_its_slashes, kit_open,
                                        kit_close),
        cmocka_unit_test_setup_teardown(exact_beats_prefix_and_the_longest_prefix_wins, kit_open,
                                        kit_close),
        cmocka_unit_test_setup_teardown(literal_beats_parameter_beats_plus_from_the_left, kit_open,
                                        kit_close),
        cmocka_unit_test_setup_teardown(
            a_specific_method_beats_any_and_the_next_best_path_serves_a_missing_one, kit_open,
            kit_close),
        cmocka_unit_test_setup_teardown(groups_and_environments_do_not_see_each_other, kit_open,
                                        kit_close),
        cmocka_unit_test_setup_teardown(the_trie_agrees_with_a_matcher_that_tries_every_api,
                                        kit_open, kit_close),
        cmocka_unit_test_setup_teardown(an_app_s_apis_are_routed_as_if_they_were_one_group,
                                        kit_open, kit_close),
        cmocka_unit_test_setup_teardown(what_is_equally_near_is_of_the_group_that_stands_first,
                                        kit_open, kit_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
