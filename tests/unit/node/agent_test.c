// agent_test.c - a whole agent on two buses, with a publisher that this program plays.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/node/node_kit.h"

#include "services/node/agent.c"

#include <glob.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "common/wire/stream.h"
#include "tests/lib/stage.h"

#define BUSES       2
#define APIS_MAX    64
#define PATIENCE_MS 60000
#define EPOCH       "e1"

// The publisher's state; its worker's threads and the test share it.
static struct {
    pthread_mutex_t lock;
    struct sl_arena *arena;
    struct sl_seal_key content;
    struct sl_wire_entry entries[APIS_MAX + 1]; // the gateway, then the APIs
    size_t count;
    uint64_t revision;
    atomic_ullong reported; // by the node
    atomic_bool has_reason; // its last report said why it is behind
} script;

struct place {
    char path[64], name[64];
    char state[80]; // directory that the first agent makes
    struct stage *stage;
    const struct sl_peer *peer;
    struct sl_worker *worker;
    struct settings settings;
    struct agent *agent;
    pthread_t thread;
    int stop_fd;
    struct sl_image *image;
};

static int
on_report(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    (void)err;
    const json_t *body = call->command->body;
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 4096);
    const char *reason = json_string_value(json_object_get(body, "reason"));
    atomic_store(&script.has_reason, reason != NULL && reason[0] != '\0');
    atomic_store(&script.reported,
                 (unsigned long long)json_integer_value(json_object_get(body, "revision")));
    struct sl_revision head = {.epoch = EPOCH};
    pthread_mutex_lock(&script.lock);
    head.number = script.revision;
    pthread_mutex_unlock(&script.lock);
    sl_head_pack(&buf, &head);
    reply->body = (struct sl_str){sl_arena_dupn(call->arena, buf.ptr, buf.len), buf.len};
    return 0;
}

// The entries behind a revision; a full set for another epoch.
static void
answer_since(struct sl_call *call, struct sl_stream *stream, struct sl_buf *buf)
{
    const char *epoch = json_string_value(json_object_get(call->command->body, "epoch"));
    json_int_t from = json_integer_value(json_object_get(call->command->body, "revision"));
    size_t skipped = 0;
    stream->full = strcmp(epoch, EPOCH) != 0;
    while (!stream->full && skipped < script.count &&
           script.entries[skipped].revision <= (uint64_t)from) {
        skipped++;
    }
    stream->prev = stream->full ? 0 : (uint64_t)from;
    stream->to = stream->at = script.revision;
    stream->entries = script.entries + skipped;
    stream->count = script.count - skipped;
    sl_stream_pack(buf, stream);
}

static int
on_since(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    (void)err;
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, SL_MESSAGE_MAX);
    pthread_mutex_lock(&script.lock);
    struct sl_stream stream = {.epoch = EPOCH,
                               .is_answer = true,
                               .content_key =
                                   kit_box(call->arena, call->command->peer_key, &script.content)};
    answer_since(call, &stream, &buf);
    pthread_mutex_unlock(&script.lock);
    reply->body = (struct sl_str){sl_arena_dupn(call->arena, buf.ptr, buf.len), buf.len};
    return 0;
}

static const struct sl_handler handlers[] = {
    {"node.report", on_report},
    {"runtime.since", on_since},
};

static void
add_entry(const char *key, const struct sl_entry *entry)
{
    assert_true(script.count <= APIS_MAX);
    script.revision++;
    script.entries[script.count++] =
        kit_seal(script.arena, &script.content, key, entry, script.revision);
}

static void
publish(struct place *place, const char *path, bool is_heard)
{
    pthread_mutex_lock(&script.lock);
    char *id = sl_arena_printf(script.arena, "%032zx", script.count);
    struct sl_entry api = kit_api(id, sl_arena_dup(script.arena, path), "127.0.0.1");
    add_entry(id, &api);
    struct sl_stream event = {.epoch = EPOCH,
                              .prev = script.revision - 1,
                              .to = script.revision,
                              .entries = &script.entries[script.count - 1],
                              .count = 1};
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 65536);
    sl_stream_pack(&buf, &event);
    pthread_mutex_unlock(&script.lock);
    if (is_heard) {
        sl_worker_publish(place->worker, "rt/" GATEWAY, (struct sl_str){buf.ptr, buf.len});
    }
}

