// ngx_http_sluice_signature.c - the signature SDK-HMAC-SHA256: of apps, and of access keys.
//
// It is judged in the order of architecture.md 6: parse, key known, date, HMAC over the header's
// digest; the body is read only after that, or, when the header has no digest, as late as the HMAC
// needs it.
//
// A worker keeps the HMAC states of the keys it met, bounded, under (owner, version of the secret):
// a secret that was reset is another entry, the old one ages out.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#include "common/base/clock.h"
#include "common/base/hash.h"

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
    char owner[SL_ID_LEN];   // whose
    uint64_t secret_version; // of which secret
    uint64_t used;           // when last, in uses of the cache
};

// A worker is one thread, so these need no lock.
static struct hmac_entry hmac_cache[HMAC_SETS][HMAC_WAYS];
static uint64_t hmac_uses;
static struct sl_arena *sign_arena; // for one verification at a time

static struct hmac_entry *
hmac_slot(const ngx_http_sluice_key_t *key)
{
    uint64_t set = sl_hash(0, key->owner, SL_ID_LEN) % HMAC_SETS; // ids are the gateway's own
    struct hmac_entry *oldest = &hmac_cache[set][0];

    for (size_t i = 0; i < HMAC_WAYS; i++) {
        struct hmac_entry *entry = &hmac_cache[set][i];

        if (entry->hmac != NULL && entry->secret_version == key->version &&
            ngx_memcmp(entry->owner, key->owner, SL_ID_LEN) == 0) {
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

struct sl_hmac *
ngx_http_sluice_hmac(const ngx_http_sluice_key_t *key)
{
    struct hmac_entry *entry = hmac_slot(key);

    if (entry->hmac == NULL) {
        entry->hmac = sl_hmac_new(key->secret);
        entry->secret_version = key->version;
        ngx_memcpy(entry->owner, key->owner, SL_ID_LEN);
    }
    entry->used = ++hmac_uses;
    return entry->hmac;
}

void
ngx_http_sluice_signature_exit(void)
{
    for (size_t i = 0; i < HMAC_SETS; i++) {
        for (size_t j = 0; j < HMAC_WAYS; j++) {
            sl_hmac_free(&hmac_cache[i][j].hmac);
        }
    }
    sl_arena_free(&sign_arena);
}

struct sl_arena *
ngx_http_sluice_scratch(void)
{
    if (sign_arena == NULL) {
        sign_arena = sl_arena_new(SIGN_ARENA_MAX);
    } else {
        sl_arena_clear(sign_arena);
    }
    return sign_arena;
}

// Collects the request's headers as they came, the names in lower case, as most signers write them:
// so they compare at once. False when there are too many.
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
            headers[count].name =
                (struct sl_str){(const char *)header[i].lowcase_key, header[i].key.len};
            headers[count].value = ngx_http_sluice_view(&header[i].value);
            count++;
        }
    }
    *ret_count = count;
    return true;
}

static ngx_int_t
refuse_expired(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, enum sl_code code)
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
    return ngx_http_sluice_fail(ctx, code, text);
}

static ngx_int_t
refuse_mismatch(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, enum sl_code code,
                const char *canonical)
{
    struct sl_str text = sl_str(canonical);
    ngx_str_t tail;

    ctx->mismatched = 1;
    if (code != SL_E_GW_APP_AUTH) {
        return ngx_http_sluice_fail(ctx, code, "verify aksk signature fail");
    }
    tail = ngx_http_sluice_copy(r->pool, text);
    if (tail.data == NULL) {
        return NGX_ERROR;
    }
    for (size_t i = 0; i < tail.len; i++) {
        tail.data[i] = tail.data[i] == '\n' ? '|' : tail.data[i];
    }
    ctx->error_tail = ngx_http_sluice_view(&tail);
    return ngx_http_sluice_fail(ctx, code, "verify signature fail, canonicalRequest:");
}

