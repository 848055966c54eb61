// ngx_http_sluice_pool.c - idle connections to backends, kept per worker.
//
// Hashed by address, port, scheme and whom TLS spoke to, so that a connection made for one name is
// never used for another; per key the one used last is taken first; past the maximum the one unused
// for longest is closed.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_wire.h"

#define BUCKETS    4096 // power of two
#define CACHE_LINE 64   // bytes

// An idle connection, or a free place for one.
struct idle {
    ngx_queue_t order;  // in the pool's LRU list, or its free list
    ngx_queue_t bucket; // in the list of its hash
    ngx_connection_t *connection;
    ngx_msec_t since; // when it became idle
    struct ngx_http_sluice_pool_key key;
    struct ngx_http_sluice_peer_name name;
} __attribute__((aligned(CACHE_LINE)));

// A worker is one thread, so it needs no lock.
static struct {
    ngx_queue_t used;             // newest first
    ngx_queue_t free;             //
    ngx_queue_t buckets[BUCKETS]; // newest first
    uint64_t count;               // connections that are idle
    uint64_t *told;               // the same, for whoever asks this worker's node
    ngx_msec_t idle_ms;           // an idle connection is closed after this
    ngx_event_t timer;            // ends old ones; set while there are any
} pool;

static ngx_queue_t *
bucket_of(const struct ngx_http_sluice_pool_key *key)
{
    return &pool.buckets[ngx_http_sluice_pool_hash(key) & (BUCKETS - 1)];
}

// Takes the connection out of its place and frees the place.
static ngx_connection_t *
vacate(struct idle *place)
{
    ngx_connection_t *c = place->connection;

    ngx_queue_remove(&place->bucket);
    ngx_queue_remove(&place->order);
    ngx_queue_insert_head(&pool.free, &place->order);
    place->connection = NULL;
    *pool.told = --pool.count;
    return c;
}

static void
close_connection(ngx_connection_t *c)
{
#if (NGX_HTTP_SSL)
    if (c->ssl != NULL) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;
        (void)ngx_ssl_shutdown(c);
    }
#endif
    ngx_destroy_pool(c->pool);
    ngx_close_connection(c);
}

static void
on_idle_write(ngx_event_t *event)
{
    (void)event;
}

// The backend closed it, or sent what nobody asked for; or nginx closes what is idle.
static void
on_idle_read(ngx_event_t *event)
{
    ngx_connection_t *c = event->data;
    char byte;

    if (!c->close && recv(c->fd, &byte, 1, MSG_PEEK) == -1 && ngx_socket_errno == NGX_EAGAIN) {
        event->ready = 0;
        if (ngx_handle_read_event(c->read, 0) == NGX_OK) {
            return;
        }
    }
    close_connection(vacate(c->data));
}

static void
sweep(ngx_event_t *timer)
{
    ngx_queue_t *at = ngx_queue_last(&pool.used);

    while (at != ngx_queue_sentinel(&pool.used)) {
        struct idle *oldest = ngx_queue_data(at, struct idle, order);
        ngx_msec_t age_ms = ngx_current_msec - oldest->since;

        if (age_ms < pool.idle_ms) {
            ngx_add_timer(timer, pool.idle_ms - age_ms);
            return;
        }
        at = ngx_queue_prev(at);
        close_connection(vacate(oldest));
    }
}

ngx_int_t
ngx_http_sluice_pool_init(ngx_cycle_t *cycle, const ngx_http_sluice_main_conf_t *smcf,
                          uint64_t *told)
{
    size_t size = smcf->idle_max * sizeof(struct idle);
    struct idle *places = ngx_pmemalign(cycle->pool, size, CACHE_LINE);

    if (places == NULL) {
        return NGX_ERROR;
    }
    ngx_memzero(places, size);
    ngx_queue_init(&pool.used);
    ngx_queue_init(&pool.free);
    for (size_t i = 0; i < BUCKETS; i++) {
        ngx_queue_init(&pool.buckets[i]);
    }
    for (ngx_uint_t i = 0; i < smcf->idle_max; i++) {
        ngx_queue_insert_tail(&pool.free, &places[i].order);
    }
    pool.timer.handler = sweep;
    pool.timer.data = &pool;
    pool.timer.log = cycle->log;
    pool.timer.cancelable = 1;
    pool.idle_ms = smcf->idle_ms;
    pool.told = told;
    *told = pool.count = 0;
    return NGX_OK;
}

ngx_connection_t *
ngx_http_sluice_pool_take(const struct ngx_http_sluice_pool_key *key,
                          struct ngx_http_sluice_peer_name *ret_name)
{
    ngx_queue_t *bucket = bucket_of(key);
    ngx_queue_t *q;

    for (q = ngx_queue_head(bucket); q != ngx_queue_sentinel(bucket); q = ngx_queue_next(q)) {
        struct idle *place = ngx_queue_data(q, struct idle, bucket);

        if (ngx_memcmp(&place->key, key, sizeof(*key)) == 0) {
            ngx_connection_t *c = vacate(place);

            *ret_name = place->name;
            c->idle = 0;
            c->sent = 0;
            c->data = NULL;
            return c;
        }
    }
    return NULL;
}

void
ngx_http_sluice_pool_put(const struct ngx_http_sluice_pool_key *key,
                         const struct ngx_http_sluice_peer_name *name, ngx_connection_t *c)
{
    struct idle *place;

    if (ngx_queue_empty(&pool.free)) {
        if (ngx_queue_empty(&pool.used)) { // a pool of no places
            close_connection(c);
            return;
        }
        place = ngx_queue_data(ngx_queue_last(&pool.used), struct idle, order);
        close_connection(vacate(place));
    }
    place = ngx_queue_data(ngx_queue_head(&pool.free), struct idle, order);
    ngx_queue_remove(&place->order);
    ngx_queue_insert_head(&pool.used, &place->order);
    ngx_queue_insert_head(bucket_of(key), &place->bucket);
    place->key = *key;
    place->name = *name;
    place->connection = c;
    *pool.told = ++pool.count;

    place->since = ngx_current_msec;
    if (!pool.timer.timer_set) {
        ngx_add_timer(&pool.timer, pool.idle_ms);
    }
    c->read->delayed = 0;
    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }
    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }
    c->write->handler = on_idle_write;
    c->read->handler = on_idle_read;
    c->data = place;
    c->idle = 1;
    c->log = ngx_cycle->log;
    c->read->log = ngx_cycle->log;
    c->write->log = ngx_cycle->log;
    c->pool->log = ngx_cycle->log;
    ngx_http_sluice_write_short(c);
    if (c->read->ready) {
        on_idle_read(c->read);
    }
}
