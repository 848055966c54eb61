// ngx_http_sluice_sign.c - signature keys: how the gateway proves itself to backends (runtime.md
// 12).
//
// Applied last, on the request as it goes out; a retry sends the same. The signature covers method,
// path, query, Host, date and body. A body that is streamed is not covered, and the request says
// so: X-Sdk-Content-Sha256: UNSIGNED-PAYLOAD.
//
// A worker keeps what it made of keys, bounded, each under the version of its key: a rotated one is
// dropped when its successor is first used.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_sign.h"

#include "common/base/hash.h"
#include "common/crypto/cfb.h"
#include "common/crypto/rsa.h"

#define KEPT_SETS  64  // of the cache
#define KEPT_WAYS  4   // entries of a set
#define DATE_SIZE  17  // 20240102T030405Z and a terminator
#define HEADER_MAX 64  // characters of a header's name
#define KEY_MAX    512 // characters of a key

#define UNSIGNED       "UNSIGNED-PAYLOAD"
#define SIGNED_HEADERS "host;x-sdk-date"
#define FIXED_ROOM     256 // of the lines: names, date, algorithm, what is between values

// What a worker made of a key.
struct kept {
    char id[SL_ID_LEN];
    uint64_t version; //
    uint64_t used;    // when last, in uses of the cache
    struct sl_rsa *rsa;
    struct sl_cfb *cfb;
};

// A worker is one thread, so these need no lock.
static struct kept kept_keys[KEPT_SETS][KEPT_WAYS];
static uint64_t kept_uses;

// -- keys -----------------------------------------------------------------------------------------

static void
drop(struct kept *kept)
{
    sl_rsa_free(&kept->rsa);
    sl_cfb_free(&kept->cfb);
    ngx_memzero(kept, sizeof(*kept));
}

void
ngx_http_sluice_sign_exit(void)
{
    for (size_t i = 0; i < KEPT_SETS; i++) {
        for (size_t j = 0; j < KEPT_WAYS; j++) {
            drop(&kept_keys[i][j]);
        }
    }
}

// The place of a key: where it is, or was, else the one that was not used for longest.
static struct kept *
place_of(const struct sl_img_sign *sign)
{
    struct kept *set = kept_keys[sl_hash(0, sign->id, SL_ID_LEN) % KEPT_SETS];
    struct kept *oldest = set;

    for (size_t i = 0; i < KEPT_WAYS; i++) {
        if (ngx_memcmp(set[i].id, sign->id, SL_ID_LEN) == 0) {
            return &set[i];
        }
        if (set[i].used < oldest->used) {
            oldest = &set[i];
        }
    }
    return oldest;
}

// What is made of a key; NULL when nothing can be made of it.
static struct kept *
keep(const struct sl_img_sign *sign)
{
    struct kept *kept = place_of(sign);
    struct sl_str secret = sl_img_text(&sign->secret);

    kept->used = ++kept_uses;
    if (kept->version == sign->version && ngx_memcmp(kept->id, sign->id, SL_ID_LEN) == 0) {
        return kept;
    }
    drop(kept);
    if (sign->type == SL_SIGN_PUBLIC_KEY) {
        kept->rsa = sl_rsa_new(secret);
    } else {
        kept->cfb = sl_cfb_new(sl_img_text(&sign->key), secret);
    }
    if (kept->rsa == NULL && kept->cfb == NULL) {
        return NULL;
    }
    ngx_memcpy(kept->id, sign->id, SL_ID_LEN);
    kept->version = sign->version;
    kept->used = kept_uses;
    return kept;
}

// -- a signature ----------------------------------------------------------------------------------

// One request that is signed.
struct work {
    ngx_http_request_t *r;
    const ngx_http_sluice_ctx_t *ctx;
    const struct sl_img_sign *sign;
    struct sl_str header; // that the proof goes into
    struct sl_str date;   //
    bool open;            // the body is not covered
    u_char *out;          // end of the lines
};

static void
append(struct work *work, struct sl_str text)
{
    work->out = text.len == 0 ? work->out : ngx_cpymem(work->out, text.ptr, text.len);
}

