// ngx_http_sluice_limit.c - throttling: which limits hold for a request, and whether it may pass.
//
// Takes a unit of every limit that applies, or of none. A request that lacks a unit which may still
// come is suspended for at most WAIT_MS: a timer of the worker looks every millisecond at the
// counters of those that wait, which costs nothing while nobody does, and resumes them when there
// is something to take. What applies is read from the image at every attempt; nothing of the image
// is held in between.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#include "common/runtime/counter.h"

#define WAIT_MS    20   // the longest that a request waits for a unit
#define LOOK_MS    1    // between looks at the counters of those that wait
#define LIMITS_MAX 7    // quota, domain, default, api, user, app, ip
#define REOPEN_MS  1000 // between attempts to open counters that could not be opened
#define DAY_S      86400
#define TEXT_SIZE  24 // of a number

// One limit of a request.
struct limit {
    const char *policy;        // what the refusal calls it; NULL: the app's quota
    const char *header;        // X-Apig-RateLimit-…; NULL: none
    uint32_t interval;         // as declared
    struct sl_str unit;        // as declared; in the image or static
    struct sl_counter_key key; //
};

struct limits {
    size_t count;
    struct limit limit[LIMITS_MAX];
    struct sl_counter_take take[LIMITS_MAX];
};

// A request that waits, or has waited; lives in its pool, as ctx->limit.
struct waiting {
    ngx_queue_t link;             // in worker.waiting while is_queued
    ngx_http_request_t *request;  //
    ngx_msec_t until;             // when it is refused
    struct sl_counter_take lacks; // what it waits for; its key is not used
    bool is_queued;
    bool asks_first; // it waits to be told of its app's first call
};

// This worker's.
static struct {
    struct sl_counters *counters; // NULL: switched off, or cannot be opened
    const ngx_str_t *name;        // NULL: switched off
    size_t keys;                  // room for so many counters
    ngx_msec_t tried_at;          // last attempt to open
    ngx_queue_t waiting;          // requests that wait
    ngx_event_t timer;            // runs while there are any
} worker;

// -- which limits apply

static struct limit *
add(struct limits *limits, const char *policy, int64_t units, uint32_t window_s)
{
    struct limit *limit = &limits->limit[limits->count];
    struct sl_counter_take *take = &limits->take[limits->count];

    limits->count++;
    ngx_memzero(take, sizeof(*take));
    take->key = &limit->key;
    take->limit = units < SL_COUNTER_UNITS_MAX ? units : SL_COUNTER_UNITS_MAX;
    take->window_s = window_s;
    limit->policy = policy;
    limit->header = policy;
    limit->interval = 1;
    return limit;
}

// Sets what the policy's limits have in common.
static void
of_policy(struct limits *limits, struct limit *limit, const struct sl_img_throttle *throttle,
          const ngx_http_sluice_ctx_t *ctx, enum sl_counter_dimension dimension,
          const struct sl_str *subject)
{
    const char *publish_id = throttle->shared ? NULL : ctx->publish_id;

    limit->interval = throttle->interval;
    limit->unit = sl_img_text(&throttle->unit);
    limits->take[limits->count - 1].policy_id = throttle->id;
    sl_counter_policy_key(&limit->key, throttle->id, publish_id, dimension, subject,
                          throttle->window_s);
}

// The special limit of an app or a user, or the policy's general one. A user is named by either id,
// the account's or the project's (`other`).
static int64_t
special_or(const struct sl_img_throttle *throttle, struct sl_str object_id,
           const struct sl_str *other, int64_t general)
{
    const struct sl_img_special *special = sl_img_items(&throttle->specials);
    int64_t units = general;

    for (uint32_t i = 0; i < throttle->specials.count; i++) {
        struct sl_str id = sl_img_text(&special[i].object_id);
        if ((special[i].is_user != 0) != (other != NULL)) {
            continue;
        }
        if (sl_str_equal(id, object_id)) {
            return special[i].limit;
        }
        if (other != NULL && sl_str_equal(id, *other)) {
            units = special[i].limit;
        }
    }
    return units;
}

// The limit of a user: of an app the owner's account, of IAM the project. Either id of it may have
// a special limit.
static void
add_user(struct limits *limits, const ngx_http_sluice_ctx_t *ctx,
         const struct sl_img_throttle *throttle, struct sl_str user, struct sl_str other)
{
    int64_t units = special_or(throttle, user, &other, throttle->user_limit);

    if (units > 0) {
        struct limit *limit = add(limits, "user", units, throttle->window_s);
        of_policy(limits, limit, throttle, ctx, SL_COUNT_USER, &user);
    }
}

