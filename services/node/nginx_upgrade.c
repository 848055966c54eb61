// nginx_upgrade.c - another module under running calls.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/nginx_upgrade.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "services/node/nginx_conf.h"
#include "services/node/nginx_signal.h"

#define LOOK_MS     50    // between looks at processes
#define HEED_MS     5000  // for the old master to take USR2
#define START_MS    15000 // for the new master and its workers
#define STEADY_MS   1000  // that the new workers must live before the old ones may go
#define WINCHED_MS  1000  // and again before the old master may
#define WORKERS_MAX 1024
#define PATH_SIZE   (PATH_MAX + 32)

enum phase {
    IDLE,
    STARTING, // USR2 was sent: the new master and its workers come up
    STEADY,   // both serve
    WINCHED,  // the old workers finish
    QUITTING, // the old master ends with them
};

struct nginx_upgrade {
    const struct settings *settings;
    enum phase phase;
    pid_t old_master;           //
    pid_t new_master;           // 0: not seen yet
    pid_t workers[WORKERS_MAX]; // of the new master
    size_t worker_count;        //
    int64_t look_ms;            // next look
    int64_t until_ms;           // end of the phase
    struct timespec named_at;   // when nginx.pid came to its name
    int64_t heed_ms;            // when USR2 counts as ignored
    bool was_back;              // the last look found nginx.pid moved, and the old master in it
    char pid_file[PATH_SIZE];   //
    char old_file[PATH_SIZE];   // the old master's while there are two
    char reason[128];           // why it was taken back
};

