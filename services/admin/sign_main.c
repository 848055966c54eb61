// sign_main.c - sluice-sign: signs a request with SDK-HMAC-SHA256 and prints the headers, or runs
// curl, which cannot sign itself.
//
// The secret comes by the environment, never as an argument that every user of the machine can
// read. All headers given are signed, with Host and X-Sdk-Date.
//
// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/crypto/sign.h"

#define ARENA_MAX (64 * 1024 * 1024)
#define BODY_MAX  (12 * 1024 * 1024) // what a node reads before it judges, bytes
#define CURL_ARGS 160                // more than twice SL_SIGN_HEADERS_MAX

static const char usage_text[] =
    "usage: sluice-sign --key KEY --secret-env VARIABLE [--curl] [-k] METHOD URL\n"
    "                   [-H 'Name: value']... [-d BODY | -d @FILE] [-- curl's options]\n"
    "\n"
    "Signs the request with the access key (or app key) KEY, whose secret stands in the\n"
    "environment variable VARIABLE. Prints curl's -H options, or with --curl runs curl, which\n"
    "prints status line and headers on standard error. -k: do not verify the certificate.\n";

// What the arguments say and what is made of them.
struct signing {
    const char *key;     // access key
    const char *secret;  // from the environment
    bool runs_curl;      //
    bool insecure;       // -k
    const char *method;  //
    const char *url;     //
    const char *data;    // as given to -d; NULL: no body
    char **rest;         // curl's own options, ends in NULL
    struct sl_str host;  // authority of the URL
    struct sl_str path;  //
    struct sl_str query; //
    struct sl_str body;  //
    struct sl_sign_header headers[SL_SIGN_HEADERS_MAX];
    size_t header_count;
};

static int
complain(const char *text, const char *what)
{
    fprintf(stderr, "sluice-sign: %s%s%s\n", text, what[0] != '\0' ? ": " : "", what);
    return -1;
}

static int
add_header(struct signing *signing, struct sl_str name, struct sl_str value)
{
    if (signing->header_count == SL_SIGN_HEADERS_MAX) {
        return complain("too many headers", "");
    }
    signing->headers[signing->header_count].name = name;
    signing->headers[signing->header_count].value = value;
    signing->header_count++;
    return 0;
}

static bool
has_header(const struct signing *signing, struct sl_str name)
{
    for (size_t i = 0; i < signing->header_count; i++) {
        if (sl_str_equal_nocase(signing->headers[i].name, name)) {
            return true;
        }
    }
    return false;
}

static int
take_header(struct signing *signing, const char *text)
{
    struct sl_str value = sl_str(text);
    struct sl_str name = sl_str_split(&value, ':');
    if (value.ptr == NULL || name.len == 0) {
        return complain("a header is 'Name: value'", text);
    }
    return add_header(signing, name, sl_str_trim(value));
}

static int
take_options(struct signing *signing, int argc, char **argv)
{
    static const struct option longs[] = {
        {"key", required_argument, NULL, 'a'}, {"secret-env", required_argument, NULL, 's'},
        {"curl", no_argument, NULL, 'c'},      {"insecure", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},      {NULL, 0, NULL, 0}};
    int option = 0;
    while ((option = getopt_long(argc, argv, "H:d:kh", longs, NULL)) != -1) {
        switch (option) {
        case 'a':
            signing->key = optarg;
            break;
        case 's':
            signing->secret = getenv(optarg);
            break;
        case 'c':
            signing->runs_curl = true;
            break;
        case 'k':
            signing->insecure = true;
            break;
        case 'H':
            if (take_header(signing, optarg) != 0) {
                return -1;
            }
            break;
        case 'd':
            signing->data = optarg;
            break;
        case 'h':
            fputs(usage_text, stdout);
            exit(0);
        default:
            return -1;
        }
    }
    return 0;
}

static int
take_arguments(struct signing *signing, int argc, char **argv)
{
    if (take_options(signing, argc, argv) != 0) {
        return -1;
    }
    if (argc - optind < 2) {
        return complain("method and URL are missing", "");
    }
    if (signing->key == NULL || signing->key[0] == '\0' || signing->secret == NULL) {
        return complain("no key, or its secret is not in the environment", "");
    }
    signing->method = argv[optind];
    signing->url = argv[optind + 1];
    signing->rest = argv + optind + 2;
    return 0;
}

static int
split_url(struct signing *signing)
{
    const char *authority = strstr(signing->url, "://");
    if (authority == NULL) {
        return complain("not a URL", signing->url);
    }
    authority += strlen("://");
    size_t host_len = strcspn(authority, "/?#");
    const char *path = authority + host_len;
    size_t path_len = strcspn(path, "?#");
    const char *query = path[path_len] == '?' ? path + path_len + 1 : "";
    signing->host = (struct sl_str){authority, host_len};
    signing->path = (struct sl_str){path, path_len};
    signing->query = (struct sl_str){query, strcspn(query, "#")};
    return host_len > 0 ? 0 : complain("not a URL", signing->url);
}

