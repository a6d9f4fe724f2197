#!/usr/bin/env python3
"""Inputs for the fuzz targets, made from recorded frames.

corpus.py make TARGET DIRECTORY    write them
corpus.py test TARGET              write them to a temporary place and run the corpus program on them
"""
import glob
import gzip
import os
import re
import subprocess
import sys
import tempfile
import zlib

import corpus_journal

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


def futures():
    lines = (b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1721347022504,"T":1721347022504,"s":"BTCUSDT",'
             b'"U":%d,"u":%d,"pu":%d,"b":[["63943.90","%d.567"],["33000.00","3.772"]],"a":[["63944.00","0.095"]]}}' % n
             for n in ((95, 105, 90, 5), (107, 110, 105, 0), (120, 125, 118, 7)))
    yield lines
    yield b'R{"lastUpdateId":100,"E":1721347022759,"T":1721347022750,"bids":[["63943.90","46.372"]],"asks":[["63944.00","1"]]}'
    yield (b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":105,"s":"BTCUSDT","b":"63943.90","B":"46.371",'
           b'"a":"63944.00","A":"0.095","T":1721347022507,"E":1721347022507}}')
    yield (b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1,"T":2,"s":"BTCUSDT","t":7,"p":"5","q":"1","X":"INSURANCE_FUND","m":true}}')
    yield (b'{"e":"aggTrade","E":1,"a":5,"s":"ETHUSDT","p":"1.5","q":"2","f":100,"l":105,"T":1700000000122,"m":false}')
    yield (b'{"stream":"ethusdt@depth20","data":{"e":"depthUpdate","E":1,"s":"ETHUSDT","U":1,"u":5,"pu":-1,"b":[["1","2"]],"a":[]}}')


def binanceusdm():
    changes, rest, *frames = futures()
    changes = list(changes)
    yield b"0" + b"\n".join([b"C", changes[0], rest, *changes[1:], *frames, b"D", b"C", rest, changes[2]])
    yield b"2" + b"\n".join([rest, changes[0], frames[0], b"E", b"S" + changes[0], b"S" + rest[1:]])
    yield b"1" + b"\n".join(frames)
    yield b"0L" + LISTING.replace(b'"filters"', b'"marginAsset":"USDT","filters"')
    for frame in (*changes, *frames):
        yield b"2" + frame


def checked(digits):
    """What Kraken's checksum is of: prices and sizes without points and leading zeros."""
    return zlib.crc32(digits)


def kraken():
    book = (b'{"channel":"book","type":"%s","data":[{"symbol":"BTC/USD","bids":[%s],"asks":[%s],"checksum":%d,'
            b'"timestamp":"2023-10-06T17:35:55.440295Z"}]}')
    level = b'{"price":%s,"qty":%s}'
    whole = book % (b"snapshot", level % (b"10.0", b"1.00"), level % (b"11.0", b"2.00"), checked(b"110200100100"))
    more = book % (b"update", level % (b"10.5", b"0.25"), level % (b"11.0", b"0.00"), checked(b"10525100100"))
    wrong = book % (b"update", level % (b"9.25", b"3.00"), b"", 7)
    trade = (b'{"channel":"trade","type":"%s","data":[{"symbol":"BTC/USD","side":"sell","price":5.1,"qty":40.0,"ord_type":"limit",'
             b'"trade_id":%d,"timestamp":"2023-09-25T07:49:37.708706Z"},{"symbol":"ETH/USD","side":"buy","price":7,"qty":1e-3,'
             b'"trade_id":%d,"timestamp":"2023-09-25T07:49:37Z"}]}')
    ticker = b'{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":105944.2,"bid_qty":2.5,"ask":null,"last":1}]}'
    answers = (b'{"method":"subscribe","req_id":3,"result":{"channel":"book","depth":25,"symbol":"BTC/USD"},"success":true}',
               b'{"error":"Currency pair not supported","method":"subscribe","req_id":4,"success":false,"symbol":"ETH/USD"}',
               b'{"channel":"status","type":"update","data":[{"system":"maintenance"}]}', b'{"method":"pong"}', b'{"channel":"heartbeat"}')
    old = (b'[320,{"as":[["38900.0","1.0","1622714245.847093"]],"bs":[["38800.0","2.0","1622714255.9"]]},"book-25","BTC/USD"]',
           b'[320,{"a":[["38900.0","0.0","1622766170.577187"],["38950.0","0.5","1622766170.6","r"]]},{"b":[["38800.0","0.3",'
           b'"1622766170.577304"]],"c":"%d"},"book-25","BTC/USD"]' % checked(b"38950053880003"),
           b'[321,[["57126.7","0.02","1616333924.737428","b","m",""]],"trade","BTC/USD"]',
           b'[340,{"a":["29938.6",12,"12.4"],"b":["29938.5",0,"0.08"],"c":["29938.6","0.1"]},"ticker","BTC/USD"]',
           b'{"channelID":1,"channelName":"book-1000","event":"subscriptionStatus","pair":"BTC/USD","status":"subscribed",'
           b'"subscription":{"depth":1000,"name":"book"}}', b'{"event":"systemStatus","status":"online"}')
    listing = b'L{"error":[],"result":{"XXBTZUSD":{"wsname":"XBT/USD","pair_decimals":1,"lot_decimals":8,"fees":[[0,0.4]]}}}'
    yield b"0" + b"\n".join([b"C", answers[0], whole, more, wrong, more, b"T", whole, more, b"D", b"C", whole])
    yield b"0" + b"\n".join([b"C", trade % (b"snapshot", 7, 3), trade % (b"update", 9, 4), ticker, *answers[1:], b"T", b"T"])
    yield b"2" + b"\n".join([*old, b"S" + old[1], b"S" + old[2], b"S" + whole, b"S" + ticker])
    yield b"2" + listing
    for frame in (whole, more, wrong, trade % (b"update", 9, 4), ticker, *answers, *old):
        yield b"2" + frame


