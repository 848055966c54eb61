// ngx_http_sluice_shown.c - the certificates that handshakes show, as OpenSSL takes them.
//
// The image has DER. A worker parses a certificate when a handshake first needs it and keeps what
// came of it, the key too, as long as the image has the same: each handshake after a switch of the
// image looks at some of what is kept and drops what left. Beyond SHOWN_MAX the one that rested
// longest goes.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_domain.h"

#include "common/base/hash.h"

#define SHOWN_MAX 8192 // certificates that a worker keeps
#define HEADS     8192 // lists of a hash table, a power of two
#define SWEEP     64   // lists that a handshake looks through after a switch

struct kept {
    struct ngx_http_sluice_shown shown;
    ngx_queue_t order; // among all, the last used first
    struct kept *next; // in its list
    char id[SL_ID_LEN];
    uint64_t version;
};

// A worker is one thread, so it needs no lock.
static struct {
    struct kept *heads[HEADS];
    ngx_queue_t order; // zeros: nothing was kept yet
    size_t count;
    uint64_t generation; // of the image that is looked through, or was
    size_t swept;        // lists of it
} own;

static struct kept **
head_of(const char id[SL_ID_LEN])
{
    return &own.heads[sl_hash(0, id, SL_ID_LEN) & (HEADS - 1)];
}

// -- parsing --------------------------------------------------------------------------------------

static X509 *
parse_der(const struct sl_img_str *der)
{
    struct sl_str bytes = sl_img_text(der);
    const unsigned char *at = (const unsigned char *)bytes.ptr;
    X509 *one = d2i_X509(NULL, &at, (long)bytes.len);

    if (one != NULL && at != (const unsigned char *)bytes.ptr + bytes.len) {
        X509_free(one);
        return NULL;
    }
    return one;
}

static EVP_PKEY *
parse_key(const struct sl_img_str *der)
{
    struct sl_str bytes = sl_img_text(der);
    const unsigned char *at = (const unsigned char *)bytes.ptr;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)bytes.len);
    EVP_PKEY *key = info == NULL ? NULL : EVP_PKCS82PKEY(info);

    PKCS8_PRIV_KEY_INFO_free(info);
    return key;
}

static bool
parse_chain(struct ngx_http_sluice_shown *shown, const struct sl_img_list *list)
{
    const struct sl_img_str *ders = sl_img_items(list);

    shown->chain = sk_X509_new_null();
    for (uint32_t i = 1; shown->chain != NULL && i < list->count; i++) {
        X509 *one = parse_der(&ders[i]);

        if (one == NULL || sk_X509_push(shown->chain, one) == 0) {
            X509_free(one);
            return false;
        }
    }
    return shown->chain != NULL;
}

static bool
add_authority(struct ngx_http_sluice_shown *shown, const struct sl_img_str *der)
{
    X509 *one = parse_der(der);
    X509_NAME *name = one == NULL ? NULL : X509_NAME_dup(X509_get_subject_name(one));
    bool good = name != NULL && X509_STORE_add_cert(shown->authorities, one) == 1;

    X509_free(one);
    if (good && sk_X509_NAME_push(shown->names, name) > 0) {
        return true;
    }
    X509_NAME_free(name);
    return false;
}

static bool
parse_authorities(struct ngx_http_sluice_shown *shown, const struct sl_img_list *list)
{
    const struct sl_img_str *ders = sl_img_items(list);

    if (list->count == 0) {
        return true;
    }
    shown->authorities = X509_STORE_new();
    shown->names = sk_X509_NAME_new_null();
    if (shown->authorities == NULL || shown->names == NULL) {
        return false;
    }
    // An authority in the middle of a chain is as good as one at its top: the owner named it.
    X509_STORE_set_flags(shown->authorities, X509_V_FLAG_PARTIAL_CHAIN);
    for (uint32_t i = 0; i < list->count; i++) {
        if (!add_authority(shown, &ders[i])) {
            return false;
        }
    }
    return true;
}

