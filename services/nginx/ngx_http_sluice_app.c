// ngx_http_sluice_app.c - may the app call from here, and may it call this API in this environment?
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

ngx_int_t
ngx_http_sluice_app(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    // Whoever called has been judged by all headers; from here on a debugging call's secret is
    // gone.
    if (ctx->debug_call) {
        ngx_table_elt_t *secret =
            ngx_http_sluice_header(r, "x-apig-debug", sizeof("x-apig-debug") - 1);
        if (secret != NULL) {
            ngx_http_sluice_header_hide(secret);
        }
    }
    if (ctx->app == NULL) {
        return NGX_OK;
    }
    if (!sl_img_app_admits(ctx->app, ngx_http_sluice_view(&ctx->client_addr))) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_ACL);
    }
    if (!sl_img_app_may_call(ctx->app, ctx->publish_id)) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_UNAUTHORIZED);
    }
    return NGX_OK;
}
