// compile_host.c - hosts, and the certificates that handshakes show for them.
//
// A host names its certificates; each is an entry of its own in every gateway where a domain shows
// it, so a renewed one is one entry.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/compile.h"

#include "common/crypto/certificate.h"

#include <string.h>

// A debugging domain, or one that was bound. Clients are asked for a certificate where there is
// one.
static const char host_sql[] =
    "SELECT lower(sl_domain), id, true, 'TLSv1.1', false, false, NULL FROM api_group"
    " WHERE instance_id = $1 AND lower(sl_domain) = $2 UNION ALL"
    " SELECT url_domain, group_id, false, min_ssl_version, is_http_redirect_to_https,"
    " verified_client_certificate_enabled, id FROM group_domain"
    " WHERE instance_id = $1 AND host_key = $2";

static const char shown_sql[] = "SELECT certificate_id FROM domain_certificate"
                                " WHERE instance_id = $1 AND domain_id = $2 ORDER BY 1";

static const char certificate_sql[] =
    "SELECT c.id, c.name, c.algorithm, c.content, c.certificate_key, c.trusted_root_ca"
    " FROM certificate c WHERE c.id = $2 AND EXISTS (SELECT FROM domain_certificate b"
    " WHERE b.instance_id = $1 AND b.project_id = c.project_id AND b.certificate_id = c.id)"
    " AND c.project_id = (SELECT project_id FROM instance WHERE id = $1)";

static int
fetch(const struct compile *c, const char *sql, const char *key, struct sl_rows **ret_rows,
      struct sl_error *err)
{
    return sl_sql(c->tx, c->arena, sql, SL_PARAMS(SL_P_TEXT(c->gateway), SL_P_TEXT(key)), ret_rows,
                  err);
}

int
compile_host(const struct compile *c, const char *key, struct sl_entry *entry, bool *ret_found,
             struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_rows *shown = NULL;
    if (fetch(c, host_sql, key, &rows, err) != 0) {
        return -1;
    }
    *ret_found = sl_rows_count(rows) == 1;
    if (!*ret_found) {
        return 0;
    }
    bool is_1_2 = strcmp(sl_rows_text(rows, 0, 3), "TLSv1.2") == 0;
    entry->host = (struct sl_host){.name = sl_rows_text(rows, 0, 0),
                                   .group_id = sl_rows_text(rows, 0, 1),
                                   .debugging = sl_rows_bool(rows, 0, 2),
                                   .min_tls = is_1_2 ? SL_MIN_TLS_1_2 : SL_MIN_TLS_1_1,
                                   .redirect_https = sl_rows_bool(rows, 0, 4),
                                   .verify_client = sl_rows_bool(rows, 0, 5)};
    if (entry->host.debugging) {
        return 0;
    }
    if (fetch(c, shown_sql, sl_rows_text(rows, 0, 6), &shown, err) != 0) {
        return -1;
    }
    entry->host.certificates = compile_list(c->arena, shown, 0);
    entry->host.certificate_count = sl_rows_count(shown);
    return sl_arena_check(c->arena, err);
}

static int
open_key(const struct compile *c, const struct sl_rows *rows, struct sl_str *ret_key,
         struct sl_error *err)
{
    const char *context = sl_arena_printf(c->arena, "certificate_key:%s", sl_rows_text(rows, 0, 0));
    const char *pem = compile_unseal(c, context, sl_rows_bytes(rows, 0, 4), err);
    return pem == NULL ? -1 : sl_certificate_key_der(c->arena, sl_str(pem), ret_key, err);
}

// What is stored and no longer read is this entry's fault alone.
static int
broken(const char *field, struct sl_error *err)
{
    return err->code == SL_E_CERT_INVALID ? sl_fail(err, SL_E_ENTRY_BROKEN, "certificate", field)
                                          : -1;
}

int
compile_certificate(const struct compile *c, const char *key, struct sl_entry *entry,
                    bool *ret_found, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_str *chain = NULL;
    struct sl_str *ca = NULL;
    if (fetch(c, certificate_sql, key, &rows, err) != 0) {
        return -1;
    }
    *ret_found = sl_rows_count(rows) == 1;
    if (!*ret_found) {
        return 0;
    }
    struct sl_certificate *made = &entry->certificate;
    *made = (struct sl_certificate){.id = sl_rows_text(rows, 0, 0),
                                    .name = sl_rows_text(rows, 0, 1),
                                    .algorithm = sl_rows_text(rows, 0, 2)};
    const char *authorities = sl_rows_text(rows, 0, 5);
    if (open_key(c, rows, &made->key, err) != 0) {
        return broken("key", err);
    }
    if (sl_certificate_der(c->arena, sl_str(sl_rows_text(rows, 0, 3)), &chain, &made->chain_count,
                           err) != 0) {
        return broken("chain", err);
    }
    if (authorities != NULL && authorities[0] != '\0' &&
        sl_certificate_der(c->arena, sl_str(authorities), &ca, &made->ca_count, err) != 0) {
        return broken("ca", err);
    }
    made->chain = chain;
    made->ca = ca;
    return sl_arena_check(c->arena, err);
}
