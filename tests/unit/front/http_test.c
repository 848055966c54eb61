// http_test.c - the listener over real sockets, with a bus and an auth of the test's own.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/http.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "services/front/document.h"
#include "services/front/health.h"
#include "tests/unit/free_port.h"
#include "tests/unit/front/drive.h"
#include "tests/unit/test.h"

#define GROUPS "/v2/p1/apigw/instances/i1/api-groups"

static int port, health_port; // of the listener, of the one for probes

// The bus of this test: answers on threads of its own, so that a reply comes at any time.
struct sl_bus_client {
    size_t live;
    atomic_bool is_held;  // answers wait while it is set
    enum sl_code refusal; // SL_E_OK: none
    char name[64];        // of the last command
    char id[SL_ID_SIZE];  // of the last command
    char body[256];       // of the last command
    char address[64];     // of the last command
    int64_t deadline_ms;  // of the last command
    const char *answer;   // JSON
    json_t *headers;      // of the answer
};

struct auth {
    bool fresh;
    bool denies;
    bool lags; // it knows better after a look
    _Atomic int looks;
    char action[64]; // last asked for
};

struct call {
    struct sl_bus_client *client;
    sl_reply_fn *fn;
    void *arg;
};

static void *
answer_call(void *arg)
{
    struct call *call = arg;
    const struct timespec pause = {.tv_nsec = 1000000L};
    struct sl_reply reply = {.body = sl_str(call->client->answer),
                             .headers = call->client->headers};
    while (atomic_load(&call->client->is_held)) {
        nanosleep(&pause, NULL);
    }
    if (call->client->refusal != SL_E_OK) {
        reply.failed = true;
        (void)sl_fail(&reply.error, call->client->refusal, "it");
    }
    call->fn(call->arg, &reply);
    free(call);
    return NULL;
}

void
sl_bus_call(struct sl_bus_client *client, const struct sl_command *command, sl_reply_fn *fn,
            void *arg)
{
    struct call *call = calloc(1, sizeof(*call));
    pthread_t thread;
    char *body = json_dumps(command->body, JSON_COMPACT);
    *call = (struct call){client, fn, arg};
    snprintf(client->name, sizeof(client->name), "%s %s", command->service, command->name);
    snprintf(client->id, sizeof(client->id), "%s", command->id);
    snprintf(client->body, sizeof(client->body), "%s", body != NULL ? body : "");
    snprintf(client->address, sizeof(client->address), "%s", command->actor.address);
    client->deadline_ms = command->deadline_ms;
    free(body);
    assert_int_equal(pthread_create(&thread, NULL, answer_call, call), 0);
    pthread_detach(thread);
}

size_t
sl_bus_client_live(const struct sl_bus_client *client)
{
    return client->live;
}

bool
auth_fresh(const struct auth *auth)
{
    return auth->fresh;
}

int
auth_check(struct auth *auth, const struct auth_request *request, struct sl_arena *arena,
           struct sl_actor *ret_actor, struct sl_error *err)
{
    (void)arena;
    snprintf(auth->action, sizeof(auth->action), "%s", request->action);
    if (auth->denies) {
        return sl_fail(err, SL_E_TOKEN_INVALID);
    }
    *ret_actor = (struct sl_actor){"u", "n", "d", request->project, ""};
    return 0;
}

bool
auth_may_lag(const struct sl_error *err)
{
    return err->code == SL_E_TOKEN_INVALID;
}

struct look {
    struct auth *auth;
    void (*fn)(void *arg);
    void *arg;
};

static void *
look(void *arg)
{
    struct look *look = arg;
    look->auth->denies = look->auth->denies && !look->auth->lags;
    look->fn(look->arg);
    free(look);
    return NULL;
}

