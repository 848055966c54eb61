// checker.c - see checker.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/checker.h"

#include <czmq.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/siphash.h"
#include "services/node/probe.h"

#define EVENTS_MAX 16   // of one turn: a handshake may take half a millisecond
#define UNKNOWN_MS 1000 // between looks whether a host has addresses
#define KEY_MAX    300  // characters of "host:port"

struct channel;

struct member {
    struct channel *channel;
    char *host;
    uint16_t port;
    bool wanted;         // by the channel that is being put
    bool faulty;         //
    uint32_t streak;     // probes in a row that say otherwise
    int64_t due_ms;      // next probe
    struct probe *probe; // that runs; NULL: none
};

struct channel {
    struct checker *checker;
    char id[SL_ID_SIZE];
    struct sl_health health; // its texts are the channel's own
    zhashx_t *members;       // "host:port" → struct member
};

struct checker {
    struct sl_image_builder *builder;
    int epoll_fd;
    zhashx_t *channels;         // id → struct channel
    SSL_CTX *bare, *presenting; // without a certificate, and with that of `content` and `key`
    char *content, *key;        // PEM; NULL: none was looked at
    size_t running;             // probes
    bool changed;               // a member's health
    bool is_starved;            // the last probe could not be made
};

// -- making and ending

static void
end_probe(struct member *member)
{
    if (member->probe != NULL) {
        probe_free(&member->probe);
        member->channel->checker->running--;
    }
}

static void
free_member(void **item)
{
    struct member *member = *item;
    *item = NULL;
    end_probe(member);
    free(member->host);
    free(member);
}

static void
free_channel(void **item)
{
    struct channel *channel = *item;
    *item = NULL;
    zhashx_destroy(&channel->members);
    free((char *)(uintptr_t)channel->health.path);
    free((char *)(uintptr_t)channel->health.codes);
    free(channel);
}

struct checker *
checker_new(struct sl_image_builder *builder, struct sl_error *err)
{
    struct checker *checker = calloc(1, sizeof(*checker));
    if (checker == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    checker->builder = builder;
    checker->channels = zhashx_new();
    zhashx_set_destructor(checker->channels, free_channel);
    checker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    checker->bare = SSL_CTX_new(TLS_client_method());
    if (checker->epoll_fd < 0 || checker->bare == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        checker_free(&checker);
    }
    return checker;
}

void
checker_free(struct checker **checker)
{
    if (checker == NULL || *checker == NULL) {
        return;
    }
    struct checker *gone = *checker;
    *checker = NULL;
    zhashx_destroy(&gone->channels);
    if (gone->epoll_fd >= 0) {
        close(gone->epoll_fd);
    }
    SSL_CTX_free(gone->bare);
    SSL_CTX_free(gone->presenting);
    free(gone->content);
    free(gone->key);
    free(gone);
}

// -- channels

static int
take_health(struct channel *channel, const struct sl_health *health)
{
    char *path = strdup(health->path);
    char *codes = strdup(health->codes);
    if (path == NULL || codes == NULL) {
        free(path);
        free(codes);
        return -1;
    }
    free((char *)(uintptr_t)channel->health.path);
    free((char *)(uintptr_t)channel->health.codes);
    channel->health = *health;
    channel->health.path = path;
    channel->health.codes = codes;
    return 0;
}

static struct channel *
channel_of(struct checker *checker, const char *id)
{
    struct channel *channel = zhashx_lookup(checker->channels, id);
    if (channel != NULL) {
        return channel;
    }
    channel = calloc(1, sizeof(*channel));
    if (channel == NULL) {
        return NULL;
    }
    channel->checker = checker;
    snprintf(channel->id, sizeof(channel->id), "%s", id);
    channel->members = zhashx_new();
    zhashx_set_key_hasher(channel->members, sl_siphash_text);
    zhashx_set_destructor(channel->members, free_member);
    zhashx_insert(checker->channels, id, channel);
    return channel;
}

// The member that is called so, as it was or new: then it is healthy, and probed at once.
static struct member *
member_of(struct channel *channel, const struct sl_member *from)
{
    char key[KEY_MAX];
    snprintf(key, sizeof(key), "%s:%u", from->host, from->port);
    struct member *member = zhashx_lookup(channel->members, key);
    if (member != NULL) {
        return member;
    }
    member = calloc(1, sizeof(*member));
    if (member == NULL) {
        return NULL;
    }
    member->channel = channel;
    member->port = from->port;
    member->host = strdup(from->host);
    if (member->host == NULL) {
        free(member);
        return NULL;
    }
    zhashx_insert(channel->members, key, member);
    return member;
}

static void
drop_unwanted(struct channel *channel)
{
    zlistx_t *keys = zhashx_keys(channel->members);
    for (const char *key = zlistx_first(keys); key != NULL; key = zlistx_next(keys)) {
        struct member *member = zhashx_lookup(channel->members, key);
        if (!member->wanted) {
            zhashx_delete(channel->members, key);
        } else {
            member->wanted = false;
        }
    }
    zlistx_destroy(&keys);
}

int
checker_put(struct checker *checker, const struct sl_channel *from, struct sl_error *err)
{
    if (from->health.protocol == SL_PROBE_NONE) {
        zhashx_delete(checker->channels, from->id); // all are taken for healthy
        return 0;
    }
    struct channel *channel = channel_of(checker, from->id);
    if (channel == NULL || take_health(channel, &from->health) != 0) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    for (size_t i = 0; i < from->member_count; i++) {
        struct member *member = member_of(channel, &from->members[i]);
        if (member == NULL) {
            return sl_fail(err, SL_E_INTERNAL);
        }
        member->wanted = true;
        if (member->faulty) {
            (void)sl_image_builder_faulty(checker->builder, channel->id, member->host, member->port,
                                          true);
        }
    }
    drop_unwanted(channel);
    return 0;
}

// -- TLS

static const char *
feature_text(const struct sl_gateway *gateway, enum sl_feature feature)
{
    for (size_t i = 0; gateway != NULL && i < gateway->feature_count; i++) {
        if (sl_feature_find(gateway->features[i].name) == feature) {
            return gateway->features[i].value;
        }
    }
    return "";
}

// A key that wants a password is none: nobody is there to type it.
static int
no_password(char *buffer, int size, int writing, void *data)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)data;
    return -1;
}

