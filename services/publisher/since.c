// since.c - see since.h.
//
// A delta that would need more than one page is answered by a full set instead: pages of a delta
// would have to end between revisions, and a follower that far behind gains nothing from it.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/since.h"

#include "common/crypto/crypto.h"
#include "common/wire/pack.h"
#include "common/wire/stream.h"
#include "services/publisher/nodes.h"
#include "services/publisher/revision.h"

#include <string.h>
#include <zmq.h>

#define PAGE_ENTRIES 1000
#define PAGE_BYTES   (4 * 1024 * 1024)

static const char horizon_sql[] = "SELECT horizon FROM gateway_revision WHERE gateway_id = $1";

static const char delta_sql[] =
    "SELECT kind, key, revision, min_reader, body FROM runtime_entry "
    "WHERE gateway_id = $1 AND revision > $2 ORDER BY revision, kind, key LIMIT 1001";

// In the order of the primary key, whatever the database's collation: another one would sort all
// that is left of the set for each page.
static const char page_sql[] = "SELECT kind, key, revision, min_reader, body FROM runtime_entry "
                               "WHERE gateway_id = $1 AND body IS NOT NULL "
                               "AND (kind, key) > ($2, $3) ORDER BY kind, key LIMIT 1001";

// What the asker said.
struct question {
    const char *gateway;
    const char *epoch;   // of its copy
    uint64_t revision;   // of its copy
    const json_t *after; // [kind, key] of the last entry it got, or NULL
};

struct answer {
    struct head head;
    bool full;             // entries are of a full set
    bool more;             // another page follows
    size_t entry_count;    //
    struct sl_buf entries; // packed
    struct sl_str box;     // content key for the asker
};

static bool
read_question(const json_t *body, struct question *ret_question)
{
    json_int_t revision = json_integer_value(json_object_get(body, "revision"));
    const char *gateway = json_string_value(json_object_get(body, "gateway"));
    const char *epoch = json_string_value(json_object_get(body, "epoch"));
    const json_t *after = json_object_get(body, "after");
    if (gateway == NULL || revision < 0 ||
        (json_is_array(after) && (!json_is_string(json_array_get(after, 0)) ||
                                  !json_is_string(json_array_get(after, 1))))) {
        return false;
    }
    *ret_question = (struct question){.gateway = gateway,
                                      .epoch = epoch == NULL ? "" : epoch,
                                      .revision = (uint64_t)revision,
                                      .after = json_is_array(after) ? after : NULL};
    return true;
}

static int
may_ask(const struct sl_command *command, struct sl_tx *tx, struct sl_arena *arena,
        const struct question *question, struct sl_error *err)
{
    const char *role = command->peer_role == NULL ? "" : command->peer_role;
    const char *gateway = "";
    if (strcmp(role, "front") == 0) {
        gateway = CONTROL_GATEWAY;
    } else if (strncmp(role, "node:", 5) != 0) {
        return sl_fail(err, SL_E_BUS_FORBIDDEN, command->name);
    } else if (node_gateway(command, tx, arena, &gateway, err) != 0) {
        return -1;
    }
    return strcmp(gateway, question->gateway) == 0
               ? 0
               : sl_fail(err, SL_E_BUS_FORBIDDEN, command->name);
}

static int
box_key(struct sl_call *call, struct sl_tx *tx, const struct question *question,
        struct answer *answer, struct sl_error *err)
{
    const struct publisher_thread *thread = call->context;
    struct sl_seal_key key;
    uint8_t recipient[32];
    if (call->command->peer_key == NULL || strlen(call->command->peer_key) != SL_Z85_SIZE - 1 ||
        zmq_z85_decode(recipient, call->command->peer_key) == NULL) {
        return sl_fail(err, SL_E_BUS_MESSAGE, "peer_key");
    }
    if (gateway_key(tx, call->arena, thread->publisher, question->gateway, &key, err) != 0) {
        return -1;
    }
    struct sl_str plain = {(const char *)key.bytes, sizeof(key.bytes)};
    int rc = sl_box_seal(call->arena, recipient, plain, &answer->box, err);
    sl_wipe(&key, sizeof(key));
    return rc;
}

