/*
 * What went over the streams: counted by reading along, as any other reader. Gated streams wait for this
 * one too; if it was lapped on a free one, it says how many records it could not look at. What
 * readers lost stands in their cursor pages.
 */
#include "consumers/up/up.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BATCH 256
#define TURNS_MAX 4096 /* batches of one stream at a time: 1M records */

static void count(struct tally *t, const struct tb_record *r)
{
    t->records++;
    if (r->type == TB_TRADE) {
        t->trades++;
    } else if (r->type == TB_GAP) {
        t->gaps++;
        t->missing += r->gap.missing;
    } else if (r->type == TB_ALERT) {
        t->alerts++;
    } else if ((r->type & 0xf8) == TB_CANDLE && (r->flags & TB_F_FORMING) == 0) {
        t->candles++;
    }
}

static void open_stream(struct up *up, struct tally *t)
{
    struct tb_reader_options options = {.from = TB_FROM_OLDEST, .name = "up"};
    if (tb_reader_open(up->plan.bus_dir, t->stream, &options, &t->reader, NULL) != 0)
        return;
    t->open = true;
    if (t->epoch != t->reader.epoch && t->reader.cursor > 1)
        t->uncounted += t->reader.cursor - 1; /* what was gone before we came */
    t->epoch = t->reader.epoch;
}

static void close_stream(struct tally *t)
{
    tb_reader_close(&t->reader, false);
    t->open = false;
}

static void read_stream(struct up *up, struct tally *t)
{
    struct tb_record batch[BATCH];
    if (!t->open)
        open_stream(up, t);
    for (int turn = 0; t->open && turn < TURNS_MAX; turn++) {
        enum tb_read end;
        size_t n = tb_reader_read(&t->reader, batch, BATCH, &end);
        for (size_t i = 0; i < n; i++)
            count(t, &batch[i]);
        if (n > 0 && turn % 16 != 15)
            continue;
        tb_reader_release(&t->reader, t->reader.cursor, up->wall);
        if (n > 0)
            continue;
        if (end == TB_READ_OVERRUN) {
            t->uncounted += tb_reader_resync(&t->reader);
            continue;
        }
        if (end == TB_READ_BROKEN || tb_reader_retired(&t->reader))
            close_stream(t);
        return;
    }
}

static int note_loss(const char *name, void *context)
{
    struct up *up = context;
    struct tallies *all = &up->tallies;
    struct tb_cursor_info info;
    if (tb_cursor_inspect(up->plan.bus_dir, name, &info, NULL) != 0)
        return 0;
    for (size_t i = 0; i < all->loss_count; i++)
        if (strcmp(all->loss[i].stream, info.stream) == 0 &&
            strcmp(all->loss[i].reader, info.reader) == 0) {
            all->loss[i].lost = info.lost;
            return 0;
        }
    if (all->loss_count == LOSSES_MAX)
        return 0;
    struct tally_loss *loss = &all->loss[all->loss_count++];
    snprintf(loss->stream, sizeof(loss->stream), "%s", info.stream);
    snprintf(loss->reader, sizeof(loss->reader), "%s", info.reader);
    loss->lost = info.lost;
    return 0;
}

void tally_begin(struct up *up)
{
    struct tallies *all = &up->tallies;
    (void)tb_bus_list(up->plan.bus_dir, ".cursor", note_loss, up, NULL); /* none yet: fine */
    for (size_t i = 0; i < all->loss_count; i++)
        all->loss[i].before = all->loss[i].lost;
    for (size_t i = 0; i < up->plan.count; i++) {
        if (up->plan.process[i].output[0] == '\0')
            continue;
        struct tally *t = &all->stream[all->count++];
        t->stream = up->plan.process[i].output;
        open_stream(up, t);
        if (t->open) { /* of an earlier run: only what comes now is ours */
            tb_reader_seek(&t->reader, tb_reader_newest(&t->reader) + 1);
            t->uncounted = 0;
        }
    }
}

void tally_read(struct up *up)
{
    for (size_t i = 0; i < up->tallies.count; i++)
        read_stream(up, &up->tallies.stream[i]);
}

bool tally_wait(struct up *up, tb_ns timeout)
{
    struct tb_reader *readers[PLAN_PROCESSES_MAX];
    size_t count_open = 0;
    for (size_t i = 0; i < up->tallies.count; i++)
        if (up->tallies.stream[i].open)
            readers[count_open++] = &up->tallies.stream[i].reader;
    if (count_open > 0)
        tb_readers_wait(readers, count_open, timeout);
    return count_open > 0;
}

