#!/usr/bin/env python3
"""tickbus up: a whole bus from one file: started, restarted, drained in order, summed up."""
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from buslook import BUILD, Bus, check, end, log_of, run_tests, until  # noqa: E402

CHAIN = """bus: b
feeds:
  load: {program: synth, rate: %(rate)s, count: %(count)d, start: "2024-08-08", pace: %(pace)s, %(more)s}
services:
  candles: {pace: %(pace)s, capacity: 16384}
  persist: {database: %(base)s/x.db}
"""


class Up:
    """`tickbus up` on a bus of its own."""

    def __init__(self, bus, text, *options, **values):
        self.bus = bus
        self.config = os.path.join(bus.base, "c.yaml")
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(text % dict({"base": bus.base, "rate": "0", "count": 50000, "pace": "gated", "more": "capacity: 65536"}, **values)
                    if "%(" in text else text)
        self.start(*options)

    def start(self, *options):
        log = os.path.join(self.bus.base, "up.log")
        self.out = os.path.join(self.bus.base, "up.out")
        with open(log, "ab") as err, open(self.out, "wb") as out:
            self.process = subprocess.Popen([os.path.join(BUILD, "tickbus"), "up", *options, self.config],
                                            stdout=out, stderr=err, env=dict(os.environ, TICKBUS_DIR=self.bus.base))
        self.process.log = log
        self.bus.processes.append(self.process)

    def log(self):
        return log_of(self.process)

    def events(self, event, name=None):
        return [line for line in self.log().splitlines() if " service=up " in line and " ev=%s " % event in line and
                (name is None or " name=%s " % name in line)]

    def pid(self, name):
        lines = self.events("started", name) + self.events("restarted", name)
        return int(re.search(r" pid=(\d+)", lines[-1]).group(1)) if lines else None

    def summary(self):
        with open(self.out, encoding="utf-8") as f:
            return json.load(f)


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ready(bus, *names):
    for name in names:
        until(lambda n=name: bus.stats(n) and bus.stats(n).state == "running", name + " running")


def a_finite_bus_ends_with_a_summary():
    with Bus() as bus:
        up = Up(bus, CHAIN, "--exit-when-done", "--json")
        end(up.process)
        s = up.summary()
        streams = {x["stream"]: x for x in s["streams"]}
        check(s["exit"] == 0 and s["lost"] == 0, s)
        check(streams["load"]["records"] == 50000 and streams["load"]["uncounted"] == 0, s)
        check(streams["load"]["trades"] > 1000, s)
        check(streams["candles"]["records"] > 0, s)
        check({r["reader"]: r["lost"] for r in streams["load"]["readers"]} == {"candles": 0, "persist": 0}, s)
        check({p["name"]: (p["exit"], p["lives"]) for p in s["processes"]} ==
              {"synth-load": (0, 1), "candles": (0, 1), "persist": (0, 1)}, s)
        import sqlite3
        with sqlite3.connect(os.path.join(bus.base, "x.db")) as db:
            check(db.execute("SELECT count(*) FROM trades_stream").fetchone()[0] == streams["load"]["trades"], s)


def run_again_it_does_nothing_twice():
    with Bus() as bus:
        up = Up(bus, CHAIN, "--exit-when-done", "--json")
        end(up.process)
        up.start("--exit-when-done", "--json")
        end(up.process)
        check(all(x["records"] == 0 for x in up.summary()["streams"]), up.summary())


def fresh_begins_anew():
    with Bus() as bus:
        up = Up(bus, CHAIN, "--exit-when-done", "--json")
        end(up.process)
        first, ring = up.summary(), bus.ring("load")
        up.start("--exit-when-done", "--json", "--fresh")
        end(up.process)
        check(up.summary()["streams"][0]["records"] == 50000, up.summary())
        check(bus.ring("load").epoch != ring.epoch, "the epoch is the old one")
        check([x["candles"] for x in up.summary()["streams"]] == [x["candles"] for x in first["streams"]], first)


def killed_processes_are_restarted_and_nothing_is_lost():
    with Bus() as bus:
        up = Up(bus, CHAIN, "--exit-when-done", "--json", rate="20000", count=60000)
        ready(bus, "synth-load", "candles", "persist")
        for name in ("candles", "persist", "synth-load"):
            pid = until(lambda n=name: up.pid(n), "pid")
            os.kill(pid, signal.SIGKILL)
            until(lambda n=name: up.events("restarted", n), name + " restarted")
            check("signal=SIGKILL" in up.events("killed", name)[0] and
                  'then="again in 100 ms"' in up.events("killed", name)[0], up.events("killed", name))
        end(up.process, deadline=40)
        s = up.summary()
        check(s["lost"] == 0 and s["streams"][0]["records"] == 60000, s)
        check([p["lives"] for p in s["processes"]] == [2, 2, 2], s)
        import sqlite3
        with sqlite3.connect(os.path.join(bus.base, "x.db")) as db:
            check(db.execute("SELECT count(*) FROM trades_stream").fetchone()[0] == s["streams"][0]["trades"], s)


