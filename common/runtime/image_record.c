// image_record.c - the record of an API: its parameters, its backend, its policies.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/image_write.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PORT_HTTP     80
#define PORT_HTTPS    443
#define AUTHORITY_MAX 512 // bytes of a backend's name and port

// The index of the declared parameter of this name, whatever its case; -1: none.
static int16_t
req_param_index(const struct sl_api *api, const char *name)
{
    for (size_t i = 0; i < api->req_param_count; i++) {
        if (strcasecmp(api->req_params[i].name, name) == 0) {
            return (int16_t)i;
        }
    }
    return -1;
}

static int
write_req_params(struct image_writer *writer, struct sl_img_api *record, const struct sl_api *api)
{
    struct sl_img_req_param *params =
        image_put_list(writer, &record->req_params, api->req_param_count, sizeof(*params),
                       _Alignof(struct sl_img_req_param));
    if (params == NULL) {
        return api->req_param_count == 0 ? 0 : -1;
    }
    for (size_t i = 0; i < api->req_param_count; i++) {
        const struct sl_req_param *from = &api->req_params[i];
        params[i].location = (uint8_t)from->location;
        params[i].required = from->required;
        params[i].pass_through = from->pass_through;
        params[i].checked = from->checked;
        params[i].is_number = from->is_number;
        params[i].has_min = from->has_min;
        params[i].has_max = from->has_max;
        params[i].min = from->min;
        params[i].max = from->max;
        if (image_put_text(writer, &params[i].name, from->name) != 0 ||
            image_put_text(writer, &params[i].default_value, from->default_value) != 0 ||
            image_put_text(writer, &params[i].enumerations, from->enumerations) != 0) {
            return -1;
        }
    }
    return 0;
}

// A backend as the API or one of its policies has it.
struct backend {
    const struct sl_http_backend *http;
    const struct sl_mock_backend *mock;
    const struct sl_backend_param *params;
    size_t param_count;
};

static int
write_backend_params(struct image_writer *writer, struct sl_img_list *field,
                     const struct sl_api *api, const struct backend *backend)
{
    struct sl_img_backend_param *params =
        image_put_list(writer, field, backend->param_count, sizeof(*params),
                       _Alignof(struct sl_img_backend_param));
    if (params == NULL) {
        return backend->param_count == 0 ? 0 : -1;
    }
    for (size_t i = 0; i < backend->param_count; i++) {
        const struct sl_backend_param *from = &backend->params[i];
        params[i].location = (uint8_t)from->location;
        params[i].origin = (uint8_t)from->origin;
        params[i].req_param =
            from->origin == SL_FROM_REQUEST ? req_param_index(api, from->value) : -1;
        if (image_put_text(writer, &params[i].name, from->name) != 0 ||
            image_put_text(writer, &params[i].value, from->value) != 0) {
            return -1;
        }
    }
    return 0;
}

// The backend's own Host: its name, in brackets where that is an IPv6 address, and its port unless
// that is the scheme's.
static int
write_authority(struct image_writer *writer, struct sl_img_str *field,
                const struct sl_http_backend *http)
{
    char text[AUTHORITY_MAX];
    bool is_ipv6 = strchr(http->host, ':') != NULL;
    if (http->host[0] == '\0') {
        return 0;
    }
    int len = snprintf(text, sizeof(text), is_ipv6 ? "[%s]" : "%s", http->host);
    if (len > 0 && (size_t)len < sizeof(text) &&
        http->port != (http->tls ? PORT_HTTPS : PORT_HTTP)) {
        len += snprintf(text + len, sizeof(text) - (size_t)len, ":%u", http->port);
    }
    return len > 0 && (size_t)len < sizeof(text) ? image_put_text(writer, field, text) : -1;
}

static int
write_mock_headers(struct image_writer *writer, struct sl_img_list *field,
                   const struct sl_mock_backend *mock)
{
    struct sl_img_header *headers = image_put_list(
        writer, field, mock->header_count, sizeof(*headers), _Alignof(struct sl_img_header));
    if (headers == NULL) {
        return mock->header_count == 0 ? 0 : -1;
    }
    for (size_t i = 0; i < mock->header_count; i++) {
        if (image_put_text(writer, &headers[i].name, mock->headers[i].name) != 0 ||
            image_put_text(writer, &headers[i].value, mock->headers[i].value) != 0) {
            return -1;
        }
    }
    return 0;
}

