// ngx_http_sluice_certificate.c - what backends are shown and by whom they must be signed.
//
// Both are parts of the feature backend_client_certificate, as PEM in the gateway's record. A
// worker keeps a TLS context a profile: one that only verifies, one that shows the certificate,
// too. They are made when a call first needs them and dropped when a newer image says otherwise;
// a connection keeps the context that it was made with.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#include <openssl/x509v3.h>

enum profile {
    VERIFIES, // knows the authorities
    SHOWS,    // and has the certificate
    PROFILES,
};

// A worker is one thread, so it needs no lock.
static struct {
    uint64_t generation;           // of the image that the digest is of
    uint8_t digest[SL_SHA256_LEN]; // of everything that the contexts are made of
    ngx_ssl_t contexts[PROFILES];  // ctx NULL: not made yet
} own;

static const enum sl_feature parts[] = {SL_FEATURE_BACKEND_CA, SL_FEATURE_BACKEND_CERTIFICATE,
                                        SL_FEATURE_BACKEND_TLS, SL_FEATURE_BACKEND_KEY};

void
ngx_http_sluice_certificate_exit(void)
{
    for (size_t i = 0; i < PROFILES; i++) {
        SSL_CTX_free(own.contexts[i].ctx);
        own.contexts[i].ctx = NULL;
    }
    own.generation = 0;
}

// Drops the contexts when the image has other certificates than they were made of.
static void
follow(const ngx_http_sluice_main_conf_t *smcf, const struct sl_img_gateway *gateway)
{
    uint64_t generation = sl_image_generation(smcf->image);
    uint8_t digests[SL_COUNT(parts)][SL_SHA256_LEN];
    uint8_t digest[SL_SHA256_LEN];

    if (generation == own.generation) {
        return;
    }
    for (size_t i = 0; i < SL_COUNT(parts); i++) {
        sl_sha256(sl_img_feature_text(gateway, parts[i]), digests[i]);
    }
    sl_sha256((struct sl_str){(const char *)digests, sizeof(digests)}, digest);
    if (ngx_memcmp(digest, own.digest, sizeof(digest)) != 0) {
        ngx_http_sluice_certificate_exit();
        ngx_memcpy(own.digest, digest, sizeof(digest));
    }
    own.generation = generation;
}

// -- a context ------------------------------------------------------------------------------------

// A key that wants a password is none: nobody is there to type it.
static int
no_password(char *buffer, int size, int writing, void *data)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)data;
    return -1;
}

static BIO *
reader_of(const struct sl_img_gateway *gateway, enum sl_feature part)
{
    struct sl_str pem = sl_img_feature_text(gateway, part);

    return BIO_new_mem_buf(pem.ptr, (int)pem.len);
}

static bool
trust(SSL_CTX *ctx, BIO *authorities)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    bool good = false;
    X509 *one;

    while ((one = PEM_read_bio_X509(authorities, NULL, no_password, NULL)) != NULL) {
        good = X509_STORE_add_cert(store, one) == 1;
        X509_free(one);
        if (!good) {
            return false;
        }
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    // An authority in the middle of a chain is as good as one at its top: the operator named it.
    (void)X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
    return good;
}

static bool
use_chain(SSL_CTX *ctx, BIO *chain)
{
    X509 *one = PEM_read_bio_X509(chain, NULL, no_password, NULL);
    bool good = one != NULL && SSL_CTX_use_certificate(ctx, one) == 1;

    X509_free(one);
    while (good && (one = PEM_read_bio_X509(chain, NULL, no_password, NULL)) != NULL) {
        good = SSL_CTX_add1_chain_cert(ctx, one) == 1;
        X509_free(one);
    }
    return good;
}

static bool
use_key(SSL_CTX *ctx, BIO *pem)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, no_password, NULL);
    bool good = key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1;

    EVP_PKEY_free(key);
    return good;
}

