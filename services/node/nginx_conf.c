// nginx_conf.c - rendering nginx.conf.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/nginx_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "services/node/certificate.h"

#define VARIABLE_MAX 64

// The template as it stands in the source tree; CMakeLists.txt gives the path.
__asm__(".section .rodata\n"
        ".global nginx_conf_template\n"
        ".type nginx_conf_template, @object\n"
        "nginx_conf_template:\n"
        ".incbin \"" NGINX_CONF_TEMPLATE "\"\n"
        ".byte 0\n"
        ".previous\n");

// The user line: nginx's workers are the agent's user, so that they may read the image.
static const char *
user_line(const struct settings *settings, struct sl_arena *arena)
{
    if (geteuid() != 0) {
        return "";
    }
    const char *name = settings->nginx_user;
    const struct passwd *own = name[0] == '\0' ? getpwuid(geteuid()) : NULL;
    return sl_arena_printf(arena, "user %s;", own != NULL ? own->pw_name : name);
}

static const char *
workers_text(const struct settings *settings, struct sl_arena *arena)
{
    return settings->nginx_workers == 0
               ? "auto"
               : sl_arena_printf(arena, "%lld", (long long)settings->nginx_workers);
}

static const char *
path_in(const struct settings *settings, struct sl_arena *arena, const char *set, const char *file)
{
    return set[0] != '\0' ? set : sl_arena_printf(arena, "%s/%s", settings->state_dir, file);
}

const char *
nginx_conf_log(const struct settings *settings, size_t index, struct sl_arena *arena)
{
    return index == 0 ? path_in(settings, arena, settings->access_log, "access.log")
                      : path_in(settings, arena, settings->access_log_json, "access.json.log");
}

const char *
nginx_conf_path(const struct settings *settings, struct sl_arena *arena)
{
    return path_in(settings, arena, settings->nginx_conf, "nginx.conf");
}

struct variable {
    const char *name;
    const char *value;
    bool verbatim; // nginx syntax of our own making
};

// What access_log_format can say, and the logs that it means.
static const struct log_format {
    const char *word;
    bool line;
    bool json;
} log_formats[] = {
    {"line", true, false},
    {"json", false, true},
    {"both", true, true},
    {"off", false, false},
};

static const struct log_format *
log_format(const struct settings *settings)
{
    for (size_t i = 0; i < SL_COUNT(log_formats); i++) {
        if (strcmp(log_formats[i].word, settings->access_log_format) == 0) {
            return &log_formats[i];
        }
    }
    return NULL;
}

// What stands before a directive that holds on a condition: nothing, or the sign of a comment.
static const char *
only_if(bool condition)
{
    return condition ? "" : "#";
}

#define VARIABLES 19

static void
fill_variables(const struct settings *settings, const struct log_format *format,
               struct sl_arena *arena, struct variable ret_variables[VARIABLES])
{
    const struct variable variables[VARIABLES] = {
        {"ACCESS_LOG", nginx_conf_log(settings, 0, arena), false},
        {"ACCESS_LOG_JSON", nginx_conf_log(settings, 1, arena), false},
        {"BODY_BUDGET", sl_arena_printf(arena, "%lld", (long long)settings->body_budget_mb), true},
        {"CERTIFICATE", path_in(settings, arena, "", CERTIFICATE_FILE), false},
        {"CERTIFICATE_KEY", path_in(settings, arena, "", CERTIFICATE_KEY), false},
        {"IF_LOG_JSON", only_if(format->json), true},
        {"IF_LOG_LINE", only_if(format->line), true},
        {"IF_LOG_OFF", only_if(!format->json && !format->line), true},
        {"IMAGE", settings->shm_name, false},
        {"LIMITS", settings->shm_name, false},
        {"LIMIT_KEYS", sl_arena_printf(arena, "%lld", (long long)settings->limit_keys), true},
        {"LISTEN_HEALTH", settings->health_listen, false},
        {"LISTEN_HTTP", settings->http_listen, false},
        {"LISTEN_HTTPS", settings->https_listen, false},
        {"MODULE", settings->nginx_module, false},
        {"NODE_ID", settings->node_id, false},
        {"STATE_DIR", settings->state_dir, false},
        {"USER", user_line(settings, arena), true},
        {"WORKERS", workers_text(settings, arena), true},
    };
    memcpy(ret_variables, variables, sizeof(variables));
}

// Values stand between quotes or as a word: what would end either, or name a variable, is refused.
static int
add_value(struct sl_buf *out, const struct variable *variable, struct sl_error *err)
{
    if (!variable->verbatim &&
        (variable->value[0] == '\0' || strpbrk(variable->value, "\"'\\;{}$\r\n\t") != NULL)) {
        return sl_fail(err, SL_E_CONFIG, variable->name);
    }
    sl_buf_adds(out, variable->value);
    return 0;
}