void
auth_look(struct auth *auth, void (*fn)(void *arg), void *arg)
{
    struct look *started = calloc(1, sizeof(*started));
    pthread_t thread;
    *started = (struct look){auth, fn, arg};
    auth->looks++;
    assert_int_equal(pthread_create(&thread, NULL, look, started), 0);
    pthread_detach(thread);
}

struct fixture {
    struct sl_bus_client bus;
    struct auth auth;
    struct front front;
    struct http *http;
    struct sl_health *health;
};

// Sends bytes, answers everything until the other side closes.
static char *
exchange(int to, const char *bytes, size_t len)
{
    static char text[2 * 1024 * 1024];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)to)};
    size_t used = 0;
    ssize_t got = 0;
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    while (len > 0 && (got = send(fd, bytes, len, MSG_NOSIGNAL)) > 0) {
        bytes += got;
        len -= (size_t)got;
    }
    while ((got = recv(fd, text + used, sizeof(text) - 1 - used, 0)) > 0) {
        used += (size_t)got;
    }
    close(fd);
    text[used] = '\0';
    return text;
}

static char *
ask(int to, const char *method, const char *target, const char *headers, const char *body)
{
    char request[4096];
    int len = snprintf(request, sizeof(request),
                       "%s %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %zu\r\n"
                       "%s\r\n%s",
                       method, target, strlen(body), headers, body);
    return exchange(to, request, (size_t)len);
}

static void
answers(const char *reply, int status, const char *part)
{
    char line[32];
    snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    if (strncmp(reply, line, strlen(line)) != 0 || strstr(reply, part) == NULL) {
        print_error("not %d with %s:\n%s\n", status, part, reply);
    }
    assert_memory_equal(reply, line, strlen(line));
    assert_non_null(strstr(reply, part));
}

static void
a_good_request_becomes_a_command_and_its_reply_the_answer(void **state)
{
    struct fixture *f = *state;
    f->bus.answer = "{\"id\":\"g1\"}";
    const char *reply = ask(port, "POST", GROUPS, "Content-Type: application/json\r\n",
                            "{\"name\":\"abc\",\"remark\":\"\"}");
    answers(reply, 201, "\r\n\r\n{\"id\":\"g1\"}");
    assert_non_null(strstr(reply, "Content-Type: application/json\r\n"));
    assert_string_equal(f->bus.name, "registry group.create");
    assert_string_equal(f->bus.body, "{\"name\":\"abc\",\"remark\":\"\",\"version\":\"V1\"}");
    assert_string_equal(f->auth.action, "apig:groups:create");
    assert_int_equal(strlen(f->bus.id), SL_ID_LEN);
}

static void
a_reply_without_a_body_has_none(void **state)
{
    struct fixture *f = *state;
    f->bus.answer = "";
    const char *reply = ask(port, "DELETE", GROUPS "/g1", "", "");
    answers(reply, 204, "X-Request-Id: ");
    assert_null(strstr(reply, "Content-Type"));
}

static void
a_refusal_is_rendered_from_its_row(void **state)
{
    struct fixture *f = *state;
    f->bus.refusal = SL_E_PARAM_INVALID;
    answers(ask(port, "GET", GROUPS, "X-Request-Id: 0123456789abcdef0123456789ABCDEF\r\n", ""), 400,
            "\r\n\r\n{\"error_code\":\"APIG.2011\",\"error_msg\":\"Invalid parameter value,"
            "parameterName:it. Please refer to the support documentation\","
            "\"request_id\":\"0123456789abcdef0123456789ABCDEF\"}");
    f->bus.refusal = SL_E_OK;
}

static void
a_request_id_that_is_not_one_is_replaced(void **state)
{
    (void)state;
    const char *reply = ask(port, "GET", GROUPS, "X-Request-Id: x\r\n", "");
    answers(reply, 200, "X-Request-Id: ");
    assert_int_equal(strspn(strstr(reply, "X-Request-Id: ") + 14, "0123456789abcdef"), SL_ID_LEN);
}

