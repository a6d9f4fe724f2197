/*
 * tickbus verify: reads journals whole and tells what is wrong with them. All streams are read side by
 * side in the order of publication, so that candles meet the trades that they were made from; memory
 * does not grow with the journals.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/config.h>
#include <tickbus/journal.h>
#include <tickbus/place.h>
#include <tickbus/service.h>

#include "consumers/journals/journals.h"
#include "consumers/records/records.h"
#include "consumers/verify/verify.h"

#define PROGRAM "tickbus verify"
#define BATCH 256

struct options {
    const char *db;
    bool json, fast;
    int64_t findings;
};

#define O(field) offsetof(struct options, field)

static const struct tb_option options[] = {
    {"db", TB_OPTION_STRING, O(db),
     .help = "hold candles and trades against this database of persist, too"},
    {"findings", TB_OPTION_INT, O(findings), .fallback = "20", .min = 0, .max = INT64_MAX,
     .help = "print so many of each kind; all are counted"},
    {"fast", TB_OPTION_BOOL, O(fast),
     .help = "checksums and segments only, not what the records say"},
    {"json", TB_OPTION_BOOL, O(json),
     .help = "one object per finding, and one with the totals at the end"},
};

static const char usage[] = "tickbus verify PATH... [options]: are these journals right?\n"
                            "\n"
                            "  tickbus verify var/journal --db var/demo.db\n"
                            "\n"
                            "PATH: a segment, a stream's directory, or a directory with journals "
                            "below it. Checked: the CRC of\n"
                            "every page, that sequences, trade ids and book updates follow each "
                            "other, and that the trades give\n"
                            "the candles that candle streams (and a database) hold.\n"
                            "Exit: 0 all is right; 1 something was found; 64 bad command line; 69 "
                            "no journal there; 74 cannot\n"
                            "read.\n";

struct source {
    struct journal_path *at;
    struct tb_journal *journal;
    struct verify_source check;
    struct tb_record batch[BATCH];
    size_t next, count;
    uint64_t epoch;
    bool over;
};

struct main {
    struct options options;
    struct journals journals;
    struct source *source;
    struct verify verify;
    uint64_t segments, segments_open, bytes, bytes_plain, pages_damaged, total;
    const char *listing; /* the stream whose segments are listed */
};

/* ---- what is told ---- */

static void put_json_text(const char *text)
{
    putchar('"');
    for (; *text != 0; text++)
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            printf("\\u%04x", (unsigned)(unsigned char)*text);
        else
            putchar(*text);
    putchar('"');
}

static void on_found(void *context, enum finding kind, const char *stream, const char *what)
{
    struct main *m = context;
    uint64_t nth = m->verify.count.found[kind], most = (uint64_t)m->options.findings;
    if (nth > most) {
        if (nth == most + 1 && !m->options.json)
            printf("%-9s ... more of these are only counted\n", finding_name[kind]);
        return;
    }
    if (!m->options.json) {
        printf("%-9s %s: %s\n", finding_name[kind], stream, what);
        return;
    }
    printf("{\"finding\":\"%s\",\"stream\":", finding_name[kind]);
    put_json_text(stream);
    printf(",\"what\":");
    put_json_text(what);
    printf("}\n");
}

static uint64_t found_in_all(const struct main *m)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < FINDING_KINDS; i++)
        sum += m->verify.count.found[i];
    return sum;
}

static void tell_totals(const struct main *m)
{
    const struct verify_counts *c = &m->verify.count;
    const struct {
        const char *key, *text;
        uint64_t value;
    } rows[] = {
        {"journals", "journals", m->journals.count},
        {"segments", "segments", m->segments},
        {"segments_open", "  of them not closed", m->segments_open},
        {"bytes", "bytes on disk", m->bytes},
        {"bytes_plain", "bytes of pages", m->bytes_plain},
        {"pages_damaged", "pages damaged", m->pages_damaged},
        {"records", "records", c->records},
        {"trades", "trades", c->trades},
        {"trades_chained", "  ids that follow the one before", c->trades_chained},
        {"levels", "book levels", c->levels},
        {"levels_chained", "  update ids that follow", c->levels_chained},
        {"gaps", "gaps that the streams tell of", c->gaps},
        {"candles_made", "candles made from trades", c->candles_made},
        {"candles_recorded", "candles recorded", c->candles_recorded},
        {"candles_equal", "  equal to those from trades", c->candles_equal},
        {"candles_uncertain", "  not to be judged (see --help)", c->candles_uncertain},
        {"rows_equal", "candles equal in the database", c->rows_equal},
    };
    if (m->options.json) {
        printf("{");
        for (size_t i = 0; i < TB_COUNT(rows); i++)
            printf("\"%s\":%" PRIu64 ",", rows[i].key, rows[i].value);
        printf("\"findings\":{");
        for (size_t i = 0; i < FINDING_KINDS; i++)
            printf("%s\"%s\":%" PRIu64, i > 0 ? "," : "", finding_name[i], c->found[i]);
        printf("},\"ok\":%s}\n", found_in_all(m) == 0 ? "true" : "false");
        return;
    }
    for (size_t i = 0; i < TB_COUNT(rows); i++)
        if (m->options.db != NULL || strcmp(rows[i].key, "rows_equal") != 0)
            printf("%-34s %16" PRIu64 "\n", rows[i].text, rows[i].value);
    for (size_t i = 0; i < FINDING_KINDS; i++)
        if (c->found[i] > 0)
            printf("found: %-27s %16" PRIu64 "\n", finding_name[i], c->found[i]);
    printf("%s\n", found_in_all(m) == 0 ? "all is right" : "NOT all is right");
}