static void
add_policy(struct limits *limits, const ngx_http_sluice_ctx_t *ctx,
           const struct sl_img_throttle *throttle)
{
    struct limit *limit;

    if (throttle->api_limit > 0) {
        limit = add(limits, "api", throttle->api_limit, throttle->window_s);
        of_policy(limits, limit, throttle, ctx, SL_COUNT_API, NULL);
    }
    if (ctx->app != NULL) {
        add_user(limits, ctx, throttle, sl_img_text(&ctx->app->domain_id),
                 sl_img_text(&ctx->gateway->project_id));
    } else if (ctx->user != NULL) {
        struct sl_str account = sl_img_text(&ctx->user->domain_id);
        add_user(limits, ctx, throttle, ctx->project_id.len > 0 ? ctx->project_id : account,
                 account);
    }
    if (ctx->app != NULL) {
        struct sl_str app = {ctx->app_id, SL_ID_LEN};
        int64_t units = special_or(throttle, app, NULL, throttle->app_limit);
        if (units > 0) {
            limit = add(limits, "app", units, throttle->window_s);
            of_policy(limits, limit, throttle, ctx, SL_COUNT_APP, &app);
        }
    }
    if (throttle->ip_limit > 0) {
        struct sl_str address = ngx_http_sluice_view(&ctx->client_addr);
        limit = add(limits, "ip", throttle->ip_limit, throttle->window_s);
        of_policy(limits, limit, throttle, ctx, SL_COUNT_IP, &address);
    }
}

// Each node has the whole of the limits that the strategy is about: of policies and of the default.
static void
make_local(struct limits *limits, size_t from)
{
    for (size_t i = from; i < limits->count; i++) {
        limits->take[i].local = true;
        sl_counter_local_key(&limits->limit[i].key);
    }
}

static bool
is_local(const ngx_http_sluice_ctx_t *ctx)
{
    struct sl_str strategy = sl_img_feature_text(ctx->gateway, SL_FEATURE_THROTTLE_LOCAL);
    return sl_img_feature_on(ctx->gateway, SL_FEATURE_THROTTLE) &&
           sl_str_equal(strategy, SL_STR("local"));
}

// A call that another limit refuses takes nothing of the quota: units are taken together.
static void
add_quota(struct limits *limits, const ngx_http_sluice_ctx_t *ctx, uint32_t lead_s)
{
    const struct sl_img_app *app = ctx->app;

    if (app == NULL || app->quota_limit == 0) {
        return;
    }
    struct limit *limit = add(limits, NULL, app->quota_limit, app->quota_window_s);
    struct sl_counter_take *take = &limits->take[limits->count - 1];
    take->policy_id = app->quota_id;
    take->lead_s = lead_s;
    sl_counter_quota_key(&limit->key, app->quota_id, ctx->app_id, app->quota_window_s, lead_s);
}

// The gateway's default is counted always and enforced where no policy is bound.
static void
find_limits(ngx_http_sluice_ctx_t *ctx, struct sl_image *image, uint32_t quota_lead_s,
            struct limits *limits)
{
    const struct sl_img_throttle *throttle =
        ctx->api->has_throttle ? sl_image_throttle(image, ctx->api->throttle_id) : NULL;
    struct limit *limit;

    limits->count = 0;
    add_quota(limits, ctx, quota_lead_s);
    if (ctx->host_is_debug && ctx->gateway->domain_call_limit > 0) {
        limit = add(limits, "domain", ctx->gateway->domain_call_limit, DAY_S);
        limit->header = NULL;
        limit->unit = sl_str("day");
        limits->take[limits->count - 1].policy_id = ctx->group_id;
        sl_counter_domain_key(&limit->key, ctx->group_id);
    }
    size_t shared = limits->count;
    if (ctx->gateway->api_default_limit > 0) {
        limit = add(limits, "api", ctx->gateway->api_default_limit, 1);
        limit->header = "api-allenv";
        limit->unit = sl_str("second");
        limits->take[limits->count - 1].policy_id = ctx->api_id;
        limits->take[limits->count - 1].count_only = throttle != NULL;
        sl_counter_default_key(&limit->key, ctx->api_id);
    }
    if (throttle != NULL) {
        add_policy(limits, ctx, throttle);
    }
    if (is_local(ctx)) {
        make_local(limits, shared);
    }
    for (size_t i = 0; i < limits->count; i++) {
        limits->take[i].revision = sl_image_revision(image);
    }
}

// -- what came of it

