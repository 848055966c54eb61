// image_trie.c - the route trie of one (group, environment), and the records of its APIs.
//
// APIs are sorted by their path's segments; a run of equal segments becomes a node. Nodes are laid
// out depth first, each followed by its label, so a walk stays within few cache lines.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/image_write.h"

#include <stdlib.h>

struct piece {
    enum image_piece kind;
    struct sl_str text; // LITERAL: the segment; else the name
};

struct route {
    const struct sl_api *api;
    const struct piece *pieces;
    size_t count;
    struct sl_img_api *record;
};

struct layout {
    struct image_writer *writer;
    uint64_t seed;
    struct route *routes; // sorted
};

static struct piece
piece_of(struct sl_str segment, bool is_last)
{
    enum image_piece kind = image_piece_of(segment, is_last);
    size_t around = kind == IMAGE_PIECE_PLUS ? 3 : 2; // {+} or {}
    return kind == IMAGE_PIECE_LITERAL
               ? (struct piece){kind, segment}
               : (struct piece){kind, {segment.ptr + 1, segment.len - around}};
}

bool
image_path_valid(const char *path)
{
    size_t params = 0;
    for (const char *at = path; *at != '\0'; at++) {
        params += *at == '{' ? 1 : 0;
    }
    return path[0] == '/' && params <= SL_PATH_PARAMS_MAX;
}

static int
split_path(struct sl_arena *arena, struct route *route)
{
    struct sl_str path =
        image_declared(sl_str(route->api->path), route->api->match_mode == SL_MATCH_SWA);
    size_t count = 0;
    for (size_t i = 0; i < path.len; i++) {
        count += path.ptr[i] == '/' ? 1 : 0;
    }
    struct piece *pieces = sl_arena_array(arena, count + 1, sizeof(*pieces));
    if (pieces == NULL) {
        return -1;
    }
    struct sl_str rest = {path.ptr + 1, path.len == 0 ? 0 : path.len - 1};
    for (size_t i = 0; i < count; i++) {
        struct sl_str segment = sl_str_split(&rest, '/');
        pieces[i] = piece_of(segment, i + 1 == count);
    }
    route->pieces = pieces;
    route->count = count;
    return 0;
}

static int
compare_text(struct sl_str a, struct sl_str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    if (order != 0 || a.len == b.len) {
        return order;
    }
    return a.len < b.len ? -1 : 1;
}

// Parameters are one child whatever their names.
static int
compare_pieces(const struct piece *a, const struct piece *b)
{
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    return a->kind == IMAGE_PIECE_LITERAL ? compare_text(a->text, b->text) : 0;
}

static int
compare_routes(const void *left, const void *right)
{
    const struct route *a = left;
    const struct route *b = right;
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        int order = compare_pieces(&a->pieces[i], &b->pieces[i]);
        if (order != 0) {
            return order;
        }
    }
    if (a->count != b->count) {
        return a->count < b->count ? -1 : 1;
    }
    return strcmp(a->api->publish_id, b->api->publish_id);
}

// -- records

static int
write_captures(struct image_writer *writer, struct sl_img_api *record, const struct route *route)
{
    size_t count = 0;
    for (size_t i = 0; i < route->count; i++) {
        count += route->pieces[i].kind == IMAGE_PIECE_LITERAL ? 0 : 1;
    }
    struct sl_img_str *names = image_put_list(writer, &record->captures, count, sizeof(*names),
                                              _Alignof(struct sl_img_str));
    for (size_t i = 0, at = 0; names != NULL && i < route->count; i++) {
        const struct piece *piece = &route->pieces[i];
        if (piece->kind == IMAGE_PIECE_LITERAL) {
            continue;
        }
        char *copy = image_place(writer, piece->text.len, 1);
        if (copy == NULL) {
            return -1;
        }
        memcpy(copy, piece->text.ptr, piece->text.len);
        image_link(&names[at].off, copy);
        names[at++].len = (uint32_t)piece->text.len;
    }
    return names == NULL && count > 0 ? -1 : 0;
}

static int
write_record(struct image_writer *writer, struct route *route)
{
    const struct sl_api *api = route->api;
    struct sl_img_api *record = image_place(writer, sizeof(*record), IMAGE_ALIGN);
    if (record == NULL) {
        return -1;
    }
    route->record = record;
    return write_captures(writer, record, route) != 0 ? -1 : image_write_api(writer, record, api);
}

static int
write_records(struct layout *layout, struct image_segment *segment, size_t count)
{
    size_t places = image_table_places(count);
    struct image_bucket *table =
        image_put_list(layout->writer, &segment->table, places, sizeof(*table), IMAGE_ALIGN);
    if (table == NULL) {
        return count == 0 ? 0 : -1;
    }
    for (size_t i = 0; i < count; i++) {
        struct route *route = &layout->routes[i];
        if (write_record(layout->writer, route) != 0) {
            return -1;
        }
        image_table_add(table, places, sl_hash(layout->seed, route->record->publish_id, SL_ID_LEN),
                        route->record);
    }
    return 0;
}

// -- nodes

