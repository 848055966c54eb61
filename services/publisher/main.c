// main.c - sluice-publisher: publishing, runtime entries and their revisions, nodes.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/config.h"
#include "common/base/log.h"
#include "common/crypto/crypto.h"
#include "common/wire/bus_client.h"
#include "common/wire/worker_health.h"
#include "services/publisher/action.h"
#include "services/publisher/debug.h"
#include "services/publisher/nodes.h"
#include "services/publisher/pass.h"
#include "services/publisher/since.h"

#include <stdlib.h>

#define CONFIG_ARENA_MAX (64 * 1024)

struct settings {
    const char *peer_file;
    const char *database;
    const char *seal_key_file;
    const char *health_listen;
    const char *log_level;
    const char *name;
    int64_t threads;
};

static const struct sl_setting rows[] = {
    {"database", SL_SETTING_TEXT, offsetof(struct settings, database), NULL, 0, 0,
     "libpq connection string"},
    {"health_listen", SL_SETTING_TEXT, offsetof(struct settings, health_listen), "", 0, 0,
     "address:port or unix:path of /healthz, /readyz and /metrics; empty: none"},
    {"log_level", SL_SETTING_TEXT, offsetof(struct settings, log_level), "info", 0, 0,
     "debug, info, warning or alert"},
    {"name", SL_SETTING_TEXT, offsetof(struct settings, name), "publisher", 0, 0,
     "what log lines call this process"},
    {"peer_file", SL_SETTING_TEXT, offsetof(struct settings, peer_file), NULL, 0, 0,
     "name, key pair and buses"},
    {"seal_key_file", SL_SETTING_TEXT, offsetof(struct settings, seal_key_file), NULL, 0, 0,
     "the deployment's sealing key"},
    {"threads", SL_SETTING_INT, offsetof(struct settings, threads), "4", 1, 64,
     "commands handled at once, each with a database connection"},
};

// Sorted by name.
static const struct sl_handler handlers[] = {
    {"api.action", api_action},
    {"api.batch", api_batch},
    {"api.debug", api_debug},
    {"node.add", node_add},
    {"node.debugged", node_debugged},
    {"node.list", node_list},
    {"node.remove", node_remove},
    {"node.report", node_report},
    {"runtime.settle", runtime_settle},
    {"runtime.since", runtime_since},
    {"version.offline", version_offline},
    {"version.serve", version_serve},
};

static const char *const services[] = {"publisher"};

static int
thread_open(void *arg, void **ret_context, struct sl_error *err)
{
    struct publisher *publisher = arg;
    struct sl_db_options options = {.conninfo = publisher->database,
                                    .application = "sluice-publisher"};
    struct publisher_thread *thread = calloc(1, sizeof(*thread));
    if (thread == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    thread->publisher = publisher;
    thread->db = sl_db_open(&options, err);
    if (thread->db == NULL) {
        free(thread);
        return -1;
    }
    *ret_context = thread;
    return 0;
}

static void
thread_close(void *arg, void *context)
{
    (void)arg;
    struct publisher_thread *thread = context;
    sl_db_free(&thread->db);
    free(thread);
}

static void
on_wake(void *arg, struct sl_str topic, struct sl_str body)
{
    (void)topic;
    (void)body;
    struct publisher *publisher = arg;
    pass_wake(publisher->pass);
}

// Runs from start to SIGTERM. The order of ending is the reverse of starting: nobody is left who
// calls into what is gone.
static int
serve(struct publisher *publisher, const struct settings *settings, const struct sl_peer *peer,
      struct sl_error *err)
{
    struct sl_worker_options options = {.peer = peer,
                                        .services = services,
                                        .service_count = SL_COUNT(services),
                                        .handlers = handlers,
                                        .handler_count = SL_COUNT(handlers),
                                        .threads = (size_t)settings->threads,
                                        .thread_open = thread_open,
                                        .thread_close = thread_close,
                                        .arg = publisher};
    struct sl_bus_client_options client_options = {.peer = peer};
    publisher->pass = pass_new(publisher, err);
    if (publisher->pass == NULL) {
        return -1;
    }
    int rc = -1;
    struct sl_bus_client *client = NULL;
    struct sl_health *health = NULL;
    publisher->worker = sl_worker_new(&options, err);
    if (publisher->worker != NULL) {
        pass_start(publisher->pass);
        client = sl_bus_client_new(&client_options, err);
    }
    if (client != NULL &&
        sl_bus_subscribe(client, "wake/publisher", on_wake, publisher, err) == 0 &&
        sl_worker_health_open(publisher->worker, settings->health_listen, &health, err) == 0) {
        sl_log(SL_INFO, "publisher started");
        rc = sl_worker_wait(publisher->worker);
    }
    sl_health_free(&health);
    sl_bus_client_free(&client);
    pass_stop(publisher->pass);
    sl_worker_free(&publisher->worker);
    pass_free(&publisher->pass);
    return rc;
}

int
main(int argc, char **argv)
{
    struct settings settings;
    struct sl_error err;
    struct sl_peer peer;
    enum sl_log_level level = SL_INFO;
    struct publisher publisher = {.database = NULL};
    const char *path =
        sl_config_args(argc, argv, "publishes APIs and numbers revisions", rows, SL_COUNT(rows));
    SL_AUTO(sl_arena) arena = sl_arena_new(CONFIG_ARENA_MAX);
    if (arena == NULL || sl_config_load(rows, SL_COUNT(rows), path, arena, &settings, &err) != 0 ||
        sl_peer_load(settings.peer_file, arena, &peer, &err) != 0 ||
        sl_seal_key_load(settings.seal_key_file, &publisher.key, &err) != 0) {
        sl_log_error(SL_ALERT, "cannot start", &err);
        return EXIT_FAILURE;
    }
    (void)sl_log_level_parse(settings.log_level, &level);
    sl_log_init(settings.name, level);
    sl_crypto_init();
    publisher.database = settings.database;
    if (serve(&publisher, &settings, &peer, &err) != 0) {
        sl_log_error(SL_ALERT, "cannot serve", &err);
        return EXIT_FAILURE;
    }
    sl_log(SL_INFO, "publisher ended");
    return EXIT_SUCCESS;
}
