/*
 * The candles service without its I/O: records of several inputs in, records of candles out.
 *
 * The output is a pure function of each input's records in order: nothing here looks at a clock,
 * and one input does not touch the state of another. A killed service that starts again from a
 * checkpoint makes the same records again.
 *
 *   completed candles   always, when a trade of a later bucket arrives
 *   forming candles     after a change, at most once per `forming_every` of venue time for each
 *                       market and timeframe. The change that falls within that time is given out
 *                       with the next record of the market, a trade or not, whose venue time is
 *                       beyond it
 *   at drain            forming candles that changed since they were given out: candles_flush()
 *
 * A trade of a market that does not fit any more (max_markets, the output's table) is refused and
 * counted.
 *
 * A candle's price and size exponents are the finest that its market's trades have had; when a
 * finer entry appears, the open candles are rescaled, exactly, and given out under the new entry
 * from then.
 */
#ifndef TICKBUS_CONSUMERS_CANDLES_H
#define TICKBUS_CONSUMERS_CANDLES_H

#include <tickbus/base.h>
#include <tickbus/candle.h>
#include <tickbus/instrument.h>
#include <tickbus/record.h>
#include <tickbus/ring.h>
#include <tickbus/service.h>

#define CANDLES_MARKETS_MAX (TB_INPUTS_MAX * TB_INSTRUMENTS_MAX)
#define CANDLES_STATE_VERSION 4
/* What one record can make: each timeframe completed and forming, two records each. */
#define CANDLES_RECORDS_MAX (4 * TB_TIMEFRAMES)

/* What the logic asks of its surroundings. */
struct candles_host {
    void *context;
    /* The entry of an input's id, NULL if there is none. */
    const struct tb_instrument *(*instrument)(void *context, unsigned input, uint16_t id);
    /* The output's id for an input's id at these exponents; 0: no room in the table. */
    uint16_t (*mirror)(void *context, unsigned input, uint16_t id, int8_t price_exp,
                       int8_t size_exp);
    /* Publish what one record made, pairs of records. 0, or -errno: stop at once, nothing more is
     * wanted. */
    int (*publish)(void *context, unsigned input, struct tb_record *records, size_t count);
};

/* One market of one input. Plain data: checkpoints copy it. */
struct candles_market {
    /* No forming candle is due at a venue time of [quiet_from, quiet_from + quiet_width): spares
     * looking. */
    tb_ns quiet_from;
    uint64_t quiet_width;
    struct tb_candles candles;
    uint32_t input;
    uint16_t market;     /* of the input's table: the id of the first entry */
    uint16_t instrument; /* the input's id whose exponents the candles have */
    uint16_t output;     /* the output's id for it; looked up again after a restart */
    bool away;           /* its input began a new epoch, and has had no trade of it since */
    uint8_t reserved[5];
    char venue[TB_VENUE_BYTES];
    char symbol[TB_SYMBOL_BYTES];
};

/* What an input's id means here. Found again by every life: whatever it depends on is in the
 * state. */
struct candles_id {
    uint16_t state;  /* enum candles_id_state */
    uint16_t market; /* index into markets */
    int8_t price_exp;
    int8_t size_exp;
};

enum candles_id_state {
    CANDLES_ID_NEW = 0, /* look it up */
    CANDLES_ID_KNOWN,
    CANDLES_ID_QUIET, /* its market has had no trade yet */
};

struct candles_counts {
    uint64_t trades;    /* added to candles */
    uint64_t refused;   /* trades left out: no room, no such entry, or they do not fit in 64 bits */
    uint64_t completed; /* candles given out */
    uint64_t forming;
    uint64_t gaps;    /* in the venue's trades */
    uint64_t missing; /* trades that those gaps cover, as far as known */
};

struct candles {
    struct candles_host host;
    tb_ns forming_every; /* 0: forming candles only by candles_flush() */
    struct candles_market *markets;
    uint32_t market_count;
    uint32_t markets_max;
    struct candles_id (*ids)[TB_INSTRUMENTS_MAX + 1]; /* [TB_INPUTS_MAX] */
    struct candles_counts counts;
    struct tb_record made[CANDLES_RECORDS_MAX]; /* by the record at hand, not given out yet */
    size_t made_count;
    int error; /* the first failure of host.publish: the state is ahead of the output, do not
                * save */
    uint32_t flushing; /* bit per input, see candles_flush_begin */
};

/* candles_init: allocates all there will be. 0 or -ENOMEM. candles_fini accepts all zero. */
int candles_init(struct candles *c, const struct candles_host *host, uint32_t markets_max,
                 tb_ns forming_every);
void candles_fini(struct candles *c);

/* candles_record: one record of an input, in order. 0, or what host.publish said. */
int candles_record(struct candles *c, unsigned input, const struct tb_record *record);

/*
 * Giving out the forming candles at a drain, in two steps with a checkpoint between them. The
 * moment of a drain is not in the input's records, so the state must hold it: a life that starts
 * from that checkpoint flushes each input before it reads it (candles_flush_resume), and so makes
 * the same records in the same order, of which the skeleton drops those that are there already.
 *
 * candles_flush_begin: from now each input is to be flushed. candles_flush: give out what changed
 * in the candles of one input since it was last given out. Returns as candles_record.
 */
void candles_flush_begin(struct candles *c);
int candles_flush(struct candles *c, unsigned input);
/* candles_flush_resume: candles_flush, if the state says that one had begun. */
int candles_flush_resume(struct candles *c, unsigned input);

/*
 * candles_epoch: an input has begun a new epoch: its ids mean something else. The market is the
 * same one: its open candles go on with the first trade that comes, unless that is older than the
 * second they are at. Then time began anew too (a recording that is played again), and they are of
 * the past.
 */
void candles_epoch(struct candles *c, unsigned input);

/* candles_late, candles_overflows: sums over all markets (candle.h). */
uint64_t candles_late(const struct candles *c);
uint64_t candles_overflows(const struct candles *c);

/* The state as bytes. load: 0, or -EINVAL (they are no state of this build). */
size_t candles_save_size(const struct candles *c);
size_t candles_save(const struct candles *c, void *bytes, size_t capacity);
int candles_load(struct candles *c, const void *bytes, size_t count);

#endif
