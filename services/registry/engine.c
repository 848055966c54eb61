// engine.c - finding the descriptor and the verb; reading one row.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/engine.h"

#include "services/registry/engine_write.h"
#include "services/registry/secret.h"

#include <stdlib.h>
#include <string.h>

// A read takes a few hundred microseconds; one that takes this long waits for something.
#define PATIENCE_MS 20

typedef int run_fn(struct sl_call *call, struct sl_reply *reply, mutation_work_fn *work,
                   struct sl_error *err);

// A verb: the frame it runs in, what it does, and what a descriptor must have for it.
struct verb {
    const char *name;
    run_fn *run;
    mutation_work_fn *work;
    bool needs_list;   // offered by resources with a list
    bool needs_insert; // offered by resources with columns of their own
    bool needs_delete; // offered by resources whose rows are their own
    bool needs_whole;  // offered by resources that one statement makes
};

static mutation_work_fn read_ask;
static mutation_work_fn read_answer;
static mutation_work_fn read_work;
static mutation_work_fn list_work;

static const struct verb verbs[] = {
    {"create", mutation_run_whole, engine_create_whole, false, true, false, true},
    {"create", mutation_run_optimistic, engine_create_work, false, true, false, false},
    {"delete", mutation_run_lookup, engine_delete_work, false, false, true, false},
    {"list", snapshot_run, list_work, true, false, false, false},
    {"read", lookup_run, read_work, false, false, false, false},
    {"update", mutation_run_lookup, engine_update_work, false, true, false, false},
};

const struct resource *
resource_find(const char *name, size_t len)
{
    for (size_t i = 0; i < resource_count; i++) {
        const char *own = resource_table[i].name;
        if (strlen(own) == len && memcmp(own, name, len) == 0) {
            return &resource_table[i];
        }
    }
    return NULL;
}

const struct resource *
engine_resource(const struct sl_command *command)
{
    return resource_find(command->name, strcspn(command->name, "."));
}

static bool
is_offered(const struct resource *resource, const struct verb *verb)
{
    return (!verb->needs_list || resource->list_key != NULL) &&
           (!verb->needs_insert || resource->sql_insert != NULL) &&
           (!verb->needs_delete || resource->sql_delete != NULL) &&
           (!verb->needs_whole || resource->is_made_whole);
}

static const struct verb *
find_verb(const struct resource *resource, const char *name)
{
    for (size_t i = 0; i < SL_COUNT(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0 && is_offered(resource, &verbs[i])) {
            return &verbs[i];
        }
    }
    return NULL;
}

// The verb of `<resource>.<verb>`; NULL for what no descriptor offers.
static const struct verb *
verb_of(const char *name)
{
    size_t len = strcspn(name, ".");
    const struct resource *resource = resource_find(name, len);
    return resource != NULL && name[len] == '.' ? find_verb(resource, name + len + 1) : NULL;
}

// Only a read asks for nothing that depends on an answer.
static bool
goes_together(const char *name)
{
    const struct verb *verb = verb_of(name);
    return verb != NULL && verb->work == read_work;
}

// One that cannot be asked with the others is run by itself when its turn comes.
static int
ask_together(struct sl_call *call, struct sl_error *err)
{
    const struct registry *registry = call->context;
    call->asked = lookup_ask(call, read_ask, err);
    bool is_broken = registry->shared != NULL && sl_tx_is_broken(registry->shared);
    return call->asked != NULL || is_broken ? 0 : -1;
}

const struct sl_together engine_together = {
    .patience_ms = PATIENCE_MS, .takes = goes_together, .ask = ask_together, .end = lookup_end};

int
engine_handle(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    struct registry *registry = call->context;
    const char *name = call->command->name;
    const struct verb *verb = verb_of(name);
    if (verb == NULL) {
        return sl_fail(err, SL_E_COMMAND_UNKNOWN, name);
    }
    if (call->asked != NULL && registry->shared != NULL) {
        int rc = lookup_answer(call->asked, reply, read_answer, err);
        if (rc == 0 || registry->shared != NULL) {
            return rc;
        }
    }
    lookup_end(registry); // it has a transaction of its own
    return verb->run(call, reply, verb->work, err);
}

const char *
command_path(const struct sl_command *command, const char *name)
{
    const char *value = json_string_value(json_object_get(command->path, name));
    return value != NULL ? value : "";
}

static void
release_json(void *value)
{
    json_decref(value);
}

int
engine_keep(struct sl_arena *arena, json_t *value, struct sl_error *err)
{
    if (value == NULL || sl_arena_defer(arena, release_json, value) != 0) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    return 0;
}

