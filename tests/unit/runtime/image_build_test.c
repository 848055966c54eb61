// image_build_test.c - building, switching and reading the live image.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/fork.h"
#include "tests/unit/runtime/image_kit.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/runtime/image_builder.h"
#include "common/runtime/image_read.h"

#define APP_1      "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb1"
#define THROTTLE_1 "ccccccccccccccccccccccccccccccc1"

static void
put_group(struct kit *kit, const char *id, bool is_default)
{
    struct sl_entry entry = {.kind = SL_KIND_GROUP, .group = {id, "g", is_default, true}};
    kit_put(kit, id, &entry);
}

static void
put_host(struct kit *kit, const char *name, const char *group_id)
{
    struct sl_entry entry = {.kind = SL_KIND_HOST, .host = {name, group_id, false}};
    kit_put(kit, name, &entry);
}

static void
put_app(struct kit *kit, const char *key, const char *secret, const char *const *codes,
        size_t code_count)
{
    static const char *const ids[] = {"00000000000000000000000000000007",
                                      "00000000000000000000000000000003"};
    struct sl_entry entry = {
        .kind = SL_KIND_APP,
        .app = {APP_1, "shop", key, secret, "domain", codes, code_count, ids, 2, SL_ACL_NONE, NULL,
                0},
    };
    kit_put(kit, APP_1, &entry);
}

static void
before_the_first_commit_nothing_is_ready_or_found(void **state)
{
    struct kit *kit = *state;
    sl_image_refresh(kit->image);
    assert_false(sl_image_ready(kit->image));
    assert_null(sl_image_gateway(kit->image));
    assert_null(sl_image_group(kit->image, GROUP_1));
    assert_null(sl_image_host(kit->image, SL_STR("a.example.com")));
    assert_int_equal(kit_route(kit, SL_METHOD_GET, "/", NULL), -1);
    kit_commit(kit, 7);
    assert_true(sl_image_ready(kit->image));
    assert_int_equal(sl_image_revision(kit->image), 7);
    assert_null(sl_image_group(kit->image, GROUP_1));
}

static void
an_exact_host_beats_a_wildcard_and_a_longer_wildcard_a_shorter(void **state)
{
    struct kit *kit = *state;
    static const char *const cases[][2] = {
        {"api.example.com", "api.example.com"},
        {"x.example.com", "*.example.com"},
        {"a.b.example.com", "*.b.example.com"},
        {"a.c.example.com", "*.example.com"},
        {"example.com", NULL},
        {".example.com", NULL},
        {"*.example.com", NULL},
        {"example.org", NULL},
    };
    put_host(kit, "api.example.com", GROUP_1);
    put_host(kit, "*.example.com", GROUP_1);
    put_host(kit, "*.b.example.com", GROUP_1);
    kit_commit(kit, 1);
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        const struct sl_img_host *host = sl_image_host(kit->image, sl_str(cases[i][0]));
        if (cases[i][1] == NULL) {
            assert_null(host);
        } else {
            assert_non_null(host);
            assert_true(sl_str_equal(sl_img_text(&host->name), sl_str(cases[i][1])));
        }
    }
}

static void
an_app_is_found_by_id_key_and_code_and_its_old_names_go(void **state)
{
    struct kit *kit = *state;
    static const char *const codes[] = {"code-1", "code-2", "code-3", "code-4", "code-5"};
    put_app(kit, "key-1", "secret-1", codes, 5);
    kit_commit(kit, 1);
    const struct sl_img_app *app = sl_image_app(kit->image, APP_1);
    assert_non_null(app);
    uint64_t version = app->secret_version;
    assert_ptr_equal(sl_image_app_by_key(kit->image, SL_STR("key-1")), app);
    for (size_t i = 0; i < SL_COUNT(codes); i++) {
        assert_ptr_equal(sl_image_app_by_code(kit->image, sl_str(codes[i])), app);
    }
    assert_null(sl_image_app_by_code(kit->image, SL_STR("code-6")));
    assert_true(sl_img_app_may_call(app, "00000000000000000000000000000003"));
    assert_true(sl_img_app_may_call(app, "00000000000000000000000000000007"));
    assert_false(sl_img_app_may_call(app, "00000000000000000000000000000005"));
    put_app(kit, "key-2", "secret-2", codes + 1, 1);
    kit_commit(kit, 2);
    app = sl_image_app_by_key(kit->image, SL_STR("key-2"));
    assert_non_null(app);
    assert_true(sl_str_equal(sl_img_text(&app->secret), SL_STR("secret-2")));
    assert_int_not_equal(app->secret_version, version);
    assert_null(sl_image_app_by_key(kit->image, SL_STR("key-1")));
    assert_null(sl_image_app_by_code(kit->image, SL_STR("code-1")));
    assert_non_null(sl_image_app_by_code(kit->image, SL_STR("code-2")));
    sl_image_builder_remove(kit->builder, SL_KIND_APP, APP_1);
    kit_commit(kit, 3);
    assert_null(sl_image_app(kit->image, APP_1));
    assert_null(sl_image_app_by_code(kit->image, SL_STR("code-2")));
}

