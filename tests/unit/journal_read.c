/* Reading a journal: positions, times, tails, gaps, epochs, damage, compressed segments. */
#include <zstd.h>

#include "unit/journal_pages.h"

#define E1 UINT64_C(1000)
#define E2 UINT64_C(2000)

static struct pages pages;

static int setup(void **state)
{
    int rc = bus_setup(state);
    struct bus *bus = *state;
    pages_init(&pages, bus->dir, "/x/b");
    return rc;
}

static int teardown(void **state)
{
    struct bus *bus = *state;
    pages_drop(&pages);
    pages_remove(bus->dir);
    free(bus);
    return 0;
}

static struct tb_journal *journal_of(struct bus *bus, const char *path)
{
    struct tb_journal *j;
    int rc = tb_journal_open(path, &j, &bus->err);
    if (rc != 0)
        fail_msg("open %s: %d %s", path, rc, bus->err.text);
    return j;
}

/* Everything from the position on, which must be from..to of record_of(). */
static void expect(struct tb_journal *j, uint64_t epoch, tb_seq from, tb_seq to)
{
    static struct tb_record records[1000];
    uint64_t seen;
    tb_seq seq = from;
    while (seq <= to) {
        size_t max = to - seq + 1 < 1000 ? (size_t)(to - seq + 1) : 1000;
        long n = tb_journal_read(j, records, max, &seen, NULL);
        if (n <= 0)
            fail_msg("read: %ld at %lu", n, (unsigned long)seq);
        assert_int_equal(seen, epoch);
        for (long i = 0; i < n; i++)
            check_record(&records[i], seq++);
    }
}

static void expect_end(struct tb_journal *j)
{
    struct tb_record record;
    assert_int_equal(tb_journal_read(j, &record, 1, NULL, NULL), 0);
}

static void segments_are_read_one_after_the_other(void **state)
{
    pages_begin(&pages, E1, 1);
    pages_fill(&pages, 10000);
    pages_end(&pages);
    pages_begin(&pages, E1, 10001);
    pages_fill(&pages, 10063); /* exactly one page */
    pages_end(&pages);
    pages_begin(&pages, E1, 10064);
    pages_fill(&pages, 10100);
    pages_flush(&pages);
    struct tb_journal *j = journal_of(*state, pages.dir);
    expect(j, E1, 1, 10100);
    expect_end(j);
    for (tb_seq seq = 1; seq <= 10100; seq += 97) {
        assert_int_equal(tb_journal_seek(j, E1, seq), 0);
        expect(j, E1, seq, seq);
        assert_true(tb_journal_has(j, E1, seq, NULL));
    }
    tb_seq newest;
    assert_false(tb_journal_has(j, E1, 10101, &newest));
    assert_int_equal(newest, 10100);
    assert_int_equal(tb_journal_seek(j, E1, 10101), 1);
    tb_journal_close(j);
}

static void a_tail_is_read_as_it_grows(void **state)
{
    struct tb_journal *j = journal_of(*state, pages.dir);
    expect_end(j);
    pages_begin(&pages, E1, 1);
    expect_end(j);
    tb_seq seq = 1;
    for (tb_seq last = 5; last < 800; last += 1 + last % 31) {
        pages_fill(&pages, last);
        pages_flush(&pages);
        expect(j, E1, seq, last);
        expect_end(j);
        seq = last + 1;
    }
    pages_end(&pages);
    expect_end(j);
    pages_begin(&pages, E1, seq);
    expect_end(j);
    pages_fill(&pages, seq + 2);
    pages_flush(&pages);
    expect(j, E1, seq, seq + 2);
    tb_journal_close(j);
}

static void an_epoch_follows_another(void **state)
{
    pages_begin(&pages, E1, 1);
    pages_fill(&pages, 200);
    pages_flush(&pages); /* its writer died: no end page, and the tail is in a spare */
    pages_drop(&pages);
    struct tb_journal *j = journal_of(*state, pages.dir);
    expect(j, E1, 1, 200);
    expect_end(j);
    pages_begin(&pages, E2, 1);
    pages_fill(&pages, 100);
    pages_flush(&pages);
    expect(j, E2, 1, 100);
    expect_end(j);
    (void)tb_journal_seek(j, E1, 201);
    expect(j, E2, 1, 100);
    (void)tb_journal_seek(j, E1 + 5, 7);
    expect(j, E2, 1, 1);
    tb_journal_close(j);
}

