"""HOSTILE H2-02 to H2-07 and H2-14: whoever makes the gateway work for nothing is told goodbye. Meanwhile it
holds no more memory than before, and everybody else is served."""

import threading

from tools import http2 as h2
from tools import upstream as answers
from tools.case import rows
from tools.client import chat
from tools.gateway import BINARY
from tools.http2 import ACK, END_HEADERS, END_STREAM, WINDOW_MAX, Http2Case, frame, number

MIB = 1024 * 1024
# A sanitizer keeps what was released for a while.
GROWTH_BYTES = 400 * MIB if b"__asan_init" in BINARY.read_bytes() else 32 * MIB
MANY = 10000
STARTED_MAX = 500  # upstream requests that one such connection may cause
BODY = answers.json.dumps(chat("held", stream=True)).encode()


def held(connection, _request):
    connection.wait_closed()
    return False


class Served:
    """Somebody else, who asks again and again meanwhile."""

    def __init__(self, case):
        self.case = case
        self.answered = 0
        self.failure = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            with self.case.client() as one, self.case.h2() as two:
                while not self.stopping.is_set() or not self.answered:
                    for answer in (one.ask(b"GET /livez HTTP/1.1\r\nHost: gateway.test\r\n\r\n"),
                                   two.ask("GET", "/livez")):
                        if answer.status != 200:
                            raise AssertionError(answer)
                    self.answered += 1
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        if self.failure:
            raise self.failure


