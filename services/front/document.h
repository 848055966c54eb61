// document.h - the constant documents that front serves to anyone: the contract and a page to
// read it.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_DOCUMENT_H
#define SL_FRONT_DOCUMENT_H

#include "common/base/str.h"

// One document. Everything is constant; nothing is owned.
struct document {
    const char *path;     // "/docs"
    const char *type;     // Content-Type
    const char *encoding; // Content-Encoding; NULL: none
    const char *bytes;    //
    const size_t *size;   // bytes; 0: this build does not have it
};

// What docs.py made: the page, and the viewer's script, packed (size 0: built without npm).
extern const char document_page[];
extern const size_t document_page_size;
extern const char document_script[];
extern const size_t document_script_size;

// The document at `path` (undecoded, without the query), or NULL.
const struct document *document_find(struct sl_str path);

#endif
