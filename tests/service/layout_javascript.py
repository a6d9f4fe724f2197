#!/usr/bin/env python3
"""LAYOUT.md and FIELDS.md are enough: a JavaScript reader made from them prints what `tickbus tail` does."""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

BUILD = os.environ["TICKBUS_BUILD"]
SOURCE = os.environ["TICKBUS_SOURCE"]
READER = os.path.join(SOURCE, "tests/service/layout_reader.mjs")
EXAMPLE = os.path.join(BUILD, "tests", "layout_example")
START = "2024-08-08T00:00:00Z"  # long ago: publish_delta_ns saturates, so each life makes the same bytes
DEADLINE = 60


def check(condition, message):
    if not condition:
        sys.exit(f"layout_javascript: {message}")


def ring(base, stream):
    return os.path.join(base, "t", stream + ".ring")


def node(base, stream, *options):
    return subprocess.Popen(["node", READER, *options, ring(base, stream)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(reader):
    """The lines that it printed, the next sequence, how many were lost."""
    try:
        out, err = reader.communicate(timeout=DEADLINE)
    finally:
        reader.kill()
    check(reader.returncode == 0, f"the reader ended with {reader.returncode}:\n{err}")
    told = re.search(r"next=(\d+) lost=(\d+)", err)
    return out.splitlines(), int(told[1]), int(told[2])


def tail(base, stream):
    done = subprocess.run([os.path.join(BUILD, "tickbus"), "tail", "--directory", base, "--bus", "t",
                           "--stream", stream, "--from", "oldest", "--once", "--json"],
                          check=True, text=True, capture_output=True, timeout=DEADLINE)
    return done.stdout.splitlines()


def synth(base, stream, count, rate, capacity):
    return subprocess.Popen([os.path.join(BUILD, "tickbus-synth"), "--directory", base, "--bus", "t",
                             "--stream", stream, "--count", str(count), "--rate", str(rate), "--step", "1us",
                             "--capacity", str(capacity), "--symbols", "3", "--start", START],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(path):
    deadline = time.monotonic() + DEADLINE
    while not os.path.exists(path):
        check(time.monotonic() < deadline, f"{path} did not appear")
        time.sleep(0.005)


def compare(ours, theirs, what):
    for mine, its in zip(ours, theirs):
        check(mine == its, f"{what}:\n JavaScript {mine}\n tail       {its}")
    check(len(ours) == len(theirs), f"{what}: JavaScript printed {len(ours)} lines, tail {len(theirs)}")


def put_busy(path, seq):
    """As a producer leaves it that dies in the middle of seq (capacity 256)."""
    with open(path, "r+b") as file:
        file.seek(200704 + seq % 256 * 64)
        file.write((seq | 1 << 63).to_bytes(8, "little"))


def standing_still(base):
    """All types, with every bit random."""
    for count in (0, 1, 256, 5000):
        seed = random.randrange(1 << 32)
        subprocess.run([EXAMPLE, os.path.join(base, "t"), "random", str(seed), str(count)], check=True,
                       stdout=subprocess.DEVNULL, timeout=DEADLINE)
        ours, _, lost = finish(node(base, "random"))
        compare(ours, tail(base, "random"), f"seed {seed}")
        check(len(ours) == min(count, 256) and lost == 0, f"{len(ours)} of {count}, lost {lost}")
        put_busy(ring(base, "random"), count + 1)
        ours, following, lost = finish(node(base, "random", "--follow"))
        compare(ours, tail(base, "random"), f"seed {seed}, busy")
        check(len(ours) == min(count, 255) and following == count + 1 and lost == 0,
              f"busy: {len(ours)} of {count}, next {following}, lost {lost}")
        os.unlink(ring(base, "random"))


def alive(base):
    """The producer publishes meanwhile, and the ring holds it all."""
    count = 60000
    producer = synth(base, "alive", count, 40000, 65536)
    wait_for(ring(base, "alive"))
    ours, _, lost = finish(node(base, "alive", "--follow"))
    check(producer.wait(timeout=DEADLINE) == 0, "synth failed")
    check(lost == 0, f"{lost} records were lost")
    theirs = tail(base, "alive")
    check(len(theirs) == count, f"tail printed {len(theirs)}")
    compare(ours, theirs, "alive")
    return theirs


def lapped(base, whole):
    """The ring is far too small: what is read is right, and the rest is counted."""
    producer = synth(base, "lapped", len(whole), 60000, 16)
    wait_for(ring(base, "lapped"))
    reader = node(base, "lapped", "--follow")
    check(producer.wait(timeout=DEADLINE) == 0, "synth failed")
    verify(reader, whole, "lapped")


def verify(reader, whole, stream):
    ours, following, lost = finish(reader)
    seqs = [int(re.search(r'"seq":(\d+)', text)[1]) for text in ours]
    for seq, mine in zip(seqs, ours):
        its = whole[seq - 1].replace('"stream":"alive"', f'"stream":"{stream}"')
        check(mine == its, f"{stream}:\n JavaScript {mine}\n published  {its}")
    check(seqs == sorted(set(seqs)), f"{stream}: out of order")
    check(following == len(whole) + 1, f"{stream}: it ended at {following}")
    begun = following - len(seqs) - lost
    check(1 <= begun <= seqs[0], f"{stream}: {len(seqs)} read, {lost} lost, first {seqs[0]}")
    print(f"{stream}: read {len(seqs)}, lost {lost}")


def main():
    if shutil.which("node") is None:
        print("node is not installed")
        sys.exit(77)
    base = tempfile.mkdtemp(prefix="tickbus-test-", dir="/dev/shm")
    try:
        standing_still(base)
        lapped(base, alive(base))
    finally:
        shutil.rmtree(base)


main()
