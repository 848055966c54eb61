// message.c - see message.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/message.h"

#include "common/base/limits.h"
#include "common/wire/pack.h"

#include <string.h>

#define ENVELOPE_VERSION 1

static void
release_json(void *value)
{
    json_decref(value);
}

// Copies what a buffer holds into the arena.
static int
give_bytes(struct sl_arena *arena, const struct sl_buf *buf, struct sl_str *ret_bytes,
           struct sl_error *err)
{
    char *copy = buf->failed ? NULL : sl_arena_dupn(arena, buf->ptr, buf->len);
    if (copy == NULL) {
        return sl_fail(err, SL_E_BUS_MESSAGE, "too large");
    }
    *ret_bytes = (struct sl_str){copy, buf->len};
    return 0;
}

int
sl_json_pack(struct sl_arena *arena, const json_t *value, struct sl_str *ret_bytes,
             struct sl_error *err)
{
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, SL_MESSAGE_MAX);
    if (sl_pack_json(&buf, value, err) != 0) {
        return -1;
    }
    return give_bytes(arena, &buf, ret_bytes, err);
}

// Reads the next value as JSON that the arena releases; NULL when it is malformed.
static json_t *
read_json(struct sl_arena *arena, struct sl_reader *reader)
{
    json_t *value = sl_reader_json(reader);
    if (value != NULL && sl_arena_defer(arena, release_json, value) != 0) {
        return NULL;
    }
    return value;
}

int
sl_json_unpack(struct sl_arena *arena, struct sl_str bytes, json_t **ret_value,
               struct sl_error *err)
{
    struct sl_reader reader = sl_reader_of(bytes);
    json_t *value = read_json(arena, &reader);
    if (value == NULL || reader.at != reader.end) {
        return sl_fail(err, SL_E_BUS_MESSAGE, "not a JSON value");
    }
    *ret_value = value;
    return 0;
}

static const char *
or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static void
pack_field(struct sl_buf *buf, const char *name, const char *text)
{
    sl_pack_text(buf, name);
    sl_pack_text(buf, or_empty(text));
}

// A text that a reader takes for "" where it is absent.
struct packed_text {
    const char *name;
    const char *text; // NULL: ""
};

static size_t
count_texts(const struct packed_text *texts, size_t count)
{
    size_t present = 0;
    for (size_t i = 0; i < count; i++) {
        present += or_empty(texts[i].text)[0] != '\0';
    }
    return present;
}

static void
pack_texts(struct sl_buf *buf, const struct packed_text *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (or_empty(texts[i].text)[0] != '\0') {
            pack_field(buf, texts[i].name, texts[i].text);
        }
    }
}

int
sl_command_pack(struct sl_buf *buf, const struct sl_command *command, struct sl_error *err)
{
    const struct {
        const char *name;
        const json_t *value;
    } parts[] = {{"path", command->path}, {"query", command->query}, {"body", command->body}};
    const struct packed_text texts[] = {{"rid", command->request_id},
                                        {"project", command->project},
                                        {"instance", command->instance}};
    const struct packed_text actor[] = {{"user", command->actor.user_id},
                                        {"name", command->actor.user_name},
                                        {"domain", command->actor.domain_id},
                                        {"project", command->actor.project_id},
                                        {"address", command->actor.address}};
    size_t actor_count = count_texts(actor, SL_COUNT(actor));
    size_t present = count_texts(texts, SL_COUNT(texts)) + (actor_count > 0);
    for (size_t i = 0; i < SL_COUNT(parts); i++) {
        present += parts[i].value != NULL;
    }

    sl_pack_map(buf, 5 + present);
    sl_pack_text(buf, "v");
    sl_pack_int(buf, ENVELOPE_VERSION);
    pack_field(buf, "id", command->id);
    pack_field(buf, "service", command->service);
    pack_field(buf, "name", command->name);
    pack_texts(buf, texts, SL_COUNT(texts));
    if (actor_count > 0) {
        sl_pack_text(buf, "actor");
        sl_pack_map(buf, actor_count);
        pack_texts(buf, actor, SL_COUNT(actor));
    }
    sl_pack_text(buf, "deadline_ms");
    sl_pack_int(buf, command->deadline_ms);
    for (size_t i = 0; i < SL_COUNT(parts); i++) {
        if (parts[i].value != NULL) {
            sl_pack_text(buf, parts[i].name);
            if (sl_pack_json(buf, parts[i].value, err) != 0) {
                return -1;
            }
        }
    }
    return buf->failed ? sl_fail(err, SL_E_BUS_MESSAGE, "too large") : 0;
}

int
sl_command_encode(struct sl_arena *arena, const struct sl_command *command,
                  struct sl_str *ret_bytes, struct sl_error *err)
{
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, SL_MESSAGE_MAX);
    if (sl_command_pack(&buf, command, err) != 0) {
        return -1;
    }
    return give_bytes(arena, &buf, ret_bytes, err);
}

