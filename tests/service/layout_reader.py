"""A reader of tickbus streams that knows nothing but include/tickbus/LAYOUT.md. Standard library only.

    ring = Ring("/dev/shm/tickbus/demo/binance.ring")
    for record in ring.records():
        print(record.seq, record.type, record.body["price"])

Python gives no fence. On x86-64 none is needed: the processor keeps loads in order, and CPython performs
the loads of separate bytecodes in their order. On other machines use it on streams that stand still.
"""

import fcntl
import mmap
import os
import struct
from collections import namedtuple
from decimal import Decimal

MAGIC = 0x31474E4952424B54
CURSOR_MAGIC = 0x31525543424B5400
STATS_MAGIC = 0x3154415453424B54
BUSY = 1 << 63
STATES = {1: "starting", 2: "running", 3: "done", 4: "stopped", 5: "retired"}

Instrument = namedtuple(
    "Instrument", "id venue symbol raw stream label price_exp size_exp market")
Record = namedtuple(
    "Record", "seq ts_event ts_recv instrument type flags publish_delta_ns timeframe body")

LEVEL = ("<qqQBBHI", "price size update_id side action level orders")
BODIES = {
    1: ("trade", "<qqQBBHI", "price size trade_id side action count venue_seq"),
    2: ("quote", "<qqqq", "bid_price ask_price bid_size ask_size"),
    3: ("level", *LEVEL),
    4: ("clear", *LEVEL),
    5: ("gap", "<QQIIQ", "from to reason channel missing"),
    6: ("status", "<q16xII", "detail code pid"),
    7: ("alert", "<qqqBBbxI", "value threshold since state severity value_exp alert_id"),
    8: ("event", "<QQQQ", "word0 word1 word2 word3"),
    0x20: ("candle", "<qqqq", "open high low close"),
    0x30: ("candle_volume", "<qQIiq", "volume turnover_low trades turnover_high taker_buy_volume"),
}
TIMEFRAMES = ("1s", "1m", "5m", "15m", "30m", "1h", "4h", "1d")


class Overrun(Exception):
    """The record that was wanted is gone."""


def text(raw):
    return raw.split(b"\0", 1)[0].decode()


def lock_held(path):
    """Does a process hold the open-file-description lock of this file?"""
    probe = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    with open(path, "rb") as file:
        answer = fcntl.fcntl(file, fcntl.F_OFD_GETLK, probe)
    return struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK


def decode(line):
    """64 bytes to a Record; the body is a dict of the fields of its type."""
    seq, ts_event, ts_recv, instrument, code, flags, delta = struct.unpack_from("<QqqHBBI", line)
    timeframe = None
    if code & 0xF8 in (0x20, 0x30):
        timeframe = TIMEFRAMES[code & 7]
        code &= 0xF8
    name, layout, fields = BODIES.get(code, ("unknown", "<QQQQ", "word0 word1 word2 word3"))
    body = dict(zip(fields.split(), struct.unpack_from(layout, line, 32)))
    return Record(seq, ts_event, ts_recv, instrument, name, flags, delta, timeframe, body)


class Ring:
    """One stream, mapped read-only."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < 4096:
                raise ValueError(f"{path}: too short for a header")
            self.map = mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ)
        (magic, layout, record_bytes, self.epoch, self.capacity, self.slots_offset,
         self.instruments_offset, self.instruments_max) = struct.unpack_from("<QIIQQQII", self.map)
        if magic != MAGIC or layout != 1 or record_bytes != 64:
            raise ValueError(f"{path}: magic {magic:#x}, layout {layout}, records {record_bytes}")
        if not 8 <= self.capacity <= 1 << 30 or self.capacity & (self.capacity - 1):
            raise ValueError(f"{path}: capacity {self.capacity}")
        if self.instruments_offset + self.instruments_max * 192 > self.slots_offset:
            raise ValueError(f"{path}: instruments reach into the slots")
        if self.slots_offset % 64 or self.slots_offset + self.capacity * 64 > size:
            raise ValueError(f"{path}: slots reach beyond the file")
        self.stream = text(self.map[48:80])
        # Aligned 8-byte loads: a memoryview of words reads each with one access.
        self.words = memoryview(self.map)[self.slots_offset:][:self.capacity * 64].cast("Q")
        self.live = memoryview(self.map)[256:296].cast("Q")
        self.live32 = memoryview(self.map)[296:312].cast("I")

    def close(self):
        for view in (self.words, self.live, self.live32):
            view.release()
        self.map.close()

    @property
    def state(self):
        return STATES.get(self.live32[1], "unknown")

    @property
    def tag(self):
        return self.live[4]

    def alive(self):
        return lock_held(self.path[:-len("ring")] + "lock")

    def instruments(self):
        """All instruments, by id."""
        found = {}
        for i in range(min(self.live32[0], self.instruments_max)):
            at = self.instruments_offset + i * 192
            entry = self.map[at:at + 192]
            price_exp, size_exp, market = struct.unpack_from("<bbH", entry, 184)
            found[i + 1] = Instrument(
                i + 1, text(entry[0:24]), text(entry[24:64]), text(entry[64:104]),
                text(entry[104:136]), text(entry[136:184]), price_exp, size_exp, market)
        return found

    def read(self, seq):
        """The Record seq, or None if it is not there yet. Raises Overrun if it is gone."""
        at = (seq & (self.capacity - 1)) * 8
        seen = self.words[at]
        if seen != seq:
            if seen & ~BUSY > seq:
                raise Overrun(seq)
            return None
        words = [self.words[at + k] for k in range(1, 8)]
        if self.words[at] != seq:
            raise Overrun(seq)
        return decode(struct.pack("<8Q", seq, *words))

    def _reached(self, seq):
        seen = self.words[(seq & (self.capacity - 1)) * 8]
        return seq == 0 or seen == seq or seen & ~BUSY > seq

    def newest(self):
        """The last complete sequence; 0 if there is none."""
        low = self.live[0] if self._reached(self.live[0]) else 0
        step = 1
        while low + step < BUSY and self._reached(low + step):
            low += step
            step *= 2
        while step > 1:
            step //= 2
            if self._reached(low + step):
                low += step
        return low

    def oldest(self):
        return max(1, self.newest() - self.capacity + 1)

    def records(self, start=None):
        """Records from start (the oldest that is there) until there is none. Raises Overrun."""
        seq = self.oldest() if start is None else start
        while (record := self.read(seq)) is not None:
            yield record
            seq += 1


def value(mantissa, exponent):
    """The exact decimal."""
    return Decimal(mantissa).scaleb(exponent)