/* ---- pages ---- */

static int on_segment(void *context, const struct tb_journal_segment *s)
{
    struct main *m = context;
    m->segments++;
    m->segments_open += !s->closed;
    m->bytes += s->bytes;
    m->bytes_plain += s->bytes_plain;
    m->pages_damaged += s->damaged_pages;
    if (s->last_seq != 0)
        m->total += s->last_seq - s->first_seq + 1;
    if (s->damaged_pages > 0)
        verify_find(&m->verify, FINDING_DAMAGE, m->listing, "%s: %" PRIu64 " damaged pages",
                    s->file, s->damaged_pages);
    return tool_stopped ? -EINTR : 0;
}

static int check_pages(struct main *m)
{
    for (size_t i = 0; i < m->journals.count; i++) {
        struct tb_error err = {""};
        m->listing = m->journals.item[i].stream;
        int rc = tb_journal_list(m->source[i].journal, true, on_segment, m, &err);
        if (rc != 0)
            return tool_fault(TB_EXIT_IO, "%s", rc == -EINTR ? "stopped by a signal" : err.text);
    }
    return 0;
}

/* ---- records ---- */

static const struct tb_instrument *instrument_of(void *context, uint16_t id)
{
    struct source *s = context;
    return tb_journal_instrument(s->journal, id);
}

static int fill(struct main *m, struct source *s)
{
    struct tb_journal_damage damage;
    while (s->next == s->count && !s->over) {
        s->next = s->count = 0;
        long n = tb_journal_read(s->journal, s->batch, BATCH, &s->epoch, &damage);
        if (n == -EBADMSG)
            verify_damage(&m->verify, &s->check, damage.epoch, damage.from, damage.to, damage.what);
        else if (n < 0)
            return tool_fault(TB_EXIT_IO, "cannot read %s: %s", s->at->path, strerror((int)-n));
        else if (n == 0)
            s->over = true;
        else
            s->count = (size_t)n;
    }
    return 0;
}

static int check_records(struct main *m)
{
    struct progress progress = {.what = "verify"};
    for (uint64_t turn = 0;; turn++) {
        struct source *first = NULL;
        for (size_t i = 0; i < m->journals.count; i++) {
            struct source *s = &m->source[i];
            int rc = s->next == s->count ? fill(m, s) : 0;
            if (rc != 0)
                return rc;
            if (s->next < s->count &&
                (first == NULL ||
                 tb_place_time(&s->batch[s->next]) < tb_place_time(&first->batch[first->next])))
                first = s;
        }
        if (first == NULL)
            break;
        verify_record(&m->verify, &first->check, first->epoch, &first->batch[first->next++]);
        if (turn % 65536 == 0)
            progress_show(&progress, turn, m->total, turn);
        if (tool_stopped)
            return tool_fault(TB_EXIT_IO, "stopped by a signal");
    }
    progress_end(&progress);
    for (size_t i = 0; i < m->journals.count; i++)
        journals_fallback(m->source[i].journal);
    verify_end(&m->verify);
    return 0;
}

/* ---- start and end ---- */

static int open_all(struct main *m, int operands, char **argv)
{
    struct tb_error err = {""};
    int rc = 0;
    for (int i = 0; i < operands; i++)
        if ((rc = journals_find(argv[i], &m->journals, &err)) != 0)
            return tool_fault(rc == -ENOENT ? TB_EXIT_UNAVAILABLE : TB_EXIT_IO, "%s", err.text);
    m->source = calloc(m->journals.count, sizeof(*m->source));
    if (m->source == NULL || verify_init(&m->verify) != 0)
        return tool_fault(TB_EXIT_IO, "no memory");
    if (m->options.db != NULL && database_open(m->options.db, &m->verify.database, &err) != 0)
        return tool_fault(TB_EXIT_IO, "%s", err.text);
    for (size_t i = 0; i < m->journals.count && rc == 0; i++) {
        struct source *s = &m->source[i];
        s->at = &m->journals.item[i];
        rc = tb_journal_open(s->at->path, &s->journal, &err);
        if (rc == 0)
            rc = verify_source_init(&s->check, s->at->stream, instrument_of, s);
    }
    return rc == 0 ? 0 : tool_fault(TB_EXIT_IO, "%s", rc == -ENOMEM ? "no memory" : err.text);
}

static void close_all(struct main *m)
{
    for (size_t i = 0; m->source != NULL && i < m->journals.count; i++) {
        verify_source_fini(&m->source[i].check);
        tb_journal_close(m->source[i].journal);
    }
    free(m->source);
    verify_fini(&m->verify);
    journals_free(&m->journals);
}

int main(int argc, char **argv)
{
    static struct main m;
    static struct tb_config_memory memory;
    tool_start(PROGRAM);
    int operands = tb_command_parse(PROGRAM, usage, options, TB_COUNT(options), &m.options, &memory,
                                    argc, argv);
    if (operands < 0)
        return operands == -ECANCELED ? TB_EXIT_OK : TB_EXIT_USAGE;
    if (operands == 0)
        return tool_fault(TB_EXIT_USAGE, "a PATH is needed; --help lists the options");
    m.verify.found = on_found;
    m.verify.context = &m;
    int code = open_all(&m, operands, argv);
    if (code == 0)
        code = check_pages(&m);
    if (code == 0 && !m.options.fast)
        code = check_records(&m);
    if (code == 0)
        tell_totals(&m);
    if (code == 0 && found_in_all(&m) > 0)
        code = 1;
    if (fflush(stdout) != 0)
        code = tool_fault(TB_EXIT_IO, "cannot write: %s", strerror(errno));
    close_all(&m);
    tb_config_release(&memory);
    return code;
}
