// action.h - api.action: publishing an API to an environment, or taking it offline (3.5.4).
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_PUBLISHER_ACTION_H
#define SL_PUBLISHER_ACTION_H

#include "services/publisher/publisher.h"

// online: snapshots the API as a new version and makes it the one that is served; publish_id names
// the pair of API and environment for ever, version_id is new each time, the last ten versions of a
// pair are kept. offline: the pair stays, nothing is served. With wait_ms the reply waits until
// every live node serves the change, and carries `nodes` when time ran out first.
// Refuses API_NOT_FOUND, ENV_NOT_FOUND, PUBLICATION_NOT_FOUND (offline, but not online),
// INSTANCE_NOT_FOUND.
sl_handler_fn api_action;

#endif
