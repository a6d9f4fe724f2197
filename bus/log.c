/* Log lines: built in memory, written with one write(2), so that lines of many processes never mix. */
#include <tickbus/log.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tickbus/clock.h>

#define LINE_BYTES 1024 /* below PIPE_BUF: one write is whole, even into a shared pipe */

static const char *const level_name[] = {"debug", "info", "warn", "error", "off"};

static char service_name[64] = "tickbus";
static enum tb_log_level lowest = TB_LOG_INFO;

void tb_log_init(const char *service, enum tb_log_level level)
{
    snprintf(service_name, sizeof(service_name), "%s", service);
    lowest = level;
}

enum tb_log_level tb_log_current_level(void)
{
    return lowest;
}

int tb_log_level_parse(const char *name)
{
    for (size_t i = 0; i < TB_COUNT(level_name); i++)
        if (strcmp(name, level_name[i]) == 0)
            return (int)i;
    return -EINVAL;
}

/* A value may come from a venue or a file: no control character reaches the terminal. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

static TB_PRINTF(4, 0) void write_line(enum tb_log_level level, const char *event,
                                       uint64_t suppressed, const char *format, va_list arguments)
{
    char time[TB_TIME_BYTES], line[LINE_BYTES], tail[48] = "";
    int saved_errno = errno;
    int n = snprintf(line, sizeof(line), "%s level=%s service=%s ev=%s",
                     tb_time_format(tb_clock_wall(), time), level_name[level], service_name, event);
    size_t used = (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1;
    if (format[0] != '\0' && used + 2 < sizeof(line)) {
        line[used++] = ' ';
        n = vsnprintf(line + used, sizeof(line) - used, format, arguments);
        used = n > 0 ? used + strnlen(line + used, sizeof(line) - used - 1) : used - 1;
    }
    line[used] = '\0';
    make_printable(line);
    size_t tail_bytes = 0;
    if (suppressed > 0)
        tail_bytes = (size_t)snprintf(tail, sizeof(tail), " suppressed=%llu",
                                      (unsigned long long)suppressed);
    if (used + tail_bytes + 1 > sizeof(line))
        used = sizeof(line) - tail_bytes - 1;
    memcpy(line + used, tail, tail_bytes);
    line[used + tail_bytes] = '\n';
    /* Nowhere to say that the log can not be written. */
    ssize_t written = write(STDERR_FILENO, line, used + tail_bytes + 1);
    (void)written;
    errno = saved_errno;
}

void tb_log(enum tb_log_level level, const char *event, const char *format, ...)
{
    if (level < lowest)
        return;
    va_list arguments;
    va_start(arguments, format);
    write_line(level, event, 0, format, arguments);
    va_end(arguments);
}

void tb_log_limited(struct tb_log_limit *limit, tb_ns interval_ns, enum tb_log_level level,
                    const char *event, const char *format, ...)
{
    if (level < lowest)
        return;
    tb_ns now = tb_clock_mono();
    if (now < limit->next_mono) {
        limit->suppressed++;
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    write_line(level, event, limit->suppressed, format, arguments);
    va_end(arguments);
    limit->next_mono = now + interval_ns;
    limit->suppressed = 0;
}

const char *tb_quote_text(const char *text, char out[TB_QUOTE_BYTES])
{
    if (text[0] != '\0' && strpbrk(text, " \t\r\n\"\\=") == NULL && strlen(text) < TB_QUOTE_BYTES) {
        memcpy(out, text, strlen(text) + 1);
        return out;
    }
    size_t used = 0;
    out[used++] = '"';
    for (; *text != '\0' && used + 4 < TB_QUOTE_BYTES; text++) {
        char c = *text;
        if (c == '"' || c == '\\' || c == '\n')
            out[used++] = '\\';
        out[used++] = c == '\n' ? 'n' : c;
    }
    out[used++] = '"';
    out[used] = '\0';
    return out;
}
