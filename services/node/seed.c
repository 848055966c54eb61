// seed.c - the first image of a node whose store is empty while the control plane is silent.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/seed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/wire/pack.h"

#define PEERS_MAX      8
#define ADDRESS_MAX    256
#define BUS_FIRST_MS   2000 // for the publisher to answer
#define ANSWER_MS      3000 // for a peer to answer
#define AGAIN_MS       5000 // after everybody was asked
#define PAGE_ARENA_MAX ((size_t)64 * 1024 * 1024)

struct source {
    char address[ADDRESS_MAX];
    char key[SL_Z85_SIZE]; // CURVE public key
};

struct seed {
    struct seed_options options;
    struct source peers[PEERS_MAX];
    size_t peer_count;
    size_t turn;             // peer to ask; peer_count: the file
    void *context;           // ZeroMQ's; NULL before the first question
    void *socket;            // DEALER; NULL: nobody is being asked
    int64_t due_ms;          // asking: deadline; else: the next source's turn
    bool is_begun;           // pages are being given to apply
    struct page_place after; // of the next page
    struct sl_revision at;   // of the set
    struct sl_arena *arena;  // of the page in hand
    bool is_over;            // there is an image
    char reason[256];        // why there is none; "" not asked yet
};

// -- settings

static bool
parse_peer(struct sl_str text, struct source *ret_peer)
{
    struct sl_str rest = sl_str_trim(text);
    struct sl_str address = sl_str_split(&rest, ' ');
    struct sl_str key = sl_str_trim(rest);
    uint8_t raw[32];
    if (address.len == 0 || address.len >= ADDRESS_MAX || key.len != SL_Z85_SIZE - 1) {
        return false;
    }
    snprintf(ret_peer->address, sizeof(ret_peer->address), "%.*s", SL_STR_FMT(address));
    snprintf(ret_peer->key, sizeof(ret_peer->key), "%.*s", SL_STR_FMT(key));
    return zmq_z85_decode(raw, ret_peer->key) != NULL;
}

// Reads "ADDRESS KEY, ADDRESS KEY".
static int
parse_peers(struct seed *seed, const char *text, struct sl_error *err)
{
    struct sl_str rest = sl_str_trim(sl_str(text));
    while (rest.len > 0) {
        struct sl_str one = sl_str_split(&rest, ',');
        if (seed->peer_count == PEERS_MAX || !parse_peer(one, &seed->peers[seed->peer_count])) {
            return sl_fail(err, SL_E_CONFIG, "peers");
        }
        seed->peer_count++;
    }
    return 0;
}

static int
prepare(struct seed *seed, struct sl_error *err)
{
    const struct settings *settings = seed->options.settings;
    if (parse_peers(seed, settings->peers, err) != 0) {
        return -1;
    }
    seed->is_over = seed->peer_count == 0 && settings->seed_file[0] == '\0';
    seed->arena = seed->is_over ? NULL : sl_arena_new(PAGE_ARENA_MAX);
    return seed->is_over || seed->arena != NULL ? 0 : sl_fail(err, SL_E_INTERNAL);
}

