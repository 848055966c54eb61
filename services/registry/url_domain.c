// url_domain.c - what is special about domains of groups: their form, their group.
//
// A domain is what every client of the gateway may ask for, so two groups cannot have it; the group
// of the path is the one it was bound to, or the command is refused.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

#include <string.h>

#define NAME_MAX_LEN  253 // of a DNS name, without the dot at its end
#define LABEL_MAX_LEN 63
#define WILDCARD      "*."

// What has the form of a debugging domain of this gateway: such names are the groups' own.
static const char own_sql[] = "SELECT 1 FROM instance WHERE id = $1 AND"
                              " $2 ~ '^[0-9a-f]{32}[.]' AND substr($2, 34) = lower(domain_suffix)";

#define ITS_CERTIFICATES_SQL(column)                                                               \
    "SELECT b.instance_id, 'certificate', b.certificate_id FROM group_domain d"                    \
    " JOIN domain_certificate b ON b.instance_id = d.instance_id AND b.domain_id = d.id"           \
    " WHERE d.instance_id = $1 AND d." column " = $2"

static const char unbound_sql[] =
    "INSERT INTO runtime_change (gateway_id, kind, key) " ITS_CERTIFICATES_SQL("id");

static const char forget_sql[] =
    "INSERT INTO runtime_change (gateway_id, kind, key)"
    " SELECT instance_id, 'host', host_key FROM group_domain"
    " WHERE instance_id = $1 AND group_id = $2 UNION ALL " ITS_CERTIFICATES_SQL("group_id");

static bool
is_label(struct sl_str label)
{
    if (label.len == 0 || label.len > LABEL_MAX_LEN || label.ptr[0] == '-' ||
        label.ptr[label.len - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < label.len; i++) {
        char c = label.ptr[i];
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-') {
            return false;
        }
    }
    return true;
}

// Two labels at least, the last not a number, as addresses have; `*.` may stand before them.
static bool
is_domain(const char *name)
{
    struct sl_str rest = sl_str(name);
    struct sl_str label = {NULL, 0};
    size_t labels = 0;
    if (rest.len > NAME_MAX_LEN) {
        return false;
    }
    if (sl_str_starts(rest, SL_STR(WILDCARD))) {
        rest.ptr += strlen(WILDCARD);
        rest.len -= strlen(WILDCARD);
    }
    while (rest.ptr != NULL) {
        label = sl_str_split(&rest, '.');
        labels++;
        if (!is_label(label)) {
            return false;
        }
    }
    return labels > 1 && strspn(label.ptr, "0123456789") < label.len;
}

static const char *
lower(struct sl_arena *arena, const char *text)
{
    char *copy = sl_arena_dup(arena, text);
    for (char *at = copy; at != NULL && *at != '\0'; at++) {
        if (*at >= 'A' && *at <= 'Z') {
            *at = (char)(*at - 'A' + 'a');
        }
    }
    return copy;
}

static int
name_domain(struct change *change, struct sl_error *err)
{
    struct mutation *m = change->m;
    struct sl_rows *rows = NULL;
    const char *name =
        lower(m->arena, json_string_value(json_object_get(change->body, "url_domain")));
    if (name == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    if (!is_domain(name)) {
        return sl_fail(err, SL_E_URL_DOMAIN_INVALID);
    }
    json_object_set_new(change->row, "url_domain", json_string(name));
    json_object_set_new(change->row, "group_id", json_string(command_path(m->command, "group_id")));
    if (sl_sql(m->tx, m->arena, own_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(name)), &rows,
               err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 0 ? 0 : sl_fail(err, SL_E_URL_DOMAIN_INVALID);
}

int
url_domain_check_group(const struct mutation *m, const json_t *domain, struct sl_error *err)
{
    const char *group = json_string_value(json_object_get(domain, "group_id"));
    return strcmp(group, command_path(m->command, "group_id")) == 0
               ? 0
               : sl_fail(err, SL_E_URL_DOMAIN_ELSEWHERE);
}

static int
before_write(struct change *change, struct sl_error *err)
{
    if (change->before == NULL) {
        return name_domain(change, err);
    }
    if (url_domain_check_group(change->m, change->before, err) != 0) {
        return -1;
    }
    return json_is_true(json_object_get(change->row, "verified_client_certificate_enabled"))
               ? domain_certificate_check_verify(change->m, change->id, err)
               : 0;
}

static int
before_delete(struct change *change, struct sl_error *err)
{
    struct mutation *m = change->m;
    if (url_domain_check_group(m, change->before, err) != 0) {
        return -1;
    }
    return sl_sql(m->tx, m->arena, unbound_sql,
                  SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(change->id)), NULL, err);
}

const struct resource_hooks url_domain_hooks = {
    .before_write = before_write,
    .before_delete = before_delete,
};

int
url_domain_forget(struct mutation *m, const char *group, struct sl_error *err)
{
    m->touched = true;
    return sl_sql(m->tx, m->arena, forget_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(group)),
                  NULL, err);
}
