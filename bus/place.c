/* Where on a stream to begin and to end. */
#include <tickbus/place.h>

#include <errno.h>
#include <string.h>

#include <tickbus/clock.h>

int tb_place_parse(const char *option, const char *text, struct tb_place *out_place,
                   struct tb_error *err)
{
    struct tb_place place = {.kind = TB_PLACE_NONE};
    char *end;
    errno = 0;
    if (text == NULL)
        return 0;
    if (strcmp(text, "oldest") == 0)
        place.kind = TB_PLACE_OLDEST;
    else if (strcmp(text, "newest") == 0)
        place.kind = TB_PLACE_NEWEST;
    else if (strspn(text, "0123456789") == strlen(text) && *text != 0) {
        place.seq = strtoull(text, &end, 10);
        place.kind = TB_PLACE_SEQ;
        if (errno == ERANGE || place.seq > INT64_MAX)
            return tb_fail(err, -EINVAL, "--%s=%s: no such sequence", option, text);
        if (place.seq == 0)
            place.seq = 1;
    } else if (tb_time_parse(text, tb_clock_wall(), &place.time) == 0)
        place.kind = TB_PLACE_TIME;
    else
        return tb_fail(err, -EINVAL,
                       "--%s=%s: write oldest, newest, a sequence, a time such as "
                       "2026-01-01T09:30 or 09:30, or -5m",
                       option, text);
    *out_place = place;
    return 0;
}

tb_ns tb_place_time(const struct tb_record *record)
{
    return record->ts_recv != 0 ? record->ts_recv + record->publish_delta_ns : record->ts_event;
}

bool tb_place_before(const struct tb_place *from, const struct tb_record *record)
{
    return (from->kind == TB_PLACE_TIME && tb_place_time(record) < from->time) ||
           (from->kind == TB_PLACE_SEQ && record->seq < from->seq);
}

bool tb_place_behind(const struct tb_place *to, const struct tb_record *record)
{
    return (to->kind == TB_PLACE_SEQ && record->seq > to->seq) ||
           (to->kind == TB_PLACE_TIME && tb_place_time(record) > to->time);
}