static void a_gap_between_segments_shows_in_the_sequences(void **state)
{
    pages_begin(&pages, E1, 1);
    pages_fill(&pages, 100);
    pages_end(&pages);
    pages_begin(&pages, E1, 151);
    pages_fill(&pages, 300);
    pages_end(&pages);
    struct tb_journal *j = journal_of(*state, pages.dir);
    expect(j, E1, 1, 100);
    expect(j, E1, 151, 300);
    (void)tb_journal_seek(j, E1, 120);
    expect(j, E1, 151, 151);
    tb_journal_close(j);
}

static void a_damaged_page_costs_its_records_and_no_others(void **state)
{
    for (int closed = 0; closed < 2; closed++) {
        pages_begin(&pages, E1 + (uint64_t)closed, 1);
        pages_fill(&pages, 63 * 20 + 5);
        pages_flush(&pages);
        if (closed)
            pages_end(&pages);
        else
            pages_drop(&pages);
        pages_damage(pages.file, pages.data_page + 7);
        pages_damage(pages.file, pages.data_page + 8);
        struct tb_journal *j = journal_of(*state, pages.file);
        struct tb_journal_damage damage;
        struct tb_record record;
        expect(j, E1 + (uint64_t)closed, 1, 63 * 7);
        assert_int_equal(tb_journal_read(j, &record, 1, NULL, &damage), -EBADMSG);
        assert_int_equal(damage.from, 63 * 7 + 1);
        assert_int_equal(damage.to, 63 * 9);
        assert_non_null(strstr(damage.what, "checksum"));
        expect(j, E1 + (uint64_t)closed, 63 * 9 + 1, 63 * 20 + 5);
        expect_end(j);
        tb_journal_close(j);
    }
}

/* Whatever bit of the head is wrong: where the records are is found from themselves. */
static void without_a_head_the_records_are_found(void **state)
{
    pages_begin(&pages, E1, 500);
    pages_fill(&pages, 2000);
    pages_end(&pages);
    pages_damage(pages.file, 0);
    struct tb_journal *j = journal_of(*state, pages.dir);
    expect(j, E1, 500, 2000);
    expect_end(j);
    tb_journal_close(j);
}

static void the_last_pages_of_a_segment_are_damaged(void **state)
{
    pages_begin(&pages, E1, 1);
    pages_fill(&pages, 63 * 4);
    pages_end(&pages);
    pages_damage(pages.file, pages.data_page + 3);
    pages_damage(pages.file, pages.data_page + 4); /* the end page */
    pages_begin(&pages, E1, 63 * 4 + 1);
    pages_fill(&pages, 63 * 5);
    struct tb_journal *j = journal_of(*state, pages.dir);
    struct tb_journal_damage damage;
    struct tb_record record;
    expect(j, E1, 1, 63 * 3);
    assert_int_equal(tb_journal_read(j, &record, 1, NULL, &damage), -EBADMSG);
    assert_int_equal(damage.from, 63 * 3 + 1);
    assert_int_equal(damage.to, 63 * 4);
    expect(j, E1, 63 * 4 + 1, 63 * 5);
    tb_journal_close(j);
}

/* record_of: ts_recv is 5 * seq. */
static void a_time_is_found(void **state)
{
    for (tb_seq first = 1; first < 3000; first += 500) {
        pages_begin(&pages, E1, first);
        pages_fill(&pages, first + 499);
        pages_end(&pages);
    }
    pages_begin(&pages, E1, 3001);
    pages_fill(&pages, 3200);
    pages_flush(&pages);
    struct tb_journal *j = journal_of(*state, pages.dir);
    for (tb_ns time = -3; time <= 5 * 3200; time += 7) {
        tb_seq seq = time <= 5 ? 1 : (tb_seq)(time + 4) / 5;
        assert_int_equal(tb_journal_seek_time(j, time), 0);
        expect(j, E1, seq, seq);
    }
    assert_int_equal(tb_journal_seek_time(j, 5 * 3200 + 1), 1);
    expect_end(j);
    pages_fill(&pages, 3203);
    pages_flush(&pages);
    expect(j, E1, 3201, 3203);
    tb_journal_close(j);
}

