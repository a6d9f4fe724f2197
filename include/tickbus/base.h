/*
 * The few things that every other header needs: scalar types, the cache line, atomics that mean
 * the same in C and C++, assertions, and errors that carry a sentence.
 *
 * Errors: functions return 0 or a count, or a negative errno. A function that can fail for a
 * reason which the number alone does not tell takes a `struct tb_error *`, where it leaves one
 * line: what was tried, on what, and what to do. The pointer may be NULL.
 */
#ifndef TICKBUS_BASE_H
#define TICKBUS_BASE_H

#ifdef __cplusplus
#include <atomic>
#include <cassert>
#define TB_ATOMIC(type) std::atomic<type>
#define TB_ALIGNAS(bytes) alignas(bytes)
#define TB_STATIC_ASSERT(condition, why) static_assert(condition, why)
using std::atomic_load_explicit;
using std::atomic_store_explicit;
using std::atomic_thread_fence;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;
using std::memory_order_seq_cst;
#define TB_EXTERN_BEGIN extern "C" {
#define TB_EXTERN_END }
#else
#include <stdalign.h>
#include <stdatomic.h>
#define TB_ATOMIC(type) _Atomic(type)
#define TB_ALIGNAS(bytes) _Alignas(bytes)
#define TB_STATIC_ASSERT(condition, why) _Static_assert(condition, why)
#define TB_EXTERN_BEGIN
#define TB_EXTERN_END
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

TB_EXTERN_BEGIN

/* 64: the line of every x86-64, and of the aarch64 servers this runs on; it is part of the
 * layout. */
#define TB_CACHE_LINE 64

/* A record's place on its stream: the first is 1, each next is one more; 0 means none. */
typedef uint64_t tb_seq;

/* Nanoseconds: since the Unix epoch (ts_*, *_time), or of CLOCK_MONOTONIC (mono_ns). */
typedef int64_t tb_ns;
/* 128 bits: products of prices and sizes. */
__extension__ typedef __int128 tb_wide;

#define TB_NS_PER_S INT64_C(1000000000)
#define TB_NS_PER_MS INT64_C(1000000)
#define TB_NS_PER_US INT64_C(1000)

#define TB_LIKELY(x) __builtin_expect(!!(x), 1)
#define TB_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define TB_PRINTF(text_at, first_at) __attribute__((format(printf, text_at, first_at)))
#define TB_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* One line for a person; empty when there was no error. */
struct tb_error {
    char text[320];
};

/* tb_fail: leave a line in *err (if err is not NULL) and return rc, so that `return tb_fail(...)`
 * works. */
int tb_fail(struct tb_error *err, int rc, const char *format, ...) TB_PRINTF(3, 4);

/* tb_assert_failed: say which invariant broke, and abort: the core is the report. */
void tb_assert_failed(const char *condition, const char *file, int line)
    __attribute__((noreturn, cold));

/* An invariant of this process's own making: stays on in release builds. */
#define TB_ASSERT(condition)                                                                       \
    (TB_LIKELY(condition) ? (void)0 : tb_assert_failed(#condition, __FILE__, __LINE__))

/* The same for the per-record path: debug builds only. */
#ifdef TB_DEBUG
#define TB_DCHECK(condition) TB_ASSERT(condition)
#else
#define TB_DCHECK(condition) ((void)0)
#endif

/*
 * TB_POINT("publish:after_P1"): a place at which a fault test may kill the process. Nothing at all
 * unless the tree was configured with -DTB_POINTS=ON; then the environment variable
 * TB_POINT=<name>:<count> ends the process with SIGKILL the count-th time it gets there.
 */
#ifdef TB_POINTS
void tb_point(const char *name);
#define TB_POINT(name) tb_point(name)
#else
#define TB_POINT(name) ((void)0)
#endif

/* The version of the library that is linked, such as "0.1.0 (3f2a91c)". */
const char *tb_version(void);

TB_EXTERN_END

#endif
