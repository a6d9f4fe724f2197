#include "consumers/tool/tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/reader.h>
#include <tickbus/service.h>

volatile sig_atomic_t tool_stopped;
static const char *tool_program;

static void on_signal(int number)
{
    (void)number;
    tool_stopped = 1;
}

void tool_name(const char *program)
{
    tool_program = program;
}

void tool_catch(int signal_number)
{
    const struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(signal_number, &action, NULL); /* can not fail */
}

void tool_start(const char *program)
{
    tool_name(program);
    tool_catch(SIGINT);
    tool_catch(SIGTERM);
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

int tool_find_bus(const char *directory, const char *bus, char *out_path, size_t path_bytes)
{
    struct tb_error err = {""};
    int rc = tb_bus_find(directory, bus, out_path, path_bytes, &err);
    if (rc == 0)
        return TB_EXIT_OK;
    return tool_fault(rc == -ENOENT   ? TB_EXIT_UNAVAILABLE
                      : rc == -EACCES ? TB_EXIT_IO
                                      : TB_EXIT_USAGE,
                      "%s", err.text);
}

static int unwritten; /* the first reason */

void tool_write(const char *text, size_t length)
{
    errno = 0;
    if (fwrite(text, 1, length, stdout) != length && unwritten == 0)
        unwritten = errno != 0 ? errno : EIO;
}

int tool_flush(void)
{
    errno = 0;
    if ((fflush(stdout) != 0 || ferror(stdout)) && unwritten == 0)
        unwritten = errno != 0 ? errno : EIO;
    return unwritten;
}

int tool_written(void)
{
    int reason = tool_flush();
    return reason == 0 || reason == EPIPE
               ? TB_EXIT_OK
               : tool_fault(TB_EXIT_IO, "cannot write: %s", strerror(reason));
}
