"""A raw client: sends exactly the bytes it is given, in the pieces it is told to, and reads answers by
the strictest grammar. What it cannot read in one way only is an error of the gateway."""

import json
import re
import socket
import ssl
import time

from tools.peer import Peer

DEADLINE_S = 15.0
CLOSE_S = 5.0  # "closed within a second", with room for a slow machine and sanitizers

STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t -~]*))?\r\n\Z")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t -~]*)\r\n\Z")
ONCE = {b"content-length", b"transfer-encoding", b"content-type", b"x-request-id", b"date",
        b"connection", b"retry-after", b"x-ratelimit-limit", b"cache-control"}


class BadAnswer(AssertionError):
    """The gateway's answer is malformed, cut, or late."""


class Response:
    def __init__(self, version, status, fields):
        self.version = version
        self.status = status
        self.fields = fields
        self.body = bytearray()  # grows with every chunk
        self.complete = False  # ended as its framing says
        self.chunks = 0

    def get(self, name, default=None):
        for key, value in self.fields:
            if key == name.lower().encode():
                return value.decode()
        return default

    def json(self):
        return json.loads(self.body)

    def code(self):
        """The error code of a refusal in the common shape."""
        return self.json()["error"]["code"]

    def closes(self):
        tokens = [token.strip().lower() for token in (self.get("connection") or "").split(",")]
        return "close" in tokens or (self.version == 0 and "keep-alive" not in tokens)

    def __repr__(self):
        return f"<{self.status} {bytes(self.body[:300])!r}>"


