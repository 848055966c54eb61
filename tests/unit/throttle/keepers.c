// keepers.c - see keepers.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/throttle/keepers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/crypto/crypto.h"
#include "common/db/migrate.h"

static void
count_event(void *arg, const char *topic, struct sl_str body)
{
    struct fixture *f = arg;
    assert_true(strncmp(topic, "node/", 5) == 0 && body.len > 0);
    atomic_fetch_add(&f->events, 1);
}

static void
count_offer(void *arg, uint32_t shard, bool is_ours)
{
    struct fixture *f = arg;
    assert_true(shard < SL_SHARDS);
    atomic_fetch_add(&f->offered, is_ours ? 1 : -1);
    bool is_early = !is_ours && atomic_load(&f->is_cut_off) &&
                    sl_mono_ms() - atomic_load(&f->start_ms) < KEEPERS_TAKEN_MS;
    atomic_fetch_add(&f->early, is_early ? 1 : 0);
}

static bool
is_reachable(void *arg)
{
    struct fixture *f = arg;
    return !atomic_load(&f->is_cut_off);
}

struct keeper *
keepers_start(struct fixture *f, const char *name)
{
    struct sl_error err;
    struct keeper *keeper =
        keeper_new(&(struct keeper_options){.database = getenv("SLUICE_TEST_DB"),
                                            .name = name,
                                            .publish = count_event,
                                            .offer = count_offer,
                                            .is_reachable = is_reachable,
                                            .arg = f},
                   &err);
    assert_non_null(keeper);
    assert_int_equal(0, keeper_start(keeper, &err));
    return keeper;
}

void
keepers_sql(struct fixture *f, const char *sql)
{
    struct sl_error err;
    SL_AUTO(sl_tx) tx = sl_tx_begin(f->db, &err);
    assert_non_null(tx);
    assert_int_equal(0, sl_sql(tx, f->arena, sql, SL_NO_PARAMS, NULL, &err));
    assert_int_equal(0, sl_tx_commit(&tx, &err));
}

int64_t
keepers_number(struct fixture *f, const char *sql)
{
    struct sl_error err;
    struct sl_rows *rows;
    SL_AUTO(sl_tx) tx = sl_tx_begin(f->db, &err);
    assert_non_null(tx);
    assert_int_equal(0, sl_sql(tx, f->arena, sql, SL_NO_PARAMS, &rows, &err));
    return sl_rows_int(rows, 0, 0);
}

int
keepers_setup(void **state)
{
    static struct fixture fixture;
    struct sl_error err;
    memset(&fixture, 0, sizeof(fixture));
    fixture.arena = sl_arena_new(16 * 1024 * 1024);
    fixture.db = sl_db_open(&(struct sl_db_options){.conninfo = getenv("SLUICE_TEST_DB")}, &err);
    assert_non_null(fixture.db);
    keepers_sql(&fixture, "UPDATE throttle_shard SET owner = NULL, epoch = 0");
    keepers_sql(&fixture, "DELETE FROM throttle_worker");
    keepers_sql(&fixture, "DELETE FROM throttle_contact");
    keepers_sql(&fixture, "DELETE FROM throttle_usage");
    fixture.boot = BOOT;
    *state = &fixture;
    return 0;
}

void
keepers_stop(struct fixture *f)
{
    for (size_t i = 0; i < 2; i++) {
        if (f->keepers[i] != NULL) {
            keeper_stop(f->keepers[i]);
            keeper_free(&f->keepers[i]);
        }
    }
}

int
keepers_teardown(void **state)
{
    struct fixture *f = *state;
    keepers_stop(f);
    sl_db_free(&f->db);
    sl_arena_free(&f->arena);
    return 0;
}

void
keepers_wait_owned(struct keeper *keeper, uint32_t count)
{
    int64_t end_ms = sl_mono_ms() + WAIT_MS;
    while (keeper_owned(keeper) != count && sl_mono_ms() < end_ms) {
        usleep(10000);
    }
    assert_int_equal(count, keeper_owned(keeper));
}

void
keepers_own_all(struct fixture *f, const char *name)
{
    f->keepers[0] = keepers_start(f, name);
    keepers_wait_owned(f->keepers[0], SL_SHARDS);
}

void
keepers_wait_lease(const struct keeper *keeper)
{
    int64_t end_ms = sl_mono_ms() + WAIT_MS;
    while (!keeper_has_lease(keeper) && sl_mono_ms() < end_ms) {
        usleep(5000);
    }
    assert_true(keeper_has_lease(keeper));
}

int
keepers_migrate(void **state)
{
    (void)state;
    char directory[512];
    struct sl_error err;
    snprintf(directory, sizeof(directory), "%s/proto/sql", getenv("SLUICE_SOURCE"));
    sl_crypto_init();
    if (sl_migrate(getenv("SLUICE_TEST_DB"), directory, NULL, &err) != 0) {
        print_error("%s\n", err.detail);
        return -1;
    }
    struct fixture f = {.arena = sl_arena_new(1024 * 1024)};
    f.db = sl_db_open(&(struct sl_db_options){.conninfo = getenv("SLUICE_TEST_DB")}, &err);
    keepers_sql(&f, "INSERT INTO domain (id, name) VALUES ('d', 'd')");
    keepers_sql(&f, "INSERT INTO project (id, domain_id, name) VALUES ('p', 'd', 'p')");
    keepers_sql(&f, "INSERT INTO instance (id, project_id, name, domain_suffix) VALUES ('" GATEWAY
                    "', 'p', 'g', 'test')");
    keepers_sql(&f, "INSERT INTO node (instance_id, id, public_key) VALUES ('" GATEWAY
                    "', 'node-1', 'key-1'), ('" GATEWAY "', 'node-2', 'key-2')");
    sl_db_free(&f.db);
    sl_arena_free(&f.arena);
    return 0;
}
