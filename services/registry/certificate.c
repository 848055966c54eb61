// certificate.c - 3.26: certificates of a project or of one of its gateways.
//
// What a certificate says is read once, when it comes in. Its private key is sealed, leaves by the
// publisher only, and stands in no record of changes. Commands name no gateway in their path, so
// each statement asks for the caller's project.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/certificate.h"

#include "common/base/limits.h"
#include "common/crypto/certificate.h"
#include "common/crypto/crypto.h"
#include "services/registry/commands.h"
#include "services/registry/engine_write.h"
#include "services/registry/instance_setting.h"

#include <string.h>

static const char gateway_sql[] =
    "SELECT 1 FROM instance WHERE id = $1 AND project_id = $2 FOR KEY SHARE";

// Creations are counted one after another.
static const char project_sql[] = "SELECT 1 FROM project WHERE id = $1 FOR NO KEY UPDATE";

// Whether the project has as many as any of its gateways lets it have; $2 the setting, $3 its
// default.
static const char full_sql[] =
    "SELECT 1 FROM certificate WHERE project_id = $1 HAVING count(*) >= coalesce((SELECT"
    " max(coalesce(s.value::bigint, $3)) FROM instance i LEFT JOIN instance_setting s"
    " ON s.instance_id = i.id AND s.name = $2 WHERE i.project_id = $1), $3)";

static const char insert_sql[] =
    "INSERT INTO certificate (project_id, id, instance_id, name, content, certificate_key,"
    " trusted_root_ca, algorithm, facts, by_domain)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb ->> 'algorithm', $8::jsonb, $9 = 1)";

static const char lock_sql[] =
    "SELECT brief::text FROM certificate_json WHERE project_id = $1 AND id = $2 AND EXISTS"
    " (SELECT FROM certificate WHERE project_id = $1 AND id = $2 FOR UPDATE)";

// What a changed certificate changes in turn.
#define SHOWN_SQL                                                                                  \
    " JOIN domain_certificate b ON b.instance_id = d.instance_id AND b.domain_id = d.id"           \
    " WHERE b.project_id = $1 AND b.certificate_id = $2"

static const char domains_sql[] =
    "SELECT 1 FROM group_domain d" SHOWN_SQL " ORDER BY d.instance_id, d.id"
    " FOR NO KEY UPDATE OF d";

static const char groups_sql[] =
    "SELECT 1 FROM api_group WHERE (instance_id, id) IN (SELECT d.instance_id, d.group_id"
    " FROM group_domain d" SHOWN_SQL ") ORDER BY instance_id, id FOR NO KEY UPDATE";

static const char hold_sql[] = "SELECT 1 FROM certificate WHERE project_id = $1 AND id IN"
                               " (SELECT jsonb_array_elements_text($2::jsonb)) ORDER BY id"
                               " FOR KEY SHARE";

// $7: 0 leaves the authority alone.
static const char update_sql[] =
    "UPDATE certificate SET name = $3, content = $4, certificate_key = $5,"
    " trusted_root_ca = CASE WHEN $7 = 1 THEN $6 ELSE trusted_root_ca END,"
    " algorithm = $8::jsonb ->> 'algorithm', facts = $8::jsonb, update_time = now()"
    " WHERE project_id = $1 AND id = $2";

// $3 NULL: of all gateways. Answers a row when another gateway's domain shows it.
static const char move_sql[] =
    "WITH moved AS (UPDATE certificate SET instance_id = $3 WHERE project_id = $1 AND id = $2)"
    " SELECT 1 FROM domain_certificate WHERE project_id = $1 AND certificate_id = $2"
    " AND instance_id <> $3 LIMIT 1";

// Whether a domain that shows it is none of the hosts it is for.
static const char unfit_sql[] =
    "SELECT 1 FROM domain_certificate b"
    " JOIN certificate c ON c.project_id = b.project_id AND c.id = b.certificate_id"
    " JOIN group_domain d ON d.instance_id = b.instance_id AND d.id = b.domain_id"
    " WHERE b.project_id = $1 AND b.certificate_id = $2"
    " AND NOT (c.facts -> 'san') ?| ARRAY[d.url_domain, regexp_replace(d.url_domain, '^[^.]+', "
    "'*')]"
    " LIMIT 1";

static const char touch_sql[] =
    "INSERT INTO runtime_change (gateway_id, kind, key) SELECT DISTINCT instance_id, 'certificate',"
    " certificate_id FROM domain_certificate WHERE project_id = $1 AND certificate_id = $2";

