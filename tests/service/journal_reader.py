"""A reader of journals, written from include/tickbus/journal.h alone: Python, standard library only.

read(path) gives (epoch, sequence, 64 bytes of the record) of a stream's directory or one segment, in order,
and raises Damage where something is missing. A compressed segment is unpacked by the program zstd.
"""
import os
import re
import struct
import subprocess

PAGE = 4096
MAGIC, LAYOUT = 0x4C4A4254, 1
RECORDS, INSTRUMENTS, INSTRUMENT_PAGES = 63, 21, 49
SPARE_PAGE, INSTRUMENT_PAGE = 1, 3
HEAD, SPARE, INSTRUMENTS_KIND, STATE, RECORDS_KIND, END = range(1, 7)
HEADER = struct.Struct("<IIHHIQQQqqQ")  # magic crc layout kind count epoch first_seq generation min max page
NAME = re.compile(r"^(\d{20})-(\d{20})\.tbj(\.zst)?$")


class Damage(Exception):
    """Sequences `first` to `last` of `epoch` are not to be had."""

    def __init__(self, epoch, first, last):
        super().__init__(f"epoch {epoch}: {first} to {last}")
        self.epoch, self.first, self.last = epoch, first, last


def make_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = make_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


class Page:
    def __init__(self, data):
        (self.magic, self.crc, self.layout, self.kind, self.count, self.epoch, self.first_seq, self.generation,
         self.time_min, self.time_max, self.page) = HEADER.unpack_from(data)
        self.data = data
        self.sound = (len(data) == PAGE and self.magic == MAGIC and self.layout == LAYOUT and
                      crc32c(data[:4] + bytes(4) + data[8:]) == self.crc)

    def is_kind(self, kind, epoch):
        return self.sound and self.kind == kind and self.epoch == epoch

    def record(self, i):
        return self.data[64 + 64 * i:128 + 64 * i]


class Segment:
    def __init__(self, path):
        match = NAME.match(os.path.basename(path))
        self.epoch, self.first_seq = int(match[1]), int(match[2])
        if match[3]:
            self.data = subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, check=True).stdout
        else:
            with open(path, "rb") as file:
                self.data = file.read()
        head = self.page(0)
        if not head.is_kind(HEAD, self.epoch):
            raise Damage(self.epoch, self.first_seq, 0)
        stream, bus, first_seq, self.data_page, self.state_pages = struct.unpack_from("<32s32sQQQ", head.data, 64)
        self.stream, self.bus = stream.rstrip(b"\0").decode(), bus.rstrip(b"\0").decode()
        assert first_seq == self.first_seq and self.data_page == INSTRUMENT_PAGE + 2 * INSTRUMENT_PAGES + self.state_pages

    def page(self, index):
        return Page(self.data[index * PAGE:(index + 1) * PAGE].ljust(64, b"\0"))

    def instruments(self):
        """id: entry of 192 bytes. Of the two copies of a page the greater generation counts."""
        entries = {}
        for i in range(INSTRUMENT_PAGES):
            copies = [self.page(INSTRUMENT_PAGE + i), self.page(INSTRUMENT_PAGE + INSTRUMENT_PAGES + i)]
            copies = [p for p in copies if p.is_kind(INSTRUMENTS_KIND, self.epoch)]
            if not copies:
                break
            page = max(copies, key=lambda p: p.generation)
            for k in range(page.count):
                entries[page.first_seq + k] = page.data[64 + 192 * k:256 + 192 * k]
        return entries

    def records(self):
        """(sequence, record); Damage is raised for each hole, after which the generator is at its end, so holes
        are yielded instead: (None, (first, last))."""
        expected, hole = self.first_seq, None
        pages = len(self.data) // PAGE
        last_sound = self.data_page - 1
        end = None
        for k in range(self.data_page, pages):
            page = self.page(k)
            if page.is_kind(END, self.epoch):
                end = page.first_seq
                break
            place = self.first_seq + RECORDS * (k - self.data_page)
            if not (page.is_kind(RECORDS_KIND, self.epoch) and page.first_seq == place):
                continue  # damaged, or never written: what follows tells
            if place > expected:
                yield None, (expected, place - 1)
            for i in range(page.count):
                yield place + i, page.record(i)
            expected, last_sound = place + page.count, k
        if end is not None:
            if end > expected:
                yield None, (expected, end - 1)
            return
        spares = [p for p in (self.page(SPARE_PAGE), self.page(SPARE_PAGE + 1)) if p.is_kind(SPARE, self.epoch)]
        for page in sorted(spares, key=lambda p: p.generation, reverse=True):
            if page.first_seq <= expected < page.first_seq + page.count:
                for i in range(expected - page.first_seq, page.count):
                    yield page.first_seq + i, page.record(i)
                return


def segments(path):
    if os.path.isfile(path):
        return [Segment(path)]
    names = sorted(n for n in os.listdir(path) if NAME.match(n))
    return [Segment(os.path.join(path, n)) for n in names]


def read(path, holes=None):
    """(segment, sequence, record) of every record. holes: a list that takes (epoch, first, last) of what is missing;
    without it they raise Damage."""
    for segment in segments(path):
        for seq, record in segment.records():
            if seq is not None:
                assert struct.unpack_from("<Q", record)[0] == seq
                yield segment, seq, record
            elif holes is None:
                raise Damage(segment.epoch, *record)
            else:
                holes.append((segment.epoch, *record))
