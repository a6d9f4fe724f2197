/* What the commands have in common that are no services: how they are told of a bus, say what is wrong, and stop. */
#ifndef TICKBUS_CONSUMERS_TOOL_H
#define TICKBUS_CONSUMERS_TOOL_H

#include <signal.h>
#include <stddef.h>

#include <tickbus/config.h>

/* The rows of a command that finds its bus by tb_bus_find; `type` has the strings bus and directory. */
#define TOOL_BUS_OPTIONS(type)                                                                     \
    {"bus", TB_OPTION_STRING, offsetof(type, bus),                                                 \
     .help = "name of the bus; default: \"default\", or the only one"},                            \
    {                                                                                              \
        "directory", TB_OPTION_STRING, offsetof(type, directory),                                  \
            .help = "base directory instead of $TICKBUS_DIR"                                       \
    }

/* tool_name: the name before each line on stderr. */
void tool_name(const char *program);
/* tool_start: the name, and SIGINT and SIGTERM set tool_stopped. tool_catch: so does this signal. */
void tool_start(const char *program);
void tool_catch(int signal_number);
extern volatile sig_atomic_t tool_stopped;
/* tool_fault: a line on stderr; returns code, so that `return tool_fault(...)` works. */
int tool_fault(int code, const char *format, ...) TB_PRINTF(2, 3);

/*
 * tool_find_bus: tb_bus_find. TB_EXIT_OK, or a line that says what is wrong and TB_EXIT_UNAVAILABLE (no such
 * bus), TB_EXIT_IO (not to be looked at) or TB_EXIT_USAGE (no name for a bus).
 */
int tool_find_bus(const char *directory, const char *bus, char *out_path, size_t path_bytes);

/*
 * tool_write: onto stdout, for many lines. tool_flush: what was printed goes out; 0, or why no more can be
 * written, the first reason; EPIPE: who read it has gone, which is no fault (if SIGPIPE is ignored).
 * tool_written: at the end: TB_EXIT_OK, or a line that says why not, and TB_EXIT_IO.
 */
void tool_write(const char *text, size_t length);
int tool_flush(void);
int tool_written(void);

#endif
