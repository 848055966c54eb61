// durable.c - writing to the store what the image serves already.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/durable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

#define RETRY_MS 1000 // between attempts of a store that fails

struct note {
    struct note *next; // noted later
    size_t size_bytes; // of this block
    struct sl_wire_entry entry;
    char text[]; // kind, key, body
};

struct durable {
    struct sl_store *store;
    struct keys *keys;
    struct note *first;          // oldest
    struct note **last;          // where the next one goes
    size_t backlog_bytes;        //
    bool afresh;                 // the notes replace everything
    bool lost;                   // notes were dropped: the store must be emptied
    bool pending;                // the position moved
    struct sl_revision position; // that the notes make up
    int64_t retry_at_ms;         // not before
    char reason[256];            // of the failure; "" none
};

struct durable *
durable_new(struct sl_store *store, struct keys *keys)
{
    struct durable *durable = calloc(1, sizeof(*durable));
    if (durable != NULL) {
        durable->store = store;
        durable->keys = keys;
        durable->last = &durable->first;
    }
    return durable;
}

static void
drop_notes(struct durable *durable)
{
    while (durable->first != NULL) {
        struct note *note = durable->first;
        durable->first = note->next;
        free(note);
    }
    durable->last = &durable->first;
    durable->backlog_bytes = 0;
}

void
durable_free(struct durable **durable)
{
    if (durable != NULL && *durable != NULL) {
        drop_notes(*durable);
        free(*durable);
        *durable = NULL;
    }
}

void
durable_afresh(struct durable *durable)
{
    drop_notes(durable);
    durable->afresh = true;
    durable->lost = false;
}

static void
lose(struct durable *durable)
{
    drop_notes(durable);
    durable->lost = true;
}

void
durable_note(struct durable *durable, const struct sl_wire_entry *entry)
{
    if (durable->lost) {
        return;
    }
    size_t kind_size = strlen(entry->kind) + 1;
    size_t key_size = strlen(entry->key) + 1;
    size_t size = sizeof(struct note) + kind_size + key_size + entry->body.len;
    struct note *note = size > DURABLE_BACKLOG_MAX - durable->backlog_bytes ? NULL : malloc(size);
    if (note == NULL) {
        lose(durable);
        return;
    }
    note->next = NULL;
    note->size_bytes = size;
    note->entry = *entry;
    note->entry.kind = memcpy(note->text, entry->kind, kind_size);
    note->entry.key = memcpy(note->text + kind_size, entry->key, key_size);
    if (entry->body.ptr != NULL) {
        note->entry.body.ptr =
            memcpy(note->text + kind_size + key_size, entry->body.ptr, entry->body.len);
    }
    *durable->last = note;
    durable->last = &note->next;
    durable->backlog_bytes += size;
}

void
durable_position(struct durable *durable, const struct sl_revision *revision)
{
    durable->position = *revision;
    durable->pending = true;
}

static int
write_note(struct durable *durable, const struct note *note, struct sl_error *err)
{
    const struct sl_wire_entry *entry = &note->entry;
    if (entry->body.ptr == NULL) {
        return sl_store_remove(durable->store, entry->kind, entry->key, err);
    }
    struct sl_store_record record = {entry->kind, entry->key, entry->revision, entry->min_reader,
                                     entry->body};
    return sl_store_put(durable->store, &record, err);
}

static int
write_all(struct durable *durable, struct sl_error *err)
{
    if (sl_store_begin(durable->store, durable->afresh || durable->lost, err) != 0 ||
        keys_save(durable->keys, durable->store, err) != 0) {
        return -1;
    }
    for (const struct note *note = durable->first; note != NULL; note = note->next) {
        if (write_note(durable, note, err) != 0) {
            return -1;
        }
    }
    if (durable->lost) {
        return sl_store_commit(durable->store, "", 0, err); // empty: a restart fetches everything
    }
    return sl_store_commit(durable->store, durable->position.epoch, durable->position.number, err);
}

// A store that was found is copied first, a step a turn: what is noted meanwhile waits.
static int
write_when_ready(struct durable *durable, bool *ret_written, struct sl_error *err)
{
    if (sl_store_ready(durable->store, ret_written, err) != 0) {
        return -1;
    }
    return *ret_written ? write_all(durable, err) : 0;
}

void
durable_flush(struct durable *durable)
{
    if ((!durable->pending && !durable->keys->unsaved) || sl_mono_ms() < durable->retry_at_ms) {
        return;
    }
    if (durable->position.epoch[0] == '\0') {
        return; // keys alone are written with the first entries
    }
    struct sl_error err;
    bool written = false;
    if (write_when_ready(durable, &written, &err) != 0) {
        sl_store_abort(durable->store);
        durable->retry_at_ms = sl_mono_ms() + RETRY_MS;
        if (durable->reason[0] == '\0') {
            sl_log_error(SL_ALERT, "the store cannot be written", &err);
        }
        snprintf(durable->reason, sizeof(durable->reason), "durable store: %.200s", err.detail);
        return;
    }
    if (!written) {
        return;
    }
    if (durable->reason[0] != '\0') {
        sl_log(SL_INFO, "the store is written again");
        durable->reason[0] = '\0';
    }
    drop_notes(durable);
    durable->afresh = false;
    durable->pending = false;
    durable->keys->unsaved = false;
}

void
durable_finish(struct durable *durable)
{
    bool goes_on = true;
    while (goes_on) {
        durable_flush(durable);
        goes_on =
            durable->pending && durable->reason[0] == '\0' && durable->position.epoch[0] != '\0';
    }
}

const char *
durable_reason(const struct durable *durable)
{
    return durable->reason;
}
