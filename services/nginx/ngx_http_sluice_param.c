// ngx_http_sluice_param.c - the declared parameters of a request, and what the backend gets of
// them.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_param.h"
#include "services/nginx/ngx_http_sluice_sign.h"

#include "services/nginx/ngx_http_sluice_value.h"

#include "common/base/clock.h"

#define VARIABLE_MAX 64 // bytes of a formatted system variable

enum variable {
    VARIABLE_SOURCE_IP,
    VARIABLE_STAGE,
    VARIABLE_API_ID,
    VARIABLE_API_NAME,
    VARIABLE_APP_ID,
    VARIABLE_APP_NAME,
    VARIABLE_REQUEST_ID,
    VARIABLE_SERVER_ADDR,
    VARIABLE_SERVER_NAME,
    VARIABLE_HANDLE_TIME,
};

static const char *const variables[] = {
    [VARIABLE_SOURCE_IP] = "$context.sourceIp",     [VARIABLE_STAGE] = "$context.stage",
    [VARIABLE_API_ID] = "$context.apiId",           [VARIABLE_API_NAME] = "$context.apiName",
    [VARIABLE_APP_ID] = "$context.appId",           [VARIABLE_APP_NAME] = "$context.appName",
    [VARIABLE_REQUEST_ID] = "$context.requestId",   [VARIABLE_SERVER_ADDR] = "$context.serverAddr",
    [VARIABLE_SERVER_NAME] = "$context.serverName", [VARIABLE_HANDLE_TIME] = "$context.handleTime",
};

static const char *const location_names[] = {
    [SL_IN_PATH] = "path", [SL_IN_QUERY] = "query", [SL_IN_HEADER] = "header"};

struct sl_str
ngx_http_sluice_query_decode(ngx_pool_t *pool, struct sl_str raw)
{
    u_char *out;
    size_t len = 0;
    uint8_t byte;

    if (raw.len == 0 ||
        (memchr(raw.ptr, '%', raw.len) == NULL && memchr(raw.ptr, '+', raw.len) == NULL)) {
        return raw;
    }
    out = ngx_pnalloc(pool, raw.len);
    if (out == NULL) {
        return (struct sl_str){NULL, 0};
    }
    for (size_t i = 0; i < raw.len; i++) {
        byte = (uint8_t)raw.ptr[i];
        if (byte == '%' && i + 2 < raw.len &&
            sl_hex_decode((struct sl_str){raw.ptr + i + 1, 2}, &byte, 1)) {
            i += 2;
        } else if (byte == '+') {
            byte = ' ';
        }
        out[len++] = byte;
    }
    return (struct sl_str){(const char *)out, len};
}

bool
ngx_http_sluice_query_next(struct sl_str *rest, struct sl_str *ret_pair, struct sl_str *ret_name,
                           struct sl_str *ret_value)
{
    while (rest->ptr != NULL && rest->len > 0) {
        *ret_pair = sl_str_split(rest, '&');
        if (ret_pair->len > 0) {
            *ret_value = *ret_pair;
            *ret_name = sl_str_split(ret_value, '=');
            return true;
        }
    }
    return false;
}

// -- the request's parameters ---------------------------------------------------------------------

bool
ngx_http_sluice_path_value(const struct param_work *work, struct sl_str name,
                           struct sl_str *ret_text)
{
    const struct sl_img_str *captures = sl_img_items(&work->ctx->api->captures);

    for (uint32_t i = 0; i < work->ctx->route.capture_count; i++) {
        if (sl_str_equal(sl_img_text(&captures[i]), name)) {
            *ret_text = work->ctx->route.captures[i];
            return true;
        }
    }
    return false;
}

static bool
find_query(const struct param_work *work, struct sl_str wanted, struct sl_str *ret_text)
{
    struct sl_str rest = work->ctx->raw_query;
    struct sl_str pair;
    struct sl_str name;
    struct sl_str value;

    while (ngx_http_sluice_query_next(&rest, &pair, &name, &value)) {
        if (sl_str_equal(ngx_http_sluice_query_decode(work->request->pool, name), wanted)) {
            *ret_text = ngx_http_sluice_query_decode(work->request->pool, value);
            return true;
        }
    }
    return false;
}

static ngx_table_elt_t *
find_header(const struct param_work *work, struct sl_str name)
{
    ngx_list_part_t *part = &work->request->headers_in.headers.part;

    for (; part != NULL; part = part->next) {
        ngx_table_elt_t *header = part->elts;

        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (sl_str_equal_nocase(ngx_http_sluice_view(&header[i].key), name)) {
                return &header[i];
            }
        }
    }
    return NULL;
}

