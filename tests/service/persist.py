#!/usr/bin/env python3
"""tickbus-persist over real streams: what it stores of the recordings, killed at random, and over databases in trouble.

    persist.py facts|kills|points|remade|alerts|reader|locked|deleted|readonly|full|corrupt
"""
import os
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from decimal import Decimal

SOURCE = os.environ.get("TICKBUS_SOURCE") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, "tests", "faults"))
from supervise import BUILD, Bus, Process, compare, facts  # noqa: E402

GATED = "pace: gated, capacity: 8192"


def make(capture, speed="max", options="", database=None):
    """A replay, candles and persist on a bus of their own."""
    bus = Bus(
        {
            "services.candles": ("candles", GATED),
            "services.persist": ("persist", "database: %s" + (", " + options if options else "")),
            "feeds.market": ("replay", f"venue: {capture.venue}, captures: [{', '.join(capture.files)}], speed: {speed}, {GATED}"),
        },
        {"feeds.market": ["--gates=candles,persist"], "services.candles": ["--gates=persist"]},
    )
    if database:
        bus.database = database
    with open(bus.config) as f:
        text = f.read()
    with open(bus.config, "w") as f:
        f.write(text.replace("%s", bus.database))
    return bus


def number(value):
    """A REAL as the shortest decimal that reads back as it: what a person sees."""
    return Decimal(repr(value))


def equal(what, found, expected):
    if found != expected:
        raise AssertionError(f"{what}: found {found}, expected {expected}")


# ---- what is stored ----

