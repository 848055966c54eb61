// tls_test.c - the listener speaks TLS 1.2 and 1.3 when it has a certificate.
//
// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "services/front/http.h"
#include "tests/unit/free_port.h"
#include "tests/unit/front/drive.h"
#include "tests/unit/test.h"

#define BODY 600000

static int port;

// Nothing of this test reaches the bus or asks for a credential.
void
sl_bus_call(struct sl_bus_client *client, const struct sl_command *command, sl_reply_fn *fn,
            void *arg)
{
    (void)client;
    (void)command;
    (void)fn;
    (void)arg;
    fail();
}

bool
auth_may_lag(const struct sl_error *err)
{
    (void)err;
    return false;
}

void
auth_look(struct auth *auth, void (*fn)(void *arg), void *arg)
{
    (void)auth;
    fn(arg);
}

int
auth_check(struct auth *auth, const struct auth_request *request, struct sl_arena *arena,
           struct sl_actor *ret_actor, struct sl_error *err)
{
    (void)auth;
    (void)request;
    (void)arena;
    (void)ret_actor;
    return sl_fail(err, SL_E_TOKEN_INVALID);
}

struct fixture {
    struct front front;
    struct http *http;
    char directory[32];
    char certificate[64];
    char key[64];
};

static void
write_pair(const char *certificate_path, const char *key_path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1,
                               0);
    X509_set_issuer_name(certificate, name);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    FILE *file = fopen(certificate_path, "we");
    assert_true(PEM_write_X509(file, certificate));
    fclose(file);
    file = fopen(key_path, "we");
    assert_true(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
    fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

// One request over exactly `version`; answers the status line's length, 0 when there is no TLS.
static int
ask(struct sl_str request, int version, char *ret_text, int size)
{
    const struct timeval patience = {.tv_sec = 30};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    SSL *tls = SSL_new(context);
    SSL_set_fd(tls, fd);
    int got = 0;
    if (SSL_connect(tls) == 1 && SSL_write(tls, request.ptr, (int)request.len) > 0) {
        got = SSL_read(tls, ret_text, size);
    }
    SSL_free(tls);
    SSL_CTX_free(context);
    close(fd);
    return got > 0 ? got : 0;
}

static void
tls_1_2_and_1_3_are_spoken_and_1_1_is_not(void **state)
{
    const struct sl_str document =
        SL_STR("GET /openapi.json HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    char text[64] = "";
    (void)state;
    assert_true(ask(document, TLS1_2_VERSION, text, sizeof(text)) > 15);
    assert_memory_equal(text, "HTTP/1.1 200 OK", 15);
    memset(text, 0, sizeof(text));
    assert_true(ask(document, TLS1_3_VERSION, text, sizeof(text)) > 15);
    assert_memory_equal(text, "HTTP/1.1 200 OK", 15);
    assert_int_equal(ask(document, TLS1_1_VERSION, text, sizeof(text)), 0);
}

// TLS reads ahead of what libmicrohttpd takes; no descriptor tells of the rest.
static void
a_body_over_tls_is_read_to_its_end(void **state)
{
    static char request[BODY + 256];
    char text[64] = "";
    (void)state;
    int len = snprintf(request, sizeof(request),
                       "POST /v2/p/apigw/instances/i/api-groups HTTP/1.1\r\nHost: h\r\n"
                       "Connection: close\r\nContent-Length: %d\r\n\r\n",
                       BODY);
    memset(request + len, ' ', BODY);
    const struct sl_str whole = {request, (size_t)len + BODY};
    assert_true(ask(whole, TLS1_3_VERSION, text, sizeof(text)) > 12);
    assert_memory_equal(text, "HTTP/1.1 401", 12);
}

static int
begin(void **state)
{
    static struct fixture f = {.directory = "/tmp/sluice-tls-XXXXXX"};
    struct sl_error err;
    if (mkdtemp(f.directory) == NULL) {
        return -1;
    }
    snprintf(f.certificate, sizeof(f.certificate), "%s/c.pem", f.directory);
    snprintf(f.key, sizeof(f.key), "%s/k.pem", f.directory);
    write_pair(f.certificate, f.key);
    char listen[32];
    port = free_listen(listen);
    const struct http_options options = {
        .listen = listen, .tls_certificate = f.certificate, .tls_key = f.key};
    f.front.bus_count = 1;
    f.front.metrics = metrics_new(&err);
    f.front.validator = validate_new(&err);
    f.http = http_new(&f.front, &options, &err);
    *state = &f;
    return f.http != NULL ? 0 : -1;
}

static int
end(void **state)
{
    struct fixture *f = *state;
    drive_stop();
    http_free(&f->http);
    validate_free(&f->front.validator);
    metrics_free(&f->front.metrics);
    unlink(f->certificate);
    unlink(f->key);
    return rmdir(f->directory);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_1_2_and_1_3_are_spoken_and_1_1_is_not),
        cmocka_unit_test(a_body_over_tls_is_read_to_its_end),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