static void
unknown_paths_and_methods_have_answers_of_their_own(void **state)
{
    (void)state;
    answers(ask(port, "GET", "/nothing", "", ""), 404, "SLUICE.0101");
    const char *reply = ask(port, "PATCH", GROUPS, "", "");
    answers(reply, 405, "Allow: GET, HEAD, POST\r\n");
    answers(reply, 405, "SLUICE.0102");
}

static void
a_wrong_type_or_malformed_body_is_told_apart(void **state)
{
    (void)state;
    answers(ask(port, "POST", GROUPS, "Content-Type: text/plain\r\n", "{}"), 415, "SLUICE.0105");
    answers(ask(port, "POST", GROUPS, "", "{\"name\":"), 400, "is not valid JSON");
    answers(ask(port, "POST", GROUPS, "", "{\"name\":\"abc\",\"name\":\"abc\"}"), 400,
            "stands twice");
    answers(ask(port, "GET", GROUPS, "Content-Type: application/json\r\n", ""), 200, "\r\n\r\n");
}

static void
an_oversize_body_that_waits_for_leave_is_refused_unread(void **state)
{
    (void)state;
    static const char waits[] = "POST " GROUPS " HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n"
                                "Expect: 100-continue\r\nConnection: close\r\n\r\n";
    static const char huge[] = "POST " GROUPS " HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n"
                               "Connection: close\r\n\r\n";
    answers(exchange(port, waits, sizeof(waits) - 1), 413, "SLUICE.0104");
    answers(exchange(port, huge, sizeof(huge) - 1), 413, "SLUICE.0104");
}

static void
headers_beyond_their_limit_have_an_answer_of_ours(void **state)
{
    (void)state;
    static char headers[SL_HEADERS_MAX + 4096];
    size_t len = (size_t)snprintf(headers, sizeof(headers),
                                  "GET " GROUPS " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n");
    for (int i = 0; len < SL_HEADERS_MAX; i++) {
        len += (size_t)snprintf(headers + len, sizeof(headers) - len, "X-%d: %01000d\r\n", i, i);
    }
    len += (size_t)snprintf(headers + len, sizeof(headers) - len, "\r\n");
    answers(exchange(port, headers, len), 431, "\"error_code\":\"SLUICE.0107\"");
}

// Sends `head`, then `size` blanks, then `tail`.
static const char *
send_blanks(const char *head, size_t size, const char *tail)
{
    size_t head_len = strlen(head);
    char *bytes = malloc(head_len + size + strlen(tail));
    memcpy(bytes, head, head_len);
    memset(bytes + head_len, ' ', size);
    memcpy(bytes + head_len + size, tail, strlen(tail));
    const char *reply = exchange(port, bytes, head_len + size + strlen(tail));
    free(bytes);
    return reply;
}

static void
an_oversize_body_on_its_way_is_read_and_refused(void **state)
{
    (void)state;
    answers(send_blanks("POST " GROUPS " HTTP/1.1\r\nHost: h\r\nContent-Length: 1048592\r\n"
                        "Connection: close\r\n\r\n",
                        0x100010, ""),
            413, "SLUICE.0104");
    answers(send_blanks("POST " GROUPS " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                        "Connection: close\r\n\r\n100010\r\n",
                        0x100010, "\r\n0\r\n\r\n"),
            413, "SLUICE.0104");
}

static void
the_credential_is_judged_before_the_body(void **state)
{
    struct fixture *f = *state;
    f->auth.denies = true;
    answers(ask(port, "POST", GROUPS, "", "{"), 401, "APIG.1002");
    f->auth.denies = false;
}

