// nginx_upgrade_test.c - the steps of an upgrade, with masters and workers that this program plays.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/node/node_kit.h"

#include "services/node/nginx_upgrade.c"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define PATIENCE_MS 60000
#define WORKERS     2
#define MASTER_S    90 // that a master lives at most
#define WORKER_S    60 // and a worker

// How the second master behaves.
enum play {
    COMES_UP,
    DOES_NOT_START, // USR2 leads to nothing but the pid file moving there and back
    IS_NO_DAEMON,   // USR2 is ignored
};

struct place {
    char path[64];
    char binary[PATH_MAX];
    char module[128];
    struct settings settings;
    struct nginx_upgrade *upgrade;
    enum play play;
    pid_t first; // master
};

static void
write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void
write_pid(const struct place *place)
{
    char path[128];
    char fresh[160];
    char text[32];
    snprintf(path, sizeof(path), "%s/nginx.pid", place->path);
    snprintf(fresh, sizeof(fresh), "%s.%d", path, (int)getpid());
    snprintf(text, sizeof(text), "%d\n", (int)getpid());
    write_file(fresh, text);
    assert_int_equal(rename(fresh, path), 0); // whoever reads it finds one number or the other
}

static pid_t
play_worker(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGALRM, SIG_DFL);
        prctl(PR_SET_PDEATHSIG, SIGKILL); // none outlives its master and holds the test's output
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        alarm(WORKER_S);
        for (;;) {
            pause();
        }
    }
    return pid;
}

static void play_master(const struct place *place);

static void
replace_master(const struct place *place)
{
    char named[128];
    char old[128];
    snprintf(named, sizeof(named), "%s/nginx.pid", place->path);
    snprintf(old, sizeof(old), "%s/nginx.pid.oldbin", place->path);
    if (place->play == IS_NO_DAEMON) {
        return;
    }
    assert_int_equal(rename(named, old), 0);
    if (place->play == DOES_NOT_START) {
        poll(NULL, 0, 200); // the new program reads its configuration
        assert_int_equal(rename(old, named), 0);
    } else if (fork() == 0) {
        play_master(place);
    }
}

// What nginx's master does with its signals; never returns.
static void
play_master(const struct place *place)
{
    sigset_t set;
    pid_t workers[WORKERS] = {0};
    int number = SIGHUP;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGWINCH);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    alarm(MASTER_S); // one that a failed test forgot ends too
    for (;;) {
        for (int i = 0; i < WORKERS && number != SIGUSR2; i++) {
            if (workers[i] > 0) {
                kill(workers[i], SIGKILL);
            }
        }
        if (number == SIGHUP) {
            for (int i = 0; i < WORKERS; i++) {
                workers[i] = play_worker();
            }
            write_pid(place);
        } else if (number == SIGUSR2) {
            replace_master(place);
        }
        if (number == SIGQUIT) {
            char old[128];
            snprintf(old, sizeof(old), "%s/nginx.pid.oldbin", place->path);
            unlink(old);
            _exit(0);
        }
        sigwait(&set, &number);
    }
}

static int
open_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    struct sl_error err;
    signal(SIGCHLD, SIG_IGN); // nobody waits for those that end
    snprintf(place->path, sizeof(place->path), "/tmp/sluice-upgrade-XXXXXX");
    *state = place;
    if (mkdtemp(place->path) == NULL || realpath("/proc/self/exe", place->binary) == NULL) {
        return -1;
    }
    snprintf(place->module, sizeof(place->module), "%s/module.so", place->path);
    write_file(place->module, "module");
    place->settings = (struct settings){.state_dir = place->path,
                                        .nginx_binary = place->binary,
                                        .nginx_module = place->module,
                                        .nginx_conf = "",
                                        .nginx_workers = WORKERS};
    place->upgrade = nginx_upgrade_new(&place->settings, &err);
    return place->upgrade == NULL ? -1 : 0;
}

static int
close_place(void **state)
{
    struct place *place = *state;
    static const char *const names[] = {"nginx.pid", "nginx.pid.oldbin"};
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", place->path, names[i]);
        pid_t pid = nginx_signal_find(path, place->binary);
        if (pid > 0) {
            kill(pid, SIGQUIT);
        }
    }
    if (nginx_signal_runs(place->first, place->binary)) {
        kill(place->first, SIGQUIT);
    }
    nginx_upgrade_free(&place->upgrade);
    kit_remove_tree(place->path);
    free(place);
    return 0;
}

// A configuration and the one before it.
static void
write_confs(const struct place *place)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/nginx.conf", place->path);
    write_file(path, "new");
    snprintf(path, sizeof(path), "%s/nginx.conf.before", place->path);
    write_file(path, "old");
}

