// resolve.c - backend names → addresses in the image.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/resolve.h"

#include <ares.h>
#include <czmq.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/siphash.h"
#include "services/node/cidr.h"

#define ASK_MS   2000  // one server, one attempt
#define ASK_MAX  3     // attempts
#define SWEEP_MS 10000 // between looks for hosts that no API names

struct name {
    struct resolve *resolve;
    char *host;
    bool literal;                                       // an address: never asked
    bool answered;                                      // there was a first answer or failure
    bool asking;                                        // a query is under way
    bool forgotten;                                     // freed when its query ends
    bool used;                                          // by an API, as of the running sweep
    int64_t ask_at_ms;                                  // when to ask (again)
    int64_t good_at_ms;                                 // of the last answer
    int64_t wait_ms;                                    // after the next failure
    struct sl_img_address addresses[RESOLVE_ADDRESSES]; // unfiltered
    size_t count;
    struct sl_img_address shown[RESOLVE_ADDRESSES]; // what the image was given
    size_t shown_count;
    bool is_shown, shown_denied; //
};

struct resolve {
    struct sl_image_builder *builder;
    ares_channel channel;
    zhashx_t *names;   // host → struct name
    char **restricted; // networks
    size_t restricted_count;
    bool changed;        // a name was answered
    bool stopping;       // answers are no longer wanted
    int64_t sweep_at_ms; //
};

static void
free_name(struct name *name)
{
    free(name->host);
    free(name);
}

static void
release_name(void **item)
{
    struct name *name = *item;
    *item = NULL;
    if (name->asking) {
        name->forgotten = true; // c-ares still holds it
    } else {
        free_name(name);
    }
}

struct resolve *
resolve_new(struct sl_image_builder *builder, struct sl_error *err)
{
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    SL_AUTO(resolve) resolve = calloc(1, sizeof(*resolve));
    if (resolve == NULL) {
        ares_library_cleanup();
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    char lookups[] = "fb"; // hosts file, then DNS
    struct ares_options options = {.timeout = ASK_MS, .tries = ASK_MAX, .lookups = lookups};
    int status = ares_init_options(&resolve->channel, &options,
                                   ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS);
    if (status != ARES_SUCCESS) {
        resolve->channel = NULL;
        sl_fail(err, SL_E_INTERNAL);
        sl_error_detail(err, "c-ares: %s", ares_strerror(status));
        return NULL;
    }
    resolve->builder = builder;
    resolve->names = zhashx_new();
    zhashx_set_key_hasher(resolve->names, sl_siphash_text);
    zhashx_set_destructor(resolve->names, release_name);
    return SL_TAKE(resolve);
}

static void
drop_restricted(struct resolve *resolve)
{
    for (size_t i = 0; i < resolve->restricted_count; i++) {
        free(resolve->restricted[i]);
    }
    free(resolve->restricted);
    resolve->restricted = NULL;
    resolve->restricted_count = 0;
}

void
resolve_free(struct resolve **resolve)
{
    if (resolve == NULL || *resolve == NULL) {
        return;
    }
    struct resolve *gone = *resolve;
    *resolve = NULL;
    gone->stopping = true;
    zhashx_destroy(&gone->names);
    if (gone->channel != NULL) {
        ares_destroy(gone->channel); // ends the queries: their names are freed
    }
    ares_library_cleanup();
    drop_restricted(gone);
    free(gone);
}

static bool
is_restricted(const struct resolve *resolve, const struct sl_img_address *address)
{
    for (size_t i = 0; i < resolve->restricted_count; i++) {
        if (cidr_holds(resolve->restricted[i], address)) {
            return true;
        }
    }
    return false;
}

// Whether the image has these addresses already: most answers only say again what the last one
// said.
static bool
same_as_shown(const struct name *name, const struct sl_img_address *addresses, size_t count,
              bool denied)
{
    return name->is_shown && name->shown_denied == denied && name->shown_count == count &&
           memcmp(name->shown, addresses, count * sizeof(*addresses)) == 0;
}

// Writes what a name resolves to into the image's next commit.
static void
publish(struct name *name)
{
    struct resolve *resolve = name->resolve;
    struct sl_img_address allowed[RESOLVE_ADDRESSES] = {0};
    size_t count = 0;
    for (size_t i = 0; i < name->count; i++) {
        if (!is_restricted(resolve, &name->addresses[i])) {
            allowed[count++] = name->addresses[i];
        }
    }
    struct sl_error err;
    bool denied = count == 0 && name->count > 0;
    if (same_as_shown(name, allowed, count, denied)) {
        return;
    }
    if (sl_image_builder_upstream(resolve->builder, name->host, allowed, count, denied, &err) !=
        0) {
        sl_log_error(SL_ALERT, "a backend's addresses cannot be kept", &err,
                     SL_LOG_STR("host", name->host));
        return;
    }
    memcpy(name->shown, allowed, sizeof(allowed));
    name->shown_count = count;
    name->shown_denied = denied;
    name->is_shown = true;
    resolve->changed = true;
}

// -- answers

static int
compare_addresses(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct sl_img_address));
}

