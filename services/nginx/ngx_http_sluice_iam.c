// ngx_http_sluice_iam.c - APIs of authentication IAM: a token of the management API, or a signature
// with an access key.
//
// Users and keys come with the image, so a revocation acts as soon as its entry is there; a node
// that is cut off goes on with those it knows, as with everything it serves. A token's Ed25519
// signature is checked once a worker and remembered; its expiry, key and user at every request.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#include "common/base/clock.h"
#include "common/crypto/token.h"
#include "services/nginx/ngx_http_sluice_lockout.h"
#include "services/nginx/ngx_http_sluice_pattern.h"

#define MS_PER_S 1000
#define SLOTS    512 // tokens remembered; a power of two

// A token whose signature holds, under the digest of its text.
struct slot {
    uint8_t digest[SL_SHA256_LEN]; // zeros: free
    struct sl_token token;
};

// This worker's; pages that nobody's token needs are never touched.
static struct slot slots[SLOTS];

static const struct sl_str token_header = {"x-auth-token", 12};
static const struct sl_str security_header = {"x-security-token", 16};

static struct sl_image *
image_of(ngx_http_request_t *r)
{
    ngx_http_sluice_main_conf_t *smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);

    return smcf->image;
}

static ngx_int_t
refuse(ngx_http_sluice_ctx_t *ctx, const char *why)
{
    return ngx_http_sluice_fail(ctx, SL_E_GW_IAM_AUTH, why);
}

// The user behind an id; NULL: gone, or not allowed to do anything.
static const struct sl_img_user *
find_user(ngx_http_request_t *r, struct sl_str id)
{
    const struct sl_img_user *user =
        id.len == SL_ID_LEN ? sl_image_user(image_of(r), id.ptr) : NULL;

    return user != NULL && user->enabled ? user : NULL;
}

static ngx_int_t
set_user(ngx_http_sluice_ctx_t *ctx, const struct sl_img_user *user, struct sl_str project_id,
         enum ngx_http_sluice_proof proof)
{
    ngx_str_t project = ngx_http_sluice_copy(ctx->request->pool, project_id);

    if (project.data == NULL) {
        return NGX_ERROR;
    }
    ctx->user = user;
    ctx->project_id = ngx_http_sluice_view(&project);
    ngx_memcpy(ctx->user_id, user->id, SL_ID_LEN);
    ctx->has_user = 1;
    ctx->proof = proof;
    return NGX_OK;
}

ngx_int_t
ngx_http_sluice_iam_relookup(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    ctx->user = find_user(r, (struct sl_str){ctx->user_id, SL_ID_LEN});
    return ctx->user != NULL ? NGX_OK : refuse(ctx, "get token error");
}

// -- tokens ---------------------------------------------------------------------------------------

// Reads the token if a key that is known signed it.
static bool
open_token(ngx_http_request_t *r, struct sl_str text, struct sl_token *ret_token)
{
    const struct sl_img_token_key *key;
    uint8_t digest[SL_SHA256_LEN];
    struct slot *slot;
    bool known;

    sl_sha256(text, digest);
    slot = &slots[((size_t)digest[0] << 8 | digest[1]) & (SLOTS - 1)];
    known = ngx_memcmp(slot->digest, digest, sizeof(digest)) == 0;
    if (known) {
        *ret_token = slot->token;
    } else if (!sl_token_parse(text, ret_token)) {
        return false;
    }
    // A key that is withdrawn takes its tokens along, remembered or not.
    key = sl_image_token_key(image_of(r), sl_str(ret_token->key_id));
    if (key == NULL || (!known && !sl_token_verify(text, key->public_key))) {
        return false;
    }
    ngx_memcpy(slot->digest, digest, sizeof(digest));
    slot->token = *ret_token;
    return true;
}

// Whether the caller's account may show its token to the backend.
static bool
may_pass_on(const ngx_http_sluice_ctx_t *ctx, const struct sl_img_user *user)
{
    struct sl_str pattern = sl_img_feature_text(ctx->gateway, SL_FEATURE_TOKEN_ALLOW);

    return pattern.len > 0 &&
           ngx_http_sluice_pattern_found(pattern, sl_img_text(&user->domain_name));
}

static ngx_int_t
check_token(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, struct sl_str text)
{
    const struct sl_img_user *user;
    struct sl_token token;

    ctx->secret_header = token_header;
    if (!open_token(r, text, &token)) {
        return refuse(ctx, "decrypt token fail");
    }
    if (sl_wall_ms() / MS_PER_S >= token.expires_s) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_IAM_RENEW);
    }
    user = find_user(r, sl_str(token.user_id));
    if (user == NULL) {
        return refuse(ctx, "get token error");
    }
    if (token.issued_s < user->not_before_s) { // ended: another login gets a new one
        return ngx_http_sluice_fail(ctx, SL_E_GW_IAM_RENEW);
    }
    if (may_pass_on(ctx, user)) {
        ctx->secret_header = (struct sl_str){NULL, 0};
    }
    return set_user(ctx, user, sl_str(token.project_id), NGX_HTTP_SLUICE_PROOF_IAM_TOKEN);
}

