// config.c - see config.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define VALUE_NAME_MAX 128 // of an environment variable

struct loading {
    const struct sl_setting *rows;
    size_t count;
    struct sl_arena *arena;
    char *target;
};

static const struct sl_setting *
find_row(const struct loading *loading, const char *name)
{
    for (size_t i = 0; i < loading->count; i++) {
        if (strcmp(loading->rows[i].name, name) == 0) {
            return &loading->rows[i];
        }
    }
    return NULL;
}

// How many leading characters two words share: enough for "did you mean".
static size_t
shared_prefix(const char *a, const char *b)
{
    size_t len = 0;
    while (a[len] != '\0' && a[len] == b[len]) {
        len++;
    }
    return len;
}

static int
fail_unknown(const struct loading *loading, const char *where, const char *key,
             struct sl_error *err)
{
    const char *nearest = "";
    size_t best = 1;
    for (size_t i = 0; i < loading->count; i++) {
        size_t len = shared_prefix(loading->rows[i].name, key);
        if (len > best) {
            best = len;
            nearest = loading->rows[i].name;
        }
    }
    char text[SL_ERROR_ARG_MAX];
    if (nearest[0] != '\0') {
        snprintf(text, sizeof(text), "%s: unknown key '%s', did you mean '%s'?", where, key,
                 nearest);
    } else {
        snprintf(text, sizeof(text), "%s: unknown key '%s'", where, key);
    }
    return sl_fail(err, SL_E_CONFIG, text);
}

static int
fail_value(const struct sl_setting *row, const char *where, const char *wanted,
           struct sl_error *err)
{
    char text[SL_ERROR_ARG_MAX];
    snprintf(text, sizeof(text), "%s: %s: wants %s", where, row->name, wanted);
    return sl_fail(err, SL_E_CONFIG, text);
}

static int
set_int(const struct loading *loading, const struct sl_setting *row, const char *where,
        const char *value, struct sl_error *err)
{
    int64_t number = 0;
    if (!sl_str_int(sl_str(value), &number) || number < row->min || number > row->max) {
        char wanted[64];
        snprintf(wanted, sizeof(wanted), "an integer from %lld to %lld", (long long)row->min,
                 (long long)row->max);
        return fail_value(row, where, wanted, err);
    }
    memcpy(loading->target + row->offset, &number, sizeof(number));
    return 0;
}

static int
set_bool(const struct loading *loading, const struct sl_setting *row, const char *where,
         const char *value, struct sl_error *err)
{
    bool is_true = strcmp(value, "true") == 0;
    if (!is_true && strcmp(value, "false") != 0) {
        return fail_value(row, where, "true or false", err);
    }
    memcpy(loading->target + row->offset, &is_true, sizeof(is_true));
    return 0;
}

static int
set_value(const struct loading *loading, const struct sl_setting *row, const char *where,
          const char *value, struct sl_error *err)
{
    if (row->type == SL_SETTING_INT) {
        return set_int(loading, row, where, value, err);
    }
    if (row->type == SL_SETTING_BOOL) {
        return set_bool(loading, row, where, value, err);
    }
    const char *copy = sl_arena_dup(loading->arena, value);
    memcpy(loading->target + row->offset, &copy, sizeof(copy));
    return sl_arena_check(loading->arena, err);
}

static int
set_pair(const struct loading *loading, const char *path, yaml_document_t *document,
         const yaml_node_pair_t *pair, struct sl_error *err)
{
    const yaml_node_t *key = yaml_document_get_node(document, pair->key);
    const yaml_node_t *value = yaml_document_get_node(document, pair->value);
    if (key->type != YAML_SCALAR_NODE || value->type != YAML_SCALAR_NODE) {
        char text[SL_ERROR_ARG_MAX];
        snprintf(text, sizeof(text), "%s: only `key: value` lines", path);
        return sl_fail(err, SL_E_CONFIG, text);
    }
    const char *name = (const char *)key->data.scalar.value;
    const struct sl_setting *row = find_row(loading, name);
    if (row == NULL) {
        return fail_unknown(loading, path, name, err);
    }
    return set_value(loading, row, path, (const char *)value->data.scalar.value, err);
}

