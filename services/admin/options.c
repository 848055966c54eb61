// options.c - command lines: from words to fields, and the help that describes them.
//
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "common/crypto/crypto.h"
#include "services/admin/admin.h"

#define SECRET_LEN 24  // characters of a generated secret: 142 bits
#define LINE_MAX_  512 // of standard input

static int
fail(struct admin *admin, struct sl_error *err, const char *text, const char *what)
{
    return sl_fail(err, SL_E_ADMIN, sl_arena_printf(admin->arena, "%s '%s'", text, what));
}

static const struct option_row *
find_option(const struct command_row *row, const char *word)
{
    for (const struct option_row *option = row->options; option->name != NULL; option++) {
        if (strcmp(option->name, word) == 0) {
            return option;
        }
    }
    return NULL;
}

static json_t *
read_line(void)
{
    char line[LINE_MAX_];
    if (fgets(line, sizeof(line), stdin) == NULL) {
        return NULL;
    }
    line[strcspn(line, "\r\n")] = '\0';
    json_t *value = line[0] != '\0' ? json_string(line) : NULL;
    sl_wipe(line, sizeof(line));
    return value;
}

// A secret of letters and digits; bytes that would make some likelier than others are thrown away.
static json_t *
make_secret(void)
{
    static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    const size_t count = sizeof(letters) - 1;
    char secret[SECRET_LEN + 1] = {0};
    size_t len = 0;
    while (len < SECRET_LEN) {
        uint8_t byte = 0;
        sl_random(&byte, 1);
        if (byte < 256 / count * count) {
            secret[len++] = letters[byte % count];
        }
    }
    json_t *value = json_string(secret);
    sl_wipe(secret, sizeof(secret));
    return value;
}

static json_t *
read_number(const char *word)
{
    int64_t number = 0;
    return sl_str_int(sl_str(word), &number) ? json_integer(number) : NULL;
}

// The list under `field` with one more text; NULL when memory is out.
static json_t *
append(json_t *fields, const char *field, const char *word)
{
    json_t *list = json_object_get(fields, field);
    list = list != NULL ? json_incref(list) : json_array();
    json_array_append_new(list, json_string(word));
    return list;
}

static json_t *
make_value(const struct option_row *option, json_t *fields, const char *word)
{
    switch (option->kind) {
    case OPTION_TEXT:
        return json_string(word);
    case OPTION_NUMBER:
        return read_number(word);
    case OPTION_LIST:
        return append(fields, option->field, word);
    case OPTION_TRUE:
        return json_true();
    case OPTION_FALSE:
        return json_false();
    case OPTION_STDIN:
        return read_line();
    case OPTION_GENERATE:
        return make_secret();
    case OPTION_JSON:
        return json_load_file(word, JSON_REJECT_DUPLICATES, NULL);
    }
    return NULL;
}

static int
take_option(struct admin *admin, const struct option_row *option, const char *word, json_t *fields,
            struct sl_error *err)
{
    if (option->kind != OPTION_LIST && json_object_get(fields, option->field) != NULL) {
        return fail(admin, err, "given twice, or against another option:", option->name);
    }
    json_t *value = make_value(option, fields, word);
    if (value == NULL) {
        return fail(admin, err, "no usable value for", option->name);
    }
    json_object_set_new(fields, option->field, value);
    return 0;
}

// A word without a dash: the object, then NAME=VALUE pairs.
static int
take_word(struct admin *admin, const char *word, json_t *fields, struct sl_error *err)
{
    const struct command_row *row = admin->row;
    if (row->object != NULL && json_object_get(fields, row->object) == NULL) {
        json_object_set_new(fields, row->object, json_string(word));
        return 0;
    }
    const char *equals = strchr(word, '=');
    if (row->pairs == NULL || equals == NULL || equals == word) {
        return fail(admin, err, "unexpected word", word);
    }
    json_t *pairs = json_object_get(fields, row->pairs);
    if (pairs == NULL) {
        pairs = json_object();
        json_object_set_new(fields, row->pairs, pairs);
    }
    char *name = sl_arena_dupn(admin->arena, word, (size_t)(equals - word));
    json_object_set_new(pairs, name, json_string(equals + 1));
    return 0;
}

static int
check_complete(struct admin *admin, json_t *fields, struct sl_error *err)
{
    const struct command_row *row = admin->row;
    if (row->object != NULL && json_object_get(fields, row->object) == NULL) {
        return fail(admin, err, "missing:", row->object_word);
    }
    if (row->pairs != NULL && json_object_get(fields, row->pairs) == NULL) {
        return fail(admin, err, "missing:", "NAME=VALUE");
    }
    for (const struct option_row *option = row->options; option->name != NULL; option++) {
        if (option->required && json_object_get(fields, option->field) == NULL) {
            return fail(admin, err, "missing:", option->name);
        }
    }
    return 0;
}

static int
take_all(struct admin *admin, int argc, char **argv, json_t *fields, struct sl_error *err)
{
    for (int i = 0; i < argc; i++) {
        if (argv[i][0] != '-') {
            if (take_word(admin, argv[i], fields, err) != 0) {
                return -1;
            }
            continue;
        }
        const struct option_row *option = find_option(admin->row, argv[i]);
        if (option == NULL) {
            return fail(admin, err, "unknown option", argv[i]);
        }
        const char *word = "";
        if (option->word != NULL) {
            if (++i == argc) {
                return fail(admin, err, "no value for", option->name);
            }
            word = argv[i];
        }
        if (take_option(admin, option, word, fields, err) != 0) {
            return -1;
        }
    }
    return check_complete(admin, fields, err);
}

int
options_parse(struct admin *admin, int argc, char **argv, json_t **ret_fields, struct sl_error *err)
{
    json_t *fields = json_object();
    if (take_all(admin, argc, argv, fields, err) != 0) {
        json_decref(fields);
        return -1;
    }
    *ret_fields = fields;
    return 0;
}

static void
print_all(void)
{
    fputs("usage: sluice-admin [--peer FILE] [--json | --field NAME] COMMAND...\n\n"
          "Administers a deployment: what the REST API has no operation for.\n\n",
          stdout);
    for (const struct command_row *row = command_rows; row->words != NULL; row++) {
        printf("  %-18s %s\n", row->words, row->summary);
    }
    fputs("\n  --peer FILE        who we are on the bus (role admin); else SLUICE_PEER_FILE\n"
          "  --json             print the answer as JSON\n"
          "  --field NAME       print one field of the answer alone\n"
          "  COMMAND --help     options of a command\n",
          stdout);
}

void
help_print(const struct command_row *row)
{
    if (row == NULL) {
        print_all();
        return;
    }
    printf("usage: sluice-admin %s%s%s%s [options]\n\n%s\n\n", row->words,
           row->object != NULL ? " " : "", row->object != NULL ? row->object_word : "",
           row->pairs != NULL ? " NAME=VALUE..." : "", row->summary);
    for (const struct option_row *option = row->options; option->name != NULL; option++) {
        char left[48];
        snprintf(left, sizeof(left), "%s %s", option->name,
                 option->word != NULL ? option->word : "");
        printf("  %-24s %s%s\n", left, option->help, option->required ? "" : " (optional)");
    }
}
