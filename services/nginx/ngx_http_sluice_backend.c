// ngx_http_sluice_backend.c - hands a decided request to nginx's proxy, and chooses its peers.
//
// The request takes over the configuration of a location that nginx.conf declares for the purpose;
// the proxy then reads path, method, Host and TLS name from the context. peer.init replaces the
// upstream's configuration by a copy of the request's own: timeouts, tries, what may be tried
// again. Addresses come from the image, resolved and checked by the agent; workers resolve nothing.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_channel.h"
#include "services/nginx/ngx_http_sluice_sign.h"
#include "services/nginx/ngx_http_sluice_wire.h"

#define REQUESTS_MAX 10000 // on one backend connection
#define TLS_NAME_MAX 253   // characters of a host name, RFC 1035

// One address of the backend.
struct peer {
    struct ngx_http_sluice_pool_key key;
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } address;
    socklen_t address_len;
    struct ngx_http_sluice_balance_seat *seat; // of a channel's member; NULL: not counted
    ngx_str_t name; // a view of `text`; the log names it even after others were tried
    struct ngx_http_sluice_peer_name text;
};

// What peer.init needs; made by the decision, in the request's pool.
struct backend {
    ngx_http_upstream_conf_t conf; // the request's own copy; first, as it is not zeroed
    struct ngx_http_sluice_tls secured;
    ngx_msec_t timeout_ms;
    ngx_uint_t tries;      // the first included
    ngx_uint_t next_types; // NGX_HTTP_UPSTREAM_FT_*: what may be tried again
    bool tls;
    ngx_uint_t peer_count;
    ngx_uint_t peer_next; // index of the next to try
    ngx_http_upstream_t *upstream;
    ngx_http_sluice_ctx_t *ctx;
    ngx_int_t (*status_line)(ngx_http_request_t *r);    // the proxy's, which an answer begins with
    ngx_int_t (*process_header)(ngx_http_request_t *r); // the proxy's, for what comes next
    ngx_int_t (*reinit_request)(ngx_http_request_t *r); // the proxy's
    ngx_int_t (*content)(ngx_http_request_t *r);        // the proxy's
    bool takes_kept; // the content handler sends the request over a kept connection
    bool was_kept;   // and has to
    bool has_status; // of the answer, the status line is read
    struct peer peers[];
};

// -- the decision's end ---------------------------------------------------------------------------

static void
fill_peer(struct peer *peer, const struct sl_img_address *address, in_port_t port)
{
    peer->key.family = address->family;
    peer->key.port = port;
    if (address->family == AF_INET) {
        ngx_memcpy(peer->key.bytes, address->bytes, sizeof(peer->address.in4.sin_addr));
        ngx_memcpy(&peer->address.in4.sin_addr, address->bytes, sizeof(peer->address.in4.sin_addr));
        peer->address.in4.sin_family = AF_INET;
        peer->address.in4.sin_port = port;
        peer->address_len = sizeof(peer->address.in4);
        return;
    }
    ngx_memcpy(peer->key.bytes, address->bytes, sizeof(peer->key.bytes));
    ngx_memcpy(&peer->address.in6.sin6_addr, address->bytes, sizeof(address->bytes));
    peer->address.in6.sin6_family = AF_INET6;
    peer->address.in6.sin6_port = port;
    peer->address_len = sizeof(peer->address.in6);
}

static void
release_seats(void *data)
{
    const struct backend *backend = data;

    for (ngx_uint_t i = 0; i < backend->peer_count; i++) {
        ngx_http_sluice_balance_release(backend->peers[i].seat);
    }
}

// Takes the places over, with their seats.
static ngx_int_t
make_backend(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx,
             const ngx_http_sluice_place_t *places, ngx_uint_t count, struct backend **ret_backend)
{
    size_t size = sizeof(struct backend) + count * sizeof(struct peer);
    struct backend *backend = ngx_palloc(r->pool, size);
    ngx_pool_cleanup_t *cleanup = places[0].seat == NULL ? NULL : ngx_pool_cleanup_add(r->pool, 0);

    if (backend == NULL || (places[0].seat != NULL && cleanup == NULL)) {
        for (ngx_uint_t i = 0; i < count; i++) {
            ngx_http_sluice_balance_release(places[i].seat);
        }
        return NGX_ERROR;
    }
    // peer.init fills `conf` whole.
    ngx_memzero((u_char *)backend + sizeof(backend->conf), size - sizeof(backend->conf));
    backend->peer_count = count;
    for (ngx_uint_t i = 0; i < count; i++) {
        fill_peer(&backend->peers[i], places[i].address, htons(places[i].port));
        backend->peers[i].key.http2 = ctx->grpc;
        backend->peers[i].seat = places[i].seat;
    }
    if (cleanup != NULL) {
        cleanup->handler = release_seats;
        cleanup->data = backend;
    }
    *ret_backend = backend;
    return NGX_OK;
}

