// broker_state.h - what the broker's files share; no one else includes it.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BUS_BROKER_STATE_H
#define SL_BUS_BROKER_STATE_H

#include <pthread.h>

#include "common/base/buf.h"
#include "services/bus/broker.h"
#include "services/bus/flight.h"
#include "services/bus/frames.h"

struct broker {
    const char *name;              // of this bus
    void *context;                 // ZeroMQ's
    struct frames_socket zap;      // REP: who may connect
    struct frames_socket commands; // ROUTER: clients
    struct frames_socket workers;  // ROUTER: workers
    struct frames_socket events;   // XPUB, manual
    struct peers *peers;           // allow-list
    struct fleet *fleet;           // workers
    struct flights *flights;       // commands that they hold
    struct sl_buf envelope;        // scratch: the stamped envelope
    int64_t now_ms;                // of this round of the loop
    uint64_t passed;               // commands handed to workers
    uint64_t refused;              // commands answered B
    uint64_t published;            // events forwarded

    pthread_mutex_t lock;          // guards `figures`
    struct broker_figures figures; // as the last tick left them
};

// Who sent a message: the row of the connection's peer, or NULL when the allow-list no longer has
// it with that key.
const struct peer_row *broker_sender(struct broker *broker, struct frames *message);

// One message from a client or a worker; one subscription.
void broker_on_command(struct broker *broker, struct frames *message);
void broker_on_worker(struct broker *broker, struct frames *message);
void broker_on_subscription(struct broker *broker, struct frames *message);

// Forwards an event to its subscribers.
void broker_publish(struct broker *broker, struct sl_str topic, struct sl_str body);

// Answers a client: this bus cannot have the command done.
void broker_refuse(struct broker *broker, const char client[FLEET_ROUTING_LEN], struct sl_str id,
                   const char *reason);

// Drops a worker; its commands are answered "worker lost".
void broker_lose_worker(struct broker *broker, struct fleet_worker *worker);

// Every 50 ms: finds dead workers and flights that nobody waits for.
void broker_tick(struct broker *broker);

// Answers the bus's own command `status` into `reply` (a packed reply).
void broker_status(const struct broker *broker, struct sl_buf *reply);

#endif
