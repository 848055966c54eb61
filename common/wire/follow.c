// follow.c - see follow.h.
//
// Three phases. LIVE: events are applied as they come, gaps are asked for. FULL: pages of a full
// set arrive, events are ignored. CLOSING: the set is complete, what changed while it was read is
// asked for; then the owner switches and the follower is live again.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/follow.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/wire/stream.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELD_MAX       32   // out-of-order events kept at once
#define HOLD_MS        50   // an event that is missing may still come
#define JITTER_MS      20   // followers of one gateway do not ask all at once
#define ASK_MS         5000 // deadline of a question
#define BACKOFF_MS     100  // before the second try
#define BACKOFF_MAX_MS 2000
#define REFUSED_MS     1000 // the owner could not apply: the next try
#define DEAF_MS        2500 // two heads that did not come: none will
#define TOPIC_MAX      160

enum phase {
    PHASE_LIVE,
    PHASE_FULL,
    PHASE_CLOSING,
};

// An event that came before the one it builds on.
struct held {
    char *bytes;      // NULL: free
    size_t len;       //
    uint64_t prev;    //
    int64_t since_ms; // when it came
};

struct sl_follow {
    struct sl_bus_client *client; //
    struct sl_follow_hooks hooks; //
    char gateway[SL_KEY_MAX + 1]; //
    char rt_topic[TOPIC_MAX];     //
    char head_topic[TOPIC_MAX];   //
    pthread_mutex_t lock;         // guards `have` against other threads' reading
    struct sl_revision have;      // lock
    enum phase phase;             //
    struct sl_revision cursor;    // FULL: epoch and head of the first page; CLOSING: reached so far
    char *after_kind, *after_key; // FULL: last entry of the page before; NULL: first page
    bool is_asking;               // a question is out
    int64_t ask_ms;               // when to ask; 0: no need
    uint64_t wanted;            // the newest revision heard of; asked for at ask_ms if still ahead
    bool must_ask;              // ask at ask_ms whatever we have
    int64_t backoff_ms;         // of the next failure
    int64_t event_ms;           // when the last event came; at first the start
    struct held held[HELD_MAX]; //
    struct sl_arena *arena;     // of one message
};

static int64_t
jitter(int64_t range_ms)
{
    return (sl_mono_us() * 7919 / 13) % (range_ms + 1);
}

// Plans a question no later than `in_ms` from now.
static void
plan(struct sl_follow *follow, int64_t in_ms, bool must_ask)
{
    int64_t at_ms = sl_mono_ms() + in_ms;
    if (follow->ask_ms == 0 || at_ms < follow->ask_ms || (must_ask && !follow->must_ask)) {
        follow->ask_ms = at_ms;
    }
    follow->must_ask = follow->must_ask || must_ask;
}

static void
plan_retry(struct sl_follow *follow)
{
    follow->ask_ms = 0;
    plan(follow, follow->backoff_ms + jitter(JITTER_MS), true);
    int64_t next = follow->backoff_ms * 2;
    follow->backoff_ms = next < BACKOFF_MAX_MS ? next : BACKOFF_MAX_MS;
}

static void
set_have(struct sl_follow *follow, const char *epoch, uint64_t number)
{
    pthread_mutex_lock(&follow->lock);
    memmove(follow->have.epoch, epoch, SL_ID_SIZE);
    follow->have.number = number;
    pthread_mutex_unlock(&follow->lock);
}

static bool
apply(struct sl_follow *follow, const struct sl_stream *stream, uint64_t to)
{
    struct sl_revision revision = {.number = to};
    memcpy(revision.epoch, stream->epoch, SL_ID_SIZE);
    if (stream->count > 0 &&
        follow->hooks.apply(follow->hooks.arg, stream->entries, stream->count, &revision) != 0) {
        follow->ask_ms = 0;
        plan(follow, REFUSED_MS, true);
        return false;
    }
    return true;
}

static void
drop_held(struct sl_follow *follow)
{
    for (size_t i = 0; i < HELD_MAX; i++) {
        free(follow->held[i].bytes);
        follow->held[i].bytes = NULL;
    }
}

