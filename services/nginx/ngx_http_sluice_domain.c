// ngx_http_sluice_domain.c - what a domain asks of calls: a scheme, a client's certificate.
//
// A certificate was asked for, and looked at, when the handshake named a domain; the call may name
// another one. So the handshake noted whom it asked for, and here that must be whom the call's own
// domain asks for (runtime.md 1.1). Calls that the agent makes to debug an API show none.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_domain.h"

#define PORT_HTTPS 443
#define FRAME_MAX  (sizeof("https://:65535/") - 1) // bytes of a Location beside host and target

// Whether the client showed a certificate and its authority is one that was asked for.
static bool
is_verified(const ngx_http_request_t *r)
{
    const SSL *connection = r->connection->ssl->connection;

    return SSL_get0_peer_certificate(connection) != NULL &&
           SSL_get_verify_result(connection) == X509_V_OK;
}

// Whether the handshake was one of the call's own domain, where one of the two asks for more than
// TLS.
static bool
is_proven(ngx_http_request_t *r, const struct sl_img_host *host)
{
    const struct ngx_http_sluice_asked *asked = ngx_http_sluice_asked(r);
    bool asks = host != NULL && host->verify_client;
    ngx_http_sluice_main_conf_t *smcf;
    uint8_t identity[SL_SHA256_LEN];

    if (asked == NULL || host == NULL) {
        return asked == NULL && !asks;
    }
    smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);
    ngx_http_sluice_identity(smcf->image, host, identity);
    return ngx_memcmp(identity, asked->identity, sizeof(identity)) == 0 &&
           (!asks || is_verified(r));
}

ngx_int_t
ngx_http_sluice_domain(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    const struct sl_img_host *host = ctx->domain;
    bool is_tls = ngx_http_sluice_is_tls(r);

    if (host != NULL && (is_tls ? host->https_port : host->http_port) < 0) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_NO_API);
    }
    return !is_tls || ctx->debug_call || is_proven(r, host)
               ? NGX_OK
               : ngx_http_sluice_fail(ctx, SL_E_GW_CLIENT_CERTIFICATE);
}

static bool
redirects(const struct sl_img_host *host, unsigned schemes)
{
    return host->redirect_https && host->certificates.count > 0 && host->https_port >= 0 &&
           (schemes & SL_SCHEME_HTTPS) != 0;
}

// The same target at the same host over HTTPS. The host is one of the image's, the target as it
// came: nginx took no control character in it.
static ngx_int_t
write_location(ngx_http_request_t *r, const ngx_http_sluice_ctx_t *ctx, ngx_str_t *ret_text)
{
    int32_t port = ctx->domain->https_port;
    size_t size = FRAME_MAX + ctx->host.len + r->unparsed_uri.len;
    u_char *text = ngx_pnalloc(r->pool, size);
    u_char *end;

    if (text == NULL) {
        return NGX_ERROR;
    }
    end = ngx_cpymem(text, "https://", sizeof("https://") - 1);
    end = ngx_cpymem(end, ctx->host.ptr, ctx->host.len);
    if (port > 0 && port != PORT_HTTPS) {
        end = ngx_slprintf(end, text + size, ":%D", port);
    }
    if (r->unparsed_uri.len == 0 || r->unparsed_uri.data[0] != '/') {
        *end++ = '/'; // "GET http://host?query"
    }
    end = ngx_cpymem(end, r->unparsed_uri.data, r->unparsed_uri.len);
    *ret_text = (ngx_str_t){(size_t)(end - text), text};
    return NGX_OK;
}

// The answer is said as that of a MOCK backend is.
static ngx_int_t
redirect(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    ngx_table_elt_t *header;

    ctx->mock_headers = ngx_array_create(r->pool, 1, sizeof(*header));
    header = ctx->mock_headers == NULL ? NULL : ngx_array_push(ctx->mock_headers);
    if (header == NULL) {
        return NGX_ERROR;
    }
    *header = (ngx_table_elt_t){
        .hash = 1, .key = ngx_string("Location"), .lowcase_key = (u_char *)"location"};
    if (write_location(r, ctx, &header->value) != NGX_OK) {
        return NGX_ERROR;
    }
    ctx->mock_status = NGX_HTTP_MOVED_PERMANENTLY;
    ngx_str_null(&ctx->mock_body);
    r->content_handler = ngx_http_sluice_mock;
    ctx->answered = 1;
    return NGX_OK;
}

ngx_int_t
ngx_http_sluice_domain_scheme(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, unsigned schemes)
{
    const struct sl_img_host *host = ctx->domain;

    if (host == NULL || ctx->debug_call || ngx_http_sluice_is_tls(r)) {
        return NGX_OK;
    }
    if (redirects(host, schemes)) {
        return redirect(r, ctx);
    }
    return host->verify_client ? ngx_http_sluice_fail(ctx, SL_E_GW_CLIENT_CERTIFICATE) : NGX_OK;
}
