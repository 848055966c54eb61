// together_test.c - reads that share a round trip say what each says by itself.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

#include "common/crypto/crypto.h"
#include "tests/lib/cut_db.h"

// A read on its way through a turn, as a worker's thread leads it.
struct read {
    struct sl_command command; //
    struct sl_call call;       //
    struct sl_reply reply;     //
    struct sl_error err;       //
    int rc;                    // of the last step
};

static struct read
read_of(struct fixture *f, const char *name, const char *parameter, const char *id)
{
    json_t *path = json_object();
    int rc = json_object_set_new_nocheck(path, parameter, json_string_nocheck(id));
    assert_int_equal(rc, 0);
    struct sl_command command = fixture_command(f, sl_arena_printf(f->arena, "%032d", 7), name);
    command.path = path;
    return (struct read){.command = command};
}

static void
run(struct fixture *f, struct read *reads, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_true(engine_together.takes(reads[i].command.name));
        reads[i].call = (struct sl_call){
            .arena = f->arena, .command = &reads[i].command, .context = &f->registry};
        reads[i].rc = engine_together.ask(&reads[i].call, &reads[i].err);
    }
    for (size_t i = 0; i < count; i++) {
        if (reads[i].rc == 0) {
            reads[i].rc = engine_handle(&reads[i].call, &reads[i].reply, &reads[i].err);
        }
    }
    engine_together.end(&f->registry);
}

static void
clear(struct read *reads, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        json_decref(reads[i].command.path);
    }
}

// Each must answer what it answers by itself.
static void
compare(struct fixture *f, const struct read *reads, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct sl_reply reply = {0};
        struct sl_error err = {.code = SL_E_OK};
        struct sl_call call = {
            .arena = f->arena, .command = &reads[i].command, .context = &f->registry};
        int rc = engine_handle(&call, &reply, &err);
        assert_int_equal(rc, reads[i].rc);
        if (rc != 0) {
            assert_int_equal(err.code, reads[i].err.code);
            assert_string_equal(err.args[0], reads[i].err.args[0]);
        } else {
            assert_int_equal(reply.body.len, reads[i].reply.body.len);
            assert_memory_equal(reply.body.ptr, reads[i].reply.body.ptr, reply.body.len);
        }
    }
}

// A group, an API of it, an app, and ids that name nothing.
static size_t
make_reads(struct fixture *f, struct read reads[SL_TOGETHER])
{
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"grp_one\"}");
    const char *api = fixture_api(f, group, "Api_one", "/one", true);
    const char *app = fixture_create(f, "app.create", "", "{\"name\": \"app_one\"}");
    const struct read made[] = {
        read_of(f, "api.read", "api_id", api),       read_of(f, "api.read", "api_id", "nothing"),
        read_of(f, "group.read", "group_id", group), read_of(f, "app.read", "app_id", app),
        read_of(f, "api.read", "api_id", api),       read_of(f, "app.read", "app_id", group),
    };
    memcpy(reads, made, sizeof(made));
    return SL_COUNT(made);
}

static void
each_says_what_it_says_alone(void **state)
{
    struct fixture *f = *state;
    struct read reads[SL_TOGETHER];
    size_t count = make_reads(f, reads);
    run(f, reads, count);
    const int expected[] = {0, -1, 0, 0, 0, -1};
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(reads[i].rc, expected[i]);
    }
    assert_int_equal(reads[1].err.code, SL_E_API_NOT_FOUND);
    compare(f, reads, count);
    clear(reads, count);
}

static void
found_ones_take_one_round_trip(void **state)
{
    struct fixture *f = *state;
    struct read reads[SL_TOGETHER];
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"grp_one\"}");
    for (size_t i = 0; i < SL_TOGETHER; i++) {
        reads[i] = read_of(f, "group.read", "group_id", group);
    }
    size_t before = cut_db_trips();
    run(f, reads, SL_TOGETHER);
    assert_int_equal(cut_db_trips() - before, 1);
    for (size_t i = 0; i < SL_TOGETHER; i++) {
        assert_int_equal(reads[i].rc, 0);
    }
    clear(reads, SL_TOGETHER);
}

