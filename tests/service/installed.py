#!/usr/bin/env python3
"""The installed tree is enough: a reader outside this one builds by pkg-config and by find_package."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.environ["TICKBUS_SOURCE"]
BUILD = os.environ["TICKBUS_BUILD"]
OUTSIDE = os.path.join(SOURCE, "tests", "service", "installed")


def run(*command, **options):
    return subprocess.run(command, check=True, text=True, timeout=100, stdout=subprocess.PIPE,
                          **options).stdout


def find(root, name):
    for folder, _, files in os.walk(root):
        if name in files:
            return folder
    sys.exit(f"installed: no {name} below {root}")


def main():
    work = tempfile.mkdtemp(prefix="tickbus-test-", dir="/dev/shm")
    try:
        prefix, bus = os.path.join(work, "prefix"), os.path.join(work, "bus")
        run("cmake", "--install", BUILD, "--prefix", os.path.join(work, "first"),
            "--component", "library")
        os.rename(os.path.join(work, "first"), prefix)  # an installed tree may be moved
        run(os.path.join(BUILD, "tests", "layout_example"), bus, "example")
        libraries = find(prefix, "libtickbus.so")

        # The sanitizers of the tested build, if any, must be in the program too.
        with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as file:
            cache = dict(re.findall(r"^([A-Z_]+):[A-Z]+=(.*)$", file.read(), re.MULTILINE))
        compiler = cache["CMAKE_C_COMPILER"]
        sanitize = cache.get("TB_SANITIZE", "")
        extra = [f"-fsanitize={sanitize}"] if sanitize else []

        by_pkg_config = os.path.join(work, "by-pkg-config")
        environment = dict(os.environ, PKG_CONFIG_PATH=find(prefix, "tickbus.pc"))
        flags = run("pkg-config", "--cflags", "--libs", "tickbus", env=environment).split()
        run(compiler, "-std=c17", "-Wall", "-Wextra", "-Werror", os.path.join(OUTSIDE, "reader.c"),
            "-o", by_pkg_config, *extra, *flags, f"-Wl,-rpath,{libraries}")

        by_cmake = os.path.join(work, "by-cmake")
        run("cmake", "-S", OUTSIDE, "-B", by_cmake, f"-DCMAKE_PREFIX_PATH={prefix}",
            f"-DCMAKE_C_COMPILER={compiler}", f"-DCMAKE_C_FLAGS={' '.join(extra)}")
        run("cmake", "--build", by_cmake)

        for program in (by_pkg_config, os.path.join(by_cmake, "reader")):
            linked = run("ldd", program)
            if libraries not in linked:
                sys.exit(f"installed: {program} does not use {libraries}:\n{linked}")
            output = run(program, bus, "example")
            if output != "1 BTC/USDT 6012345e-2\n":
                sys.exit(f"installed: {program} printed {output!r}")
    finally:
        shutil.rmtree(work)


main()
