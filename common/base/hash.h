// hash.h - a quick hash of short keys.
//
// Pure arithmetic; equal on every run of one machine, so that it may lie in shared memory.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BASE_HASH_H
#define SL_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// The halves of a product, folded.
static inline uint64_t
hash_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

// Up to seven bytes as a number, no two texts of a length as the same one.
static inline uint64_t
hash_tail(const char *at, size_t len)
{
    uint32_t first = 0;
    uint32_t last = 0;
    if (len >= sizeof(first)) { // two words that overlap
        memcpy(&first, at, sizeof(first));
        memcpy(&last, at + len - sizeof(last), sizeof(last));
    } else if (len > 0) { // first, middle, last
        first = (uint32_t)(unsigned char)at[0] << 16 | (uint32_t)(unsigned char)at[len / 2] << 8 |
                (unsigned char)at[len - 1];
    }
    return (uint64_t)last << 32 | first;
}

// A seeded hash of `len` bytes; quick for the short keys of requests. Not for tables that a
// stranger fills and whose seed he may know.
static inline uint64_t
sl_hash(uint64_t seed, const void *bytes, size_t len)
{
    const char *at = bytes;
    uint64_t hash = seed ^ (len * 0x9e3779b97f4a7c15U);
    uint64_t word = 0;
    for (; len >= sizeof(word); len -= sizeof(word), at += sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        hash = hash_fold(hash ^ word, 0xa0761d6478bd642fU);
    }
    hash = hash_fold(hash ^ hash_tail(at, len), 0xe7037ed1a0b428dbU);
    return hash_fold(hash ^ 0x8ebc6af09c88c6e3U, 0x589965cc75374cc3U);
}

#endif
