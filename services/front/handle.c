// handle.c - the stations of a request: route, auth, validate, dispatch.
//
// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "services/front/dispatch.h"
#include "services/front/front.h"
#include "services/front/reply.h"

#define HEADERS_MAX 128 // of one request; the rest of the memory limit is theirs too

// Headers as auth takes them.
struct header_list {
    struct request *request;
    struct sl_sign_header rows[HEADERS_MAX];
    size_t count;
    bool full;
};

static enum MHD_Result
collect_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct header_list *list = arg;
    (void)kind;
    struct sl_str view = sl_str(name);
    for (size_t i = 0; i < list->count; i++) {
        if (sl_str_equal_nocase(list->rows[i].name, view)) {
            const char *joined = sl_arena_printf(list->request->arena, "%.*s,%s",
                                                 SL_STR_FMT(list->rows[i].value), value);
            list->rows[i].value = sl_str(joined);
            return MHD_YES;
        }
    }
    if (list->count == HEADERS_MAX) {
        list->full = true;
        return MHD_NO;
    }
    list->rows[list->count++] = (struct sl_sign_header){.name = view, .value = sl_str(value)};
    return MHD_YES;
}

// The last address of X-Forwarded-For, which is the one that the balancer before us wrote; "" when
// it is none.
static const char *
forwarded_address(const struct header_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!sl_str_equal_nocase(list->rows[i].name, SL_STR("x-forwarded-for"))) {
            continue;
        }
        struct sl_str value = list->rows[i].value;
        size_t start = value.len;
        while (start > 0 && value.ptr[start - 1] != ',') {
            start--;
        }
        struct sl_str last = sl_str_trim((struct sl_str){value.ptr + start, value.len - start});
        const char *text = sl_arena_dupn(list->request->arena, last.ptr, last.len);
        struct in6_addr parsed;
        bool valid = text != NULL && (inet_pton(AF_INET, text, &parsed) == 1 ||
                                      inet_pton(AF_INET6, text, &parsed) == 1);
        return valid ? text : "";
    }
    return "";
}

// Where the request came from, as text; "" when that is not known.
static const char *
client_address(const struct header_list *list)
{
    struct request *request = list->request;
    const char *forwarded = request->front->forwarded_for ? forwarded_address(list) : "";
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char *text = sl_arena_alloc(request->arena, INET6_ADDRSTRLEN);
    if (forwarded[0] != '\0') {
        return forwarded;
    }
    if (info == NULL || info->client_addr == NULL || text == NULL) {
        return "";
    }
    const struct sockaddr *address = info->client_addr;
    const void *bytes =
        address->sa_family == AF_INET6
            ? (const void *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr
            : (const void *)&((const struct sockaddr_in *)(const void *)address)->sin_addr;
    const char *shown = inet_ntop(address->sa_family, bytes, text, INET6_ADDRSTRLEN);
    return shown != NULL ? shown : "";
}

const char *
request_header(void *request, const char *name)
{
    struct request *self = SL_CAST(request, REQUEST_MAGIC, request);
    return MHD_lookup_connection_value(self->connection, MHD_HEADER_KIND, name);
}

// The action to judge. Where it depends on a value that is absent or unknown, the first stands in:
// the validator refuses the value right after.
static const char *
choose_action(const struct rest_row *row, const json_t *body, struct sl_str raw_query)
{
    const struct rest_action *action = &row->action;
    if (row->is_public) {
        return AUTH_NO_ACTION;
    }
    if (action->by == NULL) {
        return action->name;
    }
    const char *value = json_string_value(json_object_get(body, action->by));
    struct sl_str wanted = sl_str(value);
    while (action->in_query && raw_query.len > 0) {
        struct sl_str pair = sl_str_split(&raw_query, '&');
        struct sl_str name = sl_str_split(&pair, '=');
        if (sl_str_equal(name, sl_str(action->by))) {
            wanted = pair;
        }
    }
    for (size_t i = 0; action->by_values[i] != NULL; i++) {
        if (sl_str_equal(wanted, sl_str(action->by_values[i]))) {
            return action->by_actions[i];
        }
    }
    return action->by_actions[0];
}

// A path parameter as it came, "" where the path has none.
static const char *
path_param(const struct request *request, const char *name)
{
    const struct route_match *match = &request->match;
    for (size_t i = 0; i < match->param_count && i < match->row->path_param_count; i++) {
        if (strcmp(match->row->path_params[i].name, name) == 0) {
            const char *text =
                sl_arena_dupn(request->arena, match->params[i].ptr, match->params[i].len);
            return text != NULL ? text : "";
        }
    }
    return "";
}

static int
authorise(struct request *request, const json_t *parsed, struct sl_actor *ret_actor,
          struct sl_error *err)
{
    struct header_list list = {.request = request};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, collect_header, &list);
    if (list.full) {
        return sl_fail(err, SL_E_TARGET_MALFORMED);
    }
    const struct auth_request question = {
        .method = sl_str(request->method),
        .raw_path = request->raw_path,
        .raw_query = request->raw_query,
        .headers = list.rows,
        .header_count = list.count,
        .body = {request->body.ptr, request->body.len},
        .action = choose_action(request->match.row, parsed, request->raw_query),
        .project = path_param(request, "project_id"),
        .instance = path_param(request, "instance_id"),
    };
    if (auth_check(request->front->auth, &question, request->arena, ret_actor, err) != 0) {
        return -1;
    }
    ret_actor->address = client_address(&list);
    return 0;
}

