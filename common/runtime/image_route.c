// image_route.c - path and method → API, by a walk through the route trie.
//
// The walk is depth first and tries literal, {p}, {p+} in this order, so the first exact API that
// has the method is the best one; prefix APIs met on the way are remembered, the deepest first seen
// wins. A node lies at one depth only and is entered at most once: the walk is bounded by the trie.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/image_read.h"

struct walk {
    uint64_t seed;                                   // of the segment
    const struct sl_img_app *app;                    // only what it may call; NULL: all
    enum sl_method method;                           // wanted
    struct sl_route *route;                          // answer; captures[] is also the walk's stack
    size_t captured;                                 // values on the stack
    bool path_known;                                 // some API that counts has the path
    const struct sl_img_api *prefix;                 // the best prefix API so far
    size_t prefix_depth;                             // declared segments of it
    struct sl_str remainder;                         // what follows it
    size_t prefix_captured;                          //
    struct sl_str prefix_values[SL_PATH_PARAMS_MAX]; //
};

// The API of the list that takes the method: its own before ANY.
static const struct sl_img_api *
pick(struct walk *walk, const struct sl_img_list *list)
{
    const struct image_method *methods = sl_img_items(list);
    const struct sl_img_api *any = NULL;
    for (uint32_t i = 0; i < list->count; i++) {
        const struct sl_img_api *api = image_follow(&methods[i].api);
        if (walk->app != NULL && !sl_img_app_may_call(walk->app, api->publish_id)) {
            continue;
        }
        walk->path_known = true;
        if (methods[i].method == walk->method) {
            return api;
        }
        if (methods[i].method == SL_METHOD_ANY && any == NULL) {
            any = api;
        }
    }
    return any;
}

static void
consider_prefix(struct walk *walk, const struct image_node *node, struct sl_str rest, size_t depth)
{
    if (node->prefix.count == 0 || (walk->prefix != NULL && depth <= walk->prefix_depth)) {
        return;
    }
    const struct sl_img_api *api = pick(walk, &node->prefix);
    if (api == NULL) {
        return;
    }
    walk->prefix = api;
    walk->prefix_depth = depth;
    walk->remainder = rest;
    walk->prefix_captured = walk->captured;
    memcpy(walk->prefix_values, walk->route->captures, walk->captured * sizeof(struct sl_str));
}

static bool
take_exact(struct walk *walk, const struct image_node *node)
{
    if (node->exact.count == 0) {
        return false;
    }
    const struct sl_img_api *api = pick(walk, &node->exact);
    if (api == NULL) {
        return false;
    }
    walk->route->api = api;
    walk->route->capture_count = walk->captured;
    walk->route->remainder = (struct sl_str){0};
    return true;
}

static const struct image_node *
literal_child(const struct walk *walk, const struct image_node *node, struct sl_str label)
{
    if (node->literals.count == 0) {
        return NULL;
    }
    uint64_t hash = sl_hash(walk->seed, label.ptr, label.len);
    const struct image_bucket *buckets = sl_img_items(&node->literals);
    uint32_t mask = node->literals.count - 1;
    for (uint32_t i = 0; i < node->literals.count; i++) {
        const struct image_bucket *bucket = &buckets[(hash + i) & mask];
        if (bucket->off == 0) {
            return NULL;
        }
        if (bucket->tag == image_tag_of(hash)) {
            const struct image_node *child = image_follow(&bucket->off);
            if (sl_str_equal(sl_img_text(&child->label), label)) {
                return child;
            }
        }
    }
    return NULL;
}

static bool
take_plus(struct walk *walk, const struct image_node *node, struct sl_str rest, size_t depth)
{
    if (node->plus == 0 || rest.len < 2) {
        return false;
    }
    const struct image_node *leaf = image_follow(&node->plus);
    walk->route->captures[walk->captured++] = (struct sl_str){rest.ptr + 1, rest.len - 1};
    bool found = take_exact(walk, leaf);
    if (!found) {
        consider_prefix(walk, leaf, (struct sl_str){rest.ptr + rest.len, 0}, depth + 1);
    }
    walk->captured--;
    return found;
}

// Cuts the first segment off `rest`, which begins with '/'.
static struct sl_str
next_label(struct sl_str *rest)
{
    const char *slash = memchr(rest->ptr + 1, '/', rest->len - 1);
    size_t len = (slash == NULL ? rest->len : (size_t)(slash - rest->ptr)) - 1;
    struct sl_str label = {rest->ptr + 1, len};
    *rest = (struct sl_str){label.ptr + len, rest->len - 1 - len};
    return label;
}