static void
append_base64(struct work *work, const u_char *bytes, size_t len)
{
    ngx_str_t from = {len, (u_char *)(uintptr_t)bytes};
    ngx_str_t to = {0, work->out};

    ngx_encode_base64(&to, &from);
    work->out += to.len;
}

// Now, as X-Sdk-Date has it.
static struct sl_str
date_now(void)
{
    static char text[DATE_SIZE];
    static time_t of;
    struct tm tm;

    if (of != ngx_time()) {
        of = ngx_time();
        (void)gmtime_r(&of, &tm);
        (void)strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &tm);
    }
    return (struct sl_str){text, sizeof(text) - 1};
}

// Begins the header with the proof.
static void
begin_proof(struct work *work, struct sl_str scheme)
{
    append(work, SL_STR("\r\n"));
    append(work, work->header);
    append(work, SL_STR(": "));
    append(work, scheme);
}

static void
append_date(struct work *work)
{
    append(work, SL_STR("\r\nX-Sdk-Date: "));
    append(work, work->date);
}

// What the signature covers.
static bool
covered_text(const struct work *work, struct sl_str algorithm, char ret_text[SL_SIGN_TEXT_MAX],
             size_t *ret_len)
{
    struct sl_arena *scratch = ngx_http_sluice_scratch();
    struct sl_str uri = ngx_http_sluice_view(&work->ctx->backend_uri);
    const struct sl_sign_header headers[] = {
        {SL_STR("host"), ngx_http_sluice_view(&work->ctx->backend_host)},
        {SL_STR("x-sdk-date"), work->date},
        {SL_STR("x-sdk-content-sha256"), SL_STR(UNSIGNED)},
    };
    struct sl_sign_request request = {
        .method = ngx_http_sluice_view(&work->r->method_name),
        .raw_query = uri,
        .headers = headers,
        .header_count = work->open ? SL_COUNT(headers) : SL_COUNT(headers) - 1,
        .body_hash = sl_str(work->open ? "" : work->ctx->body_digest),
    };

    request.raw_path = sl_str_split(&request.raw_query, '?');
    return scratch != NULL &&
           sl_sign_text(scratch, &request, SL_STR(SIGNED_HEADERS), algorithm, ret_text, ret_len);
}

// What signatures of both algorithms begin with.
static void
begin_signature(struct work *work, struct sl_str algorithm)
{
    append_date(work);
    if (work->open) {
        append(work, SL_STR("\r\nX-Sdk-Content-Sha256: " UNSIGNED));
    }
    begin_proof(work, algorithm);
    append(work, SL_STR(" Access="));
    append(work, sl_img_text(&work->sign->key));
    append(work, SL_STR(", SignedHeaders=" SIGNED_HEADERS ", Signature="));
}

static bool
sign_hmac(struct work *work)
{
    ngx_http_sluice_key_t key = {work->sign->id, work->sign->version,
                                 sl_img_text(&work->sign->secret)};
    struct sl_hmac *hmac = ngx_http_sluice_hmac(&key);
    char text[SL_SIGN_TEXT_MAX];
    uint8_t mac[SL_SHA256_LEN];
    char hex[SL_SHA256_HEX];
    size_t len;

    if (hmac == NULL || !covered_text(work, SL_STR("SDK-HMAC-SHA256"), text, &len)) {
        return false;
    }
    sl_hmac_sign(hmac, (struct sl_str){text, len}, mac);
    sl_hex_encode(mac, sizeof(mac), hex);
    begin_signature(work, SL_STR("SDK-HMAC-SHA256"));
    append(work, (struct sl_str){hex, sizeof(hex) - 1});
    return true;
}

