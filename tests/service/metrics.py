#!/usr/bin/env python3
"""tickbus-metrics on a bus: what is served and pushed is what the ring holds, whatever peers do."""
import json
import os
import shutil
import signal
import socket
import subprocess
import urllib.parse
from decimal import Decimal

from buslook import SOURCE, Bus, check, end, log_of, run_tests, stop, until
from watchlook import Peer, Source, free_port, get, listening_port, prometheus, pushgateway, samples, try_get

M = '{exchange="binance",symbol="BTC/USDT"'
TS = 1723161253937085768


def start(bus, *options):
    process = bus.start("tickbus-metrics", "--streams=binance,candles", "--listen=127.0.0.1:0", *options)
    return process, "http://127.0.0.1:%d/metrics" % listening_port(process)


def publish_session(source, candles):
    """Known trades, quotes, a book, candles: prices with 2 decimals, sizes with 5."""
    source.tell("instrument binance BTC/USDT -2 -5", "status 0 0 1")
    source.tell(*("trade 1 %d %d %d %s" % (TS + i, 6000000 + i, 10000 + i, "BA"[i % 2]) for i in range(7)))
    source.tell("clear 1 %d" % TS,
                *("level 1 %d B %d %d 0" % (TS, 6000000 - i, 10000 * (i + 1)) for i in range(25)),
                *("level 1 %d A %d %d %d" % (TS, 6000002 + i, 20000, i == 24) for i in range(25)))
    source.tell("quote 1 %d 6000000 6000001" % (TS + 9))
    candles.tell("instrument binance BTC/USDT -2 -5",
                 "candle 1 1m 1723161240000000000 6000000 6000010 5999990 6000006 70021 1")


EXPECTED = {
    "crypto_price" + M + ',type="last"}': 60000.06,
    "crypto_price" + M + ',type="bid"}': 60000.0,
    "crypto_price" + M + ',type="ask"}': 60000.01,
    "crypto_spread" + M + "}": 0.01,
    "crypto_trades_total" + M + ',side="buy"}': 4,
    "crypto_trades_total" + M + ',side="sell"}': 3,
    "crypto_trade_volume" + M + "}": 0.70021,
    "tickbus_last_trade_size" + M + "}": 0.10006,
    "crypto_candle_open" + M + ',timeframe="1m"}': 60000.0,
    "crypto_candle_high" + M + ',timeframe="1m"}': 60000.1,
    "crypto_candle_low" + M + ',timeframe="1m"}': 59999.9,
    "crypto_candle_close" + M + ',timeframe="1m"}': 60000.06,
    "crypto_candle_volume" + M + ',timeframe="1m"}': 0.70021,
    "tickbus_candle_start_timestamp_seconds" + M + ',timeframe="1m"}': 1723161240,
    "crypto_orderbook_bid_price" + M + ',level="0"}': 60000.0,
    "crypto_orderbook_bid_price" + M + ',level="19"}': 59999.81,
    "crypto_orderbook_bid_quantity" + M + ',level="19"}': 2.0,
    "crypto_orderbook_bid_cumulative" + M + ',level="19"}': 21.0,
    "crypto_orderbook_ask_price" + M + ',level="19"}': 60000.21,
    "crypto_orderbook_ask_cumulative" + M + ',level="19"}': 4.0,
    "crypto_depth" + M + ',side="bid"}': 21.0,
    "crypto_total_bids" + M + "}": 1260000.0,
    "crypto_total_asks" + M + "}": 240000.08,
    "tickbus_book_valid" + M + "}": 1,
    'tickbus_feed_connected{stream="binance"}': 1,
    'tickbus_stream_up{stream="binance"}': 1,
    'tickbus_reader_lag_records{stream="binance",reader="metrics"}': 0,
    'tickbus_reader_lost_records_total{stream="binance",reader="metrics"}': 0,
    'tickbus_service_state{service="metrics"}': 3,
}


def differences(text):
    got = samples(text)
    return {k: (got.get(k), v) for k, v in EXPECTED.items() if k not in got or float(got[k]) != v}


def what_is_served_is_what_the_ring_holds():
    with Bus() as bus:
        source, candles = Source(bus), Source(bus, "candles")
        process, url = start(bus)
        publish_session(source, candles)
        try:
            until(lambda: not differences(get(url)), "the values")
        finally:
            left = differences(get(url))
            if left:
                print(left)
        text = get(url)
        lint = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True,
                              check=False) if shutil.which("promtool") else None
        if lint:
            check(lint.returncode in (0, 3), lint.stderr)
            left = [l for l in (lint.stdout + lint.stderr).splitlines() if l and not l.startswith("crypto_trade_volume ")]
            check(not left, left)
        check("ok" in get(url.replace("/metrics", "/healthz")), "healthz")
        check("/metrics" in get(url.replace("/metrics", "/")), "index")
        check(try_get(url.replace("/metrics", "/../etc/passwd")) is None, "a path that is not there")
        stop(process)


