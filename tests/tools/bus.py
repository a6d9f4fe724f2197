"""A private bus for tests of tools: a producer that does as it is told (fill.c), and programs to run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from until import until  # noqa: E402

BUILD = os.environ["TICKBUS_BUILD"]
DEADLINE = 20  # seconds for anything to happen


def program(name):
    return os.path.join(BUILD, "tickbus-" + name)


class Bus:
    """A directory under /dev/shm with the bus `t`; removed at the end, its producers ended."""

    def __enter__(self):
        self.base = tempfile.mkdtemp(prefix="tickbus-test-", dir="/dev/shm")
        self.directory = os.path.join(self.base, "t")
        os.mkdir(self.directory, 0o750)
        self.producers = []
        self.started = []
        return self

    def __exit__(self, *_):
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
        for producer in self.producers:
            producer.end()
        shutil.rmtree(self.base)

    def fill(self, stream="s", capacity=64):
        producer = Fill(self.directory, stream, capacity)
        self.producers.append(producer)
        return producer

    def command(self, tool, *arguments):
        return [program(tool), "--directory", self.base, *arguments]

    def run(self, tool, *arguments, status=0, **more):
        """Run a tool to its end; return (stdout, stderr) after checking the exit code."""
        done = subprocess.run(self.command(tool, *arguments), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=DEADLINE, **more)
        out, err = done.stdout, done.stderr.decode()
        if done.returncode != status:
            raise AssertionError(f"{tool} {arguments}: exit {done.returncode}, not {status}\n{err}")
        return out.decode() if "raw" not in arguments else out, err

    def json(self, tool, *arguments, status=0):
        """The objects of --json, one per line."""
        out, err = self.run(tool, "--json", *arguments, status=status)
        return [json.loads(line, parse_float=str) for line in out.splitlines()], err

    def start(self, tool, *arguments):
        process = subprocess.Popen(self.command(tool, *arguments), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, bufsize=1)
        self.started.append(process)
        return process


class Fill:
    def __init__(self, directory, stream, capacity):
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "tests", "fill"), directory, stream, str(capacity)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.answer()

    def answer(self):
        line = self.process.stdout.readline().split()
        if line[:1] != ["ok"]:
            raise AssertionError(f"fill answered {line}")
        return int(line[1])

    def tell(self, line):
        """Give an order; return the last sequence."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self, line=None):
        """Let it end: "die", "done", or by closing its input (stopped)."""
        if self.process.poll() is None:
            if line:
                self.process.stdin.write(line + "\n")
            self.process.stdin.close()
        self.process.wait(DEADLINE)


def stop(process, number=signal.SIGINT):
    """End a program that we started; return (exit code, rest of stdout, stderr)."""
    process.send_signal(number)
    out, err = process.communicate(timeout=DEADLINE)
    return process.returncode, out, err


def main(tests):
    """Run every function of the list, each with its own bus; say which failed."""
    failed = 0
    for test in tests:
        try:
            with Bus() as bus:
                test(bus)
            print(f"ok    {test.__name__}")
        except (AssertionError, subprocess.TimeoutExpired, ValueError, KeyError, IndexError) as error:
            failed += 1
            print(f"FAIL  {test.__name__}: {type(error).__name__}: {error}")
    raise SystemExit(1 if failed else 0)
