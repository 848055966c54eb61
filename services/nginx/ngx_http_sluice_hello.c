// ngx_http_sluice_hello.c - what a client's handshake is answered with.
//
// OpenSSL asks twice, and both act from the next handshake on, without a reload. At the hello,
// before it looks for a session: `ssl_ciphers` names the suites of TLS 1.2 that clients may use,
// `request_custom_config` whether they are offered HTTP/2, and the domain that the client names
// whether it must show a certificate. When it needs a certificate to show: the domain's.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_domain.h"

#define CIPHERS_MAX   512 // characters of the list
#define NAME_MAX_LEN  253 // characters of a domain
#define NAME_OVERHEAD 5   // bytes before the name in the extension: two lengths and a type

// Where a connection keeps its struct ngx_http_sluice_asked.
static int asked_index = -1;

const struct ngx_http_sluice_asked *
ngx_http_sluice_asked(const ngx_http_request_t *r)
{
    const ngx_ssl_connection_t *ssl = r->connection->ssl;

    return ssl == NULL || asked_index < 0 ? NULL : SSL_get_ex_data(ssl->connection, asked_index);
}

// -- the domain -----------------------------------------------------------------------------------

// The domain of a name as it was sent; NULL: none that the image has.
static const struct sl_img_host *
host_of(struct sl_image *image, const char *name, size_t len)
{
    u_char lower[NAME_MAX_LEN];

    if (len > sizeof(lower)) {
        return NULL;
    }
    ngx_strlow(lower, (u_char *)(uintptr_t)name, len);
    return sl_image_host(image, (struct sl_str){(const char *)lower, len});
}

// The same of a hello. The extension is a list of one name: the lengths are those of the list, a
// byte for its type, of the name.
static const struct sl_img_host *
host_of_hello(struct sl_image *image, ngx_ssl_conn_t *connection)
{
    const unsigned char *list;
    size_t size;
    size_t len;

    if (SSL_client_hello_get0_ext(connection, TLSEXT_TYPE_server_name, &list, &size) != 1 ||
        size <= NAME_OVERHEAD || list[2] != TLSEXT_NAMETYPE_host_name) {
        return NULL;
    }
    len = (size_t)list[3] << 8 | list[4];
    return len > size - NAME_OVERHEAD ? NULL
                                      : host_of(image, (const char *)list + NAME_OVERHEAD, len);
}

// Appends a certificate's id and a number to what is digested.
static void
digest_part(struct sl_sha256_ctx *digest, const char *id, uint64_t version)
{
    sl_sha256_update(digest, (struct sl_str){id, SL_ID_LEN});
    sl_sha256_update(digest, (struct sl_str){(const char *)&version, sizeof(version)});
}

// Digests what `parts` says of each certificate of the domain, behind its name and `first`.
static void
digest_host(struct sl_image *image, const struct sl_img_host *host, struct sl_str first,
            bool is_identity, uint8_t ret_digest[SL_SHA256_LEN])
{
    static struct sl_sha256_ctx *digest; // a worker is one thread
    const char *id = sl_img_items(&host->certificates);

    if (digest == NULL) {
        digest = sl_sha256_new();
    }
    sl_sha256_reset(digest);
    sl_sha256_update(digest, first);
    sl_sha256_update(digest, sl_img_text(&host->name));
    for (uint32_t i = 0; i < host->certificates.count; i++, id += SL_ID_LEN) {
        const struct sl_img_certificate *one = sl_image_certificate(image, id);

        if (one != NULL) {
            digest_part(digest, id, is_identity ? one->ca_version : one->version);
        }
    }
    sl_sha256_final(digest, ret_digest);
}

void
ngx_http_sluice_identity(struct sl_image *image, const struct sl_img_host *host,
                         uint8_t ret_identity[SL_SHA256_LEN])
{
    digest_host(image, host, SL_STR("identity"), true, ret_identity);
}

// -- the hello ------------------------------------------------------------------------------------

static bool
set_ciphers(ngx_ssl_conn_t *connection, struct sl_str list)
{
    char text[CIPHERS_MAX];

    if (list.len >= sizeof(text)) {
        return false;
    }
    ngx_memcpy(text, list.ptr, list.len);
    text[list.len] = '\0';
    return SSL_set_cipher_list(connection, text) == 1;
}

// A session of another list must not come back, it may be of a suite that is not allowed; nor one
// of another domain, or of the same one with other certificates.
static bool
set_context(ngx_ssl_conn_t *connection, struct sl_image *image, struct sl_str list,
            const struct sl_img_host *host)
{
    uint8_t digest[SL_SHA256_LEN];

    if (host == NULL || (host->certificates.count == 0 && !host->verify_client)) {
        if (list.len == 0) {
            return true; // the context of the server
        }
        sl_sha256(list, digest);
    } else {
        struct sl_str first = {host->verify_client ? "v" : "", host->verify_client ? 1 : 0};
        uint8_t of_list[SL_SHA256_LEN + 1];

        sl_sha256(list, of_list);
        of_list[SL_SHA256_LEN] = first.len > 0;
        digest_host(image, host, (struct sl_str){(const char *)of_list, sizeof(of_list)}, false,
                    digest);
    }
    return SSL_set_session_id_context(connection, digest, sizeof(digest)) == 1;
}

// The handshake goes on with any certificate or none: the call is refused, with a reason.
static int
on_verified(int good, X509_STORE_CTX *store)
{
    (void)good;
    (void)store;
    return 1;
}

