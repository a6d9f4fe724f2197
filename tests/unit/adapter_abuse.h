/* Frames that were damaged on the way, for every adapter whose messages are text. */
#ifndef TICKBUS_TESTS_ADAPTER_ABUSE_H
#define TICKBUS_TESTS_ADAPTER_ABUSE_H

#include "unit/adapter_fixture.h"

/* Each is bad wherever it is cut, and nothing comes of it. */
static inline void check_cut_frames(const char *const *frames, size_t count)
{
    uint64_t bad = 0;
    for (size_t f = 0; f < count; f++)
        for (size_t cut = 0; cut < strlen(frames[f]); cut++) {
            assert_int_equal(frame_bytes(frames[f], cut), -EBADMSG);
            assert_int_equal(count_of(ADAPTER_FRAMES_BAD), ++bad);
        }
    assert_int_equal(host.count, 0);
    assert_int_equal(host.asked_count, 0);
}

/* Each is bad, is counted, and nothing comes of it. */
static inline void check_refused(const char *const *texts, size_t count)
{
    uint64_t bad = count_of(ADAPTER_FRAMES_BAD);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(frame(texts[i]), -EBADMSG);
        assert_int_equal(count_of(ADAPTER_FRAMES_BAD), bad + i + 1);
    }
    assert_int_equal(host.count, 0);
}

/* Each byte of each becomes each of these, as a frame and as an answer; renew: makes the adapter
 * anew. */
static inline void change_each_byte(const char *const *frames, size_t count, void (*renew)(void))
{
    static const unsigned char changes[] = {0,   '"', '\\', '{', '}', '[',  ']',
                                            ',', ':', '-',  '9', 'e', 0x80, 0xFF};
    for (size_t f = 0; f < count; f++) {
        size_t length = strlen(frames[f]);
        for (size_t at = 0; at < length; at++)
            for (size_t c = 0; c < sizeof(changes); c++) {
                char *copy = padded(frames[f], length);
                copy[at] = (char)changes[c];
                host.count = host.sent_count = host.asked_count = 0;
                (void)ops->on_frame(a, copy, length, ++host.now);
                (void)ops->on_rest(a, 1, NULL, 200, copy, length, ++host.now);
                free(copy);
            }
        ops->destroy(a);
        renew();
    }
}

#endif
