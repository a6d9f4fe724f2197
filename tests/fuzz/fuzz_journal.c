/*
 * A journal's segment, changed by any bytes: read, listed, searched, and recovered by a writer. A
 * change is four bytes: what, which page, where, and the new value; mostly the page gets a right
 * checksum again, so that what is behind the checksum is reached.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/journal_source.h"
#include "bus/journal_write.h"

#include "fuzz.h"

#define EPOCH 1000
#define FIRST 5
#define PAGES 107 /* the head, spares, instruments, one page of state, four of records, the end */
#define DATA 102
#define LAST (FIRST + 4 * TB_JOURNAL_RECORDS - 1)
#define NAME "00000000000000001000-00000000000000000005.tbj"

static char base[64] = "/dev/shm/tickbus-fuzz-XXXXXX", stream[96], file[160];
static unsigned char sound[PAGES][TB_JOURNAL_PAGE], image[PAGES][TB_JOURNAL_PAGE];
static const unsigned pages[] = {0, 1, 2, 3, 52, 101, 102, 103, 104, 105, 106};
static struct tb_journal_disk *disk;

static struct tb_journal_page *header(unsigned char *page)
{
    return (void *)page;
}

static void records_fill(unsigned char *page, tb_seq first, uint32_t count)
{
    struct tb_record *r = (struct tb_record *)(void *)(page + sizeof(struct tb_journal_page));
    for (uint32_t i = 0; i < count; i++)
        r[i] = (struct tb_record){.seq = first + i,
                                  .ts_recv = (tb_ns)(first + i) * 1000,
                                  .instrument = 1,
                                  .type = TB_TRADE};
    header(page)->count = count;
    header(page)->first_seq = first;
    header(page)->time_min = (tb_ns)first * 1000;
    header(page)->time_max = (tb_ns)(first + count - 1) * 1000;
}

static void seal(unsigned at, enum tb_journal_kind kind, uint64_t page)
{
    header(sound[at])->kind = (uint16_t)kind;
    header(sound[at])->epoch = EPOCH;
    header(sound[at])->page = page;
    tb_journal_page_seal(sound[at]);
}

static void make_sound(void)
{
    const struct tb_journal_head head = {.stream = "s",
                                         .bus = "b",
                                         .first_seq = FIRST,
                                         .data_page = DATA,
                                         .state_pages = 1,
                                         .pages = 400};
    const struct tb_instrument entry = {.venue = "v", .symbol = "A/B", .market = 1};
    memcpy(sound[0] + sizeof(struct tb_journal_page), &head, sizeof(head));
    header(sound[0])->first_seq = FIRST;
    seal(0, TB_JOURNAL_HEAD, 0);
    for (unsigned i = 1; i <= 2; i++) {
        records_fill(sound[i], LAST - TB_JOURNAL_RECORDS + 1, 30 * i);
        header(sound[i])->generation = i;
        seal(i, TB_JOURNAL_SPARE, DATA + 3);
    }
    memcpy(sound[3] + sizeof(struct tb_journal_page), &entry, sizeof(entry));
    header(sound[3])->first_seq = header(sound[3])->generation = 1;
    header(sound[3])->count = 1;
    seal(3, TB_JOURNAL_INSTRUMENTS_KIND, 3);
    records_fill(sound[101], 0, 3);
    seal(101, TB_JOURNAL_STATE, 101);
    for (unsigned k = 0; k < 4; k++) {
        records_fill(sound[DATA + k], FIRST + k * TB_JOURNAL_RECORDS, TB_JOURNAL_RECORDS);
        seal(DATA + k, TB_JOURNAL_RECORDS_KIND, DATA + k);
    }
    header(sound[106])->first_seq = LAST + 1;
    seal(106, TB_JOURNAL_END, 106);
}

static void clear(const char *path)
{
    char below[400];
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        (void)snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
        (void)unlink(below); /* not "." and ".." */
    }
    if (directory != NULL)
        (void)closedir(directory);
}

static void at_end(void)
{
    char path[128];
    tb_journal_disk_close(disk);
    clear(stream);
    (void)rmdir(stream);
    (void)snprintf(path, sizeof(path), "%s/b", base);
    (void)rmdir(path);
    (void)rmdir(base);
}

static void begin_once(void)
{
    char path[128];
    struct tb_error err = {""};
    if (stream[0] != '\0')
        return;
    TB_ASSERT(mkdtemp(base) != NULL);
    (void)snprintf(path, sizeof(path), "%s/b", base);
    TB_ASSERT(mkdir(path, 0700) == 0);
    (void)snprintf(stream, sizeof(stream), "%s/b/s", base);
    TB_ASSERT(mkdir(stream, 0700) == 0);
    (void)snprintf(file, sizeof(file), "%s/%s", stream, NAME);
    TB_ASSERT(tb_journal_disk_open(1, TB_JOURNAL_MEMORY_MIN, TB_JOURNAL_IO_PLAIN, &disk, NULL,
                                   &err) == 0);
    make_sound();
    tb_journal_settle_ns = 0;
    (void)atexit(at_end);
}

