// text.h - bytes of strangers made fit for JSON.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_TEXT_H
#define SL_FRONT_TEXT_H

#include "common/base/base.h"

// Replaces by '?', in place, each byte of `text` that is not part of well-formed UTF-8 (RFC 3629).
void text_make_utf8(char *text);

#endif
