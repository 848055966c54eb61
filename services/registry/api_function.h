// api_function.h - function backends of an API: func_info and policy_functions.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_REGISTRY_API_FUNCTION_H
#define SL_REGISTRY_API_FUNCTION_H

#include "services/registry/engine.h"

// Checks one function backend, `where` being the member that holds it. Refuses: FUNCTION_NOT_FOUND
// for a URN that can name no function and where the gateway has no function service, PARAM_INVALID
// (its version; what cannot be called by the API's protocol: GRPCS for GRPCS, then V2, sync and
// without parameters), PARAM_RANGE (timeout). Owns nothing.
int api_function_check(struct change *change, const json_t *backend, const char *where,
                       struct sl_error *err) SL_MUST_CHECK;

// Whether `value` can be the setting function_endpoint: http[s]://host[:port][/path], at most 255
// characters, without query, user or line break; "" takes the service away.
bool api_function_is_endpoint(const char *value);

#endif
