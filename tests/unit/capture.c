/* Recorded sessions: each line format, merging, damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "producers/capture/capture.h"

static char dir[64];
static char fault_text[4096];
static int fault_count;
static uint64_t fault_line;

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/dev/shm/tickbus-capture-XXXXXX");
    fault_count = 0;
    fault_text[0] = '\0';
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int remove_dir(void **state)
{
    (void)state;
    char command[96];
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[4][128];
    static int next;
    char *out = path[next++ % 4];
    (void)snprintf(out, sizeof(path[0]), "%s/%s", dir, name);
    return out;
}

static const char *write_bytes(const char *name, const void *bytes, size_t count)
{
    const char *path = path_of(name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, count, f), count);
    assert_int_equal(fclose(f), 0);
    return path;
}

static const char *write_text(const char *name, const char *text)
{
    return write_bytes(name, text, strlen(text));
}

/* One gzip member in out[]; returns its size. */
static size_t squeeze(const char *text, size_t length, unsigned char *out, size_t capacity)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)text;
    z.avail_in = (unsigned)length;
    z.next_out = out;
    z.avail_out = (unsigned)capacity;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t size = capacity - z.avail_out;
    (void)deflateEnd(&z);
    return size;
}

static void on_fault(void *context, const char *path, uint64_t line, const char *what)
{
    (void)context;
    assert_non_null(strstr(path, dir));
    fault_count++;
    fault_line = line;
    (void)snprintf(fault_text, sizeof(fault_text), "%s", what);
}

