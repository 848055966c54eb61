// image_commit.c - building what changed, writing it, and the one store that makes it live.
//
// A commit that fails removes what it wrote; marks stay, so the next one tries again.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/image_builder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"

#define IMAGE_MODE 0640

static void
unlink_file(const struct sl_image_builder *builder, char kind, uint64_t number)
{
    if (number != 0) {
        char path[IMAGE_PATH_MAX];
        image_path(builder->name, kind, number, path);
        unlink(path);
    }
}

// write(2) takes the pages; a full /dev/shm is an error here, never a signal in a reader.
static int
write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, bytes, len);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return -1;
        }
        bytes += written;
        len -= (size_t)written;
    }
    return 0;
}

// Writes what the writer holds as a file of the image.
static int
write_file(struct sl_image_builder *builder, char kind, uint64_t number, struct sl_error *err)
{
    char path[IMAGE_PATH_MAX];
    image_path(builder->name, kind, number, path);
    unlink(path); // left by a builder that died before it switched
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, IMAGE_MODE);
    int status = fd < 0 ? -1 : fchmod(fd, IMAGE_MODE);
    if (status == 0) {
        status = write_all(fd, builder->writer.base, builder->writer.used_bytes);
    }
    if (status != 0) {
        sl_fail(err, SL_E_INTERNAL);
        sl_error_detail(err, "image file %s: %s", path, strerror(errno));
        unlink(path);
    }
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

// Writes the segment that the writer holds; list->next is then its slot.
static int
save_segment(struct sl_image_builder *builder, struct image_list *list, struct sl_error *err)
{
    uint64_t id = builder->control->next_segment++;
    if (write_file(builder, 's', id, err) != 0) {
        return -1;
    }
    list->next = (struct image_slot){id, builder->writer.used_bytes};
    return 0;
}

static int
build_part(struct sl_image_builder *builder, uint32_t slot, struct sl_error *err)
{
    struct image_list *list = &builder->parts[slot];
    if (!list->dirty) {
        list->next = list->live;
        return 0;
    }
    list->next = (struct image_slot){0};
    if (list->count == 0) {
        return 0;
    }
    if (image_write_part(&builder->writer, slot, builder->seed, list->items, list->count, err) !=
        0) {
        return -1;
    }
    return save_segment(builder, list, err);
}

static int
build_routes(struct sl_image_builder *builder, struct image_routes *routes, struct sl_error *err)
{
    struct image_list *list = &routes->list;
    if (!list->dirty) {
        list->next = list->live;
        return 0;
    }
    list->next = (struct image_slot){0};
    if (list->count == 0) {
        return 0;
    }
    if (image_write_routes(&builder->writer, builder->seed, (const struct sl_api **)list->items,
                           list->count, err) != 0) {
        return -1;
    }
    return save_segment(builder, list, err);
}

// Calls `fn` for the list of every slot.
static void
each_list(struct sl_image_builder *builder,
          void (*fn)(struct sl_image_builder *builder, struct image_list *list))
{
    for (size_t i = 0; i < IMAGE_FIXED_SLOTS; i++) {
        fn(builder, &builder->parts[i]);
    }
    for (size_t i = 0; i < builder->slot_count; i++) {
        if (builder->slots[i] != NULL) {
            fn(builder, &builder->slots[i]->list);
        }
    }
}

// What a failed commit wrote goes away again.
static void
discard_next(struct sl_image_builder *builder, struct image_list *list)
{
    if (list->next.id != list->live.id) {
        unlink_file(builder, 's', list->next.id);
        list->next = list->live;
    }
}

// The switch happened: what was live before goes.
static void
adopt_next(struct sl_image_builder *builder, struct image_list *list)
{
    if (list->next.id != list->live.id) {
        unlink_file(builder, 's', list->live.id);
        list->live = list->next;
    }
    list->dirty = false;
}

static void
keep_live(struct sl_image_builder *builder, struct image_list *list)
{
    (void)builder;
    list->next = list->live;
}