static void
assert_conf(const struct place *place, const char *expected)
{
    char path[128];
    char text[16] = "";
    snprintf(path, sizeof(path), "%s/nginx.conf", place->path);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    assert_string_equal(text, expected);
}

static void
start(struct place *place, enum play play)
{
    char path[128];
    pid_t children[WORKERS_MAX];
    int64_t end_ms = sl_mono_ms() + PATIENCE_MS;
    place->play = play;
    write_confs(place);
    snprintf(path, sizeof(path), "%s/nginx.pid", place->path);
    pid_t pid = fork();
    if (pid == 0) {
        play_master(place);
    }
    place->first = pid;
    while (nginx_signal_find(path, place->binary) != pid || children_of(pid, children) < WORKERS) {
        assert_true(sl_mono_ms() < end_ms);
    }
}

static void
run_to_end(struct place *place)
{
    int64_t end_ms = sl_mono_ms() + PATIENCE_MS;
    while (nginx_upgrade_is_busy(place->upgrade)) {
        assert_true(sl_mono_ms() < end_ms);
        nginx_upgrade_tick(place->upgrade, sl_mono_ms());
    }
}

static pid_t
named(const struct place *place)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/nginx.pid", place->path);
    return nginx_signal_find(path, place->binary);
}

static void
without_nginx_there_is_nothing_to_do(void **state)
{
    struct place *place = *state;
    assert_false(nginx_upgrade_begin(place->upgrade));
    nginx_upgrade_tick(place->upgrade, sl_mono_ms());
    assert_false(nginx_upgrade_is_busy(place->upgrade));
}

static void
an_nginx_that_has_the_module_is_left_alone(void **state)
{
    struct place *place = *state;
    int fd = open(place->module, O_RDONLY | O_CLOEXEC);
    void *mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(mapped, MAP_FAILED);
    close(fd);
    start(place, COMES_UP); // it inherits the mapping
    assert_false(nginx_upgrade_begin(place->upgrade));
    assert_int_equal(named(place), place->first);
    // The same path with another file behind it is another module.
    unlink(place->module);
    write_file(place->module, "another");
    assert_true(nginx_upgrade_begin(place->upgrade));
    run_to_end(place);
    munmap(mapped, 4096);
}

static void
the_new_master_takes_over_and_the_old_one_ends(void **state)
{
    struct place *place = *state;
    pid_t workers[WORKERS_MAX];
    start(place, COMES_UP);
    assert_true(nginx_upgrade_begin(place->upgrade));
    run_to_end(place);
    assert_string_equal(nginx_upgrade_reason(place->upgrade), "");
    assert_false(nginx_signal_runs(place->first, place->binary));
    assert_int_not_equal(named(place), 0);
    assert_int_not_equal(named(place), place->first);
    assert_int_equal(children_of(named(place), workers), WORKERS);
    assert_conf(place, "new");
}

static void
a_new_one_that_does_not_start_changes_nothing(void **state)
{
    struct place *place = *state;
    pid_t workers[WORKERS_MAX];
    start(place, DOES_NOT_START);
    assert_true(nginx_upgrade_begin(place->upgrade));
    run_to_end(place);
    assert_non_null(strstr(nginx_upgrade_reason(place->upgrade), "does not start"));
    assert_int_equal(named(place), place->first);
    assert_int_equal(children_of(place->first, workers), WORKERS);
    assert_conf(place, "old");
}

// A rename gives the file its time a moment before it takes it from its name: a look in between
// finds the old master in a file that has moved.
static void
one_look_at_a_moving_file_is_not_believed(void **state)
{
    struct place *place = *state;
    char path[128];
    int64_t now_ms = sl_mono_ms();
    snprintf(path, sizeof(path), "%s/nginx.pid", place->path);
    start(place, IS_NO_DAEMON);
    assert_true(nginx_upgrade_begin(place->upgrade));
    assert_int_equal(chmod(path, 0600), 0); // another time, the same name
    nginx_upgrade_tick(place->upgrade, now_ms += LOOK_MS);
    assert_true(nginx_upgrade_is_busy(place->upgrade));
    assert_string_equal(nginx_upgrade_reason(place->upgrade), "");
    nginx_upgrade_tick(place->upgrade, now_ms += LOOK_MS);
    assert_non_null(strstr(nginx_upgrade_reason(place->upgrade), "does not start"));
}

static void
run_to_phase(struct place *place, enum phase phase)
{
    int64_t end_ms = sl_mono_ms() + PATIENCE_MS;
    while (place->upgrade->phase != phase) {
        assert_true(sl_mono_ms() < end_ms);
        nginx_upgrade_tick(place->upgrade, sl_mono_ms());
    }
}

