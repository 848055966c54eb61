// image_control.c - the one file of an image that is ever written twice.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/image_builder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"

#define IMAGE_MODE 0640

static int
control_failed(struct sl_error *err, const char *what, const char *path)
{
    sl_fail(err, SL_E_INTERNAL);
    return sl_error_detail(err, "%s %s: %s", what, path, strerror(errno));
}

// Makes a fresh control file and gives it its name when there is none: readers never see half of
// one.
static int
create_control(const struct sl_image_builder *builder, const char *path, struct sl_error *err)
{
    char fresh[IMAGE_PATH_MAX];
    image_path(builder->name, 't', (uint64_t)getpid(), fresh);
    unlink(fresh);
    int fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, IMAGE_MODE);
    if (fd < 0) {
        return control_failed(err, "open", fresh);
    }
    struct image_control control = {.magic = IMAGE_MAGIC_CONTROL, .format = SL_IMAGE_FORMAT};
    bool written = fchmod(fd, IMAGE_MODE) == 0 &&
                   write(fd, &control, sizeof(control)) == (ssize_t)sizeof(control);
    close(fd);
    int status = 0;
    if (!written || (link(fresh, path) != 0 && errno != EEXIST)) {
        status = control_failed(err, "create", path);
    }
    unlink(fresh);
    return status;
}

// Numbers go on from the clock, and never below what this builder used: no file gets a name that an
// earlier one had, and generations grow even over a new control file.
static void
start_numbers(struct sl_image_builder *builder)
{
    uint64_t now = (uint64_t)sl_wall_ms() * 1000;
    if (builder->control->next_segment == 0) {
        builder->control->next_segment =
            now > builder->last_segment ? now : builder->last_segment + 1;
    }
}

int
image_control_open(struct sl_image_builder *builder, struct sl_error *err)
{
    char path[IMAGE_PATH_MAX];
    image_path(builder->name, 'c', 0, path);
    if (access(path, F_OK) != 0 && create_control(builder, path, err) != 0) {
        return -1;
    }
    builder->control_fd = open(path, O_RDWR | O_CLOEXEC);
    if (builder->control_fd < 0 || flock(builder->control_fd, LOCK_EX | LOCK_NB) != 0) {
        return control_failed(err, "lock", path);
    }
    struct stat status;
    if (fstat(builder->control_fd, &status) != 0 ||
        (size_t)status.st_size < sizeof(struct image_control)) {
        errno = EINVAL;
        return control_failed(err, "read", path);
    }
    void *base = mmap(NULL, sizeof(struct image_control), PROT_READ | PROT_WRITE, MAP_SHARED,
                      builder->control_fd, 0);
    if (base == MAP_FAILED) {
        return control_failed(err, "map", path);
    }
    builder->control = base;
    if (builder->control->magic != IMAGE_MAGIC_CONTROL ||
        builder->control->format != SL_IMAGE_FORMAT) {
        errno = EINVAL;
        return control_failed(err, "read", path);
    }
    start_numbers(builder);
    return 0;
}

void
image_control_close(struct sl_image_builder *builder)
{
    if (builder->control != NULL) {
        builder->last_segment = builder->control->next_segment;
        munmap(builder->control, sizeof(*builder->control));
        builder->control = NULL;
    }
    if (builder->control_fd >= 0) {
        close(builder->control_fd);
        builder->control_fd = -1;
    }
}

static void
forget_live(struct image_list *list)
{
    list->dirty = list->dirty || list->count > 0;
    list->live = (struct image_slot){0};
}

int
image_control_ensure(struct sl_image_builder *builder, struct sl_error *err)
{
    struct stat status;
    if (builder->control != NULL && fstat(builder->control_fd, &status) == 0 &&
        status.st_nlink > 0) {
        return 0;
    }
    image_control_close(builder);
    for (size_t i = 0; i < IMAGE_FIXED_SLOTS; i++) {
        forget_live(&builder->parts[i]);
    }
    for (size_t i = 0; i < builder->slot_count; i++) {
        if (builder->slots[i] != NULL) {
            forget_live(&builder->slots[i]->list);
        }
    }
    return image_control_open(builder, err);
}
