// main.c - sluice-node: settings, who we are, the agent, and its end.
//
// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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

int
main(int argc, char **argv)
{
    const char *file = sl_config_args(argc, argv, "sluice-node: the agent beside one nginx",
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
    if (run(&settings, arena, &err) != 0) {
        sl_log_error(SL_ALERT, "cannot start", &err);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
