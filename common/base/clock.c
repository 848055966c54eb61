// clock.c - see clock.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t
read_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t
sl_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

int64_t
sl_mono_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t
sl_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

void
sl_time_format(int64_t at_ms, char ret_text[SL_TIME_TEXT])
{
    int64_t within_ms = (at_ms % 1000 + 1000) % 1000; // rounds down before the epoch too
    time_t seconds = (time_t)((at_ms - within_ms) / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t len = strftime(ret_text, SL_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(ret_text + len, SL_TIME_TEXT - len, ".%03dZ", (int)within_ms);
}
