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
 * Each query of the dashboards is a SEARCH: the indexes are (exchange, symbol[, timeframe], timestamp).
 */
#ifndef TICKBUS_CONSUMERS_PERSIST_SCHEMA_H
#define TICKBUS_CONSUMERS_PERSIST_SCHEMA_H

#define TICKBUS_APPLICATION_ID 0x746b6273 /* "tkbs" */
#define TICKBUS_SCHEMA_VERSION 1

/* The end of an INSERT into ohlcv_data. */
#define TICKBUS_UPSERT_CANDLE                                                                      \
    " ON CONFLICT DO UPDATE SET open = excluded.open, high = excluded.high, low = excluded.low,"   \
    " close = excluded.close, volume = excluded.volume, closed = excluded.closed,"                 \
    " trades = excluded.trades, turnover = excluded.turnover,"                                     \
    " taker_buy_volume = excluded.taker_buy_volume, stream = excluded.stream,"                     \
    " epoch = excluded.epoch, seq = excluded.seq"                                                  \
    " WHERE excluded.closed > ohlcv_data.closed"                                                   \
    " OR (excluded.closed = ohlcv_data.closed AND excluded.trades >= ohlcv_data.trades)"

static const char tickbus_schema[] =
    "PRAGMA application_id = 1953194611;" /* TICKBUS_APPLICATION_ID; a pragma takes decimals only */
    "PRAGMA user_version = 1;"            /* TICKBUS_SCHEMA_VERSION */
    "CREATE TABLE trades_stream ("
    " exchange TEXT, symbol TEXT, timestamp REAL, side TEXT, price REAL, amount REAL, cost REAL,"
    " trade_id INTEGER,"
    ""
    " stream TEXT, epoch INTEGER, seq INTEGER);"
    "CREATE INDEX trades_stream_time ON trades_stream (exchange, symbol, timestamp);"
    "CREATE TABLE ohlcv_data ("
    " exchange TEXT, symbol TEXT, timeframe TEXT, timestamp REAL,"
    " open REAL, high REAL, low REAL, close REAL, volume REAL,"
    ""
    " closed INTEGER, trades INTEGER, turnover REAL, taker_buy_volume REAL,"
    " stream TEXT, epoch INTEGER, seq INTEGER,"
    " PRIMARY KEY (exchange, symbol, timeframe, timestamp)) WITHOUT ROWID;"
    "CREATE TABLE orderbook_snapshots ("
    " exchange TEXT, symbol TEXT, timestamp REAL, side TEXT, level INTEGER, price REAL, amount REAL,"
    " cumulative REAL,"
    ""
    " update_id INTEGER, stream TEXT, epoch INTEGER, seq INTEGER);"
    "CREATE INDEX orderbook_snapshots_time ON orderbook_snapshots (exchange, symbol, timestamp);"
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
    " candles INTEGER, snapshots INTEGER, alerts INTEGER, gaps INTEGER, lost INTEGER, faults INTEGER);";

#endif
