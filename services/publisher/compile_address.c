// compile_address.c - where a backend is: its variables resolved, its address taken apart.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/compile_json.h"

#include <stdio.h>
#include <string.h>

#define ADDRESS_MAX  255 // characters, as of url_domain and req_uri themselves
#define PATH_MAX_LEN 512

static void
lower(char *text)
{
    for (char *c = text; *c != '\0'; c++) {
        if (*c >= 'A' && *c <= 'Z') {
            *c = (char)(*c + ('a' - 'A'));
        }
    }
}

static bool
is_host(const char *host, bool is_ipv6)
{
    size_t len = strlen(host);
    const char *allowed =
        is_ipv6 ? "0123456789abcdef:." : "0123456789abcdefghijklmnopqrstuvwxyz-_.";
    return len > 0 && host[0] != '-' && host[0] != '.' && host[len - 1] != '-' &&
           strspn(host, allowed) == len;
}

int
compile_split(char *address, struct sl_http_backend *http, struct sl_error *err)
{
    bool is_ipv6 = address[0] == '[';
    char *host = is_ipv6 ? address + 1 : address;
    char *end = is_ipv6 ? strchr(host, ']') : strchr(host, ':');
    const char *port_text = end;
    if (is_ipv6 && end != NULL) {
        port_text = end[1] != '\0' ? end + 1 : NULL;
    }
    int64_t port = http->port;
    if ((is_ipv6 && end == NULL) ||
        (port_text != NULL && (port_text[0] != ':' || !sl_str_int(sl_str(port_text + 1), &port)))) {
        return sl_fail(err, SL_E_ENTRY_BROKEN, "api", "url_domain");
    }
    if (end != NULL) {
        *end = '\0';
    }
    lower(host);
    if (port < 1 || port > UINT16_MAX || !is_host(host, is_ipv6)) {
        return sl_fail(err, SL_E_ENTRY_BROKEN, "api", "url_domain");
    }
    http->host = host;
    http->port = (uint16_t)port;
    return 0;
}

int
compile_address(struct sl_arena *arena, const json_t *from, const struct variables *variables,
                struct sl_http_backend *http, struct sl_error *err)
{
    const char *address = "";
    bool is_channel = json_object_get(from, "vpc_channel_info") != NULL;
    if ((!is_channel && variables_resolve(arena, variables, compile_text(arena, from, "url_domain"),
                                          &address, err) != 0) ||
        variables_resolve(arena, variables, compile_text(arena, from, "req_uri"), &http->path,
                          err) != 0) {
        return -1;
    }
    if (strlen(address) > ADDRESS_MAX || strlen(http->path) > PATH_MAX_LEN) {
        bool is_path = strlen(address) <= ADDRESS_MAX;
        return sl_fail(err, SL_E_ENTRY_BROKEN, "api", is_path ? "req_uri" : "url_domain");
    }
    if (is_channel) {
        return 0;
    }
    char *parts = sl_arena_dup(arena, address);
    return parts == NULL ? sl_arena_check(arena, err) : compile_split(parts, http, err);
}

static int
check_address(struct sl_arena *arena, const json_t *from, const struct variables *variables,
              const char *where, struct sl_error *err)
{
    struct sl_http_backend http = {.port = 1};
    if (compile_address(arena, from, variables, &http, err) == 0) {
        return 0;
    }
    if (err->code != SL_E_ENTRY_BROKEN) {
        return -1;
    }
    return sl_fail(err, SL_E_PARAM_INVALID, sl_arena_printf(arena, "%s.%s", where, err->args[1]));
}

static int
check_addresses(struct sl_arena *arena, const json_t *definition, const struct variables *variables,
                struct sl_error *err)
{
    const json_t *policies = json_object_get(definition, "policy_https");
    const json_t *backend = json_object_get(definition, "backend_api");
    const char *type = compile_text(arena, definition, "backend_type");
    if (strcmp(type, "HTTP") != 0 && strcmp(type, "GRPC") != 0) {
        return 0;
    }
    int rc = check_address(arena, backend, variables, "backend_api", err);
    for (size_t i = 0; rc == 0 && i < json_array_size(policies); i++) {
        char where[64];
        snprintf(where, sizeof(where), "policy_https[%zu]", i);
        rc = check_address(arena, json_array_get(policies, i), variables, where, err);
    }
    return rc;
}

int
compile_check_addresses(struct sl_arena *arena, const char *definition,
                        const struct variables *variables, struct sl_error *err)
{
    json_t *object = json_loads(definition, 0, NULL);
    int rc = object == NULL ? sl_fail(err, SL_E_ENTRY_BROKEN, "api", "definition")
                            : check_addresses(arena, object, variables, err);
    json_decref(object);
    return rc;
}
