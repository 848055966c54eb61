// role.c - see role.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/bus/role.h"

#include <string.h>

// One thing that a kind of role may call. The service "*" stands for every one.
struct call_rule {
    enum role_kind kind;
    const char *service; // "throttle/" covers the shards
    const char *name;    // "" all commands of the service
    bool may;            // the first rule that matches decides
};

static const struct call_rule call_rules[] = {
    {ROLE_FRONT, "*", "node.list", true},
    {ROLE_FRONT, "*", "node.", false},
    {ROLE_FRONT, "*", "", true},
    {ROLE_WORKER, "*", "", true},
    {ROLE_NODE, "publisher", "runtime.since", true},
    {ROLE_NODE, "publisher", "node.report", true},
    {ROLE_NODE, "publisher", "node.debugged", true},
    {ROLE_NODE, "throttle/", "", true},
    {ROLE_ADMIN, "bus", "", true},
    {ROLE_ADMIN, "identity", "", true},
    {ROLE_ADMIN, "registry", "", true},
    {ROLE_ADMIN, "publisher", "", true},
};

static int
set_text(char target[ROLE_TEXT_MAX], struct sl_str text, struct sl_error *err)
{
    if (text.len >= ROLE_TEXT_MAX) {
        return sl_fail(err, SL_E_CONFIG, "role is too long");
    }
    memset(target, 0, ROLE_TEXT_MAX);
    if (text.len > 0) {
        memcpy(target, text.ptr, text.len);
    }
    return 0;
}

static int
check(const struct role *role, struct sl_error *err)
{
    bool needs_rest = role->kind == ROLE_WORKER || role->kind == ROLE_NODE;
    if (needs_rest != (role->rest[0] != '\0')) {
        return sl_fail(err, SL_E_CONFIG, "role has no services or no node id");
    }
    if ((role->kind == ROLE_NODE) != (role->gateway[0] != '\0')) {
        return sl_fail(err, SL_E_CONFIG, "a node, and only a node, has a gateway");
    }
    return 0;
}

int
role_parse(struct sl_str text, struct sl_str gateway, struct role *ret_role, struct sl_error *err)
{
    static const char *const words[] = {
        [ROLE_FRONT] = "front",
        [ROLE_WORKER] = "worker",
        [ROLE_NODE] = "node",
        [ROLE_ADMIN] = "admin",
    };
    struct role role = {.kind = ROLE_FRONT};
    struct sl_str rest = text;
    struct sl_str word = sl_str_split(&rest, ':');
    size_t kind = 0;
    while (kind < SL_COUNT(words) && !sl_str_equal(word, sl_str(words[kind]))) {
        kind++;
    }
    if (kind == SL_COUNT(words)) {
        return sl_fail(err, SL_E_CONFIG, "role is not front, worker:…, node:… or admin");
    }
    role.kind = (enum role_kind)kind;
    if (set_text(role.text, text, err) != 0 || set_text(role.rest, rest, err) != 0 ||
        set_text(role.gateway, gateway, err) != 0 || check(&role, err) != 0) {
        return -1;
    }
    *ret_role = role;
    return 0;
}

static bool
matches_service(const struct call_rule *rule, struct sl_str service)
{
    struct sl_str wanted = sl_str(rule->service);
    bool is_family = wanted.ptr[wanted.len - 1] == '/';
    return strcmp(rule->service, "*") == 0 || sl_str_equal(service, wanted) ||
           (is_family && sl_str_starts(service, wanted));
}

// A rule's name covers itself, and all below it when it ends in a dot.
static bool
matches_name(const struct call_rule *rule, struct sl_str name)
{
    struct sl_str wanted = sl_str(rule->name);
    bool is_family = wanted.len == 0 || wanted.ptr[wanted.len - 1] == '.';
    return is_family ? sl_str_starts(name, wanted) : sl_str_equal(name, wanted);
}

bool
role_may_call(const struct role *role, struct sl_str service, struct sl_str name)
{
    for (size_t i = 0; i < SL_COUNT(call_rules); i++) {
        const struct call_rule *rule = &call_rules[i];
        if (rule->kind == role->kind && matches_service(rule, service) &&
            matches_name(rule, name)) {
            return rule->may;
        }
    }
    return false;
}

bool
role_may_act(const struct role *role)
{
    return role->kind == ROLE_FRONT || role->kind == ROLE_ADMIN;
}

// "throttle" in a role covers "throttle" and "throttle/17".
static bool
has_service(const struct role *role, struct sl_str service)
{
    struct sl_str rest = sl_str(role->rest);
    while (rest.ptr != NULL) {
        struct sl_str own = sl_str_trim(sl_str_split(&rest, ','));
        bool is_below =
            service.len > own.len && sl_str_starts(service, own) && service.ptr[own.len] == '/';
        if (own.len > 0 && (is_below || sl_str_equal(service, own))) {
            return true;
        }
    }
    return false;
}

bool
role_may_offer(const struct role *role, struct sl_str service)
{
    return role->kind == ROLE_WORKER && has_service(role, service);
}

bool
role_may_publish(const struct role *role, struct sl_str topic)
{
    if (role->kind != ROLE_WORKER) {
        return false;
    }
    if (sl_str_starts(topic, SL_STR("rt/")) || sl_str_starts(topic, SL_STR("head/"))) {
        return has_service(role, SL_STR("publisher"));
    }
    if (sl_str_starts(topic, SL_STR("node/"))) {
        return has_service(role, SL_STR("throttle"));
    }
    return sl_str_starts(topic, SL_STR("wake/"));
}

// Whether `topic` is exactly `family` and `name` joined.
static bool
is_topic(struct sl_str topic, struct sl_str family, const char *name)
{
    return sl_str_starts(topic, family) &&
           sl_str_equal((struct sl_str){topic.ptr + family.len, topic.len - family.len},
                        sl_str(name));
}

bool
role_may_subscribe(const struct role *role, struct sl_str prefix)
{
    static const struct sl_str rt = {"rt/", 3};
    static const struct sl_str head = {"head/", 5};
    static const struct sl_str node = {"node/", 5};
    switch (role->kind) {
    case ROLE_FRONT:
        return is_topic(prefix, rt, "control") || is_topic(prefix, head, "control");
    case ROLE_NODE:
        return is_topic(prefix, rt, role->gateway) || is_topic(prefix, head, role->gateway) ||
               is_topic(prefix, node, role->rest);
    case ROLE_WORKER:
        return sl_str_starts(prefix, SL_STR("wake/")) || sl_str_starts(prefix, rt) ||
               sl_str_starts(prefix, head);
    case ROLE_ADMIN:
        return false;
    }
    return false;
}
