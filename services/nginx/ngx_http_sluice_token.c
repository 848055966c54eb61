// ngx_http_sluice_token.c - the token endpoint of app_token (runtime.md 5.4).
//
// It answers on every host that leads to a group, before any API is looked for. What it issues is
// sealed (common/crypto/app_token.h): every node of the gateway opens it, none keeps it.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice.h"

#include "common/base/clock.h"
#include "common/crypto/app_token.h"

#define MS_PER_S       1000
#define FORM_MAX       16384 // bytes of a request's body
#define SCOPE_MAX      300   // characters
#define LIFE_S         3600  // of an access token, unless the feature says otherwise
#define REFRESH_LIFE_S 7200  // of a refresh token
#define JSON_BYTES_MAX 6     // of one byte of text: \u001f

// The parameters of the form.
enum field {
    GRANT_TYPE,
    CLIENT_ID,
    CLIENT_SECRET,
    REFRESH_TOKEN,
    SCOPE,
    FIELDS,
};

static const struct sl_str field_names[FIELDS] = {
    [GRANT_TYPE] = {"grant_type", 10},
    [CLIENT_ID] = {"client_id", 9},
    [CLIENT_SECRET] = {"client_secret", 13},
    [REFRESH_TOKEN] = {"refresh_token", 13},
    [SCOPE] = {"scope", 5},
};

// One request for tokens.
struct work {
    ngx_http_request_t *r;
    ngx_http_sluice_ctx_t *ctx;
    struct sl_str fields[FIELDS]; // decoded, from the pool; ptr NULL: not there
    struct sl_seal_key key;
    const struct sl_img_app *app;
    struct sl_str scope; // of the tokens that are made
    int64_t now_s;
};

bool
ngx_http_sluice_is_token_call(const ngx_http_sluice_ctx_t *ctx)
{
    struct sl_str uri = sl_img_feature_text(ctx->gateway, SL_FEATURE_APP_TOKEN_URI);

    if (!sl_img_feature_on(ctx->gateway, SL_FEATURE_APP_TOKEN)) {
        return false;
    }
    return sl_str_equal(ctx->path, uri.len > 0 ? uri : SL_STR("/v1/apigw/oauth2/token"));
}

// -- the form -------------------------------------------------------------------------------------

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Decodes one name or value in place of `out`; false when an escape is none, or it holds a control
// character.
static bool
decode(struct sl_str text, u_char *out, size_t *ret_len)
{
    u_char *to = out;

    for (size_t i = 0; i < text.len; i++) {
        int byte = (u_char)text.ptr[i];

        if (byte == '+') {
            byte = ' ';
        } else if (byte == '%') {
            int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_digit(text.ptr[i + 2]) : -1;

            if (high < 0 || low < 0) {
                return false;
            }
            byte = high << 4 | low;
            i += 2;
        }
        if (byte < ' ' || byte == 0x7f) {
            return false;
        }
        *to++ = (u_char)byte;
    }
    *ret_len = (size_t)(to - out);
    return true;
}

// One `name=value`. What is not ours is passed over; what stands twice is refused.
static bool
take_pair(struct work *work, struct sl_str pair, u_char *room)
{
    struct sl_str value = pair;
    struct sl_str name = sl_str_split(&value, '=');
    size_t len;

    for (size_t i = 0; i < FIELDS; i++) {
        if (!sl_str_equal(name, field_names[i])) {
            continue;
        }
        if (work->fields[i].ptr != NULL || !decode(value, room, &len)) {
            return false;
        }
        work->fields[i] = (struct sl_str){(const char *)room, len};
    }
    return true;
}

static ngx_int_t
read_form(struct work *work)
{
    const ngx_chain_t *chain = work->r->request_body != NULL ? work->r->request_body->bufs : NULL;
    size_t len = (size_t)work->ctx->body_bytes;
    u_char *text = ngx_pnalloc(work->r->pool, 2 * len + 2);
    u_char *room = text == NULL ? NULL : text + len + 1; // decoding never makes longer
    u_char *end = text;
    struct sl_str rest;

    if (text == NULL) {
        return NGX_ERROR;
    }
    for (; chain != NULL; chain = chain->next) {
        size_t part = (size_t)(chain->buf->last - chain->buf->pos);

        if (chain->buf->in_file || (size_t)(end - text) + part > len) {
            return ngx_http_sluice_fail(work->ctx, SL_E_GW_TOKEN_PARAM);
        }
        if (part > 0) { // the last one of a chunked body is empty
            end = ngx_cpymem(end, chain->buf->pos, part);
        }
    }
    rest = (struct sl_str){(const char *)text, (size_t)(end - text)};
    while (rest.ptr != NULL) {
        struct sl_str pair = sl_str_split(&rest, '&');

        if (!take_pair(work, pair, room)) {
            return ngx_http_sluice_fail(work->ctx, SL_E_GW_TOKEN_PARAM);
        }
        room += pair.len;
    }
    return NGX_OK;
}

