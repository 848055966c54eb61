// ngx_http_sluice_pattern.c - see ngx_http_sluice_pattern.h.
//
// SPDX-License-Identifier: Apache-2.0
#define PCRE2_CODE_UNIT_WIDTH 8
#include "services/nginx/ngx_http_sluice_pattern.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#define PLACES      256U   // a power of two
#define MATCH_LIMIT 100000 // steps of one match
#define DEPTH_LIMIT 250    // of backtracking
#define HEAP_LIMIT  1024   // KiB of one match

struct place {
    char *text;       // the pattern; NULL: free
    size_t len;       //
    pcre2_code *code; // NULL: it does not compile
};

static struct {
    struct place places[PLACES];
    pcre2_match_context *context; // with the limits
    pcre2_match_data *data;       // for one match at a time
} cache;

static uint32_t
hash_of(struct sl_str text)
{
    uint32_t hash = 2166136261U; // FNV-1a
    for (size_t i = 0; i < text.len; i++) {
        hash = (hash ^ (uint8_t)text.ptr[i]) * 16777619U;
    }
    return hash;
}

static void
clear_place(struct place *place)
{
    pcre2_code_free(place->code);
    free(place->text);
    *place = (struct place){.text = NULL};
}

static pcre2_code *
compile(struct sl_str pattern)
{
    int number = 0;
    PCRE2_SIZE at = 0;
    return pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, PCRE2_NEVER_BACKSLASH_C, &number,
                         &at, NULL);
}

// The compiled pattern; NULL when there is none or memory is out.
static const pcre2_code *
code_of(struct sl_str pattern)
{
    struct place *place = &cache.places[hash_of(pattern) & (PLACES - 1)];
    if (place->text != NULL && place->len == pattern.len &&
        memcmp(place->text, pattern.ptr, pattern.len) == 0) {
        return place->code;
    }
    clear_place(place);
    place->text = malloc(pattern.len + 1);
    if (place->text == NULL) {
        return NULL;
    }
    memcpy(place->text, pattern.ptr, pattern.len);
    place->len = pattern.len;
    place->code = compile(pattern);
    return place->code;
}

static bool
is_ready(void)
{
    if (cache.context == NULL) {
        cache.context = pcre2_match_context_create(NULL);
        if (cache.context != NULL) {
            pcre2_set_match_limit(cache.context, MATCH_LIMIT);
            pcre2_set_depth_limit(cache.context, DEPTH_LIMIT);
            pcre2_set_heap_limit(cache.context, HEAP_LIMIT);
        }
    }
    if (cache.data == NULL) {
        cache.data = pcre2_match_data_create(1, NULL);
    }
    return cache.context != NULL && cache.data != NULL;
}

bool
ngx_http_sluice_pattern_found(struct sl_str pattern, struct sl_str text)
{
    const pcre2_code *code = pattern.len > 0 && is_ready() ? code_of(pattern) : NULL;
    // 0: found, with more groups than there is room for.
    return code != NULL && pcre2_match(code, (PCRE2_SPTR)(text.len > 0 ? text.ptr : ""), text.len,
                                       0, 0, cache.data, cache.context) >= 0;
}

void
ngx_http_sluice_pattern_exit(void)
{
    for (size_t i = 0; i < PLACES; i++) {
        clear_place(&cache.places[i]);
    }
    pcre2_match_context_free(cache.context);
    pcre2_match_data_free(cache.data);
    cache.context = NULL;
    cache.data = NULL;
}
