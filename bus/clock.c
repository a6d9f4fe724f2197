/* Clocks, and the texts of times, durations and sizes: integers all the way, no rounding. */
#include <tickbus/clock.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

tb_ns tb_clock_wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (tb_ns)t.tv_sec * TB_NS_PER_S + t.tv_nsec;
}

tb_ns tb_clock_mono(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (tb_ns)t.tv_sec * TB_NS_PER_S + t.tv_nsec;
}

const char *tb_time_format(tb_ns t, char out[TB_TIME_BYTES])
{
    time_t seconds = (time_t)(t / TB_NS_PER_S);
    long ns = (long)(t % TB_NS_PER_S);
    if (ns < 0) {
        ns += TB_NS_PER_S;
        seconds--;
    }
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t used = strftime(out, TB_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + used, TB_TIME_BYTES - used, ".%09ldZ", ns);
    return out;
}

/* ---- parsing; each take_ function moves *p behind what it took ---- */

static bool take_digits(const char **p, int count, int min, int max, int *out)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if ((*p)[i] < '0' || (*p)[i] > '9')
            return false;
        value = value * 10 + ((*p)[i] - '0');
    }
    if (value < min || value > max)
        return false;
    *p += count;
    *out = value;
    return true;
}

static bool take_char(const char **p, char c)
{
    if (**p != c)
        return false;
    (*p)++;
    return true;
}

/* ".123456789": any number of digits, those below a nanosecond must be 0. */
static bool take_fraction(const char **p, tb_ns *out_ns)
{
    *out_ns = 0;
    if (!take_char(p, '.'))
        return true;
    tb_ns unit = TB_NS_PER_S / 10;
    const char *first = *p;
    for (; **p >= '0' && **p <= '9'; (*p)++, unit /= 10) {
        if (unit == 0 && **p != '0')
            return false;
        *out_ns += unit * (**p - '0');
    }
    return *p != first;
}

/* "HH:MM[:SS[.fraction]]" */
static bool take_clock(const char **p, tb_ns *out_ns)
{
    int hour, minute, second = 0;
    tb_ns fraction = 0;
    if (!take_digits(p, 2, 0, 23, &hour) || !take_char(p, ':') ||
        !take_digits(p, 2, 0, 59, &minute))
        return false;
    if (take_char(p, ':') && (!take_digits(p, 2, 0, 60, &second) || !take_fraction(p, &fraction)))
        return false;
    *out_ns = ((tb_ns)hour * 3600 + minute * 60 + second) * TB_NS_PER_S + fraction;
    return true;
}

/* "Z", "+HH:MM", "-HHMM", or nothing. */
static bool take_zone(const char **p, tb_ns *out_offset)
{
    int hour, minute;
    *out_offset = 0;
    if (**p == '\0' || take_char(p, 'Z') || take_char(p, 'z'))
        return true;
    tb_ns sign = **p == '-' ? -1 : 1;
    if (!take_char(p, '+') && !take_char(p, '-'))
        return false;
    if (!take_digits(p, 2, 0, 23, &hour))
        return false;
    (void)take_char(p, ':'); /* optional */
    if (!take_digits(p, 2, 0, 59, &minute))
        return false;
    *out_offset = sign * ((tb_ns)hour * 3600 + minute * 60) * TB_NS_PER_S;
    return true;
}

