// answer_test.c - what a function answered: read, refused, and with memory that runs out.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_answer.h"
#include "tests/lib/scarce.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

static const char whole[] =
    "{\"statusCode\": 201, \"isBase64Encoded\": true, \"body\": \"aGVsbG8=\","
    " \"headers\": {\"X-One\": \"1\", \"Set-Cookie\": [\"a=1\", \"b=2\"],"
    " \"Server\": \"me\", \"X-Apig-Mode\": \"m\"}}";

static void
check_whole(const struct ngx_http_sluice_said *said)
{
    assert_int_equal(said->status, 201);
    assert_true(sl_str_equal(said->body, SL_STR("hello")));
    assert_int_equal(said->header_count, 3);
    assert_true(sl_str_equal(said->headers[0].name, SL_STR("X-One")));
    assert_true(sl_str_equal(said->headers[1].value, SL_STR("a=1")));
    assert_true(sl_str_equal(said->headers[2].name, SL_STR("Set-Cookie")));
    assert_true(sl_str_equal(said->headers[2].value, SL_STR("b=2")));
}

static void
an_answer_is_read(void **state)
{
    (void)state;
    struct ngx_http_sluice_said said;
    assert_int_equal(ngx_http_sluice_said_read(sl_str(whole), &said), 0);
    check_whole(&said);
    ngx_http_sluice_said_clear(&said);
    ngx_http_sluice_said_clear(&said);
    assert_int_equal(ngx_http_sluice_said_read(SL_STR("{\"statusCode\":599}"), &said), 0);
    assert_int_equal(said.body.len, 0);
    assert_int_equal(said.header_count, 0);
    ngx_http_sluice_said_clear(&said);
}

static const struct {
    const char *encoded;
    const char *plain; // NULL: refused
} bodies[] = {
    {"", ""},
    {"TQ==", "M"},
    {"TQ", "M"},
    {"TWE=", "Ma"},
    {"TWFu", "Man"},
    {"/+8=", "\xff\xef"},
    {"TWFu\\n", NULL},
    {"T", NULL},
    {"T===", NULL},
    {"TQ==TQ==", NULL},
    {"_-8=", NULL},
    {"====", NULL},
    {"TWFuTWFu", "ManMan"},
};

static void
base64_is_decoded_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SL_COUNT(bodies); i++) {
        char text[128];
        struct ngx_http_sluice_said said = {.status = 0};
        snprintf(text, sizeof(text),
                 "{\"statusCode\":200,\"isBase64Encoded\":true,\"body\":\"%s\"}",
                 bodies[i].encoded);
        int rc = ngx_http_sluice_said_read(sl_str(text), &said);
        if ((rc == 0) != (bodies[i].plain != NULL) ||
            (rc == 0 && !sl_str_equal(said.body, sl_str(bodies[i].plain)))) {
            fail_msg("%s", bodies[i].encoded);
        }
        ngx_http_sluice_said_clear(&said);
    }
}

static const char *const refusals[] = {
    "",
    "[]",
    "{}",
    "{\"statusCode\":\"200\"}",
    "{\"statusCode\":200.0}",
    "{\"statusCode\":199}",
    "{\"statusCode\":600}",
    "{\"statusCode\":4294967496}",
    "{\"statusCode\":200,\"body\":1}",
    "{\"statusCode\":200,\"isBase64Encoded\":\"true\"}",
    "{\"statusCode\":200,\"headers\":[]}",
    "{\"statusCode\":200,\"headers\":{\"\":\"1\"}}",
    "{\"statusCode\":200,\"headers\":{\"a b\":\"1\"}}",
    "{\"statusCode\":200,\"headers\":{\"a\":\"1\\r\\nb: 2\"}}",
    "{\"statusCode\":200,\"headers\":{\"a\":\"1\\u0000\"}}",
    "{\"statusCode\":200,\"headers\":{\"a\":[\"1\",2]}}",
    "{\"statusCode\":200,\"headers\":{\"Server\":1}}",
    "{\"statusCode\":200}}",
};

static void
what_is_no_answer_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SL_COUNT(refusals); i++) {
        struct ngx_http_sluice_said said;
        if (ngx_http_sluice_said_read(sl_str(refusals[i]), &said) == 0) {
            fail_msg("%s", refusals[i]);
        }
    }
}

static int
read_whole(void *arg)
{
    struct ngx_http_sluice_said said;
    (void)arg;
    if (ngx_http_sluice_said_read(sl_str(whole), &said) != 0) {
        return -1;
    }
    check_whole(&said);
    ngx_http_sluice_said_clear(&said);
    return 0;
}

static void
memory_that_runs_out_is_no_answer(void **state)
{
    (void)state;
    assert_true(scarce_run(read_whole, NULL, false) > 10); // the library's own among them
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_read),
        cmocka_unit_test(base64_is_decoded_or_refused),
        cmocka_unit_test(what_is_no_answer_is_refused),
        cmocka_unit_test(memory_that_runs_out_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
