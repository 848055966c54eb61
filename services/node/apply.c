// apply.c - entries from the stream (or the store) → the live image.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/apply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"

#define APPLY_MAGIC    0x534c4150U
#define STEP_ARENA_MAX ((size_t)256 * 1024 * 1024) // one step, decoded
#define CONTEXT_MAX    (SL_ID_LEN + 32 + SL_KEY_MAX + 3)

// An entry of a full set that waits for its end, as it came.
struct waiting {
    struct waiting *next;       // came later
    struct sl_wire_entry entry; // points into text
    char text[];                // kind, key, body
};

struct apply {
    SL_MAGIC;
    struct apply_options options;
    struct sl_arena *arena;      // of one step
    struct waiting *waiting;     // of a full set, oldest first
    struct waiting **last;       // where the next one goes
    bool gathering;              // between full_begin and full_end
    struct sl_revision revision; // live
    char reason[256];            // why not newer; "" when it is
};

// One decoded entry of a step. `skip`: nothing to do for the image.
struct step {
    enum sl_kind kind;
    const char *key;
    struct sl_entry entry;
    bool skip, removes;
};

struct apply *
apply_new(const struct apply_options *options, struct sl_error *err)
{
    SL_AUTO(apply) apply = calloc(1, sizeof(*apply));
    if (apply == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    apply->magic = APPLY_MAGIC;
    apply->options = *options;
    apply->last = &apply->waiting;
    apply->arena = sl_arena_new(STEP_ARENA_MAX);
    if (apply->arena == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    return SL_TAKE(apply);
}

static void
drop_first(struct apply *apply)
{
    struct waiting *waiting = apply->waiting;
    apply->waiting = waiting->next;
    free(waiting);
}

static void
drop_waiting(struct apply *apply)
{
    while (apply->waiting != NULL) {
        drop_first(apply);
    }
    apply->last = &apply->waiting;
}

void
apply_free(struct apply **apply)
{
    if (apply != NULL && *apply != NULL) {
        drop_waiting(*apply);
        sl_arena_free(&(*apply)->arena);
        free(*apply);
        *apply = NULL;
    }
}

// Keeps the reason for reports; logs it when it is another than before. A content key that is not
// there is no alarm yet: after a rotation the next answer brings it.
static int
cannot(struct apply *apply, const char *what, const struct sl_error *err)
{
    char reason[sizeof(apply->reason)];
    snprintf(reason, sizeof(reason), "%.40s: %.200s", what,
             err->detail[0] != '\0' ? err->detail : sl_error_name(err->code));
    if (strcmp(reason, apply->reason) != 0) {
        memcpy(apply->reason, reason, sizeof(reason));
        sl_log_error(err->code == SL_E_SEAL_BROKEN ? SL_INFO : SL_ALERT,
                     "entries cannot be applied", err, SL_LOG_STR("what", what));
    }
    return -1;
}

static int
unseal(struct apply *apply, const struct sl_wire_entry *entry, struct sl_str *ret_plain,
       struct sl_error *err)
{
    char context[CONTEXT_MAX];
    snprintf(context, sizeof(context), "%s/%s/%s", apply->options.gateway_id, entry->kind,
             entry->key);
    return keys_unseal(apply->options.keys, apply->arena, sl_str(context), entry->body, ret_plain,
                       err);
}

// Opens and decodes one entry. -1: the whole step cannot be taken.
static int
prepare(struct apply *apply, const struct sl_wire_entry *entry, struct step *ret_step)
{
    struct sl_error err;
    ret_step->kind = sl_kind_find(entry->kind);
    ret_step->key = entry->key;
    ret_step->removes = entry->body.ptr == NULL;
    if (!ret_step->removes && entry->min_reader > SL_READER_VERSION) {
        sl_fail(&err, SL_E_ENTRY_BROKEN, entry->kind, "min_reader");
        sl_error_detail(&err, "an entry needs reader %u, this node has %d", entry->min_reader,
                        SL_READER_VERSION);
        return cannot(apply, "upgrade needed", &err);
    }
    if (ret_step->kind == SL_KIND_COUNT) {
        // Of no concern to this build, or it would ask for a newer reader.
        ret_step->skip = true;
        return 0;
    }
    struct sl_str plain;
    if (ret_step->removes) {
        return 0;
    }
    if (unseal(apply, entry, &plain, &err) != 0) {
        return cannot(apply, "content key", &err);
    }
    if (sl_entry_decode(apply->arena, ret_step->kind, plain, &ret_step->entry, &err) != 0) {
        sl_log_error(SL_ALERT, "an entry does not hold and is left out", &err,
                     SL_LOG_STR("kind", entry->kind), SL_LOG_STR("key", entry->key));
        ret_step->skip = true;
    }
    return 0;
}

static void
want_backend(struct apply *apply, const struct sl_entry *entry)
{
    if (entry->kind == SL_KIND_API && entry->api.backend_type != SL_BACKEND_MOCK) {
        resolve_want(apply->options.resolve, entry->api.http.host);
        for (size_t i = 0; i < entry->api.policy_count; i++) {
            resolve_want(apply->options.resolve, entry->api.policies[i].http.host);
        }
    }
    if (entry->kind == SL_KIND_CHANNEL) {
        for (size_t i = 0; i < entry->channel.member_count; i++) {
            resolve_want(apply->options.resolve, entry->channel.members[i].host);
        }
    }
}

static int
check_members(struct apply *apply, const struct sl_entry *entry)
{
    struct sl_error err;
    if (entry->kind == SL_KIND_CHANNEL && apply->options.checker != NULL &&
        checker_put(apply->options.checker, &entry->channel, &err) != 0) {
        return cannot(apply, "memory", &err);
    }
    return 0;
}

// Whether the image wants a commit for what the agent itself found out since the last one.
static bool
take_changes(struct apply *apply)
{
    bool resolved = resolve_take_changes(apply->options.resolve);
    bool checked = apply->options.checker != NULL && checker_take_changes(apply->options.checker);
    return resolved || checked;
}

static int
put(struct apply *apply, const char *key, const struct sl_entry *entry)
{
    struct sl_error err;
    if (entry->kind == SL_KIND_GATEWAY) {
        resolve_restrict(apply->options.resolve, &entry->gateway);
    }
    if (sl_image_builder_put(apply->options.builder, key, entry, &err) == 0) {
        want_backend(apply, entry);
        return check_members(apply, entry);
    }
    if (err.code != SL_E_ENTRY_BROKEN) {
        return cannot(apply, "memory", &err);
    }
    sl_log_error(SL_ALERT, "an entry cannot be served and is left out", &err,
                 SL_LOG_STR("key", key));
    return 0;
}

// Puts or removes what a step says.
static int
take(struct apply *apply, const struct step *step)
{
    if (step->removes) {
        sl_image_builder_remove(apply->options.builder, step->kind, step->key);
        return 0;
    }
    return put(apply, step->key, &step->entry);
}

static int
commit(struct apply *apply, const struct sl_revision *to)
{
    struct sl_error err;
    (void)take_changes(apply); // they go live with this commit
    if (sl_image_builder_commit(apply->options.builder, to->epoch, to->number, &err) != 0) {
        return cannot(apply, "shared memory", &err);
    }
    apply->revision = *to;
    apply->reason[0] = '\0';
    apply->options.on_live(apply->options.arg);
    return 0;
}

static struct step *
prepare_all(struct apply *apply, const struct sl_wire_entry *entries, size_t count)
{
    sl_arena_clear(apply->arena);
    struct step *steps = sl_arena_array(apply->arena, count + 1, sizeof(*steps));
    if (steps == NULL) {
        struct sl_error err;
        sl_fail(&err, SL_E_INTERNAL);
        cannot(apply, "memory", &err);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (prepare(apply, &entries[i], &steps[i]) != 0) {
            return NULL;
        }
    }
    return steps;
}

// -- a full set

static int
gather(struct apply *apply, const struct sl_wire_entry *entry)
{
    size_t kind_size = strlen(entry->kind) + 1;
    size_t key_size = strlen(entry->key) + 1;
    struct waiting *waiting = malloc(sizeof(*waiting) + kind_size + key_size + entry->body.len);
    if (waiting == NULL) {
        struct sl_error err;
        sl_fail(&err, SL_E_INTERNAL);
        return cannot(apply, "memory", &err);
    }
    waiting->next = NULL;
    waiting->entry = *entry;
    waiting->entry.kind = memcpy(waiting->text, entry->kind, kind_size);
    waiting->entry.key = memcpy(waiting->text + kind_size, entry->key, key_size);
    if (entry->body.ptr != NULL) {
        waiting->entry.body.ptr =
            memcpy(waiting->text + kind_size + key_size, entry->body.ptr, entry->body.len);
    }
    *apply->last = waiting;
    apply->last = &waiting->next;
    return 0;
}

static void
on_full_begin(void *arg)
{
    struct apply *apply = SL_CAST(apply, APPLY_MAGIC, arg);
    drop_waiting(apply);
    apply->gathering = true;
}

static void
on_full_abandon(void *arg)
{
    struct apply *apply = SL_CAST(apply, APPLY_MAGIC, arg);
    drop_waiting(apply);
    apply->gathering = false;
}

static int
replace_one(struct apply *apply, const struct sl_wire_entry *entry)
{
    struct step step = {0};
    sl_arena_clear(apply->arena);
    if (prepare(apply, entry, &step) != 0) {
        return -1;
    }
    return step.skip ? 0 : take(apply, &step);
}

static int
replace_all(struct apply *apply, const struct sl_revision *at)
{
    sl_image_builder_reset(apply->options.builder);
    for (const struct waiting *waiting = apply->waiting; waiting != NULL; waiting = waiting->next) {
        if (replace_one(apply, &waiting->entry) != 0) {
            return -1;
        }
    }
    return commit(apply, at);
}

// Each goes as it is noted: a set is large, and there once is enough.
static void
note_set(struct apply *apply, const struct sl_revision *at)
{
    struct durable *durable = apply->options.durable;
    durable_afresh(durable);
    while (apply->waiting != NULL) {
        durable_note(durable, &apply->waiting->entry);
        drop_first(apply);
    }
    durable_position(durable, at);
}

static int
on_full_end(void *arg, const struct sl_revision *at)
{
    struct apply *apply = SL_CAST(apply, APPLY_MAGIC, arg);
    apply->gathering = false;
    int status = replace_all(apply, at);
    if (status == 0) {
        note_set(apply, at);
    }
    drop_waiting(apply);
    if (status == 0) {
        sl_log(SL_INFO, "a full set is live", SL_LOG_STR("epoch", at->epoch),
               SL_LOG_INT("revision", at->number));
    }
    return status;
}

// -- steps

static int
take_all(struct apply *apply, const struct step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!steps[i].skip && take(apply, &steps[i]) != 0) {
            return -1;
        }
    }
    return 0;
}

