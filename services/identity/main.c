// main.c - sluice-identity: settings, the worker, the pool, and their end.
//
// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/config.h"
#include "common/base/log.h"
#include "common/crypto/crypto.h"
#include "common/wire/worker_health.h"
#include "services/identity/pool.h"

#define ARENA_MAX (1024 * 1024)

struct settings {
    const char *peer_file;
    const char *database;
    const char *seal_key_file;
    const char *endpoint;
    const char *region;
    const char *health_listen;
    const char *log_level;
    int64_t threads;
    int64_t hash_threads;
};

#define ROW(member, ...)                                                                           \
    {                                                                                              \
        .name = #member, .offset = offsetof(struct settings, member), __VA_ARGS__                  \
    }

static const struct sl_setting rows[] = {
    ROW(database, .help = "libpq connection string"),
    ROW(endpoint, .fallback = "http://127.0.0.1:7080",
        .help = "public URL of the management API, for the catalog"),
    ROW(hash_threads, .type = SL_SETTING_INT, .fallback = "2", .min = 1, .max = 4,
        .help = "threads that hash passwords"),
    ROW(health_listen, .fallback = "",
        .help = "address:port or unix:path of /healthz, /readyz and /metrics; empty: none"),
    ROW(log_level, .fallback = "info", .help = "debug, info, warning or alert"),
    ROW(peer_file, .help = "who we are on the bus; mode 0600"),
    ROW(region, .fallback = "sluice", .help = "region of the catalog"),
    ROW(seal_key_file, .help = "the deployment's sealing key, 64 hex digits"),
    ROW(threads, .type = SL_SETTING_INT, .fallback = "2", .min = 1, .max = 64,
        .help = "threads that answer commands"),
};

static const struct sl_handler handlers[] = {{"*", task_handle}};
static const char *const services[] = {"identity"};

// Runs until a signal says stop.
static int
serve(struct identity *identity, const struct sl_peer *peer, const struct settings *settings,
      struct sl_error *err)
{
    struct sl_worker_options options = {
        .peer = peer,
        .services = services,
        .service_count = SL_COUNT(services),
        .handlers = handlers,
        .handler_count = SL_COUNT(handlers),
        .threads = (size_t)settings->threads,
        .credits = (size_t)settings->threads * 4 + POOL_QUEUE_MAX,
        .thread_open = thread_open,
        .thread_close = thread_close,
        .arg = identity,
    };
    // Before the first thread: a signal must reach sl_worker_wait alone.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    identity->pool = pool_new(identity, (size_t)settings->hash_threads, err);
    if (identity->pool == NULL) {
        return -1;
    }
    struct sl_worker *worker = sl_worker_new(&options, err);
    struct sl_health *health = NULL;
    int rc =
        worker != NULL ? sl_worker_health_open(worker, settings->health_listen, &health, err) : -1;
    if (rc == 0) {
        rc = sl_worker_wait(worker);
    }
    sl_health_free(&health);
    pool_stop(identity->pool);
    sl_worker_free(&worker);
    pool_free(&identity->pool);
    return rc;
}

static int
run(const char *config, struct sl_arena *arena, struct sl_error *err)
{
    static struct identity identity;
    struct settings settings;
    struct sl_peer peer;
    enum sl_log_level level = SL_INFO;
    if (sl_config_load(rows, SL_COUNT(rows), config, arena, &settings, err) != 0 ||
        sl_peer_load(settings.peer_file, arena, &peer, err) != 0 ||
        sl_seal_key_load(settings.seal_key_file, &identity.seal_key, err) != 0) {
        return -1;
    }
    if (!sl_log_level_parse(settings.log_level, &level)) {
        return sl_fail(err, SL_E_CONFIG, "log_level");
    }
    sl_log_init(peer.name, level);
    sl_crypto_init();
    identity.database = settings.database;
    identity.endpoint = settings.endpoint;
    identity.region = settings.region;
    int rc = serve(&identity, &peer, &settings, err);
    sl_wipe(&identity.seal_key, sizeof(identity.seal_key));
    sl_wipe(peer.secret_key, sizeof(peer.secret_key));
    return rc;
}

int
main(int argc, char **argv)
{
    const char *config =
        sl_config_args(argc, argv, "accounts, users, keys, policies, tokens", rows, SL_COUNT(rows));
    sl_log_init("sluice-identity", SL_INFO);
    SL_AUTO(sl_arena) arena = sl_arena_new(ARENA_MAX);
    struct sl_error err = {.code = SL_E_INTERNAL};
    int rc = arena != NULL ? run(config, arena, &err) : -1;
    if (rc != 0) {
        sl_log_error(SL_ALERT, "identity cannot run", &err);
    }
    return rc == 0 ? 0 : 1;
}
