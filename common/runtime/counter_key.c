// counter_key.c - keys of counters, their windows, shards and shares: pure functions of counter.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/counter.h"

#include <string.h>

#include "common/runtime/counter_layout.h"
#include "common/runtime/siphash.h"

// Shards and shares are the same on every machine, so their hash has a fixed key.
static const uint64_t COMMON_KEY[2] = {0x736c756963653a6cULL, 0x696d697473206b31ULL};
static const char DIMENSIONS[] = {
    [SL_COUNT_API] = 'a', [SL_COUNT_USER] = 'u', [SL_COUNT_APP] = 'p', [SL_COUNT_IP] = 'i'};

static void
key_add(struct sl_counter_key *key, const char *text, size_t len)
{
    assert(key->len + len <= SL_COUNTER_KEY_MAX);
    memcpy(key->text + key->len, text, len);
    key->len += (uint32_t)len;
    key->text[key->len] = '\0';
}

static void
key_add_number(struct sl_counter_key *key, uint32_t number)
{
    char digits[10];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    key_add(key, digits + at, sizeof(digits) - at);
}

void
sl_counter_policy_key(struct sl_counter_key *ret_key, const char policy_id[SL_ID_LEN],
                      const char *publish_id, enum sl_counter_dimension dimension,
                      const struct sl_str *subject, uint32_t window_s)
{
    ret_key->len = 0;
    key_add(ret_key, "t/", 2);
    key_add(ret_key, policy_id, SL_ID_LEN);
    key_add(ret_key, "/", 1);
    key_add(ret_key, publish_id != NULL ? publish_id : "*", publish_id != NULL ? SL_ID_LEN : 1);
    key_add(ret_key, "/", 1);
    key_add(ret_key, &DIMENSIONS[dimension], 1);
    if (subject != NULL) {
        key_add(ret_key, subject->ptr, subject->len < 39 ? subject->len : 39);
    }
    key_add(ret_key, "/", 1);
    key_add_number(ret_key, window_s);
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
counter_overflow_key(struct sl_counter_key *ret_key, const struct sl_counter_take *take)
{
    ret_key->len = 0;
    key_add(ret_key, "o/", 2);
    key_add(ret_key, take->policy_id, SL_ID_LEN);
    key_add(ret_key, "/", 1);
    key_add_number(ret_key, take->window_s);
    if (take->lead_s > 0) {
        key_add_lead(ret_key, take->lead_s);
    }
}

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
    uint64_t hash = sl_siphash(COMMON_KEY, key);
    uint64_t own = hash ^ members[self];
    int64_t before = 0;
    for (size_t i = 0; i < count; i++) {
        before += (hash ^ members[i]) < own ? 1 : 0;
    }
    int64_t nodes = (int64_t)count;
    return limit / nodes + (before < limit % nodes ? 1 : 0);
}
