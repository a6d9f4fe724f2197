#!/usr/bin/env python3
"""`tickbus book`: what a venue sent is what is shown, to the digit; bad from a gap on; on terminals of any size."""
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from decimal import Decimal

sys.path.insert(0, os.path.join(os.environ["TICKBUS_SOURCE"], "tests", "data"))
import facts
import websocket
from buslook import BUILD, Bus, check, end, log_of, run_tests, stop, until
from feed import counters, rest, start_feed, subscribed, wait_close

PROGRAM = os.path.join(BUILD, "tickbus-book")


def book(bus, *args, code=0, env=None):
    done = subprocess.run([PROGRAM, "--directory", bus.base, "--bus", "b", *args], capture_output=True, text=True,
                          timeout=30, env=dict(os.environ, LC_ALL="C.UTF-8", **(env or {})))
    check(done.returncode == code, args, "exit", done.returncode, done.stdout, done.stderr)
    return done.stdout if code in (0, 75) else done.stderr


def as_json(bus, *args, code=0):
    return [json.loads(line, parse_float=Decimal, parse_int=Decimal)
            for line in book(bus, "--once", "--json", *args, code=code).splitlines()]


def depth(first, last, bids=(), asks=()):
    return json.dumps({"stream": "btcusdt@depth@100ms", "data": {
        "e": "depthUpdate", "E": 1700000000000, "s": "BTCUSDT", "U": first, "u": last, "b": list(bids), "a": list(asks)}})


class Market:
    """A feed of BTC/USDT whose book is 1.00 x 1 / 2.00 x 1 at update 10, and what the test sends then."""

    def __init__(self, bus, *args, stream="feed", **more):
        self.bus, self.more, self.go = bus, [], threading.Event()
        self.server = websocket.Server(self.on_socket, rest)
        self.process = start_feed(bus, self.server.port, "--channels=book", "--name", stream, *args, stream=stream, **more)
        self.stream = stream
        until(lambda: counters(bus, stream).get("snapshots") == 1, "the book")

    def on_socket(self, stream, number):
        subscribed(stream)
        stream.send(depth(9, 10))
        self.socket = stream
        wait_close(stream)

    def send(self, *message):
        before = counters(self.bus, self.stream)["frames"]
        self.socket.send(depth(*message))
        until(lambda: counters(self.bus, self.stream)["frames"] > before, "the frame")


def every_digit_is_the_venues():
    with Bus() as bus:
        market = Market(bus)
        market.send(11, 12, [["1.50", "0.00001"], ["1.49", "2"]], [["2.00", "0.10000"], ["61837.60", "12345.67891"]])
        (seen,) = as_json(bus, "BTC/USDT")
        check(seen["state"] == "valid" and seen["why"] is None and seen["alive"] and seen["gaps"] == 0, seen)
        check(seen["bids"] == [[Decimal("1.5"), Decimal("0.00001")], [Decimal("1.49"), 2], [1, 1]], seen)
        check(seen["asks"] == [[2, Decimal("0.1")], [Decimal("61837.6"), Decimal("12345.67891")]], seen)
        check((seen["spread"], seen["update_id"], seen["bid_levels"]) == (Decimal("0.5"), 12, 3), seen)
        check(0 <= seen["age_seconds"] < 60, seen)
        lines = book(bus, "--once", "--depth=3").splitlines()
        check([line.split()[:3] for line in lines if re.match(r" +\d", line)] == [
            ["61837.60", "12345.67891", "12345.77891"], ["2.00", "0.10000", "0.10000"],
            ["1.50", "0.00001", "0.00001"], ["1.49", "2.00000", "2.00001"], ["1.00", "1.00000", "3.00001"]], lines)
        check("spread 0.50" in "".join(lines) and "BTC/USDT" in lines[0] and "valid" in lines[0], lines)
        check("\033" not in "".join(lines) and len(lines) == 2 * 3 + 6, lines)
        stop(market.process)


def a_gap_makes_it_bad_until_the_next_snapshot():
    with Bus() as bus:
        market = Market(bus)
        market.send(15, 15, [["1.10", "1"]])
        (seen,) = as_json(bus, code=75)
        check(seen["state"] == "bad" and seen["gaps"] == 1 and seen["missing"] == 4, seen)
        check("gap (sequence), 4 updates missing" in seen["why"], seen)
        text = book(bus, "--once", code=75)
        check("BAD: gap (sequence)" in text.splitlines()[0], text)
        stop(market.process)
        check("its feed was stopped" in book(bus, "--once", code=75))