static void *
run_agent(void *arg)
{
    struct place *place = arg;
    agent_run(place->agent, place->stop_fd);
    return NULL;
}

static void
start(struct place *place)
{
    struct sl_error err;
    place->stop_fd = eventfd(0, EFD_CLOEXEC);
    place->agent = agent_new(&place->settings, place->peer, &err);
    assert_non_null(place->agent);
    assert_int_equal(pthread_create(&place->thread, NULL, run_agent, place), 0);
}

static void
stop(struct place *place)
{
    uint64_t one = 1;
    if (place->agent == NULL) {
        return;
    }
    assert_int_equal(write(place->stop_fd, &one, sizeof(one)), sizeof(one));
    pthread_join(place->thread, NULL);
    agent_free(&place->agent);
    close(place->stop_fd);
}

static void
play_publisher(struct place *place)
{
    static const char *const services[] = {"publisher"};
    const char *ids[] = {"n1"};
    struct sl_entry gateway = {
        .kind = SL_KIND_GATEWAY,
        .gateway = {.id = GATEWAY, .node_ids = ids, .node_count = 1, .membership = 1}};
    struct sl_error err;
    add_entry(GATEWAY, &gateway);
    struct sl_worker_options options = {
        .peer = stage_peer(place->stage, "publisher", "worker:publisher", NULL),
        .services = services,
        .service_count = 1,
        .handlers = handlers,
        .handler_count = SL_COUNT(handlers),
        .threads = 2};
    place->worker = sl_worker_new(&options, &err);
    assert_non_null(place->worker);
}

static int
open_place(void **state)
{
    static int number;
    struct place *place = calloc(1, sizeof(*place));
    struct sl_error err;
    sl_crypto_init();
    pthread_mutex_init(&script.lock, NULL);
    script.arena = sl_arena_new(1 << 20);
    script.count = 0;
    script.revision = 0;
    memset(script.content.bytes, 0x5a, sizeof(script.content.bytes));
    snprintf(place->path, sizeof(place->path), "/tmp/sluice-agent-XXXXXX");
    snprintf(place->name, sizeof(place->name), "unit-agent-%d-%d", (int)getpid(), number++);
    *state = place;
    if (mkdtemp(place->path) == NULL) {
        return -1;
    }
    snprintf(place->state, sizeof(place->state), "%s/state", place->path);
    place->stage = stage_new(BUSES);
    place->peer = stage_peer(place->stage, "n1", "node:n1", GATEWAY);
    place->settings = (struct settings){.node_id = "n1",
                                        .gateway_id = GATEWAY,
                                        .state_dir = place->state,
                                        .shm_name = place->name,
                                        .http_listen = "127.0.0.1:1",
                                        .https_listen = "127.0.0.1:2",
                                        .health_listen = "127.0.0.1:3",
                                        .agent_health_listen = "",
                                        .nginx_binary = "/usr/sbin/nginx",
                                        .nginx_module = "/nowhere/module.so",
                                        .nginx_conf = "",
                                        .nginx_user = "",
                                        .peer_listen = "",
                                        .peers = "",
                                        .seed_file = "",
                                        .access_log = "",
                                        .access_log_format = "line",
                                        .access_log_json = "",
                                        .body_budget_mb = 1,
                                        .limit_keys = 1024,
                                        .nginx_workers = 1};
    play_publisher(place);
    start(place);
    place->image = sl_image_open(place->name, &err);
    return place->image == NULL ? -1 : 0;
}

static int
close_place(void **state)
{
    struct place *place = *state;
    char pattern[128];
    glob_t files;
    stop(place);
    sl_image_free(&place->image);
    sl_worker_free(&place->worker);
    stage_free(&place->stage);
    snprintf(pattern, sizeof(pattern), "/dev/shm/sluice-%s-*", place->name);
    if (glob(pattern, 0, NULL, &files) == 0) {
        for (size_t i = 0; i < files.gl_pathc; i++) {
            unlink(files.gl_pathv[i]);
        }
        globfree(&files);
    }
    kit_remove_tree(place->path);
    sl_arena_free(&script.arena);
    pthread_mutex_destroy(&script.lock);
    free(place);
    return 0;
}

