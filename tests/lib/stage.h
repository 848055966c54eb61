// stage.h - buses for tests: real sockets in a temporary directory, brokers on threads.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_LIB_STAGE_H
#define SL_TESTS_LIB_STAGE_H

#include <stdatomic.h>

#include "common/wire/bus_client.h"
#include "common/wire/worker.h"

#define STAGE_PEERS_MAX   16
#define STAGE_PATIENCE_MS 60000 // with what must happen, and happens sooner unless it hangs

struct stage;

// Starts `bus_count` buses. Asserts that it can.
struct stage *stage_new(size_t bus_count);
void stage_free(struct stage **stage);

// A peer of all buses that the allow-list knows under `name` with `role`; `gateway` is NULL but for
// nodes. The buses read it in a moment, and peers try again until then. Owned by the stage.
const struct sl_peer *stage_peer(struct stage *stage, const char *name, const char *role,
                                 const char *gateway);

// The same without an entry in the allow-list.
const struct sl_peer *stage_stranger(struct stage *stage, const char *name);

// Takes a peer out of the allow-list; the buses read it in a moment.
void stage_forbid(struct stage *stage, const struct sl_peer *peer);

// Stops bus `index` as a crash would; starts it again.
void stage_kill_bus(struct stage *stage, size_t index);
void stage_start_bus(struct stage *stage, size_t index);

// Waits until the client has `count` live buses.
void stage_wait_live(const struct sl_bus_client *client, size_t count);

// Sleeps in small steps until *flag is true; false after `limit_ms`.
bool stage_wait(const atomic_bool *flag, int64_t limit_ms);

#endif
