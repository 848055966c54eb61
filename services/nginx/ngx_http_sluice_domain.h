// ngx_http_sluice_domain.h - what domains ask of their clients: certificates, ports, schemes.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef NGX_HTTP_SLUICE_DOMAIN_H
#define NGX_HTTP_SLUICE_DOMAIN_H

#include "services/nginx/ngx_http_sluice.h"

#include <openssl/x509.h>

// A certificate as OpenSSL takes it; borrowed until the next call of ngx_http_sluice_shown().
struct ngx_http_sluice_shown {
    X509 *leaf;                  // NULL: it cannot be used
    EVP_PKEY *key;               // of the leaf
    STACK_OF(X509) * chain;      // what follows the leaf
    X509_STORE *authorities;     // by whom clients' certificates are signed; NULL: nobody
    STACK_OF(X509_NAME) * names; // of the authorities
};

// Whom a handshake asked for a certificate, and by whom it was to be signed.
struct ngx_http_sluice_asked {
    uint8_t identity[SL_SHA256_LEN];
};

// _shown.c: the image's certificate, parsed; NULL when the image has none of this id. What was
// parsed stays until the image has another or none, or until many others were used since. One that
// cannot be used is said once in the error log.
const struct ngx_http_sluice_shown *ngx_http_sluice_shown(struct sl_image *image,
                                                          const char id[SL_ID_LEN]);
// Frees what the worker parsed.
void ngx_http_sluice_shown_exit(void);

// _hello.c: lets handshakes obey domains and the features ssl_ciphers and request_custom_config;
// configuration only. NGX_ERROR: OpenSSL has no memory.
ngx_int_t ngx_http_sluice_hello_init(ngx_conf_t *cf, ngx_http_sluice_main_conf_t *smcf);
// What the handshake of this connection asked its client for; NULL: nothing, or there was none.
const struct ngx_http_sluice_asked *ngx_http_sluice_asked(const ngx_http_request_t *r);
// Digests a domain's name and whom it takes clients' certificates from.
void ngx_http_sluice_identity(struct sl_image *image, const struct sl_img_host *host,
                              uint8_t ret_identity[SL_SHA256_LEN]);

// _domain.c: whether the domain is nothing but a name, so that a call of it may be remembered.
static inline bool
ngx_http_sluice_is_plain(const struct sl_img_host *host)
{
    return host == NULL || (!host->verify_client && !host->redirect_https && host->http_port >= 0 &&
                            host->https_port >= 0);
}
// What ctx->domain says of the connection. Refuses with GW_NO_API where the domain is not reached
// over this scheme, GW_CLIENT_CERTIFICATE where the handshake did not prove what it asks for.
ngx_int_t ngx_http_sluice_domain(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);
// What it says of a call over HTTP to something that takes `schemes`: answers with the way to HTTPS
// (ctx->answered) or refuses with GW_CLIENT_CERTIFICATE.
ngx_int_t ngx_http_sluice_domain_scheme(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx,
                                        unsigned schemes);

#endif
