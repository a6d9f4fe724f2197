#!/usr/bin/env python3
"""LAYOUT.md is true: its example is what the library writes, and a reader made from it reads the rest."""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

import layout_reader

SOURCE = os.environ["TICKBUS_SOURCE"]
PROGRAM = os.path.join(os.environ["TICKBUS_BUILD"], "tests", "layout_example")
HEX_LINE = re.compile(r"^    ([0-9a-f]{6})((?:  ?[0-9a-f]{2})+)(?:  |$)")


def check(condition, message):
    if not condition:
        sys.exit(f"layout: {message}")


def compare_example(bus):
    subprocess.run([PROGRAM, bus, "example"], check=True, timeout=30)
    with open(os.path.join(bus, "example.ring"), "rb") as file:
        ring = file.read()
    lines = 0
    with open(os.path.join(SOURCE, "include/tickbus/LAYOUT.md"), encoding="utf-8") as file:
        for line in file:
            match = HEX_LINE.match(line)
            if match is None:
                continue
            offset = int(match[1], 16)
            expected = bytes.fromhex(match[2])
            found = ring[offset:offset + len(expected)]
            check(found == expected, f"at {match[1]} documented {expected.hex(' ')}, "
                                     f"in the file {found.hex(' ')}")
            lines += 1
    check(lines >= 12, f"only {lines} lines of the example were found")

    stream = layout_reader.Ring(os.path.join(bus, "example.ring"))
    record, = stream.records()
    instrument = stream.instruments()[record.instrument]
    check(stream.state == "done" and not stream.alive(), "the producer is not done")
    check(str(layout_reader.value(record.body["price"], instrument.price_exp)) == "60123.45", "price")
    check(layout_reader.value(record.body["size"], instrument.size_exp) ==
          layout_reader.Decimal("0.0015"), "size")


def compare_random(bus, seed, count):
    done = subprocess.run([PROGRAM, bus, "random", str(seed), str(count)], check=True, timeout=30,
                          text=True, stdout=subprocess.PIPE)
    stream = layout_reader.Ring(os.path.join(bus, "random.ring"))
    ours = [" ".join(str(x) for x in (r.seq, r.ts_event, r.ts_recv, r.instrument, r.type, r.flags,
                                      r.publish_delta_ns, *r.body.values()))
            for r in stream.records()]
    theirs = done.stdout.splitlines()
    check(len(theirs) == min(count, 256), f"C read {len(theirs)} of {count}")
    for mine, its in zip(ours, theirs):
        check(mine == its, f"seed {seed}:\n Python {mine}\n C      {its}")
    check(len(ours) == len(theirs), f"Python read {len(ours)}, C {len(theirs)}")
    check(stream.newest() == count, f"newest {stream.newest()}, published {count}")
    check(stream.instruments()[2].market == 1, "market")
    if count > 256:
        try:
            stream.read(count - 256)
            check(False, "a lapped record was read")
        except layout_reader.Overrun:
            pass
    stream.close()


def main():
    bus = tempfile.mkdtemp(prefix="tickbus-test-", dir="/dev/shm")
    try:
        compare_example(bus)
        for count in (0, 1, 200, 256, 1000):
            seed = random.randrange(1 << 32)
            compare_random(bus, seed, count)
            for name in os.listdir(bus):
                if name.startswith("random"):
                    os.unlink(os.path.join(bus, name))
    finally:
        shutil.rmtree(bus)


main()