// How the peers are called over TLS.
static ngx_int_t
secure(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, struct backend *backend)
{
    ngx_int_t rc = ngx_http_sluice_certificate(r, ctx, &backend->secured);

    for (ngx_uint_t i = 0; rc == NGX_OK && i < backend->peer_count; i++) {
        ngx_http_sluice_tls_identity(ngx_http_sluice_view(&ctx->tls_name),
                                     backend->secured.ssl.ctx ? backend->secured.digest : NULL,
                                     backend->peers[i].key.identity);
    }
    return rc;
}

// The documented retries: -1 is one, of what may be repeated; n is exactly n, whatever the method.
static ngx_uint_t
tries_of(const struct sl_img_target *target)
{
    return target->retry_count < 0 ? 2 : (ngx_uint_t)target->retry_count + 1;
}

static void
set_retries(struct backend *backend, const struct sl_img_target *target)
{
    backend->next_types = NGX_HTTP_UPSTREAM_FT_ERROR | NGX_HTTP_UPSTREAM_FT_TIMEOUT;
    backend->tries = tries_of(target);
    if (target->retry_count > 0) {
        backend->next_types |= NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT;
    }
}

// The API's timeout, up to what the gateway allows at this moment.
static ngx_msec_t
timeout_of(const ngx_http_sluice_ctx_t *ctx)
{
    int64_t max_ms = ctx->gateway == NULL ? 0 : ctx->gateway->timeout_max_ms;

    return max_ms > 0 && max_ms < ctx->target->timeout_ms ? (ngx_msec_t)max_ms
                                                          : ctx->target->timeout_ms;
}

// TLS asks for the name that the Host header says. A name that no server can have is refused: a
// mapping took it from the request.
static ngx_int_t
set_tls_name(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    struct sl_str name = ngx_http_sluice_tls_name(ngx_http_sluice_view(&ctx->backend_host));

    if (name.len == 0 || name.len > TLS_NAME_MAX) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_BAD_REQUEST);
    }
    ctx->tls_name = ngx_http_sluice_copy(r->pool, name);
    if (ctx->tls_name.data == NULL) {
        return NGX_ERROR;
    }
    ngx_strlow(ctx->tls_name.data, ctx->tls_name.data, ctx->tls_name.len);
    return NGX_OK;
}

static ngx_int_t
set_names(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    struct sl_str authority = sl_img_text(&ctx->target->authority);

    if (ctx->backend_host.len == 0) { // no mapping set it
        ctx->backend_host = (ngx_str_t){authority.len, (u_char *)(uintptr_t)authority.ptr};
    }
    ctx->backend_tls = ctx->target->tls != 0;
    return ctx->backend_tls ? set_tls_name(r, ctx) : NGX_OK;
}

// The peers of a call, of a channel's members or of the one backend.
static ngx_int_t
find_peers(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, struct backend **ret_backend)
{
    ngx_http_sluice_place_t places[NGX_HTTP_SLUICE_PLACES];
    ngx_uint_t count = 0;
    bool is_channel = sl_img_text(&ctx->target->channel).len > 0;
    ngx_int_t rc = is_channel ? ngx_http_sluice_channel(
                                    r, ctx, ngx_min(tries_of(ctx->target), NGX_HTTP_SLUICE_PLACES),
                                    places, &count)
                              : NGX_OK;

    if (rc == NGX_OK) {
        rc = set_names(r, ctx);
    }
    if (rc == NGX_OK && !is_channel) {
        rc = ngx_http_sluice_addresses(r, ctx, places, &count);
    }
    if (rc == NGX_OK) {
        rc = make_backend(r, ctx, places, count, ret_backend);
        return rc == NGX_OK && ctx->target->tls ? secure(r, ctx, *ret_backend) : rc;
    }
    for (ngx_uint_t i = 0; i < count; i++) {
        ngx_http_sluice_balance_release(places[i].seat);
    }
    return rc;
}

