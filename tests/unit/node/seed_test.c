// seed_test.c - a first image from a peer or a file: served, and refused to whom it is not for.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/node/node_kit.h"

#include <glob.h>
#include <poll.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/wire/pack.h"
#include "services/node/apply.h"
#include "services/node/seed.h"
#include "services/node/share.c"

#define OTHER_GATEWAY "88888888888888888888888888888888"
#define PATIENCE_MS   60000
#define LITERAL(text)                                                                              \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
#define MANY 2300 // entries: three pages

// A node: what its agent holds, without a bus.
struct node {
    char path[64], name[64], socket[128], peers[256], file[128];
    struct sl_peer peer;
    struct settings settings;
    struct keys keys;
    struct sl_store *store;
    struct durable *durable;
    struct sl_image_builder *builder;
    struct resolve *resolve;
    struct apply *apply;
    struct share *share;
    struct seed *seed;
};

struct place {
    struct sl_arena *arena;
    struct sl_seal_key content;
    struct node giver, taker;
};

static void
ignore(void *arg)
{
    (void)arg;
}

static void
open_node(struct node *node, const char *letter)
{
    static int number;
    struct sl_error err;
    snprintf(node->path, sizeof(node->path), "/tmp/sluice-seed-XXXXXX");
    assert_non_null(mkdtemp(node->path));
    snprintf(node->name, sizeof(node->name), "unit-seed-%s-%d-%d", letter, (int)getpid(), number++);
    snprintf(node->socket, sizeof(node->socket), "ipc://%s/peer", node->path);
    snprintf(node->file, sizeof(node->file), "%s/seed", node->path);
    sl_peer_keys(node->peer.public_key, node->peer.secret_key);
    node->settings = (struct settings){.node_id = node->name,
                                       .gateway_id = GATEWAY,
                                       .peer_listen = node->socket,
                                       .peers = "",
                                       .seed_file = ""};
    assert_int_equal(keys_init(&node->keys, node->peer.secret_key, &err), 0);
    bool discarded;
    node->durable = durable_new(node->path, &node->keys, &discarded);
    node->store = durable_store(node->durable);
    assert_non_null(node->store);
    node->builder = sl_image_builder_new(node->name, &err);
    assert_non_null(node->builder);
    node->resolve = resolve_new(node->builder, &err);
    struct apply_options options = {.gateway_id = GATEWAY,
                                    .builder = node->builder,
                                    .keys = &node->keys,
                                    .durable = node->durable,
                                    .resolve = node->resolve,
                                    .on_live = ignore};
    node->apply = apply_new(&options, &err);
    assert_non_null(node->apply);
}

static void
close_node(struct node *node)
{
    char pattern[128];
    glob_t files;
    seed_free(&node->seed);
    share_free(&node->share);
    apply_free(&node->apply);
    resolve_free(&node->resolve);
    durable_free(&node->durable);
    sl_image_builder_free(&node->builder);
    keys_clear(&node->keys);
    snprintf(pattern, sizeof(pattern), "/dev/shm/sluice-%s-*", node->name);
    if (glob(pattern, 0, NULL, &files) == 0) {
        for (size_t i = 0; i < files.gl_pathc; i++) {
            unlink(files.gl_pathv[i]);
        }
        globfree(&files);
    }
    kit_remove_tree(node->path);
}

static int
open_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    sl_crypto_init();
    place->arena = sl_arena_new(1 << 24);
    memset(place->content.bytes, 0x5a, sizeof(place->content.bytes));
    *state = place;
    open_node(&place->giver, "giver");
    open_node(&place->taker, "taker");
    return 0;
}

static int
close_place(void **state)
{
    struct place *place = *state;
    close_node(&place->taker);
    close_node(&place->giver);
    sl_arena_free(&place->arena);
    free(place);
    return 0;
}

// Fills the giver as its publisher does. Its gateway lists the taker's key, unless told otherwise.
static void
fill(struct place *place, size_t apis, const char *reader)
{
    struct sl_error err;
    struct node *giver = &place->giver;
    const char *ids[] = {"a", "b"};
    const char *node_keys[] = {giver->peer.public_key, reader};
    struct sl_entry gateway = {.kind = SL_KIND_GATEWAY,
                               .gateway = {.id = GATEWAY,
                                           .node_ids = ids,
                                           .node_count = 2,
                                           .node_keys = node_keys,
                                           .node_key_count = 2,
                                           .membership = 4}};
    struct sl_revision at = {.epoch = "e1", .number = 7};
    struct sl_follow_hooks hooks = apply_hooks(giver->apply);
    struct sl_str box = kit_box(place->arena, giver->peer.public_key, &place->content);
    assert_int_equal(keys_take(&giver->keys, box, &err), 0);
    struct sl_wire_entry entry = kit_seal(place->arena, &place->content, GATEWAY, &gateway, 1);
    assert_int_equal(hooks.apply(hooks.arg, &entry, 1, &at), 0);
    for (size_t i = 1; i <= apis; i++) {
        char *id = sl_arena_printf(place->arena, "%032zx", i);
        struct sl_entry api = kit_api(id, sl_arena_printf(place->arena, "/p%zu", i), "127.0.0.1");
        entry = kit_seal(place->arena, &place->content, id, &api, 1);
        durable_note(giver->durable, &entry);
    }
    durable_position(giver->durable, &at);
    durable_finish(giver->durable);
    assert_string_equal(durable_reason(giver->durable), "");
}

