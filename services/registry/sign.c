// sign.c - what is special about signature keys: what each type takes, and what is made where the
// client leaves it out.
//
// Key and secret belong to a type: an update that changes it makes those that it does not give. An
// empty one is one that is not given.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

#include <string.h>

#include "common/crypto/rsa.h"
#include "services/registry/secret.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS  "0123456789"
#define AES_IV  16 // characters of a secret of type aes
#define PAIR    "public_key"

// What one of the two texts may be.
struct form {
    size_t min, max;   // characters
    const char *first; // what it may begin with
    const char *others;
};

struct type {
    const char *name;
    struct form key, secret;
};

// For aes the algorithm says how long the key is.
static const struct type types[] = {
    {"aes",
     {0, 0, LETTERS DIGITS "+/", LETTERS DIGITS "_-!@#$%+/="},
     {AES_IV, AES_IV, LETTERS DIGITS "+/", LETTERS DIGITS "_-!@#$%+/="}},
    {"basic",
     {4, 32, LETTERS, LETTERS DIGITS "_-"},
     {8, 64, LETTERS DIGITS, LETTERS DIGITS "_-!@#$%"}},
    {"hmac",
     {8, 32, LETTERS DIGITS, LETTERS DIGITS "_-"},
     {16, 64, LETTERS DIGITS, LETTERS DIGITS "_-!@#$%"}},
    {PAIR,
     {8, 512, LETTERS DIGITS "+/", LETTERS DIGITS "_-+/="},
     {16, 2048, LETTERS DIGITS "+/", LETTERS DIGITS "_-!@#$%+/="}},
};

// Gateway $1 of project $2, if it has key pairs.
#define WITH_PAIRS_SQL                                                                             \
    " FROM instance i JOIN gateway_setting f ON f.instance_id = i.id"                              \
    " AND f.name = 'public_key.enable' AND f.value = 'on'"
#define GATEWAY_SQL " WHERE i.id = $1 AND i.project_id = $2"

static const char feature_sql[] = "SELECT 1" WITH_PAIRS_SQL GATEWAY_SQL;

// The type of key $3 of a gateway that has key pairs; "" when there is no such key.
static const char type_sql[] =
    "SELECT coalesce(s.sign_type, '')" WITH_PAIRS_SQL
    " LEFT JOIN sign s ON s.instance_id = i.id AND s.id = $3" GATEWAY_SQL;

static const char touch_sql[] =
    "INSERT INTO runtime_change (gateway_id, kind, key)"
    " SELECT $1, 'api', publish_id FROM sign_binding WHERE instance_id = $1 AND sign_id = $2";

// A key that is being written.
struct work {
    struct change *change;
    struct type type;
    bool is_public; // of type public_key
    bool anew;      // what is not given is made
};

static bool
fits(const struct form *form, const char *text)
{
    size_t len = strlen(text);
    return len >= form->min && len <= form->max && strchr(form->first, text[0]) != NULL &&
           text[strspn(text, form->others)] == '\0';
}

// What the column will hold; "" for nothing.
static const char *
after(const struct change *change, const char *column)
{
    const json_t *value = json_object_get(change->row, column);
    if (value == NULL) {
        value = json_object_get(change->before, column);
    }
    const char *text = json_string_value(value);
    return text == NULL ? "" : text;
}

// Keys of type aes have an algorithm, the others have none.
static int
check_algorithm(struct work *work, struct sl_error *err)
{
    struct change *change = work->change;
    if (strcmp(work->type.name, "aes") != 0) {
        if (json_object_get(change->row, "sign_algorithm") != NULL) {
            return sl_fail(err, SL_E_PARAM_INVALID, "sign_algorithm");
        }
        return change->before == NULL ||
                       json_object_set_new(change->row, "sign_algorithm", json_null()) == 0
                   ? 0
                   : sl_fail(err, SL_E_INTERNAL);
    }
    const char *algorithm = after(change, "sign_algorithm");
    if (algorithm[0] == '\0') {
        return sl_fail(err, SL_E_PARAM_MISSING, "sign_algorithm");
    }
    work->type.key.min = strcmp(algorithm, "aes-128-cfb") == 0 ? 16 : 32;
    work->type.key.max = work->type.key.min;
    return 0;
}

