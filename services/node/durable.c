// durable.c - writing to the store what the image serves already.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/durable.h"

#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"

#define RETRY_MS   1000                      // between attempts of a store that fails
#define TRIM_BYTES ((size_t)8 * 1024 * 1024) // of notes, whose memory goes back to the system

struct note {
    struct note *next; // noted later
    size_t size_bytes; // of this block
    struct sl_wire_entry entry;
    char text[]; // kind, key, body
};

// What goes into one transaction.
struct batch {
    struct note *first;          // oldest
    struct note **last;          // where the next one goes
    bool afresh;                 // the notes replace everything
    bool lost;                   // notes were dropped: the store must be emptied
    bool is_due;                 // there is something to write
    struct sl_revision position; // that the notes make up
};

// A batch goes from `noted` to `handed` to `held`; where one waits already, they become one.
struct durable {
    char path[PATH_MAX];              // of the store's directory
    struct sl_store *store;           // NULL: it cannot be opened; set under store_lock
    pthread_mutex_t store_lock;       // held over a transaction, and by who reads
    atomic_size_t backlog_bytes;      // of all notes
    struct keys *keys;                // the agent's
    struct batch noted;               // the agent's: since the last flush
    char told[DURABLE_REASON_SIZE];   // the agent's: its copy of `reason`
    pthread_t writer;                 //
    pthread_mutex_t lock;             // guards what follows, but `held` and its keys
    pthread_cond_t changed;           // something was handed over, or tried, or the end has come
    struct batch handed;              // for the writer's next transaction
    struct keys handed_keys;          // content keys at that time
    bool is_over;                     // the writer ends
    bool is_behind;                   // `held` is not in the store yet
    int64_t retry_at_ms;              // not before
    char reason[DURABLE_REASON_SIZE]; // of the failure; "" none
    struct batch held;                // the writer's: of the transaction in hand
    struct keys held_keys;            // the writer's
};

// -- batches

// How many bytes they were.
static size_t
drop_notes(struct durable *durable, struct batch *batch)
{
    size_t bytes = 0;
    while (batch->first != NULL) {
        struct note *note = batch->first;
        batch->first = note->next;
        bytes += note->size_bytes;
        free(note);
    }
    batch->last = &batch->first;
    atomic_fetch_sub(&durable->backlog_bytes, bytes);
    return bytes;
}

// Puts what `from` says behind what `into` says; `from` is empty then. Entries that were lost stay
// lost until a full set comes.
static void
merge(struct durable *durable, struct batch *into, struct batch *from)
{
    if (from->afresh || from->lost) {
        drop_notes(durable, into);
        into->afresh = from->afresh;
        into->lost = from->lost;
    }
    if (from->first != NULL) {
        *into->last = from->first;
        into->last = from->last;
        from->first = NULL;
        from->last = &from->first;
    }
    into->position = from->position;
    into->is_due = into->is_due || from->is_due;
    from->afresh = false;
    from->is_due = false;
}

// -- the store

static int
open_store(struct durable *durable, bool *ret_discarded, struct sl_error *err)
{
    struct sl_store *store = sl_store_open(durable->path, ret_discarded, err);
    if (store == NULL) {
        return -1;
    }
    if (*ret_discarded) {
        sl_log(SL_WARNING, "the store did not hold and was thrown away");
    }
    pthread_mutex_lock(&durable->store_lock);
    durable->store = store;
    pthread_mutex_unlock(&durable->store_lock);
    return 0;
}

// -- the writing thread

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
    const struct batch *held = &durable->held;
    if (sl_store_begin(durable->store, held->afresh || held->lost, err) != 0 ||
        keys_save(&durable->held_keys, durable->store, err) != 0) {
        return -1;
    }
    for (const struct note *note = held->first; note != NULL; note = note->next) {
        if (write_note(durable, note, err) != 0) {
            return -1;
        }
    }
    if (held->lost) {
        return sl_store_commit(durable->store, "", 0, err); // empty: a restart fetches everything
    }
    return sl_store_commit(durable->store, held->position.epoch, held->position.number, err);
}

