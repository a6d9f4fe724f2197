/*
 * The tables of a tickbus database. The columns up to the blank line of each are what others script
 * against; the rest is ours. (stream, epoch, seq) names the record that a row came from.
 *
 *   trades_stream         one row a trade; side is the taker's, NULL if the venue does not say;
 *                         trade_id is the venue's (a hash of it beyond 2^63 shows as negative)
 *   ohlcv_data            timestamp is the bucket's start; closed = 0: still forming when it was stored;
 *                         turnover = sum(price * amount)
 *   orderbook_snapshots   level 0 is the best; cumulative = sum of amounts from level 0 to this one
 *   alerts                one row for each change of an alert's state
 *   gaps                  what the venue did not send or we did not get; exchange and symbol are NULL
 *                         where it concerns a whole stream
 *   tickbus_cursors       up to which record each stream is stored, in the same transaction as the rows;
 *                         drained = 1: the rows of a drain after that record too (see persist.h)
 *   tickbus_loads         one row for each `tickbus load` into this database
 *
 * trades_stream and orderbook_snapshots are views. Their rows are in tickbus_trades and tickbus_levels,
 * with numbers for names (tickbus_markets, tickbus_sources), in the order in which they are asked for:
 * each is in the file once, in the index itself. That is half the bytes and half the time of a table
 * of texts with an index beside it. Values are the same doubles. Rows are deleted from the tables:
 *
 *   DELETE FROM tickbus_trades WHERE timestamp < unixepoch() - 30 * 86400 AND market IN
 *     (SELECT id FROM tickbus_markets)
 *
 * Each query of the dashboards is a SEARCH: by exchange and symbol to the market's number, by that and the
 * time into the rows; in ohlcv_data by (exchange, symbol, timeframe, timestamp). The joins are LEFT so that
 * a query that wants no names does not look them up.
 */
#ifndef TICKBUS_CONSUMERS_PERSIST_SCHEMA_H
#define TICKBUS_CONSUMERS_PERSIST_SCHEMA_H

#define TICKBUS_APPLICATION_ID 0x746b6273 /* "tkbs" */
#define TICKBUS_SCHEMA_VERSION 2

/* The end of an INSERT into ohlcv_data. */
#define TICKBUS_UPSERT_CANDLE                                                                      \
    " ON CONFLICT DO UPDATE SET open = excluded.open, high = excluded.high, low = excluded.low,"   \
    " close = excluded.close, volume = excluded.volume, closed = excluded.closed,"                 \
    " trades = excluded.trades, turnover = excluded.turnover,"                                     \
    " taker_buy_volume = excluded.taker_buy_volume, stream = excluded.stream,"                     \
    " epoch = excluded.epoch, seq = excluded.seq"                                                  \
    " WHERE excluded.closed > ohlcv_data.closed"                                                   \
    " OR (excluded.closed = ohlcv_data.closed AND excluded.trades >= ohlcv_data.trades)"

#define TICKBUS_COMPACT_TABLES                                                                     \
    "CREATE TABLE tickbus_markets ("                                                               \
    " id INTEGER PRIMARY KEY, exchange TEXT, symbol TEXT, UNIQUE (exchange, symbol));"             \
    "CREATE TABLE tickbus_sources ("                                                               \
    " id INTEGER PRIMARY KEY, stream TEXT, epoch INTEGER, UNIQUE (stream, epoch));"                \
    "CREATE TABLE tickbus_trades ("                                                                \
    " market INTEGER, timestamp REAL, source INTEGER, seq INTEGER, side TEXT, price REAL,"         \
    " amount REAL, cost REAL, trade_id INTEGER,"                                                   \
    " PRIMARY KEY (market, timestamp, source, seq)) WITHOUT ROWID;"                                \
    "CREATE TABLE tickbus_levels ("                                                                \
    " market INTEGER, timestamp REAL, source INTEGER, seq INTEGER, side TEXT, level INTEGER,"      \
    " price REAL, amount REAL, cumulative REAL, update_id INTEGER,"                                \
    " PRIMARY KEY (market, timestamp, source, seq, side, level)) WITHOUT ROWID;"

#define TICKBUS_NAMED(table)                                                                       \
    " FROM " table " t LEFT JOIN tickbus_markets m ON m.id = t.market"                             \
    " LEFT JOIN tickbus_sources s ON s.id = t.source"

/* `more`: a UNION ALL with rows that are still elsewhere (upgrade.c), or "". */
#define TICKBUS_VIEW_TRADES(more)                                                                  \
    "CREATE VIEW trades_stream (exchange, symbol, timestamp, side, price, amount, cost, trade_id," \
    " stream, epoch, seq) AS SELECT m.exchange, m.symbol, t.timestamp, t.side, t.price, t.amount," \
    " t.cost, t.trade_id, s.stream, s.epoch, t.seq" TICKBUS_NAMED("tickbus_trades") more ";"
