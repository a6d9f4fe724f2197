#!/usr/bin/env python3
"""Tables of what `tickbus bench --json` wrote.

    tickbus bench --json > runs.jsonl
    bench/table.py runs.jsonl [more.jsonl ...]                to look at
    bench/table.py --write bench/README.md runs.jsonl         between the marks of that file

All runs of all files count together, by suite, measure, subject and placement. Figures are min / median / max
(n); runs that others disturbed, or during which the placement changed, are counted and left out.
Exit: 0; 64 no such option or no file; 65 a line that is not of the bench.
"""

import argparse
import json
import re
import statistics
import sys

BEGIN, END = "<!-- bench/table.py: begin -->", "<!-- bench/table.py: end -->"
COMPARABLE = ("near", "far", "one")
TAILS = ("p50", "p90", "p99", "p99.9")


class Row:
    """One subject of one measure in one placement."""

    def __init__(self, run):
        self.measure, self.subject, self.place = run["measure"], run["subject"], run["place"]
        self.role, self.unit, self.better = run["role"], run["unit"], run["better"]
        self.values = []

    def median(self):
        return statistics.median(self.values)

    def text(self):
        low, high = min(self.values), max(self.values)
        return f"{number(low)} / **{number(self.median())}** / {number(high)} ({len(self.values)})"

    def best(self):
        return number(max(self.values) if self.better == "higher" else min(self.values))


class Suite:
    def __init__(self, name):
        self.name = name
        self.machines, self.notes, self.absent = [], [], []
        self.rows = {}
        self.left_out = self.all = 0

    def add(self, line):
        kind = line["kind"]
        if kind == "machine":
            text = (f"tickbus {line['version']}, {line['processor']}, {line['machine']}, Linux "
                    f"{line['kernel']}{', quick: no figures' if line['quick'] else ''}")
            if text not in self.machines:
                self.machines.append(text)
        elif kind == "note" and line["text"] not in self.notes:
            self.notes.append(line["text"])
        elif kind == "absent" and line not in self.absent:
            self.absent.append(line)
        elif kind == "run":
            self.all += 1
            if line["place"] not in COMPARABLE:
                self.left_out += 1
                return
            key = (line["measure"], line["subject"], line["place"])
            self.rows.setdefault(key, Row(line)).values.append(line["value"])

    def measures(self):
        return list(dict.fromkeys(measure for measure, _, _ in self.rows))

    def of(self, measure, place=None):
        return [r for r in self.rows.values()
                if r.measure == measure and place in (None, r.place)]

    def beside(self, row, role):
        """What it is held against, in the same placement: the best of the peers, of the limits."""
        ranks = ("ours", "peer", "limit")
        if ranks.index(row.role) >= ranks.index(role):
            return None
        others = [r for r in self.of(row.measure, row.place) if r.role == role and r.median() > 0]
        if not others:
            return None
        return (max if row.better == "higher" else min)(others, key=Row.median)

    def ratio(self, row, role):
        other = self.beside(row, role)
        return f"{row.median() / other.median():.2f}" if other else ""


def number(value):
    if value >= 10000:
        return f"{value:,.0f}"
    digits = 0 if value >= 1000 else 1 if value >= 100 else 2
    return f"{value:.{digits}f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |",
             "| " + " | ".join("---" if i == 0 else "--:" for i in range(len(head))) + " |"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def in_order(rows):
    return sorted(rows, key=Row.median, reverse=rows[0].better == "higher")


def bold(row):
    return f"**{row.subject}**" if row.role == "ours" else row.subject


def plain_table(suite, measure):
    """Placements side by side."""
    rows = suite.of(measure)
    places = [p for p in COMPARABLE if any(r.place == p for r in rows)]
    subjects = list(dict.fromkeys(r.subject for p in places
                                  for r in in_order([x for x in rows if x.place == p] or rows)))
    head, body = [f"{measure}, {rows[0].unit}"], []
    head += [p if p != "one" else "min / median / max (n)" for p in places]
    ratios = [(role, p) for role in ("peer", "limit") for p in places
              if any(suite.ratio(r, role) for r in rows if r.place == p)]
    head += [f"to {'best peer' if role == 'peer' else 'limit'}{'' if p == 'one' else ', ' + p}"
             for role, p in ratios]
    for subject in subjects:
        mine = {r.place: r for r in rows if r.subject == subject}
        line = [bold(next(iter(mine.values())))]
        line += [mine[p].text() if p in mine else "" for p in places]
        line += [suite.ratio(mine[p], role) if p in mine else "" for role, p in ratios]
        body.append(line)
    return table(head, body)


def latency_tables(suite, base):
    """One table a placement: the tails side by side."""
    lines = []
    for place in COMPARABLE:
        first = suite.of(f"{base}, p50", place)
        if not first:
            continue
        body = []
        for row in in_order(first):
            others = [suite.rows.get((f"{base}, {tail}", row.subject, place)) for tail in TAILS[1:]]
            p90 = number(others[0].median()) if others[0] else ""
            body.append([bold(row), row.text(), p90, *(r.best() if r else "" for r in others[1:]),
                         suite.ratio(row, "peer"), suite.ratio(row, "limit")])
        lines += table([f"{base}, {place}, {first[0].unit}", "p50", "p90", "p99, best run",
                        "p99.9, best run", "p50 to best peer", "p50 to limit"], body)
    return lines


def render(suites):
    lines = []
    for suite in suites.values():
        lines += [f"#### {suite.name}", "", "; ".join(suite.machines) + ".", ""]
        lines += [f"{note[0].upper()}{note[1:]}." for note in suite.notes]
        lines += [f"Left out: {a['subject']}: {a['why']}." for a in suite.absent]
        if suite.left_out:
            lines.append(f"{suite.left_out} of {suite.all} figures are left out: other work, or the host, "
                         "disturbed their runs.")
        if lines[-1]:
            lines.append("")
        for measure in suite.measures():
            base, _, tail = measure.rpartition(", ")
            if tail == TAILS[0]:
                lines += latency_tables(suite, base)
            elif tail not in TAILS:
                lines += plain_table(suite, measure)
    return "\n".join(lines).rstrip() + "\n"


def read(paths):
    suites = {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for count, text in enumerate(file, 1):
                try:
                    line = json.loads(text)
                    suites.setdefault(line["suite"], Suite(line["suite"])).add(line)
                except (ValueError, KeyError, TypeError) as error:
                    sys.stderr.write(f"{path}:{count}: not a line of the bench: {error!r}\n")
                    sys.exit(65)
    return {name: suite for name, suite in suites.items() if suite.rows}


def write(path, text):
    with open(path, encoding="utf-8") as file:
        old = file.read()
    if BEGIN not in old or END not in old:
        sys.stderr.write(f"{path}: no marks {BEGIN} and {END}\n")
        sys.exit(65)
    new = re.sub(re.escape(BEGIN) + ".*" + re.escape(END),
                 lambda _: f"{BEGIN}\n{text}{END}", old, flags=re.DOTALL)
    with open(path, "w", encoding="utf-8") as file:
        file.write(new)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="runs.jsonl")
    parser.add_argument("--write", metavar="FILE")
    given = parser.parse_args()
    text = render(read(given.files))
    if given.write:
        write(given.write, text)
    else:
        sys.stdout.write(text)


try:
    main()
except FileNotFoundError as error:
    sys.stderr.write(f"table.py: {error}\n")
    sys.exit(64)
