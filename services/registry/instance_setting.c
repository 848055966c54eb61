// instance_setting.c - see instance_setting.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/instance_setting.h"

#include "services/registry/api_function.h"
#include "services/registry/commands.h"

#include <string.h>

#define QUOTA_PREFIX "quota_"
#define QUOTA_MAX    1000000
#define CIDRS        "restrict_cidrs"    // comma list of networks
#define FUNCTIONS    "function_endpoint" // URL of the service that runs functions
#define CIDRS_MAX    4096                // bytes

struct setting {
    const char *name; //
    int64_t fallback; //
    int64_t min, max; //
};

// runtime.md 2.1, 7.1, 17 and 18.3 give the defaults.
static const struct setting settings[] = {
    {"api_default_limit", 200, 0, 1000000},     // calls a second and API; 0: off
    {"backend_timeout", 60000, 1, 600000},      // ms
    {"domain_call_limit", 1000, 0, 1000000000}, // calls a day and debugging domain; 0: off
    {"feature_interval", 60, 0, 86400},         // seconds between two changes of a feature
    {"project_certificates", 500, 0, 1000000}, // of its project; the most that a gateway of it says
    {"request_body_size", 12582912, 1048576, 9999220736}, // bytes: 12 MB, 1 to 9536 MB
};

static const char put_sql[] =
    "INSERT INTO instance_setting (instance_id, name, value) VALUES ($1, $2, $3)"
    " ON CONFLICT (instance_id, name) DO UPDATE SET value = excluded.value";

static const char remove_sql[] =
    "DELETE FROM instance_setting WHERE instance_id = $1 AND name = $2";

static const char limit_sql[] =
    "UPDATE quota_usage SET \"limit\" = $3 WHERE instance_id = $1 AND quota = $2";

static const char read_sql[] =
    "SELECT value FROM gateway_setting WHERE instance_id = $1 AND name = $2";

// The APIs whose functions are called elsewhere when FUNCTIONS changes.
static const char functions_sql[] =
    "INSERT INTO runtime_change (gateway_id, kind, key)"
    " SELECT p.instance_id, 'api', p.publish_id FROM publication p"
    " JOIN api_version v ON v.instance_id = p.instance_id AND v.version_id = p.version_id"
    " WHERE p.instance_id = $1 AND v.definition ->> 'backend_type' = 'FUNCTION'";

static const struct setting *
find_setting(const char *name)
{
    for (size_t i = 0; i < SL_COUNT(settings); i++) {
        if (strcmp(settings[i].name, name) == 0) {
            return &settings[i];
        }
    }
    return NULL;
}

static const struct resource_quota *
find_quota(const char *name)
{
    for (size_t i = 0; i < resource_count; i++) {
        for (const struct resource_quota *q = resource_table[i].quotas; q->name != NULL; q++) {
            if (strcmp(q->name, name) == 0) {
                return q;
            }
        }
    }
    return NULL;
}

int64_t
instance_quota_default(const char *quota)
{
    const struct resource_quota *found = find_quota(quota);
    assert(found != NULL);
    return found->limit;
}

int64_t
instance_setting_default(const char *name)
{
    const struct setting *found = find_setting(name);
    assert(found != NULL);
    return found->fallback;
}

static bool
is_within(const char *value, int64_t min, int64_t max, int64_t *ret_number)
{
    return sl_str_int(sl_str(value), ret_number) && *ret_number >= min && *ret_number <= max;
}

static int
store(struct mutation *m, const char *name, const char *value, struct sl_error *err)
{
    struct sl_param instance = SL_P_TEXT(m->instance);
    if (value[0] == '\0') {
        return sl_sql(m->tx, m->arena, remove_sql, SL_PARAMS(instance, SL_P_TEXT(name)), NULL, err);
    }
    return sl_sql(m->tx, m->arena, put_sql, SL_PARAMS(instance, SL_P_TEXT(name), SL_P_TEXT(value)),
                  NULL, err);
}

static int
put_quota(struct mutation *m, const char *name, const char *value, struct sl_error *err)
{
    const struct resource_quota *quota = find_quota(name + strlen(QUOTA_PREFIX));
    int64_t limit = 0;
    if (quota == NULL) {
        return sl_fail(err, SL_E_GATEWAY_SETTING, name);
    }
    limit = quota->limit;
    if (value[0] != '\0' && !is_within(value, 0, QUOTA_MAX, &limit)) {
        return sl_fail(err, SL_E_GATEWAY_SETTING, name);
    }
    if (sl_sql(m->tx, m->arena, limit_sql,
               SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(quota->name), SL_P_INT(limit)), NULL,
               err) != 0) {
        return -1;
    }
    return store(m, name, value, err);
}

static int
put_functions(struct mutation *m, const char *value, struct sl_error *err)
{
    if (!api_function_is_endpoint(value)) {
        return sl_fail(err, SL_E_GATEWAY_SETTING, FUNCTIONS);
    }
    if (sl_sql(m->tx, m->arena, functions_sql, SL_PARAMS(SL_P_TEXT(m->instance)), NULL, err) != 0) {
        return -1;
    }
    return store(m, FUNCTIONS, value, err);
}

int
instance_setting_put(struct mutation *m, const char *name, const char *value, struct sl_error *err)
{
    const struct setting *setting = find_setting(name);
    int64_t number = 0;
    value = value != NULL ? value : "";
    if (strncmp(name, QUOTA_PREFIX, strlen(QUOTA_PREFIX)) == 0) {
        return put_quota(m, name, value, err);
    }
    if (strcmp(name, FUNCTIONS) == 0) {
        return put_functions(m, value, err);
    }
    bool is_text = strcmp(name, CIDRS) == 0 && strlen(value) <= CIDRS_MAX;
    bool is_number = setting != NULL &&
                     (value[0] == '\0' || is_within(value, setting->min, setting->max, &number));
    if (!is_text && !is_number) {
        return sl_fail(err, SL_E_GATEWAY_SETTING, name);
    }
    return store(m, name, value, err);
}

int
instance_number(struct mutation *m, const char *name, int64_t *ret_value, struct sl_error *err)
{
    const struct setting *setting = find_setting(name);
    struct sl_rows *rows = NULL;
    assert(setting != NULL);
    struct sl_params params = SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(name));
    if (sl_sql(m->tx, m->arena, read_sql, params, &rows, err) != 0) {
        return -1;
    }
    *ret_value = sl_rows_count(rows) > 0 ? sl_rows_int(rows, 0, 0) : setting->fallback;
    return 0;
}