class Floods(Http2Case):
    server = {"idle_timeout": "3s"}

    @classmethod
    def set_up(cls):
        cls.upstream.on("held", held)

    @classmethod
    def upstreams_seen(cls):
        return None  # what was reset at once may have reached the upstream or not

    def request_head(self, client):
        return client.encode(client.fields("POST", "/v1/chat/completions",
                                           [("content-type", "application/json")], self.key))

    def attack(self, piece, codes=(h2.ENHANCE_YOUR_CALM,), client=None, reads=True):
        """Sends it, and expects GOAWAY, and nothing left behind."""
        before, calls = self.gateway.rss_bytes(), self.calls()
        client = client or self.h2(witness=False)
        with Served(self):
            if reads:
                client.push(piece)
            else:
                client.send(piece)
            client.expect_end(*codes)
        self.assertLess(self.gateway.rss_bytes() - before, GROWTH_BYTES)
        asked = self.upstream.calls()[calls:]
        self.assertLess(len(asked), STARTED_MAX)
        for request in asked:
            self.assertTrue(request.connection.closed.wait(answers.DEADLINE_S), "not cancelled")
        return client

    def requests(self, client, count, then):
        block = self.request_head(client)
        pieces = []
        for n in range(count):
            stream = client.begin_stream().id
            pieces.append(frame(h2.HEADERS, END_HEADERS, stream, block) + frame(h2.DATA, END_STREAM, stream, BODY)
                          + then(stream))
        return b"".join(pieces)

    def test_rapid_reset(self):
        client = self.h2(witness=False)
        piece = self.requests(client, MANY, lambda stream: frame(h2.RST_STREAM, 0, stream, number(h2.CANCEL)))
        self.attack(piece, client=client)

    def test_rapid_reset_of_heads_alone(self):
        client = self.h2(witness=False)
        block = client.encode(client.fields("GET", "/v1/models", key=self.key))
        piece = b"".join(frame(h2.HEADERS, END_HEADERS | END_STREAM, stream, block)
                         + frame(h2.RST_STREAM, 0, stream, number(h2.CANCEL))
                         for stream in (client.begin_stream().id for _ in range(MANY)))
        self.attack(piece, client=client)

    def test_rapid_reset_on_many_connections(self):
        calls = self.calls()
        clients = [self.h2(witness=False) for _ in range(20)]
        with Served(self):
            for client in clients:
                client.push(self.requests(client, 1000,
                                          lambda stream: frame(h2.RST_STREAM, 0, stream, number(h2.CANCEL))))
            for client in clients:
                client.expect_end(h2.ENHANCE_YOUR_CALM)
        for request in self.upstream.calls()[calls:]:
            self.assertTrue(request.connection.closed.wait(answers.DEADLINE_S), "not cancelled")

    # What makes the gateway reset a stream of a good request (H2-03).
    PROVOKED = {
        "a window update of nothing": lambda stream: frame(h2.WINDOW_UPDATE, 0, stream, number(0)),
        "a window that overflows": lambda stream: frame(h2.WINDOW_UPDATE, 0, stream, number(WINDOW_MAX)),
        "a body behind its end": lambda stream: frame(h2.DATA, END_STREAM, stream, b"x"),
        "a head behind its end": lambda stream: frame(h2.HEADERS, END_HEADERS | END_STREAM, stream, b"\x82"),
        "a priority of its own": lambda stream: frame(h2.PRIORITY, 0, stream, number(stream) + b"\x10"),
        "a priority of the wrong size": lambda stream: frame(h2.PRIORITY, 0, stream, b"1234"),
    }

    @rows(PROVOKED)
    def provoked_resets(self, then):
        client = self.h2(witness=False)
        self.attack(self.requests(client, 3000, then), (), client)

    def test_malformed_heads(self):
        client = self.h2(witness=False)
        fields = client.fields("GET", "/livez", [("connection", "close")])
        for _ in range(MANY // 50):
            streams = [client.open(fields) for _ in range(50)]
            client.wait(lambda: client.goaways or all(stream.over for stream in streams))  # pylint: disable=cell-var-from-loop
            if client.goaways:
                break
        client.expect_end(h2.ENHANCE_YOUR_CALM)

    def continuations(self, size):
        client = self.h2(witness=False)
        block = client.encode(client.fields("GET", "/livez", [("x-long", "v" * 500)] * 2000))
        first, rest = block[:100], block[100:]
        piece = frame(h2.HEADERS, END_STREAM, client.begin_stream().id, first)
        cut = [rest[at * size:(at + 1) * size] for at in range(min(MANY, len(rest) // size if size else MANY))]
        return client, piece + b"".join(frame(h2.CONTINUATION, 0, 1, one) for one in cut)

    @rows({"of nothing": 0, "of a byte": 1, "of 1 KiB": 1024, "of 16 KiB": 16384})
    def continuation_frames(self, size):
        client, piece = self.continuations(size)
        self.attack(piece, client=client)

    def test_heads_that_are_never_complete_on_many_connections(self):
        clients = [self.continuations(1024)[0] for _ in range(100)]
        before = self.gateway.rss_bytes()
        with Served(self):
            for client in clients:
                client.send(frame(h2.HEADERS, END_STREAM, 1, b"\x82" + b"\0\x01x\x7f\xff\x7e" + b"v" * 16000))
            for client in clients:
                client.expect_end()
        self.assertLess(self.gateway.rss_bytes() - before, GROWTH_BYTES)

    SMALL = {
        "SETTINGS": frame(h2.SETTINGS, 0, 0),
        "SETTINGS that change": frame(h2.SETTINGS, 0, 0, h2.setting(1, 0)) + frame(h2.SETTINGS, 0, 0, h2.setting(1, 4096)),
        "PING": frame(h2.PING, 0, 0, b"12345678"),
        "answers to no PING": frame(h2.PING, ACK, 0, b"12345678"),
        "PRIORITY": frame(h2.PRIORITY, 0, 3, number(0) + b"\x10"),
        "WINDOW_UPDATE": frame(h2.WINDOW_UPDATE, 0, 0, number(1)),
        "frames of an unknown type": frame(77, 0, 0),
        "frames for a stream that is over": frame(h2.RST_STREAM, 0, 1, number(h2.CANCEL)),
    }

    @rows(SMALL)
    def small_frames(self, piece):
        client = self.h2(witness=False, window=65535)
        client.receive_window = WINDOW_MAX
        self.assert_fine(client.ask("GET", "/livez"))
        self.attack(piece * MANY, (h2.ENHANCE_YOUR_CALM, h2.FLOW_CONTROL_ERROR), client)

    @rows(SMALL)
    def small_frames_of_one_who_does_not_read(self, piece):
        client = self.h2(witness=False, receive_buffer_bytes=4096, window=65535)
        self.assert_fine(client.ask("GET", "/livez"))
        self.attack(piece * MANY, (h2.ENHANCE_YOUR_CALM, h2.FLOW_CONTROL_ERROR), client, reads=False)

    @rows({"empty": frame(h2.DATA, 0, 1), "only padding": frame(h2.DATA, h2.PADDED, 1, b"\x01\0")})
    def data_frames_without_data(self, piece):
        client = self.h2(witness=False)
        client.start("POST", "/v1/chat/completions", body=True, key=self.key)
        self.attack(piece * MANY, client=client)

    def test_data_for_streams_that_were_refused(self):
        client = self.h2(witness=False)
        streams = [client.start("POST", "/v1/chat/completions", body=True, key="wrong") for _ in range(50)]
        for stream in streams:
            client.finish(stream)
        piece = b"".join(frame(h2.DATA, 0, stream.id, b"x" * 100) for stream in streams) * 200
        client.push(piece)
        self.assertTrue(client.goaways or client.ping())
        self.assert_fine(self.h2().ask("GET", "/livez"))

    def test_a_small_head_that_grows_large(self):
        """One entry of 4 KB in the table, and 16,000 references to it (HPACK bomb)."""
        client = self.h2(witness=False)
        block = b"\x82\x86\x84" + b"\x40\x01a\x7f\xe1\x1d" + b"v" * 3936  # :method, :scheme, :path, a: v*
        before = self.gateway.rss_bytes()
        with Served(self):
            stream = client.begin_stream()
            client.frame(h2.HEADERS, END_HEADERS | END_STREAM, stream.id, block + b"\xbe" * 12000)
            client.wait(lambda: stream.over or client.goaways)
        if not client.goaways:
            self.assertIn(stream.status, (400, 431))
        self.assertLess(self.gateway.rss_bytes() - before, GROWTH_BYTES)

    def test_a_table_whose_size_changes_all_the_time(self):
        client = self.h2(witness=False)
        good = client.encode(client.fields("GET", "/livez"))
        # Two changes may stand before a field list (RFC 7541, 4.2).
        for _ in range(50):
            stream = client.begin_stream()
            client.frame(h2.HEADERS, END_HEADERS | END_STREAM, stream.id, b"\x20\x3f\xe1\x1f" + good)
            self.assert_fine(client.finish(stream))
        stream = client.begin_stream()
        client.frame(h2.HEADERS, END_HEADERS | END_STREAM, stream.id, b"\x3f\xe2\xff\x03" + good)
        client.expect_end(h2.COMPRESSION_ERROR, h2.ENHANCE_YOUR_CALM)

    def test_more_streams_than_allowed_are_refused(self):
        client = self.h2(witness=False)
        calls = self.calls()
        client.send(self.requests(client, 150, lambda _stream: b""))
        streams = list(client.streams.values())
        client.wait(lambda: sum(stream.over for stream in streams) >= 50)
        refused = [stream for stream in streams if stream.over]
        self.assertEqual([stream.reset for stream in refused], [h2.REFUSED_STREAM] * 50)
        self.upstream.wait_for(lambda: self.calls() == calls + 100)
        self.assertTrue(client.ping())
        client.close()
        for request in self.upstream.calls()[calls:]:
            self.assertTrue(request.connection.closed.wait(answers.DEADLINE_S))

    def test_ten_times_as_many_streams_end_the_connection(self):
        """Refused, too, to begin with; but one who has read how many there may be knows better."""
        client = self.h2(witness=False)
        self.attack(self.requests(client, 1000, lambda _stream: b""), (h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR), client)


class Caps(Http2Case):
    """Limits of an address hold over all of its connections and all that these carry."""

    sections = {"limits": {"requests_in_flight_per_ip": 8}}

    def test_requests_in_flight_are_counted_over_connections(self):
        calls = self.calls()
        self.upstream.on("held", held)
        clients = [self.h2() for _ in range(3)]
        streams = [self.start_chat(client, "held", stream=True) for client in clients for _ in range(4)]
        for client in clients:
            self.assertTrue(client.ping())
        self.upstream.wait_for(lambda: self.calls() == calls + 8)
        for client in clients:
            self.assertTrue(client.ping())
        self.assertEqual(sum(stream.status == 429 for stream in streams), 4)