static void
groups_throttles_and_the_gateway_are_read_as_they_were_put(void **state)
{
    struct kit *kit = *state;
    static const struct sl_special specials[] = {{"zz", 5, false}, {"aa", 9, true}};
    static const char *const addresses[] = {"10.0.0.1", "10.0.0.2"};
    static const struct sl_feature_value features[] = {{"of_tomorrow", "1"},
                                                       {"sse_strategy", "on"}};
    struct sl_entry throttle = {
        .kind = SL_KIND_THROTTLE,
        .throttle = {THROTTLE_1, true, 3600, 1, "hour", 3, 2, 1, 0, specials, 2},
    };
    struct sl_entry gateway = {
        .kind = SL_KIND_GATEWAY,
        .gateway = {.id = GROUP_2,
                    .domain_call_limit = 1000,
                    .body_max_bytes = 77,
                    .addresses = addresses,
                    .address_count = 2,
                    .features = features,
                    .feature_count = 2},
    };
    put_group(kit, GROUP_1, false);
    put_group(kit, GROUP_2, true);
    kit_put(kit, THROTTLE_1, &throttle);
    kit_put(kit, GROUP_2, &gateway);
    kit_commit(kit, 42);
    const struct sl_img_group *group = sl_image_default_group(kit->image);
    assert_non_null(group);
    assert_memory_equal(group->id, GROUP_2, SL_ID_LEN);
    assert_int_equal(sl_image_group(kit->image, GROUP_1)->is_default, 0);
    const struct sl_img_throttle *record = sl_image_throttle(kit->image, THROTTLE_1);
    assert_non_null(record);
    assert_int_equal(record->api_limit, 3);
    assert_int_equal(record->window_s, 3600);
    const struct sl_img_special *sorted = sl_img_items(&record->specials);
    assert_int_equal(record->specials.count, 2);
    assert_true(sl_str_equal(sl_img_text(&sorted[0].object_id), SL_STR("aa")));
    assert_int_equal(sorted[0].limit, 9);
    const struct sl_img_gateway *settings = sl_image_gateway(kit->image);
    assert_int_equal(settings->revision, 42);
    assert_int_equal(settings->body_max_bytes, 77);
    assert_true(sl_str_equal(sl_img_text(&settings->epoch), SL_STR("epoch")));
    const struct sl_img_str *texts = sl_img_items(&settings->addresses);
    assert_true(sl_str_equal(sl_img_text(&texts[1]), SL_STR("10.0.0.2")));
    assert_true(sl_img_feature_on(settings, SL_FEATURE_SSE_STRATEGY));
}

static void
an_api_carries_its_parameters_and_their_links(void **state)
{
    struct kit *kit = *state;
    static const struct sl_req_param wanted[] = {
        {.name = "id", .default_value = "", .location = SL_IN_PATH, .required = true},
        {.name = "q", .default_value = "dflt", .location = SL_IN_QUERY}};
    static const struct sl_backend_param sent[] = {
        {"user", "id", SL_IN_PATH, SL_FROM_REQUEST},
        {"c", "constant", SL_IN_HEADER, SL_FROM_CONSTANT}};
    struct sl_entry entry = {
        .kind = SL_KIND_API,
        .api = {.publish_id = APP_1,
                .api_id = GROUP_1,
                .group_id = GROUP_1,
                .env_id = "E",
                .env_name = "RELEASE",
                .path = "/u/{id}",
                .throttle_id = THROTTLE_1,
                .schemes = SL_SCHEME_HTTPS,
                .auth = SL_AUTH_APP,
                .app_code = true,
                .backend_type = SL_BACKEND_HTTP,
                .http = {"back.example", "/v/{user}", 8443, true, SL_METHOD_PUT, 1500, -1, true},
                .req_params = wanted,
                .req_param_count = 2,
                .backend_params = sent,
                .backend_param_count = 2},
    };
    kit_put(kit, APP_1, &entry);
    kit_commit(kit, 1);
    const struct sl_img_api *api = sl_image_api(kit->image, GROUP_1, SL_STR("RELEASE"), APP_1);
    assert_non_null(api);
    const struct sl_img_req_param *in = sl_img_items(&api->req_params);
    const struct sl_img_backend_param *out = sl_img_items(&api->target.backend_params);
    assert_true(sl_str_equal(sl_img_text(&in[1].default_value), SL_STR("dflt")));
    assert_int_equal(out[0].req_param, 0);
    assert_int_equal(out[1].req_param, -1);
    assert_int_equal(api->target.port, 8443);
    assert_int_equal(api->target.method, SL_METHOD_PUT);
    assert_int_equal(api->target.retry_count, -1);
    assert_int_equal(api->has_throttle, 1);
    assert_int_equal(api->app_code, 1);
    assert_true(sl_str_equal(sl_img_text(&api->target.path), SL_STR("/v/{user}")));
}