int tb_time_parse(const char *text, tb_ns now, tb_ns *out_time)
{
    const char *p = text;
    tb_ns clock = 0, offset = 0, duration;
    if (*p == '-') {
        int rc = tb_duration_parse(p + 1, &duration);
        if (rc == 0)
            *out_time = now - duration;
        return rc == 0 ? 0 : -EINVAL;
    }
    const tb_ns day_ns = 86400 * TB_NS_PER_S;
    if (strlen(p) > 2 && p[2] == ':') {
        if (!take_clock(&p, &clock) || (!take_char(&p, 'Z') && *p != '\0') || *p != '\0')
            return -EINVAL;
        tb_ns of_day = now % day_ns < 0 ? now % day_ns + day_ns : now % day_ns;
        *out_time = now - of_day + clock;
        return 0;
    }
    struct tm tm = {0};
    /* 1678..2261: the years that int64 nanoseconds hold whole. */
    if (!take_digits(&p, 4, 1678, 2261, &tm.tm_year) || !take_char(&p, '-') ||
        !take_digits(&p, 2, 1, 12, &tm.tm_mon) || !take_char(&p, '-') ||
        !take_digits(&p, 2, 1, 31, &tm.tm_mday))
        return -EINVAL;
    int day = tm.tm_mday;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    tb_ns midnight = (tb_ns)timegm(&tm) * TB_NS_PER_S;
    if (tm.tm_mday != day)
        return -EINVAL; /* the 31st of a short month */
    if (take_char(&p, 'T') || take_char(&p, 't') || take_char(&p, ' ')) {
        if (!take_clock(&p, &clock) || !take_zone(&p, &offset))
            return -EINVAL;
    }
    if (*p != '\0')
        return -EINVAL;
    *out_time = midnight + clock - offset;
    return 0;
}

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit duration_units[] = {
    {"ns", 1},
    {"us", TB_NS_PER_US},
    {"ms", TB_NS_PER_MS},
    {"s", TB_NS_PER_S},
    {"m", 60 * TB_NS_PER_S},
    {"h", 3600 * TB_NS_PER_S},
    {"d", 86400 * TB_NS_PER_S},
};

static const struct unit byte_units[] = {
    {"", 1},
    {"B", 1},
    {"KiB", INT64_C(1) << 10},
    {"MiB", INT64_C(1) << 20},
    {"GiB", INT64_C(1) << 30},
    {"TiB", INT64_C(1) << 40},
    {"KB", 1000},
    {"kB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
    {"TB", INT64_C(1000000000000)},
};

/* digits[.digits]unit, exactly: a part of the smallest unit is refused, not rounded. */
static int parse_quantity(const char *text, const struct unit *units, size_t unit_count,
                          int64_t *out)
{
    size_t whole = strspn(text, "0123456789");
    const char *fraction = text + whole;
    size_t fraction_digits = 0;
    if (*fraction == '.') {
        fraction++;
        fraction_digits = strspn(fraction, "0123456789");
        if (fraction_digits == 0)
            return -EINVAL;
    }
    const char *unit_name = fraction + fraction_digits;
    if (whole == 0)
        return -EINVAL;
    int64_t factor = 0, value = 0;
    for (size_t i = 0; i < unit_count; i++)
        if (strcmp(unit_name, units[i].name) == 0)
            factor = units[i].factor;
    if (factor == 0)
        return -EINVAL;
    for (size_t i = 0; i < whole; i++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, text[i] - '0', &value))
            return -ERANGE;
    if (__builtin_mul_overflow(value, factor, &value))
        return -ERANGE;
    __int128 part = factor; /* of one unit; digits beyond 18 can only be 0 */
    __int128 scale = 1;
    __int128 sum = 0;
    for (size_t i = 0; i < fraction_digits; i++) {
        int digit = fraction[i] - '0';
        if (i >= 18) {
            if (digit != 0)
                return -EINVAL;
            continue;
        }
        sum = sum * 10 + digit;
        scale *= 10;
    }
    if (sum * part % scale != 0)
        return -EINVAL;
    if (__builtin_add_overflow(value, (int64_t)(sum * part / scale), &value))
        return -ERANGE;
    *out = value;
    return 0;
}

int tb_duration_parse(const char *text, tb_ns *out_duration)
{
    if (strcmp(text, "0") == 0) { /* none needs no unit */
        *out_duration = 0;
        return 0;
    }
    return parse_quantity(text, duration_units, TB_COUNT(duration_units), out_duration);
}

int tb_bytes_parse(const char *text, int64_t *out_bytes)
{
    return parse_quantity(text, byte_units, TB_COUNT(byte_units), out_bytes);
}
