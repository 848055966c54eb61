// route.c - the walk through the trie, with one step back where a literal leads nowhere.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/route.h"

#include <stdio.h>
#include <string.h>

// What one walk knows.
struct walk {
    struct sl_str segments[ROUTE_SEGMENTS_MAX];
    size_t count;
    struct sl_str method;
    struct route_match match;
    char allow[SL_ERROR_ARG_MAX]; // methods of the paths that matched, "" none
};

static bool
split_path(struct sl_str path, struct walk *walk)
{
    if (path.len == 0 || path.ptr[0] != '/') {
        return false;
    }
    struct sl_str rest = {path.ptr + 1, path.len - 1};
    while (rest.ptr != NULL) {
        if (walk->count == ROUTE_SEGMENTS_MAX) {
            return false;
        }
        walk->segments[walk->count++] = sl_str_split(&rest, '/');
    }
    return true;
}

static const struct rest_node *
find_literal(const struct rest_node *node, struct sl_str segment)
{
    size_t low = 0;
    size_t high = node->child_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const char *text = node->children[middle].segment;
        size_t len = strlen(text);
        int order = memcmp(segment.ptr, text, segment.len < len ? segment.len : len);
        if (order == 0 && segment.len == len) {
            return &node->children[middle];
        }
        if (order < 0 || (order == 0 && segment.len < len)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

static void
note_allowed(struct walk *walk, const char *method)
{
    size_t used = strlen(walk->allow);
    snprintf(walk->allow + used, sizeof(walk->allow) - used, "%s%s", used > 0 ? ", " : "", method);
    if (strcmp(method, "GET") == 0) {
        note_allowed(walk, "HEAD");
    }
}

static bool
take_row(const struct rest_node *node, struct walk *walk)
{
    struct sl_str head = SL_STR("HEAD");
    struct sl_str wanted = sl_str_equal(walk->method, head) ? SL_STR("GET") : walk->method;
    for (size_t i = 0; i < node->row_count; i++) {
        if (sl_str_equal(wanted, sl_str(node->rows[i]->method))) {
            walk->match.row = node->rows[i];
            return true;
        }
    }
    for (size_t i = 0; i < node->row_count; i++) {
        note_allowed(walk, node->rows[i]->method);
    }
    return false;
}

static bool
descend(const struct rest_node *node, size_t depth, struct walk *walk)
{
    if (depth == walk->count) {
        return take_row(node, walk);
    }
    struct sl_str segment = walk->segments[depth];
    const struct rest_node *literal = segment.len > 0 ? find_literal(node, segment) : NULL;
    if (literal != NULL && descend(literal, depth + 1, walk)) {
        return true;
    }
    if (node->parameter == NULL || segment.len == 0 ||
        walk->match.param_count == ROUTE_PARAMS_MAX) {
        return false;
    }
    walk->match.params[walk->match.param_count++] = segment;
    if (descend(node->parameter, depth + 1, walk)) {
        return true;
    }
    walk->match.param_count--;
    return false;
}

int
route_find(struct sl_str method, struct sl_str path, struct route_match *ret_match,
           struct sl_error *err)
{
    struct walk walk = {.method = method};
    if (!split_path(path, &walk)) {
        return sl_fail(err, SL_E_PATH_UNKNOWN);
    }
    if (descend(&rest_root, 0, &walk)) {
        *ret_match = walk.match;
        return 0;
    }
    if (walk.allow[0] != '\0') {
        return sl_fail(err, SL_E_METHOD_UNKNOWN, walk.allow);
    }
    return sl_fail(err, SL_E_PATH_UNKNOWN);
}