def request(method="GET", path="/", fields=(), body=None, key=None, host="gateway.test", version="1.1"):
    """The bytes of one well-formed request."""
    lines = [f"{method} {path} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    if key:
        lines.append(f"Authorization: Bearer {key}")
    lines += [f"{name}: {value}" for name, value in fields]
    if body is not None:
        body = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        names = {name.lower() for name, _ in fields}
        if "content-type" not in names:
            lines.append("Content-Type: application/json")
        if not names & {"content-length", "transfer-encoding"}:
            lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def chat(model="m", content="hello", **members):
    return {"model": model, "messages": [{"role": "user", "content": content}], **members}


def chat_request(key, model="m", fields=(), path="/v1/chat/completions", **members):
    return request("POST", path, fields, chat(model, **members), key)


class Client:
    """One connection to the gateway. Answers are handed to `witness`, which the oracles read later."""
    peer = None  # made when it is first asked for

    def __init__(self, port, witness=None, receive_buffer_bytes=None, tls=None, name="127.0.0.1",
                 source=None):
        self.sock = socket.socket()
        if source:
            self.sock.bind((source, 0))
        if receive_buffer_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=name, suppress_ragged_eofs=False)
        self.witness = witness
        self.unread = bytearray()
        self.ended = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()
        if self.peer:
            self.peer.close()

    # Sending. A gateway may answer and half-close before it was given everything, so a send that fails
    # is no failure here: the answer is what counts.

    def send(self, piece):
        try:
            self.sock.sendall(piece)
            return True
        except (ConnectionError, ssl.SSLError):
            return False

    def send_pieces(self, *pieces):
        """Each one goes once the gateway has read those before it, so that it reads exactly these."""
        for piece in pieces[:-1]:
            if not self.send(piece) or not self.wait_read():
                return False
        return self.send(pieces[-1])

    def wait_read(self):
        """False when the gateway has closed, and will read no more."""
        try:
            self.peer = self.peer or Peer(self.sock)
        except OSError:  # it was reset
            return False
        if not self.peer.wait_read(DEADLINE_S):
            raise BadAnswer("the gateway has stopped reading")
        return True

    def send_bytewise(self, piece):
        return self.send_pieces(*(piece[i:i + 1] for i in range(len(piece))))

    def send_split(self, piece, at):
        return self.send_pieces(piece[:at], piece[at:])

    # Receiving.

    def is_readable(self):
        """An answer, or the end, is here. What is, is taken: TLS has bytes of its own to read."""
        if self.unread or self.ended:
            return True
        self.sock.settimeout(0)
        try:
            piece = self.sock.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        finally:
            self.sock.settimeout(DEADLINE_S)
        self.unread += piece
        self.ended = not piece
        return True

    def fill(self):
        if self.ended:
            return False
        try:
            piece = self.sock.recv(65536)
        except socket.timeout:
            raise BadAnswer(f"nothing came in time; so far {bytes(self.unread[:300])!r}") from None
        except (ConnectionError, ssl.SSLError) as error:
            raise BadAnswer(f"{type(error).__name__} after {bytes(self.unread[:300])!r}") from None
        if not piece:
            self.ended = True
            return False
        self.unread += piece
        return True

    def line(self):
        while b"\n" not in self.unread:
            if not self.fill():
                raise BadAnswer(f"the answer ends within a line: {bytes(self.unread[:300])!r}")
        cut = self.unread.index(b"\n") + 1
        line = bytes(self.unread[:cut])
        del self.unread[:cut]
        return line

    def take(self, count):
        while len(self.unread) < count:
            if not self.fill():
                return None
        piece = bytes(self.unread[:count])
        del self.unread[:count]
        return piece

    def read_head(self):
        line = self.line()
        match = STATUS_LINE.match(line)
        if not match:
            raise BadAnswer(f"status line {line!r}")
        fields = []
        while (line := self.line()) != b"\r\n":
            field = FIELD_LINE.match(line)
            if not field:
                raise BadAnswer(f"field line {line!r}")
            fields.append((field[1].lower(), field[2].strip()))
        names = [name for name, _ in fields]
        for name in ONCE:
            if names.count(name) > 1:
                raise BadAnswer(f"{name.decode()} stands twice")
        if b"content-length" in names and b"transfer-encoding" in names:
            raise BadAnswer("both Content-Length and Transfer-Encoding")
        response = Response(int(match[1]), int(match[2]), fields)
        if self.witness is not None and response.status >= 200:
            self.witness.append(response)
        return response

    def read_chunk(self, response):
        """One chunk of a chunked answer; b"" is the last one, None an answer that broke off."""
        try:
            line = self.line()
        except BadAnswer:
            if not self.ended or self.unread:
                raise
            return None
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}\r\n", line):
            raise BadAnswer(f"chunk size {line!r}")
        size = int(line, 16)
        piece = self.take(size + 2)
        if piece is None:
            return None
        if piece[-2:] != b"\r\n":
            raise BadAnswer(f"chunk end {piece[-2:]!r}")
        response.chunks += 1
        if size == 0:
            response.complete = True
        return piece[:-2]

    def read_body(self, response, method="GET"):
        if method == "HEAD" or response.status < 200 or response.status in (204, 304):
            response.complete = True
        elif response.get("transfer-encoding"):
            if response.get("transfer-encoding") != "chunked":
                raise BadAnswer("an unknown Transfer-Encoding")
            while piece := self.read_chunk(response):
                response.body += piece
        elif response.get("content-length") is not None:
            length = int(response.get("content-length"))
            piece = self.take(length)
            response.complete = piece is not None
            if not response.complete:
                piece = bytes(self.unread)
                self.unread.clear()
            response.body += piece
        else:
            if not response.closes():
                raise BadAnswer("an answer without framing on a connection that stays open")
            while self.fill():
                pass
            response.body += self.unread
            self.unread.clear()
            response.complete = True
        return response

    def read(self, method="GET"):
        """The next final answer, whole."""
        while True:
            response = self.read_head()
            if response.status >= 200:
                return self.read_body(response, method)

    def read_until(self, mark, response):
        """Reads chunks of a stream until `mark` stands in the body."""
        while mark not in response.body:
            piece = self.read_chunk(response)
            if not piece:
                raise BadAnswer(f"the stream ended before {mark!r}: {response.body!r}")
            response.body += piece

    def leave(self):
        """Closes, and waits until the gateway has done so."""
        self.sock.shutdown(socket.SHUT_WR)
        self.expect_closed()

    def expect_closed(self, timeout_s=CLOSE_S):
        """The gateway closes, and sends nothing more before it does."""
        if self.unread:
            raise BadAnswer(f"more bytes than the answer: {bytes(self.unread[:300])!r}")
        start = time.monotonic()
        self.sock.settimeout(timeout_s)
        try:
            if self.fill():
                raise BadAnswer(f"more bytes than the answer: {bytes(self.unread[:300])!r}")
        except BadAnswer as error:
            if time.monotonic() - start >= timeout_s:
                raise BadAnswer("the connection was not closed") from None
            raise error
        finally:
            self.sock.settimeout(DEADLINE_S)

    def ask(self, piece, method="GET"):
        self.send(piece)
        return self.read(method)
