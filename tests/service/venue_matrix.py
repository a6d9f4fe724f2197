#!/usr/bin/env python3
"""
Every fault of the venue's script at every venue where it applies, with a feed at the other end: after each fault the book is
that of the run without faults, what did not come is in a gap of the right range, nothing is missing in silence.

Many short sessions side by side. By default a fourth of them, another each day; TICKBUS_MATRIX=full is all of them,
TICKBUS_MATRIX=venue/fault,.. those.
"""
import collections
import concurrent.futures
import datetime
import gzip
import json
import os
import re
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ["TICKBUS_SOURCE"], "tests", "data"))
import facts
import mexc_frames
from buslook import Bus, Failed, check, end, log_of, stop, until
from certificates import certificates
from feed import MAYBE_BAD, Stream, counters, start_feed
from venue import start

DATA = os.path.join(facts.SHARED, "cryptofeed")
TRADES, BOOK = 1, 2
AT_ONCE = 20
SILENCE = 0.6

# What is heard of one market: the text that its frames hold, and of which frame on the fault is.
Venue = collections.namedtuple("Venue", "name symbol files speed book book_at trades trade_at listing snapshot checksum numbered args")


def kraken_top_change(path, pair, least):
    """The number of an update that changes the ten best levels, which is what its checksum is of."""
    sides, count = {"a": {}, "b": {}}, 0
    with gzip.open(path, "rt") as lines:
        for line in lines:
            _, _, text = line.partition(": ")
            if not text.startswith("[") or '"%s"' % pair not in text:
                continue
            changes = {k: v for part in json.loads(text)[1:-2] for k, v in part.items()}
            count += "as" not in changes
            for side, sign in (("a", 1), ("b", -1)):
                best = sorted(sides[side], key=lambda price: sign * price)[:5]
                for level in changes.get(side, changes.get(side + "s", [])):
                    if count >= least and float(level[1]) and best and sign * float(level[0]) <= sign * best[-1]:
                        return count
                    sides[side].pop(float(level[0]), None)
                    if float(level[1]):
                        sides[side][float(level[0])] = True
    raise AssertionError("no such update")


def venues(folder):
    kraken = [os.path.join(DATA, "2021-04-17_KRAKEN.ws.%d.gz" % n) for n in (48, 49, 50)]
    usdm = [os.path.join(DATA, "2021-07-22_BINANCE_FUTURES.%s.gz" % part) for part in ("ws.1", "http.0")]
    coinbase = [os.path.join(DATA, "2021-04-17_COINBASE.ws.28.gz")]
    return [
        Venue("binanceus", "OMG/BUSD", [os.path.join(DATA, "2021-10-11_BINANCE_US.%s.gz" % part) for part in ("ws.1", "http.0")], 10,
              "omgbusd@depth", 80, "omgbusd@aggTrade", 4, "/api/v3/exchangeInfo", "/api/v3/depth", None, True, ["--trades=aggregated"]),
        Venue("binanceusdm", "SUSHI/USDT:USDT", usdm, 10, "sushiusdt@depth", 60, "sushiusdt@aggTrade", 10, "/fapi/v1/exchangeInfo",
              "/fapi/v1/depth", None, True, ["--trades=aggregated"]),
        Venue("bybit", "BTC/USDT", [os.path.join(DATA, "2026-08-09_BYBIT.ws.3.spot.jsonl.gz")], 15, "orderbook.200.BTCUSDT", 60,
              "publicTrade.BTCUSDT", 3, "/v5/market/instruments-info", None, None, True, []),
        Venue("okx", "BTC/USDT", [os.path.join(DATA, "2022-05-13_OKX.ws.1.gz")], 5, '"channel":"books","instId":"BTC-USDT"', 20,
              '"channel":"trades","instId":"BTC-USDT"', 20, "/api/v5/public/instruments", None, '"checksum":', False, []),
        Venue("coinbaseexchange", "SKL/USD", coinbase, 10, '"l2update","product_id":"SKL-USD"', 600, '"match"', 12, "/products", None, None,
              False, []),
        Venue("coinbase", "SKL/USD", coinbase, 10, '"update","product_id":"SKL-USD"', 600, '"market_trades"', 12,
              "/api/v3/brokerage/market/products", None, None, False, []),
        Venue("kraken", "SC/EUR", kraken, 10, '"book","type":"update"', kraken_top_change(kraken[2], "SC/EUR", 150),
              '"trade","type":"update"', 2, "/0/public/AssetPairs", None, '"checksum":', False, []),
        Venue("mexc", "SUSHI/USDT", mexc_frames.write(*usdm, os.path.join(folder, "mexc")), 10, "aggre.depth", 60, "aggre.deals", 10,
              "/api/v3/exchangeInfo", "/api/v3/depth", None, True, []),
    ]


