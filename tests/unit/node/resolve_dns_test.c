// resolve_dns_test.c - names asked of a name server of the test's own, over hours of its own clock.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/node/node_kit.h"

#include <arpa/inet.h>
#include <glob.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/base/clock.h"

static int64_t clock_ms; // what the resolver takes for the time

static int64_t
test_clock_ms(void)
{
    return clock_ms;
}

#define sl_mono_ms test_clock_ms
#include "services/node/resolve.c"
#undef sl_mono_ms

#define HOST       "backend.example"
#define TYPE_A     1
#define TYPE_AAAA  28
#define HEADER_LEN 12 // of a DNS message, RFC 1035 section 4.1.1
#define WAIT_MS    60000

// What the name server says to the next questions.
struct says {
    const char *addresses[20]; // IPv4 for A, IPv6 for AAAA; the rest NULL
    uint32_t ttl_s;
    uint8_t rcode; // 0 no error, 2 server failure, 3 no such name
};

struct place {
    char image_name[64];
    struct sl_image_builder *builder;
    struct resolve *resolve;
    struct sl_image *image;
    int server;       // UDP socket of the name server
    unsigned asked;   // questions of type A so far
    struct says says; //
};

static void
put16(uint8_t **out, unsigned value)
{
    *(*out)++ = (uint8_t)(value >> 8);
    *(*out)++ = (uint8_t)value;
}

// One resource record that names the question (a pointer to offset 12).
static void
put_record(uint8_t **out, unsigned type, uint32_t ttl_s, const void *address, unsigned len)
{
    put16(out, 0xc000 | HEADER_LEN);
    put16(out, type);
    put16(out, 1); // IN
    put16(out, ttl_s >> 16);
    put16(out, ttl_s & 0xffff);
    put16(out, len);
    memcpy(*out, address, len);
    *out += len;
}

static unsigned
put_answers(uint8_t **out, const struct says *says, unsigned type)
{
    unsigned count = 0;
    for (size_t i = 0; i < SL_COUNT(says->addresses) && says->addresses[i] != NULL; i++) {
        uint8_t bytes[16];
        int family = strchr(says->addresses[i], ':') != NULL ? AF_INET6 : AF_INET;
        assert_int_equal(inet_pton(family, says->addresses[i], bytes), 1);
        if (type == (family == AF_INET ? TYPE_A : TYPE_AAAA)) {
            put_record(out, type, says->ttl_s, bytes, family == AF_INET ? 4 : 16);
            count++;
        }
    }
    return count;
}

// Answers every question that waits at the server's socket.
static void
serve(struct place *place)
{
    uint8_t message[1500];
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    ssize_t got;
    while ((got = recvfrom(place->server, message, 512, MSG_DONTWAIT, (struct sockaddr *)&from,
                           &from_len)) > HEADER_LEN) {
        uint8_t *end = message + got;
        unsigned type = (unsigned)end[-4] << 8 | end[-3];
        place->asked += type == TYPE_A;
        message[2] = 0x84; // an answer, authoritative
        message[3] = place->says.rcode;
        unsigned count = place->says.rcode == 0 ? put_answers(&end, &place->says, type) : 0;
        message[6] = 0;
        message[7] = (uint8_t)count;
        memset(message + 8, 0, 4);
        sendto(place->server, message, (size_t)(end - message), 0, (struct sockaddr *)&from,
               from_len);
    }
}

// Whether a question about the host is under way. A tick may have forgotten the host.
static bool
is_asking(const struct place *place)
{
    const struct name *name = zhashx_lookup(place->resolve->names, HOST);
    return name != NULL && name->asking;
}

// Lets resolver and server talk until no question is under way.
static void
talk(struct place *place)
{
    int64_t deadline_ms = sl_mono_ms() + WAIT_MS;
    resolve_tick(place->resolve);
    while (is_asking(place) && sl_mono_ms() < deadline_ms) {
        struct pollfd polls[RESOLVE_POLLS + 1];
        size_t count = resolve_polls(place->resolve, polls);
        polls[count] = (struct pollfd){.fd = place->server, .events = POLLIN};
        poll(polls, count + 1, 50);
        serve(place);
        resolve_run(place->resolve, polls, count);
    }
    assert_false(is_asking(place));
}

// The addresses in the image after a commit, as text; "denied" or "" where there are none.
static const char *
shown(struct place *place)
{
    static char text[512];
    struct sl_error err;
    assert_int_equal(sl_image_builder_commit(place->builder, "e", 1, &err), 0);
    sl_image_refresh(place->image);
    const struct sl_img_upstream *upstream = sl_image_upstream(place->image, SL_STR(HOST));
    text[0] = '\0';
    if (upstream == NULL) {
        return "unknown";
    }
    const struct sl_img_address *address = sl_img_items(&upstream->addresses);
    for (size_t i = 0; i < upstream->addresses.count; i++) {
        char one[INET6_ADDRSTRLEN];
        size_t len = strlen(text);
        inet_ntop(address[i].family, address[i].bytes, one, sizeof(one));
        snprintf(text + len, sizeof(text) - len, "%s%s", len > 0 ? " " : "", one);
    }
    return upstream->denied ? "denied" : text;
}

