// rotate.c - see rotate.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/rotate.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "services/node/nginx_conf.h"
#include "services/node/nginx_signal.h"

#define ARENA_MAX (4 * PATH_MAX)

struct rotate_log {
    const char *path;
    bool is_awaited; // renamed; nginx has not opened a new one yet
    bool has_failed; // and was told so
};

struct rotate {
    const struct settings *settings;
    struct sl_arena *arena;             // the paths
    struct rotate_log logs[NGINX_LOGS]; //
    char pid_file[PATH_MAX];            // of nginx
    int64_t look_at_ms;                 // sl_mono_ms() of the next look
};

static int
init(struct rotate *rotate, const struct settings *settings, struct sl_error *err)
{
    rotate->settings = settings;
    rotate->arena = sl_arena_new(ARENA_MAX);
    if (rotate->arena == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    for (size_t i = 0; i < NGINX_LOGS; i++) {
        rotate->logs[i].path = nginx_conf_log(settings, i, rotate->arena);
    }
    snprintf(rotate->pid_file, sizeof(rotate->pid_file), "%s/nginx.pid", settings->state_dir);
    return sl_arena_check(rotate->arena, err);
}

struct rotate *
rotate_new(const struct settings *settings, struct sl_error *err)
{
    struct rotate *rotate = calloc(1, sizeof(*rotate));
    if (rotate == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    if (init(rotate, settings, err) != 0) {
        rotate_free(&rotate);
    }
    return rotate;
}

void
rotate_free(struct rotate **rotate)
{
    if (rotate == NULL || *rotate == NULL) {
        return;
    }
    struct rotate *gone = SL_TAKE(*rotate);
    sl_arena_free(&gone->arena);
    free(gone);
}

// The name of the n-th file before the current one; 0: the current one.
static void
name_older(const char *path, int64_t number, char ret_name[PATH_MAX])
{
    if (number == 0) {
        snprintf(ret_name, PATH_MAX, "%s", path);
    } else {
        snprintf(ret_name, PATH_MAX, "%s.%lld", path, (long long)number);
    }
}

// Deletes what an earlier, larger `keep` left, up to the first number that is not there.
static void
drop_beyond(const char *path, int64_t keep)
{
    char name[PATH_MAX];
    do {
        name_older(path, ++keep, name);
    } while (unlink(name) == 0);
}

// Every file becomes the next older one. A gap in the numbers is none of our concern.
static int
shift(const char *path, int64_t keep)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    for (int64_t number = keep - 1; number >= 0; number--) {
        name_older(path, number, from);
        name_older(path, number + 1, to);
        if (rename(from, to) != 0 && (number == 0 || errno != ENOENT)) {
            return -1;
        }
    }
    drop_beyond(path, keep);
    return 0;
}

static void
rotate_log(struct rotate *rotate, struct rotate_log *log, int64_t size_bytes)
{
    if (shift(log->path, rotate->settings->access_log_keep) != 0) {
        if (!log->has_failed) {
            sl_log(SL_WARNING, "the access log cannot be rotated", SL_LOG_STR("log", log->path),
                   SL_LOG_STR("reason", strerror(errno)));
        }
        log->has_failed = true;
        return;
    }
    log->has_failed = false;
    log->is_awaited = true;
    sl_log(SL_INFO, "access log rotated", SL_LOG_STR("log", log->path),
           SL_LOG_INT("bytes", size_bytes));
}

// Whether nginx has to be told to open this log anew.
static bool
look_at(struct rotate *rotate, struct rotate_log *log)
{
    struct stat status;
    if (stat(log->path, &status) != 0) {
        return log->is_awaited;
    }
    log->is_awaited = false;
    if (status.st_size >= rotate->settings->access_log_max_bytes) {
        rotate_log(rotate, log, status.st_size);
    }
    return log->is_awaited;
}

void
rotate_tick(struct rotate *rotate, int64_t now_ms)
{
    bool is_due = rotate->settings->access_log_max_bytes > 0 && now_ms >= rotate->look_at_ms;
    if (!is_due) {
        return;
    }
    rotate->look_at_ms = now_ms + ROTATE_LOOK_MS;
    bool must_tell = false;
    for (size_t i = 0; i < NGINX_LOGS; i++) {
        must_tell = look_at(rotate, &rotate->logs[i]) || must_tell;
    }
    // An nginx that is not there opens new ones when it comes.
    if (must_tell) {
        nginx_signal_send(rotate->pid_file, rotate->settings->nginx_binary, SIGUSR1);
    }
}
