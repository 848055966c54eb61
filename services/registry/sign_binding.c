// sign_binding.c - 3.7.1: binding a signature key to published APIs.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

#include "common/base/buf.h"
#include "common/base/limits.h"
#include "services/registry/binding.h"
#include "services/registry/engine_write.h"

static const struct binding signs = {
    .field = "sign_id",
    .held_sql = "SELECT 1 FROM sign WHERE instance_id = $1 AND id = $2 FOR KEY SHARE",
    .bind_sql = BINDING_SQL("sign_binding", "sign_id", "binding_time"),
    .no_holder = SL_E_SIGN_NOT_FOUND,
};

static const char result_sql[] =
    "SELECT v.body::text, s.sign_key, s.sign_secret"
    " FROM jsonb_array_elements_text($2::jsonb) WITH ORDINALITY x (id, n)"
    " JOIN sign_binding b ON b.instance_id = $1 AND b.publish_id = x.id"
    " JOIN bound_sign_json v ON v.instance_id = b.instance_id AND v.id = b.id"
    " JOIN sign s ON s.instance_id = b.instance_id AND s.id = b.sign_id ORDER BY x.n";

// {"bindings":[…]} of the rows, with or without what is sealed in them.
static int
write_bindings(struct mutation *m, const struct sl_rows *rows, bool open, const char **ret_text,
               struct sl_error *err)
{
    const struct resource *resource = resource_find("bound_sign", sizeof("bound_sign") - 1);
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, SL_MESSAGE_MAX);
    sl_buf_adds(&buf, "{\"bindings\":[");
    for (size_t i = 0; i < sl_rows_count(rows); i++) {
        struct sl_str element = sl_str(sl_rows_text(rows, i, 0));
        if (open && engine_element(m, resource, rows, i, &element, err) != 0) {
            return -1;
        }
        sl_buf_adds(&buf, i > 0 ? "," : "");
        sl_buf_add(&buf, element.ptr, element.len);
    }
    sl_buf_adds(&buf, "]}");
    *ret_text = buf.failed ? NULL : sl_arena_dupn(m->arena, buf.ptr, buf.len);
    return *ret_text == NULL ? sl_fail(err, SL_E_INTERNAL) : 0;
}

static int
create_work(struct mutation *m, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const char *ids = NULL;
    const char *body = NULL;
    if (binding_make(m, &signs, &ids, err) != 0 ||
        sl_sql(m->tx, m->arena, result_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(ids)),
               &rows, err) != 0 ||
        write_bindings(m, rows, false, &m->outcome.after, err) != 0 ||
        write_bindings(m, rows, true, &body, err) != 0) {
        return -1;
    }
    m->body = sl_str(body);
    return 0;
}

int
sign_binding_create(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, create_work, err);
}
