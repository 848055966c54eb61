// ngx_http_sluice_auth.c - who calls? The first credential that is there decides.
//
// There is no falling through: a credential that does not hold refuses the request, whatever else
// it carries. What a gateway does not take (features, runtime.md 5) is as if it were not there.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

typedef ngx_int_t (*credential_fn)(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);

// In the order of runtime.md 5.1.
static const credential_fn app_credentials[] = {
    ngx_http_sluice_app_code,      ngx_http_sluice_app_secret,   ngx_http_sluice_api_key,
    ngx_http_sluice_app_basic,     ngx_http_sluice_access_token, ngx_http_sluice_app_jwt,
    ngx_http_sluice_app_signature,
};

ngx_int_t
ngx_http_sluice_auth(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    ngx_int_t rc = NGX_DECLINED;

    if (ctx->api->auth == SL_AUTH_NONE) {
        return NGX_OK;
    }
    if (ctx->api->auth == SL_AUTH_IAM) {
        return ngx_http_sluice_iam(r, ctx);
    }
    if (ctx->api->auth != SL_AUTH_APP) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_CONFIG);
    }
    for (size_t i = 0; rc == NGX_DECLINED && i < SL_COUNT(app_credentials); i++) {
        rc = app_credentials[i](r, ctx);
    }
    return rc != NGX_DECLINED
               ? rc
               : ngx_http_sluice_fail(ctx, SL_E_GW_APP_AUTH, "Authorization header is missing");
}