def prometheus_and_pushgateway_hold_the_same():
    with Bus() as bus:
        gateway = pushgateway(bus)
        source, candles = Source(bus), Source(bus, "candles")
        process, url = start(bus, "--push=" + gateway.url, "--instance=BTC/USDT")
        with open(os.path.join(SOURCE, "deploy/prometheus/prometheus.yml"), encoding="utf-8") as f:
            config = f.read().replace("127.0.0.1:9108", url.split("/")[2]).replace("127.0.0.1:9091", gateway.url[7:])
        server = prometheus(bus, config.replace("rules.yml", os.path.join(SOURCE, "deploy/prometheus/rules.yml")))

        def query(expr):
            answer = json.loads(get(server.url + "/api/v1/query?" + urllib.parse.urlencode({"query": expr})))
            check(answer["status"] == "success", expr, answer)
            return [float(r["value"][1]) for r in answer["data"]["result"]]

        until(lambda: query('crypto_trades_total{job="tickbus",side="buy"}') == [0] or
              not query('count(crypto_trades_total)'), "the beginning")
        publish_session(source, candles)
        wanted = {k: v for k, v in EXPECTED.items() if "lag" not in k}
        for name, value in wanted.items():
            for job in ("tickbus", "tickbus-metrics"):
                expr = name.replace("}", ',job="%s"}' % job)
                until(lambda e=expr, v=value: query(e) == [v], expr, 30)
        check(query('crypto_spread{instance="BTC/USDT"}') == [0.01], "the grouping key with a slash")
        # The seed's PromQL: rates need more samples than one.
        until(lambda: query('count_over_time(crypto_trade_volume{job="tickbus"}[1m])')[0] > 4, "samples", 30)
        source.tell(*("trade 1 0 6000100 100000 B" for _ in range(20)))
        until(lambda: query('crypto_trades_total{job="tickbus",side="buy"}') == [24], "20 trades more")
        until(lambda: query('increase(crypto_trade_volume{exchange="binance",symbol="BTC/USDT",job="tickbus"}[5m])')[0] > 19,
              "volume of five minutes")
        for expr in ('rate(crypto_trades_total{exchange="binance",symbol="BTC/USDT",side="buy",job="tickbus"}[1m])',
                     'sort_desc(crypto_orderbook_bid_cumulative{exchange="binance",symbol="BTC/USDT",job="tickbus"})',
                     'crypto_depth{exchange="binance",symbol="BTC/USDT",side="ask",job="tickbus"}'):
            check(query(expr), expr, "has no result")
        check(query('sort_desc(crypto_orderbook_bid_cumulative{job="tickbus"})')[0] == 21, "the deepest first")
        stop(process)
        until(lambda: "crypto_price" not in get(gateway.url + "/metrics"), "the group's end in the gateway")


def a_bad_gateway_never_stops_the_reading():
    with Bus() as bus:
        source = Source(bus, capacity=1 << 16)
        Source(bus, "candles")
        source.tell("instrument binance BTC/USDT -2 -5")
        port = free_port()
        process, url = start(bus, "--push=http://127.0.0.1:%d" % port, "--push-timeout=200ms")
        total = 0

        def read_on():
            nonlocal total
            total += 1000
            source.tell("trades 1 1000")
            until(lambda: float(samples(get(url)).get("crypto_trades_total" + M + ',side="buy"}', -1)) == total, "reading on")

        def failures():
            return bus.stats("metrics").counters["push_failures"]

        read_on()  # nobody there
        until(lambda: failures() >= 2 and bus.stats("metrics").state == "degraded", "refused connections counted")
        peer = Peer(400, "text format parsing error: unexpected end", port)
        for status in (400, 500, "hang", 302):
            peer.status = status
            before = failures()
            read_on()
            until(lambda b=before: failures() >= b + 2, "failures with %s" % status)
            check("degraded" in get(url.replace("metrics", "healthz")), "healthz while degraded")
        peer.status = 200
        peer.released.set()
        read_on()
        until(lambda: bus.stats("metrics").state == "running" and bus.stats("metrics").counters["pushes"] > 0, "recovery")
        text = until(lambda: next((r[3].decode() for r in reversed(peer.requests) if r[4] == 200), None), "a push")
        check(peer.requests[-1][0] == "PUT" and peer.requests[-1][1] == "/metrics/job/tickbus/instance/b", peer.requests[-1][:2])
        until(lambda: '%s,side="buy"} %d' % ("crypto_trades_total" + M, total) in peer.requests[-1][3].decode(), "the newest")
        check(text.endswith("\n") and "\r" not in text, "text")
        check(log_of(process).count("ev=push ") <= 3, "one line, not one a push\n" + log_of(process))
        check("unexpected end" in log_of(process) or "refused" in log_of(process).lower() or
              "connect" in log_of(process), "the reason")
        check(bus.stats("metrics").counters["records_lost"] == 0, "nothing lost")
        stop(process)
        check(peer.requests[-1][0] == "DELETE", "deleted at the end", peer.requests[-1][:2])
        peer.close()