// Route, auth and validate; what comes out is ready to be sent.
static int
judge(struct request *request, struct sl_actor *ret_actor, struct validate_output *ret_input,
      struct sl_error *err)
{
    if (request->match.row == NULL &&
        route_find(sl_str(request->method), request->raw_path, &request->match, err) != 0) {
        return -1;
    }
    const struct rest_row *row = request->match.row;
    const struct sl_str body = {request->body.ptr, request->body.len};
    json_t *parsed = NULL;
    if (!row->is_public && row->action.by != NULL && !row->action.in_query && body.len > 0) {
        // Only to choose the action; a malformed body is refused by the validator, after auth.
        struct sl_error ignored;
        (void)!validate_parse(body, request->arena, &parsed, &ignored);
    }
    if (authorise(request, parsed, ret_actor, err) != 0) {
        return -1;
    }
    if (row->service == NULL) {
        return sl_fail(err, SL_E_OPERATION_UNAVAILABLE, row->command);
    }
    const struct validate_input input = {
        .match = &request->match,
        .raw_query = request->raw_query,
        .content_type = request_header(request, MHD_HTTP_HEADER_CONTENT_TYPE),
        .body = body,
        .header = request_header,
        .header_arg = request,
    };
    if (validate_request(request->front->validator, &input, parsed, request->arena, ret_input,
                         err) != 0) {
        return -1;
    }
    return sl_arena_check(request->arena, err);
}

static void
go_on(void *arg)
{
    struct request *request = SL_CAST(request, REQUEST_MAGIC, arg);
    request->state = REQUEST_BODY;
    dispatch_resume(request);
}

// A project, a user or a gateway that sluice-admin made a moment ago: looked for before it is said
// not to exist.
static bool
looks_again(struct request *request, const struct sl_error *err)
{
    if (request->has_looked || !auth_may_lag(err)) {
        return false;
    }
    request->has_looked = true;
    request->state = REQUEST_WAITING;
    MHD_suspend_connection(request->connection);
    auth_look(request->front->auth, go_on, request);
    return true;
}

bool
handle_request(struct request *request)
{
    struct sl_error err = {.code = SL_E_INTERNAL};
    struct sl_actor actor = {.user_id = "", .user_name = "", .domain_id = "", .project_id = ""};
    struct validate_output input = {.path = NULL};
    char limit[24];
    if (request->head_bytes > SL_HEADERS_MAX) {
        snprintf(limit, sizeof(limit), "%zu", (size_t)SL_HEADERS_MAX);
        (void)sl_fail(&err, SL_E_HEADERS_SIZE, limit);
        reply_error(request, &err);
        return true;
    }
    if (request->body_seen > request->body_max) {
        snprintf(limit, sizeof(limit), "%zu", request->body_max);
        (void)sl_fail(&err, SL_E_BODY_SIZE, limit);
        reply_error(request, &err);
        return true;
    }
    const struct document *document = document_find(request->raw_path);
    if (document != NULL &&
        (strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0)) {
        reply_document(request, document);
        return true;
    }
    if (judge(request, &actor, &input, &err) != 0) {
        if (looks_again(request, &err)) {
            return false;
        }
        reply_error(request, &err);
        return true;
    }
    dispatch_request(request, &actor, &input);
    return false;
}
