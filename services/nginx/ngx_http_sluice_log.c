// ngx_http_sluice_log.c - the variables $sluice_*: what the proxy sends, and the access log's line.
//
// nginx writes the log; the variables $sluice_line and $sluice_json are whole lines of it. Each is
// made in a buffer of the worker, which nginx copies at once.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

typedef unsigned char *(*format_fn)(unsigned char *out,
                                    const struct ngx_http_sluice_record *record);

static const struct sl_str auth_names[] = {
    [SL_AUTH_NONE] = {"NONE", 4},
    [SL_AUTH_APP] = {"APP", 3},
    [SL_AUTH_IAM] = {"IAM", 3},
    [SL_AUTH_AUTHORIZER] = {"AUTHORIZER", 10},
};

static const struct sl_str proof_names[] = {
    [NGX_HTTP_SLUICE_PROOF_NONE] = {NULL, 0},
    [NGX_HTTP_SLUICE_PROOF_APPCODE] = {"appcode", 7},
    [NGX_HTTP_SLUICE_PROOF_SIGNATURE] = {"signature", 9},
    [NGX_HTTP_SLUICE_PROOF_SECRET] = {"app_secret", 10},
    [NGX_HTTP_SLUICE_PROOF_API_KEY] = {"app_api_key", 11},
    [NGX_HTTP_SLUICE_PROOF_BASIC] = {"app_basic", 9},
    [NGX_HTTP_SLUICE_PROOF_TOKEN] = {"app_token", 9},
    [NGX_HTTP_SLUICE_PROOF_JWT] = {"app_jwt", 7},
    [NGX_HTTP_SLUICE_PROOF_IAM_TOKEN] = {"token", 5},
    [NGX_HTTP_SLUICE_PROOF_ACCESS_KEY] = {"aksk", 4},
};

// A worker is one thread. Pages that no line needs are never touched.
static u_char line_room[NGX_HTTP_SLUICE_LINE_BYTES];
static u_char json_room[NGX_HTTP_SLUICE_LINE_BYTES];

// -- what a request tells -------------------------------------------------------------------------

static struct sl_str
header_value(const ngx_table_elt_t *header)
{
    return header != NULL ? ngx_http_sluice_view(&header->value) : (struct sl_str){NULL, 0};
}

// All X-Forwarded-For, as if they were one.
static struct sl_str
forwarded_for(const ngx_http_request_t *r)
{
    ngx_table_elt_t **headers = r->headers_in.x_forwarded_for.elts;
    ngx_uint_t count = r->headers_in.x_forwarded_for.nelts;
    size_t room = 0;
    u_char *text;
    u_char *out;

    if (count < 2) {
        return header_value(count == 0 ? NULL : headers[0]);
    }
    for (ngx_uint_t i = 0; i < count; i++) {
        room += headers[i]->value.len + 2;
    }
    text = out = ngx_pnalloc(r->pool, room);
    if (text == NULL) {
        return header_value(headers[0]);
    }
    for (ngx_uint_t i = 0; i < count; i++) {
        out = ngx_cpymem(out, headers[i]->value.data, headers[i]->value.len);
        out = ngx_cpymem(out, ", ", 2);
    }
    return (struct sl_str){(const char *)text, (size_t)(out - text) - 2};
}

// The method as it came: for an error page nginx turns the request into a GET.
static struct sl_str
method_name(const ngx_http_request_t *r)
{
    struct sl_str line = ngx_http_sluice_view(&r->request_line);
    struct sl_str first = sl_str_split(&line, ' ');

    return first.len > 0 && line.ptr != NULL ? first : ngx_http_sluice_view(&r->method_name);
}

uint64_t
ngx_http_sluice_elapsed_ms(const ngx_http_request_t *r)
{
    const ngx_time_t *now = ngx_timeofday();
    int64_t ms =
        (int64_t)(now->sec - r->start_sec) * 1000 + (int64_t)now->msec - (int64_t)r->start_msec;

    return ms > 0 ? (uint64_t)ms : 0;
}

// nginx's -1 is an unsigned one.
static int64_t
duration(ngx_msec_t ms)
{
    return ms == (ngx_msec_t)-1 ? -1 : (int64_t)ms;
}

