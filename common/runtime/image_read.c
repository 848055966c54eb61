// image_read.c - attaching to the live image, following its generations, mapping on demand.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/image_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define READER_MAGIC  0x534c5231U
#define ADVANCE_TRIES 16 // switches that may overtake one attempt to map the newest directory

void
image_path(const char *name, char kind, uint64_t number, char ret_path[IMAGE_PATH_MAX])
{
    if (kind == 'c') {
        snprintf(ret_path, IMAGE_PATH_MAX, IMAGE_ROOT "/sluice-%s-%d-control", name,
                 SL_IMAGE_FORMAT);
    } else {
        snprintf(ret_path, IMAGE_PATH_MAX, IMAGE_ROOT "/sluice-%s-%d-%c%016llx", name,
                 SL_IMAGE_FORMAT, kind, (unsigned long long)number);
    }
}

bool
image_name_valid(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
    return len > 0 && len <= IMAGE_NAME_MAX && name[len] == '\0';
}

// Seconds that cost nothing to read.
static int64_t
coarse_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec;
}

// A process that serves callers may run out of descriptors by them: one is kept for files of ours.
static void
keep_spare(struct sl_image *image)
{
    if (image->spare_fd < 0) {
        image->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
}

static int
open_file(struct sl_image *image, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE) && image->spare_fd >= 0) {
        close(image->spare_fd);
        image->spare_fd = -1;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        int saved = errno;
        if (fd < 0) {
            keep_spare(image);
        }
        errno = saved;
    }
    return fd;
}

// Maps a whole file for reading; `size_bytes` 0: as long as it is. NULL with errno set.
static const void *
map_file(struct sl_image *image, const char *path, size_t size_bytes, size_t *ret_size,
         uint64_t *ret_inode)
{
    int fd = open_file(image, path);
    if (fd < 0) {
        return NULL;
    }
    struct stat status;
    void *base = MAP_FAILED;
    if (fstat(fd, &status) == 0) {
        size_t size = size_bytes == 0 ? (size_t)status.st_size : size_bytes;
        errno = EINVAL;
        if (size > 0 && (size_t)status.st_size >= size) {
            base = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
        }
        *ret_size = size;
        if (ret_inode != NULL) {
            *ret_inode = status.st_ino;
        }
    }
    int saved = errno;
    close(fd);
    keep_spare(image);
    errno = saved;
    return base == MAP_FAILED ? NULL : base;
}

static void
unmap(struct image_mapping *mapping)
{
    if (mapping->base != NULL) {
        // munmap takes a pointer that it will not write through.
        munmap((void *)(uintptr_t)mapping->base, mapping->size_bytes);
        *mapping = (struct image_mapping){0};
    }
}

static void
unmap_retired(struct sl_image *image)
{
    for (size_t i = 0; i < image->retired_count; i++) {
        unmap(&image->retired[i]);
    }
    image->retired_count = 0;
}

// Takes a mapping out of use. What the running decision may still hold stays mapped until the next
// refresh; without memory to remember it, it stays for ever.
static void
retire(struct sl_image *image, struct image_mapping *mapping)
{
    if (mapping->base == NULL) {
        return;
    }
    struct image_mapping *grown =
        realloc(image->retired, (image->retired_count + 1) * sizeof(*grown));
    if (grown != NULL) {
        image->retired = grown;
        image->retired[image->retired_count++] = *mapping;
    }
    *mapping = (struct image_mapping){0};
}

