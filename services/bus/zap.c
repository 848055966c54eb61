// zap.c - see zap.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/bus/zap.h"

#include "common/base/clock.h"
#include "common/base/log.h"

#include <errno.h>
#include <string.h>

#define CURVE_KEY_LEN  32
#define LOG_EVERY_MS   1000 // refusals come as often as a stranger reconnects
#define PROPERTY_BYTES (1 + sizeof(ZAP_KEY_PROPERTY) - 1 + 4 + SL_Z85_SIZE - 1)

// Frames of a request (RFC 27).
enum {
    REQUEST_VERSION,
    REQUEST_ID,
    REQUEST_DOMAIN,
    REQUEST_ADDRESS,
    REQUEST_IDENTITY,
    REQUEST_MECHANISM,
    REQUEST_KEY,
    REQUEST_FRAMES,
};

void *
zap_open(void *zmq_context, struct sl_error *err)
{
    void *socket = zmq_socket(zmq_context, ZMQ_REP);
    int linger = 0;
    if (socket == NULL || zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger)) != 0 ||
        zmq_bind(socket, "inproc://zeromq.zap.01") != 0) {
        sl_fail(err, SL_E_INTERNAL);
        sl_error_detail(err, "zap: %s", zmq_strerror(errno));
        if (socket != NULL) {
            zmq_close(socket);
        }
        return NULL;
    }
    return socket;
}

// A ZMTP property: name and value with their lengths.
static void
write_property(const char *key, char ret_property[PROPERTY_BYTES])
{
    static const size_t name_len = sizeof(ZAP_KEY_PROPERTY) - 1;
    static const size_t key_len = SL_Z85_SIZE - 1;
    memset(ret_property, 0, PROPERTY_BYTES);
    ret_property[0] = (char)name_len;
    memcpy(ret_property + 1, ZAP_KEY_PROPERTY, name_len);
    ret_property[1 + name_len + 3] = (char)key_len;
    memcpy(ret_property + 1 + name_len + 4, key, key_len);
}

static void
log_refusal(struct sl_str address)
{
    static int64_t logged_ms = -LOG_EVERY_MS;
    if (sl_mono_ms() - logged_ms >= LOG_EVERY_MS) {
        logged_ms = sl_mono_ms();
        char text[64];
        snprintf(text, sizeof(text), "%.*s", SL_STR_FMT(address));
        sl_log(SL_WARNING, "unknown peer refused", SL_LOG_STR("address", text));
    }
}

static void
answer_one(struct frames_socket *socket, const struct peers *peers, const struct frames *request)
{
    char key[SL_Z85_SIZE] = "";
    char property[PROPERTY_BYTES];
    struct sl_str raw = frames_get(request, REQUEST_KEY);
    const struct peer_row *row = NULL;
    if (sl_str_equal(frames_get(request, REQUEST_MECHANISM), SL_STR("CURVE")) &&
        raw.len == CURVE_KEY_LEN && zmq_z85_encode(key, (const uint8_t *)raw.ptr, raw.len)) {
        row = peers_find_key(peers, key);
    }
    struct sl_str reply[] = {SL_STR("1.0"), frames_get(request, REQUEST_ID),
                             SL_STR("400"), SL_STR("unknown key"),
                             SL_STR(""),    SL_STR("")};
    if (row != NULL) {
        write_property(row->key, property);
        reply[2] = SL_STR("200");
        reply[3] = SL_STR("OK");
        reply[4] = sl_str(row->name);
        reply[5] = (struct sl_str){property, sizeof(property)};
    } else {
        log_refusal(frames_get(request, REQUEST_ADDRESS));
    }
    frames_send(socket, reply, SL_COUNT(reply));
}

void
zap_answer(struct frames_socket *socket, const struct peers *peers)
{
    struct frames request;
    while (frames_receive(socket, &request)) {
        answer_one(socket, peers, &request);
        frames_clear(&request);
    }
}