static int
write_target(struct image_writer *writer, struct sl_img_target *target, const struct sl_api *api,
             const struct backend *backend)
{
    target->timeout_ms = backend->http->timeout_ms;
    target->retry_count = backend->http->retry_count;
    target->port = backend->http->port;
    target->tls = backend->http->tls;
    target->client_certificate = backend->http->client_certificate;
    target->async = backend->http->async;
    target->method = (uint8_t)backend->http->method;
    target->mock_status = backend->mock->status;
    if (image_put_text(writer, &target->host, backend->http->host) != 0 ||
        write_authority(writer, &target->authority, backend->http) != 0 ||
        image_put_text(writer, &target->path, backend->http->path) != 0 ||
        image_put_text(writer, &target->function, backend->http->function) != 0 ||
        image_put_text(writer, &target->channel, backend->http->channel) != 0 ||
        image_put_text(writer, &target->proxy_host, backend->http->proxy_host) != 0 ||
        image_put_text(writer, &target->mock_body, backend->mock->body) != 0 ||
        write_mock_headers(writer, &target->mock_headers, backend->mock) != 0) {
        return -1;
    }
    return write_backend_params(writer, &target->backend_params, api, backend);
}

static int
write_conditions(struct image_writer *writer, struct sl_img_policy *record,
                 const struct sl_api *api, const struct sl_policy *policy)
{
    struct sl_img_condition *conditions =
        image_put_list(writer, &record->conditions, policy->condition_count, sizeof(*conditions),
                       _Alignof(struct sl_img_condition));
    if (conditions == NULL) {
        return policy->condition_count == 0 ? 0 : -1;
    }
    for (size_t i = 0; i < policy->condition_count; i++) {
        const struct sl_condition *from = &policy->conditions[i];
        conditions[i].origin = (uint8_t)from->origin;
        conditions[i].type = (uint8_t)from->type;
        conditions[i].req_param =
            from->origin == SL_BY_PARAM ? req_param_index(api, from->name) : -1;
        if (image_put_text(writer, &conditions[i].name, from->name) != 0 ||
            image_put_text(writer, &conditions[i].value, from->value) != 0) {
            return -1;
        }
    }
    return 0;
}

static int
write_policies(struct image_writer *writer, struct sl_img_api *record, const struct sl_api *api)
{
    struct sl_img_policy *policies =
        image_put_list(writer, &record->policies, api->policy_count, sizeof(*policies),
                       _Alignof(struct sl_img_policy));
    if (policies == NULL) {
        return api->policy_count == 0 ? 0 : -1;
    }
    for (size_t i = 0; i < api->policy_count; i++) {
        const struct sl_policy *from = &api->policies[i];
        const struct backend backend = {&from->http, &from->mock, from->backend_params,
                                        from->backend_param_count};
        policies[i].any = from->any;
        if (write_target(writer, &policies[i].target, api, &backend) != 0 ||
            write_conditions(writer, &policies[i], api, from) != 0) {
            return -1;
        }
    }
    return 0;
}

static void
copy_id(char ret_id[SL_ID_LEN], const char *id)
{
    // An id is SL_ID_LEN characters or none (entry.c checked it); the record has no terminator.
    memcpy(ret_id, id, strnlen(id, SL_ID_LEN));
}

static void
fill_numbers(struct sl_img_api *record, const struct sl_api *api)
{
    record->method = (uint8_t)api->method;
    record->match_mode = (uint8_t)api->match_mode;
    record->schemes = (uint8_t)api->schemes;
    record->auth = (uint8_t)api->auth;
    record->app_code = api->app_code;
    record->cors = api->cors;
    record->backend_type = (uint8_t)api->backend_type;
    record->has_sign = api->sign_id[0] != '\0';
    record->has_throttle = api->throttle_id[0] != '\0';
    copy_id(record->publish_id, api->publish_id);
    copy_id(record->api_id, api->api_id);
    copy_id(record->group_id, api->group_id);
    copy_id(record->sign_id, api->sign_id);
    copy_id(record->throttle_id, api->throttle_id);
}

int
image_write_api(struct image_writer *writer, struct sl_img_api *record, const struct sl_api *api)
{
    const struct backend own = {&api->http, &api->mock, api->backend_params,
                                api->backend_param_count};
    fill_numbers(record, api);
    if (image_put_text(writer, &record->env_id, api->env_id) != 0 ||
        image_put_text(writer, &record->env_name, api->env_name) != 0 ||
        image_put_text(writer, &record->name, api->name) != 0 ||
        image_put_text(writer, &record->path, api->path) != 0) {
        return -1;
    }
    return write_req_params(writer, record, api) != 0 ||
                   write_target(writer, &record->target, api, &own) != 0 ||
                   write_policies(writer, record, api) != 0
               ? -1
               : 0;
}