static int
read_body(struct sl_arena *arena, struct signing *signing)
{
    if (signing->data == NULL || signing->data[0] != '@') {
        signing->body = sl_str(signing->data);
        return 0;
    }
    FILE *file = fopen(signing->data + 1, "rb");
    if (file == NULL) {
        return complain(strerror(errno), signing->data + 1);
    }
    char *bytes = sl_arena_alloc(arena, BODY_MAX + 1);
    size_t len = bytes != NULL ? fread(bytes, 1, BODY_MAX + 1, file) : 0;
    bool ok = bytes != NULL && len <= BODY_MAX && ferror(file) == 0;
    fclose(file);
    signing->body = (struct sl_str){bytes, len};
    return ok ? 0 : complain("the body cannot be read, or is too large", signing->data + 1);
}

static const char *
date_now(struct sl_arena *arena)
{
    time_t now = (time_t)(sl_wall_ms() / 1000);
    struct tm parts;
    gmtime_r(&now, &parts);
    char text[32];
    strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &parts);
    return sl_arena_dup(arena, text);
}

// Adds what is signed besides the headers that were given, signs, and adds Authorization.
static int
sign(struct sl_arena *arena, struct signing *signing)
{
    char hash[SL_SHA256_HEX];
    const char *authorization = NULL;
    struct sl_error err;
    if (!has_header(signing, SL_STR("host")) &&
        add_header(signing, SL_STR("Host"), signing->host) != 0) {
        return -1;
    }
    if (signing->data != NULL && !has_header(signing, SL_STR("content-type")) &&
        add_header(signing, SL_STR("Content-Type"), SL_STR("application/json")) != 0) {
        return -1;
    }
    if (!has_header(signing, SL_STR("x-sdk-date")) &&
        add_header(signing, SL_STR("X-Sdk-Date"), sl_str(date_now(arena))) != 0) {
        return -1;
    }
    sl_sha256_hex(signing->body, hash);
    struct sl_sign_request request = {
        .method = sl_str(signing->method),
        .raw_path = signing->path,
        .raw_query = signing->query,
        .headers = signing->headers,
        .header_count = signing->header_count,
        .body_hash = sl_str(hash),
    };
    SL_AUTO(sl_hmac) key = sl_hmac_new(sl_str(signing->secret));
    if (key == NULL ||
        sl_sign_make(arena, &request, sl_str(signing->key), key, &authorization, &err) != 0) {
        return complain("the request cannot be signed", "");
    }
    return add_header(signing, SL_STR("Authorization"), sl_str(authorization));
}

// The text as one word of the shell.
static void
print_quoted(const char *text)
{
    putchar('\'');
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\'') {
            fputs("'\\''", stdout);
        } else {
            putchar(*c);
        }
    }
    putchar('\'');
}

static char *
header_line(struct sl_arena *arena, const struct sl_sign_header *header)
{
    return sl_arena_printf(arena, "%.*s: %.*s", SL_STR_FMT(header->name),
                           SL_STR_FMT(header->value));
}

static void
print_headers(struct sl_arena *arena, const struct signing *signing)
{
    for (size_t i = 0; i < signing->header_count; i++) {
        fputs(i > 0 ? " -H " : "-H ", stdout);
        print_quoted(header_line(arena, &signing->headers[i]));
    }
    putchar('\n');
}

// Becomes curl; comes back only on failure.
static int
run_curl(struct sl_arena *arena, struct signing *signing)
{
    char *args[CURL_ARGS];
    size_t count = 0;
    static const char *const fixed[] = {"curl", "-sS",         "--globoff", "--path-as-is",
                                        "-D",   "/dev/stderr", "-X"};
    for (size_t i = 0; i < SL_COUNT(fixed); i++) {
        args[count++] = sl_arena_dup(arena, fixed[i]);
    }
    if (strcmp(signing->method, "HEAD") == 0) {
        args[count - 1] = sl_arena_dup(arena, "--head");
    } else {
        args[count++] = sl_arena_dup(arena, signing->method);
    }
    for (size_t i = 0; i < signing->header_count; i++) {
        args[count++] = sl_arena_dup(arena, "-H");
        args[count++] = header_line(arena, &signing->headers[i]);
    }
    if (signing->data != NULL) {
        args[count++] = sl_arena_dup(arena, "--data-binary");
        args[count++] = sl_arena_dup(arena, signing->data);
    }
    if (signing->insecure) {
        args[count++] = sl_arena_dup(arena, "-k");
    }
    for (char **rest = signing->rest; *rest != NULL && count < CURL_ARGS - 2; rest++) {
        args[count++] = *rest;
    }
    args[count++] = sl_arena_dup(arena, signing->url);
    args[count] = NULL;
    execvp("curl", args);
    return complain(strerror(errno), "curl");
}

int
main(int argc, char **argv)
{
    struct signing signing = {.key = NULL};
    SL_AUTO(sl_arena) arena = sl_arena_new(ARENA_MAX);
    if (arena == NULL || take_arguments(&signing, argc, argv) != 0 || split_url(&signing) != 0) {
        fputs("Try sluice-sign --help.\n", stderr);
        return 2;
    }
    if (read_body(arena, &signing) != 0 || sign(arena, &signing) != 0) {
        return 1;
    }
    if (signing.runs_curl) {
        return run_curl(arena, &signing) != 0;
    }
    print_headers(arena, &signing);
    return 0;
}
