// ngx_http_sluice_credential.c - what an app proves itself with, one function a means.
//
// Each answers NGX_DECLINED where the request does not carry its credential, or the gateway does
// not take it. Secrets are compared in constant time and never shown; the app's key is no secret
// (refusals name it, as documented). What is a secret stays with the gateway: the header, or the
// query parameter, does not reach the backend.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#include "common/base/clock.h"
#include "common/crypto/app_token.h"
#include "common/crypto/jwt.h"

#define MS_PER_S     1000
#define BASIC_MAX    1024 // bytes of a decoded Basic credential
#define HEADER_OF(n) (n), sizeof(n) - 1

static struct sl_image *
image_of(ngx_http_request_t *r)
{
    ngx_http_sluice_main_conf_t *smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);

    return smcf->image;
}

static ngx_int_t
set_app(ngx_http_sluice_ctx_t *ctx, const struct sl_img_app *app, enum ngx_http_sluice_proof proof)
{
    ngx_str_t name = ngx_http_sluice_copy(ctx->request->pool, sl_img_text(&app->name));

    if (name.data == NULL) {
        return NGX_ERROR;
    }
    ctx->app = app;
    ctx->app_name = ngx_http_sluice_view(&name);
    ngx_memcpy(ctx->app_id, app->id, SL_ID_LEN);
    ctx->has_app = 1;
    ctx->proof = proof;
    return NGX_OK;
}

static ngx_int_t
refuse_unknown_key(ngx_http_sluice_ctx_t *ctx, struct sl_str access)
{
    char text[160];

    (void)snprintf(text, sizeof(text), "app not found, appkey %.*s", (int)ngx_min(access.len, 128),
                   access.ptr);
    return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, text);
}

// An app by its key and, where one is asked for, its secret.
static ngx_int_t
check_secret(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, struct sl_str key,
             struct sl_str secret, enum ngx_http_sluice_proof proof)
{
    const struct sl_img_app *app = sl_image_app_by_key(image_of(r), key);

    if (app == NULL) {
        return refuse_unknown_key(ctx, key);
    }
    if (!sl_crypto_equal(sl_img_text(&app->secret), secret)) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, "verify app secret fail");
    }
    return set_app(ctx, app, proof);
}

static ngx_table_elt_t *
header_of(ngx_http_request_t *r, struct sl_str name)
{
    return ngx_http_sluice_header(r, name.ptr, name.len);
}

// A header whose name an operator gave, whatever its case.
static ngx_table_elt_t *
header_named(ngx_http_request_t *r, struct sl_str name)
{
    u_char lower[64];

    if (name.len == 0 || name.len > sizeof(lower)) {
        return NULL;
    }
    ngx_strlow(lower, (u_char *)(uintptr_t)name.ptr, name.len);
    return ngx_http_sluice_header(r, (const char *)lower, name.len);
}

// What follows the scheme in Authorization; ptr NULL when it has another.
static struct sl_str
authorization_of(const ngx_http_request_t *r, struct sl_str scheme)
{
    struct sl_str rest = {NULL, 0};
    struct sl_str word;

    if (r->headers_in.authorization == NULL) {
        return rest;
    }
    rest = sl_str_trim(ngx_http_sluice_view(&r->headers_in.authorization->value));
    word = sl_str_split(&rest, ' ');
    if (rest.ptr == NULL || !sl_str_equal_nocase(word, scheme)) {
        return (struct sl_str){NULL, 0};
    }
    return sl_str_trim(rest);
}

// -- the query ------------------------------------------------------------------------------------

// The first parameter called `name`, as received; false without one. *ret_pair: with its name.
static bool
query_find(const ngx_http_sluice_ctx_t *ctx, struct sl_str name, struct sl_str *ret_value,
           struct sl_str *ret_pair)
{
    struct sl_str rest = ctx->raw_query;

