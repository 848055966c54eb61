// wait.c - the commands that wait until services and nodes work.
//
// Asking is all that shows it, so they ask again until the time is up; what is refused for another
// reason than that nobody is there ends the wait at once.
//
// SPDX-License-Identifier: Apache-2.0
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "services/admin/admin.h"

#define SECONDS       60 // without --seconds
#define SECONDS_MAX   3600
#define TRY_MS        3000 // for one answer
#define PAUSE_NS      200000000L
#define TRY_ARENA_MAX (32 * 1024 * 1024)
#define SHARD_PREFIX  "throttle/"
#define REFUSED_BELOW 500 // statuses below say that somebody is there and refuses

// What shows that a service works.
struct probe {
    const char *name;                       // as the operator says it
    const char *service;                    // of the bus, and the command that is asked
    const char *command;                    //
    bool (*is_whole)(const json_t *answer); // NULL: any answer will do
    const char *lack;                       // what the answer lacks when it is not whole
};

static bool
is_shard(const json_t *name, bool *seen)
{
    struct sl_str text = sl_str(json_string_value(name) != NULL ? json_string_value(name) : "");
    const size_t head = strlen(SHARD_PREFIX);
    int64_t shard = 0;
    if (!sl_str_starts(text, SL_STR(SHARD_PREFIX)) ||
        !sl_str_int((struct sl_str){text.ptr + head, text.len - head}, &shard) || shard < 0 ||
        shard >= SL_SHARDS || seen[shard]) {
        return false;
    }
    seen[shard] = true;
    return true;
}

static bool
has_all_shards(const json_t *status)
{
    bool seen[SL_SHARDS] = {false};
    size_t count = 0, i = 0, j = 0;
    json_t *worker = NULL, *name = NULL;
    json_array_foreach(json_object_get(status, "workers"), i, worker)
    {
        json_array_foreach(json_object_get(worker, "services"), j, name)
        {
            count += is_shard(name, seen);
        }
    }
    return count == SL_SHARDS;
}

static bool
are_ready(const json_t *answer)
{
    const json_t *nodes = json_object_get(answer, "nodes");
    size_t ready = 0, i = 0;
    json_t *node = NULL;
    json_array_foreach(nodes, i, node)
    {
        const char *health = json_string_value(json_object_get(node, "health"));
        ready += health != NULL && strcmp(health, "ready") == 0;
    }
    return ready > 0 && ready == json_array_size(nodes);
}

static const struct probe probes[] = {
    {"identity", "identity", "domain.list", NULL, NULL},
    {"publisher", "publisher", "node.list", NULL, NULL},
    {"registry", "registry", "instance.all", NULL, NULL},
    {"throttle", "bus", "status", has_all_shards, "some shards have no owner"},
};
static const struct probe nodes_probe = {"nodes", "publisher", "node.list", are_ready,
                                         "there is none, or some are not ready"};

static const struct probe *
find_probe(const char *name, size_t len)
{
    for (size_t i = 0; i < SL_COUNT(probes); i++) {
        if (strlen(probes[i].name) == len && memcmp(probes[i].name, name, len) == 0) {
            return &probes[i];
        }
    }
    return NULL;
}

// When the wait ends, on the monotonic clock.
static int
read_end(const json_t *fields, int64_t *ret_end_ms, struct sl_error *err)
{
    const json_t *given = json_object_get(fields, "seconds");
    int64_t seconds = given != NULL ? json_integer_value(given) : SECONDS;
    if (seconds < 1 || seconds > SECONDS_MAX) {
        return sl_fail(err, SL_E_ADMIN, "--seconds must be 1 to 3600");
    }
    *ret_end_ms = sl_mono_ms() + seconds * 1000;
    return 0;
}

// Asks once. 0: it works, *ret_answer is a new reference.
static int
ask(const struct admin *admin, const struct probe *probe, json_t *body, int64_t left_ms,
    json_t **ret_answer, struct sl_error *err)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(TRY_ARENA_MAX);
    struct admin of_try = *admin;
    json_t *answer = NULL;
    of_try.arena = arena;
    struct online_question question = {.service = probe->service,
                                       .command = probe->command,
                                       .body = body,
                                       .deadline_ms = left_ms < TRY_MS ? left_ms : TRY_MS};
    if (arena == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    if (online_ask(&of_try, &question, &answer, err) != 0) {
        return -1;
    }
    if (probe->is_whole != NULL && !probe->is_whole(answer)) {
        json_decref(answer);
        sl_fail(err, SL_E_UNAVAILABLE);
        return sl_error_detail(err, "%s", probe->lack);
    }
    *ret_answer = answer;
    return 0;
}

static int
wait_for(const struct admin *admin, const struct probe *probe, json_t *body, int64_t end_ms,
         json_t **ret_answer, struct sl_error *err)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    for (;;) {
        struct sl_error last = {.code = SL_E_INTERNAL};
        int64_t left_ms = end_ms - sl_mono_ms();
        if (ask(admin, probe, body, left_ms > 1 ? left_ms : 1, ret_answer, &last) == 0) {
            return 0;
        }
        if (sl_error_status(last.code) < REFUSED_BELOW) {
            *err = last;
            return -1;
        }
        if (sl_mono_ms() >= end_ms) {
            sl_fail(err, SL_E_ADMIN,
                    sl_arena_printf(admin->arena, "waited in vain for '%s'", probe->name));
            return sl_error_detail(err, "%s", last.detail);
        }
        nanosleep(&pause, NULL);
    }
}

// Waits for each that the text names, in its order.
static int
wait_for_all(const struct admin *admin, const char *names, int64_t end_ms, json_t *done,
             struct sl_error *err)
{
    for (const char *at = names;; at++) {
        size_t len = strcspn(at, ",");
        const struct probe *probe = find_probe(at, len);
        json_t *answer = NULL;
        if (probe == NULL) {
            return sl_fail(err, SL_E_ADMIN,
                           sl_arena_printf(admin->arena,
                                           "there is no service '%.*s': identity, publisher, "
                                           "registry, throttle",
                                           (int)len, at));
        }
        json_t *body = json_pack("{s:s}", "gateway", "");
        int rc = wait_for(admin, probe, body, end_ms, &answer, err);
        json_decref(body);
        json_decref(answer);
        if (rc != 0) {
            return -1;
        }
        json_array_append_new(done, json_string(probe->name));
        at += len;
        if (*at == '\0') {
            return 0;
        }
    }
}

int
service_wait(struct admin *admin, json_t *fields, json_t **ret_answer, struct sl_error *err)
{
    const char *names = json_string_value(json_object_get(fields, "services"));
    int64_t end_ms = 0;
    json_t *done = json_array();
    if (read_end(fields, &end_ms, err) != 0 || wait_for_all(admin, names, end_ms, done, err) != 0) {
        json_decref(done);
        return -1;
    }
    *ret_answer = json_pack("{s:o}", "services", done);
    return 0;
}

int
node_wait(struct admin *admin, json_t *fields, json_t **ret_answer, struct sl_error *err)
{
    int64_t end_ms = 0;
    if (read_end(fields, &end_ms, err) != 0) {
        return -1;
    }
    json_object_del(fields, "seconds");
    return wait_for(admin, &nodes_probe, fields, end_ms, ret_answer, err);
}
