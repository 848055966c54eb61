// store_test.c - the durable copy: what was committed is there again, what is damaged is not.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/fork.h"
#include "tests/unit/test.h"

#include "common/runtime/store_state.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct place {
    char path[64];
    struct sl_store *store;
};

static int
open_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    snprintf(place->path, sizeof(place->path), "/tmp/sluice-store-XXXXXX");
    struct sl_error err;
    bool discarded = true;
    if (mkdtemp(place->path) == NULL) {
        return -1;
    }
    place->store = sl_store_open(place->path, &discarded, &err);
    *state = place;
    return place->store != NULL && !discarded ? 0 : -1;
}

static int
close_place(void **state)
{
    struct place *place = *state;
    char file[128];
    sl_store_free(&place->store);
    snprintf(file, sizeof(file), "%s/data.mdb", place->path);
    unlink(file);
    snprintf(file, sizeof(file), "%s/lock.mdb", place->path);
    unlink(file);
    rmdir(place->path);
    free(place);
    return 0;
}

static void
put(struct place *place, const char *kind, const char *key, const char *body)
{
    struct sl_error err;
    struct sl_store_record record = {kind, key, 3, 1, sl_str(body)};
    assert_int_equal(sl_store_put(place->store, &record, &err), 0);
}

static bool
reopen(struct place *place)
{
    struct sl_error err;
    bool discarded = false;
    sl_store_free(&place->store);
    place->store = sl_store_open(place->path, &discarded, &err);
    assert_non_null(place->store);
    return discarded;
}

static int
append(void *arg, const struct sl_store_record *record, struct sl_error *err)
{
    (void)err;
    char *text = arg;
    size_t len = strlen(text);
    snprintf(text + len, 256 - len, "%s/%s=%.*s@%d/%d ", record->kind, record->key,
             SL_STR_FMT(record->body), (int)record->revision, (int)record->min_reader);
    return 0;
}

static int
append_one(void *arg, const struct sl_store_record *record, struct sl_error *err)
{
    return append(arg, record, err) == 0 ? 1 : -1;
}

static void
assert_contents(struct place *place, const char *expected)
{
    char text[256] = "";
    struct sl_error err;
    assert_int_equal(sl_store_each(place->store, append, text, &err), 0);
    assert_string_equal(text, expected);
}

static void
assert_position(struct place *place, const char *expected_epoch, uint64_t expected)
{
    char epoch[SL_ID_SIZE];
    uint64_t revision = 0;
    sl_store_position(place->store, epoch, &revision);
    assert_string_equal(epoch, expected_epoch);
    assert_int_equal(revision, expected);
}

static void
what_was_committed_is_there_after_reopening(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    assert_position(place, "", 0);
    assert_int_equal(sl_store_begin(place->store, false, &err), 0);
    put(place, "api", "b", "body-b");
    put(place, "api", "a", "body-a");
    put(place, "host", "*.x.example", "");
    assert_int_equal(sl_store_commit(place->store, "e1", 3, &err), 0);
    assert_false(reopen(place));
    assert_position(place, "e1", 3);
    assert_contents(place, "api/a=body-a@3/1 api/b=body-b@3/1 host/*.x.example=@3/1 ");
    assert_int_equal(sl_store_begin(place->store, false, &err), 0);
    assert_int_equal(sl_store_remove(place->store, "api", "b", &err), 0);
    assert_int_equal(sl_store_remove(place->store, "api", "never", &err), 0);
    assert_int_equal(sl_store_commit(place->store, "e1", 4, &err), 0);
    assert_contents(place, "api/a=body-a@3/1 host/*.x.example=@3/1 ");
}

