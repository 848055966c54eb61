// ngx_http_sluice_route.c - Host → group, X-Stage → environment, path and method → API.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_domain.h"
#include "services/nginx/ngx_http_sluice_sign.h"

#include <arpa/inet.h>

// nginx's bit of each method that an API can declare.
static const struct {
    ngx_uint_t bit;
    enum sl_method method;
} methods[] = {
    {NGX_HTTP_GET, SL_METHOD_GET},         {NGX_HTTP_POST, SL_METHOD_POST},
    {NGX_HTTP_PUT, SL_METHOD_PUT},         {NGX_HTTP_DELETE, SL_METHOD_DELETE},
    {NGX_HTTP_HEAD, SL_METHOD_HEAD},       {NGX_HTTP_PATCH, SL_METHOD_PATCH},
    {NGX_HTTP_OPTIONS, SL_METHOD_OPTIONS},
};

// The texts of APIG.0607, by what req_protocol holds.
static const struct {
    unsigned schemes;
    const char *text;
} scheme_texts[] = {
    {SL_SCHEME_HTTP, "HTTP"},
    {SL_SCHEME_HTTPS, "HTTPS"},
    {SL_SCHEME_GRPCS, "GRPCS"},
};

static struct sl_image *
image_of(ngx_http_request_t *r)
{
    ngx_http_sluice_main_conf_t *smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);

    return smcf->image;
}

const struct sl_img_gateway *
ngx_http_sluice_gateway(ngx_http_request_t *r)
{
    const struct sl_image *image = image_of(r);

    return sl_image_ready(image) ? sl_image_gateway(image) : NULL;
}

static enum sl_method
method_of(const ngx_http_request_t *r)
{
    for (size_t i = 0; i < SL_COUNT(methods); i++) {
        if (r->method == methods[i].bit) {
            return methods[i].method;
        }
    }
    return SL_METHOD_COUNT;
}

bool
ngx_http_sluice_is_address(struct sl_str host)
{
    char text[INET6_ADDRSTRLEN + 1];
    u_char address[16];

    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        host.ptr++;
        host.len -= 2;
    }
    if (host.len == 0 || host.len >= sizeof(text)) {
        return false;
    }
    ngx_memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

// Whether the address is one of the gateway's own.
static bool
is_own_address(const struct sl_img_gateway *gateway, struct sl_str host)
{
    const struct sl_img_str *addresses = sl_img_items(&gateway->addresses);

    if (host.ptr[0] == '[') {
        host = (struct sl_str){host.ptr + 1, host.len - 2};
    }
    for (uint32_t i = 0; i < gateway->addresses.count; i++) {
        if (sl_str_equal(sl_img_text(&addresses[i]), host)) {
            return true;
        }
    }
    return false;
}

// The group that a Host leads to; NULL when none.
static const struct sl_img_group *
group_of(struct sl_image *image, ngx_http_sluice_ctx_t *ctx)
{
    const struct sl_img_host *host;
    const struct sl_img_group *group;

    ctx->domain = NULL;
    if (ctx->host.len == 0) { // HTTP/1.0 without Host: as if sent to our address
        return sl_image_default_group(image);
    }
    host = sl_image_host(image, ctx->host);
    if (host == NULL) {
        return ngx_http_sluice_is_address(ctx->host) && is_own_address(ctx->gateway, ctx->host)
                   ? sl_image_default_group(image)
                   : NULL;
    }
    ctx->domain = host;
    group = sl_image_group(image, host->group_id);
    if (group == NULL || (host->debugging && !group->sl_domain_enabled)) {
        return NULL;
    }
    ctx->host_is_debug = host->debugging ? 1 : 0;
    return group;
}

static ngx_int_t
check_protocol(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    unsigned came = ngx_http_sluice_is_tls(r) ? SL_SCHEME_HTTPS : SL_SCHEME_HTTP;

    if (came == SL_SCHEME_HTTPS && r->http_version == NGX_HTTP_VERSION_20) {
        came |= SL_SCHEME_GRPCS;
    }
    if ((ctx->api->schemes & came) != 0) {
        return NGX_OK;
    }
    for (size_t i = 0; i < SL_COUNT(scheme_texts); i++) {
        if ((ctx->api->schemes & scheme_texts[i].schemes) != 0) {
            return ngx_http_sluice_fail(ctx, SL_E_GW_PROTOCOL, scheme_texts[i].text);
        }
    }
    return ngx_http_sluice_fail(ctx, SL_E_GW_CONFIG);
}