static void
anothers_gateway_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct read reads[SL_TOGETHER];
    size_t count = make_reads(f, reads);
    reads[0].command.actor.project_id = "another";
    reads[3].command.actor.project_id = "another";
    run(f, reads, count);
    assert_int_equal(reads[0].err.code, SL_E_INSTANCE_NOT_FOUND);
    assert_int_equal(reads[2].rc, 0);
    assert_int_equal(reads[3].err.code, SL_E_INSTANCE_NOT_FOUND);
    assert_int_equal(reads[4].rc, 0);
    compare(f, reads, count);
    clear(reads, count);
}

// A text that is no UTF-8: PostgreSQL refuses the statement, and skips those behind it.
static void
one_that_is_refused_takes_none_along(void **state)
{
    struct fixture *f = *state;
    for (size_t bad = 0; bad < 3; bad++) {
        struct read reads[SL_TOGETHER];
        size_t count = make_reads(f, reads);
        json_decref(reads[bad].command.path);
        reads[bad] = read_of(f, "api.read", "api_id", "\xff");
        run(f, reads, count);
        for (size_t i = 0; i < count; i++) {
            bool is_found = i != bad && i != 1 && i != 5;
            assert_int_equal(reads[i].rc, is_found ? 0 : -1);
        }
        assert_int_equal(reads[bad].err.code, SL_E_INTERNAL);
        compare(f, reads, count);
        clear(reads, count);
        fixture_sql(f, "DELETE FROM publication");
        fixture_sql(f, "DELETE FROM api");
        fixture_sql(f, "DELETE FROM api_group");
        fixture_sql(f, "DELETE FROM app");
    }
}

// More statements than travel together: with owners, three a read.
static void
a_queue_that_is_full_goes_before(void **state)
{
    struct fixture *f = *state;
    struct read reads[SL_TOGETHER];
    const char *app = fixture_create(f, "app.create", "", "{\"name\": \"app_one\"}");
    int rc =
        fixture_call(f, "app_code.create", fixture_path(f, "app_id", app), "",
                     "{\"app_code\": \"GjOD3g80AABuuFeEJpVQADBlAjBh3UzC7W+gr4VJBB5BtJ4fdVOQoSvo"
                     "E3oFlwUf3h7x7\"}");
    if (rc != 0) {
        fail_msg("app_code.create refused: %s", sl_error_name(f->err.code));
    }
    const char *code = fixture_text(f, "id");
    for (size_t i = 0; i < SL_TOGETHER; i++) {
        reads[i] = read_of(f, "app_code.read", "app_code_id", i % 2 == 0 ? code : "nothing");
        json_object_set_new(reads[i].command.path, "app_id",
                            json_string(i % 4 < 2 ? app : "another"));
    }
    run(f, reads, SL_TOGETHER);
    assert_int_equal(reads[0].rc, 0);
    assert_int_equal(reads[4].rc, 0);
    assert_int_equal(reads[1].rc, -1);
    compare(f, reads, SL_TOGETHER);
    clear(reads, SL_TOGETHER);
}

// The session was ended while it lay idle, or is as the turn travels: it goes over a new one.
static void
a_broken_connection_is_not_noticed(void **state)
{
    struct fixture *f = *state;
    struct read reads[SL_TOGETHER];
    size_t count = make_reads(f, reads);
    cut_db_arm(CUT_BEFORE, 1);
    run(f, reads, count);
    assert_true(cut_db_disarm());
    assert_int_equal(reads[0].rc, 0);
    assert_int_equal(reads[4].rc, 0);
    compare(f, reads, count);
    clear(reads, count);
}

static void
only_reads_go_together(void **state)
{
    (void)state;
    assert_true(engine_together.takes("api.read"));
    assert_false(engine_together.takes("api.list"));
    assert_false(engine_together.takes("api.create"));
    assert_false(engine_together.takes("api"));
    assert_false(engine_together.takes("api.reads"));
    assert_false(engine_together.takes("nothing.read"));
    assert_false(engine_together.takes(""));
}

int
main(void)
{
    sl_crypto_init();
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(each_says_what_it_says_alone),
        FIXTURE_TEST(found_ones_take_one_round_trip),
        FIXTURE_TEST(anothers_gateway_is_not_found),
        FIXTURE_TEST(one_that_is_refused_takes_none_along),
        FIXTURE_TEST(a_queue_that_is_full_goes_before),
        FIXTURE_TEST(a_broken_connection_is_not_noticed),
        FIXTURE_TEST(only_reads_go_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
