// stamp.c - sl_envelope_stamp: how the bus marks a command with its sender; see message.h.
//
// A sender that names a field twice could show the bus one command and the worker another, so the
// fields that name the command, and those that the bus owns, are taken out and written anew.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/message.h"
#include "common/wire/pack.h"

#include <string.h>

#define FIELDS_MAX 32 // fields of an envelope: more are none of ours

struct field {
    struct sl_str name; // as text
    struct sl_str span; // name and value, packed
};

struct envelope {
    struct field kept[FIELDS_MAX]; // copied as they are
    size_t kept_count;             //
    struct sl_stamped stamped;     // read and written anew
};

static bool
is_field_of_bus(struct sl_str name)
{
    return sl_str_equal(name, SL_STR("peer")) || sl_str_equal(name, SL_STR("role")) ||
           sl_str_equal(name, SL_STR("peer_key"));
}

static struct sl_str *
stamped_member(struct sl_stamped *stamped, struct sl_str name)
{
    if (sl_str_equal(name, SL_STR("id"))) {
        return &stamped->id;
    }
    if (sl_str_equal(name, SL_STR("service"))) {
        return &stamped->service;
    }
    return sl_str_equal(name, SL_STR("name")) ? &stamped->name : NULL;
}

static bool
keep_field(struct envelope *envelope, struct field field)
{
    for (size_t i = 0; i < envelope->kept_count; i++) {
        if (sl_str_equal(envelope->kept[i].name, field.name)) {
            return false;
        }
    }
    if (envelope->kept_count == FIELDS_MAX) {
        return false;
    }
    envelope->kept[envelope->kept_count++] = field;
    return true;
}

static bool
read_field(struct sl_reader *reader, bool may_act, struct envelope *envelope)
{
    struct field field;
    const char *from = reader->at;
    if (!sl_reader_text(reader, &field.name)) {
        return false;
    }
    struct sl_str *member = stamped_member(&envelope->stamped, field.name);
    if (member != NULL) {
        return member->len == 0 && sl_reader_text(reader, member) && member->len > 0;
    }
    if (!sl_reader_skip(reader)) {
        return false;
    }
    bool dropped =
        is_field_of_bus(field.name) || (!may_act && sl_str_equal(field.name, SL_STR("actor")));
    field.span = (struct sl_str){from, (size_t)(reader->at - from)};
    return dropped || keep_field(envelope, field);
}

static bool
read_envelope(struct sl_str bytes, bool may_act, struct envelope *envelope)
{
    struct sl_reader reader = sl_reader_of(bytes);
    size_t pairs = 0;
    if (!sl_reader_map(&reader, &pairs)) {
        return false;
    }
    for (size_t i = 0; i < pairs; i++) {
        if (!read_field(&reader, may_act, envelope)) {
            return false;
        }
    }
    const struct sl_stamped *stamped = &envelope->stamped;
    return reader.at == reader.end && stamped->id.len > 0 && stamped->service.len > 0 &&
           stamped->name.len > 0;
}

int
sl_envelope_stamp(struct sl_buf *buf, struct sl_str bytes, const struct sl_sender *sender,
                  struct sl_stamped *ret_stamped, struct sl_error *err)
{
    struct envelope envelope = {.kept_count = 0};
    if (!read_envelope(bytes, sender->may_act, &envelope)) {
        return sl_fail(err, SL_E_BUS_MESSAGE, "envelope");
    }
    const struct {
        const char *name;
        struct sl_str text;
    } written[] = {
        {"id", envelope.stamped.id},     {"service", envelope.stamped.service},
        {"name", envelope.stamped.name}, {"peer", sl_str(sender->peer)},
        {"role", sl_str(sender->role)},  {"peer_key", sl_str(sender->key)},
    };
    sl_pack_map(buf, envelope.kept_count + SL_COUNT(written));
    for (size_t i = 0; i < envelope.kept_count; i++) {
        sl_buf_add(buf, envelope.kept[i].span.ptr, envelope.kept[i].span.len);
    }
    for (size_t i = 0; i < SL_COUNT(written); i++) {
        sl_pack_text(buf, written[i].name);
        sl_pack_str(buf, written[i].text);
    }
    if (buf->failed) {
        return sl_fail(err, SL_E_BUS_MESSAGE, "too large");
    }
    *ret_stamped = envelope.stamped;
    return 0;
}
