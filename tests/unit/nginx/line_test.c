// line_test.c - the access log: its 54 fields, and what hostile values cannot do to it.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/nginx/ngx_http_sluice_line.h"

#define ID_1 "11111111111111111111111111111111"
#define ID_2 "22222222222222222222222222222222"
#define ID_3 "33333333333333333333333333333333"
#define ID_4 "44444444444444444444444444444444"

static unsigned char room[NGX_HTTP_SLUICE_LINE_BYTES];

static const struct ngx_http_sluice_try two_tries[] = {
    {.addr = {"10.0.0.1:80", 11},
     .status = 502,
     .connect_ms = -1,
     .header_ms = -1,
     .response_ms = 7},
    {.addr = {"10.0.0.2:80", 11},
     .status = 200,
     .connect_ms = 1,
     .header_ms = 30,
     .response_ms = 1031},
};

// A record in which nothing is known.
static struct ngx_http_sluice_record
nothing(void)
{
    return (struct ngx_http_sluice_record){.status = -1,
                                           .bytes_sent = -1,
                                           .body_bytes_sent = -1,
                                           .request_length = -1,
                                           .error_type = -1,
                                           .request_ms = -1,
                                           .inner_ms = -1,
                                           .upstream_ms = -1};
}

// A record in which all is known.
static struct ngx_http_sluice_record
everything(void)
{
    return (struct ngx_http_sluice_record){.remote_addr = SL_STR("192.0.2.1"),
                                           .request_id = SL_STR(ID_1),
                                           .api_id = SL_STR(ID_2),
                                           .app_id = SL_STR(ID_3),
                                           .group_id = SL_STR(ID_4),
                                           .publish_id = SL_STR("publish"),
                                           .node_id = SL_STR("node-1"),
                                           .trace_id = SL_STR("trace"),
                                           .time_local = SL_STR("22/Nov/2026:01:02:03 +0000"),
                                           .time_iso = SL_STR("2026-11-22T01:02:03+00:00"),
                                           .scheme = SL_STR("https"),
                                           .upstream_scheme = SL_STR("http"),
                                           .auth_type = SL_STR("APP"),
                                           .access_model = SL_STR("signature"),
                                           .response_source = SL_STR("remote"),
                                           .error_code = SL_STR("APIG.0308"),
                                           .request_method = SL_STR("GET"),
                                           .host = SL_STR("h.example.com"),
                                           .router_uri = SL_STR("/a/b"),
                                           .server_protocol = SL_STR("HTTP/1.1"),
                                           .user_agent = SL_STR("curl/7.88 (a b)"),
                                           .forwarded_for = SL_STR("198.51.100.1, 198.51.100.2"),
                                           .upstream_uri = SL_STR("/back"),
                                           .api_name = SL_STR("an api"),
                                           .app_name = SL_STR("an app"),
                                           .env = SL_STR("RELEASE"),
                                           .status = 200,
                                           .bytes_sent = 300,
                                           .body_bytes_sent = 128,
                                           .request_length = 99,
                                           .error_type = 0,
                                           .request_ms = 1042,
                                           .inner_ms = 4,
                                           .upstream_ms = 1038,
                                           .tries = two_tries,
                                           .try_count = SL_COUNT(two_tries)};
}

static const char *
line_of(const struct ngx_http_sluice_record *record)
{
    *ngx_http_sluice_line(room, record) = '\0';
    return (const char *)room;
}

static const char *
json_of(const struct ngx_http_sluice_record *record)
{
    *ngx_http_sluice_json(room, record) = '\0';
    return (const char *)room;
}

static void
all_that_is_known_stands_in_its_place(void **state)
{
    (void)state;
    struct ngx_http_sluice_record record = everything();
    assert_string_equal(
        line_of(&record),
        "192.0.2.1 " ID_1 " " ID_2 " - " ID_3 " \"22/Nov/2026:01:02:03 +0000\" 1.042 GET https "
        "h.example.com /a/b HTTP/1.1 200 300 99 \"curl/7.88 (a b)\" "
        "\"198.51.100.1, 198.51.100.2\" \"10.0.0.1:80, 10.0.0.2:80\" /back \"502, 200\" "
        "\"-, 0.001\" \"-, 0.030\" \"0.007, 1.031\" - 1.038 0 APP signature - 0.004 - - - 128 "
        "\"an api\" \"an app\" - - - - - - - - - - - - remote - http " ID_4 " APIG.0308 -");
}

