// image_find_test.c - what an image says of an app.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/runtime/image_kit.h"

#define KEY_2  "00000000000000000000000000000c02"
#define USER_1 "00000000000000000000000000000b01"
#define APP_1  "00000000000000000000000000000a01"

static void
an_app_calls_from_where_its_list_says(void **state)
{
    static const char *const acl[] = {"10.0.0.0/8", "2001:db8::1-2001:db8::9"};
    static const struct {
        enum sl_acl_mode mode;
        const char *address;
        bool admitted;
    } rows[] = {
        {SL_ACL_NONE, "192.0.2.1", true},
        {SL_ACL_NONE, "unix:", true},
        {SL_ACL_PERMIT, "10.1.2.3", true},
        {SL_ACL_PERMIT, "192.0.2.1", false},
        {SL_ACL_PERMIT, "2001:db8::5", true},
        {SL_ACL_PERMIT, "2001:db8::a", false},
        {SL_ACL_DENY, "10.1.2.3", false},
        {SL_ACL_DENY, "192.0.2.1", true},
        {SL_ACL_DENY, "::ffff:10.0.0.1", false},
        {SL_ACL_DENY, "unix:", false},
        {SL_ACL_PERMIT, "", false},
    };
    struct kit *kit = *state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        struct sl_entry entry = {.kind = SL_KIND_APP,
                                 .app = {.id = APP_1,
                                         .name = "shop",
                                         .key = "key",
                                         .secret = "secret",
                                         .domain_id = "",
                                         .acl_mode = rows[i].mode,
                                         .acl = acl,
                                         .acl_count = SL_COUNT(acl),
                                         .quota = {APP_1, (int64_t)i, 60, 7}}};
        kit_put(kit, APP_1, &entry);
        kit_commit(kit, i + 1);
        const struct sl_img_app *app = sl_image_app(kit->image, APP_1);
        assert_non_null(app);
        assert_int_equal((int64_t)i, app->quota_limit);
        assert_memory_equal(APP_1, app->quota_id, SL_ID_LEN);
        assert_true(app->quota_window_s == 60 && app->quota_lead_s == 7);
        if (sl_img_app_admits(app, sl_str(rows[i].address)) != rows[i].admitted) {
            fail_msg("row %zu: %s", i, rows[i].address);
        }
    }
}

