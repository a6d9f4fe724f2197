#!/usr/bin/env python3
"""tickbus-feed changes its connection before the venue ends it: nothing is lost, nothing doubled, no gap, no book lost."""
import json
import os
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.environ["TICKBUS_SOURCE"], "tests", "data"))
import facts
import mexc_frames
import websocket
from buslook import Bus, check, end, log_of, run_tests, stop, until
from feed import Stream, counters, play, rest, same_book, same_trades, start_feed, subscribed, trade, wait_close
from venue import start as start_venue

LIFE = "--connection-life=700ms"


def quote(number):
    return json.dumps({"stream": "btcusdt@bookTicker", "data": {
        "u": number, "s": "BTCUSDT", "b": "1.00", "B": str(number), "a": "2.00", "A": "1"}})


def depth(first, last):
    return json.dumps({"stream": "btcusdt@depth@100ms", "data": {
        "e": "depthUpdate", "E": 1700000000000, "s": "BTCUSDT", "U": first, "u": last, "b": [["1.00", str(last)]], "a": []}})


class Ticker:
    """One market that all connections are told of, each 5 ms; `late` connections hear of it so many messages later."""

    def __init__(self, late=0):
        self.streams, self.number, self.late, self.lock = [], 10, late, threading.Lock()
        self.most = 0  # connections at once
        self.on = True
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while self.on:
            time.sleep(0.005)
            with self.lock:
                self.number += 1
                for stream in list(self.streams):
                    try:
                        for number in [self.number] if stream.at is None else range(stream.at + 1, self.number - stream.late + 1):
                            for text in (trade(number), quote(number), depth(number, number)):
                                stream.send(text)
                            stream.at = number
                    except OSError:
                        self.streams.remove(stream)

    def on_socket(self, stream, number):
        subscribed(stream)
        with self.lock:
            stream.at, stream.late = self.number, self.late if number % 2 == 0 else 0
            self.streams.append(stream)
            self.most = max(self.most, len(self.streams))
        try:
            wait_close(stream)
        finally:
            with self.lock:
                if stream in self.streams:
                    self.streams.remove(stream)


def whole_and_once(stream, first_connections):
    """Ids follow each other without a hole or a repeat, in every channel; nothing was given up."""
    ids = [t[0] for t in stream.trades["BTC/USDT"]]
    check(ids == list(range(ids[0], ids[0] + len(ids))), "trades", [b for a, b in zip(ids, ids[1:]) if b != a + 1][:5])
    quotes = [r.body["bid_size"] for r in stream.records if r.type == "quote"]
    check(quotes == list(range(quotes[0], quotes[0] + 100000 * len(quotes), 100000)), "quotes",
          [b for a, b in zip(quotes, quotes[1:]) if b != a + 100000][:5])
    updates = [r.body["update_id"] for r in stream.records if r.type == "level" and not r.flags & 0x20]
    check(updates == list(range(updates[0], updates[0] + len(updates))), "updates")
    check(not stream.gaps, stream.gaps)
    codes = [s[0] for s in stream.status]
    check(codes.count(2) == 0 and codes.count(4) == 0 and codes.count(1) == first_connections, codes)
    check(codes.count(3) == 1 and not stream.bad["BTC/USDT"], codes)


def handovers(late):
    def get(path):
        if "/depth" in path:
            return 200, json.dumps({"lastUpdateId": ticker.number, "bids": [["1.00", "1"]], "asks": [["2.00", "1"]]}).encode()
        return rest(path)
    ticker = Ticker(late)
    with Bus() as bus, websocket.Server(ticker.on_socket, get) as server:
        feed = start_feed(bus, server.port, LIFE)
        until(lambda: counters(bus).get("handovers") == 2, "two handovers")
        end_at = counters(bus)["trades"] + 60
        until(lambda: counters(bus)["trades"] >= end_at, "what the third connection says")
        ticker.on = False
        stop(feed)
        final = counters(bus)
        whole_and_once(Stream(bus), 3)
        check(final["disconnects"] == 0 and final["connects"] == 3 == server.sockets and ticker.most == 2, final)
        check(final["trades_duplicate"] > 0 and final["quotes_duplicate"] > 0, final)
        check(not server.errors, server.errors)


def a_connection_is_changed_and_nobody_notices():
    handovers(0)


def a_next_connection_that_is_slower_repeats_nothing():
    handovers(40)  # 200 ms