def the_wait_before_a_restart_doubles():
    with Bus() as bus:
        up = Up(bus, CHAIN, rate="1000", count=0)
        for life in range(1, 5):
            pid = until(lambda n=life: up.pid("candles") if len(up.events("restarted", "candles")) == n - 1 else None, "life")
            until(lambda p=pid: bus.stats("candles") and bus.stats("candles").pid == p, "its page")
            os.kill(pid, signal.SIGKILL)
            until(lambda n=life: len(up.events("killed", "candles")) == n, "the line")
        waits = [re.search(r"again in (\d+) ms", line).group(1) for line in up.events("killed", "candles")]
        check(waits == ["100", "200", "400", "800"], waits)
        up.process.send_signal(signal.SIGTERM)
        end(up.process, 74)  # candles was dead when all was stopped: that is not a good end


def a_stop_is_in_the_order_of_the_streams():
    with Bus() as bus:
        up = Up(bus, CHAIN, rate="20000", count=0)
        ready(bus, "synth-load", "candles", "persist")
        until(lambda: bus.stats("persist").counters.get("records_read", 0) > 5000, "reading")
        up.process.send_signal(signal.SIGINT)
        end(up.process)
        order = [re.search(r" name=(\S+)", line).group(1) for line in up.events("ended")]
        check(order == ["synth-load", "candles", "persist"], order, up.log())
        last = bus.ring("load").last
        check(bus.stats("candles").counters["records_read"] == last, "candles did not read all")
        check(bus.stats("persist").counters["records_read"] == last + bus.ring("candles").last, "persist did not read all")
        check(all(" exit=0 " in line for line in up.events("ended")), up.events("ended"))


def a_second_signal_kills():
    with Bus() as bus:
        up = Up(bus, CHAIN, rate="1000", count=0)
        ready(bus, "synth-load", "candles", "persist")
        pids = [up.pid(n) for n in ("synth-load", "candles", "persist")]
        os.kill(pids[0], signal.SIGSTOP)  # it can not drain
        up.process.send_signal(signal.SIGTERM)
        until(lambda: up.events("stopping"), "stopping")
        up.process.send_signal(signal.SIGTERM)
        up.process.wait(5)
        check(not any(alive(p) for p in pids), "somebody is left")


def nothing_outlives_it():
    with Bus() as bus:
        up = Up(bus, CHAIN, rate="1000", count=0)
        ready(bus, "synth-load", "candles", "persist")
        pids = [up.pid(n) for n in ("synth-load", "candles", "persist")]
        up.process.kill()
        up.process.wait()
        until(lambda: not any(alive(p) for p in pids), "their end")
        up.start()  # and what is left on the bus stops nobody
        until(lambda: bus.stats("up").pid == up.process.pid and
              bus.stats("up").counters.get("processes_running") == 3, "three again")
        ready(bus, "synth-load", "candles", "persist")
        up.process.send_signal(signal.SIGTERM)
        end(up.process)


def lost_records_are_told():
    with Bus() as bus:
        up = Up(bus, CHAIN, "--exit-when-done", "--json", pace="free", more="capacity: 64", count=400000)
        end(up.process, 75)
        s = up.summary()
        check(s["lost"] > 0 and s["exit"] == 75, s)
        check(s["streams"][0]["records"] == 400000, s)


def one_up_per_bus():
    with Bus() as bus:
        up = Up(bus, CHAIN, rate="1000", count=0)
        ready(bus, "synth-load", "candles", "persist")
        env = dict(os.environ, TICKBUS_DIR=bus.base)
        run = lambda *a: subprocess.run([os.path.join(BUILD, "tickbus"), *a], env=env, capture_output=True, text=True, check=False)
        second = run("up", up.config)
        check(second.returncode == 69 and str(up.process.pid) in second.stderr, second)
        up.process.kill()
        up.process.wait()
        # Nobody holds the bus but a lone reader: then it is not fresh either.
        tail = bus.start("tests/model_sum", "--streams=load", "--name=lone")
        until(lambda: bus.stats("lone") and bus.stats("lone").state == "running", "the lone reader")
        fresh = run("up", "--fresh", up.config)
        check(fresh.returncode == 69 and "lone is in use by pid %d" % tail.pid in fresh.stderr, fresh)
        check(bus.ring("load") is not None, "it removed the stream under a reader")


