// main.c - sluice-throttle: accounts for the limits of gateways; owns shards of their keys.
//
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/config.h"
#include "common/base/log.h"
#include "common/crypto/crypto.h"
#include "common/wire/worker.h"
#include "common/wire/worker_health.h"
#include "services/throttle/keeper.h"

#define CONFIG_ARENA_MAX (64 * 1024)
#define SERVICE_SIZE     24
#define NODE_ROLE        "node:"

struct settings {
    const char *peer_file;
    const char *database;
    const char *health_listen;
    const char *log_level;
    int64_t threads;
};

static const struct sl_setting rows[] = {
    {"database", SL_SETTING_TEXT, offsetof(struct settings, database), NULL, 0, 0,
     "libpq connection string"},
    {"health_listen", SL_SETTING_TEXT, offsetof(struct settings, health_listen), "", 0, 0,
     "address:port or unix:path of /healthz, /readyz and /metrics; empty: none"},
    {"log_level", SL_SETTING_TEXT, offsetof(struct settings, log_level), "info", 0, 0,
     "debug, info, warning or alert"},
    {"peer_file", SL_SETTING_TEXT, offsetof(struct settings, peer_file), NULL, 0, 0,
     "name, key pair and buses"},
    {"threads", SL_SETTING_INT, offsetof(struct settings, threads), "2", 1, 64,
     "exchanges unpacked and packed at once"},
};

struct process {
    struct keeper *keeper;
    struct sl_worker *worker;
};

static void
publish(void *arg, const char *topic, struct sl_str body)
{
    struct process *process = arg;
    sl_worker_publish(process->worker, topic, body);
}

static void
offer(void *arg, uint32_t shard, bool is_ours)
{
    struct process *process = arg;
    char service[SERVICE_SIZE];
    snprintf(service, sizeof(service), "throttle/%u", shard);
    if (is_ours) {
        sl_worker_offer(process->worker, service);
    } else {
        sl_worker_withdraw(process->worker, service);
    }
}

static bool
is_reachable(void *arg)
{
    struct process *process = arg;
    return sl_worker_has_all_buses(process->worker);
}

// A node speaks for itself only: its name is the bus's word, not the message's.
static int
exchange(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    struct process *process = call->context;
    const char *role = call->command->peer_role;
    if (role == NULL || strncmp(role, NODE_ROLE, strlen(NODE_ROLE)) != 0) {
        return sl_fail(err, SL_E_BUS_FORBIDDEN, call->command->name);
    }
    if (call->command->body == NULL) {
        return sl_fail(err, SL_E_BUS_MESSAGE, "body");
    }
    return keeper_exchange(process->keeper, call->arena, role + strlen(NODE_ROLE),
                           call->command->body, &reply->body, err);
}

static const struct sl_handler handlers[] = {
    {"limits.exchange", exchange},
};

static int
thread_open(void *arg, void **ret_context, struct sl_error *err)
{
    (void)err;
    *ret_context = arg;
    return 0;
}

static void
thread_close(void *arg, void *context)
{
    (void)arg;
    (void)context;
}

// The keeper stops first: it withdraws what the worker offers.
static int
serve(struct process *process, const struct settings *settings, const struct sl_peer *peer,
      struct sl_error *err)
{
    struct keeper_options keeper_options = {.database = settings->database,
                                            .name = peer->name,
                                            .publish = publish,
                                            .offer = offer,
                                            .is_reachable = is_reachable,
                                            .arg = process};
    process->keeper = keeper_new(&keeper_options, err);
    if (process->keeper == NULL) {
        return -1;
    }
    struct sl_worker_options options = {.peer = peer,
                                        .handlers = handlers,
                                        .handler_count = SL_COUNT(handlers),
                                        .threads = (size_t)settings->threads,
                                        .thread_open = thread_open,
                                        .thread_close = thread_close,
                                        .arg = process};
    process->worker = sl_worker_new(&options, err);
    struct sl_health *health = NULL;
    int rc = -1;
    if (process->worker != NULL && keeper_start(process->keeper, err) == 0 &&
        sl_worker_health_open(process->worker, settings->health_listen, &health, err) == 0) {
        sl_log(SL_INFO, "throttle started");
        rc = sl_worker_wait(process->worker);
    }
    sl_health_free(&health);
    keeper_stop(process->keeper);
    sl_worker_free(&process->worker);
    keeper_free(&process->keeper);
    return rc;
}

int
main(int argc, char **argv)
{
    struct settings settings;
    struct sl_error err;
    struct sl_peer peer;
    enum sl_log_level level = SL_INFO;
    struct process process = {NULL, NULL};
    const char *path = sl_config_args(argc, argv, "accounts for limits", rows, SL_COUNT(rows));
    SL_AUTO(sl_arena) arena = sl_arena_new(CONFIG_ARENA_MAX);
    if (arena == NULL || sl_config_load(rows, SL_COUNT(rows), path, arena, &settings, &err) != 0 ||
        sl_peer_load(settings.peer_file, arena, &peer, &err) != 0) {
        sl_log_error(SL_ALERT, "cannot start", &err);
        return EXIT_FAILURE;
    }
    (void)sl_log_level_parse(settings.log_level, &level);
    sl_log_init(peer.name, level);
    sl_crypto_init();
    if (serve(&process, &settings, &peer, &err) != 0) {
        sl_log_error(SL_ALERT, "cannot serve", &err);
        return EXIT_FAILURE;
    }
    sl_log(SL_INFO, "throttle ended");
    return EXIT_SUCCESS;
}
