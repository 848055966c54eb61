// share.c - what a node gives to a peer that has no image.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/share.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/wire/pack.h"
#include "services/node/page.h"

#define ANSWER_ARENA_MAX ((size_t)64 * 1024 * 1024)
#define REQUEST_MAX      4096 // bytes
#define PER_TURN         4    // answers in a turn of the loop: others wait for it
#define QUEUE            16   // pages that wait for one asker
#define LOG_EVERY_MS     1000 // refusals come as often as a stranger asks

struct share {
    struct share_options options;
    void *context;
    void *socket;           // ROUTER
    struct sl_arena *arena; // of the answer in hand
    int64_t logged_ms;      // of the last refusal that was logged
};

// What an asker said.
struct request {
    struct sl_str gateway;
    struct sl_str key;
    struct page_place after;
};

static int
listen_on(struct share *share, struct sl_error *err)
{
    share->arena = sl_arena_new(ANSWER_ARENA_MAX);
    share->context = zmq_ctx_new();
    share->socket = share->context != NULL ? zmq_socket(share->context, ZMQ_ROUTER) : NULL;
    if (share->arena == NULL || share->socket == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    const struct sl_peer *peer = share->options.peer;
    const int server = 1;
    const int linger = 0;
    const int queue = QUEUE;
    const int64_t largest = REQUEST_MAX;
    void *socket = share->socket;
    if (zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger)) != 0 ||
        zmq_setsockopt(socket, ZMQ_SNDHWM, &queue, sizeof(queue)) != 0 ||
        zmq_setsockopt(socket, ZMQ_RCVHWM, &queue, sizeof(queue)) != 0 ||
        zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof(largest)) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &server, sizeof(server)) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, peer->secret_key, SL_Z85_SIZE - 1) != 0 ||
        zmq_bind(socket, share->options.settings->peer_listen) != 0) {
        sl_fail(err, SL_E_CONFIG, "peer_listen");
        return sl_error_detail(err, "%s: %s", share->options.settings->peer_listen,
                               zmq_strerror(errno));
    }
    return 0;
}

