// counter_map.c - the counters' file: making it, mapping it, and who may be its agent.
//
// SPDX-License-Identifier: Apache-2.0
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

#define FILE_MODE 0660
#define PAGE      4096

static size_t
round_page(size_t size)
{
    return (size + PAGE - 1) / PAGE * PAGE;
}

static size_t
file_size(size_t slot_count)
{
    return round_page(sizeof(struct counter_header)) + round_page(slot_count / 8 + 8) +
           slot_count * sizeof(struct counter_slot);
}

static int
fail(struct sl_error *err, const char *what, const char *path)
{
    int cause = errno;
    sl_fail(err, SL_E_UNAVAILABLE);
    return sl_error_detail(err, "counters: %s %s: %s", what, path, strerror(cause));
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
    int64_t offset_ms = sl_wall_ms() - sl_mono_ms();
    atomic_store(&header->offset_ms, offset_ms);
    atomic_store(&header->beat_ms, INT64_MIN / 2);
    for (size_t i = 0; i < SL_SHARDS; i++) {
        // What an earlier memory of this node held is not known: no share of open windows.
        atomic_store(&header->confirmed[i], sl_mono_ms() + offset_ms);
    }
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
    char *at = (char *)counters->header + round_page(sizeof(struct counter_header));
    size_t slot_count = counters->header->slot_count;
    counters->asked = (void *)at;
    counters->slots = (void *)(at + round_page(slot_count / 8 + 8));
    counters->hashed_slots = (uint32_t)slot_count - COUNTER_OVERFLOW;
}

// Under the lock: allocates and fills a new file; refuses one that is not ours.
static int
prepare(struct sl_counters *counters, const char *path, size_t slot_count, struct sl_error *err)
{
    struct stat info;
    if (fstat(counters->fd, &info) == -1) {
        return fail(err, "look at", path);
    }
    // Allocated now, so that a full /dev/shm is an error here and no SIGBUS later.
    if (info.st_size == 0) {
        errno = posix_fallocate(counters->fd, 0, (off_t)file_size(slot_count));
        if (errno != 0) {
            return fail(err, "allocate", path);
        }
    }
    if (map_file(counters, path, err) != 0) {
        return -1;
    }
    struct counter_header *header = counters->header;
    if (atomic_load(&header->magic) == 0 && counters->mapped_bytes == file_size(slot_count)) {
        fill(header, slot_count);
    }
    if (atomic_load(&header->magic) != COUNTER_MAGIC || header->layout != SL_COUNTER_LAYOUT ||
        counters->mapped_bytes != file_size(header->slot_count)) {
        errno = EINVAL;
        return fail(err, "not counters:", path);
    }
    find_parts(counters);
    return 0;
}

static int
open_file(struct sl_counters *counters, const char *path, size_t slot_count, struct sl_error *err)
{
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
        failed = prepare(counters, path, slot_count, err);
    }
    close(lock_fd);
    return failed;
}

struct sl_counters *
sl_counters_open(const char *name, size_t slots, struct sl_error *err)
{
    struct sl_counters *counters = calloc(1, sizeof(*counters));
    if (counters == NULL) {
        sl_fail(err, SL_E_UNAVAILABLE);
        return NULL;
    }
    size_t hashed = slots != 0 ? slots : SL_COUNTER_SLOTS;
    assert((hashed & (hashed - 1)) == 0);
    char path[256];
    snprintf(path, sizeof(path), "/dev/shm/sluice-%s-counters-%d", name, SL_COUNTER_LAYOUT);
    snprintf(counters->wake_path, sizeof(counters->wake_path), "/dev/shm/sluice-%.70s-wake", name);
    counters->fd = -1;
    counters->wake_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (counters->wake_fd == -1 || open_file(counters, path, hashed + COUNTER_OVERFLOW, err) != 0) {
        if (counters->wake_fd == -1) {
            fail(err, "socket for", path);
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
    atomic_fetch_add(&counters->header->attended, 1);
    atomic_store(&counters->header->awake, 0);
    return 0;
}
