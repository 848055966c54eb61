// engine_write.c - create, update and delete.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/engine_write.h"

#include "common/base/limits.h"
#include "common/crypto/crypto.h"

#include <stdio.h>

#define REFERENCES_MAX 8 // of one descriptor

typedef int hook_fn(struct change *change, struct sl_error *err);

static int
run_hook(hook_fn *hook, struct change *change, struct sl_error *err)
{
    return hook != NULL ? hook(change, err) : 0;
}

static const struct resource_hooks *
hooks_of(const struct resource *resource)
{
    static const struct resource_hooks none = {0};
    return resource->hooks != NULL ? resource->hooks : &none;
}

// A violated constraint knows no arguments; most messages want the id of the row.
static int
name_row(struct sl_error *err, const char *id)
{
    if (err != NULL && err->args[0][0] == '\0') {
        snprintf(err->args[0], sizeof(err->args[0]), "%s", id);
    }
    return -1;
}

// The columns that the body sets. A null counts as absent.
static int
row_of_body(struct mutation *m, const struct resource *resource, const json_t *body,
            json_t **ret_row, struct sl_error *err)
{
    json_t *row = json_object();
    if (engine_keep(m->arena, row, err) != 0) {
        return -1;
    }
    for (const struct resource_field *f = resource->writable; f->field != NULL; f++) {
        json_t *value = json_object_get(body, f->field);
        if (value != NULL && !json_is_null(value)) {
            json_object_set(row, f->column, value);
        }
    }
    *ret_row = row;
    return 0;
}

static int
begin_change(struct mutation *m, const struct resource *resource, struct change *ret_change,
             struct sl_error *err)
{
    json_t *empty = json_object();
    if (engine_keep(m->arena, empty, err) != 0) {
        return -1;
    }
    const json_t *body = m->command->body != NULL ? m->command->body : empty;
    *ret_change = (struct change){.m = m, .resource = resource, .body = body};
    return row_of_body(m, resource, body, &ret_change->row, err);
}

// What a change reads before it writes: one round trip, with the frame's.
struct ahead {
    struct owner owner;                          //
    struct sl_later *locked;                     // the row; NULL when creating
    struct sl_later *references[REFERENCES_MAX]; // NULL: the row does not name one
};

