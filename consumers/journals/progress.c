#include "consumers/journals/journals.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include <tickbus/clock.h>

#define SHOW_EVERY (200 * TB_NS_PER_MS)
#define BAR 24

void progress_show(struct progress *p, uint64_t done, uint64_t total, uint64_t records)
{
    tb_ns now = tb_clock_mono();
    if (p->begun == 0)
        p->begun = now;
    if (now - p->shown < SHOW_EVERY || now == p->begun || isatty(STDERR_FILENO) == 0)
        return;
    p->shown = now;
    double part = total == 0 ? 0 : (double)done / (double)total;
    if (part > 1)
        part = 1;
    char bar[BAR + 1];
    for (int i = 0; i < BAR; i++)
        bar[i] = i < (int)(part * BAR) ? '#' : '.';
    bar[BAR] = 0;
    fprintf(stderr, "\r%s [%s] %3d %%  %" PRIu64 " records  %.2f M/s ", p->what, bar,
            (int)(part * 100), records, (double)records * 1000 / (double)(now - p->begun));
}

void progress_end(struct progress *p)
{
    if (p->shown != 0)
        fprintf(stderr, "\r\033[K");
}

void journals_fallback(const struct tb_journal *j)
{
    static bool said;
    const char *why = tb_journal_fallback(j);
    if (why == NULL || said)
        return;
    said = true;
    (void)tool_fault(0, "%s: read by plain calls", why);
}
