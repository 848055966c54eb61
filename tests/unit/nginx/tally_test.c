// tally_test.c - what requests add up to, with many APIs, many processes, and over minutes.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/fork.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "services/nginx/ngx_http_sluice_tally.h"

#define TEXT_MAX (8 * 1024 * 1024)
#define NOW_S    (1000 * 60)
#define API_1    "0123456789abcdef0123456789abcde1"
#define API_2    "0123456789abcdef0123456789abcde2"
#define RUN_MAX  64 // neighbours that chance makes of a thousand rows among two thousand places

struct place {
    struct ngx_http_sluice_tally *tally;
    struct sl_buf text;
};

static int
open_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    place->tally = mmap(NULL, sizeof(*place->tally), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sl_buf_init(&place->text, TEXT_MAX);
    *state = place;
    return place->tally == MAP_FAILED ? -1 : 0;
}

static int
close_place(void **state)
{
    struct place *place = *state;
    munmap(place->tally, sizeof(*place->tally));
    sl_buf_clear(&place->text);
    free(place);
    return 0;
}

static void
count(struct place *place, const char *api_id, unsigned status, uint64_t ms)
{
    const struct ngx_http_sluice_tally_request request = {.api_id = api_id,
                                                          .status = status,
                                                          .time_ms = ms,
                                                          .received_bytes = 10,
                                                          .sent_bytes = 100,
                                                          .at_s = NOW_S};
    ngx_http_sluice_tally_count(place->tally, &request);
}

static const char *
text_at(struct place *place, int64_t now_s)
{
    sl_buf_reset(&place->text);
    ngx_http_sluice_tally_write(place->tally, now_s, &place->text);
    assert_false(place->text.failed);
    return place->text.ptr;
}

static void
assert_line(struct place *place, const char *line)
{
    char wanted[256];
    snprintf(wanted, sizeof(wanted), "\n%s\n", line);
    if (strstr(text_at(place, NOW_S), wanted) == NULL) {
        fail_msg("no line %s in:\n%s", line, place->text.ptr);
    }
}

static void
a_request_stands_in_its_api_s_row_and_in_the_node_s(void **state)
{
    struct place *place = *state;
    count(place, API_1, 200, 3);
    count(place, API_1, 404, 7);
    count(place, API_2, 502, 70);
    assert_line(place, "sluice_api_requests_total{api_id=\"" API_1 "\",class=\"2xx\"} 1");
    assert_line(place, "sluice_api_requests_total{api_id=\"" API_1 "\",class=\"4xx\"} 1");
    assert_line(place, "sluice_api_requests_total{api_id=\"" API_1 "\",class=\"5xx\"} 0");
    assert_line(place, "sluice_api_requests_total{api_id=\"" API_2 "\",class=\"5xx\"} 1");
    assert_line(place, "sluice_api_request_seconds_sum{api_id=\"" API_1 "\"} 0.010");
    assert_line(place, "sluice_api_request_seconds_count{api_id=\"" API_1 "\"} 2");
    assert_line(place, "sluice_api_slowest_seconds{api_id=\"" API_1 "\"} 0.007");
    assert_line(place, "sluice_api_received_bytes_total{api_id=\"" API_1 "\"} 20");
    assert_line(place, "sluice_api_sent_bytes_total{api_id=\"" API_2 "\"} 100");
    assert_line(place, "sluice_requests_total{class=\"2xx\"} 1");
    assert_line(place, "sluice_requests_total{class=\"5xx\"} 1");
    assert_line(place, "sluice_received_bytes_total 30");
    assert_line(place, "sluice_sent_bytes_total 300");
    assert_line(place, "sluice_request_seconds_bucket{le=\"0.005\"} 1");
    assert_line(place, "sluice_request_seconds_bucket{le=\"0.1\"} 3");
    assert_line(place, "sluice_request_seconds_bucket{le=\"+Inf\"} 3");
    assert_line(place, "sluice_request_seconds_sum 0.080");
}

static void
what_reaches_no_api_and_odd_statuses_are_counted(void **state)
{
    struct place *place = *state;
    count(place, NULL, 404, 0);
    count(place, NULL, 0, 99999);
    count(place, NULL, 999, 0);
    assert_line(place, "sluice_api_requests_total{api_id=\"none\",class=\"4xx\"} 1");
    assert_line(place, "sluice_api_requests_total{api_id=\"none\",class=\"none\"} 2");
    assert_line(place, "sluice_request_seconds_bucket{le=\"5\"} 2");
    assert_line(place, "sluice_request_seconds_count 3");
    assert_null(strstr(place->text.ptr, "\"other\""));
}

static void
refusals_limits_and_backends_have_their_own_figures(void **state)
{
    struct place *place = *state;
    const struct ngx_http_sluice_tally_request request = {.api_id = API_1,
                                                          .status = 429,
                                                          .refused = true,
                                                          .throttled = true,
                                                          .backend_calls = 3,
                                                          .backend_failures = 2};
    ngx_http_sluice_tally_count(place->tally, &request);
    place->tally->idle[0] = 4;
    place->tally->idle[NGX_HTTP_SLUICE_TALLY_WORKERS - 1] = 5;
    assert_line(place, "sluice_api_throttled_total{api_id=\"" API_1 "\"} 1");
    assert_line(place, "sluice_throttled_total 1");
    assert_line(place, "sluice_refused_total 1");
    assert_line(place, "sluice_backend_calls_total 3");
    assert_line(place, "sluice_backend_failures_total 2");
    assert_line(place, "sluice_backend_idle_connections 9");
}