static bool
find_value(const struct param_work *work, enum sl_location location, struct sl_str name,
           struct sl_str *ret_text)
{
    const ngx_table_elt_t *header;

    switch (location) {
    case SL_IN_PATH:
        return ngx_http_sluice_path_value(work, name, ret_text);
    case SL_IN_QUERY:
        return find_query(work, name, ret_text);
    case SL_IN_HEADER:
    default:
        header = find_header(work, name);
        if (header != NULL) {
            *ret_text = ngx_http_sluice_view(&header->value);
        }
        return header != NULL;
    }
}

static ngx_int_t
refuse_value(const struct param_work *work, const struct sl_img_req_param *param, const char *why)
{
    char text[SL_ERROR_ARG_MAX];

    (void)snprintf(text, sizeof(text), "%.*s", SL_STR_FMT(sl_img_text(&param->name)));
    return ngx_http_sluice_fail(work->ctx, SL_E_GW_ORCHESTRATION, location_names[param->location],
                                text, why);
}

// Reads every declared parameter; refuses a required one that is absent, and a value that the
// declaration does not allow.
static ngx_int_t
read_values(struct param_work *work)
{
    const struct sl_img_api *api = work->ctx->api;
    const struct sl_img_req_param *params = sl_img_items(&api->req_params);

    for (uint32_t i = 0; i < work->declared; i++) {
        struct sl_str name = sl_img_text(&params[i].name);
        struct param_value *value = &work->values[i];
        const char *fault;

        value->present = find_value(work, params[i].location, name, &value->text);
        if (!value->present && params[i].required) {
            return refuse_value(work, &params[i], "required");
        }
        if (!value->present && params[i].default_value.len > 0) {
            // What points into the image is copied: it goes out with the backend request.
            ngx_str_t copy =
                ngx_http_sluice_copy(work->request->pool, sl_img_text(&params[i].default_value));

            if (copy.data == NULL) {
                return NGX_ERROR;
            }
            value->text = ngx_http_sluice_view(&copy);
            value->present = value->defaulted = true;
        }
        fault = value->present ? ngx_http_sluice_value_fault(&params[i], value->text) : NULL;
        if (fault != NULL) {
            return refuse_value(work, &params[i], fault);
        }
    }
    return NGX_OK;
}

// -- system variables -----------------------------------------------------------------------------

static struct sl_str
formatted_time(ngx_pool_t *pool)
{
    char *text = ngx_pnalloc(pool, VARIABLE_MAX);
    time_t now = (time_t)(sl_wall_ms() / 1000);
    struct tm parts;

    if (text == NULL) {
        return (struct sl_str){NULL, 0};
    }
    return (struct sl_str){
        text, strftime(text, VARIABLE_MAX, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts))};
}

static struct sl_str
server_address(ngx_http_request_t *r)
{
    ngx_str_t text = {NGX_SOCKADDR_STRLEN, ngx_pnalloc(r->pool, NGX_SOCKADDR_STRLEN)};

    if (text.data == NULL || ngx_connection_local_sockaddr(r->connection, &text, 0) != NGX_OK) {
        return (struct sl_str){NULL, 0};
    }
    return ngx_http_sluice_view(&text);
}

// The value of `$context.…`, empty when it has none; may point into the image.
static struct sl_str
system_value(const struct param_work *work, struct sl_str name)
{
    ngx_http_sluice_ctx_t *ctx = work->ctx;
    size_t i = 0;

    while (i < SL_COUNT(variables) && !sl_str_equal(sl_str(variables[i]), name)) {
        i++;
    }
    switch (i) {
    case VARIABLE_SOURCE_IP:
        return ngx_http_sluice_view(&ctx->client_addr);
    case VARIABLE_STAGE:
        return ctx->env_name;
    case VARIABLE_API_ID:
        return (struct sl_str){ctx->api_id, SL_ID_LEN};
    case VARIABLE_API_NAME:
        return sl_img_text(&ctx->api->name);
    case VARIABLE_APP_ID:
        return (struct sl_str){ctx->app_id, ctx->app != NULL ? SL_ID_LEN : 0};
    case VARIABLE_APP_NAME:
        return ctx->app != NULL ? sl_img_text(&ctx->app->name) : (struct sl_str){NULL, 0};
    case VARIABLE_REQUEST_ID:
        return (struct sl_str){ctx->request_id, sizeof(ctx->request_id) - 1};
    case VARIABLE_SERVER_ADDR:
        return server_address(work->request);
    case VARIABLE_SERVER_NAME:
        return (struct sl_str){(const char *)ngx_cycle->hostname.data, ngx_cycle->hostname.len};
    case VARIABLE_HANDLE_TIME:
        return formatted_time(work->request->pool);
    default:
        return (struct sl_str){NULL, 0};
    }
}

