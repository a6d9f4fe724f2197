#!/usr/bin/env python3
"""tickbus-alerts on a bus: transitions once on the stream, and to webhooks and a real Alertmanager."""
import json
import os
import random
import signal
import struct
import sys
import time

from buslook import Bus, check, end, log_of, run_tests, stop, until
from watchlook import Peer, Source, Tool, get

S = 1000000000
TS = 1723161253 * S
STATES = {1: "pending", 2: "firing", 3: "resolved"}


def counter(bus, name, service="alerts"):
    page = bus.stats(service)
    return page.counters.get(name, 0) if page else None


def state(bus):
    page = bus.stats("alerts")
    return page.state if page else None


def configure(bus, rules, options=""):
    path = os.path.join(bus.base, "c.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write("bus: b\ndirectory: %s\nfeeds:\n  binance: {venue: binance, symbols: [BTC/USDT]}\n"
                "services:\n  alerts:\n%s    rules:\n%s" % (bus.base, options, "".join("      - %s\n" % r for r in rules)))
    return path


def start(bus, path, *options, **more):
    return bus.start("tickbus-alerts", "--config=" + path, "--section=services.alerts", *options, **more)


def transitions(bus):
    """[(rule, state, ts_event, value, threshold, exponent, since, alert_id)] of the stream, in order."""
    try:
        with open(bus.path("alerts.ring"), "rb") as f:
            data = f.read()
    except FileNotFoundError:
        return []
    ring, out = bus.ring("alerts"), []
    check(not ring.records or struct.unpack_from("<Q", ring.records[0])[0] == 1, "the ring was lapped")
    for number, record in enumerate(ring.records):
        seq, event, _, instrument, kind, _, _ = struct.unpack_from("<QqqHBBI", record)
        value, threshold, since, state, _, exp, _, alert = struct.unpack_from("<qqqBBbBI", record, 32)
        check(seq == number + 1 and kind == 7, "sequence", seq, "type", kind)
        label = data[4096 + 192 * (instrument - 1) + 136:][:48].split(b"\0")[0].decode()
        out.append((label, STATES[state], event, value, threshold, exp, since, alert))
    return out


def short(bus):
    return ["%s:%s@%g" % (t[0], t[1], (t[2] - TS) / S) for t in transitions(bus)]


CROSS = "{name: Cross, kind: price_crosses, exchange: binance, symbol: BTC/USDT, threshold: 600.5, keep: 10s, summary: it crossed}"


def a_webhook_gets_firing_and_resolved_exactly():
    with Bus() as bus:
        peer, source = Peer(), Source(bus)
        path = configure(bus, ["{name: High, kind: price_above, symbol: BTC/USDT, threshold: 600.5, for: 5s, "
                               "severity: critical, summary: too high}"], "    webhook: %s/hook?token=x\n" % peer.url)
        process = start(bus, path)
        source.tell("instrument binance BTC/USDT -2 -5", "trade 1 %d 60050 1 B" % TS, "trade 1 %d 60051 1 B" % (TS + S),
                    "trade 1 %d 60052 1 B" % (TS + 2 * S), "trade 1 %d 60053 1 B" % (TS + 7 * S),
                    "trade 1 %d 60050 1 B" % (TS + 8 * S), "trade 1 %d 60060 1 B" % (TS + 9 * S),
                    "trade 1 %d 60000 1 B" % (TS + 10 * S))
        until(lambda: peer.count() == 2, "two notices")
        check(short(bus) == ["High:pending@2", "High:firing@6", "High:resolved@8", "High:pending@10", "High:resolved@10"],
              short(bus))
        firing, resolved = peer.bodies()
        for body, status in ((firing, "firing"), (resolved, "resolved")):
            alert = body["alerts"][0]
            check(body["version"] == "4" and body["status"] == status == alert["status"], body)
            check(alert["labels"] == {"alertname": "High", "severity": "critical", "exchange": "binance",
                                      "symbol": "BTC/USDT"}, alert)
            check(alert["annotations"]["summary"] == "too high" and alert["annotations"]["threshold"] == "600.5", alert)
        check(firing["alerts"][0]["fingerprint"] == resolved["alerts"][0]["fingerprint"], "fingerprint")
        check(firing["alerts"][0]["startsAt"] == resolved["alerts"][0]["startsAt"], "startsAt")
        check(firing["alerts"][0]["annotations"]["at"].startswith("2024-08-08T23:54:19."), firing)
        check(peer.requests[0][2]["Idempotency-Key"].endswith("-1-firing"), peer.requests[0][2])
        check("token" not in log_of(process), "a secret in the log")
        stop(process)
        peer.close()


