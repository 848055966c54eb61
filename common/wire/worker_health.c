// worker_health.c - a worker's figures, read under its lock.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/worker_health.h"

#include "common/wire/worker_state.h"
#include "gen/metric.h"

// What a look at a worker finds.
struct view {
    struct worker_tally tally;
    size_t load;
    size_t threads_open;
    size_t buses_live;
    bool is_ending;
};

static struct view
look(struct sl_worker *worker)
{
    struct view view;
    pthread_mutex_lock(&worker->lock);
    view.tally = worker->tally;
    view.load = worker->load;
    view.threads_open = worker->threads_open;
    view.buses_live = worker->buses_live;
    view.is_ending = worker->is_draining || worker->is_stopping;
    pthread_mutex_unlock(&worker->lock);
    return view;
}

static const char *
reason(void *arg)
{
    struct view view = look(arg);
    if (view.is_ending) {
        return "draining\n";
    }
    if (view.buses_live == 0) {
        return "no bus answers\n";
    }
    return view.threads_open > 0 ? NULL : "no handler thread can work\n";
}

static void
add_value(struct sl_buf *text, const char *head, const char *name, size_t value)
{
    sl_buf_addf(text, "%s%s %zu\n", head, name, value);
}

static void
write_metrics(void *arg, struct sl_buf *text)
{
    static const char *const outcomes[WORKER_OUTCOMES] = {"done", "refused", "failed"};
    struct view view = look(arg);
    unsigned long long total = 0;
    sl_buf_adds(text, SL_METRIC_WORKER_COMMANDS_TOTAL_HEAD);
    for (size_t i = 0; i < WORKER_OUTCOMES; i++) {
        sl_buf_addf(text, SL_METRIC_WORKER_COMMANDS_TOTAL "{outcome=\"%s\"} %llu\n", outcomes[i],
                    (unsigned long long)view.tally.by_outcome[i]);
        total += view.tally.by_outcome[i];
    }
    sl_buf_addf(text, "%s%s_sum %llu.%06llu\n" SL_METRIC_WORKER_COMMAND_SECONDS "_count %llu\n",
                SL_METRIC(WORKER_COMMAND_SECONDS),
                (unsigned long long)(view.tally.time_us / 1000000),
                (unsigned long long)(view.tally.time_us % 1000000), total);
    add_value(text, SL_METRIC(WORKER_IN_FLIGHT), view.load);
    add_value(text, SL_METRIC(WORKER_THREADS_READY), view.threads_open);
    add_value(text, SL_METRIC(WORKER_BUS_LIVE), view.buses_live);
}

int
sl_worker_health_open(struct sl_worker *worker, const char *listen, struct sl_health **ret_health,
                      struct sl_error *err)
{
    const struct sl_health_answers answers = {reason, write_metrics, worker};
    *ret_health = listen[0] != '\0' ? sl_health_new(listen, &answers, err) : NULL;
    return *ret_health != NULL || listen[0] == '\0' ? 0 : -1;
}
