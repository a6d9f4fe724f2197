#!/usr/bin/env python3
"""kill -9 at labelled points: each process dies at each place where dying is hardest, and nothing shows.

Needs a build with -DTB_POINTS=ON (else exit 77). The points are found in the sources, so a new one is
tested as soon as it is written. For each (process, point, count) that this process passes, one run of a
recording ends with the same rows as the run without kills. COUNTS: how often each point, default "1,7,150".
"""
import os
import re
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from supervise import BUILD, SOURCE, compare, facts  # noqa: E402
import kills  # noqa: E402

COUNTS = [int(c) for c in os.environ.get("COUNTS", "1,7,150").split(",")]
FOLDERS = {  # where a process can meet a point of this prefix
    "publish": ("binance", "candles", "alerts"), "ring": ("binance", "candles", "alerts"),
    "instrument": ("binance", "candles", "alerts"), "checkpoint": ("candles", "persist", "metrics", "alerts"),
}


def points():
    found = set()
    for folder in ("bus", "include", "producers", "consumers"):
        for root, _, names in os.walk(os.path.join(SOURCE, folder)):
            for name in names:
                if name.endswith((".c", ".h", ".cpp")):
                    with open(os.path.join(root, name), errors="replace") as f:
                        found |= set(re.findall(r'TB_POINT\("([^"]+)"\)', f.read()))
    return sorted(found)


def compiled_in():
    with open(os.path.join(BUILD, "CMakeCache.txt")) as f:
        return "TB_POINTS:BOOL=ON" in f.read()


def main():
    if not compiled_in():
        print("skipped: this build has no kill points (-DTB_POINTS=ON)")
        sys.exit(77)
    capture = min(facts.captures(), key=lambda c: sum(os.path.getsize(f) for f in c.files))
    with kills.make(capture, "max") as bus:
        bus.start()
        bus.run(60)
        expected = bus.rows()
    struck = passed_by = 0
    for point in points():
        prefix = point.split(":")[0]
        for process in FOLDERS.get(prefix, (prefix,)):
            for count in COUNTS:
                with kills.make(capture, "max") as bus:
                    if not any(s.endswith("." + process) for s in bus.processes):
                        continue  # a program that is not part of this bus
                    section = next(s for s in bus.processes if s.endswith("." + process))
                    bus.start(**{process: {"TB_POINT": f"{point}:{count}"}})
                    bus.run(60)
                    starts = bus.processes[section].starts
                    struck, passed_by = struck + (starts > 1), passed_by + (starts == 1)
                    try:
                        compare(expected, bus.rows())
                    except AssertionError as e:
                        raise AssertionError(f"{process} killed at {point}, time {count}: {e}") from e
    print(f"{struck} kills at {len(points())} points, {passed_by} not reached; rows equal each time")
    assert struck > len(points()), "hardly any point was reached"


if __name__ == "__main__":
    main()