static void
the_slowest_request_is_forgotten_after_its_next_minute(void **state)
{
    struct place *place = *state;
    count(place, API_1, 200, 1500);
    static const struct {
        int64_t at_s;
        const char *value;
    } rows[] = {{NOW_S + 59, "1.500"}, {NOW_S + 119, "1.500"}, {NOW_S + 120, "0.000"}};
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        char wanted[128];
        snprintf(wanted, sizeof(wanted), "slowest_seconds{api_id=\"" API_1 "\"} %s\n",
                 rows[i].value);
        assert_non_null(strstr(text_at(place, rows[i].at_s), wanted));
    }
    const struct ngx_http_sluice_tally_request later = {
        .api_id = API_1, .status = 200, .time_ms = 20, .at_s = NOW_S + 120};
    ngx_http_sluice_tally_count(place->tally, &later);
    assert_non_null(
        strstr(text_at(place, NOW_S + 120), "slowest_seconds{api_id=\"" API_1 "\"} 0.020\n"));
}

static void
apis_beyond_the_bound_share_a_row(void **state)
{
    struct place *place = *state;
    char api_id[SL_ID_LEN + 1];
    size_t rows = 0;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < NGX_HTTP_SLUICE_TALLY_APIS + 500; i++) {
            snprintf(api_id, sizeof(api_id), "%08x%024x", i * 2654435761U, i);
            count(place, api_id, 200, 1);
        }
    }
    assert_line(place, "sluice_api_requests_total{api_id=\"other\",class=\"2xx\"} 1000");
    assert_line(place, "sluice_requests_total{class=\"2xx\"} 3000");
    for (const char *at = place->text.ptr; (at = strstr(at, "_seconds_count{")) != NULL; at++) {
        rows++;
    }
    assert_int_equal(rows, NGX_HTTP_SLUICE_TALLY_APIS + 1);
    assert_in_range(place->text.len, 1, TEXT_MAX / 4);
}

// A request walks past what stands before its row.
static void
ids_in_sequence_do_not_stand_in_a_row(void **state)
{
    struct place *place = *state;
    char api_id[SL_ID_LEN + 1];
    size_t run = 0;
    size_t longest = 0;
    for (unsigned i = 0; i < NGX_HTTP_SLUICE_TALLY_APIS; i++) {
        snprintf(api_id, sizeof(api_id), "%032x", i);
        count(place, api_id, 200, 1);
    }
    for (size_t i = 0; i < NGX_HTTP_SLUICE_TALLY_PLACES; i++) {
        run = place->tally->apis[i].state != 0 ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    assert_int_equal(place->tally->taken, NGX_HTTP_SLUICE_TALLY_APIS);
    assert_in_range(longest, 1, RUN_MAX);
}

// A worker that is killed leaves what it counted, and one that dies while it takes a place costs
// that place alone.
static void
processes_count_together_and_outlive_each_other(void **state)
{
    struct place *place = *state;
    for (int i = 0; i < 4; i++) {
        pid_t pid = fork_child();
        for (int j = 0; pid == 0 && j < 20000; j++) {
            count(place, j % 2 == 0 ? API_1 : API_2, 200, (uint64_t)j % 5);
        }
        if (pid == 0) {
            _exit(0);
        }
    }
    for (int i = 0; i < 4; i++) {
        int status = -1;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    uint64_t other = place->tally->other.by_class[2]; // who lost the race for a place
    assert_in_range(other, 0, 6);
    assert_line(place, "sluice_requests_total{class=\"2xx\"} 80000");
    assert_line(place, "sluice_request_seconds_sum 160.000");

    char broken[SL_ID_LEN + 1] = "ffffffffffffffffffffffffffffffff";
    count(place, broken, 200, 0);
    for (size_t i = 0; i < NGX_HTTP_SLUICE_TALLY_PLACES; i++) {
        if (memcmp(place->tally->apis[i].api_id, broken, SL_ID_LEN) == 0) {
            place->tally->apis[i].state = 1; // as if its taker had died
        }
    }
    count(place, broken, 200, 0);
    assert_line(
        place,
        "sluice_api_requests_total{api_id=\"ffffffffffffffffffffffffffffffff\",class=\"2xx\"} 1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_stands_in_its_api_s_row_and_in_the_node_s),
        TEST(what_reaches_no_api_and_odd_statuses_are_counted),
        TEST(refusals_limits_and_backends_have_their_own_figures),
        TEST(the_slowest_request_is_forgotten_after_its_next_minute),
        TEST(apis_beyond_the_bound_share_a_row),
        TEST(ids_in_sequence_do_not_stand_in_a_row),
        TEST(processes_count_together_and_outlive_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
