// siphash_test.c - the published value, and names that were made to be one for another hash.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/siphash.h"

#include <czmq.h>

#include "tests/unit/collide.h"

#define GROWN_MAX (4 << 20) // bytes that a table of a few names may take
#define FEW       10        // names that have a table without a key grow beyond that

static void
it_has_the_published_value(void **state)
{
    (void)state;
    const uint64_t key[2] = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
    const char input[] = "\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16";
    assert_true(sl_siphash(key, (struct sl_str){input, 15}) == 0xa129ca6149be45e5ULL);
}

static void
a_text_has_one_hash_and_others_have_others(void **state)
{
    (void)state;
    char copy[] = "10.0.0.1";
    assert_true(sl_siphash_text("10.0.0.1") == sl_siphash_text(copy));
    assert_true(sl_siphash_text("10.0.0.1") != sl_siphash_text("10.0.0.2"));
    assert_true(sl_siphash_text("") != sl_siphash_text("0"));
}

// Fills a table with names made to collide; how much larger the process is then.
static size_t
grown(zhashx_hash_fn *hasher, int count)
{
    char texts[COLLIDE_TEXTS][COLLIDE_SIZE];
    const struct collide all = collide("", "fd00:", ':', 5);
    zhashx_t *table = zhashx_new();
    if (hasher != NULL) {
        zhashx_set_key_hasher(table, hasher);
    }
    size_t before = collide_mapped();
    for (int i = 0; i < count; i++) {
        collide_text(&all, (unsigned)i, texts[i]);
        assert_int_equal(zhashx_insert(table, texts[i], texts), 0);
    }
    for (int i = 0; i < count; i++) {
        assert_ptr_equal(zhashx_lookup(table, texts[i]), texts);
    }
    size_t after = collide_mapped();
    zhashx_destroy(&table);
    return after - before;
}

// A few show that they do what they are made for: with all of them zhashx ends the process.
static void
names_made_to_collide_let_no_table_grow(void **state)
{
    (void)state;
    assert_true(grown(NULL, FEW) > GROWN_MAX);
    assert_true(grown(sl_siphash_text, COLLIDE_TEXTS) < GROWN_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_the_published_value),
        cmocka_unit_test(a_text_has_one_hash_and_others_have_others),
        cmocka_unit_test(names_made_to_collide_let_no_table_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
