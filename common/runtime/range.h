// range.h - spans of addresses: "10.0.0.1", "10.0.0.0/8", "10.0.0.1-10.0.0.9", IPv6 likewise.
//
// Plain bytes that stand in the image as they are. Reads no clock, owns no memory, safe from any
// thread. An IPv4 address mapped into IPv6 is the IPv4 address that it is.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_RANGE_H
#define SL_RUNTIME_RANGE_H

#include "common/base/str.h"

#define SL_ADDRESS_BYTES 16

// From the first address to the last, both inside; IPv4 in the first four bytes.
struct sl_range {
    uint8_t first[SL_ADDRESS_BYTES]; //
    uint8_t last[SL_ADDRESS_BYTES];  //
    uint8_t is_v6;                   //
    uint8_t pad[7];                  // zero
};

// Parses an address, a network (its host bits do not matter) or a range. False, and *ret_range is
// left alone, when `text` is none of them or the range ends before it begins.
bool sl_range_parse(struct sl_str text, struct sl_range *ret_range);

// Whether all of `inner` (one address, say) lies in `range`.
bool sl_range_holds(const struct sl_range *range, const struct sl_range *inner);

// Whether one of `count` ranges holds all of `inner`.
bool sl_ranges_hold(const struct sl_range *ranges, size_t count, const struct sl_range *inner);

#endif
