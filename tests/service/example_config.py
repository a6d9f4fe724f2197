#!/usr/bin/env python3
"""deploy/tickbus.yaml names every option of every program, with its default and its help.

Compared with what the programs themselves print. After an option changed:
    TICKBUS_BUILD=build TICKBUS_SOURCE=. tests/service/example_config.py --write
"""
import difflib
import os
import re
import subprocess
import sys
import tempfile

BUILD = os.path.abspath(os.environ["TICKBUS_BUILD"])
SOURCE = os.environ["TICKBUS_SOURCE"]
EXAMPLE = os.path.join(SOURCE, "deploy/tickbus.yaml")

HEAD = """\
# Every option of every program of a bus, each with its default; what is commented out need not be given.
# Check a file of yours:  build/tickbus config check FILE      Print it with all defaults:  build/tickbus config print FILE
# Run it:                 build/tickbus up FILE                Options are the same on the command line: --key=value
# Durations: 250ms 5s 1m 2h 1d. Sizes: 4096 64KiB 4MiB. Paths are relative to the working directory.
# The options of all processes stand once, at the end. Of feeds, the key is the name of the stream.
"""

# What must be given, or is told best by an example.
BASE = {
    "venues": {"binance-recorded": {"program": "venue", "venue": "binance",
                                    "captures": "[deploy/demo/spot_btcusdt_20240808.gz]", "port": "9443"}},
    "feeds": {"binance": {"program": "feed", "venue": "binance", "symbols": "[BTC/USDT]"},
              "recorded": {"program": "replay", "venue": "binance",
                           "captures": "[deploy/demo/spot_btcusdt_20240808.gz]"},
              "load": {"program": "synth"}},
    "services": {"journal": {}, "candles": {}, "persist": {"database": "var/tickbus.db"}, "metrics": {},
                 "alerts": {"rules": "[{name: HighSpread, kind: spread_above, exchange: binance, symbol: BTC/USDT, "
                                     "threshold: 10, for: 30s, severity: warning, summary: spread above 10 USDT}]"}},
}
SKELETON = ["streams", "stream", "from", "until_done", "journal", "log_level", "bus", "directory", "name", "wait", "attach_timeout",
            "drain_timeout", "housekeep_every", "checkpoint_every", "capacity", "pace", "gates", "lock_pages", "huge_pages",
            "new_epoch"]
# Options of a program that have the name of one of the skeleton's, which it has not.
OWN = {"recorded": ["journal", "from"]}
TITLES = {"venues": "# Recorded sessions, served as the venues they came from.",
          "feeds": "# Producers: each makes the stream that it is named after.",
          "services": "# Consumers. Without `streams` they read every feed, and what the other services make of it."}


def base_text():
    text = "bus: default\njournal: var/journal\n"
    for kind, entries in BASE.items():
        text += kind + ":\n"
        for key, options in entries.items():
            text += "  %s:\n    {%s}\n" % (key, ", ".join("%s: %s" % o for o in options.items()))
    return text


def options_of(kind, key, config):
    """(key, value or None, help) of every option, in the program's order."""
    program = BASE[kind][key].get("program", key)
    r = subprocess.run([os.path.join(BUILD, "tickbus-" + program), "--config", config, "--section", "%s.%s" % (kind, key),
                        "--print-config"], cwd=SOURCE, capture_output=True, text=True, check=False)
    if r.returncode != 0:
        sys.exit("tickbus-%s: %s" % (program, r.stderr))
    for line in r.stdout.splitlines():
        m = re.fullmatch(r"(# )?(\w+):(?: (.*?))?  # (.*)", line)
        if not m:
            sys.exit("tickbus-%s --print-config: what is %r?" % (program, line))
        yield m.group(2), m.group(3), m.group(4)


def row(key, value, text, given, indent):
    left = "%s%s%s:%s" % (indent, "" if given else "# ", key, " " + value if value else "")
    return "%-46s  # %s\n" % (left, text)


def generate(config):
    out, common = HEAD + "\nbus: default\n" + row("journal", "var/journal", "where the journals of all buses are: whoever was lapped or comes late reads on there", True, ""), {}
    for kind, entries in BASE.items():
        out += "\n%s\n%s:\n" % (TITLES[kind], kind)
        for n, (key, given) in enumerate(entries.items()):
            out += ("" if n == 0 else "\n") + "  %s:\n" % key
            if "program" in given:
                out += row("program", given["program"], "runs tickbus-" + given["program"], True, "    ")
            own = 0
            for option, value, text in options_of(kind, key, config):
                if option in SKELETON and option not in OWN.get(key, []):
                    # The value is that of a process that is told nothing.
                    common.setdefault(option, (None if option in ("bus", "journal") else value, text))
                    continue
                out += row(option, given.get(option, value), text, option in given, "    ")
                own += 1
            if own == 0:
                out += "    {}\n"
    out += "\n# Options of every process, where they make sense: in its own section. bus, directory, journal and log_level\n"
    out += "# may stand at the top of the file for all. `restart: false`: `up` does not start it again when it dies.\n"
    for option in SKELETON:
        value, text = common[option]
        out += row(option, value, text, False, "    ")
    return out


def main():
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write(base_text())
        config.flush()
        wanted = generate(config.name)
    if sys.argv[1:] == ["--write"]:
        with open(EXAMPLE, "w", encoding="utf-8") as f:
            f.write(wanted)
        return 0
    with open(EXAMPLE, encoding="utf-8") as f:
        have = f.read()
    if have != wanted:
        sys.stdout.writelines(difflib.unified_diff(have.splitlines(True), wanted.splitlines(True), "deploy/tickbus.yaml",
                                                   "what the programs say"))
        print("\nrun tests/service/example_config.py --write")
        return 1
    # With every default written out it is a configuration too.
    full = re.sub(r"^(    )# (\w+: \S)", r"\1\2", have.split("\n# Options of every process")[0], flags=re.M)
    full = re.sub(r"^    \{\}\n", "", full, flags=re.M)
    for text in (have, full):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(text)
            f.flush()
            r = subprocess.run([os.path.join(BUILD, "tickbus"), "config", "check", f.name], cwd=SOURCE,
                               capture_output=True, text=True, check=False)
            if r.returncode != 0:
                print(r.stderr)
                return 1
    print("every option of every program is in deploy/tickbus.yaml, as it is")
    return 0


sys.exit(main())