// `rest` is empty or begins with '/'. Whether an exact API was found.
static bool
step(struct walk *walk, const struct image_node *node, struct sl_str rest, size_t depth)
{
    for (; rest.len > 0; depth++) {
        struct sl_str after = rest;
        struct sl_str label = next_label(&after);
        consider_prefix(walk, node, rest, depth);
        const struct image_node *child = literal_child(walk, node, label);
        if (node->param == 0 && node->plus == 0) { // one way only: nothing to come back for
            if (child == NULL) {
                return false;
            }
            node = child;
            rest = after;
            continue;
        }
        if (child != NULL && step(walk, child, after, depth + 1)) {
            return true;
        }
        if (node->param != 0 && label.len > 0) {
            walk->route->captures[walk->captured++] = label;
            bool found = step(walk, image_follow(&node->param), after, depth + 1);
            walk->captured--;
            if (found) {
                return true;
            }
        }
        return take_plus(walk, node, rest, depth);
    }
    consider_prefix(walk, node, rest, depth);
    return take_exact(walk, node);
}

bool
sl_image_has_env(struct sl_image *image, const char group_id[SL_ID_LEN], struct sl_str env_name)
{
    return image_routes_find(image, group_id, env_name) != NULL;
}

// Walks one segment; `app` NULL: every API counts.
static enum sl_route_result
route_in(const struct image_segment *segment, const struct sl_img_app *app, enum sl_method method,
         struct sl_str path, struct sl_route *ret_route)
{
    if (segment == NULL || path.len == 0 || path.ptr[0] != '/') {
        return SL_ROUTE_NO_PATH;
    }
    struct walk walk;
    walk.seed = segment->seed;
    walk.app = app;
    walk.method = method;
    walk.route = ret_route;
    walk.captured = 0;
    walk.path_known = false;
    walk.prefix = NULL;
    if (step(&walk, image_follow(&segment->root), path, 0)) {
        return SL_ROUTE_FOUND;
    }
    if (walk.prefix == NULL) {
        return walk.path_known ? SL_ROUTE_NO_METHOD : SL_ROUTE_NO_PATH;
    }
    ret_route->api = walk.prefix;
    ret_route->capture_count = walk.prefix_captured;
    ret_route->remainder = walk.remainder;
    memcpy(ret_route->captures, walk.prefix_values, walk.prefix_captured * sizeof(struct sl_str));
    return SL_ROUTE_FOUND;
}

enum sl_route_result
sl_image_route(struct sl_image *image, const char group_id[SL_ID_LEN], struct sl_str env_name,
               enum sl_method method, struct sl_str path, struct sl_route *ret_route)
{
    return route_in(image_routes_find(image, group_id, env_name), NULL, method, path, ret_route);
}

// -- over groups

static size_t
count_labels(struct sl_str path)
{
    size_t count = 0;
    for (size_t i = 0; i < path.len; i++) {
        count += path.ptr[i] == '/' ? 1 : 0;
    }
    return count;
}

// Whether `a` is the better answer for a path that both match: as the walk has it in one segment.
static bool
is_nearer(const struct sl_img_api *a, const struct sl_img_api *b)
{
    bool is_prefix = a->match_mode == SL_MATCH_SWA;
    struct sl_str left = image_declared(sl_img_text(&a->path), is_prefix);
    struct sl_str right = image_declared(sl_img_text(&b->path), is_prefix);
    if (a->match_mode != b->match_mode) {
        return !is_prefix;
    }
    if (is_prefix && count_labels(left) != count_labels(right)) {
        return count_labels(left) > count_labels(right);
    }
    while (left.len > 0 && right.len > 0) {
        struct sl_str one = next_label(&left);
        struct sl_str other = next_label(&right);
        enum image_piece kind = image_piece_of(one, left.len == 0);
        enum image_piece than = image_piece_of(other, right.len == 0);
        if (kind != than) {
            return kind < than;
        }
    }
    return a->method != SL_METHOD_ANY && b->method == SL_METHOD_ANY;
}

enum sl_route_result
sl_image_route_app(struct sl_image *image, const struct sl_img_app *app, struct sl_str env_name,
                   enum sl_method method, struct sl_str path, struct sl_route *ret_route)
{
    const char *group_id = sl_img_items(&app->groups);
    enum sl_route_result best = SL_ROUTE_NO_PATH;
    for (uint32_t i = 0; i < app->groups.count; i++, group_id += SL_ID_LEN) {
        struct sl_route route;
        enum sl_route_result result =
            route_in(image_routes_find(image, group_id, env_name), app, method, path, &route);
        if (result == SL_ROUTE_FOUND &&
            (best != SL_ROUTE_FOUND || is_nearer(route.api, ret_route->api))) {
            *ret_route = route;
            best = result;
        }
        if (result == SL_ROUTE_NO_METHOD && best == SL_ROUTE_NO_PATH) {
            best = result;
        }
    }
    return best;
}
