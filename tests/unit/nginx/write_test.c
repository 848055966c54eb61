// write_test.c - what goes out in one piece, what is left to nginx, and what is left to send.
//
// nginx's own functions are played: one that sends so many bytes, one that takes whole chains.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <string.h>

#include "services/nginx/ngx_http_sluice_write.c"

#define LINKS   4
#define LONGEST 4096

ngx_os_io_t ngx_io;

// What the socket took, and will take.
static struct {
    u_char bytes[2 * LONGEST];
    size_t len;
    ssize_t answer; // of the next send; more than what is sent: all of it
    unsigned sends;
    unsigned chains; // that nginx got
} wire;

static ssize_t
send_some(ngx_connection_t *c, u_char *bytes, size_t size)
{
    ssize_t sent = wire.answer < (ssize_t)size ? wire.answer : (ssize_t)size;

    wire.sends++;
    if (sent < (ssize_t)size) {
        c->write->ready = 0;
    }
    if (sent > 0) {
        memcpy(wire.bytes + wire.len, bytes, (size_t)sent);
        wire.len += (size_t)sent;
        c->sent += sent;
    }
    return sent;
}

static ngx_chain_t *
take_chain(ngx_connection_t *c, ngx_chain_t *in, off_t limit)
{
    (void)c;
    (void)in;
    (void)limit;
    wire.chains++;
    return NULL;
}

// nginx's, as its source has it.
ngx_chain_t *
ngx_chain_update_sent(ngx_chain_t *in, off_t sent)
{
    for (; in != NULL; in = in->next) {
        if (ngx_buf_special(in->buf)) {
            continue;
        }
        if (sent == 0) {
            break;
        }
        if (sent < in->buf->last - in->buf->pos) {
            in->buf->pos += sent;
            break;
        }
        sent -= in->buf->last - in->buf->pos;
        in->buf->pos = in->buf->last;
    }
    return in;
}

// A connection, and a chain of texts to be sent over it; NULL is a buffer that only says "flush".
struct bed {
    ngx_event_t write;
    ngx_connection_t connection;
    ngx_buf_t buffers[LINKS];
    ngx_chain_t chain[LINKS];
};

static void
lay(struct bed *bed, const char *const texts[LINKS])
{
    memset(bed, 0, sizeof(*bed));
    memset(&wire, 0, sizeof(wire));
    wire.answer = sizeof(wire.bytes);
    ngx_io.send = send_some;
    ngx_io.send_chain = take_chain;
    bed->write.ready = 1;
    bed->connection.write = &bed->write;
    bed->connection.send_chain = ngx_io.send_chain;
    for (size_t i = 0; i < LINKS; i++) {
        bed->chain[i].buf = &bed->buffers[i];
        bed->chain[i].next = i + 1 < LINKS ? &bed->chain[i + 1] : NULL;
        bed->buffers[i].flush = texts[i] == NULL;
        if (texts[i] != NULL) {
            bed->buffers[i].memory = 1;
            bed->buffers[i].pos = (u_char *)(uintptr_t)texts[i];
            bed->buffers[i].last = bed->buffers[i].pos + strlen(texts[i]);
        }
    }
    ngx_http_sluice_write_short(&bed->connection);
}

static ngx_chain_t *
send_bed(struct bed *bed, off_t limit)
{
    return bed->connection.send_chain(&bed->connection, bed->chain, limit);
}

static void
assert_sent(const char *text)
{
    assert_int_equal(wire.len, strlen(text));
    assert_memory_equal(wire.bytes, text, wire.len);
}

static const char *const answer[LINKS] = {"header ", NULL, "body", NULL};

static void
a_header_and_its_body_go_out_together(void **state)
{
    struct bed bed;
    (void)state;

    lay(&bed, answer);
    assert_null(send_bed(&bed, 2 << 20));
    assert_sent("header body");
    assert_int_equal(wire.sends, 1);
    assert_int_equal(bed.connection.sent, 11);
    assert_int_equal(wire.chains, 0);
}

static void
what_a_full_socket_leaves_goes_out_later(void **state)
{
    struct bed bed;
    (void)state;

    for (ssize_t taken = 1; taken < 11; taken++) {
        lay(&bed, answer);
        wire.answer = taken;
        ngx_chain_t *left = send_bed(&bed, 0);
        assert_ptr_equal(left, taken < 7 ? &bed.chain[0] : &bed.chain[2]);
        assert_int_equal(wire.len, taken);
        wire.answer = LONGEST;
        bed.write.ready = 1;
        assert_null(bed.connection.send_chain(&bed.connection, left, 0));
        assert_sent("header body");
        assert_int_equal(bed.connection.sent, 11);
    }
}

