// table.c - how much of a limit is admitted: a row of text for every cell of the table of limits.
//
// The real owners, agents and counters of world.c with its clock and network: up to 3 ms a message,
// every request waits 20 ms at most. Hours and days are not lived through: their requests come in
// the 30 s before and the 30 s after the end of a window. Prints "unit limit nodes spread offered
// admitted possible over", where `possible` is min(offered, limit) summed over the windows and
// `over` the most by which a window exceeded the limit.
//
// `throttle_table [UNIT [LIMIT [NODES]]]` runs a part; `throttle_table --cost` prints what a key
// under 5,000 calls a second costs its owner: "limit nodes spread admitted exchanges/s
// keys/exchange events/s us/exchange ms/10^4", 20 seconds each.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/throttle/world.h"

#include <stdlib.h>
#include <string.h>

#define WARM_MS 5000 // before the load: nodes and owners find each other
#define HOP_MS  100  // how long hopping callers stay at a node

struct unit {
    const char *name;
    uint32_t window_s;
    int64_t load_s;      // seconds of load in a window
    int64_t lead_ms;     // of the load before the first boundary; its windows count when complete
    int windows;         // that are counted
    int64_t settling_ms; // from the first boundary to the first counted window
};

static const struct unit units[] = {
    {"second", 1, 1, 0, 10, 2000},
    {"minute", 60, 60, 0, 2, 0},
    {"hour", 3600, 30, 30000, 2, 0},
    {"day", 86400, 30, 30000, 2, 0},
};

static const char *const spreads[] = {"even", "one", "hopping"};
static const int64_t limits[] = {3, 10, 100, 5000};
static const int counts[] = {1, 2, 4};
static const double offers[] = {0.5, 1, 2, 10};

struct cell {
    const struct unit *unit;
    int64_t limit;
    int nodes;
    size_t spread;
    double offer;
};

// A boundary of the unit's windows that no other test's clock comes near.
static int64_t
boundary_ms(const struct unit *unit)
{
    int64_t day_ms = 86400000;
    return 20000 * day_ms + (unit->window_s < 86400 ? (int64_t)unit->window_s * 7000 : 0);
}

static struct world *
open_cell(const struct cell *cell)
{
    int64_t start_ms = boundary_ms(cell->unit) - cell->unit->lead_ms - WARM_MS;
    struct world *world = open_world_at(7, cell->nodes, OWNERS, start_ms);
    for (int i = 0; i < cell->nodes; i++) {
        memset(world->nodes[i].load, 0, sizeof(world->nodes[i].load));
    }
    world->limit[0] = cell->limit;
    world->window_s[0] = cell->unit->window_s;
    world->first_window[0] = sl_counter_window(start_ms, cell->unit->window_s) - 1;
    sl_counter_policy_key(&world->keys[0], POLICY, NULL, SL_COUNT_API, NULL, cell->unit->window_s);
    for (int i = 0; i < WARM_MS; i++) {
        step(world);
    }
    return world;
}

static int
pick_node(struct world *world, const struct cell *cell)
{
    switch (cell->spread) {
    case 0:
        return (int)dice(world, (uint32_t)cell->nodes);
    case 1:
        return 0;
    default:
        return (int)(world->now_ms / HOP_MS % cell->nodes);
    }
}

