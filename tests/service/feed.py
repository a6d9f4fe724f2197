#!/usr/bin/env python3
"""tickbus-feed over real sockets: cuts, gaps, bad frames, silence, symbols, TLS, time of receipt."""
import json
import os
import signal
import sys
import time
from decimal import Decimal

sys.path.insert(0, os.path.join(os.environ["TICKBUS_SOURCE"], "tests", "data"))
import facts
import layout_reader
import websocket
from buslook import Bus, Failed, check, end, log_of, run_tests, stop, until
from certificates import certificates
from venue import start as start_venue

BIG = "1048576"  # records: a whole session stays in the ring
MAYBE_BAD = 0x04


def start_feed(bus, port, *args, symbols="BTC/USDT", stream="feed", **more):
    return bus.start("tickbus-feed", "--venue=binance", "--symbols", symbols, "--stream", stream,
                     "--url=ws://127.0.0.1:%d" % port, "--rest-url=http://127.0.0.1:%d" % port,
                     "--backoff-most=500ms", *args, **more)


class Stream:
    """Everything a stream says, gathered by market."""

    def __init__(self, bus, name="feed"):
        ring = layout_reader.Ring(bus.path(name + ".ring"))
        self.state = ring.state
        self.records = list(ring.records())
        instruments = ring.instruments()
        ring.close()
        self.trades, self.gaps, self.status, self.books, self.bad = {}, [], [], {}, {}
        self.late = []  # (symbol, trade id): within a gap that was told before
        for r in self.records:
            i = instruments.get(r.instrument)
            getattr(self, "_" + r.type, lambda *_: None)(i, r)

    def _trade(self, i, r):
        price = layout_reader.value(r.body["price"], i.price_exp)
        size = layout_reader.value(r.body["size"], i.size_exp)
        side = "buy" if r.body["side"] == ord("B") else "sell"
        trade = r.body["trade_id"]
        if any(g[:2] == (i.symbol, 1) and g[2] <= trade <= g[3] for g in self.gaps):
            self.late.append((i.symbol, trade))
        self.trades.setdefault(i.symbol, []).append((trade, price, size, side, r.ts_event, r.body["count"]))

    def _clear(self, i, r):
        self.books[i.symbol] = {"B": {}, "A": {}}

    def _level(self, i, r):
        side = self.books.setdefault(i.symbol, {"B": {}, "A": {}})[chr(r.body["side"])]
        price = layout_reader.value(r.body["price"], i.price_exp)
        side.pop(price, None)
        if r.body["size"]:
            side[price] = layout_reader.value(r.body["size"], i.size_exp)
        self.bad[i.symbol] = bool(r.flags & MAYBE_BAD)

    def _gap(self, i, r):
        self.gaps.append((i.symbol, r.body["channel"], r.body["from"], r.body["to"], r.body["reason"]))

    def _status(self, i, r):
        self.status.append((r.body["code"], i.symbol if i else None, r.body["detail"]))

    def top(self, symbol, count=20):
        book = self.books[symbol]
        return {"bids": sorted(book["B"].items(), reverse=True)[:count], "asks": sorted(book["A"].items())[:count]}


