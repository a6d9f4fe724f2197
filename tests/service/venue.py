#!/usr/bin/env python3
"""tickbus-venue seen by a client that shares no code with it: frames byte for byte, answers, REST, pace, pressure."""
import gzip
import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request

from buslook import SOURCE, Bus, check, end, log_of, run_tests, stop, until
import websocket

DATA = os.path.join(SOURCE, "..", "shared", "data")
DEMO = os.path.join(SOURCE, "deploy", "demo", "spot_btcusdt_20240808.gz")
FOUR = [os.path.join(DATA, "cryptofeed", "2021-10-11_BINANCE." + part + ".gz") for part in ("ws.1", "http.0")]


def start(bus, *args, captures=(DEMO,), name="venue"):
    port_file = os.path.join(bus.base, name + ".port")
    process = bus.start("tickbus-venue", "--name", name, "--captures", ",".join(captures),
                        "--port-file", port_file, *args)

    def port():
        check(process.poll() is None, "venue ended:", log_of(process))
        return os.path.exists(port_file) and int(open(port_file).read())
    return process, until(port, "the port")


def recorded(path):
    """The frames of an hftbacktest file as (stream, bytes)."""
    frames = []
    with gzip.open(path, "rb") as file:
        for line in file:
            frame = line.rstrip(b"\n").split(b" ", 1)[1]
            if frame.startswith(b'{"stream":"'):
                frames.append((frame.split(b'"', 4)[3].decode(), frame))
    return frames


def ask(client, **message):
    client.send(json.dumps(message))
    return json.loads(client.receive())