static void
run_cell(const struct cell *cell)
{
    const struct unit *unit = cell->unit;
    struct world *world = open_cell(cell);
    double per_ms = cell->offer * (double)cell->limit / (double)unit->load_s / 1000;
    int64_t first_ms = boundary_ms(unit) + unit->settling_ms - unit->lead_ms;
    int64_t end_ms = first_ms + unit->windows * unit->load_s * 1000;
    while (world->now_ms < end_ms) {
        double left = per_ms;
        for (; left >= 1 || (double)dice(world, 1000000) < left * 1e6; left -= 1) {
            offer(&world->nodes[pick_node(world, cell)], 0);
            if (left < 1) {
                break;
            }
        }
        step(world);
    }
    int64_t admitted = 0;
    int64_t possible = 0;
    int64_t over = INT64_MIN;
    uint32_t at = sl_counter_window(first_ms, unit->window_s) - world->first_window[0];
    for (int i = 0; i < unit->windows; i++, at++) {
        int64_t offered = world->offered[0][at];
        admitted += world->admitted[0][at];
        possible += offered < cell->limit ? offered : cell->limit;
        int64_t beyond = world->admitted[0][at] - cell->limit;
        over = beyond > over ? beyond : over;
    }
    printf("%s %lld %d %s %g %lld %lld %lld\n", unit->name, (long long)cell->limit, cell->nodes,
           spreads[cell->spread], cell->offer, (long long)admitted, (long long)possible,
           (long long)over);
    fflush(stdout);
    close_world(world);
}

// What a key in steady use costs its owner.
static void
print_cost(int nodes, size_t spread, int64_t limit)
{
    const int seconds = 20;
    struct cell cell = {&units[0], limit, nodes, spread, 1};
    struct world *world = open_cell(&cell);
    int64_t exchanges = world->exchanges;
    int64_t keys = world->exchanged_keys;
    int64_t events = world->events;
    int64_t owner_ns = world->owner_ns;
    for (int ms = 0; ms < seconds * 1000; ms++) {
        for (int i = 0; i < 5; i++) {
            offer(&world->nodes[pick_node(world, &cell)], 0);
        }
        step(world);
    }
    int64_t admitted = 0;
    for (size_t i = 0; i < WINDOWS; i++) {
        admitted += world->admitted[0][i];
    }
    exchanges = world->exchanges - exchanges;
    double us = (double)(world->owner_ns - owner_ns) / 1000;
    printf("%lld %d %s %lld %.1f %.2f %.1f %.1f %.3f\n", (long long)limit, nodes, spreads[spread],
           (long long)admitted, (double)exchanges / seconds,
           (double)(world->exchanged_keys - keys) / (double)exchanges,
           (double)(world->events - events) / seconds, us / (double)exchanges,
           us / 1000 / ((double)admitted / 10000));
    close_world(world);
}

static int
print_costs(void)
{
    static const int64_t far_and_near[] = {1000000, 5000};
    for (size_t i = 0; i < SL_COUNT(far_and_near) * SL_COUNT(counts) * 2; i++) {
        size_t spread = i % 2 * 2; // even, hopping
        print_cost(counts[i / 2 % SL_COUNT(counts)], spread,
                   far_and_near[i / 2 / SL_COUNT(counts)]);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--cost") == 0) {
        return print_costs();
    }
    int64_t limit = argc > 2 ? atoll(argv[2]) : 0; // NOLINT(cert-err34-c): 0 for anything else
    int64_t nodes = argc > 3 ? atoll(argv[3]) : 0; // NOLINT(cert-err34-c)
    size_t cells = SL_COUNT(units) * SL_COUNT(limits) * SL_COUNT(counts) * SL_COUNT(spreads) *
                   SL_COUNT(offers);
    for (size_t i = 0; i < cells; i++) {
        size_t at = i;
        struct cell cell = {.offer = offers[at % SL_COUNT(offers)]};
        at /= SL_COUNT(offers);
        cell.spread = at % SL_COUNT(spreads);
        at /= SL_COUNT(spreads);
        cell.nodes = counts[at % SL_COUNT(counts)];
        at /= SL_COUNT(counts);
        cell.limit = limits[at % SL_COUNT(limits)];
        cell.unit = &units[at / SL_COUNT(limits)];
        if ((argc < 2 || strcmp(argv[1], cell.unit->name) == 0) &&
            (limit == 0 || limit == cell.limit) && (nodes == 0 || nodes == cell.nodes)) {
            run_cell(&cell);
        }
    }
    return 0;
}