def same_trades(stream, symbol, expected):
    trades = stream.trades.get(symbol, [])
    check(len(trades) == expected["trades"], symbol, len(trades), "trades, facts say", expected["trades"])
    prices = [t[1] for t in trades]
    for name, value in (("first_price", prices[0]), ("last_price", prices[-1]), ("min_price", min(prices)),
                        ("max_price", max(prices)), ("volume", sum(t[2] for t in trades)),
                        ("quote_volume", sum(t[1] * t[2] for t in trades)),
                        ("first_time_ms", trades[0][4] // 10**6), ("last_time_ms", trades[-1][4] // 10**6)):
        check(Decimal(expected[name]) == value, symbol, name, value, "facts say", expected[name])
    for side, count in expected["taker_sides"].items():
        check(sum(t[3] == side for t in trades) == count, symbol, side)


def same_book(stream, symbol, expected):
    top = stream.top(symbol)
    for side in ("bids", "asks"):
        want = [(Decimal(p), Decimal(q)) for p, q in expected[side]]
        check(top[side] == want, symbol, side, "of the final book", top[side][:3], "facts say", want[:3])
    check(not stream.bad[symbol], symbol, "is still marked as maybe bad")


def covered_once(stream, symbol, channel, ids, first, last):
    """The ids that were published and what the gaps still miss make first..last, each exactly once."""
    missing = {i for g in stream.gaps if g[:2] == (symbol, channel) for i in range(g[2], g[3] + 1)}
    if channel == 1:
        missing -= {trade for s, trade in stream.late if s == symbol}
    ranges = sorted([(a, b) for a, b in ids] + [(i, i) for i in missing])
    at = first
    for a, b in ranges:
        check(a == at, "channel", channel, "has", (a, b), "where", at, "should be")
        at = b + 1
    check(at == last + 1, "channel", channel, "ends at", at - 1, "not", last)


def same_top(stream, capture, symbol):
    """
    The final book after a late snapshot: what the venue's 1000 levels of that moment and all later changes tell.
    Levels beyond those are unknown by nature, so the best prices must be equal, and every level within.
    """
    check(not stream.bad[symbol], symbol, "is still marked as maybe bad")
    top = stream.top(symbol)
    for side in ("bids", "asks"):
        want = [(Decimal(p), Decimal(q)) for p, q in capture.books()[symbol][side]]
        check(top[side] == want, symbol, side, top[side], "facts say", want)


def play(bus, capture, *feed_args, speed="max", pace=(), **more):
    """A whole session through a venue and a feed; returns the feed's process."""
    # The same records, another venue's name: only the adapter's family matters to the protocol.
    venue, port = start_venue(bus, "--venue", capture.venue, "--speed", speed, "--exit-at-end", captures=capture.files)
    aggregated = ["--trades=aggregated"] if not capture.facts["trades"] else []
    feed = start_feed(bus, port, "--venue", capture.venue, "--finite", "--capacity", BIG, *aggregated, *feed_args,
                      symbols=",".join(capture.books()), **more)
    return venue, feed


def session():
    return facts.captures()[-1]


# ---- a venue of the test's own ----

LISTING = json.dumps({"symbols": [
    {"symbol": base + quote, "status": "TRADING", "baseAsset": base, "quoteAsset": quote, "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"}, {"filterType": "LOT_SIZE", "stepSize": "0.00001000"}]}
    for base, quote in (("BTC", "USDT"), ("BTC", "USDC"), ("BTC", "EUR"), ("ETH", "USDT"))]}).encode()


def rest(path):
    if "/exchangeInfo" in path:
        wanted = path.partition("symbols=")[2]
        known = all(s in ("BTCUSDT", "BTCUSDC", "BTCEUR", "ETHUSDT", "")
                    for s in wanted.replace("%5B", "").replace("%5D", "").replace("%2C", ",").replace("%22", "").split(","))
        return (200, LISTING) if known else (400, b'{"code":-1121,"msg":"Invalid symbol."}')
    if "/depth" in path:
        return 200, b'{"lastUpdateId":10,"bids":[["1.00000000","1.00000000"]],"asks":[["2.00000000","1.00000000"]]}'
    return 404, b"{}"


def trade(number, price="100.00000000"):
    return json.dumps({"stream": "btcusdt@trade", "data": {
        "e": "trade", "E": 1700000000000 + number, "s": "BTCUSDT", "t": number, "p": price, "q": "0.10000000",
        "T": 1700000000000 + number, "m": True, "M": True}}).encode()


def subscribed(stream):
    request = json.loads(stream.receive())
    assert request["method"] == "SUBSCRIBE", request
    stream.send(json.dumps({"result": None, "id": request["id"]}))
    return request["params"]