# ---- one session ----

def session(bus, venue, rules, *feed_args, speed=None):
    """The recording with these faults through a feed. Its stream, and what both programs said."""
    path = os.path.join(bus.base, "faults.yaml")
    with open(path, "w", encoding="ascii") as file:
        json.dump(rules, file)
    process, port = start(bus, "--venue", venue.name, "--speed", str(speed or venue.speed), "--wait-subscriptions=3", "--exit-at-end", "--close-after=3s",
                          *(["--faults-file", path] if rules else []), captures=venue.files)
    feed = start_feed(bus, port, "--venue", venue.name, "--finite", "--capacity=65536", "--backoff-first=50ms", "--backoff-most=200ms",
                      *venue.args, *feed_args, symbols=venue.symbol)
    end(feed, deadline=60)
    end(process)
    return Stream(bus), counters(bus), counters(bus, "venue"), log_of(feed), log_of(process)


def trades_of(stream, venue):
    return [t[:4] for t in stream.trades.get(venue.symbol, [])]


def gaps_of(stream, venue, channel):
    return [(g[2], g[3]) for g in stream.gaps if g[0] == venue.symbol and g[1] == channel]


def right_again(stream, venue, good):
    check(stream.state == "done", stream.state)
    check(stream.top(venue.symbol) == good.top(venue.symbol), "the final book differs", stream.top(venue.symbol, 3), good.top(venue.symbol, 3))
    check(not stream.bad[venue.symbol], "the book is still marked as maybe bad")
    # Each trade of the run without faults once, or in a gap.
    seen, wanted = trades_of(stream, venue), trades_of(good, venue)
    check(len(set(seen)) == len(seen) or len(set(wanted)) < len(wanted), "a trade twice", len(seen))
    check(not set(seen) - set(wanted), "trades that are none", set(seen) - set(wanted))
    ranges = gaps_of(stream, venue, TRADES)
    cut_off = any(s[0] == 2 for s in stream.status[:-1])
    places = [wanted.index(trade) for trade in seen] or [len(wanted)]
    for trade in set(wanted) - set(seen):
        if cut_off and not min(places) < wanted.index(trade) < max(places):
            continue  # a loss shows between two trades; before the first and behind the last one the stream says that it was cut off
        check(any(a <= trade[0] <= b or (a, b) == (0, 0) for a, b in ranges), "trade", trade, "is missing in silence", ranges)
    bad = False  # from a gap in the book to the next snapshot every level says so
    for r in stream.records:
        if r.type == "gap" and r.body["channel"] == BOOK:
            bad = True
        elif r.type == "status" and r.body["code"] == 3:
            bad = False
        elif r.type == "level" and bad and not r.flags & 0x20:
            check(r.flags & MAYBE_BAD, "a level after a gap is not marked", r.seq)


def range_of(venue, good):
    """The ids of the frame that the fault is done to, where the venue numbers its book: from the run without faults."""
    pattern = {"binanceus": r'"U":(\d+),"u":(\d+)', "binanceusdm": r'"U":(\d+),"u":(\d+)', "bybit": r'"(u)":(\d+)', "mexc": r'"[\t-\x0f](\d+)\*[\t-\x0f](\d+)'}[venue.name]
    count = 0
    for path in venue.files:
        with (gzip.open(path, "rt") if path.endswith("gz") else open(path, encoding="utf-8")) as lines:
            for line in lines:
                binary = venue.name == "mexc" and "->" not in line
                text = bytes.fromhex(line.split(": ")[1].strip()).decode("latin-1") if binary else line.replace("\\", "")
                if venue.book not in text or (binary and "SUSHIUSDT" not in text) or " <-" in line or '"op"' in text or '"t": "send"' in line:
                    continue
                count += 1
                if count == venue.book_at:
                    ids = re.search(pattern, text).groups()
                    last = int(ids[-1])
                    return (last if ids[0] == "u" else int(ids[0]), last)
    raise AssertionError("no such frame")