// The new master's first worker dies as soon as the upgrade is in that phase.
static void
lose_a_worker_in(struct place *place, enum phase phase)
{
    pid_t workers[WORKERS_MAX];
    start(place, COMES_UP);
    assert_true(nginx_upgrade_begin(place->upgrade));
    run_to_phase(place, phase);
    assert_int_equal(kill(place->upgrade->workers[0], SIGKILL), 0);
    run_to_end(place);
    assert_non_null(strstr(nginx_upgrade_reason(place->upgrade), "do not stay"));
    assert_true(nginx_signal_runs(place->first, place->binary));
    // A master that was told to finish gets its workers back.
    int64_t end_ms = sl_mono_ms() + PATIENCE_MS;
    while (children_of(place->first, workers) < WORKERS) {
        assert_true(sl_mono_ms() < end_ms);
    }
    assert_conf(place, "old");
}

static void
a_new_one_that_loses_a_worker_is_sent_away(void **state)
{
    lose_a_worker_in(*state, STEADY);
}

static void
a_new_one_that_loses_a_worker_late_is_sent_away_too(void **state)
{
    lose_a_worker_in(*state, WINCHED);
}

static void
one_in_the_foreground_reads_its_configuration_instead(void **state)
{
    struct place *place = *state;
    pid_t before[WORKERS_MAX] = {0};
    pid_t after[WORKERS_MAX] = {0};
    start(place, IS_NO_DAEMON);
    assert_int_equal(children_of(place->first, before), WORKERS);
    assert_true(nginx_upgrade_begin(place->upgrade));
    run_to_end(place);
    assert_string_equal(nginx_upgrade_reason(place->upgrade), "");
    assert_int_equal(named(place), place->first);
    assert_conf(place, "new");
    int64_t end_ms = sl_mono_ms() + PATIENCE_MS; // the workers of its HUP
    while (children_of(place->first, after) != WORKERS || after[0] == before[0] ||
           after[0] == before[1]) {
        assert_true(sl_mono_ms() < end_ms);
    }
}

static void
an_nginx_that_ends_meanwhile_leaves_nothing_to_take_back(void **state)
{
    struct place *place = *state;
    start(place, IS_NO_DAEMON);
    assert_true(nginx_upgrade_begin(place->upgrade));
    kill(place->first, SIGQUIT);
    while (nginx_signal_runs(place->first, place->binary)) {
        poll(NULL, 0, 2);
    }
    run_to_end(place);
    assert_string_equal(nginx_upgrade_reason(place->upgrade), "");
    assert_conf(place, "new");
}

// Its supervisor was quicker: what is there has the module, and nobody gets the old one's signals.
static void
an_nginx_that_is_started_again_meanwhile_is_the_new_one(void **state)
{
    struct place *place = *state;
    start(place, IS_NO_DAEMON);
    assert_true(nginx_upgrade_begin(place->upgrade));
    pid_t first = place->first;
    kill(first, SIGQUIT);
    while (nginx_signal_runs(first, place->binary)) {
        poll(NULL, 0, 2);
    }
    start(place, COMES_UP);
    run_to_end(place);
    assert_string_equal(nginx_upgrade_reason(place->upgrade), "");
    assert_int_equal(named(place), place->first);
}

static void
an_agent_that_comes_in_the_middle_goes_on(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    start(place, COMES_UP);
    assert_true(nginx_upgrade_begin(place->upgrade));
    run_to_phase(place, STEADY);
    nginx_upgrade_free(&place->upgrade);
    place->upgrade = nginx_upgrade_new(&place->settings, &err);
    assert_true(nginx_upgrade_begin(place->upgrade));
    run_to_end(place);
    assert_false(nginx_signal_runs(place->first, place->binary));
    assert_string_equal(nginx_upgrade_reason(place->upgrade), "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_nginx_there_is_nothing_to_do),
        TEST(an_nginx_that_has_the_module_is_left_alone),
        TEST(the_new_master_takes_over_and_the_old_one_ends),
        TEST(a_new_one_that_does_not_start_changes_nothing),
        TEST(one_look_at_a_moving_file_is_not_believed),
        TEST(a_new_one_that_loses_a_worker_is_sent_away),
        TEST(a_new_one_that_loses_a_worker_late_is_sent_away_too),
        TEST(one_in_the_foreground_reads_its_configuration_instead),
        TEST(an_nginx_that_ends_meanwhile_leaves_nothing_to_take_back),
        TEST(an_nginx_that_is_started_again_meanwhile_is_the_new_one),
        TEST(an_agent_that_comes_in_the_middle_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