static struct capture *open_files(const char *first, const char *second)
{
    const char *paths[2] = {first, second};
    struct capture *c = NULL;
    struct tb_error err = {""};
    int rc = capture_open(paths, second == NULL ? 1 : 2, on_fault, NULL, &c, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(rc, 0);
    return c;
}

static struct capture_event next(struct capture *c)
{
    struct capture_event e;
    assert_int_equal(capture_next(c, &e), 1);
    return e;
}

static void assert_text(const struct capture_event *e, const char *text)
{
    assert_int_equal(e->length, strlen(text));
    assert_memory_equal(e->text, text, e->length);
}

static void assert_ended(struct capture *c)
{
    struct capture_event e;
    assert_int_equal(capture_next(c, &e), 0);
    assert_int_equal(capture_next(c, &e), 0);
}

static void nanosecond_lines_are_frames_and_snapshots(void **state)
{
    (void)state;
    struct capture *c =
        open_files(write_text("spot_btcusdt_20240808", "1723161253937085768 {\"stream\":\"x\"}\r\n"
                                                       "1723161253937085769 {\"lastUpdateId\":1}"),
                   NULL);
    struct capture_event e = next(c);
    assert_int_equal(e.kind, CAPTURE_FRAME);
    assert_int_equal(e.ts_recv, INT64_C(1723161253937085768));
    assert_text(&e, "{\"stream\":\"x\"}");
    assert_string_equal(e.url, "");
    e = next(c);
    assert_int_equal(e.kind, CAPTURE_HTTP);
    assert_string_equal(e.url, "/api/v3/depth?symbol=BTCUSDT&limit=1000");
    assert_int_equal(e.line, 2);
    assert_ended(c);
    assert_int_equal(fault_count, 0);
    capture_close(c);
}

static void snapshot_whose_symbol_is_not_known_is_a_fault(void **state)
{
    (void)state;
    struct capture *c =
        open_files(write_text("other", "1 {\"lastUpdateId\":1}\n2 {\"a\":1}\n"), NULL);
    struct capture_event e = next(c);
    assert_text(&e, "{\"a\":1}");
    assert_int_equal(capture_faults(c), 1);
    assert_int_equal(fault_line, 1);
    assert_non_null(strstr(fault_text, "without a symbol"));
    capture_close(c);
}

static void second_lines_hold_connections_requests_and_answers(void **state)
{
    (void)state;
    struct capture *c = open_files(
        write_text("BINANCE",
                   "configuration: {\"x\":1}\n\n"
                   "wss://host/stream?streams=a <-> 1633998511.159679\n"
                   "wss://host/ws <- 1633998512: {\"method\":1}\n"
                   "1633998512.0633569: {\"a\":\" -> 1.5: \"}\n"
                   "https://host/api/v3/depth?symbol=NKNUSDT -> 1633998512.320639: {\"b\":2}\n"),
        NULL);
    struct capture_event e = next(c);
    assert_int_equal(e.kind, CAPTURE_CONNECT);
    assert_int_equal(e.ts_recv, INT64_C(1633998511159679000));
    assert_string_equal(e.url, "wss://host/stream?streams=a");
    assert_text(&e, "wss://host/stream?streams=a");
    e = next(c);
    assert_int_equal(e.kind, CAPTURE_SENT);
    assert_text(&e, "{\"method\":1}");
    e = next(c);
    assert_int_equal(e.kind, CAPTURE_FRAME);
    assert_int_equal(e.ts_recv, INT64_C(1633998512063356900));
    assert_text(&e, "{\"a\":\" -> 1.5: \"}");
    e = next(c);
    assert_int_equal(e.kind, CAPTURE_HTTP);
    assert_string_equal(e.url, "https://host/api/v3/depth?symbol=NKNUSDT");
    assert_text(&e, "{\"b\":2}");
    assert_ended(c);
    assert_int_equal(fault_count, 0);
    capture_close(c);
}

static void object_lines_are_unescaped(void **state)
{
    (void)state;
    struct capture *c = open_files(
        write_text("x.jsonl",
                   "{\"t\":\"header\",\"format\":2,\"config\":{\"a\":[\"}\",1]}}\n"
                   "{\"t\":\"connect\",\"ts\":1.5,\"addr\":\"wss://h\\/p\"}\n"
                   "{\"t\": \"recv\", \"ts\": 2.25, \"data\": "
                   "\"{\\\"a\\\":\\\"\\u20ac\\ud83d\\ude00\\\\n\\\"}\"}\n"
                   "{\"t\":\"recv\",\"ts\":3,\"data\":\"\\ud83d\"}\n"
                   "{\"t\":\"recv\",\"data\":\"x\"}\n"
                   "{\"t\":\"other\"}\n"
                   "{\"t\":\"http\",\"ts\":4,\"addr\":\"https://h/q\",\"data\":\"[]\"}\n"),
        NULL);
    struct capture_event e = next(c);
    assert_int_equal(e.kind, CAPTURE_CONNECT);
    assert_string_equal(e.url, "wss://h/p");
    e = next(c);
    assert_int_equal(e.ts_recv, INT64_C(2250000000));
    assert_text(&e, "{\"a\":\"\xe2\x82\xac\xf0\x9f\x98\x80\\n\"}");
    e = next(c);
    assert_int_equal(e.kind, CAPTURE_HTTP);
    assert_string_equal(e.url, "https://h/q");
    assert_ended(c);
    assert_int_equal(capture_faults(c), 3);
    capture_close(c);
}

static void plain_frames_have_no_time(void **state)
{
    (void)state;
    struct capture *c = open_files(write_text("s.jsonl", "{\"t\":5}\n[1]\nnoise\n"), NULL);
    struct capture_event e = next(c);
    assert_int_equal(e.ts_recv, 0);
    assert_text(&e, "{\"t\":5}");
    e = next(c);
    assert_text(&e, "[1]");
    assert_ended(c);
    assert_int_equal(fault_count, 1);
    capture_close(c);
}

static void files_are_merged_by_time_and_ties_by_order(void **state)
{
    (void)state;
    const char *first = write_text("a", "10 {\"a\":1}\n20 {\"a\":2}\n20 {\"a\":3}\n");
    const char *second = write_text("b", "5 {\"b\":1}\n20 {\"b\":2}\n30 {\"b\":3}\n");
    static const char *const order[] = {"{\"b\":1}", "{\"a\":1}", "{\"a\":2}",
                                        "{\"a\":3}", "{\"b\":2}", "{\"b\":3}"};
    struct capture *c = open_files(first, second);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < TB_COUNT(order); i++) {
            struct capture_event e = next(c);
            assert_text(&e, order[i]);
            assert_int_equal(e.file, order[i][2] == 'b');
        }
        assert_ended(c);
        assert_int_equal(capture_rewind(c), 0);
    }
    capture_close(c);
}

