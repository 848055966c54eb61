// since.h - runtime.since and runtime.settle: what changed after a revision, or a full set page by
// page.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_PUBLISHER_SINCE_H
#define SL_PUBLISHER_SINCE_H

#include "services/publisher/publisher.h"

// Answers a node (for its own gateway) or a front (for `control`) as proto/bus.md says; others are
// refused (BUS_FORBIDDEN). The content key goes boxed to the asking peer's CURVE key.
sl_handler_fn runtime_since;

// Makes the revisions of `control` that are due, and answers its head: all that was committed
// before is in it. For fronts; others are refused (BUS_FORBIDDEN).
sl_handler_fn runtime_settle;

#endif
