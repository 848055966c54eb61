// api_mock.h - what a MOCK backend answers.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_REGISTRY_API_MOCK_H
#define SL_REGISTRY_API_MOCK_H

#include "services/registry/engine.h"

// Checks the headers of a mock_info or of a policy of policy_mocks, called `where`. Refuses
// (PARAM_INVALID, naming the key) those that are the gateway's own to send.
int api_mock_check(const struct change *change, const json_t *mock, const char *where,
                   struct sl_error *err) SL_MUST_CHECK;

#endif
