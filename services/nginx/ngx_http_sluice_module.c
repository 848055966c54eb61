// ngx_http_sluice_module.c - directives, life of a worker, and the walk through the steps.
//
// The only file that knows the order of the steps. A request enters in the access phase; a step
// that suspends leaves ctx->step where it is, and the walk begins there again after everything that
// pointed into the image was looked up anew.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_balance.h"
#include "services/nginx/ngx_http_sluice_domain.h"
#include "services/nginx/ngx_http_sluice_pattern.h"
#include "services/nginx/ngx_http_sluice_sign.h"
#include "services/nginx/ngx_http_sluice_wire.h"

#include "common/crypto/crypto.h"
#include "common/runtime/counter.h"

#include <malloc.h>

#define IDLE_MAX_DEFAULT    1024                // idle backend connections of a worker
#define IDLE_MS_DEFAULT     60000               // how long each stays
#define BODY_BUDGET_DEFAULT (256 * 1024 * 1024) // of signed bodies that a node holds, bytes
#define IMAGE_WAIT_MS       3000 // the longest that a starting worker waits for an image
#define IMAGE_LOOK_MS       10   // between its looks
#define HEAP_KEPT           (16 * 1024 * 1024) // free bytes at the heap's end that a worker keeps
#define HEAP_CHUNK_MAX      (HEAP_KEPT / 2)    // larger ones are mappings of their own

typedef ngx_int_t (*step_fn)(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);