def wait_close(stream):
    try:
        while True:
            stream.receive()
    except (websocket.Closed, OSError):
        pass


def counters(bus, service="feed"):
    stats = bus.stats(service)
    return stats.counters if stats else {}


def cut_connections_are_made_again():
    cuts = [lambda s: s.close(1001, "going away"), lambda s: s.drop(), lambda s: s.close(1000, "done for now"),
            lambda s: s.close(1008, "policy"), None]

    def on_socket(stream, number):
        subscribed(stream)
        stream.send(trade(number))
        cut = cuts[number - 1]
        if cut:
            cut(stream)
        wait_close(stream)
    with Bus() as bus, websocket.Server(on_socket, rest) as server:
        feed = start_feed(bus, server.port, "--channels=trade")
        until(lambda: counters(bus).get("trades") == 5, "five connections")
        stop(feed)
        stream = Stream(bus)
        check([t[0] for t in stream.trades["BTC/USDT"]] == [1, 2, 3, 4, 5] and not stream.gaps, stream.gaps)
        details = [s[2] for s in stream.status if s[0] == 2]
        check(details == [1001, 1006, 1000, 1008], details)
        check(not server.errors, server.errors)


def the_code_of_a_close_is_the_venues():
    every = [(1012, "service restart"), (1013, ""), (1002, "protocol"), (1014, "x"), (4004, "own"), (1001, "")]

    def on_socket(stream, number):
        subscribed(stream)
        stream.send(trade(number))
        if number <= len(codes):
            stream.close(*codes[number - 1])
        wait_close(stream)
    for secure in (False, True):
        codes = every[:2] if not secure else every
        with Bus() as bus:
            at = certificates(bus.base)
            tls = (at("good.pem"), at("good.key")) if secure else ()
            with websocket.Server(on_socket, rest, *tls) as server:
                host = "s://localhost:%d" % server.port if secure else "://127.0.0.1:%d" % server.port
                feed = start_feed(bus, server.port, "--channels=trade", "--url=ws" + host, "--rest-url=http" + host,
                                  "--ca-file", at("ca.pem"), "--backoff-first=1ms", "--backoff-most=1ms")
                until(lambda: counters(bus).get("trades") == len(codes) + 1, "all connections")
                stop(feed)
                details = [s[2] for s in Stream(bus).status if s[0] == 2]
                check(details == [code for code, _ in codes], secure, details)


def what_was_sent_meanwhile_is_a_gap():
    def on_socket(stream, number):
        subscribed(stream)
        stream.send(trade(1 if number == 1 else 7))
        if number == 1:
            stream.drop()
        wait_close(stream)
    with Bus() as bus, websocket.Server(on_socket, rest) as server:
        feed = start_feed(bus, server.port, "--channels=trade")
        until(lambda: counters(bus).get("trades") == 2, "both")
        stop(feed)
        check(Stream(bus).gaps == [("BTC/USDT", 1, 2, 6, 2)], Stream(bus).gaps)


def bad_frames_are_counted_and_passed_over():
    def on_socket(stream, number):
        subscribed(stream)
        for junk in (b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b'{"stream":"btcusdt@trade","data":{"e":"trade"',
                     b'{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","t":"x"}}', b"[" * 100000,
                     b'"' + b"a" * (17 << 20) + b'"'):
            stream.send(junk)
        stream.send(b"\x00\x01\x02", websocket.BINARY)
        stream.send(b"hello", websocket.PING)
        whole = trade(1)
        stream.send(whole[:10], websocket.TEXT, final=False)
        stream.send(b"between", websocket.PING)
        stream.send(whole[10:50], 0, final=False)
        stream.send(whole[50:], 0)
        stream.send(trade(2, "61837.63000000"))
        wait_close(stream)
    with Bus() as bus, websocket.Server(on_socket, rest) as server:
        feed = start_feed(bus, server.port, "--channels=trade")
        until(lambda: counters(bus).get("trades") == 2, "the good ones")
        check(counters(bus)["frames_bad"] >= 8 and counters(bus)["frames_oversized"] == 1, counters(bus))
        check(counters(bus)["disconnects"] == 0 and server.sockets == 1)
        stop(feed)
        check(not server.errors, server.errors)
        check([(t[0], str(t[1])) for t in Stream(bus).trades["BTC/USDT"]] == [(1, "100.00"), (2, "61837.63")])


