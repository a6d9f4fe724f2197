#!/usr/bin/env python3
"""`tickbus resync`: a running feed is asked for a fresh snapshot; the stream says so, and the answer is one line."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["TICKBUS_SOURCE"], "tests", "data"))
import websocket
from buslook import BUILD, Bus, check, run_tests, stop, until
from feed import MAYBE_BAD, Stream, counters, rest, start_feed, subscribed, wait_close
import feed_v5


def resync(bus, *args, code=0):
    """The lines that it says, after its exit code was checked."""
    done = subprocess.run([os.path.join(BUILD, "tickbus-resync"), "--directory", bus.base, "--bus", "b", *args],
                          capture_output=True, text=True, timeout=30)
    check(done.returncode == code, args, "exit", done.returncode, done.stdout, done.stderr)
    return (done.stdout + done.stderr).splitlines()


def depth(first, last):
    return json.dumps({"stream": "btcusdt@depth@100ms", "data": {
        "e": "depthUpdate", "E": 1700000000000, "s": "BTCUSDT", "U": first, "u": last, "b": [["1.00", "3"]], "a": []}})


def with_a_book(test):
    """A feed whose book joined the snapshot 10 of `rest`; the market is quiet from there on."""
    def on_socket(stream, number):
        subscribed(stream)
        stream.send(depth(9, 10))
        wait_close(stream)
    with Bus() as bus, websocket.Server(on_socket, rest) as server:
        feed = start_feed(bus, server.port, "--channels=book", symbols="BTC/USDT,BTC/EUR")
        until(lambda: counters(bus).get("snapshots") == 1, "the book")
        test(bus, server, feed)


def a_fresh_snapshot_is_had_and_the_book_is_bad_until_then():
    def test(bus, server, feed):
        before = server.requests.count("/api/v3/depth?symbol=BTCUSDT&limit=1000")
        lines = resync(bus, "BTC/USDT")
        check(len(lines) == 1 and lines[0].startswith("BTC/USDT on feed: done in ") and "update 10" in lines[0], lines)
        check(server.requests.count("/api/v3/depth?symbol=BTCUSDT&limit=1000") == before + 1, server.requests)
        stop(feed)
        stream = Stream(bus)
        check([s[0] for s in stream.status if s[1] == "BTC/USDT"] == [3, 4, 3], stream.status)
        check(not stream.gaps and not stream.bad["BTC/USDT"], stream.gaps)
        bad = [r for r in stream.records if r.flags & MAYBE_BAD]
        check(bad and all(r.type in ("status", "clear", "level") for r in bad), bad)
    with_a_book(test)


def what_can_not_be_is_refused_in_one_line():
    def test(bus, server, feed):
        check(resync(bus, "BTC/USDX", code=69)[0].startswith("tickbus resync: refused: no stream here has BTC/USDX; did you mean BTC/USDT (feed)"))
        check("did you mean BTC/EUR (feed)?" in resync(bus, "btceur", code=69)[0])
        check("a snapshot is awaited already" in resync(bus, "BTC/EUR", code=69)[0])  # nothing ever came of it
        check(resync(bus, "BTC/USDT", "--stream=other", code=69)[0].startswith("tickbus resync: refused: "))
        resync(bus, code=64)
        check(resync(bus, "--all")[0].startswith("all markets on feed: done in "))
        feed.kill()
        feed.wait()
        check("refused: the feed does not run (it died, pid %d)" % feed.pid in resync(bus, "BTC/USDT", code=69)[0])
        check(os.path.exists(bus.path("feed.control")))  # of the dead: the next life takes it away
        again = start_feed(bus, server.port, "--channels=book")
        until(lambda: bus.stats("feed").pid == again.pid and counters(bus).get("connected") == 1, "its next life")
        check("a snapshot is awaited already" in resync(bus, "BTC/USDT", code=69)[0])  # nothing new has come yet
        stop(again)
        check(not os.path.exists(bus.path("feed.control")))
        check("it was stopped" in resync(bus, "BTC/USDT", code=69)[0])
    with_a_book(test)


def who_is_no_feed_has_nobody_to_ask():
    with Bus() as bus:
        synth = bus.start("tickbus-synth", "--stream=s", "--rate=10")
        until(lambda: bus.ring("s") and bus.ring("s").instruments, "its markets")
        check("its producer is no feed" in resync(bus, "--all", "--stream=s", code=69)[0])
        stop(synth)


def a_venue_without_snapshots_is_subscribed_to_anew():
    requests = []

    def on_socket(stream, number):
        for n in (7, 15):
            request = json.loads(stream.receive())
            while request["op"] == "ping":
                request = json.loads(stream.receive())
            requests.append(request["op"])
            stream.send(feed_v5.bybit_answer(request))
            if request["op"] == "unsubscribe":
                request = json.loads(stream.receive())
                requests.append(request["op"])
                stream.send(feed_v5.bybit_answer(request))
            stream.send(feed_v5.bybit_book("snapshot", n))
        wait_close(stream)
    with Bus() as bus, websocket.Server(on_socket, feed_v5.rest) as server:
        feed = feed_v5.start_feed(bus, "bybit", server.port)
        until(lambda: counters(bus).get("snapshots") == 1, "the book")
        (line,) = resync(bus, "BTC/USDT")
        check("done in" in line and "subscribed to anew" in line, line)
        check(requests == ["subscribe", "unsubscribe", "subscribe"], requests)
        stop(feed)
        check(not server.errors, server.errors)


if __name__ == "__main__":
    run_tests([a_fresh_snapshot_is_had_and_the_book_is_bad_until_then,
               what_can_not_be_is_refused_in_one_line,
               who_is_no_feed_has_nobody_to_ask,
               a_venue_without_snapshots_is_subscribed_to_anew])
