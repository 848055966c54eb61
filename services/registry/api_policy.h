// api_policy.h - the backend policies of an API: policy_https and policy_mocks.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_REGISTRY_API_POLICY_H
#define SL_REGISTRY_API_POLICY_H

#include "services/registry/engine.h"

// Checks the policies of a changed API and completes them: ids, links to request parameters,
// defaults. Policies of the other backend type are emptied, and refused when the body has some.
// Refuses: POLICY_NAME_EXISTS (twice in one API), PARAM_MISSING and PARAM_INVALID (naming the
// member), PARAM_RANGE (timeout), and what api_params_of_backend() refuses.
int api_policy_prepare(struct change *change, struct sl_error *err) SL_MUST_CHECK;

// Checks how a backend_api or a policy of policy_https, called `where`, is spoken to: a GRPC API
// calls by GRPCS, POST and "/", an HTTP API by anything but GRPCS. Refuses PARAM_INVALID.
int api_policy_check_web(const struct change *change, const json_t *backend, const char *where,
                         struct sl_error *err) SL_MUST_CHECK;

// Refuses (PARAM_RANGE, calling it `name`) a timeout that the gateway does not allow.
int api_check_timeout(struct change *change, const json_t *backend, const char *name,
                      struct sl_error *err) SL_MUST_CHECK;

// Refuses (FEATURE_CONFIG_NOT_FOUND) while the gateway has no certificate to show to backends.
int api_check_certificate(struct mutation *m, struct sl_error *err) SL_MUST_CHECK;

// Whether the text is a regular expression that nodes can compile.
bool api_policy_is_pattern(const char *text);

#endif
