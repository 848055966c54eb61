// config.h - a process's settings: one small YAML file, each key also an environment variable.
//
// A process declares a table of rows; sl_config_load fills its struct. `listen_port` of process
// "front" is overridden by SLUICE_LISTEN_PORT. An unknown key, a value outside its bounds or of
// another type is an error that names it (with the nearest known key). Flat: a file holds
// `key: value` lines only.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BASE_CONFIG_H
#define SL_BASE_CONFIG_H

#include "common/base/arena.h"

enum sl_setting_type {
    SL_SETTING_TEXT, // const char *, from the arena
    SL_SETTING_INT,  // int64_t, within min..max
    SL_SETTING_BOOL, // bool: true/false
};

struct sl_setting {
    const char *name;          // the key
    enum sl_setting_type type; // of the member
    size_t offset;             // of the member in the struct
    const char *fallback;      // as it would stand in the file; NULL: the key is required
    int64_t min, max;          // for SL_SETTING_INT
    const char *help;          // one line for --help
};

// Fills `target` from defaults, then the file (`path` may be NULL), then the environment. On error
// (SL_E_CONFIG, naming file and key) target is undefined.
int sl_config_load(const struct sl_setting *rows, size_t count, const char *path,
                   struct sl_arena *arena, void *target, struct sl_error *err) SL_MUST_CHECK;

// The same for a file of our own that is no process's configuration: no environment.
int sl_config_load_file(const struct sl_setting *rows, size_t count, const char *path,
                        struct sl_arena *arena, void *target, struct sl_error *err) SL_MUST_CHECK;

// Writes the table as help text to standard output.
void sl_config_help(const struct sl_setting *rows, size_t count);

// Handles the arguments all our daemons share: `[--config FILE]`, `--help`, `--version`. Answers
// the file (or NULL); prints and exits for --help, --version and unknown words.
const char *sl_config_args(int argc, char **argv, const char *summary,
                           const struct sl_setting *rows, size_t count);

#endif