static ngx_str_t
method_name(ngx_http_request_t *r, enum sl_method method)
{
    static const ngx_str_t names[] = {
        [SL_METHOD_GET] = ngx_string("GET"),         [SL_METHOD_POST] = ngx_string("POST"),
        [SL_METHOD_PUT] = ngx_string("PUT"),         [SL_METHOD_DELETE] = ngx_string("DELETE"),
        [SL_METHOD_HEAD] = ngx_string("HEAD"),       [SL_METHOD_PATCH] = ngx_string("PATCH"),
        [SL_METHOD_OPTIONS] = ngx_string("OPTIONS"),
    };

    return (size_t)method < SL_COUNT(names) ? names[method] : r->method_name;
}

// nginx asks the kernel of each connection whether it is connected, before it sends anything. Of a
// kept one sending says it as well, and the system call is a fiftieth of what a request costs. So
// get_peer() says that the connection is being made, and here it is.
static ngx_int_t
run_proxy(ngx_http_request_t *r)
{
    ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);
    struct backend *backend = ctx->backend;
    ngx_http_upstream_t *u;
    ngx_int_t rc;

    backend->takes_kept = true;
    rc = backend->content(r);
    backend->takes_kept = false;
    if (!backend->was_kept) {
        return rc;
    }
    u = backend->upstream;
    u->peer.connection->write->timer_set = 0;
    u->request_sent = 1;
    (void)ngx_output_chain(&u->output, u->request_bufs); // what went wrong goes wrong again below
    u->write_event_handler(r, u);
    return rc;
}

// Whether the whole request is there, and may be sent again whatever became of it.
static bool
is_repeatable(const ngx_http_request_t *r)
{
    return !ngx_http_sluice_has_body(r) &&
           (r->method & (NGX_HTTP_POST | NGX_HTTP_LOCK | NGX_HTTP_PATCH)) == 0;
}

// How the gateway's own headers go to the backend.
static ngx_int_t (*const forwards[NGX_HTTP_SLUICE_LOCATIONS])(ngx_http_request_t *r,
                                                              ngx_http_sluice_ctx_t *ctx) = {
    [NGX_HTTP_SLUICE_BUFFERED] = ngx_http_sluice_forward,
    [NGX_HTTP_SLUICE_STREAMED] = ngx_http_sluice_forward,
    [NGX_HTTP_SLUICE_FUNCTION] = ngx_http_sluice_function,
    [NGX_HTTP_SLUICE_GRPC] = ngx_http_sluice_forward_grpc,
};

ngx_int_t
ngx_http_sluice_backend(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    ngx_http_sluice_main_conf_t *smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);
    enum ngx_http_sluice_location location = NGX_HTTP_SLUICE_BUFFERED;
    struct backend *backend = NULL;
    ngx_int_t rc = ngx_http_sluice_hops(r, ctx);

    if (rc == NGX_OK) {
        rc = find_peers(r, ctx, &backend);
    }
    if (rc != NGX_OK || backend == NULL) {
        return rc;
    }
    if (ctx->api->backend_type == SL_BACKEND_FUNCTION) {
        location = NGX_HTTP_SLUICE_FUNCTION;
    } else if (ctx->grpc) {
        location = NGX_HTTP_SLUICE_GRPC;
    } else if (r->headers_in.chunked ||
               r->headers_in.content_length_n > NGX_HTTP_SLUICE_READ_FIRST) {
        location = NGX_HTTP_SLUICE_STREAMED;
    }
    set_retries(backend, ctx->target);
    backend->tls = ctx->target->tls;
    backend->timeout_ms = timeout_of(ctx);
    backend->ctx = ctx;
    ctx->backend = backend;
    ctx->backend_called = 1;
    ctx->unbuffered = sl_img_feature_on(ctx->gateway, SL_FEATURE_SSE_STRATEGY);
    r->method_name = method_name(r, ctx->target->method); // what the proxy sends
    rc = forwards[location](r, ctx);
    if (rc != NGX_OK) {
        return rc;
    }
    r->unparsed_uri = ctx->backend_uri; // what proxy_pass without a URI sends
    r->valid_unparsed_uri = 1;
    r->loc_conf = smcf->locations[location]->loc_conf;
    if (location != NGX_HTTP_SLUICE_GRPC && ngx_http_sluice_body_patience(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }
    ngx_http_update_location_config(r);
    if (location == NGX_HTTP_SLUICE_BUFFERED && is_repeatable(r)) {
        backend->content = r->content_handler;
        r->content_handler = run_proxy;
    }
    return NGX_OK;
}