static int
add_variable(struct sl_buf *out, const struct variable *variables, struct sl_str name,
             struct sl_error *err)
{
    for (size_t i = 0; i < VARIABLES; i++) {
        if (sl_str_equal(sl_str(variables[i].name), name)) {
            return add_value(out, &variables[i], err);
        }
    }
    char text[VARIABLE_MAX];
    snprintf(text, sizeof(text), "@%.*s@", SL_STR_FMT(name));
    return sl_fail(err, SL_E_CONFIG, text);
}

// The end of the variable name that begins at `at` (behind its '@'); NULL when it is none. The
// template also has nginx's named locations: "@sluice_buffered" is no variable.
static const char *
variable_end(const char *at)
{
    size_t len = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
    return len > 0 && len < VARIABLE_MAX && at[len] == '@' ? at + len : NULL;
}

int
nginx_conf_render(const char *template, const struct settings *settings, struct sl_buf *out,
                  struct sl_error *err)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(NGINX_CONF_MAX);
    struct variable variables[VARIABLES];
    const struct log_format *format = log_format(settings);
    if (arena == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    if (format == NULL) {
        return sl_fail(err, SL_E_CONFIG, "access_log_format");
    }
    fill_variables(settings, format, arena, variables);
    if (sl_arena_check(arena, err) != 0) {
        return -1;
    }
    bool comment = false;
    for (const char *at = template; *at != '\0'; at++) {
        comment = *at == '#' || (comment && *at != '\n');
        const char *end = *at == '@' && !comment ? variable_end(at + 1) : NULL;
        if (end == NULL) {
            sl_buf_addc(out, *at);
            continue;
        }
        if (add_variable(out, variables, (struct sl_str){at + 1, (size_t)(end - at - 1)}, err) !=
            0) {
            return -1;
        }
        at = end;
    }
    return out->failed ? sl_fail(err, SL_E_INTERNAL) : 0;
}

static bool
same_as_file(const char *path, const struct sl_buf *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    bool same = false;
    if (fd >= 0 && fstat(fd, &status) == 0 && (size_t)status.st_size == text->len) {
        char *old = malloc(text->len + 1);
        same = old != NULL && read(fd, old, text->len) == (ssize_t)text->len &&
               memcmp(old, text->ptr, text->len) == 0;
        free(old);
    }
    if (fd >= 0) {
        close(fd);
    }
    return same;
}

static int
write_file(const char *path, const struct sl_buf *text, struct sl_arena *arena,
           struct sl_error *err)
{
    const char *fresh = sl_arena_printf(arena, "%s.new", path);
    if (fresh == NULL) {
        return sl_arena_check(arena, err);
    }
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool written = fd >= 0 && write(fd, text->ptr, text->len) == (ssize_t)text->len;
    int saved = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (!written || rename(fresh, path) != 0) {
        sl_fail(err, SL_E_INTERNAL);
        return sl_error_detail(err, "%s: %s", path, strerror(written ? errno : saved));
    }
    return 0;
}

static const char *
before_path(const char *path, struct sl_arena *arena)
{
    return sl_arena_printf(arena, "%s.before", path);
}

int
nginx_conf_write(const struct settings *settings, bool *ret_changed, struct sl_error *err)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(NGINX_CONF_MAX);
    SL_AUTO_BUF text;
    sl_buf_init(&text, NGINX_CONF_MAX);
    const char *path = arena == NULL ? NULL : nginx_conf_path(settings, arena);
    if (path == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    if (nginx_conf_render(nginx_conf_template, settings, &text, err) != 0) {
        return -1;
    }
    if (same_as_file(path, &text)) {
        *ret_changed = false;
        return 0;
    }
    *ret_changed = true;
    const char *before = before_path(path, arena);
    if (before != NULL) {
        unlink(before);
    }
    if (before != NULL && link(path, before) != 0 && errno != ENOENT) {
        sl_fail(err, SL_E_INTERNAL); // the first one has none before it
        return sl_error_detail(err, "%s: %s", before, strerror(errno));
    }
    return write_file(path, &text, arena, err);
}

int
nginx_conf_restore(const struct settings *settings, struct sl_error *err)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(NGINX_CONF_MAX);
    const char *path = arena == NULL ? NULL : nginx_conf_path(settings, arena);
    const char *before = path == NULL ? NULL : before_path(path, arena);
    if (before == NULL || rename(before, path) != 0) {
        sl_fail(err, SL_E_INTERNAL);
        return sl_error_detail(err, "%s", strerror(errno));
    }
    return 0;
}