int
engine_parse(struct sl_arena *arena, const char *text, json_t **ret_value, struct sl_error *err)
{
    json_t *value = json_loads(text, 0, NULL);
    if (engine_keep(arena, value, err) != 0) {
        return -1;
    }
    *ret_value = value;
    return 0;
}

int
engine_dump(struct sl_arena *arena, const json_t *value, struct sl_str *ret_text,
            struct sl_error *err)
{
    size_t size = json_dumpb(value, NULL, 0, JSON_COMPACT);
    char *text = sl_arena_alloc(arena, size + 1);
    if (size == 0 || text == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    json_dumpb(value, text, size, JSON_COMPACT);
    *ret_text = (struct sl_str){text, size};
    return 0;
}

int
engine_element(struct mutation *m, const struct resource *resource, const struct sl_rows *rows,
               size_t row, struct sl_str *ret_text, struct sl_error *err)
{
    json_t *body = NULL;
    const char *text = sl_rows_text(rows, row, 0);
    if (resource->secrets[0].field == NULL) {
        *ret_text = sl_str(text);
        return 0;
    }
    if (engine_parse(m->arena, text, &body, err) != 0 ||
        secret_fill(m->registry, resource, rows, row, body, err) != 0) {
        return -1;
    }
    return engine_dump(m->arena, body, ret_text, err);
}

int
engine_read_later(struct mutation *m, const struct resource *resource, const char *id,
                  struct sl_later **ret_read, struct sl_error *err)
{
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(m->project), SL_P_TEXT(id));
    return sl_sql_later(m->tx, m->arena, resource->sql_read, params, ret_read, err);
}

int
engine_read_body(struct mutation *m, const struct resource *resource, struct sl_later *read,
                 const char *id, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql_rows(read, &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, resource->not_found, id);
    }
    return engine_element(m, resource, rows, 0, &m->body, err);
}

int
engine_read(struct mutation *m, const struct resource *resource, const char *id,
            struct sl_error *err)
{
    struct sl_later *read = NULL;
    if (engine_read_later(m, resource, id, &read, err) != 0) {
        return -1;
    }
    return engine_read_body(m, resource, read, id, err);
}

int
engine_owner_later(struct mutation *m, const struct resource *resource, const char *id,
                   struct owner *ret_owner, struct sl_error *err)
{
    const struct resource_reference *owner = &resource->owner;
    *ret_owner = (struct owner){.id = NULL};
    if (owner->column == NULL) {
        return 0;
    }
    const char *value = json_string_value(json_object_get(m->command->path, owner->column));
    if (value == NULL) {
        value = engine_value(m->arena, json_object_get(m->command->query, owner->column));
    }
    if (value == NULL) {
        return 0;
    }
    ret_owner->id = value;
    if (sl_sql_later(m->tx, m->arena, owner->sql,
                     SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(value)), &ret_owner->exists,
                     err) != 0) {
        return -1;
    }
    if (id == NULL || resource->sql_owned == NULL) {
        return 0;
    }
    return sl_sql_later(m->tx, m->arena, resource->sql_owned,
                        SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(id), SL_P_TEXT(value)),
                        &ret_owner->owns, err);
}

int
engine_owner_check(const struct resource *resource, const char *id, const struct owner *owner,
                   struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (owner->exists == NULL) {
        return 0;
    }
    if (sl_sql_rows(owner->exists, &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, resource->owner.refuse, owner->id);
    }
    if (owner->owns == NULL) {
        return 0;
    }
    if (sl_sql_rows(owner->owns, &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 1 ? 0 : sl_fail(err, resource->not_found, id);
}

// What a read waits for.
struct asked {
    struct owner owner;    //
    struct sl_later *read; //
};

static int
read_ask(struct mutation *m, struct sl_error *err)
{
    const struct resource *resource = engine_resource(m->command);
    const char *id = command_path(m->command, resource->id_parameter);
    struct asked *asked = sl_arena_alloc(m->arena, sizeof(*asked));
    if (asked == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    m->asked = asked;
    if (engine_owner_later(m, resource, id, &asked->owner, err) != 0) {
        return -1;
    }
    return engine_read_later(m, resource, id, &asked->read, err);
}

static int
read_answer(struct mutation *m, struct sl_error *err)
{
    const struct resource *resource = engine_resource(m->command);
    const char *id = command_path(m->command, resource->id_parameter);
    const struct asked *asked = m->asked;
    if (engine_owner_check(resource, id, &asked->owner, err) != 0) {
        return -1;
    }
    return engine_read_body(m, resource, asked->read, id, err);
}

static int
read_work(struct mutation *m, struct sl_error *err)
{
    return read_ask(m, err) != 0 ? -1 : read_answer(m, err);
}

static int
list_work(struct mutation *m, struct sl_error *err)
{
    return engine_list(m, engine_resource(m->command), &m->body, err);
}
