// ngx_http_sluice_auth.c - who calls: AppCode, else the signature SDK-HMAC-SHA256.
//
// The credential that is present decides; there is no falling through. A signature is judged in the
// order of architecture.md 6: parse, key known, date, HMAC over the header's digest; the body is
// read only after that, or, when the header has no digest, as late as the HMAC needs it.
//
// A worker keeps the HMAC states of the keys it met, bounded, under (app key, version of the
// secret): a secret that was reset is another entry, the old one ages out.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#include "common/base/clock.h"
#include "common/crypto/sign.h"

#define HMAC_SETS        512           // of the cache
#define HMAC_WAYS        4             // entries of a set
#define SIGN_ARENA_MAX   (1024 * 1024) // what one verification may use, bytes
#define SIGN_HEADERS_MAX 256           // headers of a signed request
#define DIGEST_LEN       64            // hex digits of a SHA-256

static const char empty_digest[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

// One key's HMAC states.
struct hmac_entry {
    struct sl_hmac *hmac;    // NULL: free
    char app_id[SL_ID_LEN];  // whose
    uint64_t secret_version; // of which secret
    uint64_t used;           // when last, in uses of the cache
};

// A worker is one thread, so these need no lock.
static struct hmac_entry hmac_cache[HMAC_SETS][HMAC_WAYS];
static uint64_t hmac_uses;
static struct sl_arena *sign_arena;

static struct hmac_entry *
hmac_slot(const struct sl_img_app *app)
{
    uint32_t set = ngx_murmur_hash2((u_char *)(uintptr_t)app->id, SL_ID_LEN) % HMAC_SETS;
    struct hmac_entry *oldest = &hmac_cache[set][0];

    for (size_t i = 0; i < HMAC_WAYS; i++) {
        struct hmac_entry *entry = &hmac_cache[set][i];

        if (entry->hmac != NULL && entry->secret_version == app->secret_version &&
            ngx_memcmp(entry->app_id, app->id, SL_ID_LEN) == 0) {
            return entry;
        }
        if (entry->used < oldest->used) {
            oldest = entry;
        }
    }
    sl_hmac_free(&oldest->hmac);
    oldest->used = 0;
    return oldest;
}

static struct sl_hmac *
hmac_of(const struct sl_img_app *app)
{
    struct hmac_entry *entry = hmac_slot(app);

    if (entry->hmac == NULL) {
        entry->hmac = sl_hmac_new(sl_img_text(&app->secret));
        entry->secret_version = app->secret_version;
        ngx_memcpy(entry->app_id, app->id, SL_ID_LEN);
    }
    entry->used = ++hmac_uses;
    return entry->hmac;
}

void
ngx_http_sluice_auth_exit(void)
{
    for (size_t i = 0; i < HMAC_SETS; i++) {
        for (size_t j = 0; j < HMAC_WAYS; j++) {
            sl_hmac_free(&hmac_cache[i][j].hmac);
        }
    }
    sl_arena_free(&sign_arena);
}

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
check_app_code(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, const ngx_table_elt_t *header)
{
    const struct sl_img_app *app;

    ctx->appcode_used = 1;
    if (!ngx_http_sluice_is_tls(r)) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, "AppCode requires HTTPS");
    }
    app = sl_image_app_by_code(image_of(r), ngx_http_sluice_view(&header->value));
    if (app == NULL) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, "app not found by AppCode");
    }
    return set_app(ctx, app, NGX_HTTP_SLUICE_PROOF_APPCODE);
}

// -- the signature --------------------------------------------------------------------------------

// Collects the request's headers as they came; false when there are too many.
static bool
collect_headers(ngx_http_request_t *r, struct sl_sign_header *headers, size_t *ret_count)
{
    const ngx_list_part_t *part = &r->headers_in.headers.part;
    size_t count = 0;

    for (; part != NULL; part = part->next) {
        const ngx_table_elt_t *header = part->elts;

        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (count == SIGN_HEADERS_MAX) {
                return false;
            }
            headers[count].name = ngx_http_sluice_view(&header[i].key);
            headers[count].value = ngx_http_sluice_view(&header[i].value);
            count++;
        }
    }
    *ret_count = count;
    return true;
}