// Whether the gateway has key pairs at all.
static int
check_feature(const struct work *work, struct sl_error *err)
{
    struct mutation *m = work->change->m;
    struct sl_rows *rows = NULL;
    if (!work->is_public) {
        return 0;
    }
    if (sl_sql(m->tx, m->arena, feature_sql,
               SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(m->project)), &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 1
               ? 0
               : sl_fail(err, SL_E_SIGN_UNSUPPORTED, work->type.name, m->instance);
}

static bool
is_private_key(const char *text)
{
    struct sl_rsa *rsa = sl_rsa_new(sl_str(text));
    bool is_one = rsa != NULL;
    sl_rsa_free(&rsa);
    return is_one;
}

// 32 random hex digits, or as many as there may be; the first is a letter.
static const char *
make_text(struct sl_arena *arena, const struct form *form)
{
    const char *digits = secret_random(arena);
    size_t len = form->max < 32 ? form->max : 32;
    return digits == NULL ? NULL : sl_arena_printf(arena, "k%.*s", (int)len - 1, digits);
}

// Seals what the body gives, or what is made for it; leaves the column alone where neither is.
static int
put(const struct work *work, const char *column, const struct form *form, struct sl_error *err)
{
    struct change *change = work->change;
    struct sl_arena *arena = change->m->arena;
    const json_t *member = json_object_get(change->body, column);
    const char *text = json_string_value(member);
    bool pair = work->is_public && form == &work->type.secret;
    bool given = text != NULL && text[0] != '\0';
    if (given && (!fits(form, text) || (pair && !is_private_key(text)))) {
        return sl_fail(err, SL_E_PARAM_INVALID, column);
    }
    if (!given && text == NULL && !work->anew) {
        return 0;
    }
    if (!given && pair) {
        // None was prepared where the key became a pair meanwhile.
        const char *prepared = change->m->registry->prepared;
        text = prepared != NULL ? prepared : sl_rsa_generate(arena);
    } else if (!given) {
        text = make_text(arena, form);
    }
    return text == NULL ? sl_fail(err, SL_E_INTERNAL) : secret_put(change, column, text, err);
}

static int
write_key(struct change *change, struct sl_error *err)
{
    struct work work = {.change = change};
    const char *name = after(change, "sign_type");
    if (name[0] == '\0') {
        name = "hmac";
    }
    for (size_t i = 0; i < SL_COUNT(types); i++) {
        if (strcmp(types[i].name, name) == 0) {
            work.type = types[i];
        }
    }
    assert(work.type.name != NULL); // the contract's enum
    work.is_public = strcmp(name, PAIR) == 0;
    work.anew = change->before == NULL;
    const json_t *before = json_object_get(change->before, "sign_algorithm");
    const char *algorithm = json_string_value(before);
    if (check_feature(&work, err) != 0 || check_algorithm(&work, err) != 0) {
        return -1;
    }
    if (change->before != NULL) {
        const char *type = json_string_value(json_object_get(change->before, "sign_type"));
        work.anew = strcmp(type, name) != 0 ||
                    (algorithm != NULL && strcmp(algorithm, after(change, "sign_algorithm")) != 0);
    }
    return put(&work, "sign_key", &work.type.key, err) != 0
               ? -1
               : put(&work, "sign_secret", &work.type.secret, err);
}

// -- a key pair before the transaction ------------------------------------------------------------

// The type that the key has now: "" when it is new; NULL when the gateway has no key pairs, or
// nobody knows.
static const char *
type_now(const struct sl_call *call, const char *id)
{
    const struct sl_command *command = call->command;
    const struct registry *registry = call->context;
    struct sl_error ignored;
    struct sl_rows *rows = NULL;
    SL_AUTO(sl_tx) tx = sl_tx_begin_read(registry->db, &ignored);
    if (tx == NULL || command->instance == NULL ||
        sl_sql(tx, call->arena, type_sql,
               SL_PARAMS(SL_P_TEXT(command->instance), SL_P_TEXT(command_project(command)),
                         SL_P_TEXT(id)),
               &rows, &ignored) != 0 ||
        sl_rows_count(rows) == 0) {
        return NULL;
    }
    return sl_rows_text(rows, 0, 0);
}

// Whether the command will make a key pair, by what is known now: what put() decides.
static bool
makes_pair(const struct sl_call *call)
{
    const json_t *body = call->command->body;
    const char *type = json_string_value(json_object_get(body, "sign_type"));
    const char *secret = json_string_value(json_object_get(body, "sign_secret"));
    const char *id = command_path(call->command, "sign_id");
    bool is_new = id[0] == '\0';
    bool given = secret != NULL && secret[0] != '\0';
    if (given || (type != NULL ? strcmp(type, PAIR) != 0 : is_new || secret == NULL)) {
        return false;
    }
    const char *now = type_now(call, id);
    if (now == NULL || (!is_new && now[0] == '\0')) {
        return false;
    }
    bool was_pair = strcmp(now, PAIR) == 0;
    return type != NULL ? secret != NULL || !was_pair : was_pair;
}

int
sign_write(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    struct registry registry = *(const struct registry *)call->context;
    struct sl_call prepared = *call;
    if (makes_pair(call)) {
        registry.prepared = sl_rsa_generate(call->arena);
        prepared.context = &registry;
    }
    return engine_handle(&prepared, reply, err);
}

// The bindings go with their key.
static int
republish_bound(struct change *change, struct sl_error *err)
{
    struct mutation *m = change->m;
    m->touched = true;
    return sl_sql(m->tx, m->arena, touch_sql,
                  SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(change->id)), NULL, err);
}

const struct resource_hooks sign_hooks = {
    .before_write = write_key,
    .before_delete = republish_bound,
};