static void
start_share(struct place *place)
{
    struct sl_error err;
    struct node *giver = &place->giver;
    struct share_options options = {.settings = &giver->settings,
                                    .peer = &giver->peer,
                                    .durable = giver->durable,
                                    .keys = &giver->keys,
                                    .builder = giver->builder};
    giver->share = share_new(&options, &err);
    assert_non_null(giver->share);
}

static void
start_seed(struct node *taker)
{
    struct sl_error err;
    struct seed_options options = {.settings = &taker->settings,
                                   .peer = &taker->peer,
                                   .keys = &taker->keys,
                                   .apply = taker->apply};
    taker->seed = seed_new(&options, &err);
    assert_non_null(taker->seed);
}

static void
ask_giver(struct place *place)
{
    snprintf(place->taker.peers, sizeof(place->taker.peers), "%s %s", place->giver.socket,
             place->giver.peer.public_key);
    place->taker.settings.peers = place->taker.peers;
}

// Turns both loops until the taker has an image or a reason.
static void
turn(struct place *place)
{
    int64_t end_ms = sl_mono_ms() + PATIENCE_MS;
    while (apply_revision(place->taker.apply).number == 0 &&
           seed_reason(place->taker.seed)[0] == '\0') {
        assert_true(sl_mono_ms() < end_ms);
        struct pollfd wake = {.fd = place->giver.share != NULL ? share_fd(place->giver.share) : -1,
                              .events = POLLIN};
        poll(&wake, 1, 5);
        if (place->giver.share != NULL) {
            share_run(place->giver.share);
        }
        seed_run(place->taker.seed);
    }
}

static int
count_one(void *arg, const struct sl_store_record *record, struct sl_error *err)
{
    (void)record;
    (void)err;
    ++*(size_t *)arg;
    return 0;
}

// The taker has the set, keeps it, and can open it when it starts again.
static void
assert_taken(struct node *taker, size_t entries)
{
    struct sl_error err;
    struct sl_revision at = apply_revision(taker->apply);
    assert_string_equal(at.epoch, "e1");
    assert_int_equal(at.number, 7);
    assert_string_equal(seed_reason(taker->seed), "");
    assert_int_equal(sl_image_builder_gateway(taker->builder)->membership, 4);
    durable_finish(taker->durable);
    size_t count = 0;
    assert_int_equal(sl_store_each(taker->store, count_one, &count, &err), 0);
    assert_int_equal(count, entries);
    struct keys again;
    assert_int_equal(keys_init(&again, taker->peer.secret_key, &err), 0);
    assert_int_equal(keys_load(&again, taker->store, &err), 0);
    assert_int_equal(again.count, 1);
    keys_clear(&again);
}

static void
a_peer_gives_all_pages_of_its_set(void **state)
{
    struct place *place = *state;
    fill(place, MANY, place->taker.peer.public_key);
    start_share(place);
    ask_giver(place);
    start_seed(&place->taker);
    turn(place);
    assert_taken(&place->taker, MANY + 1);
}

static void
an_asker_waits_for_the_end_of_a_transaction(void **state)
{
    struct place *place = *state;
    fill(place, 1, place->taker.peer.public_key);
    start_share(place);
    ask_giver(place);
    start_seed(&place->taker);
    assert_true(durable_read_begin(place->giver.durable)); // as the writer does
    int64_t end_ms = sl_mono_ms() + PATIENCE_MS;
    struct pollfd wake = {.fd = share_fd(place->giver.share), .events = POLLIN};
    int events = 0;
    while ((events & ZMQ_POLLIN) == 0) { // until the question is there
        size_t size = sizeof(events);
        assert_true(sl_mono_ms() < end_ms);
        poll(&wake, 1, 5);
        seed_run(place->taker.seed);
        share_run(place->giver.share);
        assert_int_equal(zmq_getsockopt(place->giver.share->socket, ZMQ_EVENTS, &events, &size), 0);
    }
    durable_read_end(place->giver.durable);
    turn(place);
    assert_taken(&place->taker, 2);
}