// -- access keys ----------------------------------------------------------------------------------

ngx_int_t
ngx_http_sluice_iam_zone(ngx_conf_t *cf, ngx_http_sluice_main_conf_t *smcf)
{
    ngx_str_t name = ngx_string("sluice_keys");

    smcf->lockout_zone = ngx_http_sluice_zone(cf, &name, sizeof(struct ngx_http_sluice_lockout));
    return smcf->lockout_zone == NULL ? NGX_ERROR : NGX_OK;
}

static ngx_int_t
refuse_key(ngx_http_sluice_ctx_t *ctx, struct sl_str access)
{
    char text[192];

    (void)snprintf(text, sizeof(text), "Get secretKey failed,ak:%.*s,err:ak not exist",
                   (int)ngx_min(access.len, 128), access.ptr);
    return refuse(ctx, text);
}

// A temporary key goes with its security token, any other with none.
static bool
has_security_token(ngx_http_request_t *r, const struct sl_img_access_key *key)
{
    const ngx_table_elt_t *header =
        ngx_http_sluice_header(r, security_header.ptr, security_header.len);
    struct sl_str given = {"", 0};

    if (header != NULL) {
        given = sl_str_trim(ngx_http_sluice_view(&header->value));
    }
    return sl_crypto_equal(given, sl_img_text(&key->security_token));
}

// Judges the signature of a key, unless it failed too often of late.
static ngx_int_t
check_signature(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx,
                const struct sl_sign_parts *parts, const struct sl_img_access_key *key)
{
    ngx_http_sluice_main_conf_t *smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);
    struct ngx_http_sluice_lockout *lockout = smcf->lockout_zone->data;
    uint64_t name = key->secret_version | 1; // a secret that was reset begins anew
    int64_t now_s = sl_wall_ms() / MS_PER_S;
    ngx_int_t rc;

    if (ngx_http_sluice_lockout_is_shut(lockout, name, now_s)) {
        return refuse(ctx, "AK access failed to reach the limit,forbidden");
    }
    rc = ngx_http_sluice_signature_check(
        r, ctx, SL_E_GW_IAM_AUTH, parts,
        &(ngx_http_sluice_key_t){key->user_id, key->secret_version, sl_img_text(&key->secret)});
    if (rc == NGX_OK) {
        ngx_http_sluice_lockout_passed(lockout, name);
    } else if (rc == NGX_ABORT && ctx->mismatched) {
        ngx_http_sluice_lockout_failed(lockout, name, now_s);
    }
    return rc;
}

static ngx_int_t
check_key(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, struct sl_str authorization)
{
    const struct sl_img_access_key *key;
    const struct sl_img_user *user;
    struct sl_sign_parts parts;
    ngx_int_t rc = ngx_http_sluice_signature_parse(r, ctx, SL_E_GW_IAM_AUTH, authorization, &parts);

    if (rc != NGX_OK) {
        return rc;
    }
    key = sl_image_access_key(image_of(r), parts.access);
    if (key == NULL || !key->enabled ||
        (key->expires_s != 0 && sl_wall_ms() / MS_PER_S >= key->expires_s)) {
        return refuse_key(ctx, parts.access);
    }
    rc = check_signature(r, ctx, &parts, key);
    if (rc != NGX_OK) {
        return rc;
    }
    if (!has_security_token(r, key)) {
        return refuse(ctx, "X-Security-Token is not the access key's");
    }
    user = find_user(r, (struct sl_str){key->user_id, SL_ID_LEN});
    if (user == NULL) {
        return refuse_key(ctx, parts.access);
    }
    return set_user(ctx, user, sl_img_text(&key->project_id), NGX_HTTP_SLUICE_PROOF_ACCESS_KEY);
}

ngx_int_t
ngx_http_sluice_iam(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    const ngx_table_elt_t *token = ngx_http_sluice_header(r, token_header.ptr, token_header.len);

    if (token != NULL) {
        return check_token(r, ctx, ngx_http_sluice_view(&token->value));
    }
    if (r->headers_in.authorization == NULL) {
        return refuse(ctx, "X-Auth-Token or Authorization header is missing");
    }
    return check_key(r, ctx, ngx_http_sluice_view(&r->headers_in.authorization->value));
}
