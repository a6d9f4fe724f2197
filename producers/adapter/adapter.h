/*
 * The boundary between venues and the bus: bytes of a venue in, records out. One struct adapter_ops
 * per venue family (binance serves "binance" and "binanceus"). An adapter is pure: no sockets, no
 * clocks, no files, no logging; it is fuzzed and replayed. Whoever owns the sockets (feed) or the
 * recording (replay) gives it frames and REST answers and does what it asks for through the host.
 *
 * Memory is allocated in `create`, none per frame. Bad bytes are counted and refused with -EBADMSG,
 * never asserted, and never disturb other instruments.
 *
 * Books: the adapter keeps one per market by the venue's own continuity rule, publishes TB_LEVEL
 * records for each change and, at every (re)sync, TB_CLEAR, the levels with TB_F_SNAPSHOT, the last
 * with TB_F_LAST. From a gap to the end of the next snapshot the records carry TB_F_MAYBE_BAD_BOOK;
 * the snapshot's last record does not. An event that changes no level publishes nothing.
 * A quote whose side is empty has price 0 and size 0 there.
 *
 * Status records are the adapter's too: CONNECTED and DISCONNECTED in on_connect and on_disconnect (for
 * the whole stream), SYNCED and UNSYNCED of each book, MAINTENANCE, REFUSED of
 * each subscription that the venue refuses (the others live on). Their pid is 0, so that a replay
 * makes the same bytes each time; a live host may fill it in.
 */
#ifndef TICKBUS_PRODUCERS_ADAPTER_H
#define TICKBUS_PRODUCERS_ADAPTER_H

#include <tickbus/base.h>
#include <tickbus/instrument.h>
#include <tickbus/record.h>

#define ADAPTER_MARKETS_MAX 512
#define ADAPTER_REQUEST_BYTES 2048
/* Readable bytes that must follow every frame and body given to an adapter (simdjson's padding). */
#define ADAPTER_PADDING 64

enum adapter_channel { ADAPTER_TRADES = 1, ADAPTER_QUOTES = 2, ADAPTER_BOOK = 4 };

/* What the adapter may ask of its host. All are called from within the adapter's functions. */
struct adapter_host {
    void *context;
    /*
     * Publish `count` records that belong together (the last has TB_F_LAST if they are an event).
     * seq and publish_delta_ns are the host's. 0, or -errno: the host is stopping, give up quietly.
     */
    int (*publish)(void *context, struct tb_record *records, size_t count);
    /* The stream's id for an entry (tb_writer_add_instrument). 1.., or -errno. */
    int (*instrument)(void *context, const struct tb_instrument *entry);
    /*
     * Please GET this path (from the venue's REST host) and give the answer to on_rest with the same
     * `request` number. `not_before_ns`: wait at least that long first (0: at once). The host drops
     * a second request with a number that is under way, and holds all of them back as long as the venue
     * wants after its 429 or 418. A replay's host ignores it: the recorded answers come by themselves.
     */
    void (*get)(void *context, uint32_t request, const char *path, tb_ns not_before_ns);
    /* Please close and connect again: the connection can not be used further. */
    void (*reconnect)(void *context, const char *why);
    /*
     * Please send this text message to the venue, after what subscribe gives, in this order, and not
     * before so much time has passed; what was not sent when the connection ends is dropped. NULL
     * where there is no venue (a replay).
     */
    void (*send)(void *context, const char *text, size_t length, tb_ns not_before_ns);
};

struct adapter_market_config {
    char symbol[TB_SYMBOL_BYTES]; /* unified */
    char raw[TB_SYMBOL_BYTES];    /* the venue's */
    int8_t price_exp; /* from tick size; refined by the adapter when the data are finer */
    int8_t size_exp;
};

struct adapter_config {
    const char *venue;  /* "binance" */
    const char *stream; /* our stream's name, for instrument entries */
    struct adapter_market_config *market;
    size_t market_count;
    unsigned channels;   /* enum adapter_channel bits */
    bool aggregated;     /* take the venue's aggregated trades (aggTrade) instead of single ones */
    uint32_t book_depth; /* levels kept a side, e.g. 10000 */
    bool recorded;       /* a recording plays: REST answers come unasked */
};

