// agent.c - the agent and its loop.
//
// One thread: the bus client's callbacks, c-ares and the limits' timers all run in agent_run().
// What may be slow has threads of its own: the disk (durable.c) and debugging calls.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/agent.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "services/node/agent_health.h"
#include "services/node/apply.h"
#include "services/node/certificate.h"
#include "services/node/checker.h"
#include "services/node/debug.h"
#include "services/node/limits.h"
#include "services/node/nginx_conf.h"
#include "services/node/nginx_signal.h"
#include "services/node/nginx_upgrade.h"
#include "services/node/report.h"
#include "services/node/rotate.h"
#include "services/node/seed.h"
#include "services/node/share.h"

#define AGENT_MAGIC 0x534c4147U
#define TICK_MS     LIMITS_TICK_MS
#define RESOLVE_MS  100 // between looks at names and members that are due
#define BUS_CREDITS 256

struct agent {
    SL_MAGIC;
    const struct settings *settings;
    struct keys keys;
    struct durable *durable;          //
    struct sl_image_builder *builder; //
    struct resolve *resolve;          //
    struct checker *checker;          // of channels' members
    struct apply *apply;              //
    struct sl_bus_client *client;     //
    struct sl_follow *follow;         //
    struct limits *limits;            //
    struct report *report;            //
    struct debug *debug;              //
    struct rotate *rotate;            // of nginx's access logs
    struct nginx_upgrade *upgrade;    // of its module
    struct share *share;              // NULL: nothing is given to peers
    struct seed *seed;                // the first image without the bus
    struct agent_health *health;      // NULL: nobody asks
    bool was_discarded;               // what the store held is gone
    bool members_changed;             // an image went live: its nodes may be others
    uint64_t membership;              // that limits know
    size_t node_count;                //
    int64_t resolve_at_ms;            // next look at names and members
};

// -- nginx

// Writes nginx.conf and the certificate; nginx reads them again only when the file changed.
static int
prepare_nginx(struct agent *agent, struct sl_error *err)
{
    const struct settings *settings = agent->settings;
    char pid_file[PATH_MAX];
    bool changed = false;
    if (certificate_ensure(settings->state_dir, settings->node_id, err) != 0 ||
        nginx_conf_write(settings, &changed, err) != 0) {
        return -1;
    }
    agent->rotate = rotate_new(settings, err);
    if (agent->rotate == NULL) {
        return -1;
    }
    agent->upgrade = nginx_upgrade_new(settings, err);
    if (agent->upgrade == NULL) {
        return -1;
    }
    if (nginx_upgrade_begin(agent->upgrade)) {
        return 0; // the new one reads the new configuration
    }
    snprintf(pid_file, sizeof(pid_file), "%s/nginx.pid", settings->state_dir);
    if (changed && nginx_signal_send(pid_file, settings->nginx_binary, SIGHUP)) {
        sl_log(SL_INFO, "nginx reads its new configuration");
    }
    return 0;
}

// -- parts

static int
make_state_dir(const char *path, struct sl_error *err)
{
    if (mkdir(path, 0750) == 0 || errno == EEXIST) {
        return 0;
    }
    sl_fail(err, SL_E_CONFIG, "state_dir");
    return sl_error_detail(err, "%s: %s", path, strerror(errno));
}

