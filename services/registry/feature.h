// feature.h - what features there are and what their configurations may be; private to feature*.c.
//
// A configuration is a text: nothing (fixed features), one word or number, or a JSON object with
// members. feature_table.c has a row for each feature that the product has; the rest of what the
// document knows is refused by name.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_REGISTRY_FEATURE_H
#define SL_REGISTRY_FEATURE_H

#include "services/registry/mutation.h"

#include <jansson.h>

enum feature_type {
    FEATURE_END,    // after the last part
    FEATURE_NUMBER, // min..max; in an object also as a text
    FEATURE_SWITCH, // "on" or "off"
    FEATURE_WORD,   // one of `words`
    FEATURE_TEXT,   // min..max characters
    FEATURE_JSON,   // whatever `check` takes
};

// Refuses what the type alone lets pass; `where` names the part ("config.hosts").
typedef int feature_check_fn(struct sl_arena *arena, const json_t *value, const char *where,
                             struct sl_error *err);

// The whole of a configuration of type number, switch..., or one member of an object.
struct feature_part {
    const char *name; // of the member; NULL: the configuration is no object
    enum feature_type type;
    int64_t min, max;         // NUMBER; TEXT: its length in bytes
    const char *const *words; // WORD: ends in NULL
    bool required;            // unless the member `enable` says "off"
    bool secret;              // sealed, never shown; only texts of objects
    feature_check_fn *check;  // NULL: the type is enough
};

struct feature {
    const char *name;
    const struct feature_part *parts; // ends in FEATURE_END; NULL: there is no configuration
    bool is_switched;                 // without parts: `enable` alone sets it; else it is fixed
    bool is_of_apps;                  // the entries of apps depend on it
    feature_check_fn *check;          // of an object as a whole; NULL: its members are enough
};

// What the product has, sorted by name.
extern const struct feature feature_table[];
extern const size_t feature_count;

// The row of a feature, or NULL.
const struct feature *feature_find(const char *name);

// Refuses a name without a row: FEATURE_UNSUPPORTED when the document knows it, else
// FEATURE_UNKNOWN. Always -1.
int feature_refuse(const char *name, struct sl_error *err);

// A configuration as it is kept.
struct feature_config {
    const char *text;   // without secret members; NULL: none
    const char *secret; // the secret members as a JSON object, terminated; NULL: none
};

// Checks what a client wants to set. Refuses, naming `config` or `config.<member>`: PARAM_MISSING,
// PARAM_INVALID, PARAM_RANGE; a fixed feature takes no configuration and cannot be switched off.
// Memory from the arena.
int feature_check(struct sl_arena *arena, const struct feature *feature, const char *config,
                  bool enable, struct feature_config *ret_config,
                  struct sl_error *err) SL_MUST_CHECK;

#endif
