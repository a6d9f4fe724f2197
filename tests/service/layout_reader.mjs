#!/usr/bin/env node
/*
 * A reader of tickbus streams that knows nothing but include/tickbus/LAYOUT.md and FIELDS.md: records as
 * JSON lines, as `tickbus tail --json` prints them. Standard library only.
 *
 *     node layout_reader.mjs /dev/shm/tickbus/demo/binance.ring            what is there now
 *     node layout_reader.mjs --follow /dev/shm/tickbus/demo/binance.ring   until its producer ends
 *
 * Node can not map a file. It reads with pread, which is not one access to a word and has no order within
 * one call; LAYOUT.md says what makes up for that:
 *   - word 0 is read by a call of its own, twice, until two looks agree. Seen half done it could name s
 *     while the slot still is BUSY|s; the second look begins when all of BUSY|s is there, and from
 *     there to s only one byte changes.
 *   - then the words, then word 0 again: the calls are in order, and on x86-64 so are their loads.
 * Elsewhere it is for streams that stand still.
 */
import fs from "node:fs";
import path from "node:path";

const MAGIC = 0x31474e4952424b54n;
const BUSY = 1n << 63n;
const LIVE = 256;
const STEPS_MAX = 64;
const CONTROL = /[\x00-\x1f\x7f]/;
const NAME = /^[a-z0-9][a-z0-9_-]{0,30}$/;
const DONE = 3, STOPPED = 4, RETIRED = 5;

class Overrun extends Error {}

/* ---- the file ---- */

function text(bytes, at, length) {
    const end = bytes.subarray(at, at + length).indexOf(0);
    return end < 0 ? null : bytes.toString("utf8", at, at + end);
}

class Ring {
    constructor(file) {
        this.fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
        const stat = fs.fstatSync(this.fd);
        if (!stat.isFile() || stat.size < 4096)
            throw new Error(`${file}: no ring`);
        const head = this.bytes(0, 256);
        const view = new DataView(head.buffer, head.byteOffset, head.length);
        this.epoch = view.getBigUint64(16, true);
        const capacity = view.getBigUint64(24, true);
        const slots = view.getBigUint64(32, true);
        this.instrumentsOffset = view.getUint32(40, true);
        this.instrumentsMax = view.getUint32(44, true);
        this.stream = text(head, 48, 32);
        const tableEnd = BigInt(this.instrumentsOffset) + BigInt(this.instrumentsMax) * 192n;
        const fit = view.getBigUint64(0, true) === MAGIC && view.getUint32(8, true) === 1 &&
            view.getUint32(12, true) === 64 && this.epoch >= 1n && this.epoch < BUSY &&
            capacity >= 8n && capacity <= 1n << 30n && (capacity & (capacity - 1n)) === 0n &&
            this.instrumentsMax >= 1 && this.instrumentsMax <= 1024 &&
            this.instrumentsOffset >= 312 && this.instrumentsOffset % 64 === 0 &&
            tableEnd <= slots && slots % 64n === 0n && slots <= BigInt(stat.size) &&
            slots + capacity * 64n <= BigInt(stat.size) && view.getUint32(80, true) <= 1 &&
            this.stream === path.basename(file, ".ring");
        if (!fit)
            throw new Error(`${file}: not a ring that this reader reads`);
        this.capacity = capacity;
        this.slotsOffset = Number(slots);
        this.word = Buffer.alloc(8);
        this.slot = Buffer.alloc(64);
        this.instruments = [];
    }

    bytes(at, length) {
        const out = Buffer.alloc(length);
        this.fill(out, 0, length, at);
        return out;
    }

    fill(out, from, length, at) {
        if (fs.readSync(this.fd, out, from, length, at) !== length)
            throw new Error("the file was cut short");
    }

    u64(at) {
        this.fill(this.word, 0, 8, at);
        return this.word.readBigUInt64LE(0);
    }

    /* Two looks that agree: see above. */
    settled(at) {
        let seen = this.u64(at);
        for (;;) {
            const again = this.u64(at);
            if (again === seen)
                return seen;
            seen = again;
        }
    }

    offset(seq) {
        return this.slotsOffset + Number(seq & (this.capacity - 1n)) * 64;
    }

    /* The 64 bytes of the record seq; null if it is not there yet. Throws Overrun. */
    read(seq) {
        const at = this.offset(seq);
        const seen = this.settled(at);
        if (seen !== seq) {
            if ((seen & ~BUSY) > seq)
                throw new Overrun();
            return null;
        }
        this.fill(this.slot, 8, 56, at + 8);
        if (this.u64(at) !== seq)
            throw new Overrun();
        this.slot.writeBigUInt64LE(seq, 0);
        return this.slot;
    }