def a_bad_webhook_is_repeated_and_stops_nobody():
    with Bus() as bus:
        peer, source = Peer("hang"), Source(bus)
        path = configure(bus, [CROSS], "    webhook: %s\n    timeout: 100ms\n" % peer.url)
        process = start(bus, path)
        source.tell("instrument binance BTC/USDT -2 -5",
                    *("trade 1 %d %d 1 B" % (TS + i * 100 * S, 60000 + i % 2 * 100) for i in range(5)),
                    "trade 1 %d 60000 1 B" % (TS + 500 * S))
        until(lambda: counter(bus, "records_read") == 6 and len(transitions(bus)) == 8, "reading on")
        until(lambda: state(bus) == "degraded", "degraded")
        # It dies with undelivered notices; the next life delivers them.
        until(lambda: counter(bus, "notices_queued") == 8, "all queued")
        time.sleep(0.25)  # a checkpoint is made every 100 ms; which one does not matter
        process.send_signal(signal.SIGKILL)
        process.wait()
        with peer.lock:
            peer.requests.clear()
        peer.status = lambda *_: 500 if len(peer.requests) in (0, 3) else 200
        peer.released.set()
        process = start(bus, path)
        until(lambda: counter(bus, "notices_sent") and counter(bus, "notices_queued") == 0, "all delivered", 60)
        taken = [r[2]["Idempotency-Key"] for r in peer.requests if r[4] == 200]
        check(len(set(taken)) == 8 and sorted(set(taken), key=taken.index) == taken, taken)
        until(lambda: state(bus) == "running", "recovered")
        check(len(transitions(bus)) == 8, short(bus))
        stop(process)
        peer.close()


def a_real_alertmanager_gets_and_resolves():
    with Bus() as bus:
        config = os.path.join(bus.base, "am.yml")
        peer = Peer()
        with open(config, "w", encoding="utf-8") as f:
            f.write("route: {receiver: hook, group_by: [alertname, exchange], group_wait: 100ms, group_interval: 200ms}\n"
                    "receivers: [{name: hook, webhook_configs: [{url: %s, send_resolved: true}]}]\n" % peer.url)
        manager = Tool(bus, "prometheus-alertmanager", "--config.file=" + config, "--storage.path={place}",
                       "--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=")
        source = Source(bus)
        process = start(bus, configure(bus, ["{name: High, kind: price_above, threshold: 600.5}"],
                                       "    alertmanager: %s/\n" % manager.url))

        def active():
            return [(a["labels"]["alertname"], a["status"]["state"])
                    for a in json.loads(get(manager.url + "/api/v2/alerts?active=true"))]

        source.tell("instrument binance BTC/USDT -2 -5", "trade 1 0 60100 1 B")
        until(lambda: active() == [("High", "active")], "the alert in Alertmanager")
        until(lambda: [b["status"] for b in peer.bodies()] == ["firing"], "Alertmanager's own notice")
        source.tell("trade 1 0 60000 1 B")
        until(lambda: not active(), "its end")
        until(lambda: [b["status"] for b in peer.bodies()] == ["firing", "resolved"], "the notice of its end", 30)
        stop(process)
        peer.close()


