// memory_test.c - entries, image and store when memory runs out: refused, and what stood stays.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/runtime/image_kit.h"

#include "common/runtime/store.h"
#include "tests/lib/scarce.h"

#define APP_1 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb1"
#define API_1 "00000000000000000000000000000001"

static const struct sl_req_param req_params[] = {
    {.name = "id", .default_value = "", .location = SL_IN_PATH, .required = true}};
static const struct sl_backend_param backend_params[] = {{"to", "id", SL_IN_PATH, SL_FROM_REQUEST}};
static const struct sl_condition conditions[] = {{"id", "7", SL_BY_PARAM, SL_MATCH_EXACT}};
static const struct sl_policy policies[] = {
    {.name = "p",
     .http = {"policy.example", "/p/{to}", 80, false, SL_METHOD_ANY, 5000, 0, false},
     .mock = {"", 0},
     .conditions = conditions,
     .condition_count = 1,
     .backend_params = backend_params,
     .backend_param_count = 1}};
static const char *const codes[] = {"code-a", "code-b"};
static const char *const publish_ids[] = {API_1};

static const struct sl_entry api = {
    .kind = SL_KIND_API,
    .api = {.publish_id = API_1,
            .api_id = API_1,
            .name = "scarce",
            .group_id = GROUP_1,
            .env_id = "DEFAULT_ENVIRONMENT_RELEASE_ID",
            .env_name = "RELEASE",
            .version_id = API_1,
            .path = "/a/{id}",
            .throttle_id = "",
            .method = SL_METHOD_GET,
            .match_mode = SL_MATCH_NORMAL,
            .schemes = SL_SCHEME_HTTP,
            .backend_type = SL_BACKEND_HTTP,
            .http = {"backend.example", "/b/{to}", 80, false, SL_METHOD_ANY, 5000, 0, false},
            .mock = {"", 0},
            .req_params = req_params,
            .req_param_count = 1,
            .backend_params = backend_params,
            .backend_param_count = 1,
            .policies = policies,
            .policy_count = 1},
};
static const struct sl_entry app = {
    .kind = SL_KIND_APP,
    .app = {APP_1, "shop", "key", "secret", "domain", codes, 2, publish_ids, 1},
};
static const struct sl_entry group = {.kind = SL_KIND_GROUP, .group = {GROUP_1, "g", false, true}};
static const struct sl_entry host = {.kind = SL_KIND_HOST, .host = {"a.example", GROUP_1, false}};

static int
copy_an_entry(void *arg)
{
    struct sl_entry *copy = sl_entry_copy(arg);
    if (copy == NULL) {
        return -1;
    }
    assert_string_equal(copy->app.name, "shop");
    assert_string_equal(copy->app.codes[1], "code-b");
    free(copy);
    return 0;
}

static void
an_entry_is_copied_whole_or_not(void **state)
{
    (void)state;
    struct sl_entry entry = app;
    assert_int_equal(scarce_run(copy_an_entry, &entry, false), 1);
}

// Arenas of every size up to the one that suffices: encoding, then decoding what another encoded.
static void
an_entry_in_an_arena_too_small_is_refused(void **state)
{
    (void)state;
    struct sl_error err;
    struct sl_arena *roomy = sl_arena_new(1 << 20);
    struct sl_str bytes;
    assert_int_equal(sl_entry_encode(roomy, &api, &bytes, &err), 0);
    int encoded = -1;
    int decoded = -1;
    for (size_t size = 0; size < 16384 && (encoded != 0 || decoded != 0); size += 16) {
        struct sl_arena *tight = sl_arena_new(size);
        struct sl_str again;
        struct sl_entry entry;
        encoded = sl_entry_encode(tight, &api, &again, &err);
        if (encoded == 0) {
            assert_true(sl_str_equal(again, bytes));
        }
        sl_arena_clear(tight);
        decoded = sl_entry_decode(tight, SL_KIND_API, bytes, &entry, &err);
        if (decoded == 0) {
            assert_string_equal(entry.api.backend_params[0].name, "to");
        }
        sl_arena_free(&tight);
    }
    assert_int_equal(encoded, 0);
    assert_int_equal(decoded, 0);
    sl_arena_free(&roomy);
}