    state() {
        return this.bytes(LIVE + 44, 4).readUInt32LE(0);
    }

    reached(seq) {
        const seen = this.settled(this.offset(seq));
        return seq === 0n || seen === seq || (seen & ~BUSY) > seq;
    }

    newest() {
        let low = this.u64(LIVE);
        if (low >= BUSY || !this.reached(low))
            low = 0n;
        let step = 1n;
        for (let i = 0; i < STEPS_MAX && this.reached(low + step); i++) {
            low += step;
            step *= 2n;
        }
        while (step > 1n) {
            step /= 2n;
            if (this.reached(low + step))
                low += step;
        }
        return low;
    }

    oldest() {
        const newest = this.newest();
        let seq = newest >= this.capacity ? newest - this.capacity + 1n : 1n;
        while (seq < newest && this.settled(this.offset(seq)) !== seq)
            seq++;
        return seq;
    }

    /* After an overrun. */
    resync() {
        return this.newest() - this.capacity * 3n / 4n + 1n;
    }

    /* The entry of an id; null if there is none that may be used. */
    instrument(id) {
        if (id > this.instruments.length) {
            const count = Math.min(this.bytes(LIVE + 40, 4).readUInt32LE(0), this.instrumentsMax);
            while (this.instruments.length < count)
                this.instruments.push(this.entry(this.instruments.length));
        }
        return id === 0 ? null : this.instruments[id - 1] ?? null;
    }