static void
note_rates(ngx_http_sluice_ctx_t *ctx, const struct limits *limits)
{
    ctx->rate_count = 0;
    for (size_t i = 0; ctx->debug && i < limits->count; i++) {
        const struct limit *limit = &limits->limit[i];
        ngx_http_sluice_rate_t *rate = &ctx->rates[ctx->rate_count];
        if (limit->header == NULL || ctx->rate_count == NGX_HTTP_SLUICE_RATES) {
            continue;
        }
        rate->name.data = (u_char *)(uintptr_t)limit->header;
        rate->name.len = ngx_strlen(limit->header);
        rate->remain = sl_counters_remain(worker.counters, &limits->take[i]);
        rate->limit = limits->take[i].limit;
        rate->interval = limit->interval;
        size_t len = ngx_min(limit->unit.len, sizeof(rate->unit) - 1);
        ngx_memcpy(rate->unit, limit->unit.ptr, len);
        rate->unit[len] = '\0';
        ctx->rate_count++;
    }
}

static ngx_int_t
refuse(ngx_http_sluice_ctx_t *ctx, const struct limits *limits, size_t first)
{
    const struct limit *limit = &limits->limit[first];
    u_char units[TEXT_SIZE];
    u_char interval[TEXT_SIZE];
    u_char unit[TEXT_SIZE];

    if (limit->policy == NULL) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_APP_QUOTA);
    }
    *ngx_snprintf(units, sizeof(units) - 1, "%L", limits->take[first].limit) = '\0';
    *ngx_snprintf(interval, sizeof(interval) - 1, "%uD", limit->interval) = '\0';
    *ngx_snprintf(unit, sizeof(unit) - 1, "%*s", limit->unit.len, limit->unit.ptr) = '\0';
    ctx->throttled = 1;
    return ngx_http_sluice_fail(ctx, SL_E_GW_THROTTLED, limit->policy, (const char *)units,
                                (const char *)interval, (const char *)unit);
}

// -- waiting

static void
forget(void *data)
{
    struct waiting *waiting = data;

    if (waiting->is_queued) {
        ngx_queue_remove(&waiting->link);
        waiting->is_queued = false;
    }
}

static bool
is_over(const struct waiting *waiting)
{
    return (ngx_msec_int_t)(ngx_current_msec - waiting->until) >= 0 ||
           sl_counters_peek(worker.counters, &waiting->lacks, (int64_t)ngx_current_msec) !=
               SL_COUNTER_WAIT;
}

// Looks at all that wait. Resuming one may end others (streams of one connection), so those that
// are due are taken from their own queue one by one.
static void
look(ngx_event_t *timer)
{
    ngx_queue_t due;
    ngx_queue_t *at = ngx_queue_head(&worker.waiting);

    ngx_queue_init(&due);
    while (at != ngx_queue_sentinel(&worker.waiting)) {
        struct waiting *waiting = ngx_queue_data(at, struct waiting, link);
        at = ngx_queue_next(at);
        if (is_over(waiting)) {
            ngx_queue_remove(&waiting->link);
            ngx_queue_insert_tail(&due, &waiting->link);
        }
    }
    while (!ngx_queue_empty(&due)) {
        struct waiting *waiting = ngx_queue_data(ngx_queue_head(&due), struct waiting, link);
        forget(waiting);
        ngx_http_sluice_resume(waiting->request);
    }
    if (!ngx_queue_empty(&worker.waiting) && !timer->timer_set) {
        ngx_add_timer(timer, LOOK_MS);
    }
}

static struct waiting *
waiting_of(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, bool asks_first)
{
    if (ctx->limit != NULL) {
        return ctx->limit;
    }
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->pool, sizeof(struct waiting));
    if (cleanup == NULL) {
        return NULL;
    }
    struct waiting *waiting = cleanup->data;
    ngx_memzero(waiting, sizeof(*waiting));
    cleanup->handler = forget;
    waiting->request = r;
    waiting->until = ngx_current_msec + WAIT_MS;
    waiting->asks_first = asks_first;
    ctx->limit = waiting;
    return waiting;
}

static ngx_int_t
suspend(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, const struct sl_counter_take *lacks,
        bool asks_first)
{
    struct waiting *waiting = waiting_of(r, ctx, asks_first);

    if (waiting == NULL) {
        return NGX_ERROR;
    }
    if (waiting->asks_first && !asks_first) {
        waiting->asks_first = false; // units are another exchange
        waiting->until = ngx_current_msec + WAIT_MS;
    }
    waiting->lacks = *lacks;
    waiting->is_queued = true;
    ngx_queue_insert_tail(&worker.waiting, &waiting->link);
    if (!worker.timer.timer_set) {
        ngx_add_timer(&worker.timer, LOOK_MS);
    }
    return NGX_AGAIN;
}

// -- the worker

static void
open_counters(ngx_log_t *log)
{
    struct sl_error err;

    if (worker.counters != NULL || worker.name == NULL ||
        (worker.tried_at != 0 && ngx_current_msec - worker.tried_at < REOPEN_MS)) {
        return;
    }
    worker.tried_at = ngx_current_msec;
    worker.counters = sl_counters_open((const char *)worker.name->data, worker.keys, &err);
    if (worker.counters == NULL) {
        ngx_log_error(NGX_LOG_ALERT, log, 0, "limits: %s", err.detail);
    }
}