static void
a_socket_that_takes_nothing_keeps_all(void **state)
{
    struct bed bed;
    (void)state;

    lay(&bed, answer);
    wire.answer = NGX_AGAIN;
    assert_ptr_equal(send_bed(&bed, 0), bed.chain);
    assert_int_equal(bed.buffers[0].last - bed.buffers[0].pos, 7);
    assert_int_equal(wire.len + (size_t)bed.connection.sent, 0);
}

static void
a_broken_socket_is_an_error(void **state)
{
    struct bed bed;
    (void)state;

    lay(&bed, answer);
    wire.answer = NGX_ERROR;
    assert_ptr_equal(send_bed(&bed, 0), NGX_CHAIN_ERROR);
}

static void
one_buffer_is_sent_whatever_its_length(void **state)
{
    static char text[LONGEST];
    struct bed bed;
    (void)state;

    memset(text, 'x', sizeof(text) - 1);
    lay(&bed, (const char *const[LINKS]){NULL, text, NULL, NULL});
    assert_null(send_bed(&bed, 0));
    assert_sent(text);
    assert_int_equal(wire.sends, 1);
}

static void
two_of_which_one_is_long_are_left_to_nginx(void **state)
{
    static char text[JOINED_MAX + 1];
    struct bed bed;
    (void)state;

    for (size_t len = JOINED_MAX - 2; len <= JOINED_MAX; len++) {
        memset(text, 'x', len);
        text[len] = '\0';
        lay(&bed, (const char *const[LINKS]){"h", text, NULL, NULL});
        assert_null(send_bed(&bed, 0));
        assert_int_equal(wire.chains, len == JOINED_MAX);
        assert_int_equal(wire.len, len == JOINED_MAX ? 0 : len + 1);
    }
}

static void
what_is_no_memory_is_left_to_nginx(void **state)
{
    struct bed bed;
    (void)state;

    lay(&bed, answer);
    bed.buffers[2].memory = 0;
    bed.buffers[2].in_file = 1;
    assert_null(send_bed(&bed, 0));
    assert_int_equal(wire.chains, 1);
    assert_int_equal(wire.sends, 0);
}

static void
nothing_but_marks_is_left_to_nginx(void **state)
{
    struct bed bed;
    (void)state;

    lay(&bed, (const char *const[LINKS]){NULL, NULL, NULL, NULL});
    assert_null(send_bed(&bed, 0));
    assert_int_equal(wire.chains, 1);
}

static void
more_than_the_limit_and_a_socket_that_is_not_ready_are_left_to_nginx(void **state)
{
    struct bed bed;
    (void)state;

    lay(&bed, answer);
    (void)send_bed(&bed, 10);
    assert_int_equal(wire.chains, 1);
    bed.write.ready = 0;
    (void)send_bed(&bed, 0);
    assert_int_equal(wire.chains, 2);
    assert_int_equal(wire.sends, 0);
    bed.write.ready = 1;
    (void)send_bed(&bed, 11);
    assert_int_equal(wire.chains, 2);
}

static void
connections_that_write_otherwise_stay_as_they_are(void **state)
{
    struct bed bed;
    (void)state;

    lay(&bed, answer);
    bed.connection.send_chain = take_chain;
    bed.connection.ssl = (ngx_ssl_connection_t *)&bed;
    ngx_http_sluice_write_short(&bed.connection);
    assert_ptr_equal(bed.connection.send_chain, take_chain);
    bed.connection.ssl = NULL;
    bed.connection.send_chain = NULL;
    ngx_http_sluice_write_short(&bed.connection);
    assert_null(bed.connection.send_chain);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_and_its_body_go_out_together),
        cmocka_unit_test(what_a_full_socket_leaves_goes_out_later),
        cmocka_unit_test(a_socket_that_takes_nothing_keeps_all),
        cmocka_unit_test(a_broken_socket_is_an_error),
        cmocka_unit_test(one_buffer_is_sent_whatever_its_length),
        cmocka_unit_test(two_of_which_one_is_long_are_left_to_nginx),
        cmocka_unit_test(what_is_no_memory_is_left_to_nginx),
        cmocka_unit_test(nothing_but_marks_is_left_to_nginx),
        cmocka_unit_test(more_than_the_limit_and_a_socket_that_is_not_ready_are_left_to_nginx),
        cmocka_unit_test(connections_that_write_otherwise_stay_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