struct share *
share_new(const struct share_options *options, struct sl_error *err)
{
    struct share *share = calloc(1, sizeof(*share));
    if (share == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    share->options = *options;
    share->logged_ms = -LOG_EVERY_MS;
    if (listen_on(share, err) != 0) {
        share_free(&share);
    }
    return share;
}

void
share_free(struct share **share)
{
    if (share == NULL || *share == NULL) {
        return;
    }
    if ((*share)->socket != NULL) {
        zmq_close((*share)->socket);
    }
    if ((*share)->context != NULL) {
        zmq_ctx_term((*share)->context);
    }
    sl_arena_free(&(*share)->arena);
    free(*share);
    *share = NULL;
}

int
share_fd(const struct share *share)
{
    int fd = -1;
    size_t size = sizeof(fd);
    return zmq_getsockopt(share->socket, ZMQ_FD, &fd, &size) == 0 ? fd : -1;
}

// -- a request

static bool
read_place(struct sl_reader *reader, struct page_place *ret_place)
{
    size_t count = 0;
    struct sl_str kind;
    struct sl_str key;
    if (!sl_reader_array(reader, &count) || count != 2 || !sl_reader_text(reader, &kind) ||
        !sl_reader_text(reader, &key) || kind.len > PAGE_KIND_MAX || key.len > SL_KEY_MAX) {
        return false;
    }
    snprintf(ret_place->kind, sizeof(ret_place->kind), "%.*s", SL_STR_FMT(kind));
    snprintf(ret_place->key, sizeof(ret_place->key), "%.*s", SL_STR_FMT(key));
    return true;
}

static bool
read_request(struct sl_str bytes, struct request *ret_request)
{
    struct sl_reader reader = sl_reader_of(bytes);
    size_t pairs = 0;
    *ret_request = (struct request){.gateway = {"", 0}, .key = {"", 0}};
    bool is_good = sl_reader_map(&reader, &pairs);
    for (size_t i = 0; is_good && i < pairs; i++) {
        struct sl_str name;
        is_good = sl_reader_text(&reader, &name);
        if (is_good && sl_str_equal(name, SL_STR("gateway"))) {
            is_good = sl_reader_text(&reader, &ret_request->gateway);
        } else if (is_good && sl_str_equal(name, SL_STR("key"))) {
            is_good = sl_reader_text(&reader, &ret_request->key);
        } else if (is_good && sl_str_equal(name, SL_STR("after"))) {
            is_good = read_place(&reader, &ret_request->after);
        } else if (is_good) {
            is_good = sl_reader_skip(&reader);
        }
    }
    return is_good;
}

// The key as the gateway's list of nodes has it; NULL: it is not there.
static const char *
find_reader(const struct share *share, struct sl_str key)
{
    const struct sl_gateway *gateway = sl_image_builder_gateway(share->options.builder);
    for (size_t i = 0; gateway != NULL && i < gateway->node_key_count; i++) {
        if (sl_str_equal(sl_str(gateway->node_keys[i]), key)) {
            return gateway->node_keys[i];
        }
    }
    return NULL;
}

// Why an asker gets nothing; NULL: it gets a page, boxed to *ret_reader.
static const char *
refusal(const struct share *share, const struct request *request, const char **ret_reader)
{
    if (!sl_str_equal(request->gateway, sl_str(share->options.settings->gateway_id))) {
        return "another gateway";
    }
    *ret_reader = find_reader(share, request->key);
    if (*ret_reader == NULL) {
        return "not a node of this gateway";
    }
    return durable_store(share->options.durable) == NULL ? "no store" : NULL;
}

static int
make_page(const struct share *share, const struct request *request, const char *reader,
          struct sl_str *ret_box, struct sl_error *err)
{
    struct page_source source = {.store = durable_store(share->options.durable),
                                 .keys = share->options.keys,
                                 .gateway_id = share->options.settings->gateway_id,
                                 .readers = &reader,
                                 .reader_count = 1};
    uint8_t recipient[32];
    struct sl_str page;
    if (zmq_z85_decode(recipient, reader) == NULL) {
        return sl_fail(err, SL_E_ENTRY_BROKEN, "gateway", "node_keys");
    }
    if (page_build(share->arena, &source, &request->after, &page, err) != 0) {
        return -1;
    }
    return sl_box_seal(share->arena, recipient, page, ret_box, err);
}

static void
log_refusal(struct share *share, const char *why)
{
    int64_t now_ms = sl_mono_ms();
    if (now_ms - share->logged_ms >= LOG_EVERY_MS) {
        share->logged_ms = now_ms;
        sl_log(SL_WARNING, "a peer that asks for an image is refused", SL_LOG_STR("reason", why));
    }
}

static void
answer(struct share *share, zmq_msg_t *asker, struct sl_str bytes)
{
    struct request request;
    const char *reader = NULL;
    struct sl_str box = {"", 0};
    struct sl_error err;
    const char *why = "malformed request";
    if (read_request(bytes, &request)) {
        why = refusal(share, &request, &reader);
    }
    if (why == NULL && make_page(share, &request, reader, &box, &err) != 0) {
        why = "nothing to give";
    }
    if (why != NULL) {
        log_refusal(share, why);
    }
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, SL_MESSAGE_MAX);
    sl_pack_map(&buf, 1);
    sl_pack_text(&buf, why != NULL ? "refused" : "page");
    if (why != NULL) {
        sl_pack_text(&buf, why);
    } else {
        sl_pack_bin(&buf, box);
    }
    // An asker that is gone, or does not read, gets nothing: it asks again.
    if (!buf.failed && zmq_msg_send(asker, share->socket, ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0) {
        zmq_send(share->socket, buf.ptr, buf.len, ZMQ_DONTWAIT);
    }
    sl_arena_clear(share->arena);
}

// Takes one request; false when there is none. A ROUTER puts who asks before what is asked.
static bool
run_one(struct share *share)
{
    zmq_msg_t asker;
    zmq_msg_t request;
    zmq_msg_init(&asker);
    zmq_msg_init(&request);
    bool has_come = zmq_msg_recv(&asker, share->socket, ZMQ_DONTWAIT) >= 0;
    if (has_come && zmq_msg_more(&asker) && zmq_msg_recv(&request, share->socket, 0) >= 0) {
        answer(share, &asker, (struct sl_str){zmq_msg_data(&request), zmq_msg_size(&request)});
    }
    while (zmq_msg_more(&request) && zmq_msg_recv(&request, share->socket, 0) >= 0) {
    }
    zmq_msg_close(&asker);
    zmq_msg_close(&request);
    return has_come;
}

void
share_run(struct share *share)
{
    struct durable *durable = share->options.durable;
    if (!durable_read_begin(durable)) {
        return; // who asked is answered at a turn without a transaction
    }
    for (int i = 0; i < PER_TURN && run_one(share); i++) {
    }
    durable_read_end(durable);
}
