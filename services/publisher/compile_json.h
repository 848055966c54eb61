// compile_json.h - reading the members of a published definition.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_PUBLISHER_COMPILE_JSON_H
#define SL_PUBLISHER_COMPILE_JSON_H

#include "services/publisher/compile.h"

// A word and what model.h makes of it; lists of them end in {NULL, 0}.
struct compile_word {
    const char *text; // as the API writes it
    int value;        // as model.h counts it
};

extern const struct compile_word compile_methods[];
extern const struct compile_word compile_schemes[]; // bits of enum sl_scheme_set
extern const struct compile_word compile_locations[];

// A text member; "" when it is absent. A copy in the arena: the JSON goes before the entry does.
const char *compile_text(struct sl_arena *arena, const json_t *object, const char *name);

// The value of a word member; -1 (ENTRY_BROKEN, naming it) for any other word.
int compile_word(const json_t *object, const char *name, const struct compile_word *words,
                 struct sl_error *err) SL_MUST_CHECK;

// The backend of the API, its parameters and its policies, by api->backend_type, which becomes GRPC
// for functions of an API over GRPCS (api->schemes). An address or a
// path whose #name# cannot be resolved any more leaves the host empty: calls fail, all else holds.
// Refuses (ENTRY_BROKEN) what no node can call.
int compile_backend(struct sl_arena *arena, const json_t *definition,
                    const struct variables *variables, struct sl_api *api,
                    struct sl_error *err) SL_MUST_CHECK;

// Host, port and path of http from url_domain and req_uri; the port stays when there is none.
// A channel in place of url_domain leaves the host as it is.
// Refuses VARIABLE_UNDEFINED, and ENTRY_BROKEN (naming the member) what is no host[:port] or too
// long once it is resolved.
int compile_address(struct sl_arena *arena, const json_t *from, const struct variables *variables,
                    struct sl_http_backend *http, struct sl_error *err) SL_MUST_CHECK;

// Splits `host[:port]` (or `[v6]:port`), in lower case, in place: http takes views of it. The port
// stays when there is none. Refuses ENTRY_BROKEN, naming url_domain.
int compile_split(char *address, struct sl_http_backend *http, struct sl_error *err) SL_MUST_CHECK;

// Where a function is invoked: `from` is func_info or a policy of policy_functions. Without a
// function service, or when its URL leads nowhere, the host stays empty: calls fail. What is called
// by GRPCS gets its URN as http->function.
int compile_function(struct sl_arena *arena, const json_t *from, const struct variables *variables,
                     struct sl_http_backend *http, struct sl_error *err) SL_MUST_CHECK;

#endif