static const char settle_sql[] =
    "WITH off AS (UPDATE group_domain d SET verified_client_certificate_enabled = false"
    " FROM domain_certificate b WHERE b.project_id = $1 AND b.certificate_id = $2"
    " AND d.instance_id = b.instance_id AND d.id = b.domain_id"
    " AND d.verified_client_certificate_enabled AND NOT EXISTS (SELECT FROM domain_certificate o"
    " JOIN certificate c ON c.project_id = o.project_id AND c.id = o.certificate_id"
    " WHERE o.instance_id = d.instance_id AND o.domain_id = d.id"
    " AND c.trusted_root_ca IS NOT NULL) RETURNING d.instance_id, d.host_key)"
    " INSERT INTO runtime_change (gateway_id, kind, key) SELECT instance_id, 'host', host_key"
    " FROM off";

static const char read_sql[] = "SELECT (brief || facts)::text FROM certificate_json"
                               " WHERE project_id = $1 AND id = $2";

static const char delete_sql[] = "DELETE FROM certificate WHERE project_id = $1 AND id = $2";

// $1 project, $2 gateway, $3 name, $4 common name, $5 signature algorithm, $6 type, $7 limit,
// $8 offset
static const char list_sql[] =
    "WITH hit AS MATERIALIZED (SELECT id, create_time FROM certificate WHERE project_id = $1"
    " AND (instance_id IS NULL OR instance_id = $2) AND ($3::text IS NULL OR name ILIKE $3)"
    " AND ($4::text IS NULL OR facts ->> 'common_name' ILIKE $4)"
    " AND ($5::text IS NULL OR facts ->> 'signature_algorithm' = $5)"
    " AND ($6::text IS NULL OR (instance_id IS NULL) = ($6 = 'global'))),"
    " page AS (SELECT v.brief || jsonb_build_object('common_name', v.facts -> 'common_name',"
    " 'san', v.facts -> 'san', 'not_after', v.facts -> 'not_after', 'signature_algorithm',"
    " v.facts -> 'signature_algorithm') AS body, h.create_time, h.id"
    " FROM (SELECT * FROM hit ORDER BY create_time, id LIMIT $7::bigint OFFSET $8::bigint) h"
    " JOIN certificate_json v ON v.project_id = $1 AND v.id = h.id)"
    " SELECT jsonb_build_object('total', (SELECT count(*) FROM hit), 'size', count(*), 'certs',"
    " coalesce(jsonb_agg(body ORDER BY create_time, id), '[]'))::text FROM page";

