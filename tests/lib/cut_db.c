// cut_db.c - see cut_db.h. The linker's --wrap leads our calls of libpq here.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/cut_db.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/unit/test.h"

#define DIGEST_SIZE 33
#define KEPT        4  // digests that callers may hold
#define NAME_SIZE   32 // of a prepared statement
#define ENDINGS     64 // prepared, of the connections made last

int __real_PQsendPrepare(PGconn *conn, const char *name, const char *sql, int count,
                         const Oid *types);
int __real_PQpipelineSync(PGconn *conn);
int __real_PQsendQueryParams(PGconn *conn, const char *sql, int count, const Oid *types,
                             const char *const *values, const int *lengths, const int *formats,
                             int result_format);
int __real_PQsendQueryPrepared(PGconn *conn, const char *name, int count, const char *const *values,
                               const int *lengths, const int *formats, int result_format);
int __wrap_PQsendPrepare(PGconn *conn, const char *name, const char *sql, int count,
                         const Oid *types);
int __wrap_PQpipelineSync(PGconn *conn);
int __wrap_PQsendQueryParams(PGconn *conn, const char *sql, int count, const Oid *types,
                             const char *const *values, const int *lengths, const int *formats,
                             int result_format);
int __wrap_PQsendQueryPrepared(PGconn *conn, const char *name, int count, const char *const *values,
                               const int *lengths, const int *formats, int result_format);

static enum cut_when kind;
static size_t left; // exchanges until the cut; 0: not armed
static size_t trips;
static bool happened;
static bool ends; // what was sent since the last sync ends a transaction

// What ends a transaction is prepared as all else: by which name, on which connection.
static struct {
    const PGconn *conn; // NULL: a free place
    char name[NAME_SIZE];
} endings[ENDINGS];

// A statement that makes a resource whole is a transaction of its own.
static bool
is_ending(const char *sql)
{
    static const char whole[] = "WITH made AS (INSERT ";
    return strcmp(sql, "COMMIT") == 0 || strcmp(sql, "ROLLBACK") == 0 ||
           strncmp(sql, whole, sizeof(whole) - 1) == 0;
}

static size_t
find_ending(const PGconn *conn, const char *name)
{
    size_t at = 0;
    while (at < ENDINGS && (endings[at].conn != conn || strcmp(endings[at].name, name) != 0)) {
        at++;
    }
    return at;
}

// A name that meant an ending may mean something else on a new connection at the same address. The
// oldest place is the next: its connection was cut long ago.
static void
note_prepared(const PGconn *conn, const char *name, const char *sql)
{
    static size_t turn;
    size_t at = find_ending(conn, name);
    if (at < ENDINGS) {
        endings[at].conn = NULL;
    }
    if (is_ending(sql)) {
        at = turn++ % ENDINGS;
        endings[at].conn = conn;
        snprintf(endings[at].name, NAME_SIZE, "%s", name);
    }
}

// Counts one exchange; cuts the connection, if given, when it is the one.
static bool
cut_here(enum cut_when when, PGconn *conn)
{
    if (left == 0 || when != kind || --left > 0) {
        return false;
    }
    happened = true;
    if (conn != NULL) {
        shutdown(PQsocket(conn), SHUT_RDWR);
    }
    return true;
}

// Takes everything that the server answers, up to where it waits for more, and throws it away.
static void
lose_answers(int fd)
{
    static const unsigned char ready[5] = {'Z', 0, 0, 0, 5}; // then one byte: idle, or not
    unsigned char tail[8192 + 6] = {0};
    size_t held = 0;
    while (held < 6 || memcmp(tail + held - 6, ready, sizeof(ready)) != 0) {
        size_t keep = held < 6 ? held : 6;
        memmove(tail, tail + held - keep, keep);
        struct pollfd wait = {.fd = fd, .events = POLLIN}; // libpq's sockets do not block
        assert_int_equal(poll(&wait, 1, 60000), 1);
        ssize_t got = recv(fd, tail + keep, sizeof(tail) - keep, 0);
        assert_true(got > 0);
        held = keep + (size_t)got;
    }
}

int
__wrap_PQpipelineSync(PGconn *conn)
{
    trips++;
    int rc = __real_PQpipelineSync(conn);
    bool last = ends;
    ends = false;
    if (last && cut_here(CUT_AFTER, NULL)) {
        lose_answers(PQsocket(conn));
        shutdown(PQsocket(conn), SHUT_RDWR);
    }
    return rc;
}

int
__wrap_PQsendPrepare(PGconn *conn, const char *name, const char *sql, int count, const Oid *types)
{
    cut_here(CUT_BEFORE, conn);
    note_prepared(conn, name, sql);
    return __real_PQsendPrepare(conn, name, sql, count, types);
}

// long because libpq's function takes as many.
int
__wrap_PQsendQueryParams(PGconn *conn, const char *sql, int count, const Oid *types,
                         const char *const *values, const int *lengths, const int *formats,
                         int result_format)
{
    cut_here(CUT_BEFORE, conn);
    ends = ends || is_ending(sql);
    return __real_PQsendQueryParams(conn, sql, count, types, values, lengths, formats,
                                    result_format);
}

// long because libpq's function takes as many.
int
__wrap_PQsendQueryPrepared(PGconn *conn, const char *name, int count, const char *const *values,
                           const int *lengths, const int *formats, int result_format)
{
    cut_here(CUT_BEFORE, conn);
    ends = ends || find_ending(conn, name) < ENDINGS;
    return __real_PQsendQueryPrepared(conn, name, count, values, lengths, formats, result_format);
}

void
cut_db_arm(enum cut_when when, size_t n)
{
    kind = when;
    left = n;
    happened = false;
}

bool
cut_db_disarm(void)
{
    left = 0;
    return happened;
}

size_t
cut_db_trips(void)
{
    return trips;
}

const char *
cut_db_contents(void)
{
    static PGconn *conn;
    static char digests[KEPT][DIGEST_SIZE];
    static size_t turn;
    if (conn == NULL) {
        conn = PQconnectdb(getenv("SLUICE_TEST_DB"));
    }
    PGresult *result = PQexec(
        conn, "SELECT md5(string_agg(query_to_xml(format('SELECT t::text FROM %I t ORDER BY 1',"
              " tablename), true, true, '')::text, ',' ORDER BY tablename))"
              " FROM pg_tables WHERE schemaname = 'public'");
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        fail_msg("contents: %s", PQerrorMessage(conn));
    }
    turn = (turn + 1) % KEPT;
    snprintf(digests[turn], DIGEST_SIZE, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return digests[turn];
}
