// report.h - telling the publisher what this node serves, and the operator's tools beside it.
//
// A `node.report` every second and at once after a new image went live, four a second while its
// answers alone tell of a newer head; one is on its way at a time. The same facts stand in
// `status.json` in the state directory. Runs on the agent's thread.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_REPORT_H
#define SL_NODE_REPORT_H

#include "common/wire/bus_client.h"
#include "common/wire/follow.h"
#include "services/node/settings.h"

struct report;

// What is reported, filled by the owner when asked.
struct report_facts {
    struct sl_revision revision; // that the image serves
    const char *reason;          // why not a newer one; "" none
    int64_t offset_ms;           // of the accounting clock
    bool is_deaf;                // no event tells of a newer one
};

// The reply brings the gateway's head: whoever is behind learns it here too.
typedef void report_head_fn(void *arg, const struct sl_revision *head);

// It may bring calls to make (debug.h), too: a list, borrowed.
typedef void report_debug_fn(void *arg, const json_t *list);

typedef void report_facts_fn(void *arg, struct report_facts *ret_facts);

// `client` and `settings` are borrowed. NULL when memory is out.
struct report *report_new(struct sl_bus_client *client, const struct settings *settings,
                          report_facts_fn *facts, report_head_fn *head, void *arg);

// Hands on calls to make from here on; says in reports that there is someone who makes them.
void report_debugs(struct report *report, report_debug_fn *debug);
void report_free(struct report **report);

// Something changed: report at the next tick instead of the next second.
void report_soon(struct report *report);

// Sends what is due. Call it at every turn of the loop.
void report_tick(struct report *report);

#endif