static void
an_upstream_appears_when_an_api_names_it_and_goes_with_it(void **state)
{
    struct kit *kit = *state;
    struct sl_error err;
    struct sl_img_address address = {.family = AF_INET, .bytes = {127, 0, 0, 1}};
    assert_int_equal(sl_image_builder_upstream(kit->builder, "127.0.0.1", &address, 1, false, &err),
                     0);
    kit_commit(kit, 1);
    assert_null(sl_image_upstream(kit->image, SL_STR("127.0.0.1")));
    const char *id = kit_api(kit, GROUP_1, 1, SL_METHOD_GET, SL_MATCH_NORMAL, "/");
    kit_commit(kit, 2);
    const struct sl_img_upstream *upstream = sl_image_upstream(kit->image, SL_STR("127.0.0.1"));
    assert_non_null(upstream);
    assert_int_equal(upstream->addresses.count, 1);
    const struct sl_img_address *first = sl_img_items(&upstream->addresses);
    assert_int_equal(first->bytes[0], 127);
    assert_int_equal(sl_image_builder_upstream(kit->builder, "127.0.0.1", NULL, 0, true, &err), 0);
    kit_commit(kit, 3);
    assert_int_equal(sl_image_upstream(kit->image, SL_STR("127.0.0.1"))->denied, 1);
    sl_image_builder_forget(kit->builder, "127.0.0.1"); // in use: stays
    sl_image_builder_remove(kit->builder, SL_KIND_API, id);
    kit_commit(kit, 4);
    assert_null(sl_image_upstream(kit->image, SL_STR("127.0.0.1")));
    kit_api(kit, GROUP_1, 1, SL_METHOD_GET, SL_MATCH_NORMAL, "/");
    kit_commit(kit, 5);
    assert_non_null(sl_image_upstream(kit->image, SL_STR("127.0.0.1")));
    sl_image_builder_remove(kit->builder, SL_KIND_API, id);
    sl_image_builder_forget(kit->builder, "127.0.0.1");
    kit_api(kit, GROUP_1, 1, SL_METHOD_GET, SL_MATCH_NORMAL, "/");
    kit_commit(kit, 6);
    assert_null(sl_image_upstream(kit->image, SL_STR("127.0.0.1")));
}

static void
a_change_among_ten_thousand_apis_builds_one_segment(void **state)
{
    struct kit *kit = *state;
    char group[SL_ID_SIZE];
    char path[64];
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(group, sizeof(group), "%032x", i / 1000);
        snprintf(path, sizeof(path), "/v1/things%u/{id}/part", i);
        kit_api(kit, group, i + 1, SL_METHOD_GET, SL_MATCH_NORMAL, path);
    }
    kit_commit(kit, 1);
    uint64_t before = kit->builder->control->next_segment;
    snprintf(group, sizeof(group), "%032x", 3);
    kit_api(kit, group, 3001, SL_METHOD_GET, SL_MATCH_NORMAL, "/changed");
    int64_t started_us = sl_mono_us();
    kit_commit(kit, 2);
    print_message("incremental commit: %ld us\n", (long)(sl_mono_us() - started_us));
    assert_int_equal(kit->builder->control->next_segment, before + 1);
    struct sl_route route;
    assert_int_equal(sl_image_route(kit->image, group, SL_STR("RELEASE"), SL_METHOD_GET,
                                    SL_STR("/changed"), &route),
                     SL_ROUTE_FOUND);
    // Ten groups, at most a shard each for the one upstream, directory, control.
    assert_in_range(kit_files(kit->name, false), 12, 13);
}

