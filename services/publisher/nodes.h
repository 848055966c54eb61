// nodes.h - the nodes of a gateway: their reports, who may see them, who serves what.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_PUBLISHER_NODES_H
#define SL_PUBLISHER_NODES_H

#include "services/publisher/publisher.h"

// Who of the live nodes serves a revision.
struct nodes_served {
    bool all;          // every live node (none alive: yes)
    const char *nodes; // JSON array of {id, revision, served} over the live nodes; of the arena
};

// Looks at the nodes' newest reports. `db` must have no open transaction.
int nodes_serve(struct sl_db *db, struct sl_arena *arena, const char *gateway,
                const struct head *want, struct nodes_served *ret_served,
                struct sl_error *err) SL_MUST_CHECK;

// node.list: for callers of the management API, and (all fields) for sluice-admin.
sl_handler_fn node_list;

// node.add, node.remove: sluice-admin only. Removal rotates the gateway's content key.
sl_handler_fn node_add;
sl_handler_fn node_remove;

// node.report: a node's heartbeat; answers the head and the accounting clock.
sl_handler_fn node_report;

// The gateway that a calling node serves, by its name in SQL; -1 (BUS_FORBIDDEN) when it is none.
int node_gateway(const struct sl_command *command, struct sl_tx *tx, struct sl_arena *arena,
                 const char **ret_gateway, struct sl_error *err) SL_MUST_CHECK;

#endif
