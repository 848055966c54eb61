// main.c - sluice-registry: the resources. How it starts.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/config.h"
#include "common/base/log.h"
#include "common/crypto/crypto.h"
#include "common/db/migrate.h"
#include "common/wire/worker_health.h"
#include "services/registry/commands.h"
#include "services/registry/statistics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MAX (1024 * 1024) // settings and the peer file
// Commands a thread that a bus gives this registry before it wakes another: ours are brief, and to
// wait for one costs less than threads and sessions whose memory is no longer in the caches.
#define WAVES     2

static const char *const services[] = {"registry"};

struct settings {
    const char *database;
    const char *health_listen;
    const char *log_level;
    const char *migrations;
    const char *peer_file;
    const char *seal_key_file;
    int64_t threads;
};

#define ROW(member, ...)                                                                           \
    {                                                                                              \
        .name = #member, .offset = offsetof(struct settings, member), __VA_ARGS__                  \
    }

static const struct sl_setting rows[] = {
    ROW(database, .help = "PostgreSQL, as a libpq connection string"),
    ROW(health_listen, .fallback = "",
        .help = "address:port or unix:path of /healthz, /readyz and /metrics; empty: none"),
    ROW(log_level, .fallback = "info", .help = "debug, info, warning or alert"),
    ROW(migrations, .fallback = "/usr/share/sluice/sql",
        .help = "directory of NNNN_what.sql files, applied by --migrate"),
    ROW(peer_file, .help = "name, key pair and buses of this process; mode 0600"),
    ROW(seal_key_file, .help = "the deployment's sealing key: 64 hex digits; mode 0600"),
    ROW(threads, .type = SL_SETTING_INT, .fallback = "4", .min = 1, .max = 64,
        .help = "commands at once, each with its own database connection"),
};

// What the threads share.
struct process {
    const struct settings *settings;
    struct sl_seal_key key;
};

static int
open_registry(void *arg, void **ret_context, struct sl_error *err)
{
    const struct process *process = arg;
    struct sl_db_options options = {.conninfo = process->settings->database,
                                    .faults = resource_faults,
                                    .application = "sluice-registry"};
    struct registry *registry = calloc(1, sizeof(*registry));
    if (registry == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    registry->key = &process->key;
    registry->db = sl_db_open(&options, err);
    if (registry->db == NULL) {
        free(registry);
        return -1;
    }
    *ret_context = registry;
    return 0;
}

static void
close_registry(void *arg, void *context)
{
    struct registry *registry = context;
    (void)arg;
    sl_db_free(&registry->db);
    free(registry);
}

static int
serve(const struct settings *settings, struct sl_arena *arena, struct sl_error *err)
{
    struct sl_peer peer;
    struct process process = {.settings = settings};
    if (sl_peer_load(settings->peer_file, arena, &peer, err) != 0 ||
        sl_seal_key_load(settings->seal_key_file, &process.key, err) != 0) {
        return -1;
    }
    sl_crypto_init();
    struct sl_worker_options options = {
        .peer = &peer,
        .services = services,
        .service_count = SL_COUNT(services),
        .handlers = registry_handlers,
        .handler_count = registry_handler_count,
        .together = &engine_together,
        .threads = (size_t)settings->threads,
        .width = WAVES * (size_t)settings->threads,
        .thread_open = open_registry,
        .thread_close = close_registry,
        .arg = &process,
    };
    struct sl_worker *worker = sl_worker_new(&options, err);
    if (worker == NULL) {
        return -1;
    }
    struct sl_health *health = NULL;
    struct statistics *statistics = statistics_start(settings->database, err);
    int rc = statistics == NULL
                 ? -1
                 : sl_worker_health_open(worker, settings->health_listen, &health, err);
    if (rc == 0) {
        sl_log(SL_INFO, "registry is up", SL_LOG_STR("peer", peer.name));
        sl_worker_wait(worker);
        sl_log(SL_INFO, "registry stops");
    }
    sl_health_free(&health);
    statistics_stop(&statistics);
    sl_worker_free(&worker);
    return rc;
}

static int
migrate(const struct settings *settings, struct sl_error *err)
{
    size_t applied = 0;
    if (sl_migrate(settings->database, settings->migrations, &applied, err) != 0) {
        return -1;
    }
    sl_log(SL_INFO, "database is up to date", SL_LOG_INT("applied", applied));
    return 0;
}

// Takes --migrate out of the arguments that all daemons share.
static bool
take_migrate(int *argc, char **argv)
{
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--migrate") == 0) {
            memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof(*argv));
            (*argc)--;
            return true;
        }
    }
    return false;
}

int
main(int argc, char **argv)
{
    bool migrating = take_migrate(&argc, argv);
    const char *path = sl_config_args(
        argc, argv, "the resources of the management API (--migrate: update the database and end)",
        rows, SL_COUNT(rows));
    sl_log_init("sluice-registry", SL_INFO);
    SL_AUTO(sl_arena) arena = sl_arena_new(ARENA_MAX);
    struct settings settings = {0};
    struct sl_error err = {.code = SL_E_INTERNAL};
    enum sl_log_level level = SL_INFO;
    int rc = sl_config_load(rows, SL_COUNT(rows), path, arena, &settings, &err);
    if (rc == 0 && !sl_log_level_parse(settings.log_level, &level)) {
        rc = sl_fail(&err, SL_E_CONFIG, "log_level");
    }
    if (rc == 0) {
        sl_log_init("sluice-registry", level);
        rc = migrating ? migrate(&settings, &err) : serve(&settings, arena, &err);
    }
    if (rc != 0) {
        sl_log_error(SL_ALERT, "registry cannot start", &err);
    }
    return rc == 0 ? 0 : 1;
}
