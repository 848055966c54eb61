// cidr.h - networks that backends may not be in.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_CIDR_H
#define SL_NODE_CIDR_H

#include "common/runtime/image.h"

// Parses a literal address ("10.0.0.1", "::1", "[::1]"). False when `text` is none. An IPv4 address
// mapped into IPv6 becomes the IPv4 address that it is.
bool cidr_address_parse(const char *text, struct sl_img_address *ret_address);

// Whether the address lies in the network "10.0.0.0/8" (or "10.0.0.1"). A network that does not
// parse holds nothing.
bool cidr_holds(const char *network, const struct sl_img_address *address);

#endif
