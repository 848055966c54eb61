// fixture.h - a migrated database, one gateway with an API, and commands without a bus.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_PUBLISHER_FIXTURE_H
#define SL_TESTS_PUBLISHER_FIXTURE_H

#include "tests/unit/test.h"

#include "services/publisher/action.h"
#include "services/publisher/nodes.h"
#include "services/publisher/pass.h"
#include "services/publisher/revision.h"
#include "services/publisher/since.h"

#include <stdlib.h>
#include <string.h>

struct fixture {
    struct publisher publisher;
    struct publisher_thread thread; // what handlers get
    struct sl_arena *arena;         // of the test
    char project[SL_ID_SIZE];
    char gateway[SL_ID_SIZE];
    char group[SL_ID_SIZE];
    char api[SL_ID_SIZE];
    json_t *path;     // of the next command; NULL: none
    const char *role; // of the next command's peer
    const char *peer; // its name
    char peer_public[SL_Z85_SIZE], peer_secret[SL_Z85_SIZE];
    struct sl_reply reply; // of the last command
    struct sl_error err;   // of the last command
};

// Events (of entries, of heads) and replies that were caught.
extern size_t caught_events;
extern size_t caught_heads;
extern size_t caught_replies;
extern char caught_body[4096]; // of the last deferred reply
extern pthread_mutex_t caught_lock;

// cmocka's set-up and tear-down: a gateway of its own for each test.
int fixture_set_up(void **state);
int fixture_tear_down(void **state);

// Runs a handler; `id` NULL: a fresh command id.
int fixture_call(struct fixture *f, sl_handler_fn *handler, const char *name, const char *id,
                 json_t *body);

// {action, api_id, env_id: RELEASE}.
int fixture_action(struct fixture *f, const char *id, const char *action, int wait_ms);

// Makes revisions until nothing is dirty.
void fixture_publish(struct fixture *f);

// runtime.since as the fixture's peer; the reply as JSON (binary as strings).
json_t *fixture_since(struct fixture *f, const char *epoch, int64_t revision);

// Runs a statement; the first cell of a query, as number or text.
void fixture_sql(struct fixture *f, const char *sql);
int64_t fixture_number(struct fixture *f, const char *sql);
const char *fixture_text(struct fixture *f, const char *sql);

// Registers node `id` with the fixture's keys and makes the next commands its own.
void fixture_node(struct fixture *f, const char *id);

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

#endif
