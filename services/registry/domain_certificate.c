// domain_certificate.c - 3.12.2, 3.12.6, 3.12.7, 3.26.3, 3.26.4, 3.26.8-3.26.10: which certificates
// a domain shows.
//
// One of each algorithm, whose hosts have the domain among them. Whether clients show one of theirs
// follows from whether there is an authority for them, unless the command says it.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/certificate.h"

#include "common/base/limits.h"
#include "common/crypto/crypto.h"
#include "common/db/change.h"
#include "services/registry/commands.h"
#include "services/registry/engine_write.h"

#include <stdio.h>
#include <string.h>

#define VERIFY "verified_client_certificate_enabled"

static const char domain_sql[] =
    "SELECT d.group_id, d.url_domain, d.host_key FROM group_domain d JOIN instance i"
    " ON i.id = d.instance_id AND i.project_id = $2 WHERE d.instance_id = $1 AND d.id = $3"
    " FOR NO KEY UPDATE OF d";

// $3 the gateway, $4 the domain's name.
static const char certificate_sql[] =
    "SELECT (facts -> 'san') ?| ARRAY[$4, regexp_replace($4, '^[^.]+', '*')],"
    " trusted_root_ca IS NOT NULL FROM certificate"
    " WHERE project_id = $1 AND id = $2 AND (instance_id IS NULL OR instance_id = $3)"
    " FOR KEY SHARE";

static const char attach_sql[] =
    "INSERT INTO domain_certificate (instance_id, domain_id, project_id, certificate_id, algorithm)"
    " SELECT $1, $2, project_id, id, algorithm FROM certificate WHERE project_id = $3 AND id = $4"
    " ON CONFLICT (instance_id, domain_id, certificate_id) DO NOTHING";

static const char verify_sql[] = "UPDATE group_domain SET " VERIFY " = $3 = 1"
                                 " WHERE instance_id = $1 AND id = $2";

static const char detach_sql[] =
    "DELETE FROM domain_certificate WHERE instance_id = $1 AND domain_id = $2"
    " AND project_id = $3 AND certificate_id = $4 RETURNING 1";

static const char unverified_sql[] =
    "UPDATE group_domain d SET " VERIFY " = false WHERE instance_id = $1 AND id = $2 AND " VERIFY
    " AND NOT EXISTS (SELECT FROM domain_certificate b JOIN certificate c"
    " ON c.project_id = b.project_id AND c.id = b.certificate_id WHERE b.instance_id = $1"
    " AND b.domain_id = $2 AND c.trusted_root_ca IS NOT NULL)";

// What came with a domain and is shown by none any more.
static const char orphan_sql[] =
    "DELETE FROM certificate c WHERE project_id = $1 AND id = $2 AND by_domain AND NOT EXISTS"
    " (SELECT FROM domain_certificate b WHERE b.project_id = $1 AND b.certificate_id = $2)";

// The project's domains of a name ($2), on the gateways of a JSON list ($3; NULL: on all).
static const char named_sql[] =
    "SELECT d.instance_id, d.id FROM group_domain d JOIN instance i ON i.id = d.instance_id"
    " WHERE i.project_id = $1 AND d.url_domain = lower($2)"
    " AND ($3::jsonb IS NULL OR $3::jsonb ? d.instance_id) ORDER BY d.instance_id, d.id";

static const char bound_sql[] =
    "SELECT (v.body)::text, (c.facts || c.brief)::text FROM domain_certificate_json v"
    " JOIN certificate_json c ON c.project_id = v.project_id AND c.id = v.certificate_id"
    " WHERE v.instance_id = $1 AND v.domain_id = $2 AND v.project_id = $3 AND v.certificate_id = "
    "$4";

// $3 a name; $4 limit, $5 offset
static const char list_sql[] =
    "WITH hit AS MATERIALIZED (SELECT b.instance_id, b.domain_id, b.bound_time"
    " FROM domain_certificate b JOIN group_domain d ON d.instance_id = b.instance_id"
    " AND d.id = b.domain_id WHERE b.project_id = $1 AND b.certificate_id = $2"
    " AND ($3::text IS NULL OR d.url_domain ILIKE $3)),"
    " page AS (SELECT v.body || v.place AS body, h.bound_time, h.domain_id FROM (SELECT * FROM hit"
    " ORDER BY bound_time, domain_id LIMIT $4::bigint OFFSET $5::bigint) h"
    " JOIN domain_certificate_json v ON v.instance_id = h.instance_id"
    " AND v.domain_id = h.domain_id AND v.project_id = $1 AND v.certificate_id = $2)"
    " SELECT jsonb_build_object('total', (SELECT count(*) FROM hit), 'size', count(*),"
    " 'bound_domains', coalesce(jsonb_agg(body ORDER BY bound_time, domain_id), '[]'))::text"
    " FROM page";