// A context that shows the certificate; NULL: these are no certificate and its key.
static SSL_CTX *
make_presenting(const char *content, const char *key_text)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    BIO *chain = BIO_new_mem_buf(content, -1);
    BIO *key_bio = BIO_new_mem_buf(key_text, -1);
    X509 *own = chain == NULL ? NULL : PEM_read_bio_X509(chain, NULL, no_password, NULL);
    EVP_PKEY *key =
        key_bio == NULL ? NULL : PEM_read_bio_PrivateKey(key_bio, NULL, no_password, NULL);
    bool good = ctx != NULL && own != NULL && key != NULL &&
                SSL_CTX_use_certificate(ctx, own) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1;
    X509 *more;
    while (good && (more = PEM_read_bio_X509(chain, NULL, no_password, NULL)) != NULL) {
        good = SSL_CTX_add1_chain_cert(ctx, more) == 1;
        X509_free(more);
    }
    X509_free(own);
    EVP_PKEY_free(key);
    BIO_free(chain);
    BIO_free(key_bio);
    ERR_clear_error();
    if (!good) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

static SSL_CTX *
context_for(struct checker *checker, const struct sl_health *health)
{
    const struct sl_gateway *gateway = sl_image_builder_gateway(checker->builder);
    if (!health->client_ssl || strcmp(feature_text(gateway, SL_FEATURE_BACKEND_TLS), "on") != 0) {
        return checker->bare;
    }
    const char *content = feature_text(gateway, SL_FEATURE_BACKEND_CERTIFICATE);
    const char *key = feature_text(gateway, SL_FEATURE_BACKEND_KEY);
    if (checker->content == NULL || checker->key == NULL ||
        strcmp(content, checker->content) != 0 || strcmp(key, checker->key) != 0) {
        SSL_CTX_free(checker->presenting);
        free(checker->content);
        free(checker->key);
        checker->content = strdup(content);
        checker->key = strdup(key);
        checker->presenting = make_presenting(content, key);
    }
    return checker->presenting != NULL ? checker->presenting : checker->bare;
}

// -- results

static void
judge(struct member *member, bool good)
{
    struct channel *channel = member->channel;
    struct checker *checker = channel->checker;
    uint32_t threshold =
        good ? channel->health.threshold_normal : channel->health.threshold_abnormal;
    if (good != member->faulty) {
        member->streak = 0;
        return;
    }
    if (++member->streak < threshold) {
        return;
    }
    member->streak = 0;
    member->faulty = !good;
    if (sl_image_builder_faulty(checker->builder, channel->id, member->host, member->port,
                                member->faulty)) {
        checker->changed = true;
    }
    sl_log(SL_INFO, "a member's health changed", SL_LOG_STR("channel", channel->id),
           SL_LOG_STR("host", member->host), SL_LOG_INT("port", member->port),
           SL_LOG_STR("health", good ? "healthy" : "faulty"));
}

