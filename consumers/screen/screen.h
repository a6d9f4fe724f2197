/*
 * A live terminal: one whole picture after the other, drawn over the last without flicker, and
 * single keys. For tools that watch; without a terminal they print.
 */
#ifndef TICKBUS_CONSUMERS_SCREEN_H
#define TICKBUS_CONSUMERS_SCREEN_H

#include <termios.h>

#include <tickbus/base.h>

struct screen {
    bool live;
    struct termios saved;
};

/* screen_smart: stdout is a terminal that understands escape sequences. screen_colour: and wants
 * colours. */
bool screen_smart(void);
bool screen_colour(bool no_color_option);
/* screen_utf8: the locale's characters are UTF-8, so bars may be drawn finely. */
bool screen_utf8(void);

/* screen_open: take the terminal (if keys can be read from it). screen_close: give it back; accepts
 * zero. */
void screen_open(struct screen *s);
void screen_close(struct screen *s);

void screen_size(unsigned *out_rows, unsigned *out_columns);
/*
 * screen_draw: the text's lines, cut to the window, and a last line of keys. Lines that have no room are
 * counted and said, with the command that shows them: what is wrong may stand there. whole NULL: not said.
 */
void screen_draw(const char *text, const char *keys, const char *whole);

/* screen_wait: until a key (its character), or for so long (0). -1: the terminal is gone. */
int screen_wait(struct screen *s, tb_ns wait);

#endif
