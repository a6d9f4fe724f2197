/*
 * For replay.py: copies a stream, record by record, to standard output, as a gate of its producer, until
 * the stream is done. Slower than it could be, if asked, so that kills find the producer at work.
 *
 *   replay_reader BUS_DIR STREAM READER RECORDS_PER_MS     0: no limit
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <tickbus/clock.h>
#include <tickbus/reader.h>

#define BATCH 256
#define DEADLINE (150 * TB_NS_PER_S)

static int open_when_there(struct tb_reader *r, char **argv, tb_ns deadline)
{
    const struct tb_reader_options options = {.from = TB_FROM_OLDEST, .name = argv[3]};
    struct tb_error err;
    int rc;
    while ((rc = tb_reader_open(argv[1], argv[2], &options, r, &err)) == -ENOENT &&
           tb_clock_mono() < deadline)
        (void)usleep(500);
    if (rc != 0)
        fprintf(stderr, "replay_reader: %s\n", err.text);
    return rc;
}

int main(int argc, char **argv)
{
    static struct tb_record records[BATCH];
    struct tb_reader r;
    enum tb_read end;
    tb_ns start = tb_clock_mono();
    uint64_t per_ms = argc == 5 ? strtoull(argv[4], NULL, 10) : 0;
    if (argc != 5 || open_when_there(&r, argv, start + DEADLINE) != 0)
        return 1;
    while (!tb_reader_done(&r) && tb_clock_mono() < start + DEADLINE) {
        size_t count = tb_reader_read(&r, records, BATCH, &end);
        if (end == TB_READ_OVERRUN || end == TB_READ_BROKEN || tb_reader_retired(&r)) {
            fprintf(stderr, "replay_reader: %s at %llu\n",
                    end == TB_READ_OVERRUN ? "overrun" : "stream gone",
                    (unsigned long long)r.cursor);
            return 1;
        }
        if (fwrite(records, sizeof(records[0]), count, stdout) != count)
            return 1;
        tb_reader_release(&r, r.cursor, tb_clock_wall());
        if (count == 0)
            tb_reader_wait(&r, 10 * TB_NS_PER_MS);
        else if (per_ms != 0)
            (void)usleep((useconds_t)(count * 1000 / per_ms));
    }
    bool done = tb_reader_done(&r);
    tb_reader_close(&r, false);
    return done && fflush(stdout) == 0 ? 0 : 1;
}
