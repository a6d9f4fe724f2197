#!/usr/bin/env python3
"""Check a Promela model whole, then each of its mutants, which must fail.

    spin.py MODEL.pml [DEFINES ...]     one run per DEFINES, such as "CAPACITY=4,LAST=9"

The mutants are the MUTANT_... names in the model. A mutant counts as found if any of the runs
reports an error. Exit 0: the model is clean and every mutant fails; 77: spin is not installed.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

DEADLINE = 100  # seconds for one search; they take a few


def search(model, defines):
    """Run one complete search; return (errors, states, depth)."""
    with tempfile.TemporaryDirectory(prefix="tickbus-spin-") as work:
        flags = ["-D" + d for d in defines]
        made = subprocess.run(["spin", "-a", *flags, model], cwd=work, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if made.returncode != 0 or not os.path.exists(os.path.join(work, "pan.c")):
            sys.exit(f"spin refused {model} {defines}:\n{made.stdout}")
        # -DSAFETY: assertions and invalid end states (deadlock: someone waits for ever)
        subprocess.run([os.environ.get("CC", "cc"), "-O1", "-w", "-DSAFETY", "-DCOLLAPSE", "-o",
                        "pan", "pan.c"], cwd=work, check=True)
        run = subprocess.run(["./pan", "-m1000000", "-n"], cwd=work, text=True, timeout=DEADLINE,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        found = re.search(r"depth reached (\d+), errors: (\d+)", run.stdout)
        states = re.search(r"(\d+) states, stored", run.stdout)
        if not found or not states:
            sys.exit(f"pan failed:\n{run.stdout}")
        if "max search depth too small" in run.stdout:
            sys.exit(f"search was not complete:\n{run.stdout}")
        return int(found[2]), int(states[1]), int(found[1])


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if not shutil.which("spin"):
        print("skipped: the package spin is not installed")
        sys.exit(77)
    model = os.path.abspath(sys.argv[1])
    runs = [[d for d in text.split(",") if d] for text in sys.argv[2:]] or [[]]
    with open(model, encoding="utf-8") as source:
        mutants = sorted(set(re.findall(r"\bMUTANT_[A-Z0-9_]+", source.read())) - {"MUTANT_"})
    faults = []
    for defines in runs:
        errors, states, depth = search(model, defines)
        print(f"original {','.join(defines) or '-'}: {states} states, depth {depth}, {errors} errors")
        if errors:
            faults.append(f"the original fails with {defines}")
    for mutant in mutants:
        for defines in runs:
            errors, states, depth = search(model, [mutant, *defines])
            if errors:
                print(f"{mutant} {','.join(defines) or '-'}: caught after {states} states")
                break
        else:
            print(f"{mutant}: NOT caught")
            faults.append(f"{mutant} passes: the model does not show why it is needed")
    if not mutants:
        faults.append("the model has no mutants")
    for fault in faults:
        print("FAULT:", fault)
    sys.exit(1 if faults else 0)


main()
