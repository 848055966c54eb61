// identity.c - see identity.h.
//
// The row of `control` orders a gateway that joins and the revisions of `control`: either the
// revision comes first, and what it made of is read here, or it comes later and finds the gateway.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/identity.h"

#include <string.h>

static const char joined_sql[] = "SELECT 1 FROM gateway_identity WHERE instance_id = $1";

static const char order_sql[] =
    "SELECT 1 FROM gateway_revision WHERE gateway_id = '" CONTROL_GATEWAY "' FOR SHARE";

static const char join_sql[] =
    "WITH first AS (INSERT INTO gateway_identity (instance_id) VALUES ($1)"
    " ON CONFLICT DO NOTHING RETURNING instance_id)"
    " INSERT INTO runtime_change (gateway_id, kind, key) SELECT f.instance_id, k.kind, k.key"
    " FROM first f CROSS JOIN (SELECT 'user' AS kind, id AS key FROM iam_user"
    " UNION ALL SELECT 'access_key', access FROM iam_access_key"
    " UNION ALL SELECT 'token_key', id FROM iam_token_key) k";

static const char spread_sql[] = "INSERT INTO runtime_change (gateway_id, kind, key)"
                                 " SELECT instance_id, $1, $2 FROM gateway_identity";

static const char user_sql[] =
    "SELECT u.id, u.name, u.domain_id, d.name, u.enabled, u.not_before FROM iam_user u"
    " JOIN domain d ON d.id = u.domain_id"
    " WHERE u.id = $2 AND EXISTS (SELECT FROM gateway_identity WHERE instance_id = $1)";

static const char access_key_sql[] =
    "SELECT access, user_id, coalesce(project_id, ''), enabled, expires_at, secret, security_token"
    " FROM iam_access_key"
    " WHERE access = $2 AND EXISTS (SELECT FROM gateway_identity WHERE instance_id = $1)";

static const char token_key_sql[] =
    "SELECT id, public_key FROM iam_token_key"
    " WHERE id = $2 AND EXISTS (SELECT FROM gateway_identity WHERE instance_id = $1)";

int
identity_join(struct sl_tx *tx, struct sl_arena *arena, const char *gateway, struct sl_error *err)
{
    struct sl_params one = SL_PARAMS(SL_P_TEXT(gateway));
    struct sl_rows *rows = NULL;
    if (sl_sql(tx, arena, joined_sql, one, &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) > 0) {
        return 0;
    }
    if (sl_sql(tx, arena, order_sql, SL_NO_PARAMS, &rows, err) != 0) {
        return -1;
    }
    return sl_sql(tx, arena, join_sql, one, NULL, err);
}

int
identity_spread(struct sl_tx *tx, struct sl_arena *arena, const char *kind, const char *key,
                struct sl_error *err)
{
    static const char *const kinds[] = {"access_key", "token_key", "user"};
    for (size_t i = 0; i < SL_COUNT(kinds); i++) {
        if (strcmp(kinds[i], kind) == 0) {
            return sl_sql(tx, arena, spread_sql, SL_PARAMS(SL_P_TEXT(kind), SL_P_TEXT(key)), NULL,
                          err);
        }
    }
    return 0;
}

static int
fetch(const struct compile *c, const char *sql, const char *key, struct sl_rows **ret_rows,
      bool *ret_found, struct sl_error *err)
{
    if (sl_sql(c->tx, c->arena, sql, SL_PARAMS(SL_P_TEXT(c->gateway), SL_P_TEXT(key)), ret_rows,
               err) != 0) {
        return -1;
    }
    *ret_found = sl_rows_count(*ret_rows) == 1;
    return 0;
}

int
compile_user(const struct compile *c, const char *key, struct sl_entry *entry, bool *ret_found,
             struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (fetch(c, user_sql, key, &rows, ret_found, err) != 0) {
        return -1;
    }
    if (*ret_found) {
        entry->user = (struct sl_user){.id = sl_rows_text(rows, 0, 0),
                                       .name = sl_rows_text(rows, 0, 1),
                                       .domain_id = sl_rows_text(rows, 0, 2),
                                       .domain_name = sl_rows_text(rows, 0, 3),
                                       .enabled = sl_rows_bool(rows, 0, 4),
                                       .not_before_s = sl_rows_int(rows, 0, 5)};
    }
    return 0;
}

int
compile_access_key(const struct compile *c, const char *key, struct sl_entry *entry,
                   bool *ret_found, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (fetch(c, access_key_sql, key, &rows, ret_found, err) != 0) {
        return -1;
    }
    if (!*ret_found) {
        return 0;
    }
    struct sl_access_key *made = &entry->access_key;
    *made = (struct sl_access_key){.access = sl_rows_text(rows, 0, 0),
                                   .user_id = sl_rows_text(rows, 0, 1),
                                   .project_id = sl_rows_text(rows, 0, 2),
                                   .enabled = sl_rows_bool(rows, 0, 3),
                                   .expires_s = sl_rows_int(rows, 0, 4),
                                   .security_token = ""};
    made->secret = compile_unseal(c, sl_arena_printf(c->arena, "access_key:%s", key),
                                  sl_rows_bytes(rows, 0, 5), err);
    if (made->secret != NULL && !sl_rows_is_null(rows, 0, 6)) {
        made->security_token = compile_unseal(
            c, sl_arena_printf(c->arena, "security_token:%s", key), sl_rows_bytes(rows, 0, 6), err);
    }
    return made->secret == NULL || made->security_token == NULL ? -1 : 0;
}

int
compile_token_key(const struct compile *c, const char *key, struct sl_entry *entry, bool *ret_found,
                  struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (fetch(c, token_key_sql, key, &rows, ret_found, err) != 0) {
        return -1;
    }
    if (*ret_found) {
        entry->token_key = (struct sl_token_key){.id = sl_rows_text(rows, 0, 0),
                                                 .public_key = sl_rows_text(rows, 0, 1)};
    }
    return 0;
}
