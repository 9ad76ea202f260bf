"""The recording upstream: a raw TCP server in the place of a model server.

It keeps every byte of every connection, reads requests by the strictest grammar a gateway could be
held to (anything else is a violation, never repaired), and answers as the test says: by the model a
request names, else by the default. An answer is a function of (connection, request) that writes what
it likes and returns True to keep the connection or False to close it.

The one hard problem: a test wants to decide when the second half of an answer is sent, and to see
when the gateway has let go. Gates (threading.Event) do the first, Connection.wait_closed the second.
"""

import json
import re
import socket
import ssl
import struct
import threading
import time

DEADLINE_S = 15.0

# Oracle O2: the only shape in which a request may leave the gateway.
REQUEST_LINE = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[!-~]*) HTTP/1\.1\r\n\Z")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^`|~0-9A-Za-z-]+): ([!-~]([ \t!-~]*[!-~])?)?\r\n\Z")
CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}\r\n\Z")


class Violation(Exception):
    """The gateway sent something that is not one canonical request."""


class Request:
    def __init__(self, head, method, path, fields):
        self.head = head
        self.method = method
        self.path = path
        self.fields = fields  # list of (lower-case name, value), as bytes
        self.body = b""

    def values(self, name):
        return [value for key, value in self.fields if key == name.encode().lower()]

    def value(self, name):
        values = self.values(name)
        return values[0].decode() if values else None

    def model(self):
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        model = document.get("model") if isinstance(document, dict) else None
        return model if isinstance(model, str) else None


