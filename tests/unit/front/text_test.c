// text_test.c - what is UTF-8 stays, what is not becomes '?'.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/text.h"

#include <stdio.h>

#include "tests/unit/test.h"

static void
becomes(const char *from, const char *wanted)
{
    char text[64];
    snprintf(text, sizeof(text), "%s", from);
    text_make_utf8(text);
    assert_string_equal(text, wanted);
}

static void
well_formed_text_stays(void **state)
{
    (void)state;
    becomes("", "");
    becomes("plain", "plain");
    becomes("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf",
            "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf");
    becomes("\xed\x9f\xbf\xee\x80\x80", "\xed\x9f\xbf\xee\x80\x80");
}

static void
malformed_bytes_are_replaced_one_by_one(void **state)
{
    (void)state;
    becomes("a\xff\xfe z", "a?? z");
    becomes("\x80", "?");
    becomes("\xc0\xaf", "??");              // overlong
    becomes("\xe0\x80\xaf", "???");         // overlong
    becomes("\xed\xa0\x80", "???");         // a surrogate
    becomes("\xf4\x90\x80\x80", "????");    // above U+10FFFF
    becomes("\xf5\x80\x80\x80", "????");    //
    becomes("cut \xe2\x82", "cut ??");      // ends inside a character
    becomes("cut \xf0\x9f\x98", "cut ???"); //
    becomes("\xc3(", "?(");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_text_stays),
        cmocka_unit_test(malformed_bytes_are_replaced_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