# ---- faults ----

def on_book(venue, do, **more):
    return {"do": do, "match": venue.book, "at": venue.book_at, **more}


def on_trade(venue, do, **more):
    return {"do": do, "match": venue.trades, "at": venue.trade_at, **more}


def lost_frame(venue, good, do):
    """A frame of the book and one of trades that do not come, or not in a form that can be read."""
    # Ids of trades that rise with holes do not show a drop; and one out of order is taken for a repeat.
    rules = [on_book(venue, do)]
    if not (venue.name == "bybit" and do in ("drop", "reorder")) and not (venue.name == "mexc" and do == "drop"):
        rules.append(on_trade(venue, do))
    with Bus() as bus:
        stream, feed, done, _, _ = session(bus, venue, rules)
        check(done["fault_" + do] == len(rules), done)
        right_again(stream, venue, good)
        unseen = venue.name == "coinbaseexchange" and do in ("drop", "reorder")  # nothing numbers its books
        check(unseen or gaps_of(stream, venue, BOOK), "no gap in the book")
        if venue.numbered:
            first, last = range_of(venue, good)
            check(any(a <= first and last <= b for a, b in gaps_of(stream, venue, BOOK)), (first, last), "in no gap", gaps_of(stream, venue, BOOK))
        if do in ("corrupt", "truncate", "invalid_utf8"):
            check(feed["frames_bad"] >= 2, feed)


def duplicate(venue, good):
    with Bus() as bus:
        stream, feed, done, _, _ = session(bus, venue, [{"do": "duplicate", "every": 3}])
        check(done["fault_duplicate"] > 10 and feed["connects"] == 1 and not stream.gaps, done, feed, stream.gaps[:3])
        right_again(stream, venue, good)
        check(trades_of(stream, venue) == trades_of(good, venue), "trades differ")


def wrong_checksum(venue, good):
    with Bus() as bus:
        stream, feed, _, _, _ = session(bus, venue, [on_book(venue, "wrong_number", after=venue.checksum)])
        check(feed["checksums_different"] >= 1 and feed["resubscribed"] >= 1 and gaps_of(stream, venue, BOOK), feed)
        right_again(stream, venue, good)


def cut(venue, good, rule, code, *feed_args):
    with Bus() as bus:
        stream, feed, _, feed_log, venue_log = session(bus, venue, [on_book(venue, **rule)], *feed_args)
        check([s[2] for s in stream.status if s[0] == 2][:1] == [code], stream.status)
        # Who is back before the next change has missed nothing, where changes are numbered.
        check(feed["connects"] == 2 and (venue.numbered or gaps_of(stream, venue, BOOK)), feed, stream.gaps)
        right_again(stream, venue, good)
    return feed_log, venue_log


def closed(venue, good, code):
    cut(venue, good, {"do": "close", "code": code}, code)


def reset(venue, good):
    cut(venue, good, {"do": "reset"}, 1006)


def half_open(venue, good):
    """Noticed within the silence that is allowed."""
    def moment(log, what):
        line = next(line for line in log.splitlines() if what in line)
        return datetime.datetime.fromisoformat(line.split()[0][:26]).timestamp()
    feed_log, venue_log = cut(venue, good, {"do": "silence", "for": "5s"}, 1006, "--silence=%dms" % (SILENCE * 1000))
    took = moment(feed_log, "nothing was heard") - moment(venue_log, "do=silence")
    check(took <= SILENCE + 0.6, "noticed after", took, "s")


def slow(venue, good):
    with Bus() as bus:
        stream, feed, done, _, _ = session(bus, venue, [on_book(venue, "slow", rate=20000, **{"for": "700ms"})])
        check(done["fault_slow"] == 1 and feed["connects"] == 1 and not stream.gaps, feed, stream.gaps)
        right_again(stream, venue, good)