static int
write_held(struct durable *durable, struct sl_error *err)
{
    bool discarded = false;
    if (durable->store == NULL && open_store(durable, &discarded, err) != 0) {
        return -1;
    }
    // A store that was found is copied before it is changed, and can be read meanwhile.
    for (bool ready = durable->held.afresh || durable->held.lost; !ready;) {
        if (sl_store_ready(durable->store, &ready, err) != 0) {
            return -1;
        }
    }
    pthread_mutex_lock(&durable->store_lock);
    int status = write_all(durable, err);
    if (status != 0) {
        sl_store_abort(durable->store);
    }
    pthread_mutex_unlock(&durable->store_lock);
    return status;
}

// Waits for something to write and, after a failure, until its second is over. False: the end.
static bool
wait_for_work(struct durable *durable)
{
    while (!durable->is_over) {
        bool has_work = durable->is_behind || durable->handed.is_due;
        int64_t wait_ms = durable->retry_at_ms - sl_mono_ms();
        if (has_work && wait_ms <= 0) {
            return true;
        }
        if (has_work) {
            struct timespec until = {durable->retry_at_ms / 1000,
                                     durable->retry_at_ms % 1000 * 1000000};
            pthread_cond_timedwait(&durable->changed, &durable->lock, &until);
        } else {
            pthread_cond_wait(&durable->changed, &durable->lock);
        }
    }
    return false;
}

// The first failure is logged; the ones that follow it are its repetitions.
static void
note_failure(struct durable *durable, const struct sl_error *err)
{
    durable->retry_at_ms = sl_mono_ms() + RETRY_MS;
    if (durable->reason[0] == '\0') {
        sl_log_error(SL_ALERT, "the store cannot be written", err);
    }
    snprintf(durable->reason, sizeof(durable->reason), "durable store: %.200s", err->detail);
}

static void
note_success(struct durable *durable)
{
    if (durable->reason[0] != '\0') {
        sl_log(SL_INFO, "the store is written again");
        durable->reason[0] = '\0';
    }
    durable->is_behind = false;
}

// What was written is over. A full set leaves as much free memory behind as it was large, scattered
// among what stays.
static void
end_batch(struct durable *durable)
{
    struct batch *held = &durable->held;
    held->afresh = held->is_due = held->lost = false;
    if (drop_notes(durable, held) >= TRIM_BYTES) {
        malloc_trim(0);
    }
}

static void *
keep_writing(void *arg)
{
    struct durable *durable = arg;
    pthread_mutex_lock(&durable->lock);
    while (wait_for_work(durable)) {
        merge(durable, &durable->held, &durable->handed);
        durable->held_keys = durable->handed_keys;
        durable->is_behind = true;
        pthread_mutex_unlock(&durable->lock);
        struct sl_error err;
        int status = write_held(durable, &err);
        if (status == 0) {
            end_batch(durable);
        }
        pthread_mutex_lock(&durable->lock);
        if (status == 0) {
            note_success(durable);
        } else {
            note_failure(durable, &err);
        }
        pthread_cond_broadcast(&durable->changed);
    }
    pthread_mutex_unlock(&durable->lock);
    return NULL;
}

// -- the agent's thread

static void
init(struct durable *durable)
{
    struct batch *batches[] = {&durable->noted, &durable->handed, &durable->held};
    for (size_t i = 0; i < SL_COUNT(batches); i++) {
        batches[i]->last = &batches[i]->first;
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&durable->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&durable->lock, NULL);
    pthread_mutex_init(&durable->store_lock, NULL);
}

static void
clear(struct durable *durable)
{
    drop_notes(durable, &durable->noted);
    drop_notes(durable, &durable->handed);
    drop_notes(durable, &durable->held);
    keys_clear(&durable->handed_keys);
    keys_clear(&durable->held_keys);
    sl_store_free(&durable->store);
    pthread_mutex_destroy(&durable->store_lock);
    pthread_mutex_destroy(&durable->lock);
    pthread_cond_destroy(&durable->changed);
    free(durable);
}