static ngx_int_t
refuse_expired(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    ngx_table_elt_t *date = ngx_http_sluice_header(r, "x-sdk-date", sizeof("x-sdk-date") - 1);
    char text[128];
    struct tm now;
    time_t seconds = (time_t)(sl_wall_ms() / 1000);
    int used;

    used = snprintf(text, sizeof(text), "signature expired, signature time:%.*s,server time:",
                    date == NULL ? 0 : (int)ngx_min(date->value.len, 32),
                    date == NULL ? "" : (const char *)date->value.data);
    (void)strftime(text + used, sizeof(text) - (size_t)used, "%Y%m%dT%H%M%SZ",
                   gmtime_r(&seconds, &now));
    return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, text);
}

static ngx_int_t
refuse_mismatch(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, const char *canonical)
{
    struct sl_str text = sl_str(canonical);
    ngx_str_t tail = ngx_http_sluice_copy(r->pool, text);

    if (tail.data == NULL) {
        return NGX_ERROR;
    }
    for (size_t i = 0; i < tail.len; i++) {
        tail.data[i] = tail.data[i] == '\n' ? '|' : tail.data[i];
    }
    ctx->error_tail = ngx_http_sluice_view(&tail);
    return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, "verify signature fail, canonicalRequest:");
}

// The refusal of everything that can be judged before the key.
static ngx_int_t
refuse_result(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, enum sl_sign_result result)
{
    switch (result) {
    case SL_SIGN_EMPTY:
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH,
                                    "Access or Credential is empty in Authorization");
    case SL_SIGN_HEADERS:
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH,
                                    "SignedHeaders must name host and x-sdk-date, and only "
                                    "headers of the request");
    case SL_SIGN_DATE:
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, "X-Sdk-Date is missing or malformed");
    case SL_SIGN_EXPIRED:
        return refuse_expired(r, ctx);
    case SL_SIGN_OK:
    case SL_SIGN_ALGORITHM:
    case SL_SIGN_MISMATCH:
    default:
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, "signing algorithm is not supported");
    }
}

static ngx_int_t
refuse_unknown_key(ngx_http_sluice_ctx_t *ctx, struct sl_str access)
{
    char text[160];

    (void)snprintf(text, sizeof(text), "app not found, appkey %.*s", (int)ngx_min(access.len, 128),
                   access.ptr);
    return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, text);
}

// -- the body -------------------------------------------------------------------------------------

// The body's digest as the canonical request needs it: empty when the header has one.
static ngx_int_t
body_digest(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, struct sl_str *ret_digest)
{
    static const char name[] = "x-sdk-content-sha256";

    if (ngx_http_sluice_header(r, name, sizeof(name) - 1) != NULL) {
        *ret_digest = (struct sl_str){NULL, 0};
        return NGX_OK;
    }
    if (!ngx_http_sluice_has_body(r)) {
        *ret_digest = (struct sl_str){empty_digest, DIGEST_LEN};
        return NGX_OK;
    }
    if (ctx->body_digest[0] == '\0') {
        return ngx_http_sluice_body_read(r, ctx);
    }
    *ret_digest = (struct sl_str){ctx->body_digest, DIGEST_LEN};
    return NGX_OK;
}

static ngx_int_t
verify(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, const struct sl_sign_request *request,
       const struct sl_sign_parts *parts, const struct sl_img_app *app)
{
    struct sl_hmac *hmac = hmac_of(app);
    const char *canonical = "";
    enum sl_sign_result result;

    if (hmac == NULL) {
        return NGX_ERROR;
    }
    sl_arena_clear(sign_arena);
    result = sl_sign_verify(sign_arena, request, parts, hmac, &canonical);
    if (result == SL_SIGN_MISMATCH) {
        return refuse_mismatch(r, ctx, canonical);
    }
    if (result != SL_SIGN_OK) {
        return refuse_result(r, ctx, result);
    }
    return set_app(ctx, app, NGX_HTTP_SLUICE_PROOF_SIGNATURE);
}

