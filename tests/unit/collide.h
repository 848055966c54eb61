// collide.h - texts that a table without a key takes for one: Bernstein's hash of all is the same.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_UNIT_COLLIDE_H
#define SL_TESTS_UNIT_COLLIDE_H

#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLLIDE_BLOCKS 16    // of a text at most, each of them one of two
#define COLLIDE_BLOCK  5     // four hex digits and a separator
#define COLLIDE_SIZE   160   // of a text with terminator
#define COLLIDE_WORDS  65536 // of four hex digits
#define COLLIDE_TEXTS  32    // that let a table without a key grow until memory is out

// Texts that begin alike and go on by blocks; 2 to the power of `blocks` of them.
struct collide {
    const char *prefix;                               // borrowed
    unsigned blocks;                                  //
    char pairs[COLLIDE_BLOCKS][2][COLLIDE_BLOCK + 1]; //
};

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

// Looks for texts that begin with `prefix`, before which a table puts `known`; `separator` stands
// after each block and is no hex digit.
static inline struct collide
collide(const char *known, const char *prefix, char separator, unsigned blocks)
{
    struct collide found = {.prefix = prefix, .blocks = blocks};
    size_t hash = collide_hash(collide_hash(0, known), prefix);
    assert_true(blocks <= COLLIDE_BLOCKS);
    for (unsigned i = 0; i < blocks; i++) {
        hash = collide_pair(hash, separator, found.pairs[i]);
    }
    return found;
}

static inline void
collide_text(const struct collide *texts, unsigned number, char ret_text[COLLIDE_SIZE])
{
    char *at = ret_text + snprintf(ret_text, COLLIDE_SIZE, "%s", texts->prefix);
    for (unsigned i = 0; i < texts->blocks; i++, at += COLLIDE_BLOCK) {
        memcpy(at, texts->pairs[i][number >> i & 1], COLLIDE_BLOCK + 1);
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
