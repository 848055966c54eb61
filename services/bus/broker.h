// broker.h - one bus: three sockets, the allow-list, workers and the commands that they hold.
//
// One thread runs it. It keeps nothing that must survive: clients and workers find out and go on
// with another bus.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BUS_BROKER_H
#define SL_BUS_BROKER_H

#include "common/wire/peer.h"

struct broker;

struct broker_options {
    const struct sl_peer *self;         // name and key pair of the bus
    const struct sl_bus_address *binds; // where it listens; several endpoints stand between blanks
    const char *allow_dir;              // *.peer files
};

// Binds each socket to its endpoints. NULL with *err (CONFIG) naming the one that does not work.
struct broker *broker_new(const struct broker_options *options, struct sl_error *err);
void broker_free(struct broker **broker);

// What a bus has done and holds.
struct broker_figures {
    uint64_t passed;    // commands handed to workers
    uint64_t refused;   // commands that no worker could take
    uint64_t published; // events forwarded
    uint64_t in_flight; // commands that workers hold
    uint64_t workers;   // connected
    uint64_t peers;     // on the allow-list
};

// The figures of at most 50 ms ago. Any thread.
struct broker_figures broker_figures(struct broker *broker);

// Works until `stop_fd` is readable.
void broker_run(struct broker *broker, int stop_fd);

#endif
