/* CRC32C against published vectors, and against its definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tickbus/journal.h>

/* RFC 3720, B.4, and the check value of the CRC catalogues. */
static void known_vectors(void **state)
{
    unsigned char bytes[32];
    (void)state;
    assert_int_equal(tb_crc32c(0, "123456789", 9), 0xE3069283);
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(tb_crc32c(0, bytes, 32), 0x8A9136AA);
    memset(bytes, 0xFF, sizeof(bytes));
    assert_int_equal(tb_crc32c(0, bytes, 32), 0x62A8AB43);
    for (int i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(tb_crc32c(0, bytes, 32), 0x46DD794E);
    for (int i = 0; i < 32; i++)
        bytes[i] = (unsigned char)(31 - i);
    assert_int_equal(tb_crc32c(0, bytes, 32), 0x113FDB5C);
    assert_int_equal(tb_crc32c(0, "", 0), 0);
}

/* Bit by bit, as the polynomial is defined. */
static uint32_t slow(uint32_t crc, const unsigned char *p, size_t count)
{
    crc = ~crc;
    for (; count > 0; p++, count--) {
        crc ^= *p;
        for (int i = 0; i < 8; i++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78U : 0);
    }
    return ~crc;
}

static void every_length_and_offset_agree(void **state)
{
    static unsigned char bytes[3 * 4096 + 64];
    (void)state;
    srand(7);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(rand() >> 7);
    for (size_t round = 0; round < 3000; round++) {
        size_t offset = (size_t)rand() % 64;
        size_t count = round < 600 ? round : (size_t)rand() % (sizeof(bytes) - 64);
        uint32_t start = (uint32_t)rand();
        uint32_t right = slow(start, bytes + offset, count);
        assert_int_equal(tb_crc32c(start, bytes + offset, count), right);
    }
}

static void it_goes_on_from_an_earlier_result(void **state)
{
    static unsigned char bytes[9000];
    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 31);
    uint32_t whole = tb_crc32c(0, bytes, sizeof(bytes));
    for (size_t cut = 0; cut <= sizeof(bytes); cut += 97)
        assert_int_equal(tb_crc32c(tb_crc32c(0, bytes, cut), bytes + cut, sizeof(bytes) - cut),
                         whole);
}

static void a_page_is_sealed_and_checked(void **state)
{
    static unsigned char page[TB_JOURNAL_PAGE];
    struct tb_journal_page *header = (struct tb_journal_page *)(void *)page;
    (void)state;
    assert_non_null(tb_journal_page_check(page, TB_JOURNAL_STATE, 0));
    header->kind = TB_JOURNAL_STATE;
    header->epoch = 5;
    header->count = 63;
    tb_journal_page_seal(page);
    assert_null(tb_journal_page_check(page, TB_JOURNAL_STATE, 0));
    assert_null(tb_journal_page_check(page, TB_JOURNAL_STATE, 5));
    assert_non_null(tb_journal_page_check(page, TB_JOURNAL_STATE, 6));
    assert_non_null(tb_journal_page_check(page, TB_JOURNAL_END, 5));
    for (size_t bit = 0; bit < 8 * TB_JOURNAL_PAGE; bit++) {
        page[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_non_null(tb_journal_page_check(page, TB_JOURNAL_STATE, 5));
        page[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    header->count = 64;
    tb_journal_page_seal(page);
    assert_non_null(tb_journal_page_check(page, TB_JOURNAL_STATE, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_vectors),
        cmocka_unit_test(every_length_and_offset_agree),
        cmocka_unit_test(it_goes_on_from_an_earlier_result),
        cmocka_unit_test(a_page_is_sealed_and_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
