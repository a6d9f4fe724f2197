/*
 * Errors, assertions, the version, and the kill points of the fault tests.
 */
#include <tickbus/base.h>

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int tb_fail(struct tb_error *err, int rc, const char *format, ...)
{
    if (err == NULL)
        return rc;
    /* Through a buffer of its own: an argument may be the old text of this very error. */
    char text[sizeof(err->text)];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    memcpy(err->text, text, sizeof(text));
    return rc;
}

void tb_assert_failed(const char *condition, const char *file, int line)
{
    char text[512];
    int n = snprintf(text, sizeof(text), "level=error ev=broken_invariant at=%s:%d pid=%d: %s\n",
                     file, line, (int)getpid(), condition);
    if (n > (int)sizeof(text))
        n = (int)sizeof(text);
    /* Nothing can be done about a stderr that does not take it. */
    ssize_t written = write(STDERR_FILENO, text, n > 0 ? (size_t)n : 0);
    (void)written;
    abort();
}

const char *tb_version(void)
{
    return TB_VERSION " (" TB_COMMIT ")";
}

#ifdef TB_POINTS
static atomic_bool point_known;

/* A test forks the process that it wants to die, and sets TB_POINT in the child. */
static void point_forget(void)
{
    atomic_store(&point_known, false);
}

/* SIGKILL, not exit: nothing may run after the point, as if the machine had taken the process. */
void tb_point(const char *name)
{
    static char wanted[64];
    static atomic_long left;

    if (!atomic_load_explicit(&point_known, memory_order_acquire)) {
        static atomic_flag registered = ATOMIC_FLAG_INIT;
        if (!atomic_flag_test_and_set(&registered))
            (void)pthread_atfork(NULL, NULL, point_forget);
        const char *text = getenv("TB_POINT");
        const char *colon = text != NULL ? strrchr(text, ':') : NULL;
        if (colon != NULL && (size_t)(colon - text) < sizeof(wanted)) {
            memcpy(wanted, text, (size_t)(colon - text));
            wanted[colon - text] = '\0';
            atomic_store(&left, strtol(colon + 1, NULL, 10));
        }
        atomic_store_explicit(&point_known, true, memory_order_release);
    }
    if (wanted[0] != '\0' && strcmp(wanted, name) == 0 && atomic_fetch_sub(&left, 1) == 1)
        (void)raise(SIGKILL);
}
#endif