// The end of the run of routes that share the piece at `depth` with routes[lo].
static size_t
run_end(const struct layout *layout, size_t lo, size_t hi, size_t depth)
{
    size_t end = lo + 1;
    while (end < hi && compare_pieces(&layout->routes[lo].pieces[depth],
                                      &layout->routes[end].pieces[depth]) == 0) {
        end++;
    }
    return end;
}

static int
write_methods(struct layout *layout, struct sl_img_list *field, size_t lo, size_t hi,
              enum sl_match_mode mode)
{
    size_t count = 0;
    for (size_t i = lo; i < hi; i++) {
        count += layout->routes[i].api->match_mode == mode ? 1 : 0;
    }
    struct image_method *methods = image_put_list(layout->writer, field, count, sizeof(*methods),
                                                  _Alignof(struct image_method));
    if (methods == NULL) {
        return count == 0 ? 0 : -1;
    }
    for (size_t i = lo, at = 0; i < hi; i++) {
        if (layout->routes[i].api->match_mode == mode) {
            methods[at].method = layout->routes[i].api->method;
            image_link(&methods[at++].api, layout->routes[i].record);
        }
    }
    return 0;
}

static size_t
count_literals(const struct layout *layout, size_t lo, size_t hi, size_t depth)
{
    size_t count = 0;
    while (lo < hi && layout->routes[lo].pieces[depth].kind == IMAGE_PIECE_LITERAL) {
        count++;
        lo = run_end(layout, lo, hi, depth);
    }
    return count;
}

static struct image_node *write_node(struct layout *layout, size_t lo, size_t hi, size_t depth);

// Children of a node: routes lo..hi all have a piece at `depth`.
static int
write_children(struct layout *layout, struct image_node *node, size_t lo, size_t hi, size_t depth)
{
    size_t places = image_table_places(count_literals(layout, lo, hi, depth));
    struct image_bucket *table = image_put_list(layout->writer, &node->literals, places,
                                                sizeof(*table), _Alignof(struct image_bucket));
    if (table == NULL && places > 0) {
        return -1;
    }
    while (lo < hi) {
        const struct piece *piece = &layout->routes[lo].pieces[depth];
        size_t end = run_end(layout, lo, hi, depth);
        struct image_node *child = write_node(layout, lo, end, depth + 1);
        if (child == NULL) {
            return -1;
        }
        if (piece->kind == IMAGE_PIECE_LITERAL) {
            image_table_add(table, places, sl_hash(layout->seed, piece->text.ptr, piece->text.len),
                            child);
        } else {
            image_link(piece->kind == IMAGE_PIECE_PARAM ? &node->param : &node->plus, child);
        }
        lo = end;
    }
    return 0;
}

// A node, its label, its methods and all below it. Routes lo..hi share their first `depth` pieces.
static struct image_node *
write_node(struct layout *layout, size_t lo, size_t hi, size_t depth)
{
    struct image_node *node = image_place(layout->writer, sizeof(*node), IMAGE_ALIGN);
    if (node == NULL) {
        return NULL;
    }
    if (depth > 0 && layout->routes[lo].pieces[depth - 1].kind == IMAGE_PIECE_LITERAL) {
        struct sl_str label = layout->routes[lo].pieces[depth - 1].text;
        char *copy = image_place(layout->writer, label.len, 1);
        if (copy == NULL) {
            return NULL;
        }
        memcpy(copy, label.ptr, label.len);
        if (label.len > 0) {
            image_link(&node->label.off, copy);
            node->label.len = (uint32_t)label.len;
        }
    }
    size_t ends = lo; // routes that end here come first
    while (ends < hi && layout->routes[ends].count == depth) {
        ends++;
    }
    if (write_methods(layout, &node->exact, lo, ends, SL_MATCH_NORMAL) != 0 ||
        write_methods(layout, &node->prefix, lo, ends, SL_MATCH_SWA) != 0 ||
        write_children(layout, node, ends, hi, depth) != 0) {
        return NULL;
    }
    return node;
}

static int
lay_out(struct layout *layout, struct sl_arena *arena, const struct sl_api **apis, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        layout->routes[i].api = apis[i];
        if (split_path(arena, &layout->routes[i]) != 0) {
            return -1;
        }
    }
    if (count == 0) {
        return -1; // an empty slot has no segment
    }
    qsort(layout->routes, count, sizeof(*layout->routes), compare_routes);
    struct image_segment *segment = image_segment_begin(layout->writer, IMAGE_ROUTES, layout->seed);
    if (segment == NULL || write_records(layout, segment, count) != 0) {
        return -1;
    }
    struct image_node *root = write_node(layout, 0, count, 0);
    if (root == NULL) {
        return -1;
    }
    image_link(&segment->root, root);
    return 0;
}

int
image_write_routes(struct image_writer *writer, uint64_t seed, const struct sl_api **apis,
                   size_t count, struct sl_error *err)
{
    SL_AUTO(sl_arena) arena = sl_arena_new(IMAGE_SEGMENT_MAX);
    if (arena == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    struct layout layout = {writer, seed, sl_arena_array(arena, count, sizeof(struct route))};
    if ((layout.routes == NULL && count > 0) || lay_out(&layout, arena, apis, count) != 0) {
        return image_full(err);
    }
    return image_segment_end(writer, err);
}
