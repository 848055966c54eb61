// clock.h - the two clocks, in the units that the names say.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BASE_CLOCK_H
#define SL_BASE_CLOCK_H

#include "common/base/base.h"

#define SL_TIME_TEXT 32 // bytes that sl_time_format needs

// Wall clock, milliseconds since the Unix epoch.
int64_t sl_wall_ms(void);

// Monotonic clock, milliseconds or microseconds since some fixed moment.
int64_t sl_mono_ms(void);
int64_t sl_mono_us(void);

// Writes `at_ms` as the API shows times: 2026-01-31T08:44:02.205Z.
void sl_time_format(int64_t at_ms, char ret_text[SL_TIME_TEXT]);

#endif
