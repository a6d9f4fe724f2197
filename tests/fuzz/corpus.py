#!/usr/bin/env python3
"""Inputs for the fuzz targets, made from recorded frames.

corpus.py make TARGET DIRECTORY    write them
corpus.py test TARGET              write them to a temporary place and run the corpus program on them
"""
import glob
import gzip
import os
import subprocess
import sys
import tempfile

SOURCE = os.environ.get("TICKBUS_SOURCE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
DATA = os.path.join(SOURCE, "..", "shared", "data")
DEMO = os.path.join(SOURCE, "deploy", "demo", "spot_btcusdt_20240808.gz")
LISTING = (b'{"timezone":"UTC","symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT",'
           b'"filters":[{"filterType":"PRICE_FILTER","tickSize":"0.01000000"},'
           b'{"filterType":"LOT_SIZE","stepSize":"0.00001000"}]}]}')


def lines(path, count):
    with gzip.open(path, "rb") as f:
        return [line for _, line in zip(range(count), f)]


def binance():
    recorded = [line.split(b" ", 1)[1].strip() for line in lines(DEMO, 300)]
    frames = [f for f in recorded if b'"stream"' in f]
    rest = b'R{"lastUpdateId":50093239218,"bids":[["61837.63","3.78"],["61837.62","0.617"]],"asks":[["61837.64","1"]]}'
    depth = [f for f in frames if b"depthUpdate" in f and len(f) < 2000]
    quotes = [f for f in frames if b"bookTicker" in f]
    trades = [f for f in frames if b'"trade"' in f]
    yield b"0" + b"\n".join([b"C", *depth[:4], rest, *depth[4:8], *quotes[:3], b"D", b"C", *depth[10:12]])
    yield b"2" + b"\n".join([rest, *depth[2:6], *quotes[:6], *trades[:4], *trades[5:7]])
    yield b"0" + b"\n".join([trades[0], trades[0], trades[3], b"E", b"D", trades[5]])
    yield b"0" + b"\n".join([b"S" + frames[0], b"S" + rest[1:], b"L" + LISTING, b'{"result":null,"id":1}'])
    yield (b'1{"e":"aggTrade","E":1,"s":"BTCUSDT","a":5,"p":"1.5","q":"2","f":100,"l":105,"T":1700000000122,"m":false}\n'
           b'{"stream":"btcusdt@depth5","data":{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}}\n'
           b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}\n{"code":2,"msg":"x","id":1}')
    for kind in (depth, quotes, trades):
        for frame in kind[:3]:
            yield b"2" + frame


def capture():
    yield b"".join(line[:600] + b"\n" for line in lines(DEMO, 6))
    yield gzip.compress(b"".join(line[:300] + b"\n" for line in lines(DEMO, 20)), mtime=0)
    yield (b'configuration: {}\nwss://h/stream <-> 1633998511.159679\nwss://h/ws <- 1633998512: {"m":1}\n'
           b'1633998512.0633569: {"a":1}\n\nhttps://h/api/v3/depth?symbol=X -> 1633998512.320639: {"b":2}\n')
    yield (b'{"t":"header","format":2,"config":{"a":["}",1]}}\n{"t":"connect","ts":1.5,"addr":"wss://h/p"}\n'
           b'{"t":"recv","ts":2.25,"data":"{\\"a\\":\\"\\u20ac\\ud83d\\ude00\\"}"}\n{"t":"http","ts":4,"addr":"u","data":"[]"}\n')
    yield b'{"t":5}\n[1]\nnoise\n'


def yaml():
    found = False
    for path in glob.glob(os.path.join(SOURCE, "deploy", "**", "*.y*ml"), recursive=True):
        with open(path, "rb") as f:
            found = True
            yield f.read()
    if not found:
        yield b"bus: demo\nfeeds:\n  binance: {program: feed, symbols: [BTC/USDT]}\n"
    yield b"bus: demo\nservices:\n  a: &x {b: [1, 2, 'c']}\n  d: *x\n  e: |\n    text\n"


def make(target, directory):
    for i, data in enumerate({"binance": binance, "capture": capture, "yaml": yaml}[target]()):
        with open(os.path.join(directory, f"{target}_{i:02}"), "wb") as f:
            f.write(data)


def main():
    if not os.path.exists(DEMO):
        sys.exit(77)
    if sys.argv[1] == "make":
        os.makedirs(sys.argv[3], exist_ok=True)
        make(sys.argv[2], sys.argv[3])
        return
    with tempfile.TemporaryDirectory() as directory:
        make(sys.argv[2], directory)
        program = os.path.join(os.environ["TICKBUS_BUILD"], "tests", f"fuzz_{sys.argv[2]}_corpus")
        sys.exit(subprocess.run([program, directory, "150"], timeout=100).returncode)


main()
