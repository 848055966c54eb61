// entry_copy.c - an entry in one block of its own.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/entry_table.h"

#include <stdlib.h>
#include <string.h>

// Walks an entry twice: without a block to measure, with one to fill it.
struct copier {
    char *block; // NULL while measuring
    size_t used; // bytes placed
};

static void *
place(struct copier *copier, size_t size, size_t align)
{
    size_t at = (copier->used + align - 1) / align * align;
    copier->used = at + size;
    return copier->block == NULL ? NULL : copier->block + at;
}

static const char *
place_text(struct copier *copier, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = place(copier, size, 1);
    return copy == NULL ? NULL : memcpy(copy, text, size);
}

static void
copy_bin(struct copier *copier, struct sl_str *copy, const struct sl_str *bytes)
{
    char *block = place(copier, bytes->len, 1);
    if (block != NULL && copy != NULL && bytes->len > 0) {
        memcpy(block, bytes->ptr, bytes->len);
        *copy = (struct sl_str){block, bytes->len};
    }
}

static void copy_struct(struct copier *copier, const struct entry_table *table, void *copy,
                        const void *base);

static void *
copy_list(struct copier *copier, const struct entry_field *field, const void *base)
{
    const char *from = *(const char *const *)((const char *)base + field->offset);
    size_t size = entry_item_size(field);
    size_t count = entry_count_of(field, base);
    char *items = place(copier, count * size, _Alignof(max_align_t));
    for (size_t i = 0; i < count; i++) {
        void *item = items == NULL ? NULL : items + i * size;
        if (field->type == FIELD_LIST) {
            copy_struct(copier, field->sub, item, from + i * size);
            continue;
        }
        if (field->type == FIELD_BINS) {
            copy_bin(copier, item, (const void *)(from + i * size));
            continue;
        }
        const char *text = place_text(copier, entry_text_of(from + i * size));
        if (item != NULL) {
            *(const char **)item = text;
        }
    }
    return items;
}

static void
copy_struct(struct copier *copier, const struct entry_table *table, void *copy, const void *base)
{
    if (copy != NULL) {
        memcpy(copy, base, table->size);
    }
    for (size_t i = 0; i < table->count; i++) {
        const struct entry_field *field = &table->fields[i];
        const char *member = (const char *)base + field->offset;
        void *target = copy == NULL ? NULL : (char *)copy + field->offset;
        const void *moved = NULL;
        if (field->type == FIELD_MAP) {
            copy_struct(copier, field->sub, target, member);
            continue;
        }
        if (field->type == FIELD_BIN) {
            copy_bin(copier, target, (const void *)member);
            continue;
        }
        if (field->type == FIELD_TEXT || field->type == FIELD_ID) {
            moved = place_text(copier, entry_text_of(member));
        } else if (field->type >= FIELD_BINS) {
            moved = copy_list(copier, field, base);
        } else {
            continue;
        }
        if (target != NULL) {
            *(const void **)target = moved;
        }
    }
}

struct sl_entry *
sl_entry_copy(const struct sl_entry *entry)
{
    assert(entry->kind < SL_KIND_COUNT);
    const struct entry_table *table = &entry_kinds[entry->kind].table;
    struct copier copier = {NULL, sizeof(*entry)};
    copy_struct(&copier, table, NULL, &entry->api);
    struct sl_entry *copy = calloc(1, copier.used);
    if (copy != NULL) {
        copy->kind = entry->kind;
        copier = (struct copier){(char *)copy, sizeof(*entry)};
        copy_struct(&copier, table, &copy->api, &entry->api);
    }
    return copy;
}
