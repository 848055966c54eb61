// main.c - sluice-bus: carries commands to workers and events to followers.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/config.h"
#include "common/base/log.h"
#include "common/wire/health.h"
#include "gen/metric.h"
#include "services/bus/broker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct settings {
    const char *peer_file;
    const char *allow_dir;
    const char *bind_commands;
    const char *bind_workers;
    const char *bind_events;
    const char *health_listen;
    const char *log_level;
};

#define ROW(member, ...)                                                                           \
    {                                                                                              \
        .name = #member, .offset = offsetof(struct settings, member), __VA_ARGS__                  \
    }

static const struct sl_setting rows[] = {
    ROW(allow_dir, .help = "directory of <name>.peer files: who may connect, and as what"),
    ROW(bind_commands, .fallback = "",
        .help = "where clients connect, if not as peer_file says; several by blanks"),
    ROW(bind_events, .fallback = "", .help = "the same for followers"),
    ROW(bind_workers, .fallback = "", .help = "the same for workers"),
    ROW(health_listen, .fallback = "",
        .help = "address:port or unix:path of /healthz, /readyz and /metrics; empty: none"),
    ROW(log_level, .fallback = "info", .help = "debug, info, warning or alert"),
    ROW(peer_file, .help = "name, key pair and addresses of this bus; mode 0600"),
};

// The entry of the peer file that is this bus, with the addresses that the settings replace.
static int
find_binds(const struct settings *settings, const struct sl_peer *self,
           struct sl_bus_address *ret_binds, struct sl_error *err)
{
    for (size_t i = 0; i < self->bus_count; i++) {
        if (strcmp(self->buses[i].public_key, self->public_key) == 0) {
            *ret_binds = self->buses[i];
            if (settings->bind_commands[0] != '\0') {
                ret_binds->commands = settings->bind_commands;
            }
            if (settings->bind_workers[0] != '\0') {
                ret_binds->workers = settings->bind_workers;
            }
            if (settings->bind_events[0] != '\0') {
                ret_binds->events = settings->bind_events;
            }
            return 0;
        }
    }
    return sl_fail(err, SL_E_CONFIG, "peer_file: no bus in it has the peer's own key");
}

// A descriptor that becomes readable on SIGTERM or SIGINT.
static int
open_stop_fd(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_CLOEXEC);
}

// A bus that runs is ready: whether workers are there is theirs to say.
static const char *
find_reason(void *arg)
{
    (void)arg;
    return NULL;
}

static void
write_metrics(void *arg, struct sl_buf *text)
{
    const struct broker_figures figures = broker_figures(arg);
    const struct {
        const char *head;
        const char *name;
        uint64_t value;
    } values[] = {
        {SL_METRIC(BUS_COMMANDS_PASSED_TOTAL), figures.passed},
        {SL_METRIC(BUS_COMMANDS_REFUSED_TOTAL), figures.refused},
        {SL_METRIC(BUS_EVENTS_TOTAL), figures.published},
        {SL_METRIC(BUS_IN_FLIGHT), figures.in_flight},
        {SL_METRIC(BUS_WORKERS), figures.workers},
        {SL_METRIC(BUS_PEERS), figures.peers},
    };
    for (size_t i = 0; i < SL_COUNT(values); i++) {
        sl_buf_addf(text, "%s%s %llu\n", values[i].head, values[i].name,
                    (unsigned long long)values[i].value);
    }
}

static int
serve(struct broker *broker, const char *listen, int stop_fd, struct sl_error *err)
{
    const struct sl_health_answers answers = {find_reason, write_metrics, broker};
    SL_AUTO(sl_health) health = NULL;
    if (listen[0] != '\0') {
        health = sl_health_new(listen, &answers, err);
        if (health == NULL) {
            return -1;
        }
    }
    broker_run(broker, stop_fd);
    return 0;
}

static int
run(const char *config, struct sl_arena *arena, struct sl_error *err)
{
    struct settings settings;
    struct sl_peer self;
    struct sl_bus_address binds;
    enum sl_log_level level = SL_INFO;
    if (sl_config_load(rows, SL_COUNT(rows), config, arena, &settings, err) != 0 ||
        sl_peer_load(settings.peer_file, arena, &self, err) != 0 ||
        find_binds(&settings, &self, &binds, err) != 0) {
        return -1;
    }
    if (!sl_log_level_parse(settings.log_level, &level)) {
        return sl_fail(err, SL_E_CONFIG, "log_level");
    }
    sl_log_init(self.name, level);
    int stop_fd = open_stop_fd();
    struct broker_options options = {&self, &binds, settings.allow_dir};
    struct broker *broker = broker_new(&options, err);
    if (broker == NULL) {
        return -1;
    }
    sl_log(SL_INFO, "bus is up", SL_LOG_STR("commands", binds.commands));
    int rc = serve(broker, settings.health_listen, stop_fd, err);
    sl_log(SL_INFO, "bus stops");
    broker_free(&broker);
    close(stop_fd);
    return rc;
}

int
main(int argc, char **argv)
{
    const char *config =
        sl_config_args(argc, argv, "the bus: carries commands and events", rows, SL_COUNT(rows));
    sl_log_init("sluice-bus", SL_INFO);
    struct sl_arena *arena = sl_arena_new(1 << 20);
    struct sl_error err = {.code = SL_E_INTERNAL};
    int rc = arena != NULL ? run(config, arena, &err) : -1;
    if (rc != 0) {
        sl_log_error(SL_ALERT, "bus cannot start", &err);
    }
    sl_arena_free(&arena);
    return rc == 0 ? 0 : 1;
}
