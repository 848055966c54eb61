// sign_test.c - sluice-sign prints what the SDK's own vectors say.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/fork.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/base.h"

#define RUN(output, ...) run((const char *const[]){"sluice-sign", __VA_ARGS__, NULL}, output)

// In the child: becomes sluice-sign with its output in `fd`.
static void
become(const char *const *arguments, int fd)
{
    char path[512];
    char *argv[16] = {NULL};
    for (size_t i = 0; arguments[i] != NULL; i++) {
        argv[i] = strdup(arguments[i]);
    }
    snprintf(path, sizeof(path), "%s/bin/sluice-sign", getenv("SLUICE_BUILD"));
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execv(path, argv);
    _exit(127);
}

// Runs sluice-sign and answers its exit status; what it prints goes to `output`.
static int
run(const char *const *arguments, char output[2048])
{
    int fds[2];
    size_t len = 0;
    int status = 0;
    setenv("TEST_SECRET", "SecretKey", 1);
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork_child();
    if (child == 0) {
        become(arguments, fds[1]);
    }
    close(fds[1]);
    ssize_t got = 0;
    while ((got = read(fds[0], output + len, 2047 - len)) > 0) {
        len += (size_t)got;
    }
    output[len] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void
the_vector_of_the_sdk_comes_out(void **state)
{
    (void)state;
    char output[2048];
    assert_int_equal(RUN(output, "--key", "AccessKey", "--secret-env", "TEST_SECRET", "-H",
                         "X-Sdk-Date: 20200608T023900Z", "GET",
                         "https://service.endpoint.myhuaweicloud.com/resources?size=1"),
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
    assert_int_equal(RUN(output, "--key", "K", "--secret-env", "TEST_SECRET", "-H", "X-A: it's",
                         "-d", "{}", "POST", "http://h:1/"),
                     0);
    assert_non_null(strstr(output, "'X-A: it'\\''s'"));
    assert_non_null(strstr(output, "Content-Type: application/json"));
    assert_non_null(strstr(output, "Host: h:1"));
}

static void
what_is_missing_is_said_by_the_exit_status(void **state)
{
    (void)state;
    char output[2048];
    assert_int_equal(RUN(output, "GET", "http://h/"), 2);
    assert_int_equal(RUN(output, "--key", "K", "--secret-env", "TEST_NONE", "GET", "http://h/"), 2);
    assert_int_equal(RUN(output, "--key", "K", "--secret-env", "TEST_SECRET", "GET"), 2);
    assert_int_equal(RUN(output, "--key", "K", "--secret-env", "TEST_SECRET", "GET", "h/path"), 2);
    assert_int_equal(RUN(output, "--key", "K", "--secret-env", "TEST_SECRET", "-H", "nocolon",
                         "GET", "http://h/"),
                     2);
    assert_int_equal(RUN(output, "--key", "K", "--secret-env", "TEST_SECRET", "-d", "@/nonexistent",
                         "PUT", "http://h/"),
                     1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vector_of_the_sdk_comes_out),
        cmocka_unit_test(a_quote_in_a_header_survives_the_shell),
        cmocka_unit_test(what_is_missing_is_said_by_the_exit_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