static void
users_and_keys_are_found_until_they_are_gone(void **state)
{
    struct kit *kit = *state;
    static const char hex[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    struct sl_entry user = {.kind = SL_KIND_USER,
                            .user = {USER_1, "u", "d", "account", true, 1700000000}};
    struct sl_entry key = {.kind = SL_KIND_ACCESS_KEY,
                           .access_key = {"AK1", "secret", "", USER_1, "p", true, 99}};
    struct sl_entry token_key = {.kind = SL_KIND_TOKEN_KEY, .token_key = {GROUP_1, hex}};
    struct sl_entry broken = {.kind = SL_KIND_TOKEN_KEY, .token_key = {KEY_2, "no hex"}};
    kit_put(kit, USER_1, &user);
    kit_put(kit, "AK1", &key);
    kit_put(kit, GROUP_1, &token_key);
    kit_put(kit, KEY_2, &broken);
    kit_commit(kit, 1);
    const struct sl_img_user *found = sl_image_user(kit->image, USER_1);
    assert_non_null(found);
    assert_true(sl_str_equal(sl_img_text(&found->domain_name), SL_STR("account")));
    assert_int_equal(found->not_before_s, 1700000000);
    const struct sl_img_access_key *access = sl_image_access_key(kit->image, SL_STR("AK1"));
    assert_non_null(access);
    assert_memory_equal(access->user_id, USER_1, SL_ID_LEN);
    assert_int_equal(access->expires_s, 99);
    uint64_t version = access->secret_version;
    assert_null(sl_image_access_key(kit->image, SL_STR("AK")));
    const struct sl_img_token_key *public_key = sl_image_token_key(kit->image, SL_STR(GROUP_1));
    assert_non_null(public_key);
    assert_int_equal(public_key->public_key[31], 31);
    assert_null(sl_image_token_key(kit->image, SL_STR(KEY_2)));
    assert_null(sl_image_token_key(kit->image, SL_STR("short")));
    key.access_key.secret = "another";
    kit_put(kit, "AK1", &key);
    sl_image_builder_remove(kit->builder, SL_KIND_USER, USER_1);
    sl_image_builder_remove(kit->builder, SL_KIND_TOKEN_KEY, GROUP_1);
    kit_commit(kit, 2);
    assert_int_not_equal(sl_image_access_key(kit->image, SL_STR("AK1"))->secret_version, version);
    assert_null(sl_image_user(kit->image, USER_1));
    assert_null(sl_image_token_key(kit->image, SL_STR(GROUP_1)));
}

static const struct sl_img_certificate *
certificate_of(struct kit *kit, const char *id)
{
    const struct sl_img_certificate *found = sl_image_certificate(kit->image, id);
    assert_non_null(found);
    return found;
}

static void
assert_text(const struct sl_img_str *text, const char *bytes, size_t len)
{
    assert_true(sl_str_equal(sl_img_text(text), (struct sl_str){bytes, len}));
}

static void
a_certificate_is_found_and_its_version_goes_by_what_it_holds(void **state)
{
    struct kit *kit = *state;
    static const struct sl_str chain[] = {{"\x30\0a", 3}, {"b", 1}};
    static const struct sl_str other[] = {{"\x30\0a", 3}};
    struct sl_entry entry = {.kind = SL_KIND_CERTIFICATE,
                             .certificate = {KEY_2, "c", "RSA", {"k\0y", 3}, chain, 2, other, 1}};
    kit_put(kit, KEY_2, &entry);
    kit_commit(kit, 1);
    const struct sl_img_certificate *found = certificate_of(kit, KEY_2);
    const struct sl_img_str *ders = sl_img_items(&found->chain);
    assert_text(&found->key, "k\0y", 3);
    assert_int_equal(found->chain.count, 2);
    assert_text(&ders[0], "\x30\0a", 3);
    assert_text(&ders[1], "b", 1);
    assert_int_equal(found->ca.count, 1);
    uint64_t first = found->version;
    entry.certificate.name = "renamed";
    kit_put(kit, KEY_2, &entry);
    kit_commit(kit, 2);
    assert_int_equal(certificate_of(kit, KEY_2)->version, first);
    struct sl_certificate changed[] = {entry.certificate, entry.certificate, entry.certificate};
    changed[0].chain_count = 1;
    changed[1].ca_count = 0;
    changed[2].key.ptr = "k\0z";
    for (size_t i = 0; i < SL_COUNT(changed); i++) {
        entry.certificate = changed[i];
        kit_put(kit, KEY_2, &entry);
        kit_commit(kit, 3 + i);
        assert_int_not_equal(certificate_of(kit, KEY_2)->version, first);
    }
    sl_image_builder_remove(kit->builder, SL_KIND_CERTIFICATE, KEY_2);
    kit_commit(kit, 9);
    assert_null(sl_image_certificate(kit->image, KEY_2));
}

static void
a_host_says_what_its_handshakes_show(void **state)
{
    struct kit *kit = *state;
    static const char *const ids[] = {KEY_2, APP_1};
    struct sl_entry exact = {.kind = SL_KIND_HOST,
                             .host = {.name = "a.example.com",
                                      .group_id = GROUP_1,
                                      .certificates = ids,
                                      .certificate_count = 2,
                                      .verify_client = true,
                                      .http_port = -1,
                                      .https_port = 443}};
    struct sl_entry wild = {.kind = SL_KIND_HOST,
                            .host = {"*.example.com", GROUP_1, false, .redirect_https = true}};
    kit_put(kit, "a.example.com", &exact);
    kit_put(kit, "*.example.com", &wild);
    kit_commit(kit, 1);
    const struct sl_img_host *host = sl_image_host(kit->image, SL_STR("a.example.com"));
    assert_non_null(host);
    assert_int_equal(host->certificates.count, 2);
    const char(*found)[SL_ID_LEN] = sl_img_items(&host->certificates);
    assert_memory_equal(found[1], APP_1, SL_ID_LEN);
    assert_true(host->verify_client && !host->redirect_https);
    assert_true(host->http_port == -1 && host->https_port == 443);
    host = sl_image_host(kit->image, SL_STR("b.example.com"));
    assert_non_null(host);
    assert_true(host->redirect_https && !host->verify_client && host->certificates.count == 0);
}

static const struct sl_img_sign *
pair(struct kit *kit, const char *key)
{
    return sl_image_sign_by_key(kit->image, sl_str(key));
}

static void
signature_keys_are_found_by_id_and_pairs_by_their_key(void **state)
{
    struct kit *kit = *state;
    struct sl_entry hmac = {.kind = SL_KIND_SIGN, .sign = {USER_1, "name", "secret", SL_SIGN_HMAC}};
    struct sl_entry keys = {.kind = SL_KIND_SIGN,
                            .sign = {KEY_2, "name", "secret", SL_SIGN_PUBLIC_KEY}};
    kit_put(kit, USER_1, &hmac);
    kit_put(kit, KEY_2, &keys);
    kit_commit(kit, 1);
    const struct sl_img_sign *found = sl_image_sign(kit->image, USER_1);
    assert_non_null(found);
    assert_int_equal(found->type, SL_SIGN_HMAC);
    assert_true(sl_str_equal(sl_img_text(&found->key), SL_STR("name")));
    assert_true(sl_str_equal(sl_img_text(&found->secret), SL_STR("secret")));
    uint64_t version = found->version;
    assert_memory_equal(pair(kit, "name")->id, KEY_2, SL_ID_LEN); // only pairs are asked for so
    assert_null(pair(kit, "nam"));
    keys.sign.key = "other";
    hmac.sign.secret = "rotated";
    kit_put(kit, USER_1, &hmac);
    kit_put(kit, KEY_2, &keys);
    kit_commit(kit, 2);
    assert_int_not_equal(sl_image_sign(kit->image, USER_1)->version, version);
    assert_null(pair(kit, "name"));
    assert_non_null(pair(kit, "other"));
    keys.sign.type = SL_SIGN_BASIC;
    kit_put(kit, KEY_2, &keys);
    sl_image_builder_remove(kit->builder, SL_KIND_SIGN, USER_1);
    kit_commit(kit, 3);
    assert_null(pair(kit, "other"));
    assert_null(sl_image_sign(kit->image, USER_1));
    assert_non_null(sl_image_sign(kit->image, KEY_2));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(signature_keys_are_found_by_id_and_pairs_by_their_key,
                                        kit_open, kit_close),
        cmocka_unit_test_setup_teardown(an_app_calls_from_where_its_list_says, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(users_and_keys_are_found_until_they_are_gone, kit_open,
                                        kit_close),
        cmocka_unit_test_setup_teardown(
            a_certificate_is_found_and_its_version_goes_by_what_it_holds, kit_open, kit_close),
        cmocka_unit_test_setup_teardown(a_host_says_what_its_handshakes_show, kit_open, kit_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
