// image_find_test.c - what an image says of an app.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/runtime/image_kit.h"

#define APP_1 "00000000000000000000000000000a01"

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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_app_calls_from_where_its_list_says, kit_open, kit_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