def a_next_connection_that_fails_is_made_again():
    def on_socket(stream, number):
        if number == 2:
            stream.drop()
            return
        if number == 3:
            stream.receive()  # and no answer
            wait_close(stream)
            return
        ticker.on_socket(stream, number)
    ticker = Ticker()
    with Bus() as bus, websocket.Server(on_socket, rest) as server:
        feed = start_feed(bus, server.port, LIFE, "--connect-timeout=500ms", "--channels=trade,quote")
        until(lambda: counters(bus).get("handovers") == 1, "a handover")
        ticker.on = False
        stop(feed)
        stream = Stream(bus)
        check(server.sockets == 4 and not stream.gaps and not [s for s in stream.status if s[0] == 2], stream.status)
        log = log_of(feed)
        check(log.count("next_connection_failed") == 2 and "not all requests were answered" in log, log)


def a_connection_that_ends_early_is_taken_over_from():
    """The venue is earlier than its word: the next connection is ready, and steps in."""
    first = []

    def on_socket(stream, number):
        first.append(stream)
        if number == 2:
            threading.Timer(0.3, lambda: first[0].sock.shutdown(socket.SHUT_RDWR)).start()
        ticker.on_socket(stream, number)
    ticker = Ticker()
    with Bus() as bus, websocket.Server(on_socket, rest) as server:
        feed = start_feed(bus, server.port, LIFE, "--channels=trade,quote")
        until(lambda: counters(bus).get("handovers") == 1, "the handover")
        ticker.on = False
        stop(feed)
        stream = Stream(bus)
        ids = [t[0] for t in stream.trades["BTC/USDT"]]
        check(ids == list(range(ids[0], ids[0] + len(ids))) and not stream.gaps, stream.gaps)
        check(1 <= counters(bus)["disconnects"] and not [s for s in stream.status if s[0] == 2], stream.status)


def a_recorded_session_over_short_lived_connections_equals_its_facts():
    capture = facts.captures()[-1]
    with Bus() as bus:
        venue, feed = play(bus, capture, "--connection-life=700ms", speed="200")
        end(feed, deadline=60)
        end(venue)
        stream = Stream(bus)
        check(not stream.gaps, stream.gaps[:3])
        for symbol, expected in capture.trades().items():
            same_trades(stream, symbol, expected)
        for symbol, expected in capture.books().items():
            same_book(stream, symbol, expected)
        final = counters(bus)
        check(final["handovers"] >= 1 and final["disconnects"] == 1, final)  # its end
        quotes = sum(r.type == "quote" for r in stream.records)
        print("      ", final["handovers"], "handovers,", quotes, "quotes,", final["trades_duplicate"], "repeated trades")


def futures_over_short_lived_connections(name, files, markets, *args):
    """Half a minute of four markets at a venue; the same with connections of 700 ms as the facts say of the recording."""
    capture = facts.futures()[0]
    with Bus() as bus:
        venue, port = start_venue(bus, "--venue", name, "--speed=6", "--wait-subscriptions=12", "--exit-at-end", captures=files)
        feed = start_feed(bus, port, "--venue", name, "--finite", "--connection-life=700ms", *args,
                          symbols=",".join(s + markets for s in FUTURES))
        end(feed, deadline=60)
        end(venue)
        stream, final = Stream(bus), counters(bus)
        check(not stream.gaps and not [s for s in stream.status if s[0] in (4, 7)], stream.gaps[:3], stream.status)
        for symbol in FUTURES:
            same_trades(stream, symbol + markets, capture.trades()[symbol + ":USDT"])
            same_book(stream, symbol + markets, capture.books()[symbol + ":USDT"])
        check(final["handovers"] >= 2 and final["disconnects"] == 1 and final["unanswered"] == 0, final)
        print("      ", name, final["handovers"], "handovers,", final["trades_duplicate"], "repeated trades")


FUTURES = ["AKRO/USDT", "CTK/USDT", "KEEP/USDT", "SUSHI/USDT"]


def binanceusdm_over_short_lived_connections_equals_its_facts():
    futures_over_short_lived_connections("binanceusdm", facts.futures()[0].files, ":USDT", "--trades=aggregated")


def mexc_over_short_lived_connections_equals_its_facts():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        files = mexc_frames.write(*facts.futures()[0].files, os.path.join(folder, "mexc"))
        futures_over_short_lived_connections("mexc", files, "")


if __name__ == "__main__":
    run_tests([globals()[name] for name in sys.argv[1:]] or [
        mexc_over_short_lived_connections_equals_its_facts,
        binanceusdm_over_short_lived_connections_equals_its_facts,
        a_connection_is_changed_and_nobody_notices,
        a_next_connection_that_is_slower_repeats_nothing,
        a_next_connection_that_fails_is_made_again,
        a_connection_that_ends_early_is_taken_over_from,
        a_recorded_session_over_short_lived_connections_equals_its_facts], at_once=2)
