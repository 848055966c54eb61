// peer.c - see peer.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>
#include <zmq.h>

#define PEER_FILE_MAX 16384 // bytes of a peer file
#define CURVE_KEY_LEN 32    // bytes of a key, 40 characters in Z85

// A flat map's key and where its value goes: a text member or a key of SL_Z85_SIZE.
struct peer_field {
    const char *name;
    const char **text; // or NULL
    char *key;         // SL_Z85_SIZE bytes, or NULL
};

struct loading {
    const char *path;
    struct sl_arena *arena;
    yaml_document_t *document;
    struct sl_error *err;
};

static int
fail_at(const struct loading *loading, const char *what, const char *name)
{
    char text[SL_ERROR_ARG_MAX];
    snprintf(text, sizeof(text), "%s: %s '%s'", loading->path, what, name);
    return sl_fail(loading->err, SL_E_CONFIG, text);
}

static bool
is_z85_key(const char *text)
{
    uint8_t raw[CURVE_KEY_LEN];
    return strlen(text) == SL_Z85_SIZE - 1 && zmq_z85_decode(raw, text) != NULL;
}

static int
set_field(const struct loading *loading, const struct peer_field *field, const char *value)
{
    if (field->text != NULL) {
        *field->text = sl_arena_dup(loading->arena, value);
        return sl_arena_check(loading->arena, loading->err);
    }
    if (!is_z85_key(value)) {
        return fail_at(loading, "malformed key", field->name);
    }
    memcpy(field->key, value, SL_Z85_SIZE);
    return 0;
}

static const char *
scalar_of(const yaml_node_t *node)
{
    return node != NULL && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value
                                                          : NULL;
}

static const struct peer_field *
find_field(const struct peer_field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, name) == 0) {
            return &fields[i];
        }
    }
    return NULL;
}

// Fills the fields from a map; all must be there. The value of the key "buses" goes to *ret_buses.
static int
load_map(const struct loading *loading, const yaml_node_t *map, const struct peer_field *fields,
         size_t count, yaml_node_t **ret_buses)
{
    if (map == NULL || map->type != YAML_MAPPING_NODE) {
        return fail_at(loading, "is not", "a map");
    }
    unsigned seen = 0;
    for (const yaml_node_pair_t *pair = map->data.mapping.pairs.start;
         pair < map->data.mapping.pairs.top; pair++) {
        const char *name = scalar_of(yaml_document_get_node(loading->document, pair->key));
        yaml_node_t *value = yaml_document_get_node(loading->document, pair->value);
        if (name != NULL && ret_buses != NULL && strcmp(name, "buses") == 0) {
            *ret_buses = value;
            continue;
        }
        const struct peer_field *field = name != NULL ? find_field(fields, count, name) : NULL;
        if (field == NULL || scalar_of(value) == NULL) {
            return fail_at(loading, "unknown key", name != NULL ? name : "");
        }
        if (set_field(loading, field, scalar_of(value)) != 0) {
            return -1;
        }
        seen |= 1U << (field - fields);
    }
    for (size_t i = 0; i < count; i++) {
        if ((seen & (1U << i)) == 0) {
            return fail_at(loading, "has no", fields[i].name);
        }
    }
    return 0;
}

static int
load_bus(const struct loading *loading, const yaml_node_t *map, struct sl_bus_address *bus)
{
    const struct peer_field fields[] = {{"commands", &bus->commands, NULL},
                                        {"workers", &bus->workers, NULL},
                                        {"events", &bus->events, NULL},
                                        {"public_key", NULL, bus->public_key}};
    return load_map(loading, map, fields, SL_COUNT(fields), NULL);
}

static int
load_buses(const struct loading *loading, const yaml_node_t *list, struct sl_peer *peer)
{
    if (list == NULL || list->type != YAML_SEQUENCE_NODE) {
        return fail_at(loading, "has no", "buses");
    }
    for (const yaml_node_item_t *item = list->data.sequence.items.start;
         item < list->data.sequence.items.top; item++) {
        if (peer->bus_count == SL_BUSES_MAX) {
            return fail_at(loading, "too many", "buses");
        }
        if (load_bus(loading, yaml_document_get_node(loading->document, *item),
                     &peer->buses[peer->bus_count]) != 0) {
            return -1;
        }
        peer->bus_count++;
    }
    return peer->bus_count > 0 ? 0 : fail_at(loading, "has no", "buses");
}