struct sl_image *
sl_image_open(const char *name, struct sl_error *err)
{
    if (!image_name_valid(name)) {
        sl_fail(err, SL_E_CONFIG, "shm_name");
        return NULL;
    }
    struct sl_image *image = calloc(1, sizeof(*image));
    if (image == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    image->magic = READER_MAGIC;
    image->spare_fd = -1;
    keep_spare(image);
    image->memos = image_memo_new();
    snprintf(image->name, sizeof(image->name), "%s", name);
    sl_image_refresh(image);
    return image;
}

void
sl_image_free(struct sl_image **image)
{
    if (image == NULL || *image == NULL) {
        return;
    }
    struct sl_image *gone = *image;
    *image = NULL;
    for (size_t i = 0; i < gone->slot_count; i++) {
        unmap(&gone->slots[i]);
    }
    unmap(&gone->dir);
    unmap_retired(gone);
    struct image_mapping control = {0, gone->control, sizeof(*gone->control)};
    unmap(&control);
    if (gone->spare_fd >= 0) {
        close(gone->spare_fd);
    }
    free(gone->slots);
    free(gone->memos);
    free(gone->retired);
    free(gone);
}

static void
attach(struct sl_image *image)
{
    char path[IMAGE_PATH_MAX];
    image_path(image->name, 'c', 0, path);
    struct image_mapping mapping = {0};
    uint64_t inode = 0;
    mapping.base = map_file(image, path, sizeof(*image->control), &mapping.size_bytes, &inode);
    const struct image_control *control = mapping.base;
    if (control == NULL) {
        return;
    }
    if (control->magic != IMAGE_MAGIC_CONTROL || control->format != SL_IMAGE_FORMAT) {
        unmap(&mapping);
        return;
    }
    image->control = control;
    image->control_inode = inode;
}

// Somebody may have emptied /dev/shm: then the agent makes a new control file, and the one that we
// map never moves again. What we serve stays until the new one has an image.
static void
look_for_new_control(struct sl_image *image)
{
    char path[IMAGE_PATH_MAX];
    struct stat status;
    image->looked_s = coarse_s();
    image_path(image->name, 'c', 0, path);
    if (stat(path, &status) != 0 || status.st_ino == image->control_inode) {
        return;
    }
    struct image_mapping old = {0, image->control, sizeof(*image->control)};
    image->control = NULL;
    attach(image);
    if (image->control == NULL) {
        image->control = old.base;
        return;
    }
    unmap(&old);
    image->dir.id = UINT64_MAX; // of no generation: the next look takes the new directory
}

// Puts a freshly mapped directory in the place of the old one; keeps the segments that both name.
static bool
take_directory(struct sl_image *image, const struct image_dir *dir, size_t size_bytes)
{
    size_t count = dir->slots.count;
    struct image_mapping *slots = calloc(count, sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    const struct image_slot *wanted = sl_img_items(&dir->slots);
    for (size_t i = 0; i < image->slot_count; i++) {
        if (i < count && image->slots[i].base != NULL && image->slots[i].id == wanted[i].id) {
            slots[i] = image->slots[i];
        } else {
            retire(image, &image->slots[i]);
        }
    }
    retire(image, &image->dir);
    free(image->slots);
    image->slots = slots;
    image->slot_count = count;
    image->epoch++;
    image->dir = (struct image_mapping){dir->generation, dir, size_bytes};
    return true;
}

// Maps the newest directory. The agent may switch while we open: then the file is gone, and a newer
// one is there.
static bool
advance(struct sl_image *image)
{
    for (int i = 0; i < ADVANCE_TRIES; i++) {
        uint64_t generation =
            atomic_load_explicit(&image->control->generation, memory_order_acquire);
        if (generation == 0 || generation == image->dir.id) {
            return false;
        }
        char path[IMAGE_PATH_MAX];
        image_path(image->name, 'd', generation, path);
        struct image_mapping mapping = {.id = generation};
        mapping.base = map_file(image, path, 0, &mapping.size_bytes, NULL);
        if (mapping.base != NULL) {
            if (take_directory(image, mapping.base, mapping.size_bytes)) {
                return true;
            }
            unmap(&mapping);
        }
    }
    return false;
}

void
sl_image_refresh(struct sl_image *image)
{
    image->incomplete = false;
    if (image->retired_count > 0) {
        unmap_retired(image);
    }
    if (image->control == NULL) {
        attach(image);
        if (image->control == NULL) {
            return;
        }
        image->looked_s = coarse_s();
    } else if (coarse_s() != image->looked_s) {
        look_for_new_control(image);
    }
    if (atomic_load_explicit(&image->control->generation, memory_order_acquire) != image->dir.id) {
        advance(image);
        unmap_retired(image);
    }
}

bool
sl_image_ready(const struct sl_image *image)
{
    return image->dir.base != NULL;
}

bool
sl_image_incomplete(const struct sl_image *image)
{
    return image->incomplete;
}

uint64_t
sl_image_revision(const struct sl_image *image)
{
    return image->dir.base == NULL ? 0 : image_dir_of(image)->revision;
}

uint64_t
sl_image_generation(const struct sl_image *image)
{
    return image->dir.id;
}

const struct image_segment *
image_segment_map(struct sl_image *image, uint32_t slot, bool *ret_moved)
{
    for (int i = 0; i < ADVANCE_TRIES && slot < image->slot_count; i++) {
        struct image_mapping *mapping = &image->slots[slot];
        if (mapping->base != NULL) {
            return mapping->base;
        }
        const struct image_slot *wanted = sl_img_items(&image_dir_of(image)->slots);
        if (wanted[slot].id == 0) {
            return NULL;
        }
        char path[IMAGE_PATH_MAX];
        image_path(image->name, 's', wanted[slot].id, path);
        size_t size = 0;
        mapping->base = map_file(image, path, wanted[slot].size_bytes, &size, NULL);
        if (mapping->base != NULL) {
            mapping->id = wanted[slot].id;
            mapping->size_bytes = size;
            return mapping->base;
        }
        if (!advance(image)) {
            break;
        }
        if (ret_moved != NULL) {
            *ret_moved = true;
            return NULL;
        }
    }
    image->incomplete |= slot < image->slot_count;
    return NULL;
}