def coinbaseexchange():
    whole = b'{"type":"snapshot","product_id":"BTC-USD","bids":[["10","1.00"],["9","2"]],"asks":[["11.00","2"]]}'
    change = (b'{"type":"l2update","product_id":"BTC-USD","changes":[["buy","10.5","3"],["sell","11","0.00000000"]],'
              b'"time":"2022-08-04T15:25:05.010758Z"}')
    match = (b'{"type":"%s","trade_id":%d,"sequence":50,"time":"2014-11-07T08:19:27.028459Z","product_id":"BTC-USD","size":"5.2",'
             b'"price":"400.2","side":"sell"}')
    beat = b'{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"2014-11-07T08:19:28.464459Z"}'
    ticker = (b'{"type":"ticker","product_id":"ETH-USD","best_bid":"1285.04","best_bid_size":"0.46","best_ask":"1285.27",'
              b'"best_ask_size":"1.56","side":"buy","time":"0001-01-01T00:00:00.000000Z","trade_id":3}')
    answers = (b'{"type":"subscriptions","channels":[{"name":"matches","product_ids":["BTC-USD"],"account_ids":null},'
               b'{"name":"level2_50","product_ids":["BTC-USD","ETH-USD"]}]}', b'{"type":"error","message":"x","reason":"y"}')
    listing = (b'L[{"id":"BTC-USD","base_currency":"BTC","quote_currency":"USD","base_increment":"0.00000001","quote_increment":"0.01"}]')
    yield b"0" + b"\n".join([b"C", *answers, whole, change, change, match % (b"last_match", 9), match % (b"match", 11), beat, beat, b"T"])
    yield b"0" + b"\n".join([b"C", change, ticker, whole, b"D", b"C", match % (b"last_match", 9), whole, change, b"T"])
    yield b"2" + b"\n".join([b"S" + whole, b"S" + change, b"S" + match % (b"match", 11), b"S" + ticker, listing])
    for frame in (whole, change, match % (b"match", 11), beat, ticker, *answers):
        yield b"2" + frame


