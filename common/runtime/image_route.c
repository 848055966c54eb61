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
    enum sl_method method;                           // wanted
    struct sl_route *route;                          // answer; captures[] is also the walk's stack
    size_t captured;                                 // values on the stack
    bool path_known;                                 // some API has the path
    const struct sl_img_api *prefix;                 // the best prefix API so far
    size_t prefix_depth;                             // declared segments of it
    struct sl_str remainder;                         // what follows it
    size_t prefix_captured;                          //
    struct sl_str prefix_values[SL_PATH_PARAMS_MAX]; //
};

// The API of the list that takes the method: its own before ANY.
static const struct sl_img_api *
pick(const struct sl_img_list *list, enum sl_method method)
{
    const struct image_method *methods = sl_img_items(list);
    const struct sl_img_api *any = NULL;
    for (uint32_t i = 0; i < list->count; i++) {
        if (methods[i].method == method) {
            return image_follow(&methods[i].api);
        }
        if (methods[i].method == SL_METHOD_ANY && any == NULL) {
            any = image_follow(&methods[i].api);
        }
    }
    return any;
}

static void
consider_prefix(struct walk *walk, const struct image_node *node, struct sl_str rest, size_t depth)
{
    if (node->prefix.count == 0) {
        return;
    }
    walk->path_known = true;
    if (walk->prefix != NULL && depth <= walk->prefix_depth) {
        return;
    }
    const struct sl_img_api *api = pick(&node->prefix, walk->method);
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
    walk->path_known = true;
    const struct sl_img_api *api = pick(&node->exact, walk->method);
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

enum sl_route_result
sl_image_route(struct sl_image *image, const char group_id[SL_ID_LEN], struct sl_str env_name,
               enum sl_method method, struct sl_str path, struct sl_route *ret_route)
{
    const struct image_segment *segment = image_routes_find(image, group_id, env_name);
    if (segment == NULL || path.len == 0 || path.ptr[0] != '/') {
        return SL_ROUTE_NO_PATH;
    }
    struct walk walk;
    walk.seed = segment->seed;
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