def get(port, path):
    try:
        with urllib.request.urlopen("http://127.0.0.1:%d%s" % (port, path), timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def drain(client):
    """Every message until the close, and the close."""
    messages = []
    try:
        while True:
            messages.append(client.receive())
    except websocket.Closed as closed:
        return messages, closed.args


STREAMS = ["btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms"]


def combined_frames_are_the_recorded_bytes():
    with Bus() as bus:
        venue, port = start(bus, "--speed=max", "--wait-snapshot=0", "--exit-at-end")
        client = websocket.connect(port, "/stream?streams=" + "/".join(STREAMS))
        messages, closed = drain(client)
        check(closed == (1000, "the recording is over"), closed)
        expected = [frame for _, frame in recorded(DEMO)]
        check(len(messages) == len(expected), len(messages), "frames of", len(expected))
        check(messages == expected, "a frame differs")
        end(venue)


def bare_frames_are_the_data_of_the_recorded_ones():
    with Bus() as bus:
        venue, port = start(bus, "--speed=max")
        client = websocket.connect(port, "/ws/btcusdt@trade")
        messages, closed = drain(client)
        expected = [frame.split(b'"data":', 1)[1][:-1] for stream, frame in recorded(DEMO) if stream == STREAMS[0]]
        check(messages == expected, len(messages), "of", len(expected))
        check(closed[0] == 1000, closed)
        stop(venue)


def control_messages_are_answered_as_the_venue_does():
    with Bus() as bus:
        venue, port = start(bus, "--wait-subscriptions=100", "--limits=false")
        client = websocket.connect(port, "/stream")
        check(ask(client, method="SUBSCRIBE", params=STREAMS[:2], id=1) == {"result": None, "id": 1})
        check(ask(client, method="SUBSCRIBE", params=["nosuch@trade", "BTCUSDT@trade"], id="x") ==
              {"result": None, "id": "x"})
        check(sorted(ask(client, method="LIST_SUBSCRIPTIONS", id=2)["result"]) ==
              sorted(STREAMS[:2] + ["nosuch@trade", "BTCUSDT@trade"]))
        check(ask(client, method="UNSUBSCRIBE", params=[STREAMS[0], "never@trade"], id=3) == {"result": None, "id": 3})
        check(STREAMS[0] not in ask(client, method="LIST_SUBSCRIPTIONS", id=4)["result"])
        check(ask(client, method="GET_PROPERTY", params=["combined"], id=5) == {"result": True, "id": 5})
        check(ask(client, method="SET_PROPERTY", params=["combined", False], id=6) == {"result": None, "id": 6})
        check(ask(client, method="SET_PROPERTY", params=["combined", 7], id=6)["code"] == 1)
        check(ask(client, method="SET_PROPERTY", params=["size", True], id=6)["code"] == 0)
        check(ask(client, method="SUBSCRIBE", params="x", id=7)["code"] == 2)
        check(ask(client, method="DANCE", id=8)["code"] == 2)
        check(ask(client, id=9)["code"] == 2)
        for garbage in ("{", "[1,", '{"method":"SUBSCRIBE"', "\x01", '"'):
            client.send(garbage)
            check(json.loads(client.receive())["code"] == 3, garbage)
        stop(venue)


def a_client_that_sends_too_much_is_cut_off():
    with Bus() as bus:
        venue, port = start(bus)
        client = websocket.connect(port, "/ws")
        for i in range(6):
            client.send('{"method":"LIST_SUBSCRIPTIONS","id":%d}' % i)
        messages, closed = drain(client)
        check(len(messages) == 5 and closed[0] == 1008, messages, closed)
        long = websocket.connect(port, "/ws")
        long.send('{"method":"SUBSCRIBE","params":["' + "x" * 9000 + '"],"id":1}')
        check(drain(long)[1][0] == 1008)
        stop(venue)


def unknown_paths_are_refused():
    with Bus() as bus:
        venue, port = start(bus)
        for path in ("/", "/nope", "/api/v3/ping", "/wsx"):
            try:
                websocket.connect(port, path)
                check(False, path, "was upgraded")
            except (ConnectionRefusedError, websocket.Closed):
                pass
        stop(venue)


def rest_answers_what_the_venue_would():
    with Bus() as bus:
        venue, port = start(bus)
        check(get(port, "/api/v3/ping") == (200, {}))
        check(abs(get(port, "/api/v3/time")[1]["serverTime"] / 1000 - time.time()) < 5)
        unknown = (400, {"code": -1121, "msg": "Invalid symbol."})
        check(get(port, "/api/v3/depth?symbol=NOPE&limit=5") == unknown)
        check(get(port, "/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22,%22NOPE%22%5D") == unknown)
        check(get(port, "/api/v3/depth")[0] == 400)
        check(get(port, "/api/v3/depth?symbol=BTCUSDT&limit=x")[0] == 400)
        for query in ("", "?symbol=BTCUSDT", "?symbols=%5B%22BTCUSDT%22%5D"):
            status, listing = get(port, "/api/v3/exchangeInfo" + query)
            (symbol,) = listing["symbols"]
            check((symbol["symbol"], symbol["baseAsset"], symbol["quoteAsset"]) == ("BTCUSDT", "BTC", "USDT"))
            filters = {f["filterType"]: f for f in symbol["filters"]}
            check(filters["PRICE_FILTER"]["tickSize"] == "0.01000000", filters)
        status, depth = get(port, "/api/v3/depth?symbol=BTCUSDT&limit=3")
        check(len(depth["bids"]) == 3 and depth["lastUpdateId"] == 50093239218, depth)
        check(depth["bids"][0] == ["61837.63000000", "3.78826000"], depth["bids"])
        stop(venue)


def the_recorded_snapshot_is_served_first_and_the_book_of_now_later():
    with Bus() as bus:
        venue, port = start(bus, "--speed=max", "--wait-snapshot=20s", "--close-at-end=false")
        client = websocket.connect(port, "/stream?streams=" + STREAMS[2])
        check(b'"U":50093239189' in client.receive())
        snapshot = json.loads(next(line for line in gzip.open(DEMO, "rb") if b" {\"lastUpdateId" in line)
                              .split(b" ", 1)[1])
        check(get(port, "/api/v3/depth?symbol=BTCUSDT&limit=1000")[1] == snapshot, "not the recorded snapshot")
        book = {side: {p: q for p, q in snapshot[side]} for side in ("bids", "asks")}
        events = [json.loads(frame)["data"] for stream, frame in recorded(DEMO) if stream == STREAMS[2]]
        for event in events[1:]:
            check(json.loads(client.receive())["data"] == event)
            if event["u"] <= snapshot["lastUpdateId"]:
                continue
            for side, key in (("bids", "b"), ("asks", "a")):
                for price, size in event[key]:
                    book[side].pop(price, None)
                    if float(size):
                        book[side][price] = size
        status, late = get(port, "/api/v3/depth?symbol=BTCUSDT&limit=5000")
        check(late["lastUpdateId"] == events[-1]["u"])
        for side, sign in (("bids", -1), ("asks", 1)):
            expected = sorted(([p, q] for p, q in book[side].items()), key=lambda level: sign * float(level[0]))
            check(late[side] == expected[:5000], side, "of the late snapshot differ")
        stop(venue)


def frames_come_at_the_recorded_pace_times_n():
    with Bus() as bus:
        venue, port = start(bus, "--speed=50", "--wait-snapshot=0")
        times = [int(line.split(b" ", 1)[0]) for line in gzip.open(DEMO, "rb") if b'{"stream"' in line]
        begun, late = time.monotonic(), 0.0
        client = websocket.connect(port, "/stream?streams=" + "/".join(STREAMS))
        for i in range(10000):
            client.receive()
            due = (times[i] - times[0]) / 1e9 / 50
            # Never before its time, counted from before the clock can have started.
            check(time.monotonic() - begun >= due, "frame", i, "is early")
            late = max(late, time.monotonic() - begun - due)
        check(late < 5, "late by", late)
        stop(venue)


def a_client_that_does_not_read_holds_the_recording_and_loses_nothing():
    with Bus() as bus:
        venue, port = start(bus, "--speed=max", "--wait-snapshot=0")
        client = websocket.connect(port, "/stream?streams=" + "/".join(STREAMS))
        played = []

        def stands():
            count = bus.stats("venue").counters["events_played"]
            played.append(count)
            return count > 0 and played[-60:].count(count) == 60
        until(stands, "back-pressure")
        check(played[-1] < len(recorded(DEMO)), "everything was sent to a client that reads nothing")
        messages, closed = drain(client)
        check(messages == [frame for _, frame in recorded(DEMO)], "frames were lost")
        stop(venue)


def pings_come_and_a_client_that_does_not_answer_is_cut_off():
    with Bus() as bus:
        venue, port = start(bus, "--ping-every=100ms", "--pong-timeout=500ms")
        good, bad = websocket.connect(port, "/ws"), websocket.connect(port, "/ws")
        pings = 0
        while pings < 8:
            final, opcode, payload = good.receive_frame()
            check(opcode == websocket.PING, opcode)
            good.send(payload, websocket.PONG)
            pings += 1
        try:
            while True:
                final, opcode, payload = bad.receive_frame()
                if opcode == websocket.CLOSE:
                    check(payload[:2] == (1008).to_bytes(2, "big"), payload)
                    break
        except websocket.Closed:
            pass
        check(bus.stats("venue").counters["clients"] >= 1)
        stop(venue)


def many_symbols_have_books_of_their_own():
    if not os.path.exists(FOUR[0]):
        return
    with Bus() as bus:
        venue, port = start(bus, "--speed=max", captures=FOUR)
        listing = get(port, "/api/v3/exchangeInfo")[1]["symbols"]
        check(sorted(s["symbol"] for s in listing) == ["BLZETH", "LRCBTC", "NKNUSDT", "RUNEEUR"], listing)
        ids = {s: get(port, "/api/v3/depth?symbol=%s&limit=1000" % s)[1]["lastUpdateId"]
               for s in ("NKNUSDT", "BLZETH", "LRCBTC", "RUNEEUR")}
        check(ids == {"NKNUSDT": 499869752, "BLZETH": 281916627, "LRCBTC": 259345543, "RUNEEUR": 15602511}, ids)
        stop(venue)


def bad_input_is_one_clear_line():
    with Bus() as bus:
        for args, code, text in (
                (["--captures=/nonexistent.gz"], None, "/nonexistent.gz"),
                (["--captures=" + DEMO, "--speed=fast"], 64, "is no speed"),
                (["--captures=" + DEMO, "--venue=bonance"], 64, "is no venue"),
                (["--captures=" + DEMO, "--certificate=/x"], 64, "TLS needs both"),
                (["--captures=" + os.path.join(SOURCE, "README.md")], None, "README.md")):
            process = bus.start("tickbus-venue", *args)
            got = process.wait(20)
            check(got not in (0, -6, -11) and (code is None or got == code), args, got, log_of(process))
            check(text in log_of(process), args, log_of(process))
        with socket.create_server(("127.0.0.1", 0)) as other:
            for args, text in ((["--port=%d" % other.getsockname()[1]], "Address already in use"),
                               (["--host=nohost.invalid"], "no such address"),
                               (["--certificate=/x", "--key=/x"], "cannot read /x: No such file")):
                process = bus.start("tickbus-venue", "--captures", DEMO, *args)
                end(process, 74)
                said = [line for line in log_of(process).splitlines() if "level=error" in line or "level=warn" in line]
                check(len(said) == 2 and text in said[0] and "ev=ended" in said[1], said)


if __name__ == "__main__":
    tests = [value for name, value in list(globals().items())
             if callable(value) and getattr(value, "__module__", "") == "__main__" and value.__code__.co_argcount == 0]
    wanted = sys.argv[1:]
    run_tests([test for test in tests if not wanted or test.__name__ in wanted])
