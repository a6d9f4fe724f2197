/*
 * A segment that its writer left open, cut at every byte of its last pages and with every bit of a page
 * flipped: recovery finds exactly the records before the damage, each time, and goes on behind them.
 */
#include "tests/unit/journal_bench_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE TB_JOURNAL_PAGE
#define DATA (TB_JOURNAL_STATE_PAGE * (size_t)PAGE)
#define FULL_PAGES 5
#define RECORDS (FULL_PAGES * 63 + 17)

static struct bench bench;
static char *image; /* the file as it was left, with no zeros behind its last page */
static size_t image_bytes;
static char file[64];
static bool alone; /* the segment is there, and no other */

/* 5 full pages and 17 records in a spare; the other spare has page 4 with 40 records. */
static int set_up(void **state)
{
    struct bench *b = &bench;
    char path[512];
    alone = false;
    (void)mallopt(M_MMAP_THRESHOLD, 64 << 20); /* a recovery's megabyte is taken 100,000 times */
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
    struct dirent *entry;
    bench_make(b);
    bench_open(b, TB_JOURNAL_IO_PLAIN);
    assert_int_equal(tb_journal_writer_begin(b->writer, EPOCH, 1), 0);
    for (int id = 1; id <= 7; id++) { /* those of bench_record() */
        struct tb_instrument named = {.venue = "test", .symbol = "A", .market = 1};
        named.symbol[0] = (char)('A' + id);
        tb_journal_writer_instrument(b->writer, &named);
    }
    bench_append(b, 4 * 63 + 40, 512);
    assert_true(bench_settle(b, 1000));
    bench_append(b, RECORDS, 512);
    assert_true(bench_settle(b, 1000));
    bench_close(b);
    DIR *directory = opendir(b->path);
    while ((entry = readdir(directory)) != NULL)
        if (strstr(entry->d_name, ".tbj") != NULL)
            (void)snprintf(file, sizeof(file), "%.60s", entry->d_name);
    (void)closedir(directory);
    image_bytes = DATA + FULL_PAGES * PAGE;
    image = malloc(image_bytes);
    (void)snprintf(path, sizeof(path), "%s/%s", b->path, file);
    int fd = open(path, O_RDONLY);
    assert_int_equal(pread(fd, image, image_bytes, 0), image_bytes);
    (void)close(fd);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    free(image);
    bench_remove(*state);
    return 0;
}

static void remove_segments(struct bench *b)
{
    char path[512];
    struct dirent *entry;
    DIR *directory = opendir(b->path);
    while ((entry = readdir(directory)) != NULL)
        if (strstr(entry->d_name, ".tbj") != NULL) {
            (void)snprintf(path, sizeof(path), "%s/%.100s", b->path, entry->d_name);
            (void)unlink(path);
        }
    (void)closedir(directory);
}

static void put(int fd, size_t from, size_t end)
{
    if (end > from)
        assert_int_equal(pwrite(fd, image + from, end - from, (off_t)from), end - from);
}

/*
 * Put the image (its first `bytes`) there as the only segment. A recovery writes from the first page of records
 * on and no more, so mostly that and the spares are all that is written again: there are 100,000 of these.
 */
static void put_image(struct bench *b, size_t bytes)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", b->path, file);
    if (!alone)
        remove_segments(b);
    int fd = open(path, O_WRONLY | O_CREAT, 0640);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    if (alone) {
        put(fd, PAGE, 3 * PAGE < bytes ? 3 * PAGE : bytes);
        put(fd, DATA, bytes);
    } else {
        put(fd, 0, bytes);
    }
    (void)close(fd);
}

/* Recover what was put there, on the disk that is open, and say what was found. */
static tb_seq recover(struct bench *b, size_t bytes)
{
    struct tb_error err = {""};
    put_image(b, bytes);
    if (b->disk == NULL)
        bench_open(b, TB_JOURNAL_IO_PLAIN);
    else
        assert_int_equal(tb_journal_writer_open(b->disk, &b->options, &b->writer, &err), 0);
    tb_seq found = tb_journal_writer_last(b->writer, EPOCH);
    alone = found > 0; /* else the file was removed, or has another name */
    return found;
}

static void leave(struct bench *b)
{
    tb_journal_writer_close(b->writer);
    b->writer = NULL;
}

/* Recovered again it is the same, and what is appended follows without a hole. */
static void go_on(struct bench *b, tb_seq found)
{
    alone = false;
    bench_close(b);
    bench_open(b, TB_JOURNAL_IO_PLAIN);
    assert_int_equal(tb_journal_writer_last(b->writer, EPOCH), found);
    assert_int_equal(tb_journal_writer_begin(b->writer, EPOCH, found + 1), 0);
    bench_append(b, found + 10, 512);
    bench_finish(b);
    assert_int_equal(bench_read(b->path, EPOCH, 1), found + 10);
}