static bool
ask_certificate(ngx_ssl_conn_t *connection, struct sl_image *image, const struct sl_img_host *host)
{
    ngx_connection_t *c = ngx_ssl_get_connection(connection);
    struct ngx_http_sluice_asked *asked = ngx_palloc(c->pool, sizeof(*asked));

    if (asked == NULL) {
        return false;
    }
    ngx_http_sluice_identity(image, host, asked->identity);
    SSL_set_verify(connection, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, on_verified);
    return SSL_set_ex_data(connection, asked_index, asked) == 1;
}

// nginx's choice of the protocol goes by what the listening address says.
static bool
withhold_http2(ngx_connection_t *c)
{
    ngx_http_connection_t *hc = c->data;
    ngx_http_addr_conf_t *own = ngx_palloc(c->pool, sizeof(*own));

    if (own == NULL) {
        return false;
    }
    *own = *hc->addr_conf;
    own->http2 = 0;
    hc->addr_conf = own;
    return true;
}

static int
on_hello(ngx_ssl_conn_t *connection, int *alert, void *arg)
{
    const ngx_http_sluice_main_conf_t *smcf = arg;
    const struct sl_img_gateway *gateway;
    const struct sl_img_host *host;
    struct sl_str list;

    if (smcf->image == NULL) {
        return SSL_CLIENT_HELLO_SUCCESS;
    }
    sl_image_refresh(smcf->image);
    gateway = sl_image_ready(smcf->image) ? sl_image_gateway(smcf->image) : NULL;
    list = sl_img_feature_text(gateway, SL_FEATURE_SSL_CIPHERS);
    host = host_of_hello(smcf->image, connection);
    if ((list.len > 0 && !set_ciphers(connection, list)) ||
        !set_context(connection, smcf->image, list, host) ||
        (host != NULL && host->verify_client && !ask_certificate(connection, smcf->image, host)) ||
        (sl_str_equal(sl_img_feature_text(gateway, SL_FEATURE_HTTP2), SL_STR("off")) &&
         !withhold_http2(ngx_ssl_get_connection(connection)))) {
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
    return SSL_CLIENT_HELLO_SUCCESS;
}

// -- the certificate ------------------------------------------------------------------------------

// The node's own again, after the domain's took its place and failed.
static int
use_default(ngx_ssl_conn_t *connection)
{
    SSL_CTX *ctx = SSL_get_SSL_CTX(connection);
    STACK_OF(X509) *chain = NULL;

    ERR_clear_error();
    (void)SSL_CTX_get0_chain_certs(ctx, &chain);
    return SSL_use_cert_and_key(connection, SSL_CTX_get0_certificate(ctx),
                                SSL_CTX_get0_privatekey(ctx), chain, 1);
}

static bool
verify_by(ngx_ssl_conn_t *connection, const struct ngx_http_sluice_shown *shown)
{
    STACK_OF(X509_NAME) *names =
        sk_X509_NAME_deep_copy(shown->names, X509_NAME_dup, X509_NAME_free);

    if (names == NULL || SSL_set1_verify_cert_store(connection, shown->authorities) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return false;
    }
    SSL_set_client_CA_list(connection, names); // takes them
    return true;
}

// Gives OpenSSL every certificate of the domain, of which it shows one that the client takes: RSA
// or ECC. Clients' certificates are for the first that has authorities to judge. Answers how many
// it took.
static size_t
use_certificates(ngx_ssl_conn_t *connection, struct sl_image *image, const struct sl_img_host *host)
{
    const char *id = sl_img_items(&host->certificates);
    bool verifies = !host->verify_client;
    size_t used = 0;

    for (uint32_t i = 0; i < host->certificates.count; i++, id += SL_ID_LEN) {
        const struct ngx_http_sluice_shown *shown = ngx_http_sluice_shown(image, id);

        if (shown == NULL || shown->leaf == NULL) {
            continue;
        }
        if (used == 0) {
            SSL_certs_clear(connection);
        }
        used += SSL_use_cert_and_key(connection, shown->leaf, shown->key, shown->chain, 1) == 1;
        if (!verifies && shown->authorities != NULL) {
            verifies = verify_by(connection, shown);
        }
    }
    return used;
}

static int
on_certificate(ngx_ssl_conn_t *connection, void *arg)
{
    const ngx_http_sluice_main_conf_t *smcf = arg;
    const char *name = SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name);
    const struct sl_img_host *host =
        smcf->image == NULL || name == NULL ? NULL : host_of(smcf->image, name, ngx_strlen(name));

    if (host == NULL || host->certificates.count == 0 ||
        use_certificates(connection, smcf->image, host) > 0) {
        return 1;
    }
    return use_default(connection);
}

ngx_int_t
ngx_http_sluice_hello_init(ngx_conf_t *cf, ngx_http_sluice_main_conf_t *smcf)
{
    const ngx_http_core_main_conf_t *cmcf =
        ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_http_core_srv_conf_t *const *servers = cmcf->servers.elts;

    if (asked_index < 0) {
        asked_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    }
    for (ngx_uint_t i = 0; i < cmcf->servers.nelts; i++) {
        const ngx_http_ssl_srv_conf_t *sscf =
            servers[i]->ctx->srv_conf[ngx_http_ssl_module.ctx_index];

        if (sscf->ssl.ctx != NULL) {
            SSL_CTX_set_client_hello_cb(sscf->ssl.ctx, on_hello, smcf);
            SSL_CTX_set_cert_cb(sscf->ssl.ctx, on_certificate, smcf);
        }
    }
    return asked_index < 0 ? NGX_ERROR : NGX_OK;
}
