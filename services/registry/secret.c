// secret.c - see secret.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/secret.h"

#include "common/base/limits.h"
#include "common/crypto/crypto.h"

#define LOOKUP_SIZE 65 // bytes of sl_seal_lookup's text

static int
put_text(struct sl_arena *arena, json_t *row, const char *column, const char *text,
         struct sl_error *err)
{
    if (sl_arena_check(arena, err) != 0) {
        return -1;
    }
    return json_object_set_new(row, column, json_string(text)) == 0 ? 0
                                                                    : sl_fail(err, SL_E_INTERNAL);
}

int
secret_put(struct change *change, const char *column, const char *plain, struct sl_error *err)
{
    struct mutation *m = change->m;
    struct sl_str sealed = {NULL, 0};
    struct sl_str context = sl_str(sl_arena_printf(m->arena, "%s:%s", column, change->id));
    if (sl_seal(m->arena, m->registry->key, context, sl_str(plain), &sealed, err) != 0) {
        return -1;
    }
    // PostgreSQL reads a bytea from JSON in its hex form.
    char *hex = sl_arena_alloc(m->arena, 2 * sealed.len + 3);
    if (hex == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    hex[0] = '\\';
    hex[1] = 'x';
    sl_hex_encode(sealed.ptr, sealed.len, hex + 2);
    char lookup[LOOKUP_SIZE];
    sl_seal_lookup(m->registry->key, sl_str(column), sl_str(plain), lookup);
    const char *lookup_column = sl_arena_printf(m->arena, "%s_lookup", column);
    if (put_text(m->arena, change->row, column, hex, err) != 0) {
        return -1;
    }
    return put_text(m->arena, change->row, lookup_column, lookup, err);
}

int
secret_fill(const struct registry *registry, const struct resource *resource,
            const struct sl_rows *rows, size_t row, json_t *body, struct sl_error *err)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(SL_BODY_MAX);
    if (arena == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    const char *id = json_string_value(json_object_get(body, resource->secret_id));
    for (size_t i = 0; resource->secrets[i].field != NULL; i++) {
        struct sl_str plain = {NULL, 0};
        struct sl_str context =
            sl_str(sl_arena_printf(arena, "%s:%s", resource->secrets[i].column, id));
        if (sl_unseal(arena, registry->key, context, sl_rows_bytes(rows, row, i + 1), &plain,
                      err) != 0) {
            return -1;
        }
        json_object_set_new(body, resource->secrets[i].field,
                            json_stringn(plain.len > 0 ? plain.ptr : "", plain.len));
    }
    return 0;
}

const char *
secret_random(struct sl_arena *arena)
{
    char id[SL_ID_SIZE];
    sl_random_id(id);
    return sl_arena_dup(arena, id);
}