static int
open_place(void **state)
{
    static int number;
    struct place *place = calloc(1, sizeof(*place));
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(here);
    struct sl_error err;
    char server[64];
    snprintf(place->image_name, sizeof(place->image_name), "unit-dns-%d-%d", (int)getpid(),
             number++);
    clock_ms = 1000000;
    place->server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(place->server, (struct sockaddr *)&here, sizeof(here)), 0);
    assert_int_equal(getsockname(place->server, (struct sockaddr *)&here, &len), 0);
    snprintf(server, sizeof(server), "127.0.0.1:%u", ntohs(here.sin_port));
    place->builder = sl_image_builder_new(place->image_name, &err);
    place->resolve = resolve_new(place->builder, &err);
    place->image = sl_image_open(place->image_name, &err);
    assert_int_equal(ares_set_servers_ports_csv(place->resolve->channel, server), ARES_SUCCESS);
    struct sl_entry entry = kit_api(API_1, "/", HOST);
    assert_int_equal(sl_image_builder_put(place->builder, API_1, &entry, &err), 0);
    *state = place;
    return 0;
}

static int
close_place(void **state)
{
    struct place *place = *state;
    char pattern[128];
    glob_t files;
    resolve_free(&place->resolve);
    sl_image_builder_free(&place->builder);
    sl_image_free(&place->image);
    close(place->server);
    snprintf(pattern, sizeof(pattern), "/dev/shm/sluice-%s-*", place->image_name);
    if (glob(pattern, 0, NULL, &files) == 0) {
        for (size_t i = 0; i < files.gl_pathc; i++) {
            unlink(files.gl_pathv[i]);
        }
        globfree(&files);
    }
    free(place);
    return 0;
}

static void
begin(struct place *place, const struct says *says)
{
    place->says = *says;
    resolve_want(place->resolve, HOST);
    talk(place);
}

// Whether the name is asked again when the clock has moved on.
static bool
is_asked_after(struct place *place, int64_t ms)
{
    unsigned asked = place->asked;
    clock_ms += ms;
    talk(place);
    return place->asked > asked;
}

static void
both_families_come_sorted_so_that_order_changes_nothing(void **state)
{
    struct place *place = *state;
    begin(place,
          &(struct says){.addresses = {"192.0.2.7", "192.0.2.3", "2001:db8::1"}, .ttl_s = 30});
    assert_true(resolve_take_changes(place->resolve));
    assert_string_equal(shown(place), "192.0.2.3 192.0.2.7 2001:db8::1");
    place->says =
        (struct says){.addresses = {"2001:db8::1", "192.0.2.3", "192.0.2.7"}, .ttl_s = 30};
    assert_true(is_asked_after(place, 30000));
    assert_false(resolve_take_changes(place->resolve));
}

static void
a_name_is_asked_again_when_its_time_to_live_ends(void **state)
{
    struct place *place = *state;
    begin(place, &(struct says){.addresses = {"192.0.2.1"}, .ttl_s = 60});
    place->says.addresses[0] = "192.0.2.2";
    assert_false(is_asked_after(place, 59000));
    assert_string_equal(shown(place), "192.0.2.1");
    assert_true(is_asked_after(place, 1000));
    assert_string_equal(shown(place), "192.0.2.2");
}

static void
times_to_live_are_kept_between_five_seconds_and_five_minutes(void **state)
{
    struct place *place = *state;
    begin(place, &(struct says){.addresses = {"192.0.2.1"}, .ttl_s = 0});
    assert_false(is_asked_after(place, RESOLVE_TTL_MIN_MS - 1));
    place->says.ttl_s = 86400;
    assert_true(is_asked_after(place, 1));
    assert_false(is_asked_after(place, RESOLVE_TTL_MAX_MS - 1));
    assert_true(is_asked_after(place, 1));
}

static void
a_first_failure_is_a_backend_without_addresses_and_is_asked_again_soon(void **state)
{
    struct place *place = *state;
    begin(place, &(struct says){.rcode = 3});
    assert_true(resolve_take_changes(place->resolve));
    assert_string_equal(shown(place), "");
    static const int64_t waits_ms[] = {1000, 2000, 4000, 5000, 5000};
    for (size_t i = 0; i < SL_COUNT(waits_ms); i++) {
        assert_false(is_asked_after(place, waits_ms[i] - 1));
        assert_true(is_asked_after(place, 1));
    }
    place->says = (struct says){.addresses = {"192.0.2.1"}, .ttl_s = 60};
    assert_true(is_asked_after(place, RESOLVE_TTL_MIN_MS));
    assert_string_equal(shown(place), "192.0.2.1");
}