static void
go_on(struct member *member, int64_t now_ms)
{
    enum probe_verdict verdict =
        member->probe == NULL ? PROBE_RUNS : probe_step(member->probe, now_ms);
    if (verdict != PROBE_RUNS) {
        end_probe(member);
        judge(member, verdict == PROBE_GOOD);
    }
}

// A probe that could not be made leaves the member as it was; said once, not of each.
static void
postpone(struct member *member, int64_t now_ms)
{
    struct checker *checker = member->channel->checker;
    member->due_ms = now_ms + UNKNOWN_MS;
    if (!checker->is_starved) {
        checker->is_starved = true;
        sl_log(SL_WARNING, "members cannot be probed: descriptors, ports or memory are missing",
               SL_LOG_STR("channel", member->channel->id), SL_LOG_STR("host", member->host));
    }
}

static void
begin(struct member *member, int64_t now_ms)
{
    struct channel *channel = member->channel;
    struct checker *checker = channel->checker;
    const struct sl_health *health = &channel->health;
    size_t count = 0;
    const struct sl_img_address *addresses =
        sl_image_builder_addresses(checker->builder, member->host, &count);
    if (addresses == NULL) {
        member->due_ms = now_ms + UNKNOWN_MS;
        return;
    }
    member->due_ms = now_ms + health->interval_s * INT64_C(1000);
    struct probe_plan plan = {
        .health = health,
        .address = addresses,
        .host = member->host,
        .port = health->port != 0 ? health->port : member->port,
        .ssl_ctx = health->protocol == SL_PROBE_HTTPS ? context_for(checker, health) : NULL,
        .epoll_fd = checker->epoll_fd,
        .epoll_data = member,
        .deadline_ms = now_ms + health->timeout_s * INT64_C(1000)};
    enum probe_verdict verdict = count == 0 ? PROBE_BAD : probe_begin(&plan, &member->probe);
    if (verdict == PROBE_UNKNOWN) {
        postpone(member, now_ms);
        return;
    }
    checker->is_starved = false;
    if (verdict == PROBE_BAD) {
        judge(member, false);
    } else {
        checker->running++;
    }
}

// -- the loop's side

int
checker_fd(const struct checker *checker)
{
    return checker->epoll_fd;
}

void
checker_run(struct checker *checker, int64_t now_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(checker->epoll_fd, events, EVENTS_MAX, 0);
    for (int i = 0; i < count; i++) {
        go_on(events[i].data.ptr, now_ms);
    }
}

static void
tick_channel(struct checker *checker, struct channel *channel, int64_t now_ms)
{
    for (struct member *member = zhashx_first(channel->members); member != NULL;
         member = zhashx_next(channel->members)) {
        if (member->probe != NULL) {
            go_on(member, now_ms);
        } else if (now_ms >= member->due_ms && checker->running < CHECKER_PROBES) {
            begin(member, now_ms);
        }
    }
}

void
checker_tick(struct checker *checker, int64_t now_ms)
{
    zlistx_t *ids = zhashx_keys(checker->channels);
    for (const char *id = zlistx_first(ids); id != NULL; id = zlistx_next(ids)) {
        if (sl_image_builder_channel(checker->builder, id) == NULL) {
            zhashx_delete(checker->channels, id);
        } else {
            tick_channel(checker, zhashx_lookup(checker->channels, id), now_ms);
        }
    }
    zlistx_destroy(&ids);
}

bool
checker_take_changes(struct checker *checker)
{
    bool changed = checker->changed;
    checker->changed = false;
    return changed;
}

void
checker_count(const struct checker *checker, size_t *ret_members, size_t *ret_faulty)
{
    *ret_members = *ret_faulty = 0;
    for (const struct channel *channel = zhashx_first(checker->channels); channel != NULL;
         channel = zhashx_next(checker->channels)) {
        for (const struct member *member = zhashx_first(channel->members); member != NULL;
             member = zhashx_next(channel->members)) {
            ++*ret_members;
            *ret_faulty += member->faulty ? 1 : 0;
        }
    }
}
