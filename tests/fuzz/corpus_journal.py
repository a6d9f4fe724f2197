"""Inputs for the targets that read files of ours: changes of a journal's segment, compressed segments, exports."""
import os
import random
import struct
import subprocess
import sys
import tempfile

SOURCE = os.environ.get("TICKBUS_SOURCE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(SOURCE, "tests", "tools"))
import made  # noqa: E402


def journal():
    chance = random.Random(9)
    for what in range(8):
        yield bytes([what, chance.randrange(11), chance.randrange(256), chance.randrange(256)])
    for count in (2, 5, 15):
        yield bytes(chance.randrange(256) for _ in range(4 * count))


def segment():
    """Frames of one page, without compression, and the seek table behind them."""
    def raw(page):
        return struct.pack("<IBBHB", 0xFD2FB528, 0x60, len(page) - 256 & 255, len(page) - 256 >> 8, 0)[:7] + \
            (len(page) << 3 | 1).to_bytes(3, "little") + page
    for pages in (1, 3, 104):
        frames = [raw(bytes(4096)) for _ in range(pages)]
        table = b"".join(struct.pack("<II", len(f), 4096) for f in frames)
        foot = struct.pack("<IBI", pages, 0, 0x8F92EAB1)
        yield b"".join(frames) + struct.pack("<II", 0x184D2A5E, len(table) + len(foot)) + table + foot
    yield struct.pack("<II", 0x184D2A5E, 9) + struct.pack("<IBI", 0, 0, 0x8F92EAB1)


def exported(form, *more):
    """What tickbus-export makes of a small session, if it is built."""
    tools = [os.path.join(os.environ.get("TICKBUS_BUILD", ""), "tickbus-" + name) for name in ("import", "export")]
    if not all(os.path.exists(tool) for tool in tools):
        return
    feed, candles, _ = made.session(40)
    with tempfile.TemporaryDirectory() as base:
        for rows in (feed, candles):
            made.write(os.path.join(base, "in.jsonl"), rows)
            subprocess.run([tools[0], os.path.join(base, "in.jsonl"), "--into", os.path.join(base, rows[0]["stream"]),
                            "--segment-bytes=1MiB"], check=True, capture_output=True)
            yield subprocess.run([tools[1], os.path.join(base, rows[0]["stream"]), "--format", form, *more],
                                 check=True, capture_output=True).stdout


def csv():
    yield b'stream,epoch,seq,type,instrument\ns,1,1,gap,0\n"s",1,"2","x""y",1\n'
    yield from exported("csv")


def jsonl():
    with tempfile.TemporaryDirectory() as base:
        for rows in made.session(30)[:2]:
            made.write(os.path.join(base, "x"), rows)
            with open(os.path.join(base, "x"), "rb") as f:
                yield f.read()
    yield b'{"stream":"s","epoch":1,"seq":1,"type":"trade","instrument":1,"price":1e-5,"flags":"last|\\u0041"}\n'


def parquet():
    yield b"PAR1" + b"\x15\x00" * 8 + struct.pack("<I", 16) + b"PAR1"
    yield from exported("parquet")
    yield from exported("parquet", "--compression=none")


MAKERS = {"journal": journal, "segment": segment, "csv": csv, "jsonl": jsonl, "parquet": parquet}