static void
the_last_answer_serves_for_an_hour_without_a_new_one(void **state)
{
    struct place *place = *state;
    begin(place, &(struct says){.addresses = {"192.0.2.1"}, .ttl_s = 60});
    assert_true(resolve_take_changes(place->resolve));
    int64_t answered_ms = clock_ms;
    place->says = (struct says){.rcode = 2};
    while (clock_ms + 60000 <= answered_ms + RESOLVE_STALE_MS) {
        is_asked_after(place, 60000);
    }
    assert_false(resolve_take_changes(place->resolve));
    assert_string_equal(shown(place), "192.0.2.1");
    is_asked_after(place, 60000);
    assert_true(resolve_take_changes(place->resolve));
    assert_string_equal(shown(place), "");
    place->says = (struct says){.addresses = {"192.0.2.2"}, .ttl_s = 60};
    assert_true(is_asked_after(place, RESOLVE_TTL_MIN_MS));
    assert_string_equal(shown(place), "192.0.2.2");
}

static void
an_answer_without_addresses_is_a_failure(void **state)
{
    struct place *place = *state;
    begin(place, &(struct says){.ttl_s = 60});
    assert_string_equal(shown(place), "");
    assert_true(is_asked_after(place, RESOLVE_RETRY_MS));
}

static void
of_many_addresses_the_image_takes_sixteen(void **state)
{
    struct place *place = *state;
    struct says says = {.ttl_s = 60};
    char texts[SL_COUNT(says.addresses)][16];
    for (size_t i = 0; i < SL_COUNT(says.addresses); i++) {
        snprintf(texts[i], sizeof(texts[i]), "192.0.2.%zu", i + 1);
        says.addresses[i] = texts[i];
    }
    begin(place, &says);
    size_t count = 1;
    for (const char *at = shown(place); (at = strchr(at, ' ')) != NULL; at++) {
        count++;
    }
    assert_int_equal(count, RESOLVE_ADDRESSES);
}

static void
restricted_addresses_are_left_out_and_the_rest_serves(void **state)
{
    struct place *place = *state;
    static const char *const networks[] = {"10.0.0.0/8", "2001:db8::/32"};
    struct sl_gateway gateway = {.id = GATEWAY, .restricted = networks, .restricted_count = 2};
    resolve_restrict(place->resolve, &gateway);
    begin(place,
          &(struct says){.addresses = {"10.1.2.3", "192.0.2.1", "2001:db8::1"}, .ttl_s = 30});
    assert_string_equal(shown(place), "192.0.2.1");
    place->says = (struct says){.addresses = {"10.1.2.3"}, .ttl_s = 30};
    assert_true(is_asked_after(place, 30000));
    assert_string_equal(shown(place), "denied");
    gateway.restricted_count = 0;
    resolve_restrict(place->resolve, &gateway);
    assert_string_equal(shown(place), "10.1.2.3");
}

static void
a_host_that_no_api_names_is_forgotten(void **state)
{
    struct place *place = *state;
    begin(place, &(struct says){.addresses = {"192.0.2.1"}, .ttl_s = 30});
    assert_string_equal(shown(place), "192.0.2.1");
    sl_image_builder_remove(place->builder, SL_KIND_API, API_1);
    assert_false(is_asked_after(place, 60000));
    assert_null(zhashx_lookup(place->resolve->names, HOST));
    assert_string_equal(shown(place), "unknown");
}

static void
a_host_that_an_api_names_again_is_asked_again(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    begin(place, &(struct says){.addresses = {"192.0.2.1"}, .ttl_s = 30});
    sl_image_builder_remove(place->builder, SL_KIND_API, API_1);
    is_asked_after(place, 60000);
    struct sl_entry entry = kit_api(API_1, "/", HOST);
    assert_int_equal(sl_image_builder_put(place->builder, API_1, &entry, &err), 0);
    assert_true(is_asked_after(place, SWEEP_MS)); // the sweep finds it
    assert_string_equal(shown(place), "192.0.2.1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(both_families_come_sorted_so_that_order_changes_nothing),
        TEST(a_name_is_asked_again_when_its_time_to_live_ends),
        TEST(times_to_live_are_kept_between_five_seconds_and_five_minutes),
        TEST(a_first_failure_is_a_backend_without_addresses_and_is_asked_again_soon),
        TEST(the_last_answer_serves_for_an_hour_without_a_new_one),
        TEST(an_answer_without_addresses_is_a_failure),
        TEST(of_many_addresses_the_image_takes_sixteen),
        TEST(restricted_addresses_are_left_out_and_the_rest_serves),
        TEST(a_host_that_no_api_names_is_forgotten),
        TEST(a_host_that_an_api_names_again_is_asked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