static void gzip_members_after_each_other_are_one_text(void **state)
{
    (void)state;
    unsigned char out[512];
    size_t size = squeeze("1 {\"a\":1}\n2 {\"a", 15, out, sizeof(out));
    size += squeeze("\":2}\n", 5, out + size, sizeof(out) - size);
    struct capture *c = open_files(write_bytes("x", out, size), NULL);
    struct capture_event e = next(c);
    assert_text(&e, "{\"a\":1}");
    e = next(c);
    assert_text(&e, "{\"a\":2}");
    assert_ended(c);
    assert_int_equal(fault_count, 0);
    uint64_t done, total;
    capture_progress(c, &done, &total);
    assert_int_equal(done, size);
    assert_int_equal(total, size);
    capture_close(c);
}

/* 2000 lines of text that does not compress well. */
static size_t many_lines(char *text)
{
    size_t used = 0;
    uint64_t x = 1;
    for (int i = 1; i <= 2000; i++) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407U;
        used += (size_t)sprintf(text + used, "%d {\"x\":%llu}\n", i, (unsigned long long)x);
    }
    return used;
}

static void truncated_gzip_gives_all_whole_lines_and_one_fault(void **state)
{
    (void)state;
    static char text[128 << 10];
    static unsigned char out[128 << 10];
    size_t size = squeeze(text, many_lines(text), out, sizeof(out));
    /* From 2 on: one byte of it shows no gzip, and no capture either. */
    for (size_t cut = 2; cut < size; cut += cut < 40 ? 1 : 997) {
        fault_count = 0;
        struct capture *c = open_files(write_bytes("cut", out, cut), NULL);
        struct capture_event e;
        int64_t count = 0;
        while (capture_next(c, &e) == 1)
            assert_int_equal(e.ts_recv, ++count);
        assert_true(count < 2000);
        assert_int_equal(fault_count, 1);
        capture_close(c);
    }
}

static void empty_file_is_an_empty_session(void **state)
{
    (void)state;
    struct capture *c = open_files(write_text("empty", ""), NULL);
    assert_ended(c);
    assert_int_equal(fault_count, 0);
    capture_close(c);
}

static void damaged_gzip_is_one_fault(void **state)
{
    (void)state;
    static char text[128 << 10];
    static unsigned char out[128 << 10];
    size_t size = squeeze(text, many_lines(text), out, sizeof(out));
    memset(out + size / 2, 0xA5, 64);
    struct capture *c = open_files(write_bytes("bad", out, size), NULL);
    struct capture_event e;
    int count = 0;
    while (capture_next(c, &e) == 1)
        count++;
    assert_in_range(count, 1, 1999);
    assert_true(fault_count >= 1);
    assert_non_null(strstr(fault_text, "damaged"));
    capture_close(c);
}

static void garbage_lines_are_counted_and_passed_over(void **state)
{
    (void)state;
    static const char text[] = "\x01\x02\n99999999999999999999 {}\n5 {\"a\":1}\n5{\"a\":1}\n-1 "
                               "{}\nxyz\n 6 {}\n6 \n7 {\"a\":2}\n";
    struct capture *c = open_files(write_text("g", text), NULL);
    struct capture_event e = next(c);
    assert_text(&e, "{\"a\":1}");
    assert_int_equal(e.line, 3);
    e = next(c);
    assert_text(&e, "{\"a\":2}");
    assert_ended(c);
    assert_int_equal(capture_faults(c), 7);
    capture_close(c);
}

static void long_lines_are_held_and_too_long_ones_passed_over(void **state)
{
    (void)state;
    size_t big = 3U << 20, huge = CAPTURE_LINE_MAX + 100;
    char *text = malloc(big + huge + 64);
    assert_non_null(text);
    size_t used = (size_t)sprintf(text, "1 {");
    memset(text + used, 'a', big);
    used += big;
    used += (size_t)sprintf(text + used, "}\n2 {");
    memset(text + used, 'b', huge);
    used += huge;
    used += (size_t)sprintf(text + used, "}\n3 {}\n");
    struct capture *c = open_files(write_bytes("long", text, used), NULL);
    struct capture_event e = next(c);
    assert_int_equal(e.length, big + 2);
    e = next(c);
    assert_int_equal(e.ts_recv, 3);
    assert_int_equal(e.line, 3);
    assert_int_equal(fault_line, 2);
    assert_int_equal(fault_count, 1);
    capture_close(c);
    free(text);
}

