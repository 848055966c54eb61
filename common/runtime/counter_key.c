// counter_key.c - keys of counters, their windows, shards and shares: pure functions of counter.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/counter.h"

#include <string.h>

#include "common/base/siphash.h"
#include "common/runtime/counter_layout.h"

#define DIGITS_MAX 10 // of a number of 32 bits

// Shards and shares are the same on every machine, so their hash has a fixed key.
static const uint64_t COMMON_KEY[2] = {0x736c756963653a6cULL, 0x696d697473206b31ULL};
static const char DIMENSIONS[] = {
    [SL_COUNT_API] = 'a', [SL_COUNT_USER] = 'u', [SL_COUNT_APP] = 'p', [SL_COUNT_IP] = 'i'};
static const char FORMS[] = {
    [COUNTER_FORM_POLICY] = 't',   [COUNTER_FORM_DEFAULT] = 'd', [COUNTER_FORM_DOMAIN] = 'h',
    [COUNTER_FORM_OVERFLOW] = 'o', [COUNTER_FORM_QUOTA] = 'q',   [COUNTER_FORM_LOCAL] = 'l',
    [COUNTER_FORM_OWN] = 'n',      [COUNTER_FORM_SPILL] = 'v'};

static void
key_add(struct sl_counter_key *key, const char *text, size_t len)
{
    assert(key->len + len <= SL_COUNTER_KEY_MAX);
    memcpy(key->text + key->len, text, len);
    key->len += (uint32_t)len;
    key->text[key->len] = '\0';
}

// Writes decimal digits, into room for DIGITS_MAX of them; answers their end.
static char *
put_number(char *out, uint32_t number)
{
    char digits[2 * DIGITS_MAX] = {0};
    size_t at = DIGITS_MAX;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    memcpy(out, digits + at, DIGITS_MAX); // a fixed size is faster; zeros lie behind
    return out + DIGITS_MAX - at;
}

static void
key_add_number(struct sl_counter_key *key, uint32_t number)
{
    char digits[DIGITS_MAX];
    const char *end = put_number(digits, number);
    key_add(key, digits, (size_t)(end - digits));
}

// Every limited request comes here, so the text is put together at a pointer, in pieces of fixed
// sizes where they have one.
void
sl_counter_policy_key(struct sl_counter_key *ret_key, const char policy_id[SL_ID_LEN],
                      const char *publish_id, enum sl_counter_dimension dimension,
                      const struct sl_str *subject, uint32_t window_s)
{
    static_assert(2 + 2 * (SL_ID_LEN + 1) + 1 + COUNTER_SUBJECT_MAX + 1 + DIGITS_MAX <=
                      SL_COUNTER_KEY_MAX,
                  "the longest key");
    char *out = mempcpy(ret_key->text, "t/", 2);
    out = mempcpy(out, policy_id, SL_ID_LEN);
    *out++ = '/';
    if (publish_id != NULL) {
        out = mempcpy(out, publish_id, SL_ID_LEN);
    } else {
        *out++ = '*';
    }
    *out++ = '/';
    *out++ = DIMENSIONS[dimension];
    if (subject != NULL && subject->len == SL_ID_LEN) {
        out = mempcpy(out, subject->ptr, SL_ID_LEN);
    } else if (subject != NULL) {
        size_t len = subject->len < COUNTER_SUBJECT_MAX ? subject->len : COUNTER_SUBJECT_MAX;
        out = mempcpy(out, subject->ptr, len);
    }
    *out++ = '/';
    out = put_number(out, window_s);
    *out = '\0';
    ret_key->len = (uint32_t)(out - ret_key->text);
}

void
sl_counter_default_key(struct sl_counter_key *ret_key, const char api_id[SL_ID_LEN])
{
    ret_key->len = 0;
    key_add(ret_key, "d/", 2);
    key_add(ret_key, api_id, SL_ID_LEN);
}

void
sl_counter_domain_key(struct sl_counter_key *ret_key, const char group_id[SL_ID_LEN])
{
    ret_key->len = 0;
    key_add(ret_key, "h/", 2);
    key_add(ret_key, group_id, SL_ID_LEN);
}

// Ends a key whose windows are not aligned.
static void
key_add_lead(struct sl_counter_key *key, uint32_t lead_s)
{
    key_add(key, "@", 1);
    key_add_number(key, lead_s);
}

