// engine_list.c - lists: ids picked on the base table, then the view read for that page only.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "services/registry/engine_write.h"

#include <stdio.h>
#include <string.h>

#define LIMIT_DEFAULT 20    // page size when none, or none that makes sense, is asked for
#define LIMIT_MAX     500   // larger page sizes count as this
#define SQL_MAX       16384 // bytes of a list's statement
#define PARAMS_MAX    32    // gateway, project, page and one a filter

// A statement being put together with its parameters.
struct query {
    struct sl_buf where;                // conditions after the tenant's
    struct sl_param params[PARAMS_MAX]; // $1 gateway, $2 project, then the filters'
    size_t count;                       //
};

static bool
is_word_of(const char *list, const char *word)
{
    struct sl_str rest = sl_str(list);
    while (rest.ptr != NULL) {
        struct sl_str part = sl_str_trim(sl_str_split(&rest, ','));
        if (sl_str_equal(part, sl_str(word))) {
            return true;
        }
    }
    return false;
}

const char *
engine_value(struct sl_arena *arena, const json_t *value)
{
    if (json_is_integer(value)) {
        return sl_arena_printf(arena, "%lld", (long long)json_integer_value(value));
    }
    const char *text = json_string_value(value);
    return text != NULL && text[0] != '\0' ? text : NULL;
}

const char *
engine_pattern(struct sl_arena *arena, const char *text)
{
    char *pattern = sl_arena_alloc(arena, 2 * strlen(text) + 3);
    if (pattern == NULL) {
        return NULL;
    }
    char *to = pattern;
    *to++ = '%';
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '%' || *at == '_' || *at == '\\') {
            *to++ = '\\';
        }
        *to++ = *at;
    }
    *to = '%';
    return pattern;
}

static void
add_condition(struct query *query, const char *condition, const char *value)
{
    const char *hole = strstr(condition, "{}");
    assert(hole != NULL && query->count < PARAMS_MAX);
    query->params[query->count++] = SL_P_TEXT(value);
    sl_buf_addf(&query->where, " AND %.*s$%zu%s", (int)(hole - condition), condition, query->count,
                hole + 2);
}

// Adds the filters that the query names; *ret_filtered tells whether there was one.
static void
add_filters(struct mutation *m, const struct resource *resource, struct query *query,
            bool *ret_filtered)
{
    const char *precise = json_string_value(json_object_get(m->command->query, "precise_search"));
    *ret_filtered = resource->parent != NULL;
    if (resource->parent != NULL) {
        const char *condition = sl_arena_printf(m->arena, "t.%s = {}", resource->parent);
        if (condition != NULL) {
            add_condition(query, condition, command_path(m->command, resource->parent));
        }
    }
    for (const struct resource_filter *f = resource->filters; f->parameter != NULL; f++) {
        const json_t *given = json_object_get(m->command->query, f->parameter);
        if (given == NULL) {
            given = json_object_get(m->command->path, f->parameter);
        }
        const char *value = engine_value(m->arena, given);
        if (value == NULL) {
            continue;
        }
        *ret_filtered = true;
        if (f->precise == NULL) {
            add_condition(query, f->condition, value);
        } else if (precise != NULL && (is_word_of(precise, f->parameter) ||
                                       (f->alias != NULL && is_word_of(precise, f->alias)))) {
            add_condition(query, f->precise, value);
        } else {
            add_condition(query, f->condition, engine_pattern(m->arena, value));
        }
    }
}

static int64_t
query_integer(const struct sl_command *command, const char *name, int64_t fallback)
{
    const json_t *value = json_object_get(command->query, name);
    return json_is_integer(value) ? (int64_t)json_integer_value(value) : fallback;
}

int64_t
engine_limit(const struct sl_command *command)
{
    int64_t limit = query_integer(command, "limit", LIMIT_DEFAULT);
    if (limit <= 0) {
        return LIMIT_DEFAULT;
    }
    return limit > LIMIT_MAX ? LIMIT_MAX : limit;
}