static char *declare_backend(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *declare_health(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_int_t add_variables(ngx_conf_t *cf);
static ngx_int_t install_handlers(ngx_conf_t *cf);
static void *create_main_conf(ngx_conf_t *cf);
static char *init_main_conf(ngx_conf_t *cf, void *conf);
static void *create_loc_conf(ngx_conf_t *cf);
static char *merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);
static ngx_int_t init_process(ngx_cycle_t *cycle);
static void exit_process(ngx_cycle_t *cycle);
static ngx_int_t dispatch(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx);

static const step_fn steps[NGX_HTTP_SLUICE_STEPS] = {
    [NGX_HTTP_SLUICE_STEP_INTAKE] = ngx_http_sluice_intake,
    [NGX_HTTP_SLUICE_STEP_ROUTE] = ngx_http_sluice_route,
    [NGX_HTTP_SLUICE_STEP_AUTH] = ngx_http_sluice_auth,
    [NGX_HTTP_SLUICE_STEP_DIGEST] = ngx_http_sluice_digest,
    [NGX_HTTP_SLUICE_STEP_APP] = ngx_http_sluice_app,
    [NGX_HTTP_SLUICE_STEP_LIMIT] = ngx_http_sluice_limit_check,
    [NGX_HTTP_SLUICE_STEP_PARAM] = ngx_http_sluice_param,
    [NGX_HTTP_SLUICE_STEP_DISPATCH] = dispatch,
};

#define MAIN_FIELD(field) NGX_HTTP_MAIN_CONF_OFFSET, offsetof(ngx_http_sluice_main_conf_t, field)

static ngx_conf_num_bounds_t limit_keys_bounds = {ngx_conf_check_num_bounds, SL_COUNTER_KEYS_MIN,
                                                  SL_COUNTER_KEYS_TOP};

static ngx_command_t commands[] = {
    {ngx_string("sluice_image"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot,
     MAIN_FIELD(image_name), NULL},
    {ngx_string("sluice_node_id"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot,
     MAIN_FIELD(node_id), NULL},
    {ngx_string("sluice_limits"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot,
     MAIN_FIELD(limits_name), NULL},
    {ngx_string("sluice_limit_keys"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_num_slot,
     MAIN_FIELD(limit_keys), &limit_keys_bounds},
    {ngx_string("sluice_backend_idle"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_num_slot,
     MAIN_FIELD(idle_max), NULL},
    {ngx_string("sluice_body_budget"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_off_slot,
     MAIN_FIELD(body_budget), NULL},
    {ngx_string("sluice_backend_idle_time"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
     ngx_conf_set_msec_slot, MAIN_FIELD(idle_ms), NULL},
    {ngx_string("sluice"), NGX_HTTP_LOC_CONF | NGX_CONF_FLAG, ngx_conf_set_flag_slot,
     NGX_HTTP_LOC_CONF_OFFSET, offsetof(ngx_http_sluice_loc_conf_t, enabled), NULL},
    {ngx_string("sluice_backend"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, declare_backend,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("sluice_gzip_level"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1,
     ngx_http_sluice_gzip_declare, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("sluice_health"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, declare_health,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("sluice_backend_peers"), NGX_HTTP_UPS_CONF | NGX_CONF_NOARGS,
     ngx_http_sluice_backend_peers, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    ngx_null_command,
};

static ngx_http_module_t module_context = {
    .preconfiguration = add_variables,
    .postconfiguration = install_handlers,
    .create_main_conf = create_main_conf,
    .init_main_conf = init_main_conf,
    .create_loc_conf = create_loc_conf,
    .merge_loc_conf = merge_loc_conf,
};

ngx_module_t ngx_http_sluice_module = {
    NGX_MODULE_V1, &module_context, commands, NGX_HTTP_MODULE,       NULL, NULL, init_process, NULL,
    NULL,          exit_process,    NULL,     NGX_MODULE_V1_PADDING,
};

// -- the request's context ------------------------------------------------------------------------

static void
ctx_cleanup(void *data)
{
    ngx_http_sluice_ctx_t *ctx = data;

    ngx_http_sluice_body_release(ctx);
}

ngx_http_sluice_ctx_t *
ngx_http_sluice_ctx(ngx_http_request_t *r)
{
    ngx_http_sluice_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_sluice_module);
    ngx_pool_cleanup_t *cleanup;

    if (ctx != NULL || (!r->internal && !r->filter_finalize)) {
        return ctx;
    }
    // An internal redirect forgot it; the cleanup still knows.
    for (cleanup = r->pool->cleanup; cleanup != NULL; cleanup = cleanup->next) {
        if (cleanup->handler == ctx_cleanup) {
            ngx_http_set_ctx(r, cleanup->data, ngx_http_sluice_module);
            return cleanup->data;
        }
    }
    return NULL;
}

// The bits of all names.
static uint64_t
names_of(const ngx_http_request_t *r)
{
    const ngx_list_part_t *part = &r->headers_in.headers.part;
    uint64_t names = 0;

    for (; part != NULL; part = part->next) {
        const ngx_table_elt_t *header = part->elts;

        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            names |= ngx_http_sluice_name_bit(header[i].lowcase_key, header[i].key.len);
        }
    }
    return names;
}

ngx_http_sluice_ctx_t *
ngx_http_sluice_ctx_make(ngx_http_request_t *r)
{
    ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);
    ngx_pool_cleanup_t *cleanup;

    if (ctx != NULL) {
        return ctx;
    }
    cleanup = ngx_pool_cleanup_add(r->pool, 0);
    ctx = ngx_palloc(r->pool, sizeof(*ctx));
    if (cleanup == NULL || ctx == NULL) {
        return NULL;
    }
    ngx_memzero(ctx, offsetof(ngx_http_sluice_ctx_t, route.captures));
    cleanup->handler = ctx_cleanup;
    cleanup->data = ctx;
    ctx->request = r;
    ctx->names = names_of(r);
    ctx->client_addr = r->connection->addr_text;
    ngx_http_sluice_request_id(ctx);
    ctx->trace_id = (struct sl_str){ctx->request_id, sizeof(ctx->request_id) - 1};
    ngx_http_set_ctx(r, ctx, ngx_http_sluice_module);
    ngx_http_sluice_write_short(r->connection);
    return ctx;
}

ngx_int_t
ngx_http_sluice_refuse(ngx_http_sluice_ctx_t *ctx, enum sl_code code, const char *origin,
                       const char *const *args)
{
    if (ctx->error == NULL) {
        ctx->error = ngx_palloc(ctx->request->pool, sizeof(*ctx->error));
    }
    if (ctx->error == NULL) {
        return NGX_ERROR;
    }
    (void)sl_error_set(ctx->error, code, origin, args);
    return NGX_ABORT;
}

ngx_str_t
ngx_http_sluice_copy(ngx_pool_t *pool, struct sl_str text)
{
    ngx_str_t copy = {0, ngx_pnalloc(pool, text.len + 1)};

    if (copy.data != NULL) {
        ngx_memcpy(copy.data, text.ptr, text.len);
        copy.data[text.len] = '\0';
        copy.len = text.len;
    }
    return copy;
}

ngx_int_t
ngx_http_sluice_conf_put(ngx_http_request_t *r, const ngx_module_t *module, void *conf)
{
    void **own = ngx_palloc(r->pool, ngx_http_max_module * sizeof(*own));

    if (own == NULL) {
        return NGX_ERROR;
    }
    ngx_memcpy(own, r->loc_conf, ngx_http_max_module * sizeof(*own));
    own[module->ctx_index] = conf;
    r->loc_conf = own;
    return NGX_OK;
}

ngx_table_elt_t *
ngx_http_sluice_header_find(ngx_http_request_t *r, const char *name, size_t len)
{
    ngx_list_part_t *part = &r->headers_in.headers.part;
    ngx_table_elt_t *header;

    for (; part != NULL; part = part->next) {
        header = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (header[i].key.len == len && ngx_memcmp(header[i].lowcase_key, name, len) == 0) {
                return &header[i];
            }
        }
    }
    return NULL;
}

void
ngx_http_sluice_header_hide(ngx_table_elt_t *header)
{
    static u_char host[] = "host";

    // The proxy passes on every header but those that it sets itself; Host is always one of them.
    header->lowcase_key = host;
    header->key.len = sizeof(host) - 1;
    header->key.data = host;
    header->hash = ngx_hash_key(host, sizeof(host) - 1);
}

// -- the walk -------------------------------------------------------------------------------------

static ngx_int_t
dispatch(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    if (ctx->api->backend_type != SL_BACKEND_MOCK) {
        return ngx_http_sluice_backend(r, ctx);
    }
    r->content_handler = ngx_http_sluice_mock;
    return ngx_http_sluice_mock_take(r, ctx);
}

static ngx_int_t
suspend(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    ctx->suspended = 1;
    // Neither a writable socket nor more of the request may start the phases again.
    r->write_event_handler = ngx_http_request_empty_handler;
    r->read_event_handler = ngx_http_test_reading;
    return NGX_AGAIN;
}

// What a step said, unless it could not read all of the image: it may have missed a limit. A step
// that waits is done again.
static ngx_int_t
checked(ngx_http_sluice_ctx_t *ctx, const struct sl_image *image, ngx_int_t rc)
{
    if ((rc != NGX_OK && rc != NGX_ABORT) || !sl_image_incomplete(image)) {
        return rc;
    }
    ngx_log_error(NGX_LOG_CRIT, ctx->request->connection->log, 0,
                  "sluice: a part of the image cannot be mapped, the call is refused");
    return ngx_http_sluice_fail(ctx, SL_E_UNAVAILABLE);
}

static ngx_int_t
walk(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx, const struct sl_image *image)
{
    ngx_int_t rc = NGX_OK;

    if (ctx->routed) {
        rc = checked(ctx, image, ngx_http_sluice_relookup(r, ctx));
    }
    while (rc == NGX_OK && !ctx->answered && ctx->step < NGX_HTTP_SLUICE_STEPS) {
        rc = checked(ctx, image, steps[ctx->step](r, ctx));
        if (rc == NGX_OK) {
            ctx->step++;
        }
    }
    if (rc == NGX_DONE) {
        return rc; // the body was there already and the request may be gone with it
    }
    ctx->gateway = NULL;
    ctx->group = NULL;
    ctx->domain = NULL;
    ctx->api = NULL;
    ctx->app = NULL;
    ctx->user = NULL;
    ctx->target = NULL;
    switch (rc) {
    case NGX_OK:
        return NGX_OK;
    case NGX_ABORT:
        r->content_handler = ngx_http_sluice_error;
        return NGX_OK;
    case NGX_AGAIN:
        return suspend(r, ctx);
    case NGX_ERROR:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    default: // a status of the body reader
        return rc;
    }
}

static ngx_int_t
access_handler(ngx_http_request_t *r)
{
    ngx_http_sluice_loc_conf_t *slcf = ngx_http_get_module_loc_conf(r, ngx_http_sluice_module);
    ngx_http_sluice_main_conf_t *smcf;
    ngx_http_sluice_ctx_t *ctx;

    if (!slcf->enabled) {
        return NGX_DECLINED;
    }
    ctx = ngx_http_sluice_ctx_make(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (r->error_page) { // nginx or the proxy gave up; error_page led here
        r->content_handler = ngx_http_sluice_error;
        return NGX_OK;
    }
    if (ctx->suspended || ctx->reading) {
        return NGX_AGAIN; // not from here: somebody else resumes
    }
#ifdef SLUICE_CANARY
    ngx_http_sluice_canary(r);
#endif
    smcf = ngx_http_get_module_main_conf(r, ngx_http_sluice_module);
    sl_image_refresh(smcf->image);
    return walk(r, ctx, smcf->image);
}

void
ngx_http_sluice_resume(ngx_http_request_t *r)
{
    ngx_connection_t *c = r->connection;
    ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);

    ctx->suspended = 0;
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}

// -- configuration --------------------------------------------------------------------------------

static char *
declare_backend(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    static const ngx_str_t names[NGX_HTTP_SLUICE_LOCATIONS] = {
        [NGX_HTTP_SLUICE_BUFFERED] = ngx_string("buffered"),
        [NGX_HTTP_SLUICE_STREAMED] = ngx_string("streamed"),
        [NGX_HTTP_SLUICE_FUNCTION] = ngx_string("function"),
        [NGX_HTTP_SLUICE_GRPC] = ngx_string("grpc"),
    };
    ngx_http_sluice_main_conf_t *smcf = conf;
    const ngx_str_t *args = cf->args->elts;

    (void)cmd;
    for (ngx_uint_t i = 0; i < NGX_HTTP_SLUICE_LOCATIONS; i++) {
        if (names[i].len == args[1].len &&
            ngx_strncmp(names[i].data, args[1].data, args[1].len) == 0) {
            smcf->locations[i] = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
            return NGX_CONF_OK;
        }
    }
    return "must be \"buffered\", \"streamed\", \"function\" or \"grpc\"";
}

static char *
declare_health(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t *clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    (void)cmd;
    (void)conf;
    clcf->handler = ngx_http_sluice_metrics_handler;
    return NGX_CONF_OK;
}

static ngx_int_t
add_variables(ngx_conf_t *cf)
{
    return ngx_http_sluice_variables(cf);
}

static ngx_int_t
install_handlers(ngx_conf_t *cf)
{
    ngx_http_core_main_conf_t *cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_http_handler_pt *handler = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);

    if (handler == NULL) {
        return NGX_ERROR;
    }
    *handler = access_handler;
    handler = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (handler == NULL) {
        return NGX_ERROR;
    }
    *handler = ngx_http_sluice_metrics_log;
    ngx_http_sluice_response_init();
    ngx_http_sluice_function_init();
    ngx_http_sluice_body_init();
    return ngx_http_sluice_hello_init(
        cf, ngx_http_conf_get_module_main_conf(cf, ngx_http_sluice_module));
}

static void *
create_main_conf(ngx_conf_t *cf)
{
    ngx_http_sluice_main_conf_t *smcf = ngx_pcalloc(cf->pool, sizeof(*smcf));

    if (smcf != NULL) {
        smcf->limit_keys = NGX_CONF_UNSET;
        smcf->idle_max = NGX_CONF_UNSET_UINT;
        smcf->idle_ms = NGX_CONF_UNSET_MSEC;
        smcf->body_budget = NGX_CONF_UNSET;
    }
    return smcf;
}

static char *
init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_sluice_main_conf_t *smcf = conf;

    ngx_conf_init_value(smcf->limit_keys, SL_COUNTER_KEYS);
    ngx_conf_init_uint_value(smcf->idle_max, IDLE_MAX_DEFAULT);
    ngx_conf_init_msec_value(smcf->idle_ms, IDLE_MS_DEFAULT);
    ngx_conf_init_value(smcf->body_budget, BODY_BUDGET_DEFAULT);
    if (smcf->image_name.len == 0) {
        return NGX_CONF_OK; // the module is loaded, not used
    }
    for (ngx_uint_t i = 0; i < NGX_HTTP_SLUICE_LOCATIONS; i++) {
        if (smcf->locations[i] == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "sluice needs a location with \"sluice_backend\" for each of "
                               "\"buffered\", \"streamed\", \"function\" and \"grpc\"");
            return NGX_CONF_ERROR;
        }
    }
    if (ngx_http_sluice_metrics_zone(cf, smcf) != NGX_OK ||
        ngx_http_sluice_budget_zone(cf, smcf) != NGX_OK ||
        ngx_http_sluice_gzip_init(cf, smcf) != NGX_OK ||
        ngx_http_sluice_iam_zone(cf, smcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }
    return NGX_CONF_OK;
}

static void *
create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_sluice_loc_conf_t *slcf = ngx_pcalloc(cf->pool, sizeof(*slcf));

    if (slcf != NULL) {
        slcf->enabled = NGX_CONF_UNSET;
    }
    return slcf;
}

static char *
merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    const ngx_http_sluice_loc_conf_t *above = parent;
    ngx_http_sluice_loc_conf_t *slcf = child;

    (void)cf;
    ngx_conf_merge_value(slcf->enabled, above->enabled, 0);
    return NGX_CONF_OK;
}

// -- the worker -----------------------------------------------------------------------------------

static ngx_http_sluice_main_conf_t *
used_conf(ngx_cycle_t *cycle)
{
    ngx_http_sluice_main_conf_t *smcf =
        ngx_get_conf(cycle->conf_ctx, ngx_http_module) == NULL
            ? NULL
            : ngx_http_cycle_get_module_main_conf(cycle, ngx_http_sluice_module);

    return smcf != NULL && smcf->image_name.len > 0 ? smcf : NULL;
}

// After a boot nginx may be there before the agent has built the image from its store. Connections
// wait in the backlog meanwhile: an answer that comes late is better than a wrong one.
static void
await_image(struct sl_image *image)
{
    for (ngx_uint_t waited_ms = 0; waited_ms < IMAGE_WAIT_MS; waited_ms += IMAGE_LOOK_MS) {
        sl_image_refresh(image);
        if (sl_image_ready(image) || ngx_quit || ngx_terminate) {
            return;
        }
        ngx_msleep(IMAGE_LOOK_MS);
    }
}

// Requests that end together free more than the 128 KB at the heap's end that glibc keeps by
// itself: it would give them back to the kernel and fetch zeroed pages for the next ones, a page
// fault or two a request, or none, as whatever lies at the end happens to live. glibc raises both
// figures likewise once a large block was freed.
static void
keep_heap(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, HEAP_CHUNK_MAX);
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
}

static ngx_int_t
init_process(ngx_cycle_t *cycle)
{
    ngx_http_sluice_main_conf_t *smcf = used_conf(cycle);
    struct sl_error err;

    if (smcf == NULL || (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)) {
        return NGX_OK;
    }
    keep_heap();
    sl_crypto_init();
    smcf->image = sl_image_open((const char *)smcf->image_name.data, &err);
    if (smcf->image == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "the live image cannot be opened: %s",
                      err.detail);
        return NGX_ERROR;
    }
    await_image(smcf->image);
    ngx_http_sluice_budget_init(smcf);
    if (ngx_http_sluice_pool_init(cycle, smcf, ngx_http_sluice_metrics_idle(smcf)) != NGX_OK) {
        return NGX_ERROR;
    }
    return ngx_http_sluice_limit_init(cycle, smcf);
}

static void
exit_process(ngx_cycle_t *cycle)
{
    ngx_http_sluice_main_conf_t *smcf = used_conf(cycle);

    if (smcf == NULL || smcf->image == NULL) {
        return;
    }
    ngx_http_sluice_aside_exit();
    ngx_http_sluice_limit_exit(cycle, smcf);
    ngx_http_sluice_sign_exit();
    ngx_http_sluice_signature_exit();
    ngx_http_sluice_tls_exit();
    ngx_http_sluice_shown_exit();
    ngx_http_sluice_certificate_exit();
    ngx_http_sluice_pattern_exit();
    ngx_http_sluice_balance_exit();
    sl_image_free(&smcf->image);
}
