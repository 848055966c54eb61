// api_params.h - the rules that tie an API's paths to its parameters.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_REGISTRY_API_PARAMS_H
#define SL_REGISTRY_API_PARAMS_H

#include "services/registry/resource.h"

// A column as it will be: of the row to write, else as stored; NULL or "" when neither has it.
const json_t *api_value(const struct change *change, const char *column);
const char *api_text(const struct change *change, const char *column);

// Checks and completes req_params and backend_params and writes req_uri_shape. Refuses path
// parameters that are not declared or not used (PATH_PARAM_UNDEFINED), the same of the backend
// (BACKEND_PATH_UNDEFINED), mappings of parameters that are not declared (MAPPED_PARAM_UNDEFINED),
// names used twice (PARAM_NAME_EXISTS), names that the gateway keeps to itself and malformed paths
// (PARAM_INVALID), and authorizer variables (AUTHORIZER_PARAM).
int api_params_prepare(struct change *change, struct sl_error *err) SL_MUST_CHECK;

// Writes the shape of a path whose parameters are not known: names blanked, the rest as it is.
// Refuses (PARAM_INVALID) holes that are not whole segments. *ret_shape is the arena's.
int api_params_shape(struct sl_arena *arena, const char *uri, const char **ret_shape,
                     struct sl_error *err) SL_MUST_CHECK;

// Checks the parameters of a backend, gives each its id (that of the stored one of the same name
// and place) and its link to the request parameter. `uri` is the backend's path, NULL for none.
// Refuses as api_params_prepare() does.
int api_params_of_backend(json_t *params, const json_t *stored, const json_t *req_params,
                          const char *uri, struct sl_error *err) SL_MUST_CHECK;

// The request parameter of this name, whatever its case; NULL when none is declared.
const json_t *api_params_find(const json_t *req_params, const char *name);

#endif