static int
set_document(const struct loading *loading, const char *path, yaml_document_t *document,
             struct sl_error *err)
{
    const yaml_node_t *root = yaml_document_get_root_node(document);
    if (root == NULL) {
        return 0; // an empty file
    }
    if (root->type != YAML_MAPPING_NODE) {
        char text[SL_ERROR_ARG_MAX];
        snprintf(text, sizeof(text), "%s: only `key: value` lines", path);
        return sl_fail(err, SL_E_CONFIG, text);
    }
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        if (set_pair(loading, path, document, pair, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int
load_file(const struct loading *loading, const char *path, struct sl_error *err)
{
    char text[SL_ERROR_ARG_MAX];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        snprintf(text, sizeof(text), "%s: %m", path);
        return sl_fail(err, SL_E_CONFIG, text);
    }
    yaml_parser_t parser;
    yaml_document_t document;
    if (!yaml_parser_initialize(&parser)) {
        fclose(file);
        return sl_fail(err, SL_E_INTERNAL);
    }
    yaml_parser_set_input_file(&parser, file);
    int result = -1;
    if (yaml_parser_load(&parser, &document)) {
        result = set_document(loading, path, &document, err);
        yaml_document_delete(&document);
    } else {
        snprintf(text, sizeof(text), "%s: line %zu: %s", path, parser.problem_mark.line + 1,
                 parser.problem);
        sl_fail(err, SL_E_CONFIG, text);
    }
    yaml_parser_delete(&parser);
    fclose(file);
    return result;
}

static void
environment_name(const char *key, char ret_name[VALUE_NAME_MAX])
{
    int len = snprintf(ret_name, VALUE_NAME_MAX, "SLUICE_%s", key);
    for (int i = 0; i < len && i < VALUE_NAME_MAX - 1; i++) {
        if (ret_name[i] >= 'a' && ret_name[i] <= 'z') {
            ret_name[i] = (char)(ret_name[i] - ('a' - 'A'));
        }
    }
}

static int
load_environment(const struct loading *loading, struct sl_error *err)
{
    for (size_t i = 0; i < loading->count; i++) {
        char name[VALUE_NAME_MAX];
        environment_name(loading->rows[i].name, name);
        const char *value = getenv(name);
        if (value != NULL && set_value(loading, &loading->rows[i], name, value, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int
load_defaults(const struct loading *loading, struct sl_error *err)
{
    for (size_t i = 0; i < loading->count; i++) {
        const struct sl_setting *row = &loading->rows[i];
        if (row->fallback != NULL && set_value(loading, row, "default", row->fallback, err) != 0) {
            return -1;
        }
    }
    return 0;
}

// A required row is one of text whose member is still NULL.
static int
check_required(const struct loading *loading, const char *path, struct sl_error *err)
{
    for (size_t i = 0; i < loading->count; i++) {
        const struct sl_setting *row = &loading->rows[i];
        const char *value = NULL;
        if (row->fallback != NULL || row->type != SL_SETTING_TEXT) {
            continue;
        }
        memcpy(&value, loading->target + row->offset, sizeof(value));
        if (value == NULL) {
            return fail_value(row, path == NULL ? "environment" : path, "a value", err);
        }
    }
    return 0;
}

static int
load_unset(const struct loading *loading, struct sl_error *err)
{
    static const char *const unset = NULL;
    for (size_t i = 0; i < loading->count; i++) {
        if (loading->rows[i].type == SL_SETTING_TEXT) {
            memcpy(loading->target + loading->rows[i].offset, &unset, sizeof(unset));
        }
    }
    return load_defaults(loading, err);
}

int
sl_config_load(const struct sl_setting *rows, size_t count, const char *path,
               struct sl_arena *arena, void *target, struct sl_error *err)
{
    struct loading loading = {rows, count, arena, target};
    if (load_unset(&loading, err) != 0) {
        return -1;
    }
    if (path != NULL && load_file(&loading, path, err) != 0) {
        return -1;
    }
    if (load_environment(&loading, err) != 0) {
        return -1;
    }
    return check_required(&loading, path, err);
}

int
sl_config_load_file(const struct sl_setting *rows, size_t count, const char *path,
                    struct sl_arena *arena, void *target, struct sl_error *err)
{
    struct loading loading = {rows, count, arena, target};
    if (load_unset(&loading, err) != 0 || load_file(&loading, path, err) != 0) {
        return -1;
    }
    return check_required(&loading, path, err);
}

void
sl_config_help(const struct sl_setting *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        printf("  %-22s %s", rows[i].name, rows[i].help);
        if (rows[i].fallback != NULL && rows[i].fallback[0] != '\0') {
            printf(" (default %s)", rows[i].fallback);
        }
        printf("\n");
    }
}

const char *
sl_config_args(int argc, char **argv, const char *summary, const struct sl_setting *rows,
               size_t count)
{
    const char *path = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            path = argv[++i];
        } else if (strcmp(argv[i], "--help") == 0) {
            printf("%s: %s\n\nusage: %s [--config FILE] [--help] [--version]\n\n"
                   "settings (each also as SLUICE_<NAME> in the environment):\n",
                   argv[0], summary, argv[0]);
            sl_config_help(rows, count);
            exit(0);
        } else if (strcmp(argv[i], "--version") == 0) {
            printf("sluice %s\n", SL_VERSION);
            exit(0);
        } else {
            fprintf(stderr, "%s: unknown argument '%s', see --help\n", argv[0], argv[i]);
            exit(2);
        }
    }
    return path;
}
