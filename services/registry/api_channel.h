// api_channel.h - the load balance channel that an API's backend may have in place of an address.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_REGISTRY_API_CHANNEL_H
#define SL_REGISTRY_API_CHANNEL_H

#include "services/registry/resource.h"

// Leaves `backend` (backend_api or a policy of policy_https, called `where`) with a channel, which
// exists until the command ends, or with url_domain; not both. Refuses PARAM_MISSING and
// CHANNEL_NOT_FOUND.
int api_channel_prepare(struct change *change, json_t *backend, const char *where,
                        struct sl_error *err) SL_MUST_CHECK;

#endif
