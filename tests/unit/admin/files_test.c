// files_test.c - the files of a deployment: private, never replaced, complete or absent.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crypto/seal.h"
#include "services/admin/admin.h"
#include "services/admin/files.h"

static struct sl_arena *arena;
static struct sl_error err;
static char dir[64];

static int
set_up(void **state)
{
    (void)state;
    arena = sl_arena_new(1 << 20);
    snprintf(dir, sizeof(dir), "/tmp/sl_admin_test_XXXXXX");
    return arena == NULL || mkdtemp(dir) == NULL;
}

static int
tear_down(void **state)
{
    (void)state;
    static const char *const names[] = {"seal.key", "bus-1", "bus-2",     "front", "front.peer",
                                        "bus-3",    "near",  "near.peer", "far",   "far.peer"};
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        unlink(sl_arena_printf(arena, "%s/%s", dir, names[i]));
    }
    sl_arena_free(&arena);
    return rmdir(dir); // nothing else was left behind
}

static const char *
at(const char *name)
{
    return sl_arena_printf(arena, "%s/%s", dir, name);
}

static int
run(admin_run_fn *function, json_t *fields)
{
    struct admin admin = {.arena = arena};
    json_t *answer = NULL;
    int rc = function(&admin, fields, &answer, &err);
    json_decref(fields);
    json_decref(answer);
    return rc;
}

static int
make_bus(const char *name)
{
    return run(offline_bus, json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", name, "out", at(name),
                                      "commands", "tcp://127.0.0.1:1", "workers",
                                      "tcp://127.0.0.1:2", "events", "tcp://127.0.0.1:3"));
}

static int
make_peer(const char *name, const char *role)
{
    return run(offline_peer,
               json_pack("{s:s, s:s, s:s, s:[s, s, s], s:[s]}", "name", name, "role", role, "out",
                         at(name), "bus", at("bus-1"), at("bus-2"), at("bus-1"), "allow", dir));
}

static void
a_sealing_key_is_private_and_never_replaced(void **state)
{
    (void)state;
    struct sl_seal_key key;
    struct stat st;
    assert_int_equal(run(offline_seal_key, json_pack("{s:s}", "out", at("seal.key"))), 0);
    assert_int_equal(sl_seal_key_load(at("seal.key"), &key, &err), 0);
    assert_int_equal(stat(at("seal.key"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(run(offline_seal_key, json_pack("{s:s}", "out", at("seal.key"))), -1);
    assert_int_equal(err.code, SL_E_ADMIN);
}

static void
a_peer_gets_every_bus_once_and_is_let_in(void **state)
{
    (void)state;
    struct sl_peer peer;
    char text[256] = {0};
    assert_int_equal(make_bus("bus-1"), 0);
    assert_int_equal(make_bus("bus-2"), 0);
    assert_int_equal(make_peer("front", "front"), 0);
    assert_int_equal(sl_peer_load(at("front"), arena, &peer, &err), 0);
    assert_int_equal(peer.bus_count, 2);
    FILE *file = fopen(at("front.peer"), "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
    fclose(file);
    assert_non_null(strstr(text, peer.public_key));
    assert_non_null(strstr(text, "role: 'front'"));
    assert_null(strstr(text, peer.secret_key));
    // What exists stays.
    assert_int_equal(make_peer("front", "front"), -1);
    assert_int_equal(err.code, SL_E_ADMIN);
}

// A peer of bus-3, which listens at several places, over a transport.
static int
make_near_or_far(const char *name, const char *over, struct sl_peer *ret_peer)
{
    int rc = run(offline_peer,
                 json_pack("{s:s, s:s, s:s, s:s, s:[s], s:[s]}", "name", name, "role", "front",
                           "over", over, "out", at(name), "bus", at("bus-3"), "allow", dir));
    return rc == 0 ? sl_peer_load(at(name), arena, ret_peer, &err) : -1;
}

static void
a_peer_gets_one_of_several_addresses(void **state)
{
    (void)state;
    struct sl_peer peer;
    assert_int_equal(
        run(offline_bus,
            json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", "bus-3", "out", at("bus-3"), "commands",
                      "ipc:///r/c tcp://10.0.0.1:1", "workers", " ipc:///r/w  tcp://10.0.0.1:2",
                      "events", "ipc:///r/e tcp://10.0.0.1:3 tcp://10.0.0.2:3")),
        0);
    assert_int_equal(make_near_or_far("near", "", &peer), 0);
    assert_string_equal(peer.buses[0].commands, "ipc:///r/c");
    assert_string_equal(peer.buses[0].workers, "ipc:///r/w");
    assert_string_equal(peer.buses[0].events, "ipc:///r/e");
    assert_int_equal(make_near_or_far("far", "tcp", &peer), 0);
    assert_string_equal(peer.buses[0].commands, "tcp://10.0.0.1:1");
    assert_string_equal(peer.buses[0].workers, "tcp://10.0.0.1:2");
    assert_string_equal(peer.buses[0].events, "tcp://10.0.0.1:3");
}

static void
a_transport_that_a_bus_does_not_have_is_refused(void **state)
{
    (void)state;
    struct sl_peer peer;
    static const char *const none[] = {"udp", "tc", "ipc:", "t"};
    for (size_t i = 0; i < SL_COUNT(none); i++) {
        assert_int_equal(make_near_or_far("farther", none[i], &peer), -1);
        assert_int_equal(err.code, SL_E_ADMIN);
    }
    assert_int_equal(access(at("farther"), F_OK), -1);
}

static void
names_and_roles_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"", "../x", ".hidden", "a b", "-x"};
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        assert_int_equal(make_peer(names[i], "front"), -1);
    }
    assert_int_equal(make_peer("x", "king"), -1);
    assert_int_equal(make_peer("x", "worker:"), -1);
    assert_int_equal(make_peer("x", "node:n1"), -1);
    assert_int_equal(make_peer("x", "worker:a'\nrole: 'admin"), -1);
    assert_int_equal(access(at("x"), F_OK), -1);
}

static void
a_peer_that_cannot_be_let_in_leaves_no_file(void **state)
{
    (void)state;
    json_t *fields =
        json_pack("{s:s, s:s, s:s, s:[s], s:[s]}", "name", "lost", "role", "front", "out",
                  at("lost"), "bus", at("bus-1"), "allow", "/nonexistent/directory");
    assert_int_equal(run(offline_peer, fields), -1);
    assert_int_equal(access(at("lost"), F_OK), -1);
}

static void
forbidding_takes_the_file_away_and_may_be_repeated(void **state)
{
    (void)state;
    json_t *dirs = json_pack("[s]", dir);
    assert_int_equal(files_forbid(dirs, "front", &err), 0);
    assert_int_equal(access(at("front.peer"), F_OK), -1);
    assert_int_equal(files_forbid(dirs, "front", &err), 0);
    assert_int_equal(files_forbid(dirs, "../front", &err), -1);
    json_decref(dirs);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sealing_key_is_private_and_never_replaced),
        cmocka_unit_test(a_peer_gets_every_bus_once_and_is_let_in),
        cmocka_unit_test(a_peer_gets_one_of_several_addresses),
        cmocka_unit_test(a_transport_that_a_bus_does_not_have_is_refused),
        cmocka_unit_test(names_and_roles_that_are_none_are_refused),
        cmocka_unit_test(a_peer_that_cannot_be_let_in_leaves_no_file),
        cmocka_unit_test(forbidding_takes_the_file_away_and_may_be_repeated),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