static void
hold(struct sl_follow *follow, struct sl_str body, uint64_t prev)
{
    for (size_t i = 0; i < HELD_MAX; i++) {
        struct held *held = &follow->held[i];
        if (held->bytes != NULL && held->prev == prev) {
            return; // the same event from another bus
        }
        if (held->bytes == NULL) {
            held->bytes = malloc(body.len);
            if (held->bytes != NULL) {
                memcpy(held->bytes, body.ptr, body.len);
                held->len = body.len;
                held->prev = prev;
                held->since_ms = sl_mono_ms();
            }
            return;
        }
    }
    plan(follow, 0, true);
}

static void on_revision(struct sl_follow *follow, struct sl_str body);

// Applies a held event that builds on what we have; answers whether there was one.
static bool
release_one(struct sl_follow *follow)
{
    for (size_t i = 0; i < HELD_MAX; i++) {
        struct held *held = &follow->held[i];
        if (held->bytes != NULL && held->prev <= follow->have.number) {
            char *bytes = SL_TAKE(held->bytes);
            on_revision(follow, (struct sl_str){bytes, held->len});
            free(bytes);
            return true;
        }
    }
    return false;
}

static void
on_revision(struct sl_follow *follow, struct sl_str body)
{
    struct sl_stream event;
    struct sl_error err;
    if (follow->phase != PHASE_LIVE) {
        return; // the question that closes the set brings it
    }
    if (sl_stream_unpack(follow->arena, body, &event, NULL, &err) != 0) {
        sl_log_error(SL_DEBUG, "malformed event", &err, SL_LOG_STR("gateway", follow->gateway));
    } else if (strcmp(event.epoch, follow->have.epoch) != 0) {
        plan(follow, jitter(JITTER_MS), true);
    } else if (event.to <= follow->have.number) {
        // A duplicate: events come over every bus.
    } else if (event.prev > follow->have.number) {
        follow->wanted = event.to > follow->wanted ? event.to : follow->wanted;
        hold(follow, body, event.prev);
        plan(follow, HOLD_MS, false);
    } else if (apply(follow, &event, event.to)) {
        set_have(follow, event.epoch, event.to);
    }
    sl_arena_clear(follow->arena);
}

void
sl_follow_heard(struct sl_follow *follow, const struct sl_revision *head)
{
    if (follow->phase != PHASE_LIVE) {
        return;
    }
    if (strcmp(head->epoch, follow->have.epoch) != 0) {
        plan(follow, jitter(JITTER_MS), true);
    } else if (head->number > follow->have.number) {
        follow->wanted = head->number > follow->wanted ? head->number : follow->wanted;
        plan(follow, (sl_follow_is_deaf(follow) ? 0 : HOLD_MS) + jitter(JITTER_MS), false);
    } else if (head->number == follow->have.number && follow->hooks.confirmed != NULL) {
        follow->hooks.confirmed(follow->hooks.arg, head);
    }
}

static void
on_head(struct sl_follow *follow, struct sl_str body)
{
    struct sl_revision head;
    struct sl_error err;
    if (sl_head_unpack(body, &head, &err) == 0) {
        sl_follow_heard(follow, &head);
    }
}

static void
on_event(void *arg, struct sl_str topic, struct sl_str body)
{
    struct sl_follow *follow = arg;
    follow->event_ms = topic.len > 0 ? sl_mono_ms() : follow->event_ms;
    if (topic.len == 0) {
        plan(follow, jitter(JITTER_MS), true);
    } else if (sl_str_equal(topic, sl_str(follow->rt_topic))) {
        on_revision(follow, body);
        while (release_one(follow)) {
        }
    } else if (sl_str_equal(topic, sl_str(follow->head_topic))) {
        on_head(follow, body);
    }
}

static void
forget_page(struct sl_follow *follow)
{
    free(follow->after_kind);
    free(follow->after_key);
    follow->after_kind = NULL;
    follow->after_key = NULL;
}

// Gives up what was read of a full set; what we had is still there.
static void
abandon_set(struct sl_follow *follow)
{
    follow->phase = PHASE_LIVE;
    forget_page(follow);
    if (follow->hooks.full_abandon != NULL) {
        follow->hooks.full_abandon(follow->hooks.arg);
    }
}

