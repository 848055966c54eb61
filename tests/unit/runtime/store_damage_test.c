// store_damage_test.c - a flipped bit or a cut anywhere in the file: the store either holds what
// was committed or starts empty, and takes changes after that.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/fork.h"
#include "tests/unit/test.h"

#include "common/runtime/store.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENTRIES      40
#define LARGE_EVERY  9 // of these one does not fit its page
#define COMMITS      6
#define PAGE         4096
#define HEADER       16  // bytes of a page that LMDB itself reads
#define HEADER_EVERY 8   // of its bytes are flipped, others from page to page
#define STRIDE       997 // between the other bytes that are flipped
#define CHANGES      2
#define PATIENCE_S   60

static struct {
    char path[64];
    char file[128];
    char *bytes; // of the file as it was
    size_t size;
    uint64_t digests[COMMITS + 1]; // of the contents after each commit; [0]: empty
} pristine;

// What the damaged copies came to.
enum outcome {
    WHOLE, // the last commit
    OLDER, // the one before it
    EMPTY, // thrown away
    WRONG, // something that never was
    STUCK, // it could not be written any more
    DIED,  // with the process
    OUTCOMES,
};
static const char *const outcome_names[OUTCOMES] = {"whole", "older", "empty",
                                                    "wrong", "stuck", "died"};

static void
body_of(int entry, int commit, char *ret_body, size_t *ret_len)
{
    *ret_len = entry % LARGE_EVERY == 0 ? 5000 : 60 + (size_t)entry * 7;
    memset(ret_body, 'a' + (entry * 3 + commit) % 26, *ret_len);
}

static int
digest_one(void *arg, const struct sl_store_record *record, struct sl_error *err)
{
    (void)err;
    uint64_t *digest = arg;
    *digest = *digest * 31 + record->revision;
    for (const char *at = record->key; *at != '\0'; at++) {
        *digest = *digest * 31 + (unsigned char)*at;
    }
    for (size_t i = 0; i < record->body.len; i++) {
        *digest = *digest * 31 + (unsigned char)record->body.ptr[i];
    }
    return 0;
}

static bool
digest_of(struct sl_store *store, uint64_t *ret_digest)
{
    struct sl_error err;
    *ret_digest = 0;
    return sl_store_each(store, digest_one, ret_digest, &err) == 0;
}

// One change of `count` entries; even commits take some away, so that pages become free.
static int
change(struct sl_store *store, int commit, int count, struct sl_error *err)
{
    char body[8192];
    struct sl_store_record record = {.kind = "api", .revision = (uint64_t)commit, .min_reader = 1};
    if (sl_store_begin(store, false, err) != 0) {
        return -1;
    }
    for (int i = commit % 3; i < count; i += commit == 1 ? 1 : 3) {
        char key[16];
        snprintf(key, sizeof(key), "key-%04d", i);
        record.key = key;
        body_of(i, commit, body, &record.body.len);
        record.body.ptr = body;
        int rc = commit % 2 == 0 && i % 2 == 0 ? sl_store_remove(store, "api", key, err)
                                               : sl_store_put(store, &record, err);
        if (rc != 0) {
            return -1;
        }
    }
    return sl_store_commit(store, "e1", (uint64_t)commit, err);
}

static int
make_pristine(void **state)
{
    (void)state;
    struct sl_error err;
    snprintf(pristine.path, sizeof(pristine.path), "/dev/shm/sluice-damage-XXXXXX");
    if (mkdtemp(pristine.path) == NULL) {
        return -1;
    }
    struct sl_store *store = sl_store_open(pristine.path, NULL, &err);
    for (int commit = 1; commit <= COMMITS; commit++) {
        if (change(store, commit, ENTRIES, &err) != 0 ||
            !digest_of(store, &pristine.digests[commit])) {
            return -1;
        }
    }
    sl_store_free(&store);
    snprintf(pristine.file, sizeof(pristine.file), "%s/data.mdb", pristine.path);
    int fd = open(pristine.file, O_RDONLY);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        return -1;
    }
    pristine.size = (size_t)status.st_size;
    pristine.bytes = malloc(pristine.size);
    bool is_read = read(fd, pristine.bytes, pristine.size) == (ssize_t)pristine.size;
    close(fd);
    return is_read ? 0 : -1;
}

static int
drop_pristine(void **state)
{
    (void)state;
    char lock[128];
    snprintf(lock, sizeof(lock), "%s/lock.mdb", pristine.path);
    unlink(lock);
    unlink(pristine.file);
    rmdir(pristine.path);
    free(pristine.bytes);
    return 0;
}