// Lets `use` take one part of the feature.
static bool
with_part(SSL_CTX *ctx, const struct sl_img_gateway *gateway, enum sl_feature part,
          bool (*use)(SSL_CTX *, BIO *))
{
    BIO *bio = reader_of(gateway, part);
    bool good = bio != NULL && use(ctx, bio);

    BIO_free(bio);
    ERR_clear_error();
    return good;
}

static bool
has_authorities(const struct sl_img_gateway *gateway)
{
    return sl_img_feature_text(gateway, SL_FEATURE_BACKEND_CA).len > 0;
}

static bool
fill(ngx_ssl_t *ssl, const struct sl_img_gateway *gateway, enum profile profile)
{
    if (ngx_ssl_create(ssl, NGX_SSL_TLSv1_2 | NGX_SSL_TLSv1_3, NULL) != NGX_OK ||
        ngx_ssl_client_session_cache(NULL, ssl, 1) != NGX_OK) {
        return false;
    }
    if (has_authorities(gateway) && !with_part(ssl->ctx, gateway, SL_FEATURE_BACKEND_CA, trust)) {
        return false;
    }
    return profile == VERIFIES ||
           (with_part(ssl->ctx, gateway, SL_FEATURE_BACKEND_CERTIFICATE, use_chain) &&
            with_part(ssl->ctx, gateway, SL_FEATURE_BACKEND_KEY, use_key));
}

static ngx_ssl_t *
context_of(const struct sl_img_gateway *gateway, enum profile profile)
{
    ngx_ssl_t *ssl = &own.contexts[profile];

    if (ssl->ctx == NULL) {
        ssl->log = ngx_cycle->log;
        ssl->buffer_size = NGX_SSL_BUFSIZE;
        if (!fill(ssl, gateway, profile)) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "the certificate for backends cannot be used");
            SSL_CTX_free(ssl->ctx);
            ssl->ctx = NULL;
        }
    }
    return ssl;
}

// -- a request ------------------------------------------------------------------------------------

static void
release(void *data)
{
    SSL_CTX_free(data);
}

// The request keeps the context: a retry after a suspension uses no newer one.
static ngx_int_t
hold(ngx_http_request_t *r, const ngx_ssl_t *ssl, ngx_ssl_t *ret_ssl)
{
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->pool, 0);

    if (cleanup == NULL || SSL_CTX_up_ref(ssl->ctx) != 1) {
        return NGX_ERROR;
    }
    cleanup->handler = release;
    cleanup->data = ssl->ctx;
    *ret_ssl = *ssl;
    return NGX_OK;
}

ngx_int_t
ngx_http_sluice_certificate(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx,
                            struct ngx_http_sluice_tls *ret_tls)
{
    ngx_http_sluice_main_conf_t *smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);
    bool is_on = sl_img_feature_on(ctx->gateway, SL_FEATURE_BACKEND_TLS);
    enum profile profile = ctx->target->client_certificate != 0 ? SHOWS : VERIFIES;
    ngx_ssl_t *ssl;

    follow(smcf, ctx->gateway);
    ret_tls->ssl.ctx = NULL;
    ret_tls->verifies = is_on && has_authorities(ctx->gateway);
    if (profile == VERIFIES && !ret_tls->verifies) {
        return NGX_OK;
    }
    ssl = is_on ? context_of(ctx->gateway, profile) : NULL;
    if (ssl == NULL || ssl->ctx == NULL) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_BACKEND_UNSET);
    }
    ngx_memcpy(ret_tls->digest, own.digest, sizeof(ret_tls->digest));
    ret_tls->digest[0] ^= (uint8_t)profile;
    return hold(r, ssl, &ret_tls->ssl);
}

ngx_int_t
ngx_http_sluice_certificate_expect(ngx_ssl_conn_t *connection, const ngx_str_t *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(connection);

    // The name is terminated.
    if (X509_VERIFY_PARAM_set1_ip_asc(param, (const char *)name->data) == 1) {
        return NGX_OK;
    }
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, (const char *)name->data, name->len) == 1 ? NGX_OK
                                                                                        : NGX_ERROR;
}
