// image_write.c - laying out segments.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/image_write.h"

#include <sys/mman.h>

#define REGION_MIN (64 * 1024 * 1024)
#define KEEP_BYTES (4 * 1024 * 1024) // kept between segments; the rest is given back

int
image_writer_init(struct image_writer *writer, struct sl_error *err)
{
    for (size_t size = IMAGE_SEGMENT_MAX; size >= REGION_MIN; size /= 2) {
        void *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base != MAP_FAILED) {
            *writer = (struct image_writer){.base = base, .size_bytes = size};
            return 0;
        }
    }
    sl_fail(err, SL_E_INTERNAL);
    return sl_error_detail(err, "no address space for the image builder");
}

void
image_writer_clear(struct image_writer *writer)
{
    if (writer->base != NULL) {
        munmap(writer->base, writer->size_bytes);
        *writer = (struct image_writer){0};
    }
}

void
image_writer_reset(struct image_writer *writer)
{
    if (writer->used_bytes > KEEP_BYTES) {
        // Fresh pages come zeroed.
        madvise(writer->base + KEEP_BYTES, writer->size_bytes - KEEP_BYTES, MADV_DONTNEED);
        writer->used_bytes = KEEP_BYTES;
    }
    memset(writer->base, 0, writer->used_bytes);
    writer->used_bytes = 0;
}

int
image_full(struct sl_error *err)
{
    sl_fail(err, SL_E_INTERNAL);
    return sl_error_detail(err, "a segment of the image is larger than its format allows");
}

void *
image_place(struct image_writer *writer, size_t size, size_t align)
{
    size_t at = (writer->used_bytes + align - 1) / align * align;
    if (at > writer->size_bytes || size > writer->size_bytes - at) {
        return NULL;
    }
    writer->used_bytes = at + size;
    return writer->base + at;
}

void
image_link(int32_t *field, const void *target)
{
    ptrdiff_t distance = (const char *)target - (const char *)field;
    assert(distance != 0 && distance >= INT32_MIN && distance <= INT32_MAX);
    *field = (int32_t)distance;
}

int
image_put_text(struct image_writer *writer, struct sl_img_str *field, const char *text)
{
    return image_put_bytes(writer, field, sl_str(text));
}

int
image_put_bytes(struct image_writer *writer, struct sl_img_str *field, struct sl_str view)
{
    if (view.len == 0) {
        *field = (struct sl_img_str){0};
        return 0;
    }
    char *copy = image_place(writer, view.len, 1);
    if (copy == NULL) {
        return -1;
    }
    memcpy(copy, view.ptr, view.len);
    image_link(&field->off, copy);
    field->len = (uint32_t)view.len;
    return 0;
}

void *
image_put_list(struct image_writer *writer, struct sl_img_list *field, size_t count, size_t size,
               size_t align)
{
    *field = (struct sl_img_list){0};
    if (count == 0 || count > IMAGE_SEGMENT_MAX / size) {
        return NULL;
    }
    void *items = image_place(writer, count * size, align);
    if (items != NULL) {
        image_link(&field->off, items);
        field->count = (uint32_t)count;
    }
    return items;
}

size_t
image_table_places(size_t count)
{
    size_t places = count == 0 ? 0 : 1;
    while (count > 1 && places * 3 < count * 4) {
        places *= 2;
    }
    return places;
}

void
image_table_add(struct image_bucket *buckets, size_t places, uint64_t hash, const void *record)
{
    size_t at = hash & (places - 1);
    while (buckets[at].off != 0) {
        at = (at + 1) & (places - 1);
    }
    buckets[at].tag = image_tag_of(hash);
    image_link(&buckets[at].off, record);
}

struct image_segment *
image_segment_begin(struct image_writer *writer, enum image_part part, uint64_t seed)
{
    image_writer_reset(writer);
    struct image_segment *segment = image_place(writer, sizeof(*segment), IMAGE_ALIGN);
    if (segment != NULL) {
        segment->magic = IMAGE_MAGIC_SEGMENT;
        segment->format = SL_IMAGE_FORMAT;
        segment->part = (uint16_t)part;
        segment->seed = seed;
    }
    return segment;
}

int
image_segment_end(struct image_writer *writer, struct sl_error *err)
{
    if (image_place(writer, 0, IMAGE_ALIGN) == NULL) {
        return image_full(err);
    }
    struct image_segment *segment = (struct image_segment *)(void *)writer->base;
    segment->size_bytes = writer->used_bytes;
    if (!image_segment_valid(writer->base, writer->used_bytes)) {
        sl_fail(err, SL_E_INTERNAL);
        return sl_error_detail(err, "a segment of the image does not hold: part %u", segment->part);
    }
    return 0;
}