static bool
routes(struct place *place, const char *path)
{
    struct sl_route route;
    sl_image_refresh(place->image);
    return sl_image_route(place->image, GROUP_1, SL_STR("RELEASE"), SL_METHOD_GET, sl_str(path),
                          &route) == SL_ROUTE_FOUND;
}

static void
wait_for_route(struct place *place, const char *path)
{
    int64_t end_ms = sl_mono_ms() + PATIENCE_MS;
    while (!routes(place, path)) {
        assert_true(sl_mono_ms() < end_ms);
        poll(NULL, 0, 2);
    }
}

static void
wait_for_report(uint64_t revision)
{
    int64_t end_ms = sl_mono_ms() + PATIENCE_MS;
    while (atomic_load(&script.reported) != revision) {
        assert_true(sl_mono_ms() < end_ms);
        poll(NULL, 0, 2);
    }
    assert_false(atomic_load(&script.has_reason));
}

static void
what_is_published_is_live_and_reported(void **state)
{
    struct place *place = *state;
    wait_for_report(1);
    for (int i = 0; i < 20; i++) {
        char path[16];
        snprintf(path, sizeof(path), "/a%d", i);
        publish(place, path, true);
    }
    wait_for_route(place, "/a19");
    wait_for_report(21);
    assert_true(routes(place, "/a0"));
    assert_false(routes(place, "/a20"));
}

static void
an_event_that_nobody_heard_is_asked_for(void **state)
{
    struct place *place = *state;
    wait_for_report(1);
    publish(place, "/lost", false);
    wait_for_route(place, "/lost");
}

static void
a_bus_that_dies_and_another_carry_on(void **state)
{
    struct place *place = *state;
    wait_for_report(1);
    for (size_t bus = 0; bus < BUSES; bus++) {
        char path[16];
        stage_kill_bus(place->stage, bus);
        snprintf(path, sizeof(path), "/b%zu", bus);
        publish(place, path, true);
        wait_for_route(place, path);
        stage_start_bus(place->stage, bus);
        stage_wait_live(place->agent->client, BUSES);
    }
}

static void
a_new_agent_begins_with_what_its_store_holds(void **state)
{
    struct place *place = *state;
    char pattern[128];
    glob_t files;
    publish(place, "/kept", true);
    wait_for_route(place, "/kept");
    stop(place);
    for (size_t bus = 0; bus < BUSES; bus++) {
        stage_kill_bus(place->stage, bus);
    }
    sl_image_free(&place->image);
    snprintf(pattern, sizeof(pattern), "/dev/shm/sluice-%s-*", place->name);
    assert_int_equal(glob(pattern, 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        unlink(files.gl_pathv[i]);
    }
    globfree(&files);
    start(place);
    struct sl_error err;
    place->image = sl_image_open(place->name, &err);
    assert_non_null(place->image);
    assert_true(routes(place, "/kept"));
    for (size_t bus = 0; bus < BUSES; bus++) {
        stage_start_bus(place->stage, bus);
    }
    publish(place, "/later", true);
    wait_for_route(place, "/later");
}

static void
settings_that_cannot_be_used_are_named(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    stop(place);
    place->settings.peers = "nonsense";
    assert_null(agent_new(&place->settings, place->peer, &err));
    assert_string_equal(err.args[0], "peers");
    place->settings.peers = "";
    place->settings.peer_listen = "nonsense";
    assert_null(agent_new(&place->settings, place->peer, &err));
    assert_string_equal(err.args[0], "peer_listen");
    place->settings.state_dir = "/proc/nowhere";
    assert_null(agent_new(&place->settings, place->peer, &err));
    assert_string_equal(err.args[0], "state_dir");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_published_is_live_and_reported),
        TEST(an_event_that_nobody_heard_is_asked_for),
        TEST(a_bus_that_dies_and_another_carry_on),
        TEST(a_new_agent_begins_with_what_its_store_holds),
        TEST(settings_that_cannot_be_used_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
