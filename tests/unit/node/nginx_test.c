// nginx_test.c - nginx.conf, the default certificate, and whom a pid file names.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/node/node_kit.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "services/node/certificate.h"
#include "services/node/nginx_conf.h"
#include "services/node/nginx_signal.h"

struct place {
    char path[64];
    struct settings settings;
};

static int
open_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    snprintf(place->path, sizeof(place->path), "/tmp/sluice-nginx-XXXXXX");
    *state = place;
    if (mkdtemp(place->path) == NULL) {
        return -1;
    }
    place->settings = (struct settings){
        .node_id = "node-1",
        .state_dir = place->path,
        .shm_name = "node-1-x",
        .http_listen = "127.0.0.1:17500",
        .https_listen = "127.0.0.1:17501",
        .health_listen = "127.0.0.1:17502",
        .nginx_module = "/lib/a module.so",
        .nginx_conf = "",
        .nginx_user = "",
        .access_log = "",
        .access_log_format = "line",
        .access_log_json = "",
        .body_budget_mb = 256,
        .limit_keys = 65536,
        .nginx_workers = 2,
    };
    return 0;
}

static int
close_place(void **state)
{
    struct place *place = *state;
    kit_remove_tree(place->path);
    free(place);
    return 0;
}

static void
variables_are_replaced_and_named_locations_are_not(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    SL_AUTO_BUF out;
    sl_buf_init(&out, NGINX_CONF_MAX);
    assert_int_equal(
        nginx_conf_render("# @UNKNOWN@\nload \"@MODULE@\"; n @WORKERS@ b @BODY_BUDGET@m;\n"
                          "k @LIMIT_KEYS@; location @sluice_x {} listen @LISTEN_HTTP@;",
                          &place->settings, &out, &err),
        0);
    assert_string_equal(out.ptr, "# @UNKNOWN@\nload \"/lib/a module.so\"; n 2 b 256m;\n"
                                 "k 65536; location @sluice_x {} listen 127.0.0.1:17500;");
}

// The file that the last change replaced comes back once.
static void
the_configuration_of_before_can_be_put_back(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    bool changed = false;
    assert_int_equal(nginx_conf_write(&place->settings, &changed, &err), 0);
    assert_int_equal(nginx_conf_restore(&place->settings, &err), -1);
    place->settings.nginx_module = "/lib/another.so";
    assert_int_equal(nginx_conf_write(&place->settings, &changed, &err), 0);
    assert_true(changed);
    assert_int_equal(nginx_conf_restore(&place->settings, &err), 0);
    place->settings.nginx_module = "/lib/a module.so";
    assert_int_equal(nginx_conf_write(&place->settings, &changed, &err), 0);
    assert_false(changed);
}

static void
a_variable_that_nothing_gives_is_refused_and_named(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    SL_AUTO_BUF out;
    sl_buf_init(&out, NGINX_CONF_MAX);
    assert_int_equal(nginx_conf_render("x @NEW_ONE@;", &place->settings, &out, &err), -1);
    assert_string_equal(err.args[0], "@NEW_ONE@");
}

static void
a_value_that_would_end_its_directive_is_refused(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    static const char *const values[] = {"a;b", "a\"b", "a{b", "a$b", "a\nb", ""};
    for (size_t i = 0; i < SL_COUNT(values); i++) {
        SL_AUTO_BUF out;
        sl_buf_init(&out, NGINX_CONF_MAX);
        place->settings.node_id = values[i];
        assert_int_equal(nginx_conf_render("x @NODE_ID@;", &place->settings, &out, &err), -1);
        assert_string_equal(err.args[0], "NODE_ID");
    }
}

static void
the_format_of_the_access_log_chooses_its_files(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    static const struct {
        const char *word;
        const char *rendered;
    } rows[] = {
        {"line", "L #J #O;"}, {"json", "#L J #O;"}, {"both", "L J #O;"}, {"off", "#L #J O;"}};
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        SL_AUTO_BUF out;
        sl_buf_init(&out, NGINX_CONF_MAX);
        place->settings.access_log_format = rows[i].word;
        assert_int_equal(nginx_conf_render("@IF_LOG_LINE@L @IF_LOG_JSON@J @IF_LOG_OFF@O;",
                                           &place->settings, &out, &err),
                         0);
        assert_string_equal(out.ptr, rows[i].rendered);
    }
    SL_AUTO_BUF out;
    sl_buf_init(&out, NGINX_CONF_MAX);
    place->settings.access_log_format = "LINE";
    assert_int_equal(nginx_conf_render("x;", &place->settings, &out, &err), -1);
    assert_string_equal(err.args[0], "access_log_format");
}