static int
build_segments(struct sl_image_builder *builder, struct sl_error *err)
{
    each_list(builder, keep_live);
    for (uint32_t i = 0; i < IMAGE_FIXED_SLOTS; i++) {
        if (build_part(builder, i, err) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < builder->slot_count; i++) {
        if (builder->slots[i] != NULL && build_routes(builder, builder->slots[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

// -- the directory

static int
write_slots(struct sl_image_builder *builder, struct image_dir *dir)
{
    size_t count = IMAGE_FIXED_SLOTS + builder->slot_count;
    struct image_slot *slots =
        image_put_list(&builder->writer, &dir->slots, count, sizeof(*slots), IMAGE_ALIGN);
    if (slots == NULL) {
        return -1;
    }
    for (size_t i = 0; i < IMAGE_FIXED_SLOTS; i++) {
        slots[i] = builder->parts[i].next;
    }
    for (size_t i = 0; i < builder->slot_count; i++) {
        if (builder->slots[i] != NULL) {
            slots[IMAGE_FIXED_SLOTS + i] = builder->slots[i]->list.next;
        }
    }
    return 0;
}

static int
write_env(struct sl_image_builder *builder, struct image_bucket *table, size_t places,
          const struct image_routes *routes)
{
    struct image_env *env = image_place(&builder->writer, sizeof(*env), _Alignof(struct image_env));
    if (env == NULL) {
        return -1;
    }
    struct sl_str name = sl_str(routes->env_name);
    memcpy(env->group_id, routes->group_id, SL_ID_LEN);
    memcpy(env->name, name.ptr, name.len);
    env->name_len = (uint32_t)name.len;
    env->slot = routes->slot;
    image_table_add(table, places, image_env_hash(builder->seed, env->group_id, name), env);
    return 0;
}

static int
write_envs(struct sl_image_builder *builder, struct image_dir *dir)
{
    size_t count = 0;
    for (size_t i = 0; i < builder->slot_count; i++) {
        count += builder->slots[i] != NULL && builder->slots[i]->list.next.id != 0 ? 1 : 0;
    }
    size_t places = image_table_places(count);
    struct image_bucket *table =
        image_put_list(&builder->writer, &dir->envs, places, sizeof(*table), IMAGE_ALIGN);
    if (table == NULL) {
        return count == 0 ? 0 : -1;
    }
    for (size_t i = 0; i < builder->slot_count; i++) {
        const struct image_routes *routes = builder->slots[i];
        if (routes != NULL && routes->list.next.id != 0 &&
            write_env(builder, table, places, routes) != 0) {
            return -1;
        }
    }
    return 0;
}

static void
name_default_group(struct sl_image_builder *builder, struct image_dir *dir)
{
    for (const struct sl_entry *entry = zhashx_first(builder->entries[SL_KIND_GROUP]);
         entry != NULL; entry = zhashx_next(builder->entries[SL_KIND_GROUP])) {
        if (entry->group.is_default) {
            memcpy(dir->default_group, entry->group.id, strnlen(entry->group.id, SL_ID_LEN));
            return;
        }
    }
}

static int
write_directory(struct sl_image_builder *builder, uint64_t generation, const char *epoch,
                uint64_t revision)
{
    struct image_writer *writer = &builder->writer;
    image_writer_reset(writer);
    struct image_dir *dir = image_place(writer, sizeof(*dir), IMAGE_ALIGN);
    if (dir == NULL) {
        return -1;
    }
    dir->magic = IMAGE_MAGIC_DIR;
    dir->format = SL_IMAGE_FORMAT;
    dir->generation = generation;
    dir->revision = revision;
    dir->seed = builder->seed;
    name_default_group(builder, dir);
    const struct sl_gateway *gateway = sl_image_builder_gateway(builder);
    if (gateway != NULL) {
        dir->has_gateway = 1;
        if (image_write_gateway(writer, &dir->gateway, gateway, epoch, revision) != 0) {
            return -1;
        }
    }
    if (write_slots(builder, dir) != 0 || write_envs(builder, dir) != 0) {
        return -1;
    }
    dir->size_bytes = writer->used_bytes;
    return 0;
}

// -- sweeping

// Whether `name` is a segment or directory of this image that is not live.
static bool
is_leftover(const struct sl_image_builder *builder, const char *name, zhashx_t *live)
{
    char prefix[IMAGE_PATH_MAX];
    int len = snprintf(prefix, sizeof(prefix), "sluice-%s-%d-", builder->name, SL_IMAGE_FORMAT);
    if (strncmp(name, prefix, (size_t)len) != 0) {
        return false;
    }
    const char *rest = name + len;
    return strchr("dst", rest[0]) != NULL && strlen(rest) == 17 &&
           strspn(rest + 1, "0123456789abcdef") == 16 && zhashx_lookup(live, name) == NULL;
}

static void
note_live(struct sl_image_builder *builder, zhashx_t *live, char kind, uint64_t number)
{
    char path[IMAGE_PATH_MAX];
    image_path(builder->name, kind, number, path);
    zhashx_update(live, path + strlen(IMAGE_ROOT "/"), builder);
}

// Removes what a builder before this one left behind. Once, after the first switch.
static void
sweep(struct sl_image_builder *builder, uint64_t generation)
{
    builder->swept = true;
    DIR *root = opendir(IMAGE_ROOT);
    zhashx_t *live = zhashx_new();
    note_live(builder, live, 'd', generation);
    for (size_t i = 0; i < IMAGE_FIXED_SLOTS; i++) {
        note_live(builder, live, 's', builder->parts[i].live.id);
    }
    for (size_t i = 0; i < builder->slot_count; i++) {
        if (builder->slots[i] != NULL) {
            note_live(builder, live, 's', builder->slots[i]->list.live.id);
        }
    }
    for (struct dirent *file; root != NULL && (file = readdir(root)) != NULL;) {
        if (is_leftover(builder, file->d_name, live)) {
            unlinkat(dirfd(root), file->d_name, 0);
        }
    }
    zhashx_destroy(&live);
    if (root != NULL) {
        closedir(root);
    }
}

// The first one of a control file goes on from the clock.
static uint64_t
next_generation(const struct sl_image_builder *builder, uint64_t before)
{
    uint64_t now = (uint64_t)sl_wall_ms() * 1000;
    if (before != 0) {
        return before + 1;
    }
    return now > builder->last_generation ? now : builder->last_generation + 1;
}

int
sl_image_builder_commit(struct sl_image_builder *builder, const char *epoch, uint64_t revision,
                        struct sl_error *err)
{
    if (image_control_ensure(builder, err) != 0) {
        return -1;
    }
    uint64_t before = atomic_load_explicit(&builder->control->generation, memory_order_relaxed);
    uint64_t generation = next_generation(builder, before);
    int status = build_segments(builder, err);
    if (status == 0 && write_directory(builder, generation, epoch, revision) != 0) {
        status = image_full(err);
    }
    if (status == 0) {
        status = write_file(builder, 'd', generation, err);
    }
    if (status != 0) {
        each_list(builder, discard_next);
        return -1;
    }
    atomic_store_explicit(&builder->control->generation, generation, memory_order_release);
    builder->last_generation = generation;
    each_list(builder, adopt_next);
    unlink_file(builder, 'd', before);
    image_routes_prune(builder);
    if (!builder->swept) {
        sweep(builder, generation);
    }
    return 0;
}
