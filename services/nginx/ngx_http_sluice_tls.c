// ngx_http_sluice_tls.c - TLS to backends: whom a connection was made for, and sessions to resume.
//
// The sessions of a worker lie in a table of fixed size; a place is found by the hash of the pool's
// key, and the newest takes it. The whole key is compared, so that no session of one name, address
// or way of verifying is offered to another.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#define SESSIONS 1024 // places, a power of two

struct place {
    struct ngx_http_sluice_pool_key key;
    ngx_ssl_session_t *session; // NULL: free
};

// A worker is one thread, so it needs no lock.
static struct place places[SESSIONS];

static struct place *
place_of(const struct ngx_http_sluice_pool_key *key)
{
    return &places[ngx_http_sluice_pool_hash(key) & (SESSIONS - 1)];
}

struct sl_str
ngx_http_sluice_tls_name(struct sl_str host)
{
    const char *end = NULL;

    if (host.len > 0 && host.ptr[0] == '[') {
        end = memchr(host.ptr, ']', host.len);
        return end == NULL ? host : (struct sl_str){host.ptr + 1, (size_t)(end - host.ptr) - 1};
    }
    end = host.len > 0 ? memchr(host.ptr, ':', host.len) : NULL;
    return end == NULL ? host : (struct sl_str){host.ptr, (size_t)(end - host.ptr)};
}

void
ngx_http_sluice_tls_identity(struct sl_str name, const uint8_t *certificates,
                             u_char ret_identity[NGX_HTTP_SLUICE_TLS_IDENTITY])
{
    uint8_t digests[2][SL_SHA256_LEN];
    uint8_t digest[SL_SHA256_LEN];

    sl_sha256(name, digests[0]);
    ngx_memcpy(digest, digests[0], sizeof(digest));
    if (certificates != NULL) {
        ngx_memcpy(digests[1], certificates, sizeof(digests[1]));
        sl_sha256((struct sl_str){(const char *)digests, sizeof(digests)}, digest);
    }
    ngx_memcpy(ret_identity, digest, NGX_HTTP_SLUICE_TLS_IDENTITY);
}

ngx_ssl_session_t *
ngx_http_sluice_tls_session(const struct ngx_http_sluice_pool_key *key)
{
    const struct place *place = place_of(key);

    return place->session != NULL && ngx_memcmp(&place->key, key, sizeof(*key)) == 0
               ? place->session
               : NULL;
}

void
ngx_http_sluice_tls_keep(const struct ngx_http_sluice_pool_key *key, ngx_ssl_session_t *session)
{
    struct place *place = place_of(key);

    if (place->session != NULL) {
        ngx_ssl_free_session(place->session);
    }
    place->key = *key;
    place->session = session;
}

void
ngx_http_sluice_tls_exit(void)
{
    for (size_t i = 0; i < SESSIONS; i++) {
        if (places[i].session != NULL) {
            ngx_ssl_free_session(places[i].session);
            places[i].session = NULL;
        }
    }
}
