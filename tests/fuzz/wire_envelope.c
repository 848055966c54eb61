// wire_envelope.c - fuzzes every message that a process takes from the bus: envelopes (also as the
// bus rewrites them), replies, revisions, heads, JSON values.
//
// What decodes encodes again and then decodes to the same; a stamped envelope carries the sender
// that the bus named, whatever the input said.
//
// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "common/base/limits.h"
#include "common/wire/message.h"
#include "common/wire/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
try_stamp(struct sl_arena *arena, struct sl_str bytes)
{
    static const struct sl_sender node = {"node-1", "node:n1", "KEY", false};
    struct sl_error err;
    struct sl_stamped stamped;
    struct sl_command command;
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, SL_MESSAGE_MAX);
    if (sl_envelope_stamp(&buf, bytes, &node, &stamped, &err) != 0) {
        return;
    }
    if (sl_command_decode(arena, (struct sl_str){buf.ptr, buf.len}, &command, &err) != 0) {
        return;
    }
    assert(strcmp(command.peer, node.peer) == 0 && strcmp(command.peer_role, node.role) == 0);
    assert(strcmp(command.peer_key, node.key) == 0 && command.actor.user_id[0] == '\0');
    assert(sl_str_equal(sl_str(command.name), stamped.name));
    assert(sl_str_equal(sl_str(command.service), stamped.service));
}

static void
try_command(struct sl_arena *arena, struct sl_str bytes)
{
    struct sl_error err;
    struct sl_command command;
    struct sl_command again;
    struct sl_str packed;
    if (sl_command_decode(arena, bytes, &command, &err) != 0) {
        return;
    }
    int rc = sl_command_encode(arena, &command, &packed, &err);
    assert(rc == 0);
    rc = sl_command_decode(arena, packed, &again, &err);
    assert(rc == 0 && strcmp(again.id, command.id) == 0);
    assert(command.body == NULL || json_equal(command.body, again.body));
}

static void
try_reply(struct sl_arena *arena, struct sl_str bytes)
{
    struct sl_error err;
    struct sl_reply reply;
    struct sl_reply again;
    struct sl_str packed;
    if (sl_reply_decode(arena, bytes, &reply, &err) != 0) {
        return;
    }
    int rc = sl_reply_encode(arena, &reply, &packed, &err);
    assert(rc == 0);
    rc = sl_reply_decode(arena, packed, &again, &err);
    assert(rc == 0 && again.failed == reply.failed);
}

static void
try_stream(struct sl_arena *arena, struct sl_str bytes)
{
    struct sl_error err;
    struct sl_stream stream;
    struct sl_stream again;
    struct sl_revision head;
    json_t *extra = NULL;
    if (sl_head_unpack(bytes, &head, &err) == 0) {
        assert(strlen(head.epoch) < SL_ID_SIZE);
    }
    if (sl_stream_unpack(arena, bytes, &stream, &extra, &err) != 0) {
        return;
    }
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, SL_MESSAGE_MAX);
    sl_stream_pack(&buf, &stream);
    int rc = sl_stream_unpack(arena, (struct sl_str){buf.ptr, buf.len}, &again, &extra, &err);
    assert(rc == 0 && again.count == stream.count && again.to == stream.to);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct sl_str input = {(const char *)bytes, len};
    struct sl_error err;
    json_t *value = NULL;
    SL_AUTO(sl_arena) arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
    assert(arena != NULL);
    try_stamp(arena, input);
    try_command(arena, input);
    try_reply(arena, input);
    try_stream(arena, input);
    int rc = sl_json_unpack(arena, input, &value, &err);
    assert(rc != 0 || value != NULL);
    return 0;
}