struct seed *
seed_new(const struct seed_options *options, struct sl_error *err)
{
    struct seed *seed = calloc(1, sizeof(*seed));
    if (seed == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    seed->options = *options;
    seed->due_ms = sl_mono_ms() + BUS_FIRST_MS;
    if (prepare(seed, err) != 0) {
        seed_free(&seed);
    }
    return seed;
}

// Ends what is under way with one source.
static void
hang_up(struct seed *seed)
{
    if (seed->is_begun) {
        struct sl_follow_hooks hooks = apply_hooks(seed->options.apply);
        hooks.full_abandon(hooks.arg);
        seed->is_begun = false;
    }
    if (seed->socket != NULL) {
        zmq_close(seed->socket);
        seed->socket = NULL;
    }
}

// Nothing more to do: there is an image.
static void
finish(struct seed *seed)
{
    hang_up(seed);
    if (seed->context != NULL) {
        zmq_ctx_term(seed->context);
        seed->context = NULL;
    }
    sl_arena_free(&seed->arena);
    seed->reason[0] = '\0';
    seed->is_over = true;
}

void
seed_free(struct seed **seed)
{
    if (seed != NULL && *seed != NULL) {
        finish(*seed);
        free(*seed);
        *seed = NULL;
    }
}

// -- what came

// Gives a page on; the first one begins the set and brings the content keys.
static int
take_page(void *arg, const struct page *page, struct sl_error *err)
{
    struct seed *seed = arg;
    struct sl_follow_hooks hooks = apply_hooks(seed->options.apply);
    if (!seed->is_begun) {
        for (size_t i = 0; i < page->box_count; i++) {
            if (keys_take(seed->options.keys, page->boxes[i], err) != 0) {
                return -1;
            }
        }
        memcpy(seed->at.epoch, page->set.epoch, sizeof(seed->at.epoch));
        seed->at.number = page->set.to;
        seed->is_begun = true;
        hooks.full_begin(hooks.arg);
    }
    if (strcmp(seed->at.epoch, page->set.epoch) != 0 || seed->at.number != page->set.to) {
        sl_fail(err, SL_E_UNAVAILABLE);
        return sl_error_detail(err, "the set changed while it was read");
    }
    if (hooks.apply(hooks.arg, page->set.entries, page->set.count, &seed->at) != 0) {
        sl_fail(err, SL_E_SEAL_BROKEN);
        return sl_error_detail(err, "%s", apply_reason(seed->options.apply));
    }
    return 0;
}

// The set is complete.
static int
go_live(struct seed *seed, const char *source, struct sl_error *err)
{
    struct sl_follow_hooks hooks = apply_hooks(seed->options.apply);
    seed->is_begun = false;
    if (hooks.full_end(hooks.arg, &seed->at) != 0) {
        sl_fail(err, SL_E_INTERNAL);
        return sl_error_detail(err, "%s", apply_reason(seed->options.apply));
    }
    if (seed->options.follow != NULL) {
        sl_follow_take(seed->options.follow, &seed->at);
    }
    sl_log(SL_INFO, "first image without the control plane", SL_LOG_STR("from", source),
           SL_LOG_STR("epoch", seed->at.epoch), SL_LOG_INT("revision", seed->at.number));
    finish(seed);
    return 0;
}

// A source gave nothing: the next one's turn.
static void
give_up(struct seed *seed, const char *source, const char *why)
{
    char reason[sizeof(seed->reason)];
    snprintf(reason, sizeof(reason), "first image: %.100s: %.100s", source, why);
    if (strcmp(reason, seed->reason) != 0) {
        memcpy(seed->reason, reason, sizeof(reason));
        sl_log(SL_WARNING, "no first image", SL_LOG_STR("from", source), SL_LOG_STR("reason", why));
    }
    hang_up(seed);
    seed->turn++;
    seed->due_ms = sl_mono_ms();
}

static const char *
why_of(const struct sl_error *err)
{
    return err->detail[0] != '\0' ? err->detail : sl_error_name(err->code);
}

// -- a peer

static void
ask(struct seed *seed)
{
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, SL_KEY_MAX * 8);
    sl_pack_map(&buf, 3);
    sl_pack_text(&buf, "gateway");
    sl_pack_text(&buf, seed->options.settings->gateway_id);
    sl_pack_text(&buf, "key");
    sl_pack_text(&buf, seed->options.peer->public_key);
    sl_pack_text(&buf, "after");
    sl_pack_array(&buf, 2);
    sl_pack_text(&buf, seed->after.kind);
    sl_pack_text(&buf, seed->after.key);
    seed->due_ms = sl_mono_ms() + ANSWER_MS;
    zmq_send(seed->socket, buf.ptr, buf.len, ZMQ_DONTWAIT); // unsent: the deadline tells
}

static bool
connect_to(struct seed *seed, const struct source *peer)
{
    static const int linger = 0;
    static const int64_t largest = SL_MESSAGE_MAX;
    const struct sl_peer *own = seed->options.peer;
    if (seed->context == NULL) {
        seed->context = zmq_ctx_new();
    }
    seed->socket = seed->context != NULL ? zmq_socket(seed->context, ZMQ_DEALER) : NULL;
    size_t len = SL_Z85_SIZE - 1;
    return seed->socket != NULL &&
           zmq_setsockopt(seed->socket, ZMQ_LINGER, &linger, sizeof(linger)) == 0 &&
           zmq_setsockopt(seed->socket, ZMQ_MAXMSGSIZE, &largest, sizeof(largest)) == 0 &&
           zmq_setsockopt(seed->socket, ZMQ_CURVE_SERVERKEY, peer->key, len) == 0 &&
           zmq_setsockopt(seed->socket, ZMQ_CURVE_PUBLICKEY, own->public_key, len) == 0 &&
           zmq_setsockopt(seed->socket, ZMQ_CURVE_SECRETKEY, own->secret_key, len) == 0 &&
           zmq_connect(seed->socket, peer->address) == 0;
}