def nothing_is_offered_that_is_not_wanted():
    def on_socket(stream, number):
        subscribed(stream)
        wait_close(stream)
    with Bus() as bus, websocket.Server(on_socket, rest) as server:
        feed = start_feed(bus, server.port)
        until(lambda: server.sockets == 1, "the connection")
        check("sec-websocket-extensions" not in server.headers, server.headers)
        stop(feed)


def a_half_open_connection_is_noticed():
    """Within the silence that is allowed: half of it, a ping, and half of it without an answer."""
    begun = []

    def on_socket(stream, number):
        subscribed(stream)
        begun.append(time.monotonic())
        if number == 1:
            until(lambda: server.sockets > 1, "another connection")
        else:
            stream.send(trade(1))
            wait_close(stream)
    with Bus() as bus, websocket.Server(on_socket, rest) as server:
        feed = start_feed(bus, server.port, "--channels=trade", "--silence=500ms")
        until(lambda: counters(bus).get("trades") == 1, "a second connection")
        check("nothing was heard" in log_of(feed), log_of(feed))
        check(0.4 < begun[1] - begun[0] < 0.5 + 0.25 + 2, begun)  # silence, backoff, a busy machine
        stop(feed)


def connections_are_not_made_faster_than_venues_allow():
    """One that is taken and dropped at once, again and again: three a second at most, whatever chance says."""
    begun = []

    def on_socket(stream, number):
        begun.append(time.monotonic())
        stream.drop()
    with Bus() as bus, websocket.Server(on_socket, rest) as server:
        feed = start_feed(bus, server.port, "--channels=trade", "--backoff-first=1ms", "--backoff-most=1ms")
        until(lambda: len(begun) == 6, "six connections")
        stop(feed)
        check(begun[3] - begun[0] > 0.9 and begun[5] - begun[2] > 0.9, begun)


def a_quiet_venue_that_answers_pings_is_left_alone():
    def on_socket(stream, number):
        subscribed(stream)
        pings = 0
        while pings < 6:
            final, opcode, payload = stream.receive_frame()
            if opcode == websocket.PING:
                pings += 1
                stream.send(payload, websocket.PONG)
        stream.send(trade(1))
        wait_close(stream)
    with Bus() as bus, websocket.Server(on_socket, rest) as server:
        feed = start_feed(bus, server.port, "--channels=trade", "--silence=1s")
        until(lambda: counters(bus).get("trades") == 1, "six pings")
        check(server.sockets == 1, server.sockets)
        stop(feed)


def unknown_symbols_are_refused_by_name():
    with Bus() as bus, websocket.Server(wait_close, rest) as server:
        feed = start_feed(bus, server.port, symbols="BTC/USDT,BTC/USDX,BTCEUR,ZZZ/YYY")
        end(feed, 78)
        log = log_of(feed)
        check("symbol=BTC/USDX did_you_mean=" in log and "BTC/USDT" in log.split("symbol=BTC/USDX")[1], log)
        check("symbol=BTCEUR did_you_mean=" in log and "BTC/EUR" in log.split("symbol=BTCEUR")[1].split("\n")[0], log)
        check("symbol=ZZZ/YYY\n" in log and "symbol=BTC/USDT " not in log, log)
        check(server.sockets == 0, "it connected nevertheless")


