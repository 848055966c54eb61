// siphash.h - SipHash-2-4 (Aumasson, Bernstein 2012): a keyed 64-bit hash for tables that strangers
// can fill.
//
// Ours because libcrypto's fetches a provider and allocates per use, which costs ten times the hash
// itself on the request path.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_SIPHASH_H
#define SL_RUNTIME_SIPHASH_H

#include "common/base/str.h"

// The hash of `bytes` under the key (k[0], k[1]).
uint64_t sl_siphash(const uint64_t k[2], struct sl_str bytes);

#endif