static void
what_is_not_known_is_a_dash(void **state)
{
    (void)state;
    struct ngx_http_sluice_record record = nothing();
    assert_string_equal(
        line_of(&record),
        "- - - - - \"-\" - - - - - - - - - \"-\" \"-\" \"-\" - \"-\" \"-\" \"-\" "
        "\"-\" - - - - - - - - - - - \"-\" \"-\" - - - - - - - - - - - - - - - - - -");
    assert_string_equal(json_of(&record), "{}");
}

static void
the_fields_are_the_documented_ones(void **state)
{
    (void)state;
    static const char *const names[] = {"remote_addr",
                                        "request_id",
                                        "api_id",
                                        "user_id",
                                        "app_id",
                                        "time_local",
                                        "request_time",
                                        "request_method",
                                        "scheme",
                                        "host",
                                        "router_uri",
                                        "server_protocol",
                                        "status",
                                        "bytes_sent",
                                        "request_length",
                                        "http_user_agent",
                                        "http_x_forwarded_for",
                                        "upstream_addr",
                                        "upstream_uri",
                                        "upstream_status",
                                        "upstream_connect_time",
                                        "upstream_header_time",
                                        "upstream_response_time",
                                        "region_id",
                                        "all_upstream_response_time",
                                        "errorType",
                                        "auth_type",
                                        "access_model1",
                                        "access_model2",
                                        "inner_time",
                                        "proxy_protocol_vni",
                                        "proxy_protocol_vpce_id",
                                        "proxy_protocol_addr",
                                        "body_bytes_sent",
                                        "api_name",
                                        "app_name",
                                        "provider_app_id",
                                        "provider_app_name",
                                        "custom_data_log1",
                                        "custom_data_log2",
                                        "custom_data_log3",
                                        "custom_data_log4",
                                        "custom_data_log5",
                                        "custom_data_log6",
                                        "custom_data_log7",
                                        "custom_data_log8",
                                        "custom_data_log9",
                                        "custom_data_log10",
                                        "response_source",
                                        "gzip_ratio",
                                        "upstream_scheme",
                                        "group_id",
                                        "apig_err_code",
                                        "function_urn"};
    assert_int_equal(SL_COUNT(names), NGX_HTTP_SLUICE_FIELDS);
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        assert_string_equal(ngx_http_sluice_field_name(i), names[i]);
    }
}

static void
json_has_the_same_names_types_and_what_joins(void **state)
{
    (void)state;
    struct ngx_http_sluice_record record = everything();
    assert_string_equal(
        json_of(&record),
        "{\"time\":\"2026-11-22T01:02:03+00:00\",\"node_id\":\"node-1\",\"env\":\"RELEASE\","
        "\"publish_id\":\"publish\",\"trace_id\":\"trace\",\"remote_addr\":\"192.0.2.1\","
        "\"request_id\":\"" ID_1 "\",\"api_id\":\"" ID_2 "\",\"app_id\":\"" ID_3 "\","
        "\"time_local\":\"22/Nov/2026:01:02:03 +0000\",\"request_time\":1.042,"
        "\"request_method\":\"GET\",\"scheme\":\"https\",\"host\":\"h.example.com\","
        "\"router_uri\":\"/a/b\",\"server_protocol\":\"HTTP/1.1\",\"status\":200,"
        "\"bytes_sent\":300,\"request_length\":99,\"http_user_agent\":\"curl/7.88 (a b)\","
        "\"http_x_forwarded_for\":\"198.51.100.1, 198.51.100.2\","
        "\"upstream_addr\":[\"10.0.0.1:80\",\"10.0.0.2:80\"],\"upstream_uri\":\"/back\","
        "\"upstream_status\":[502,200],\"upstream_connect_time\":[null,0.001],"
        "\"upstream_header_time\":[null,0.030],\"upstream_response_time\":[0.007,1.031],"
        "\"all_upstream_response_time\":1.038,\"errorType\":0,\"auth_type\":\"APP\","
        "\"access_model1\":\"signature\",\"inner_time\":0.004,\"body_bytes_sent\":128,"
        "\"api_name\":\"an api\",\"app_name\":\"an app\",\"response_source\":\"remote\","
        "\"upstream_scheme\":\"http\",\"group_id\":\"" ID_4 "\",\"apig_err_code\":\"APIG.0308\"}");
}

