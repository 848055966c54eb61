// flight.c - see flight.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/bus/flight.h"

#include <stdlib.h>

#define NO_SLOT FLIGHTS_MAX

struct flights {
    struct flight slots[FLIGHTS_MAX]; // token: use << 32 | slot
    uint32_t first_free;              // slot given back, or NO_SLOT
    uint32_t fresh;                   // slots from here on were never taken
    size_t count;                     // in flight
};

struct flights *
flights_new(void)
{
    struct flights *flights = calloc(1, sizeof(*flights));
    if (flights != NULL) {
        flights->first_free = NO_SLOT;
    }
    return flights;
}

void
flights_free(struct flights **flights)
{
    free(*flights);
    *flights = NULL;
}

struct flight *
flights_take(struct flights *flights, struct fleet_worker *worker, uint64_t *ret_token)
{
    uint32_t slot = flights->first_free;
    if (slot != NO_SLOT) {
        flights->first_free = flights->slots[slot].next_free;
    } else if (flights->fresh < FLIGHTS_MAX) {
        slot = flights->fresh++;
    } else {
        return NULL;
    }
    struct flight *flight = &flights->slots[slot];
    flight->use++;
    flight->worker = worker;
    worker->outstanding++;
    flights->count++;
    *ret_token = ((uint64_t)flight->use << 32) | slot;
    return flight;
}

struct flight *
flights_find(struct flights *flights, uint64_t token, const struct fleet_worker *worker)
{
    uint32_t slot = (uint32_t)token;
    if (slot >= FLIGHTS_MAX) {
        return NULL;
    }
    struct flight *flight = &flights->slots[slot];
    bool is_it = flight->worker != NULL && flight->worker == worker && flight->use == token >> 32;
    return is_it ? flight : NULL;
}

void
flights_end(struct flights *flights, struct flight *flight)
{
    assert(flight->worker != NULL);
    flight->worker->outstanding--;
    flight->worker = NULL;
    flight->next_free = flights->first_free;
    flights->first_free = (uint32_t)(flight - flights->slots);
    flights->count--;
}

struct flight *
flights_next(struct flights *flights, size_t *position, const struct fleet_worker *worker)
{
    while (*position < flights->fresh) {
        struct flight *flight = &flights->slots[(*position)++];
        if (flight->worker != NULL && (worker == NULL || flight->worker == worker)) {
            return flight;
        }
    }
    return NULL;
}

size_t
flights_count(const struct flights *flights)
{
    return flights->count;
}