static void
pack_entry(struct sl_buf *buf, const struct sl_rows *rows, size_t row)
{
    sl_pack_map(buf, 5);
    sl_pack_text(buf, "k");
    sl_pack_text(buf, sl_rows_text(rows, row, 0));
    sl_pack_text(buf, "key");
    sl_pack_text(buf, sl_rows_text(rows, row, 1));
    sl_pack_text(buf, "rev");
    sl_pack_int(buf, sl_rows_int(rows, row, 2));
    sl_pack_text(buf, "mr");
    sl_pack_int(buf, sl_rows_int(rows, row, 3));
    sl_pack_text(buf, "b");
    if (sl_rows_is_null(rows, row, 4)) {
        sl_pack_nil(buf);
    } else {
        sl_pack_bin(buf, sl_rows_bytes(rows, row, 4));
    }
}

// Packs rows until a page is full; answers how many.
static void
pack_page(struct answer *answer, const struct sl_rows *rows)
{
    size_t count = sl_rows_count(rows);
    size_t i = 0;
    while (i < count && i < PAGE_ENTRIES && answer->entries.len < PAGE_BYTES) {
        pack_entry(&answer->entries, rows, i++);
    }
    answer->entry_count = i;
    answer->more = i < count;
}

static int
read_delta(struct sl_tx *tx, struct sl_arena *arena, const struct question *question,
           struct answer *answer, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_params params = SL_PARAMS(SL_P_TEXT(question->gateway), SL_P_INT(question->revision));
    if (sl_sql(tx, arena, delta_sql, params, &rows, err) != 0) {
        return -1;
    }
    pack_page(answer, rows);
    if (answer->more) {
        sl_buf_reset(&answer->entries);
        answer->entry_count = 0;
        answer->full = true;
    }
    return 0;
}

static int
read_full(struct sl_tx *tx, struct sl_arena *arena, const struct question *question,
          struct answer *answer, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const char *kind = json_string_value(json_array_get(question->after, 0));
    const char *key = json_string_value(json_array_get(question->after, 1));
    struct sl_params params =
        SL_PARAMS(SL_P_TEXT(question->gateway), SL_P_TEXT(kind == NULL ? "" : kind),
                  SL_P_TEXT(key == NULL ? "" : key));
    if (sl_sql(tx, arena, page_sql, params, &rows, err) != 0) {
        return -1;
    }
    pack_page(answer, rows);
    return 0;
}

static int
read_answer(struct sl_call *call, struct sl_tx *tx, const struct question *question,
            struct answer *answer, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (head_read(tx, call->arena, question->gateway, &answer->head, err) != 0 ||
        sl_sql(tx, call->arena, horizon_sql, SL_PARAMS(SL_P_TEXT(question->gateway)), &rows, err) !=
            0 ||
        box_key(call, tx, question, answer, err) != 0) {
        return -1;
    }
    uint64_t horizon = (uint64_t)sl_rows_int(rows, 0, 0);
    answer->full = question->after != NULL || strcmp(question->epoch, answer->head.epoch) != 0 ||
                   question->revision > answer->head.revision || question->revision < horizon;
    if (!answer->full && read_delta(tx, call->arena, question, answer, err) != 0) {
        return -1;
    }
    return answer->full ? read_full(tx, call->arena, question, answer, err) : 0;
}

