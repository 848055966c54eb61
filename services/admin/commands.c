// commands.c - every command of sluice-admin, one row each.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/admin/admin.h"

#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }
#define DOMAIN                                                                                     \
    {                                                                                              \
        "--domain", "domain", OPTION_TEXT, true, "NAME", "account, by name or id"                  \
    }
#define USER                                                                                       \
    {                                                                                              \
        "--user", "user", OPTION_TEXT, true, "NAME", "user, by name or id"                         \
    }
#define OUT                                                                                        \
    {                                                                                              \
        "--out", "out", OPTION_TEXT, true, "FILE", "file to write, mode 0600; must not exist"      \
    }
#define ALLOW                                                                                      \
    {                                                                                              \
        "--allow", "allow", OPTION_LIST, true, "DIR", "allow-list directory of a bus; repeatable"  \
    }
#define BUS                                                                                        \
    {                                                                                              \
        "--bus", "bus", OPTION_LIST, true, "FILE",                                                 \
            "peer file whose buses the new one gets; repeatable"                                   \
    }
#define GATEWAY                                                                                    \
    {                                                                                              \
        "--gateway", "gateway", OPTION_TEXT, true, "ID", "gateway, by id"                          \
    }
#define SECONDS                                                                                    \
    {                                                                                              \
        "--seconds", "seconds", OPTION_NUMBER, false, "SECONDS", "at most; 60 if not said"         \
    }
#define OVER                                                                                       \
    {                                                                                              \
        "--over", "over", OPTION_TEXT, false, "TRANSPORT",                                         \
            "tcp or ipc, where a bus has several addresses"                                        \
    }

static const struct option_row no_options[] = {END};
static const struct option_row out_options[] = {OUT, END};
static const struct option_row bus_options[] = {
    OUT,
    {"--commands", "commands", OPTION_TEXT, true, "ADDRESS",
     "where clients connect; several by blanks"},
    {"--workers", "workers", OPTION_TEXT, true, "ADDRESS",
     "where workers connect; several by blanks"},
    {"--events", "events", OPTION_TEXT, true, "ADDRESS",
     "where followers connect; several by blanks"},
    END,
};
static const struct option_row peer_options[] = {
    {"--role", "role", OPTION_TEXT, true, "ROLE", "front, admin, worker:SERVICE[,SERVICE...]"},
    BUS,
    OVER,
    ALLOW,
    OUT,
    END,
};
static const struct option_row id_options[] = {
    {"--id", "id", OPTION_TEXT, false, "ID", "id instead of a random one"},
    END,
};
static const struct option_row project_options[] = {
    DOMAIN,
    {"--id", "id", OPTION_TEXT, false, "ID", "id instead of a random one"},
    END,
};
static const struct option_row domain_options[] = {DOMAIN, END};
static const struct option_row user_create_options[] = {
    DOMAIN,
    {"--password-stdin", "password", OPTION_STDIN, false, NULL, "read the password"},
    {"--generate", "password", OPTION_GENERATE, false, NULL, "make a password and show it"},
    {"--policy", "policies", OPTION_LIST, false, "POLICY", "attach a policy; repeatable"},
    END,
};
static const struct option_row user_update_options[] = {
    DOMAIN,
    {"--password-stdin", "password", OPTION_STDIN, false, NULL, "read a new password"},
    {"--generate", "password", OPTION_GENERATE, false, NULL, "make a new password and show it"},
    {"--enable", "enabled", OPTION_TRUE, false, NULL, "let the user in"},
    {"--disable", "enabled", OPTION_FALSE, false, NULL, "keep the user out"},
    {"--revoke", "revoke", OPTION_TRUE, false, NULL, "end all tokens issued so far"},
    END,
};
static const struct option_row key_create_options[] = {
    USER,
    DOMAIN,
    {"--project", "project", OPTION_TEXT, false, "NAME", "only for this project, by name or id"},
    {"--expires-in", "expires_in", OPTION_NUMBER, false, "SECONDS", "key that ends"},
    {"--temporary", "temporary", OPTION_NUMBER, false, "SECONDS",
     "key that ends (24 h at most) and needs its security token"},
    END,
};
static const struct option_row user_options[] = {USER, DOMAIN, END};
static const struct option_row document_options[] = {
    {"--document", "document", OPTION_JSON, true, "FILE", "IAM policy, JSON 1.1"},
    END,
};
static const struct option_row gateway_create_options[] = {
    {"--project", "project", OPTION_TEXT, true, "ID", "project, by id"},
    {"--id", "id", OPTION_TEXT, false, "ID", "id instead of a random one"},
    {"--description", "description", OPTION_TEXT, false, "TEXT", "for people"},
    {"--domain-suffix", "domain_suffix", OPTION_TEXT, false, "HOST",
     "debugging domains become GROUP.HOST"},
    {"--address", "addresses", OPTION_LIST, false, "IP",
     "address that leads to the group DEFAULT; repeatable"},
    END,
};
static const struct option_row gateway_update_options[] = {
    {"--name", "name", OPTION_TEXT, false, "NAME", "another name"},
    {"--description", "description", OPTION_TEXT, false, "TEXT", "for people"},
    {"--address", "addresses", OPTION_LIST, false, "IP",
     "address that leads to the group DEFAULT, instead of all before; repeatable"},
    END,
};
static const struct option_row node_add_options[] = {
    {"--gateway", "gateway", OPTION_TEXT, true, "ID", "gateway that it serves, by id"},
    BUS,
    OVER,
    ALLOW,
    OUT,
    END,
};
static const struct option_row node_remove_options[] = {ALLOW, END};
static const struct option_row gateway_options[] = {GATEWAY, END};
static const struct option_row service_wait_options[] = {SECONDS, END};
static const struct option_row node_wait_options[] = {GATEWAY, SECONDS, END};

