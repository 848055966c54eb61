// peer_test.c - peer files: what is written can be read, what is loose is refused.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/peer.h"

#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct room {
    char dir[64];
    char path[96];
    struct sl_arena *arena;
};

static int
open_room(void **state)
{
    static struct room room;
    snprintf(room.dir, sizeof(room.dir), "/tmp/sluice-peer-XXXXXX");
    if (mkdtemp(room.dir) == NULL) {
        return -1;
    }
    snprintf(room.path, sizeof(room.path), "%s/peer.yaml", room.dir);
    room.arena = sl_arena_new(1 << 20);
    *state = &room;
    return 0;
}

static int
close_room(void **state)
{
    struct room *room = *state;
    unlink(room->path);
    rmdir(room->dir);
    sl_arena_free(&room->arena);
    return 0;
}

static void
write_file(const struct room *room, const char *text)
{
    FILE *out = fopen(room->path, "w");
    assert_non_null(out);
    fputs(text, out);
    fchmod(fileno(out), 0600);
    fclose(out);
}

static struct sl_peer
fresh_peer(void)
{
    struct sl_peer peer = {.name = "front-1", .bus_count = 2};
    sl_peer_keys(peer.public_key, peer.secret_key);
    for (size_t i = 0; i < peer.bus_count; i++) {
        char secret[SL_Z85_SIZE];
        peer.buses[i] = (struct sl_bus_address){"ipc:///tmp/c", "ipc:///tmp/w", "ipc:///tmp/e", ""};
        sl_peer_keys(peer.buses[i].public_key, secret);
    }
    return peer;
}

static void
a_saved_peer_is_read_back(void **state)
{
    struct room *room = *state;
    struct sl_error err;
    for (int i = 0; i < 50; i++) { // keys hold every character of Z85 sooner or later
        struct sl_peer peer = fresh_peer();
        struct sl_peer got;
        assert_int_equal(sl_peer_save(room->path, &peer, &err), 0);
        assert_int_equal(sl_peer_load(room->path, room->arena, &got, &err), 0);
        assert_string_equal(got.name, "front-1");
        assert_string_equal(got.secret_key, peer.secret_key);
        assert_int_equal(got.bus_count, 2);
        assert_string_equal(got.buses[1].events, "ipc:///tmp/e");
        assert_string_equal(got.buses[1].public_key, peer.buses[1].public_key);
    }
    struct stat info;
    assert_int_equal(stat(room->path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void
a_file_that_others_may_read_is_refused(void **state)
{
    struct room *room = *state;
    struct sl_error err;
    struct sl_peer peer = fresh_peer();
    struct sl_peer got;
    assert_int_equal(sl_peer_save(room->path, &peer, &err), 0);
    chmod(room->path, 0640);
    assert_int_equal(sl_peer_load(room->path, room->arena, &got, &err), -1);
    assert_int_equal(err.code, SL_E_CONFIG);
}

static void
loose_files_are_refused(void **state)
{
    struct room *room = *state;
    static const char *const texts[] = {
        "",          "- a\n",
        "name: a\n", "name: a\npublic_key: short\nsecret_key: short\nbuses: []\n",
        "nam: a\n",  "name: [a]\n",
        "name: {\n",
    };
    for (size_t i = 0; i < SL_COUNT(texts); i++) {
        struct sl_peer got;
        struct sl_error err;
        write_file(room, texts[i]);
        assert_int_equal(sl_peer_load(room->path, room->arena, &got, &err), -1);
        assert_int_equal(err.code, SL_E_CONFIG);
    }
}

static void
a_peer_without_a_bus_is_refused(void **state)
{
    struct room *room = *state;
    struct sl_peer peer = fresh_peer();
    struct sl_peer got;
    struct sl_error err;
    peer.bus_count = 0;
    assert_int_equal(sl_peer_save(room->path, &peer, &err), 0);
    assert_int_equal(sl_peer_load(room->path, room->arena, &got, &err), -1);
}

static void
a_file_that_is_not_there_is_named(void **state)
{
    struct room *room = *state;
    struct sl_peer got;
    struct sl_error err;
    assert_int_equal(sl_peer_load("/nonexistent/peer.yaml", room->arena, &got, &err), -1);
    assert_string_equal(err.args[0], "/nonexistent/peer.yaml");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_saved_peer_is_read_back),
        cmocka_unit_test(a_file_that_others_may_read_is_refused),
        cmocka_unit_test(loose_files_are_refused),
        cmocka_unit_test(a_peer_without_a_bus_is_refused),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, open_room, close_room);
}
