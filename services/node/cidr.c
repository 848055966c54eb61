// cidr.c - networks that backends may not be in.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/cidr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define MAPPED_LEN 12 // bytes before the IPv4 address in ::ffff:a.b.c.d

static const uint8_t mapped_prefix[MAPPED_LEN] = {[10] = 0xff, [11] = 0xff};

bool
cidr_address_parse(const char *text, struct sl_img_address *ret_address)
{
    char bare[INET6_ADDRSTRLEN];
    size_t len = strlen(text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    if (len >= sizeof(bare)) {
        return false;
    }
    memcpy(bare, text, len);
    bare[len] = '\0';
    struct sl_img_address address = {0};
    if (inet_pton(AF_INET, bare, address.bytes) == 1) {
        address.family = AF_INET;
    } else if (inet_pton(AF_INET6, bare, address.bytes) == 1) {
        address.family = AF_INET6;
        if (memcmp(address.bytes, mapped_prefix, MAPPED_LEN) == 0) {
            address.family = AF_INET;
            memmove(address.bytes, address.bytes + MAPPED_LEN, 4);
            memset(address.bytes + 4, 0, sizeof(address.bytes) - 4);
        }
    } else {
        return false;
    }
    *ret_address = address;
    return true;
}

bool
cidr_holds(const char *network, const struct sl_img_address *address)
{
    char base[INET6_ADDRSTRLEN + 4];
    snprintf(base, sizeof(base), "%s", network);
    char *slash = strchr(base, '/');
    struct sl_img_address first;
    int64_t bits = -1;
    if (slash != NULL) {
        *slash = '\0';
        if (!sl_str_int(sl_str(slash + 1), &bits) || bits < 0) {
            return false;
        }
    }
    if (!cidr_address_parse(base, &first) || first.family != address->family) {
        return false;
    }
    int64_t width = first.family == AF_INET ? 32 : 128;
    if (bits > width) {
        return false;
    }
    for (int64_t bit = 0; bit < (bits < 0 ? width : bits); bit++) {
        uint8_t mask = (uint8_t)(0x80U >> (bit % 8));
        if ((first.bytes[bit / 8] & mask) != (address->bytes[bit / 8] & mask)) {
            return false;
        }
    }
    return true;
}
