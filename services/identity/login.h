// login.h - who a name and a password are, and how often one may try.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_IDENTITY_LOGIN_H
#define SL_IDENTITY_LOGIN_H

#include "services/identity/identity.h"

// What a login names; each either by id or by name. Borrowed.
struct login_name {
    const char *user_id;     // or NULL
    const char *user_name;   // with an account
    const char *domain_id;   // or NULL
    const char *domain_name; // or NULL
};

// Who logged in.
struct login_user {
    const char *id;
    const char *name;
    const char *domain_id;
    const char *domain_name;
    int64_t not_before; // seconds; tokens of an earlier issue are refused
};

// Checks the password. An attempt is counted before the hash is computed, so that attempts that
// run side by side are counted too; a success forgets the count. Refuses LOGIN_BACKOFF (too many
// failures) and LOGIN_FAILED: unknown, disabled, without password and wrong password alike, after
// the same work. Manages its own transactions; task->tx is NULL before and after.
int login_check(struct task *task, const struct login_name *name, struct sl_str password,
                struct login_user *ret_user, struct sl_error *err) SL_MUST_CHECK;

#endif
