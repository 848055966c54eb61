// answer.h - what one request to the echo backend brought, and the answer made of it.
//
// An answer belongs to the thread that serves its connection. Bodies are kept whole, up to 16 MiB.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef DEPLOY_ECHO_ANSWER_H
#define DEPLOY_ECHO_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

struct answer;
struct MHD_Connection;

// Starts an answer to a request for `target` (raw path and query, copied). NULL: out of memory.
struct answer *answer_new(const char *target);

// Frees it and empties the caller's pointer; takes NULL.
void answer_free(struct answer **answer);

// Whether answer_open was called: MHD announces a request once before its body.
bool answer_is_open(const struct answer *answer);

// Marks the request as announced.
void answer_open(struct answer *answer);

// Whether answer_delay was called: it waits once.
bool answer_is_delayed(const struct answer *answer);

// Marks the request as one that waited, or waits.
void answer_delay(struct answer *answer);

// Adds a piece of the body. False: beyond the maximum.
bool answer_add_body(struct answer *answer, const char *bytes, size_t size);

// The JSON text, yours to free; its length in *ret_size. NULL: out of memory.
char *answer_json(const struct answer *answer, struct MHD_Connection *connection,
                  const char *method, size_t *ret_size);

// `size` bytes of printable filler, yours to free; the length in *ret_size too.
char *answer_filler(size_t size, size_t *ret_size);

#endif
