/* See render.h. Numbers are exact: integers in the book's exponents up to the last digit. */
#include "render.h"

#include <inttypes.h>
#include <string.h>

#include <tickbus/clock.h>
#include <tickbus/decimal.h>

#define RED "\033[38;5;167m"
#define GREEN "\033[38;5;71m"
#define FAINT "\033[2m"
#define ALARM "\033[1;33m"
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

#define BAR_MIN 6  /* columns: with less there is none */
#define BAR_MAX 60 /* wider says no more */

static const char *paint(const struct render_style *style, const char *code)
{
    return style->colour ? code : "";
}

/* ---- numbers ---- */

static __int128 sum_of(const struct tb_book *book, uint8_t side, uint32_t depth)
{
    const struct tb_book_level *level;
    __int128 sum = 0;

    for (uint32_t rank = 0; rank < depth && (level = tb_book_best(book, side, rank)) != NULL;
         rank++)
        sum += level->size;
    return sum;
}

/* All digits of the exponent, so that points stand below each other. */
static void format_sum(__int128 sum, int exp, char out[TB_DECIMAL_BYTES])
{
    if (sum <= INT64_MAX)
        (void)tb_decimal_format_fixed((int64_t)sum, exp, out);
    else
        (void)tb_decimal_format_wide(sum, exp, out);
}

/* 12,345,678 */
static const char *group(uint64_t value, char out[32])
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%" PRIu64, value);
    size_t used = 0;

    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = '\0';
    return out;
}

static const char *span(tb_ns t, char out[32])
{
    if (t < 0)
        t = 0; /* the venue's clock, or ours, is off */
    if (t < TB_NS_PER_S)
        (void)snprintf(out, 32, "%" PRId64 " ms", t / TB_NS_PER_MS);
    else if (t < 100 * TB_NS_PER_S)
        (void)snprintf(out, 32, "%" PRId64 ".%" PRId64 " s", t / TB_NS_PER_S,
                       t / (TB_NS_PER_S / 10) % 10);
    else if (t < 7200 * TB_NS_PER_S)
        (void)snprintf(out, 32, "%" PRId64 " min", t / (60 * TB_NS_PER_S));
    else
        (void)snprintf(out, 32, "%" PRId64 " h", t / (3600 * TB_NS_PER_S));
    return out;
}

/* ---- the ladder ---- */

struct ladder {
    const struct watch *w;
    const struct render_style *style;
    FILE *out;
    int price_width, size_width, sum_width;
    unsigned bar_width;
    __int128 most; /* the greater of the two sums */
};

static void widen(int *width, const char *text)
{
    int length = (int)strlen(text);
    *width = length > *width ? length : *width;
}

static void measure(struct ladder *l)
{
    const struct tb_book *book = &l->w->book;
    char text[TB_DECIMAL_BYTES];

    l->price_width = (int)strlen("price");
    l->size_width = l->sum_width = (int)strlen("size");
    for (int side = 0; side < 2; side++) {
        const struct tb_book_level *level;
        uint8_t which = side == 0 ? TB_BUY : TB_SELL;
        for (uint32_t rank = 0; rank < l->style->depth; rank++) {
            if ((level = tb_book_best(book, which, rank)) == NULL)
                break;
            (void)tb_decimal_format_fixed(level->price, book->price_exp, text);
            widen(&l->price_width, text);
            (void)tb_decimal_format_fixed(level->size, book->size_exp, text);
            widen(&l->size_width, text);
        }
        __int128 sum = sum_of(book, which, l->style->depth);
        format_sum(sum, book->size_exp, text);
        widen(&l->sum_width, text);
        l->most = sum > l->most ? sum : l->most;
    }
    int text_width = 1 + l->price_width + 2 + l->size_width + 2 + l->sum_width + 2;
    int left = (int)l->style->columns - text_width - 1;
    l->bar_width = left < BAR_MIN ? 0 : left > BAR_MAX ? BAR_MAX : (unsigned)left;
}