static void
a_key_that_is_not_in_the_gateways_list_is_refused(void **state)
{
    struct place *place = *state;
    char key[SL_Z85_SIZE];
    char secret[SL_Z85_SIZE];
    sl_peer_keys(key, secret);
    fill(place, 1, key);
    start_share(place);
    ask_giver(place);
    start_seed(&place->taker);
    turn(place);
    assert_non_null(strstr(seed_reason(place->taker.seed), "not a node of this gateway"));
    assert_int_equal(place->taker.keys.count, 0);
}

static void
a_node_of_another_gateway_is_refused(void **state)
{
    struct place *place = *state;
    fill(place, 1, place->taker.peer.public_key);
    start_share(place);
    ask_giver(place);
    place->taker.settings.gateway_id = OTHER_GATEWAY;
    start_seed(&place->taker);
    turn(place);
    assert_non_null(strstr(seed_reason(place->taker.seed), "another gateway"));
}

static void
a_peer_without_a_set_has_nothing_to_give(void **state)
{
    struct place *place = *state;
    start_share(place);
    ask_giver(place);
    start_seed(&place->taker);
    turn(place);
    assert_non_null(strstr(seed_reason(place->taker.seed), "not a node of this gateway"));
}

// Sends a request of one's own making under the key pair of `peer`; the answer's bytes.
static size_t
ask_by_hand(struct place *place, const struct sl_peer *peer, const char *request, size_t len,
            char *ret_answer, size_t size)
{
    const struct node *giver = &place->giver;
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_DEALER);
    int linger = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger));
    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, giver->peer.public_key, 40);
    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, peer->public_key, 40);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, peer->secret_key, 40);
    assert_int_equal(zmq_connect(socket, giver->socket), 0);
    assert_int_equal(zmq_send(socket, request, len, 0), len);
    int got = -1;
    for (int64_t end_ms = sl_mono_ms() + PATIENCE_MS; got < 0 && sl_mono_ms() < end_ms;) {
        share_run(giver->share);
        zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
        if (zmq_poll(&item, 1, 5) > 0) {
            got = zmq_recv(socket, ret_answer, size, 0);
        }
    }
    zmq_close(socket);
    zmq_ctx_term(context);
    assert_true(got > 0);
    return (size_t)got;
}

// Who names another's key gets what only the other can open.
static void
a_page_opens_for_the_holder_of_the_listed_key_alone(void **state)
{
    struct place *place = *state;
    struct sl_peer stranger;
    static char answer[65536];
    sl_peer_keys(stranger.public_key, stranger.secret_key);
    fill(place, 1, place->taker.peer.public_key);
    start_share(place);
    SL_AUTO_BUF request;
    sl_buf_init(&request, 1024);
    sl_pack_map(&request, 2);
    sl_pack_text(&request, "gateway");
    sl_pack_text(&request, GATEWAY);
    sl_pack_text(&request, "key");
    sl_pack_text(&request, place->taker.peer.public_key);
    size_t len = ask_by_hand(place, &stranger, request.ptr, request.len, answer, sizeof(answer));
    struct sl_reader reader = sl_reader_of((struct sl_str){answer, len});
    struct sl_str name;
    struct sl_str box;
    struct sl_str plain;
    size_t pairs = 0;
    assert_true(sl_reader_map(&reader, &pairs) && sl_reader_text(&reader, &name) &&
                sl_reader_bytes(&reader, &box));
    assert_true(sl_str_equal(name, SL_STR("page")));
    uint8_t secret[32];
    struct sl_error err;
    zmq_z85_decode(secret, stranger.secret_key);
    assert_int_equal(sl_box_open(place->arena, secret, box, &plain, &err), -1);
    zmq_z85_decode(secret, place->taker.peer.secret_key);
    assert_int_equal(sl_box_open(place->arena, secret, box, &plain, &err), 0);
    assert_null(memmem(answer, len, GATEWAY, strlen(GATEWAY)));
}

static void
what_is_no_request_is_refused(void **state)
{
    struct place *place = *state;
    static char answer[65536];
    static const struct sl_str wrong[] = {LITERAL("x"),
                                          LITERAL("\x81\xa5"
                                                  "after\x91\x01"),
                                          LITERAL("\x81\xa7gateway\xc3")};
    fill(place, 1, place->taker.peer.public_key);
    start_share(place);
    for (size_t i = 0; i < SL_COUNT(wrong); i++) {
        size_t len = ask_by_hand(place, &place->taker.peer, wrong[i].ptr, wrong[i].len, answer,
                                 sizeof(answer));
        assert_non_null(memmem(answer, len, "malformed request", 17));
    }
}

