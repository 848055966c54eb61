// checker_test.c - members that fail, come back, say too little or nothing, over TCP, HTTP, HTTPS.
//
// The clock is the test's, the servers are real.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/checker.c"

#include "tests/unit/node/node_kit.h"

#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "common/base/clock.h"
#include "services/node/certificate.h"
#include "tests/unit/collide.h"

#define CHANNEL     "ccccccccccccccccccccccccccccccc1"
#define PATIENCE_MS 30000
#define GROWN_MAX   (4 << 20) // bytes that a few members may take
#define SILENT      -1        // a server's status: it takes the request and says nothing

// Answers every connection by one line.
struct server {
    int fd;
    int port;
    pthread_t thread;
    SSL_CTX *ssl_ctx;      // NULL: plain
    _Atomic int status;    //
    _Atomic int calls;     // answered
    _Atomic bool is_shown; // the last one came with a certificate
    char request[2048];    // of the last one
};

struct place {
    char image_name[64];
    char state_dir[64];
    struct sl_image_builder *builder;
    struct checker *checker;
    struct server server;
    int64_t now_ms;
};

static void
serve(struct server *server, int fd)
{
    SSL *ssl = NULL;
    char line[64];
    if (server->ssl_ctx != NULL) {
        ssl = SSL_new(server->ssl_ctx);
        SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) != 1) {
            SSL_free(ssl);
            return;
        }
        X509 *shown = SSL_get1_peer_certificate(ssl);
        server->is_shown = shown != NULL;
        X509_free(shown);
    }
    ssize_t got = ssl != NULL ? SSL_read(ssl, server->request, sizeof(server->request) - 1)
                              : recv(fd, server->request, sizeof(server->request) - 1, 0);
    server->request[got > 0 ? got : 0] = '\0';
    server->calls++;
    int len = snprintf(line, sizeof(line), "HTTP/1.1 %d Told\r\n\r\n", server->status);
    if (server->status == SILENT) {
        char byte;
        (void)recv(fd, &byte, 1, 0); // until the probe gives up
    } else if (ssl != NULL) {
        SSL_write(ssl, line, len);
    } else {
        send(fd, line, (size_t)len, MSG_NOSIGNAL);
    }
    SSL_free(ssl);
}

static void *
serve_all(void *arg)
{
    struct server *server = arg;
    int fd;
    // While a test takes the descriptors away, there are none for this thread either.
    while ((fd = accept(server->fd, NULL, NULL)) >= 0 || errno == EMFILE) {
        if (fd >= 0) {
            serve(server, fd);
            close(fd);
        }
    }
    return NULL;
}

static void
start_server(struct server *server)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    server->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(server->fd, 1024), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&at, &len), 0);
    server->port = ntohs(at.sin_port);
    server->status = 200;
    assert_int_equal(pthread_create(&server->thread, NULL, serve_all, server), 0);
}

static void
stop_server(struct server *server)
{
    if (server->fd > 0) {
        shutdown(server->fd, SHUT_RDWR);
        pthread_join(server->thread, NULL);
        close(server->fd);
        SSL_CTX_free(server->ssl_ctx);
        server->fd = 0;
    }
}

static int
open_place(void **state)
{
    static int number;
    struct place *place = calloc(1, sizeof(*place));
    struct sl_error err;
    snprintf(place->image_name, sizeof(place->image_name), "unit-checker-%d-%d", (int)getpid(),
             number++);
    place->now_ms = sl_mono_ms();
    place->builder = sl_image_builder_new(place->image_name, &err);
    place->checker = checker_new(place->builder, &err);
    start_server(&place->server);
    *state = place;
    return place->builder == NULL || place->checker == NULL ? -1 : 0;
}