static void instruments_grow_in_two_copies(void **state)
{
    struct tb_instrument entry[3] = {
        {.venue = "v", .symbol = "A/B", .raw = "AB", .stream = "s", .market = 1},
        {.venue = "v", .symbol = "C/B", .raw = "CB", .stream = "s", .market = 2},
        {.venue = "v", .symbol = "D/B", .raw = "DB", .stream = "s", .market = 3}};
    pages_begin(&pages, E1, 1);
    pages_instruments(&pages, entry, 1, 1);
    pages_fill(&pages, 1);
    pages_flush(&pages);
    struct tb_journal *j = journal_of(*state, pages.dir);
    expect(j, E1, 1, 1);
    assert_string_equal(tb_journal_instrument(j, 1)->symbol, "A/B");
    assert_null(tb_journal_instrument(j, 2));
    for (uint16_t n = 2; n <= 3; n++) {
        pages_instruments(&pages, entry, n, n);
        assert_string_equal(tb_journal_instrument(j, n)->symbol, entry[n - 1].symbol);
        assert_int_equal(tb_journal_instrument_count(j), n);
    }
    tb_journal_close(j);
}

/* `file` as <file>.zst: one frame per 64 pages, seek table behind. */
static void compress(const char *file)
{
    const size_t frame = 64 * TB_JOURNAL_PAGE;
    char path[300];
    struct stat st;
    uint32_t table[3000], n = 0;
    (void)snprintf(path, sizeof(path), "%s.zst", file);
    int from = open(file, O_RDONLY | O_CLOEXEC),
        to = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    assert_true(from >= 0 && to >= 0 && fstat(from, &st) == 0);
    char *plain = malloc(frame), *packed = malloc(ZSTD_compressBound(frame));
    for (off_t at = 0; at < st.st_size; n++) {
        ssize_t got = pread(from, plain, frame, at);
        assert_true(got > 0);
        at += got;
        size_t bytes = ZSTD_compress(packed, ZSTD_compressBound(frame), plain, (size_t)got, 1);
        assert_int_equal(write(to, packed, bytes), bytes);
        table[2 * n] = (uint32_t)bytes;
        table[2 * n + 1] = (uint32_t)got;
    }
    const uint32_t skippable[2] = {0x184D2A5E, 8 * n + 9}, magic = 0x8F92EAB1;
    const char descriptor = 0;
    assert_int_equal(write(to, skippable, 8), 8);
    assert_int_equal(write(to, table, 8 * n), 8 * n);
    assert_int_equal(write(to, &n, 4), 4);
    assert_int_equal(write(to, &descriptor, 1), 1);
    assert_int_equal(write(to, &magic, 4), 4);
    free(plain);
    free(packed);
    (void)close(from);
    (void)close(to);
}

static void a_compressed_segment_is_like_the_plain_one(void **state)
{
    pages_begin(&pages, E1, 1);
    pages_fill(&pages, 15000);
    pages_end(&pages);
    struct tb_journal *before = journal_of(*state, pages.dir);
    expect(before, E1, 1, 7000);
    compress(pages.file);
    assert_int_equal(unlink(pages.file), 0);
    expect(before, E1, 7001, 15000); /* what it has open stays */
    tb_journal_close(before);
    pages_begin(&pages, E1, 15001);
    pages_fill(&pages, 15010);
    pages_flush(&pages);
    struct tb_journal *j = journal_of(*state, pages.dir);
    expect(j, E1, 1, 15010);
    for (tb_seq seq = 1; seq <= 15010; seq += 501) {
        (void)tb_journal_seek(j, E1, seq);
        expect(j, E1, seq, seq + 3);
        assert_int_equal(tb_journal_seek_time(j, (tb_ns)seq * 5 - 1), 0);
        expect(j, E1, seq, seq);
    }
    tb_journal_close(j);
}