static void
write_copy(const char *bytes, size_t size)
{
    int fd = open(pristine.file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

// Opens the damaged copy, says what it holds, and changes it as an agent goes on to do.
static enum outcome
try_copy(void)
{
    struct sl_error err;
    uint64_t digest = 0;
    bool discarded = false;
    struct sl_store *store = sl_store_open(pristine.path, &discarded, &err);
    if (store == NULL || !digest_of(store, &digest)) {
        return WRONG;
    }
    enum outcome outcome = discarded                                 ? EMPTY
                           : digest == pristine.digests[COMMITS]     ? WHOLE
                           : digest == pristine.digests[COMMITS - 1] ? OLDER
                                                                     : WRONG;
    for (int i = 0; i < CHANGES; i++) {
        if (change(store, COMMITS + 1 + i, ENTRIES, &err) != 0) {
            return STUCK;
        }
    }
    uint64_t after = 0;
    bool is_read = digest_of(store, &digest);
    sl_store_free(&store);
    store = sl_store_open(pristine.path, &discarded, &err);
    // A store that did not survive its changes is found out at the next start: no worse than now.
    if (store == NULL || !is_read || !digest_of(store, &after) || (!discarded && after != digest)) {
        return STUCK;
    }
    sl_store_free(&store);
    return outcome;
}

static enum outcome
outcome_of_copy(void)
{
    pid_t child = fork_child();
    if (child == 0) {
        static const int deaths[] = {SIGBUS, SIGSEGV, SIGABRT, SIGFPE, SIGALRM};
        for (size_t i = 0; i < SL_COUNT(deaths); i++) {
            signal(deaths[i], SIG_DFL); // not cmocka's
        }
        alarm(PATIENCE_S);
        _exit((int)try_copy());
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) < OUTCOMES ? (enum outcome)WEXITSTATUS(status)
                                                               : DIED;
}

static void
note(int counts[OUTCOMES], size_t at, int bit)
{
    enum outcome outcome = outcome_of_copy();
    counts[outcome]++;
    if (outcome >= WRONG) {
        print_message("byte %zu (page %zu + %zu) bit %d: %s\n", at, at / PAGE, at % PAGE, bit,
                      outcome_names[outcome]);
    }
}

static void
judge(const int counts[OUTCOMES])
{
    print_message("whole %d, older %d, empty %d\n", counts[WHOLE], counts[OLDER], counts[EMPTY]);
    assert_int_equal(counts[WRONG], 0);
    assert_int_equal(counts[STUCK], 0);
    assert_int_equal(counts[DIED], 0);
}

static void
a_flipped_bit_anywhere_is_detected_or_does_not_matter(void **state)
{
    (void)state;
    int counts[OUTCOMES] = {0};
    for (size_t at = 0; at < pristine.size; at++) {
        bool is_meta = at < (size_t)2 * PAGE && at % PAGE < 160 && at % 2 == 0;
        bool is_header = at % PAGE < HEADER && (at / PAGE + at) % HEADER_EVERY == 0;
        if (!is_meta && !is_header && at % STRIDE != 0) {
            continue;
        }
        int bit = (int)(at * 5 % 8);
        pristine.bytes[at] ^= (char)(1 << bit);
        write_copy(pristine.bytes, pristine.size);
        pristine.bytes[at] ^= (char)(1 << bit);
        note(counts, at, bit);
    }
    judge(counts);
    assert_true(counts[EMPTY] > 0 && counts[WHOLE] > 0);
}

static void
a_cut_anywhere_is_detected(void **state)
{
    (void)state;
    int counts[OUTCOMES] = {0};
    for (size_t size = 0; size < pristine.size; size += PAGE / 2 + 1) {
        write_copy(pristine.bytes, size);
        note(counts, size, 0);
    }
    judge(counts);
    assert_true(counts[EMPTY] > counts[WHOLE]); // whole: only free pages were behind the cut
}

static void
a_page_of_another_place_is_detected(void **state)
{
    (void)state;
    int counts[OUTCOMES] = {0};
    char kept[PAGE];
    for (size_t page = 2; page + 1 < pristine.size / PAGE; page++) {
        memcpy(kept, pristine.bytes + page * PAGE, PAGE);
        memcpy(pristine.bytes + page * PAGE, pristine.bytes + (page + 1) * PAGE, PAGE);
        write_copy(pristine.bytes, pristine.size);
        memcpy(pristine.bytes + page * PAGE, kept, PAGE);
        note(counts, page * PAGE, 0);
    }
    judge(counts);
    assert_true(counts[EMPTY] > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_bit_anywhere_is_detected_or_does_not_matter),
        cmocka_unit_test(a_cut_anywhere_is_detected),
        cmocka_unit_test(a_page_of_another_place_is_detected),
    };
    return cmocka_run_group_tests(tests, make_pristine, drop_pristine);
}