#define OFFLINE(text, about, function, ...)                                                        \
    {                                                                                              \
        .words = (text), .summary = (about), .run = (function), __VA_ARGS__                        \
    }
#define ONLINE(text, about, to, name, ...)                                                         \
    {                                                                                              \
        .words = (text), .summary = (about), .service = (to), .command = (name), __VA_ARGS__       \
    }
#define OBJECT(member, shown) .object = (member), .object_word = (shown)

const struct command_row command_rows[] = {
    OFFLINE("seal-key new", "make the deployment's sealing key", offline_seal_key,
            .options = out_options),
    OFFLINE("bus new", "make a bus's key and peer file", offline_bus, OBJECT("name", "NAME"),
            .options = bus_options),
    OFFLINE("peer new", "make a process's key and peer file, and let it in", offline_peer,
            OBJECT("name", "NAME"), .options = peer_options),
    OFFLINE("service wait", "wait until services answer: identity, publisher, registry, throttle",
            service_wait, OBJECT("services", "NAME[,NAME...]"), .options = service_wait_options),
    ONLINE("domain create", "make an account", "identity", "domain.create", OBJECT("name", "NAME"),
           .options = id_options),
    ONLINE("domain list", "list accounts", "identity", "domain.list", .options = no_options),
    ONLINE("project create", "make a project", "identity", "project.create", OBJECT("name", "NAME"),
           .options = project_options),
    ONLINE("project list", "list an account's projects", "identity", "project.all",
           .options = domain_options),
    ONLINE("user create", "make a user", "identity", "user.create", OBJECT("name", "NAME"),
           .options = user_create_options),
    ONLINE("user update", "change a user, end tokens", "identity", "user.update",
           OBJECT("user", "USER"), .options = user_update_options),
    ONLINE("user delete", "delete a user and all keys", "identity", "user.delete",
           OBJECT("user", "USER"), .options = domain_options),
    ONLINE("user list", "list an account's users", "identity", "user.list",
           .options = domain_options),
    ONLINE("access-key create", "make an access key; its secret is shown once", "identity",
           "access_key.create", .options = key_create_options),
    ONLINE("access-key delete", "delete an access key", "identity", "access_key.delete",
           OBJECT("access", "KEY"), .options = no_options),
    ONLINE("access-key list", "list a user's access keys", "identity", "access_key.list",
           .options = user_options),
    ONLINE("policy create", "make or replace a policy", "identity", "policy.create",
           OBJECT("name", "NAME"), .options = document_options),
    ONLINE("policy delete", "delete a policy that nobody has", "identity", "policy.delete",
           OBJECT("name", "NAME"), .options = no_options),
    ONLINE("policy list", "list policies", "identity", "policy.list", .options = no_options),
    ONLINE("policy attach", "give a user a policy", "identity", "policy.attach",
           OBJECT("policy", "POLICY"), .options = user_options),
    ONLINE("policy detach", "take a policy from a user", "identity", "policy.detach",
           OBJECT("policy", "POLICY"), .options = user_options),
    ONLINE("gateway create", "make a gateway", "registry", "instance.create",
           OBJECT("name", "NAME"), .options = gateway_create_options),
    ONLINE("gateway list", "list gateways", "registry", "instance.all", .options = no_options),
    ONLINE("gateway update", "rename a gateway, change its addresses", "registry",
           "instance.update", OBJECT("id", "ID"), .options = gateway_update_options),
    ONLINE("gateway delete", "delete a gateway with all that is in it; without nodes only",
           "registry", "instance.delete", OBJECT("id", "ID"), .options = no_options),
    ONLINE("gateway set", "change settings of a gateway", "registry", "instance.set",
           OBJECT("id", "ID"), .pairs = "settings", .options = no_options),
    ONLINE("node add", "make a node's key, register it, write its file", "publisher", "node.add",
           OBJECT("id", "NODE"), .options = node_add_options, .run = node_add),
    ONLINE("node remove", "shut a node out", "publisher", "node.remove", OBJECT("id", "NODE"),
           .options = node_remove_options, .run = node_remove),
    OFFLINE("node wait", "wait until all nodes of a gateway are ready, and list them", node_wait,
            .options = node_wait_options),
    ONLINE("node list", "list a gateway's nodes", "publisher", "node.list",
           .options = gateway_options),
    {.words = NULL},
};