/* What is delivered, and how many records were told as damaged; everything in order. */
static tb_seq read_told(struct tb_journal *j, tb_seq *out_damaged)
{
    static struct tb_record records[500];
    struct tb_journal_damage damage;
    tb_seq next = 1;
    *out_damaged = 0;
    for (long n; (n = tb_journal_read(j, records, 500, NULL, &damage)) != 0;) {
        if (n == -EBADMSG) {
            assert_int_equal(damage.from, next);
            *out_damaged += damage.to - damage.from + 1;
            next = damage.to + 1;
            continue;
        }
        assert_true(n > 0);
        for (long i = 0; i < n; i++)
            check_record(&records[i], next++);
    }
    return next - 1;
}

/* A compressed file that is no such file any more costs its records, told as damage; the last one is an error. */
static void a_compressed_segment_that_is_cut(void **state)
{
    char packed[300];
    tb_seq damaged;
    struct tb_record record;
    pages_begin(&pages, E1, 1);
    pages_fill(&pages, 1000);
    pages_end(&pages);
    compress(pages.file);
    assert_int_equal(unlink(pages.file), 0);
    (void)snprintf(packed, sizeof(packed), "%s.zst", pages.file);
    assert_int_equal(truncate(packed, 100), 0);
    struct tb_journal *j = journal_of(*state, pages.dir);
    assert_int_equal(tb_journal_read(j, &record, 1, NULL, NULL), -EIO);
    pages_begin(&pages, E1, 1001);
    pages_fill(&pages, 1100);
    pages_flush(&pages);
    tb_journal_seek_oldest(j);
    assert_int_equal(read_told(j, &damaged), 1100);
    assert_int_equal(damaged, 1000);
    tb_journal_close(j);
}

/* A torn tail: whatever was cut off, what is before it is read, exactly. */
static void cut_at_every_byte_of_the_last_two_pages(void **state)
{
    const uint64_t full = 5;
    tb_seq damaged;
    pages_begin(&pages, E1, 1);
    pages_fill(&pages, 63 * full);
    struct tb_journal *j = journal_of(*state, pages.file);
    off_t end = (off_t)((pages.data_page + full) * TB_JOURNAL_PAGE);
    for (off_t cut = end; cut >= end - 2 * TB_JOURNAL_PAGE; cut--) {
        assert_int_equal(ftruncate(pages.fd, cut), 0);
        tb_journal_seek_oldest(j);
        tb_seq last = read_told(j, &damaged);
        assert_int_equal(damaged, 0);
        assert_int_equal(last, 63 * ((uint64_t)cut / TB_JOURNAL_PAGE - pages.data_page));
    }
    tb_journal_close(j);
}

/* Of a page in the middle, the last page, the end page, and the head. */
static void every_bit_of_a_page_flipped(void **state)
{
    const uint64_t full = 4;
    pages_begin(&pages, E1, 1);
    pages_fill(&pages, 63 * full + 10);
    uint64_t data_page = pages.data_page;
    int fd = dup(pages.fd);
    pages_end(&pages);
    const struct {
        uint64_t page;
        tb_seq damaged;
    } cases[] = {{data_page + 2, 63}, {data_page + full, 10}, {data_page + full + 1, 0}, {0, 0}};
    for (size_t c = 0; c < TB_COUNT(cases); c++) {
        /* Bytes of every field of the header, then every 5th: a checksum does not know which it is. */
        for (int bit = 0; bit < TB_JOURNAL_PAGE * 8; bit += bit < 128 * 8 ? 1 : 5) {
            unsigned char byte, flipped;
            tb_seq damaged;
            off_t at = (off_t)(cases[c].page * TB_JOURNAL_PAGE) + bit / 8;
            assert_int_equal(pread(fd, &byte, 1, at), 1);
            flipped = (unsigned char)(byte ^ (1U << bit % 8));
            assert_int_equal(pwrite(fd, &flipped, 1, at), 1);
            struct tb_journal *j;
            assert_int_equal(tb_journal_open(pages.file, &j, NULL), 0);
            assert_int_equal(read_told(j, &damaged), 63 * full + 10);
            assert_int_equal(damaged, cases[c].damaged);
            tb_journal_close(j);
            assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        }
    }
    (void)close(fd);
    (void)state;
}

static int take_segment(void *context, const struct tb_journal_segment *segment)
{
    struct tb_journal_segment **next = context;
    *(*next)++ = *segment;
    return 0;
}

