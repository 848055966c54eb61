// fixture.h - a migrated database, one gateway, and commands without a bus.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_REGISTRY_FIXTURE_H
#define SL_TESTS_REGISTRY_FIXTURE_H

#include "common/base/limits.h"
#include "services/registry/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// What a test holds; `state` of cmocka's functions.
struct fixture {
    struct registry registry;    // connection and key
    struct sl_seal_key key;      //
    struct sl_arena *arena;      // of the test
    char project[SL_ID_SIZE];    //
    char gateway[SL_ID_SIZE];    //
    struct sl_reply reply;       // of the last command
    struct sl_error err;         // of the last command
    json_t *body;                // of the last reply, parsed; owned by the arena
    char command_id[SL_ID_SIZE]; // of the last command
};

// Migrates once a process, makes a project and a gateway of its own for each test.
int fixture_set_up(void **state);
int fixture_tear_down(void **state);

// A further connection to the same gateway, for threads.
void fixture_open(struct fixture *fixture, const struct fixture *other);
void fixture_close(struct fixture *fixture);

// A command of the fixture's user as it leaves a bus, without path, query and body; `id` is
// borrowed.
struct sl_command fixture_command(struct fixture *fixture, const char *id, const char *name);

// Runs a command as front sends it; `path`, `query` and `body` are JSON texts, "" for none. Answers
// what the handler answered.
int fixture_call(struct fixture *fixture, const char *name, const char *path, const char *query,
                 const char *body);

// The same with this command id.
int fixture_repeat(struct fixture *fixture, const char *id, const char *name, const char *path,
                   const char *body);

// As sluice-admin: no path, role admin.
int fixture_admin(struct fixture *fixture, const char *name, const char *body);

// Creates and answers the new id (memory of the test).
const char *fixture_create(struct fixture *fixture, const char *name, const char *path,
                           const char *body);

// A member of the last reply: text, number.
const char *fixture_text(const struct fixture *fixture, const char *name);
int64_t fixture_number(const struct fixture *fixture, const char *name);

// {"<name>": "<value>"}, memory of the test.
const char *fixture_path(struct fixture *fixture, const char *name, const char *value);

// One number from SQL.
int64_t fixture_count(struct fixture *fixture, const char *sql);
void fixture_sql(struct fixture *fixture, const char *sql);

// An API with a MOCK backend in a group, published in RELEASE when `online` (publish_id = its id).
const char *fixture_api(struct fixture *fixture, const char *group, const char *name,
                        const char *uri, bool online);

// cmocka_unit_test with the fixture around it.
#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

#endif
