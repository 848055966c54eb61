// fleet.c - see fleet.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/bus/fleet.h"

#include "common/base/limits.h"

#include <czmq.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE_NAME_MAX 64               // bytes with terminator
#define SERVICES_MAX     (SL_SHARDS + 16) // that one worker offers
#define ROUTING_TEXT     (2 * FLEET_ROUTING_LEN + 1)

struct fleet_service {
    char name[SERVICE_NAME_MAX];   //
    struct fleet_worker **members; // who offers it
    size_t count;                  //
    size_t cap;                    //
    size_t turn;                   // where the next search starts, so that equals share
};

struct fleet {
    zhashx_t *workers;  // routing id as hex → fleet_worker
    zhashx_t *services; // name → fleet_service; kept for ever, names are few
    uint64_t picks;     // so far
};

static void
free_worker(void **worker)
{
    struct fleet_worker *gone = *worker;
    free(gone->services);
    free(gone);
    *worker = NULL;
}

static void
free_service(void **service)
{
    struct fleet_service *gone = *service;
    free(gone->members);
    free(gone);
    *service = NULL;
}

struct fleet *
fleet_new(void)
{
    struct fleet *fleet = calloc(1, sizeof(*fleet));
    if (fleet != NULL) {
        fleet->workers = zhashx_new();
        fleet->services = zhashx_new();
        zhashx_set_destructor(fleet->workers, free_worker);
        zhashx_set_destructor(fleet->services, free_service);
    }
    return fleet;
}

void
fleet_free(struct fleet **fleet)
{
    if (fleet == NULL || *fleet == NULL) {
        return;
    }
    zhashx_destroy(&(*fleet)->workers);
    zhashx_destroy(&(*fleet)->services);
    free(*fleet);
    *fleet = NULL;
}

struct fleet_worker *
fleet_find(struct fleet *fleet, const char routing[FLEET_ROUTING_LEN])
{
    char key[ROUTING_TEXT];
    sl_hex_encode(routing, FLEET_ROUTING_LEN, key);
    return zhashx_lookup(fleet->workers, key);
}

struct fleet_worker *
fleet_get(struct fleet *fleet, const char routing[FLEET_ROUTING_LEN], const char *peer)
{
    struct fleet_worker *worker = fleet_find(fleet, routing);
    if (worker == NULL) {
        worker = calloc(1, sizeof(*worker));
        if (worker == NULL) {
            return NULL;
        }
        memcpy(worker->routing, routing, FLEET_ROUTING_LEN);
        snprintf(worker->peer, sizeof(worker->peer), "%s", peer);
        char key[ROUTING_TEXT];
        sl_hex_encode(routing, FLEET_ROUTING_LEN, key);
        zhashx_insert(fleet->workers, key, worker);
    }
    return worker;
}

static void
leave_service(struct fleet_service *service, const struct fleet_worker *worker)
{
    for (size_t i = 0; i < service->count; i++) {
        if (service->members[i] == worker) {
            service->members[i] = service->members[--service->count];
            return;
        }
    }
}

static void
leave_all(struct fleet_worker *worker)
{
    for (size_t i = 0; i < worker->service_count; i++) {
        leave_service(worker->services[i], worker);
    }
    worker->service_count = 0;
}

void
fleet_drop(struct fleet *fleet, struct fleet_worker *worker)
{
    char key[ROUTING_TEXT];
    sl_hex_encode(worker->routing, FLEET_ROUTING_LEN, key);
    leave_all(worker);
    zhashx_delete(fleet->workers, key);
}

static struct fleet_service *
get_service(struct fleet *fleet, struct sl_str name)
{
    char key[SERVICE_NAME_MAX] = "";
    if (name.len == 0 || name.len >= sizeof(key)) {
        return NULL;
    }
    memcpy(key, name.ptr, name.len);
    struct fleet_service *service = zhashx_lookup(fleet->services, key);
    if (service == NULL) {
        service = calloc(1, sizeof(*service));
        if (service != NULL) {
            memcpy(service->name, key, sizeof(key));
            zhashx_insert(fleet->services, key, service);
        }
    }
    return service;
}