static const char *
body_text(const json_t *body, const char *field)
{
    const char *text = json_string_value(json_object_get(body, field));
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static struct sl_param
text_or_null(const char *text)
{
    return text != NULL ? SL_P_TEXT(text) : SL_P_NULL;
}

// What is stored of a certificate's body beside its name.
struct stored {
    const char *facts;    // JSON
    struct sl_str sealed; // private key
};

static int
check_body(struct mutation *m, const char *id, const json_t *body, struct stored *ret_stored,
           struct sl_error *err)
{
    struct sl_str chain = sl_str(json_string_value(json_object_get(body, "cert_content")));
    struct sl_str key = sl_str(json_string_value(json_object_get(body, "private_key")));
    struct sl_str context = sl_str(sl_arena_printf(m->arena, "certificate_key:%s", id));
    struct sl_str facts = {NULL, 0};
    const char *ca = body_text(body, "trusted_root_ca");
    if (sl_certificate_check(chain, key, err) != 0 ||
        (ca != NULL && sl_certificate_check_ca(sl_str(ca), err) != 0)) {
        return -1;
    }
    json_t *read = sl_certificate_facts(chain, err);
    if (read == NULL) {
        return -1;
    }
    if (engine_keep(m->arena, read, err) != 0 || engine_dump(m->arena, read, &facts, err) != 0 ||
        sl_seal(m->arena, m->registry->key, context, key, &ret_stored->sealed, err) != 0) {
        return -1;
    }
    ret_stored->facts = sl_arena_dupn(m->arena, facts.ptr, facts.len);
    return sl_arena_check(m->arena, err);
}

static int
check_gateway(struct mutation *m, const char *instance, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, gateway_sql, SL_PARAMS(SL_P_TEXT(instance), SL_P_TEXT(m->project)),
               &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 1 ? 0 : sl_fail(err, SL_E_INSTANCE_NOT_FOUND, instance);
}

// Whose the body says that it is; NULL: of all gateways.
static int
gateway_of(struct mutation *m, const json_t *body, const char **ret_instance, struct sl_error *err)
{
    const char *type = body_text(body, "type");
    *ret_instance = NULL;
    if (type == NULL || strcmp(type, "instance") != 0) {
        return 0;
    }
    *ret_instance = body_text(body, "instance_id");
    return *ret_instance == NULL ? sl_fail(err, SL_E_PARAM_MISSING, "instance_id")
                                 : check_gateway(m, *ret_instance, err);
}

static int
refuse_if(struct mutation *m, const char *sql, struct sl_params params, enum sl_code code,
          struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, sql, params, &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 0 ? 0 : sl_fail(err, code);
}

static int
check_quota(struct mutation *m, struct sl_error *err)
{
    static const char limit[] = "project_certificates";
    struct sl_params own = SL_PARAMS(SL_P_TEXT(m->project));
    struct sl_params full = SL_PARAMS(SL_P_TEXT(m->project), SL_P_TEXT(limit),
                                      SL_P_INT(instance_setting_default(limit)));
    return sl_sql(m->tx, m->arena, project_sql, own, NULL, err) != 0
               ? -1
               : refuse_if(m, full_sql, full, SL_E_RESOURCE_QUOTA, err);
}

int
certificate_insert(struct mutation *m, const struct certificate *certificate, struct sl_error *err)
{
    const json_t *body = certificate->body;
    struct stored stored = {NULL, {NULL, 0}};
    if (check_body(m, certificate->id, body, &stored, err) != 0 || check_quota(m, err) != 0) {
        return -1;
    }
    return sl_sql(m->tx, m->arena, insert_sql,
                  SL_PARAMS(SL_P_TEXT(m->project), SL_P_TEXT(certificate->id),
                            text_or_null(certificate->instance), SL_P_TEXT(body_text(body, "name")),
                            SL_P_TEXT(body_text(body, "cert_content")),
                            SL_P_BYTES(stored.sealed.ptr, stored.sealed.len),
                            text_or_null(body_text(body, "trusted_root_ca")),
                            SL_P_TEXT(stored.facts), SL_P_INT(certificate->by_domain)),
                  NULL, err);
}

static int
query_text(struct mutation *m, const char *sql, const char *id, const char **ret_text,
           struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(m->tx, m->arena, sql, SL_PARAMS(SL_P_TEXT(m->project), SL_P_TEXT(id)), &rows, err) !=
        0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_CERT_NOT_FOUND);
    }
    *ret_text = sl_rows_text(rows, 0, 0);
    return 0;
}

int
certificate_read_into(struct mutation *m, const char *id, const char **ret_text,
                      struct sl_error *err)
{
    return query_text(m, read_sql, id, ret_text, err);
}

static int
answer(struct mutation *m, const char *id, struct sl_error *err)
{
    m->outcome.object_id = id;
    if (certificate_read_into(m, id, &m->outcome.after, err) != 0) {
        return -1;
    }
    m->body = sl_str(m->outcome.after);
    return 0;
}

static int
create_work(struct mutation *m, struct sl_error *err)
{
    char id[SL_ID_SIZE];
    struct certificate made = {.body = m->command->body};
    sl_random_id(id);
    made.id = sl_arena_dup(m->arena, id);
    if (made.id == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    if (gateway_of(m, made.body, &made.instance, err) != 0 ||
        certificate_insert(m, &made, err) != 0) {
        return -1;
    }
    return answer(m, made.id, err);
}

int
certificate_create(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, create_work, err);
}

// A certificate of one gateway cannot be what another's domains show.
static int
move(struct mutation *m, const char *id, struct sl_error *err)
{
    const char *instance = NULL;
    if (body_text(m->command->body, "type") == NULL) {
        return 0;
    }
    if (gateway_of(m, m->command->body, &instance, err) != 0) {
        return -1;
    }
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(m->project), SL_P_TEXT(id), text_or_null(instance));
    return refuse_if(m, move_sql, params, SL_E_CERT_IN_USE, err);
}

