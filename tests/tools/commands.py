#!/usr/bin/env python3
"""What is wrong with a bus is told alike by all commands that look at one: a line each, and the same exit code."""

import os
import subprocess

from bus import main, program

COMMANDS = (["stat", "--once"], ["tail", "--once"], ["book", "--once"], ["resync", "--all"])
NOBODY = 65534


def all_say(bus, status, text, *more, **how):
    for command in COMMANDS:
        _, err = bus.run(*command, *more, status=status, **how)
        if len(err.splitlines()) != 1 or text not in err:
            raise AssertionError(f"{command}: {err}")


def a_bus_that_is_not_there(bus):
    all_say(bus, 69, "no bus at", "--bus", "other")


def a_bus_whose_name_is_none(bus):
    all_say(bus, 64, "../t", "--bus", "../t")


def a_bus_that_may_not_be_looked_at(bus):
    """By root nothing is refused: then it is somebody else who looks."""
    as_other = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    os.chmod(bus.base, 0o700 if as_other else 0)
    try:
        if as_other and subprocess.run(["test", "-x", program("stat")], **as_other).returncode != 0:
            print("a_bus_that_may_not_be_looked_at: left out, nobody else can run what was built here")
            return
        all_say(bus, 74, "may not look at bus", "--bus", "t", **as_other)
    finally:
        os.chmod(bus.base, 0o700)


main([a_bus_that_is_not_there, a_bus_whose_name_is_none, a_bus_that_may_not_be_looked_at])