// Its format is ours: that of hmac with another algorithm.
static bool
sign_pair(struct work *work)
{
    struct kept *kept;
    char text[SL_SIGN_TEXT_MAX];
    uint8_t digest[SL_SHA256_LEN];
    uint8_t signature[SL_RSA_SIZE];
    size_t len;

    if (!sl_img_feature_on(work->ctx->gateway, SL_FEATURE_PUBLIC_KEY)) {
        return false;
    }
    kept = keep(work->sign);
    if (kept == NULL || !covered_text(work, SL_STR("SDK-RSA-SHA256"), text, &len)) {
        return false;
    }
    sl_sha256((struct sl_str){text, len}, digest);
    if (!sl_rsa_sign(kept->rsa, digest, signature, &len)) {
        return false;
    }
    begin_signature(work, SL_STR("SDK-RSA-SHA256"));
    append_base64(work, signature, len);
    return true;
}

static bool
sign_basic(struct work *work)
{
    struct sl_str key = sl_img_text(&work->sign->key);
    struct sl_str secret = sl_img_text(&work->sign->secret);
    u_char pair[2 * HEADER_MAX + 1];
    u_char *end = pair;

    if (key.len > HEADER_MAX || secret.len > HEADER_MAX) {
        return false;
    }
    end = ngx_cpymem(end, key.ptr, key.len);
    *end++ = ':';
    end = ngx_cpymem(end, secret.ptr, secret.len);
    begin_proof(work, SL_STR("Basic "));
    append_base64(work, pair, (size_t)(end - pair));
    sl_wipe(pair, sizeof(pair));
    return true;
}

// Its text and header are ours, as nobody published them: the date and the request's id.
static bool
sign_aes(struct work *work)
{
    struct kept *kept = keep(work->sign);
    char text[SL_SIGN_TEXT_MAX];
    u_char sealed[SL_SIGN_TEXT_MAX];
    char *end;
    size_t len;

    if (kept == NULL) {
        return false;
    }
    end = (char *)ngx_cpymem(text, work->date.ptr, work->date.len);
    *end++ = '\n';
    end = (char *)ngx_cpymem(end, work->ctx->request_id, sizeof(work->ctx->request_id) - 1);
    len = (size_t)(end - text);
    if (!sl_cfb_encrypt(kept->cfb, (struct sl_str){text, len}, sealed)) {
        return false;
    }
    append_date(work);
    begin_proof(work, SL_STR("AES "));
    append_base64(work, sealed, len);
    return true;
}

static bool (*const by_type[])(struct work *work) = {
    [SL_SIGN_HMAC] = sign_hmac,
    [SL_SIGN_BASIC] = sign_basic,
    [SL_SIGN_PUBLIC_KEY] = sign_pair,
    [SL_SIGN_AES] = sign_aes,
};

// Whether a signature of this type covers the body.
static bool
covers_body(const struct sl_img_sign *sign)
{
    return sign->type == SL_SIGN_HMAC || sign->type == SL_SIGN_PUBLIC_KEY;
}

static const struct sl_img_sign *
sign_of(ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx)
{
    ngx_http_sluice_main_conf_t *smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);

    return sl_image_sign(smcf->image, ctx->api->sign_id);
}

// The header that the proof goes into: hmac and basic may have one of the gateway's own.
static struct sl_str
header_of(const ngx_http_sluice_ctx_t *ctx, const struct sl_img_sign *sign)
{
    struct sl_str own = sl_img_feature_text(ctx->gateway, SL_FEATURE_BACKEND_SIGN_HEADER);
    bool may = sign->type == SL_SIGN_HMAC || sign->type == SL_SIGN_BASIC;

    return may && own.len > 0 && own.len <= HEADER_MAX ? own : SL_STR("Authorization");
}

// The client's headers, or those of mappings, that the proof replaces.
static void
hide_replaced(const struct work *work)
{
    static const char date[] = "x-sdk-date";
    static const char digest[] = "x-sdk-content-sha256";
    u_char lower[HEADER_MAX];

    ngx_strlow(lower, (u_char *)(uintptr_t)work->header.ptr, work->header.len);
    ngx_http_sluice_hide(work->r, (const char *)lower, work->header.len);
    if (work->sign->type != SL_SIGN_BASIC) {
        ngx_http_sluice_hide(work->r, date, sizeof(date) - 1);
    }
    if (covers_body(work->sign)) {
        ngx_http_sluice_hide(work->r, digest, sizeof(digest) - 1);
    }
}

