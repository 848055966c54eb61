// action.h - publishing APIs to an environment, or taking them offline (3.5.4, 3.5.9), versions
// (3.5.11, 3.5.14).
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_PUBLISHER_ACTION_H
#define SL_PUBLISHER_ACTION_H

#include "services/publisher/publisher.h"

// api.action (3.5.4): one API, as publication.h says. With wait_ms the reply waits until every live
// node serves the change, and carries `nodes` when time ran out first. Refuses ENV_NOT_FOUND,
// INSTANCE_NOT_FOUND, and what publication_change refuses.
sl_handler_fn api_action;

// api.batch (3.5.9): the APIs of `apis`, or all of `group_id` when none are listed, in one
// transaction with a result for each: {success, failure}. An API that is not found, clashes, or is
// not online fails alone. wait_ms as above. Refuses PARAM_MISSING (apis) when neither is given.
sl_handler_fn api_batch;

// version.serve (3.5.11): an older version of the path's API is served again, as publication_serve
// says; wait_ms as above. version.offline (3.5.14): the pair that serves the path's version goes
// offline.
sl_handler_fn version_serve;
sl_handler_fn version_offline;

#endif