/* Counters of an adapter's life; the host exports those that are named in adapter_counter_name. */
enum adapter_counter {
    ADAPTER_FRAMES,
    ADAPTER_FRAMES_BAD,     /* no JSON, wrong types, impossible numbers */
    ADAPTER_FRAMES_UNKNOWN, /* well-formed, but of a kind or symbol that we do not take */
    ADAPTER_TRADES_OUT,
    ADAPTER_TRADES_DUPLICATE,
    ADAPTER_QUOTES_OUT,
    ADAPTER_QUOTES_DUPLICATE, /* of a connection that took over from another */
    ADAPTER_LEVELS_OUT,
    ADAPTER_BOOK_EVENTS,
    ADAPTER_BOOK_STALE, /* events older than the snapshot, dropped as the rule says */
    ADAPTER_SNAPSHOTS,  /* snapshots joined */
    ADAPTER_GAPS,
    ADAPTER_MISSING, /* ids that gaps cover */
    ADAPTER_RESYNCS,
    ADAPTER_BBO_EQUAL, /* self-check: book's best equals the venue's quote of the same update id */
    ADAPTER_BBO_DIFFERENT,
    ADAPTER_REFINED, /* instruments whose exponents had to be refined */
    ADAPTER_ACKS,
    ADAPTER_REFUSED,         /* subscriptions the venue refused */
    ADAPTER_UNANSWERED,      /* subscriptions not acknowledged in time */
    ADAPTER_RESUBSCRIBED,    /* books asked for anew by unsubscribing and subscribing */
    ADAPTER_PONGS,           /* answers to our pings */
    ADAPTER_CHECKSUMS_EQUAL, /* the venue's checksum and our book's */
    ADAPTER_CHECKSUMS_DIFFERENT,
    ADAPTER_COUNTERS
};
extern const char *const adapter_counter_name[ADAPTER_COUNTERS]; /* "frames", "frames_bad", ... */

struct adapter; /* opaque, one per connection set */

struct adapter_venue {
    const char *id;            /* ccxt's */
    const char *websocket_url; /* "wss://stream.binance.com:9443" */
    const char *rest_url;      /* "https://api.binance.com" */
};

struct adapter_ops {
    const struct adapter_venue
        *venues; /* those it serves, to one without an id; the first is the family's name */

    struct adapter *(*create)(const struct adapter_config *config, const struct adapter_host *host,
                              struct tb_error *err);
    void (*destroy)(struct adapter *a);

    /* The path to connect to ("/stream"), then the messages to send after connecting, by index, until
     * it returns 0. Each is at most `capacity` bytes; -ENOSPC never for ADAPTER_REQUEST_BYTES. */
    const char *(*connect_path)(struct adapter *a);
    int (*subscribe)(struct adapter *a, unsigned index, char *out_text, size_t capacity);
    tb_ns subscribe_interval_ns; /* least time between two messages to the venue */
    tb_ns connection_life_ns;    /* reconnect by plan before this; 0: none */
    tb_ns silence_ns; /* nothing at all (data, ping) for this long: the connection is dead */
    /*
     * Where the venue wants pings of its own kind: the text to send each ping_interval_ns. Its length,
     * or -ENOSPC. NULL and 0: none. The pong comes to on_frame, is counted, and makes no record.
     */
    tb_ns ping_interval_ns;
    int (*ping)(struct adapter *a, char *out_text, size_t capacity);
    /* Deadlines: called about each second while connected; ts_now is of ts_recv's clock. NULL: none. */
    void (*on_time)(struct adapter *a, tb_ns ts_now);

    /*
     * Where a connection has a life, the next one is made and subscribed (by the same messages) while the
     * present one still delivers, and what it sends is kept. is_answer: is this frame of it the venue's
     * answer to a request? When all are answered on_handover is called, then on_frame for what was
     * kept: repeats of what the last connection told are dropped, by their ids. NULL: no overlap.
     */
    bool (*is_answer)(struct adapter *a, const char *bytes, size_t length);
    void (*on_handover)(struct adapter *a, tb_ns ts_recv);