static int
gather_all(struct apply *apply, const struct sl_wire_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (gather(apply, &entries[i]) != 0) {
            return -1;
        }
    }
    return 0;
}

static void
note_all(struct apply *apply, const struct sl_wire_entry *entries, size_t count,
         const struct sl_revision *to)
{
    struct durable *durable = apply->options.durable;
    for (size_t i = 0; i < count; i++) {
        durable_note(durable, &entries[i]);
    }
    durable_position(durable, to);
}

static int
on_apply(void *arg, const struct sl_wire_entry *entries, size_t count, const struct sl_revision *to)
{
    struct apply *apply = SL_CAST(apply, APPLY_MAGIC, arg);
    const struct step *steps = prepare_all(apply, entries, count);
    if (steps == NULL) {
        return -1;
    }
    if (apply->gathering) {
        return gather_all(apply, entries, count);
    }
    if (take_all(apply, steps, count) != 0 || commit(apply, to) != 0) {
        return -1;
    }
    note_all(apply, entries, count, to);
    return 0;
}

static void
on_extra(void *arg, json_t *reply)
{
    struct apply *apply = SL_CAST(apply, APPLY_MAGIC, arg);
    const json_t *box = json_object_get(reply, "content_key");
    struct sl_error err;
    if (!json_is_string(box)) {
        return;
    }
    struct sl_str bytes = {json_string_value(box), json_string_length(box)};
    if (bytes.len > 0 && keys_take(apply->options.keys, bytes, &err) != 0) {
        cannot(apply, "content key", &err);
    }
}

