#include "consumers/journals/journals.h"

#include <stdarg.h>
#include <stdio.h>

volatile sig_atomic_t tool_stopped;
static const char *tool_program;

static void on_signal(int number)
{
    (void)number;
    tool_stopped = 1;
}

void tool_start(const char *program)
{
    struct sigaction action = {.sa_handler = on_signal};
    tool_program = program;
    (void)sigaction(SIGINT, &action, NULL); /* these can not fail */
    (void)sigaction(SIGTERM, &action, NULL);
}

int tool_fault(int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", tool_program);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    return code;
}

void tool_fallback(const struct tb_journal *j)
{
    static bool said;
    const char *why = tb_journal_fallback(j);
    if (why == NULL || said)
        return;
    said = true;
    (void)tool_fault(0, "%s: read by plain calls", why);
}
