// migrate_test.c - the migration runner, against a throw-away PostgreSQL.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/db/migrate.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PATH_BYTES 512

struct fixture {
    char dir[64];
    struct sl_error err;
};

static const char *
conninfo(void)
{
    return getenv("SLUICE_TEST_DB");
}

static void
put_file(const struct fixture *f, const char *name, const char *text)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    FILE *stream = fopen(path, "we");
    assert_non_null(stream);
    fputs(text, stream);
    fclose(stream);
}

static void
remove_file(const struct fixture *f, const char *name)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    unlink(path);
}

static int
set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){.dir = "/tmp/slmig.XXXXXX"};
    assert_non_null(mkdtemp(f.dir));
    put_file(&f, "0001_clean.sql", "DROP TABLE IF EXISTS a, b, c;");
    struct sl_db_options options = {.conninfo = conninfo()};
    SL_AUTO(sl_db) db = sl_db_open(&options, &f.err);
    SL_AUTO(sl_arena) arena = sl_arena_new(65536);
    struct sl_tx *tx = sl_tx_begin(db, &f.err);
    assert_int_equal(
        sl_sql(tx, arena, "DROP TABLE IF EXISTS schema_migration", SL_NO_PARAMS, NULL, &f.err), 0);
    assert_int_equal(sl_tx_commit(&tx, &f.err), 0);
    *state = &f;
    return 0;
}

static int
tear_down(void **state)
{
    static const char *const names[] = {"0001_clean.sql", "0002_a.sql", "0002_b.sql",
                                        "0003_b.sql",     "oops.sql",   "README"};
    struct fixture *f = *state;
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        remove_file(f, names[i]);
    }
    rmdir(f->dir);
    return 0;
}

static void
missing_files_are_applied_once_and_in_order(void **state)
{
    struct fixture *f = *state;
    size_t applied = 9;
    put_file(f, "0003_b.sql", "ALTER TABLE a ADD COLUMN n integer; CREATE TABLE b ();");
    put_file(f, "0002_a.sql", "CREATE TABLE a ();");
    put_file(f, "README", "no migration");
    assert_int_equal(sl_migrate(conninfo(), f->dir, &applied, &f->err), 0);
    assert_int_equal(applied, 3);
    assert_int_equal(sl_migrate(conninfo(), f->dir, &applied, &f->err), 0);
    assert_int_equal(applied, 0);
}

static void
an_applied_file_that_changed_is_refused_and_named(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sl_migrate(conninfo(), f->dir, NULL, &f->err), 0);
    put_file(f, "0001_clean.sql", "DROP TABLE IF EXISTS a, b, c; -- changed");
    assert_int_equal(sl_migrate(conninfo(), f->dir, NULL, &f->err), -1);
    assert_int_equal(f->err.code, SL_E_CONFIG);
    assert_string_equal(f->err.args[0], "0001_clean.sql");
}

static void
a_file_that_fails_leaves_nothing_of_itself(void **state)
{
    struct fixture *f = *state;
    size_t applied = 9;
    put_file(f, "0002_a.sql", "CREATE TABLE a (); SELEKT;");
    assert_int_equal(sl_migrate(conninfo(), f->dir, NULL, &f->err), -1);
    assert_int_equal(f->err.code, SL_E_CONFIG);
    put_file(f, "0002_a.sql", "CREATE TABLE a ();");
    assert_int_equal(sl_migrate(conninfo(), f->dir, &applied, &f->err), 0);
    assert_int_equal(applied, 1);
}

static void
a_number_used_twice_is_refused(void **state)
{
    struct fixture *f = *state;
    put_file(f, "0002_a.sql", "CREATE TABLE a ();");
    put_file(f, "0002_b.sql", "CREATE TABLE b ();");
    assert_int_equal(sl_migrate(conninfo(), f->dir, NULL, &f->err), -1);
    assert_int_equal(f->err.code, SL_E_CONFIG);
}

static void
a_name_without_a_number_is_refused(void **state)
{
    struct fixture *f = *state;
    put_file(f, "oops.sql", "CREATE TABLE a ();");
    assert_int_equal(sl_migrate(conninfo(), f->dir, NULL, &f->err), -1);
    assert_string_equal(f->err.args[0], "oops.sql");
}

static void
a_directory_that_is_not_there_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(sl_migrate(conninfo(), "/nonexistent", NULL, &f->err), -1);
    assert_int_equal(f->err.code, SL_E_CONFIG);
}

static void *
migrate_in_thread(void *arg)
{
    struct fixture *f = arg;
    struct sl_error err = {0};
    return sl_migrate(conninfo(), f->dir, NULL, &err) == 0 ? f : NULL;
}

static void
several_processes_may_start_at_once(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[4];
    put_file(f, "0002_a.sql", "CREATE TABLE a ();");
    put_file(f, "0003_b.sql", "CREATE TABLE b ();");
    for (size_t i = 0; i < SL_COUNT(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, migrate_in_thread, f), 0);
    }
    for (size_t i = 0; i < SL_COUNT(threads); i++) {
        void *done = NULL;
        pthread_join(threads[i], &done);
        assert_ptr_equal(done, f);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(missing_files_are_applied_once_and_in_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_applied_file_that_changed_is_refused_and_named, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_fails_leaves_nothing_of_itself, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_number_used_twice_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_without_a_number_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_directory_that_is_not_there_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(several_processes_may_start_at_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
