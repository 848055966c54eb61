// ngx_http_sluice_balance.h - which member of a channel takes a call (runtime.md 11).
//
// Whose turn it is and how many calls are open is this process's own knowledge, kept by channel and
// begun anew when its members change; the image says who is faulty. Hashes need no memory: each
// member draws a number from the call's hash and its own key, and the highest takes it, so that a
// member that leaves or fails moves its own calls alone.
//
// No nginx, no lock: one thread. A choice looks at each member once and allocates only for a
// channel that it has not seen; where memory is out it is the first member that can.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef NGX_HTTP_SLUICE_BALANCE_H
#define NGX_HTTP_SLUICE_BALANCE_H

#include "common/runtime/image.h"

#define NGX_HTTP_SLUICE_BALANCE_NONE     UINT32_MAX // no member
#define NGX_HTTP_SLUICE_BALANCE_CHANNELS 4096       // remembered; with one more all begin anew

// A member's open calls, as long as the channel or a call knows of it.
struct ngx_http_sluice_balance_seat {
    uint64_t key;  // the member's
    uint32_t open; // calls
    uint32_t refs; //
};

// The index of the member that takes a call; `hash` is what SL_STRATEGY_SOURCE and SL_STRATEGY_URI
// look at, the others leave it alone. NONE: all are faulty, idle or absent.
uint32_t ngx_http_sluice_balance_first(const struct sl_img_channel *channel, uint64_t hash);

// Who takes the call when `last` could not, after `first` and those between, each once; the second
// is asked for with `first` as `last`. The hashing strategies go on by the highest number that is
// left, the least loaded by load; what is left open is another draw of `hash`, in which members win
// as their weights are: calls with hashes of their own spread over all that are left. NONE: there
// is nobody else.
uint32_t ngx_http_sluice_balance_next(const struct sl_img_channel *channel, uint64_t hash,
                                      uint32_t first, uint32_t last);

// The seat of a member, held until it is released. NULL where open calls are not counted, and when
// memory is out. The channel must be one that first() chose from just now.
struct ngx_http_sluice_balance_seat *
ngx_http_sluice_balance_hold(const struct sl_img_channel *channel, uint32_t index);
// Releases it; NULL is none.
void ngx_http_sluice_balance_release(struct ngx_http_sluice_balance_seat *seat);

// Forgets all channels; seats that are held stay until they are released.
void ngx_http_sluice_balance_exit(void);

// The hash of a text for first(): the same on every node.
uint64_t ngx_http_sluice_balance_hash(struct sl_str text);

#endif
