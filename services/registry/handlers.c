// handlers.c - the commands that sluice-registry answers, sorted by name.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

// What a descriptor cannot say; everything else is the engine's.
const struct sl_handler registry_handlers[] = {
    {"*", engine_handle},
    {"api.check", api_check},
    {"api.runtime", api_runtime},
    {"app.reset_secret", app_reset_secret},
    {"app.validate", app_validate},
    {"app_acl.read", app_acl_read},
    {"app_acl.remove", app_acl_remove},
    {"app_acl.set", app_acl_set},
    {"app_auth.create", app_auth_create},
    {"app_code.generate", app_code_generate},
    {"app_quota.bind", app_quota_bind},
    {"app_quota.of_app", app_quota_of_app},
    {"channel_group.put", channel_group_put},
    {"channel_health.set", channel_health_set},
    {"channel_member.add", channel_member_add},
    {"channel_member.disable", channel_member_disable},
    {"channel_member.enable", channel_member_enable},
    {"channel_member.replace", channel_member_replace},
    {"feature.names", feature_names},
    {"feature.set", feature_set},
    {"group.check", group_check},
    {"group.set_access", group_set_access},
    {"instance.all", instance_all},
    {"instance.create", instance_create},
    {"instance.delete", instance_delete},
    {"instance.list", instance_list},
    {"instance.read", instance_read},
    {"instance.set", instance_set},
    {"instance.update", instance_update},
    {"outline.apis", outline_apis},
    {"outline.apps", outline_apps},
    {"outline.groups", outline_groups},
    {"tag.list", tag_list},
    {"throttle_binding.create", throttle_binding_create},
    {"throttle_binding.unbind", throttle_binding_unbind},
};

const size_t registry_handler_count = SL_COUNT(registry_handlers);
