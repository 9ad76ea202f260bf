"""A raw HTTP/2 client: frames as the test says, good ones and others. What the gateway sends is read by
the strictest rules there are: one more byte than a window allows, a frame of a stream that is over, or a
field that HTTP/2 forbids is an error of the gateway.

The one hard problem: a client that sends without reading stops both sides. So `push` reads while it
sends, and a test that does not want that uses the socket itself."""

import json
import select
import socket
import ssl
import struct
import sys
import time

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's packages, also for another Python of this line
# pylint: disable=wrong-import-position
from hpack import Decoder, Encoder  # noqa: E402
from hpack.struct import NeverIndexedHeaderTuple  # noqa: E402

from tools.case import WireCase  # noqa: E402
from tools.certificates import Certificates  # noqa: E402
from tools.client import DEADLINE_S, BadAnswer, Response, chat  # noqa: E402

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
INITIAL_WINDOW_SIZE = 4
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = 5, 6, 7, 8, 9
ENHANCE_YOUR_CALM = 11
FRAME_BYTES = 16384
WINDOW_MAX = 2**31 - 1
HOP_BY_HOP = {b"connection", b"transfer-encoding", b"keep-alive", b"upgrade", b"proxy-connection"}


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def number(value):
    return struct.pack(">I", value)


def setting(name, value):
    return struct.pack(">HI", name, value)


class Stream(Response):
    """An answer, and how its stream ended."""

    def __init__(self, number_of_it, send_window):
        super().__init__(2, 0, [])
        self.id = number_of_it
        self.interim = []       # statuses of answers before the final one
        self.reset = None       # the code of RST_STREAM
        self.ended = False      # END_STREAM came
        self.send_window = send_window
        self.receive_window = 0

    @property
    def over(self):
        return self.ended or self.reset is not None

    def __repr__(self):
        return (f"<stream {self.id}: {self.status}, reset {self.reset}, ended {self.ended}, "
                f"{bytes(self.body[:200])!r}>")


