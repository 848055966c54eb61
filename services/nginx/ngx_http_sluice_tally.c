// ngx_http_sluice_tally.c - counting without locks, and the text of /metrics.
//
// A request touches its API's row and four words of the node; the node's own figures are sums over
// the rows, made when somebody asks.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_tally.h"

#include <stdio.h>
#include <string.h>

#include "common/base/hash.h"
#include "gen/metric.h"
#include "services/nginx/ngx_http_sluice_line.h"

#define MINUTE_S    60
#define SLOWEST_MAX UINT32_MAX // milliseconds
#define LABELS_MAX  96         // bytes of `{api_id="…",class="2xx"}`
#define ROWS        (2 + NGX_HTTP_SLUICE_TALLY_PLACES)

enum state {
    FREE,
    BEING_TAKEN,
    TAKEN,
};

typedef struct ngx_http_sluice_tally tally_t;
typedef struct ngx_http_sluice_tally_row row_t;
typedef struct ngx_http_sluice_tally_request request_t;

// Upper bounds of the request-time buckets.
static const struct {
    uint64_t ms;
    const char *le;
} bounds[NGX_HTTP_SLUICE_TALLY_BOUNDS] = {
    {1, "0.001"}, {2, "0.002"}, {5, "0.005"},  {10, "0.01"}, {25, "0.025"},
    {50, "0.05"}, {100, "0.1"}, {250, "0.25"}, {1000, "1"},  {5000, "5"},
};

static const char *const classes[NGX_HTTP_SLUICE_TALLY_CLASSES] = {"none", "1xx", "2xx",
                                                                   "3xx",  "4xx", "5xx"};