// A store that cannot be opened keeps the node from nothing but a start without the bus.
static int
open_store(struct agent *agent, struct sl_error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/store", agent->settings->state_dir);
    if (make_state_dir(agent->settings->state_dir, err) != 0) {
        return -1;
    }
    agent->durable = durable_new(path, &agent->keys, &agent->was_discarded);
    if (agent->durable == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    struct sl_store *store = durable_store(agent->durable);
    struct sl_error broken;
    if (store != NULL && keys_load(&agent->keys, store, &broken) != 0) {
        sl_log_error(SL_WARNING, "content keys cannot be read", &broken);
    }
    return 0;
}

static void
on_live(void *arg)
{
    struct agent *agent = SL_CAST(agent, AGENT_MAGIC, arg);
    agent->members_changed = true;
    if (agent->report != NULL) {
        report_soon(agent->report);
    }
}

// Everything up to the image: what a node needs to serve with all else dead.
static int
make_image(struct agent *agent, struct sl_revision *ret_revision, struct sl_error *err)
{
    agent->builder = sl_image_builder_new(agent->settings->shm_name, err);
    if (agent->builder == NULL) {
        return -1;
    }
    if (open_store(agent, err) != 0) {
        return -1;
    }
    agent->resolve = resolve_new(agent->builder, err);
    if (agent->resolve == NULL) {
        return -1;
    }
    agent->checker = checker_new(agent->builder, err);
    if (agent->checker == NULL) {
        return -1;
    }
    struct apply_options options = {.gateway_id = agent->settings->gateway_id,
                                    .builder = agent->builder,
                                    .keys = &agent->keys,
                                    .durable = agent->durable,
                                    .resolve = agent->resolve,
                                    .checker = agent->checker,
                                    .on_live = on_live,
                                    .arg = agent};
    agent->apply = apply_new(&options, err);
    if (agent->apply == NULL) {
        return -1;
    }
    int64_t started_ms = sl_mono_ms();
    struct sl_error broken;
    *ret_revision = (struct sl_revision){.epoch = ""};
    struct sl_store *store = durable_store(agent->durable);
    if (store != NULL && apply_store(agent->apply, store, ret_revision, &broken) != 0) {
        // The bus has it all; until then the image that is there goes on.
        sl_log_error(SL_WARNING, "the store cannot be used", &broken);
        *ret_revision = (struct sl_revision){.epoch = ""};
    }
    sl_log(SL_INFO, "image from the store", SL_LOG_STR("epoch", ret_revision->epoch),
           SL_LOG_INT("revision", ret_revision->number),
           SL_LOG_INT("ms", sl_mono_ms() - started_ms));
    return 0;
}

// Why a node without a revision has none. What an earlier agent made goes on being served.
static const char *
first_reason(const struct agent *agent)
{
    if (seed_reason(agent->seed)[0] != '\0') {
        return seed_reason(agent->seed);
    }
    return agent->was_discarded ? "durable store: it was damaged; the image of before is served"
                                : "";
}

static void
tell_facts(void *arg, struct report_facts *ret_facts)
{
    const struct agent *agent = SL_CAST(agent, AGENT_MAGIC, arg);
    ret_facts->revision = apply_revision(agent->apply);
    ret_facts->offset_ms = limits_clock_offset_ms(agent->limits);
    ret_facts->is_deaf = sl_follow_is_deaf(agent->follow);
    const char *const reasons[] = {
        apply_reason(agent->apply),
        durable_reason(agent->durable),
        ret_facts->revision.epoch[0] != '\0' ? "" : first_reason(agent),
        nginx_upgrade_reason(agent->upgrade),
    };
    ret_facts->reason = "";
    for (size_t i = 0; i < SL_COUNT(reasons) && ret_facts->reason[0] == '\0'; i++) {
        ret_facts->reason = reasons[i];
    }
}

static void
hear_calls(void *arg, const json_t *list)
{
    const struct agent *agent = SL_CAST(agent, AGENT_MAGIC, arg);
    debug_begin(agent->debug, list);
}

static void
hear_head(void *arg, const struct sl_revision *head)
{
    const struct agent *agent = SL_CAST(agent, AGENT_MAGIC, arg);
    sl_follow_heard(agent->follow, head);
}

static int
join_bus(struct agent *agent, const struct sl_peer *peer, const struct sl_revision *have,
         struct sl_error *err)
{
    struct sl_bus_client_options options = {
        .peer = peer, .credits = BUS_CREDITS, .own_dispatch = true};
    agent->client = sl_bus_client_new(&options, err);
    if (agent->client == NULL) {
        return -1;
    }
    struct limits_options limits = {.client = agent->client,
                                    .shm_name = agent->settings->shm_name,
                                    .keys = (size_t)agent->settings->limit_keys,
                                    .node_id = agent->settings->node_id,
                                    .state_dir = agent->settings->state_dir};
    agent->limits = limits_new(&limits, err);
    if (agent->limits == NULL) {
        return -1;
    }
    agent->report = report_new(agent->client, agent->settings, tell_facts, hear_head, agent);
    struct sl_follow_hooks hooks = apply_hooks(agent->apply);
    agent->follow = sl_follow_new(agent->client, agent->settings->gateway_id, have, &hooks, err);
    if (agent->follow == NULL) {
        return -1;
    }
    agent->debug = debug_new(agent->client, agent->settings);
    if (agent->report == NULL || agent->debug == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    report_debugs(agent->report, hear_calls);
    return 0;
}

// What goes between nodes when the control plane is gone.
static int
join_peers(struct agent *agent, const struct sl_peer *peer, struct sl_error *err)
{
    struct share_options share = {.settings = agent->settings,
                                  .peer = peer,
                                  .durable = agent->durable,
                                  .keys = &agent->keys,
                                  .builder = agent->builder};
    if (agent->settings->peer_listen[0] != '\0') {
        agent->share = share_new(&share, err);
        if (agent->share == NULL) {
            return -1;
        }
    }
    struct seed_options seed = {.settings = agent->settings,
                                .peer = peer,
                                .keys = &agent->keys,
                                .apply = agent->apply,
                                .follow = agent->follow};
    agent->seed = seed_new(&seed, err);
    return agent->seed == NULL ? -1 : 0;
}

static int
open_health(struct agent *agent, struct sl_error *err)
{
    const char *listen = agent->settings->agent_health_listen;
    if (listen[0] == '\0') {
        return 0;
    }
    agent->health = agent_health_new(listen, err);
    return agent->health == NULL ? -1 : 0;
}

static void
note_health(struct agent *agent)
{
    struct report_facts facts;
    if (agent->health != NULL) {
        size_t members;
        size_t faulty;
        checker_count(agent->checker, &members, &faulty);
        tell_facts(agent, &facts);
        agent_health_note(agent->health,
                          &(struct agent_state){.revision = facts.revision.number,
                                                .reason = facts.reason,
                                                .buses = sl_bus_client_live(agent->client),
                                                .members = members,
                                                .faulty_members = faulty,
                                                .has_accounting = limits_is_up(agent->limits)});
    }
}

struct agent *
agent_new(const struct settings *settings, const struct sl_peer *peer, struct sl_error *err)
{
    SL_AUTO(agent) agent = calloc(1, sizeof(*agent));
    if (agent == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    agent->magic = AGENT_MAGIC;
    agent->settings = settings;
    struct sl_revision have;
    if (keys_init(&agent->keys, peer->secret_key, err) != 0 || make_image(agent, &have, err) != 0 ||
        prepare_nginx(agent, err) != 0 || join_bus(agent, peer, &have, err) != 0 ||
        join_peers(agent, peer, err) != 0 || open_health(agent, err) != 0) {
        return NULL;
    }
    return SL_TAKE(agent);
}

void
agent_free(struct agent **agent)
{
    if (agent == NULL || *agent == NULL) {
        return;
    }
    struct agent *gone = *agent;
    *agent = NULL;
    agent_health_free(&gone->health);
    seed_free(&gone->seed);
    share_free(&gone->share);
    sl_follow_free(&gone->follow);
    rotate_free(&gone->rotate);
    report_free(&gone->report);
    debug_free(&gone->debug);
    limits_free(&gone->limits);
    sl_bus_client_free(&gone->client);
    if (gone->durable != NULL) {
        durable_finish(gone->durable);
    }
    apply_free(&gone->apply);
    checker_free(&gone->checker);
    resolve_free(&gone->resolve);
    durable_free(&gone->durable);
    sl_image_builder_free(&gone->builder);
    nginx_upgrade_free(&gone->upgrade);
    keys_clear(&gone->keys);
    free(gone);
}

// -- the loop

// Tells the limits who shares them, when the image that went live says so in another way.
static void
tell_members(struct agent *agent)
{
    const struct sl_gateway *gateway = sl_image_builder_gateway(agent->builder);
    agent->members_changed = false;
    if (gateway != NULL &&
        (gateway->membership != agent->membership || gateway->node_count != agent->node_count)) {
        agent->membership = gateway->membership;
        agent->node_count = gateway->node_count;
        limits_members(agent->limits, gateway);
    }
}

static void
run_timers(struct agent *agent)
{
    int64_t now_ms = sl_mono_ms();
    sl_follow_tick(agent->follow);
    limits_tick(agent->limits);
    if (now_ms >= agent->resolve_at_ms) {
        agent->resolve_at_ms = now_ms + RESOLVE_MS;
        resolve_tick(agent->resolve);
        checker_tick(agent->checker, now_ms);
    }
    apply_resolved(agent->apply);
    seed_run(agent->seed);
    nginx_upgrade_tick(agent->upgrade, now_ms);
    if (agent->share != NULL) {
        share_run(agent->share);
    }
    if (agent->members_changed) {
        tell_members(agent);
    }
    report_tick(agent->report);
    debug_tick(agent->debug);
    rotate_tick(agent->rotate, now_ms);
    note_health(agent);
    durable_flush(agent->durable);
}

// While nginx runs, its workers spend what the node holds until an agent comes back.
static void
leave(struct agent *agent)
{
    char pid_file[PATH_MAX];
    snprintf(pid_file, sizeof(pid_file), "%s/nginx.pid", agent->settings->state_dir);
    if (nginx_signal_find(pid_file, agent->settings->nginx_binary) == 0) {
        limits_leave(agent->limits);
    }
}

void
agent_run(struct agent *agent, int stop_fd)
{
    enum {
        STOP,
        BUS,
        LIMITS,
        PEERS,
        MEMBERS,
        NAMES
    };
    for (;;) {
        struct pollfd polls[NAMES + RESOLVE_POLLS] = {
            [STOP] = {.fd = stop_fd, .events = POLLIN},
            [BUS] = {.fd = sl_bus_client_fd(agent->client), .events = POLLIN},
            [LIMITS] = {.fd = limits_fd(agent->limits), .events = POLLIN},
            [MEMBERS] = {.fd = checker_fd(agent->checker), .events = POLLIN},
            [PEERS] = {.fd = agent->share != NULL ? share_fd(agent->share) : -1, .events = POLLIN},
        };
        size_t names = resolve_polls(agent->resolve, polls + NAMES);
        if (poll(polls, NAMES + names, TICK_MS) < 0 && errno != EINTR) {
            sl_log(SL_ALERT, "poll failed", SL_LOG_STR("reason", strerror(errno)));
            return;
        }
        if (polls[STOP].revents != 0) {
            leave(agent);
            return;
        }
        if (polls[LIMITS].revents != 0) {
            limits_wake(agent->limits);
        }
        if (polls[BUS].revents != 0) {
            sl_bus_client_dispatch(agent->client);
        }
        resolve_run(agent->resolve, polls + NAMES, names);
        if (polls[MEMBERS].revents != 0) {
            checker_run(agent->checker, sl_mono_ms());
        }
        run_timers(agent);
    }
}