static int
change_and_commit(struct sl_image_builder *builder, uint64_t revision)
{
    struct sl_error err = {.code = SL_E_OK};
    static const struct sl_img_address address = {0};
    if (sl_image_builder_put(builder, GROUP_1, &group, &err) != 0 ||
        sl_image_builder_put(builder, "a.example", &host, &err) != 0 ||
        sl_image_builder_put(builder, APP_1, &app, &err) != 0 ||
        sl_image_builder_put(builder, API_1, &api, &err) != 0 ||
        sl_image_builder_upstream(builder, "backend.example", &address, 1, false, &err) != 0 ||
        sl_image_builder_commit(builder, "epoch", revision, &err) != 0) {
        assert_true(err.code != SL_E_OK);
        return -1;
    }
    return 0;
}

static void
assert_serves(struct kit *kit)
{
    assert_int_equal(kit_route(kit, SL_METHOD_GET, "/a/1", NULL), 1);
    assert_non_null(sl_image_host(kit->image, SL_STR("a.example")));
    assert_non_null(sl_image_group(kit->image, GROUP_1));
}

// A builder of its own takes an image over, as an agent that starts, and changes it.
static int
take_over_and_change(void *arg)
{
    struct kit *kit = arg;
    struct sl_error err;
    struct sl_image_builder *builder = sl_image_builder_new(kit->name, &err);
    int status = builder == NULL ? -1 : change_and_commit(builder, 2);
    sl_image_builder_free(&builder);
    scarce_pause();
    sl_image_refresh(kit->image);
    assert_serves(kit); // the old image or the new one, never a part
    scarce_resume();
    return status;
}

static void
a_builder_without_memory_leaves_the_old_image(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(change_and_commit(kit->builder, 1), 0);
    sl_image_refresh(kit->image);
    assert_serves(kit);
    sl_image_builder_free(&kit->builder);
    assert_true(scarce_run(take_over_and_change, kit, false) > 10);
    assert_int_equal(sl_image_revision(kit->image), 2);
}

static int
open_and_read(void *arg)
{
    struct kit *kit = arg;
    struct sl_error err;
    struct sl_image *image = sl_image_open(kit->name, &err);
    if (image == NULL) {
        return -1;
    }
    sl_image_refresh(image);
    struct sl_route route;
    enum sl_route_result found =
        sl_image_route(image, GROUP_1, SL_STR("RELEASE"), SL_METHOD_GET, SL_STR("/a/1"), &route);
    sl_image_free(&image);
    return found == SL_ROUTE_FOUND ? 0 : -1;
}

static void
a_reader_without_memory_finds_nothing_and_does_not_fall(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(change_and_commit(kit->builder, 1), 0);
    scarce_run(open_and_read, kit, true);
}

struct place {
    char path[64];
    uint64_t revision; // that the store holds
};

static int
store_a_change(void *arg)
{
    struct place *place = arg;
    struct sl_error err = {.code = SL_E_OK};
    bool discarded = false;
    struct sl_store *store = sl_store_open(place->path, &discarded, &err);
    assert_false(discarded);
    if (store == NULL) {
        return -1;
    }
    struct sl_store_record record = {"api", API_1, place->revision + 1, 1, SL_STR("body")};
    int status = sl_store_begin(store, false, &err) != 0 ||
                         sl_store_put(store, &record, &err) != 0 ||
                         sl_store_put_blob(store, "content-key", SL_STR("sealed"), &err) != 0 ||
                         sl_store_commit(store, "epoch", place->revision + 1, &err) != 0
                     ? -1
                     : 0;
    if (status != 0) {
        sl_store_abort(store);
    } else {
        place->revision++;
    }
    char epoch[SL_ID_SIZE];
    uint64_t revision;
    sl_store_position(store, epoch, &revision);
    assert_int_equal(revision, place->revision);
    sl_store_free(&store);
    return status;
}

static void
a_store_without_memory_keeps_what_it_had(void **state)
{
    (void)state;
    struct place place = {.path = "/tmp/sluice-scarce-XXXXXX"};
    char file[128];
    assert_non_null(mkdtemp(place.path));
    assert_int_equal(store_a_change(&place), 0);
    scarce_run(store_a_change, &place, false);
    snprintf(file, sizeof(file), "%s/data.mdb", place.path);
    unlink(file);
    snprintf(file, sizeof(file), "%s/lock.mdb", place.path);
    unlink(file);
    rmdir(place.path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_is_copied_whole_or_not),
        cmocka_unit_test(an_entry_in_an_arena_too_small_is_refused),
        cmocka_unit_test_setup_teardown(a_builder_without_memory_leaves_the_old_image, kit_open,
                                        kit_close),
        cmocka_unit_test_setup_teardown(a_reader_without_memory_finds_nothing_and_does_not_fall,
                                        kit_open, kit_close),
        cmocka_unit_test(a_store_without_memory_keeps_what_it_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