static void hexadecimal_lines_are_binary_frames(void **state)
{
    (void)state;
    struct capture *c = open_files(
        write_text("h", "0a3473706f740000\n\n0A3473706F7400FF01\n0a3\nnoise\n00\n"), NULL);
    struct capture_event e = next(c);
    assert_int_equal(e.kind, CAPTURE_FRAME);
    assert_int_equal(e.length, 8);
    assert_memory_equal(e.text, "\x0a\x34spot\0\0", 8);
    e = next(c);
    assert_int_equal(e.length, 9);
    assert_memory_equal(e.text, "\x0a\x34spot\0\xff\x01", 9);
    e = next(c);
    assert_int_equal(e.length, 1);
    assert_int_equal(e.line, 6);
    assert_int_equal(e.ts_recv, 0);
    assert_int_equal(fault_count, 2);
    capture_close(c);
}

static void second_lines_may_hold_binary_frames(void **state)
{
    (void)state;
    struct capture *c =
        open_files(write_text("b", "1700000000.5: 0a3473706f740000\n1700000001: {\"id\":0}\n"
                                   "1700000002: 0a3\n1700000003: 0A3473706F7400FF01\n"),
                   NULL);
    struct capture_event e = next(c);
    assert_int_equal(e.kind, CAPTURE_FRAME);
    assert_int_equal(e.ts_recv, INT64_C(1700000000500000000));
    assert_int_equal(e.length, 8);
    assert_memory_equal(e.text, "\x0a\x34spot\0\0", 8);
    e = next(c);
    assert_text(&e, "{\"id\":0}");
    e = next(c);
    assert_text(&e, "0a3"); /* of no bytes: whatever it is, its decoder will say */
    e = next(c);
    assert_int_equal(e.length, 9);
    assert_ended(c);
    capture_close(c);
}

static void what_is_no_capture_is_refused(void **state)
{
    (void)state;
    struct capture *c;
    struct tb_error err;
    const char *paths[CAPTURE_FILES_MAX + 1];
    paths[0] = path_of("absent");
    assert_int_equal(capture_open(paths, 1, NULL, NULL, &c, &err), -ENOENT);
    assert_non_null(strstr(err.text, "absent"));
    paths[0] = write_text("prose", "once upon a time\n");
    assert_int_equal(capture_open(paths, 1, NULL, NULL, &c, &err), -EINVAL);
    paths[0] = dir;
    assert_int_equal(capture_open(paths, 1, NULL, NULL, &c, &err), -EINVAL);
    assert_int_equal(capture_open(paths, 0, NULL, NULL, &c, &err), -EINVAL);
    for (size_t i = 0; i < TB_COUNT(paths); i++)
        paths[i] = "x";
    assert_int_equal(capture_open(paths, TB_COUNT(paths), NULL, NULL, &c, &err), -E2BIG);
}

static void tag_depends_on_what_would_be_played(void **state)
{
    (void)state;
    struct capture *c = open_files(write_text("t", "1 {}\n"), NULL);
    uint64_t tag = capture_tag(c);
    capture_close(c);
    c = open_files(write_text("t", "1 {}\n"), NULL);
    assert_int_equal(capture_tag(c), tag);
    capture_close(c);
    c = open_files(write_text("t", "2 {}\n"), NULL);
    assert_int_not_equal(capture_tag(c), tag);
    capture_close(c);
    c = open_files(write_text("u", "1 {}\n"), NULL);
    assert_int_not_equal(capture_tag(c), tag);
    capture_close(c);
    assert_int_not_equal(tag, 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(nanosecond_lines_are_frames_and_snapshots),
        T(snapshot_whose_symbol_is_not_known_is_a_fault),
        T(second_lines_hold_connections_requests_and_answers),
        T(object_lines_are_unescaped),
        T(plain_frames_have_no_time),
        T(files_are_merged_by_time_and_ties_by_order),
        T(gzip_members_after_each_other_are_one_text),
        T(truncated_gzip_gives_all_whole_lines_and_one_fault),
        T(empty_file_is_an_empty_session),
        T(damaged_gzip_is_one_fault),
        T(garbage_lines_are_counted_and_passed_over),
        T(long_lines_are_held_and_too_long_ones_passed_over),
        T(hexadecimal_lines_are_binary_frames),
        T(second_lines_may_hold_binary_frames),
        T(what_is_no_capture_is_refused),
        T(tag_depends_on_what_would_be_played),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