static ngx_int_t
check_signature(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, struct sl_str authorization)
{
    struct sl_sign_header headers[SIGN_HEADERS_MAX];
    struct sl_sign_request request = {
        .method = ngx_http_sluice_view(&r->method_name),
        .raw_path = ngx_http_sluice_view(&r->unparsed_uri),
        .raw_query = ctx->raw_query,
        .headers = headers,
    };
    const struct sl_img_app *app;
    struct sl_sign_parts parts;
    enum sl_sign_result result;
    ngx_int_t rc;

    if (sign_arena == NULL && (sign_arena = sl_arena_new(SIGN_ARENA_MAX)) == NULL) {
        return NGX_ERROR;
    }
    if (ctx->raw_query.ptr != NULL) {
        request.raw_path.len = (size_t)(ctx->raw_query.ptr - 1 - request.raw_path.ptr);
    }
    result = sl_sign_parse(authorization, &parts);
    if (result != SL_SIGN_OK) {
        return refuse_result(r, ctx, result);
    }
    app = sl_image_app_by_key(image_of(r), parts.access);
    if (app == NULL) {
        return refuse_unknown_key(ctx, parts.access);
    }
    if (!collect_headers(r, headers, &request.header_count)) {
        return refuse_result(r, ctx, SL_SIGN_HEADERS);
    }
    // The date was judged before the body was waited for.
    if (ctx->body_digest[0] == '\0') {
        result = sl_sign_precheck(&request, &parts, sl_wall_ms());
        if (result != SL_SIGN_OK) {
            return refuse_result(r, ctx, result);
        }
    }
    rc = body_digest(r, ctx, &request.body_hash);
    return rc == NGX_OK ? verify(r, ctx, &request, &parts, app) : rc;
}

ngx_int_t
ngx_http_sluice_auth(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    static const char app_code[] = "x-apig-appcode";
    const ngx_table_elt_t *header;

    if (ctx->api->auth == SL_AUTH_NONE) {
        return NGX_OK;
    }
    if (ctx->api->auth != SL_AUTH_APP) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_CONFIG);
    }
    header = ngx_http_sluice_header(r, app_code, sizeof(app_code) - 1);
    if (header != NULL && ctx->api->app_code) {
        return check_app_code(r, ctx, header);
    }
    if (r->headers_in.authorization == NULL) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, "Authorization header is missing");
    }
    return check_signature(r, ctx, ngx_http_sluice_view(&r->headers_in.authorization->value));
}

ngx_int_t
ngx_http_sluice_digest(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    static const char name[] = "x-sdk-content-sha256";
    const ngx_table_elt_t *header;

    if (ctx->proof != NGX_HTTP_SLUICE_PROOF_SIGNATURE) {
        return NGX_OK;
    }
    header = ngx_http_sluice_header(r, name, sizeof(name) - 1);
    if (header == NULL || header->value.len != DIGEST_LEN) {
        return NGX_OK; // UNSIGNED-PAYLOAD, or the body was hashed for the HMAC
    }
    if (!ngx_http_sluice_has_body(r)) {
        ngx_memcpy(ctx->body_digest, empty_digest, sizeof(empty_digest));
    }
    if (ctx->body_digest[0] == '\0') {
        return ngx_http_sluice_body_read(r, ctx);
    }
    if (sl_str_equal_nocase(ngx_http_sluice_view(&header->value),
                            (struct sl_str){ctx->body_digest, DIGEST_LEN})) {
        return NGX_OK;
    }
    return ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH,
                                "X-Sdk-Content-Sha256 is not the digest of the body");
}