static const char authority_sql[] =
    "SELECT 1 FROM domain_certificate b"
    " JOIN certificate c ON c.project_id = b.project_id AND c.id = b.certificate_id"
    " WHERE b.instance_id = $1 AND b.domain_id = $2 AND c.trusted_root_ca IS NOT NULL LIMIT 1";

// A domain, and what is to be done about one certificate of it.
struct binding {
    const char *instance;    //
    const char *domain;      // its id
    const char *certificate; // its id
    const json_t *verify;    // what the command says of clients' certificates; NULL: nothing
    const char *group;       // of the path; NULL: whichever
    const char *name;        // of the domain, once it is open
    const char *host_key;    //
};

typedef int binding_fn(struct mutation *m, struct binding *binding, struct sl_error *err);

// Whoever takes the last binding away deletes what came with it, so one at a time.
static const char alone_sql[] =
    "SELECT 1 FROM certificate WHERE project_id = $1 AND id = $2 FOR UPDATE";

// All domains of these names that the project has, and then their groups.
#define NAMED_SQL                                                                                  \
    " FROM group_domain d JOIN instance i ON i.id = d.instance_id WHERE i.project_id = $1"         \
    " AND d.url_domain IN (SELECT lower(m ->> 'domain') FROM jsonb_array_elements($2::jsonb) m)"

static const char hold_domains_sql[] =
    "SELECT 1" NAMED_SQL " ORDER BY d.instance_id, d.id FOR NO KEY UPDATE OF d";

static const char hold_groups_sql[] =
    "SELECT 1 FROM api_group WHERE (instance_id, id) IN (SELECT d.instance_id, d.group_id" NAMED_SQL
    ") ORDER BY instance_id, id FOR NO KEY UPDATE";

// Locks the domain, which must be of the path's group.
static int
open_domain(struct mutation *m, struct binding *b, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, domain_sql,
               SL_PARAMS(SL_P_TEXT(b->instance), SL_P_TEXT(m->project), SL_P_TEXT(b->domain)),
               &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_URL_DOMAIN_NOT_FOUND);
    }
    if (b->group != NULL && strcmp(b->group, sl_rows_text(rows, 0, 0)) != 0) {
        return sl_fail(err, SL_E_URL_DOMAIN_ELSEWHERE);
    }
    b->name = sl_rows_text(rows, 0, 1);
    b->host_key = sl_rows_text(rows, 0, 2);
    return 0;
}

static int
touch(struct mutation *m, const struct binding *b, struct sl_error *err)
{
    m->touched = true;
    m->outcome.object_id = b->certificate;
    if (sl_runtime_touch(m->tx, m->arena, b->instance, "host", b->host_key, err) != 0) {
        return -1;
    }
    return sl_runtime_touch(m->tx, m->arena, b->instance, "certificate", b->certificate, err);
}

// Refuses what the domain cannot show; *ret_has_ca tells of an authority for clients.
static int
check_certificate(struct mutation *m, const struct binding *b, bool *ret_has_ca,
                  struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, certificate_sql,
               SL_PARAMS(SL_P_TEXT(m->project), SL_P_TEXT(b->certificate), SL_P_TEXT(b->instance),
                         SL_P_TEXT(b->name)),
               &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_CERT_NOT_FOUND);
    }
    if (!sl_rows_bool(rows, 0, 0)) {
        return sl_fail(err, SL_E_CERT_OTHER_DOMAIN);
    }
    *ret_has_ca = sl_rows_bool(rows, 0, 1);
    return 0;
}

static int
attach(struct mutation *m, struct binding *b, struct sl_error *err)
{
    bool has_ca = false;
    if (open_domain(m, b, err) != 0 || check_certificate(m, b, &has_ca, err) != 0) {
        return -1;
    }
    bool says = json_is_boolean(b->verify);
    if (says && json_is_true(b->verify) && !has_ca) {
        return sl_fail(err, SL_E_PARAM_INVALID, VERIFY);
    }
    if (sl_sql(m->tx, m->arena, attach_sql,
               SL_PARAMS(SL_P_TEXT(b->instance), SL_P_TEXT(b->domain), SL_P_TEXT(m->project),
                         SL_P_TEXT(b->certificate)),
               NULL, err) != 0) {
        return -1;
    }
    struct sl_params verify = SL_PARAMS(SL_P_TEXT(b->instance), SL_P_TEXT(b->domain),
                                        SL_P_INT(says ? json_is_true(b->verify) : has_ca));
    if ((says || has_ca) && sl_sql(m->tx, m->arena, verify_sql, verify, NULL, err) != 0) {
        return -1;
    }
    return touch(m, b, err);
}

