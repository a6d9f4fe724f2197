/*
 * A journal in a temporary directory, its disk made to lie by a script, and the proof of what it
 * holds: every record's fields are a function of its sequence.
 */
#ifndef TESTS_JOURNAL_BENCH_DISK_H
#define TESTS_JOURNAL_BENCH_DISK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bus/journal_write.h"

#define EPOCH UINT64_C(1700000000000000000)

struct bench {
    char base[128]; /* journal base directory */
    char path[256]; /* of the stream */
    struct tb_journal_disk *disk;
    struct tb_journal_writer *writer;
    struct tb_journal_write_options options;
    size_t memory;
    struct tb_uring_fault fault;
    tb_ns mono;
    unsigned bad; /* lines of trouble said */
    size_t state_count;
};

void bench_make(struct bench *b);
void bench_remove(struct bench *b);
/* A new disk and writer on what is there. */
void bench_open(struct bench *b, enum tb_journal_io io);
int bench_try_open(struct bench *b, enum tb_journal_io io);
void bench_close(struct bench *b);
struct tb_record bench_record(tb_seq seq);
/* One turn, clock moved by 1 ms. */
void bench_turn(struct bench *b);
/* Append first..last (in the writer's epoch) in batches of at most `batch`, turning. */
void bench_append(struct bench *b, tb_seq last, size_t batch);
/* Turn until all appended is durable; false if it did not come to that in `turns`. */
bool bench_settle(struct bench *b, unsigned turns);
void bench_finish(struct bench *b);
/* What the journal holds of an epoch, read with tb_journal_read: exactly first..the result. 0:
 * nothing. */
tb_seq bench_read(const char *path, uint64_t epoch, tb_seq first);

#endif