    while (rest.ptr != NULL) {
        struct sl_str value = sl_str_split(&rest, '&');

        *ret_pair = value;
        if (sl_str_equal(sl_str_split(&value, '='), name)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

// The value decoded, from the pool; ptr NULL when memory is out.
static struct sl_str
query_decode(ngx_pool_t *pool, struct sl_str value)
{
    u_char *text = ngx_pnalloc(pool, value.len + 1);
    u_char *from = (u_char *)(uintptr_t)value.ptr;
    u_char *to = text;

    if (text == NULL) {
        return (struct sl_str){NULL, 0};
    }
    ngx_unescape_uri(&to, &from, value.len, 0);
    return (struct sl_str){(const char *)text, (size_t)(to - text)};
}

// Takes every parameter called `name` out of what goes on to the backend, and the query out of what
// nginx's error log says of the request.
static ngx_int_t
query_drop(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, struct sl_str name)
{
    struct sl_str rest = ctx->raw_query;
    u_char *text = ngx_pnalloc(r->pool, rest.len + 1);
    u_char *out = text;
    u_char *query;

    if (text == NULL) {
        return NGX_ERROR;
    }
    query = ngx_strlchr(r->request_line.data, r->request_line.data + r->request_line.len, '?');
    if (query != NULL) {
        r->request_line.len = (size_t)(query - r->request_line.data);
    }
    while (rest.ptr != NULL) {
        struct sl_str pair = sl_str_split(&rest, '&');
        struct sl_str value = pair;

        if (sl_str_equal(sl_str_split(&value, '='), name)) {
            continue;
        }
        if (out > text) {
            *out++ = '&';
        }
        out = ngx_cpymem(out, pair.ptr, pair.len);
    }
    ctx->raw_query = (struct sl_str){(const char *)text, (size_t)(out - text)};
    if (out == text) {
        ctx->raw_query = (struct sl_str){NULL, 0};
    }
    return NGX_OK;
}

// -- the means ------------------------------------------------------------------------------------

ngx_int_t
ngx_http_sluice_app_code(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    static const struct sl_str name = {HEADER_OF("x-apig-appcode")};
    const ngx_table_elt_t *header = ctx->api->app_code ? header_of(r, name) : NULL;
    const struct sl_img_app *app;

    if (header == NULL) {
        return NGX_DECLINED;
    }
    ctx->secret_header = name;
    if (!ngx_http_sluice_is_tls(r)) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, "AppCode requires HTTPS");
    }
    app = sl_image_app_by_code(image_of(r), ngx_http_sluice_view(&header->value));
    if (app == NULL) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, "app not found by AppCode");
    }
    return set_app(ctx, app, NGX_HTTP_SLUICE_PROOF_APPCODE);
}

ngx_int_t
ngx_http_sluice_app_secret(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    static const struct sl_str id_name = {HEADER_OF("x-hw-id")};
    static const struct sl_str secret_name = {HEADER_OF("x-hw-appkey")};
    const ngx_table_elt_t *id;
    const ngx_table_elt_t *secret;

    if (!sl_img_feature_on(ctx->gateway, SL_FEATURE_APP_SECRET) ||
        (id = header_of(r, id_name)) == NULL) {
        return NGX_DECLINED;
    }
    ctx->secret_header = secret_name;
    secret = header_of(r, secret_name);
    if (secret == NULL) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, "X-HW-AppKey header is missing");
    }
    return check_secret(r, ctx, ngx_http_sluice_view(&id->value),
                        ngx_http_sluice_view(&secret->value), NGX_HTTP_SLUICE_PROOF_SECRET);
}

ngx_int_t
ngx_http_sluice_api_key(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    static const struct sl_str name = {HEADER_OF("apikey")};
    const ngx_table_elt_t *header;
    const struct sl_img_app *app;
    struct sl_str key;
    struct sl_str pair;

    if (!sl_img_feature_on(ctx->gateway, SL_FEATURE_APP_API_KEY)) {
        return NGX_DECLINED;
    }
    header = header_of(r, name);
    if (header != NULL) {
        key = ngx_http_sluice_view(&header->value);
    } else if (!query_find(ctx, name, &key, &pair)) {
        return NGX_DECLINED;
    } else if ((key = query_decode(r->pool, key)).ptr == NULL) {
        return NGX_ERROR;
    }
    app = sl_image_app_by_key(image_of(r), key);
    return app != NULL ? set_app(ctx, app, NGX_HTTP_SLUICE_PROOF_API_KEY)
                       : refuse_unknown_key(ctx, key);
}

