/* Recorded sessions from any bytes, gzip included: twice through, the same events each time. */
#include <string.h>

#include "fuzz.h"
#include "producers/capture/capture.h"

static void on_fault(void *context, const char *path, uint64_t line, const char *what)
{
    (void)context;
    TB_ASSERT(path != NULL && line > 0 && what != NULL && what[0] != '\0');
}

static uint64_t play(struct capture *c)
{
    struct capture_event e;
    uint64_t sum = 0;
    while (capture_next(c, &e) == 1) {
        TB_ASSERT(e.kind <= CAPTURE_HTTP && e.url != NULL && e.line > 0);
        for (size_t i = 0; i < e.length + CAPTURE_PADDING; i++) /* all of it is readable */
            sum += i < e.length ? (unsigned char)e.text[i] : (unsigned char)e.text[i] & 0U;
        sum = sum * 31 + (uint64_t)e.ts_recv + strlen(e.url);
    }
    return sum + capture_faults(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    const char *path = fuzz_file("spot_btcusdt_1", bytes, count);
    struct capture *c;
    struct tb_error err;
    uint64_t done, total;
    if (capture_open(&path, 1, on_fault, NULL, &c, &err) != 0)
        return 0;
    uint64_t first = play(c);
    capture_progress(c, &done, &total);
    TB_ASSERT(done <= total && total == count);
    TB_ASSERT(capture_rewind(c) == 0);
    TB_ASSERT(play(c) == first);
    capture_close(c);
    return 0;
}