class Http2Client:
    """One connection. `window`: of each answer, opened again as it is read unless `reads` is false;
    the connection's is as large as it gets."""

    def __init__(self, port, witness=None, tls=None, window=WINDOW_MAX, reads=True, receive_buffer_bytes=None,
                 begin=True):
        self.sock = socket.socket()
        if receive_buffer_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
            if self.sock.selected_alpn_protocol() != "h2":
                raise BadAnswer(f"agreed on {self.sock.selected_alpn_protocol()}")
        self.witness = witness
        self.window = window
        self.reads = reads
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.unread = bytearray()
        self.to_send = bytearray()   # answers to what was read
        self.streams = {}
        self.next_id = 1
        self.settings = {INITIAL_WINDOW_SIZE: 65535}
        self.settings_acked = False
        self.send_window = 65535
        self.receive_window = 65535
        self.goaways = []            # (last stream, code)
        self.pongs = []
        self.ended = False           # nothing more comes
        self.failed = None           # how it ended, when not in good order
        if begin:
            self.begin()

    def begin(self):
        self.send(PREFACE + frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, self.window)))
        self.open_window(0, WINDOW_MAX - 65535)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # Sending.

    def send(self, piece):
        try:
            self.sock.sendall(piece)
            return True
        except (ConnectionError, ssl.SSLError):
            return False

    def frame(self, kind, flags=0, stream=0, payload=b""):
        return self.send(frame(kind, flags, stream, payload))

    def push(self, piece):
        """Sends a lot and reads what comes meanwhile; False once the gateway does not take it any more."""
        view = memoryview(piece)
        end = time.monotonic() + DEADLINE_S * 4
        while view and not self.ended and not self.goaways:
            if time.monotonic() > end:
                raise BadAnswer("the gateway neither reads nor ends the connection")
            readable, writable, _ = select.select([self.sock], [self.sock], [], 1)
            if readable:
                self.fill()
            if writable:
                try:
                    view = view[self.sock.send(view[:65536]):]
                except (ConnectionError, ssl.SSLError):
                    return False
        return not view

    def open_window(self, stream, count):
        self.send(frame(WINDOW_UPDATE, 0, stream, number(count)))
        if stream:
            self.streams[stream].receive_window += count
        else:
            self.receive_window += count

    def fields(self, method="GET", path="/", fields=(), key=None, host="gateway.test", scheme="http"):
        """The field list of a good request."""
        block = [(":method", method), (":scheme", scheme), (":path", path), (":authority", host)]
        block = [pair for pair in block if pair[1] is not None]
        if key:
            block.append(("authorization", f"Bearer {key}"))
        return block + [(name.lower(), value) for name, value in fields]

    def encode(self, fields):
        """As literals that no table keeps: a test may send or drop what comes of it."""
        return self.encoder.encode([NeverIndexedHeaderTuple(*pair) for pair in fields], huffman=False)

    def begin_stream(self):
        stream = Stream(self.next_id, self.settings[INITIAL_WINDOW_SIZE])
        stream.receive_window = self.window
        self.streams[stream.id] = stream
        self.next_id += 2
        return stream

    def open(self, fields, end=True):
        stream = self.begin_stream()
        block = self.encode(fields)
        pieces = [block[at:at + FRAME_BYTES] for at in range(0, len(block), FRAME_BYTES)] or [b""]
        flags = END_STREAM if end else 0
        for kind, piece in zip([HEADERS] + [CONTINUATION] * len(pieces), pieces[:-1]):
            self.frame(kind, flags if kind == HEADERS else 0, stream.id, piece)
        last = HEADERS if len(pieces) == 1 else CONTINUATION
        self.frame(last, END_HEADERS | (flags if last == HEADERS else 0), stream.id, pieces[-1])
        return stream

    def start(self, method="GET", path="/", fields=(), body=None, key=None, **more):
        """Sends a whole request, or its head when the body is True."""
        block = self.fields(method, path, fields, key, **more)
        if body is None:
            return self.open(block)
        if body is not True:
            body = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        names = {name for name, _ in block}
        if "content-type" not in names:
            block.append(("content-type", "application/json"))
        if body is not True and "content-length" not in names:
            block.append(("content-length", str(len(body))))
        stream = self.open(block, end=False)
        if body is not True:
            self.send_body(stream, body)
        return stream

    def send_body(self, stream, body, end=True):
        """As far as the windows let it, waiting for more of them; stops when the stream is over."""
        at = 0
        while at < len(body) or (end and not body):
            if not self.wait(lambda: stream.over or (stream.send_window > 0 and self.send_window > 0) or not body):
                return
            if stream.over:
                return
            piece = body[at:at + min(FRAME_BYTES, max(0, stream.send_window), max(0, self.send_window))]
            at += len(piece)
            stream.send_window -= len(piece)
            self.send_window -= len(piece)
            self.frame(DATA, END_STREAM if end and at == len(body) else 0, stream.id, piece)
            if not body:
                return

    # Receiving.

    def fill(self):
        """Reads once and handles the frames that are whole; False at the end."""
        if self.ended:
            return False
        try:
            piece = self.sock.recv(262144)
        except (socket.timeout, ssl.SSLWantReadError):
            raise BadAnswer(f"nothing came in time; {self!r}") from None
        except (ConnectionError, ssl.SSLError) as error:
            self.failed = error
            piece = b""
        if not piece:
            self.ended = True
            return False
        self.unread += piece
        while self.handle_frame():
            pass
        if self.to_send:
            piece, self.to_send = bytes(self.to_send), bytearray()
            self.send(piece)
        return True

    def wait(self, predicate):
        """Reads until it holds; False when the connection ends before."""
        while not predicate():
            if not self.fill():
                return predicate()
        return True

    def handle_frame(self):
        if len(self.unread) < 9:
            return False
        length = int.from_bytes(self.unread[:3], "big")
        if length > FRAME_BYTES:
            raise BadAnswer(f"a frame of {length} bytes")
        if len(self.unread) < 9 + length:
            return False
        kind, flags, stream = struct.unpack(">BBI", self.unread[3:9])
        payload = bytes(self.unread[9:9 + length])
        del self.unread[:9 + length]
        HANDLERS[kind](self, flags, stream, payload)
        return True

    def stream_of(self, number_of_it):
        stream = self.streams.get(number_of_it)
        if stream is None:
            raise BadAnswer(f"a frame for stream {number_of_it}, which was not opened")
        return stream

    def handle_data(self, flags, number_of_it, payload):
        stream = self.stream_of(number_of_it)
        if stream.over or not stream.status:
            raise BadAnswer(f"DATA outside of an answer: {stream!r}")
        stream.body += payload
        stream.receive_window -= len(payload)
        self.receive_window -= len(payload)
        if stream.receive_window < 0 or self.receive_window < 0:
            raise BadAnswer("more than a window")
        if self.reads and payload:
            self.receive_window += len(payload)
            self.to_send += frame(WINDOW_UPDATE, 0, 0, number(len(payload)))
            if not flags & END_STREAM:
                stream.receive_window += len(payload)
                self.to_send += frame(WINDOW_UPDATE, 0, stream.id, number(len(payload)))
        self.note_end(stream, flags)

    def note_end(self, stream, flags):
        if flags & END_STREAM:
            stream.ended = stream.complete = True

    def handle_headers(self, flags, number_of_it, payload):
        stream = self.stream_of(number_of_it)
        if not flags & END_HEADERS:
            self.block, self.block_flags = payload, flags
            self.block_stream = stream
            return
        self.take_head(stream, flags, payload)

    def handle_continuation(self, flags, number_of_it, payload):
        self.block += payload
        if self.block_stream.id != number_of_it:
            raise BadAnswer("CONTINUATION of another stream")
        if flags & END_HEADERS:
            self.take_head(self.block_stream, self.block_flags, self.block)

    def take_head(self, stream, flags, block):
        fields = [(bytes(name), bytes(value)) for name, value in self.decoder.decode(block, raw=True)]
        if stream.over or stream.status:
            raise BadAnswer(f"a second head: {stream!r}")
        if fields[0][0] != b":status" or any(name.startswith(b":") for name, _ in fields[1:]):
            raise BadAnswer(f"pseudo fields {fields!r}")
        status = int(fields[0][1])
        if status < 200:
            stream.interim.append(status)
            return
        for name, value in fields[1:]:
            if name in HOP_BY_HOP or name != name.lower() or value != value.strip():
                raise BadAnswer(f"field {name!r}: {value!r}")
        names = [name for name, _ in fields]
        for name in (b"content-length", b"content-type", b"x-request-id", b"date", b"retry-after"):
            if names.count(name) > 1:
                raise BadAnswer(f"{name.decode()} stands twice")
        stream.status, stream.fields = status, fields[1:]
        if self.witness is not None:
            self.witness.append(stream)
        self.note_end(stream, flags)

    def handle_reset(self, _flags, number_of_it, payload):
        stream = self.stream_of(number_of_it)
        stream.reset = int.from_bytes(payload, "big")

    def handle_settings(self, flags, _stream, payload):
        if flags & ACK:
            self.settings_acked = True
            return
        before = self.settings[INITIAL_WINDOW_SIZE]
        for at in range(0, len(payload), 6):
            name, value = struct.unpack(">HI", payload[at:at + 6])
            self.settings[name] = value
        for stream in self.streams.values():
            stream.send_window += self.settings[INITIAL_WINDOW_SIZE] - before
        self.to_send += frame(SETTINGS, ACK, 0)

    def handle_ping(self, flags, _stream, payload):
        if flags & ACK:
            self.pongs.append(payload)
        else:
            self.to_send += frame(PING, ACK, 0, payload)

    def handle_goaway(self, _flags, _stream, payload):
        self.goaways.append(struct.unpack(">II", payload[:8]))

    def handle_window_update(self, _flags, number_of_it, payload):
        count = int.from_bytes(payload, "big")
        if not number_of_it:
            self.send_window += count
        elif number_of_it in self.streams:
            self.streams[number_of_it].send_window += count

    def handle_unknown(self, _flags, _stream, _payload):
        raise BadAnswer("a frame that a server does not send")

    # Asking.

    def finish(self, stream):
        """Reads until the stream is over. An answer that is complete before its request is followed by
        RST_STREAM(NO_ERROR), which is not waited for."""
        if not self.wait(lambda: stream.over):
            raise BadAnswer(f"the connection ended ({self.failed}, {self.goaways}): {stream!r}")
        return stream

    def ask(self, *arguments, **options):
        return self.finish(self.start(*arguments, **options))

    def read_until(self, mark, stream):
        if not self.wait(lambda: mark in stream.body or stream.over) or mark not in stream.body:
            raise BadAnswer(f"the stream ended before {mark!r}: {stream!r}")

    def ping(self):
        """A round trip: all that was sent before was read."""
        payload = b"%08d" % (self.next_id + len(self.pongs))
        self.frame(PING, 0, 0, payload)
        return self.wait(lambda: payload in self.pongs)

    def expect_end(self, *codes):
        """GOAWAY with one of these codes (none given: any), then the end of the connection."""
        self.wait(lambda: False)
        if not self.goaways:
            raise BadAnswer(f"ended without GOAWAY ({self.failed})")
        if codes and self.goaways[-1][1] not in codes:
            raise BadAnswer(f"GOAWAY {self.goaways}, not {codes}")

    def __repr__(self):
        return f"<HTTP/2: GOAWAY {self.goaways}, streams {list(self.streams.values())[-3:]!r}>"