static void
tell_request(const ngx_http_request_t *r, struct ngx_http_sluice_record *record)
{
    record->remote_addr = ngx_http_sluice_view(&r->connection->addr_text);
    record->time_local =
        (struct sl_str){(const char *)ngx_cached_http_log_time.data, ngx_cached_http_log_time.len};
    record->time_iso = (struct sl_str){(const char *)ngx_cached_http_log_iso8601.data,
                                       ngx_cached_http_log_iso8601.len};
    record->request_ms = record->inner_ms = (int64_t)ngx_http_sluice_elapsed_ms(r);
    record->request_method = method_name(r);
    record->scheme = ngx_http_sluice_is_tls(r) ? SL_STR("https") : SL_STR("http");
    record->host = header_value(r->headers_in.host);
    record->server_protocol = ngx_http_sluice_view(&r->http_protocol);
    record->status = (int64_t)(r->err_status != 0 ? r->err_status : r->headers_out.status);
    record->bytes_sent = r->connection->sent;
    record->body_bytes_sent = ngx_max(r->connection->sent - (off_t)r->header_size, 0);
    record->request_length = r->request_length;
    record->user_agent = header_value(r->headers_in.user_agent);
    record->forwarded_for = forwarded_for(r);
    record->response_source = SL_STR("local");
}

// What the path of the invocation names (services/publisher/compile_function.c).
static struct sl_str
function_urn(struct sl_str path)
{
    static const struct sl_str mark = {"/fgs/functions/", 15};
    const char *begin = memmem(path.ptr, path.len, mark.ptr, mark.len);
    struct sl_str urn = {NULL, 0};

    if (begin != NULL) {
        urn = (struct sl_str){begin + mark.len, (size_t)(path.ptr + path.len - begin) - mark.len};
        urn = sl_str_split(&urn, '/');
    }
    return urn;
}

static void
tell_backend(const ngx_http_sluice_ctx_t *ctx, struct ngx_http_sluice_record *record)
{
    struct sl_str uri = ngx_http_sluice_view(&ctx->backend_uri);

    record->upstream_uri = sl_str_split(&uri, '?'); // a query may hold what is secret
    record->upstream_scheme = ctx->backend_tls ? SL_STR("https") : SL_STR("http");
    if (ctx->answer != NULL) {
        record->function_urn = function_urn(record->upstream_uri);
    } else {
        record->function_urn = ngx_http_sluice_view(&ctx->function);
    }
    if (ctx->error == NULL) {
        record->response_source = SL_STR("remote");
    }
}

static void
tell_decision(const ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx,
              struct ngx_http_sluice_record *record)
{
    ngx_http_sluice_main_conf_t *smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);

    record->node_id = ngx_http_sluice_view(&smcf->node_id);
    record->request_id = (struct sl_str){ctx->request_id, sizeof(ctx->request_id) - 1};
    record->trace_id = ctx->trace_id;
    record->router_uri = ctx->path;
    record->env = ctx->env_name;
    record->error_type = ctx->throttled;
    record->access_model = proof_names[ctx->proof];
    if (ctx->host.len > 0) {
        record->host = ctx->host;
    }
    if (ctx->routed) {
        record->api_id = (struct sl_str){ctx->api_id, SL_ID_LEN};
        record->group_id = (struct sl_str){ctx->group_id, SL_ID_LEN};
        record->publish_id = (struct sl_str){ctx->publish_id, SL_ID_LEN};
        record->api_name = ctx->api_name;
        record->auth_type = auth_names[ctx->auth];
    }
    if (ctx->has_app) {
        record->app_id = (struct sl_str){ctx->app_id, SL_ID_LEN};
        record->app_name = ctx->app_name;
    }
    if (ctx->has_user) {
        record->user_id = ctx->project_id;
    }
    if (ctx->customs != NULL) {
        ngx_memcpy(record->customs, ctx->customs, sizeof(record->customs));
    }
    if (ctx->error != NULL) {
        record->error_code = sl_str(sl_error_wire(ctx->error->code));
    }
    if (ctx->backend_called) {
        tell_backend(ctx, record);
    }
}

// Fills `tries` and what the record says of all of them.
static void
tell_tries(const ngx_http_request_t *r, struct ngx_http_sluice_try *tries,
           struct ngx_http_sluice_record *record)
{
    const ngx_http_upstream_state_t *states;
    int64_t total = 0;