static bool
join_service(struct fleet_service *service, struct fleet_worker *worker)
{
    if (service->count == service->cap) {
        size_t cap = service->cap == 0 ? 4 : service->cap * 2;
        struct fleet_worker **grown =
            reallocarray((void *)service->members, cap, sizeof(struct fleet_worker *));
        if (grown == NULL) {
            return false;
        }
        service->members = grown;
        service->cap = cap;
    }
    service->members[service->count++] = worker;
    return true;
}

static bool
add_offer(struct fleet *fleet, struct fleet_worker *worker, struct sl_str name)
{
    struct fleet_service *service = get_service(fleet, name);
    if (service == NULL || worker->service_count == SERVICES_MAX) {
        return false;
    }
    struct fleet_service **grown =
        reallocarray((void *)worker->services, worker->service_count + 1, sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    worker->services = grown;
    if (!join_service(service, worker)) {
        return false;
    }
    worker->services[worker->service_count++] = service;
    return true;
}

size_t
fleet_offer(struct fleet *fleet, struct fleet_worker *worker, int64_t version,
            struct sl_str services)
{
    size_t refused = 0;
    leave_all(worker);
    worker->offer_version = version;
    while (services.ptr != NULL) {
        struct sl_str name = sl_str_split(&services, ' ');
        if (name.len > 0 &&
            !(role_may_offer(&worker->role, name) && add_offer(fleet, worker, name))) {
            refused++;
        }
    }
    return refused;
}

void
fleet_beat(struct fleet_worker *worker, const struct fleet_beat *beat, int64_t now_ms)
{
    worker->seen_ms = now_ms;
    worker->credits = beat->credits;
    worker->width = beat->width;
    worker->takes_joined = beat->is_joiner;
    worker->elsewhere = beat->load > worker->outstanding ? beat->load - worker->outstanding : 0;
}

static struct fleet_service *
find_service(struct fleet *fleet, struct sl_str name)
{
    char key[SERVICE_NAME_MAX] = "";
    if (name.len == 0 || name.len >= sizeof(key)) {
        return NULL;
    }
    memcpy(key, name.ptr, name.len);
    return zhashx_lookup(fleet->services, key);
}

static int64_t
load_of(const struct fleet_worker *worker)
{
    return worker->outstanding + worker->elsewhere;
}

// Whether `worker` rather than `best` is to have the next command.
static bool
is_better(const struct fleet_worker *worker, const struct fleet_worker *best)
{
    bool is_free = load_of(worker) < worker->width;
    if (best == NULL || is_free != (load_of(best) < best->width)) {
        return best == NULL || is_free;
    }
    return is_free ? worker->picked > best->picked : load_of(worker) < load_of(best);
}

struct fleet_worker *
fleet_pick(struct fleet *fleet, struct sl_str service_name, int64_t now_ms, bool *ret_offered)
{
    *ret_offered = false;
    struct fleet_service *service = find_service(fleet, service_name);
    if (service == NULL) {
        return NULL;
    }
    struct fleet_worker *best = NULL;
    service->turn++;
    for (size_t i = 0; i < service->count; i++) {
        struct fleet_worker *worker = service->members[(service->turn + i) % service->count];
        if (now_ms - worker->seen_ms > FLEET_DEAD_MS) {
            continue;
        }
        *ret_offered = true;
        if (worker->outstanding < worker->credits && is_better(worker, best)) {
            best = worker;
        }
    }
    if (best != NULL) {
        best->picked = ++fleet->picks;
    }
    return best;
}

struct fleet_worker *
fleet_next(struct fleet *fleet, bool from_start)
{
    return from_start ? zhashx_first(fleet->workers) : zhashx_next(fleet->workers);
}

size_t
fleet_count(const struct fleet *fleet)
{
    return zhashx_size(fleet->workers);
}

const char *
fleet_service_name(const struct fleet_worker *worker, size_t index)
{
    assert(index < worker->service_count);
    return worker->services[index]->name;
}
