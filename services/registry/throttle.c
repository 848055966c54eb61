// throttle.c - what is special about throttling policies: no limit exceeds the wider one, a window
// has at most 10^9 seconds (31 years), and what belongs to a policy goes with it.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

#include <string.h>

#define WINDOW_MAX_S 1000000000 // so that the number of a window, from 1970 on, is never 0

// A limit and the ones that it may not exceed, the closest first; absent ones do not count.
struct bound {
    const char *narrow;
    const char *wide;
};

static const struct bound bounds[] = {
    {"user_call_limits", "api_call_limits"},
    {"app_call_limits", "user_call_limits"},
    {"app_call_limits", "api_call_limits"},
    {"ip_call_limits", "api_call_limits"},
};

static const struct unit {
    const char *name;
    uint32_t seconds;
} units[] = {{"SECOND", 1}, {"MINUTE", 60}, {"HOUR", 3600}, {"DAY", 86400}};

// What the column will hold, or NULL.
static const json_t *
after(const struct change *change, const char *column)
{
    const json_t *value = json_object_get(change->row, column);
    return value != NULL ? value : json_object_get(change->before, column);
}

// The value that the column will have, or 0 when it has none.
static json_int_t
value_after(const struct change *change, const char *column)
{
    return json_integer_value(after(change, column));
}

int
throttle_check_window(const struct change *change, struct sl_error *err)
{
    const char *unit = json_string_value(after(change, "time_unit"));
    json_int_t interval = value_after(change, "time_interval");
    for (size_t i = 0; i < SL_COUNT(units); i++) {
        if (unit != NULL && strcmp(units[i].name, unit) == 0 &&
            interval > WINDOW_MAX_S / units[i].seconds) {
            return sl_fail(err, SL_E_PARAM_RANGE, "time_interval");
        }
    }
    return 0;
}

static int
check_bounds(struct change *change, struct sl_error *err)
{
    for (size_t i = 0; i < SL_COUNT(bounds); i++) {
        json_int_t narrow = value_after(change, bounds[i].narrow);
        json_int_t wide = value_after(change, bounds[i].wide);
        if (wide != 0 && narrow > wide) {
            return sl_fail(err, SL_E_PARAM_RANGE, bounds[i].narrow);
        }
    }
    return throttle_check_window(change, err);
}

// Its excluded throttles go with it; what they used of their quotas, too.
static int
forget_usage(struct change *change, struct sl_error *err)
{
    static const char *const objects[] = {"APP", "USER"};
    struct mutation *m = change->m;
    for (size_t i = 0; i < SL_COUNT(objects); i++) {
        const char *scope = sl_arena_printf(m->arena, "%s/%s", change->id, objects[i]);
        if (sl_arena_check(m->arena, err) != 0 ||
            sl_quota_forget(m->tx, m->arena, m->instance, scope, err) != 0) {
            return -1;
        }
    }
    return 0;
}

const struct resource_hooks throttle_hooks = {
    .before_write = check_bounds,
    .after_delete = forget_usage,
};