static int
close_place(void **state)
{
    struct place *place = *state;
    char pattern[128];
    glob_t files;
    checker_free(&place->checker);
    stop_server(&place->server);
    sl_image_builder_free(&place->builder);
    snprintf(pattern, sizeof(pattern), "/dev/shm/sluice-%s-*", place->image_name);
    if (glob(pattern, 0, NULL, &files) == 0) {
        for (size_t i = 0; i < files.gl_pathc; i++) {
            unlink(files.gl_pathv[i]);
        }
        globfree(&files);
    }
    if (place->state_dir[0] != '\0') {
        kit_remove_tree(place->state_dir);
    }
    free(place);
    return 0;
}

static struct sl_health
health_of(enum sl_probe_kind protocol)
{
    return (struct sl_health){.protocol = protocol,
                              .path = "/up",
                              .method = SL_METHOD_GET,
                              .threshold_normal = 2,
                              .threshold_abnormal = 3,
                              .timeout_s = 5,
                              .interval_s = 10,
                              .codes = "200,210-219"};
}

static void
resolved(struct place *place, const char *host, size_t count)
{
    const struct sl_img_address address = {.family = AF_INET, .bytes = {127, 0, 0, 1}};
    struct sl_error err;
    assert_int_equal(sl_image_builder_upstream(place->builder, host, &address, count, false, &err),
                     0);
}

static void
put(struct place *place, const struct sl_health *health, const struct sl_member *members,
    size_t count)
{
    struct sl_error err;
    struct sl_entry entry = {.kind = SL_KIND_CHANNEL,
                             .channel = {.id = CHANNEL,
                                         .strategy = SL_STRATEGY_TURN,
                                         .members = members,
                                         .member_count = count,
                                         .health = *health}};
    assert_int_equal(sl_image_builder_put(place->builder, CHANNEL, &entry, &err), 0);
    assert_int_equal(checker_put(place->checker, &entry.channel, &err), 0);
}

// The server as the only member.
static void
put_server(struct place *place, const struct sl_health *health)
{
    const struct sl_member member = {
        .host = "member.test", .port = (uint16_t)place->server.port, .weight = 1};
    put(place, health, &member, 1);
    resolved(place, "member.test", 1);
}

static void
settle(struct place *place)
{
    int64_t end_ms = sl_mono_ms() + PATIENCE_MS;
    while (place->checker->running > 0) {
        struct pollfd poll_fd = {.fd = checker_fd(place->checker), .events = POLLIN};
        assert_true(sl_mono_ms() < end_ms);
        (void)poll(&poll_fd, 1, 1000);
        checker_run(place->checker, place->now_ms);
    }
}

// One interval later: one probe of each member, to its end.
static void
round_of(struct place *place)
{
    place->now_ms += 10000;
    checker_tick(place->checker, place->now_ms);
    settle(place);
}

static bool
is_faulty(const struct place *place, size_t index)
{
    return sl_image_builder_channel(place->builder, CHANNEL)->members[index].faulty;
}