int64_t
engine_offset(const struct sl_command *command)
{
    int64_t offset = query_integer(command, "offset", 0);
    return offset < 0 ? 0 : offset;
}

// Every statement asks for the caller's gateway itself.
#define TENANT                                                                                     \
    "t.instance_id = $1 AND EXISTS (SELECT FROM instance WHERE id = $1 AND project_id = $2)"

// How many rows there are when nothing is filtered: what the quota counts, else a count. NULL when
// memory is out.
static const char *
total_sql(struct mutation *m, const struct resource *resource, struct query *query)
{
    if (resource->quotas[0].name == NULL || resource->quotas[0].scope != NULL) {
        return sl_arena_printf(m->arena, "SELECT count(*) FROM %s t WHERE " TENANT,
                               resource->table);
    }
    query->params[query->count++] = SL_P_TEXT(resource->quotas[0].name);
    return sl_arena_printf(m->arena,
                           "SELECT coalesce((SELECT used FROM quota_spent WHERE instance_id ="
                           " $1 AND quota = $%zu AND scope = ''), 0)",
                           query->count);
}

// All rows in their order, read as far as the page goes.
static const char *
all_sql(struct mutation *m, const struct resource *resource, struct query *query)
{
    const char *total = total_sql(m, resource, query);
    return sl_arena_printf(m->arena,
                           "SELECT (%s), ARRAY(SELECT t.id FROM %s t WHERE " TENANT
                           " ORDER BY %s LIMIT $%zu::bigint OFFSET $%zu::bigint)::text[]",
                           total, resource->table, resource->list_order, query->count + 1,
                           query->count + 2);
}

// What the filters leave, read once, then counted and ordered. MATERIALIZED also keeps PostgreSQL
// from walking the rows in their order, past everything that does not match, where it guesses that
// most do.
static const char *
filtered_sql(struct mutation *m, const struct resource *resource, const struct query *query)
{
    return sl_arena_printf(m->arena,
                           "WITH found AS MATERIALIZED (SELECT %s FROM %s t WHERE " TENANT
                           "%s) SELECT (SELECT count(*) FROM found), ARRAY(SELECT t.id FROM found t"
                           " ORDER BY %s LIMIT $%zu::bigint OFFSET $%zu::bigint)::text[]",
                           resource->list_columns, resource->table, query->where.ptr,
                           resource->list_order, query->count + 1, query->count + 2);
}

// The total, and the ids of the page in its order. This plan is made for the values asked for, at
// every request: how many rows match depends on nothing more than on them. So no view is in it, and
// the table but once: it has many indexes to choose from.
static int
queue_ids(struct mutation *m, const struct resource *resource, struct query *query, bool filtered,
          struct sl_later **ret_ids, struct sl_error *err)
{
    const char *sql = filtered ? filtered_sql(m, resource, query) : all_sql(m, resource, query);
    if (sl_arena_check(m->arena, err) != 0) {
        return -1;
    }
    query->params[query->count++] = SL_P_INT(engine_limit(m->command));
    query->params[query->count++] = SL_P_INT(engine_offset(m->command));
    struct sl_params params = {query->params, query->count};
    return sl_sql_built_later(m->tx, m->arena, sql, params, ret_ids, err);
}

