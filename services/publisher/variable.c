// variable.c - see variable.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/variable.h"

#include <string.h>

#define READ_SQL                                                                                   \
    "SELECT variable_name, variable_value FROM env_variable "                                      \
    "WHERE instance_id = $1 AND group_id = $2::jsonb ->> 'group_id' AND env_id = $3"

#define RESOLVED_MAX (64 * 1024) // far above what an address or a path may become

static const char functions_sql[] =
    "SELECT value FROM gateway_setting WHERE instance_id = $1 AND name = 'function_endpoint'"
    " AND value <> ''";

static int
read_functions(struct sl_tx *tx, struct sl_arena *arena, const struct variable_place *place,
               struct variables *variables, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (strstr(place->definition, "\"FUNCTION\"") == NULL) {
        return 0;
    }
    if (sl_sql(tx, arena, functions_sql, SL_PARAMS(SL_P_TEXT(place->gateway)), &rows, err) != 0) {
        return -1;
    }
    variables->functions = sl_rows_count(rows) > 0 ? sl_rows_text(rows, 0, 0) : NULL;
    return 0;
}

int
variables_read(struct sl_tx *tx, struct sl_arena *arena, const struct variable_place *place,
               struct variables *ret_variables, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    *ret_variables = (struct variables){.count = 0};
    if (read_functions(tx, arena, place, ret_variables, err) != 0) {
        return -1;
    }
    if (strchr(place->definition, '#') == NULL) {
        return 0;
    }
    // Whoever changes a variable locks its row before looking for who uses it: either the change
    // finds this publication, or this publication finds the change.
    const char *sql = place->hold ? READ_SQL " FOR SHARE" : READ_SQL;
    struct sl_params params = SL_PARAMS(SL_P_TEXT(place->gateway), SL_P_TEXT(place->definition),
                                        SL_P_TEXT(place->env_id));
    if (sl_sql(tx, arena, sql, params, &rows, err) != 0) {
        return -1;
    }
    size_t count = sl_rows_count(rows);
    struct variable *list = sl_arena_array(arena, count + 1, sizeof(*list));
    for (size_t i = 0; list != NULL && i < count; i++) {
        list[i] = (struct variable){sl_rows_text(rows, i, 0), sl_rows_text(rows, i, 1)};
    }
    ret_variables->list = list;
    ret_variables->count = count;
    return sl_arena_check(arena, err);
}

static const char *
find_value(const struct variables *variables, struct sl_str name)
{
    for (size_t i = 0; i < variables->count; i++) {
        if (sl_str_equal(sl_str(variables->list[i].name), name)) {
            return variables->list[i].value;
        }
    }
    return NULL;
}

int
variables_resolve(struct sl_arena *arena, const struct variables *variables, const char *text,
                  const char **ret_text, struct sl_error *err)
{
    SL_AUTO_BUF resolved;
    sl_buf_init(&resolved, RESOLVED_MAX);
    struct sl_str rest = sl_str(text);
    // Cut at each #, every second part is a name.
    for (bool is_name = false; rest.ptr != NULL; is_name = !is_name) {
        struct sl_str part = sl_str_split(&rest, '#');
        const char *value = is_name ? find_value(variables, part) : NULL;
        if (is_name && value == NULL) {
            return sl_fail(err, SL_E_VARIABLE_UNDEFINED, sl_arena_dupn(arena, part.ptr, part.len));
        }
        sl_buf_add(&resolved, is_name ? value : part.ptr, is_name ? strlen(value) : part.len);
    }
    *ret_text = sl_arena_dupn(arena, resolved.ptr, resolved.len);
    return resolved.failed ? sl_fail(err, SL_E_INTERNAL) : sl_arena_check(arena, err);
}
