"""What the tests of metrics and alerts share: a producer on a pipe, HTTP peers that misbehave, Prometheus' programs."""
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request

from buslook import BUILD, Bus, check, log_of, until

os.environ["no_proxy"] = "*"  # everything here is on loopback
for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
    os.environ.pop(name, None)


class Source:
    """watch_source: publishes what it is told."""

    def __init__(self, bus, stream="binance", capacity=4096):
        os.makedirs(bus.dir, 0o750, exist_ok=True)
        self.process = subprocess.Popen([os.path.join(BUILD, "tests", "watch_source"), bus.dir, stream, str(capacity)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        bus.processes.append(self.process)
        self.answer("open")

    def answer(self, line):
        words = self.process.stdout.readline().split()
        check(words[:1] == ["ok"], "watch_source answered", words, "to", line)
        return int(words[1])

    def tell(self, *lines):
        """All lines at once; returns the answer to the last."""
        self.process.stdin.write("".join(line + "\n" for line in lines))
        self.process.stdin.flush()
        return [self.answer(line) for line in lines][-1]

    def end(self, how="done"):
        self.process.stdin.write(how + "\n")
        self.process.stdin.close()
        self.process.wait(20)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url, timeout=5):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read().decode()


def try_get(url):
    try:
        return get(url)
    except (urllib.error.URLError, OSError):
        return None


SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')


def samples(text):
    """{'name{labels}': value as text}"""
    out = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            match = SAMPLE.match(line)
            check(match, "no sample:", line)
            key = match[1] + ("{%s}" % match[2] if match[2] else "")
            check(key not in out, "twice:", key)
            out[key] = match[3]
    return out


class Peer:
    """An HTTP peer on loopback whose answers the test chooses: a status, or "hang"."""

    def __init__(self, status=200, body="", port=0):
        self.status, self.body, self.requests, self.lock = status, body, [], threading.Lock()
        self.released = threading.Event()
        peer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status = peer.status(self, body) if callable(peer.status) else peer.status
                with peer.lock:
                    peer.requests.append((self.command, self.path, dict(self.headers), body, status))
                if status == "hang":
                    peer.released.wait(20)
                    self.close_connection = True
                    return
                data = peer.body.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_PUT = do_POST = do_DELETE = handle_one

            def log_message(self, *_):
                pass

        http.server.ThreadingHTTPServer.daemon_threads = True
        http.server.ThreadingHTTPServer.block_on_close = False
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.handle_error = lambda *_: None  # peers that hang up are the point here
        self.port = self.server.server_address[1]
        self.url = "http://127.0.0.1:%d" % self.port
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def count(self, method=None):
        with self.lock:
            return sum(method in (None, r[0]) for r in self.requests)

    def bodies(self):
        with self.lock:
            return [json.loads(r[3]) for r in self.requests]

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


class Tool:
    """A server of Prometheus' family on a free port, in a directory of its own."""

    def __init__(self, bus, program, *arguments, ready="/-/ready"):
        path = shutil.which(program)
        if path is None:
            print("skipped: no", program)
            raise SystemExit(77)
        self.port = free_port()
        self.url = "http://127.0.0.1:%d" % self.port
        place = os.path.join(bus.base, "%s-%d" % (program, self.port))
        os.mkdir(place)
        with open(place + ".log", "wb") as log:
            self.process = subprocess.Popen(
                [path, *(a.format(port=self.port, place=place) for a in arguments)], stdout=log, stderr=log, cwd=place)
        bus.processes.append(self.process)
        until(lambda: try_get(self.url + ready) is not None, program, 30)

    def end(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def pushgateway(bus):
    return Tool(bus, "prometheus-pushgateway", "--web.listen-address=127.0.0.1:{port}")


def prometheus(bus, config):
    path = os.path.join(bus.base, "prometheus.yml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(config)
    return Tool(bus, "prometheus", "--config.file=" + path, "--storage.tsdb.path={place}",
                "--web.listen-address=127.0.0.1:{port}", "--log.level=warn")


def listening_port(process):
    """The port that a service with `listen: ...:0` was given."""
    line = until(lambda: re.search(r"ev=listening .*port=(\d+)", log_of(process)), "the listening line")
    return int(line[1])


__all__ = ["Bus", "Source", "Peer", "Tool", "pushgateway", "prometheus", "listening_port", "free_port", "get", "try_get",
           "samples"]