def all_symbols_are_those_of_the_listing():
    names = []

    def on_socket(stream, number):
        names.extend(subscribed(stream))
        wait_close(stream)
    with Bus() as bus, websocket.Server(on_socket, rest) as server:
        feed = start_feed(bus, server.port, "--channels=trade,quote", symbols="*")
        until(lambda: len(names) == 8, "the subscription")
        check("ethusdt@bookTicker" in names, names)
        stop(feed)


def a_venue_that_is_not_there_yet_is_waited_for():
    with Bus() as bus:
        with websocket.Server(wait_close, rest) as server:
            port = server.port
        feed = start_feed(bus, port)
        until(lambda: (s := bus.stats("feed")) and s.state == "degraded", "the state")
        time_lines = log_of(feed).count("ev=degraded")
        venue, _ = start_venue(bus, "--port", str(port), "--speed=max")
        until(lambda: counters(bus).get("trades", 0) > 100, "trades")
        check(log_of(feed).count("ev=degraded") - time_lines <= 2, log_of(feed))
        stop(feed)
        stop(venue)


def a_listing_that_can_not_be_used_is_asked_for_again():
    answers = [(500, b"{}"), (200, b"no json"), (429, b"{}"), (200, b'{"symbols":[]}')]

    def get(path):
        return answers.pop(0) if answers else rest(path)

    def on_socket(stream, number):
        subscribed(stream)
        stream.send(trade(1))
        wait_close(stream)
    with Bus() as bus, websocket.Server(on_socket, get) as server:
        feed = start_feed(bus, server.port, "--channels=trade")
        until(lambda: counters(bus).get("trades") == 1, "the first trade")
        stop(feed)


# ---- TLS ----

def tls_is_verified_for_both_sockets():
    with Bus() as bus, websocket.Server(wait_close, rest) as plain:
        at = certificates(bus.base)
        for number, (certificate, ca, good) in enumerate((("good", "ca.pem", True), ("good", None, False), ("other", "ca.pem", False),
                                                          ("expired", "ca.pem", False), ("self", "ca.pem", False))):
            name = "v%d" % number
            venue, port = start_venue(bus, "--certificate", at(certificate + ".pem"), "--key", at(certificate + ".key"),
                                      "--speed=max", name=name)
            # REST of this venue with TLS too, or from elsewhere, so that the WebSocket alone is judged.
            for kind, rest_url in (("both", "https://localhost:%d" % port), ("ws", "http://127.0.0.1:%d" % plain.port)):
                service = "feed-%s-%d" % (kind, number)
                feed = bus.start("tickbus-feed", "--venue=binance", "--symbols=BTC/USDT", "--name", service,
                                 "--stream", service, "--url=wss://localhost:%d" % port, "--rest-url", rest_url,
                                 "--backoff-most=300ms", "--channels=trade", *(["--ca-file", at(ca)] if ca else []))
                if good:
                    until(lambda s=service: counters(bus, s).get("connects", 0) > 0, service + " to connect")
                else:
                    until(lambda f=feed: log_of(f).count("ev=degraded"), service + " to be refused")
                    until(lambda s=service, k=kind: counters(bus, s).get("connect_failures" if k == "ws" else "rest_failures", 0) >= 2,
                          service + " to try again")
                    check(counters(bus, service)["connects"] == 0, log_of(feed))
                stop(feed)
            stop(venue)