struct durable *
durable_new(const char *path, struct keys *keys, bool *ret_discarded)
{
    struct durable *durable = calloc(1, sizeof(*durable));
    if (durable == NULL) {
        return NULL;
    }
    snprintf(durable->path, sizeof(durable->path), "%s", path);
    durable->keys = keys;
    init(durable);
    struct sl_error err;
    *ret_discarded = false;
    if (open_store(durable, ret_discarded, &err) != 0) {
        note_failure(durable, &err);
    }
    if (pthread_create(&durable->writer, NULL, keep_writing, durable) != 0) {
        clear(durable);
        return NULL;
    }
    return durable;
}

void
durable_free(struct durable **durable)
{
    if (durable == NULL || *durable == NULL) {
        return;
    }
    struct durable *gone = *durable;
    *durable = NULL;
    pthread_mutex_lock(&gone->lock);
    gone->is_over = true;
    pthread_cond_broadcast(&gone->changed);
    pthread_mutex_unlock(&gone->lock);
    pthread_join(gone->writer, NULL);
    clear(gone);
}

void
durable_afresh(struct durable *durable)
{
    drop_notes(durable, &durable->noted);
    durable->noted.afresh = true;
    durable->noted.lost = false;
}

static void
lose(struct durable *durable)
{
    drop_notes(durable, &durable->noted);
    durable->noted.lost = true;
}

void
durable_note(struct durable *durable, const struct sl_wire_entry *entry)
{
    if (durable->noted.lost) {
        return;
    }
    size_t kind_size = strlen(entry->kind) + 1;
    size_t key_size = strlen(entry->key) + 1;
    size_t size = sizeof(struct note) + kind_size + key_size + entry->body.len;
    size_t backlog_bytes = atomic_load(&durable->backlog_bytes);
    struct note *note = size > DURABLE_BACKLOG_MAX - backlog_bytes ? NULL : malloc(size);
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
    *durable->noted.last = note;
    durable->noted.last = &note->next;
    atomic_fetch_add(&durable->backlog_bytes, size);
}

void
durable_position(struct durable *durable, const struct sl_revision *revision)
{
    durable->noted.position = *revision;
    durable->noted.is_due = true;
}

void
durable_flush(struct durable *durable)
{
    struct batch *noted = &durable->noted;
    noted->is_due = noted->is_due || durable->keys->unsaved;
    if (!noted->is_due || noted->position.epoch[0] == '\0') {
        return; // keys alone are written with the first entries
    }
    durable->keys->unsaved = false;
    pthread_mutex_lock(&durable->lock);
    merge(durable, &durable->handed, noted);
    durable->handed_keys = *durable->keys;
    pthread_cond_broadcast(&durable->changed);
    pthread_mutex_unlock(&durable->lock);
}

void
durable_finish(struct durable *durable)
{
    durable_flush(durable);
    pthread_mutex_lock(&durable->lock);
    while ((durable->is_behind || durable->handed.is_due) && durable->reason[0] == '\0') {
        pthread_cond_wait(&durable->changed, &durable->lock);
    }
    pthread_mutex_unlock(&durable->lock);
}

const char *
durable_reason(struct durable *durable)
{
    pthread_mutex_lock(&durable->lock);
    memcpy(durable->told, durable->reason, sizeof(durable->told));
    pthread_mutex_unlock(&durable->lock);
    return durable->told;
}

struct sl_store *
durable_store(struct durable *durable)
{
    return durable->store;
}

bool
durable_read_begin(struct durable *durable)
{
    return pthread_mutex_trylock(&durable->store_lock) == 0;
}

void
durable_read_end(struct durable *durable)
{
    pthread_mutex_unlock(&durable->store_lock);
}