// A silent first peer costs its deadline; then comes the file.
static void
after_the_peers_comes_the_file(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    fill(place, 3, place->taker.peer.public_key);
    const char *readers[] = {place->giver.peer.public_key, place->taker.peer.public_key};
    struct page_source source = {place->giver.store, &place->giver.keys, GATEWAY, readers, 2};
    assert_int_equal(seed_file_write(place->giver.file, &source, &err), 0);
    ask_giver(place); // nobody listens there
    place->taker.settings.seed_file = place->giver.file;
    start_seed(&place->taker);
    turn(place);
    assert_non_null(strstr(seed_reason(place->taker.seed), "no answer"));
    int64_t end_ms = sl_mono_ms() + PATIENCE_MS;
    while (apply_revision(place->taker.apply).number == 0) {
        assert_true(sl_mono_ms() < end_ms);
        seed_run(place->taker.seed);
    }
    assert_taken(&place->taker, 4);
}

static int
ignore_page(void *arg, const struct page *page, struct sl_error *err)
{
    (void)page;
    (void)err;
    ++*(int *)arg;
    return 0;
}

static void
assert_refused(const char *path, const char *gateway, const char *key, const char *why)
{
    struct sl_error err;
    int pages = 0;
    assert_int_equal(seed_file_read(path, gateway, key, ignore_page, &pages, &err), -1);
    assert_non_null(strstr(err.detail, why));
}

static void
a_file_that_is_not_for_us_or_not_whole_is_refused(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    const char *path = place->giver.file;
    fill(place, MANY, place->taker.peer.public_key);
    const char *readers[] = {place->taker.peer.public_key};
    struct page_source source = {place->giver.store, &place->giver.keys, GATEWAY, readers, 1};
    assert_int_equal(seed_file_write(path, &source, &err), 0);
    int pages = 0;
    assert_int_equal(seed_file_read(path, GATEWAY, readers[0], ignore_page, &pages, &err), 0);
    assert_int_equal(pages, 3);
    assert_refused(path, OTHER_GATEWAY, readers[0], "of gateway " GATEWAY);
    assert_refused(path, GATEWAY, place->giver.peer.public_key, "no content key for this node");
    assert_int_equal(chmod(path, 0620), 0);
    assert_refused(path, GATEWAY, readers[0], "others may write");
    assert_int_equal(chmod(path, 0600), 0);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(truncate(path, info.st_size - 1), 0);
    assert_refused(path, GATEWAY, readers[0], "cut short");
    assert_int_equal(truncate(path, 10), 0);
    assert_refused(path, GATEWAY, readers[0], "no file of entries");
}

static void
a_list_of_peers_is_addresses_with_keys(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    struct node *taker = &place->taker;
    struct seed_options options = {.settings = &taker->settings,
                                   .peer = &taker->peer,
                                   .keys = &taker->keys,
                                   .apply = taker->apply};
    static const char *const wrong[] = {
        "tcp://127.0.0.1:1", "tcp://127.0.0.1:1 short", ",",
        "tcp://127.0.0.1:1 (((((((((((((((((((((((((((((((((((((((~"};
    for (size_t i = 0; i < SL_COUNT(wrong); i++) {
        taker->settings.peers = wrong[i];
        assert_null(seed_new(&options, &err));
        assert_int_equal(err.code, SL_E_CONFIG);
    }
    snprintf(taker->peers, sizeof(taker->peers), " tcp://127.0.0.1:1  %s , ipc://x %s ",
             taker->peer.public_key, taker->peer.public_key);
    taker->settings.peers = taker->peers;
    taker->seed = seed_new(&options, &err);
    assert_non_null(taker->seed);
}

static void
an_address_that_cannot_be_bound_names_the_setting(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    struct node *giver = &place->giver;
    struct share_options options = {.settings = &giver->settings,
                                    .peer = &giver->peer,
                                    .durable = giver->durable,
                                    .keys = &giver->keys,
                                    .builder = giver->builder};
    giver->settings.peer_listen = "tcp://nowhere";
    assert_null(share_new(&options, &err));
    assert_int_equal(err.code, SL_E_CONFIG);
    assert_string_equal(err.args[0], "peer_listen");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_peer_gives_all_pages_of_its_set),
        TEST(an_asker_waits_for_the_end_of_a_transaction),
        TEST(a_key_that_is_not_in_the_gateways_list_is_refused),
        TEST(a_node_of_another_gateway_is_refused),
        TEST(a_peer_without_a_set_has_nothing_to_give),
        TEST(a_page_opens_for_the_holder_of_the_listed_key_alone),
        TEST(what_is_no_request_is_refused),
        TEST(after_the_peers_comes_the_file),
        TEST(a_file_that_is_not_for_us_or_not_whole_is_refused),
        TEST(a_list_of_peers_is_addresses_with_keys),
        TEST(an_address_that_cannot_be_bound_names_the_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
