// counter_map.c - the counters' file: making it, mapping it, and who may be its agent.
//
// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/runtime/counter_agent.h"
#include "common/runtime/counter_layout.h"

#define FILE_MODE   0660
#define PAGE        4096
#define FILE_PREFIX "/dev/shm/sluice-%s-counters-" // and layout and size

static size_t
round_page(size_t size)
{
    return (size + PAGE - 1) / PAGE * PAGE;
}

// Where the parts of a file begin, and how long it is.
struct extent {
    size_t asked, asked_top, changed, buckets, slots, grants, names, end;
    uint32_t bucket_count;
};

// Five eighths of the entries lead somewhere when all slots are in use: with two buckets to choose
// from, a counter without a place is less likely than one in a hundred million.
static uint32_t
count_buckets(size_t slot_count)
{
    return (uint32_t)((slot_count - SL_COUNTER_OVERFLOWS) * 8 / 5 / COUNTER_BUCKET + 2);
}

static struct extent
measure(size_t slot_count)
{
    size_t words = (slot_count + 63) / 64;
    struct extent extent = {.asked = round_page(sizeof(struct counter_header)),
                            .bucket_count = count_buckets(slot_count)};
    extent.asked_top = extent.asked + round_page(words * sizeof(uint64_t));
    extent.changed = extent.asked_top + round_page((words + 63) / 64 * sizeof(uint64_t));
    extent.buckets = extent.changed + round_page(words * sizeof(uint64_t));
    extent.slots = extent.buckets + round_page(extent.bucket_count * sizeof(struct counter_bucket));
    extent.grants = extent.slots + round_page(slot_count * sizeof(struct counter_slot));
    extent.names = extent.grants + round_page(slot_count * sizeof(struct counter_grant));
    extent.end = extent.names + round_page(slot_count * sizeof(struct counter_name));
    return extent;
}

static int
fail(struct sl_error *err, const char *what, const char *path)
{
    int cause = errno;
    sl_fail(err, SL_E_UNAVAILABLE);
    return sl_error_detail(err, "counters: %s %s: %s", what, path, strerror(cause));
}

// What another memory of this node held or divided is not known in this one: no share of open
// windows.
static void
forgo_shares(struct counter_header *header)
{
    int64_t now_ms = sl_mono_ms() + atomic_load(&header->offset_ms);
    for (size_t i = 0; i < SL_SHARDS; i++) {
        atomic_store(&header->confirmed[i], now_ms);
    }
}

// Fills a fresh file. The magic comes last: a file without it was left half-made by a crash and is
// filled again by whoever holds the lock.
static void
fill(struct counter_header *header, size_t slot_count)
{
    uint8_t id[SL_ID_LEN / 2];
    assert(getrandom(id, sizeof(id), 0) == (ssize_t)sizeof(id));
    assert(getrandom(header->hash_key, sizeof(header->hash_key), 0) ==
           (ssize_t)sizeof(header->hash_key));
    sl_hex_encode(id, sizeof(id), header->boot);
    header->layout = SL_COUNTER_LAYOUT;
    header->slot_count = (uint32_t)slot_count;
    atomic_store(&header->offset_ms, sl_wall_ms() - sl_mono_ms());
    atomic_store(&header->beat_ms, INT64_MIN / 2);
    forgo_shares(header);
    atomic_store(&header->magic, COUNTER_MAGIC);
}

static int
map_file(struct sl_counters *counters, const char *path, struct sl_error *err)
{
    struct stat info;
    if (fstat(counters->fd, &info) == -1 ||
        (size_t)info.st_size < round_page(sizeof(struct counter_header))) {
        return fail(err, "size of", path);
    }
    counters->mapped_bytes = (size_t)info.st_size;
    void *at =
        mmap(NULL, counters->mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, counters->fd, 0);
    if (at == MAP_FAILED) {
        return fail(err, "map", path);
    }
    counters->header = at;
    return 0;
}

static void
find_parts(struct sl_counters *counters)
{
    char *at = (char *)counters->header;
    size_t slot_count = counters->header->slot_count;
    struct extent extent = measure(slot_count);
    counters->asked = (void *)(at + extent.asked);
    counters->asked_top = (void *)(at + extent.asked_top);
    counters->changed = (void *)(at + extent.changed);
    counters->buckets = (void *)(at + extent.buckets);
    counters->slots = (void *)(at + extent.slots);
    counters->grants = (void *)(at + extent.grants);
    counters->names = (void *)(at + extent.names);
    counters->bucket_count = extent.bucket_count;
    counters->hashed_slots = (uint32_t)slot_count - SL_COUNTER_OVERFLOWS;
}

// Under the lock: allocates and fills a new file; refuses one that is not ours.
static int
prepare(struct sl_counters *counters, size_t slot_count, struct sl_error *err)
{
    const char *path = counters->path;
    struct stat info;
    if (fstat(counters->fd, &info) == -1) {
        return fail(err, "look at", path);
    }
    // Allocated now, so that a full /dev/shm is an error here and no SIGBUS later.
    if (info.st_size == 0) {
        errno = posix_fallocate(counters->fd, 0, (off_t)measure(slot_count).end);
        if (errno != 0) {
            return fail(err, "allocate", path);
        }
    }
    if (map_file(counters, path, err) != 0) {
        return -1;
    }
    struct counter_header *header = counters->header;
    if (atomic_load(&header->magic) == 0 && counters->mapped_bytes == measure(slot_count).end) {
        fill(header, slot_count);
    }
    if (atomic_load(&header->magic) != COUNTER_MAGIC || header->layout != SL_COUNTER_LAYOUT ||
        counters->mapped_bytes != measure(header->slot_count).end) {
        errno = EINVAL;
        return fail(err, "not counters:", path);
    }
    find_parts(counters);
    return 0;
}

