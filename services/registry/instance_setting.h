// instance_setting.h - the settings of a gateway: their names, defaults and bounds.
//
// Stored only where they differ from the default (table instance_setting). Quotas are settings too:
// `quota_<name>`, with the default of the descriptor.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_REGISTRY_INSTANCE_SETTING_H
#define SL_REGISTRY_INSTANCE_SETTING_H

#include "services/registry/mutation.h"

// Stores a setting of m->instance; an empty or NULL value brings the default back. Refuses
// (GATEWAY_SETTING) an unknown name and a value outside its bounds.
int instance_setting_put(struct mutation *m, const char *name, const char *value,
                         struct sl_error *err) SL_MUST_CHECK;

// What a number's setting is where nothing is stored; asserts that there is one of this name.
int64_t instance_setting_default(const char *name);

// The documented default of a quota; asserts that a descriptor has it.
int64_t instance_quota_default(const char *quota);

#endif
