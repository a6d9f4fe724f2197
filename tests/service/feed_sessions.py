#!/usr/bin/env python3
"""tickbus-feed with whole recorded sessions: equal to their facts, also over kills, a venue that dies, slow readers."""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.environ["TICKBUS_SOURCE"], "tests", "data"))
import facts
from buslook import Bus, check, end, log_of, run_tests, until
from feed import BIG, Stream, counters, covered_once, play, same_book, same_top, same_trades, session, start_feed
from venue import start as start_venue


def every_recorded_session_equals_its_facts():
    for capture in facts.captures():
        with Bus() as bus:
            venue, feed = play(bus, capture)
            end(feed, deadline=60)
            end(venue)
            stream = Stream(bus)
            check(stream.state == "done", stream.state)
            check(not stream.gaps, capture.name, "has gaps", stream.gaps[:3])
            for symbol, expected in capture.trades().items():
                same_trades(stream, symbol, expected)
            for symbol, expected in capture.books().items():
                same_book(stream, symbol, expected)
            counters = bus.stats("feed").counters
            check(counters["bbo_equal"] == capture.bbo_equal() and counters["bbo_different"] == 0, counters)
            check(counters["frames_bad"] == 0 and counters["gaps"] == 0, counters)
            check(stream.status[0][0] == 1 and stream.status[-1][0] == 6, stream.status)


def a_killed_feed_says_exactly_what_it_missed():
    capture = session()
    (symbol, expected), = capture.trades().items()
    with Bus() as bus:
        venue, feed = play(bus, capture, speed="240")
        port = int(open(os.path.join(bus.base, "venue.port")).read())
        for kills in range(2):
            if 2000 + 7000 * kills < expected["trades"] * 0.9:
                # Of this life: the venue waits for nobody, and what it has left depends on how late the kill came.
                until(lambda: (s := bus.stats("feed")) and s.pid == feed.pid and s.counters.get("trades", 0) > 1000, "trades", 60)
                feed.kill()
                feed.wait()
                feed = start_feed(bus, port, "--venue", capture.venue, "--finite", "--capacity", BIG)
        end(feed, deadline=90)
        end(venue)
        stream = Stream(bus)
        check(stream.state == "done", stream.state)
        ids = [(t[0], t[0]) for t in stream.trades[symbol]]
        covered_once(stream, symbol, 1, ids, expected["first_id"], expected["last_id"])
        gaps = [g for g in stream.gaps if g[1] in (1, 2)]
        check(len([g for g in gaps if g[1] == 1]) >= 1 and {g[4] for g in gaps} == {3}, gaps)
        check([g for g in stream.gaps if g[1] == 2], "no gap in the book")
        synced = [s for s in stream.status if s[0] == 3]
        check(len(synced) >= 2, "not synced again", stream.status)
        same_top(stream, capture, symbol)


def a_venue_that_died_and_came_back_is_found_again():
    capture = session()
    (symbol, expected), = capture.trades().items()
    with Bus() as bus:
        venue, feed = play(bus, capture, speed="240")
        port = int(open(os.path.join(bus.base, "venue.port")).read())
        until(lambda: (s := bus.stats("feed")) and s.counters.get("trades", 0) > 500, "trades", 60)
        venue.kill()
        venue.wait()
        until(lambda: "ev=degraded" in log_of(feed), "the feed to notice")
        again, _ = start_venue(bus, "--venue", capture.venue, "--speed=max", "--exit-at-end", "--port", str(port),
                               "--wait-snapshot=100ms", captures=capture.files, name="venue2")
        end(feed, deadline=60)
        end(again)
        stream = Stream(bus)
        same_trades(stream, symbol, expected)  # the venue told everything once more
        check(not [g for g in stream.gaps if g[1] == 1], stream.gaps)
        codes = [s[0] for s in stream.status]
        check(codes.count(1) == 2 and codes.count(2) == 1, codes)
        same_top(stream, capture, symbol)


def a_stopped_reader_changes_nothing_for_the_feed():
    capture = session()
    with Bus() as bus:
        venue, feed = play(bus, capture, "--capacity=4096")
        until(lambda: os.path.exists(bus.path("feed.ring")), "the ring")
        reader = bus.start("tickbus-tail", "feed", "--follow") if os.path.exists(
            os.path.join(os.environ["TICKBUS_BUILD"], "tickbus-tail")) else None
        if reader:
            reader.send_signal(signal.SIGSTOP)
        end(feed, deadline=60)
        end(venue)
        check(counters(bus)["trades"] == sum(t["trades"] for t in capture.trades().values()))


def a_gate_that_stands_still_holds_the_venue_and_nothing_is_lost():
    capture = session()
    with Bus() as bus:
        reader = bus.start("tickbus-candles", "--streams=feed", "--until-done")
        venue, feed = play(bus, capture, "--pace=gated", "--gates=candles", "--silence=600ms", "--capacity=4096")
        until(lambda: counters(bus).get("trades", 0) > 100, "trades")
        reader.send_signal(signal.SIGSTOP)
        seen = []

        def stands():
            seen.append(counters(bus, "venue").get("events_played", 0))
            return seen[-200:].count(seen[-1]) == 200 and len(seen) > 200
        until(stands, "the venue to stand")  # longer than the silence that the feed allows
        reader.send_signal(signal.SIGCONT)
        end(feed, deadline=60)
        end(venue)
        end(reader)  # 75 if it had lost a record
        final = counters(bus)
        check(final["trades"] == sum(t["trades"] for t in capture.trades().values()), final)
        check(final["gaps"] == 0 and final["connects"] == 1, final)

if __name__ == "__main__":
    run_tests([globals()[name] for name in sys.argv[1:]] or [
        every_recorded_session_equals_its_facts,
        a_killed_feed_says_exactly_what_it_missed,
        a_venue_that_died_and_came_back_is_found_again,
        a_stopped_reader_changes_nothing_for_the_feed,
        a_gate_that_stands_still_holds_the_venue_and_nothing_is_lost], at_once=2)
