"""What adapter_dump prints of a recorded session, for the tests that hold it against facts."""
import collections
import os
import subprocess
import sys
from decimal import Decimal

PROGRAM = os.path.join(os.environ["TICKBUS_BUILD"], "tests", "adapter_dump")


class Dump:
    """Counters, markets with their exponents, books; a subclass's record(words) puts each record where it wants it."""

    def __init__(self, venue, paths):
        done = subprocess.run([PROGRAM, venue, *paths], capture_output=True, timeout=100, text=True)
        if done.returncode != 0:
            sys.exit(f"adapter_dump: exit {done.returncode}: {done.stderr}")
        self.counter, self.raw, self.exps = {}, {}, {}
        self.records = collections.defaultdict(list)
        self.book = collections.defaultdict(lambda: {"B": [], "A": []})
        for line in done.stdout.splitlines():
            self.line(line.split())

    def line(self, w):
        if w[0] == "counter":
            self.counter[w[1]] = int(w[2])
        elif w[0] == "market":
            self.raw[w[1]] = w[2]
            self.exps[w[2]] = (int(w[3]), int(w[4]))
        elif w[0] == "book":
            self.book[self.raw[w[1]]][w[2]].append((Decimal(w[3]), Decimal(w[4])))
        else:
            self.record(w)