def coinbase():
    envelope = b'{"channel":"%s","timestamp":"2026-04-07T14:30:03.5Z","sequence_num":%d,"events":[%s]}'
    update = b'{"side":"%s","event_time":"2026-04-07T14:30:01.456789Z","price_level":"%s","new_quantity":"%s"}'
    book = (b'{"type":"%s","product_id":"BTC-USD","updates":[' + update % (b"bid", b"10", b"1") + b"," +
            update % (b"offer", b"11.5", b"2") + b"]}")
    trade = (b'{"type":"%s","trades":[{"trade_id":"9","product_id":"BTC-USD","price":"5.5","size":"1","side":"SELL",'
             b'"time":"2026-04-07T14:30:02Z"},{"trade_id":"8","product_id":"BTC-USD","price":"5.4","size":"1","side":"BUY",'
             b'"time":"2026-04-07T14:30:01Z"}]}')
    ticker = (b'{"type":"snapshot","tickers":[{"product_id":"BTC-USD","price":"5","best_bid":"4","best_bid_quantity":"1",'
              b'"best_ask":"6","best_ask_quantity":"2"}]}')
    beat = b'{"current_time":"2026-04-07 14:30:10","heartbeat_counter":42}'
    acks = b'{"subscriptions":{"level2":["BTC-USD"],"market_trades":["BTC-USD","ETH-USD"]}}'
    session = [envelope % (name, i, event) for i, (name, event) in enumerate((
        (b"subscriptions", acks), (b"l2_data", book % b"snapshot"), (b"heartbeats", beat), (b"l2_data", book % b"update"),
        (b"market_trades", trade % b"snapshot"), (b"ticker", ticker), (b"candles", beat), (b"market_trades", trade % b"update")))]
    listing = (b'L{"products":[{"product_id":"BTC-USDC","base_currency_id":"BTC","quote_currency_id":"USDC","base_increment":"0.00000001",'
               b'"price_increment":"0.01","quote_increment":"0.000001","alias":"BTC-USD","alias_to":[]}]}')
    yield b"0" + b"\n".join([b"C", *session, b"T", b"D", b"C", *session[:3]])
    yield b"0" + b"\n".join([b"C", *session[:4], *session[5:], session[3], b'{"chan', b"T"])
    yield b"2" + b"\n".join([*(b"S" + frame for frame in session), listing])
    for frame in session:
        yield b"2" + frame


def varint(n):
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)