ngx_int_t
ngx_http_sluice_app_basic(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    u_char room[BASIC_MAX];
    ngx_str_t plain = {0, room};
    struct sl_str text;
    struct sl_str key;
    ngx_str_t encoded;

    if (!sl_img_feature_on(ctx->gateway, SL_FEATURE_APP_BASIC) ||
        (text = authorization_of(r, SL_STR("basic"))).ptr == NULL) {
        return NGX_DECLINED;
    }
    ctx->secret_header = (struct sl_str){HEADER_OF("authorization")};
    encoded = (ngx_str_t){text.len, (u_char *)(uintptr_t)text.ptr};
    if (ngx_base64_decoded_length(text.len) > sizeof(room) ||
        ngx_decode_base64(&plain, &encoded) != NGX_OK) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, "Basic credential is malformed");
    }
    text = ngx_http_sluice_view(&plain);
    key = sl_str_split(&text, ':');
    if (text.ptr == NULL) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, "Basic credential is malformed");
    }
    return check_secret(r, ctx, key, text, NGX_HTTP_SLUICE_PROOF_BASIC);
}

// -- access tokens --------------------------------------------------------------------------------

// Where the access token stands; NGX_DECLINED where there is none.
static ngx_int_t
find_access_token(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, struct sl_str *ret_token)
{
    static const struct sl_str name = {HEADER_OF("access_token")};
    const ngx_table_elt_t *header = header_of(r, name);
    struct sl_str pair;

    *ret_token = authorization_of(r, SL_STR("bearer"));
    if (ret_token->ptr != NULL) {
        ctx->secret_header = (struct sl_str){HEADER_OF("authorization")};
        return NGX_OK;
    }
    if (header != NULL) {
        *ret_token = ngx_http_sluice_view(&header->value);
        ctx->secret_header = name;
        return NGX_OK;
    }
    if (!query_find(ctx, name, ret_token, &pair)) {
        return NGX_DECLINED;
    }
    *ret_token = query_decode(r->pool, *ret_token);
    return ret_token->ptr == NULL ? NGX_ERROR : query_drop(r, ctx, name);
}

ngx_int_t
ngx_http_sluice_access_token(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    const struct sl_img_app *app;
    struct sl_app_token token;
    struct sl_seal_key key;
    struct sl_str text;
    struct sl_arena *scratch;
    char tag[SL_APP_TOKEN_TAG + 1];
    bool opened;
    ngx_int_t rc;

    if (!sl_img_feature_on(ctx->gateway, SL_FEATURE_APP_TOKEN)) {
        return NGX_DECLINED;
    }
    rc = find_access_token(r, ctx, &text);
    if (rc != NGX_OK) {
        return rc;
    }
    scratch = ngx_http_sluice_scratch();
    if (scratch == NULL) {
        return NGX_ERROR;
    }
    sl_app_token_key(sl_img_feature_text(ctx->gateway, SL_FEATURE_APP_TOKEN_KEY), &key);
    opened = sl_app_token_open(scratch, &key, text, &token);
    sl_wipe(&key, sizeof(key));
    if (!opened || token.kind != SL_APP_TOKEN_ACCESS) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_TOKEN_ACCESS);
    }
    if (sl_wall_ms() / MS_PER_S >= token.expires_s) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_TOKEN_ACCESS_OVER);
    }
    app = sl_image_app(image_of(r), token.app_id);
    if (app == NULL) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_TOKEN_NO_APP);
    }
    sl_app_token_tag(sl_img_text(&app->secret), tag);
    if (ngx_memcmp(tag, token.tag, sizeof(tag)) != 0) { // the secret was reset since
        return ngx_http_sluice_fail(ctx, SL_E_GW_TOKEN_ACCESS);
    }
    return set_app(ctx, app, NGX_HTTP_SLUICE_PROOF_TOKEN);
}