// What sluice-admin made a moment ago is used at once.
static void
a_refusal_for_the_copys_sake_stands_only_after_a_look(void **state)
{
    struct fixture *f = *state;
    int looks = atomic_load(&f->auth.looks);
    f->bus.answer = "{}";
    f->auth.denies = true;
    f->auth.lags = true;
    answers(ask(port, "POST", GROUPS, "", "{\"name\":\"abc\"}"), 201, "{}");
    assert_int_equal(looks + 1, atomic_load(&f->auth.looks));
    f->auth.denies = true;
    f->auth.lags = false;
    answers(ask(port, "GET", GROUPS, "", ""), 401, "error_code");
    assert_int_equal(looks + 2, atomic_load(&f->auth.looks));
    f->auth.denies = false;
}

static void
the_action_follows_the_value_it_depends_on(void **state)
{
    struct fixture *f = *state;
    const char *path = "/v2/p1/apigw/instances/i1/apis/action";
    (void)ask(port, "POST", path, "", "{\"action\":\"offline\",\"env_id\":\"e\",\"api_id\":\"a\"}");
    assert_string_equal(f->auth.action, "apig:apis:offline");
    (void)ask(port, "POST", path, "", "{\"action\":\"online\",\"env_id\":\"e\",\"api_id\":\"a\"}");
    assert_string_equal(f->auth.action, "apig:apis:publish");
    answers(ask(port, "POST", path, "", "{\"action\":\"x\",\"env_id\":\"e\",\"api_id\":\"a\"}"),
            400, "parameterName:action");
    (void)ask(port, "POST", "/v3/auth/tokens", "", "{}");
    assert_string_equal(f->auth.action, AUTH_NO_ACTION);
    (void)ask(port, "GET", "/v3/projects", "", "");
    assert_string_equal(f->auth.action, "");
}

static void
the_client_is_the_peer_or_the_last_that_a_trusted_balancer_names(void **state)
{
    struct fixture *f = *state;
    const char *named = "X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-For: 192.0.2.8, 2001:db8::1\r\n";
    (void)ask(port, "GET", GROUPS, named, "");
    assert_string_equal(f->bus.address, "127.0.0.1");
    f->front.forwarded_for = true;
    (void)ask(port, "GET", GROUPS, named, "");
    assert_string_equal(f->bus.address, "2001:db8::1");
    static const char *const others[] = {"", "X-Forwarded-For:\r\n", "X-Forwarded-For: 1, x\r\n"};
    for (size_t i = 0; i < SL_COUNT(others); i++) {
        (void)ask(port, "GET", GROUPS, others[i], "");
        assert_string_equal(f->bus.address, "127.0.0.1");
    }
    f->front.forwarded_for = false;
}

static void
waiting_extends_the_deadline_and_reaches_the_worker(void **state)
{
    struct fixture *f = *state;
    (void)ask(port, "POST", "/v2/p1/apigw/instances/i1/apis/action?wait_ms=700", "",
              "{\"action\":\"online\",\"env_id\":\"e\",\"api_id\":\"a\"}");
    assert_int_equal(f->bus.deadline_ms, SL_DEADLINE_MS + 700);
    assert_non_null(strstr(f->bus.body, "\"wait_ms\":700"));
}

static void
headers_of_the_reply_are_passed_on(void **state)
{
    struct fixture *f = *state;
    f->bus.headers = json_pack("{s:s}", "X-Subject-Token", "secret");
    answers(ask(port, "GET", GROUPS, "", ""), 200, "X-Subject-Token: secret\r\n");
    json_decref(f->bus.headers);
    f->bus.headers = NULL;
}

static void
the_contract_is_served_to_anyone(void **state)
{
    struct fixture *f = *state;
    f->auth.denies = true;
    answers(ask(port, "GET", "/openapi.json", "", ""), 200, "\"openapi\":\"3.0.3\"");
    answers(ask(port, "POST", "/openapi.json", "", ""), 404, "SLUICE.0101");
    f->auth.denies = false;
}

