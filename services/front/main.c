// main.c - sluice-front, as a table of contents.
//
// Settings, then the parts in the order in which they need each other, then waiting for a signal,
// then the same parts backwards.
//
// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/config.h"
#include "common/base/log.h"
#include "services/front/health.h"
#include "services/front/http.h"

#define SETTINGS_MAX  (64 * 1024)                       // memory of settings, bytes
#define DRAIN_MS      (SL_DEADLINE_MS + SL_WAIT_MAX_MS) // requests in flight may take so long
#define DRAIN_POLL_NS 20000000L
#define READY_POLL_MS 10
#define READY_WAIT_MS 5000  // the longest that a starting front waits for bus and entries
#define GRACE_MAX_MS  60000 // the highest drain_ms
#define CREDITS       4096  // commands out at once

struct settings {
    const char *name;
    const char *listen;
    const char *health_listen;
    const char *peer_file;
    const char *tls_certificate;
    const char *tls_key;
    bool plain;
    bool forwarded_for;
    int64_t drain_ms;
    int64_t threads;
    const char *log_level;
};

static const struct sl_setting rows[] = {
    {.name = "drain_ms",
     .type = SL_SETTING_INT,
     .offset = offsetof(struct settings, drain_ms),
     .fallback = "2000",
     .min = 0,
     .max = GRACE_MAX_MS,
     .help = "how long it still accepts after SIGTERM, so that balancers see /readyz turn 503"},
    {.name = "forwarded_for",
     .type = SL_SETTING_BOOL,
     .offset = offsetof(struct settings, forwarded_for),
     .fallback = "false",
     .help = "a balancer is in front: the last of X-Forwarded-For is the client's address"},
    {.name = "health_listen",
     .type = SL_SETTING_TEXT,
     .offset = offsetof(struct settings, health_listen),
     .fallback = "127.0.0.1:7090",
     .help = "address:port of /healthz, /readyz and /metrics"},
    {.name = "listen",
     .type = SL_SETTING_TEXT,
     .offset = offsetof(struct settings, listen),
     .fallback = "0.0.0.0:7443",
     .help = "address:port of the management API"},
    {.name = "log_level",
     .type = SL_SETTING_TEXT,
     .offset = offsetof(struct settings, log_level),
     .fallback = "info",
     .help = "debug, info, warning or alert"},
    {.name = "name",
     .type = SL_SETTING_TEXT,
     .offset = offsetof(struct settings, name),
     .fallback = "front",
     .help = "this process in log lines"},
    {.name = "peer_file",
     .type = SL_SETTING_TEXT,
     .offset = offsetof(struct settings, peer_file),
     .help = "who this process is on the bus (common/wire/peer.h)"},
    {.name = "plain",
     .type = SL_SETTING_BOOL,
     .offset = offsetof(struct settings, plain),
     .fallback = "false",
     .help = "plain HTTP instead of TLS; on loopback only"},
    {.name = "threads",
     .type = SL_SETTING_INT,
     .offset = offsetof(struct settings, threads),
     .fallback = "0",
     .min = 0,
     .max = FRONT_THREADS_MAX,
     .help = "HTTP threads; 0: as many as cores"},
    {.name = "tls_certificate",
     .type = SL_SETTING_TEXT,
     .offset = offsetof(struct settings, tls_certificate),
     .fallback = "",
     .help = "PEM file, chain included"},
    {.name = "tls_key",
     .type = SL_SETTING_TEXT,
     .offset = offsetof(struct settings, tls_key),
     .fallback = "",
     .help = "PEM file"},
};

static void
block_signals(sigset_t *ret_set)
{
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGTERM);
    sigaddset(ret_set, SIGINT);
    pthread_sigmask(SIG_BLOCK, ret_set, NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
}

// A connection is a descriptor: as many as the system lets this process have.
static void
raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static unsigned
count_threads(int64_t wanted)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t threads = wanted > 0 ? wanted : (int64_t)(cores > 0 ? cores : 1);
    return (unsigned)(threads < FRONT_THREADS_MAX ? threads : FRONT_THREADS_MAX);
}

// Waits until nothing is in flight, at most DRAIN_MS.
static void
wait_idle(const struct front *front)
{
    const struct timespec pause = {.tv_nsec = DRAIN_POLL_NS};
    int64_t until_ms = sl_mono_ms() + DRAIN_MS;
    while (atomic_load(&front->in_flight) > 0 && sl_mono_ms() < until_ms) {
        nanosleep(&pause, NULL);
    }
}

// Waits for a signal, at most `wait_ms`; whether one came.
static bool
wait_signal(const sigset_t *signals, int64_t wait_ms)
{
    const struct timespec wait = {.tv_sec = wait_ms / 1000,
                                  .tv_nsec = (long)(wait_ms % 1000) * 1000000L};
    return sigtimedwait(signals, NULL, &wait) > 0;
}

