#include "consumers/journal/held.h"

#include <string.h>
#include <sys/mman.h>

#define RUN_MAX 4096 /* the search for its end is not to be longer than what is done with it */

void held_clear(struct held *h)
{
    if (h->record != NULL)
        (void)munmap(h->record, h->bytes);
    h->record = NULL;
    h->count = h->given = h->room = 0;
}

size_t held_put(struct held *h, const struct tb_record *records, size_t count)
{
    if (h->record == NULL) {
        /* Only what is used of it is taken. */
        void *memory = mmap(NULL, h->bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
            return 0; /* then the ring holds it */
        h->record = memory;
        h->room = h->bytes / sizeof(*h->record);
    }
    if (count > h->room - h->count)
        count = h->room - h->count;
    memcpy(h->record + h->count, records, count * sizeof(*records));
    h->count += count;
    return count;
}

size_t held_run(const struct held *h, const struct tb_record **out_records)
{
    size_t run = 0, count = held_count(h) < RUN_MAX ? held_count(h) : RUN_MAX;
    if (count == 0)
        return 0;
    const struct tb_record *first = h->record + h->given;
    while (run < count && first[run].seq == first[0].seq + run)
        run++;
    *out_records = first;
    return run;
}

void held_give(struct held *h, size_t count)
{
    h->given += count;
    if (h->given == h->count)
        held_clear(h);
}

void held_drop_to(struct held *h, tb_seq last)
{
    while (h->given < h->count && h->record[h->given].seq <= last)
        h->given++;
    if (h->given == h->count)
        held_clear(h);
}
