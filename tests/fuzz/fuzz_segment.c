/* A compressed segment from any bytes: zstd frames, the seek table, and the pages that come out. */
#include <errno.h>
#include <string.h>

#include "bus/journal_source.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct tb_record records[100];
    struct tb_journal *j;
    struct tb_error err = {""};
    tb_seq last = 0;
    tb_journal_settle_ns = 0;
    const char *path = fuzz_file("00000000000000001000-00000000000000000005.tbj.zst", bytes, count);
    if (tb_journal_open(path, &j, &err) != 0) {
        TB_ASSERT(err.text[0] != '\0');
        return 0;
    }
    tb_journal_seek_oldest(j);
    for (int turns = 0; turns < 1000; turns++) {
        struct tb_journal_damage damage;
        long n = tb_journal_read(j, records, 100, NULL, &damage);
        if (n == 0 || (n < 0 && n != -EBADMSG))
            break;
        TB_ASSERT((n < 0 ? damage.from : records[0].seq) > last);
        last = n < 0 ? damage.to : records[n - 1].seq;
    }
    (void)tb_journal_seek_time(j, 1);
    tb_journal_close(j);
    return 0;
}
