// pack_test.c - msgpack as it is written and as a cursor reads it, malformed bytes above all.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/pack.h"

#include <string.h>

#include "common/base/limits.h"
#include "tests/unit/test.h"

static struct sl_str
view(const struct sl_buf *buf)
{
    return (struct sl_str){buf->ptr, buf->len};
}

static void
integers_of_every_width_come_back(void **state)
{
    (void)state;
    static const int64_t values[] = {
        0,         1,          127,        128,       255,       256,   65535,       65536,
        INT32_MAX, 4294967295, 4294967296, INT64_MAX, -1,        -32,   -33,         -128,
        -129,      -32768,     -32769,     INT32_MIN, INT64_MIN, 40000, -2147483649, -40000};
    for (size_t i = 0; i < SL_COUNT(values); i++) {
        SL_AUTO_BUF buf;
        sl_buf_init(&buf, 100);
        sl_pack_int(&buf, values[i]);
        struct sl_reader reader = sl_reader_of(view(&buf));
        int64_t got = 0;
        assert_true(sl_reader_int(&reader, &got));
        assert_int_equal(got, values[i]);
        assert_ptr_equal(reader.at, reader.end);
    }
}

static void
texts_of_every_head_come_back(void **state)
{
    (void)state;
    static char long_text[70000];
    memset(long_text, 't', sizeof(long_text));
    static const size_t lengths[] = {0, 1, 31, 32, 255, 256, 65535, 65536};
    for (size_t i = 0; i < SL_COUNT(lengths); i++) {
        SL_AUTO_BUF buf;
        sl_buf_init(&buf, 200000);
        sl_pack_str(&buf, (struct sl_str){long_text, lengths[i]});
        sl_pack_bin(&buf, (struct sl_str){long_text, lengths[i]});
        struct sl_reader reader = sl_reader_of(view(&buf));
        struct sl_str text;
        struct sl_str bytes;
        assert_true(sl_reader_text(&reader, &text));
        assert_true(sl_reader_bytes(&reader, &bytes));
        assert_int_equal(text.len, lengths[i]);
        assert_int_equal(bytes.len, lengths[i]);
        assert_memory_equal(text.ptr, long_text, lengths[i]);
        assert_ptr_equal(reader.at, reader.end);
    }
}

static void
maps_and_arrays_of_every_head_come_back(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 15, 16, 65535, 65536};
    for (size_t i = 0; i < SL_COUNT(counts); i++) {
        SL_AUTO_BUF buf;
        sl_buf_init(&buf, 1 << 20);
        sl_pack_array(&buf, counts[i]);
        for (size_t member = 0; member < counts[i]; member++) {
            sl_pack_bool(&buf, member % 2 == 0);
        }
        sl_pack_map(&buf, counts[i]);
        for (size_t member = 0; member < counts[i]; member++) {
            sl_pack_nil(&buf);
            sl_pack_int(&buf, 1);
        }
        struct sl_reader reader = sl_reader_of(view(&buf));
        struct sl_str array = sl_reader_span(&reader);
        assert_non_null(array.ptr);
        size_t pairs = 0;
        assert_true(sl_reader_map(&reader, &pairs));
        assert_int_equal(pairs, counts[i]);
        struct sl_reader inside = sl_reader_of(array);
        size_t members = 0;
        assert_true(sl_reader_array(&inside, &members));
        assert_int_equal(members, counts[i]);
    }
}

static void
a_value_of_another_type_is_refused(void **state)
{
    (void)state;
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 100);
    sl_pack_text(&buf, NULL); // nil
    struct sl_str nil = view(&buf);
    struct sl_reader reader = sl_reader_of(nil);
    int64_t number;
    size_t count;
    bool truth;
    struct sl_str text;
    assert_false(sl_reader_int(&reader, &number));
    reader = sl_reader_of(nil);
    assert_false(sl_reader_bool(&reader, &truth));
    reader = sl_reader_of(nil);
    assert_false(sl_reader_text(&reader, &text));
    reader = sl_reader_of(nil);
    assert_false(sl_reader_bytes(&reader, &text));
    reader = sl_reader_of(nil);
    assert_false(sl_reader_map(&reader, &count));
    reader = sl_reader_of(nil);
    assert_false(sl_reader_array(&reader, &count));
    assert_false(sl_reader_array(&reader, &count)); // at the end
    sl_buf_reset(&buf);
    sl_pack_bin(&buf, SL_STR("bytes are no text"));
    reader = sl_reader_of(view(&buf));
    assert_false(sl_reader_text(&reader, &text));
}

