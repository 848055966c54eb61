// compile_function.c - where a function is invoked: the gateway's service, the function's URN.
//
// The service speaks FunctionGraph's API: {service}/v2/{project}/fgs/functions/{urn}/invocations,
// with -async for calls that nobody waits for. The project is the URN's own. gRPC has no place for
// such a path: its calls go to the service's host and port as they are, and a header names the URN.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/compile_json.h"

#include <string.h>

#define PORT_HTTP          80
#define PORT_HTTPS         443
#define DEFAULT_TIMEOUT_MS 5000
#define URN_PROJECT        3 // urn:fss:region:project:function:package:name[:version]
#define URN_VERSION        7

// Part `index` of a URN; empty when it has fewer.
static struct sl_str
urn_part(const char *urn, int index)
{
    struct sl_str rest = sl_str(urn);
    struct sl_str part = sl_str_split(&rest, ':');
    for (int i = 0; i < index && part.ptr != NULL; i++) {
        part = sl_str_split(&rest, ':');
    }
    return part.ptr != NULL ? part : SL_STR("");
}

// The function that is called: an alias goes before a version.
static const char *
effective_urn(struct sl_arena *arena, const json_t *from)
{
    const char *alias = compile_text(arena, from, "alias_urn");
    const char *urn = compile_text(arena, from, "function_urn");
    const char *version = compile_text(arena, from, "version");
    if (alias[0] != '\0') {
        return alias;
    }
    return version[0] == '\0' || urn_part(urn, URN_VERSION).len > 0
               ? urn
               : sl_arena_printf(arena, "%s:%s", urn, version);
}

// Splits http[s]://host[:port][/prefix].
static int
split_service(struct sl_arena *arena, const char *url, struct sl_http_backend *http,
              const char **ret_prefix, struct sl_error *err)
{
    struct sl_str rest = sl_str(url);
    bool is_tls = sl_str_starts(rest, SL_STR("https://"));
    const char *address = url + strlen(is_tls ? "https://" : "http://");
    const char *slash = strchrnul(address, '/');
    char *host = sl_arena_dupn(arena, address, (size_t)(slash - address));
    size_t prefix_len = strlen(slash);
    while (prefix_len > 0 && slash[prefix_len - 1] == '/') {
        prefix_len--;
    }
    *ret_prefix = sl_arena_dupn(arena, slash, prefix_len);
    http->tls = is_tls;
    http->port = is_tls ? PORT_HTTPS : PORT_HTTP;
    if (host == NULL || *ret_prefix == NULL) {
        return sl_arena_check(arena, err);
    }
    return compile_split(host, http, err);
}

int
compile_function(struct sl_arena *arena, const json_t *from, const struct variables *variables,
                 struct sl_http_backend *http, struct sl_error *err)
{
    json_int_t timeout_ms = json_integer_value(json_object_get(from, "timeout"));
    const char *prefix = "";
    *http = (struct sl_http_backend){
        .host = "",
        .path = "/",
        .port = PORT_HTTP,
        .method = SL_METHOD_POST,
        .timeout_ms = timeout_ms > 0 ? (uint32_t)timeout_ms : DEFAULT_TIMEOUT_MS,
        .async = strcmp(compile_text(arena, from, "invocation_type"), "async") == 0,
    };
    if (variables->functions == NULL) {
        return 0;
    }
    struct sl_http_backend found = *http;
    if (split_service(arena, variables->functions, &found, &prefix, err) != 0) {
        return err->code == SL_E_ENTRY_BROKEN ? 0 : -1;
    }
    const char *urn = effective_urn(arena, from);
    *http = found;
    if (strcmp(compile_text(arena, from, "req_protocol"), "GRPCS") == 0) {
        http->function = urn;
        return sl_arena_check(arena, err);
    }
    http->path =
        sl_arena_printf(arena, "%s/v2/%.*s/fgs/functions/%s/invocations%s", prefix,
                        SL_STR_FMT(urn_part(urn, URN_PROJECT)), urn, http->async ? "-async" : "");
    return sl_arena_check(arena, err);
}