// The refusal of everything that can be judged before the key.
static ngx_int_t
refuse_result(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, enum sl_code code,
              enum sl_sign_result result)
{
    switch (result) {
    case SL_SIGN_EMPTY:
        return ngx_http_sluice_fail(ctx, code, "Access or Credential is empty in Authorization");
    case SL_SIGN_HEADERS:
        return ngx_http_sluice_fail(ctx, code,
                                    "SignedHeaders must name host and x-sdk-date, and only "
                                    "headers of the request");
    case SL_SIGN_DATE:
        return ngx_http_sluice_fail(ctx, code, "X-Sdk-Date is missing or malformed");
    case SL_SIGN_EXPIRED:
        return refuse_expired(r, ctx, code);
    case SL_SIGN_OK:
    case SL_SIGN_ALGORITHM:
    case SL_SIGN_MISMATCH:
    default:
        return ngx_http_sluice_fail(ctx, code, "signing algorithm is not supported");
    }
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
       const struct sl_sign_parts *parts, enum sl_code code, const ngx_http_sluice_key_t *key)
{
    struct sl_hmac *hmac = ngx_http_sluice_hmac(key);
    struct sl_arena *scratch = ngx_http_sluice_scratch();
    const char *canonical = "";
    enum sl_sign_result result;

    if (hmac == NULL || scratch == NULL) {
        return NGX_ERROR;
    }
    result = sl_sign_verify(scratch, request, parts, hmac, &canonical);
    if (result == SL_SIGN_MISMATCH) {
        return refuse_mismatch(r, ctx, code, canonical);
    }
    if (result != SL_SIGN_OK) {
        return refuse_result(r, ctx, code, result);
    }
    ctx->signed_request = 1;
    return NGX_OK;
}

ngx_int_t
ngx_http_sluice_signature_parse(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx,
                                enum sl_code code, struct sl_str text,
                                struct sl_sign_parts *ret_parts)
{
    enum sl_sign_result result = sl_sign_parse(text, ret_parts);

    return result == SL_SIGN_OK ? NGX_OK : refuse_result(r, ctx, code, result);
}

ngx_int_t
ngx_http_sluice_signature_check(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx,
                                enum sl_code code, const struct sl_sign_parts *parts,
                                const ngx_http_sluice_key_t *key)
{
    struct sl_sign_header headers[SIGN_HEADERS_MAX];
    struct sl_sign_request request = {
        .method = ngx_http_sluice_view(&r->method_name),
        .raw_path = ngx_http_sluice_view(&r->unparsed_uri),
        .raw_query = ctx->raw_query,
        .headers = headers,
        .by_address = ctx->host.len == 0 || ngx_http_sluice_is_address(ctx->host),
    };
    enum sl_sign_result result;
    ngx_int_t rc;

    if (ctx->raw_query.ptr != NULL) {
        request.raw_path.len = (size_t)(ctx->raw_query.ptr - 1 - request.raw_path.ptr);
    }
    if (!collect_headers(r, headers, &request.header_count)) {
        return refuse_result(r, ctx, code, SL_SIGN_HEADERS);
    }
    // The date was judged before the body was waited for.
    if (ctx->body_digest[0] == '\0') {
        result = sl_sign_precheck(&request, parts, sl_wall_ms());
        if (result != SL_SIGN_OK) {
            return refuse_result(r, ctx, code, result);
        }
    }
    rc = body_digest(r, ctx, &request.body_hash);
    return rc == NGX_OK ? verify(r, ctx, &request, parts, code, key) : rc;
}

ngx_int_t
ngx_http_sluice_digest(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    static const char name[] = "x-sdk-content-sha256";
    const ngx_table_elt_t *header;

    if (!ctx->signed_request) {
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
    return ngx_http_sluice_fail(ctx, ctx->auth == SL_AUTH_IAM ? SL_E_GW_IAM_AUTH : SL_E_GW_APP_AUTH,
                                "X-Sdk-Content-Sha256 is not the digest of the body");
}
