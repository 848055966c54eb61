// agent_health_test.c - what the agent says of itself.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/agent_health.c"

#include "tests/unit/free_port.h"
#include "tests/unit/test.h"

static struct agent_health *health;

static int
open_health(void **state)
{
    (void)state;
    char listen[64];
    struct sl_error err;
    snprintf(listen, sizeof(listen), "127.0.0.1:%d", free_port());
    health = agent_health_new(listen, &err);
    return health != NULL ? 0 : -1;
}

static int
close_health(void **state)
{
    (void)state;
    agent_health_free(&health);
    assert_null(health);
    agent_health_free(&health);
    return 0;
}

static void
an_agent_without_an_image_is_not_ready(void **state)
{
    (void)state;
    assert_string_equal(find_reason(health), "no image yet\n");
    agent_health_note(health, &(struct agent_state){.revision = 0, .reason = "", .buses = 2});
    assert_string_equal(find_reason(health), "no image yet\n");
    agent_health_note(health, &(struct agent_state){.revision = 7, .reason = ""});
    assert_null(find_reason(health));
}

static void
a_reason_is_told_and_over_when_it_is(void **state)
{
    (void)state;
    char reason[400];
    memset(reason, 'x', sizeof(reason) - 1);
    reason[sizeof(reason) - 1] = '\0';
    agent_health_note(health, &(struct agent_state){.revision = 7, .reason = "disk full"});
    assert_string_equal(find_reason(health), "disk full\n");
    agent_health_note(health, &(struct agent_state){.revision = 7, .reason = reason});
    assert_int_equal(strlen(find_reason(health)), sizeof(health->reason)); // cut, with its newline
    agent_health_note(health, &(struct agent_state){.revision = 7, .reason = ""});
    assert_null(find_reason(health));
}

static void
figures_are_those_of_the_last_note(void **state)
{
    (void)state;
    SL_AUTO_BUF text;
    sl_buf_init(&text, 4096);
    agent_health_note(health, &(struct agent_state){.revision = 7, .reason = "late"});
    agent_health_note(health, &(struct agent_state){.revision = 9000000000,
                                                    .reason = "",
                                                    .buses = 3,
                                                    .has_accounting = true,
                                                    .members = 5,
                                                    .faulty_members = 2});
    write_metrics(health, &text);
    sl_buf_add(&text, "", 1);
    assert_non_null(strstr(text.ptr, "\n" SL_METRIC_AGENT_REVISION " 9000000000\n"));
    assert_non_null(strstr(text.ptr, "\n" SL_METRIC_AGENT_WELL " 1\n"));
    assert_non_null(strstr(text.ptr, "\n" SL_METRIC_AGENT_BUS_LIVE " 3\n"));
    assert_non_null(strstr(text.ptr, "\n" SL_METRIC_AGENT_ACCOUNTING " 1\n"));
    assert_non_null(strstr(text.ptr, "\n" SL_METRIC_AGENT_MEMBERS " 5\n"));
    assert_non_null(strstr(text.ptr, "\n" SL_METRIC_AGENT_MEMBERS_FAULTY " 2\n"));
}

static void
an_address_that_is_none_is_refused(void **state)
{
    (void)state;
    struct sl_error err;
    assert_null(agent_health_new("nowhere", &err));
    assert_int_equal(err.code, SL_E_CONFIG);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_agent_without_an_image_is_not_ready, open_health,
                                        close_health),
        cmocka_unit_test_setup_teardown(a_reason_is_told_and_over_when_it_is, open_health,
                                        close_health),
        cmocka_unit_test_setup_teardown(figures_are_those_of_the_last_note, open_health,
                                        close_health),
        cmocka_unit_test(an_address_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
