#!/usr/bin/env python3
"""Load for a long time: memory, file descriptors and the WAL stay flat in every process.

Environment: SECONDS (default 12), RATE (records/s, default 100000). An hour at 100,000/s is
SECONDS=3600; its equivalent in records is SECONDS=1200 RATE=300000.
"""
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from supervise import Bus, tool  # noqa: E402

SECONDS = float(os.environ.get("SECONDS", "12"))
RATE = int(os.environ.get("RATE", "100000"))
MIB = 1 << 20


def sample(bus):
    _, out, err = tool("stat", "--directory", bus.base, "--bus", "t", "--once", "--json")
    assert out, err
    state = json.loads(out)
    wal = bus.database + "-wal"
    return {
        "seq": {s["stream"]: s["seq"] for s in state["streams"]},
        "rss": {p["process"]: p["rss_bytes"] for p in state["processes"]},
        "fds": {p["process"]: p["open_fds"] for p in state["processes"]},
        "states": {p["process"]: p["state"] for p in state["processes"]},
        "lost": sum(r["lost"] for r in state["readers"]),
        "wal": os.path.getsize(wal) if os.path.exists(wal) else 0,
    }


def main():
    with Bus({"services.candles": ("candles", "capacity: 65536"), "services.alerts": ("alerts", ""),
              "services.persist": ("persist", "database: DB"), "services.metrics": ("metrics", 'listen: ""'),
              "feeds.load": ("synth", f"rate: {RATE}, symbols: 8, trades: 2, quotes: 30, capacity: 1048576")}) as bus:
        with open(bus.config) as f:
            text = f.read()
        with open(bus.config, "w") as f:
            f.write(text.replace("DB", bus.database))
        bus.start()
        begin = time.monotonic()
        samples = []
        while time.monotonic() < begin + SECONDS:
            time.sleep(max(0.5, SECONDS / 60))
            for p in bus.processes.values():
                assert p.poll() is None, f"{p.section} ended with {p.code}:\n{p.last_lines()}"
            samples.append(sample(bus))
        for section in ("feeds.load", "services.candles", "services.alerts", "services.persist", "services.metrics"):
            bus.processes[section].kill(signal.SIGTERM)
        warm, last = samples[len(samples) // 3], samples[-1]
        print(f"{last['seq'].get('load', 0):,} records in {SECONDS:.0f} s, lost {last['lost']}, WAL at most {max(s['wal'] for s in samples) / MIB:.1f} MiB")
        for name in sorted(last["rss"]):
            rss = [s["rss"].get(name, 0) for s in samples[len(samples) // 3:]]
            print(f"  {name:12} rss {min(rss) / MIB:7.1f} .. {max(rss) / MIB:7.1f} MiB, fds {warm['fds'].get(name)} .. {last['fds'][name]}")
            assert max(rss) - warm["rss"][name] < 2 * MIB, f"{name} grows"
            assert last["fds"][name] <= warm["fds"][name] + 1, f"{name} leaks descriptors"
        assert max(s["wal"] for s in samples) < 96 * MIB, "the WAL grows"
        assert last["lost"] == 0
        assert last["seq"]["load"] > 0.9 * RATE * SECONDS - RATE


if __name__ == "__main__":
    main()
