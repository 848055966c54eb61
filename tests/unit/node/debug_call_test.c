// debug_call_test.c - what is shown of an answer of nginx, byte for byte.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include "services/node/debug_call.h"

#include <stdlib.h>
#include <string.h>

#define HEAD "HTTP/1.1 200 OK\r\nA: b\r\n"
#define SEEN "HTTP/1.1 200 OK\nA: b\n"

static void
an_answer_is_text(void **state)
{
    (void)state;
    static const struct {
        struct sl_str raw;
        const char *text; // NULL: no answer
    } rows[] = {
        {SL_STR(HEAD "\r\nbody"), SEEN "\nbody"},
        {SL_STR(HEAD "\r\n"), SEEN "\n"},
        {SL_STR(HEAD), NULL},
        {SL_STR(""), NULL},
        {SL_STR(HEAD "\r\na\0b\xff\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n"),
         SEEN "\na?b?\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n"},
        // Cut off, too long, a surrogate, beyond the last character.
        {SL_STR(HEAD "\r\n\xe2\x82"), SEEN "\n??"},
        {SL_STR(HEAD "\r\n\xc0\xaf\xe0\x80\xaf"), SEEN "\n?????"},
        {SL_STR(HEAD "\r\n\xed\xa0\x80\xf4\x90\x80\x80"), SEEN "\n???????"},
        {SL_STR(HEAD "transfer-encoding: Chunked\r\n\r\n4\r\nfour\r\n5;x=y\r\n five\r\n0\r\n\r\n"),
         SEEN "transfer-encoding: Chunked\n\nfour five"},
        {SL_STR(HEAD "Transfer-Encoding: chunked\r\n\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n"),
         SEEN "Transfer-Encoding: chunked\n\nabcdefghijklmnopqrstuvwxyz"},
        {SL_STR(HEAD "Transfer-Encoding: chunked\r\n\r\nff\r\nbroken off"),
         SEEN "Transfer-Encoding: chunked\n\nbroken off"},
        {SL_STR(HEAD "Transfer-Encoding: chunked\r\n\r\nxyz\r\n"),
         SEEN "Transfer-Encoding: chunked\n\n"},
        {SL_STR(HEAD "Transfer-Encoding: chunked\r\n\r\n4"), SEEN "Transfer-Encoding: chunked\n\n"},
        {SL_STR(HEAD "Transfer-Encoding: chunked\r\n\r\nffffffff\r\nx"),
         SEEN "Transfer-Encoding: chunked\n\nx"},
    };
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        char *text = debug_call_text(rows[i].raw);
        if (rows[i].text == NULL || text == NULL) {
            assert_true(rows[i].text == text);
        } else {
            assert_string_equal(rows[i].text, text);
        }
        free(text);
    }
}

static void
what_is_too_long_is_cut_and_marked(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        size_t head = strlen(HEAD "\r\n");
        struct sl_str raw = {NULL, head + DEBUG_CALL_BODY_MAX + more};
        char *bytes = malloc(raw.len);
        assert_non_null(bytes);
        memcpy(bytes, HEAD "\r\n", head);
        memset(bytes + head, 'x', raw.len - head);
        raw.ptr = bytes;
        char *text = debug_call_text(raw);
        assert_non_null(text);
        assert_int_equal(strlen(text), strlen(SEEN "\n") + DEBUG_CALL_BODY_MAX +
                                           (more != 0 ? strlen("[TRUNCATED]") : 0));
        assert_int_equal(strstr(text, "[TRUNCATED]") != NULL, more != 0);
        free(text);
        free(bytes);
    }
}

static void
where_nobody_listens_there_is_no_answer(void **state)
{
    (void)state;
    static const char *const listens[] = {"127.0.0.1:1", "nowhere", "[::1]:1", "localhost:80",
                                          ":1"};
    for (size_t i = 0; i < SL_COUNT(listens); i++) {
        struct debug_call call = {
            .listen = listens[i], .request = SL_STR("x"), .timeout_ms = 100, .fd = -1};
        assert_null(debug_call_make(&call));
        debug_call_break(&call);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_text),
        cmocka_unit_test(what_is_too_long_is_cut_and_marked),
        cmocka_unit_test(where_nobody_listens_there_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