// Copies what must outlive a suspension.
static ngx_int_t
remember(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    const struct sl_img_api *api = ctx->api;
    struct sl_str env_id = sl_img_text(&api->env_id);
    struct sl_str name = sl_img_text(&api->name);
    u_char *text = ngx_pnalloc(r->pool, env_id.len + name.len + 1);

    if (text == NULL) {
        return NGX_ERROR;
    }
    ctx->env_id = (struct sl_str){(const char *)text, env_id.len};
    text = ngx_cpymem(text, env_id.ptr, env_id.len);
    ctx->api_name = (struct sl_str){(const char *)text, name.len};
    ngx_memcpy(text, name.ptr, name.len);
    ctx->auth = (enum sl_auth_type)api->auth;
    ctx->cors = api->cors != 0;
    ctx->grpc = api->backend_type == SL_BACKEND_GRPC;
    ctx->preflight = ctx->cors && api->method == SL_METHOD_OPTIONS;
    ngx_memcpy(ctx->group_id, ctx->group->id, SL_ID_LEN);
    ngx_memcpy(ctx->publish_id, api->publish_id, SL_ID_LEN);
    ngx_memcpy(ctx->api_id, api->api_id, SL_ID_LEN);
    ctx->routed = 1;
    return NGX_OK;
}

// Goes on with the API that the route found.
static ngx_int_t
take_api(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    ngx_int_t rc;

    ctx->api = ctx->route.api;
    __builtin_prefetch(sl_img_text(&ctx->api->target.path).ptr); // read after all the checks
    rc = remember(r, ctx);
    if (rc == NGX_OK) {
        rc = ngx_http_sluice_domain_scheme(r, ctx, ctx->api->schemes);
    }
    return rc == NGX_OK && !ctx->answered ? check_protocol(r, ctx) : rc;
}

// Whether the call may be routed by its app: it names no domain.
static bool
may_route_by_app(const ngx_http_sluice_ctx_t *ctx)
{
    return sl_img_feature_on(ctx->gateway, SL_FEATURE_APP_ROUTE) && !ctx->debug_call &&
           (ctx->host.len == 0 || ngx_http_sluice_is_address(ctx->host));
}

// Routes among what the app of X-HW-ID and X-HW-AppKey may call; NGX_DECLINED when that is nothing.
// Who calls is judged again by what the API asks for.
static ngx_int_t
route_by_app(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, enum sl_route_result *ret_result)
{
    struct sl_image *image = image_of(r);
    const struct sl_img_app *app;
    ngx_int_t rc = ngx_http_sluice_app_secret(r, ctx);

    if (rc != NGX_OK) {
        return rc;
    }
    app = ctx->app;
    ctx->app = NULL;
    ctx->app_name = (struct sl_str){NULL, 0};
    ctx->has_app = 0;
    ctx->proof = NGX_HTTP_SLUICE_PROOF_NONE;
    *ret_result =
        sl_image_route_app(image, app, ctx->env_name, ctx->method, ctx->path, &ctx->route);
    if (*ret_result != SL_ROUTE_FOUND) {
        return NGX_DECLINED;
    }
    ctx->group = sl_image_group(image, ctx->route.api->group_id);
    if (ctx->group == NULL) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_CONFIG);
    }
    ngx_memcpy(ctx->route_id, app->id, SL_ID_LEN);
    ctx->by_app = 1;
    return take_api(r, ctx);
}

// Nothing of the host's group, if it has one, takes the call.
static ngx_int_t
route_elsewhere(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, enum sl_route_result result)
{
    enum sl_route_result of_app = SL_ROUTE_NO_PATH;
    ngx_int_t rc = may_route_by_app(ctx) ? route_by_app(r, ctx, &of_app) : NGX_DECLINED;

    if (rc != NGX_DECLINED) {
        return rc;
    }
    return result == SL_ROUTE_NO_METHOD || of_app == SL_ROUTE_NO_METHOD
               ? ngx_http_sluice_fail(ctx, SL_E_GW_NO_METHOD)
               : ngx_http_sluice_fail(ctx, SL_E_GW_NO_API);
}

// The environment: what X-Stage names, or, of a call that the publisher had the agent make, one
// that only this call knows.
static ngx_int_t
find_env(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    ngx_table_elt_t *stage = ngx_http_sluice_header(r, "x-stage", sizeof("x-stage") - 1);
    ngx_table_elt_t *secret = ngx_http_sluice_header(r, "x-apig-debug", sizeof("x-apig-debug") - 1);

    ctx->env_name = stage != NULL ? ngx_http_sluice_view(&stage->value) : SL_STR("RELEASE");
    ctx->debug_call = secret != NULL;
    if (secret == NULL) {
        return NGX_OK;
    }
    size_t len = sizeof("debug/") - 1 + secret->value.len;
    u_char *name = ngx_pnalloc(r->pool, len);
    if (name == NULL) {
        return NGX_ERROR;
    }
    ngx_memcpy(ngx_cpymem(name, "debug/", sizeof("debug/") - 1), secret->value.data,
               secret->value.len);
    ctx->env_name = (struct sl_str){(const char *)name, len};
    return NGX_OK;
}