HANDLERS = [Http2Client.handle_data, Http2Client.handle_headers, Http2Client.handle_unknown,
            Http2Client.handle_reset, Http2Client.handle_settings, Http2Client.handle_unknown,
            Http2Client.handle_ping, Http2Client.handle_goaway, Http2Client.handle_window_update,
            Http2Client.handle_continuation]


def tls_context(*protocols):
    """A client's, which asks for these protocols and believes every certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    return context


class Http2Case(WireCase):
    """A gateway that takes HTTP/2 on a plain port and, where `with_tls`, on one with TLS."""

    server = {}
    with_tls = False

    @classmethod
    def setUpClass(cls):
        cls.certificates = Certificates() if cls.with_tls else None
        server = {"http2_plain": True, **cls.server}
        if cls.with_tls:
            cls.addClassCleanup(cls.certificates.remove)
            folder = cls.certificates.folder
            server |= {"listen": ["http://127.0.0.1:0", "https://127.0.0.1:0"],
                       "tls_cert_path": str(folder / "name.pem"), "tls_key_path": str(folder / "name.key")}
        cls.sections = {**cls.sections, "server": server}
        super().setUpClass()

    def h2(self, witness=True, tls=False, **options):
        port = self.gateway.ports[1] if tls else self.gateway.port
        client = Http2Client(port, self.gateway.answers if witness else None,
                             tls=tls_context("h2") if tls or self.gateway.tls else None, **options)
        self.addCleanup(client.close)
        return client

    def start_chat(self, client, model="m", **members):
        return client.start("POST", "/v1/chat/completions", body=chat(model, **members), key=self.key)

    def ask_chat(self, client, model="m", **members):
        return client.finish(self.start_chat(client, model, **members))

    def assert_fine(self, stream):
        self.assertEqual((stream.status, stream.ended), (200, True), stream)

    def drop_broken(self):
        """Oracle O8 is for answers that were given whole; what broke off is 200 on the wire and the log
        rightly says otherwise."""
        self.gateway.answers[:] = [answer for answer in self.gateway.answers
                                   if answer.complete or answer.status != 200]

    def tearDown(self):
        self.drop_broken()
