"""A journal read by include/tickbus/JOURNAL.md alone: standard library only, every checksum looked at. A compressed
segment is unpacked by the program zstd."""
import glob
import os
import re
import struct
import subprocess

PAGE = 4096
PER_PAGE = 63
HEAD, SPARE, INSTRUMENTS, STATE, RECORDS, END = range(1, 7)
FIRST_INSTRUMENT_PAGE, INSTRUMENT_PAGES, STATE_PAGE = 3, 49, 101


def _tables():
    table = []
    for i in range(256):
        crc = i
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _tables()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


class Page:
    """A page's header and body; `good` if it is what it says (crc: look at its checksum, too)."""

    def __init__(self, data, crc=True):
        (magic, self.crc, layout, self.kind, self.count, self.epoch, self.first, self.generation,
         self.time_min, self.time_max, self.place) = struct.unpack_from("<IIHHIQQQqqQ", data)
        self.data = data
        self.good = magic == 0x4C4A4254 and layout == 1 and (not crc or crc32c(data[:4] + bytes(4) + data[8:]) == self.crc)

    def records(self):
        return [self.data[64 * (i + 1):64 * (i + 2)] for i in range(self.count)]


class Segment:
    def __init__(self, path, crc=True):
        name = re.match(r"(\d{20})-(\d{20})\.tbj(\.zst)?$", os.path.basename(path))
        if name[3]:
            self.data = subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, check=True).stdout
        else:
            with open(path, "rb") as f:
                self.data = f.read()
        self.crc = crc
        self.epoch, self.first = int(name[1]), int(name[2])
        head = self.page(0)
        self.sound = head.good and head.kind == HEAD and head.epoch == self.epoch
        if not self.sound:
            return
        self.stream = head.data[64:96].split(b"\0")[0].decode()
        self.bus = head.data[96:128].split(b"\0")[0].decode()
        first, self.data_page, self.state_pages, self.pages, self.created = struct.unpack_from("<QQQQq", head.data, 128)
        assert first == self.first and self.data_page == STATE_PAGE + self.state_pages

    def page(self, index):
        data = self.data[index * PAGE:(index + 1) * PAGE]
        return Page(data.ljust(PAGE, b"\0"), self.crc)

    def records(self):
        """(records by sequence, ended): pages in place while they are right, then the spare that goes on."""
        found, index = {}, self.data_page
        ended = False
        while True:
            page = self.page(index)
            first = self.first + (index - self.data_page) * PER_PAGE
            if page.good and page.kind == END and page.first == self.first + len(found):
                ended = True
                break
            if not (page.good and page.kind == RECORDS and page.place == index and page.first == first):
                spares = [s for s in (self.page(1), self.page(2))
                          if s.good and s.kind == SPARE and s.place == index and s.first == first]
                if spares:
                    page = max(spares, key=lambda s: s.generation)
                    found.update({first + i: r for i, r in enumerate(page.records())})
                break
            found.update({first + i: r for i, r in enumerate(page.records())})
            index += 1
        return found, ended

    def walk(self):
        """(sequence, record) of all that is there; (None, (from, to)) in place of what is damaged, which an end page,
        or a right page behind it, proves to have been there."""
        found, _ = self.records()
        yield from found.items()
        expected = self.first + len(found)
        for index in range(self.data_page + len(found) // PER_PAGE, len(self.data) // PAGE):
            page = self.page(index)
            first = self.first + (index - self.data_page) * PER_PAGE
            end = page.good and page.epoch == self.epoch and page.kind == END
            right = (page.good and page.epoch == self.epoch and page.kind == RECORDS and page.place == index and
                     page.first == first)
            until = page.first if end else first if right else expected
            if until > expected:
                yield None, (expected, until - 1)
            if end:
                return
            if right and first >= expected:
                yield from ((first + i, r) for i, r in enumerate(page.records()))
                until = first + page.count
            expected = max(expected, until)

    def entries(self):
        """{id: 192 bytes}: of each page the valid copy with the greater generation."""
        table = {}
        for n in range(INSTRUMENT_PAGES):
            copies = [p for p in (self.page(FIRST_INSTRUMENT_PAGE + n), self.page(FIRST_INSTRUMENT_PAGE + INSTRUMENT_PAGES + n))
                      if p.good and p.kind == INSTRUMENTS]
            if not copies:
                break
            page = max(copies, key=lambda p: p.generation)
            for i in range(page.count):
                table[page.first + i] = page.data[64 + 192 * i:64 + 192 * (i + 1)]
        return table

    def instruments(self):
        """{id: (venue, symbol, price_exp, size_exp)}"""
        return {i: (e[:24].split(b"\0")[0].decode(), e[24:64].split(b"\0")[0].decode(), *struct.unpack_from("<bb", e, 184))
                for i, e in self.entries().items()}

    def state(self):
        return [r for i in range(self.state_pages) for r in self.page(STATE_PAGE + i).records()]


def segments(directory, crc=True):
    """All of a directory, or one file; where a segment is there compressed as well, one of the two will do."""
    if os.path.isfile(directory):
        return [Segment(directory, crc)]
    plain = set(glob.glob(os.path.join(directory, "*.tbj")))
    packed = {path for path in glob.glob(os.path.join(directory, "*.tbj.zst")) if path[:-4] not in plain}
    return [Segment(path, crc) for path in sorted(plain | packed)]


def walk(path):
    """(segment, sequence, record) in order; sequence is None where record is a range (from, to) that is damaged."""
    all_of_them = [s for s in segments(path) if s.sound]
    for segment, follows in zip(all_of_them, all_of_them[1:] + [None]):
        limit = follows.first if follows and follows.epoch == segment.epoch else 1 << 64
        for seq, record in segment.walk():
            if seq is None or seq < limit:
                yield segment, seq, record


def read(directory, crc=True):
    """{epoch: {sequence: 64 bytes}}: a segment counts up to the first sequence of the next one of its epoch."""
    epochs = {}
    all_of_them = [s for s in segments(directory, crc) if s.sound]
    for i, segment in enumerate(all_of_them):
        follows = all_of_them[i + 1] if i + 1 < len(all_of_them) else None
        limit = follows.first if follows and follows.epoch == segment.epoch else 1 << 64
        found, _ = segment.records()
        epochs.setdefault(segment.epoch, {}).update({seq: r for seq, r in found.items() if seq < limit})
    return epochs
