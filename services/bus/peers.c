// peers.c - see peers.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/bus/peers.h"

#include "common/base/config.h"
#include "common/base/log.h"

#include <czmq.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define SUFFIX ".peer"

struct peers {
    char *dir;         //
    int watch_fd;      // inotify
    zhashx_t *by_name; // owns the rows
    zhashx_t *by_key;  // borrows them
};

// What one file says.
struct peer_file {
    const char *key;
    const char *role;
    const char *gateway;
};

static const struct sl_setting file_rows[] = {
    {.name = "gateway", .offset = offsetof(struct peer_file, gateway), .fallback = ""},
    {.name = "key", .offset = offsetof(struct peer_file, key)},
    {.name = "role", .offset = offsetof(struct peer_file, role)},
};

static void
free_row(void **row)
{
    free(*row);
    *row = NULL;
}

static int
fill_row(struct peer_row *row, const char *path, struct sl_error *err)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(65536);
    struct peer_file file;
    if (sl_config_load_file(file_rows, SL_COUNT(file_rows), path, arena, &file, err) != 0) {
        return -1;
    }
    uint8_t raw[32];
    if (strlen(file.key) != SL_Z85_SIZE - 1 || zmq_z85_decode(raw, file.key) == NULL) {
        return sl_fail(err, SL_E_CONFIG, "malformed key");
    }
    memcpy(row->key, file.key, SL_Z85_SIZE);
    return role_parse(sl_str(file.role), sl_str(file.gateway), &row->role, err);
}

static void
load_one(struct peers *peers, const char *file_name)
{
    size_t len = strlen(file_name);
    size_t name_len = len - strlen(SUFFIX);
    if (len <= strlen(SUFFIX) || name_len >= PEER_NAME_MAX || file_name[0] == '.' ||
        strcmp(file_name + name_len, SUFFIX) != 0) {
        return;
    }
    struct peer_row *row = calloc(1, sizeof(*row));
    if (row == NULL) {
        return;
    }
    memcpy(row->name, file_name, name_len);
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", peers->dir, file_name);
    struct sl_error err;
    bool is_good = fill_row(row, path, &err) == 0;
    if (is_good && zhashx_lookup(peers->by_key, row->key) != NULL) {
        sl_fail(&err, SL_E_CONFIG, "two peers have one key");
        is_good = false;
    }
    if (!is_good) {
        sl_log_error(SL_WARNING, "allow-list file left out", &err, SL_LOG_STR("file", file_name));
        free(row);
        return;
    }
    zhashx_update(peers->by_name, row->name, row);
    zhashx_update(peers->by_key, row->key, row);
}

static int
load_all(struct peers *peers)
{
    DIR *dir = opendir(peers->dir);
    if (dir == NULL) {
        return -1;
    }
    zhashx_purge(peers->by_key);
    zhashx_purge(peers->by_name);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        load_one(peers, entry->d_name);
    }
    closedir(dir);
    return 0;
}

struct peers *
peers_new(const char *dir, struct sl_error *err)
{
    struct peers *peers = calloc(1, sizeof(*peers));
    if (peers == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    peers->dir = strdup(dir);
    peers->by_name = zhashx_new();
    peers->by_key = zhashx_new();
    zhashx_set_destructor(peers->by_name, free_row);
    peers->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    // Watched before it is read: a file that comes in between is read twice, never missed.
    uint32_t events = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;
    if (peers->watch_fd < 0 || inotify_add_watch(peers->watch_fd, dir, events) < 0 ||
        load_all(peers) != 0) {
        sl_fail(err, SL_E_CONFIG, dir);
        sl_error_detail(err, "%s", strerror(errno));
        peers_free(&peers);
    }
    return peers;
}

void
peers_free(struct peers **peers)
{
    if (peers == NULL || *peers == NULL) {
        return;
    }
    struct peers *gone = SL_TAKE(*peers);
    zhashx_destroy(&gone->by_key);
    zhashx_destroy(&gone->by_name);
    if (gone->watch_fd >= 0) {
        close(gone->watch_fd);
    }
    free(gone->dir);
    free(gone);
}

int
peers_fd(const struct peers *peers)
{
    return peers->watch_fd;
}

void
peers_refresh(struct peers *peers)
{
    char events[4096];
    while (read(peers->watch_fd, events, sizeof(events)) > 0) {
    }
    if (load_all(peers) != 0) {
        sl_log(SL_WARNING, "allow-list cannot be read", SL_LOG_STR("dir", peers->dir));
        return;
    }
    sl_log(SL_INFO, "allow-list read", SL_LOG_INT("peers", peers_count(peers)));
}

const struct peer_row *
peers_find_key(const struct peers *peers, const char *key)
{
    return zhashx_lookup(peers->by_key, key);
}

const struct peer_row *
peers_find(const struct peers *peers, const char *name, const char *key)
{
    if (name == NULL || key == NULL) {
        return NULL;
    }
    const struct peer_row *row = zhashx_lookup(peers->by_name, name);
    return row != NULL && strcmp(row->key, key) == 0 ? row : NULL;
}

size_t
peers_count(const struct peers *peers)
{
    return zhashx_size(peers->by_name);
}