ngx_int_t
ngx_http_sluice_limit_init(ngx_cycle_t *cycle, ngx_http_sluice_main_conf_t *smcf)
{
    ngx_memzero(&worker, sizeof(worker));
    ngx_queue_init(&worker.waiting);
    worker.timer.handler = look;
    worker.timer.data = &worker;
    worker.timer.log = cycle->log;
    // Not cancelable: it runs while requests wait, and a worker that ends has to answer them first.
    worker.name = smcf->limits_name.len > 0 ? &smcf->limits_name : NULL;
    worker.keys = (size_t)smcf->limit_keys;
    open_counters(cycle->log);
    return NGX_OK;
}

void
ngx_http_sluice_limit_exit(ngx_cycle_t *cycle, ngx_http_sluice_main_conf_t *smcf)
{
    (void)cycle;
    (void)smcf;
    if (worker.timer.timer_set) {
        ngx_del_timer(&worker.timer);
    }
    sl_counters_free(&worker.counters);
}

// Which attempt this is, to learn of a first call or to take units; too late, and it waits no more.
static enum sl_counter_attempt
attempt_of(const struct waiting *waiting, bool asks_first)
{
    if (waiting == NULL || (waiting->asks_first && !asks_first)) {
        return SL_COUNTER_FIRST;
    }
    bool is_late = (ngx_msec_int_t)(ngx_current_msec - waiting->until) >= 0;
    return is_late ? SL_COUNTER_LAST : SL_COUNTER_AGAIN;
}

// Where the windows of the app's quota begin. Without a time of their own it is at the app's first
// call, which may be this one: accounting knows. NGX_AGAIN: it is being asked; NGX_DECLINED: it
// does not say.
static ngx_int_t
find_lead(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, struct sl_image *image,
          uint32_t *ret_lead_s)
{
    const struct sl_img_app *app = ctx->app;
    struct sl_counter_key key;
    size_t first;

    *ret_lead_s = app != NULL ? app->quota_lead_s : 0;
    if (app == NULL || app->quota_limit == 0 || app->quota_first == 0) {
        return NGX_OK;
    }
    sl_counter_first_key(&key, app->quota_id, ctx->app_id, app->quota_first);
    struct sl_counter_take take = {.key = &key,
                                   .policy_id = app->quota_id,
                                   .limit = 1,
                                   .revision = sl_image_revision(image),
                                   .window_s = SL_COUNTER_FIRST_S,
                                   .lead_s = app->quota_first};
    enum sl_counter_attempt attempt = attempt_of(ctx->limit, true);
    enum sl_counter_answer answer =
        sl_counters_take(worker.counters, &take, 1, (int64_t)ngx_current_msec, attempt, &first);
    int64_t first_s = sl_counters_first(worker.counters, &take);
    if (first_s > 0) {
        *ret_lead_s = sl_counter_lead_of(first_s, app->quota_window_s);
        return NGX_OK;
    }
    if (answer == SL_COUNTER_WAIT && attempt != SL_COUNTER_LAST) {
        return suspend(r, ctx, &take, true);
    }
    return answer == SL_COUNTER_TAKEN ? NGX_OK
                                      : NGX_DECLINED; // owners of an earlier build give one
}

ngx_int_t
ngx_http_sluice_limit_check(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    ngx_http_sluice_main_conf_t *smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);
    struct limits limits;
    uint32_t lead_s = 0;
    size_t first = 0;

    if (worker.name == NULL) {
        return NGX_OK;
    }
    open_counters(r->connection->log);
    ngx_int_t rc =
        worker.counters != NULL ? find_lead(r, ctx, smcf->image, &lead_s) : (ngx_int_t)NGX_OK;
    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? ngx_http_sluice_fail(ctx, SL_E_GW_APP_QUOTA) : rc;
    }
    find_limits(ctx, smcf->image, lead_s, &limits);
    if (limits.count == 0) {
        return NGX_OK;
    }
    if (worker.counters == NULL) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_CONFIG); // uncounted would be unlimited
    }
    enum sl_counter_attempt attempt = attempt_of(ctx->limit, false);
    enum sl_counter_answer answer = sl_counters_take(worker.counters, limits.take, limits.count,
                                                     (int64_t)ngx_current_msec, attempt, &first);
    if (answer == SL_COUNTER_WAIT && attempt != SL_COUNTER_LAST) {
        return suspend(r, ctx, &limits.take[first], false);
    }
    note_rates(ctx, &limits);
    return answer == SL_COUNTER_TAKEN ? NGX_OK : refuse(ctx, &limits, first);
}