static void
the_contract_has_a_page_that_needs_no_other_server(void **state)
{
    (void)state;
    const char *page = ask(port, "GET", "/docs", "", "");
    answers(page, 200, "Content-Type: text/html; charset=utf-8\r\n");
    assert_non_null(strstr(page, "href=\"/openapi.json\""));
    assert_null(strstr(page, "//")); // no address but paths of ours
    if (document_script_size > 0) {
        assert_non_null(strstr(page, "src=\"/docs/redoc.js\""));
        answers(ask(port, "GET", "/docs/redoc.js", "", ""), 200, "Content-Encoding: gzip\r\n");
    } else {
        assert_null(strstr(page, "<script"));
        answers(ask(port, "GET", "/docs/redoc.js", "", ""), 404, "SLUICE.0101");
    }
}

static void
an_operation_that_is_not_available_says_so_by_name(void **state)
{
    struct fixture *f = *state;
    snprintf(f->bus.name, sizeof(f->bus.name), "none");
    answers(ask(port, "GET", "/v2/p1/apigw/instances/i1/acls?limit=no", "", ""), 501,
            "the operation listAclStrategies\"");
    answers(ask(port, "POST", "/v2/p1/apigw/instances/i1/openapi/import",
                "Content-Type: multipart/form-data; boundary=b\r\n", "--b--"),
            501, "SLUICE.0502");
    assert_string_equal(f->bus.name, "none");
    f->auth.denies = true; // the credential comes first
    answers(ask(port, "GET", "/v2/p1/apigw/instances/i1/acls", "", ""), 401, "APIG.1002");
    f->auth.denies = false;
}

static void
an_absolute_target_is_taken(void **state)
{
    (void)state;
    answers(ask(port, "GET", "http://h" GROUPS "?limit=x", "", ""), 400, "parameterName:limit");
}

static void
health_listener_tells_ready_from_alive(void **state)
{
    struct fixture *f = *state;
    answers(ask(health_port, "GET", "/healthz", "", ""), 200, "ok");
    answers(ask(health_port, "GET", "/readyz", "", ""), 200, "ready");
    f->bus.live = 0;
    answers(ask(health_port, "GET", "/readyz", "", ""), 503, "no bus answers");
    f->bus.live = 1;
    f->auth.fresh = false;
    answers(ask(health_port, "GET", "/readyz", "", ""), 503, "not current");
    f->auth.fresh = true;
    const char *reply = ask(health_port, "GET", "/metrics", "", "");
    answers(reply, 200, "sluice_front_requests_total{status=\"2xx\"}");
    answers(reply, 200, "sluice_front_request_seconds_bucket{le=\"+Inf\"}");
    answers(ask(health_port, "GET", "/nothing", "", ""), 404, "not found");
    answers(ask(health_port, "POST", "/healthz", "", ""), 405, "");
}

static void *
ask_slow(void *arg)
{
    (void)arg;
    // An address of its own: exchange() has one buffer.
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    static const char bytes[] = "GET " GROUPS " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    static char text[4096];
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, bytes, sizeof(bytes) - 1, 0), sizeof(bytes) - 1);
    size_t used = 0;
    ssize_t got = 0;
    while ((got = recv(fd, text + used, sizeof(text) - 1 - used, 0)) > 0) {
        used += (size_t)got;
    }
    close(fd);
    return text;
}

static void
what_is_in_flight_is_finished_when_the_listener_quiesces(void **state)
{
    struct fixture *f = *state;
    const struct timespec pause = {.tv_nsec = 5000000L};
    pthread_t thread;
    void *text = NULL;
    atomic_store(&f->bus.is_held, true);
    assert_int_equal(pthread_create(&thread, NULL, ask_slow, NULL), 0);
    while (atomic_load(&f->front.in_flight) == 0) {
        nanosleep(&pause, NULL);
    }
    atomic_store(&f->front.draining, true);
    answers(ask(health_port, "GET", "/readyz", "", ""), 503, "draining");
    http_quiesce(f->http);
    atomic_store(&f->bus.is_held, false);
    pthread_join(thread, &text);
    answers(text, 200, "Connection: close");
    while (atomic_load(&f->front.in_flight) > 0) {
        nanosleep(&pause, NULL);
    }
}

