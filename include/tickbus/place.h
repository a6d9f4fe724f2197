/*
 * A place on a stream as people write it, for --from and --to.
 */
#ifndef TICKBUS_PLACE_H
#define TICKBUS_PLACE_H

#include <tickbus/base.h>
#include <tickbus/record.h>

TB_EXTERN_BEGIN

enum tb_place_kind {
    TB_PLACE_NONE,
    TB_PLACE_OLDEST,
    TB_PLACE_NEWEST,
    TB_PLACE_SEQ,
    TB_PLACE_TIME /* of publication */
};

struct tb_place {
    enum tb_place_kind kind;
    tb_seq seq;
    tb_ns time;
};

/*
 * tb_place_parse: oldest, newest, a sequence, a time (tb_time_parse) or "-5m"; NULL text leaves
 * *out_place. 0, or -EINVAL with a reason that names the option.
 */
int tb_place_parse(const char *option, const char *text, struct tb_place *out_place,
                   struct tb_error *err);

/* tb_place_time: a record's publish time, by which places are found; the venue's where there is
 * none. */
tb_ns tb_place_time(const struct tb_record *record);

/* tb_place_before: does the record lie before the place at which reading begins? tb_place_behind:
 * behind the one at which it ends? */
bool tb_place_before(const struct tb_place *from, const struct tb_record *record);
bool tb_place_behind(const struct tb_place *to, const struct tb_record *record);

TB_EXTERN_END

#endif
