"""A bus under test: starts the programs of a config by pid, restarts what was killed, ends by itself."""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

SOURCE = os.environ.get("TICKBUS_SOURCE") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("TICKBUS_BUILD") or os.path.join(SOURCE, "build")
sys.path[:0] = [os.path.join(SOURCE, "tests"), os.path.join(SOURCE, "tests", "data")]
import facts  # noqa: E402
from until import until  # noqa: E402


class Process:
    def __init__(self, bus, section, program, arguments, restart=True):
        self.bus, self.section, self.program, self.arguments = bus, section, program, arguments
        self.restart, self.starts, self.kills, self.code, self.popen = restart, 0, 0, None, None
        self.log = open(os.path.join(bus.work, section + ".log"), "ab")

    def start(self, environment=None):
        self.starts += 1
        self.code = None
        self.popen = subprocess.Popen(
            [os.path.join(BUILD, "tickbus-" + self.program), "--config", self.bus.config, "--section", self.section, *self.arguments],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})})

    def poll(self):
        """None while it runs, else its exit code (negative: the signal)."""
        if self.code is None and self.popen is not None:
            self.code = self.popen.poll()
        return self.code

    def kill(self, number=signal.SIGKILL):
        if self.poll() is None:
            self.popen.send_signal(number)
            self.kills += number == signal.SIGKILL

    def last_lines(self, count=15):
        with open(self.log.name, errors="replace") as f:
            return "".join(f.readlines()[-count:])


class Bus:
    """sections: {"feeds.binance": ("replay", "yaml options"), ...}, in start order."""

    def __init__(self, sections, arguments=None):
        self.work = tempfile.mkdtemp(prefix="tickbus-test-")
        self.base = tempfile.mkdtemp(prefix="tickbus-test-", dir="/dev/shm")
        self.config = os.path.join(self.work, "bus.yaml")
        self.database = os.path.join(self.work, "out.db")
        groups = {}
        for section, (program, options) in sections.items():
            group, name = section.split(".")
            groups.setdefault(group, []).append(f"  {name}: {{program: {program}{', ' + options if options else ''}}}\n")
        with open(self.config, "w") as f:
            f.write(f"bus: t\ndirectory: {self.base}\n")
            for group, lines in groups.items():
                f.write(f"{group}:\n" + "".join(lines))
        self.processes = {
            section: Process(self, section, program, list((arguments or {}).get(section, [])) + ([] if section.startswith("venues.") else ["--until-done"] if section.startswith("services.") else []))
            for section, (program, _) in sections.items()}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in self.processes.values():
            if p.popen is not None and p.popen.poll() is None:
                p.popen.kill()
            if p.popen is not None:
                p.popen.wait()
            p.log.close()
        shutil.rmtree(self.base, ignore_errors=True)
        if not os.environ.get("TICKBUS_KEEP"):
            shutil.rmtree(self.work, ignore_errors=True)

    def start(self, **environments):
        for section, p in self.processes.items():
            p.start(environments.get(section.split(".")[1]))

    def run(self, seconds, each_turn=None):
        """Until every restartable process has ended by itself; restarts what a signal ended."""
        deadline = time.monotonic() + seconds
        while True:
            running = False
            for p in self.processes.values():
                if p.section.startswith("venues."):
                    continue
                code = p.poll()
                if code == -signal.SIGKILL:
                    p.start()
                    running = True
                elif code is None:
                    running = True
                elif code != 0:
                    raise AssertionError(f"{p.section} ended with {code}:\n{p.last_lines()}")
            if not running:
                return
            if time.monotonic() > deadline:
                raise AssertionError("not done after %d s: %s" % (seconds, {s: (p.poll(), p.last_lines(4)) for s, p in self.processes.items() if p.poll() is None}))
            if each_turn:
                each_turn(self)
            time.sleep(0.002)

    def rows(self):
        """Everything stored, less what names this run."""
        db = sqlite3.connect("file:" + self.database + "?mode=ro", uri=True)
        return {
            "trades": db.execute("SELECT exchange, symbol, timestamp, side, price, amount, cost, trade_id, seq FROM trades_stream ORDER BY seq").fetchall(),
            "candles": db.execute("SELECT exchange, symbol, timeframe, timestamp, open, high, low, close, volume, closed FROM ohlcv_data ORDER BY 1, 2, 3, 4").fetchall(),
            "snapshots": db.execute("SELECT exchange, symbol, timestamp, side, level, price, amount, cumulative FROM orderbook_snapshots ORDER BY 1, 2, 3, 4, 5").fetchall(),
        }


def tool(*arguments):
    """A command of the project: (exit code, stdout, stderr)."""
    done = subprocess.run([os.path.join(BUILD, "tickbus"), *arguments], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def compare(expected, found):
    for table in expected:
        missing = set(expected[table]) - set(found[table])
        more = set(found[table]) - set(expected[table])
        doubled = len(found[table]) - len(set(found[table]))
        if missing or more or doubled:
            raise AssertionError(f"{table}: {len(missing)} missing {sorted(missing)[:2]}, {len(more)} too many {sorted(more)[:2]}, {doubled} doubled; expected {len(expected[table])}")
