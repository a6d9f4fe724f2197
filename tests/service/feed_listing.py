#!/usr/bin/env python3
"""tickbus-feed and the copy of the venue's listing: kept at each start, gone by when the venue does not give one."""
import glob
import os
import sys

sys.path.insert(0, os.path.join(os.environ["TICKBUS_SOURCE"], "tests", "data"))
import websocket
from buslook import Bus, check, end, log_of, run_tests, stop, until
from feed import counters, rest, start_feed, subscribed, trade, wait_close


def on_socket(stream, number):
    subscribed(stream)
    stream.send(trade(number))
    wait_close(stream)


class Venue:
    """One that can stop giving its listing."""

    def __init__(self):
        self.listing = None  # the answer instead of the real one
        self.server = websocket.Server(on_socket, self.get)
        self.port = self.server.port

    def get(self, path):
        return self.listing if self.listing and "/exchangeInfo" in path else rest(path)

    def asked(self):
        return [path for path in self.server.requests if "/exchangeInfo" in path]


def copy_of(bus):
    (path,) = glob.glob(os.path.join(bus.base, "cache", "tickbus", "binance-*.listing"))
    return path


def start_once(bus, venue, *args, **more):
    """A feed until its first trade; what it logged."""
    seen = venue.server.sockets
    feed = start_feed(bus, venue.port, "--channels=trade", *args, **more)
    until(lambda: venue.server.sockets > seen and bus.stats("feed").pid == feed.pid and counters(bus).get("trades", 0) >= 1,
          "a trade")
    return feed


def each_start_keeps_a_copy_and_the_first_one_the_whole():
    venue = Venue()
    with Bus() as bus:
        stop(start_once(bus, venue))
        lines = open(copy_of(bus), encoding="utf-8").read().splitlines()
        check(lines[0] == "tickbus-listing 1" and lines[1] == "venue\tbinance" and lines[4] == "complete\tyes", lines)
        check(lines[5] == "BTC/USDT\tBTCUSDT\t-2\t-5" and len(lines) == 10, lines)
        stop(start_once(bus, venue))
        check(["symbols=" in path for path in venue.asked()] == [False, True], venue.asked())
        check(counters(bus)["listing_age_seconds"] == 0)
        check(not glob.glob(copy_of(bus) + ".*"))


def a_start_without_the_venues_listing_goes_by_the_copy_and_says_so():
    venue = Venue()
    with Bus() as bus:
        stop(start_once(bus, venue))
        for answer in ((503, b"{}"), (200, b"no json"), (429, b"{}")):
            venue.listing = answer
            feed = start_once(bus, venue)
            line = [line for line in log_of(feed).splitlines() if "ev=listing_cached" in line]
            check(len(line) == 1 and "age_seconds=" in line[0] and "taken=20" in line[0], log_of(feed))
            stats = bus.stats("feed")
            check(stats.state == "degraded" and "by the copy of the listing of 20" in stats.note, stats.state, stats.note)
            stop(feed)


def a_start_without_any_rest_goes_by_the_copy():
    venue = Venue()
    with Bus() as bus:
        with websocket.Server(wait_close, rest) as separate:
            address = "--rest-url=http://127.0.0.1:%d" % separate.port
            stop(start_once(bus, venue, address))
        feed = start_once(bus, venue, address)
        check("ev=listing_cached" in log_of(feed) and counters(bus)["rest_failures"] >= 1, log_of(feed))
        stop(feed)


def unknown_names_are_refused_by_the_copy_too():
    venue = Venue()
    with Bus() as bus:
        stop(start_once(bus, venue))
        venue.listing = (503, b"{}")
        feed = start_feed(bus, venue.port, "--channels=trade", symbols="BTC/USDT,BTC/USDX")
        end(feed, 78)
        log = log_of(feed)
        check("symbol=BTC/USDX did_you_mean=" in log and "BTC/USDT" in log.split("did_you_mean=")[1], log)
        check("by_listing_of=20" in log and "symbol=BTC/USDT " not in log, log)


def a_damaged_copy_is_ignored_with_one_line():
    venue = Venue()
    with Bus() as bus:
        stop(start_once(bus, venue))
        path = copy_of(bus)
        whole = open(path, "rb").read()
        for damage in (b"", whole[:40], whole[:-1], whole.replace(b"BTCUSDT", b"BTCUSDX"), whole + b"x", b"\0" * 4096,
                       whole.replace(b"venue\tbinance", b"venue\tbinence")):
            with open(path, "wb") as file:
                file.write(damage)
            feed = start_once(bus, venue)
            stop(feed)
            check(log_of(feed).count("ev=listing_ignored") == 1, damage[:20], log_of(feed))
            check(open(path, "rb").read().split(b"complete", 1)[1][:50] == whole.split(b"complete", 1)[1][:50], "not made anew")


def no_copy_is_kept_if_none_is_wanted():
    venue = Venue()
    with Bus() as bus:
        stop(start_once(bus, venue, "--cache=none"))
        check(not os.path.exists(os.path.join(bus.base, "cache")))
        feed = start_once(bus, venue, "--cache=/proc/nowhere")
        check("ev=listing_not_kept" in log_of(feed), log_of(feed))
        stop(feed)
        own = os.path.join(bus.base, "a", "b")
        stop(start_once(bus, venue, "--cache", own))
        check(len(os.listdir(own)) == 1)


if __name__ == "__main__":
    run_tests([each_start_keeps_a_copy_and_the_first_one_the_whole,
               a_start_without_the_venues_listing_goes_by_the_copy_and_says_so,
               a_start_without_any_rest_goes_by_the_copy,
               unknown_names_are_refused_by_the_copy_too,
               a_damaged_copy_is_ignored_with_one_line,
               no_copy_is_kept_if_none_is_wanted])
