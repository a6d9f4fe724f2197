#!/usr/bin/env python3
"""
The venue's fault script, with a feed at the other end: after each fault the feed's book is that of the run without,
what did not come is in a gap record, and every trade of the recording is published or in a gap, once.
"""
import gzip
import json
import os
import sys
import tempfile
import time

import websocket
from buslook import Bus, check, end, log_of, run_tests, stop, until
from feed import MAYBE_BAD, Stream, covered_once, counters, facts, same_top, same_trades, start_feed
from venue import DEMO, STREAMS, drain, get, recorded, start as start_venue

BIG = "131072"
SYMBOL = "BTC/USDT"
LINES = 18000  # of the demo: two and a half minutes


def beginning(folder):
    """The first lines of the demo, without its quotes, as a session of its own."""
    path = os.path.join(folder, os.path.basename(DEMO))
    with gzip.open(DEMO, "rb") as whole, gzip.open(path, "wb", compresslevel=1) as out:
        for number, line in enumerate(whole):
            if number < LINES and b"@bookTicker" not in line:
                out.write(line)
    return path


FOLDER = tempfile.TemporaryDirectory(prefix="tickbus-test-", dir="/dev/shm")
SHORT = beginning(FOLDER.name)
CAPTURE = facts.Capture("beginning", "binance", [SHORT], facts.compute([SHORT]))


def script(bus, *rules, seed=1):
    path = os.path.join(bus.base, "faults.yaml")
    with open(path, "w", encoding="ascii") as file:
        json.dump({"seed": seed, "faults": rules}, file)  # JSON is YAML
    return path


def play(bus, *rules, speed="100", feed_args=()):
    """The demo through a venue with these faults and a feed; the stream and both programs' counters."""
    venue, port = start_venue(bus, "--speed", speed, "--exit-at-end", "--close-after=1s", "--faults-file", script(bus, *rules),
                              captures=[SHORT])
    feed = start_feed(bus, port, "--finite", "--capacity", BIG, "--channels=trade,book", *feed_args)
    end(feed, deadline=60)
    end(venue)
    return Stream(bus), counters(bus), counters(bus, "venue"), log_of(venue)


def right_again(stream):
    """Complete, each trade once or in a gap, and the final book that of the run without faults."""
    expected = CAPTURE.trades()[SYMBOL]
    check(stream.state == "done", stream.state)
    covered_once(stream, SYMBOL, 1, [(t[0], t[0]) for t in stream.trades[SYMBOL]], expected["first_id"],
                 expected["last_id"])
    same_top(stream, CAPTURE, SYMBOL)
    bad = False  # from a gap in the book to the next snapshot every level says so
    for r in stream.records:
        if r.type == "gap" and r.body["channel"] == 2:
            bad = True
        elif r.type == "status" and r.body["code"] == 3:
            bad = False
        elif r.type == "level" and bad and not r.flags & 0x20:
            check(r.flags & MAYBE_BAD, "a level after a gap is not marked", r.seq)


def events(suffix):
    return [json.loads(frame)["data"] for stream, frame in recorded(SHORT) if stream.endswith(suffix)]


def frame_fault(rule, kind, late=0, **count):
    """One kind of fault to a trade frame, then to a depth frame."""
    trade, depth = events("@trade")[500], events("@depth@100ms")[1000]
    with Bus() as bus:
        stream, feed, venue, log = play(bus, {**rule, "match": "@trade", "at": 501}, {**rule, "match": "@depth", "at": 1001})
        check(venue["fault_" + kind] == 2 and log.count("ev=fault do=" + kind) == 2, venue, log)
        right_again(stream)
        check(stream.late == [(SYMBOL, trade["t"])] * late, stream.late)
        gaps = {(g[1], g[2], g[3]) for g in stream.gaps}
        check((1, trade["t"], trade["t"]) in gaps, "trade", trade["t"], "is in no gap:", gaps)
        check(any(c == 2 and a <= depth["U"] and depth["u"] <= b for c, a, b in gaps), "depth", depth["U"], depth["u"], gaps)
        for name, value in count.items():
            check(feed[name] == value, name, feed[name], "not", value)


def a_dropped_frame_is_a_gap():
    frame_fault({"do": "drop"}, "drop", gaps=2, frames_bad=0, connects=1)


def a_reordered_frame_is_a_gap():
    """Whose trade then comes late, and is told."""
    frame_fault({"do": "reorder"}, "reorder", frames_bad=0, connects=1, trades_duplicate=0, late=1)


def a_corrupted_frame_is_counted_and_a_gap():
    frame_fault({"do": "corrupt"}, "corrupt", frames_bad=2, connects=1)


def a_truncated_frame_is_counted_and_a_gap():
    frame_fault({"do": "truncate"}, "truncate", frames_bad=2, connects=1)


def invalid_utf8_is_counted_and_a_gap():
    frame_fault({"do": "invalid_utf8"}, "invalid_utf8", frames_bad=2, connects=1)


def oversized_frames_are_counted():
    with Bus() as bus:
        stream, feed, venue, _ = play(bus, {"do": "oversize", "at": 2000, "count": 2})
        check(venue["fault_oversize"] == 2 and feed["frames_oversized"] == 2 and feed["connects"] == 1, venue, feed)
        right_again(stream)


def duplicated_frames_change_nothing():
    with Bus() as bus:
        stream, feed, venue, _ = play(bus, {"do": "duplicate", "every": 7})
        check(venue["fault_duplicate"] > 500 and not stream.gaps, venue, stream.gaps)
        check(feed["trades_duplicate"] > 100 and feed["connects"] == 1, feed)
        same_trades(stream, SYMBOL, CAPTURE.trades()[SYMBOL])
        right_again(stream)