// The contract lets a path have 1024 characters.
static void
the_longest_path_is_asked_for(void **state)
{
    struct place *place = *state;
    char path[1025];
    struct sl_health health = health_of(SL_PROBE_HTTP);
    memset(path, 'p', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    health.path = path;
    health.threshold_abnormal = 1;
    put_server(place, &health);
    round_of(place);
    assert_int_equal(place->server.calls, 1);
    assert_false(is_faulty(place, 0));
}

static void
thresholds_are_counted_in_a_row(void **state)
{
    struct place *place = *state;
    static const struct {
        int status;
        bool faulty, changed;
    } rounds[] = {{200, false, false}, {500, false, false}, {500, false, false},
                  {215, false, false}, {500, false, false}, {500, false, false},
                  {500, true, true},   {200, true, false},  {500, true, false},
                  {200, true, false},  {210, false, true},  {220, false, false}};
    struct sl_health health = health_of(SL_PROBE_HTTP);
    put_server(place, &health);
    for (size_t i = 0; i < SL_COUNT(rounds); i++) {
        place->server.status = rounds[i].status;
        round_of(place);
        assert_int_equal(place->server.calls, i + 1);
        assert_int_equal(is_faulty(place, 0), rounds[i].faulty);
        assert_int_equal(checker_take_changes(place->checker), rounds[i].changed);
    }
    assert_int_equal(strncmp(place->server.request, "GET /up HTTP/1.1\r\nHost: member.test:", 36),
                     0);
}

// Nothing is said about a member by a node that has no descriptor left to look at it.
static void
a_node_without_descriptors_takes_nobody_out(void **state)
{
    struct place *place = *state;
    struct sl_health health = health_of(SL_PROBE_HTTP);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    health.threshold_abnormal = health.threshold_normal = 1;
    put_server(place, &health);
    const struct rlimit none = {0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    checker_tick(place->checker, place->now_ms);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(place->checker->running, 0);
    assert_false(is_faulty(place, 0));
    assert_true(place->checker->is_starved);
    place->now_ms += UNKNOWN_MS; // long before the next interval
    checker_tick(place->checker, place->now_ms);
    settle(place);
    assert_int_equal(place->server.calls, 1);
    assert_false(place->checker->is_starved);
}

// The network itself says that there is no way.
static void
an_address_that_cannot_be_reached_is_faulty(void **state)
{
    struct place *place = *state;
    const struct sl_img_address nowhere = {.family = AF_INET, .bytes = {255, 255, 255, 255}};
    struct sl_health health = health_of(SL_PROBE_TCP);
    struct sl_error err;
    health.threshold_abnormal = 1;
    put_server(place, &health);
    assert_int_equal(
        sl_image_builder_upstream(place->builder, "member.test", &nowhere, 1, false, &err), 0);
    checker_tick(place->checker, place->now_ms);
    assert_int_equal(place->checker->running, 0);
    assert_true(is_faulty(place, 0));
}

static void
a_probe_waits_for_its_interval_and_no_longer_than_its_timeout(void **state)
{
    struct place *place = *state;
    struct sl_health health = health_of(SL_PROBE_HTTP);
    health.threshold_abnormal = 1;
    place->server.status = SILENT;
    put_server(place, &health);
    checker_tick(place->checker, place->now_ms);
    assert_int_equal(place->checker->running, 1);
    checker_tick(place->checker, place->now_ms + 4999);
    assert_false(is_faulty(place, 0));
    checker_tick(place->checker, place->now_ms + 5000);
    assert_int_equal(place->checker->running, 0);
    assert_true(is_faulty(place, 0));
    checker_tick(place->checker, place->now_ms + 9999);
    assert_int_equal(place->checker->running, 0);
    checker_tick(place->checker, place->now_ms + 10000);
    assert_int_equal(place->checker->running, 1);
}

static void
a_connection_is_enough_for_tcp(void **state)
{
    struct place *place = *state;
    struct sl_health health = health_of(SL_PROBE_TCP);
    health.threshold_abnormal = health.threshold_normal = 1;
    place->server.status = SILENT;
    put_server(place, &health);
    round_of(place);
    assert_false(is_faulty(place, 0));
    stop_server(&place->server);
    round_of(place);
    assert_true(is_faulty(place, 0));
}

static void
another_port_method_and_a_host_without_answers_count(void **state)
{
    struct place *place = *state;
    struct sl_health health = health_of(SL_PROBE_HTTP);
    const struct sl_member members[] = {{.host = "member.test", .port = 1, .weight = 1},
                                        {.host = "gone.test", .port = 80, .weight = 1},
                                        {.host = "later.test", .port = 80, .weight = 1}};
    size_t count;
    size_t faulty;
    health.threshold_abnormal = 1;
    health.port = (uint16_t)place->server.port;
    health.method = SL_METHOD_HEAD;
    put(place, &health, members, SL_COUNT(members));
    resolved(place, "member.test", 1);
    resolved(place, "gone.test", 0);
    round_of(place);
    assert_false(is_faulty(place, 0));
    assert_true(is_faulty(place, 1));
    assert_false(is_faulty(place, 2)); // nobody has been asked for it yet
    assert_memory_equal(place->server.request, "HEAD ", 5);
    checker_count(place->checker, &count, &faulty);
    assert_int_equal(count, 3);
    assert_int_equal(faulty, 1);
}

static void
what_is_known_outlasts_changes_that_leave_the_member(void **state)
{
    struct place *place = *state;
    struct sl_health health = health_of(SL_PROBE_HTTP);
    struct sl_member members[] = {
        {.host = "member.test", .port = (uint16_t)place->server.port, .weight = 1},
        {.host = "127.0.0.1", .port = (uint16_t)place->server.port, .weight = 1}};
    health.threshold_abnormal = 1;
    place->server.status = 500;
    put_server(place, &health);
    round_of(place);
    assert_true(is_faulty(place, 0));
    members[0].weight = 7;
    put(place, &health, members, 2); // as an entry that came anew
    assert_true(is_faulty(place, 0));
    assert_false(is_faulty(place, 1));
    sl_image_builder_reset(place->builder); // a full set
    put(place, &health, members, 2);
    assert_true(is_faulty(place, 0));
    put(place, &health, members + 1, 1); // it leaves, and is new when it comes back
    put(place, &health, members, 2);
    assert_false(is_faulty(place, 0));
}

static void
without_a_check_or_a_channel_nobody_is_probed(void **state)
{
    struct place *place = *state;
    struct sl_health health = health_of(SL_PROBE_HTTP);
    struct sl_health none = {.path = "", .codes = ""};
    size_t count;
    size_t faulty;
    health.threshold_abnormal = 1;
    place->server.status = 500;
    put_server(place, &health);
    round_of(place);
    assert_true(is_faulty(place, 0));
    put_server(place, &none);
    assert_false(is_faulty(place, 0));
    round_of(place);
    assert_int_equal(place->server.calls, 1);
    put_server(place, &health);
    place->server.status = SILENT;
    checker_tick(place->checker, place->now_ms + 10000); // a probe runs while its channel goes
    sl_image_builder_remove(place->builder, SL_KIND_CHANNEL, CHANNEL);
    checker_tick(place->checker, place->now_ms + 10000);
    checker_count(place->checker, &count, &faulty);
    assert_int_equal(count, 0);
    assert_int_equal(place->checker->running, 0);
}

static void
no_more_run_at_once_than_may(void **state)
{
    struct place *place = *state;
    struct sl_health health = health_of(SL_PROBE_TCP);
    struct sl_member *members = calloc(CHECKER_PROBES + 50, sizeof(*members));
    for (size_t i = 0; i < CHECKER_PROBES + 50; i++) {
        members[i] =
            (struct sl_member){.host = "member.test", .port = (uint16_t)(i + 1), .weight = 1};
    }
    health.port = (uint16_t)place->server.port;
    put(place, &health, members, CHECKER_PROBES + 50);
    resolved(place, "member.test", 1);
    checker_tick(place->checker, place->now_ms);
    assert_int_equal(place->checker->running, CHECKER_PROBES);
    settle(place);
    checker_tick(place->checker, place->now_ms);
    assert_int_equal(place->checker->running, 50);
    free(members);
}

// The server's own certificate is the one that the gateway shows, too.
static char *
read_pem(const struct place *place, const char *name)
{
    char path[128];
    char *text = calloc(1, 8192);
    snprintf(path, sizeof(path), "%s/%s", place->state_dir, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_true(fread(text, 1, 8191, file) > 0);
    fclose(file);
    return text;
}

static int
accept_any(int good, X509_STORE_CTX *ctx)
{
    (void)good;
    (void)ctx;
    return 1;
}

static void
secure_server(struct place *place)
{
    char path[128];
    struct sl_error err;
    snprintf(place->state_dir, sizeof(place->state_dir), "/tmp/sluice-checker-XXXXXX");
    assert_non_null(mkdtemp(place->state_dir));
    assert_int_equal(certificate_ensure(place->state_dir, "node", &err), 0);
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    snprintf(path, sizeof(path), "%s/default.crt", place->state_dir);
    assert_int_equal(SSL_CTX_use_certificate_chain_file(ctx, path), 1);
    snprintf(path, sizeof(path), "%s/default.key", place->state_dir);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM), 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_any);
    place->server.ssl_ctx = ctx;
}

static void
over_tls_the_gateway_s_certificate_is_shown_where_it_should_be(void **state)
{
    struct place *place = *state;
    struct sl_health health = health_of(SL_PROBE_HTTPS);
    struct sl_error err;
    secure_server(place);
    char *content = read_pem(place, "default.crt");
    char *key = read_pem(place, "default.key");
    const struct sl_feature_value features[] = {{"backend_client_certificate.enable", "on"},
                                                {"backend_client_certificate.content", content},
                                                {"backend_client_certificate.key", key}};
    struct sl_entry gateway = {
        .kind = SL_KIND_GATEWAY,
        .gateway = {.id = GATEWAY, .features = features, .feature_count = SL_COUNT(features)}};
    assert_int_equal(sl_image_builder_put(place->builder, GATEWAY, &gateway, &err), 0);
    health.threshold_abnormal = 1;
    put_server(place, &health);
    round_of(place);
    assert_int_equal(place->server.calls, 1);
    assert_false(is_faulty(place, 0));
    assert_false(place->server.is_shown);
    health.client_ssl = true;
    put_server(place, &health);
    round_of(place);
    assert_true(place->server.is_shown);
    place->server.status = 503;
    round_of(place);
    assert_true(is_faulty(place, 0));
    free(content);
    free(key);
}

static void
codes_are_numbers_and_ranges(void **state)
{
    (void)state;
    assert_true(probe_code_listed("200,201,210-299", 201));
    assert_true(probe_code_listed("200,201,210-299", 210));
    assert_true(probe_code_listed("200,201,210-299", 299));
    assert_false(probe_code_listed("200,201,210-299", 205));
    assert_false(probe_code_listed("200,201,210-299", 300));
    assert_false(probe_code_listed("nonsense,,", 200));
    assert_true(probe_code_listed("", 200));
    assert_false(probe_code_listed("", 204));
}

// As hosts of APIs (resolve_test.c).
static void
members_made_to_collide_cost_no_more_than_others(void **state)
{
    struct place *place = *state;
    char host[COLLIDE_SIZE];
    const struct collide hosts = collide("", "m", '.', 5);
    struct channel *channel = channel_of(place->checker, CHANNEL);
    size_t before = collide_mapped();
    for (unsigned i = 0; i < COLLIDE_TEXTS; i++) {
        collide_text(&hosts, i, host);
        assert_non_null(member_of(channel, &(struct sl_member){.host = host, .port = 80}));
    }
    assert_int_equal(zhashx_size(channel->members), COLLIDE_TEXTS);
    assert_true(collide_mapped() - before < GROWN_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_longest_path_is_asked_for),
        TEST(a_node_without_descriptors_takes_nobody_out),
        TEST(an_address_that_cannot_be_reached_is_faulty),
        TEST(thresholds_are_counted_in_a_row),
        TEST(a_probe_waits_for_its_interval_and_no_longer_than_its_timeout),
        TEST(a_connection_is_enough_for_tcp),
        TEST(another_port_method_and_a_host_without_answers_count),
        TEST(what_is_known_outlasts_changes_that_leave_the_member),
        TEST(without_a_check_or_a_channel_nobody_is_probed),
        TEST(no_more_run_at_once_than_may),
        TEST(over_tls_the_gateway_s_certificate_is_shown_where_it_should_be),
        TEST(members_made_to_collide_cost_no_more_than_others),
        cmocka_unit_test(codes_are_numbers_and_ranges),
    };
    signal(SIGPIPE, SIG_IGN); // as the agent does
    return cmocka_run_group_tests(tests, NULL, NULL);
}