// -- peers ----------------------------------------------------------------------------------------

static ngx_int_t
get_peer(ngx_peer_connection_t *pc, void *data)
{
    struct backend *backend = data;
    struct peer *peer = &backend->peers[backend->peer_next];
    ngx_connection_t *c;

    backend->peer_next = (backend->peer_next + 1) % backend->peer_count;
    pc->sockaddr = &peer->address.any;
    pc->socklen = peer->address_len;
    pc->name = &peer->name;
    pc->cached = 0;
    pc->connection = NULL;
    if (peer->seat != NULL) {
        peer->seat->open++;
    }
    c = ngx_http_sluice_pool_take(&peer->key, &peer->text);
    if (c == NULL) {
        peer->text.len =
            ngx_sock_ntop(pc->sockaddr, pc->socklen, peer->text.text, sizeof(peer->text.text), 1);
    }
    peer->name = (ngx_str_t){peer->text.len, peer->text.text};
    if (c == NULL) {
        return NGX_OK;
    }
    c->log = pc->log;
    c->read->log = pc->log;
    c->write->log = pc->log;
    c->pool->log = pc->log;
    pc->connection = c;
    pc->cached = 1;
    if (!backend->takes_kept || c->ssl != NULL) { // a failed write of TLS must not be repeated
        return NGX_DONE;
    }
    // nginx sets a timer for the connection. It is spared one that would end at the same time.
    c->write->timer.key = ngx_current_msec + backend->timeout_ms;
    c->write->timer_set = 1;
    backend->was_kept = true;
    return NGX_AGAIN;
}

static bool
is_reusable(const struct backend *backend, const ngx_connection_t *c, ngx_uint_t state)
{
    const ngx_http_upstream_t *u = backend->upstream;

    return (state & NGX_PEER_FAILED) == 0 && c != NULL && !c->read->eof && !c->read->error &&
           !c->read->timedout && !c->write->error && !c->write->timedout && u->keepalive &&
           u->request_body_sent && c->requests < REQUESTS_MAX && !ngx_terminate && !ngx_exiting;
}

// Connected, but TLS did not come about: the backend speaks something else, or nobody trusts it.
static bool
is_handshake_failure(const struct backend *backend, const ngx_connection_t *c, ngx_uint_t state)
{
    return (state & NGX_PEER_FAILED) != 0 && c != NULL && c->ssl != NULL &&
           !backend->upstream->request_sent;
}

static struct peer *
peer_of(const ngx_peer_connection_t *pc)
{
    return (struct peer *)((u_char *)pc->sockaddr - offsetof(struct peer, address));
}

static void
free_peer(ngx_peer_connection_t *pc, void *data, ngx_uint_t state)
{
    struct backend *backend = data;
    ngx_connection_t *c = pc->connection;
    struct peer *peer = peer_of(pc);
    ngx_http_sluice_ctx_t *ctx = backend->ctx;

    ctx->tls_failed = is_handshake_failure(backend, c, state);
    if (peer->seat != NULL) {
        peer->seat->open--;
    }
    if (pc->tries > 0) {
        pc->tries--;
    }
    if (is_reusable(backend, c, state) && ngx_handle_read_event(c->read, 0) == NGX_OK) {
        pc->connection = NULL;
        ngx_http_sluice_pool_put(&peer->key, &peer->text, c);
    }
}

static ngx_int_t
set_session(ngx_peer_connection_t *pc, void *data)
{
    const struct backend *backend = data;
    ngx_connection_t *c = pc->connection;

    if (backend->secured.verifies &&
        ngx_http_sluice_certificate_expect(c->ssl->connection, &backend->ctx->tls_name) != NGX_OK) {
        return NGX_ERROR;
    }
    // The gateway's own contexts speak of no protocol, gRPC's of one.
    if (backend->ctx->grpc &&
        SSL_set_alpn_protos(c->ssl->connection, (const u_char *)"\x02h2", 3) != 0) {
        return NGX_ERROR;
    }
    return ngx_ssl_set_session(c, ngx_http_sluice_tls_session(&peer_of(pc)->key));
}