static int
detach(struct mutation *m, struct binding *b, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (open_domain(m, b, err) != 0 ||
        sl_sql(m->tx, m->arena, detach_sql,
               SL_PARAMS(SL_P_TEXT(b->instance), SL_P_TEXT(b->domain), SL_P_TEXT(m->project),
                         SL_P_TEXT(b->certificate)),
               &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_CERT_NOT_BOUND);
    }
    if (sl_sql(m->tx, m->arena, unverified_sql,
               SL_PARAMS(SL_P_TEXT(b->instance), SL_P_TEXT(b->domain)), NULL, err) != 0) {
        return -1;
    }
    return touch(m, b, err);
}

static struct binding
binding_of_path(struct mutation *m)
{
    return (struct binding){.instance = m->instance,
                            .domain = command_path(m->command, "domain_id"),
                            .group = command_path(m->command, "group_id"),
                            .verify = json_object_get(m->command->body, VERIFY)};
}

// Locks the certificates that the body names.
static int
hold_certificates(struct mutation *m, struct sl_error *err)
{
    struct sl_str ids = {NULL, 0};
    const json_t *list = json_object_get(m->command->body, "certificate_ids");
    return engine_dump(m->arena, list, &ids, err) != 0 ? -1 : certificate_hold(m, ids.ptr, err);
}