def oversize(venue, good):
    """Larger than the feed takes: read as far as it goes, or bad."""
    with Bus() as bus:
        stream, feed, _, _, _ = session(bus, venue, [on_book(venue, "oversize", bytes=20 << 20)])
        check(feed["frames_oversized"] == 1, feed)
        right_again(stream, venue, good)


def ping_flood(venue, good):
    with Bus() as bus:
        stream, feed, done, _, _ = session(bus, venue, [on_book(venue, "ping_flood", pings=2000)])
        check(done["fault_ping_flood"] == 1 and feed["connects"] == 1 and not stream.gaps, feed)
        right_again(stream, venue, good)


def storm(venue, good):
    """Cut again and again, and not let in for a while."""
    rules = [{"do": "close", "match": venue.book, "at": venue.book_at + 5 * i, "code": 1012} for i in range(3)]
    rules.append(on_book(venue, "refuse_connections", **{"for": "300ms"}))
    with Bus() as bus:
        # Who was cut off three times in a second waits for the next one, which at full speed is longer than what is left to play.
        stream, feed, done, _, _ = session(bus, venue, rules, speed=venue.speed * 0.4)
        check(done["refused"] >= 1 and feed["connects"] >= 3 and feed["connect_failures"] < 25, feed, done)
        right_again(stream, venue, good)


def http_errors(venue, good, path, status, count=2, speed=None):
    rules = [{"do": "http_status", "path": path, "status": status, "count": count}]
    with Bus() as bus:
        stream, feed, done, _, _ = session(bus, venue, rules, speed=speed)
        check(done["fault_http_status"] == count and feed["rest_failures"] >= count, done, feed)
        right_again(stream, venue, good)


def stale_snapshot(venue, good):
    with Bus() as bus:
        stream, _, done, _, _ = session(bus, venue, [on_book(venue, "drop"), {"do": "stale_snapshot", "path": venue.snapshot, "at": 2}])
        check(done["fault_stale_snapshot"] == 1, done)
        right_again(stream, venue, good)


def all_together(venue, good):
    """Several kinds on the way. Not many: a book that is lost again and again is asked for ever more seldom."""
    kinds = ["duplicate", "corrupt"]
    if venue.name not in ("coinbaseexchange", "kraken"):  # a change deep in the book that does not come is not noticed
        kinds.append("drop")
    rules = [on_book(venue, kind) for kind in kinds]
    rules = [{**rule, "at": rule["at"] - 4 * i - 4} for i, rule in enumerate(rules)]
    rules += [on_book(venue, "close"), {**on_book(venue, "reset"), "at": venue.book_at + 5}]
    with Bus() as bus:
        stream, _, done, _, _ = session(bus, venue, rules)
        check(all(done["fault_" + kind] == 1 for kind in kinds), done)
        right_again(stream, venue, good)


# ---- certificates ----