#define TICKBUS_VIEW_LEVELS(more)                                                                  \
    "CREATE VIEW orderbook_snapshots (exchange, symbol, timestamp, side, level, price, amount,"    \
    " cumulative, update_id, stream, epoch, seq) AS SELECT m.exchange, m.symbol, t.timestamp,"     \
    " t.side, t.level, t.price, t.amount, t.cumulative, t.update_id, s.stream, s.epoch, "          \
    "t.seq" TICKBUS_NAMED("tickbus_levels") more ";"

/* All trades and levels of the attached database `new` into `main`, whose numbers are others. */
#define TICKBUS_MERGE_NAMES                                                                        \
    "INSERT INTO main.tickbus_markets (exchange, symbol)"                                          \
    " SELECT n.exchange, n.symbol FROM new.tickbus_markets n WHERE NOT EXISTS (SELECT 1"           \
    " FROM main.tickbus_markets m WHERE m.exchange IS n.exchange AND m.symbol IS n.symbol);"       \
    "INSERT INTO main.tickbus_sources (stream, epoch)"                                             \
    " SELECT n.stream, n.epoch FROM new.tickbus_sources n WHERE NOT EXISTS (SELECT 1"              \
    " FROM main.tickbus_sources s WHERE s.stream IS n.stream AND s.epoch IS n.epoch)"
#define TICKBUS_MERGE_FROM(table)                                                                  \
    " FROM new." table " t CROSS JOIN new.tickbus_markets nm ON nm.id = t.market"                  \
    " CROSS JOIN main.tickbus_markets m ON m.exchange IS nm.exchange AND m.symbol IS nm.symbol"    \
    " CROSS JOIN new.tickbus_sources ns ON ns.id = t.source"                                       \
    " CROSS JOIN main.tickbus_sources s ON s.stream IS ns.stream AND s.epoch IS ns.epoch"
#define TICKBUS_MERGE_TRADES                                                                       \
    "INSERT INTO main.tickbus_trades SELECT m.id, t.timestamp, s.id, t.seq, t.side, t.price,"      \
    " t.amount, t.cost, t.trade_id" TICKBUS_MERGE_FROM("tickbus_trades")
#define TICKBUS_MERGE_LEVELS                                                                       \
    "INSERT INTO main.tickbus_levels SELECT m.id, t.timestamp, s.id, t.seq, t.side, t.level,"      \
    " t.price, t.amount, t.cumulative, t.update_id" TICKBUS_MERGE_FROM("tickbus_levels")

static const char tickbus_schema[] =
    "PRAGMA application_id = 1953194611;" /* TICKBUS_APPLICATION_ID; a pragma takes decimals only */
    "PRAGMA user_version = 2;"            /* TICKBUS_SCHEMA_VERSION */
    TICKBUS_COMPACT_TABLES TICKBUS_VIEW_TRADES("") TICKBUS_VIEW_LEVELS(
        "") "CREATE TABLE ohlcv_data ("
            " exchange TEXT, symbol TEXT, timeframe TEXT, timestamp REAL,"
            " open REAL, high REAL, low REAL, close REAL, volume REAL,"
            ""
            " closed INTEGER, trades INTEGER, turnover REAL, taker_buy_volume REAL,"
            " stream TEXT, epoch INTEGER, seq INTEGER,"
            " PRIMARY KEY (exchange, symbol, timeframe, timestamp)) WITHOUT ROWID;"
            "CREATE TABLE alerts ("
            " exchange TEXT, symbol TEXT, timestamp REAL, rule TEXT, state TEXT, severity TEXT,"
            " value REAL, threshold REAL, since REAL, alert_id INTEGER,"
            ""
            " stream TEXT, epoch INTEGER, seq INTEGER);"
            "CREATE INDEX alerts_time ON alerts (timestamp);"
            "CREATE INDEX alerts_rule ON alerts (rule, timestamp);"
            "CREATE TABLE gaps ("
            " exchange TEXT, symbol TEXT, timestamp REAL, channel TEXT, reason TEXT,"
            " from_id INTEGER, to_id INTEGER, missing INTEGER,"
            ""
            " stream TEXT, epoch INTEGER, seq INTEGER);"
            "CREATE INDEX gaps_time ON gaps (timestamp);"
            "CREATE INDEX gaps_market ON gaps (exchange, symbol, timestamp);"
            "CREATE TABLE tickbus_cursors ("
            " stream TEXT, epoch INTEGER, seq INTEGER, drained INTEGER,"
            " PRIMARY KEY (stream, epoch)) WITHOUT ROWID;"
            "CREATE TABLE tickbus_loads ("
            " tag INTEGER PRIMARY KEY, venue TEXT, captures TEXT, records INTEGER, trades INTEGER,"
            " candles INTEGER, snapshots INTEGER, alerts INTEGER, gaps INTEGER, lost INTEGER, "
            "faults INTEGER);";

#endif
