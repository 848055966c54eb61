// range.c - spans of addresses.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/range.h"

#include <arpa/inet.h>
#include <endian.h>
#include <string.h>

#define MAPPED_LEN 12 // bytes before the IPv4 address in ::ffff:a.b.c.d
#define V4_BITS    32
#define V6_BITS    128

static const uint8_t mapped_prefix[MAPPED_LEN] = {[10] = 0xff, [11] = 0xff};

static bool
parse_address(struct sl_str text, uint8_t bytes[SL_ADDRESS_BYTES], uint8_t *ret_is_v6)
{
    char bare[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof(bare)) {
        return false;
    }
    memcpy(bare, text.ptr, text.len);
    bare[text.len] = '\0';
    memset(bytes, 0, SL_ADDRESS_BYTES);
    *ret_is_v6 = 0;
    if (inet_pton(AF_INET, bare, bytes) == 1) {
        return true;
    }
    if (inet_pton(AF_INET6, bare, bytes) != 1) {
        return false;
    }
    *ret_is_v6 = memcmp(bytes, mapped_prefix, MAPPED_LEN) != 0;
    if (*ret_is_v6 == 0) {
        memmove(bytes, bytes + MAPPED_LEN, SL_ADDRESS_BYTES - MAPPED_LEN);
        memset(bytes + SL_ADDRESS_BYTES - MAPPED_LEN, 0, MAPPED_LEN);
    }
    return true;
}

// Clears the host bits of the first address and sets those of the last.
static bool
widen(struct sl_range *range, struct sl_str length)
{
    int64_t bits = 0;
    int64_t width = range->is_v6 != 0 ? V6_BITS : V4_BITS;
    if (!sl_str_int(length, &bits) || bits < 0 || bits > width) {
        return false;
    }
    for (int64_t bit = bits; bit < width; bit++) {
        uint8_t mask = (uint8_t)(0x80U >> (bit % 8));
        range->first[bit / 8] &= (uint8_t)~mask;
        range->last[bit / 8] |= mask;
    }
    return true;
}

bool
sl_range_parse(struct sl_str text, struct sl_range *ret_range)
{
    struct sl_range range = {.is_v6 = 0};
    uint8_t last_is_v6 = 0;
    struct sl_str network = text;
    struct sl_str address = sl_str_split(&network, '/');
    struct sl_str last = address;
    struct sl_str first = sl_str_split(&last, '-');
    if (!parse_address(first, range.first, &range.is_v6)) {
        return false;
    }
    memcpy(range.last, range.first, sizeof(range.last));
    if (last.ptr != NULL &&
        (network.ptr != NULL || !parse_address(last, range.last, &last_is_v6) ||
         last_is_v6 != range.is_v6 || memcmp(range.first, range.last, sizeof(range.last)) > 0)) {
        return false;
    }
    if (network.ptr != NULL && !widen(&range, network)) {
        return false;
    }
    *ret_range = range;
    return true;
}

// An address as a number: addresses are in its order.
static inline unsigned __int128
number_of(const uint8_t bytes[SL_ADDRESS_BYTES])
{
    uint64_t halves[2];
    memcpy(halves, bytes, sizeof(halves));
    return (unsigned __int128)be64toh(halves[0]) << 64 | be64toh(halves[1]);
}

bool
sl_range_holds(const struct sl_range *range, const struct sl_range *inner)
{
    return sl_ranges_hold(range, 1, inner);
}

bool
sl_ranges_hold(const struct sl_range *ranges, size_t count, const struct sl_range *inner)
{
    unsigned __int128 first = number_of(inner->first);
    unsigned __int128 last = number_of(inner->last);
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].is_v6 == inner->is_v6 && number_of(ranges[i].first) <= first &&
            number_of(ranges[i].last) >= last) {
            return true;
        }
    }
    return false;
}
