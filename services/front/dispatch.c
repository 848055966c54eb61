// dispatch.c - out to the bus and back.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/dispatch.h"

#include "common/crypto/crypto.h"
#include "services/front/reply.h"

static const char *
text_at(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

// wait_ms stands in the body or the query; the worker finds it in the body. Answers how much
// longer the command may take.
static int64_t
take_wait(const struct validate_output *input)
{
    json_t *wait = json_object_get(input->body, "wait_ms");
    if (wait == NULL && input->body != NULL) {
        wait = json_object_get(input->query, "wait_ms");
        if (wait != NULL) {
            json_object_set(input->body, "wait_ms", wait);
        }
    }
    return json_integer_value(wait);
}

static void
take_reply(void *arg, const struct sl_reply *reply)
{
    struct request *request = SL_CAST(request, REQUEST_MAGIC, arg);
    reply_result(request, reply);
    dispatch_resume(request);
}

void
dispatch_request(struct request *request, const struct sl_actor *actor,
                 const struct validate_output *input)
{
    char id[SL_ID_SIZE];
    sl_random_id(id);
    const struct sl_command command = {
        .id = id,
        .service = request->match.row->service,
        .name = request->match.row->command,
        .request_id = request->id,
        .actor = *actor,
        .project = text_at(input->path, "project_id"),
        .instance = text_at(input->path, "instance_id"),
        .path = input->path,
        .query = input->query,
        .body = input->body,
        .deadline_ms = SL_DEADLINE_MS + request->match.row->patience_ms + take_wait(input),
    };
    request->state = REQUEST_WAITING;
    MHD_suspend_connection(request->connection);
    sl_bus_call(request->bus, &command, take_reply, request);
}

void
dispatch_resume(struct request *request)
{
    struct sl_bus_client *bus = request->bus;
    MHD_resume_connection(request->connection);
    sl_bus_wake(bus);
}