static void
save_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_ssl_session_t *session = ngx_ssl_get_session(pc->connection);

    (void)data;
    if (session != NULL) {
        ngx_http_sluice_tls_keep(&peer_of(pc)->key, session);
    }
}

// Has the proxy read the status line alone, where it is there, and then what _head.c leaves of the
// header: only the proxy knows its own state. A header that is not all there is read on from here.
static ngx_int_t
read_header(ngx_http_request_t *r, struct backend *backend)
{
    ngx_http_upstream_t *u = r->upstream;
    ngx_int_t (*own)(ngx_http_request_t * r) = u->process_header;
    u_char *last = u->buffer.last;
    u_char *end = r->state != 0 ? NULL : memchr(u->buffer.pos, LF, (size_t)(last - u->buffer.pos));
    ngx_int_t rc;

    if (!backend->has_status && end != NULL) {
        u->buffer.last = end + 1;
    }
    if (!backend->has_status) {
        rc = backend->process_header(r);
        u->buffer.last = last;
        if (rc != NGX_AGAIN || u->process_header == own) {
            return rc;
        }
        backend->has_status = true;
        backend->process_header = u->process_header;
        u->process_header = own;
    }
    if (r->state == 0 && ngx_http_sluice_head_take(r) != NGX_OK) {
        return NGX_ERROR;
    }
    return backend->process_header(r);
}

// The proxy takes what does not begin with a status line for an answer in HTTP/0.9 and relays it.
// Here that is a backend that does not speak HTTP. A function service that refuses has no answer.
static ngx_int_t
process_header(ngx_http_request_t *r)
{
    ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);
    struct backend *backend = ctx->backend;
    ngx_uint_t version = r->http_version;
    ngx_int_t rc = read_header(r, backend);

    if (rc == NGX_OK && r->http_version < NGX_HTTP_VERSION_10) {
        r->http_version = version;
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }
    if (rc == NGX_OK && ctx->answer != NULL &&
        (r->upstream->headers_in.status_n < NGX_HTTP_OK ||
         r->upstream->headers_in.status_n >= NGX_HTTP_SPECIAL_RESPONSE)) {
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }
    return rc;
}

// Has the answer's header come here first.
static void
take_header(ngx_http_upstream_t *u, struct backend *backend)
{
    backend->process_header = backend->status_line;
    backend->has_status = false;
    u->process_header = process_header;
}

static ngx_int_t
reinit_request(ngx_http_request_t *r)
{
    ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);
    struct backend *backend = ctx->backend;
    ngx_int_t rc = backend->reinit_request(r);

    take_header(r->upstream, backend);
    return rc;
}

static ngx_int_t
init_peer(ngx_http_request_t *r, ngx_http_upstream_srv_conf_t *us)
{
    ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);
    ngx_http_upstream_t *u = r->upstream;
    struct backend *backend = ctx == NULL ? NULL : ctx->backend;

    (void)us;
    if (backend == NULL) {
        return NGX_ERROR; // nobody else may send a request here
    }
    backend->upstream = u;
    backend->conf = *u->conf;
    backend->conf.connect_timeout = backend->timeout_ms;
    backend->conf.send_timeout = backend->timeout_ms;
    backend->conf.read_timeout = backend->timeout_ms;
    backend->conf.next_upstream = backend->next_types;
    u->conf = &backend->conf;
    if (!ctx->grpc) {
        backend->status_line = u->process_header;
        take_header(u, backend);
        backend->reinit_request = u->reinit_request;
        u->reinit_request = reinit_request;
    }
#if (NGX_HTTP_SSL)
    u->ssl = backend->tls;
    if (backend->secured.ssl.ctx != NULL) {
        backend->conf.ssl = &backend->secured.ssl;
    }
    u->peer.set_session = set_session;
    u->peer.save_session = save_session;
#endif
    u->peer.data = backend;
    u->peer.get = get_peer;
    u->peer.free = free_peer;
    u->peer.tries = backend->tries;
    return NGX_OK;
}

static ngx_int_t
init_upstream(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us)
{
    (void)cf;
    us->peer.init = init_peer;
    return NGX_OK;
}

char *
ngx_http_sluice_backend_peers(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_upstream_srv_conf_t *uscf =
        ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module);

    (void)cmd;
    (void)conf;
    uscf->peer.init_upstream = init_upstream;
    uscf->flags = NGX_HTTP_UPSTREAM_CREATE;
    return NGX_CONF_OK;
}
