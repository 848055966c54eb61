// commands.h - the commands that are more than a descriptor, and what their files share.
//
// Each is a handler for the worker loop (struct registry is the call's context). handlers.c lists
// them.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_REGISTRY_COMMANDS_H
#define SL_REGISTRY_COMMANDS_H

#include "services/registry/engine.h"

// Every command by name; "*" is the engine's. Static, for all threads.
extern const struct sl_handler registry_handlers[];
extern const size_t registry_handler_count;

#define ENV_RELEASE_ID   "DEFAULT_ENVIRONMENT_RELEASE_ID"
#define ENV_RELEASE_NAME "RELEASE"

// The first id of a JSON array ($2) that names no row of the gateway ($1); what there is stays
// until the command ends, as whoever deletes it waits.
#define COMMAND_MISSING_SQL(table)                                                                 \
    "WITH there AS (SELECT id FROM " table " WHERE instance_id = $1 AND id = ANY (ARRAY"           \
    " (SELECT jsonb_array_elements_text($2::jsonb))) ORDER BY id FOR KEY SHARE)"                   \
    " SELECT x FROM jsonb_array_elements_text($2::jsonb) x WHERE x NOT IN (SELECT id FROM there)"  \
    " LIMIT 1"

// 3.1.6: GROUP_EXISTS when a group has the name.
sl_handler_fn group_check;

// 3.12.5: whether the group's debugging domain routes.
sl_handler_fn group_set_access;

// 3.28.4 and 3.28.5.
sl_handler_fn app_reset_secret;
sl_handler_fn app_validate;

// 3.28.14-3.28.16: from where an app may call (APP_UNKNOWN; PARAM_INVALID naming a wrong value).
sl_handler_fn app_acl_set;
sl_handler_fn app_acl_read;
sl_handler_fn app_acl_remove;

// 3.29.7: one quota for each app; another one is replaced (QUOTA_UNKNOWN, APP_UNKNOWN). 3.28.13:
// the quota of an app, empty without one.
sl_handler_fn app_quota_bind;
sl_handler_fn app_quota_of_app;

// 3.28.9: an AppCode that the client did not choose.
sl_handler_fn app_code_generate;

// 3.10.1: each app for each API, with a result a pair.
sl_handler_fn app_auth_create;

// 3.8.1: one policy for each publication; another policy is replaced.
sl_handler_fn throttle_binding_create;

// 3.6.1 and 3.6.3 as the engine does them; a key pair that they have to make is there before their
// transaction begins.
sl_handler_fn sign_write;

// 3.7.1: one signature key for each publication; another one is replaced.
sl_handler_fn sign_binding_create;

// 3.8.6: ends several bindings, with a reason for each that does not end.
sl_handler_fn throttle_binding_unbind;

// 3.26.1, 3.26.2, 3.26.5-3.26.7: certificates of the caller's project (CERT_NOT_FOUND,
// CERT_EXISTS; CERT_IN_USE while domains show it).
sl_handler_fn certificate_create;
sl_handler_fn certificate_delete;
sl_handler_fn certificate_list;
sl_handler_fn certificate_read;
sl_handler_fn certificate_update;

// 3.26.8-3.26.10: the domains that show a certificate (URL_DOMAIN_NOT_FOUND, CERT_OTHER_DOMAIN,
// CERT_DIFFERENT, CERT_NOT_BOUND).
sl_handler_fn certificate_attach;
sl_handler_fn certificate_detach;
sl_handler_fn certificate_domains;

// 3.12.2, 3.26.3, 3.26.4, 3.12.6, 3.12.7: the certificates that a domain shows; likewise.
sl_handler_fn domain_certificate_add;
sl_handler_fn domain_certificate_attach;
sl_handler_fn domain_certificate_detach;
sl_handler_fn domain_certificate_remove;
sl_handler_fn domain_certificate_show;

// 3.21.1: sets a feature, once a minute; refuses FEATURE_UNKNOWN, FEATURE_UNSUPPORTED,
// FEATURE_TOO_SOON. 3.21.3: the names of those that this gateway has.
sl_handler_fn feature_set;
sl_handler_fn feature_names;

// 3.11.1-3.11.3: quantities. 3.20.1: the labels of APIs, each once.
sl_handler_fn outline_apis;
sl_handler_fn outline_groups;
sl_handler_fn outline_apps;
sl_handler_fn tag_list;

// 3.5.7: refuses API_NAME_TAKEN or API_EXISTS when the name or the path is taken. 3.5.12: the
// definition that an environment serves (RELEASE when none is named).
sl_handler_fn api_check;
sl_handler_fn api_runtime;

// 3.17.6, 3.17.8, 3.17.10, 3.17.11: the servers of a channel (CHANNEL_NOT_FOUND). Switching refuses
// CHANNEL_MEMBER_NOT_FOUND, naming the first that there is not, and then switches none.
sl_handler_fn channel_member_add;
sl_handler_fn channel_member_replace;
sl_handler_fn channel_member_enable;
sl_handler_fn channel_member_disable;

// 3.17.13: its groups, by their names. 3.17.12: how its servers are probed.
sl_handler_fn channel_group_put;
sl_handler_fn channel_health_set;

// 3.23.2 and 3.23.14.
sl_handler_fn instance_read;
sl_handler_fn instance_list;

// For sluice-admin only (BUS_FORBIDDEN): gateways and their settings.
sl_handler_fn instance_all;
sl_handler_fn instance_create;
sl_handler_fn instance_update;
sl_handler_fn instance_delete;
sl_handler_fn instance_set;

// Ends the authorisations of an API or environment that goes (`column`: "api_id" or "env_id"):
// gives back their quota and republishes the apps.
int app_auth_forget(struct mutation *m, const char *column, const char *id,
                    struct sl_error *err) SL_MUST_CHECK;

// Refuses (PARAM_RANGE, naming time_interval) a window that time_interval and time_unit, as they
// will be, make longer than limits can count in.
int throttle_check_window(const struct change *change, struct sl_error *err) SL_MUST_CHECK;

// Ends the excluded throttles of an app that goes: gives back their quota and republishes the
// policies.
int throttle_special_forget(struct mutation *m, const char *app_id,
                            struct sl_error *err) SL_MUST_CHECK;

// Refuses (URL_DOMAIN_ELSEWHERE) a row of group_domain that is not of the path's group.
int url_domain_check_group(const struct mutation *m, const json_t *domain,
                           struct sl_error *err) SL_MUST_CHECK;

// Refuses (PARAM_INVALID, naming it) to verify clients of a domain none of whose certificates has
// an authority for them.
int domain_certificate_check_verify(struct mutation *m, const char *domain,
                                    struct sl_error *err) SL_MUST_CHECK;

// Marks the entries of all domains of a group that goes, which take their rows along.
int url_domain_forget(struct mutation *m, const char *group, struct sl_error *err) SL_MUST_CHECK;

// One of the gateway's numeric settings, or its default.
int instance_number(struct mutation *m, const char *name, int64_t *ret_value,
                    struct sl_error *err) SL_MUST_CHECK;

#endif