static void
on_page(struct sl_follow *follow, const struct sl_stream *page)
{
    bool is_first = follow->phase != PHASE_FULL || follow->after_key == NULL;
    if (!is_first && strcmp(page->epoch, follow->cursor.epoch) != 0) {
        abandon_set(follow);
        plan(follow, 0, true);
        return;
    }
    if (is_first) {
        drop_held(follow);
        follow->phase = PHASE_FULL;
        memcpy(follow->cursor.epoch, page->epoch, SL_ID_SIZE);
        follow->cursor.number = page->at;
        follow->hooks.full_begin(follow->hooks.arg);
    }
    if (!apply(follow, page, follow->cursor.number)) {
        abandon_set(follow);
        return;
    }
    forget_page(follow);
    if (page->more && page->count > 0) {
        follow->after_kind = strdup(page->entries[page->count - 1].kind);
        follow->after_key = strdup(page->entries[page->count - 1].key);
    } else {
        follow->phase = PHASE_CLOSING;
    }
    plan(follow, 0, true);
}

// What changed while the pages were read; when it is all there, the owner switches.
static void
on_closing(struct sl_follow *follow, const struct sl_stream *span)
{
    if (!apply(follow, span, span->to)) {
        abandon_set(follow);
        return;
    }
    follow->cursor.number = span->to;
    if (span->more) {
        plan(follow, 0, true);
        return;
    }
    follow->phase = PHASE_LIVE;
    if (follow->hooks.full_end(follow->hooks.arg, &follow->cursor) != 0) {
        plan(follow, REFUSED_MS, true);
        return;
    }
    set_have(follow, follow->cursor.epoch, follow->cursor.number);
    if (follow->hooks.confirmed != NULL) {
        follow->hooks.confirmed(follow->hooks.arg, &follow->have);
    }
}

static void
on_span(struct sl_follow *follow, const struct sl_stream *span)
{
    bool is_new = span->to > follow->have.number;
    if (strcmp(span->epoch, follow->have.epoch) != 0 || span->prev > follow->have.number) {
        plan_retry(follow);
        return;
    }
    if (is_new && !apply(follow, span, span->to)) {
        return;
    }
    if (is_new) {
        set_have(follow, span->epoch, span->to);
    }
    if (span->more) {
        plan(follow, 0, true);
    } else if (span->to == follow->have.number && follow->hooks.confirmed != NULL) {
        follow->hooks.confirmed(follow->hooks.arg, &follow->have);
    }
    while (release_one(follow)) {
    }
}

static void
take_answer(struct sl_follow *follow, const struct sl_stream *answer, json_t *extra)
{
    if (follow->hooks.extra != NULL) {
        follow->hooks.extra(follow->hooks.arg, extra);
    }
    bool same_epoch = strcmp(answer->epoch, follow->cursor.epoch) == 0;
    if (answer->full) {
        if (follow->phase == PHASE_CLOSING) {
            abandon_set(follow); // the set is too old already
        }
        on_page(follow, answer);
    } else if (follow->phase == PHASE_CLOSING && same_epoch) {
        on_closing(follow, answer);
    } else if (follow->phase == PHASE_LIVE) {
        on_span(follow, answer);
    } else {
        abandon_set(follow);
        plan_retry(follow);
    }
}

static void
on_answer(void *arg, const struct sl_reply *reply)
{
    struct sl_follow *follow = arg;
    // Its own arena: hooks may run while it is in use, and events use follow->arena.
    SL_AUTO(sl_arena) arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
    struct sl_error err = {.code = SL_E_INTERNAL};
    struct sl_stream answer;
    json_t *extra = NULL;
    follow->is_asking = false;
    if (reply->failed) {
        sl_log_error(SL_DEBUG, "no answer to runtime.since", &reply->error,
                     SL_LOG_STR("gateway", follow->gateway));
        plan_retry(follow);
    } else if (arena == NULL || sl_stream_unpack(arena, reply->body, &answer, &extra, &err) != 0) {
        sl_log_error(SL_DEBUG, "malformed answer", &err, SL_LOG_STR("gateway", follow->gateway));
        plan_retry(follow);
    } else {
        follow->backoff_ms = BACKOFF_MS;
        take_answer(follow, &answer, extra);
    }
    // The next page is not worth a tick's delay.
    sl_follow_tick(follow);
}

