// ngx_http_sluice_policy.c - which backend a call goes to (runtime.md 9).
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_param.h"
#include "services/nginx/ngx_http_sluice_pattern.h"
#include "services/nginx/ngx_http_sluice_value.h"

bool
ngx_http_sluice_cookie(const ngx_http_request_t *r, struct sl_str name, struct sl_str *ret_text)
{
    const ngx_list_part_t *part = &r->headers_in.headers.part;

    for (; part != NULL; part = part->next) {
        const ngx_table_elt_t *header = part->elts;

        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (sl_str_equal_nocase(ngx_http_sluice_view(&header[i].key), SL_STR("cookie")) &&
                ngx_http_sluice_value_cookie(ngx_http_sluice_view(&header[i].value), name,
                                             ret_text)) {
                return true;
            }
        }
    }
    return false;
}

// The left side of a condition; false when the request has none.
static bool
left_side(const struct param_work *work, const struct sl_img_condition *condition,
          struct sl_str *ret_text)
{
    struct sl_str name = sl_img_text(&condition->name);

    switch ((enum sl_condition_origin)condition->origin) {
    case SL_BY_PARAM:
        if (condition->req_param < 0 || !work->values[condition->req_param].present) {
            return false;
        }
        *ret_text = work->values[condition->req_param].text;
        return true;
    case SL_BY_SYSTEM:
        *ret_text = sl_str_equal(name, SL_STR("req_path"))
                        ? work->ctx->path
                        : ngx_http_sluice_view(&work->request->method_name);
        return true;
    case SL_BY_COOKIE:
        return sl_img_feature_on(work->ctx->gateway, SL_FEATURE_POLICY_COOKIE) &&
               ngx_http_sluice_cookie(work->request, name, ret_text);
    case SL_BY_SOURCE:
        *ret_text = ngx_http_sluice_view(&work->ctx->client_addr);
        return true;
    default:
        return false;
    }
}

static bool
holds(const struct param_work *work, const struct sl_img_condition *condition)
{
    struct sl_str value = sl_img_text(&condition->value);
    struct sl_str left;

    if (!left_side(work, condition, &left)) {
        return false;
    }
    if (condition->origin == SL_BY_SOURCE) {
        return ngx_http_sluice_value_is_from(value, left);
    }
    switch ((enum sl_condition_type)condition->type) {
    case SL_MATCH_ENUM:
        return ngx_http_sluice_value_is_listed(value, left);
    case SL_MATCH_PATTERN:
        return ngx_http_sluice_pattern_found(value, left);
    case SL_MATCH_EXACT:
    default:
        return sl_str_equal(value, left);
    }
}

static bool
applies(const struct param_work *work, const struct sl_img_policy *policy)
{
    const struct sl_img_condition *conditions = sl_img_items(&policy->conditions);

    for (uint32_t i = 0; i < policy->conditions.count; i++) {
        if (holds(work, &conditions[i]) == (policy->any != 0)) {
            return policy->any != 0;
        }
    }
    return policy->any == 0;
}

const struct sl_img_target *
ngx_http_sluice_policy_choose(const struct param_work *work)
{
    const struct sl_img_api *api = work->ctx->api;
    const struct sl_img_policy *policies = sl_img_items(&api->policies);

    for (uint32_t i = 0; i < api->policies.count; i++) {
        if (applies(work, &policies[i])) {
            return &policies[i].target;
        }
    }
    return &api->target;
}