def parse_head(head):
    """One canonical head, or Violation. Exactly one Host, and at most one kind of framing."""
    lines = head.splitlines(keepends=True)
    # splitlines also splits at bytes that are no line ends here; the grammar below refuses those.
    match = REQUEST_LINE.match(lines[0])
    if not match:
        raise Violation(f"request line {lines[0]!r}")
    fields = []
    for line in lines[1:-1]:
        field = FIELD_LINE.match(line)
        if not field:
            raise Violation(f"field line {line!r}")
        fields.append((field[1].lower(), field[2] or b""))
    if lines[-1] != b"\r\n":
        raise Violation(f"end of head {lines[-1]!r}")
    request = Request(head, match[1].decode(), match[2].decode(), fields)
    if len(request.values("host")) != 1:
        raise Violation(f"{len(request.values('host'))} Host fields")
    lengths, codings = request.values("content-length"), request.values("transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise Violation(f"framing given twice: {lengths} {codings}")
    if lengths and not re.fullmatch(rb"0|[1-9][0-9]{0,18}", lengths[0]):
        raise Violation(f"Content-Length {lengths[0]!r}")
    if codings and codings[0] != b"chunked":
        raise Violation(f"Transfer-Encoding {codings[0]!r}")
    return request


class Connection:
    """One connection from the gateway, served by a thread of its own."""

    def __init__(self, upstream, sock):
        self.upstream = upstream
        self.sock = sock
        self.received = bytearray()
        self.unread = bytearray()
        self.sent_bytes = 0
        self.closed = threading.Event()  # the gateway has closed, or reset, its side

    def fill(self):
        """Reads some more; False at the end."""
        try:
            piece = self.sock.recv(65536)
        except (ConnectionError, ssl.SSLError):
            piece = b""
        if not piece:
            self.closed.set()
            return False
        self.received += piece
        self.unread += piece
        return True

    def take_until(self, end):
        while end not in self.unread:
            if not self.fill():
                return None
        cut = self.unread.index(end) + len(end)
        taken = bytes(self.unread[:cut])
        del self.unread[:cut]
        return taken

    def take(self, count):
        while len(self.unread) < count:
            if not self.fill():
                raise Violation(f"closed after {len(self.unread)} of {count} body bytes")
        taken = bytes(self.unread[:count])
        del self.unread[:count]
        return taken

    def read_request(self):
        """The next request; None when the gateway closed in good order between two."""
        head = self.take_until(b"\r\n\r\n")
        if head is None:
            if self.unread:
                raise Violation(f"half a head: {bytes(self.unread[:200])!r}")
            return None
        request = parse_head(head)
        request.connection = self
        if request.values("transfer-encoding"):
            request.body = self.read_chunked()
        elif request.values("content-length"):
            request.body = self.take(int(request.value("content-length")))
        return request

    def read_chunked(self):
        body = b""
        while True:
            line = self.take_until(b"\r\n")
            if line is None or not CHUNK_SIZE.match(line):
                raise Violation(f"chunk size {line!r}")
            size = int(line, 16)
            piece = self.take(size + 2)
            if piece[-2:] != b"\r\n":
                raise Violation(f"chunk end {piece[-2:]!r}")
            if size == 0:
                return body
            body += piece[:-2]

    def send(self, piece):
        """False when the gateway has gone."""
        try:
            self.sock.sendall(piece)
        except (ConnectionError, ssl.SSLError, socket.timeout, OSError):
            self.closed.set()
            return False
        self.sent_bytes += len(piece)
        return True

    def wait_closed(self, timeout_s=DEADLINE_S):
        """Waits for the gateway to close its side; True when it did."""
        self.sock.settimeout(timeout_s)
        try:
            while self.fill():
                pass
        except socket.timeout:
            return False
        finally:
            try:
                self.sock.settimeout(DEADLINE_S * 4)
            except OSError:
                pass
        return True

    def reset(self):
        """Closes with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Upstream:
    def __init__(self, tls=None, default=None, send_buffer_bytes=None, address=("127.0.0.1", 0)):
        self.tls = tls
        self.default = default or chat_answer
        self.answers = {}  # model -> answer
        self.lock = threading.Condition()
        self.connections = []
        self.requests = []
        self.violations = []
        self.listener = socket.create_server(address, backlog=256)
        if send_buffer_bytes:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        self.port = self.listener.getsockname()[1]
        self.stopping = False
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def on(self, model, answer):
        self.answers[model] = answer
        return model

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(DEADLINE_S * 4)
        if self.tls:
            try:
                sock = self.tls.wrap_socket(sock, server_side=True)
            except (OSError, ssl.SSLError):
                return
        connection = Connection(self, sock)
        with self.lock:
            self.connections.append(connection)
            self.lock.notify_all()
        try:
            while self.answer_one(connection):
                pass
        except Violation as violation:
            self.violations.append(str(violation))
        except socket.timeout:
            pass
        finally:
            connection.sock.close()
            with self.lock:
                self.lock.notify_all()

    def answer_one(self, connection):
        request = connection.read_request()
        if request is None:
            return False
        with self.lock:
            self.requests.append(request)
            self.lock.notify_all()
        return self.answers.get(request.model(), self.default)(connection, request)

    def wait_for(self, predicate, what="the upstream", timeout_s=DEADLINE_S):
        with self.lock:
            if not self.lock.wait_for(predicate, timeout_s):
                raise AssertionError(f"{what}: not in time; {len(self.requests)} requests so far")

    def wait_requests(self, count):
        self.wait_for(lambda: len(self.requests) >= count, f"{count} requests at the upstream")
        return self.requests[count - 1]

    def calls(self):
        """The requests that stand for a client's: not the gateway's own questions for lists."""
        own = {"/v1/models", "/api/tags", "/api/version", "/props", "/health", "/"}
        return [request for request in self.requests
                if not (request.method == "GET" and request.path in own)]

    def stop(self):
        self.stopping = True
        self.listener.close()
        for connection in list(self.connections):
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


# Answers.

def answer_head(status=200, content_type="application/json", extra=()):
    lines = [f"HTTP/1.1 {status} Fine", f"Content-Type: {content_type}", *extra]
    return "\r\n".join(lines).encode() + b"\r\n"


def whole(body, status=200, content_type="application/json", extra=()):
    """A complete answer with Content-Length."""
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()

    def answer(connection, request):
        head = answer_head(status, content_type, extra) + b"Content-Length: %d\r\n\r\n" % len(body)
        return connection.send(head + (b"" if request.method == "HEAD" else body))
    return answer


def chunk(piece):
    return b"%x\r\n%s\r\n" % (len(piece), piece)


def chunked(pieces, status=200, content_type="text/event-stream"):
    """A chunked answer. A piece that is an Event is a gate: the test sets it to let the rest follow."""
    def answer(connection, _request):
        connection.send(answer_head(status, content_type) + b"Transfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            if isinstance(piece, threading.Event):
                if not piece.wait(DEADLINE_S):
                    return False
            elif not connection.send(chunk(piece)):
                return False
        return connection.send(b"0\r\n\r\n")
    return answer


def raw(piece, keep=False, reset=False, hold=False):
    """Exactly these bytes, then close, RST, or hold still until the gateway lets go."""
    def answer(connection, _request):
        connection.send(piece)
        if hold:
            connection.wait_closed()
        if reset:
            connection.reset()
        return keep
    return answer


def dripped(pieces, pause_s):
    """One piece after the other, with a pause between two, until the gateway lets go."""
    def answer(connection, _request):
        for number, piece in enumerate(pieces):
            if number and connection.wait_closed(pause_s) or not connection.send(piece):
                return False
        return True
    return answer


def silence(connection, _request):
    """Never answers."""
    connection.wait_closed()
    return False


def event(document):
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def delta(text):
    """One event of a streamed chat."""
    return event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                  "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})


DONE = b"data: [DONE]\n\n"


def chat_answer(connection, request):
    """The default: a small model server, good enough for every route the tests use."""
    if request.path == "/v1/models":
        names = [{"id": name, "object": "model", "created": 1, "owned_by": "test"} for name in MODELS]
        return whole({"object": "list", "data": names})(connection, request)
    if request.path == "/api/tags":
        return whole({"models": [{"name": name, "model": name} for name in MODELS]})(connection, request)
    if request.path == "/api/version":
        return whole({"version": "0.1.2"})(connection, request)
    try:
        stream = json.loads(request.body).get("stream")
    except (ValueError, AttributeError, RecursionError):
        stream = False
    if stream and request.path.startswith("/v1/"):
        return chunked([delta("one"), delta("two"), DONE])(connection, request)
    return whole({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})(connection, request)


MODELS = ["m", "other", "third"]


def nobody():
    """A socket that keeps a port from all others, and does not listen there; and its URL."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock, f"http://127.0.0.1:{sock.getsockname()[1]}"


def wait_until(predicate, what, timeout_s=DEADLINE_S):
    """Waits for something that has no event to wait on."""
    end = time.monotonic() + timeout_s
    while not predicate():
        if time.monotonic() > end:
            raise AssertionError(f"not in time: {what}")
        time.sleep(0.01)