// -- JWT ------------------------------------------------------------------------------------------

// The token, where the request has one beside its Timestamp; ptr NULL without.
static struct sl_str
find_jwt(ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx)
{
    struct sl_str name = sl_img_feature_text(ctx->gateway, SL_FEATURE_APP_JWT_HEADER);
    const ngx_table_elt_t *header =
        name.len > 0 ? header_named(r, name) : r->headers_in.authorization;
    struct sl_str text;

    if (header == NULL) {
        return (struct sl_str){NULL, 0};
    }
    text = sl_str_trim(ngx_http_sluice_view(&header->value));
    // A signature with a Timestamp beside it is a signature.
    return sl_str_starts(text, SL_STR("SDK-")) ? (struct sl_str){NULL, 0} : text;
}

ngx_int_t
ngx_http_sluice_app_jwt(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    static const struct sl_str name = {HEADER_OF("timestamp")};
    const struct sl_img_app *app;
    const ngx_table_elt_t *timestamp;
    struct sl_hmac *hmac;
    struct sl_jwt jwt;
    struct sl_str text;
    int64_t now_ms;
    int64_t at_ms;

    if (!sl_img_feature_on(ctx->gateway, SL_FEATURE_APP_JWT) ||
        (timestamp = header_of(r, name)) == NULL || (text = find_jwt(r, ctx)).ptr == NULL) {
        return NGX_DECLINED;
    }
    if (!sl_jwt_parse(text, &jwt)) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, "JWT is malformed");
    }
    app = sl_image_app_by_key(image_of(r), sl_str(jwt.key));
    if (app == NULL) {
        return refuse_unknown_key(ctx, sl_str(jwt.key));
    }
    hmac = ngx_http_sluice_hmac(
        &(ngx_http_sluice_key_t){app->id, app->secret_version, sl_img_text(&app->secret)});
    if (hmac == NULL) {
        return NGX_ERROR;
    }
    if (!sl_jwt_verify(&jwt, hmac)) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, "verify JWT fail");
    }
    now_ms = sl_wall_ms();
    if (!sl_str_int(ngx_http_sluice_view(&timestamp->value), &at_ms) ||
        at_ms < now_ms - SL_SIGN_SKEW_MS || at_ms > now_ms + SL_SIGN_SKEW_MS ||
        !sl_jwt_is_timely(&jwt, now_ms, SL_SIGN_SKEW_MS)) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, "JWT expired");
    }
    return set_app(ctx, app, NGX_HTTP_SLUICE_PROOF_JWT);
}

// -- the signature --------------------------------------------------------------------------------

ngx_int_t
ngx_http_sluice_app_signature(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    struct sl_str name = sl_img_feature_text(ctx->gateway, SL_FEATURE_APP_AUTH_HEADER);
    const ngx_table_elt_t *header =
        name.len > 0 ? header_named(r, name) : r->headers_in.authorization;
    const struct sl_img_app *app;
    struct sl_sign_parts parts;
    ngx_int_t rc;

    if (header == NULL) {
        return NGX_DECLINED;
    }
    rc = ngx_http_sluice_signature_parse(r, ctx, SL_E_GW_APP_AUTH,
                                         ngx_http_sluice_view(&header->value), &parts);
    if (rc != NGX_OK) {
        return rc;
    }
    app = sl_image_app_by_key(image_of(r), parts.access);
    if (app == NULL) {
        return refuse_unknown_key(ctx, parts.access);
    }
    rc = ngx_http_sluice_signature_check(
        r, ctx, SL_E_GW_APP_AUTH, &parts,
        &(ngx_http_sluice_key_t){app->id, app->secret_version, sl_img_text(&app->secret)});
    return rc == NGX_OK ? set_app(ctx, app, NGX_HTTP_SLUICE_PROOF_SIGNATURE) : rc;
}
