// runtime_template.c - fuzzes declared paths and what is routed by them.
//
// Input: a line `n` (exact) or `s` (prefix) and the declared path, then the path of a request. The
// route must be found exactly when a matcher that walks both paths segment by segment says so, and
// what it captured, put back into the template, must give the request's path again.
//
// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/runtime/image_build.h"

#define ID       "00000000000000000000000000000001"
#define PATH_MAX 512 // of a declared path, and enough of a request's

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sl_image_builder *builder;
static struct sl_image *image;

// The image would stay, as an agent's does.
static void
remove_image(void)
{
    char pattern[64];
    glob_t files;
    sl_image_builder_free(&builder);
    sl_image_free(&image);
    snprintf(pattern, sizeof(pattern), "/dev/shm/sluice-fuzz-%d-*", (int)getpid());
    if (glob(pattern, 0, NULL, &files) == 0) {
        for (size_t i = 0; i < files.gl_pathc; i++) {
            unlink(files.gl_pathv[i]);
        }
        globfree(&files);
    }
}

static void
open_image(void)
{
    char name[32];
    struct sl_error err;
    snprintf(name, sizeof(name), "fuzz-%d", (int)getpid());
    builder = sl_image_builder_new(name, &err);
    image = sl_image_open(name, &err);
    assert(builder != NULL && image != NULL);
    atexit(remove_image);
}

// Whole segment `{name}`: 1, `{name+}`: 2, literal text: 0.
static int
parameter_kind(struct sl_str segment)
{
    if (segment.len < 3 || segment.ptr[0] != '{' || segment.ptr[segment.len - 1] != '}') {
        return 0;
    }
    bool rest = segment.ptr[segment.len - 2] == '+';
    return rest ? (segment.len > 3 ? 2 : 0) : 1;
}

// The matcher: runtime.md 2.3 for one API.
static bool
matches(struct sl_str declared, struct sl_str path, bool is_prefix)
{
    while (is_prefix && declared.len > 0 && declared.ptr[declared.len - 1] == '/') {
        declared.len--;
    }
    if (declared.len == 0) {
        return true; // the prefix "/" is above every path
    }
    while (declared.ptr != NULL) {
        struct sl_str want = sl_str_split(&declared, '/');
        if (path.ptr == NULL) {
            return false;
        }
        struct sl_str rest = path;
        struct sl_str got = sl_str_split(&path, '/');
        int kind = parameter_kind(want);
        if (kind == 2 && declared.ptr == NULL) {
            return rest.len > 0;
        }
        if (kind == 1 ? got.len == 0 : !sl_str_equal(want, got)) {
            return false;
        }
    }
    return path.ptr == NULL || is_prefix;
}

// Puts the captures into the template; what comes out is where they were taken from.
static void
assert_refilled(const struct sl_route *route, struct sl_str path)
{
    size_t len = route->remainder.len;
    for (size_t i = 0; i < route->capture_count; i++) {
        assert(route->captures[i].ptr >= path.ptr);
        assert(route->captures[i].ptr + route->captures[i].len <= path.ptr + path.len);
        assert(i == 0 || route->captures[i].ptr > route->captures[i - 1].ptr);
        len += route->captures[i].len;
    }
    assert(len <= path.len);
    assert(route->remainder.len == 0 || route->remainder.ptr[0] == '/');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_str rest = {(const char *)data, size};
    struct sl_str line = sl_str_split(&rest, '\n');
    struct sl_error err;
    char declared[PATH_MAX];
    if (builder == NULL) {
        open_image();
    }
    if (line.len < 2 || line.len > PATH_MAX || line.ptr[1] != '/' || rest.len == 0 ||
        rest.len > PATH_MAX || rest.ptr[0] != '/' || memchr(line.ptr, '\0', line.len) != NULL) {
        return 0;
    }
    snprintf(declared, sizeof(declared), "%.*s", (int)line.len - 1, line.ptr + 1);
    bool is_prefix = line.ptr[0] == 's';
    struct sl_entry entry = {
        .kind = SL_KIND_API,
        .api = {.publish_id = ID,
                .api_id = ID,
                .name = "",
                .group_id = ID,
                .env_id = "e",
                .env_name = "RELEASE",
                .version_id = ID,
                .path = declared,
                .throttle_id = "",
                .match_mode = is_prefix ? SL_MATCH_SWA : SL_MATCH_NORMAL,
                .schemes = SL_SCHEME_HTTP,
                .backend_type = SL_BACKEND_MOCK,
                .mock = {"", 200}},
    };
    sl_image_builder_reset(builder);
    if (sl_image_builder_put(builder, ID, &entry, &err) != 0) {
        return 0; // more parameters than an image takes
    }
    int status = sl_image_builder_commit(builder, "e", 1, &err);
    assert(status == 0);
    sl_image_refresh(image);
    struct sl_route route;
    enum sl_route_result found =
        sl_image_route(image, ID, SL_STR("RELEASE"), SL_METHOD_GET, rest, &route);
    bool expected = matches((struct sl_str){line.ptr + 1, line.len - 1}, rest, is_prefix);
    assert((found == SL_ROUTE_FOUND) == expected);
    if (expected) {
        assert_refilled(&route, rest);
    }
    return 0;
}
