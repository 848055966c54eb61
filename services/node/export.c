// export.c - what a node's store holds, as a file for other nodes.
//
// SPDX-License-Identifier: Apache-2.0
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/runtime/entry.h"
#include "services/node/agent.h"
#include "services/node/seed.h"

// The gateway entry of a store.
struct finding {
    const struct settings *settings;
    const struct keys *keys;
    struct sl_arena *arena;
    struct sl_entry entry;
    bool is_found;
};

static int
find_gateway(void *arg, const struct sl_store_record *record, struct sl_error *err)
{
    struct finding *finding = arg;
    struct sl_str plain;
    if (strcmp(record->kind, sl_kind_name(SL_KIND_GATEWAY)) != 0) {
        return 0;
    }
    const char *context = sl_arena_printf(finding->arena, "%s/%s/%s", finding->settings->gateway_id,
                                          record->kind, record->key);
    if (context == NULL ||
        keys_unseal(finding->keys, finding->arena, sl_str(context), record->body, &plain, err) !=
            0 ||
        sl_entry_decode(finding->arena, SL_KIND_GATEWAY, plain, &finding->entry, err) != 0) {
        return -1;
    }
    finding->is_found = true;
    return 1;
}

static int
export_store(const struct finding *from, struct sl_store *store, const char *file,
             struct sl_error *err)
{
    struct finding finding = *from;
    if (sl_store_each(store, find_gateway, &finding, err) != 0) {
        return -1;
    }
    if (!finding.is_found) {
        sl_fail(err, SL_E_CONFIG, "state_dir");
        return sl_error_detail(err, "the store holds no gateway yet");
    }
    struct page_source source = {.store = store,
                                 .keys = finding.keys,
                                 .gateway_id = finding.settings->gateway_id,
                                 .readers = finding.entry.gateway.node_keys,
                                 .reader_count = finding.entry.gateway.node_key_count};
    return seed_file_write(file, &source, err);
}

int
agent_export(const struct settings *settings, const char *file, struct sl_arena *arena,
             struct sl_error *err)
{
    char path[PATH_MAX];
    struct sl_peer peer;
    struct keys keys;
    if (sl_peer_load(settings->peer_file, arena, &peer, err) != 0 ||
        keys_init(&keys, peer.secret_key, err) != 0) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/store", settings->state_dir);
    SL_AUTO(sl_store) store = sl_store_open_read(path, err);
    struct finding finding = {.settings = settings, .keys = &keys, .arena = arena};
    int rc = store != NULL && keys_load(&keys, store, err) == 0
                 ? export_store(&finding, store, file, err)
                 : -1;
    keys_clear(&keys);
    return rc;
}