def pushes_come_with_ten_trades_or_the_interval():
    with Bus() as bus:
        peer, source = Peer(), Source(bus)
        Source(bus, "candles")
        source.tell("instrument binance BTC/USDT -2 -5")
        process, _ = start(bus, "--push=" + peer.url, "--push-every=1h")
        until(lambda: peer.count("PUT") == 1, "the first push")

        def pushed():
            return samples(peer.requests[-1][3].decode()).get("crypto_trades_total" + M + ',side="buy"}')

        source.tell("trades 1 10")
        until(lambda: pushed() == "10", "ten trades", 2)
        stop(process)
        peer.requests.clear()
        process, _ = start(bus, "--push=" + peer.url, "--push-trades=1000000")
        source.tell("trades 1 1")
        until(lambda: peer.count() and pushed() == "11", "the interval", 2)
        # Complete streams leave their last state in the gateway.
        stop(process)
        source.end("done")


def complete_streams_leave_their_last_state():
    with Bus() as bus:
        peer, source, candles = Peer(), Source(bus), Source(bus, "candles")
        publish_session(source, candles)
        process, _ = start(bus, "--push=" + peer.url, "--until-done")
        source.end("done")
        candles.end("done")
        end(process)
        method, _, _, body, _ = peer.requests[-1]
        check(method == "PUT", method)
        wrong = {k: v for k, v in differences(body.decode()).items() if k.startswith("crypto")}
        check(not wrong, wrong)
        peer.close()


def a_recorded_session_ends_in_its_facts():
    """Ten minutes of Binance through replay, candles and metrics: the last push against independent arithmetic."""
    data = os.path.join(SOURCE, "../shared/data")
    try:
        with open(os.path.join(data, "facts/spot_btcusdt_20240808-09.json"), encoding="utf-8") as f:
            facts = json.load(f)
    except FileNotFoundError:
        print("      (left out: the recordings are not here)")
        return
    with Bus() as bus:
        peer = Peer()
        os.makedirs(bus.dir, 0o750)
        process, _ = start(bus, "--push=" + peer.url, "--until-done")
        candles = bus.start("tickbus-candles", "--streams=binance", "--until-done")
        replay = bus.start("tickbus-replay", "--stream=binance", "--speed=max", "--pace=gated", "--gates=metrics,candles",
                           "--captures=" + ",".join(os.path.join(data, f) for f in facts["files"]))
        for each in (replay, candles, process):
            end(each, deadline=60)
        got = samples(peer.requests[-1][3].decode())
        peer.close()
    trades, book = facts["trades"]["BTCUSDT"], facts["books"]["BTCUSDT"]
    last = trades["candles_1m"][-1]
    want = {"crypto_trades_total" + M + ',side="buy"}': trades["taker_sides"]["buy"],
            "crypto_trades_total" + M + ',side="sell"}': trades["taker_sides"]["sell"],
            "crypto_trade_volume" + M + "}": trades["volume"],
            "crypto_price" + M + ',type="last"}': trades["last_price"],
            "crypto_price" + M + ',type="bid"}': facts["last_bookTicker"]["BTCUSDT"]["bid"],
            "crypto_price" + M + ',type="ask"}': facts["last_bookTicker"]["BTCUSDT"]["ask"]}
    for name, key in (("open", "o"), ("high", "h"), ("low", "l"), ("close", "c"), ("volume", "v")):
        want["crypto_candle_" + name + M + ',timeframe="1m"}'] = last[key]
    for side, levels in (("bid", book["bids"]), ("ask", book["asks"])):
        depth = notional = Decimal(0)
        for i, (price, amount) in enumerate(levels[:20]):
            depth += Decimal(amount)
            notional += Decimal(price) * Decimal(amount)
            for name, value in (("price", price), ("quantity", amount), ("cumulative", depth)):
                want["crypto_orderbook_%s_%s%s,level=\"%d\"}" % (side, name, M, i)] = value
        want["crypto_depth%s,side=\"%s\"}" % (M, side)] = depth
        want["crypto_total_%ss%s}" % (side, M)] = depth * Decimal(levels[0][0])
        want["tickbus_book_notional%s,side=\"%s\"}" % (M, side)] = notional
    wrong = {k: (got.get(k), v) for k, v in want.items() if float(got[k]) != float(v)}
    check(not wrong and len(want) > 130, wrong)


