// siphash.c - see siphash.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/siphash.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

struct state {
    uint64_t v0, v1, v2, v3; // the four words that the rounds mix
};

static inline uint64_t
rotate(uint64_t word, unsigned bits)
{
    return (word << bits) | (word >> (64 - bits));
}

static inline void
mix(struct state *s, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 = rotate(s->v0, 32);
        s->v2 += s->v1;
        s->v0 += s->v3;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 = rotate(s->v2, 32);
    }
}

static inline void
absorb(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    mix(s, 2);
    s->v0 ^= word;
}

uint64_t
sl_siphash(const uint64_t k[2], struct sl_str bytes)
{
    struct state s = {k[0] ^ 0x736f6d6570736575ULL, k[1] ^ 0x646f72616e646f6dULL,
                      k[0] ^ 0x6c7967656e657261ULL, k[1] ^ 0x7465646279746573ULL};
    size_t at = 0;
    for (; at + 8 <= bytes.len; at += 8) {
        uint64_t word;
        memcpy(&word, bytes.ptr + at, 8);
        absorb(&s, word);
    }
    uint64_t last = (uint64_t)bytes.len << 56;
    for (size_t i = at; i < bytes.len; i++) {
        last |= (uint64_t)(uint8_t)bytes.ptr[i] << (8 * (i - at));
    }
    absorb(&s, last);
    s.v2 ^= 0xff;
    mix(&s, 4);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

static uint64_t own_key[2];

static void
draw_own_key(void)
{
    ssize_t drawn = getrandom(own_key, sizeof(own_key), 0);
    assert(drawn == (ssize_t)sizeof(own_key)); // so few are never cut short
}

size_t
sl_siphash_text(const void *text)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, draw_own_key);
    return (size_t)sl_siphash(own_key, sl_str(text));
}
