// reply.c - answers, and their headers.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/reply.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

#define MESSAGE_MAX 1024 // of one error text, bytes

static void
log_error(const struct request *request, const struct sl_error *err)
{
    enum sl_log_level level = sl_error_status(err->code) >= MHD_HTTP_INTERNAL_SERVER_ERROR &&
                                      err->code != SL_E_FIELD_UNSUPPORTED &&
                                      err->code != SL_E_OPERATION_UNAVAILABLE
                                  ? SL_WARNING
                                  : SL_DEBUG;
    sl_log_error(
        level, "request refused", err, SL_LOG_STR("request_id", request->id),
        SL_LOG_STR("command", request->match.row != NULL ? request->match.row->command : "none"));
}

void
reply_error(struct request *request, const struct sl_error *err)
{
    char message[MESSAGE_MAX];
    SL_AUTO_BUF text;
    sl_buf_init(&text, 4 * MESSAGE_MAX + SL_ERROR_ARG_MAX);
    log_error(request, err);
    size_t len = sl_error_message(err, message, sizeof(message));
    sl_buf_addf(&text, "{\"error_code\":\"%s\",\"error_msg\":\"", sl_error_wire(err->code));
    sl_buf_add_json(&text, (struct sl_str){message, len});
    sl_buf_addf(&text, "\",\"request_id\":\"%s\"}", request->id);
    const char *body = text.failed ? NULL : sl_arena_dupn(request->arena, text.ptr, text.len);
    request->answer = (struct answer){.status = sl_error_status(err->code),
                                      .body = {body, body != NULL ? text.len : 0}};
    if (err->code == SL_E_METHOD_UNKNOWN) {
        request->answer.allow = sl_arena_dup(request->arena, err->args[0]);
    }
    request->state = REQUEST_ANSWERED;
}

static void
release_json(void *value)
{
    json_decref(value);
}

void
reply_result(struct request *request, const struct sl_reply *reply)
{
    if (reply->failed) {
        reply_error(request, &reply->error);
        return;
    }
    const char *body = sl_arena_dupn(request->arena, reply->body.ptr, reply->body.len);
    if (body == NULL) {
        struct sl_error err = {.code = SL_E_INTERNAL};
        (void)sl_error_detail(&err, "the reply exceeds the request's memory");
        reply_error(request, &err);
        return;
    }
    request->answer = (struct answer){
        .status = reply->status != 0 ? reply->status : request->match.row->status,
        .body = {body, reply->body.len},
    };
    json_t *headers = json_deep_copy(reply->headers);
    if (headers != NULL && sl_arena_defer(request->arena, release_json, headers) == 0) {
        request->answer.headers = headers;
    }
    request->state = REQUEST_ANSWERED;
}

void
reply_document(struct request *request, const struct document *document)
{
    request->answer = (struct answer){
        .status = MHD_HTTP_OK, .body = {document->bytes, *document->size}, .document = document};
    request->state = REQUEST_ANSWERED;
}

static void
add_headers(struct MHD_Response *response, const struct request *request)
{
    const struct answer *answer = &request->answer;
    MHD_add_response_header(response, "X-Request-Id", request->id);
    const struct document *document = answer->document;
    if (answer->body.len > 0) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                document != NULL ? document->type : "application/json");
    }
    if (document != NULL && document->encoding != NULL) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, document->encoding);
    }
    if (answer->allow != NULL) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, answer->allow);
    }
    if (document == NULL) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    }
    if (atomic_load(&request->front->draining)) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    for (void *it = json_object_iter(answer->headers); it != NULL;
         it = json_object_iter_next(answer->headers, it)) {
        const char *value = json_string_value(json_object_iter_value(it));
        if (value != NULL) {
            MHD_add_response_header(response, json_object_iter_key(it), value);
        }
    }
}

enum MHD_Result
reply_send(struct request *request)
{
    const struct answer *answer = &request->answer;
    char *bytes = (char *)(uintptr_t)answer->body.ptr;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        answer->body.len, bytes != NULL ? bytes : (char *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
    if (response == NULL) {
        return MHD_NO;
    }
    add_headers(response, request);
    enum MHD_Result queued =
        MHD_queue_response(request->connection, (unsigned)answer->status, response);
    MHD_destroy_response(response);
    return queued;
}