static void
pack_answer(struct sl_buf *buf, const struct question *question, const struct answer *answer)
{
    sl_pack_map(buf, 8);
    sl_pack_text(buf, "epoch");
    sl_pack_text(buf, answer->head.epoch);
    sl_pack_text(buf, "from");
    sl_pack_int(buf, answer->full ? 0 : (int64_t)question->revision);
    sl_pack_text(buf, "to");
    sl_pack_int(buf, (int64_t)answer->head.revision);
    sl_pack_text(buf, "at");
    sl_pack_int(buf, (int64_t)answer->head.revision);
    sl_pack_text(buf, "full");
    sl_pack_bool(buf, answer->full);
    sl_pack_text(buf, "more");
    sl_pack_bool(buf, answer->full && answer->more);
    sl_pack_text(buf, "content_key");
    sl_pack_bin(buf, answer->box);
    sl_pack_text(buf, "entries");
    sl_pack_array(buf, answer->entry_count);
    sl_buf_add(buf, answer->entries.ptr, answer->entries.len);
}

// Whether the peer may ask, and that the gateway has its row: in a transaction of its own, because
// a row that another publisher inserts at the same moment cannot be seen by a snapshot.
static int
prepare(struct sl_call *call, const struct question *question, struct sl_error *err)
{
    const struct publisher_thread *thread = call->context;
    SL_AUTO(sl_tx) tx = sl_tx_begin(thread->db, err);
    if (tx == NULL || may_ask(call->command, tx, call->arena, question, err) != 0 ||
        gateway_ensure(tx, call->arena, thread->publisher, question->gateway, err) != 0) {
        return -1;
    }
    return sl_tx_commit(&tx, err);
}

// One snapshot for head and entries, so that nothing between them is missed.
static const char snapshot_sql[] = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ";

int
runtime_since(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    const struct publisher_thread *thread = call->context;
    struct question question;
    struct answer answer = {.full = false};
    if (!read_question(call->command->body, &question)) {
        return sl_fail(err, SL_E_BUS_MESSAGE, "runtime.since");
    }
    if (prepare(call, &question, err) != 0) {
        return -1;
    }
    SL_AUTO(sl_tx) tx = sl_tx_begin(thread->db, err);
    if (tx == NULL || sl_sql(tx, call->arena, snapshot_sql, SL_NO_PARAMS, NULL, err) != 0) {
        return -1;
    }
    SL_AUTO_BUF packed;
    sl_buf_init(&packed, SL_MESSAGE_MAX);
    sl_buf_init(&answer.entries, SL_MESSAGE_MAX);
    int rc = read_answer(call, tx, &question, &answer, err);
    if (rc == 0) {
        pack_answer(&packed, &question, &answer);
        rc = sl_tx_commit(&tx, err);
    }
    bool fits = !packed.failed && !answer.entries.failed;
    sl_buf_clear(&answer.entries);
    if (rc != 0) {
        return -1;
    }
    if (!fits) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    reply->body = (struct sl_str){sl_arena_dupn(call->arena, packed.ptr, packed.len), packed.len};
    return sl_arena_check(call->arena, err);
}

int
runtime_settle(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    const struct publisher_thread *thread = call->context;
    const char *role = call->command->peer_role == NULL ? "" : call->command->peer_role;
    struct head head;
    bool more = true;
    if (strcmp(role, "front") != 0) {
        return sl_fail(err, SL_E_BUS_FORBIDDEN, call->command->name);
    }
    while (more) {
        more = false;
        if (revision_make(thread->publisher, thread->db, CONTROL_GATEWAY, &more, err) != 0) {
            return -1;
        }
    }
    SL_AUTO(sl_tx) tx = sl_tx_begin(thread->db, err);
    if (tx == NULL || head_read(tx, call->arena, CONTROL_GATEWAY, &head, err) != 0 ||
        sl_tx_commit(&tx, err) != 0) {
        return -1;
    }
    SL_AUTO_BUF packed;
    sl_buf_init(&packed, SL_MESSAGE_MAX);
    struct sl_revision at = {.number = head.revision};
    memcpy(at.epoch, head.epoch, SL_ID_SIZE);
    sl_head_pack(&packed, &at);
    reply->body = (struct sl_str){sl_arena_dupn(call->arena, packed.ptr, packed.len), packed.len};
    return sl_arena_check(call->arena, err);
}