void
sl_counter_quota_key(struct sl_counter_key *ret_key, const char quota_id[SL_ID_LEN],
                     const char app_id[SL_ID_LEN], uint32_t window_s, uint32_t lead_s)
{
    ret_key->len = 0;
    key_add(ret_key, "q/", 2);
    key_add(ret_key, quota_id, SL_ID_LEN);
    key_add(ret_key, "/", 1);
    key_add(ret_key, app_id, SL_ID_LEN);
    key_add(ret_key, "/", 1);
    key_add_number(ret_key, window_s);
    key_add_lead(ret_key, lead_s);
}

void
sl_counter_first_key(struct sl_counter_key *ret_key, const char quota_id[SL_ID_LEN],
                     const char app_id[SL_ID_LEN], uint32_t number)
{
    sl_counter_quota_key(ret_key, quota_id, app_id, SL_COUNTER_FIRST_S, number);
}

uint32_t
sl_counter_lead_of(int64_t start_s, uint32_t window_s)
{
    uint32_t into_s = (uint32_t)(start_s % window_s);
    return into_s > 0 ? window_s - into_s : 0;
}

void
counter_overflow_key(struct sl_counter_key *ret_key, const struct sl_counter_take *take)
{
    ret_key->len = 0;
    key_add(ret_key, take->local ? "v/" : "o/", 2);
    key_add(ret_key, take->policy_id, SL_ID_LEN);
    key_add(ret_key, "/", 1);
    key_add_number(ret_key, take->window_s);
    if (take->lead_s > 0) {
        key_add_lead(ret_key, take->lead_s);
    }
}

void
sl_counter_local_key(struct sl_counter_key *key)
{
    assert(key->text[0] == 't' || key->text[0] == 'd');
    key->text[0] = FORMS[key->text[0] == 't' ? COUNTER_FORM_LOCAL : COUNTER_FORM_OWN];
}

// -- packed