static void
limit_files(rlim_t bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void
a_full_disk_keeps_nobody_from_reading(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    assert_int_equal(sl_store_begin(place->store, false, &err), 0);
    put(place, "api", "a", "body-a");
    assert_int_equal(sl_store_commit(place->store, "e1", 3, &err), 0);
    limit_files(1);
    bool discarded = reopen(place);
    limit_files(RLIM_INFINITY);
    assert_false(discarded);
    assert_position(place, "e1", 3);
    assert_contents(place, "api/a=body-a@3/1 ");
}

#define NO_MOUNTS 77 // this machine lets nobody mount anything

// In a process of its own: opens a store on a small disk, fills it, and replaces all entries.
static int
fill_and_replace(const char *path)
{
    int rights = geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS;
    char ballast[128];
    char page[4096] = "ballast";
    struct sl_error err;
    if (unshare(rights) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("sluice-test", path, "tmpfs", 0, "size=256k") != 0) {
        return NO_MOUNTS;
    }
    struct sl_store *store = sl_store_open(path, NULL, &err);
    snprintf(ballast, sizeof(ballast), "%s/ballast", path);
    int fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(fd, page, sizeof(page)) > 0) {
    }
    close(fd);
    bool is_refused = store != NULL && sl_store_begin(store, true, &err) != 0 &&
                      strstr(err.detail, strerror(ENOSPC)) != NULL;
    sl_store_free(&store);
    return is_refused ? 0 : 1;
}

static void
assert_lock_has_room(const char *path)
{
    char name[128];
    struct stat info;
    snprintf(name, sizeof(name), "%s/lock.mdb", path);
    assert_true(stat(name, &info) == 0 && info.st_blocks * 512 >= info.st_size);
}

