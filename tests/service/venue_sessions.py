#!/usr/bin/env python3
"""Recorded sessions of venues other than Binance spot through `venue` and `feed`: the stream equals the facts."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ["TICKBUS_SOURCE"], "tests", "data"))
import facts
from buslook import Bus, check, end, run_tests
from feed import Stream, counters, play, same_book, same_trades


def session(capture):
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
        seen = counters(bus)
        check(seen["frames_bad"] == 0 and seen["gaps"] == 0 and seen["connects"] == 1, seen)
        return seen


def binance_futures_equal_their_facts():
    for capture in facts.futures():
        seen = session(capture)
        check(seen["bbo_equal"] == capture.bbo_equal() and seen["bbo_different"] == 0, seen)


if __name__ == "__main__":
    if not facts.futures():
        sys.exit(77)
    tests = [value for name, value in list(globals().items())
             if callable(value) and getattr(value, "__module__", "") == "__main__" and hasattr(value, "__code__")
             and value.__code__.co_argcount == 0]
    wanted = sys.argv[1:]
    run_tests([test for test in tests if not wanted or test.__name__ in wanted])