static void
ask(struct sl_follow *follow)
{
    const struct sl_revision *from = follow->phase == PHASE_LIVE ? &follow->have : &follow->cursor;
    json_t *body = json_pack("{s:s, s:s, s:I}", "gateway", follow->gateway, "epoch", from->epoch,
                             "revision", (json_int_t)from->number);
    assert(body != NULL);
    if (follow->phase == PHASE_FULL && follow->after_key != NULL) {
        json_object_set_new(body, "after",
                            json_pack("[s, s]", follow->after_kind, follow->after_key));
    }
    struct sl_command command = {
        .service = "publisher", .name = "runtime.since", .body = body, .deadline_ms = ASK_MS};
    follow->is_asking = true;
    follow->must_ask = false;
    follow->ask_ms = 0;
    sl_bus_call(follow->client, &command, on_answer, follow);
    json_decref(body);
}

static void
expire_held(struct sl_follow *follow)
{
    int64_t now_ms = sl_mono_ms();
    for (size_t i = 0; i < HELD_MAX; i++) {
        if (follow->held[i].bytes != NULL && now_ms - follow->held[i].since_ms > HOLD_MS) {
            drop_held(follow);
            plan(follow, 0, true);
            return;
        }
    }
}

void
sl_follow_tick(struct sl_follow *follow)
{
    expire_held(follow);
    if (follow->is_asking || follow->ask_ms == 0 || sl_mono_ms() < follow->ask_ms) {
        return;
    }
    bool is_behind = follow->must_ask || follow->wanted > follow->have.number;
    if (is_behind) {
        ask(follow);
    } else {
        follow->ask_ms = 0;
    }
}

static void
on_timer(void *arg)
{
    sl_follow_tick(arg);
}

struct sl_follow *
sl_follow_new(struct sl_bus_client *client, const char *gateway, const struct sl_revision *have,
              const struct sl_follow_hooks *hooks, struct sl_error *err)
{
    struct sl_follow *follow = calloc(1, sizeof(*follow));
    if (follow == NULL || strlen(gateway) > SL_KEY_MAX) {
        sl_fail(err, SL_E_INTERNAL);
        free(follow);
        return NULL;
    }
    follow->client = client;
    follow->hooks = *hooks;
    follow->have = *have;
    follow->backoff_ms = BACKOFF_MS;
    follow->event_ms = sl_mono_ms();
    follow->arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
    pthread_mutex_init(&follow->lock, NULL);
    snprintf(follow->gateway, sizeof(follow->gateway), "%s", gateway);
    snprintf(follow->rt_topic, sizeof(follow->rt_topic), "rt/%s", gateway);
    snprintf(follow->head_topic, sizeof(follow->head_topic), "head/%s", gateway);
    if (follow->arena == NULL ||
        sl_bus_subscribe(client, follow->rt_topic, on_event, follow, err) != 0 ||
        sl_bus_subscribe(client, follow->head_topic, on_event, follow, err) != 0) {
        sl_follow_free(&follow);
        return NULL;
    }
    if (!sl_bus_owns_dispatch(client)) {
        sl_bus_every(client, on_timer, follow);
    }
    return follow;
}

void
sl_follow_free(struct sl_follow **follow)
{
    if (follow == NULL || *follow == NULL) {
        return;
    }
    struct sl_follow *gone = SL_TAKE(*follow);
    sl_bus_forget(gone->client, gone);
    drop_held(gone);
    forget_page(gone);
    sl_arena_free(&gone->arena);
    pthread_mutex_destroy(&gone->lock);
    free(gone);
}

bool
sl_follow_take(struct sl_follow *follow, const struct sl_revision *revision)
{
    if (follow->phase != PHASE_LIVE) {
        return false;
    }
    drop_held(follow);
    set_have(follow, revision->epoch, revision->number);
    plan(follow, 0, true);
    return true;
}

bool
sl_follow_is_deaf(const struct sl_follow *follow)
{
    return sl_mono_ms() - follow->event_ms > DEAF_MS;
}

bool
sl_follow_is_reading(const struct sl_follow *follow)
{
    return follow->phase != PHASE_LIVE;
}

struct sl_revision
sl_follow_revision(const struct sl_follow *follow)
{
    // The lock is no part of what a reader sees.
    struct sl_follow *locked = (struct sl_follow *)(uintptr_t)follow;
    pthread_mutex_lock(&locked->lock);
    struct sl_revision have = follow->have;
    pthread_mutex_unlock(&locked->lock);
    return have;
}