    void (*on_connect)(struct adapter *a, tb_ns ts_recv);
    void (*on_disconnect)(struct adapter *a, tb_ns ts_recv, int code, enum tb_gap_reason reason);
    /* One whole WebSocket message. 0; -EBADMSG (counted, passed over); other -errno from publish. */
    int (*on_frame)(struct adapter *a, const char *bytes, size_t length, tb_ns ts_recv);
    /*
     * An answer: status 200.. and body, or status 0 and no body if there was none. `path` is that of
     * the request (a recording's: of the recorded URL). Same results as on_frame.
     */
    int (*on_rest)(struct adapter *a, uint32_t request, const char *path, int status,
                   const char *body, size_t length, tb_ns ts_recv);
    /*
     * An operator asks for a whole book anew (while connected): the present one is given up, which is
     * said (UNSYNCED), until the snapshot. 0: it was asked for; ADAPTER_RESUBSCRIBES: the venue gives
     * snapshots only to who subscribes, so the book was subscribed to anew. -ENOENT no such market,
     * -ENOTSUP books are not taken, -EALREADY a snapshot is awaited as it is.
     */
    int (*resync)(struct adapter *a, const char *symbol, tb_ns ts_recv);
    /* A restarted producer tells what its stream has already: called for the newest records first,
     * until it returns false (nothing more to learn). */
    bool (*resume)(struct adapter *a, const struct tb_record *record);
    /* After resume: what came meanwhile is missing; the next ids tell how much. */
    void (*resumed)(struct adapter *a);
    const uint64_t *(*counters)(const struct adapter *a); /* ADAPTER_COUNTERS values */
    /* A market's book, for tests, venue and tools; NULL: no such symbol. */
    const struct tb_book *(*book)(const struct adapter *a, const char *symbol);

    /* ---- without an adapter: looking at a venue's listings and recordings ---- */

    /* The path that lists `symbols` (unified; count 0: all), e.g. "/api/v3/exchangeInfo?symbols=[..]". */
    int (*listing_path)(const char *const *symbols, size_t count, char *out_path, size_t capacity);
    /*
     * Where a listing has the markets of one kind: a symbol of each kind, NULL-ended. Which one is asked for
     * the first symbol tells, with count 0 too (then all of the kind); no symbol at all: spot. NULL: not so.
     */
    const char *const *listing_kinds;
    /* Read a listing: calls each() with every market in it. Number of markets, or -EBADMSG. */
    int (*listing_read)(const char *body, size_t length,
                        void (*each)(void *context, const struct adapter_market_config *market),
                        void *context);
    /*
     * Look at one recorded event: find or add its market in markets[*count] and make exponents as
     * fine as its numbers need; or-in the channels it shows (bit 8: aggregated trades, bit 16: single).
     * `path`: of a REST answer, NULL for a frame. 0, or -EBADMSG.
     * scan_connect, where it is not NULL, is told the URL of each connection in the recording, before
     * its frames: what they do not say themselves (the product line) goes into *channels.
     */
    void (*scan_connect)(const char *url, unsigned *channels);
    int (*scan)(const char *path, const char *bytes, size_t length,
                struct adapter_market_config *markets, size_t *count, size_t max,
                unsigned *channels);
};

#define ADAPTER_RESUBSCRIBES 1 /* of resync */
#define ADAPTER_SCAN_AGGREGATED 8U
#define ADAPTER_SCAN_SINGLE 16U
#define ADAPTER_SCAN_LINEAR 32U /* contracts settled in the quote currency: BTC/USDT:USDT */

struct tb_book;

/* adapter_find: by ccxt venue id; NULL if there is none. adapter_venue_find: its addresses, likewise.
 * adapter_venues: all ids, NULL-ended. */
const struct adapter_ops *adapter_find(const char *venue);
const struct adapter_venue *adapter_venue_find(const char *venue);
const char *const *adapter_venues(void);

#endif