// Bytes, and whether a reader steps over them whole.
static const struct {
    const char *bytes;
    size_t len;
    bool whole;
} shapes[] = {
    {"", 0, false},
    {"\xc0", 1, true},                                  // nil
    {"\xc1", 1, false},                                 // never used by msgpack
    {"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9, true},  // INT64_MAX
    {"\xcf\x80\x00\x00\x00\x00\x00\x00\x00", 9, false}, // one more
    {"\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", 9, true},  // 1.0
    {"\xca\x3f\x80\x00\x00", 5, true},                  // 1.0, single
    {"\xcb\x3f\xf0\x00", 4, false},                     // cut
    {"\xd9", 1, false},                                 // no length
    {"\xd9\x02x", 3, false},                            // shorter than it says
    {"\xda\xff\xff", 3, false},                         //
    {"\xdb\xff\xff\xff\xff", 5, false},                 //
    {"\xc6\xff\xff\xff\xff", 5, false},                 //
    {"\xd4\x01\x00", 3, false},                         // an extension
    {"\xc7\x00\x01", 3, false},                         //
    {"\x92\x01", 2, false},                             // two members, one there
    {"\x81\x01", 2, false},                             // a key without its value
    {"\xdd\xff\xff\xff\xff", 5, false},                 // four thousand million members
    {"\xdf\xff\xff\xff\xff\x01\x01", 7, false},         //
    {"\x81\xa1k\x93\x01\x02\x03", 7, true},             //
    {"\xdc\x00\x01\xde\x00\x01\xa1k\xc3", 9, true},     //
    {"\x91\x91\x91\xc1", 4, false},                     // malformed deep inside
};

static void
malformed_bytes_are_refused_and_never_read_past(void **state)
{
    (void)state;
    for (size_t i = 0; i < SL_COUNT(shapes); i++) {
        // A copy of exactly this size: the sanitizer sees a byte too many.
        char *copy = test_malloc(shapes[i].len + 1);
        memcpy(copy, shapes[i].bytes, shapes[i].len);
        struct sl_reader reader = {copy, copy + shapes[i].len};
        assert_int_equal(sl_reader_skip(&reader), shapes[i].whole);
        reader = (struct sl_reader){copy, copy + shapes[i].len};
        assert_int_equal(sl_reader_span(&reader).ptr != NULL, shapes[i].whole);
        reader = (struct sl_reader){copy, copy + shapes[i].len};
        json_t *value = sl_reader_json(&reader);
        assert_true(shapes[i].whole || value == NULL);
        json_decref(value);
        test_free(copy);
    }
}

static void
nesting_is_walked_to_a_depth_and_no_further(void **state)
{
    (void)state;
    char bytes[SL_PACK_DEPTH_MAX + 2];
    for (size_t depth = 1; depth <= SL_PACK_DEPTH_MAX + 1; depth++) {
        memset(bytes, '\x91', depth);
        bytes[depth] = '\x01';
        struct sl_reader reader = {bytes, bytes + depth + 1};
        bool walked = sl_reader_skip(&reader);
        assert_true(walked || depth >= SL_PACK_DEPTH_MAX);
        reader = (struct sl_reader){bytes, bytes + depth + 1};
        json_t *value = sl_reader_json(&reader);
        assert_int_equal(value != NULL, depth <= SL_JSON_DEPTH_MAX);
        json_decref(value);
    }
}

static void
json_comes_back_as_it_was(void **state)
{
    (void)state;
    struct sl_error err;
    json_t *sent =
        json_loads("{\"a\":[1,-2,3.5,true,false,null,\"t\\u00e9\"],\"b\":{},\"c\":[]}", 0, NULL);
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 1000);
    assert_int_equal(sl_pack_json(&buf, sent, &err), 0);
    struct sl_reader reader = sl_reader_of(view(&buf));
    json_t *got = sl_reader_json(&reader);
    assert_true(json_equal(sent, got));
    json_decref(sent);
    json_decref(got);
}

static void
a_map_whose_key_is_no_string_is_no_json(void **state)
{
    (void)state;
    static const char bytes[] = "\x81\x01\x02";
    struct sl_reader reader = {bytes, bytes + 3};
    assert_null(sl_reader_json(&reader));
    reader = (struct sl_reader){bytes, bytes + 3};
    assert_true(sl_reader_skip(&reader)); // but it is msgpack
}

static void
a_buffer_too_small_says_so_whatever_is_packed(void **state)
{
    (void)state;
    static const char text[] = "some text";
    struct sl_error err;
    json_t *value = json_pack("{s:[i, s]}", "k", 70000, "v");
    for (size_t size = 0; size < 8; size++) {
        SL_AUTO_BUF buf;
        sl_buf_init(&buf, size);
        sl_pack_text(&buf, text);
        assert_true(buf.failed);
        sl_buf_reset(&buf);
        assert_int_equal(sl_pack_json(&buf, value, &err), 0);
        assert_true(buf.failed);
        assert_true(buf.len <= size);
    }
    json_decref(value);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_of_every_width_come_back),
        cmocka_unit_test(texts_of_every_head_come_back),
        cmocka_unit_test(maps_and_arrays_of_every_head_come_back),
        cmocka_unit_test(a_value_of_another_type_is_refused),
        cmocka_unit_test(malformed_bytes_are_refused_and_never_read_past),
        cmocka_unit_test(nesting_is_walked_to_a_depth_and_no_further),
        cmocka_unit_test(json_comes_back_as_it_was),
        cmocka_unit_test(a_map_whose_key_is_no_string_is_no_json),
        cmocka_unit_test(a_buffer_too_small_says_so_whatever_is_packed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
