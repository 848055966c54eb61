// siphash.h - SipHash-2-4 (Aumasson, Bernstein 2012): a keyed 64-bit hash for tables that strangers
// can fill.
//
// Ours because libcrypto's fetches a provider and allocates per use, which costs ten times the hash
// itself on the request path.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BASE_SIPHASH_H
#define SL_BASE_SIPHASH_H

#include "common/base/str.h"

// The hash of `bytes` under the key (k[0], k[1]).
uint64_t sl_siphash(const uint64_t k[2], struct sl_str bytes);

// The hash of a text under a key that the process drew for itself: a table's hasher, of the form
// that zhashx takes. Its own, Bernstein's, knows no key: a few names made for it to be the same for
// all have the table double with each, until memory is out. Thread: any.
size_t sl_siphash_text(const void *text);

#endif