static int64_t
clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

// Takes an answer's addresses, sorted, so that the same answer in another order changes nothing.
static int64_t
take_addresses(struct name *name, const struct ares_addrinfo *answer)
{
    int64_t ttl_ms = RESOLVE_TTL_MAX_MS;
    memset(name->addresses, 0, sizeof(name->addresses));
    name->count = 0;
    for (const struct ares_addrinfo_node *node = answer->nodes;
         node != NULL && name->count < RESOLVE_ADDRESSES; node = node->ai_next) {
        struct sl_img_address *address = &name->addresses[name->count];
        if (node->ai_family == AF_INET) {
            const struct sockaddr_in *in = (const void *)node->ai_addr;
            memcpy(address->bytes, &in->sin_addr, sizeof(in->sin_addr));
        } else if (node->ai_family == AF_INET6) {
            const struct sockaddr_in6 *in = (const void *)node->ai_addr;
            memcpy(address->bytes, &in->sin6_addr, sizeof(in->sin6_addr));
        } else {
            continue;
        }
        address->family = (uint16_t)node->ai_family;
        name->count++;
        ttl_ms = node->ai_ttl * INT64_C(1000) < ttl_ms ? node->ai_ttl * INT64_C(1000) : ttl_ms;
    }
    qsort(name->addresses, name->count, sizeof(*name->addresses), compare_addresses);
    return clamp(ttl_ms, RESOLVE_TTL_MIN_MS, RESOLVE_TTL_MAX_MS);
}

static void
take_failure(struct name *name, int status)
{
    int64_t now_ms = sl_mono_ms();
    name->ask_at_ms = now_ms + name->wait_ms;
    name->wait_ms = clamp(2 * name->wait_ms, RESOLVE_RETRY_MS, RESOLVE_TTL_MIN_MS);
    bool stale = name->count > 0 && now_ms - name->good_at_ms > RESOLVE_STALE_MS;
    if (name->answered && !stale) {
        return;
    }
    sl_log(SL_WARNING, "a backend's name does not resolve", SL_LOG_STR("host", name->host),
           SL_LOG_STR("reason", ares_strerror(status)));
    name->count = 0;
    publish(name);
}

static void
on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *answer)
{
    (void)timeouts;
    struct name *name = arg;
    name->asking = false;
    if (name->forgotten || name->resolve->stopping) {
        if (name->forgotten) {
            free_name(name);
        }
    } else if (status == ARES_SUCCESS && answer != NULL && answer->nodes != NULL) {
        name->good_at_ms = sl_mono_ms();
        name->ask_at_ms = name->good_at_ms + take_addresses(name, answer);
        name->wait_ms = RESOLVE_RETRY_MS;
        publish(name);
        name->answered = true;
    } else {
        take_failure(name, status);
        name->answered = true;
    }
    if (answer != NULL) {
        ares_freeaddrinfo(answer);
    }
}

static void
ask(struct name *name)
{
    name->asking = true;
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    ares_getaddrinfo(name->resolve->channel, name->host, NULL, &hints, on_answer, name);
}

void
resolve_want(struct resolve *resolve, const char *host)
{
    if (host[0] == '\0' || zhashx_lookup(resolve->names, host) != NULL) {
        return;
    }
    struct name *name = calloc(1, sizeof(*name));
    if (name != NULL) {
        name->host = strdup(host);
    }
    if (name == NULL || name->host == NULL) {
        free(name);
        return; // the next tick's look at the hosts comes back to it
    }
    name->resolve = resolve;
    name->used = true;
    name->wait_ms = RESOLVE_RETRY_MS;
    zhashx_insert(resolve->names, host, name);
    if (cidr_address_parse(host, &name->addresses[0])) {
        name->count = 1;
        name->literal = name->answered = true;
        publish(name);
    } else {
        ask(name);
    }
}