def counters_and_books_survive_kills():
    with Bus() as bus:
        source, candles = Source(bus), Source(bus, "candles")
        publish_session(source, candles)
        for n in range(8):
            process, url = start(bus)
            source.tell("trade 1 0 6000006 1 B")
            if n % 2:
                until(lambda: not [k for k in differences(get(url)) if "orderbook" in k], "the book")
            process.send_signal(signal.SIGKILL)
            process.wait()
        process, url = start(bus)
        key = "crypto_trades_total" + M + ',side="buy"}'
        until(lambda: samples(get(url)).get(key) == "12", "every trade once")
        check(samples(get(url))["crypto_trade_volume" + M + "}"] == "0.70029", "volume")
        check(samples(get(url))["crypto_depth" + M + ',side="bid"}'] == "21", "book")
        stop(process)


def the_budget_is_kept():
    with Bus() as bus:
        config = os.path.join(bus.base, "c.yaml")
        symbols = ", ".join("S%d/USDT" % i for i in range(60))
        with open(config, "w", encoding="utf-8") as f:
            f.write("bus: b\ndirectory: %s\nfeeds:\n  binance: {venue: binance, symbols: [%s]}\n"
                    "services:\n  metrics: {listen: ''}\n" % (bus.base, symbols))
        process = bus.start("tickbus-metrics", "--config=" + config, "--section=services.metrics")
        end(process, 78)
        check("60 symbols make 193 series each" in log_of(process) and "series_max" in log_of(process), log_of(process))
        # Markets that come at run time.
        source = Source(bus)
        Source(bus, "candles")
        source.tell(*("instrument binance S%d/USDT -2 -5" % i for i in range(60)))
        process, url = start(bus)
        source.tell(*("trade %d 0 100 1 B" % (i + 1) for i in range(60)))
        until(lambda: bus.stats("metrics").counters["markets_over_budget"] == 60 - 8000 // 193, "the count")
        check(len(samples(get(url))) <= 10000, "too many series")
        check(log_of(process).count("ev=series_budget") == 1, "said once")
        stop(process)


def configured_symbols_are_there_before_any_record():
    with Bus() as bus:
        config = os.path.join(bus.base, "c.yaml")
        with open(config, "w", encoding="utf-8") as f:
            f.write("bus: b\ndirectory: %s\nfeeds:\n  binance: {venue: binance, symbols: [BTC/USDT]}\n"
                    "services:\n  metrics: {listen: '127.0.0.1:0'}\n" % bus.base)
        os.makedirs(bus.dir, 0o750)
        process = bus.start("tickbus-metrics", "--config=" + config, "--section=services.metrics")
        url = "http://127.0.0.1:%d/metrics" % listening_port(process)
        until(lambda: samples(get(url)).get("crypto_trades_total" + M + ',side="buy"}') == "0", "the counter at 0")
        stop(process)


def hostile_scrapers_stop_nobody():
    with Bus() as bus:
        source = Source(bus, capacity=1 << 16)
        Source(bus, "candles")
        source.tell("instrument binance BTC/USDT -2 -5")
        process, url = start(bus)
        address = ("127.0.0.1", int(url.split(":")[2].split("/")[0]))
        held = []
        for i in range(60):
            s = socket.create_connection(address, 5)
            s.setblocking(False)
            try:
                s.sendall((b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50, b"GET /metr", b"\xff\x00" * 3000,
                           b"POST /metrics HTTP/1.1\r\nContent-Length: 999999999\r\n\r\nx")[i % 4])
            except OSError:
                pass
            held.append(s)
        source.tell("trades 1 5000")
        until(lambda: bus.stats("metrics").counters["records_read"] >= 5000, "reading while they hold on")
        for s in held:
            s.close()
        until(lambda: (try_get(url) or "").find('side="buy"} 5000') > 0, "serving again")
        stop(process)


def a_taken_port_is_one_clear_line():
    with Bus() as bus, socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        os.makedirs(bus.dir, 0o750)
        process = bus.start("tickbus-metrics", "--streams=binance", "--listen=127.0.0.1:%d" % s.getsockname()[1])
        end(process, 74)
        check("another program has the port" in log_of(process), log_of(process))
        end(bus.start("tickbus-metrics", "--streams=binance", "--push=ftp://x/"), 64)


if __name__ == "__main__":
    run_tests([
        what_is_served_is_what_the_ring_holds,
        prometheus_and_pushgateway_hold_the_same,
        a_bad_gateway_never_stops_the_reading,
        pushes_come_with_ten_trades_or_the_interval,
        complete_streams_leave_their_last_state,
        a_recorded_session_ends_in_its_facts,
        counters_and_books_survive_kills,
        the_budget_is_kept,
        configured_symbols_are_there_before_any_record,
        hostile_scrapers_stop_nobody,
        a_taken_port_is_one_clear_line,
    ])
