/*
 * Alert rules, as YAML gives them:
 *
 *   rules:
 *     - name: HighSpread          # unique; label `alertname`
 *       kind: spread_above        # see the table in rules.c, and RULES.md
 *       exchange: binance         # * or nothing: every one
 *       symbol: BTC/USDT          # likewise
 *       threshold: 10             # an exact decimal
 *       for: 30s                  # the condition must hold this long
 *       severity: warning         # info, warning, critical
 *       summary: spread above 10
 */
#ifndef TICKBUS_ALERTS_RULES_H
#define TICKBUS_ALERTS_RULES_H

#include <tickbus/base.h>
#include <tickbus/config.h>
#include <tickbus/instrument.h>

#define RULES_MAX 256
#define RULE_SUMMARY_BYTES 160

enum rule_kind {
    RULE_PRICE_ABOVE,
    RULE_PRICE_BELOW,
    RULE_PRICE_CROSSES,
    RULE_SPREAD_ABOVE,
    RULE_NO_TRADES,
    RULE_BOOK_INVALID,
    RULE_GAP,
    RULE_FEED_DOWN,
    RULE_LAG_ABOVE,
    RULE_KINDS
};

enum rule_direction { RULE_EITHER, RULE_UP, RULE_DOWN };

struct rule {
    char name[TB_LABEL_BYTES];
    enum rule_kind kind;
    char exchange[TB_VENUE_BYTES]; /* "*": every one; so for the next three */
    char symbol[TB_SYMBOL_BYTES];
    char stream[TB_STREAM_BYTES];
    char reader[TB_STREAM_BYTES];
    int64_t threshold; /* mantissa */
    int threshold_exp;
    tb_ns for_ns;
    tb_ns keep_ns; /* events (price_crosses, gap): how long they stay firing */
    enum rule_direction direction;
    uint8_t severity; /* enum tb_severity */
    char summary[RULE_SUMMARY_BYTES];
};

struct rules {
    struct rule *rule;
    size_t count;
};

/*
 * rules_load: read `tree` (a list of rules; or a text: the path of a YAML file with such a list, or
 * with one under `rules`). Every fault goes to `faults` with file, line and field. NULL tree: none.
 * 0 or -ENOMEM. rules_free accepts all zero.
 */
int rules_load(const struct tb_yaml *tree, const char *file, const char *where,
               struct tb_faults *faults, struct rules *out_rules);
void rules_free(struct rules *rules);

const char *rule_kind_name(enum rule_kind kind);
/* rule_is_market: is it about a market (else about a stream or reader)? */
bool rule_is_market(const struct rule *rule);
/* rule_matches: exchange and symbol of a market. */
bool rule_matches(const struct rule *rule, const char *venue, const char *symbol);
bool rule_name_matches(const char *pattern, const char *name);

#endif