// Does it with each certificate that the body names.
static int
each_certificate(struct mutation *m, binding_fn *act, struct sl_error *err)
{
    size_t i = 0;
    const json_t *id = NULL;
    struct binding b = binding_of_path(m);
    if (hold_certificates(m, err) != 0 || open_domain(m, &b, err) != 0) {
        return -1;
    }
    json_array_foreach(json_object_get(m->command->body, "certificate_ids"), i, id)
    {
        b.certificate = json_string_value(id);
        if (act(m, &b, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int
attach_certificates_work(struct mutation *m, struct sl_error *err)
{
    return each_certificate(m, attach, err);
}

static int
detach_certificates_work(struct mutation *m, struct sl_error *err)
{
    return each_certificate(m, detach, err);
}

int
domain_certificate_attach(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, attach_certificates_work, err);
}

int
domain_certificate_detach(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, detach_certificates_work, err);
}

// The domains of one member of the body's `domains`: each gateway that is named must have it.
static int
find_named(struct mutation *m, const json_t *member, struct sl_rows **ret_rows,
           struct sl_error *err)
{
    const json_t *gateways = json_object_get(member, "instance_ids");
    struct sl_str list = {NULL, 0};
    struct sl_param named = SL_P_NULL;
    if (json_array_size(gateways) > 0) {
        if (engine_dump(m->arena, gateways, &list, err) != 0) {
            return -1;
        }
        named = SL_P_TEXT(list.ptr);
    }
    if (sl_sql(m->tx, m->arena, named_sql,
               SL_PARAMS(SL_P_TEXT(m->project),
                         SL_P_TEXT(json_string_value(json_object_get(member, "domain"))), named),
               ret_rows, err) != 0) {
        return -1;
    }
    size_t found = sl_rows_count(*ret_rows);
    return found > 0 && found >= json_array_size(gateways)
               ? 0
               : sl_fail(err, SL_E_URL_DOMAIN_NOT_FOUND);
}

// Locks the certificate, and what the body names.
static int
hold_domains(struct mutation *m, const char *certificate, struct sl_error *err)
{
    struct sl_str names = {NULL, 0};
    if (engine_dump(m->arena, json_object_get(m->command->body, "domains"), &names, err) != 0) {
        return -1;
    }
    struct sl_params named = SL_PARAMS(SL_P_TEXT(m->project), SL_P_TEXT(names.ptr));
    const char *ids = sl_arena_printf(m->arena, "[\"%s\"]", certificate);
    return certificate_hold(m, ids, err) != 0 ||
                   sl_sql(m->tx, m->arena, hold_domains_sql, named, NULL, err) != 0
               ? -1
               : sl_sql(m->tx, m->arena, hold_groups_sql, named, NULL, err);
}

// Does it with each domain that the body names.
static int
each_domain(struct mutation *m, binding_fn *act, struct sl_error *err)
{
    size_t i = 0;
    const json_t *member = NULL;
    const char *certificate = command_path(m->command, "certificate_id");
    if (hold_domains(m, certificate, err) != 0 ||
        certificate_read_into(m, certificate, &m->outcome.before, err) != 0) {
        return -1;
    }
    json_array_foreach(json_object_get(m->command->body, "domains"), i, member)
    {
        struct sl_rows *rows = NULL;
        if (find_named(m, member, &rows, err) != 0) {
            return -1;
        }
        for (size_t n = 0; n < sl_rows_count(rows); n++) {
            struct binding b = {.instance = sl_rows_text(rows, n, 0),
                                .domain = sl_rows_text(rows, n, 1),
                                .certificate = certificate,
                                .verify = json_object_get(member, VERIFY)};
            if (act(m, &b, err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

static int
attach_domains_work(struct mutation *m, struct sl_error *err)
{
    return each_domain(m, attach, err);
}

static int
detach_domains_work(struct mutation *m, struct sl_error *err)
{
    return each_domain(m, detach, err);
}

int
certificate_attach(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, attach_domains_work, err);
}

int
certificate_detach(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, detach_domains_work, err);
}

// A binding of the path and its certificate; `column` 0: the domain with it, 1: what it says.
static int
read_binding(struct mutation *m, const struct binding *b, size_t column, const char **ret_text,
             struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, bound_sql,
               SL_PARAMS(SL_P_TEXT(b->instance), SL_P_TEXT(b->domain), SL_P_TEXT(m->project),
                         SL_P_TEXT(b->certificate)),
               &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_CERT_NOT_BOUND);
    }
    *ret_text = sl_rows_text(rows, 0, column);
    return 0;
}

static int
add_work(struct mutation *m, struct sl_error *err)
{
    char id[SL_ID_SIZE];
    struct binding b = binding_of_path(m);
    sl_random_id(id);
    b.certificate = sl_arena_dup(m->arena, id);
    struct certificate made = {b.certificate, m->instance, m->command->body, true};
    if (open_domain(m, &b, err) != 0 || certificate_insert(m, &made, err) != 0 ||
        attach(m, &b, err) != 0 || read_binding(m, &b, 0, &m->outcome.after, err) != 0) {
        return -1;
    }
    m->body = sl_str(m->outcome.after);
    return 0;
}

int
domain_certificate_add(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, add_work, err);
}

static int
remove_work(struct mutation *m, struct sl_error *err)
{
    struct binding b = binding_of_path(m);
    b.certificate = command_path(m->command, "certificate_id");
    b.verify = NULL;
    struct sl_params own = SL_PARAMS(SL_P_TEXT(m->project), SL_P_TEXT(b.certificate));
    if (sl_sql(m->tx, m->arena, alone_sql, own, NULL, err) != 0 || detach(m, &b, err) != 0) {
        return -1;
    }
    return sl_sql(m->tx, m->arena, orphan_sql, own, NULL, err);
}

int
domain_certificate_remove(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, remove_work, err);
}

static const char group_sql[] =
    "SELECT group_id FROM group_domain WHERE instance_id = $1 AND id = $2";

static int
show_work(struct mutation *m, struct sl_error *err)
{
    struct binding b = binding_of_path(m);
    struct sl_rows *rows = NULL;
    const char *text = NULL;
    b.certificate = command_path(m->command, "certificate_id");
    if (sl_sql(m->tx, m->arena, group_sql, SL_PARAMS(SL_P_TEXT(b.instance), SL_P_TEXT(b.domain)),
               &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_URL_DOMAIN_NOT_FOUND);
    }
    if (strcmp(sl_rows_text(rows, 0, 0), b.group) != 0) {
        return sl_fail(err, SL_E_URL_DOMAIN_ELSEWHERE);
    }
    if (read_binding(m, &b, 1, &text, err) != 0) {
        return -1;
    }
    m->body = sl_str(text);
    return 0;
}

int
domain_certificate_show(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return query_run(call, reply, show_work, err);
}

static int
domains_work(struct mutation *m, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const char *name = json_string_value(json_object_get(m->command->query, "url_domain"));
    bool named = name != NULL && name[0] != '\0';
    if (sl_sql(m->tx, m->arena, list_sql,
               SL_PARAMS(SL_P_TEXT(m->project),
                         SL_P_TEXT(command_path(m->command, "certificate_id")),
                         named ? SL_P_TEXT(engine_pattern(m->arena, name)) : SL_P_NULL,
                         SL_P_INT(engine_limit(m->command)), SL_P_INT(engine_offset(m->command))),
               &rows, err) != 0) {
        return -1;
    }
    m->body = sl_str(sl_rows_text(rows, 0, 0));
    return 0;
}

int
certificate_domains(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return query_run(call, reply, domains_work, err);
}

int
domain_certificate_check_verify(struct mutation *m, const char *domain, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, authority_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(domain)),
               &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) > 0 ? 0 : sl_fail(err, SL_E_PARAM_INVALID, VERIFY);
}