// LMDB writes to its lock file through a mapping, which would be death by SIGBUS.
static void
a_full_disk_refuses_what_replaces_all_entries(void **state)
{
    struct place *place = *state;
    int status = 0;
    pid_t child = fork_child();
    if (child == 0) {
        _exit(fill_and_replace(place->path));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NO_MOUNTS) {
        assert_lock_has_room(place->path); // what the refusal rests on
        return;
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void
an_aborted_change_leaves_nothing(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    assert_int_equal(sl_store_begin(place->store, false, &err), 0);
    put(place, "api", "a", "x");
    sl_store_abort(place->store);
    assert_contents(place, "");
    assert_position(place, "", 0);
}

static void
a_change_afresh_replaces_everything(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    assert_int_equal(sl_store_begin(place->store, false, &err), 0);
    put(place, "api", "a", "x");
    assert_int_equal(sl_store_commit(place->store, "e1", 1, &err), 0);
    assert_int_equal(sl_store_begin(place->store, true, &err), 0);
    put(place, "api", "c", "y");
    assert_int_equal(sl_store_commit(place->store, "e2", 9, &err), 0);
    assert_contents(place, "api/c=y@3/1 ");
    assert_position(place, "e2", 9);
}

static void
count_blob(void *arg, const char *name, struct sl_str bytes)
{
    char *text = arg;
    snprintf(text + strlen(text), 64, "%s:%.*s ", name, SL_STR_FMT(bytes));
}

static void
blobs_stand_beside_the_entries_and_survive_a_fresh_start(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    assert_int_equal(sl_store_begin(place->store, true, &err), 0);
    assert_int_equal(sl_store_put_blob(place->store, "key/1", SL_STR("k1"), &err), 0);
    assert_int_equal(sl_store_put_blob(place->store, "key/2", SL_STR("k2"), &err), 0);
    assert_int_equal(sl_store_commit(place->store, "e1", 1, &err), 0);
    assert_int_equal(sl_store_begin(place->store, true, &err), 0);
    assert_int_equal(sl_store_remove_blob(place->store, "key/1", &err), 0);
    assert_int_equal(sl_store_commit(place->store, "e1", 2, &err), 0);
    char text[256] = "";
    assert_int_equal(sl_store_blobs(place->store, count_blob, text, &err), 0);
    assert_string_equal(text, "key/2:k2 ");
}

// Fills the store, closes it, and writes `len` bytes over its file from `at` on.
static void
damage(struct place *place, const char *old, const char *new)
{
    struct sl_error err;
    assert_int_equal(sl_store_begin(place->store, false, &err), 0);
    put(place, "api", "a", "a body that one can find again");
    assert_int_equal(sl_store_commit(place->store, "e1", 1, &err), 0);
    sl_store_free(&place->store);
    char file[128];
    snprintf(file, sizeof(file), "%s/data.mdb", place->path);
    int fd = open(file, O_RDWR);
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    char *bytes = malloc((size_t)status.st_size);
    assert_int_equal(read(fd, bytes, (size_t)status.st_size), status.st_size);
    bool found = false;
    for (char *at = bytes;
         (at = memmem(at, (size_t)(bytes + status.st_size - at), old, strlen(old))) != NULL; at++) {
        assert_int_equal(pwrite(fd, new, strlen(new), at - bytes), strlen(new));
        found = true;
    }
    assert_true(found);
    free(bytes);
    close(fd);
}

static void
a_damaged_body_makes_the_store_start_empty(void **state)
{
    struct place *place = *state;
    damage(place, "one can find", "One can find");
    assert_true(reopen(place));
    assert_contents(place, "");
    assert_position(place, "", 0);
}

static void
a_file_of_rubbish_makes_the_store_start_empty(void **state)
{
    struct place *place = *state;
    char file[128];
    sl_store_free(&place->store);
    snprintf(file, sizeof(file), "%s/data.mdb", place->path);
    int fd = open(file, O_WRONLY | O_TRUNC);
    for (int i = 0; i < 4096; i++) {
        assert_int_equal(write(fd, "rubbish!", 8), 8);
    }
    close(fd);
    assert_true(reopen(place));
    assert_contents(place, "");
}

static void
a_file_cut_short_makes_the_store_start_empty(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    assert_int_equal(sl_store_begin(place->store, false, &err), 0);
    static char large[300000];
    memset(large, 'x', sizeof(large) - 1);
    put(place, "api", "a", large);
    assert_int_equal(sl_store_commit(place->store, "e1", 1, &err), 0);
    sl_store_free(&place->store);
    char file[128];
    snprintf(file, sizeof(file), "%s/data.mdb", place->path);
    assert_int_equal(truncate(file, 20480), 0);
    assert_true(reopen(place));
    assert_contents(place, "");
}

static void
a_page_of_entries_begins_behind_a_name_and_ends_when_enough(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    char text[256] = "";
    assert_int_equal(sl_store_begin(place->store, false, &err), 0);
    put(place, "api", "a", "1");
    put(place, "api", "c", "2");
    put(place, "host", "b", "3");
    assert_int_equal(sl_store_commit(place->store, "e1", 3, &err), 0);
    assert_int_equal(sl_store_each_after(place->store, "api", "a", append, text, &err), 0);
    assert_string_equal(text, "api/c=2@3/1 host/b=3@3/1 ");
    text[0] = '\0';
    assert_int_equal(sl_store_each_after(place->store, "api", "b", append_one, text, &err), 0);
    assert_string_equal(text, "api/c=2@3/1 ");
    text[0] = '\0';
    assert_int_equal(sl_store_each_after(place->store, "host", "b", append, text, &err), 0);
    assert_string_equal(text, "");
}

static void
a_second_process_may_read_what_is_being_written(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    char text[256] = "";
    uint64_t revision = 0;
    char epoch[SL_ID_SIZE];
    assert_int_equal(sl_store_begin(place->store, false, &err), 0);
    put(place, "api", "a", "1");
    assert_int_equal(sl_store_commit(place->store, "e1", 3, &err), 0);
    fflush(stdout);
    pid_t child = fork_child();
    if (child == 0) { // LMDB lets a process open a file once
        struct sl_store *reader = sl_store_open_read(place->path, &err);
        bool is_read = reader != NULL && sl_store_each(reader, append, text, &err) == 0;
        sl_store_position(reader, epoch, &revision);
        _exit(is_read && revision == 3 && strcmp(text, "api/a=1@3/1 ") == 0 ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

// A store that was found is read where it is; the first change goes to a file of our own.
static void
a_change_to_a_found_store_goes_to_a_fresh_file(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    char file[128];
    struct stat before;
    struct stat after;
    assert_int_equal(sl_store_begin(place->store, false, &err), 0);
    put(place, "api", "a", "1");
    assert_int_equal(sl_store_put_blob(place->store, "key/1", SL_STR("k1"), &err), 0);
    assert_int_equal(sl_store_commit(place->store, "e1", 3, &err), 0);
    assert_false(reopen(place));
    snprintf(file, sizeof(file), "%s/data.mdb", place->path);
    assert_int_equal(stat(file, &before), 0);
    assert_int_equal(sl_store_begin(place->store, false, &err), 0);
    put(place, "api", "b", "2");
    assert_int_equal(sl_store_commit(place->store, "e1", 4, &err), 0);
    assert_int_equal(stat(file, &after), 0);
    assert_int_not_equal(before.st_ino, after.st_ino);
    assert_contents(place, "api/a=1@3/1 api/b=2@3/1 ");
    assert_false(reopen(place));
    assert_position(place, "e1", 4);
    assert_contents(place, "api/a=1@3/1 api/b=2@3/1 ");
    char text[256] = "";
    assert_int_equal(sl_store_blobs(place->store, count_blob, text, &err), 0);
    assert_string_equal(text, "key/1:k1 ");
}

static int
count_one(void *arg, const struct sl_store_record *record, struct sl_error *err)
{
    (void)record;
    (void)err;
    *(int *)arg += 1;
    return 0;
}

static void
assert_count(struct place *place, int expected)
{
    int count = 0;
    struct sl_error err;
    assert_int_equal(sl_store_each(place->store, count_one, &count, &err), 0);
    assert_int_equal(count, expected);
}

// Steps until it is ready; how many it took.
static int
make_ready(struct place *place)
{
    struct sl_error err;
    bool ready = false;
    int steps = 0;
    for (; !ready; steps++) {
        assert_count(place, 2500); // it can be read all the while
        assert_int_equal(sl_store_ready(place->store, &ready, &err), 0);
    }
    return steps;
}

static void
a_large_store_that_was_found_is_copied_step_by_step(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    char name[16];
    bool ready = true;
    assert_int_equal(sl_store_begin(place->store, false, &err), 0);
    for (int i = 0; i < 2500; i++) {
        snprintf(name, sizeof(name), "%d", i);
        put(place, "api", name, "1");
    }
    assert_int_equal(sl_store_commit(place->store, "e1", 3, &err), 0);
    assert_int_equal(sl_store_ready(place->store, &ready, &err), 0);
    assert_true(ready); // our own file needs no copy
    assert_false(reopen(place));
    assert_int_equal(sl_store_ready(place->store, &ready, &err), 0);
    assert_false(ready);
    assert_false(reopen(place)); // in the middle: as if nothing had been
    assert_count(place, 2500);
    assert_int_equal(make_ready(place), 3);
    assert_int_equal(sl_store_begin(place->store, false, &err), 0);
    put(place, "api", "more", "2");
    assert_int_equal(sl_store_commit(place->store, "e1", 4, &err), 0);
    assert_false(reopen(place));
    assert_position(place, "e1", 4);
    assert_count(place, 2501);
}

// Begins to replace everything by 2,500 entries, more than go into one part.
static void
put_many(struct place *place)
{
    struct sl_error err;
    char name[16];
    assert_int_equal(sl_store_begin(place->store, true, &err), 0);
    for (int i = 0; i < 2500; i++) {
        snprintf(name, sizeof(name), "%d", i);
        put(place, "api", name, "1");
    }
}

static void
put_first(struct place *place)
{
    struct sl_error err;
    assert_int_equal(sl_store_begin(place->store, false, &err), 0);
    put(place, "api", "a", "old");
    assert_int_equal(sl_store_put_blob(place->store, "key", SL_STR("blob"), &err), 0);
    assert_int_equal(sl_store_commit(place->store, "e1", 3, &err), 0);
}

static void
a_large_set_takes_the_place_of_another_at_once(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    char blob[64] = "";
    put_first(place);
    put_many(place);
    assert_int_equal(sl_store_remove(place->store, "api", "7", &err), 0);
    assert_contents(place, "api/a=old@3/1 "); // until the commit
    assert_int_equal(sl_store_commit(place->store, "e2", 9, &err), 0);
    assert_count(place, 2499);
    assert_position(place, "e2", 9);
    assert_int_equal(sl_store_begin(place->store, false, &err), 0); // it goes on as any other
    put(place, "api", "more", "2");
    assert_int_equal(sl_store_commit(place->store, "e2", 10, &err), 0);
    assert_false(reopen(place));
    assert_count(place, 2500);
    assert_position(place, "e2", 10);
    assert_int_equal(sl_store_blobs(place->store, count_blob, blob, &err), 0);
    assert_string_equal(blob, "key:blob ");
}

static void
a_large_set_that_is_given_up_leaves_the_other(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    char path[128];
    put_first(place);
    put_many(place);
    sl_store_abort(place->store);
    snprintf(path, sizeof(path), "%s/new", place->path);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_contents(place, "api/a=old@3/1 ");
    assert_int_equal(sl_store_begin(place->store, false, &err), 0);
    put(place, "api", "b", "new");
    assert_int_equal(sl_store_commit(place->store, "e1", 4, &err), 0);
    assert_false(reopen(place));
    assert_contents(place, "api/a=old@3/1 api/b=new@3/1 ");
}

static void
a_crash_amid_a_large_set_leaves_the_other(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    put_first(place);
    sl_store_free(&place->store);
    pid_t child = fork();
    if (child == 0) {
        place->store = sl_store_open(place->path, NULL, &err);
        put_many(place);
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_false(reopen(place));
    assert_contents(place, "api/a=old@3/1 ");
    assert_position(place, "e1", 3);
    put_many(
        place); // a store that was found needs no copy for it, and what is left is no hindrance
    assert_int_equal(sl_store_commit(place->store, "e2", 9, &err), 0);
    assert_false(reopen(place));
    assert_count(place, 2500);
}

// RFC 3720 B.4, and any split of a text gives the same.
static void
the_crc_is_the_castagnoli_one(void **state)
{
    (void)state;
    static const unsigned char zeros[32];
    const char *text = "123456789 and then some more bytes";
    assert_int_equal(store_crc32c(0, zeros, 32), 0x8a9136aa);
    assert_int_equal(store_crc32c(0, text, 9), 0xe3069283);
    for (size_t i = 0; i <= strlen(text); i++) {
        assert_int_equal(store_crc32c(store_crc32c(0, text, i), text + i, strlen(text) - i),
                         store_crc32c(0, text, strlen(text)));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_crc_is_the_castagnoli_one),
        TEST(what_was_committed_is_there_after_reopening),
        TEST(a_full_disk_keeps_nobody_from_reading),
        TEST(a_full_disk_refuses_what_replaces_all_entries),
        TEST(an_aborted_change_leaves_nothing),
        TEST(a_change_afresh_replaces_everything),
        TEST(a_large_set_takes_the_place_of_another_at_once),
        TEST(a_large_set_that_is_given_up_leaves_the_other),
        TEST(a_crash_amid_a_large_set_leaves_the_other),
        TEST(blobs_stand_beside_the_entries_and_survive_a_fresh_start),
        TEST(a_page_of_entries_begins_behind_a_name_and_ends_when_enough),
        TEST(a_second_process_may_read_what_is_being_written),
        TEST(a_change_to_a_found_store_goes_to_a_fresh_file),
        TEST(a_large_store_that_was_found_is_copied_step_by_step),
        TEST(a_damaged_body_makes_the_store_start_empty),
        TEST(a_file_of_rubbish_makes_the_store_start_empty),
        TEST(a_file_cut_short_makes_the_store_start_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