static bool
same_networks(const struct resolve *resolve, const struct sl_gateway *gateway)
{
    if (gateway->restricted_count != resolve->restricted_count) {
        return false;
    }
    for (size_t i = 0; i < gateway->restricted_count; i++) {
        if (strcmp(gateway->restricted[i], resolve->restricted[i]) != 0) {
            return false;
        }
    }
    return true;
}

void
resolve_restrict(struct resolve *resolve, const struct sl_gateway *gateway)
{
    if (same_networks(resolve, gateway)) {
        return;
    }
    drop_restricted(resolve);
    resolve->restricted = calloc(gateway->restricted_count + 1, sizeof(char *));
    assert(resolve->restricted != NULL); // failing open would be worse than failing
    for (size_t i = 0; i < gateway->restricted_count; i++) {
        resolve->restricted[i] = strdup(gateway->restricted[i]);
        assert(resolve->restricted[i] != NULL);
        resolve->restricted_count++;
    }
    for (struct name *name = zhashx_first(resolve->names); name != NULL;
         name = zhashx_next(resolve->names)) {
        if (name->answered) {
            publish(name);
        }
    }
}

bool
resolve_take_changes(struct resolve *resolve)
{
    bool changed = resolve->changed;
    resolve->changed = false;
    return changed;
}

bool
resolve_is_waiting(const struct resolve *resolve)
{
    for (const struct name *name = zhashx_first(resolve->names); name != NULL;
         name = zhashx_next(resolve->names)) {
        if (!name->answered) {
            return true;
        }
    }
    return false;
}

// -- the loop's side

size_t
resolve_polls(struct resolve *resolve, struct pollfd *ret_polls)
{
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    // c-ares' own macros shift a signed 1 into the sign for the sixteenth socket.
    unsigned bits = (unsigned)ares_getsock(resolve->channel, sockets, ARES_GETSOCK_MAXNUM);
    size_t count = 0;
    for (int i = 0; i < ARES_GETSOCK_MAXNUM && count < RESOLVE_POLLS; i++) {
        bool reads = (bits >> i & 1) != 0;
        bool writes = (bits >> (i + ARES_GETSOCK_MAXNUM) & 1) != 0;
        if (reads || writes) {
            ret_polls[count++] = (struct pollfd){
                .fd = sockets[i],
                .events = (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0)),
            };
        }
    }
    return count;
}

void
resolve_run(struct resolve *resolve, const struct pollfd *polls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (polls[i].revents != 0) {
            bool reads = (polls[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0;
            bool writes = (polls[i].revents & POLLOUT) != 0;
            ares_process_fd(resolve->channel, reads ? polls[i].fd : ARES_SOCKET_BAD,
                            writes ? polls[i].fd : ARES_SOCKET_BAD);
        }
    }
}

static void
mark_used(void *arg, const char *host)
{
    struct resolve *resolve = arg;
    struct name *name = zhashx_lookup(resolve->names, host);
    if (name != NULL) {
        name->used = true;
    } else {
        resolve_want(resolve, host);
    }
}

static void
sweep(struct resolve *resolve)
{
    for (struct name *name = zhashx_first(resolve->names); name != NULL;
         name = zhashx_next(resolve->names)) {
        name->used = false;
    }
    sl_image_builder_hosts(resolve->builder, mark_used, resolve);
    zlistx_t *hosts = zhashx_keys(resolve->names);
    for (const char *host = zlistx_first(hosts); host != NULL; host = zlistx_next(hosts)) {
        const struct name *name = zhashx_lookup(resolve->names, host);
        if (!name->used) {
            sl_image_builder_forget(resolve->builder, host);
            zhashx_delete(resolve->names, host);
        }
    }
    zlistx_destroy(&hosts);
}

void
resolve_tick(struct resolve *resolve)
{
    int64_t now_ms = sl_mono_ms();
    ares_process_fd(resolve->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); // its own timeouts
    if (now_ms >= resolve->sweep_at_ms) {
        resolve->sweep_at_ms = now_ms + SWEEP_MS;
        sweep(resolve);
    }
    for (struct name *name = zhashx_first(resolve->names); name != NULL;
         name = zhashx_next(resolve->names)) {
        if (!name->literal && !name->asking && now_ms >= name->ask_at_ms) {
            ask(name);
        }
    }
}