static int
queue_references(const struct change *change, struct ahead *ahead, struct sl_error *err)
{
    struct mutation *m = change->m;
    const struct resource_reference *references = change->resource->references;
    for (size_t i = 0; references[i].column != NULL; i++) {
        const char *id = json_string_value(json_object_get(change->row, references[i].column));
        assert(i < REFERENCES_MAX);
        if (id != NULL && sl_sql_later(m->tx, m->arena, references[i].sql,
                                       SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(id)),
                                       &ahead->references[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int
check_references(const struct change *change, const struct ahead *ahead, struct sl_error *err)
{
    const struct resource_reference *references = change->resource->references;
    for (size_t i = 0; references[i].column != NULL; i++) {
        struct sl_rows *rows = NULL;
        if (ahead->references[i] == NULL) {
            continue;
        }
        if (sl_sql_rows(ahead->references[i], &rows, err) != 0) {
            return -1;
        }
        if (sl_rows_count(rows) == 0) {
            return sl_fail(err, references[i].refuse,
                           json_string_value(json_object_get(change->row, references[i].column)));
        }
    }
    return 0;
}

int
engine_touch(struct mutation *m, const struct resource *resource, const json_t *row,
             struct sl_error *err)
{
    for (const struct resource_runtime *r = resource->runtime; r->kind != NULL; r++) {
        const char *key = json_string_value(json_object_get(row, r->column));
        if (key != NULL && mutation_touch(m, r->kind, key, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int
engine_quota(struct mutation *m, const struct resource *resource, const json_t *row, int64_t units,
             struct sl_error *err)
{
    for (const struct resource_quota *q = resource->quotas; q->name != NULL; q++) {
        const char *scope = "";
        if (q->scope != NULL) {
            scope = json_string_value(json_object_get(row, q->scope));
        }
        struct mutation_quota change = {
            .quota = {.instance = m->instance,
                      .name = q->name,
                      .scope = sl_arena_dup(m->arena, scope),
                      .fallback = q->limit},
            .units = units,
        };
        if (mutation_quota(m, &change, err) != 0) {
            return -1;
        }
    }
    return 0;
}

// Runs the insert or update of the row, and reads it for the reply; m->outcome.after is the row.
static int
write_row(const struct change *change, const char *sql, struct sl_later **ret_read,
          struct sl_error *err)
{
    struct mutation *m = change->m;
    struct sl_str row = {NULL, 0};
    struct sl_rows *rows = NULL;
    struct sl_later *written = NULL;
    if (engine_dump(m->arena, change->row, &row, err) != 0) {
        return -1;
    }
    if (sl_sql_later(m->tx, m->arena, sql,
                     SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(m->project), SL_P_TEXT(change->id),
                               SL_P_TEXT(row.ptr)),
                     &written, err) != 0) {
        return -1;
    }
    bool reads = hooks_of(change->resource)->reply == NULL;
    if (reads && engine_read_later(m, change->resource, change->id, ret_read, err) != 0) {
        return -1;
    }
    if (sl_sql_rows(written, &rows, err) != 0) {
        return name_row(err, change->id);
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, change->resource->not_found, change->id);
    }
    m->outcome.after = sl_rows_text(rows, 0, 0);
    return 0;
}

// Hooks, the statement, what depends on the row, the reply.
static int
write_change(struct change *change, const char *sql, struct sl_error *err)
{
    struct mutation *m = change->m;
    const struct resource_hooks *hooks = hooks_of(change->resource);
    struct sl_later *read = NULL;
    json_t *after = NULL;
    if (run_hook(hooks->before_write, change, err) != 0 ||
        write_row(change, sql, &read, err) != 0 ||
        engine_parse(m->arena, m->outcome.after, &after, err) != 0) {
        return -1;
    }
    change->after = after;
    m->outcome.object_id = change->id;
    if (run_hook(hooks->after_write, change, err) != 0 ||
        engine_touch(m, change->resource, after, err) != 0) {
        return -1;
    }
    if (hooks->reply != NULL) {
        return hooks->reply(change, err);
    }
    return engine_read_body(m, change->resource, read, change->id, err);
}

// What a new row refers to is a foreign key each, so only a refusal asks which of them is missing.
static int
explain_create(struct mutation *m, struct sl_error *err)
{
    const struct change *change = m->explained;
    struct ahead ahead = {.locked = NULL};
    return queue_references(change, &ahead, err) != 0 ? -1 : check_references(change, &ahead, err);
}

// A row to make, with an id of its own; NULL with *err filled.
static struct change *
begin_creation(struct mutation *m, struct sl_error *err)
{
    const struct resource *resource = engine_resource(m->command);
    struct change *change = sl_arena_alloc(m->arena, sizeof(*change));
    char id[SL_ID_SIZE];
    if (change == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    if (begin_change(m, resource, change, err) != 0) {
        return NULL;
    }
    sl_random_id(id);
    change->id = sl_arena_dup(m->arena, id);
    if (change->id == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    if (resource->parent != NULL) {
        json_object_set_new(change->row, resource->parent,
                            json_string(command_path(m->command, resource->parent)));
    }
    m->explain = explain_create;
    m->explained = change;
    return change;
}

int
engine_create_work(struct mutation *m, struct sl_error *err)
{
    struct change *change = begin_creation(m, err);
    return change == NULL || write_change(change, change->resource->sql_insert, err) != 0
               ? -1
               : engine_quota(m, change->resource, change->after, 1, err);
}

// What the hook looked at may have gone before the statement came: then it refuses the body now.
static int
explain_whole(struct mutation *m, struct sl_error *err)
{
    if (explain_create(m, err) != 0) {
        return -1;
    }
    struct change *again = begin_creation(m, err);
    return again == NULL ? -1 : run_hook(hooks_of(again->resource)->before_write, again, err);
}

int
engine_create_whole(struct mutation *m, struct sl_error *err)
{
    struct change *change = begin_creation(m, err);
    struct sl_str row = {NULL, 0};
    struct sl_rows *rows = NULL;
    m->explain = explain_whole;
    if (change == NULL || run_hook(hooks_of(change->resource)->before_write, change, err) != 0 ||
        engine_dump(m->arena, change->row, &row, err) != 0) {
        return -1;
    }
    struct sl_params params = SL_PARAMS(
        SL_P_TEXT(m->instance), SL_P_TEXT(m->project), SL_P_TEXT(change->id), SL_P_TEXT(row.ptr),
        SL_P_TEXT(m->who.command_id), SL_P_TEXT(m->who.request_id), SL_P_TEXT(m->who.command),
        SL_P_TEXT(m->who.actor), SL_P_INT(sl_error_status(SL_E_OK)));
    if (sl_sql(m->tx, m->arena, change->resource->sql_insert, params, &rows, err) != 0) {
        return name_row(err, change->id);
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, change->resource->not_found, change->id);
    }
    m->body = sl_str(sl_rows_text(rows, 0, 0));
    return 0;
}

// Queues a lock of the row, which also reads it as it is.
static int
queue_lock(const struct change *change, const char *sql, struct ahead *ahead, struct sl_error *err)
{
    struct mutation *m = change->m;
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(m->project), SL_P_TEXT(change->id));
    return sl_sql_later(m->tx, m->arena, sql, params, &ahead->locked, err);
}

static int
check_lock(struct change *change, const struct ahead *ahead, struct sl_error *err)
{
    struct mutation *m = change->m;
    struct sl_rows *rows = NULL;
    json_t *before = NULL;
    if (sl_sql_rows(ahead->locked, &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, change->resource->not_found, change->id);
    }
    m->outcome.before = sl_rows_text(rows, 0, 0);
    if (engine_parse(m->arena, m->outcome.before, &before, err) != 0) {
        return -1;
    }
    change->before = before;
    return 0;
}

// The row locked by `sql` and read, its references checked; `ahead` may hold questions about its
// owner.
static int
open_row(struct change *change, const char *sql, struct ahead *ahead, struct sl_error *err)
{
    if (queue_lock(change, sql, ahead, err) != 0 || queue_references(change, ahead, err) != 0 ||
        mutation_open(change->m, err) != 0 ||
        engine_owner_check(change->resource, change->id, &ahead->owner, err) != 0) {
        return -1;
    }
    return check_lock(change, ahead, err);
}

static int
update_row(struct change *change, struct ahead *ahead, struct sl_error *err)
{
    if (open_row(change, change->resource->sql_lock, ahead, err) != 0 ||
        check_references(change, ahead, err) != 0) {
        return -1;
    }
    return write_change(change, change->resource->sql_update, err);
}

int
engine_update(struct mutation *m, const struct resource *resource, const char *id, json_t *row,
              struct sl_error *err)
{
    struct change change;
    struct ahead ahead = {.locked = NULL};
    if (begin_change(m, resource, &change, err) != 0) {
        return -1;
    }
    change.id = id;
    if (row != NULL) {
        change.row = row;
    }
    return update_row(&change, &ahead, err);
}

int
engine_update_work(struct mutation *m, struct sl_error *err)
{
    const struct resource *resource = engine_resource(m->command);
    struct change change;
    struct ahead ahead = {.locked = NULL};
    if (begin_change(m, resource, &change, err) != 0) {
        return -1;
    }
    change.id = command_path(m->command, resource->id_parameter);
    if (engine_owner_later(m, resource, change.id, &ahead.owner, err) != 0) {
        return -1;
    }
    return update_row(&change, &ahead, err);
}

int
engine_delete_work(struct mutation *m, struct sl_error *err)
{
    const struct resource *resource = engine_resource(m->command);
    struct change change;
    struct ahead ahead = {.locked = NULL};
    if (begin_change(m, resource, &change, err) != 0) {
        return -1;
    }
    json_object_clear(change.row);
    change.id = command_path(m->command, resource->id_parameter);
    if (engine_owner_later(m, resource, change.id, &ahead.owner, err) != 0 ||
        open_row(&change, resource->sql_claim, &ahead, err) != 0 ||
        run_hook(hooks_of(resource)->before_delete, &change, err) != 0 ||
        engine_touch(m, resource, change.before, err) != 0) {
        return -1;
    }
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(m->project), SL_P_TEXT(change.id));
    if (sl_sql(m->tx, m->arena, resource->sql_delete, params, NULL, err) != 0) {
        return name_row(err, change.id);
    }
    m->outcome.object_id = change.id;
    return run_hook(hooks_of(resource)->after_delete, &change, err) != 0
               ? -1
               : engine_quota(m, resource, change.before, -1, err);
}