// -- the backend's parameters ---------------------------------------------------------------------

static void
add(struct param_work *work, struct sl_str name, struct sl_str text, enum sl_location location)
{
    work->additions[work->addition_count++] =
        (struct param_addition){.name = name, .text = text, .location = location};
}

// Fills additions: what the mappings say, then defaults, as if the client had sent them.
static void
map_parameters(struct param_work *work)
{
    const struct sl_img_api *api = work->ctx->api;
    const struct sl_img_target *target = work->ctx->target;
    const struct sl_img_backend_param *mapped = sl_img_items(&target->backend_params);
    const struct sl_img_req_param *params = sl_img_items(&api->req_params);

    for (uint32_t i = 0; i < target->backend_params.count; i++) {
        struct sl_str name = sl_img_text(&mapped[i].name);
        struct sl_str text = sl_img_text(&mapped[i].value);
        const struct param_value *from =
            mapped[i].req_param < 0 ? NULL : &work->values[mapped[i].req_param];

        if (mapped[i].origin == SL_FROM_CONSTANT) {
            add(work, name, text, mapped[i].location);
        } else if (mapped[i].origin == SL_FROM_SYSTEM) {
            text = system_value(work, text);
            if (text.len > 0) {
                add(work, name, text, mapped[i].location);
            }
        } else if (from != NULL && from->present) {
            add(work, name, from->text, mapped[i].location);
            work->additions[work->addition_count - 1].escaped =
                work->ctx->raw_path && params[mapped[i].req_param].location == SL_IN_PATH;
        }
    }
    for (uint32_t i = 0; i < work->declared; i++) {
        struct sl_str name = sl_img_text(&params[i].name);
        if (work->values[i].defaulted && params[i].location != SL_IN_PATH &&
            !ngx_http_sluice_target_withholds(work, params[i].location, name)) {
            add(work, name, work->values[i].text, params[i].location);
        }
    }
}

ngx_int_t
ngx_http_sluice_param(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    struct param_work work = {.request = r, .ctx = ctx, .declared = ctx->api->req_params.count};
    size_t most; // additions
    ngx_int_t rc = NGX_OK;

    if (ctx->api->backend_type == SL_BACKEND_FUNCTION) {
        rc = ngx_http_sluice_function_body(r, ctx);
    } else if (ctx->api->has_sign) {
        rc = ngx_http_sluice_sign_body(r, ctx);
    }
    if (rc != NGX_OK) {
        return rc;
    }
    if (work.declared > 0) {
        work.values = ngx_pcalloc(r->pool, work.declared * sizeof(*work.values));
        if (work.values == NULL) {
            return NGX_ERROR;
        }
    }
    ngx_http_sluice_hop_by_hop(r, ctx);
    rc = read_values(&work);
    if (rc != NGX_OK) {
        return rc;
    }
    ctx->target = ngx_http_sluice_policy_choose(&work);
    if (ctx->api->backend_type == SL_BACKEND_MOCK) {
        return NGX_OK;
    }
    most = (size_t)work.declared + ctx->target->backend_params.count;
    if (most > 0) {
        work.additions = ngx_palloc(r->pool, most * sizeof(*work.additions));
        if (work.additions == NULL) {
            return NGX_ERROR;
        }
        map_parameters(&work);
    }
    if (ctx->api->backend_type == SL_BACKEND_GRPC) {
        return ngx_http_sluice_target_same(&work);
    }
    if (ctx->api->backend_type == SL_BACKEND_FUNCTION) {
        ngx_http_sluice_withhold(r, ctx);
        rc = ngx_http_sluice_target_headers(&work);
        return rc == NGX_OK ? ngx_http_sluice_event(&work) : rc;
    }
    rc = ngx_http_sluice_target_uri(&work);
    return rc == NGX_OK ? ngx_http_sluice_target_headers(&work) : rc;
}
