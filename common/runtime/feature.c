// feature.c - see feature.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/feature.h"

#include <assert.h>
#include <string.h>

// A row a feature that nodes obey, sorted.
static const char *const names[SL_FEATURE_COUNT] = {
    [SL_FEATURE_SSE_STRATEGY] = "sse_strategy",
};

const char *
sl_feature_name(enum sl_feature feature)
{
    assert(feature < SL_FEATURE_COUNT);
    return names[feature];
}

enum sl_feature
sl_feature_find(const char *name)
{
    enum sl_feature feature = 0;
    while (feature < SL_FEATURE_COUNT && strcmp(names[feature], name) != 0) {
        feature++;
    }
    return feature;
}