// The elements of a page, by its ids. Views take long to plan, so this plan is made once and serves
// all pages: the array is hidden in a subquery, lest a plan for its length seem cheaper.
//
// `OFFSET 0` keeps PostgreSQL from reading the view as a whole to join it with the page.
static int
queue_elements(struct mutation *m, const struct resource *resource, const char *ids,
               struct sl_later **ret_elements, struct sl_error *err)
{
    const struct resource_hooks *hooks = resource->hooks;
    const char *column = "body";
    if (hooks != NULL && hooks->list_column != NULL) {
        column = hooks->list_column(m->command->query);
    }
    const char *sql = sl_arena_printf(
        m->arena,
        "SELECT l.* FROM unnest((SELECT $2::text[])) WITH ORDINALITY page (id, n) CROSS JOIN"
        " LATERAL (SELECT v.%s::text%s FROM %s v%s WHERE v.instance_id = $1 AND v.id = page.id"
        " OFFSET 0) l ORDER BY page.n",
        column, resource->secret_columns, resource->list_view, resource->secret_join);
    if (sl_arena_check(m->arena, err) != 0) {
        return -1;
    }
    return sl_sql_built_later(m->tx, m->arena, sql,
                              SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(ids)), ret_elements, err);
}

// `rows` is NULL when the page has no elements.
static int
write_page(struct mutation *m, const struct resource *resource, int64_t total,
           const struct sl_rows *rows, struct sl_str *ret_body, struct sl_error *err)
{
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, SL_MESSAGE_MAX);
    size_t count = rows == NULL ? 0 : sl_rows_count(rows);
    sl_buf_addf(&buf, "{\"total\":%lld,\"size\":%zu,\"%s\":[", (long long)total, count,
                resource->list_key);
    for (size_t i = 0; i < count; i++) {
        struct sl_str element = {NULL, 0};
        if (engine_element(m, resource, rows, i, &element, err) != 0) {
            return -1;
        }
        if (i > 0) {
            sl_buf_addc(&buf, ',');
        }
        sl_buf_add(&buf, element.ptr, element.len);
    }
    sl_buf_adds(&buf, "]}");
    char *body = buf.failed ? NULL : sl_arena_dupn(m->arena, buf.ptr, buf.len);
    if (body == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    *ret_body = (struct sl_str){body, buf.len};
    return 0;
}

static int
read_page(struct mutation *m, const struct resource *resource, const struct sl_rows *ids,
          struct sl_str *ret_body, struct sl_error *err)
{
    struct sl_later *elements = NULL;
    struct sl_rows *rows = NULL;
    const char *list = sl_rows_text(ids, 0, 1);
    // What was found is in the caller's gateway; nothing may have been found as it is another's.
    bool none = strcmp(list, "{}") == 0;
    if (none ? mutation_gateway(m, err) != 0
             : queue_elements(m, resource, list, &elements, err) != 0) {
        return -1;
    }
    if (sl_tx_commit(&m->tx, err) != 0 ||
        (elements != NULL && sl_sql_rows(elements, &rows, err) != 0)) {
        return -1;
    }
    return write_page(m, resource, sl_rows_int(ids, 0, 0), rows, ret_body, err);
}

static int
run_list(struct mutation *m, const struct resource *resource, struct query *query,
         struct sl_str *ret_body, struct sl_error *err)
{
    bool filtered = false;
    struct owner owner;
    struct sl_later *ids = NULL;
    struct sl_rows *rows = NULL;
    sl_buf_adds(&query->where, "");
    add_filters(m, resource, query, &filtered);
    if (query->where.failed || sl_arena_check(m->arena, err) != 0) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    if (engine_owner_later(m, resource, NULL, &owner, err) != 0 ||
        queue_ids(m, resource, query, filtered, &ids, err) != 0 ||
        engine_owner_check(resource, NULL, &owner, err) != 0 || sl_sql_rows(ids, &rows, err) != 0) {
        return -1;
    }
    return read_page(m, resource, rows, ret_body, err);
}

int
engine_list(struct mutation *m, const struct resource *resource, struct sl_str *ret_body,
            struct sl_error *err)
{
    struct query query = {.count = 2};
    query.params[0] = SL_P_TEXT(m->instance);
    query.params[1] = SL_P_TEXT(m->project);
    sl_buf_init(&query.where, SQL_MAX);
    int rc = run_list(m, resource, &query, ret_body, err);
    sl_buf_clear(&query.where);
    return rc;
}