def who_may_not_be_restarted_ends_it_all():
    with Bus() as bus:
        up = Up(bus, CHAIN, "--exit-when-done", "--json", rate="1000", count=0, more="restart: false")
        ready(bus, "synth-load", "candles", "persist")
        os.kill(up.pid("synth-load"), signal.SIGKILL)
        end(up.process, 74)
        check('then="not again: restart is false"' in up.events("killed")[0], up.events("killed"))
        check(up.events("giving_up", "synth-load"), up.log())
        check({p["name"]: p["exit"] for p in up.summary()["processes"]} ==
              {"synth-load": 137, "candles": 0, "persist": 0}, up.summary())


def all_faults_of_a_file_in_one_go():
    with Bus() as bus:
        config = os.path.join(bus.base, "bad.yaml")
        with open(config, "w", encoding="utf-8") as f:
            f.write("bus: b\nlog_level: loud\nfeed: {}\nfeeds:\n  x: {program: synth, rate: -3}\n  y: {program: sinth}\n"
                    "  y: {program: synth}\n  UP: {}\nservices:\n  candles:\n    forming_evry: 1s\n"
                    "  second: {program: candles, stream: x}\n  persist: {database: d, streams: [x, candels]}\n"
                    "  other: {program: persist, streams: [x]}\n  metrics: 5\n"
                    "  m: {program: metrics, streams: [x], listen: '300.1.1.1:80'}\n")
        expected = """:2: log_level: "loud" is none of debug|info|warn|error|off
:3: feed: is not known; did you mean feeds?
:5: feeds.x.rate: "-3" is out of range; it may be 0 .. 1000000000
:6: feeds.y: there is no program tickbus-sinth beside this one; did you mean synth?
:7: feeds.y: is there twice; the first is in line 6
:8: feeds.UP: can not be a name; use a-z 0-9 _ - and at most 31 of them, a letter or digit first
:11: services.candles.forming_evry: is not known; did you mean forming_every?
:12: services.second: makes the stream x, as feeds.x in line 5 does; give one a `stream`
:13: services.persist.streams: candels is made by no feed or service here; did you mean candles?
:14: services.other.database: is required: SQLite file; it is made if it is not there
:15: services.metrics: must be a map of options: key: value
:16: services.m.listen: "300.1.1.1" is no IPv4 address
"""
        run = lambda *a: subprocess.run([os.path.join(BUILD, "tickbus"), *a], capture_output=True, text=True, check=False)
        text = run("config", "check", config)
        check(text.returncode == 78, text)
        for line in expected.splitlines():
            check(config + line + "\n" in text.stderr, line, "is not in\n" + text.stderr)
        check(text.stderr.endswith(": %d faults\n" % (text.stderr.count("\n") - 1)), text.stderr)
        numbers = [int(m) for m in re.findall(r"^%s:(\d+):" % re.escape(config), text.stderr, re.M)]
        check(numbers == sorted(numbers), "not in the order of the file", numbers)
        as_json = json.loads(run("config", "check", "--json", config).stdout)
        check(not as_json["ok"] and {"line": 3, "field": "feed", "text": "is not known; did you mean feeds?"}
              in as_json["faults"], as_json)
        check(run("up", config).returncode == 78, "up starts it all the same")


def what_is_printed_is_a_configuration_again():
    with Bus() as bus:
        config, again = os.path.join(bus.base, "a.yaml"), os.path.join(bus.base, "b.yaml")
        with open(config, "w", encoding="utf-8") as f:
            f.write(CHAIN % {"base": bus.base, "rate": "5", "count": 7, "pace": "gated", "more": "seed: 3"})
        run = lambda *a: subprocess.run([os.path.join(BUILD, "tickbus"), *a], capture_output=True, text=True, check=False)
        first = run("config", "print", config)
        check(first.returncode == 0, first)
        with open(again, "w", encoding="utf-8") as f:
            f.write(first.stdout)
        check(run("config", "check", again).returncode == 0, run("config", "check", again))
        check(run("config", "print", again).stdout == first.stdout, "it changed")


def the_front_command_runs_its_siblings():
    run = lambda *a: subprocess.run([os.path.join(BUILD, "tickbus"), *a], capture_output=True, text=True, check=False)
    check(run("--version").stdout.startswith("tickbus 0."), run("--version"))
    text = run("--help")
    check(text.returncode == 0 and "  up " in text.stdout and len(text.stdout.splitlines()) < 40, text)
    check(run().returncode == 64, "no command")
    unknown = run("tial")
    check(unknown.returncode == 64 and "did you mean tail?" in unknown.stderr, unknown)
    check("usage: tickbus up" in run("up", "--help").stdout, run("up", "--help"))
    check(run("up").returncode == 64, "up without a file")


run_tests([v for k, v in list(globals().items())
           if callable(v) and getattr(v, "__module__", "") == "__main__" and not isinstance(v, type) and
           k not in ("alive", "ready")])