// A balancer that has not noticed a quick restart sends requests as soon as the listener is there:
// it opens when they can be served, or so late that a lone front has to say why they cannot.
// Whether a signal ended the wait.
static bool
wait_ready(struct front *front, const sigset_t *signals)
{
    int64_t until_ms = sl_mono_ms() + READY_WAIT_MS;
    while (health_reason(front) != NULL && sl_mono_ms() < until_ms) {
        if (wait_signal(signals, READY_POLL_MS)) {
            return true;
        }
    }
    return false;
}

static void
drain(struct front *front, struct http *http, int64_t grace_ms, const sigset_t *signals)
{
    sl_log(SL_INFO, "draining", SL_LOG_INT("in_flight", atomic_load(&front->in_flight)));
    atomic_store(&front->draining, true);
    // A second signal ends the grace.
    (void)wait_signal(signals, grace_ms);
    http_quiesce(http);
    wait_idle(front);
}

static int
open_buses(struct front *front, const struct sl_peer *peer, struct sl_error *err)
{
    struct sl_bus_client_options options = {.peer = peer, .credits = CREDITS};
    for (size_t i = 0; i < front->bus_count; i++) {
        front->buses[i] = sl_bus_client_new(&options, err);
        if (front->buses[i] == NULL) {
            return -1;
        }
        options.beside = front->buses[0];
    }
    return 0;
}

// The parts that a front needs before it listens.
static int
open_parts(struct front *front, const struct sl_peer *peer, struct sl_error *err)
{
    front->magic = FRONT_MAGIC;
    return (front->metrics = metrics_new(err)) != NULL &&
                   (front->validator = validate_new(err)) != NULL &&
                   open_buses(front, peer, err) == 0 && (front->auth = auth_new(peer, err)) != NULL
               ? 0
               : -1;
}

// Suspended requests are answered as the bus client goes; only then may HTTP stop.
static void
close_parts(struct front *front, struct http **http, struct sl_health **health)
{
    sl_health_free(health);
    if (front->auth != NULL) {
        auth_close(front->auth);
    }
    for (size_t i = front->bus_count; i > 0; i--) {
        sl_bus_client_free(&front->buses[i - 1]);
    }
    http_free(http);
    if (front->auth != NULL) {
        auth_free(&front->auth);
    }
    validate_free(&front->validator);
    metrics_free(&front->metrics);
}

// Listens from when it is ready until a signal comes.
static int
serve(struct front *front, const struct settings *settings, const sigset_t *signals,
      struct http **ret_http, struct sl_error *err)
{
    const struct http_options options = {
        .listen = settings->listen,
        .tls_certificate = settings->tls_certificate,
        .tls_key = settings->tls_key,
        .plain = settings->plain,
    };
    int signal_number = 0;
    if (wait_ready(front, signals)) {
        return 0;
    }
    *ret_http = http_new(front, &options, err);
    if (*ret_http == NULL) {
        return -1;
    }
    sl_log(SL_INFO, "serving", SL_LOG_STR("listen", settings->listen));
    sigwait(signals, &signal_number);
    drain(front, *ret_http, settings->drain_ms, signals);
    return 0;
}

static int
run(const struct settings *settings, struct sl_arena *arena, struct sl_error *err)
{
    sigset_t signals;
    struct sl_peer peer = {.bus_count = 0};
    struct front front = {.bus_count = count_threads(settings->threads),
                          .forwarded_for = settings->forwarded_for};
    struct http *http = NULL;
    struct sl_health *health = NULL;
    raise_file_limit();
    block_signals(&signals);
    if (sl_peer_load(settings->peer_file, arena, &peer, err) != 0) {
        return -1;
    }
    int result = open_parts(&front, &peer, err);
    if (result == 0) {
        health = health_new(&front, settings->health_listen, err);
        result = health != NULL ? serve(&front, settings, &signals, &http, err) : -1;
    }
    close_parts(&front, &http, &health);
    return result;
}

int
main(int argc, char **argv)
{
    struct settings settings;
    struct sl_error err = {.code = SL_E_OK};
    enum sl_log_level level = SL_INFO;
    SL_AUTO(sl_arena) arena = sl_arena_new(SETTINGS_MAX);
    const char *path =
        sl_config_args(argc, argv, "the management API's HTTP front", rows, SL_COUNT(rows));
    sl_log_init("front", SL_INFO);
    if (arena == NULL || sl_config_load(rows, SL_COUNT(rows), path, arena, &settings, &err) != 0) {
        sl_log_error(SL_ALERT, "cannot start", &err);
        return EXIT_FAILURE;
    }
    if (!sl_log_level_parse(settings.log_level, &level)) {
        (void)sl_fail(&err, SL_E_CONFIG, "log_level");
        sl_log_error(SL_ALERT, "cannot start", &err);
        return EXIT_FAILURE;
    }
    sl_log_init(settings.name, level);
    if (run(&settings, arena, &err) != 0) {
        sl_log_error(SL_ALERT, "cannot start", &err);
        return EXIT_FAILURE;
    }
    sl_log(SL_INFO, "stopped");
    return EXIT_SUCCESS;
}