RULES = [CROSS,
         "{name: Wide, kind: spread_above, threshold: 0.05, for: 30s}",
         "{name: Quiet, kind: no_trades, symbol: BTC/USDT, for: 1m, severity: critical}",
         "{name: Gap, kind: gap, keep: 40s}",
         "{name: Low, kind: price_below, threshold: 599, for: 20s}"]


def script(seed, count):
    """A market's life at times that leave no deadline within reach of a pause of the machine."""
    rng, t, lines = random.Random(seed), TS, []
    for _ in range(count):
        t += rng.choice((7, 13, 100)) * S
        kind = rng.random()
        if kind < 0.6:
            lines.append("trade 1 %d %d 1 B" % (t, 60050 + rng.randrange(-300, 300)))
        elif kind < 0.9:
            lines.append("quote 1 %d 60000 %d" % (t, 60000 + rng.choice((1, 9))))
        else:
            lines.append("gap 1 %d 1 %d" % (t, rng.randrange(1, 9)))
    return lines


def kills_neither_lose_nor_repeat_a_transition():
    rounds, seed = int(os.environ.get("TB_KILL_ROUNDS", "40")), int(os.environ.get("TB_SEED", "1"))
    lines = script(seed, 1200)
    with Bus() as bus:
        source = Source(bus)
        source.tell("instrument binance BTC/USDT -2 -5", *lines)
        source.end("done")
        end(start(bus, configure(bus, RULES), "--until-done"))
        expected = transitions(bus)
    check(len(expected) > 300, "a dull script", len(expected))
    with Bus() as bus:
        path, rng, source = configure(bus, RULES), random.Random(seed), Source(bus)
        source.tell("instrument binance BTC/USDT -2 -5")
        at, kills = 0, 0
        step = len(lines) // rounds
        while at < len(lines):
            process = start(bus, path)
            source.tell(*lines[at:at + step])
            at += step
            before = len(transitions(bus))
            if rng.random() < 0.7:  # amid publishing
                until(lambda b=before: len(transitions(bus)) > b or counter(bus, "records_read"), "life")
            time.sleep(rng.random() * 0.02)
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        source.end("done")
        end(start(bus, path, "--until-done"))
        got = transitions(bus)
    for number, pair in enumerate(zip(got, expected)):
        check(pair[0] == pair[1], "seed", seed, "transition", number, *pair)
    check(len(got) == len(expected), "seed", seed, len(got), "transitions, not", len(expected))
    print("      %d kills, %d transitions" % (kills, len(got)))


def points():
    """Only in a build with kill points: die at each step of the outbox, many times."""
    lines = script(7, 300)
    with Bus() as bus:
        source = Source(bus)
        source.tell("instrument binance BTC/USDT -2 -5", *lines)
        source.end("done")
        end(start(bus, configure(bus, RULES), "--until-done"))
        expected = transitions(bus)
    for point in ("alerts:outbox_saved", "alerts:published", "publish:after_P1", "publish:in_P3", "publish:after_P4"):
        with Bus() as bus:
            path, source = configure(bus, RULES), Source(bus)
            source.tell("instrument binance BTC/USDT -2 -5", *lines)
            source.end("done")
            died = 0
            while True:
                process = start(bus, path, "--until-done", env=dict(os.environ, TB_POINT="%s:3" % point)) \
                    if died < 60 else start(bus, path, "--until-done")
                if process.wait(30) == 0:
                    break
                check(process.returncode == -signal.SIGKILL, process.returncode, log_of(process))
                died += 1
            check(died >= 20, point, "was hit", died, "times")
            check(transitions(bus) == expected, point, "differs")


