#!/usr/bin/env python3
"""A reader that is stopped (SIGSTOP) disturbs nobody, and when it goes on it knows exactly what it lost."""
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from supervise import Bus, tool, until  # noqa: E402

COUNT, RATE = 600_000, 200_000


def look(bus):
    code, out, err = tool("stat", "--directory", bus.base, "--bus", "t", "--once", "--json")
    if code == 69:  # no process has made the bus yet
        return {"streams": [], "processes": []}
    assert out, err
    return json.loads(out)


def counters(bus, name):
    return next(p["counters"] for p in look(bus)["processes"] if p["process"] == name)


def main():
    reader = ("metrics", 'listen: "", streams: [load]')
    with Bus({"services.stopped": reader, "services.running": reader,
              "feeds.load": ("synth", f"rate: {RATE}, count: {COUNT}, capacity: 65536")}) as bus:
        bus.start()
        stopped, running, load = (bus.processes[s] for s in ("services.stopped", "services.running", "feeds.load"))
        began = time.monotonic()

        def published():
            return sum(s["seq"] for s in look(bus)["streams"] if s["stream"] == "load")

        until(lambda: published() > 50_000, "the load")
        stopped.kill(signal.SIGSTOP)
        at = published()
        until(lambda: load.poll() is not None or published() > at + 5 * 65536, "five laps")
        stopped.kill(signal.SIGCONT)
        until(lambda: all(p.poll() is not None for p in (stopped, running, load)), "the end", 30)
        elapsed = time.monotonic() - began

        slow, fast = counters(bus, "stopped"), counters(bus, "running")
        print(f"published {COUNT} in {elapsed:.2f} s; stopped reader: {slow['records_read']} read, {slow['records_lost']} lost "
              f"in {slow['overruns']} overruns; other reader: {fast['records_read']} read, {fast['records_lost']} lost")
        assert load.code == 0 and published() == COUNT
        assert elapsed < COUNT / RATE + 5, "the producer was held up"
        assert fast["records_read"] == COUNT and fast["records_lost"] == 0 and running.code == 0
        assert slow["records_lost"] > 65536 and slow["records_read"] + slow["records_lost"] == COUNT
        assert stopped.code == 75, f"loss must show in the exit code, not {stopped.code}"


if __name__ == "__main__":
    main()