static void segments_are_listed(void **state)
{
    struct tb_journal_segment list[4], *end = list;
    struct bus *bus = *state;
    pages_begin(&pages, E1, 1);
    pages_fill(&pages, 1000);
    pages_end(&pages);
    pages_damage(pages.file, pages.data_page + 2);
    pages_begin(&pages, E1, 1001);
    pages_fill(&pages, 1200);
    pages_flush(&pages);
    struct tb_journal *j = journal_of(bus, pages.dir);
    assert_int_equal(tb_journal_list(j, true, take_segment, &end, &bus->err), 0);
    assert_int_equal(end - list, 2);
    assert_true(list[0].closed && !list[1].closed);
    assert_int_equal(list[0].last_seq, 1000);
    assert_int_equal(list[1].last_seq, 1200);
    assert_int_equal(list[0].damaged_pages, 1);
    assert_int_equal(list[1].damaged_pages, 0);
    assert_int_equal(list[0].time_min, 5);
    assert_int_equal(list[0].time_max, 5000);
    assert_int_equal(list[1].time_max, 6000);
    tb_journal_close(j);
}

/* Retention took the segment that is read, and the next: what comes then is later, and shows. */
static void segments_removed_under_a_reader(void **state)
{
    char removed[300];
    pages_begin(&pages, E1, 1);
    pages_fill(&pages, 100);
    pages_end(&pages);
    struct tb_journal *j = journal_of(*state, pages.dir);
    expect(j, E1, 1, 50);
    assert_int_equal(unlink(pages.file), 0);
    pages_begin(&pages, E1, 101);
    pages_fill(&pages, 200);
    pages_end(&pages);
    (void)snprintf(removed, sizeof(removed), "%s", pages.file);
    pages_begin(&pages, E1, 201);
    pages_fill(&pages, 300);
    pages_end(&pages);
    assert_int_equal(unlink(removed), 0);
    static struct tb_record records[200];
    tb_seq last = 50;
    for (long n; (n = tb_journal_read(j, records, 200, NULL, NULL)) > 0; last = records[n - 1].seq)
        assert_true(records[0].seq == last + 1 || records[0].seq == 201);
    assert_int_equal(last, 300);
    tb_journal_close(j);
}

/* Its writer died, or its disk failed, before anything in it was durable: the next one begins it anew. */
static void a_segment_that_is_made_anew_is_read(void **state)
{
    pages_begin(&pages, E1, 1);
    pages_fill(&pages, 100);
    pages_end(&pages);
    pages_begin(&pages, E1, 101);
    struct tb_journal *j = journal_of(*state, pages.dir);
    expect(j, E1, 1, 100);
    expect_end(j);
    assert_int_equal(unlink(pages.file), 0);
    pages_drop(&pages);
    pages_begin(&pages, E1, 101);
    pages_fill(&pages, 150);
    pages_flush(&pages);
    expect(j, E1, 101, 150);
    expect_end(j);
    /* Once more, with records that somebody has seen. */
    assert_int_equal(unlink(pages.file), 0);
    pages_drop(&pages);
    pages_begin(&pages, E1, 101);
    pages_fill(&pages, 9000);
    pages_flush(&pages);
    expect(j, E1, 151, 9000);
    tb_seq newest;
    assert_true(tb_journal_has(j, E1, 9000, &newest));
    assert_int_equal(newest, 9000);
    tb_journal_close(j);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(segments_are_read_one_after_the_other),
        TEST(a_tail_is_read_as_it_grows),
        TEST(an_epoch_follows_another),
        TEST(a_gap_between_segments_shows_in_the_sequences),
        TEST(a_damaged_page_costs_its_records_and_no_others),
        TEST(without_a_head_the_records_are_found),
        TEST(the_last_pages_of_a_segment_are_damaged),
        TEST(a_time_is_found),
        TEST(instruments_grow_in_two_copies),
        TEST(a_compressed_segment_is_like_the_plain_one),
        TEST(a_compressed_segment_that_is_cut),
        TEST(cut_at_every_byte_of_the_last_two_pages),
        TEST(every_bit_of_a_page_flipped),
        TEST(segments_are_listed),
        TEST(segments_removed_under_a_reader),
        TEST(a_segment_that_is_made_anew_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