def output_that_goes_nowhere_ends_it():
    with Bus() as bus:
        market = Market(bus)
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([PROGRAM, "--directory", bus.base, "--bus", "b", "--once"], stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=30)
        check(done.returncode == 74 and "cannot write: No space left" in done.stderr, done)
        reader = subprocess.Popen([PROGRAM, "--directory", bus.base, "--bus", "b", "--json", "--interval=20ms"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        check(json.loads(reader.stdout.readline())["state"] == "valid")
        reader.stdout.close()
        market.send(11, 11, [["1.50", "1"]])
        check(reader.wait(20) == 0 and reader.stderr.read() == "")
        stop(market.process)


def unknown_names_are_answered_with_near_ones():
    with Bus() as bus:
        market = Market(bus, symbols="BTC/USDT,BTC/EUR")
        check("no stream here has BTC/USDX; did you mean BTC/USDT (feed), BTC/EUR (feed)?" in book(bus, "BTC/USDX", code=69))
        check("did you mean BTC/USDT (feed)" in book(bus, "btcusdt", code=69))
        check("which market" in (text := book(bus, code=64)) and "BTC/EUR" in text, text)
        check(as_json(bus, "BTC/EUR", code=75)[0]["state"] == "none")
        book(bus, "--once", "A", "B", code=64)
        stop(market.process)


def several_venues_are_shown_together():
    with Bus() as bus:
        markets = [Market(bus, "--venue=" + venue, stream=venue) for venue in ("binance", "binanceus")]
        seen = as_json(bus, "BTC/USDT")
        check([s["venue"] for s in seen] == ["binance", "binanceus"], seen)
        check(len(as_json(bus, "BTC/USDT", "--venue=binanceus")) == 1)
        check(book(bus, "BTC/USDT", "--once").count("BTC/USDT") == 2)
        for market in markets:
            stop(market.process)


class Terminal:
    """The program on a terminal of its own; `text` is what the last picture says, line by line."""

    def __init__(self, bus, rows, columns, *args, env=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execve(PROGRAM, [PROGRAM, "--directory", bus.base, "--bus", "b", *args],
                      dict(os.environ, TERM="xterm-256color", LC_ALL="C.UTF-8", **(env or {})))
        self.raw = b""
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            while more := os.read(self.fd, 1 << 16):
                self.raw += more
        except OSError:
            pass  # its end

    def picture(self):
        """The last whole one, without escape sequences."""
        pictures = self.raw.decode(errors="replace").split("\033[H")
        whole = pictures[-2] if len(pictures) > 2 else ""
        return [re.sub(r"\033\[[0-9;?]*[a-zA-Z]", "", line).rstrip() for line in whole.splitlines()]

    def quit(self):
        os.write(self.fd, b"q")
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def it_is_watched_on_terminals_of_any_size():
    with Bus() as bus:
        market = Market(bus)
        for rows, columns, env in ((24, 80, {}), (50, 200, {}), (10, 30, {"NO_COLOR": "1"}), (2, 4, {})):
            terminal = Terminal(bus, rows, columns, "--interval=20ms", env=env)
            until(terminal.picture, "a picture")
            shown = terminal.picture()
            check(len(shown) <= rows and max(map(len, shown)) <= columns, rows, columns, shown)
            if rows >= 10:
                check((b"\033[38;5;" in terminal.raw) == (not env), terminal.raw[-400:])
            if rows >= 24:
                check(any("1.00" in line and "█" in line for line in shown), shown)
                check(any("levels 1 + 1" in line for line in shown), shown)
            check(terminal.quit() == 0)
        stop(market.process)


def a_feed_that_ends_and_begins_again_is_followed():
    with Bus() as bus:
        market = Market(bus)
        terminal = Terminal(bus, 24, 100, "--interval=20ms")
        until(lambda: any("valid" in line for line in terminal.picture()), "the book")
        market.process.kill()
        market.process.wait()
        until(lambda: any("its feed died" in line for line in terminal.picture()), "its end to be shown")
        again = start_feed(bus, market.server.port, "--channels=book", "--new-epoch")
        until(lambda: any("valid" in line and "died" not in line for line in terminal.picture()), "a new epoch")
        check(terminal.quit() == 0)
        stop(again)


def a_late_start_gets_it_from_the_journal():
    with Bus() as bus:
        journal = os.path.join(bus.base, "journal")
        keeper = bus.start("tickbus-journal", "--streams=feed", "--journal", journal)
        market = Market(bus, "--capacity=64", "--pace=gated", "--gates=journal")
        for n in range(11, 200):
            market.socket.send(depth(n, n, [["1.%02d" % (n % 100), str(n)]]))
        until(lambda: counters(bus, "feed")["book_events"] >= 189, "all of them")
        until(lambda: counters(bus, "journal").get("records_read", 0) >= bus.ring("feed").last, "the journal", 20)
        check(as_json(bus, code=75)[0]["state"] == "none")
        check("--journal may have it" in book(bus, "--once", code=75))
        (seen,) = as_json(bus, "--journal", journal, "--depth=1000")
        check(seen["state"] == "valid" and seen["update_id"] == 199 and len(seen["bids"]) == 100, seen)
        check(seen["bids"][0] == [Decimal("1.99"), 199] and seen["bids"][-1] == [Decimal("1"), 100], seen["bids"][0])
        stop(market.process)
        stop(keeper)


def a_recorded_session_ends_with_the_book_of_its_facts():
    capture = facts.captures()[0]
    with Bus() as bus:
        end(bus.start("tickbus-replay", "--captures", ",".join(capture.files), "--venue", capture.venue,
                      "--stream=replayed", "--speed=max", "--capacity=1048576"), deadline=60)
        for symbol, top in capture.books().items():
            (seen,) = as_json(bus, symbol, "--depth=20")
            for side in ("bids", "asks"):
                check(seen[side] == [[Decimal(p), Decimal(q)] for p, q in top[side]], symbol, side, seen[side][:3])
            check(seen["age_seconds"] is None and seen["state"] == "valid", seen)
            check("its feed is done" in book(bus, symbol, "--once"))


if __name__ == "__main__":
    run_tests([every_digit_is_the_venues,
               a_gap_makes_it_bad_until_the_next_snapshot,
               output_that_goes_nowhere_ends_it,
               unknown_names_are_answered_with_near_ones,
               several_venues_are_shown_together,
               it_is_watched_on_terminals_of_any_size,
               a_feed_that_ends_and_begins_again_is_followed,
               a_late_start_gets_it_from_the_journal,
               a_recorded_session_ends_with_the_book_of_its_facts])