static void
on_confirmed(void *arg, const struct sl_revision *head)
{
    struct apply *apply = SL_CAST(apply, APPLY_MAGIC, arg);
    if (strcmp(head->epoch, apply->revision.epoch) != 0) {
        return;
    }
    if (head->number == apply->revision.number) {
        apply->reason[0] = '\0';
    } else if (head->number > apply->revision.number && commit(apply, head) == 0) {
        note_all(apply, NULL, 0, head); // the steps between had no entries
    }
}

struct sl_follow_hooks
apply_hooks(struct apply *apply)
{
    return (struct sl_follow_hooks){.full_begin = on_full_begin,
                                    .apply = on_apply,
                                    .full_end = on_full_end,
                                    .full_abandon = on_full_abandon,
                                    .extra = on_extra,
                                    .confirmed = on_confirmed,
                                    .arg = apply};
}

// -- from the store

static int
put_stored(void *arg, const struct sl_store_record *record, struct sl_error *err)
{
    struct apply *apply = arg;
    struct sl_wire_entry entry = {record->kind, record->key, record->revision, record->min_reader,
                                  record->body};
    struct step step = {0};
    sl_arena_clear(apply->arena);
    if (prepare(apply, &entry, &step) != 0 ||
        (!step.skip && put(apply, step.key, &step.entry) != 0)) {
        sl_fail(err, SL_E_SEAL_BROKEN);
        return sl_error_detail(err, "stored entry %s/%s: %s", record->kind, record->key,
                               apply->reason);
    }
    return 0;
}

int
apply_store(struct apply *apply, struct sl_store *store, struct sl_revision *ret_revision,
            struct sl_error *err)
{
    struct sl_revision at = {.epoch = ""};
    sl_store_position(store, at.epoch, &at.number);
    *ret_revision = (struct sl_revision){.epoch = ""};
    if (at.epoch[0] == '\0') {
        return 0; // whatever image there is goes on being served
    }
    if (sl_store_each(store, put_stored, apply, err) != 0) {
        sl_image_builder_reset(apply->options.builder);
        return -1;
    }
    if (commit(apply, &at) != 0) {
        sl_fail(err, SL_E_INTERNAL);
        return sl_error_detail(err, "%s", apply->reason);
    }
    *ret_revision = at;
    return 0;
}

void
apply_resolved(struct apply *apply)
{
    if (apply->revision.epoch[0] != '\0' && !apply->gathering && take_changes(apply)) {
        struct sl_revision same = apply->revision;
        (void)commit(apply, &same); // a failure is kept as the reason; the next change tries again
    }
}

struct sl_revision
apply_revision(const struct apply *apply)
{
    return apply->revision;
}

const char *
apply_reason(const struct apply *apply)
{
    return apply->reason;
}