def start_at(bus, port, *args, captures):
    """A venue at this port, which another session's connection may have for a moment."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return start(bus, *args, "--port", str(port), captures=captures, name="venue%d" % len(bus.processes))[0]
        except Failed as failure:
            if "already in use" not in str(failure) or time.monotonic() > deadline:
                raise


def wrong_certificate(venue, good, at, name, words):
    """Refused and said so; then a right one at the same port."""
    with Bus() as bus:
        args = ["--venue", venue.name, "--speed=30", "--wait-subscriptions=3", "--exit-at-end"]

        def tls(name):
            return ["--certificate", at(name + ".pem"), "--key", at(name + ".key")]
        process, port = start(bus, *args, *tls(name), captures=venue.files)
        feed = start_feed(bus, port, "--venue", venue.name, "--finite", "--capacity=65536", "--backoff-first=50ms", "--backoff-most=200ms",
                          "--url=wss://localhost:%d" % port, "--rest-url=https://localhost:%d" % port, "--ca-file", at("ca.pem"), *venue.args,
                          symbols=venue.symbol)
        until(lambda: any(word in log_of(feed) for word in words), "the reason %s in %s" % (words, log_of(feed)))
        stop(process)
        process = start_at(bus, port, *args, *tls("good"), captures=venue.files)
        end(feed, deadline=60)
        end(process)
        right_again(Stream(bus), venue, good)


# ---- the table ----

def table(venue, at):
    """(name, function, arguments): every fault that there is at this venue, or can be noticed there."""
    for do in ("drop", "reorder", "corrupt", "truncate", "invalid_utf8"):
        if do == "invalid_utf8" and venue.name == "mexc":
            continue  # binary messages are not UTF-8
        if do in ("drop", "reorder") and venue.name == "coinbaseexchange":
            yield do + "_trade", dropped_trade, (do,)  # a change of a book that is missing can not be noticed there
        else:
            yield do, lost_frame, (do,)
    yield "duplicate", duplicate, ()
    for code in (1001, 1008, 1011, 1012, 4004):
        yield "close_%d" % code, closed, (code,)
    yield "reset", reset, ()
    yield "half_open", half_open, ()
    yield "slow", slow, ()
    yield "oversize", oversize, ()
    yield "ping_flood", ping_flood, ()
    yield "reconnect_storm", storm, ()
    for status in (429, 503):
        yield "listing_%d" % status, http_errors, (venue.listing, status)
    if venue.snapshot:
        yield "snapshot_503", http_errors, (venue.snapshot, 503)
        if os.environ.get("TICKBUS_MATRIX"):  # the feed leaves a venue alone that is asked too much, for some seconds
            yield "snapshot_429", http_errors, (venue.snapshot, 429, 1, 0.75)
        yield "stale_snapshot", stale_snapshot, ()
    if venue.checksum:
        yield "wrong_checksum", wrong_checksum, ()
    yield "all_together", all_together, ()
    yield "certificate_expired", wrong_certificate, (at, "expired", ("expired",))
    yield "certificate_of_another_host", wrong_certificate, (at, "other", ("no alternative certificate", "does not match", "ostname mismatch"))


def dropped_trade(venue, good, do):
    with Bus() as bus:
        stream, feed, done, _, _ = session(bus, venue, [on_trade(venue, do)])
        check(done["fault_" + do] == 1 and gaps_of(stream, venue, TRADES), done, stream.gaps)
        right_again(stream, venue, good)


def without_faults(venue):
    with Bus() as bus:
        stream, feed, _, _, _ = session(bus, venue, [])
        check(not stream.gaps and feed["frames_bad"] == 0 and len(stream.books[venue.symbol]["B"]) >= 10 and trades_of(stream, venue), stream.gaps, feed)
        return stream


def wanted(cases):
    choice = os.environ.get("TICKBUS_MATRIX", "")
    if choice == "full":
        return cases
    if choice:
        return [c for c in cases if any(word in "%s/%s" % (c[0].name, c[1]) for word in choice.split(","))]
    today = int(time.time() // 86400) % 4
    return [c for i, c in enumerate(cases) if i % 4 == today]


def attempt(case, good):
    venue, name, function, arguments = case
    begun = time.monotonic()
    try:
        function(venue, good[venue.name], *arguments)
        failure = None
    except Exception as error:  # noqa: BLE001  it is told, with its name
        failure = "%s: %s" % (type(error).__name__, error)
    return venue.name + "/" + name, time.monotonic() - begun, failure


def main():
    if not os.path.isdir(DATA):
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="tickbus-test-", dir="/dev/shm") as folder, \
            concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        every = venues(folder)
        at = certificates(folder)
        cases = wanted([(venue, *row) for venue in every for row in table(venue, at)])
        used = [venue for venue in every if any(case[0] == venue for case in cases)]
        good = dict(zip([v.name for v in used], pool.map(without_faults, used)))
        failures = 0
        for name, took, failure in pool.map(lambda case: attempt(case, good), cases):
            failures += failure is not None
            print("%-5s %-45s %.1f s%s" % ("FAIL" if failure else "ok", name, took, " " + failure if failure else ""), flush=True)
        print("%d of %d cases of %d venues" % (len(cases) - failures, len(cases), len(used)))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
