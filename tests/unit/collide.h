// collide.h - texts that a table without a key takes for one: Bernstein's hash of all is the same.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_UNIT_COLLIDE_H
#define SL_TESTS_UNIT_COLLIDE_H

#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLLIDE_BLOCKS 5                     // of a text, each of them one of two
#define COLLIDE_TEXTS  (1 << COLLIDE_BLOCKS) //
#define COLLIDE_BLOCK  5                     // four hex digits and a separator
#define COLLIDE_SIZE   160                   // of a text with terminator
#define COLLIDE_WORDS  65536                 // of four hex digits

struct collide_word {
    size_t hash;     // of all up to its end
    unsigned number; // the word
};

// As zhashx has it: no key goes in, so whoever knows the beginning of a name can do what follows.
static inline size_t
collide_hash(size_t hash, const char *text)
{
    for (; *text != '\0'; text++) {
        hash = 33 * hash ^ (size_t)*text;
    }
    return hash;
}

static inline int
collide_compare(const void *a, const void *b)
{
    size_t left = ((const struct collide_word *)a)->hash;
    size_t right = ((const struct collide_word *)b)->hash;
    return (left > right) - (left < right);
}

// Two words after which the hash is the same; answers it.
static inline size_t
collide_pair(size_t hash, char separator, char ret_pair[2][COLLIDE_BLOCK + 1])
{
    struct collide_word *words = calloc(COLLIDE_WORDS, sizeof(*words));
    assert_non_null(words);
    for (unsigned i = 0; i < COLLIDE_WORDS; i++) {
        snprintf(ret_pair[0], COLLIDE_BLOCK + 1, "%04x%c", i, separator);
        words[i] = (struct collide_word){collide_hash(hash, ret_pair[0]), i};
    }
    qsort(words, COLLIDE_WORDS, sizeof(*words), collide_compare);
    size_t i = 1;
    while (i < COLLIDE_WORDS && words[i].hash != words[i - 1].hash) {
        i++;
    }
    assert_true(i < COLLIDE_WORDS);
    snprintf(ret_pair[0], COLLIDE_BLOCK + 1, "%04x%c", words[i - 1].number, separator);
    snprintf(ret_pair[1], COLLIDE_BLOCK + 1, "%04x%c", words[i].number, separator);
    size_t same = words[i].hash;
    free(words);
    return same;
}

// Texts that begin with `prefix`, of which a table knows `known` before; `separator` is none of a
// hex digit.
static inline void
collide(const char *known, const char *prefix, char separator,
        char ret_texts[COLLIDE_TEXTS][COLLIDE_SIZE])
{
    char pairs[COLLIDE_BLOCKS][2][COLLIDE_BLOCK + 1];
    size_t hash = collide_hash(collide_hash(0, known), prefix);
    for (size_t i = 0; i < COLLIDE_BLOCKS; i++) {
        hash = collide_pair(hash, separator, pairs[i]);
    }
    for (unsigned text = 0; text < COLLIDE_TEXTS; text++) {
        char *at = ret_texts[text];
        at += snprintf(at, COLLIDE_SIZE, "%s", prefix);
        for (size_t i = 0; i < COLLIDE_BLOCKS; i++, at += COLLIDE_BLOCK) {
            memcpy(at, pairs[i][text >> i & 1], COLLIDE_BLOCK + 1);
        }
    }
}

// What the process has mapped, in bytes: tables that grow and grow are never touched whole.
static inline size_t
collide_mapped(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%zu", &pages), 1);
    fclose(file);
    return pages * 4096;
}

#endif