static void draw_bar(const struct ladder *l, __int128 sum)
{
    static const char *const part[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    if (l->most <= 0 || l->bar_width == 0)
        return;
    unsigned eighths = (unsigned)(sum * (8 * l->bar_width) / l->most);
    if (!l->style->fine) {
        for (unsigned i = 0; i < (eighths + 4) / 8; i++)
            fputc('#', l->out);
        return;
    }
    for (unsigned i = 0; i < eighths / 8; i++)
        fputs("█", l->out);
    fputs(part[eighths % 8], l->out);
}

static void level_line(const struct ladder *l, uint8_t side, uint32_t rank, __int128 sum)
{
    const struct tb_book *book = &l->w->book;
    const struct tb_book_level *level = tb_book_best(book, side, rank);
    char price[TB_DECIMAL_BYTES], size[TB_DECIMAL_BYTES], total[TB_DECIMAL_BYTES];
    const char *colour = l->w->state != WATCH_VALID ? FAINT : side == TB_BUY ? GREEN : RED;

    if (level == NULL) {
        fputc('\n', l->out);
        return;
    }
    (void)tb_decimal_format_fixed(level->price, book->price_exp, price);
    (void)tb_decimal_format_fixed(level->size, book->size_exp, size);
    format_sum(sum, book->size_exp, total);
    fprintf(l->out, " %s%s%*s%s  %*s  %s%*s%s  %s", paint(l->style, colour),
            paint(l->style, rank == 0 ? BOLD : ""), l->price_width, price, paint(l->style, PLAIN),
            l->size_width, size, paint(l->style, FAINT), l->sum_width, total,
            paint(l->style, PLAIN), paint(l->style, colour));
    draw_bar(l, sum);
    fprintf(l->out, "%s\n", paint(l->style, PLAIN));
}

static void side_lines(const struct ladder *l, uint8_t side)
{
    uint32_t depth = l->style->depth;
    const struct tb_book_level *level;
    __int128 sum = side == TB_SELL ? sum_of(&l->w->book, side, depth) : 0;

    for (uint32_t i = 0; i < depth; i++) {
        /* Asks: the worst shown one on top, the best next to the spread. */
        uint32_t rank = side == TB_SELL ? depth - 1 - i : i;
        level = tb_book_best(&l->w->book, side, rank);
        if (side == TB_BUY && level != NULL)
            sum += level->size;
        level_line(l, side, rank, sum);
        if (side == TB_SELL && level != NULL)
            sum -= level->size;
    }
}

static void spread_line(const struct ladder *l)
{
    const struct tb_book *book = &l->w->book;
    const struct tb_book_level *bid = tb_book_best(book, TB_BUY, 0),
                               *ask = tb_book_best(book, TB_SELL, 0);
    char spread[TB_DECIMAL_BYTES];

    if (bid == NULL || ask == NULL) {
        fprintf(l->out, " %*s\n", l->price_width, "-");
        return;
    }
    int64_t distance = ask->price - bid->price;
    (void)tb_decimal_format_fixed(distance, book->price_exp, spread);
    /* In hundredths of a basis point of the ask, rounded down: for the eye. */
    int64_t points = ask->price > 0 ? (int64_t)((__int128)distance * 1000000 / ask->price) : 0;
    fprintf(l->out, " %s%*s  spread %s, %" PRId64 ".%02" PRId64 " bp%s\n", paint(l->style, FAINT),
            l->price_width, distance < 0 ? "crossed" : "", spread, points / 100,
            points < 0 ? -(points % 100) : points % 100, paint(l->style, PLAIN));
}

/* ---- about it ---- */

static const char *producer_text(const struct watch *w)
{
    if (w->producer.alive)
        return "";
    return w->producer.state == TB_STREAM_DONE      ? ", its feed is done"
           : w->producer.state == TB_STREAM_STOPPED ? ", its feed was stopped"
                                                    : ", its feed died";
}

static void state_text(const struct watch *w, const struct render_style *style, tb_ns now,
                       FILE *out)
{
    char since[32];

    if (w->state == WATCH_VALID) {
        fprintf(out, "%svalid%s%s", paint(style, GREEN), paint(style, PLAIN), producer_text(w));
        return;
    }
    fprintf(out, "%s%s%s: %s", paint(style, ALARM), w->state == WATCH_BAD ? "BAD" : "no book",
            paint(style, PLAIN), w->why);
    if (w->state == WATCH_NONE && w->journal == NULL && w->seq > 0)
        fputs("; --journal may have it", out);
    if (w->since != 0 && !w->recorded)
        fprintf(out, ", for %s", span(now - w->since, since));
    fputs(producer_text(w), out);
}

static void header(const struct watch *w, const struct render_style *style, tb_ns now, FILE *out)
{
    fprintf(out, " %s%s%s  %s%s%s   ", paint(style, BOLD), w->market.symbol, paint(style, PLAIN),
            w->market.venue, strcmp(w->market.venue, w->market.stream) != 0 ? " on " : "",
            strcmp(w->market.venue, w->market.stream) != 0 ? w->market.stream : "");
    state_text(w, style, now, out);
    fputc('\n', out);
}

static void footer(const struct watch *w, const struct render_style *style, tb_ns now, FILE *out)
{
    char seq[32], update[32], gaps[32], age[TB_TIME_BYTES];

    if (w->recorded)
        (void)tb_time_format(w->book.ts_recv, age), memcpy(age + 19, "Z", 2); /* whole seconds */
    else
        (void)span(now - w->published, age);
    fprintf(out, " %sseq %s   update %s   %s %s   levels %u + %u   gaps %s", paint(style, FAINT),
            group(w->seq, seq), group(w->book.update_id, update), w->recorded ? "of" : "age",
            w->has_book ? age : "-", w->book.bid.count, w->book.ask.count, group(w->gaps, gaps));
    if (w->lost > 0)
        fprintf(out, "   lost %s", group(w->lost, seq));
    fprintf(out, "%s\n", paint(style, PLAIN));
}

void render_ladder(const struct watch *w, const struct render_style *style, tb_ns now, FILE *out)
{
    struct ladder l = {.w = w, .style = style, .out = out};

    measure(&l);
    header(w, style, now, out);
    fprintf(out, "\n %s%*s  %*s  %*s%s\n", paint(style, FAINT), l.price_width, "price",
            l.size_width, "size", l.sum_width, "sum", paint(style, PLAIN));
    side_lines(&l, TB_SELL);
    spread_line(&l);
    side_lines(&l, TB_BUY);
    fputc('\n', out);
    footer(w, style, now, out);
}

/* ---- JSON ---- */

static void json_side(const struct tb_book *book, uint8_t side, uint32_t depth, FILE *out)
{
    const struct tb_book_level *level;
    char price[TB_DECIMAL_BYTES], size[TB_DECIMAL_BYTES];

    for (uint32_t rank = 0; rank < depth && (level = tb_book_best(book, side, rank)) != NULL;
         rank++) {
        (void)tb_decimal_format(level->price, book->price_exp, price);
        (void)tb_decimal_format(level->size, book->size_exp, size);
        fprintf(out, "%s[%s,%s]", rank > 0 ? "," : "", price, size);
    }
}

static void json_best(const char *name, const struct tb_book *book, uint8_t side, FILE *out)
{
    const struct tb_book_level *level = tb_book_best(book, side, 0);
    char price[TB_DECIMAL_BYTES] = "null", size[TB_DECIMAL_BYTES] = "null";

    if (level != NULL) {
        (void)tb_decimal_format(level->price, book->price_exp, price);
        (void)tb_decimal_format(level->size, book->size_exp, size);
    }
    fprintf(out, ",\"%s_price\":%s,\"%s_size\":%s", name, price, name, size);
}

static void json_time(const char *name, tb_ns t, FILE *out)
{
    char text[TB_TIME_BYTES];

    if (t == 0)
        fprintf(out, ",\"%s\":null", name);
    else
        fprintf(out, ",\"%s\":\"%s\"", name, tb_time_format(t, text));
}

void render_json(const struct watch *w, uint32_t depth, tb_ns now, FILE *out)
{
    static const char *const states[] = {"valid", "none", "bad"};
    const struct tb_book_level *bid = tb_book_best(&w->book, TB_BUY, 0),
                               *ask = tb_book_best(&w->book, TB_SELL, 0);
    char spread[TB_DECIMAL_BYTES] = "null";

    if (bid != NULL && ask != NULL)
        (void)tb_decimal_format(ask->price - bid->price, w->book.price_exp, spread);
    fprintf(out, "{\"stream\":\"%s\",\"venue\":\"%s\",\"symbol\":\"%s\",\"state\":\"%s\",\"why\":",
            w->market.stream, w->market.venue, w->market.symbol, states[w->state]);
    fprintf(out, w->why[0] != '\0' ? "\"%s\"" : "null", w->why);
    fprintf(out, ",\"alive\":%s,\"epoch\":%" PRIu64 ",\"seq\":%" PRIu64 ",\"update_id\":%" PRIu64,
            w->producer.alive ? "true" : "false", w->reader.epoch, w->seq, w->book.update_id);
    json_time("ts_event", w->book.ts_event, out);
    json_time("ts_recv", w->book.ts_recv, out);
    if (w->recorded || !w->has_book)
        fprintf(out, ",\"age_seconds\":null");
    else
        fprintf(out, ",\"age_seconds\":%.3f", (double)(now - w->published) / (double)TB_NS_PER_S);
    fprintf(out, ",\"gaps\":%" PRIu64 ",\"missing\":%" PRIu64 ",\"lost\":%" PRIu64, w->gaps,
            w->missing, w->lost);
    json_best("bid", &w->book, TB_BUY, out);
    json_best("ask", &w->book, TB_SELL, out);
    fprintf(out, ",\"spread\":%s,\"bid_levels\":%u,\"ask_levels\":%u,\"bids\":[", spread,
            w->book.bid.count, w->book.ask.count);
    json_side(&w->book, TB_BUY, depth, out);
    fprintf(out, "],\"asks\":[");
    json_side(&w->book, TB_SELL, depth, out);
    fprintf(out, "]}\n");
}
