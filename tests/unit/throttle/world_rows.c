// world_rows.c - what the database makes of a row that an owner writes of a node.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/throttle/world.h"

#include <string.h>

static void
write_vouched(struct sim_row *row, const struct account_contact *wanted)
{
    bool is_new = row->contact.boot[0] == '\0';
    bool is_same = strcmp(row->contact.boot, wanted->boot) == 0;
    for (size_t i = 0; i < SL_SHARDS; i++) {
        int64_t now = wanted->vouched[i] > 0 ? wanted->vouched[i] : 0;
        if (is_new) {
            row->alone[i] = INT64_MAX;
        } else if (!is_same) {
            row->alone[i] = row->vouched[i] < row->alone[i] ? row->vouched[i] : row->alone[i];
        }
        row->vouched[i] = is_same && row->vouched[i] > now ? row->vouched[i] : now;
    }
}

static int64_t
later(int64_t a_ms, int64_t b_ms)
{
    return a_ms > b_ms ? a_ms : b_ms;
}

// 0 is none.
static int64_t
fewer(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

// As the SQL does: times only grow, the division is what was asked for.
void
world_write_row(struct sim_row *row, const struct account_contact *wanted, int64_t now_ms)
{
    const struct account_contact *was = &row->contact;
    struct account_contact now = *wanted;
    now.vouched = NULL;
    now.until_ms = later(was->until_ms, wanted->until_ms);
    now.lost_until_ms = later(was->lost_until_ms, wanted->lost_until_ms);
    now.divides = wanted->divides >= 0 ? wanted->divides : was->divides;
    now.lost_divides = was->lost_divides;
    if (strcmp(was->boot, wanted->boot) != 0) {
        int64_t gone_ms = now_ms + ACCOUNT_CLOCKS_MS;
        gone_ms = was->until_ms < gone_ms ? was->until_ms : gone_ms;
        now.lost_until_ms = later(now.lost_until_ms, gone_ms);
        now.lost_divides = fewer(was->lost_divides, was->divides);
    }
    write_vouched(row, wanted);
    row->contact = now;
}