// Reads a text without zero bytes into the arena; NULL when it is none.
static const char *
read_text(struct sl_arena *arena, struct sl_reader *reader)
{
    struct sl_str text;
    bool is_good = sl_reader_text(reader, &text) &&
                   (text.len == 0 || memchr(text.ptr, '\0', text.len) == NULL);
    return is_good ? sl_arena_dupn(arena, text.ptr, text.len) : NULL;
}

// A field of a map and the member it fills.
struct text_field {
    const char *name;
    const char **member;
};

// Reads the value of `name` into its member; *ret_known says whether there is one.
static bool
read_text_field(struct sl_arena *arena, struct sl_reader *reader, struct sl_str name,
                const struct text_field *fields, size_t count, bool *ret_known)
{
    for (size_t i = 0; i < count; i++) {
        if (sl_str_equal(name, sl_str(fields[i].name))) {
            *ret_known = true;
            *fields[i].member = read_text(arena, reader);
            return *fields[i].member != NULL;
        }
    }
    *ret_known = false;
    return true;
}

static bool
read_actor(struct sl_arena *arena, struct sl_reader *reader, struct sl_actor *actor)
{
    const struct text_field fields[] = {{"user", &actor->user_id},
                                        {"name", &actor->user_name},
                                        {"domain", &actor->domain_id},
                                        {"project", &actor->project_id},
                                        {"address", &actor->address}};
    size_t pairs = 0;
    if (!sl_reader_map(reader, &pairs)) {
        return false;
    }
    for (size_t i = 0; i < pairs; i++) {
        struct sl_str name;
        bool known = false;
        if (!sl_reader_text(reader, &name) ||
            !read_text_field(arena, reader, name, fields, SL_COUNT(fields), &known) ||
            (!known && !sl_reader_skip(reader))) {
            return false;
        }
    }
    return true;
}

// Reads the value of a field that is no text; unknown ones are skipped, so that an older build
// takes a newer envelope.
static bool
read_other_field(struct sl_arena *arena, struct sl_reader *reader, struct sl_str name,
                 struct sl_command *command, int64_t *version)
{
    const struct {
        const char *name;
        json_t **member;
    } parts[] = {{"path", &command->path}, {"query", &command->query}, {"body", &command->body}};
    for (size_t i = 0; i < SL_COUNT(parts); i++) {
        if (sl_str_equal(name, sl_str(parts[i].name))) {
            *parts[i].member = read_json(arena, reader);
            return *parts[i].member != NULL;
        }
    }
    if (sl_str_equal(name, SL_STR("v"))) {
        return sl_reader_int(reader, version);
    }
    if (sl_str_equal(name, SL_STR("deadline_ms"))) {
        return sl_reader_int(reader, &command->deadline_ms);
    }
    if (sl_str_equal(name, SL_STR("actor"))) {
        return read_actor(arena, reader, &command->actor);
    }
    return sl_reader_skip(reader);
}

static bool
read_command(struct sl_arena *arena, struct sl_reader *reader, struct sl_command *command)
{
    const struct text_field fields[] = {{"id", &command->id},
                                        {"service", &command->service},
                                        {"name", &command->name},
                                        {"rid", &command->request_id},
                                        {"project", &command->project},
                                        {"instance", &command->instance},
                                        {"peer", &command->peer},
                                        {"role", &command->peer_role},
                                        {"peer_key", &command->peer_key}};
    for (size_t i = 0; i < SL_COUNT(fields); i++) {
        *fields[i].member = "";
    }
    command->actor = (struct sl_actor){"", "", "", "", ""};

    size_t pairs = 0;
    int64_t version = 0;
    if (!sl_reader_map(reader, &pairs)) {
        return false;
    }
    for (size_t i = 0; i < pairs; i++) {
        struct sl_str name;
        bool known = false;
        if (!sl_reader_text(reader, &name) ||
            !read_text_field(arena, reader, name, fields, SL_COUNT(fields), &known) ||
            (!known && !read_other_field(arena, reader, name, command, &version))) {
            return false;
        }
    }
    return reader->at == reader->end && version == ENVELOPE_VERSION && command->id[0] != '\0' &&
           command->service[0] != '\0' && command->name[0] != '\0';
}

int
sl_command_decode(struct sl_arena *arena, struct sl_str bytes, struct sl_command *ret_command,
                  struct sl_error *err)
{
    struct sl_reader reader = sl_reader_of(bytes);
    struct sl_command command = {0};
    if (!read_command(arena, &reader, &command)) {
        return sl_fail(err, SL_E_BUS_MESSAGE, "envelope");
    }
    *ret_command = command;
    return 0;
}

bool
sl_command_name(struct sl_str bytes, struct sl_str *ret_name)
{
    struct sl_reader reader = sl_reader_of(bytes);
    size_t pairs = 0;
    if (!sl_reader_map(&reader, &pairs)) {
        return false;
    }
    for (size_t i = 0; i < pairs; i++) {
        struct sl_str name;
        if (!sl_reader_text(&reader, &name)) {
            return false;
        }
        if (sl_str_equal(name, SL_STR("name"))) {
            return sl_reader_text(&reader, ret_name);
        }
        if (!sl_reader_skip(&reader)) {
            return false;
        }
    }
    return false;
}

