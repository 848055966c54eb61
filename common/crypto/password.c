// password.c - see password.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/crypto/password.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "common/crypto/base64.h"
#include "common/crypto/crypto.h"

#define SALT_LEN  16
#define HASH_LEN  32
#define FIELD_MAX 64 // of salt and hash that are read, bytes
#define COST_LN   15
#define COST_R    8
#define COST_P    1
#define LN_MAX    20
#define R_MAX     32
#define P_MAX     16

struct costs {
    int64_t ln; // binary logarithm of N
    int64_t r;
    int64_t p;
};

static bool
run_scrypt(struct sl_str password, struct sl_str salt, const struct costs *costs, uint8_t *ret_hash,
           size_t hash_len)
{
    uint64_t n = UINT64_C(1) << costs->ln;
    uint64_t r = (uint64_t)costs->r;
    uint64_t p = (uint64_t)costs->p;
    uint64_t max_bytes = 128 * r * (n + p + 2) + 4096;
    return EVP_PBE_scrypt(password.ptr != NULL ? password.ptr : "", password.len,
                          (const uint8_t *)salt.ptr, salt.len, n, r, p, max_bytes, ret_hash,
                          hash_len) == 1;
}

int
sl_password_hash(struct sl_str password, char ret_hash[SL_PASSWORD_HASH_SIZE], struct sl_error *err)
{
    static const struct costs costs = {.ln = COST_LN, .r = COST_R, .p = COST_P};
    uint8_t salt[SALT_LEN];
    uint8_t hash[HASH_LEN];
    sl_random(salt, sizeof(salt));
    if (!run_scrypt(password, (struct sl_str){(char *)salt, sizeof(salt)}, &costs, hash,
                    sizeof(hash))) {
        sl_fail(err, SL_E_INTERNAL);
        return sl_error_detail(err, "scrypt failed");
    }
    char salt_text[SL_BASE64_LEN(SALT_LEN) + 1];
    char hash_text[SL_BASE64_LEN(HASH_LEN) + 1];
    sl_base64_encode((struct sl_str){(char *)salt, sizeof(salt)}, salt_text);
    sl_base64_encode((struct sl_str){(char *)hash, sizeof(hash)}, hash_text);
    snprintf(ret_hash, SL_PASSWORD_HASH_SIZE, "$scrypt$ln=%d,r=%d,p=%d$%s$%s", COST_LN, COST_R,
             COST_P, salt_text, hash_text);
    sl_wipe(hash, sizeof(hash));
    return 0;
}

// Reads `name=value` within 1..max.
static bool
read_cost(struct sl_str text, struct sl_str name, int64_t max, int64_t *ret_value)
{
    if (!sl_str_starts(text, name)) {
        return false;
    }
    struct sl_str number = {text.ptr + name.len, text.len - name.len};
    return sl_str_int(number, ret_value) && *ret_value >= 1 && *ret_value <= max;
}

static bool
read_costs(struct sl_str text, struct costs *ret_costs)
{
    struct sl_str rest = text;
    return read_cost(sl_str_split(&rest, ','), SL_STR("ln="), LN_MAX, &ret_costs->ln) &&
           read_cost(sl_str_split(&rest, ','), SL_STR("r="), R_MAX, &ret_costs->r) &&
           read_cost(sl_str_split(&rest, ','), SL_STR("p="), P_MAX, &ret_costs->p) &&
           rest.ptr == NULL;
}

bool
sl_password_verify(struct sl_str password, const char *hash)
{
    struct sl_str rest = sl_str(hash);
    struct sl_str empty = sl_str_split(&rest, '$');
    struct sl_str scheme = sl_str_split(&rest, '$');
    struct sl_str cost_text = sl_str_split(&rest, '$');
    struct sl_str salt_text = sl_str_split(&rest, '$');
    struct sl_str hash_text = rest;
    struct costs costs;
    uint8_t salt[FIELD_MAX];
    uint8_t want[FIELD_MAX];
    uint8_t have[FIELD_MAX];
    size_t salt_len = 0;
    size_t want_len = 0;
    if (empty.len != 0 || !sl_str_equal(scheme, SL_STR("scrypt")) ||
        !read_costs(cost_text, &costs) ||
        !sl_base64_decode(salt_text, salt, sizeof(salt), &salt_len) ||
        !sl_base64_decode(hash_text, want, sizeof(want), &want_len) || want_len < 16 ||
        password.len > SL_PASSWORD_MAX) {
        return false;
    }
    if (!run_scrypt(password, (struct sl_str){(char *)salt, salt_len}, &costs, have, want_len)) {
        return false;
    }
    bool same = sl_crypto_equal((struct sl_str){(char *)have, want_len},
                                (struct sl_str){(char *)want, want_len});
    sl_wipe(have, sizeof(have));
    return same;
}

const char *
sl_password_decoy(void)
{
    // The hash is 32 zero bytes: no password is known that gives them.
    return "$scrypt$ln=15,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
           "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
}