    if (r->upstream_states == NULL || r->upstream_states->nelts == 0) {
        return;
    }
    states = r->upstream_states->elts;
    record->try_count = ngx_min(r->upstream_states->nelts, NGX_HTTP_SLUICE_TRIES_MAX);
    record->tries = tries;
    for (size_t i = 0; i < record->try_count; i++) {
        tries[i].addr = states[i].peer != NULL ? ngx_http_sluice_view(states[i].peer)
                                               : (struct sl_str){NULL, 0};
        tries[i].status = states[i].status > 0 ? (int64_t)states[i].status : -1;
        tries[i].connect_ms = duration(states[i].connect_time);
        tries[i].header_ms = duration(states[i].header_time);
        tries[i].response_ms = duration(states[i].response_time);
        total += ngx_max(tries[i].response_ms, 0);
    }
    record->upstream_ms = total;
    record->inner_ms = ngx_max(record->request_ms - total, 0);
}

static struct sl_str
log_line(ngx_http_request_t *r, u_char *room, format_fn format)
{
    const ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);
    struct ngx_http_sluice_try tries[NGX_HTTP_SLUICE_TRIES_MAX];
    struct ngx_http_sluice_record record = {.upstream_ms = -1};

    tell_request(r, &record);
    if (ctx != NULL) {
        record.remote_addr = ngx_http_sluice_view(&ctx->client_addr);
        tell_decision(r, ctx, &record);
        record.gzip_ratio = ngx_http_sluice_gzip_ratio(r, ctx);
    }
    tell_tries(r, tries, &record);
    return (struct sl_str){(const char *)room, (size_t)(format(room, &record) - room)};
}

// -- variables ------------------------------------------------------------------------------------

static struct sl_str
line(ngx_http_request_t *r)
{
    return log_line(r, line_room, ngx_http_sluice_line);
}

static struct sl_str
json(ngx_http_request_t *r)
{
    return log_line(r, json_room, ngx_http_sluice_json);
}

static struct sl_str
backend_headers(ngx_http_request_t *r)
{
    const ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);

    return ctx == NULL ? (struct sl_str){NULL, 0} : ngx_http_sluice_view(&ctx->backend_headers);
}

static struct sl_str
tls_name(ngx_http_request_t *r)
{
    const ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);

    return ctx == NULL ? (struct sl_str){NULL, 0} : ngx_http_sluice_view(&ctx->tls_name);
}

// Only nginx's gRPC asks for it, and says :scheme next, by what its location declares: https. A
// function may be called without TLS.
static struct sl_str
backend_host(ngx_http_request_t *r)
{
    const ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);

    if (ctx == NULL || r->upstream == NULL) {
        return (struct sl_str){NULL, 0};
    }
#if (NGX_HTTP_SSL)
    r->upstream->ssl = ctx->backend_tls;
#endif
    return ngx_http_sluice_view(&ctx->backend_host);
}

static const struct {
    ngx_str_t name;
    struct sl_str (*get)(ngx_http_request_t *r);
} variables[] = {
    {ngx_string("sluice_line"), line},
    {ngx_string("sluice_json"), json},
    {ngx_string("sluice_backend_headers"), backend_headers},
    {ngx_string("sluice_backend_host"), backend_host},
    {ngx_string("sluice_backend_tls_name"), tls_name},
};

static ngx_int_t
get_variable(ngx_http_request_t *r, ngx_http_variable_value_t *value, uintptr_t row)
{
    struct sl_str text = variables[row].get(r);

    value->not_found = text.ptr == NULL;
    value->valid = text.ptr != NULL;
    value->no_cacheable = 0;
    value->data = (u_char *)(uintptr_t)text.ptr;
    value->len = (unsigned)(text.len & 0x0fffffff);
    return NGX_OK;
}

ngx_int_t
ngx_http_sluice_variables(ngx_conf_t *cf)
{
    for (size_t i = 0; i < SL_COUNT(variables); i++) {
        ngx_str_t name = variables[i].name;
        ngx_http_variable_t *variable = ngx_http_add_variable(cf, &name, 0);

        if (variable == NULL) {
            return NGX_ERROR;
        }
        variable->get_handler = get_variable;
        variable->data = i;
    }
    return NGX_OK;
}