static void cut_at_every_byte(void **state)
{
    struct bench *b = *state;
    const size_t last_two = DATA + (FULL_PAGES - 2) * PAGE;
    for (size_t bytes = last_two; bytes <= image_bytes; bytes++) {
        tb_seq right;
        if (bytes == image_bytes)
            right = RECORDS; /* all pages, and the spare that continues them */
        else if (bytes >= image_bytes - PAGE)
            right = 4 * 63 + 40; /* the last page is gone; the older spare has its beginning */
        else
            right = 3 * 63;
        tb_seq found = recover(b, bytes);
        if (found != right)
            fail_msg("cut at %zu: found %llu, right is %llu", bytes, (unsigned long long)found,
                     (unsigned long long)right);
        if (bytes % 61 == 0 || bytes == image_bytes || bytes == last_two)
            go_on(b, found);
        leave(b);
    }
}

static void flip_each_bit(struct bench *b, size_t at, tb_seq right, const char *where)
{
    for (size_t bit = 0; bit < 8 * PAGE; bit++) {
        image[at + bit / 8] ^= (char)(1 << bit % 8);
        tb_seq found = recover(b, image_bytes);
        if (found != right)
            fail_msg("%s, bit %zu: found %llu, right is %llu", where, bit,
                     (unsigned long long)found, (unsigned long long)right);
        if (bit % 509 == 0)
            go_on(b, found);
        leave(b);
        image[at + bit / 8] ^= (char)(1 << bit % 8);
    }
}

static void every_bit_of_the_last_page(void **state)
{
    flip_each_bit(*state, DATA + 4 * PAGE, 4 * 63 + 40, "last page");
}

static void every_bit_of_a_page_in_the_middle(void **state)
{
    flip_each_bit(*state, DATA + 2 * PAGE, 2 * 63, "third page");
}

static void every_bit_of_the_newer_spare(void **state)
{
    const struct tb_journal_page *a = (const void *)(image + PAGE);
    size_t newer = a->count == 17 ? PAGE : 2 * PAGE;
    flip_each_bit(*state, newer, FULL_PAGES * 63, "newer spare");
}

/* Records say where they belong: the head is not needed, as long as their instruments are there. */
static void a_damaged_head_costs_nothing(void **state)
{
    struct bench *b = *state;
    for (size_t at = 12; at < PAGE; at += 151) {
        image[at] ^= 1;
        alone = false;
        assert_int_equal(recover(b, image_bytes), RECORDS);
        assert_true(b->bad > 0);
        go_on(b, RECORDS);
        leave(b);
        b->bad = 0;
        image[at] ^= 1;
    }
}

/* What can not be read without its head is kept, under another name, and said. */
static void what_is_of_no_use_is_put_aside(void **state)
{
    struct bench *b = *state;
    char path[512];
    image[70] ^= 1;
    memset(image + TB_JOURNAL_INSTRUMENT_PAGE * (size_t)PAGE, 0, DATA - 3 * PAGE);
    assert_int_equal(recover(b, image_bytes), 0);
    (void)snprintf(path, sizeof(path), "%s/%s.damaged", b->path, file);
    assert_int_equal(access(path, F_OK), 0);
    assert_true(b->bad > 0);
}

static void other_layouts_are_refused(void **state)
{
    struct bench *b = *state;
    struct tb_journal_page *head = (void *)image;
    head->layout = 9;
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", b->path, file);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, image, image_bytes, 0), image_bytes);
    (void)close(fd);
    assert_int_equal(bench_try_open(b, TB_JOURNAL_IO_PLAIN), -EPROTO);
}

/* Made, preallocated, and then the power failed: nothing was in it. */
static void an_empty_file_is_removed(void **state)
{
    struct bench *b = *state;
    char path[512];
    memset(image, 0, image_bytes);
    assert_int_equal(recover(b, image_bytes), 0);
    (void)snprintf(path, sizeof(path), "%s/%s", b->path, file);
    assert_int_not_equal(access(path, F_OK), 0);
    leave(b);
    assert_int_equal(recover(b, 0), 0);
}

/* After a power failure: pages of zeros, and behind them later ones that did reach the disk. They are not passed over unsaid. */
static void pages_behind_a_long_hole_are_told(void **state)
{
    struct bench *b = &bench;
    struct stat before, after;
    char path[512];
    const tb_seq all = (tb_seq)1000 * 63;
    (void)state;
    bench_make(b);
    bench_open(b, TB_JOURNAL_IO_PLAIN);
    assert_int_equal(tb_journal_writer_begin(b->writer, EPOCH, 1), 0);
    bench_append(b, all, 512);
    assert_true(bench_settle(b, 1000));
    (void)snprintf(path, sizeof(path), "%s/%.60s", b->path, tb_journal_writer_file(b->writer));
    bench_close(b);
    int fd = open(path, O_RDWR);
    assert_int_equal(
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, DATA + 300 * PAGE, 699 * PAGE),
        0);
    assert_int_equal(fstat(fd, &before), 0);
    b->bad = 0;
    bench_open(b, TB_JOURNAL_IO_PLAIN);
    assert_int_equal(tb_journal_writer_last(b->writer, EPOCH), 300 * 63);
    assert_true(b->bad > 0);
    assert_int_equal(fstat(fd, &after), 0);
    assert_int_equal(after.st_size, before.st_size); /* it stays as it is */
    (void)close(fd);
    bench_remove(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_behind_a_long_hole_are_told),
        cmocka_unit_test_setup_teardown(cut_at_every_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_bit_of_the_last_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_bit_of_a_page_in_the_middle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_bit_of_the_newer_spare, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_head_costs_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_of_no_use_is_put_aside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_layouts_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_file_is_removed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
