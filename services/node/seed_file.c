// seed_file.c - a whole set of entries as a file: a line that names the format, then pages, each
// after its length (32 bits, little endian).
//
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "services/node/seed.h"

#define MAGIC          "sluice-seed 1\n"
#define PAGE_ARENA_MAX ((size_t)64 * 1024 * 1024)
#define LENGTH_BYTES   4

static int
failed(const char *path, const char *why, struct sl_error *err)
{
    sl_fail(err, SL_E_CONFIG, path);
    return sl_error_detail(err, "%s: %s", path, why);
}

// -- writing

static bool
write_page(FILE *file, struct sl_str bytes)
{
    const unsigned char length[LENGTH_BYTES] = {
        (unsigned char)(bytes.len & 0xff), (unsigned char)(bytes.len >> 8 & 0xff),
        (unsigned char)(bytes.len >> 16 & 0xff), (unsigned char)(bytes.len >> 24 & 0xff)};
    return fwrite(length, sizeof(length), 1, file) == 1 &&
           fwrite(bytes.ptr, 1, bytes.len, file) == bytes.len;
}

static int
write_pages(FILE *file, const char *path, const struct page_source *source, struct sl_error *err)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(PAGE_ARENA_MAX);
    struct page_place after = {.kind = ""};
    bool has_more = true;
    if (arena == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    while (has_more) {
        struct sl_str bytes;
        struct page page;
        if (page_build(arena, source, &after, &bytes, err) != 0 ||
            page_read(arena, bytes, source->gateway_id, source->readers[0], &page, err) != 0) {
            return -1;
        }
        if (!write_page(file, bytes)) {
            return failed(path, strerror(errno), err);
        }
        has_more = page_next(&page, &after);
        sl_arena_clear(arena);
    }
    return 0;
}

int
seed_file_write(const char *path, const struct page_source *source, struct sl_error *err)
{
    char fresh[PATH_MAX];
    if (source->reader_count == 0) {
        return failed(path, "the gateway's nodes are not known", err);
    }
    snprintf(fresh, sizeof(fresh), "%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (file == NULL) {
        failed(path, strerror(errno), err);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    int rc = fputs(MAGIC, file) < 0 ? failed(path, strerror(errno), err)
                                    : write_pages(file, path, source, err);
    bool is_kept = fflush(file) == 0 && fsync(fd) == 0;
    if (fclose(file) != 0 || !is_kept || (rc == 0 && rename(fresh, path) != 0)) {
        rc = failed(path, strerror(errno), err);
    }
    if (rc != 0) {
        unlink(fresh);
    }
    return rc;
}

// -- reading

// Opens a file that nobody but us (and root) may have written; NULL with *err filled.
static FILE *
open_trusted(const char *path, struct sl_error *err)
{
    struct stat info;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        failed(path, strerror(errno), err);
        return NULL;
    }
    bool is_trusted = fstat(fileno(file), &info) == 0 &&
                      (info.st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
                      (info.st_uid == geteuid() || info.st_uid == 0);
    if (!is_trusted) {
        fclose(file);
        failed(path, "others may write it", err);
        return NULL;
    }
    return file;
}

// The next page's bytes, from the arena; an empty view at the end of the file.
static int
next_page(FILE *file, const char *path, struct sl_arena *arena, struct sl_str *ret_bytes,
          struct sl_error *err)
{
    unsigned char length[LENGTH_BYTES];
    size_t got = fread(length, 1, sizeof(length), file);
    *ret_bytes = (struct sl_str){"", 0};
    if (got == 0) {
        return 0;
    }
    size_t len = (size_t)length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16 |
                 (size_t)length[3] << 24;
    char *bytes =
        got == sizeof(length) && len <= SL_MESSAGE_MAX ? sl_arena_alloc(arena, len + 1) : NULL;
    if (bytes == NULL || fread(bytes, 1, len, file) != len) {
        return failed(path, "it is cut short or no such file", err);
    }
    *ret_bytes = (struct sl_str){bytes, len};
    return 0;
}

struct reading {
    FILE *file;
    const char *path;
    const char *gateway_id;
    const char *public_z85;
    int (*fn)(void *arg, const struct page *page, struct sl_error *err);
    void *arg;
};

static int
read_pages(const struct reading *reading, struct sl_arena *arena, struct sl_error *err)
{
    char magic[sizeof(MAGIC)] = "";
    if (fgets(magic, sizeof(magic), reading->file) == NULL || strcmp(magic, MAGIC) != 0) {
        return failed(reading->path, "it is no file of entries", err);
    }
    for (bool has_more = true; has_more; sl_arena_clear(arena)) {
        struct sl_str bytes;
        struct page page;
        if (next_page(reading->file, reading->path, arena, &bytes, err) != 0) {
            return -1;
        }
        if (bytes.len == 0) {
            return failed(reading->path, "it is cut short", err);
        }
        if (page_read(arena, bytes, reading->gateway_id, reading->public_z85, &page, err) != 0 ||
            reading->fn(reading->arg, &page, err) != 0) {
            return -1;
        }
        has_more = page.set.more;
    }
    return 0;
}

int
seed_file_read(const char *path, const char *gateway_id, const char *public_z85,
               int (*fn)(void *arg, const struct page *page, struct sl_error *err), void *arg,
               struct sl_error *err)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(PAGE_ARENA_MAX);
    FILE *file = open_trusted(path, err);
    if (arena == NULL || file == NULL) {
        if (file != NULL) {
            fclose(file);
        }
        return arena == NULL ? sl_fail(err, SL_E_INTERNAL) : -1;
    }
    struct reading reading = {file, path, gateway_id, public_z85, fn, arg};
    int rc = read_pages(&reading, arena, err);
    fclose(file);
    return rc;
}