/* Returns how long the file is now. */
static size_t change(const uint8_t *c, size_t length)
{
    const unsigned at = pages[c[1] % TB_COUNT(pages)];
    unsigned char *page = image[at];
    const uint64_t small = c[3], large = ~(uint64_t)c[3];
    switch (c[0] % 8) {
    case 0: /* the checksum tells */
        page[(size_t)c[2] * 16 + c[3] % 16] ^= (unsigned char)(1 << c[0] / 32);
        return length;
    case 1:
        page[8 + c[2] % 184] = c[3];
        break;
    case 2:
        memcpy(page + 8 + (size_t)(c[2] % 22) * 8, &small, 8);
        break;
    case 3:
        memcpy(page + 8 + (size_t)(c[2] % 22) * 8, &large, 8);
        break;
    case 4:
        memcpy(page, image[pages[c[2] % TB_COUNT(pages)]], TB_JOURNAL_PAGE);
        return length;
    case 5:
        memset(page, c[3] == 0 ? 0 : c[2], TB_JOURNAL_PAGE);
        return length;
    case 6:
        return (size_t)at * TB_JOURNAL_PAGE + (size_t)c[2] * 16;
    default: /* of a record: its sequence, or its time */
        page[sizeof(struct tb_journal_page) * (1U + c[2] % TB_JOURNAL_RECORDS) +
             (c[2] & 64 ? 0 : offsetof(struct tb_record, ts_recv))] = c[3];
        break;
    }
    tb_journal_page_seal(page);
    return length;
}

static void see(void *context, const struct tb_record *record)
{
    *(uint64_t *)context += record->seq;
}

static int see_segment(void *context, const struct tb_journal_segment *s)
{
    *(uint64_t *)context += s->last_seq + s->damaged_pages;
    return 0;
}

/* Everything from here on: sequences rise, what is missing is told or shows, and it ends. */
static tb_seq read_all(struct tb_journal *j)
{
    static struct tb_record records[100];
    struct tb_journal_damage damage;
    uint64_t epoch = 0, before = 0;
    tb_seq last = 0;
    long n;
    for (int turns = 0; (n = tb_journal_read(j, records, 100, &epoch, &damage)) != 0; turns++) {
        TB_ASSERT(turns < 1000);
        if (n == -EBADMSG) {
            TB_ASSERT(damage.from <= damage.to && damage.from > last);
            last = damage.to;
            continue;
        }
        if (n < 0)
            break;
        if (epoch != before)
            last = 0;
        before = epoch;
        for (long i = 0; i < n; i++) {
            TB_ASSERT(records[i].seq > last && (i == 0 || records[i].seq == last + 1));
            last = records[i].seq;
        }
    }
    return last;
}

static void read_it(const char *path)
{
    struct tb_journal *j;
    struct tb_error err = {""};
    uint64_t sum = 0, epoch;
    tb_seq seq, newest;
    if (tb_journal_open(path, &j, &err) != 0) {
        TB_ASSERT(err.text[0] != '\0');
        return;
    }
    tb_journal_seek_oldest(j);
    (void)read_all(j);
    for (uint16_t id = 0; id < 3; id++)
        sum += tb_journal_instrument(j, id) != NULL;
    (void)tb_journal_list(j, true, see_segment, &sum, &err);
    for (tb_ns time = 0; time < 300000; time += 150001) {
        (void)tb_journal_seek_time(j, time);
        (void)tb_journal_state(j, see, &sum, &epoch, &seq);
        (void)read_all(j);
    }
    (void)tb_journal_seek(j, EPOCH, FIRST + 100);
    (void)tb_journal_has(j, EPOCH, FIRST + 100, &newest);
    (void)read_all(j);
    tb_journal_close(j);
}

/* A writer finds its way, and what it then writes is read. */
static void recover_it(void)
{
    const struct tb_journal_write_options options = {.journal = base,
                                                     .bus = "b",
                                                     .stream = "s",
                                                     .segment_bytes = 1 << 20,
                                                     .sync_bytes = 1 << 20,
                                                     .sync_every = 1};
    struct tb_journal_writer *w;
    struct tb_error err = {""};
    if (tb_journal_writer_open(disk, &options, &w, &err) != 0) {
        TB_ASSERT(err.text[0] != '\0');
        return;
    }
    tb_seq next = tb_journal_writer_last(w, EPOCH) + 1;
    if (next == 1) /* nothing counts; what may lie behind the damage does not stand in the way */
        next = LAST + 1;
    TB_ASSERT(tb_journal_writer_begin(w, EPOCH, next) == 0);
    const struct tb_record r = {.seq = next, .ts_recv = 1, .type = TB_TRADE};
    TB_ASSERT(tb_journal_writer_append(w, &r, 1, TB_NS_PER_S) == 1);
    for (tb_ns mono = 1; tb_journal_writer_finish(w) == -EAGAIN; mono++) {
        TB_ASSERT(mono < 100);
        tb_journal_writer_turn(w, mono * TB_NS_PER_S);
        TB_ASSERT(tb_journal_disk_turn(disk, 0) >= 0);
    }
    tb_journal_writer_close(w);
    struct tb_journal *j;
    TB_ASSERT(tb_journal_open(stream, &j, &err) == 0);
    (void)tb_journal_seek(j, EPOCH, next);
    TB_ASSERT(read_all(j) == next);
    tb_journal_close(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    size_t length = sizeof(image);
    begin_once();
    memcpy(image, sound, sizeof(image));
    for (size_t at = 0; at + 4 <= count && at < 128; at += 4)
        length = change(bytes + at, length);
    clear(stream);
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    TB_ASSERT(fd >= 0 && write(fd, image, length) == (ssize_t)length && close(fd) == 0);
    read_it(file);
    read_it(stream);
    if (count > 0 && bytes[count - 1] % 8 == 0) /* a new file of 5 MiB: slow */
        recover_it();
    return 0;
}
