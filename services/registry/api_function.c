// api_function.c - see api_function.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/api_function.h"

#include "common/base/limits.h"
#include "services/registry/api_params.h"
#include "services/registry/api_policy.h"
#include "services/registry/commands.h"

#include <string.h>

#define ENDPOINT_MAX 255   // characters
#define V1_MAX_MS    60000 // a function behind a V1 network may take so long
#define URN_FIELDS   7     // urn:fss:region:project:function:package:name, then perhaps a version
#define URN_CHARS    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.@!"

static const char endpoint_sql[] = "SELECT value FROM gateway_setting WHERE instance_id = $1"
                                   " AND name = 'function_endpoint' AND value <> ''";

static const char *
member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

// How many parts a URN has; 0 when it names no function.
static int
urn_parts(const char *urn)
{
    static const char *const fixed[] = {"urn", "fss", NULL, NULL, "function"};
    struct sl_str rest = sl_str(urn);
    int count = 0;
    while (rest.ptr != NULL) {
        struct sl_str part = sl_str_split(&rest, ':');
        const char *wanted = count < (int)SL_COUNT(fixed) ? fixed[count] : NULL;
        if (part.len == 0 || (wanted != NULL && !sl_str_equal(part, sl_str(wanted)))) {
            return 0;
        }
        count++;
    }
    bool whole = count == URN_FIELDS || count == URN_FIELDS + 1;
    return whole && strspn(urn, URN_CHARS ":") == strlen(urn) ? count : 0;
}

static int
check_names(const json_t *backend, struct sl_error *err)
{
    const char *alias = member(backend, "alias_urn");
    const char *version = member(backend, "version");
    if (urn_parts(member(backend, "function_urn")) == 0 ||
        (alias[0] != '\0' && urn_parts(alias) == 0)) {
        return sl_fail(err, SL_E_FUNCTION_NOT_FOUND);
    }
    return strspn(version, URN_CHARS) == strlen(version)
               ? 0
               : sl_fail(err, SL_E_PARAM_INVALID, "version");
}

// A function is called by gRPC where its API is, and by HTTPS where not; what V1 networks and calls
// that nobody waits for cannot have, and what gRPC has no place for, is refused.
static int
check_protocol(const struct change *change, const json_t *backend, const char *where,
               struct sl_error *err)
{
    bool is_grpc = strcmp(api_text(change, "req_protocol"), "GRPCS") == 0;
    const char *fault = NULL;
    if ((strcmp(member(backend, "req_protocol"), "GRPCS") == 0) != is_grpc) {
        fault = "req_protocol";
    } else if (is_grpc && strcmp(member(backend, "network_type"), "V2") != 0) {
        fault = "network_type";
    } else if (is_grpc && strcmp(member(backend, "invocation_type"), "sync") != 0) {
        fault = "invocation_type";
    } else if (is_grpc && json_array_size(json_object_get(backend, "backend_params")) > 0) {
        fault = "backend_params";
    }
    return fault == NULL ? 0
                         : sl_fail(err, SL_E_PARAM_INVALID,
                                   sl_arena_printf(change->m->arena, "%s.%s", where, fault));
}

int
api_function_check(struct change *change, const json_t *backend, const char *where,
                   struct sl_error *err)
{
    struct mutation *m = change->m;
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, endpoint_sql, SL_PARAMS(SL_P_TEXT(m->instance)), &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) { // no service, no function
        return sl_fail(err, SL_E_FUNCTION_NOT_FOUND);
    }
    if (check_names(backend, err) != 0 || check_protocol(change, backend, where, err) != 0) {
        return -1;
    }
    const char *timeout = sl_arena_printf(m->arena, "%s.timeout", where);
    if (strcmp(member(backend, "network_type"), "V1") == 0 &&
        json_integer_value(json_object_get(backend, "timeout")) > V1_MAX_MS) {
        return sl_fail(err, SL_E_PARAM_RANGE, timeout);
    }
    return api_check_timeout(change, backend, timeout, err);
}

bool
api_function_is_endpoint(const char *value)
{
    static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
                                "~[]:/";
    struct sl_str rest = sl_str(value);
    bool is_http = sl_str_starts(rest, SL_STR("http://"));
    if (rest.len == 0) {
        return true;
    }
    if ((!is_http && !sl_str_starts(rest, SL_STR("https://"))) || rest.len > ENDPOINT_MAX ||
        strspn(value, chars) != rest.len) {
        return false;
    }
    const char *host = value + strlen(is_http ? "http://" : "https://");
    return host[0] != '\0' && host[0] != '/' && host[0] != ':';
}