    entry(index) {
        const raw = this.bytes(this.instrumentsOffset + index * 192, 192);
        const [venue, symbol, own, stream, label] =
            [[0, 24], [24, 40], [64, 40], [104, 32], [136, 48]].map(([at, n]) => text(raw, at, n));
        const entry = {venue, symbol, label, priceExp: raw.readInt8(184), sizeExp: raw.readInt8(185),
                       market: raw.readUInt16LE(186)};
        const texts = [venue, symbol, own, stream, label];
        const inRange = (exp) => exp >= -18 && exp <= 0;
        const fit = texts.every((t) => t !== null && !CONTROL.test(t)) &&
            (label !== "" || (venue !== "" && symbol !== "")) && !/[\\"'`]/.test(symbol + own) &&
            (stream === "" || NAME.test(stream)) && inRange(entry.priceExp) &&
            inRange(entry.sizeExp) && entry.market >= 1 && entry.market <= index + 1;
        return fit ? entry : null;
    }
}

/* ---- a record as a line ---- */

const TYPES = {1: "trade", 2: "quote", 3: "level", 4: "clear", 5: "gap", 6: "status", 7: "alert",
               8: "event", 0x20: "candle", 0x30: "candle_volume"};
const FLAGS = [[0x80, "last"], [0x40, "tob"], [0x20, "snapshot"], [0x10, "mbp"],
               [0x08, "bad_ts_recv"], [0x04, "maybe_bad_book"], [0x02, "forming"]];
const TIMEFRAMES = ["1s", "1m", "5m", "15m", "30m", "1h", "4h", "1d"];
const REASONS = ["sequence", "reconnect", "restart", "bad_frame", "checksum", "overflow", "overrun"];
const CHANNELS = ["trades", "book", "quotes", "input"];
const CODES = ["connected", "disconnected", "synced", "unsynced", "maintenance", "end", "refused"];
const ALERT_STATES = ["pending", "firing", "resolved"];
const SEVERITIES = ["info", "warning", "critical"];
const ACTIONS = {A: "add", M: "modify", C: "remove"};

const string = (t) => t === null || t === undefined ? "null" : JSON.stringify(t);
const code = (names, value) => string(names[value - 1] ?? "unknown");
const letter = (names, byte) => string(names[String.fromCharCode(byte)]);

function decimal(mantissa, exp) {
    if (exp === 0)
        return `${mantissa}`;
    const digits = `${mantissa < 0n ? -mantissa : mantissa}`.padStart(1 - exp, "0");
    const fraction = digits.slice(exp).replace(/0+$/, "");
    return (mantissa < 0n ? "-" : "") + digits.slice(0, exp) + (fraction && `.${fraction}`);
}

function time(ns) {
    if (ns === 0n)
        return "null";
    const fraction = ((ns % 1000000000n) + 1000000000n) % 1000000000n;
    const seconds = new Date(Number((ns - fraction) / 1000000n)).toISOString().slice(0, 19);
    return `"${seconds}.${`${fraction}`.padStart(9, "0")}Z"`;
}

function body(type, b, timeframe, forming, entry) {
    const i64 = (at) => b.readBigInt64LE(at), u64 = (at) => b.readBigUInt64LE(at);
    const price = (at) => entry ? decimal(i64(at), entry.priceExp) : "null";
    const size = (at) => entry ? decimal(i64(at), entry.sizeExp) : "null";
    const candle = {timeframe: string(timeframe), forming: `${forming}`};
    switch (type) {
    case "trade":
        return {side: letter({B: "buy", A: "sell"}, b[56]), price: price(32), size: size(40),
                trade_id: u64(48), count: b.readUInt16LE(58),
                ...(b.readUInt32LE(60) && {venue_seq: b.readUInt32LE(60)})};
    case "quote":
        return {bid_price: price(32), bid_size: size(48), ask_price: price(40), ask_size: size(56)};
    case "level":
        return {side: letter({B: "bid", A: "ask"}, b[56]), price: price(32), size: size(40),
                action: letter(ACTIONS, b[57]),
                ...(b.readUInt16LE(58) && {level: b.readUInt16LE(58)}),
                ...(b.readUInt32LE(60) && {orders: b.readUInt32LE(60)}), update_id: u64(48)};
    case "clear":
        return {update_id: u64(48)};
    case "gap":
        return {reason: code(REASONS, b.readUInt32LE(48)), channel: code(CHANNELS, b.readUInt32LE(52)),
                from: u64(32), to: u64(40), missing: u64(56)};
    case "status":
        return {code: code(CODES, b.readUInt32LE(56)), detail: i64(32), pid: b.readUInt32LE(60)};
    case "alert": {
        const exp = b.readInt8(58);
        const value = (at) => exp >= -18 && exp <= 0 ? decimal(i64(at), exp) : "null";
        return {rule: string(entry?.label), state: code(ALERT_STATES, b[56]),
                severity: code(SEVERITIES, b[57]), value: value(32), threshold: value(40),
                since: time(i64(48)), alert_id: b.readUInt32LE(60)};
    }
    case "candle":
        return {...candle, open: price(32), high: price(40), low: price(48), close: price(56)};
    case "candle_volume": {
        const turnover = (BigInt(b.readInt32LE(52)) << 64n) + u64(40);
        return {...candle, volume: size(32),
                turnover: entry ? decimal(turnover, entry.priceExp + entry.sizeExp) : "null",
                trades: b.readUInt32LE(48), taker_buy_volume: size(56)};
    }
    default:
        return {body0: u64(32), body1: u64(40), body2: u64(48), body3: u64(56)};
    }
}

function line(ring, b) {
    const flags = b[27];
    const isCandle = (b[26] & 0xf8) === 0x20 || (b[26] & 0xf8) === 0x30;
    const type = TYPES[isCandle ? b[26] & 0xf8 : b[26]] ?? "unknown";
    const entry = ring.instrument(b.readUInt16LE(24));
    const fields = {
        stream: string(ring.stream),
        seq: b.readBigUInt64LE(0),
        type: string(type),
        venue: string(entry?.venue),
        symbol: string(entry?.symbol),
        ts_event: time(b.readBigInt64LE(8)),
        ts_recv: time(b.readBigInt64LE(16)),
        publish_delta_ns: b.readUInt32LE(28),
        flags: string(FLAGS.filter(([bit]) => flags & bit).map(([, name]) => name).join("|")),
        ...body(type, b, TIMEFRAMES[b[26] & 7], (flags & 0x02) !== 0, entry),
    };
    return `{${Object.entries(fields).map(([name, value]) => `"${name}":${value}`).join(",")}}\n`;
}

/* ---- the program ---- */

function sleep(ms) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function main() {
    const follow = process.argv[2] === "--follow";
    const file = process.argv[follow ? 3 : 2];
    const ring = new Ring(file);
    const end = ring.newest();
    let seq = ring.oldest(), lost = 0n, pending = "", over = false;
    const flush = () => {
        for (let rest = Buffer.from(pending); rest.length > 0;)
            rest = rest.subarray(fs.writeSync(1, rest));
        pending = "";
    };

    while (follow || seq <= end) {
        let record;
        try {
            record = ring.read(seq);
        } catch (error) {
            if (!(error instanceof Overrun))
                throw error;
            const next = ring.resync();
            lost += next - seq;
            seq = next;
            continue;
        }
        if (record !== null) {
            pending += line(ring, record);
            seq++;
            over = false;
            if (pending.length > 60000)
                flush();
        } else if (!follow || over) {
            break; /* nothing there, and the state before that look said so */
        } else {
            flush();
            over = [DONE, STOPPED, RETIRED].includes(ring.state());
            if (!over)
                sleep(1);
        }
    }
    flush();
    process.stderr.write(`summary stream=${ring.stream} next=${seq} lost=${lost}\n`);
}

main();
