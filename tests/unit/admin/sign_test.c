// sign_test.c - sluice-sign prints what the SDK's own vectors say.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/base/base.h"

// Runs sluice-sign with these arguments and answers its exit status; its output goes to `output`.
static int
run(const char *arguments, char output[2048])
{
    char line[2048];
    snprintf(line, sizeof(line), "%s/bin/sluice-sign %s 2>&1", getenv("SLUICE_BUILD"), arguments);
    setenv("TEST_SECRET", "SecretKey", 1);
    FILE *pipe = popen(line, "r"); // NOLINT(cert-env33-c): the test's own constant words
    assert_non_null(pipe);
    size_t len = fread(output, 1, 2047, pipe);
    output[len] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void
the_vector_of_the_sdk_comes_out(void **state)
{
    (void)state;
    char output[2048];
    assert_int_equal(run("--key AccessKey --secret-env TEST_SECRET"
                         " -H 'X-Sdk-Date: 20200608T023900Z' GET"
                         " 'https://service.endpoint.myhuaweicloud.com/resources?size=1'",
                         output),
                     0);
    assert_non_null(strstr(output, "-H 'Host: service.endpoint.myhuaweicloud.com'"));
    assert_non_null(strstr(output, "SignedHeaders=host;x-sdk-date, Signature="
                                   "cfb4171acec81de07d50e53d57eb77edd537414d66ddb1d7d780f128e12cd84"
                                   "2'"));
    assert_null(strstr(output, "SecretKey"));
}

static void
a_quote_in_a_header_survives_the_shell(void **state)
{
    (void)state;
    char output[2048];
    assert_int_equal(run("--key K --secret-env TEST_SECRET -H \"X-A: it's\" -d '{}' POST"
                         " http://h:1/",
                         output),
                     0);
    assert_non_null(strstr(output, "'X-A: it'\\''s'"));
    assert_non_null(strstr(output, "Content-Type: application/json"));
    assert_non_null(strstr(output, "Host: h:1"));
}

static void
what_is_missing_is_said_and_exits_2(void **state)
{
    (void)state;
    char output[2048];
    assert_int_equal(run("GET http://h/", output), 2);
    assert_int_equal(run("--key K --secret-env TEST_NO_SUCH GET http://h/", output), 2);
    assert_int_equal(run("--key K --secret-env TEST_SECRET GET", output), 2);
    assert_int_equal(run("--key K --secret-env TEST_SECRET GET h/path", output), 2);
    assert_int_equal(run("--key K --secret-env TEST_SECRET -H nocolon GET http://h/", output), 2);
    assert_int_equal(run("--key K --secret-env TEST_SECRET -d @/nonexistent PUT http://h/", output),
                     1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vector_of_the_sdk_comes_out),
        cmocka_unit_test(a_quote_in_a_header_survives_the_shell),
        cmocka_unit_test(what_is_missing_is_said_and_exits_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
