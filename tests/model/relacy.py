#!/usr/bin/env python3
"""Run the Relacy search of slot.h: the original must be clean, every mutant must be caught."""

import os
import subprocess
import sys

PROGRAM = os.path.join(os.environ["TICKBUS_BUILD"], "tests", "model_slot")


def run(*arguments):
    done = subprocess.run([PROGRAM, *arguments], text=True, timeout=100, stdout=subprocess.PIPE)
    return done.returncode, done.stdout


def main():
    if not os.path.exists(PROGRAM):
        print("skipped: model_slot was not built (package relacy-dev, no sanitizer)")
        sys.exit(77)
    mutants = run("--list")[1].split()
    faults = 0
    for mutant in mutants:
        status, text = run(mutant)
        print(text, end="")
        if status != (0 if mutant == "original" else 1):
            print(f"FAULT: {mutant}: exit {status}")
            faults += 1
    if len(mutants) < 2:
        print("FAULT: no mutants")
        faults += 1
    sys.exit(1 if faults else 0)


main()
