// machine_test.c - what /proc says of a machine.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <string.h>
#include <unistd.h>

#include "services/nginx/ngx_http_sluice_machine.h"

#define LOADAVG "0.42 0.30 0.20 1/234 5678\n"
#define STAT    "cpu  100 20 30 1000 50 6 7 8 9 10\ncpu0 1 2 3 4\n"
#define MEMINFO "MemTotal:        2048 kB\nMemFree:          512 kB\nMemAvailable:    1024 kB\n"

static void
the_three_files_are_read(void **state)
{
    (void)state;
    struct ngx_http_sluice_machine machine;
    float ticks = (float)sysconf(_SC_CLK_TCK);
    assert_true(ngx_http_sluice_machine_parse(LOADAVG, STAT, MEMINFO, &machine));
    assert_float_equal((float)machine.load, 0.42F, 0.001F);
    assert_float_equal((float)machine.busy_s, 171 / ticks, 0.001F); // guests are in user already
    assert_float_equal((float)machine.idle_s, 1050 / ticks, 0.001F);
    assert_int_equal(machine.total_bytes, 2048 * 1024);
    assert_int_equal(machine.available_bytes, 1024 * 1024);
}

static void
what_does_not_hold_is_refused_whole(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"", STAT, MEMINFO},
        {LOADAVG, "", MEMINFO},
        {LOADAVG, "cpu  1 2 3 4 5 6 7", MEMINFO},
        {LOADAVG, "intr 1 2 3 4 5 6 7 8", MEMINFO},
        {LOADAVG, STAT, ""},
        {LOADAVG, STAT, "MemTotal: 1 kB\n"},
        {LOADAVG, STAT, "MemTotal: kB\nMemAvailable: 1 kB\n"},
    };
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        struct ngx_http_sluice_machine machine = {.load = 7};
        assert_false(ngx_http_sluice_machine_parse(rows[i][0], rows[i][1], rows[i][2], &machine));
        assert_float_equal((float)machine.load, 7, 0);
    }
}

static void
this_machine_has_its_gauges(void **state)
{
    (void)state;
    SL_AUTO_BUF text;
    sl_buf_init(&text, 4096);
    ngx_http_sluice_machine_write(&text);
    static const char *const names[] = {"\nsluice_node_load ",
                                        "\nsluice_node_cpu_seconds_total{mode=\"busy\"} ",
                                        "\nsluice_node_cpu_seconds_total{mode=\"idle\"} ",
                                        "\nsluice_node_memory_bytes{state=\"total\"} ",
                                        "\nsluice_node_memory_bytes{state=\"available\"} "};
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        assert_non_null(strstr(text.ptr, names[i]));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_files_are_read),
        cmocka_unit_test(what_does_not_hold_is_refused_whole),
        cmocka_unit_test(this_machine_has_its_gauges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
