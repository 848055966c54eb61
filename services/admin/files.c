// files.c - see files.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/admin/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
fail_at(struct sl_error *err, const char *path, const char *what)
{
    char text[SL_ERROR_ARG_MAX];
    snprintf(text, sizeof(text), "%.160s: %.80s", path, what);
    return sl_fail(err, SL_E_ADMIN, text);
}

int
files_absent(const char *path, struct sl_error *err)
{
    struct stat st;
    return lstat(path, &st) == 0 ? fail_at(err, path, "exists already") : 0;
}

static bool
write_all(int fd, const char *text)
{
    size_t len = strlen(text);
    while (len > 0) {
        ssize_t done = write(fd, text, len);
        if (done < 0) {
            return false;
        }
        text += done;
        len -= (size_t)done;
    }
    return true;
}

int
files_write(const char *path, const char *text, struct sl_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0) {
        return fail_at(err, path, strerror(errno));
    }
    bool ok = write_all(fd, text) && fsync(fd) == 0;
    int why = errno;
    ok = close(fd) == 0 && ok;
    if (!ok) {
        unlink(path);
        return fail_at(err, path, strerror(why));
    }
    return 0;
}

// A name that stands in file names and addresses of events.
static bool
is_name(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= 64 && name[0] != '.' && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

static int
allow_path(char ret_path[PATH_MAX], const char *dir, const char *name, const char *suffix,
           struct sl_error *err)
{
    int len = snprintf(ret_path, PATH_MAX, "%s/%s.peer%s", dir, name, suffix);
    return len < PATH_MAX ? 0 : fail_at(err, dir, "path too long");
}

int
files_allow(const json_t *dirs, const struct sl_peer *peer, const char *role, const char *gateway,
            struct sl_error *err)
{
    char text[1024];
    int len = snprintf(text, sizeof(text), "key: '%s'\nrole: '%s'\n", peer->public_key, role);
    if (gateway[0] != '\0' && len < (int)sizeof(text)) {
        len += snprintf(text + len, sizeof(text) - (size_t)len, "gateway: '%s'\n", gateway);
    }
    if (len >= (int)sizeof(text) || strpbrk(role, "'\n\r") != NULL ||
        strpbrk(gateway, "'\n\r") != NULL) {
        return fail_at(err, role, "not a role");
    }
    size_t i = 0;
    json_t *dir = NULL;
    json_array_foreach(dirs, i, dir)
    {
        char path[PATH_MAX];
        char fresh[PATH_MAX];
        if (allow_path(path, json_string_value(dir), peer->name, "", err) != 0 ||
            allow_path(fresh, json_string_value(dir), peer->name, ".new", err) != 0) {
            return -1;
        }
        unlink(fresh);
        if (files_write(fresh, text, err) != 0) {
            return -1;
        }
        // By rename, so that a bus that watches never reads half a file.
        if (rename(fresh, path) != 0) {
            int why = errno;
            unlink(fresh);
            return fail_at(err, path, strerror(why));
        }
    }
    return 0;
}

int
files_forbid(const json_t *dirs, const char *name, struct sl_error *err)
{
    size_t i = 0;
    json_t *dir = NULL;
    if (!is_name(name)) {
        return fail_at(err, name, "not a name");
    }
    json_array_foreach(dirs, i, dir)
    {
        char path[PATH_MAX];
        if (allow_path(path, json_string_value(dir), name, "", err) != 0) {
            return -1;
        }
        if (unlink(path) != 0 && errno != ENOENT) {
            return fail_at(err, path, strerror(errno));
        }
    }
    return 0;
}

static bool
has_bus(const struct sl_peer *peer, const struct sl_bus_address *bus)
{
    for (size_t i = 0; i < peer->bus_count; i++) {
        if (strcmp(peer->buses[i].public_key, bus->public_key) == 0) {
            return true;
        }
    }
    return false;
}

// The first address of a list separated by blanks that goes over this transport ("": any).
static const char *
pick_address(struct sl_arena *arena, const char *list, const char *over)
{
    size_t over_len = strlen(over);
    for (const char *at = list + strspn(list, " "); *at != '\0'; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        if (over_len == 0 ||
            (strncmp(at, over, over_len) == 0 && strncmp(at + over_len, "://", 3) == 0)) {
            return sl_arena_printf(arena, "%.*s", (int)len, at);
        }
        at += len;
    }
    return NULL;
}

static int
pick_addresses(struct sl_arena *arena, const struct sl_bus_address *bus, const char *over,
               struct sl_bus_address *ret_bus, struct sl_error *err)
{
    *ret_bus = *bus;
    ret_bus->commands = pick_address(arena, bus->commands, over);
    ret_bus->workers = pick_address(arena, bus->workers, over);
    ret_bus->events = pick_address(arena, bus->events, over);
    if (sl_arena_check(arena, err) != 0) {
        return -1;
    }
    if (ret_bus->commands == NULL || ret_bus->workers == NULL || ret_bus->events == NULL) {
        return fail_at(err, over, "a bus has no addresses over this transport");
    }
    return 0;
}

static int
add_buses(struct sl_arena *arena, const struct sl_peer *source, const char *over,
          struct sl_peer *peer, struct sl_error *err)
{
    for (size_t b = 0; b < source->bus_count; b++) {
        if (has_bus(peer, &source->buses[b])) {
            continue;
        }
        if (peer->bus_count == SL_BUSES_MAX) {
            return fail_at(err, peer->name, "too many buses");
        }
        if (pick_addresses(arena, &source->buses[b], over, &peer->buses[peer->bus_count], err) !=
            0) {
            return -1;
        }
        peer->bus_count++;
    }
    return 0;
}

int
files_new_peer(struct sl_arena *arena, const char *name, const json_t *bus_files, const char *over,
               struct sl_peer *ret_peer, struct sl_error *err)
{
    *ret_peer = (struct sl_peer){.name = name};
    if (!is_name(name)) {
        return fail_at(err, name, "not a name (letters, digits, '.', '_', '-'; at most 64)");
    }
    size_t i = 0;
    json_t *file = NULL;
    json_array_foreach(bus_files, i, file)
    {
        struct sl_peer source;
        if (sl_peer_load(json_string_value(file), arena, &source, err) != 0 ||
            add_buses(arena, &source, over, ret_peer, err) != 0) {
            return -1;
        }
    }
    sl_peer_keys(ret_peer->public_key, ret_peer->secret_key);
    return 0;
}
