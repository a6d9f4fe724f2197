/* An export from any bytes, row by row, as an import takes it. */
#ifndef TICKBUS_TESTS_FUZZ_ROWS_H
#define TICKBUS_TESTS_FUZZ_ROWS_H

#include <string.h>

#include <tickbus/ring.h>

#include "consumers/import/rows.h"

#include "fuzz.h"

/* Returns how many rows made records or entries. */
static inline unsigned rows_take(const char *path, enum rows_format format)
{
    static struct tb_instrument entry[TB_INSTRUMENTS_MAX + 1];
    struct rows *rows = NULL;
    struct fields fields;
    struct tb_record record;
    struct tb_error err = {""};
    char place[64];
    unsigned good = 0;
    uint64_t done, total;
    int rc = rows_open(path, format, &rows, &err);
    TB_ASSERT(rc == 0 || err.text[0] != '\0');
    memset(entry, 0, sizeof(entry));
    for (int n = 0; rc == 0 && n < 5000; n++) {
        err.text[0] = '\0';
        int row = rows_next(rows, &fields, &err);
        TB_ASSERT(row >= 0 || err.text[0] != '\0');
        if (row <= 0)
            break;
        uint64_t id = fields_unsigned(&fields, "instrument", UINT64_MAX);
        const char *type = fields_text(&fields, "type");
        if (id > TB_INSTRUMENTS_MAX)
            continue;
        if (type != NULL && strcmp(type, "instrument") == 0)
            good += fields_instrument(&fields, &entry[id], &err) == 0;
        else
            good += fields_record(&fields, entry[id].market != 0 ? &entry[id] : NULL, &record,
                                  &err) == 0;
        (void)rows_place(rows, place, sizeof(place));
        rows_progress(rows, &done, &total);
    }
    rows_close(rows);
    return good;
}

#endif