struct nginx_upgrade *
nginx_upgrade_new(const struct settings *settings, struct sl_error *err)
{
    struct nginx_upgrade *upgrade = calloc(1, sizeof(*upgrade));
    if (upgrade == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    upgrade->settings = settings;
    snprintf(upgrade->pid_file, PATH_SIZE, "%s/nginx.pid", settings->state_dir);
    snprintf(upgrade->old_file, PATH_SIZE, "%s/nginx.pid.oldbin", settings->state_dir);
    return upgrade;
}

void
nginx_upgrade_free(struct nginx_upgrade **upgrade)
{
    if (upgrade != NULL) {
        free(*upgrade);
        *upgrade = NULL;
    }
}

// -- processes

static pid_t
find(const struct nginx_upgrade *upgrade, const char *file)
{
    return nginx_signal_find(file, upgrade->settings->nginx_binary);
}

// Whether the old master is still there: a number that another program has since is not.
static bool
is_old_alive(const struct nginx_upgrade *upgrade)
{
    return nginx_signal_runs(upgrade->old_master, upgrade->settings->nginx_binary);
}

static struct timespec
named_at(const struct nginx_upgrade *upgrade)
{
    struct stat info = {.st_ctim = {0, 0}};
    return stat(upgrade->pid_file, &info) == 0 ? info.st_ctim : (struct timespec){0, 0};
}

// Whether nginx.pid was moved since the upgrade began, and perhaps back.
static bool
was_moved(const struct nginx_upgrade *upgrade)
{
    struct timespec at = named_at(upgrade);
    return at.tv_sec != upgrade->named_at.tv_sec || at.tv_nsec != upgrade->named_at.tv_nsec;
}

// Whether a process has the module of the settings: the file that has this path today, not one that
// had it when the process began.
static bool
has_module(const struct nginx_upgrade *upgrade, pid_t pid)
{
    char wanted[PATH_MAX];
    char path[64];
    char line[PATH_MAX + 128];
    snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    FILE *maps =
        realpath(upgrade->settings->nginx_module, wanted) != NULL ? fopen(path, "re") : NULL;
    if (maps == NULL) {
        return true; // nothing that could be loaded, or seen
    }
    bool is_found = false;
    while (!is_found && fgets(line, sizeof(line), maps) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        const char *name = strchr(line, '/');
        is_found = name != NULL && strcmp(name, wanted) == 0;
    }
    fclose(maps);
    return is_found;
}

// The children of a process, at most WORKERS_MAX.
static size_t
children_of(pid_t pid, pid_t ret_children[WORKERS_MAX])
{
    char path[64];
    char text[WORKERS_MAX * 12] = "";
    size_t count = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    struct sl_str rest = sl_str_trim((struct sl_str){text, len});
    while (rest.len > 0 && count < WORKERS_MAX) {
        int64_t child = 0;
        if (sl_str_int(sl_str_split(&rest, ' '), &child)) {
            ret_children[count++] = (pid_t)child;
        }
    }
    return count;
}

static size_t
workers_wanted(const struct settings *settings)
{
    long count =
        settings->nginx_workers > 0 ? settings->nginx_workers : sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (size_t)count;
}

// Whether the workers that came up are all still the ones that came up.
static bool
are_steady(const struct nginx_upgrade *upgrade)
{
    pid_t children[WORKERS_MAX];
    size_t count = children_of(upgrade->new_master, children);
    return count == upgrade->worker_count &&
           memcmp(children, upgrade->workers, count * sizeof(children[0])) == 0;
}

// -- steps

static void
enter(struct nginx_upgrade *upgrade, enum phase phase, int64_t until_ms)
{
    upgrade->phase = phase;
    upgrade->until_ms = until_ms;
}

// The configuration of before, for whoever starts nginx next.
static void
restore_conf(const struct nginx_upgrade *upgrade)
{
    struct sl_error err;
    if (nginx_conf_restore(upgrade->settings, &err) != 0) {
        sl_log_error(SL_ALERT, "nginx.conf of before cannot be put back", &err);
    }
}

// Back to the old master. HUP starts its workers again where they were told to finish.
static void
take_back(struct nginx_upgrade *upgrade, const char *why)
{
    bool is_wounded = upgrade->phase == WINCHED;
    snprintf(upgrade->reason, sizeof(upgrade->reason), "module upgrade taken back: %s", why);
    sl_log(SL_ALERT, "a module upgrade is taken back", SL_LOG_STR("reason", why));
    if (is_wounded && is_old_alive(upgrade)) {
        kill(upgrade->old_master, SIGHUP);
    }
    if (nginx_signal_runs(upgrade->new_master, upgrade->settings->nginx_binary)) {
        kill(upgrade->new_master, SIGQUIT);
    }
    restore_conf(upgrade);
    enter(upgrade, IDLE, 0);
}

// nginx in the foreground takes no USR2: it reads the rest of its configuration at once, and gets
// the module when its supervisor starts it again.
static void
leave_it(struct nginx_upgrade *upgrade)
{
    sl_log(SL_INFO, "nginx runs in the foreground and keeps its module until it is started again",
           SL_LOG_INT("pid", upgrade->old_master));
    kill(upgrade->old_master, SIGHUP);
    enter(upgrade, IDLE, 0);
}

static void
watch_start(struct nginx_upgrade *upgrade, int64_t now_ms)
{
    // Looked at before the number is read: a file that moves in between names the new master. A
    // rename sets the time before the file leaves its name, so one look may fall between the two.
    bool moved = was_moved(upgrade);
    pid_t named = find(upgrade, upgrade->pid_file);
    bool is_back = moved && named == upgrade->old_master;
    bool stays_back = is_back && upgrade->was_back;
    upgrade->was_back = is_back;
    upgrade->new_master = named != upgrade->old_master ? named : 0;
    if (named == 0 && !is_old_alive(upgrade)) {
        enter(upgrade, IDLE, 0); // whoever starts nginx again starts it with the new configuration
        return;
    }
    if (upgrade->new_master != 0) {
        upgrade->worker_count = children_of(upgrade->new_master, upgrade->workers);
    }
    if (upgrade->new_master != 0 && upgrade->worker_count >= workers_wanted(upgrade->settings)) {
        enter(upgrade, STEADY, now_ms + STEADY_MS);
    } else if (now_ms >= upgrade->until_ms) {
        take_back(upgrade, "its workers do not come up");
    } else if (stays_back) {
        take_back(upgrade, "the new nginx does not start; its log says why");
    } else if (named == upgrade->old_master && now_ms >= upgrade->heed_ms) {
        leave_it(upgrade);
    }
}

static void
watch_steady(struct nginx_upgrade *upgrade, int64_t now_ms)
{
    if (!are_steady(upgrade)) {
        take_back(upgrade, "its workers do not stay");
    } else if (!is_old_alive(upgrade)) {
        enter(upgrade, QUITTING, 0);
    } else if (now_ms >= upgrade->until_ms && upgrade->phase == STEADY) {
        kill(upgrade->old_master, SIGWINCH);
        enter(upgrade, WINCHED, now_ms + WINCHED_MS);
    } else if (now_ms >= upgrade->until_ms) {
        kill(upgrade->old_master, SIGQUIT);
        enter(upgrade, QUITTING, 0);
    }
}

static void
watch_end(struct nginx_upgrade *upgrade)
{
    if (!is_old_alive(upgrade)) {
        sl_log(SL_INFO, "nginx runs the new module",
               SL_LOG_STR("module", upgrade->settings->nginx_module),
               SL_LOG_INT("pid", upgrade->new_master));
        enter(upgrade, IDLE, 0);
    }
}

bool
nginx_upgrade_begin(struct nginx_upgrade *upgrade)
{
    int64_t now_ms = sl_mono_ms();
    pid_t old = find(upgrade, upgrade->old_file);
    pid_t named = find(upgrade, upgrade->pid_file);
    upgrade->reason[0] = '\0';
    upgrade->named_at = named_at(upgrade);
    upgrade->heed_ms = now_ms + HEED_MS;
    upgrade->was_back = false;
    if (old != 0 && named != 0 && old != named) {
        upgrade->old_master = old; // an earlier agent got so far
    } else if (named != 0 && !has_module(upgrade, named) && kill(named, SIGUSR2) == 0) {
        upgrade->old_master = named;
    } else {
        return false;
    }
    sl_log(SL_INFO, "nginx gets another module",
           SL_LOG_STR("module", upgrade->settings->nginx_module),
           SL_LOG_INT("pid", upgrade->old_master));
    upgrade->new_master = 0;
    enter(upgrade, STARTING, now_ms + START_MS);
    return true;
}

void
nginx_upgrade_tick(struct nginx_upgrade *upgrade, int64_t now_ms)
{
    if (upgrade->phase == IDLE || now_ms < upgrade->look_ms) {
        return;
    }
    upgrade->look_ms = now_ms + LOOK_MS;
    if (upgrade->phase == STARTING) {
        watch_start(upgrade, now_ms);
    } else if (upgrade->phase == QUITTING) {
        watch_end(upgrade);
    } else {
        watch_steady(upgrade, now_ms);
    }
}

bool
nginx_upgrade_is_busy(const struct nginx_upgrade *upgrade)
{
    return upgrade->phase != IDLE;
}

const char *
nginx_upgrade_reason(const struct nginx_upgrade *upgrade)
{
    return upgrade->reason;
}