def chances_of_all_kinds_leave_nothing_silently_missing():
    rules = [{"do": kind, "probability": 0.01, "count": 4} for kind in
             ("drop", "duplicate", "reorder", "corrupt", "truncate", "invalid_utf8")]
    with Bus() as bus:
        stream, feed, venue, _ = play(bus, *rules, {"do": "close", "code": 1012, "at": 1500}, {"do": "reset", "at": 2000})
        check(all(venue["fault_" + rule["do"]] > 2 for rule in rules), venue)
        right_again(stream)


def cut(rule, kind, code, **more):
    with Bus() as bus:
        stream, feed, venue, _ = play(bus, {**rule, "at": 2500}, **more)
        check(venue["fault_" + kind] == 1, venue)
        check([s[2] for s in stream.status if s[0] == 2][:1] == [code], stream.status)
        check(feed["connects"] == 2 and [g for g in stream.gaps if g[1] == 2], feed, stream.gaps)
        right_again(stream)
    return feed, venue


def a_closed_connection_is_made_again():
    cut({"do": "close", "code": 1008, "reason": "service restart"}, "close", 1008)


def a_reset_connection_is_made_again():
    cut({"do": "reset"}, "reset", 1006)


def silence_is_noticed_and_the_connection_made_again():
    feed, venue = cut({"do": "silence", "for": "2s"}, "silence", 1006, feed_args=("--silence=300ms",))
    check(venue["frames_unheard"] > 10, venue)


def a_slow_venue_loses_nothing():
    with Bus() as bus:
        stream, feed, venue, _ = play(bus, {"do": "slow", "rate": 50000, "for": "2s", "at": 2000}, speed="max")
        check(venue["fault_slow"] == 1 and feed["connects"] == 1 and not stream.gaps, feed)
        same_trades(stream, SYMBOL, CAPTURE.trades()[SYMBOL])
        right_again(stream)


def a_flood_of_pings_is_borne():
    with Bus() as bus:
        stream, feed, venue, _ = play(bus, {"do": "ping_flood", "pings": 2000, "at": 2000})
        check(venue["fault_ping_flood"] == 1 and feed["connects"] == 1 and not stream.gaps, feed)
        right_again(stream)


def http_errors_on_the_snapshot_are_overcome():
    with Bus() as bus:
        stream, feed, venue, _ = play(bus, {"do": "http_status", "path": "/api/v3/depth", "status": 503, "count": 2},
                                      {"do": "http_status", "path": "/api/v3/exchangeInfo", "status": 429})
        check(venue["fault_http_status"] == 3, venue)
        right_again(stream)


def a_stale_snapshot_is_not_believed():
    with Bus() as bus:
        stream, feed, venue, _ = play(bus, {"do": "drop", "match": "@depth", "at": 500},
                                      {"do": "stale_snapshot", "path": "/api/v3/depth", "at": 2})
        check(venue["fault_stale_snapshot"] == 1, venue)
        right_again(stream)


def refused_connections_are_tried_again():
    with Bus() as bus:
        stream, feed, venue, _ = play(bus, {"do": "refuse_connections", "for": "700ms", "at": 1500},
                                      {"do": "close", "at": 1500}, speed="30")
        check(venue["refused"] >= 1 and feed["connect_failures"] >= 1 and feed["connects"] == 2, feed, venue)
        right_again(stream)


def the_same_seed_makes_the_same_faults():
    def received(seed):
        with Bus() as bus:
            rules = [{"do": kind, "probability": 0.01} for kind in ("drop", "duplicate", "reorder", "corrupt", "wrong_number")]
            rules[-1]["after"] = '"p":'
            venue, port = start_venue(bus, "--speed=max", "--wait-snapshot=0", "--exit-at-end", "--faults-file",
                                      script(bus, *rules, seed=seed), captures=[SHORT])
            messages, closed = drain(websocket.connect(port, "/stream?streams=" + "/".join(STREAMS)))
            end(venue)
            return messages
    first = received(7)
    check(first == received(7), "another run, other faults")
    check(first != received(8), "another seed, the same faults")


def silence_answers_no_ping_and_ends():
    with Bus() as bus:
        venue, port = start_venue(bus, "--wait-snapshot=0", "--faults-file", script(bus, {"do": "silence", "for": "600ms"}))
        begun = time.monotonic()
        client = websocket.connect(port, "/stream?streams=" + STREAMS[0])
        until(lambda: counters(bus, "venue").get("fault_silence") == 1, "the fault")
        client.send(b"hello", websocket.PING)
        final, opcode, payload = client.receive_frame()
        while opcode != websocket.PONG:
            final, opcode, payload = client.receive_frame()
        check(payload == b"hello" and time.monotonic() - begun >= 0.6, payload)
        stop(venue)


def wrong_scripts_are_refused_with_their_line():
    with Bus() as bus:
        path = os.path.join(bus.base, "bad.yaml")
        with open(path, "w", encoding="ascii") as file:
            file.write("- {at: 3, do: drop}\n- {at: 3, do: dorp}\n- {do: silence}\n")
        venue = bus.start("tickbus-venue", "--captures", DEMO, "--faults-file", path)
        end(venue, 64)
        log = log_of(venue)
        check("bad.yaml:2" in log and "did you mean drop" in log and "bad.yaml:3" in log and "how long" in log, log)


if __name__ == "__main__":
    tests = [value for name, value in list(globals().items())
             if callable(value) and getattr(value, "__module__", "") == "__main__" and hasattr(value, "__code__")
             and value.__code__.co_argcount == 0 and value.__code__.co_flags & 0x0c == 0]
    wanted = sys.argv[1:]
    run_tests([test for test in tests if not wanted or test.__name__ in wanted], at_once=8)
