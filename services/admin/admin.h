// admin.h - sluice-admin: what a command line is, and who runs it.
//
// A command is a row: its words, its options, and either the bus command that its options become
// (service, command: the options are the body) or a function. One process, one command, one arena.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_ADMIN_ADMIN_H
#define SL_ADMIN_ADMIN_H

#include <jansson.h>

#include "common/base/arena.h"

// What an option's word becomes in the body.
enum option_kind {
    OPTION_TEXT,     // string
    OPTION_NUMBER,   // integer
    OPTION_LIST,     // may be repeated: list of strings
    OPTION_TRUE,     // takes no word: true
    OPTION_FALSE,    // takes no word: false
    OPTION_STDIN,    // takes no word: the first line of standard input
    OPTION_GENERATE, // takes no word: a random secret, which the answer then shows
    OPTION_JSON,     // a file's JSON
};

struct option_row {
    const char *name;      // "--domain"
    const char *field;     // of the body
    enum option_kind kind; //
    bool required;         //
    const char *word;      // what --help calls the value; NULL where it takes none
    const char *help;      // one line
};

struct admin; // of one run

// Runs a command. `fields` is what the command line said; *ret_answer (a new reference) is what is
// printed.
typedef int admin_run_fn(struct admin *admin, json_t *fields, json_t **ret_answer,
                         struct sl_error *err);

struct command_row {
    const char *words;                // "user create"
    const char *summary;              // one line
    const char *service;              // of the bus; NULL: works offline
    const char *command;              // "user.create"
    const char *object;               // field of the one word without a dash; NULL: takes none
    const char *object_word;          // what --help calls it
    const char *pairs;                // field that takes NAME=VALUE words; NULL: takes none
    const struct option_row *options; // ends in a NULL name
    admin_run_fn *run;                // NULL: the fields are the body of `command`
};

struct admin {
    struct sl_arena *arena;
    const char *peer_file;         // --peer, else SLUICE_PEER_FILE; NULL: none
    bool json;                     // --json
    const char *field;             // --field: print this one alone
    const struct command_row *row; //
};

// The commands, ends in NULL words.
extern const struct command_row command_rows[];

// Reads the words after the command's own into a new object. Refuses (ADMIN) what the row does not
// take or what it lacks.
int options_parse(struct admin *admin, int argc, char **argv, json_t **ret_fields,
                  struct sl_error *err) SL_MUST_CHECK;

// Prints all commands, or the options of one.
void help_print(const struct command_row *row);

// Prints an answer: as JSON, one field, or lines for people. Refuses (ADMIN) a field that the
// answer does not have.
int answer_print(const struct admin *admin, json_t *answer, struct sl_error *err) SL_MUST_CHECK;

// One command over the bus.
struct online_question {
    const char *service; // who is asked
    const char *command; // what
    json_t *body;        // borrowed
    int64_t deadline_ms; // to be answered in, from now
};

// Asks and waits; *ret_answer is a new reference. Refuses (ADMIN) when nothing says who we are, and
// what the service refuses; UNAVAILABLE or DEADLINE when nobody answers.
int online_ask(struct admin *admin, const struct online_question *question, json_t **ret_answer,
               struct sl_error *err) SL_MUST_CHECK;

// Sends `fields` as the row's command over the bus and waits; *ret_answer is a new reference.
int online_send(struct admin *admin, json_t *fields, json_t **ret_answer,
                struct sl_error *err) SL_MUST_CHECK;

// Waits until services, or all nodes of a gateway, work, at most `seconds` (60). Refuses (ADMIN) a
// name that is none, a time out of range, and when the time is up: the detail says what lacked.
int service_wait(struct admin *admin, json_t *fields, json_t **ret_answer,
                 struct sl_error *err) SL_MUST_CHECK;
int node_wait(struct admin *admin, json_t *fields, json_t **ret_answer,
              struct sl_error *err) SL_MUST_CHECK;

// The offline commands.
int offline_seal_key(struct admin *admin, json_t *fields, json_t **ret_answer,
                     struct sl_error *err) SL_MUST_CHECK;
int offline_bus(struct admin *admin, json_t *fields, json_t **ret_answer,
                struct sl_error *err) SL_MUST_CHECK;
int offline_peer(struct admin *admin, json_t *fields, json_t **ret_answer,
                 struct sl_error *err) SL_MUST_CHECK;

// Makes a node's key, registers it, writes its peer file and allow-list file; takes a node's away.
int node_add(struct admin *admin, json_t *fields, json_t **ret_answer,
             struct sl_error *err) SL_MUST_CHECK;
int node_remove(struct admin *admin, json_t *fields, json_t **ret_answer,
                struct sl_error *err) SL_MUST_CHECK;

#endif