static uint64_t
read_word(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void
add(uint64_t *word, uint64_t by)
{
    __atomic_fetch_add(word, by, __ATOMIC_RELAXED);
}

// -- rows -----------------------------------------------------------------------------------------

// Takes a free place. False when another worker was faster, or when there are APIs enough: then
// nothing is written, as each request of the others comes here.
static bool
take(tally_t *tally, row_t *row, const char *api_id)
{
    uint64_t state = FREE;

    if (read_word(&tally->taken) >= NGX_HTTP_SLUICE_TALLY_APIS) {
        return false;
    }
    if (__atomic_fetch_add(&tally->taken, 1, __ATOMIC_RELAXED) >= NGX_HTTP_SLUICE_TALLY_APIS ||
        !__atomic_compare_exchange_n(&row->state, &state, BEING_TAKEN, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED)) {
        __atomic_fetch_sub(&tally->taken, 1, __ATOMIC_RELAXED);
        return false;
    }
    memcpy(row->api_id, api_id, SL_ID_LEN);
    __atomic_store_n(&row->state, TAKEN, __ATOMIC_RELEASE);
    return true;
}

static bool
is_of(const row_t *row, const char *api_id)
{
    return __atomic_load_n(&row->state, __ATOMIC_ACQUIRE) == TAKEN &&
           memcmp(row->api_id, api_id, SL_ID_LEN) == 0;
}

// All of an id counts: those of one hand may differ in a few digits alone, and a run of neighbours
// is a walk for every request.
static size_t
place_of(const char *api_id)
{
    return sl_hash(0, api_id, SL_ID_LEN) % NGX_HTTP_SLUICE_TALLY_PLACES;
}

// The row of an API. Who loses a race for a place counts this one request under "other".
static row_t *
row_of(tally_t *tally, const char *api_id)
{
    size_t place;

    if (api_id == NULL) {
        return &tally->none;
    }
    place = place_of(api_id);
    for (size_t i = 0; i < NGX_HTTP_SLUICE_TALLY_PLACES; i++) {
        row_t *row = &tally->apis[(place + i) % NGX_HTTP_SLUICE_TALLY_PLACES];

        if (is_of(row, api_id)) {
            return row;
        }
        if (read_word(&row->state) == FREE) {
            return take(tally, row, api_id) || is_of(row, api_id) ? row : &tally->other;
        }
    }
    return &tally->other;
}

// -- counting -------------------------------------------------------------------------------------

// Raises the slowest request of its minute; what an older minute of the same parity left goes.
static void
note_slowest(row_t *row, uint64_t minute, uint64_t ms)
{
    uint64_t *word = &row->slowest[minute % 2];
    uint64_t value = minute << 32 | (ms < SLOWEST_MAX ? ms : SLOWEST_MAX);
    uint64_t old = read_word(word);

    while (old < value && !__atomic_compare_exchange_n(word, &old, value, true, __ATOMIC_RELAXED,
                                                       __ATOMIC_RELAXED)) {
    }
}

static void
note_bound(tally_t *tally, uint64_t ms)
{
    for (size_t i = 0; i < SL_COUNT(bounds); i++) {
        if (ms <= bounds[i].ms) {
            add(&tally->by_bound[i], 1);
            return;
        }
    }
}

void
ngx_http_sluice_tally_count(tally_t *tally, const request_t *request)
{
    row_t *row = row_of(tally, request->api_id);
    unsigned class = request->status / 100;

    add(&row->by_class[class < NGX_HTTP_SLUICE_TALLY_CLASSES ? class : 0], 1);
    add(&row->received_bytes, request->received_bytes);
    add(&row->sent_bytes, request->sent_bytes);
    if (request->time_ms > 0) {
        add(&row->time_ms, request->time_ms);
        note_slowest(row, (uint64_t)(request->at_s / MINUTE_S), request->time_ms);
    }
    if (request->throttled) {
        add(&row->throttled, 1);
    }
    if (request->refused) {
        add(&tally->refused, 1);
    }
    if (request->backend_calls > 0) {
        add(&tally->backend_calls, request->backend_calls);
    }
    if (request->backend_failures > 0) {
        add(&tally->backend_failures, request->backend_failures);
    }
    note_bound(tally, request->time_ms);
}

// -- the text -------------------------------------------------------------------------------------

static void
put_line(struct sl_buf *text, const char *name, const char *labels, uint64_t value)
{
    unsigned char digits[32];
    unsigned char *end = ngx_http_sluice_digits(digits, value, 1);

    *end++ = '\n';
    sl_buf_adds(text, name);
    sl_buf_adds(text, labels);
    sl_buf_addc(text, ' ');
    sl_buf_add(text, digits, (size_t)(end - digits));
}

static void
put_seconds(struct sl_buf *text, const char *name, const char *labels, uint64_t ms)
{
    sl_buf_addf(text, "%s%s %llu.%03llu\n", name, labels, (unsigned long long)(ms / 1000),
                (unsigned long long)(ms % 1000));
}

static uint64_t
requests_of(const row_t *row)
{
    uint64_t total = 0;

    for (size_t i = 0; i < NGX_HTTP_SLUICE_TALLY_CLASSES; i++) {
        total += read_word(&row->by_class[i]);
    }
    return total;
}

// Row `index` of ROWS; NULL when it counted nothing.
static const row_t *
row_at(const tally_t *tally, size_t index)
{
    const row_t *row = index == 0 ? &tally->none : index == 1 ? &tally->other : NULL;

    if (row != NULL) {
        return requests_of(row) > 0 ? row : NULL;
    }
    row = &tally->apis[index - 2];
    return __atomic_load_n(&row->state, __ATOMIC_ACQUIRE) == TAKEN ? row : NULL;
}

static void
labels_of(const tally_t *tally, const row_t *row, const char *class, char labels[LABELS_MAX])
{
    const char *id = row == &tally->none ? "none" : row == &tally->other ? "other" : row->api_id;

    snprintf(labels, LABELS_MAX, "{api_id=\"%.*s\"%s%s%s}", SL_ID_LEN, id,
             class != NULL ? ",class=\"" : "", class != NULL ? class : "",
             class != NULL ? "\"" : "");
}

// A row's slowest request of this minute and the one before.
static uint64_t
slowest_of(const row_t *row, uint64_t minute)
{
    uint64_t slowest = 0;

    for (size_t i = 0; i < SL_COUNT(row->slowest); i++) {
        uint64_t word = read_word(&row->slowest[i]);

        if ((word >> 32) + 1 >= minute && (uint32_t)word > slowest) {
            slowest = (uint32_t)word;
        }
    }
    return slowest;
}

static void
put_api_classes(const tally_t *tally, struct sl_buf *text)
{
    char labels[LABELS_MAX];

    sl_buf_adds(text, SL_METRIC_API_REQUESTS_TOTAL_HEAD);
    for (size_t i = 0; i < ROWS; i++) {
        const row_t *row = row_at(tally, i);

        if (row == NULL) {
            continue;
        }
        for (size_t j = 0; j < NGX_HTTP_SLUICE_TALLY_CLASSES; j++) {
            labels_of(tally, row, classes[j], labels);
            put_line(text, SL_METRIC_API_REQUESTS_TOTAL, labels, read_word(&row->by_class[j]));
        }
    }
}

// One word of every row.
static void
put_api_words(const tally_t *tally, const char *head, const char *name, size_t offset,
              struct sl_buf *text)
{
    char labels[LABELS_MAX];

    sl_buf_adds(text, head);
    for (size_t i = 0; i < ROWS; i++) {
        const row_t *row = row_at(tally, i);

        if (row == NULL) {
            continue;
        }
        labels_of(tally, row, NULL, labels);
        put_line(text, name, labels,
                 read_word((const uint64_t *)(const void *)((const char *)row + offset)));
    }
}

static void
put_api_times(const tally_t *tally, uint64_t minute, struct sl_buf *text)
{
    char labels[LABELS_MAX];

    sl_buf_adds(text, SL_METRIC_API_REQUEST_SECONDS_HEAD);
    for (size_t i = 0; i < ROWS; i++) {
        const row_t *row = row_at(tally, i);

        if (row == NULL) {
            continue;
        }
        labels_of(tally, row, NULL, labels);
        put_seconds(text, SL_METRIC_API_REQUEST_SECONDS "_sum", labels, read_word(&row->time_ms));
        put_line(text, SL_METRIC_API_REQUEST_SECONDS "_count", labels, requests_of(row));
    }
    sl_buf_adds(text, SL_METRIC_API_SLOWEST_SECONDS_HEAD);
    for (size_t i = 0; i < ROWS; i++) {
        const row_t *row = row_at(tally, i);

        if (row == NULL) {
            continue;
        }
        labels_of(tally, row, NULL, labels);
        put_seconds(text, SL_METRIC_API_SLOWEST_SECONDS, labels, slowest_of(row, minute));
    }
}

// What the rows add up to.
static row_t
sum_rows(const tally_t *tally)
{
    row_t sum = {.state = TAKEN};

    for (size_t i = 0; i < ROWS; i++) {
        const row_t *row = row_at(tally, i);

        if (row == NULL) {
            continue;
        }
        for (size_t j = 0; j < NGX_HTTP_SLUICE_TALLY_CLASSES; j++) {
            sum.by_class[j] += read_word(&row->by_class[j]);
        }
        sum.throttled += read_word(&row->throttled);
        sum.time_ms += read_word(&row->time_ms);
        sum.received_bytes += read_word(&row->received_bytes);
        sum.sent_bytes += read_word(&row->sent_bytes);
    }
    return sum;
}

static void
put_node_times(const tally_t *tally, const row_t *sum, struct sl_buf *text)
{
    char labels[LABELS_MAX];
    uint64_t total = 0;

    sl_buf_adds(text, SL_METRIC_REQUEST_SECONDS_HEAD);
    for (size_t i = 0; i < SL_COUNT(bounds); i++) {
        total += read_word(&tally->by_bound[i]);
        snprintf(labels, sizeof(labels), "{le=\"%s\"}", bounds[i].le);
        put_line(text, SL_METRIC_REQUEST_SECONDS "_bucket", labels, total);
    }
    // The buckets were read after the rows: what came in between is in the last one too.
    total = requests_of(sum) > total ? requests_of(sum) : total;
    put_line(text, SL_METRIC_REQUEST_SECONDS "_bucket", "{le=\"+Inf\"}", total);
    put_seconds(text, SL_METRIC_REQUEST_SECONDS "_sum", "", sum->time_ms);
    put_line(text, SL_METRIC_REQUEST_SECONDS "_count", "", total);
}

static void
put_value(struct sl_buf *text, const char *head, const char *name, uint64_t value)
{
    sl_buf_adds(text, head);
    put_line(text, name, "", value);
}

static void
put_node(const tally_t *tally, struct sl_buf *text)
{
    row_t sum = sum_rows(tally);
    char labels[LABELS_MAX];
    uint64_t idle = 0;

    sl_buf_adds(text, SL_METRIC_REQUESTS_TOTAL_HEAD);
    for (size_t i = 0; i < NGX_HTTP_SLUICE_TALLY_CLASSES; i++) {
        snprintf(labels, sizeof(labels), "{class=\"%s\"}", classes[i]);
        put_line(text, SL_METRIC_REQUESTS_TOTAL, labels, sum.by_class[i]);
    }
    put_node_times(tally, &sum, text);
    for (size_t i = 0; i < NGX_HTTP_SLUICE_TALLY_WORKERS; i++) {
        idle += read_word(&tally->idle[i]);
    }
    put_value(text, SL_METRIC(REFUSED_TOTAL), read_word(&tally->refused));
    put_value(text, SL_METRIC(THROTTLED_TOTAL), sum.throttled);
    put_value(text, SL_METRIC(BACKEND_CALLS_TOTAL), read_word(&tally->backend_calls));
    put_value(text, SL_METRIC(BACKEND_FAILURES_TOTAL), read_word(&tally->backend_failures));
    put_value(text, SL_METRIC(RECEIVED_BYTES_TOTAL), sum.received_bytes);
    put_value(text, SL_METRIC(SENT_BYTES_TOTAL), sum.sent_bytes);
    put_value(text, SL_METRIC(BACKEND_IDLE_CONNECTIONS), idle);
}

void
ngx_http_sluice_tally_write(const tally_t *tally, int64_t now_s, struct sl_buf *text)
{
    put_node(tally, text);
    put_api_classes(tally, text);
    put_api_words(tally, SL_METRIC(API_THROTTLED_TOTAL), offsetof(row_t, throttled), text);
    put_api_words(tally, SL_METRIC(API_RECEIVED_BYTES_TOTAL), offsetof(row_t, received_bytes),
                  text);
    put_api_words(tally, SL_METRIC(API_SENT_BYTES_TOTAL), offsetof(row_t, sent_bytes), text);
    put_api_times(tally, (uint64_t)(now_s / MINUTE_S), text);
}