ngx_int_t
ngx_http_sluice_route(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    struct sl_image *image = image_of(r);
    enum sl_route_result result;
    ngx_int_t rc;

    ctx->gateway = ngx_http_sluice_gateway(r);
    if (ctx->gateway == NULL) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_CONFIG);
    }
    ctx->gzip_level = (ngx_uint_t)sl_img_feature_number(ctx->gateway, SL_FEATURE_GZIP_LEVEL, 0);
    ctx->body_max_bytes = ctx->gateway->body_max_bytes;
    if (ctx->body_max_bytes > 0 && r->headers_in.content_length_n > ctx->body_max_bytes) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_BODY_TOO_LARGE);
    }
    if (ngx_http_sluice_address(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }
    ctx->method = method_of(r);
    if (find_env(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }
    struct sl_image_call call = {
        .host = ctx->host, .env_name = ctx->env_name, .path = ctx->path, .method = ctx->method};
    struct sl_image_answer answer;
    if (ngx_http_sluice_asked(r) == NULL && sl_image_recall(image, &call, &answer)) {
        ctx->group = answer.group;
        ctx->host_is_debug = answer.debugging != 0;
        ctx->route.api = answer.api;
        return take_api(r, ctx);
    }
    ctx->group = group_of(image, ctx);
    rc = ngx_http_sluice_domain(r, ctx);
    if (rc != NGX_OK) {
        return rc;
    }
    if (ctx->group == NULL) {
        return route_elsewhere(r, ctx, SL_ROUTE_NO_PATH);
    }
    if (ctx->debug_call && !sl_image_has_env(image, ctx->group->id, ctx->env_name)) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_DEBUG_AUTH);
    }
    if (ngx_http_sluice_is_token_call(ctx)) {
        rc = ngx_http_sluice_domain_scheme(r, ctx, 0);
        return rc == NGX_OK ? ngx_http_sluice_token(r, ctx) : rc;
    }
    if (ngx_http_sluice_is_pair_call(r, ctx)) {
        return ngx_http_sluice_pair(r, ctx);
    }
    result =
        sl_image_route(image, ctx->group->id, ctx->env_name, ctx->method, ctx->path, &ctx->route);
    if (result != SL_ROUTE_FOUND) {
        return route_elsewhere(r, ctx, result);
    }
    if (ctx->route.capture_count == 0 && ctx->route.remainder.len == 0 &&
        ngx_http_sluice_is_plain(ctx->domain)) {
        answer = (struct sl_image_answer){ctx->group, ctx->route.api, ctx->host_is_debug};
        sl_image_remember(image, &call, &answer);
    }
    return take_api(r, ctx);
}

// Routes a call that was routed before.
static enum sl_route_result
route_again(struct sl_image *image, ngx_http_sluice_ctx_t *ctx)
{
    const struct sl_img_app *app = ctx->by_app ? sl_image_app(image, ctx->route_id) : NULL;

    if (!ctx->by_app) {
        return sl_image_route(image, ctx->group_id, ctx->env_name, ctx->method, ctx->path,
                              &ctx->route);
    }
    return app == NULL
               ? SL_ROUTE_NO_PATH
               : sl_image_route_app(image, app, ctx->env_name, ctx->method, ctx->path, &ctx->route);
}

ngx_int_t
ngx_http_sluice_relookup(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    struct sl_image *image = image_of(r);

    ctx->gateway = sl_image_gateway(image);
    ctx->group = sl_image_group(image, ctx->group_id);
    ctx->app = ctx->has_app ? sl_image_app(image, ctx->app_id) : NULL;
    // Routed anew: what the path's parts are called may have changed with the API.
    if (ctx->gateway == NULL || ctx->group == NULL || route_again(image, ctx) != SL_ROUTE_FOUND ||
        ngx_memcmp(ctx->route.api->publish_id, ctx->publish_id, SL_ID_LEN) != 0) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_NO_API);
    }
    ctx->api = ctx->route.api;
    if (ctx->has_app && ctx->app == NULL) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_UNAUTHORIZED);
    }
    return ctx->has_user ? ngx_http_sluice_iam_relookup(r, ctx) : NGX_OK;
}