def the_time_of_receipt_is_the_kernels():
    """A feed that was kept from reading stamps what waited with the time at which it came, on TCP and TLS."""
    def on_socket(stream, number):
        subscribed(stream)
        streams.append(stream)
        wait_close(stream)
    for secure in (False, True):
        streams = []
        with Bus() as bus:
            at = certificates(bus.base)
            tls = (at("good.pem"), at("good.key")) if secure else ()
            with websocket.Server(on_socket, rest, *tls) as server:
                host = "s://localhost:%d" % server.port if secure else "://127.0.0.1:%d" % server.port
                feed = start_feed(bus, server.port, "--channels=trade", "--url=ws" + host, "--rest-url=http" + host,
                                  "--ca-file", at("ca.pem"))
                until(lambda: streams, "the connection")
                streams[0].send(trade(1))
                until(lambda: counters(bus).get("trades") == 1, "the first trade")
                feed.send_signal(signal.SIGSTOP)
                sent = time.time_ns()
                streams[0].send(trade(2))
                arrived = time.time_ns()
                until(lambda: time.time_ns() - arrived > 300 * 10**6, "it to have waited")
                feed.send_signal(signal.SIGCONT)
                until(lambda: counters(bus).get("trades") == 2, "the second trade")
                stop(feed)
                last = [r for r in Stream(bus).records if r.type == "trade"][-1]
                check(sent <= last.ts_recv <= arrived + 50 * 10**6, secure, last.ts_recv - sent, arrived - sent)
                check(last.publish_delta_ns >= 250 * 10**6, last)
                check(counters(bus)["frames_kernel_time"] >= 2, counters(bus))


# ---- readers, idling ----

def one_config_file_describes_both():
    capture = session()
    with Bus() as bus, websocket.Server(wait_close, rest) as server:
        port = server.port
    with Bus() as bus:
        config = os.path.join(bus.base, "bus.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write("""
bus: b
venues:
  binance-sim: {program: venue, venue: %s, captures: [%s], port: %d, speed: max, exit_at_end: true}
feeds:
  binance: {program: feed, venue: %s, symbols: [%s], url: "ws://127.0.0.1:%d", rest_url: "http://127.0.0.1:%d", finite: true}
""" % (capture.venue, ", ".join(capture.files), port, capture.venue, ", ".join(capture.books()), port, port))
        for program, section in (("venue", "venues.binance-sim"), ("feed", "feeds.binance")):
            end(bus.start("tickbus-" + program, "--config", config, "--section", section, "--check-config"))
        feed = bus.start("tickbus-feed", "--config", config, "--section", "feeds.binance")
        venue = bus.start("tickbus-venue", "--config", config, "--section", "venues.binance-sim")
        end(feed, deadline=60)
        end(venue)
        check(counters(bus, "feed-binance")["trades"] > 0 and bus.ring("binance").state == "done")
        with open(config, "a", encoding="utf-8") as file:
            file.write("  bad: {program: feed, venue: binence, symbols: [BTC/USDT], url: 'http://x', chanels: [trade]}\n")
        bad = bus.start("tickbus-feed", "--config", config, "--section", "feeds.bad", "--check-config")
        end(bad, 78)
        log = log_of(bad)
        check("binence" in log and "did you mean binance" in log and "chanels" in log, log)


def waiting_takes_no_processor():
    def on_socket(stream, number):
        subscribed(stream)
        wait_close(stream)
    with Bus() as bus, websocket.Server(on_socket, rest) as server:
        feed = start_feed(bus, server.port, "--channels=trade")
        venue, _ = start_venue(bus)
        until(lambda: counters(bus).get("connected") == 1, "the connection")

        def ticks(process):
            with open("/proc/%d/stat" % process.pid, encoding="ascii") as stat:
                fields = stat.read().rsplit(") ", 1)[1].split()
            return int(fields[11]) + int(fields[12])
        before, begun = (ticks(feed), ticks(venue)), time.monotonic()
        until(lambda: time.monotonic() - begun > 2, "two seconds")
        spent = [ticks(p) - b for p, b in zip((feed, venue), before)]
        check(max(spent) <= 6, "of 200 ticks", spent)  # a tick is 10 ms; housekeeping has its share
        stop(feed)
        stop(venue)


if __name__ == "__main__":
    tests = [value for name, value in list(globals().items())
             if callable(value) and getattr(value, "__module__", "") == "__main__" and hasattr(value, "__code__")
             and value.__code__.co_argcount == 0 and value.__code__.co_flags & 0x04 == 0 and name != "session"]
    wanted = sys.argv[1:]
    run_tests([test for test in tests if not wanted or test.__name__ in wanted], at_once=3)