// What a text becomes in a field with quotes, in one without, and in JSON.
static void
check_escapes(struct sl_str text, const char *quoted, const char *bare, const char *json)
{
    struct ngx_http_sluice_record record = nothing();
    char expected[256];

    record.user_agent = text;
    snprintf(expected, sizeof(expected), " \"%s\" ", quoted);
    assert_non_null(strstr(line_of(&record), expected));
    snprintf(expected, sizeof(expected), "{\"http_user_agent\":\"%s\"}", json);
    assert_string_equal(json_of(&record), expected);
    record.user_agent = SL_STR("");
    record.host = text;
    snprintf(expected, sizeof(expected), " - - - %s - ", bare);
    assert_non_null(strstr(line_of(&record), expected));
}

static void
no_value_ends_its_field_or_its_line(void **state)
{
    (void)state;
    check_escapes(SL_STR("a\" 200 \"b"), "a\\x22 200 \\x22b", "a\\x22\\x20200\\x20\\x22b",
                  "a\\\" 200 \\\"b");
    check_escapes(SL_STR("a\r\nb"), "a\\x0D\\x0Ab", "a\\x0D\\x0Ab", "a\\u000D\\u000Ab");
    check_escapes(SL_STR("a\\x22"), "a\\x5Cx22", "a\\x5Cx22", "a\\\\x22");
    check_escapes(SL_STR("\x1b[2J\x7f\t"), "\\x1B[2J\\x7F\\x09", "\\x1B[2J\\x7F\\x09",
                  "\\u001B[2J\\u007F\\u0009");
    check_escapes((struct sl_str){"a\0b", 3}, "a\\x00b", "a\\x00b", "a\\u0000b");
}

static void
json_keeps_utf_8_and_marks_what_is_none(void **state)
{
    (void)state;
    check_escapes(SL_STR("\xc3\xa9"), "\\xC3\\xA9", "\\xC3\\xA9", "\xc3\xa9");
    check_escapes(SL_STR("\xe4\xb8\xad\xf0\x9f\x98\x80"), "\\xE4\\xB8\\xAD\\xF0\\x9F\\x98\\x80",
                  "\\xE4\\xB8\\xAD\\xF0\\x9F\\x98\\x80", "\xe4\xb8\xad\xf0\x9f\x98\x80");
    check_escapes(SL_STR("\xff"
                         "a"),
                  "\\xFFa", "\\xFFa", "\\uFFFDa");
    check_escapes(SL_STR("\xc0\xaf"), "\\xC0\\xAF", "\\xC0\\xAF", "\\uFFFD\\uFFFD");
    check_escapes(SL_STR("\xed\xa0\x80"), "\\xED\\xA0\\x80", "\\xED\\xA0\\x80",
                  "\\uFFFD\\uFFFD\\uFFFD");
    check_escapes(SL_STR("\xc2\x9b"), "\\xC2\\x9B", "\\xC2\\x9B", "\\uFFFD\\uFFFD");
    check_escapes(SL_STR("a\xe4\xb8"), "a\\xE4\\xB8", "a\\xE4\\xB8", "a\\uFFFD\\uFFFD");
    check_escapes(SL_STR("\xf5\x80\x80\x80"), "\\xF5\\x80\\x80\\x80", "\\xF5\\x80\\x80\\x80",
                  "\\uFFFD\\uFFFD\\uFFFD\\uFFFD");
}