uint64_t tally_lost(struct up *up)
{
    uint64_t lost = 0;
    (void)tb_bus_list(up->plan.bus_dir, ".cursor", note_loss, up, NULL); /* what is there counts */
    for (size_t i = 0; i < up->tallies.loss_count; i++) {
        struct tally_loss *l = &up->tallies.loss[i];
        if (l->lost < l->before)
            l->before = 0;                     /* the page was made anew */
        for (size_t k = 0; k < up->count; k++) /* a tail beside it may lose what it likes */
            if (strcmp(l->reader, up->child[k].process->name) == 0)
                lost += l->lost - l->before;
    }
    return lost;
}

static void print_table(const struct up *up)
{
    const struct tallies *all = &up->tallies;
    printf("%-16s %12s %10s %10s %6s %8s %8s  %s\n", "STREAM", "RECORDS", "TRADES", "CANDLES",
           "GAPS", "MISSING", "ALERTS", "LOST BY READERS");
    for (size_t i = 0; i < all->count; i++) {
        const struct tally *t = &all->stream[i];
        printf("%-16s %12" PRIu64 " %10" PRIu64 " %10" PRIu64 " %6" PRIu64 " %8" PRIu64 " %8" PRIu64
               " ",
               t->stream, t->records + t->uncounted, t->trades, t->candles, t->gaps, t->missing,
               t->alerts);
        for (size_t k = 0; k < all->loss_count; k++)
            if (strcmp(all->loss[k].stream, t->stream) == 0 &&
                strcmp(all->loss[k].reader, "up") != 0)
                printf(" %s %" PRIu64, all->loss[k].reader,
                       all->loss[k].lost - all->loss[k].before);
        if (t->uncounted > 0)
            printf("  (%" PRIu64 " records passed too fast to be told apart)", t->uncounted);
        putchar('\n');
    }
    for (size_t i = 0; i < up->count; i++) {
        const struct child *c = &up->child[i];
        if (c->exit_code != 0 || c->lives > 1)
            printf("%s: started %u time%s, last exit %d\n", c->process->name, c->lives,
                   c->lives == 1 ? "" : "s", c->exit_code);
    }
}

/* Names hold nothing that JSON would need escaped: tb_name_check. */
static void print_json(const struct up *up, uint64_t lost, int exit_code)
{
    const struct tallies *all = &up->tallies;
    printf("{\"exit\":%d,\"lost\":%" PRIu64 ",\"streams\":[", exit_code, lost);
    for (size_t i = 0; i < all->count; i++) {
        const struct tally *t = &all->stream[i];
        printf("%s{\"stream\":\"%s\",\"epoch\":%" PRIu64 ",\"records\":%" PRIu64
               ",\"trades\":%" PRIu64 ",\"candles\":%" PRIu64 ",\"gaps\":%" PRIu64
               ",\"missing\":%" PRIu64 ",\"alerts\":%" PRIu64 ",\"uncounted\":%" PRIu64
               ",\"readers\":[",
               i > 0 ? "," : "", t->stream, t->epoch, t->records + t->uncounted, t->trades,
               t->candles, t->gaps, t->missing, t->alerts, t->uncounted);
        bool first = true;
        for (size_t k = 0; k < all->loss_count; k++) {
            if (strcmp(all->loss[k].stream, t->stream) != 0 ||
                strcmp(all->loss[k].reader, "up") == 0)
                continue;
            printf("%s{\"reader\":\"%s\",\"lost\":%" PRIu64 "}", first ? "" : ",",
                   all->loss[k].reader, all->loss[k].lost - all->loss[k].before);
            first = false;
        }
        printf("]}");
    }
    printf("],\"processes\":[");
    for (size_t i = 0; i < up->count; i++)
        printf("%s{\"name\":\"%s\",\"program\":\"%s\",\"lives\":%u,\"exit\":%d}", i > 0 ? "," : "",
               up->child[i].process->name, up->child[i].process->program, up->child[i].lives,
               up->child[i].exit_code);
    printf("]}\n");
}

uint64_t tally_print(struct up *up, int exit_code)
{
    uint64_t lost = tally_lost(up);
    if (up->json)
        print_json(up, lost, exit_code);
    else
        print_table(up);
    fflush(stdout);
    return lost;
}

void tally_end(struct up *up)
{
    for (size_t i = 0; i < up->tallies.count; i++)
        if (up->tallies.stream[i].open)
            close_stream(&up->tallies.stream[i]);
}
