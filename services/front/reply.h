// reply.h - what a client sees: finished JSON straight through, errors from their row.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_REPLY_H
#define SL_FRONT_REPLY_H

#include "services/front/document.h"
#include "services/front/front.h"

// Makes the answer from an error: its row's status and `{error_code, error_msg, request_id}`.
void reply_error(struct request *request, const struct sl_error *err);

// Makes the answer from a worker's reply (copied); status 0 is the operation's documented one.
void reply_result(struct request *request, const struct sl_reply *reply);

// Makes the answer a constant document (borrowed).
void reply_document(struct request *request, const struct document *document);

// Queues the answer on the request's connection.
enum MHD_Result reply_send(struct request *request);

#endif