// Eight bytes are looked at at once: each byte value at each place must be found.
// Short texts are judged as one block, long ones block by block.
static void
every_byte_is_judged_alike_at_every_place(void **state)
{
    (void)state;
    static const char letters[] = "abcdefghijklmnopq";
    for (unsigned turn = 0; turn < 256 * 17 * 17; turn++) {
        struct ngx_http_sluice_record record = nothing();
        unsigned byte = turn & 255;
        size_t len = 1 + (turn >> 8) % 17;
        size_t place = (turn >> 8) / 17 % len;
        char text[18];
        char expected[64];
        bool bare = byte > ' ' && byte < 0x7f && byte != '"' && byte != '\\';

        memcpy(text, letters, sizeof(text));
        text[place] = (char)byte;
        record.host = (struct sl_str){text, len};
        if (bare) {
            snprintf(expected, sizeof(expected), " - - - %.*s - ", (int)len, text);
        } else {
            snprintf(expected, sizeof(expected), " - - - %.*s\\x%02X%.*s - ", (int)place, letters,
                     byte, (int)(len - place - 1), letters + place + 1);
        }
        assert_non_null(strstr(line_of(&record), expected));
    }
}

static void
a_long_value_is_cut_and_the_longest_record_fits(void **state)
{
    (void)state;
    size_t len = 100000;
    char *text = malloc(len);
    struct ngx_http_sluice_record record = everything();
    struct ngx_http_sluice_try tries[NGX_HTTP_SLUICE_TRIES_MAX];
    size_t escaped = 0;

    assert_non_null(text);
    memset(text, 1, len);
    struct sl_str *const foreign[] = {&record.request_method, &record.host,
                                      &record.router_uri,     &record.server_protocol,
                                      &record.user_agent,     &record.forwarded_for,
                                      &record.upstream_uri,   &record.api_name,
                                      &record.app_name,       &record.env};
    for (size_t i = 0; i < SL_COUNT(foreign); i++) {
        *foreign[i] = (struct sl_str){text, len};
    }
    for (size_t i = 0; i < SL_COUNT(tries); i++) {
        tries[i] = (struct ngx_http_sluice_try){
            .addr = SL_STR("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535"),
            .status = INT32_MAX,
            .connect_ms = INT64_MAX,
            .header_ms = INT64_MAX,
            .response_ms = INT64_MAX};
    }
    record.tries = tries;
    record.try_count = SL_COUNT(tries);
    size_t length = strlen(json_of(&record));
    assert_in_range(length, SL_COUNT(foreign) * 6 * NGX_HTTP_SLUICE_TEXT_MAX, sizeof(room) / 2);
    for (const char *at = line_of(&record); (at = strstr(at, "\\x01")) != NULL; at += 4) {
        escaped++;
    }
    // env stands in JSON alone.
    assert_int_equal(escaped, (SL_COUNT(foreign) - 1) * NGX_HTTP_SLUICE_TEXT_MAX);
    free(text);
}

static void
digits_are_padded_and_whole(void **state)
{
    (void)state;
    static const struct {
        uint64_t number;
        size_t least;
        const char *text;
    } rows[] = {{0, 1, "0"}, {7, 3, "007"}, {1000, 3, "1000"},
                {9, 1, "9"}, {10, 1, "10"}, {9999999999999999999ULL, 1, "9999999999999999999"}};
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        *ngx_http_sluice_digits(room, rows[i].number, rows[i].least) = '\0';
        assert_string_equal((const char *)room, rows[i].text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_is_known_stands_in_its_place),
        cmocka_unit_test(what_is_not_known_is_a_dash),
        cmocka_unit_test(the_fields_are_the_documented_ones),
        cmocka_unit_test(json_has_the_same_names_types_and_what_joins),
        cmocka_unit_test(no_value_ends_its_field_or_its_line),
        cmocka_unit_test(json_keeps_utf_8_and_marks_what_is_none),
        cmocka_unit_test(every_byte_is_judged_alike_at_every_place),
        cmocka_unit_test(a_long_value_is_cut_and_the_longest_record_fits),
        cmocka_unit_test(digits_are_padded_and_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
