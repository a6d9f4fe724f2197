#include "producers/adapter/times.h"

#include <errno.h>

#define YEAR_MAX 2261 /* nanoseconds since 1970 in 64 bits end in 2262 */

/* `count` digits at *at, which moves on. -1: something else stands there. */
static int digits(const char **at, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        unsigned digit = (unsigned char)**at - (unsigned)'0';
        if (digit > 9)
            return -1;
        value = value * 10 + (int)digit;
        (*at)++;
    }
    return value;
}

/* ".244075", or nothing, in nanoseconds; what is finer is cut. -1: no digit after the point. */
static int64_t fraction(const char **at, const char *end)
{
    int64_t value = 0, unit = TB_NS_PER_S;
    if (*at == end || **at != '.')
        return 0;
    const char *first = ++*at;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
        unit /= 10;
        value += (**at - '0') * unit;
    }
    return *at == first ? -1 : value;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar (years counted from March). */
static int64_t days_of(int year, int month, int day)
{
    int y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
    return INT64_C(365) * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

int adapter_time_rfc3339(struct adapter_text text, tb_ns *out)
{
    static const char form[] = "0000-00-00T00:00:00";
    const char *at = text.at, *end = text.at + text.length;
    if (text.length < sizeof(form) || at[4] != '-' || at[7] != '-' ||
        (at[10] != 'T' && at[10] != ' ') || at[13] != ':' || at[16] != ':')
        return -EBADMSG;
    int year = digits(&at, 4), month = (at++, digits(&at, 2)), day = (at++, digits(&at, 2));
    int hour = (at++, digits(&at, 2)), minute = (at++, digits(&at, 2));
    int second = (at++, digits(&at, 2));
    if (year < 0 || year > YEAR_MAX || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 ||
        hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
        return -EBADMSG;
    int64_t ns = fraction(&at, end);
    bool utc =
        (end - at == 1 && *at == 'Z') || (end - at == 6 && __builtin_memcmp(at, "+00:00", 6) == 0);
    if (ns < 0 || !utc)
        return -EBADMSG;
    int64_t seconds =
        days_of(year, month, day) * 86400 + hour * 3600 + minute * INT64_C(60) + second;
    *out = year < 1970 ? 0 : seconds * TB_NS_PER_S + ns;
    return 0;
}

int adapter_time_seconds(struct adapter_text text, tb_ns *out)
{
    const char *at = text.at, *end = text.at + text.length;
    int64_t seconds = 0;
    if (text.length == 0 || *at < '0' || *at > '9')
        return -EBADMSG;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        if (seconds > INT64_MAX / TB_NS_PER_S / 10 - 1)
            return -EBADMSG;
        seconds = seconds * 10 + (*at - '0');
    }
    int64_t ns = fraction(&at, end);
    if (ns < 0 || at != end)
        return -EBADMSG;
    *out = seconds * TB_NS_PER_S + ns;
    return 0;
}
