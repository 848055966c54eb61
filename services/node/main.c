// main.c - sluice-node: settings, who we are, the agent, and its end; or the export of its store.
//
// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/crypto/crypto.h"
#include "services/node/agent.h"

#define ARENA_MAX (1024 * 1024)

// Blocks the signals that ask us to stop and turns them into a descriptor; -1 when it cannot.
static int
stop_descriptor(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    return sigprocmask(SIG_BLOCK, &set, NULL) != 0 ? -1 : signalfd(-1, &set, SFD_CLOEXEC);
}

static int
run(const struct settings *settings, struct sl_arena *arena, struct sl_error *err)
{
    struct sl_peer peer;
    int stop_fd = stop_descriptor();
    if (stop_fd < 0) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    int status = sl_peer_load(settings->peer_file, arena, &peer, err);
    SL_AUTO(agent) agent = status == 0 ? agent_new(settings, &peer, err) : NULL;
    if (agent != NULL) {
        sl_log(SL_INFO, "started", SL_LOG_STR("node", settings->node_id),
               SL_LOG_STR("gateway", settings->gateway_id));
        agent_run(agent, stop_fd);
        sl_log(SL_INFO, "stopping");
    }
    status = agent == NULL ? -1 : 0;
    close(stop_fd);
    return status;
}

// Takes `--export FILE` out of the arguments; NULL: it is not there.
static const char *
take_export(int *argc, char **argv)
{
    const char *file = NULL;
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--export") == 0 && i + 1 < *argc) {
            file = argv[++i];
        } else {
            argv[kept++] = argv[i];
        }
    }
    *argc = kept;
    return file;
}

int
main(int argc, char **argv)
{
    const char *export = take_export(&argc, argv);
    const char *file = sl_config_args(argc, argv,
                                      "sluice-node: the agent beside one nginx. With --export FILE "
                                      "it writes what it holds to a\nfile that other nodes of the "
                                      "gateway can begin with (seed_file), and ends",
                                      settings_rows, settings_count);
    struct sl_error err;
    struct settings settings;
    enum sl_log_level level = SL_INFO;
    SL_AUTO(sl_arena) arena = sl_arena_new(ARENA_MAX);
    sl_log_init("node", level);
    if (arena == NULL ||
        sl_config_load(settings_rows, settings_count, file, arena, &settings, &err) != 0) {
        sl_log_error(SL_ALERT, "cannot start", &err);
        return EXIT_FAILURE;
    }
    if (!sl_log_level_parse(settings.log_level, &level)) {
        sl_fail(&err, SL_E_CONFIG, "log_level");
        sl_log_error(SL_ALERT, "cannot start", &err);
        return EXIT_FAILURE;
    }
    sl_log_init(settings.node_id, level);
    sl_crypto_init();
    int rc =
        export != NULL ? agent_export(&settings, export, arena, &err) : run(&settings, arena, &err);
    if (rc != 0) {
        sl_log_error(SL_ALERT, "cannot start", &err);
    }
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