def check_trades(db, exchange, symbol, fact):
    rows = db.execute(
        "SELECT timestamp, side, price, amount, cost FROM trades_stream WHERE exchange = ? AND symbol = ? ORDER BY seq", (exchange, symbol)).fetchall()
    prices = [number(r[2]) for r in rows]
    equal("trades", len(rows), fact["trades"])
    equal("volume", sum(number(r[3]) for r in rows), Decimal(fact["volume"]))
    equal("first price", prices[0], Decimal(fact["first_price"]))
    equal("last price", prices[-1], Decimal(fact["last_price"]))
    equal("min price", min(prices), Decimal(fact["min_price"]))
    equal("max price", max(prices), Decimal(fact["max_price"]))
    equal("first time", number(rows[0][0]) * 1000 // 1, Decimal(fact["first_time_ms"]))
    equal("last time", number(rows[-1][0]) * 1000 // 1, Decimal(fact["last_time_ms"]))
    equal("sides", {s: sum(r[1] == s for r in rows) for s in fact["taker_sides"]}, fact["taker_sides"])
    wrong = [r for r in rows if r[4] != float(number(r[2]) * number(r[3]))]
    equal("costs that are not the rounded product", wrong, [])


def check_candles(db, exchange, symbol, fact):
    rows = db.execute(
        "SELECT timestamp, open, high, low, close, volume FROM ohlcv_data WHERE exchange = ? AND symbol = ? AND timeframe = '1m' ORDER BY timestamp",
        (exchange, symbol)).fetchall()
    equal("candles", [tuple(map(number, r)) for r in rows],
          [(Decimal(c["t"]) / 1000, *(Decimal(c[k]) for k in "ohlcv")) for c in fact["candles_1m"]])
    closed = db.execute(
        "SELECT closed FROM ohlcv_data WHERE exchange = ? AND symbol = ? AND timeframe = '1m' ORDER BY timestamp", (exchange, symbol)).fetchall()
    equal("only the last is forming", [c[0] for c in closed], [1] * (len(rows) - 1) + [0])


def check_book(db, exchange, symbol, fact):
    where = "exchange = ? AND symbol = ? AND timestamp = (SELECT max(timestamp) FROM orderbook_snapshots WHERE exchange = ? AND symbol = ?)"
    for side, name in (("bid", "bids"), ("ask", "asks")):
        rows = db.execute(
            f"SELECT level, price, amount, cumulative FROM orderbook_snapshots WHERE {where} AND side = ? ORDER BY level",
            (exchange, symbol, exchange, symbol, side)).fetchall()
        equal(name, [(number(p), number(a)) for _, p, a, _ in rows], [(Decimal(p), Decimal(a)) for p, a in fact[name]])
        equal("levels", [r[0] for r in rows], list(range(len(rows))))
        total = Decimal(0)
        for _, _, amount, cumulative in rows:
            total += number(amount)
            equal("cumulative", number(cumulative), total)


def check_everything(path, capture):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    for symbol, fact in capture.trades().items():
        check_trades(db, capture.venue, symbol, fact)
        check_candles(db, capture.venue, symbol, fact)
    for symbol, fact in capture.books().items():
        check_book(db, capture.venue, symbol, fact)
    equal("gaps", db.execute("SELECT count(*) FROM gaps").fetchone()[0], 0)
    doubled = db.execute(
        "SELECT exchange, symbol, timestamp, side, level, seq, count(*) FROM orderbook_snapshots GROUP BY 1, 2, 3, 4, 5, 6 HAVING count(*) > 1").fetchall()
    equal("snapshot rows stored twice", doubled, [])


# The seeds' queries, in the form that Grafana's SQLite source can run ($__from and $__to are milliseconds).
QUERIES = {
    "candles": "SELECT timestamp AS time, open, high, low, close, volume FROM ohlcv_data WHERE exchange = 'binance' AND symbol = 'BTC/USDT'"
               " AND timeframe = '1m' AND timestamp >= $__from / 1000.0 AND timestamp < $__to / 1000.0 ORDER BY timestamp",
    "trades": "SELECT timestamp AS time, side, price, amount, cost FROM trades_stream WHERE exchange = 'binance' AND symbol = 'BTC/USDT'"
              " AND timestamp > $__from / 1000.0 ORDER BY timestamp DESC LIMIT 100",
    "depth": "SELECT price, CASE side WHEN 'bid' THEN cumulative END AS bids, CASE side WHEN 'ask' THEN cumulative END AS asks"
             " FROM orderbook_snapshots WHERE exchange = 'binance' AND symbol = 'BTC/USDT' AND timestamp = (SELECT max(timestamp)"
             " FROM orderbook_snapshots WHERE exchange = 'binance' AND symbol = 'BTC/USDT' AND timestamp < $__to / 1000.0) ORDER BY price",
}


def check_queries(path, fact):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    first, last = fact["candles_1m"][0]["t"], fact["candles_1m"][-1]["t"] + 60000
    for name, query in QUERIES.items():
        query = query.replace("$__from", str(first)).replace("$__to", str(last))
        plan = " / ".join(r[3] for r in db.execute("EXPLAIN QUERY PLAN " + query))
        if "SEARCH" not in plan or "SCAN" in plan:
            raise AssertionError(f"{name}: {plan}")
        rows = db.execute(query).fetchall()
        expected = {"candles": len(fact["candles_1m"]), "trades": min(100, fact["trades"]), "depth": 40}[name]
        equal(f"rows of {name}", len(rows), expected)
        if name == "trades":
            equal("the newest trade", number(rows[0][2]), Decimal(fact["last_price"]))
        if name == "depth":
            equal("prices rise", [r[0] for r in rows], sorted(r[0] for r in rows))


def test_facts():
    for capture in facts.captures():
        with make(capture) as bus:
            bus.start()
            bus.run(60)
            check_everything(bus.database, capture)
            if "BTC/USDT" in capture.trades():
                check_queries(bus.database, capture.trades()["BTC/USDT"])
            print(f"{capture.name}: equal to its facts", flush=True)


def test_alerts():
    capture = facts.demo()
    rule = "{name: Crosses, kind: price_crosses, exchange: binance, symbol: BTC/USDT, threshold: 61700, severity: warning}"
    with make(capture) as bus:
        with open(bus.config) as f:
            text = f.read()
        with open(bus.config, "w") as f:
            f.write(text + f"  alerts: {{program: alerts, rules: [{rule}], {GATED}}}\n" if text.rstrip().splitlines()[-1].startswith("  persist")
                    else text.replace("  persist:", f"  alerts: {{program: alerts, rules: [{rule}], {GATED}}}\n  persist:"))
        alerts = Process(bus, "services.alerts", "alerts", ["--until-done", "--gates=persist"])
        bus.processes["services.alerts"] = alerts
        bus.processes["feeds.market"].arguments = ["--gates=candles,persist,alerts"]
        bus.start()
        bus.run(60)
        with closing(sqlite3.connect(bus.database)) as db:
            rows = db.execute("SELECT rule, state, severity, exchange, symbol, threshold, value, timestamp, since, stream FROM alerts ORDER BY seq").fetchall()
            plan = " ".join(r[3] for r in db.execute("EXPLAIN QUERY PLAN SELECT * FROM alerts WHERE timestamp > 1 ORDER BY timestamp"))
    equal("plan", ("SEARCH" in plan, "SCAN" in plan), (True, False))
    equal("is there one", len(rows) > 0, True)
    for row in rows:
        equal("alert", row[:6], ("Crosses", row[1], "warning", "binance", "BTC/USDT", 61700.0))
        equal("state", row[1] in ("pending", "firing", "resolved"), True)
    print(len(rows), "rows such as", rows[0])


# ---- killed ----

def rows_of(capture):
    with make(capture) as bus:
        bus.start()
        bus.run(60)
        return bus.rows()


def test_kills():
    rounds = int(os.environ.get("ROUNDS", "60"))
    seed = int(os.environ.get("SEED", str(time.time_ns() % 10**9)))
    print(f"seed {seed}, {rounds} kills", flush=True)
    chance = random.Random(seed)
    capture = facts.demo()
    expected = rows_of(capture)
    kills = 0
    while kills < rounds:
        with make(capture, speed=40, options="commit_every: 20ms") as bus:
            persist = bus.processes["services.persist"]
            next_kill = time.monotonic() + 0.3

            def strike(bus):
                nonlocal next_kill, kills
                if time.monotonic() >= next_kill and kills < rounds and persist.poll() is None:
                    persist.kill()
                    kills += 1
                    next_kill = time.monotonic() + chance.uniform(0.005, 0.2)

            bus.start()
            bus.run(120, strike)
            compare(expected, bus.rows())
            print(f"{kills} kills, {persist.starts} starts: equal", flush=True)


def test_points():
    """Killed right before and after a commit, a hand-over to the writer, a checkpoint begun and made: the first ones."""
    with open(os.path.join(BUILD, "tickbus-persist"), "rb") as f:
        if b"persist:before_commit" not in f.read():
            print("skipped: built without -DTB_POINTS=ON")
            sys.exit(77)
    capture = facts.demo()
    expected = rows_of(capture)
    for point in ("persist:before_commit", "persist:after_commit", "persist:handed_over", "service:checkpoint_begun",
                  "service:before_release"):
        for count in (1, 2, 3, 5, 8, 13, 21):
            with make(capture, options="batch_rows: 100") as bus:
                persist = bus.processes["services.persist"]
                bus.start(persist={"TB_POINT": f"{point}:{count}"})
                bus.run(60)
                equal("starts", persist.starts, 2)
                compare(expected, bus.rows())
    print("equal after each")


def test_remade():
    """The database was deleted while nobody ran: what the ring still has is stored again."""
    capture = facts.demo()
    with make(capture) as bus:
        with open(bus.config) as f:
            text = f.read()
        with open(bus.config, "w") as f:
            f.write(text.replace("capacity: 8192", "capacity: 262144"))
        bus.start()
        bus.run(60)
        expected = bus.rows()
        for suffix in ("", "-wal", "-shm"):
            os.unlink(bus.database + suffix)
        bus.processes["services.persist"].start()
        bus.run(60)
        found = bus.rows()
        equal("trades", found["trades"], expected["trades"])
        completed = lambda rows: [r for r in rows["candles"] if r[-1] == 1]
        equal("completed candles", completed(found), completed(expected))
        before = bus.rows()
        bus.processes["services.persist"].start()
        bus.run(60)
        equal("after one more start", bus.rows(), before)
        print("stored again:", len(found["trades"]), "trades")


# ---- databases in trouble ----

def log_of(bus):
    return bus.processes["services.persist"].last_lines(1000)


def trades_in(path):
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            return db.execute("SELECT count(*) FROM trades_stream").fetchone()[0]
    except sqlite3.Error:
        return 0


def degraded_lines(bus):
    return [line for line in log_of(bus).splitlines() if "ev=degraded" in line]


def trouble(begin, end, line, options="", database=None, whole=True):
    """Plays the demo; `begin`s trouble in the middle of it, waits for `line`, `end`s it; rows as if nothing had been."""
    capture = facts.demo()
    expected = rows_of(capture)
    with make(capture, speed=60, options=options, database=database) as bus:
        bus.start()
        state = {"phase": 0}

        def turn(bus):
            if state["phase"] == 0 and trades_in(bus.database) > 500:
                state["what"] = begin(bus)
                state["phase"] = 1
            elif state["phase"] == 1 and line in log_of(bus):
                state["until"] = time.monotonic() + 1  # in trouble for a while, with ticks coming
                state["phase"] = 2
            elif state["phase"] == 2 and time.monotonic() > state["until"]:
                end(bus, state["what"])
                state["phase"] = 3

        bus.run(90, turn)
        equal("phases", state["phase"], 3)
        lines = degraded_lines(bus)
        equal("lines about it", len(lines), 1)
        print(lines[0].split("reason=")[1])
        if "ev=recovered" not in log_of(bus):
            raise AssertionError("never said that it recovered:\n" + log_of(bus))
        if whole:
            compare(expected, bus.rows())
        return expected, bus.rows()


def test_locked():
    def lock(bus):
        other = sqlite3.connect(bus.database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        return other

    trouble(lock, lambda bus, other: other.execute("COMMIT"), "is locked by another process")


def test_reader():
    """A reader that holds an old snapshot: the log grows, which is told, and shrinks when the reader lets go."""
    def hold(bus):
        reader = sqlite3.connect(bus.database, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM trades_stream").fetchone()
        return reader

    trouble(hold, lambda bus, reader: reader.close(), "write-ahead log is above wal_limit", options="wal_limit: 1MiB, commit_every: 10ms")


def test_deleted():
    def delete(bus):
        reader = sqlite3.connect(bus.database)  # somebody who has the old one open all the time
        reader.execute("SELECT count(*) FROM trades_stream").fetchone()
        os.unlink(bus.database)
        return reader

    expected, found = trouble(delete, lambda bus, reader: reader.close(), "was deleted or replaced", whole=False)
    missing = set(expected["trades"]) - set(found["trades"])
    stored = sorted(r[-1] for r in expected["trades"])
    first = min(r[-1] for r in found["trades"])
    equal("trades of after the deletion that are missing", [r for r in missing if r[-1] >= first], [])
    equal("doubled", len(found["trades"]), len(set(found["trades"])))
    equal("the new file begins in the middle", stored[0] < first, True)


def test_corrupt():
    def damage(bus):
        aside = bus.database + ".aside"
        reader = sqlite3.connect(bus.database)  # keeps the log and its index alive
        reader.execute("SELECT count(*) FROM trades_stream").fetchone()
        os.rename(bus.database, aside)
        with open(bus.database, "wb") as f:
            f.write(b"this is no database, as its first page shows. " * 200)
        return aside, reader

    def put_back(bus, aside, reader):
        reader.close()
        os.rename(aside, bus.database)

    # Replaced by rubbish: said twice, as "replaced" and as "damaged"; with the old one put back nothing is missing.
    capture = facts.demo()
    expected = rows_of(capture)
    with make(capture, speed=60) as bus:
        bus.start()
        state = {"phase": 0}

        def turn(bus):
            if state["phase"] == 0 and trades_in(bus.database) > 500:
                state["aside"] = damage(bus)
                state["phase"] = 1
            elif state["phase"] == 1 and "is damaged" in log_of(bus):
                put_back(bus, *state["aside"])
                state["phase"] = 2

        bus.run(90, turn)
        equal("phases", state["phase"], 2)
        compare(expected, bus.rows())
        print([line.split("reason=")[1] for line in degraded_lines(bus)])


def in_namespace(name):
    """Run this test again where we may mount; False if that is not possible here."""
    if os.environ.get("TICKBUS_IN_NAMESPACE"):
        return False
    for unshare in (["unshare", "-m"], ["unshare", "-Urm"]):  # root may as it is; others in a user namespace
        if subprocess.run([*unshare, "true"], capture_output=True).returncode == 0:
            again = [*unshare, sys.executable, os.path.abspath(__file__), name]
            sys.exit(subprocess.run(again, env={**os.environ, "TICKBUS_IN_NAMESPACE": "1"}).returncode)
    print("skipped: neither root nor user namespaces here")
    sys.exit(77)


def mounted(size):
    directory = f"/dev/shm/tickbus-test-mount-{os.getpid()}"
    os.makedirs(directory)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory], check=True)
    return directory


def unmounted(directory):
    subprocess.run(["umount", "-l", directory], check=False)
    os.rmdir(directory)


def test_full():
    in_namespace("full")
    directory = mounted("64m")
    try:
        def fill(bus):
            ballast = os.path.join(directory, "ballast")
            with open(ballast, "wb", buffering=0) as f:
                try:
                    while True:
                        f.write(b"x" * 4096)
                except OSError:
                    pass
            return ballast

        trouble(fill, lambda bus, ballast: os.unlink(ballast), "no space left", database=os.path.join(directory, "out.db"))
    finally:
        unmounted(directory)


def test_readonly():
    in_namespace("readonly")
    directory = mounted("64m")
    try:
        def allow(bus):
            subprocess.run(["mount", "-o", "remount,rw", directory], check=True)

        capture = facts.demo()
        expected = rows_of(capture)
        with make(capture, speed=60, database=os.path.join(directory, "out.db")) as bus:
            bus.start()
            state = {"phase": 0}

            def turn(bus):
                if state["phase"] == 0 and trades_in(bus.database) > 500:
                    bus.processes["services.persist"].kill()
                    bus.processes["services.persist"].popen.wait()
                    subprocess.run(["mount", "-o", "remount,ro", directory], check=True)
                    state["phase"] = 1
                elif state["phase"] == 1 and "is read-only" in log_of(bus):
                    allow(bus)
                    state["phase"] = 2

            bus.run(90, turn)
            equal("phases", state["phase"], 2)
            compare(expected, bus.rows())
            print([line.split("reason=")[1] for line in degraded_lines(bus)])
    finally:
        unmounted(directory)


if __name__ == "__main__":
    globals()["test_" + sys.argv[1]]()