def silence_a_dead_feed_and_a_slow_reader_are_noticed():
    with Bus() as bus:
        source = Source(bus)
        reader = bus.start("tickbus-metrics", "--streams=binance", "--listen=")
        path = configure(bus, ["{name: Quiet, kind: no_trades, exchange: binance, symbol: BTC/USDT, for: 500ms}",
                               "{name: Never, kind: no_trades, exchange: binance, symbol: ETH/USDT, for: 500ms}",
                               "{name: Down, kind: feed_down, stream: binance, for: 100ms}",
                               "{name: Behind, kind: lag_above, reader: metrics, records: 100}"])
        process = start(bus, path)

        def said(what):
            return until(lambda: what in [":".join(t[:2]) for t in transitions(bus)], what)

        source.tell("instrument binance BTC/USDT -2 -5", "trade 1 0 1 1 B")
        said("Quiet:firing")
        said("Never:firing")
        source.tell("trade 1 0 1 1 B")
        said("Quiet:resolved")
        until(lambda: counter(bus, "records_read", "metrics") == 2, "the other reader")
        reader.send_signal(signal.SIGSTOP)
        source.tell("trades 1 200")
        said("Behind:firing")
        reader.send_signal(signal.SIGCONT)
        said("Behind:resolved")
        check("Down" not in " ".join(short(bus)), short(bus))
        source.process.kill()
        source.process.wait()
        said("Down:firing")
        source = Source(bus)
        said("Down:resolved")
        source.end("stop")  # stopped on purpose, but down all the same
        until(lambda: short(bus)[-1].startswith("Down:firing"), "the feed that was stopped")
        stop(process)
        stop(reader)


def no_rules_just_drain_and_bad_rules_are_told_apart():
    with Bus() as bus:
        source = Source(bus)
        source.tell("instrument binance BTC/USDT -2 -5", "trades 1 1000")
        source.end("done")
        path = os.path.join(bus.base, "n.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write("bus: b\ndirectory: %s\nfeeds: {binance: {venue: binance}}\nservices: {alerts: {}}\n" % bus.base)
        end(start(bus, path, "--until-done"))
        check(counter(bus, "records_read") == 1000, "read")
        check(bus.ring("alerts").state == "done", "the output is done")
        path = configure(bus, ["{name: A, kind: price_abov, threshold: 1}", "{name: B, kind: gap, fro: 1s}"])
        process = start(bus, path)
        end(process, 78)
        check("c.yaml:8: services.alerts.rules[0].kind" in log_of(process) and "price_above?" in log_of(process) and
              "c.yaml:9: services.alerts.rules[1].fro" in log_of(process), log_of(process))


def a_rules_file_of_its_own_and_rules_that_go_away():
    with Bus() as bus:
        source, rules = Source(bus), os.path.join(bus.base, "rules.yaml")
        path = os.path.join(bus.base, "c.yaml")
        with open(rules, "w", encoding="utf-8") as f:
            f.write("rules:\n  - {name: Low, kind: price_below, threshold: 1000}\n")
        with open(path, "w", encoding="utf-8") as f:
            f.write("bus: b\ndirectory: %s\nfeeds: {binance: {venue: binance}}\nservices: {alerts: {rules: %s}}\n" %
                    (bus.base, rules))
        process = start(bus, path)
        source.tell("instrument binance BTC/USDT -2 -5", "trade 1 %d 1 1 B" % TS)
        until(lambda: short(bus) == ["Low:firing@0"], "firing")
        stop(process)
        with open(rules, "w", encoding="utf-8") as f:
            f.write("rules:\n")
        process = start(bus, path)
        until(lambda: short(bus) == ["Low:firing@0", "Low:resolved@0"], "a rule that is no more is resolved")
        stop(process)


if __name__ == "__main__":
    run_tests([points] if sys.argv[1:] == ["points"] else [
        a_webhook_gets_firing_and_resolved_exactly,
        a_bad_webhook_is_repeated_and_stops_nobody,
        a_real_alertmanager_gets_and_resolves,
        kills_neither_lose_nor_repeat_a_transition,
        silence_a_dead_feed_and_a_slow_reader_are_noticed,
        no_rules_just_drain_and_bad_rules_are_told_apart,
        a_rules_file_of_its_own_and_rules_that_go_away,
    ])