static void
plain_http_is_for_loopback_and_only_when_asked_for(void **state)
{
    struct fixture *f = *state;
    char listen[32];
    free_listen(listen);
    struct http_options options = {.listen = listen, .tls_certificate = "", .tls_key = ""};
    struct sl_error err;
    assert_null(http_new(&f->front, &options, &err));
    assert_int_equal(err.code, SL_E_CONFIG);
    options.plain = true;
    options.listen = "0.0.0.0:0";
    assert_null(http_new(&f->front, &options, &err));
    assert_int_equal(err.code, SL_E_CONFIG);
    options.listen = "localhost";
    assert_null(http_new(&f->front, &options, &err));
    options.listen = listen;
    options.tls_certificate = "/nonexistent";
    assert_null(http_new(&f->front, &options, &err));
}

static int
begin(void **state)
{
    static struct fixture f = {.bus = {.live = 1, .answer = "{}"},
                               .auth = {.fresh = true},
                               .front = {.bus_count = DRIVERS}};
    char listen[32], health_listen[32];
    port = free_listen(listen);
    health_port = free_listen(health_listen);
    const struct http_options options = {
        .listen = listen, .tls_certificate = "", .tls_key = "", .plain = true};
    struct sl_error err = {.code = SL_E_OK};
    f.front.buses[0] = f.front.buses[1] = &f.bus;
    f.front.auth = &f.auth;
    f.front.metrics = metrics_new(&err);
    f.front.validator = validate_new(&err);
    f.http = http_new(&f.front, &options, &err);
    f.health = health_new(&f.front, health_listen, &err);
    *state = &f;
    return f.http != NULL && f.health != NULL ? 0 : -1;
}

static int
end(void **state)
{
    struct fixture *f = *state;
    sl_health_free(&f->health);
    drive_stop();
    http_free(&f->http);
    validate_free(&f->front.validator);
    metrics_free(&f->front.metrics);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_request_becomes_a_command_and_its_reply_the_answer),
        cmocka_unit_test(a_reply_without_a_body_has_none),
        cmocka_unit_test(a_refusal_is_rendered_from_its_row),
        cmocka_unit_test(a_request_id_that_is_not_one_is_replaced),
        cmocka_unit_test(unknown_paths_and_methods_have_answers_of_their_own),
        cmocka_unit_test(a_wrong_type_or_malformed_body_is_told_apart),
        cmocka_unit_test(headers_beyond_their_limit_have_an_answer_of_ours),
        cmocka_unit_test(an_oversize_body_that_waits_for_leave_is_refused_unread),
        cmocka_unit_test(an_oversize_body_on_its_way_is_read_and_refused),
        cmocka_unit_test(the_credential_is_judged_before_the_body),
        cmocka_unit_test(a_refusal_for_the_copys_sake_stands_only_after_a_look),
        cmocka_unit_test(the_action_follows_the_value_it_depends_on),
        cmocka_unit_test(waiting_extends_the_deadline_and_reaches_the_worker),
        cmocka_unit_test(headers_of_the_reply_are_passed_on),
        cmocka_unit_test(the_contract_is_served_to_anyone),
        cmocka_unit_test(the_contract_has_a_page_that_needs_no_other_server),
        cmocka_unit_test(an_operation_that_is_not_available_says_so_by_name),
        cmocka_unit_test(an_absolute_target_is_taken),
        cmocka_unit_test(the_client_is_the_peer_or_the_last_that_a_trusted_balancer_names),
        cmocka_unit_test(health_listener_tells_ready_from_alive),
        cmocka_unit_test(what_is_in_flight_is_finished_when_the_listener_quiesces),
        cmocka_unit_test(plain_http_is_for_loopback_and_only_when_asked_for),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