// Reads `{page: bin}` or `{refused: why}`.
static bool
read_answer(struct sl_str bytes, struct sl_str *ret_page, struct sl_str *ret_refused)
{
    struct sl_reader reader = sl_reader_of(bytes);
    size_t pairs = 0;
    struct sl_str name;
    *ret_page = *ret_refused = (struct sl_str){"", 0};
    if (!sl_reader_map(&reader, &pairs) || pairs != 1 || !sl_reader_text(&reader, &name)) {
        return false;
    }
    return sl_str_equal(name, SL_STR("refused")) ? sl_reader_text(&reader, ret_refused)
                                                 : sl_reader_bytes(&reader, ret_page);
}

static int
open_page(struct seed *seed, struct sl_str box, struct page *ret_page, struct sl_error *err)
{
    uint8_t secret[32];
    struct sl_str bytes;
    if (zmq_z85_decode(secret, seed->options.peer->secret_key) == NULL) {
        return sl_fail(err, SL_E_CONFIG, "secret_key");
    }
    int rc = sl_box_open(seed->arena, secret, box, &bytes, err);
    explicit_bzero(secret, sizeof(secret));
    return rc != 0 ? -1
                   : page_read(seed->arena, bytes, seed->options.settings->gateway_id,
                               seed->options.peer->public_key, ret_page, err);
}

static int
take_answer(struct seed *seed, struct sl_str bytes, const char *source, struct sl_error *err)
{
    struct sl_str box;
    struct sl_str refused;
    struct page page = {.box_count = 0};
    if (!read_answer(bytes, &box, &refused)) {
        return sl_fail(err, SL_E_BUS_MESSAGE, "page");
    }
    if (refused.len > 0) {
        sl_fail(err, SL_E_BUS_FORBIDDEN, "page");
        return sl_error_detail(err, "refused: %.*s", SL_STR_FMT(refused));
    }
    if (open_page(seed, box, &page, err) != 0 || take_page(seed, &page, err) != 0) {
        return -1;
    }
    if (page_next(&page, &seed->after)) {
        ask(seed);
        return 0;
    }
    return go_live(seed, source, err);
}

static void
listen_to(struct seed *seed)
{
    const char *source = seed->peers[seed->turn].address;
    zmq_msg_t message;
    struct sl_error err;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, seed->socket, ZMQ_DONTWAIT) < 0) {
        if (sl_mono_ms() >= seed->due_ms) {
            give_up(seed, source, "no answer");
        }
    } else {
        struct sl_str bytes = {zmq_msg_data(&message), zmq_msg_size(&message)};
        if (take_answer(seed, bytes, source, &err) != 0) {
            give_up(seed, source, why_of(&err));
        }
        if (seed->arena != NULL) {
            sl_arena_clear(seed->arena);
        }
    }
    zmq_msg_close(&message);
}

// -- turns

static void
read_file(struct seed *seed)
{
    const struct settings *settings = seed->options.settings;
    struct sl_error err;
    if (settings->seed_file[0] == '\0') {
        return;
    }
    if (seed_file_read(settings->seed_file, settings->gateway_id, seed->options.peer->public_key,
                       take_page, seed, &err) != 0 ||
        go_live(seed, settings->seed_file, &err) != 0) {
        give_up(seed, settings->seed_file, why_of(&err));
    }
}

static void
next_source(struct seed *seed)
{
    seed->after = (struct page_place){.kind = ""};
    if (seed->turn < seed->peer_count) {
        const struct source *peer = &seed->peers[seed->turn];
        if (connect_to(seed, peer)) {
            ask(seed);
        } else {
            give_up(seed, peer->address, zmq_strerror(errno));
        }
        return;
    }
    read_file(seed);
    seed->turn = 0;
    seed->due_ms = sl_mono_ms() + AGAIN_MS;
}

void
seed_run(struct seed *seed)
{
    if (seed->is_over) {
        return;
    }
    if (apply_revision(seed->options.apply).epoch[0] != '\0') {
        finish(seed);
    } else if (seed->options.follow != NULL && sl_follow_is_reading(seed->options.follow)) {
        seed->is_begun = false; // the publisher is answering: its set took the place of ours
        hang_up(seed);
    } else if (seed->socket != NULL) {
        listen_to(seed);
    } else if (sl_mono_ms() >= seed->due_ms) {
        next_source(seed);
    }
}

const char *
seed_reason(const struct seed *seed)
{
    return seed->reason;
}