// -- judging it -----------------------------------------------------------------------------------

static ngx_int_t
check_head(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    struct sl_str type = {NULL, 0};

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_TOKEN_METHOD);
    }
    if (r->headers_in.content_type != NULL) {
        type = ngx_http_sluice_view(&r->headers_in.content_type->value);
        type = sl_str_trim(sl_str_split(&type, ';'));
    }
    if (!sl_str_equal_nocase(type, SL_STR("application/x-www-form-urlencoded"))) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_TOKEN_TYPE);
    }
    return NGX_OK;
}

// Characters; SIZE_MAX when the text is no UTF-8.
static size_t
count_characters(struct sl_str text)
{
    size_t count = 0;

    while (text.len > 0) {
        size_t size = sl_utf8_char(text);

        if (size == 0) {
            return SIZE_MAX;
        }
        text.ptr += size;
        text.len -= size;
        count++;
    }
    return count;
}

static ngx_int_t
check_fields(struct work *work, bool *ret_refreshes)
{
    const struct sl_str *fields = work->fields;

    if (fields[GRANT_TYPE].len == 0) {
        return ngx_http_sluice_fail(work->ctx, SL_E_GW_TOKEN_NO_GRANT);
    }
    *ret_refreshes = sl_str_equal(fields[GRANT_TYPE], SL_STR("refresh_token"));
    if (!*ret_refreshes && !sl_str_equal(fields[GRANT_TYPE], SL_STR("client_credentials"))) {
        return ngx_http_sluice_fail(work->ctx, SL_E_GW_TOKEN_GRANT);
    }
    if (fields[CLIENT_ID].len == 0) {
        return ngx_http_sluice_fail(work->ctx, SL_E_GW_TOKEN_NO_ID);
    }
    if (fields[CLIENT_SECRET].len == 0) {
        return ngx_http_sluice_fail(work->ctx, SL_E_GW_TOKEN_NO_SECRET);
    }
    if (*ret_refreshes && fields[REFRESH_TOKEN].len == 0) {
        return ngx_http_sluice_fail(work->ctx, SL_E_GW_TOKEN_NO_REFRESH);
    }
    if (count_characters(fields[SCOPE]) > SCOPE_MAX) {
        return ngx_http_sluice_fail(work->ctx, SL_E_GW_TOKEN_SCOPE);
    }
    return NGX_OK;
}

static const struct sl_img_app *
find_client(const struct work *work)
{
    ngx_http_sluice_main_conf_t *smcf =
        ngx_http_get_module_main_conf(work->r, ngx_http_sluice_module);

    return sl_image_app_by_key(smcf->image, work->fields[CLIENT_ID]);
}

static ngx_int_t
check_secret(const struct work *work, bool refreshes)
{
    if (!sl_crypto_equal(sl_img_text(&work->app->secret), work->fields[CLIENT_SECRET])) {
        return ngx_http_sluice_fail(work->ctx,
                                    refreshes ? SL_E_GW_TOKEN_SECRET : SL_E_GW_TOKEN_CREDENTIAL);
    }
    return NGX_OK;
}

// A refresh token gets another pair, with the scope of the first.
static ngx_int_t
check_refresh(struct work *work, struct sl_arena *scratch)
{
    struct sl_app_token token;
    char tag[SL_APP_TOKEN_TAG + 1];

    if (!sl_app_token_open(scratch, &work->key, work->fields[REFRESH_TOKEN], &token) ||
        token.kind != SL_APP_TOKEN_REFRESH) {
        return ngx_http_sluice_fail(work->ctx, SL_E_GW_TOKEN_REFRESH);
    }
    if (ngx_memcmp(token.app_id, work->app->id, SL_ID_LEN) != 0) {
        return ngx_http_sluice_fail(work->ctx, SL_E_GW_TOKEN_OTHER_APP);
    }
    if (work->now_s >= token.expires_s) {
        return ngx_http_sluice_fail(work->ctx, SL_E_GW_TOKEN_REFRESH_OVER);
    }
    sl_app_token_tag(sl_img_text(&work->app->secret), tag);
    if (ngx_memcmp(tag, token.tag, sizeof(tag)) != 0) { // the secret was reset since
        return ngx_http_sluice_fail(work->ctx, SL_E_GW_TOKEN_REFRESH);
    }
    if (work->fields[SCOPE].ptr == NULL) {
        work->scope = token.scope;
    }
    return NGX_OK;
}

// -- the answer -----------------------------------------------------------------------------------

