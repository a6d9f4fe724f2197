/* See screen.h. */
#include "screen.h"

#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

bool screen_smart(void)
{
    const char *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && (term == NULL || strcmp(term, "dumb") != 0);
}

bool screen_colour(bool no_color_option)
{
    const char *no_color = getenv("NO_COLOR");

    return screen_smart() && !no_color_option && (no_color == NULL || *no_color == '\0');
}

bool screen_utf8(void)
{
    (void)setlocale(LC_CTYPE, "");
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

void screen_open(struct screen *s)
{
    if (tcgetattr(STDIN_FILENO, &s->saved) != 0)
        return; /* no keys: what is shown goes on line by line */
    struct termios raw = s->saved;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    s->live = true;
    printf("\033[?1049h\033[?25l"); /* the alternate screen, no cursor */
}

void screen_close(struct screen *s)
{
    if (!s->live)
        return;
    printf("\033[?25h\033[?1049l");
    (void)fflush(stdout);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &s->saved);
    s->live = false;
}

void screen_size(unsigned *out_rows, unsigned *out_columns)
{
    struct winsize window = {0};

    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &window);
    *out_rows = window.ws_row != 0 ? window.ws_row : 24; /* some terminals do not know their size */
    *out_columns = window.ws_col != 0 ? window.ws_col : 80;
}

/* One line, cut to the window: escape sequences take no room, nor do bytes that continue a character. */
static const char *draw_line(const char *text, unsigned columns)
{
    unsigned column = 0;
    bool escape = false;

    for (; *text != '\0' && *text != '\n'; text++) {
        escape = escape || *text == '\033';
        bool counts = !escape && ((unsigned char)*text & 0xC0) != 0x80;
        column += counts;
        if (escape || column <= columns)
            putchar(*text);
        if (escape && ((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z')))
            escape = false;
    }
    return text + (*text == '\n');
}

static size_t line_count(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

void screen_draw(const char *text, const char *keys, const char *whole)
{
    unsigned rows, columns;

    screen_size(&rows, &columns);
    printf("\033[H");
    for (unsigned row = 0; *text != '\0' && row + 2 < rows; row++) {
        size_t left = row + 3 == rows && whole != NULL ? line_count(text) : 0;
        if (left > 1) {
            printf("... %zu more lines: a higher window, or %s\033[K\n", left, whole);
            break;
        }
        text = draw_line(text, columns);
        printf("\033[K\n");
    }
    printf("\033[J%.*s", (int)columns, keys);
}

int screen_wait(struct screen *s, tb_ns wait)
{
    struct pollfd keyboard = {.fd = s->live ? STDIN_FILENO : -1, .events = POLLIN};
    struct timespec t = {.tv_sec = wait / TB_NS_PER_S, .tv_nsec = wait % TB_NS_PER_S};
    unsigned char key;

    if (ppoll(&keyboard, 1, &t, NULL) <= 0)
        return 0;
    return read(STDIN_FILENO, &key, 1) == 1 ? key : -1;
}