static void
a_record_stays_readable_while_the_decision_maps_a_newer_image(void **state)
{
    struct kit *kit = *state;
    put_group(kit, GROUP_1, false);
    kit_api(kit, GROUP_1, 1, SL_METHOD_GET, SL_MATCH_NORMAL, "/a");
    kit_commit(kit, 1);
    const struct sl_img_group *group = sl_image_group(kit->image, GROUP_1);
    assert_non_null(group);
    // The agent replaces everything while the decision runs: the routes were not mapped yet.
    struct sl_error err;
    put_group(kit, GROUP_1, true);
    kit_api(kit, GROUP_1, 1, SL_METHOD_POST, SL_MATCH_NORMAL, "/a");
    assert_int_equal(sl_image_builder_commit(kit->builder, "epoch", 2, &err), 0);
    assert_int_equal(kit_route(kit, SL_METHOD_POST, "/a", NULL), 1);
    assert_int_equal(sl_image_revision(kit->image), 2);
    assert_memory_equal(group->id, GROUP_1, SL_ID_LEN);
    assert_int_equal(group->is_default, 0);
    sl_image_refresh(kit->image);
    assert_int_equal(sl_image_group(kit->image, GROUP_1)->is_default, 1);
}

// Reads as fast as it can until revision `last`; exit status 0: all it saw was whole.
static int
read_until(const char *name, uint64_t last)
{
    struct sl_error err;
    struct sl_image *image = sl_image_open(name, &err);
    uint64_t seen = 0;
    int64_t deadline_ms = sl_mono_ms() + 120000;
    while (seen < last && sl_mono_ms() < deadline_ms) {
        sl_image_refresh(image);
        if (!sl_image_ready(image)) {
            continue;
        }
        struct sl_route route;
        const struct sl_img_group *group = sl_image_group(image, GROUP_1);
        if (group == NULL ||
            sl_image_route(image, GROUP_1, SL_STR("RELEASE"), SL_METHOD_GET, SL_STR("/always/5"),
                           &route) != SL_ROUTE_FOUND ||
            route.capture_count != 1 || sl_image_revision(image) < seen) {
            return 1;
        }
        seen = sl_image_revision(image);
    }
    sl_image_free(&image);
    return seen == last ? 0 : 2;
}