struct sl_reply
sl_reply_of_error(const struct sl_error *err)
{
    return (struct sl_reply){.failed = true, .error = *err};
}

static size_t
count_args(const struct sl_error *err)
{
    size_t count = SL_ERROR_ARGS;
    while (count > 0 && err->args[count - 1][0] == '\0') {
        count--;
    }
    return count;
}

int
sl_reply_pack(struct sl_buf *buf, const struct sl_reply *reply, struct sl_error *err)
{
    if (reply->failed) {
        size_t args = count_args(&reply->error);
        sl_pack_map(buf, 2);
        pack_field(buf, "code", sl_error_name(reply->error.code));
        sl_pack_text(buf, "args");
        sl_pack_array(buf, args);
        for (size_t i = 0; i < args; i++) {
            sl_pack_text(buf, reply->error.args[i]);
        }
    } else {
        sl_pack_map(buf, reply->headers != NULL ? 3 : 2);
        sl_pack_text(buf, "status");
        sl_pack_int(buf, reply->status);
        sl_pack_text(buf, "body");
        bool is_json =
            reply->body.len > 0 && (reply->body.ptr[0] == '{' || reply->body.ptr[0] == '[');
        if (is_json) {
            sl_pack_str(buf, reply->body);
        } else {
            sl_pack_bin(buf, reply->body);
        }
        if (reply->headers != NULL) {
            sl_pack_text(buf, "headers");
            if (sl_pack_json(buf, reply->headers, err) != 0) {
                return -1;
            }
        }
    }
    return buf->failed ? sl_fail(err, SL_E_BUS_MESSAGE, "too large") : 0;
}

int
sl_reply_encode(struct sl_arena *arena, const struct sl_reply *reply, struct sl_str *ret_bytes,
                struct sl_error *err)
{
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, SL_MESSAGE_MAX);
    if (sl_reply_pack(&buf, reply, err) != 0) {
        return -1;
    }
    return give_bytes(arena, &buf, ret_bytes, err);
}

// An error row that this build does not know is still an error.
static bool
read_code(struct sl_reader *reader, struct sl_reply *reply)
{
    struct sl_str name;
    if (!sl_reader_text(reader, &name)) {
        return false;
    }
    char text[64] = "";
    if (name.len < sizeof(text)) {
        memcpy(text, name.ptr, name.len);
    }
    enum sl_code code = sl_error_find(text);
    reply->failed = true;
    reply->error.code = code < SL_E_COUNT ? code : SL_E_INTERNAL;
    return true;
}

static bool
read_args(struct sl_reader *reader, struct sl_error *error)
{
    size_t count = 0;
    if (!sl_reader_array(reader, &count)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct sl_str text;
        if (!sl_reader_text(reader, &text)) {
            return false;
        }
        if (i < SL_ERROR_ARGS) {
            size_t len = text.len < SL_ERROR_ARG_MAX ? text.len : SL_ERROR_ARG_MAX - 1;
            memcpy(error->args[i], text.ptr, len);
        }
    }
    return true;
}

static bool
read_status(struct sl_reader *reader, int *status)
{
    int64_t number = 0;
    if (!sl_reader_int(reader, &number) || number < 0 || number > 599) {
        return false;
    }
    *status = (int)number;
    return true;
}

static bool
read_reply_field(struct sl_arena *arena, struct sl_reader *reader, struct sl_reply *reply)
{
    struct sl_str name;
    if (!sl_reader_text(reader, &name)) {
        return false;
    }
    if (sl_str_equal(name, SL_STR("status"))) {
        return read_status(reader, &reply->status);
    }
    if (sl_str_equal(name, SL_STR("body"))) {
        return sl_reader_bytes(reader, &reply->body);
    }
    if (sl_str_equal(name, SL_STR("headers"))) {
        reply->headers = read_json(arena, reader);
        return json_is_object(reply->headers);
    }
    if (sl_str_equal(name, SL_STR("code"))) {
        return read_code(reader, reply);
    }
    if (sl_str_equal(name, SL_STR("args"))) {
        return read_args(reader, &reply->error);
    }
    return sl_reader_skip(reader);
}

int
sl_reply_decode(struct sl_arena *arena, struct sl_str bytes, struct sl_reply *ret_reply,
                struct sl_error *err)
{
    struct sl_reader reader = sl_reader_of(bytes);
    struct sl_reply reply = {.error = {.origin = "bus"}};
    size_t pairs = 0;
    bool is_good = sl_reader_map(&reader, &pairs);
    for (size_t i = 0; is_good && i < pairs; i++) {
        is_good = read_reply_field(arena, &reader, &reply);
    }
    if (!is_good || reader.at != reader.end) {
        return sl_fail(err, SL_E_BUS_MESSAGE, "reply");
    }
    *ret_reply = reply;
    return 0;
}