static int
replace(struct mutation *m, const char *id, struct sl_error *err)
{
    const json_t *body = m->command->body;
    struct stored stored = {NULL, {NULL, 0}};
    bool has_ca = json_is_string(json_object_get(body, "trusted_root_ca"));
    if (check_body(m, id, body, &stored, err) != 0) {
        return -1;
    }
    return sl_sql(m->tx, m->arena, update_sql,
                  SL_PARAMS(SL_P_TEXT(m->project), SL_P_TEXT(id),
                            SL_P_TEXT(body_text(body, "name")),
                            SL_P_TEXT(body_text(body, "cert_content")),
                            SL_P_BYTES(stored.sealed.ptr, stored.sealed.len),
                            text_or_null(body_text(body, "trusted_root_ca")), SL_P_INT(has_ca),
                            SL_P_TEXT(stored.facts)),
                  NULL, err);
}

int
certificate_settle(struct mutation *m, const char *id, struct sl_error *err)
{
    m->touched = true;
    return sl_sql(m->tx, m->arena, settle_sql, SL_PARAMS(SL_P_TEXT(m->project), SL_P_TEXT(id)),
                  NULL, err);
}

int
certificate_hold(struct mutation *m, const char *ids, struct sl_error *err)
{
    return sl_sql(m->tx, m->arena, hold_sql, SL_PARAMS(SL_P_TEXT(m->project), SL_P_TEXT(ids)), NULL,
                  err);
}

// The certificate, which none can be bound to meanwhile, and then what shows it.
static int
lock(struct mutation *m, const char *id, struct sl_error *err)
{
    struct sl_params own = SL_PARAMS(SL_P_TEXT(m->project), SL_P_TEXT(id));
    return query_text(m, lock_sql, id, &m->outcome.before, err) != 0 ||
                   sl_sql(m->tx, m->arena, domains_sql, own, NULL, err) != 0
               ? -1
               : sl_sql(m->tx, m->arena, groups_sql, own, NULL, err);
}

static int
update_work(struct mutation *m, struct sl_error *err)
{
    const char *id = command_path(m->command, "certificate_id");
    struct sl_params own = SL_PARAMS(SL_P_TEXT(m->project), SL_P_TEXT(id));
    if (lock(m, id, err) != 0 || move(m, id, err) != 0 || replace(m, id, err) != 0 ||
        refuse_if(m, unfit_sql, own, SL_E_CERT_OTHER_DOMAIN, err) != 0 ||
        certificate_settle(m, id, err) != 0 ||
        sl_sql(m->tx, m->arena, touch_sql, own, NULL, err) != 0) {
        return -1;
    }
    return answer(m, id, err);
}

int
certificate_update(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, update_work, err);
}

static int
delete_work(struct mutation *m, struct sl_error *err)
{
    const char *id = command_path(m->command, "certificate_id");
    m->outcome.object_id = id;
    if (query_text(m, lock_sql, id, &m->outcome.before, err) != 0) {
        return -1;
    }
    return sl_sql(m->tx, m->arena, delete_sql, SL_PARAMS(SL_P_TEXT(m->project), SL_P_TEXT(id)),
                  NULL, err);
}

int
certificate_delete(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, delete_work, err);
}

static int
read_work(struct mutation *m, struct sl_error *err)
{
    const char *text = NULL;
    if (certificate_read_into(m, command_path(m->command, "certificate_id"), &text, err) != 0) {
        return -1;
    }
    m->body = sl_str(text);
    return 0;
}

int
certificate_read(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return query_run(call, reply, read_work, err);
}

static struct sl_param
pattern_of(struct mutation *m, const char *parameter)
{
    const char *text = body_text(m->command->query, parameter);
    return text_or_null(text != NULL ? engine_pattern(m->arena, text) : NULL);
}

static int
list_work(struct mutation *m, struct sl_error *err)
{
    const json_t *query = m->command->query;
    const char *instance = body_text(query, "instance_id");
    struct sl_rows *rows = NULL;
    if (instance == NULL) {
        return sl_fail(err, SL_E_PARAM_MISSING, "instance_id");
    }
    m->instance = instance; // which the caller must have
    if (mutation_gateway(m, err) != 0 ||
        sl_sql(m->tx, m->arena, list_sql,
               SL_PARAMS(SL_P_TEXT(m->project), SL_P_TEXT(instance), pattern_of(m, "name"),
                         pattern_of(m, "common_name"),
                         text_or_null(body_text(query, "signature_algorithm")),
                         text_or_null(body_text(query, "type")), SL_P_INT(engine_limit(m->command)),
                         SL_P_INT(engine_offset(m->command))),
               &rows, err) != 0) {
        return -1;
    }
    m->body = sl_str(sl_rows_text(rows, 0, 0));
    return 0;
}

int
certificate_list(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return query_run(call, reply, list_work, err);
}