static void
a_process_that_reads_all_the_time_never_sees_half_a_switch(void **state)
{
    struct kit *kit = *state;
    const uint64_t last = 300;
    put_group(kit, GROUP_1, false);
    kit_api(kit, GROUP_1, 1, SL_METHOD_GET, SL_MATCH_NORMAL, "/always/{id}");
    kit_commit(kit, 1);
    pid_t child = fork_child();
    if (child == 0) {
        _exit(read_until(kit->name, last));
    }
    for (uint64_t i = 2; i <= last; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/other%u", (unsigned)i);
        put_group(kit, GROUP_1, i % 2 == 0);
        kit_api(kit, GROUP_1, (unsigned)i % 7 + 2, SL_METHOD_GET, SL_MATCH_NORMAL, path);
        kit_commit(kit, i);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void
a_new_builder_takes_over_and_removes_what_the_old_one_left(void **state)
{
    struct kit *kit = *state;
    struct sl_error err;
    put_group(kit, GROUP_1, false);
    put_host(kit, "a.example.com", GROUP_1);
    kit_commit(kit, 5);
    assert_null(sl_image_builder_new(kit->name, &err)); // one builder an image
    sl_image_builder_free(&kit->builder);
    sl_image_refresh(kit->image);
    assert_non_null(sl_image_group(kit->image, GROUP_1)); // workers read on
    kit->builder = sl_image_builder_new(kit->name, &err);
    assert_non_null(kit->builder);
    put_group(kit, GROUP_2, false);
    kit_commit(kit, 6);
    assert_null(sl_image_group(kit->image, GROUP_1));
    assert_non_null(sl_image_group(kit->image, GROUP_2));
    assert_int_equal(kit_files(kit->name, false), 3); // control, directory, one segment
}

static void
a_reset_forgets_everything_at_the_next_commit(void **state)
{
    struct kit *kit = *state;
    put_group(kit, GROUP_1, true);
    kit_api(kit, GROUP_1, 1, SL_METHOD_GET, SL_MATCH_NORMAL, "/a");
    kit_commit(kit, 1);
    sl_image_builder_reset(kit->builder);
    sl_image_refresh(kit->image);
    assert_int_equal(kit_route(kit, SL_METHOD_GET, "/a", NULL), 1);
    kit_commit(kit, 2);
    assert_int_equal(kit_route(kit, SL_METHOD_GET, "/a", NULL), -1);
    assert_null(sl_image_default_group(kit->image));
}

// Lets files of this process grow to `bytes` at most: what a full /dev/shm looks like.
static void
limit_files(rlim_t bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void
a_full_shm_fails_the_commit_and_leaves_the_old_image(void **state)
{
    struct kit *kit = *state;
    struct sl_error err;
    put_group(kit, GROUP_1, false);
    kit_api(kit, GROUP_1, 1, SL_METHOD_GET, SL_MATCH_NORMAL, "/a");
    kit_commit(kit, 1);
    size_t files = kit_files(kit->name, false);
    for (unsigned i = 2; i < 200; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/many%u", i);
        kit_api(kit, GROUP_1, i, SL_METHOD_GET, SL_MATCH_NORMAL, path);
    }
    put_group(kit, GROUP_2, false);
    limit_files(16384);
    assert_int_equal(sl_image_builder_commit(kit->builder, "epoch", 2, &err), -1);
    limit_files(RLIM_INFINITY);
    sl_image_refresh(kit->image);
    assert_int_equal(sl_image_revision(kit->image), 1);
    assert_int_equal(kit_route(kit, SL_METHOD_GET, "/a", NULL), 1);
    assert_int_equal(kit_files(kit->name, false), files);
    kit_commit(kit, 2);
    assert_int_equal(kit_route(kit, SL_METHOD_GET, "/many199", NULL), 199);
    assert_non_null(sl_image_group(kit->image, GROUP_2));
}

// Commits without end: killed by its parent.
static void
commit_for_ever(const char *name)
{
    struct sl_error err;
    struct kit kit = {.builder = sl_image_builder_new(name, &err)};
    for (uint64_t i = 1; kit.builder != NULL; i++) {
        put_group(&kit, GROUP_1, i % 2 == 0);
        kit_api(&kit, GROUP_1, 1, SL_METHOD_GET, SL_MATCH_NORMAL, "/a/{b}");
        if (sl_image_builder_commit(kit.builder, "epoch", i, &err) != 0) {
            break;
        }
    }
    _exit(1);
}

static void
a_builder_may_die_at_any_instruction(void **state)
{
    struct kit *kit = *state;
    sl_image_builder_free(&kit->builder);
    unsigned seed = 7;
    for (int round = 0; round < 40; round++) {
        pid_t child = fork_child();
        if (child == 0) {
            commit_for_ever(kit->name);
        }
        usleep(1000 + (unsigned)rand_r(&seed) % 8000);
        kill(child, SIGKILL);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        sl_image_refresh(kit->image);
        if (sl_image_ready(kit->image)) {
            assert_int_equal(kit_route(kit, SL_METHOD_GET, "/a/x", NULL), 1);
            assert_non_null(sl_image_group(kit->image, GROUP_1));
        }
    }
    struct sl_error err;
    kit->builder = sl_image_builder_new(kit->name, &err);
    assert_non_null(kit->builder);
    put_group(kit, GROUP_2, false);
    kit_commit(kit, 1);
    assert_non_null(sl_image_group(kit->image, GROUP_2));
    assert_int_equal(kit_files(kit->name, false), 3); // control, directory, one segment
}

static void
an_emptied_shm_is_filled_again_and_readers_find_it(void **state)
{
    struct kit *kit = *state;
    put_group(kit, GROUP_1, false);
    kit_api(kit, GROUP_1, 1, SL_METHOD_GET, SL_MATCH_NORMAL, "/a");
    kit_commit(kit, 1);
    assert_int_equal(kit_route(kit, SL_METHOD_GET, "/a", NULL), 1);
    uint64_t generation = sl_image_generation(kit->image);
    kit_files(kit->name, true);
    sl_image_refresh(kit->image);
    assert_int_equal(kit_route(kit, SL_METHOD_GET, "/a", NULL), 1); // mapped
    kit_api(kit, GROUP_1, 2, SL_METHOD_GET, SL_MATCH_NORMAL, "/b");
    kit_commit(kit, 2);
    kit->image->looked_s = 0; // as if a second had passed
    sl_image_refresh(kit->image);
    assert_int_equal(sl_image_revision(kit->image), 2);
    assert_true(sl_image_generation(kit->image) > generation);
    assert_int_equal(kit_route(kit, SL_METHOD_GET, "/a", NULL), 1);
    assert_int_equal(kit_route(kit, SL_METHOD_GET, "/b", NULL), 2);
    assert_non_null(sl_image_group(kit->image, GROUP_1));
}

static void
a_segment_with_an_offset_that_leads_outside_is_refused(void **state)
{
    struct kit *kit = *state;
    struct sl_error err;
    kit_api(kit, GROUP_1, 1, SL_METHOD_GET, SL_MATCH_NORMAL, "/a/{b}/c");
    kit_api(kit, GROUP_1, 2, SL_METHOD_GET, SL_MATCH_SWA, "/a/{b}/{d+}");
    struct image_routes *routes = image_routes_of(kit->builder, GROUP_1, "RELEASE");
    assert_int_equal(image_write_routes(&kit->builder->writer, 1,
                                        (const struct sl_api **)routes->list.items,
                                        routes->list.count, &err),
                     0);
    size_t size = kit->builder->writer.used_bytes;
    char *copy = malloc(size);
    memcpy(copy, kit->builder->writer.base, size);
    assert_true(image_segment_valid(copy, size));
    assert_false(image_segment_valid(copy, size - 64));
    // Whatever word is damaged, the check stays inside the block and ends.
    for (size_t at = 0; at + 4 <= size; at += 4) {
        uint32_t old;
        memcpy(&old, copy + at, 4);
        static const uint32_t values[] = {0x7fffffff, 0x80000000, 0xfffffff0, 64, 3};
        for (size_t i = 0; i < SL_COUNT(values); i++) {
            memcpy(copy + at, &values[i], 4);
            (void)image_segment_valid(copy, size);
        }
        memcpy(copy + at, &old, 4);
    }
    free(copy);
}

static void
a_lookup_among_many_apis_takes_about_a_microsecond(void **state)
{
    struct kit *kit = *state;
    enum {
        APIS = 20000,
        GROUPS = 20,
        LOOKUPS = 200000
    };
    char group[SL_ID_SIZE];
    char path[64];
    for (unsigned i = 0; i < APIS; i++) {
        snprintf(group, sizeof(group), "%032x", i % GROUPS);
        snprintf(path, sizeof(path), "/api/v%u/things%u/{id}", i % 3, i);
        kit_api(kit, group, i + 1, SL_METHOD_GET, SL_MATCH_NORMAL, path);
    }
    kit_commit(kit, 1);
    unsigned seed = 1;
    int64_t started_us = sl_mono_us();
    for (unsigned n = 0; n < LOOKUPS; n++) {
        unsigned i = (unsigned)rand_r(&seed) % APIS;
        snprintf(group, sizeof(group), "%032x", i % GROUPS);
        int len = snprintf(path, sizeof(path), "/api/v%u/things%u/77", i % 3, i);
        struct sl_route route;
        sl_image_refresh(kit->image);
        assert_int_equal(sl_image_route(kit->image, group, SL_STR("RELEASE"), SL_METHOD_GET,
                                        (struct sl_str){path, (size_t)len}, &route),
                         SL_ROUTE_FOUND);
    }
    print_message("lookup with its two snprintf: %ld ns\n",
                  (long)((sl_mono_us() - started_us) * 1000 / LOOKUPS));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_open, kit_close)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(before_the_first_commit_nothing_is_ready_or_found),
        TEST(an_exact_host_beats_a_wildcard_and_a_longer_wildcard_a_shorter),
        TEST(an_app_is_found_by_id_key_and_code_and_its_old_names_go),
        TEST(groups_throttles_and_the_gateway_are_read_as_they_were_put),
        TEST(an_api_carries_its_parameters_and_their_links),
        TEST(an_upstream_appears_when_an_api_names_it_and_goes_with_it),
        TEST(a_change_among_ten_thousand_apis_builds_one_segment),
        TEST(a_record_stays_readable_while_the_decision_maps_a_newer_image),
        TEST(a_process_that_reads_all_the_time_never_sees_half_a_switch),
        TEST(a_new_builder_takes_over_and_removes_what_the_old_one_left),
        TEST(a_reset_forgets_everything_at_the_next_commit),
        TEST(a_full_shm_fails_the_commit_and_leaves_the_old_image),
        TEST(a_builder_may_die_at_any_instruction),
        TEST(an_emptied_shm_is_filled_again_and_readers_find_it),
        TEST(a_segment_with_an_offset_that_leads_outside_is_refused),
        TEST(a_lookup_among_many_apis_takes_about_a_microsecond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