ngx_int_t
ngx_http_sluice_sign_body(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    const struct sl_img_sign *sign;

    if (r->request_body != NULL || !ngx_http_sluice_has_body(r) || r->headers_in.chunked ||
        r->headers_in.content_length_n > NGX_HTTP_SLUICE_READ_FIRST) {
        return NGX_OK;
    }
    sign = sign_of(r, ctx);
    return sign != NULL && covers_body(sign) ? ngx_http_sluice_body_read(r, ctx) : NGX_OK;
}

ngx_int_t
ngx_http_sluice_sign(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, struct sl_str *ret_lines)
{
    struct work work = {.r = r, .ctx = ctx, .sign = sign_of(r, ctx), .date = date_now()};
    u_char *lines;

    if (work.sign == NULL || work.sign->type >= SL_COUNT(by_type)) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_SIGN);
    }
    work.header = header_of(ctx, work.sign);
    work.open = ngx_http_sluice_has_body(r) && ctx->body_digest[0] == '\0';
    lines = ngx_pnalloc(r->pool, FIXED_ROOM + work.header.len + work.sign->key.len +
                                     ngx_base64_encoded_length(SL_RSA_SIZE));
    if (lines == NULL) {
        return NGX_ERROR;
    }
    work.out = lines;
    if (!by_type[work.sign->type](&work)) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_SIGN);
    }
    hide_replaced(&work);
    *ret_lines = (struct sl_str){(const char *)lines, (size_t)(work.out - lines)};
    return NGX_OK;
}

// -- the public half of a key pair ----------------------------------------------------------------

// What follows the prefix of such addresses in the request's, as it was written: keys may hold what
// a canonical path does not. Empty: it is none of them.
static struct sl_str
key_in(const ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx)
{
    struct sl_str prefix = sl_img_feature_text(ctx->gateway, SL_FEATURE_PUBLIC_KEY_URI);
    struct sl_str rest = ngx_http_sluice_view(&r->unparsed_uri);
    struct sl_str path = sl_str_split(&rest, '?');

    if (prefix.len == 0) {
        prefix = SL_STR("/apigw/authadv/v2/public-key/");
    }
    if (path.len <= prefix.len || ngx_memcmp(path.ptr, prefix.ptr, prefix.len) != 0) {
        return (struct sl_str){NULL, 0};
    }
    return (struct sl_str){path.ptr + prefix.len, path.len - prefix.len};
}

bool
ngx_http_sluice_is_pair_call(ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx)
{
    return sl_img_feature_on(ctx->gateway, SL_FEATURE_PUBLIC_KEY) &&
           (r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) != 0 && key_in(r, ctx).len > 0;
}

static ngx_int_t
send_public(ngx_http_request_t *r)
{
    const ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    return ngx_http_sluice_send(r, NGX_HTTP_OK, SL_STR("application/x-pem-file"),
                                ngx_http_sluice_view(&ctx->mock_body));
}

ngx_int_t
ngx_http_sluice_pair(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    ngx_http_sluice_main_conf_t *smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);
    struct sl_str written = key_in(r, ctx);
    u_char room[3 * KEY_MAX];
    u_char *from = (u_char *)(uintptr_t)written.ptr;
    u_char *to = room;
    const struct sl_img_sign *sign;
    const struct kept *kept;

    if (written.len > sizeof(room)) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_PUBLIC_KEY);
    }
    ngx_unescape_uri(&to, &from, written.len, 0);
    sign =
        sl_image_sign_by_key(smcf->image, (struct sl_str){(const char *)room, (size_t)(to - room)});
    kept = sign == NULL ? NULL : keep(sign);
    if (kept == NULL) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_PUBLIC_KEY);
    }
    ctx->mock_body = ngx_http_sluice_copy(r->pool, sl_str(sl_rsa_public(kept->rsa)));
    if (ctx->mock_body.data == NULL) {
        return NGX_ERROR;
    }
    ctx->answered = 1;
    r->content_handler = send_public;
    return NGX_OK;
}