def field(number, value):
    """One field of a protobuf message: text, bytes or a number."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(*fields):
    return b"".join(field(number, value) for number, value in fields)


def mexc():
    def push(number, *fields):
        return message((1, "spot@public.aggre"), (3, "BTCUSDT"), (6, 1786000000000), (number, message(*fields)))

    def depth(first, last, bid, size):
        return push(313, (1, message((1, "11"), (2, "3"))), (2, message((1, bid), (2, size))), (4, str(first)), (5, str(last)))

    end = b"\xff\xff\xff\xff"
    deal = message((1, "80535.89"), (2, "0.00125"), (3, 1), (4, 1785999999988), (5, "730292425431437318X0"))
    deals = push(314, (1, deal), (1, message((1, "10"), (2, "0.5"), (3, 2), (4, 5))))
    quote = push(315, (1, "80535.88"), (2, "0.380497"), (3, "80535.89"), (4, "0.33336356"), (5, "81721676217"))
    limit = push(303, (1, message((1, "11"), (2, "3"))), (2, message((1, "10"), (2, "1"))), (4, "500"))
    kline = push(308, (1, "Min1"), (2, 1790281200), (3, "80500.1"))
    rest = b'R{"lastUpdateId":100,"bids":[["10","1"],["9","2"]],"asks":[["11","1"]],"timestamp":1700000000000}'
    changes = [depth(95, 101, "10", "2"), depth(102, 103, "10", "0"), depth(107, 110, "9.5", "1")]
    name = b"spot@public.aggre.deals.v3.api.pb@100ms@BTCUSDT"
    refusal = (b'{"id":0,"code":0,"msg":"Subscribed successful! [' + name + b']. Not Subscribed successfully! [' + name +
               b'].  Reason\xef\xbc\x9a Blocked! "}')
    yield b"0" + end.join([b"C", b'{"id":0,"code":0,"msg":"' + name + b'"}', changes[0], rest, *changes[1:], deals, quote, quote, b"T"])
    yield b"0" + end.join([b"C", deals, b"D", b"C", deals, refusal, b'{"id":0,"code":0,"msg":"PONG"}', b"E", kline])
    yield b"2" + end.join([limit, quote, b"S" + limit, b"S" + deals, b"S" + quote, b"S" + changes[0], b"S" + rest[1:]])
    yield (b'0L{"symbols":[{"symbol":"BTCUSDT","baseAsset":"BTC","baseAssetPrecision":8,"quoteAsset":"USDT","quotePrecision":2}]}')
    for frame in (*changes, deals, quote, limit, kline):
        yield b"2" + frame


def bybit():
    book = (b'{"topic":"orderbook.200.BTCUSDT","ts":1786310816618,"type":"%s","data":{"s":"BTCUSDT","b":[["65140.4","%s"],'
            b'["65140","0.5"]],"a":[["65154.6","0.09948"],["65239.1","0"]],"u":%d,"seq":112488545865},"cts":1786310816585}')
    chain = [book % (b"snapshot", b"0.875077", 100), book % (b"delta", b"0.5", 101), book % (b"delta", b"0", 102)]
    hole, again, anew = book % (b"delta", b"1", 110), book % (b"snapshot", b"2.0000001", 115), book % (b"delta", b"3", 1)
    top = (b'{"topic":"orderbook.1.BTCUSDT","type":"snapshot","ts":1749833474773,"data":{"s":"BTCUSDT","b":[["0.6131","17.9"]],'
           b'"a":[],"u":24042997,"seq":209972815373},"cts":1749833474768}')
    trades = (b'{"topic":"publicTrade.BTCUSDT","ts":1786310822606,"type":"snapshot","data":[{"i":"2290000001189048101",'
              b'"T":1786310822605,"p":"65140.5","v":"0.002705","S":"Buy","seq":112488547164,"s":"BTCUSDT","BT":false,"RPI":false},'
              b'{"i":"e61fb2dc-a658-5a7d-88fb-d166a4bd29b8","T":1,"p":"1e-3","v":"1","S":"Sell","seq":1,"s":"BTCUSDT","BT":true}]}')
    kline = (b'{"type":"snapshot","topic":"kline.1.BTCUSDT","data":[{"start":1786310760000,"open":"1","confirm":false}],"ts":1}')
    answers = (b'{"success":true,"ret_msg":"subscribe","conn_id":"c","req_id":"1","op":"subscribe"}',
               b'{"success":false,"ret_msg":"error:handler not found,topic:orderbook.200.ETHUSDT","conn_id":"c","req_id":"1","op":"subscribe"}',
               b'{"success":true,"ret_msg":"pong","conn_id":"c","op":"ping"}', b'{"topic":"system.status","data":[{"id":"1"}]}')
    listing = (b'L{"retCode":0,"result":{"list":[{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","lotSizeFilter":'
               b'{"basePrecision":"0.000001"},"priceFilter":{"tickSize":"0.1"}}]}}')
    yield b"0" + b"\n".join([b"C", answers[0], *chain, hole, chain[2], again, anew, b"T", b"D", b"C", again])
    yield b"0" + b"\n".join([b"C", trades, b'{"topic":"pub', trades.replace(b"8101", b"8103"), top, kline, *answers, b"T", b"T"])
    yield b"2" + b"\n".join([b"S" + chain[0], b"S" + trades, b"S" + top, b"S" + kline, listing])
    for frame in (*chain, anew, top, trades, kline, *answers):
        yield b"2" + frame


def okx():
    book = (b'{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"%s","data":[{"asks":[["8477.96","%s","0","2"]],"bids":'
            b'[["8476.97","256","0","12"]],"ts":"1597026383185","checksum":%d%s}]}')
    ids = b',"prevSeqId":%d,"seqId":%d'
    chain = [book % (b"snapshot", b"41", 0, ids % (-1, 10)), book % (b"update", b"0", 0, ids % (10, 15)),
             book % (b"update", b"7.5", 0, ids % (15, 15)), book % (b"update", b"8", 0, ids % (15, 3)),
             book % (b"update", b"9.00000000001", 0, ids % (3, 5))]
    hole = book % (b"update", b"1", 0, ids % (7, 9))
    old = [book % (b"snapshot", size, zlib.crc32(b"8476.97:256:8477.96:" + size) - (1 << 32) * (zlib.crc32(b"8476.97:256:8477.96:" + size) >> 31), b"")
           for size in (b"41", b"0.5")]
    updates = [frame.replace(b"snapshot", b"update") for frame in old]
    rest = b'R{"code":"0","msg":"","data":[{"asks":[["8477.96","3","0","1"]],"bids":[["8476","1","0","1"]],"ts":"1","seqId":12}]}'
    trades = (b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"%d","px":"42219.9",'
              b'"sz":"0.12060306","side":"buy","ts":"1630048897897","count":"3","source":"0","seqId":1234}]}')
    top = (b'{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[["8476.98","415","0","13"]],"bids":[],'
           b'"ts":"1597026383085","seqId":123456}]}')
    ticker = (b'{"arg":{"channel":"tickers","instId":"ETH-USDT"},"data":[{"instType":"SPOT","instId":"ETH-USDT","askPx":"9999.99",'
              b'"askSz":"11","bidPx":"","bidSz":"","ts":"1597026383085"}]}')
    answers = (b'{"id":"1","event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a"}',
               b'{"event":"error","code":"60018","msg":"Wrong URL or channel:books,instId:ETH-USDT doesn\'t exist.","id":"1"}',
               b'{"event":"notice","code":"64008","msg":"soon","connId":"a"}', b"pong",
               b'{"arg":{"channel":"candle1m","instId":"BTC-USDT"},"data":[["1","2"]]}')
    listing = b'L{"code":"0","data":[{"instId":"BTC-USD-220325-40000-C","tickSz":"0.0005","lotSz":"1"}]}'
    yield b"0" + b"\n".join([b"C", answers[0], *chain, hole, chain[0], b"T", b"D", b"C", chain[0]])
    yield b"0" + b"\n".join([b"C", answers[0], *chain[1:2], rest, *chain[2:], hole, answers[0], chain[1], b"E", rest, b"T"])
    yield b"2" + b"\n".join([old[0], updates[1], updates[1], updates[0].replace(b"41", b"42"), old[1]])
    yield b"0" + b"\n".join([b"C", trades % 7, trades % 20, ticker, top, *answers, b"T", b"T"])
    yield b"2" + b"\n".join([b"S" + chain[0], b"S" + trades % 7, b"S" + top, b"S" + ticker, b"S" + rest[1:], listing])
    for frame in (*chain, *old, rest, trades % 7, top, ticker, *answers):
        yield b"2" + frame


def capture():
    yield b"".join(line[:600] + b"\n" for line in lines(DEMO, 6))
    yield gzip.compress(b"".join(line[:300] + b"\n" for line in lines(DEMO, 20)), mtime=0)
    yield (b'configuration: {}\nwss://h/stream <-> 1633998511.159679\nwss://h/ws <- 1633998512: {"m":1}\n'
           b'1633998512.0633569: {"a":1}\n\nhttps://h/api/v3/depth?symbol=X -> 1633998512.320639: {"b":2}\n')
    yield (b'{"t":"header","format":2,"config":{"a":["}",1]}}\n{"t":"connect","ts":1.5,"addr":"wss://h/p"}\n'
           b'{"t":"recv","ts":2.25,"data":"{\\"a\\":\\"\\u20ac\\ud83d\\ude00\\"}"}\n{"t":"http","ts":4,"addr":"u","data":"[]"}\n')
    yield b'{"t":5}\n[1]\nnoise\n'
    yield b"0a3473706f740a\n0A3473706F7400FF01\n0a3\n"


def yaml():
    found = False
    for path in glob.glob(os.path.join(SOURCE, "deploy", "**", "*.y*ml"), recursive=True):
        with open(path, "rb") as f:
            found = True
            yield f.read()
    if not found:
        yield b"bus: demo\nfeeds:\n  binance: {program: feed, symbols: [BTC/USDT]}\n"
    yield b"bus: demo\nservices:\n  a: &x {b: [1, 2, 'c']}\n  d: *x\n  e: |\n    text\n"


def book():
    """Pairs of what happens at the venue and on the way, and how: fuzz_book.c."""
    for seed in range(24):
        state = seed * 2654435761 % 2**32
        ops = bytearray()
        for _ in range(12 + seed):
            state = (state * 1664525 + 1013904223) % 2**32
            # Mostly changes that come; now and then a fault, more of them in later seeds.
            ops += bytes((state >> 24 if state >> 16 & 31 < seed else 9 if len(ops) != 4 else 4, state >> 8 & 255))
        yield bytes(ops)
    yield bytes((9, 3, 4, 0, 9, 7, 8, 255, 4, 16))


def make(target, directory):
    if target.startswith("book_"):
        maker = book
    else:
        maker = {"binance": binance, "binanceusdm": binanceusdm, "mexc": mexc, "capture": capture, "yaml": yaml, "kraken": kraken,
                 "coinbase": coinbase, "coinbaseexchange": coinbaseexchange, "bybit": bybit, "okx": okx, **corpus_journal.MAKERS}[target]
    inputs = list(maker())
    if target == "kraken":  # no change of bytes finds a checksum by chance: the target believes this one
        inputs += [re.sub(rb'"checksum":\d+', b'"checksum":1', data) for data in inputs]
    for i, data in enumerate(inputs):
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
