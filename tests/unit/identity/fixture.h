// fixture.h - a migrated database, a thread of the service, and a bus that only remembers.
//
// Included by tests of services/identity; the functions of the worker that commands use are here,
// so that no bus is needed.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_UNIT_IDENTITY_FIXTURE_H
#define SL_TESTS_UNIT_IDENTITY_FIXTURE_H

#include "tests/unit/test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto/crypto.h"
#include "common/db/migrate.h"
#include "services/identity/identity.h"
#include "services/identity/pool.h"

static struct identity identity = {
    .endpoint = "https://api.example.com", .region = "r1", .seal_key = {{9}}};
static struct thread *thread;
static struct sl_arena *arena;
static struct sl_error err;
static size_t wakes;

static pthread_mutex_t reply_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t reply_came = PTHREAD_COND_INITIALIZER;
static size_t replies;
static enum sl_code last_code; // of the last deferred reply; OK: it was no error

void
sl_worker_publish(struct sl_worker *worker, const char *topic, struct sl_str body)
{
    (void)worker;
    (void)body;
    wakes += strcmp(topic, "wake/publisher") == 0;
}

uint64_t
sl_call_defer(struct sl_call *call)
{
    call->deferred = true;
    return call->token;
}

void
sl_worker_reply(struct sl_worker *worker, uint64_t token, const struct sl_reply *reply)
{
    (void)worker;
    (void)token;
    pthread_mutex_lock(&reply_lock);
    replies++;
    last_code = reply->failed ? reply->error.code : SL_E_OK;
    pthread_cond_signal(&reply_came);
    pthread_mutex_unlock(&reply_lock);
}

static int
set_up(void **state)
{
    (void)state;
    char directory[512];
    void *context = NULL;
    snprintf(directory, sizeof(directory), "%s/proto/sql", getenv("SLUICE_SOURCE"));
    identity.database = getenv("SLUICE_TEST_DB");
    assert_non_null(identity.database);
    arena = sl_arena_new(64 << 20);
    assert_int_equal(sl_migrate(identity.database, directory, NULL, &err), 0);
    assert_int_equal(thread_open(&identity, &context, &err), 0);
    thread = context;
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    thread_close(&identity, thread);
    sl_arena_free(&arena);
    return 0;
}

static struct sl_command
make_command(const char *name, json_t *body)
{
    char *id = sl_arena_alloc(arena, 33);
    sl_random_id(id);
    return (struct sl_command){
        .id = id,
        .service = "identity",
        .name = name,
        .request_id = id,
        .actor = {.user_id = "", .user_name = "", .domain_id = "", .project_id = ""},
        .project = "",
        .instance = "",
        .body = body,
        .deadline_ms = 5000,
        .peer = "admin",
        .peer_role = "admin",
    };
}

static const struct command_row *
find_row(const char *name)
{
    for (size_t i = 0; i < command_row_count; i++) {
        if (strcmp(command_rows[i].name, name) == 0) {
            return &command_rows[i];
        }
    }
    return NULL;
}

#endif
