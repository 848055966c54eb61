// main.c - sluice-admin: finds the command's row, reads its options, runs it, prints the answer.
//
// Exit status: 0 done, 1 refused or failed, 2 the command line is not one.
//
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "services/admin/admin.h"

#define ARENA_MAX   (32 * 1024 * 1024)
#define MESSAGE_MAX 1024

// Reads what stands before the command. Answers the index of the command's first word, or -1.
static int
take_globals(struct admin *admin, int argc, char **argv)
{
    int i = 1;
    admin->peer_file = getenv("SLUICE_PEER_FILE");
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            admin->json = true;
        } else if (strcmp(argv[i], "--peer") == 0 && i + 1 < argc) {
            admin->peer_file = argv[++i];
        } else if (strcmp(argv[i], "--field") == 0 && i + 1 < argc) {
            admin->field = argv[++i];
        } else if (strcmp(argv[i], "--help") == 0) {
            help_print(NULL);
            exit(0);
        } else if (strcmp(argv[i], "--version") == 0) {
            puts("sluice-admin " SL_VERSION);
            exit(0);
        } else {
            fprintf(stderr, "sluice-admin: unknown option '%s'\n", argv[i]);
            return -1;
        }
    }
    return i;
}

static const struct command_row *
find_command(const char *first, const char *second)
{
    for (const struct command_row *row = command_rows; row->words != NULL; row++) {
        size_t len = strlen(first);
        if (strncmp(row->words, first, len) == 0 && row->words[len] == ' ' &&
            strcmp(row->words + len + 1, second) == 0) {
            return row;
        }
    }
    return NULL;
}

static void
complain(const char *text, const struct sl_error *err)
{
    char message[MESSAGE_MAX];
    sl_error_message(err, message, sizeof(message));
    fprintf(stderr, "sluice-admin: %s%s", text, message);
    if (err->detail[0] != '\0') {
        fprintf(stderr, " (%s)", err->detail);
    }
    fputc('\n', stderr);
}

// Options that follow the command but belong to the run, as people type them.
static int
lift_globals(struct admin *admin, int argc, char **argv)
{
    int kept = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            admin->json = true;
        } else if (strcmp(argv[i], "--help") == 0) {
            help_print(admin->row);
            exit(0);
        } else if (strcmp(argv[i], "--field") == 0 && i + 1 < argc) {
            admin->field = argv[++i];
        } else {
            argv[kept++] = argv[i];
        }
    }
    return kept;
}

// Shows a secret that this process made beside the answer: nobody else can.
static void
add_generated(const struct admin *admin, json_t *fields, json_t *answer, bool generated)
{
    json_t *password = json_object_get(fields, "password");
    if (generated && password != NULL && admin->row->run == NULL && json_is_object(answer)) {
        json_object_set(answer, "password", password);
    }
}

static int
run(struct admin *admin, int argc, char **argv)
{
    struct sl_error err = {.code = SL_E_INTERNAL};
    json_t *fields = NULL;
    json_t *answer = NULL;
    bool generated = false;
    argc = lift_globals(admin, argc, argv);
    for (int i = 0; i < argc; i++) {
        generated = generated || strcmp(argv[i], "--generate") == 0;
    }
    if (options_parse(admin, argc, argv, &fields, &err) != 0) {
        complain("", &err);
        fprintf(stderr, "Try sluice-admin %s --help.\n", admin->row->words);
        return 2;
    }
    admin_run_fn *function = admin->row->run != NULL ? admin->row->run : online_send;
    int rc = function(admin, fields, &answer, &err);
    if (rc == 0) {
        add_generated(admin, fields, answer, generated);
        rc = answer_print(admin, answer, &err);
    }
    if (rc != 0) {
        complain("", &err);
    }
    json_decref(fields);
    json_decref(answer);
    return rc == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
    sl_log_init("sluice-admin", SL_WARNING);
    SL_AUTO(sl_arena) arena = sl_arena_new(ARENA_MAX);
    struct admin admin = {.arena = arena};
    int at = take_globals(&admin, argc, argv);
    if (arena == NULL || at < 0) {
        return 2;
    }
    if (at + 1 >= argc) {
        help_print(NULL);
        return at < argc ? 2 : 0;
    }
    admin.row = find_command(argv[at], argv[at + 1]);
    if (admin.row == NULL) {
        fprintf(stderr, "sluice-admin: unknown command '%s %s'. Try sluice-admin --help.\n",
                argv[at], argv[at + 1]);
        return 2;
    }
    return run(&admin, argc - at - 2, argv + at + 2);
}