static void
clear(struct ngx_http_sluice_shown *shown)
{
    X509_free(shown->leaf);
    EVP_PKEY_free(shown->key);
    sk_X509_pop_free(shown->chain, X509_free);
    X509_STORE_free(shown->authorities);
    sk_X509_NAME_pop_free(shown->names, X509_NAME_free);
    *shown = (struct ngx_http_sluice_shown){0};
}

// Leaves nothing of a certificate of which a part does not hold: without its authorities it would
// take nobody's word for everybody's.
static void
parse(struct ngx_http_sluice_shown *shown, const struct sl_img_certificate *record)
{
    shown->leaf = record->chain.count == 0 ? NULL : parse_der(sl_img_items(&record->chain));
    shown->key = shown->leaf == NULL ? NULL : parse_key(&record->key);
    if (shown->key == NULL || X509_check_private_key(shown->leaf, shown->key) != 1 ||
        !parse_chain(shown, &record->chain) || !parse_authorities(shown, &record->ca)) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "the certificate %*s cannot be used, its domains show the node's own",
                      (size_t)SL_ID_LEN, record->id);
        clear(shown);
    }
    ERR_clear_error();
}

// -- keeping --------------------------------------------------------------------------------------

static void
drop(struct kept *kept)
{
    struct kept **link = head_of(kept->id);

    while (*link != kept) {
        link = &(*link)->next;
    }
    *link = kept->next;
    ngx_queue_remove(&kept->order);
    clear(&kept->shown);
    free(kept);
    own.count--;
}

static struct kept *
keep(const struct sl_img_certificate *record)
{
    struct kept **head = head_of(record->id);
    struct kept *kept = calloc(1, sizeof(*kept));

    if (kept == NULL) {
        return NULL;
    }
    if (own.count >= SHOWN_MAX) {
        drop(ngx_queue_data(ngx_queue_last(&own.order), struct kept, order));
    }
    ngx_memcpy(kept->id, record->id, sizeof(kept->id));
    kept->version = record->version;
    parse(&kept->shown, record);
    kept->next = *head;
    *head = kept;
    ngx_queue_insert_head(&own.order, &kept->order);
    own.count++;
    return kept;
}

static struct kept *
find(const char id[SL_ID_LEN])
{
    struct kept *kept = *head_of(id);

    while (kept != NULL && ngx_memcmp(kept->id, id, SL_ID_LEN) != 0) {
        kept = kept->next;
    }
    return kept;
}

static void
sweep_list(struct sl_image *image, struct kept *kept)
{
    while (kept != NULL) {
        struct kept *next = kept->next;
        const struct sl_img_certificate *record = sl_image_certificate(image, kept->id);

        if (record == NULL || record->version != kept->version) {
            drop(kept);
        }
        kept = next;
    }
}

// Looks through some lists when the image moved since all of them were.
static void
sweep(struct sl_image *image)
{
    if (sl_image_generation(image) != own.generation) {
        own.generation = sl_image_generation(image);
        own.swept = 0;
    }
    for (size_t i = 0; i < SWEEP && own.swept < HEADS; i++) {
        sweep_list(image, own.heads[own.swept++]);
    }
}

const struct ngx_http_sluice_shown *
ngx_http_sluice_shown(struct sl_image *image, const char id[SL_ID_LEN])
{
    const struct sl_img_certificate *record = sl_image_certificate(image, id);
    struct kept *kept;

    if (own.order.next == NULL) {
        ngx_queue_init(&own.order);
    }
    sweep(image);
    if (record == NULL) {
        return NULL;
    }
    kept = find(id);
    if (kept != NULL && kept->version != record->version) {
        drop(kept);
        kept = NULL;
    }
    if (kept == NULL) {
        kept = keep(record);
        return kept == NULL ? NULL : &kept->shown;
    }
    ngx_queue_remove(&kept->order);
    ngx_queue_insert_head(&own.order, &kept->order);
    return &kept->shown;
}

void
ngx_http_sluice_shown_exit(void)
{
    while (own.count > 0) {
        drop(ngx_queue_data(ngx_queue_last(&own.order), struct kept, order));
    }
}
