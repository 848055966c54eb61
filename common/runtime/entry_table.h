// entry_table.h - how the fields of an entry are listed; private to the entry's files.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_ENTRY_TABLE_H
#define SL_RUNTIME_ENTRY_TABLE_H

#include "common/runtime/entry.h"

enum entry_field_type {
    FIELD_TEXT,  // const char *
    FIELD_ID,    // const char *: "" or SL_ID_LEN characters
    FIELD_BOOL,  // bool
    FIELD_INT,   // any integer member, within min..max
    FIELD_WORD,  // an enum, by name
    FIELD_BIN,   // struct sl_str
    FIELD_MAP,   // a struct of its own table, embedded
    FIELD_BINS,  // const struct sl_str *, with a count
    FIELD_TEXTS, // const char *const *, with a count
    FIELD_LIST,  // structs of another table, with a count
};

struct entry_table;

struct entry_field {
    const char *name;              // on the wire
    enum entry_field_type type;    //
    bool required;                 // TEXT, ID, BIN, BINS: not empty
    size_t offset, size;           // of the member
    size_t count_offset;           // BINS, TEXTS, LIST: of the size_t beside it
    int64_t min, max;              // INT
    const char *const *words;      // WORD: names in the order of the enum, ending in NULL
    const struct entry_table *sub; // MAP, LIST
};

struct entry_table {
    const struct entry_field *fields;
    size_t count;
    size_t size; // bytes of the struct
};

// One row a kind: its name and its fields.
struct entry_kind {
    const char *name;
    struct entry_table table;
};
extern const struct entry_kind entry_kinds[SL_KIND_COUNT];

// A string member; "" for NULL.
static inline const char *
entry_text_of(const void *member)
{
    const char *text = *(const char *const *)member;
    return text == NULL ? "" : text;
}

// The size of a list's items.
static inline size_t
entry_item_size(const struct entry_field *field)
{
    switch (field->type) {
    case FIELD_LIST:
        return field->sub->size;
    case FIELD_BINS:
        return sizeof(struct sl_str);
    default:
        return sizeof(const char *);
    }
}

// The count beside a list; 0 for other fields.
static inline size_t
entry_count_of(const struct entry_field *field, const void *base)
{
    return field->count_offset == 0 ? 0
                                    : *(const size_t *)((const char *)base + field->count_offset);
}

#endif