static int
load_document(const struct loading *loading, struct sl_peer *peer)
{
    const struct peer_field fields[] = {{"name", &peer->name, NULL},
                                        {"public_key", NULL, peer->public_key},
                                        {"secret_key", NULL, peer->secret_key}};
    yaml_node_t *buses = NULL;
    if (load_map(loading, yaml_document_get_root_node(loading->document), fields, SL_COUNT(fields),
                 &buses) != 0) {
        return -1;
    }
    return load_buses(loading, buses, peer);
}

// Reads the whole file into `text`; refuses one that others may read.
static int
read_private(const char *path, char text[PEER_FILE_MAX], size_t *ret_len, struct sl_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        sl_fail(err, SL_E_CONFIG, path);
        return sl_error_detail(err, "%s", strerror(errno));
    }
    struct stat info;
    ssize_t len = -1;
    bool is_private = fstat(fd, &info) == 0 && (info.st_mode & (S_IRWXG | S_IRWXO)) == 0;
    if (is_private) {
        len = read(fd, text, PEER_FILE_MAX);
    }
    close(fd);
    if (!is_private) {
        char message[SL_ERROR_ARG_MAX];
        snprintf(message, sizeof(message), "%s: others may access it, mode must be 0600", path);
        return sl_fail(err, SL_E_CONFIG, message);
    }
    if (len < 0 || len == PEER_FILE_MAX) {
        return sl_fail(err, SL_E_CONFIG, path);
    }
    *ret_len = (size_t)len;
    return 0;
}

int
sl_peer_load(const char *path, struct sl_arena *arena, struct sl_peer *peer, struct sl_error *err)
{
    char text[PEER_FILE_MAX];
    size_t len = 0;
    if (read_private(path, text, &len, err) != 0) {
        return -1;
    }
    *peer = (struct sl_peer){.name = NULL};
    yaml_parser_t parser;
    yaml_document_t document;
    struct loading loading = {path, arena, &document, err};
    if (yaml_parser_initialize(&parser) == 0) {
        return fail_at(&loading, "out of", "memory");
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    int rc = -1;
    if (yaml_parser_load(&parser, &document) == 0) {
        fail_at(&loading, "is not", "YAML");
    } else {
        rc = load_document(&loading, peer);
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    explicit_bzero(text, sizeof(text));
    return rc;
}

static void
print_peer(FILE *out, const struct sl_peer *peer)
{
    // Z85 has no quote and no backslash; names and addresses are ours.
    fprintf(out, "name: \"%s\"\npublic_key: '%s'\nsecret_key: '%s'\nbuses:\n", peer->name,
            peer->public_key, peer->secret_key);
    for (size_t i = 0; i < peer->bus_count; i++) {
        const struct sl_bus_address *bus = &peer->buses[i];
        fprintf(out,
                "  - commands: \"%s\"\n    workers: \"%s\"\n    events: \"%s\"\n"
                "    public_key: '%s'\n",
                bus->commands, bus->workers, bus->events, bus->public_key);
    }
}

int
sl_peer_save(const char *path, const struct sl_peer *peer, struct sl_error *err)
{
    char fresh[4096];
    int len = snprintf(fresh, sizeof(fresh), "%s.new", path);
    int fd = len < (int)sizeof(fresh)
                 ? open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR)
                 : -1;
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (out == NULL) {
        sl_fail(err, SL_E_CONFIG, path);
        sl_error_detail(err, "%s", strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    print_peer(out, peer);
    bool is_written = fchmod(fd, S_IRUSR | S_IWUSR) == 0 && fflush(out) == 0 && fsync(fd) == 0;
    if (fclose(out) != 0 || !is_written || rename(fresh, path) != 0) {
        sl_fail(err, SL_E_CONFIG, path);
        sl_error_detail(err, "%s", strerror(errno));
        unlink(fresh);
        return -1;
    }
    return 0;
}

void
sl_peer_keys(char ret_public[SL_Z85_SIZE], char ret_secret[SL_Z85_SIZE])
{
    int rc = zmq_curve_keypair(ret_public, ret_secret);
    assert(rc == 0);
}