static int
open_file(struct sl_counters *counters, size_t slot_count, struct sl_error *err)
{
    const char *path = counters->path;
    counters->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (counters->fd == -1 && errno == EEXIST) {
        counters->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    }
    if (counters->fd == -1) {
        return fail(err, "open", path);
    }
    fchmod(counters->fd, FILE_MODE); // whatever the umask; another owner's file keeps its mode
    // A second description, for this lock alone: the agent's lock on fd lasts as long as it lives.
    int lock_fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (lock_fd == -1) {
        return fail(err, "open", path);
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    int failed = 0;
    if (fcntl(lock_fd, F_OFD_SETLKW, &lock) == -1) {
        failed = fail(err, "lock", path);
    } else {
        failed = prepare(counters, slot_count, err);
    }
    close(lock_fd);
    return failed;
}

void
sl_counters_path(const char *name, size_t keys, char *ret_path, size_t size)
{
    snprintf(ret_path, size, FILE_PREFIX "%d-%zu", name, SL_COUNTER_LAYOUT,
             keys != 0 ? keys : SL_COUNTER_KEYS);
}

struct sl_counters *
sl_counters_open(const char *name, size_t keys, struct sl_error *err)
{
    struct sl_counters *counters = calloc(1, sizeof(*counters));
    if (counters == NULL) {
        sl_fail(err, SL_E_UNAVAILABLE);
        return NULL;
    }
    size_t hashed = keys != 0 ? keys : SL_COUNTER_KEYS;
    assert(hashed >= SL_COUNTER_KEYS_MIN && hashed <= SL_COUNTER_KEYS_TOP);
    sl_counters_path(name, keys, counters->path, sizeof(counters->path));
    snprintf(counters->wake_path, sizeof(counters->wake_path), "/dev/shm/sluice-%.70s-wake", name);
    counters->fd = -1;
    counters->wake_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (counters->wake_fd == -1 || open_file(counters, hashed + SL_COUNTER_OVERFLOWS, err) != 0) {
        if (counters->wake_fd == -1) {
            fail(err, "socket for", counters->path);
        }
        sl_counters_free(&counters);
    }
    return counters;
}

void
sl_counters_free(struct sl_counters **counters)
{
    if (counters == NULL || *counters == NULL) {
        return;
    }
    struct sl_counters *self = *counters;
    if (self->header != NULL) {
        munmap(self->header, self->mapped_bytes);
    }
    if (self->is_agent) {
        unlink(self->wake_path);
    }
    if (self->fd != -1) {
        close(self->fd);
    }
    if (self->wake_fd != -1) {
        close(self->wake_fd);
    }
    free(self);
    *counters = NULL;
}

// -- the agent's

// Nothing is divided in that memory from here on, whoever still has it; its name is free. A file of
// another layout only loses its name: what it may divide cannot be told from here.
static void
retire(const char *path, bool is_known)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    size_t size = round_page(sizeof(struct counter_header));
    struct stat info;
    if (is_known && fd != -1 && fstat(fd, &info) == 0 && (size_t)info.st_size >= size) {
        struct counter_header *header = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (header != MAP_FAILED) {
            atomic_store(&header->retired, 1);
            munmap(header, size);
        }
    }
    if (fd != -1) {
        close(fd);
    }
    unlink(path);
}

// Retires the node's other counters: those of another size or layout. Whether there were any.
static bool
retire_others(const struct sl_counters *counters)
{
    const char *own = strrchr(counters->path, '/') + 1;
    size_t sized = (size_t)(strrchr(own, '-') - own) + 1; // up to the layout's end
    size_t named = sized - 1;
    while (own[named - 1] != '-') {
        named--; // up to the layout's begin
    }
    bool were_there = false;
    DIR *directory = opendir("/dev/shm");
    for (struct dirent *entry = NULL; directory != NULL && (entry = readdir(directory)) != NULL;) {
        if (strncmp(entry->d_name, own, named) == 0 && strcmp(entry->d_name, own) != 0) {
            char path[sizeof(counters->path) + 16];
            snprintf(path, sizeof(path), "/dev/shm/%.200s", entry->d_name);
            retire(path, strncmp(entry->d_name, own, sized) == 0);
            were_there = true;
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return were_there;
}

int
sl_counters_attend(struct sl_counters *counters, struct sl_error *err)
{
    if (flock(counters->fd, LOCK_EX | LOCK_NB) == -1) {
        return fail(err, "another agent attends", counters->wake_path);
    }
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, counters->wake_path, sizeof(at.sun_path));
    unlink(counters->wake_path); // left by an agent that died: the lock says that none lives
    if (bind(counters->wake_fd, (struct sockaddr *)&at, sizeof(at)) == -1) {
        return fail(err, "bind", counters->wake_path);
    }
    chmod(counters->wake_path, FILE_MODE);
    counters->is_agent = true;
    if (retire_others(counters)) {
        forgo_shares(counters->header); // a layout that came back: the other was in use meanwhile
    }
    atomic_store(&counters->header->retired, 0);
    atomic_fetch_add(&counters->header->attended, 1);
    atomic_store(&counters->header->awake, 0);
    return 0;
}