static int
digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
pack_id(const char *text, uint8_t ret_id[COUNTER_ID_BYTES])
{
    for (size_t i = 0; i < COUNTER_ID_BYTES; i++) {
        int high = digit_of(text[2 * i]);
        int low = digit_of(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        ret_id[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

// What follows a policy's id: "/<publication or *>/<d><subject>/<window>".
static bool
pack_policy(const char *rest, struct counter_name *ret_name)
{
    rest++;
    if (*rest == '*') {
        ret_name->form |= COUNTER_FORM_SHARED;
        rest += 1;
    } else if (strlen(rest) > SL_ID_LEN && pack_id(rest, ret_name->id[1])) {
        rest += SL_ID_LEN;
    } else {
        return false;
    }
    const char *end = strrchr(rest, '/');
    const char *dimension = rest[0] == '/' ? memchr(DIMENSIONS, rest[1], sizeof(DIMENSIONS)) : NULL;
    size_t len = dimension != NULL && end >= rest + 2 ? (size_t)(end - rest - 2) : SIZE_MAX;
    if (len > COUNTER_SUBJECT_MAX) {
        return false;
    }
    ret_name->form |= (uint8_t)(COUNTER_FORM_DIMENSION * (dimension - DIMENSIONS));
    ret_name->subject_len = (uint8_t)len;
    memcpy(ret_name->subject, rest + 2, len);
    return true;
}

bool
counter_pack_name(const struct sl_counter_key *key, uint32_t lead_s, struct counter_name *ret_name)
{
    const char *form = memchr(FORMS, key->text[0], sizeof(FORMS));
    const char *rest = key->text + 2 + SL_ID_LEN;
    memset(ret_name, 0, sizeof(*ret_name));
    if (form == NULL || key->len < SL_ID_LEN + 2 || !pack_id(key->text + 2, ret_name->id[0])) {
        return false;
    }
    ret_name->form = (uint8_t)(form - FORMS);
    switch (ret_name->form) {
    case COUNTER_FORM_POLICY:
    case COUNTER_FORM_LOCAL:
        return pack_policy(rest, ret_name);
    case COUNTER_FORM_QUOTA:
        memcpy(ret_name->subject, &lead_s, sizeof(lead_s));
        return strlen(rest) > SL_ID_LEN && pack_id(rest + 1, ret_name->id[1]);
    default:
        memcpy(ret_name->subject, &lead_s, sizeof(lead_s));
        return true;
    }
}

uint32_t
counter_lead_of(const struct counter_name *name)
{
    uint32_t lead_s = 0;
    uint8_t form = name->form & COUNTER_FORM_MASK;
    if (form != COUNTER_FORM_POLICY && form != COUNTER_FORM_LOCAL) {
        memcpy(&lead_s, name->subject, sizeof(lead_s));
    }
    return lead_s;
}

static void
unpack_policy(const struct counter_name *name, char id[2][SL_ID_SIZE], uint32_t window_s,
              struct sl_counter_key *ret_key)
{
    struct sl_str subject = {name->subject, name->subject_len % (COUNTER_SUBJECT_MAX + 1)};
    bool is_shared = (name->form & COUNTER_FORM_SHARED) != 0;
    uint8_t dimension = name->form / COUNTER_FORM_DIMENSION % SL_COUNT(DIMENSIONS);
    sl_counter_policy_key(ret_key, id[0], is_shared ? NULL : id[1],
                          (enum sl_counter_dimension)dimension, &subject, window_s);
}

void
counter_unpack_name(const struct counter_name *name, uint32_t window_s,
                    struct sl_counter_key *ret_key)
{
    char id[2][SL_ID_SIZE];
    sl_hex_encode(name->id[0], COUNTER_ID_BYTES, id[0]);
    sl_hex_encode(name->id[1], COUNTER_ID_BYTES, id[1]);
    struct sl_counter_take take = {
        .policy_id = id[0], .window_s = window_s, .lead_s = counter_lead_of(name)};
    uint8_t form = name->form & COUNTER_FORM_MASK;
    take.local = form >= COUNTER_FORM_LOCAL;
    switch (form) {
    case COUNTER_FORM_LOCAL:
    case COUNTER_FORM_POLICY:
        unpack_policy(name, id, window_s, ret_key);
        ret_key->text[0] = FORMS[form];
        break;
    case COUNTER_FORM_QUOTA:
        sl_counter_quota_key(ret_key, id[0], id[1], window_s, take.lead_s);
        break;
    case COUNTER_FORM_SPILL:
    case COUNTER_FORM_OVERFLOW:
        counter_overflow_key(ret_key, &take);
        break;
    default:
        ret_key->len = 0;
        key_add(ret_key, &FORMS[form], 1);
        key_add(ret_key, "/", 1);
        key_add(ret_key, id[0], SL_ID_LEN);
    }
}

// -- windows and shards

uint32_t
sl_counter_lead(struct sl_str key)
{
    int64_t lead_s = 0;
    // Only quotas, and what they overflow to, have one.
    if (key.len == 0 || (key.ptr[0] != 'q' && key.ptr[0] != 'o')) {
        return 0;
    }
    const char *at = memrchr(key.ptr, '@', key.len);
    if (at == NULL) {
        return 0;
    }
    struct sl_str digits = {at + 1, key.len - (size_t)(at + 1 - key.ptr)};
    return sl_str_int(digits, &lead_s) && lead_s > 0 && lead_s <= UINT32_MAX ? (uint32_t)lead_s : 0;
}

uint32_t
sl_counter_window(int64_t clock_ms, uint32_t window_s)
{
    return (uint32_t)(clock_ms / ((int64_t)window_s * 1000));
}

int64_t
sl_counter_window_start(uint32_t window, uint32_t window_s)
{
    return (int64_t)window * window_s * 1000;
}

uint32_t
sl_counter_shard(struct sl_str key)
{
    return (uint32_t)(sl_siphash(COMMON_KEY, key) % SL_SHARDS);
}

uint64_t
sl_counter_member(struct sl_str node_id)
{
    return sl_siphash(COMMON_KEY, node_id);
}

int64_t
sl_counter_share(struct sl_str key, int64_t limit, const uint64_t *members, size_t count,
                 size_t self)
{
    assert(count > 0);
    uint64_t hash = sl_siphash(COMMON_KEY, key);
    uint64_t own = hash ^ members[self];
    int64_t before = 0;
    for (size_t i = 0; i < count; i++) {
        before += (hash ^ members[i]) < own ? 1 : 0;
    }
    int64_t nodes = (int64_t)count;
    return limit / nodes + (before < limit % nodes ? 1 : 0);
}