static ngx_int_t
send_tokens(ngx_http_request_t *r)
{
    const ngx_http_sluice_ctx_t *ctx = ngx_http_sluice_ctx(r);
    ngx_table_elt_t *header = ngx_list_push(&r->headers_out.headers);

    if (header == NULL || ngx_http_discard_request_body(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    header->hash = 1;
    ngx_str_set(&header->key, "Cache-Control");
    ngx_str_set(&header->value, "no-store");
    header->lowcase_key = header->key.data;
    return ngx_http_sluice_send(r, NGX_HTTP_OK, SL_STR("application/json"),
                                ngx_http_sluice_view(&ctx->mock_body));
}

static const char *
make_token(const struct work *work, struct sl_arena *scratch, enum sl_app_token_kind kind,
           int64_t life_s)
{
    struct sl_app_token token = {.kind = kind,
                                 .issued_s = work->now_s,
                                 .expires_s = work->now_s + life_s,
                                 .scope = work->scope};
    const char *text = NULL;
    struct sl_error err;

    ngx_memcpy(token.app_id, work->app->id, SL_ID_LEN);
    sl_app_token_tag(sl_img_text(&work->app->secret), token.tag);
    return sl_app_token_make(scratch, &work->key, &token, &text, &err) == 0 ? text : NULL;
}

static ngx_int_t
answer(struct work *work, struct sl_arena *scratch)
{
    const struct sl_img_gateway *gateway = work->ctx->gateway;
    int64_t life_s = sl_img_feature_number(gateway, SL_FEATURE_APP_TOKEN_LIFE, LIFE_S);
    int64_t refresh_s = sl_img_feature_number(gateway, SL_FEATURE_APP_REFRESH_LIFE, REFRESH_LIFE_S);
    const char *access = make_token(work, scratch, SL_APP_TOKEN_ACCESS, life_s);
    const char *refresh = make_token(work, scratch, SL_APP_TOKEN_REFRESH, refresh_s);
    u_char *out;

    if (access == NULL || refresh == NULL) {
        return NGX_ERROR;
    }
    out = ngx_pnalloc(work->r->pool,
                      256 + strlen(access) + strlen(refresh) + JSON_BYTES_MAX * work->scope.len);
    if (out == NULL) {
        return NGX_ERROR;
    }
    work->ctx->mock_body.data = out;
    out = ngx_sprintf(out, "{\"access_token\":\"%s\",\"refresh_token\":\"%s\",", access, refresh);
    out = ngx_sprintf(out, "\"token_type\":\"bearer\",\"expires_in\":%L,\"scope\":\"", life_s);
    out = (u_char *)ngx_escape_json(out, (u_char *)(uintptr_t)work->scope.ptr, work->scope.len);
    out = ngx_cpymem(out, "\"}", 2);
    work->ctx->mock_body.len = (size_t)(out - work->ctx->mock_body.data);
    work->ctx->answered = 1;
    work->r->content_handler = send_tokens;
    return NGX_OK;
}

static ngx_int_t
judge(struct work *work)
{
    struct sl_arena *scratch = ngx_http_sluice_scratch();
    bool refreshes = false;
    ngx_int_t rc = scratch == NULL ? NGX_ERROR : read_form(work);

    if (rc == NGX_OK) {
        rc = check_fields(work, &refreshes);
    }
    if (rc != NGX_OK) {
        return rc;
    }
    work->scope = work->fields[SCOPE];
    work->app = find_client(work);
    if (work->app == NULL) {
        return ngx_http_sluice_fail(work->ctx, SL_E_GW_TOKEN_NO_APP);
    }
    rc = check_secret(work, refreshes);
    if (rc == NGX_OK && refreshes) {
        rc = check_refresh(work, scratch);
    }
    return rc == NGX_OK ? answer(work, scratch) : rc;
}

ngx_int_t
ngx_http_sluice_token(ngx_http_request_t *r, ngx_http_sluice_ctx_t *ctx)
{
    struct work work = {.r = r, .ctx = ctx, .now_s = sl_wall_ms() / MS_PER_S};
    ngx_int_t rc = check_head(r, ctx);

    if (rc != NGX_OK) {
        return rc;
    }
    if (r->headers_in.content_length_n > FORM_MAX) {
        return ngx_http_sluice_fail(ctx, SL_E_GW_BODY_TOO_LARGE);
    }
    if (ctx->body_digest[0] == '\0' && ngx_http_sluice_has_body(r)) {
        ctx->body_max_bytes = FORM_MAX;
        return ngx_http_sluice_body_read(r, ctx);
    }
    sl_app_token_key(sl_img_feature_text(ctx->gateway, SL_FEATURE_APP_TOKEN_KEY), &work.key);
    rc = judge(&work);
    sl_wipe(&work.key, sizeof(work.key));
    return rc;
}
