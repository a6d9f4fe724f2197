#!/usr/bin/env python3
"""The whole of tickbus-feed, libraries and all, allocates nothing per frame once it runs: counted, over TCP and TLS.

Over TLS 1.3 OpenSSL 3.0 itself makes and frees one small block for each record (the packet writer for the
record's header, in tls13_enc); a frame of the test is a record. Nothing beside that is allowed.
"""
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.environ["TICKBUS_SOURCE"], "tests", "data"))
import websocket
from buslook import BUILD, Bus, check, run_tests, stop, until
from certificates import certificates
from feed import counters, rest, start_feed, subscribed, trade, wait_close
from feed_handover import depth, quote

FRAMES = 5000
HOUSEKEEPING = 50  # the statistics page looks at /proc now and then, whatever comes
COUNTER = os.path.join(BUILD, "tests", "allocations.so")


def allocations(bus):
    with open(os.path.join(bus.base, "allocations"), "rb") as file:
        return struct.unpack("<Q", file.read(8))[0]


def frames(first, count):
    for n in range(first, first + count):
        yield trade(n)
        yield quote(n)
        yield depth(n, n)


def nothing_per_frame(secure):
    def on_socket(stream, number):
        subscribed(stream)
        streams.append(stream)
        wait_close(stream)

    def send(first, count):
        for text in frames(first, count):
            streams[0].send(text)
        until(lambda: counters(bus).get("trades") == first + count - 11, "the frames", 60)
    streams = []
    with Bus() as bus:
        at = certificates(bus.base)
        tls = (at("good.pem"), at("good.key")) if secure else ()
        with websocket.Server(on_socket, rest, *tls) as server:
            host = "s://localhost:%d" % server.port if secure else "://127.0.0.1:%d" % server.port
            feed = start_feed(bus, server.port, "--url=ws" + host, "--rest-url=http" + host, "--ca-file", at("ca.pem"),
                              env=dict(os.environ, LD_PRELOAD=COUNTER, XDG_CACHE_HOME=bus.base,
                                       TICKBUS_ALLOCATIONS=os.path.join(bus.base, "allocations")))
            until(lambda: streams, "the connection")
            send(11, 500)  # the snapshot is joined, what is allocated once is
            until(lambda: counters(bus)["snapshots"] == 1, "the book")
            before = allocations(bus)
            check(before > 1000, "it does not count", before)
            send(511, FRAMES)
            spent = allocations(bus) - before
            openssls = 3 * FRAMES + 1 if secure else 0
            check(spent <= openssls + HOUSEKEEPING, spent, "allocations in", 3 * FRAMES, "frames", "TLS" if secure else "TCP")
            stop(feed)


def nothing_per_frame_over_tcp():
    nothing_per_frame(False)


def nothing_per_frame_over_tls():
    nothing_per_frame(True)


if __name__ == "__main__":
    run_tests([nothing_per_frame_over_tcp, nothing_per_frame_over_tls])
