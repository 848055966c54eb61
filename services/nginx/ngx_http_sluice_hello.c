// ngx_http_sluice_hello.c - what a gateway's features say of a client's handshake.
//
// `ssl_ciphers` names the suites of TLS 1.2 that clients may use, `request_custom_config` whether
// they are offered HTTP/2. Both act from the next handshake on, without a reload: OpenSSL asks here
// before it looks for a session or chooses anything.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#define CIPHERS_MAX 512 // characters of the list

// A session of another list must not come back: it may be of a suite that is not allowed.
static bool
set_ciphers(ngx_ssl_conn_t *connection, struct sl_str list)
{
    char text[CIPHERS_MAX];
    uint8_t digest[SL_SHA256_LEN];

    if (list.len >= sizeof(text)) {
        return false;
    }
    ngx_memcpy(text, list.ptr, list.len);
    text[list.len] = '\0';
    sl_sha256(list, digest);
    return SSL_set_cipher_list(connection, text) == 1 &&
           SSL_set_session_id_context(connection, digest, sizeof(digest)) == 1;
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
    struct sl_str list;

    if (smcf->image == NULL) {
        return SSL_CLIENT_HELLO_SUCCESS;
    }
    sl_image_refresh(smcf->image);
    gateway = sl_image_ready(smcf->image) ? sl_image_gateway(smcf->image) : NULL;
    list = sl_img_feature_text(gateway, SL_FEATURE_SSL_CIPHERS);
    if ((list.len > 0 && !set_ciphers(connection, list)) ||
        (sl_str_equal(sl_img_feature_text(gateway, SL_FEATURE_HTTP2), SL_STR("off")) &&
         !withhold_http2(ngx_ssl_get_connection(connection)))) {
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
    return SSL_CLIENT_HELLO_SUCCESS;
}

void
ngx_http_sluice_hello_init(ngx_conf_t *cf, ngx_http_sluice_main_conf_t *smcf)
{
    const ngx_http_core_main_conf_t *cmcf =
        ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_http_core_srv_conf_t *const *servers = cmcf->servers.elts;

    for (ngx_uint_t i = 0; i < cmcf->servers.nelts; i++) {
        const ngx_http_ssl_srv_conf_t *sscf =
            servers[i]->ctx->srv_conf[ngx_http_ssl_module.ctx_index];

        if (sscf->ssl.ctx != NULL) {
            SSL_CTX_set_client_hello_cb(sscf->ssl.ctx, on_hello, smcf);
        }
    }
}
