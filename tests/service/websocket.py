"""WebSocket (RFC 6455) in the standard library: a client, and a server whose tests decide every byte."""
import base64
import hashlib
import os
import socket
import ssl
import struct
import threading

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Closed(Exception):
    """The peer closed: args are the code (1006: without a close frame) and the reason."""


class Stream:
    """Frames over a connected socket. mask: we are the client."""

    def __init__(self, sock, mask, rest=b""):
        self.sock, self.mask, self.buffer = sock, mask, bytearray(rest)

    def _take(self, count):
        while len(self.buffer) < count:
            more = self.sock.recv(1 << 16)
            if not more:
                raise Closed(1006, "")
            self.buffer += more
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def receive_frame(self):
        """(final, opcode, payload) of one frame, as it is on the wire."""
        first, second = self._take(2)
        length = second & 127
        if length == 126:
            (length,) = struct.unpack(">H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._take(8))
        key = self._take(4) if second & 128 else None
        payload = self._take(length)
        if key:
            payload = bytes(b ^ key[i % 4] for i, b in enumerate(payload))
        return bool(first & 128), first & 15, payload

    def receive(self):
        """The next message, whole; pings are answered, a close raises Closed."""
        message = b""
        while True:
            final, opcode, payload = self.receive_frame()
            if opcode == PING:
                self.send(payload, PONG)
            elif opcode == CLOSE:
                code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1005
                self.send(payload[:2], CLOSE)
                raise Closed(code, payload[2:].decode())
            elif opcode in (TEXT, BINARY, 0):
                message += payload
                if final:
                    return message

    def send(self, payload, opcode=TEXT, final=True):
        if isinstance(payload, str):
            payload = payload.encode()
        head = bytes([(128 if final else 0) | opcode])
        bit = 128 if self.mask else 0
        if len(payload) < 126:
            head += bytes([bit | len(payload)])
        elif len(payload) < 1 << 16:
            head += struct.pack(">BH", bit | 126, len(payload))
        else:
            head += struct.pack(">BQ", bit | 127, len(payload))
        if self.mask:
            key = os.urandom(4)
            head += key
            payload = bytes(b ^ key[i % 4] for i, b in enumerate(payload))
        self.sock.sendall(head + payload)

    def close(self, code=1000, reason=""):
        self.send(struct.pack(">H", code) + reason.encode(), CLOSE)

    def drop(self):
        self.sock.close()


def read_head(sock):
    head = b""
    while b"\r\n\r\n" not in head:
        more = sock.recv(1 << 16)
        if not more:
            raise Closed(1006, "in the handshake")
        head += more
    return head.split(b"\r\n\r\n", 1)


def connect(port, path, timeout=20):
    """A client on ws://127.0.0.1:port. Raises ConnectionRefusedError with the status if not upgraded."""
    sock = socket.create_connection(("127.0.0.1", port), timeout)
    key = base64.b64encode(os.urandom(16))
    sock.sendall(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                 b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n")
    head, rest = read_head(sock)
    status = int(head.split(b" ", 2)[1])
    if status != 101:
        sock.close()
        raise ConnectionRefusedError(status)
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    assert accept in head, head
    return Stream(sock, True, rest)


class Server:
    """
    A venue of the test's own making. on_socket(stream, number) runs in a thread for each WebSocket; on_get(path)
    returns (status, body). Both WebSocket and REST are on self.port.
    """

    def __init__(self, on_socket, on_get, certificate=None, key=None):
        self.on_socket, self.on_get = on_socket, on_get
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets = 0
        self.requests = []
        self.errors = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)  # else accept, which waits in its thread, takes one more
        self.listener.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            if self.context:
                sock = self.context.wrap_socket(sock, server_side=True)
            with sock:
                self._answer(sock)
        except (Closed, OSError):
            pass  # the client went: the test sees it on its side
        except Exception as failure:  # noqa: BLE001  the test asks for them
            self.errors.append(repr(failure))

    def _answer(self, sock):
        while True:
            head, rest = read_head(sock)
            lines = head.decode().split("\r\n")
            path = lines[0].split(" ")[1]
            headers = dict(line.lower().split(": ", 1) for line in lines[1:])
            if headers.get("upgrade") == "websocket":
                key = next(line.split(": ", 1)[1] for line in lines if line.lower().startswith("sec-websocket-key"))
                accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest())
                sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
                self.sockets += 1
                self.headers = headers
                self.on_socket(Stream(sock, False, rest), self.sockets)
                return
            self.requests.append(path)
            status, body = self.on_get(path)
            sock.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nContent-Type: application/json\r\n\r\n%s"
                         % (status, len(body), body))
