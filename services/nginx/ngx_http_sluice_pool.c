// ngx_http_sluice_pool.c - idle connections to backends, kept per worker.
//
// Hashed by address, port, scheme and whom TLS spoke to, so that a connection made for one name is
// never used for another; per key the one used last is taken first; past the maximum the one unused
// for longest is closed.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#define IDLE_TIMEOUT_MS 60000 // an idle connection is closed after this
#define BUCKETS         4096  // power of two

// An idle connection, or a free place for one.
struct idle {
    ngx_queue_t order;  // in the pool's LRU list, or its free list
    ngx_queue_t bucket; // in the list of its hash
    struct ngx_http_sluice_pool_key key;
    ngx_connection_t *connection;
};

// A worker is one thread, so it needs no lock.
static struct {
    ngx_queue_t used;             // newest first
    ngx_queue_t free;             //
    ngx_queue_t buckets[BUCKETS]; // newest first
    uint64_t count;               // connections that are idle
    uint64_t *told;               // the same, for whoever asks this worker's node
} pool;

static ngx_queue_t *
bucket_of(const struct ngx_http_sluice_pool_key *key)
{
    return &pool.buckets[ngx_murmur_hash2((u_char *)(uintptr_t)key, sizeof(*key)) & (BUCKETS - 1)];
}

ngx_int_t
ngx_http_sluice_pool_init(ngx_cycle_t *cycle, ngx_uint_t max, uint64_t *told)
{
    struct idle *places = ngx_pcalloc(cycle->pool, max * sizeof(*places));

    if (places == NULL) {
        return NGX_ERROR;
    }
    ngx_queue_init(&pool.used);
    ngx_queue_init(&pool.free);
    for (size_t i = 0; i < BUCKETS; i++) {
        ngx_queue_init(&pool.buckets[i]);
    }
    for (ngx_uint_t i = 0; i < max; i++) {
        ngx_queue_insert_tail(&pool.free, &places[i].order);
    }
    pool.told = told;
    *told = pool.count = 0;
    return NGX_OK;
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

// The backend closed it, sent what nobody asked for, or its time is over.
static void
on_idle_read(ngx_event_t *event)
{
    ngx_connection_t *c = event->data;
    char byte;

    if (!c->close && !c->read->timedout && recv(c->fd, &byte, 1, MSG_PEEK) == -1 &&
        ngx_socket_errno == NGX_EAGAIN) {
        event->ready = 0;
        if (ngx_handle_read_event(c->read, 0) == NGX_OK) {
            return;
        }
    }
    close_connection(vacate(c->data));
}

ngx_connection_t *
ngx_http_sluice_pool_take(const struct ngx_http_sluice_pool_key *key)
{
    ngx_queue_t *bucket = bucket_of(key);
    ngx_queue_t *q;

    for (q = ngx_queue_head(bucket); q != ngx_queue_sentinel(bucket); q = ngx_queue_next(q)) {
        struct idle *place = ngx_queue_data(q, struct idle, bucket);

        if (ngx_memcmp(&place->key, key, sizeof(*key)) == 0) {
            ngx_connection_t *c = vacate(place);

            c->idle = 0;
            c->sent = 0;
            c->data = NULL;
            if (c->read->timer_set) {
                ngx_del_timer(c->read);
            }
            return c;
        }
    }
    return NULL;
}

void
ngx_http_sluice_pool_put(const struct ngx_http_sluice_pool_key *key, ngx_connection_t *c)
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
    place->connection = c;
    *pool.told = ++pool.count;

    c->read->delayed = 0;
    ngx_add_timer(c->read, IDLE_TIMEOUT_MS);
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
    if (c->read->ready) {
        on_idle_read(c->read);
    }
}