static void
logs_stand_in_the_state_directory_unless_told(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    char expected[192];
    SL_AUTO_BUF out;
    sl_buf_init(&out, NGINX_CONF_MAX);
    place->settings.access_log = "/var/log/x.log";
    assert_int_equal(
        nginx_conf_render("\"@ACCESS_LOG@\" \"@ACCESS_LOG_JSON@\"", &place->settings, &out, &err),
        0);
    snprintf(expected, sizeof(expected), "\"/var/log/x.log\" \"%s/access.json.log\"", place->path);
    assert_string_equal(out.ptr, expected);
}

static void
the_real_template_renders_whole_and_is_written_once(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    char path[128];
    char text[65536] = "";
    bool changed = false;
    assert_int_equal(nginx_conf_write(&place->settings, &changed, &err), 0);
    assert_true(changed);
    snprintf(path, sizeof(path), "%s/nginx.conf", place->path);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = '\0';
    fclose(file);
    assert_non_null(strstr(text, "sluice_image node-1-x;"));
    assert_non_null(strstr(text, "listen 127.0.0.1:17501"));
    assert_non_null(strstr(text, "worker_processes 2;"));
    assert_non_null(strstr(text, "    access_log \""));
    assert_non_null(strstr(text, "    #access_log off;"));
    assert_int_equal(nginx_conf_write(&place->settings, &changed, &err), 0);
    assert_false(changed);
    place->settings.nginx_workers = 0;
    assert_int_equal(nginx_conf_write(&place->settings, &changed, &err), 0);
    assert_true(changed);
}

static void
the_certificate_is_made_once_and_names_the_node(void **state)
{
    struct place *place = *state;
    struct sl_error err;
    char path[128];
    struct stat first;
    struct stat second;
    assert_int_equal(certificate_ensure(place->path, "node-1", &err), 0);
    snprintf(path, sizeof(path), "%s/" CERTIFICATE_FILE, place->path);
    assert_int_equal(stat(path, &first), 0);
    assert_int_equal(certificate_ensure(place->path, "node-1", &err), 0);
    assert_int_equal(stat(path, &second), 0);
    assert_int_equal(first.st_ino, second.st_ino);
    FILE *file = fopen(path, "r");
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    assert_non_null(certificate);
    assert_int_equal(X509_check_host(certificate, "node-1", 0, 0, NULL), 1);
    EVP_PKEY *key = X509_get_pubkey(certificate);
    assert_int_equal(X509_verify(certificate, key), 1);
    EVP_PKEY_free(key);
    X509_free(certificate);
    snprintf(path, sizeof(path), "%s/" CERTIFICATE_KEY, place->path);
    assert_int_equal(stat(path, &first), 0);
    assert_int_equal(first.st_mode & 0777, 0600);
}

static void
a_pid_file_names_only_a_process_of_that_program(void **state)
{
    struct place *place = *state;
    char path[128];
    char self[256] = "";
    snprintf(path, sizeof(path), "%s/nginx.pid", place->path);
    assert_int_equal(nginx_signal_find(path, "/usr/sbin/nginx"), 0);
    FILE *file = fopen(path, "w");
    fprintf(file, "%d\n", (int)getpid());
    fclose(file);
    assert_int_equal(nginx_signal_find(path, "/bin/sh"), 0);
    assert_in_range(readlink("/proc/self/exe", self, sizeof(self) - 1), 1, 255);
    assert_int_equal(nginx_signal_find(path, self), getpid());
    assert_false(nginx_signal_send(path, "/bin/sh", 0));
    assert_true(nginx_signal_send(path, self, 0)); // no signal, but the right to send one
}

static void
a_pid_file_that_holds_no_pid_names_nobody(void **state)
{
    struct place *place = *state;
    char path[128];
    char self[256] = "";
    static const char *const texts[] = {"", "1\n", "0", "-5", "12x", "99999999999", "pid\n"};
    assert_in_range(readlink("/proc/self/exe", self, sizeof(self) - 1), 1, 255);
    snprintf(path, sizeof(path), "%s/nginx.pid", place->path);
    for (size_t i = 0; i < SL_COUNT(texts); i++) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs(texts[i], file);
        fclose(file);
        assert_int_equal(nginx_signal_find(path, self), 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_place, close_place)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(variables_are_replaced_and_named_locations_are_not),
        TEST(the_configuration_of_before_can_be_put_back),
        TEST(a_variable_that_nothing_gives_is_refused_and_named),
        TEST(a_value_that_would_end_its_directive_is_refused),
        TEST(the_format_of_the_access_log_chooses_its_files),
        TEST(logs_stand_in_the_state_directory_unless_told),
        TEST(the_real_template_renders_whole_and_is_written_once),
        TEST(the_certificate_is_made_once_and_names_the_node),
        TEST(a_pid_file_names_only_a_process_of_that_program),
        TEST(a_pid_file_that_holds_no_pid_names_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
