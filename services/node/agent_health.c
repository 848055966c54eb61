// agent_health.c - see agent_health.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/agent_health.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire/health.h"
#include "gen/metric.h"

struct agent_health {
    struct sl_health *listener; //
    pthread_mutex_t lock;       //
    struct agent_state state;   // lock; its reason is `reason`
    char reason[256];           // lock
    char said[256 + 1];         // of the listener's thread: what it answers
};

static const char *
find_reason(void *arg)
{
    struct agent_health *health = arg;
    pthread_mutex_lock(&health->lock);
    bool is_ready = health->state.revision != 0 && health->reason[0] == '\0';
    snprintf(health->said, sizeof(health->said), "%s\n",
             health->reason[0] != '\0' ? health->reason : "no image yet");
    pthread_mutex_unlock(&health->lock);
    return is_ready ? NULL : health->said;
}

static void
write_metrics(void *arg, struct sl_buf *text)
{
    struct agent_health *health = arg;
    pthread_mutex_lock(&health->lock);
    const struct agent_state state = health->state;
    bool is_well = health->reason[0] == '\0';
    pthread_mutex_unlock(&health->lock);
    const struct {
        const char *head;
        const char *name;
        uint64_t value;
    } values[] = {
        {SL_METRIC(AGENT_REVISION), state.revision},
        {SL_METRIC(AGENT_WELL), is_well},
        {SL_METRIC(AGENT_BUS_LIVE), state.buses},
        {SL_METRIC(AGENT_ACCOUNTING), state.has_accounting},
        {SL_METRIC(AGENT_MEMBERS), state.members},
        {SL_METRIC(AGENT_MEMBERS_FAULTY), state.faulty_members},
    };
    for (size_t i = 0; i < SL_COUNT(values); i++) {
        sl_buf_addf(text, "%s%s %llu\n", values[i].head, values[i].name,
                    (unsigned long long)values[i].value);
    }
}

struct agent_health *
agent_health_new(const char *listen, struct sl_error *err)
{
    struct agent_health *health = calloc(1, sizeof(*health));
    if (health == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    const struct sl_health_answers answers = {find_reason, write_metrics, health};
    pthread_mutex_init(&health->lock, NULL);
    health->listener = sl_health_new(listen, &answers, err);
    if (health->listener == NULL) {
        agent_health_free(&health);
    }
    return health;
}

void
agent_health_free(struct agent_health **health)
{
    if (health == NULL || *health == NULL) {
        return;
    }
    sl_health_free(&(*health)->listener);
    pthread_mutex_destroy(&(*health)->lock);
    free(*health);
    *health = NULL;
}

void
agent_health_note(struct agent_health *health, const struct agent_state *state)
{
    pthread_mutex_lock(&health->lock);
    health->state = *state;
    snprintf(health->reason, sizeof(health->reason), "%.255s", state->reason);
    health->state.reason = health->reason;
    pthread_mutex_unlock(&health->lock);
}
