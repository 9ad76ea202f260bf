"""HTTP/2 as a user needs it: many streams side by side, windows that stall one and no other, and ends of
every kind that tell the client, and the upstream, the truth."""

import socket
import threading
import time

from tools import http2 as h2
from tools import upstream as answers
from tools.case import rows
from tools.client import chat, request
from tools.http2 import END_HEADERS, END_STREAM, Http2Case, frame, number
from tools.upstream import wait_until

CHAT = "/v1/chat/completions"
MB = 1024 * 1024
LARGE = b"x" * (5 * 1024 * 1024)
LARGE_CHAT = answers.json.dumps(chat(content="x" * len(LARGE))).encode()


def flood(chunks=100000, gate=None):
    """A stream without end, as fast as it is taken; with a gate, once that is open."""
    piece = answers.delta("y" * 4000)

    def answer(connection, _request):
        if gate and not gate.wait(answers.DEADLINE_S):
            return False
        connection.send(answers.answer_head(200, "text/event-stream") + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(chunks):
            if not connection.send(answers.chunk(piece)):
                return False
        return connection.send(b"0\r\n\r\n")
    return answer


def pour(client, stream, most):
    """Sends as much as the windows allow until the stream is reset; how many bytes it took."""
    piece = b"x" * h2.FRAME_BYTES
    sent = 0
    while sent < most:
        client.wait(lambda: stream.reset is not None or min(stream.send_window, client.send_window) >= len(piece))
        if stream.reset is not None:
            break
        client.frame(h2.DATA, 0, stream.id, piece)
        stream.send_window -= len(piece)
        client.send_window -= len(piece)
        sent += len(piece)
    return sent


def begun(gate, end=answers.DONE):
    """A stream that goes on when the gate opens."""
    return answers.chunked([answers.delta("one"), gate, end])


def held(connection, _request):
    """A stream that goes on for as long as the gateway wants it."""
    connection.send(answers.answer_head(200, "text/event-stream") + b"Transfer-Encoding: chunked\r\n\r\n"
                    + answers.chunk(answers.delta("one")))
    connection.wait_closed()
    return False


class Streams(Http2Case):
    def test_a_preface_in_any_pieces_is_understood(self):
        piece = h2.PREFACE + frame(h2.SETTINGS, 0, 0)
        for cut in range(1, len(piece)):
            client = self.h2(begin=False)
            client.send(piece[:cut])
            client.send(piece[cut:])
            self.assert_fine(client.ask("GET", "/livez"))
        client = self.h2(begin=False)
        for at in range(len(piece)):
            client.send(piece[at:at + 1])
        self.assert_fine(client.ask("GET", "/livez"))

    def test_a_request_in_any_pieces_is_understood(self):
        client = self.h2()
        stream = client.begin_stream()
        body = answers.json.dumps(chat()).encode()
        block = client.encode(client.fields("POST", CHAT, [("content-type", "application/json")], self.key))
        for byte in (frame(h2.HEADERS, 0, 1, block[:9]) + frame(h2.CONTINUATION, END_HEADERS, 1, block[9:])
                     + frame(h2.DATA, h2.PADDED, 1, b"\x03" + body[:7] + b"\0\0\0")
                     + frame(h2.DATA, END_STREAM, 1, body[7:])):
            client.send(bytes([byte]))
        self.assert_fine(client.finish(stream))
        self.assertEqual(self.upstream.calls()[-1].body, body)

    def test_100_uploads_run_side_by_side(self):
        client = self.h2()
        streams = []
        for n in range(100):
            body = answers.json.dumps(chat(content=f"{n} " + "x" * 20000)).encode()
            streams.append((client.start("POST", CHAT, body=True, key=self.key), body))
        for at in range(0, 30000, 3000):  # a piece of each, and again
            for stream, body in streams:
                client.send_body(stream, body[at:at + 3000], end=at + 3000 >= 30000)
        calls = self.calls()
        for stream, _ in streams:
            self.assert_fine(client.finish(stream))
        self.assertLessEqual(calls, self.calls())
        sent = {body for _, body in streams}
        self.assertLessEqual(sent, {asked.body for asked in self.upstream.calls()})

    def test_a_body_larger_than_its_window(self):
        client = self.h2()
        stream = client.start("POST", CHAT, body=LARGE_CHAT, key=self.key)
        self.assert_fine(client.finish(stream))
        self.assertTrue(self.upstream.calls()[-1].body == LARGE_CHAT)

    def test_an_upload_that_stands_still_stalls_no_other(self):
        client = self.h2()
        waiting = [client.start("POST", CHAT, body=True, key=self.key) for _ in range(30)]
        for stream in waiting:
            client.send_body(stream, b'{"model":"m","messages":[],"x":"' + b"x" * 60000, end=False)
        stream = client.start("POST", CHAT, body=LARGE_CHAT, key=self.key)
        self.assert_fine(client.finish(stream))
        for stream in waiting:
            client.send_body(stream, b'"}')
            self.assert_fine(client.finish(stream))

    def test_a_download_that_is_not_read_pauses_its_upstream_and_no_other(self):
        client = self.h2(window=65535)
        client.reads = False
        self.upstream.on("flood", flood())
        slow = self.start_chat(client, "flood", stream=True)
        self.assertTrue(client.wait(lambda: slow.receive_window == 0))
        client.reads = True
        connection = self.upstream.calls()[-1].connection
        sent = -1

        def stands_still():
            nonlocal sent
            before, sent = sent, connection.sent_bytes
            for _ in range(5):
                self.assert_fine(self.ask_chat(client))
            return before == connection.sent_bytes
        wait_until(stands_still, "the upstream is not read")
        self.assertFalse(slow.over)
        self.assertEqual(slow.receive_window, 0)
        seen = len(slow.body)
        client.open_window(slow.id, 1000000)
        self.assertTrue(client.wait(lambda: len(slow.body) > seen + 900000), "it goes on")
        client.frame(h2.RST_STREAM, 0, slow.id, number(h2.CANCEL))
        self.assertTrue(connection.closed.wait(answers.DEADLINE_S))

    def test_a_window_of_one_byte_is_enough(self):
        client = self.h2(window=1)
        stream = self.ask_chat(client)
        self.assert_fine(stream)
        self.assertEqual(stream.json()["choices"][0]["message"]["content"], "fine")

    def test_a_window_that_becomes_negative_and_positive_again(self):
        client = self.h2(window=1000, reads=False)
        gate = threading.Event()
        model = self.upstream.on("shrinks", begun(gate))
        stream = self.start_chat(client, model, stream=True)
        client.read_until(b"one", stream)
        client.frame(h2.SETTINGS, 0, 0, h2.setting(h2.INITIAL_WINDOW_SIZE, 0))
        self.assertTrue(client.ping())
        gate.set()
        self.assertTrue(client.ping())
        self.assertFalse(stream.ended)
        client.frame(h2.SETTINGS, 0, 0, h2.setting(h2.INITIAL_WINDOW_SIZE, 100000))
        stream.receive_window += 99000
        self.assert_fine(client.finish(stream))

    def test_head_answers_end_with_their_head(self):
        client = self.h2()
        for path in ("/livez", "/v1/models"):
            stream = client.ask("HEAD", path, key=self.key)
            self.assert_fine(stream)
            self.assertGreater(int(stream.get("content-length")), 0)
            self.assertEqual(stream.body, b"")

    def test_continue_is_said_before_the_body(self):
        client = self.h2()
        body = answers.json.dumps(chat()).encode()
        fields = [("content-length", str(len(body))), ("expect", "100-continue")]
        stream = client.start("POST", CHAT, fields, True, self.key)
        self.assertTrue(client.wait(lambda: stream.interim))
        client.send_body(stream, body)
        self.assert_fine(client.finish(stream))
        self.assertEqual(stream.interim, [100])
        stream = client.start("POST", CHAT, fields, True, "wrong")
        client.finish(stream)
        self.assertEqual((stream.status, stream.interim), (401, []))

    def test_trailers_are_dropped(self):
        client = self.h2()
        stream = client.start("POST", CHAT, body=True, key=self.key)
        client.send_body(stream, answers.json.dumps(chat()).encode(), end=False)
        client.frame(h2.HEADERS, END_HEADERS | END_STREAM, stream.id, client.encode([("x-trailer", "1")]))
        self.assert_fine(client.finish(stream))
        self.assertNotIn(b"x-trailer", self.upstream.calls()[-1].head.lower())

    def test_each_request_is_read_as_if_it_came_alone(self):
        """One connection, its compression table full of others' fields."""
        client = self.h2()
        for n in range(200):
            fields = [(f"x-{n % 7}", f"value {n}")]
            block = client.encoder.encode(client.fields("POST", CHAT, fields + [("content-type", "application/json")],
                                                        self.key))
            stream = client.begin_stream()
            client.frame(h2.HEADERS, END_HEADERS, stream.id, block)
            client.send_body(stream, answers.json.dumps(chat(content=str(n))).encode())
            self.assert_fine(client.finish(stream))
            asked = self.upstream.calls()[-1]
            self.assertEqual([(name, value) for name, value in asked.fields if name.startswith(b"x-") and
                              name != b"x-request-id"], [(f"x-{n % 7}".encode(), f"value {n}".encode())])


class Ends(Http2Case):
    """How a stream ends, and what the other side is told."""

    REFUSED = {
        "no key": (401, {"key": None}),
        "a wrong key": (401, {"key": "sp_000000000000_" + "0" * 49}),
        "too long": (413, {"fields": [("content-length", str(2**40))]}),
        "a path nobody listed": (403, {"path": "/v1/files"}),
        "another method": (405, {"method": "PUT"}),
        "another type": (415, {"fields": [("content-type", "text/plain")]}),
    }

    @rows(REFUSED)
    def refused_before_the_body(self, status, more):
        client = self.h2()
        calls = self.calls()
        for _ in range(3):
            options = {"method": "POST", "path": CHAT, "key": self.key, **more}
            stream = client.start(body=True, **options)
            client.wait(lambda: stream.ended)  # pylint: disable=cell-var-from-loop
            self.assertEqual((stream.status, stream.ended), (status, True), stream)
            # The client is let finish what it was sending: some take a reset for a failure, and forget the answer.
            client.frame(h2.DATA, 0, stream.id, b"x" * 16000)
            client.frame(h2.DATA, END_STREAM, stream.id, b"x")
            self.assertTrue(client.ping())
            self.assertIsNone(stream.reset)
        self.assertEqual(self.calls(), calls)
        self.assert_fine(self.ask_chat(client))

    def test_refused_in_the_middle_of_the_body(self):
        client = self.h2()
        stream = client.start("POST", CHAT, body=True, key=self.key)
        client.send_body(stream, b'{"model":"m","model":', end=False)
        client.wait(lambda: stream.ended)
        self.assertEqual((stream.status, stream.ended, stream.reset), (400, True, None))
        client.frame(h2.HEADERS, END_STREAM | h2.END_HEADERS, stream.id, b"\x00\x01:\x01a")  # no trailer at all
        self.assertTrue(client.ping())
        self.assertIsNone(stream.reset)
        self.assert_fine(self.ask_chat(client))

    def test_what_follows_an_answer_is_let_by_for_a_while_only(self):
        """5 s, or 32 MB, as with HTTP/1; the log does not wait for it."""
        client = self.h2()
        idle, busy = (client.start("POST", CHAT, body=True, key=None) for _ in range(2))
        began = time.monotonic()
        client.wait(lambda: idle.ended and busy.ended)
        self.gateway.logged(busy, 3)
        sent = pour(client, busy, 64 * MB)
        self.assertEqual(busy.reset, h2.NO_ERROR)
        self.assertIn(sent // MB, range(32, 35))
        client.wait(lambda: idle.reset is not None)
        self.assertEqual(idle.reset, h2.NO_ERROR)
        self.assertGreater(time.monotonic() - began, 4.5)
        self.assert_fine(self.ask_chat(client))

    def test_an_upload_that_was_refused_takes_no_window_from_others(self):
        client = self.h2()
        for _ in range(40):
            stream = client.start("POST", CHAT, body=True, key="wrong")
            client.send_body(stream, b"x" * 60000, end=False)
            client.finish(stream)
        self.assert_fine(client.ask("POST", CHAT, body=LARGE_CHAT, key=self.key))

    BROKEN = {
        "closed": b"",
        "a bad chunk": b"zz\r\n",
        "closed in a chunk": b"ff\r\nabc",
    }

    @rows(BROKEN)
    def upstream_that_breaks_off_is_told_and_reset(self, rest):
        piece = answers.answer_head(200, "text/event-stream") + b"Transfer-Encoding: chunked\r\n\r\n"
        model = self.upstream.on(f"broken {rest!r}", answers.raw(piece + answers.chunk(answers.delta("one")) + rest))
        client = self.h2()
        other = self.start_chat(client, self.upstream.on("beside", held), stream=True)
        client.read_until(b"one", other)
        stream = self.ask_chat(client, model, stream=True)
        self.assertEqual((stream.status, stream.ended, stream.reset), (200, False, h2.INTERNAL_ERROR))
        self.assertIn(b'data: {"error"', stream.body.split(b"\n\n")[-2])
        self.assertFalse(other.over)
        self.assert_fine(self.ask_chat(client))

    def test_an_answer_of_a_length_that_breaks_off_is_reset(self):
        head = answers.answer_head() + b"Content-Length: 100\r\n\r\n"
        client = self.h2()
        for name, piece in [("half", b'{"half":'), ("nothing", b"")]:
            stream = self.ask_chat(client, self.upstream.on(name, answers.raw(head + piece)))
            self.assertEqual((stream.status, stream.ended, stream.reset), (200, False, h2.INTERNAL_ERROR))
            self.assertEqual(bytes(stream.body), piece)

    def test_a_broken_stream_ends_without_a_window(self):
        """It takes none to say so."""
        gate = threading.Event()
        first = answers.delta("one")
        piece = answers.answer_head(200, "application/json") + b"Transfer-Encoding: chunked\r\n\r\n"

        def answer(connection, _request):
            connection.send(piece + answers.chunk(first))
            gate.wait(answers.DEADLINE_S)
            return False
        client = self.h2(window=len(first), reads=False)
        stream = self.start_chat(client, self.upstream.on("no window", answer))
        self.assertTrue(client.wait(lambda: stream.receive_window == 0))
        gate.set()
        client.finish(stream)
        self.assertEqual(stream.reset, h2.INTERNAL_ERROR)

    def test_a_stream_that_the_client_resets_is_cancelled_upstream(self):
        client = self.h2()
        model = self.upstream.on("held", held)
        for first in (True, False):
            calls = self.calls()
            stream = self.start_chat(client, model, stream=True)
            client.read_until(b"one", stream)
            if first:  # in the same piece as other things
                client.send(frame(h2.PING, 0, 0, b"12345678") + frame(h2.RST_STREAM, 0, stream.id, number(h2.CANCEL)))
            else:
                client.frame(h2.RST_STREAM, 0, stream.id, number(h2.NO_ERROR))
            self.assertTrue(self.upstream.calls()[calls].connection.closed.wait(answers.DEADLINE_S))
        self.assert_fine(self.ask_chat(client))

    def start_50(self, client):
        calls = self.calls()
        model = self.upstream.on("held", held)
        streams = [self.start_chat(client, model, stream=True) for _ in range(50)]
        for stream in streams:
            client.read_until(b"one", stream)
        return [asked.connection for asked in self.upstream.calls()[calls:]]

    LOST = {
        "closed": lambda client: client.close(),
        "reset": lambda client: client.reset(),
        "half closed": lambda client: client.sock.shutdown(socket.SHUT_WR),
        "a broken frame": lambda client: client.frame(h2.DATA, 0, 0, b"x"),
        "a frame too large": lambda client: client.frame(h2.DATA, 0, 1, b"x" * 20000),
        "a bad compression": lambda client: client.frame(h2.HEADERS, END_HEADERS, 4001, b"\xff\xff\xff\xff\xff\xff"),
    }

    @rows(LOST)
    def connection_that_is_lost_cancels_all_its_requests(self, lose):
        client = self.h2()
        connections = self.start_50(client)
        self.assertEqual(len(connections), 50)
        lose(client)
        for connection in connections:
            self.assertTrue(connection.closed.wait(answers.DEADLINE_S))
        self.assert_fine(self.ask_chat(self.h2()))

    def test_goaway_of_the_client_lets_its_streams_finish(self):
        client = self.h2()
        gate = threading.Event()
        stream = self.start_chat(client, self.upstream.on("last", begun(gate)), stream=True)
        client.read_until(b"one", stream)
        client.frame(h2.GOAWAY, 0, 0, number(0) + number(h2.NO_ERROR))
        self.assertTrue(client.ping())
        gate.set()
        self.assert_fine(client.finish(stream))
        client.wait(lambda: False)  # and then it closes
        self.assertIsNone(client.failed)

    def test_a_request_to_http1_on_the_same_port_is_served(self):
        self.assertEqual(self.chat().status, 200)
        with self.client() as client:
            self.assertEqual(client.ask(request("GET", "/livez")).status, 200)
            client.send(h2.PREFACE)  # too late
            self.assertIn(client.read().status, (400, 405, 501, 505))


class Slow(Http2Case):
    """Clients that are slow on purpose. Nothing here asserts how long it took."""

    server = {"header_timeout": "1s", "body_timeout": "1s", "idle_timeout": "2s", "min_body_rate": "20KB"}

    def test_a_body_that_does_not_come_is_answered_with_408(self):
        client = self.h2()
        calls = self.calls()
        stream = client.start("POST", CHAT, body=True, key=self.key)
        client.wait(lambda: stream.ended)
        self.assertEqual((stream.status, stream.ended), (408, True))
        self.assert_fine(client.ask("GET", "/livez"))
        self.assertEqual(self.calls(), calls)

    def test_a_body_that_is_not_ended_is_not_passed_on(self):
        client = self.h2()
        calls = self.calls()
        body = answers.json.dumps(chat()).encode()
        stream = client.start("POST", CHAT, [("content-length", str(len(body)))], True, self.key)
        client.send_body(stream, body, end=False)
        client.finish(stream)
        self.assertEqual(stream.status, 408)
        self.assertEqual(self.calls(), calls)

    def test_a_body_that_drips_is_answered_with_408(self):
        client = self.h2()
        stream = client.start("POST", CHAT, body=True, key=self.key)
        client.send_body(stream, b'{"model":"m","x":"', end=False)
        end = time.monotonic() + 60
        client.sock.settimeout(0.1)
        while not stream.over and time.monotonic() < end:
            client.frame(h2.DATA, 0, stream.id, b"x")
            try:
                client.fill()
            except AssertionError:
                pass  # nothing came
        client.sock.settimeout(60)
        self.assertEqual((stream.status, stream.ended), (408, True))

    def test_a_body_that_does_not_come_after_goaway(self):
        """Its answer is the last thing on the connection, which ends in the very turn of its timer."""
        client = self.h2()
        stream = client.start("POST", CHAT, body=True, key=self.key)
        client.frame(h2.GOAWAY, 0, 0, number(0) + number(h2.NO_ERROR))
        client.wait(lambda: False)
        self.assertEqual((stream.status, stream.ended), (408, True))

    def test_a_connection_that_says_nothing_after_its_preface_is_ended(self):
        for piece in (h2.PREFACE[:20], h2.PREFACE, h2.PREFACE + frame(h2.SETTINGS, 0, 0),
                      h2.PREFACE + frame(h2.SETTINGS, 0, 0) + frame(h2.HEADERS, END_STREAM, 1, b"\x82")):
            client = self.h2(begin=False)
            client.send(piece)
            if piece != h2.PREFACE[:20]:
                client.wait(lambda: False)  # pylint: disable=cell-var-from-loop
                self.assertTrue(client.ended)
                self.assertEqual(len(client.goaways), 1)
            else:  # nobody knows yet that it is HTTP/2
                while client.sock.recv(65536):
                    pass

    def test_a_connection_whose_head_drips_is_ended(self):
        client = self.h2()
        block = client.encode(client.fields("GET", "/livez", [("x-long", "v" * 10000)]))
        client.send(frame(h2.HEADERS, END_HEADERS | END_STREAM, 1, block)[:20])
        end = time.monotonic() + 60
        client.sock.settimeout(0.1)
        while not client.ended and time.monotonic() < end:
            client.send(b"v")
            try:
                client.fill()
            except AssertionError:
                pass
        self.assertTrue(client.ended, "never ended")

    def test_an_idle_connection_is_ended_with_goaway(self):
        client = self.h2()
        self.assert_fine(client.ask("GET", "/livez"))
        client.expect_end(h2.NO_ERROR)

    def test_a_stream_with_pauses_is_not_idle(self):
        client = self.h2()
        gate = threading.Event()
        stream = self.start_chat(client, self.upstream.on("pause", begun(gate)), stream=True)
        client.read_until(b"one", stream)
        idle = self.h2()  # its end says that the timeout has passed
        self.assert_fine(idle.ask("GET", "/livez"))
        idle.expect_end(h2.NO_ERROR)
        self.assertTrue(client.ping())
        gate.set()
        self.assert_fine(client.finish(stream))

    def test_streams_that_are_not_read_are_reset_and_others_go_on(self):
        client = self.h2(window=0, reads=False)
        model = self.upstream.on("flood", flood())
        calls = self.calls()
        streams = [self.start_chat(client, model, stream=True) for _ in range(50)]
        for stream in streams:
            client.finish(stream)
            self.assertEqual((stream.status, stream.reset, len(stream.body)), (200, h2.CANCEL, 0))
        for asked in self.upstream.calls()[calls:]:
            self.assertTrue(asked.connection.closed.wait(answers.DEADLINE_S))
        self.assertEqual(client.ask("HEAD", "/livez").status, 200)

    def test_an_end_that_is_not_read_is_reset(self):
        """Everything was sent but the end, and there is no window for that."""
        gate = threading.Event()
        size = len(answers.delta("one"))
        model = self.upstream.on("to the brim", answers.chunked([answers.delta("one"), gate]))
        client = self.h2(window=size, reads=False)
        stream = self.start_chat(client, model, stream=True)
        self.assertTrue(client.wait(lambda: stream.receive_window == 0))
        gate.set()
        client.finish(stream)
        self.assertEqual(stream.reset, h2.CANCEL)

    def test_a_connection_that_is_not_read_is_closed(self):
        client = self.h2(receive_buffer_bytes=4096)
        all_asked = threading.Event()  # a connection that is full is not read either
        model = self.upstream.on("flood", flood(gate=all_asked))
        calls = self.calls()
        for _ in range(10):
            self.start_chat(client, model, stream=True)
        self.upstream.wait_for(lambda: self.calls() == calls + 10)
        all_asked.set()
        for asked in self.upstream.calls()[calls:]:
            self.assertTrue(asked.connection.closed.wait(60))
        self.assert_fine(self.h2().ask("GET", "/livez"))


GOOD = [(":method", "GET"), (":scheme", "http"), (":path", "/v1/models?probe"), (":authority", "gateway.test")]


def with_field(name, value="x"):
    return GOOD + [(name, value)]


def pseudo(**changes):
    """The good list with some pseudo fields changed, or left out (None)."""
    fields = [(name, changes.get(name[1:], value)) for name, value in GOOD]
    return [pair for pair in fields if pair[1] is not None]


class Headers(Http2Case):
    """HOSTILE H2-08 to H2-13: what does not fit into HTTP/1 does not get there."""

    BAD = {
        "upper case": with_field("X-Upper"),
        "an empty name": with_field(""),
        "a colon in a name": with_field("a:b"),
        "a space in a name": with_field("a b"),
        "CR LF in a name": with_field("a\r\nb"),
        "NUL in a name": with_field("a\0b"),
        "connection": with_field("connection", "close"),
        "transfer-encoding": with_field("transfer-encoding", "chunked"),
        "keep-alive": with_field("keep-alive", "5"),
        "upgrade": with_field("upgrade", "websocket"),
        "proxy-connection": with_field("proxy-connection", "close"),
        "te: gzip": with_field("te", "gzip"),
        "a space before a value": with_field("x", " v"),
        "a space after a value": with_field("x", "v "),
        "a tab after a value": with_field("x", "v\t"),
        "NUL in a value": with_field("x", "a\0b"),
        "CR in a value": with_field("x", "a\rb"),
        "LF in a value": with_field("x", "a\nb"),
        "a field in a value": with_field("x", "bar\r\nTransfer-Encoding: chunked"),
        "a request in a value": with_field("x", "bar\r\n\r\nGET /admin HTTP/1.1\r\nHost: b"),
        "a request in the path": pseudo(path="/x HTTP/1.1\r\nHost: b\r\n\r\nGET /admin"),
        "CR LF in the path": pseudo(path="/x\r\ny"),
        "a space in the path": pseudo(path="/v1/models HTTP/1.1"),
        "a fragment": pseudo(path="/v1/models#x"),
        "a path without a slash": pseudo(path="v1/models"),
        "an empty path": pseudo(path=""),
        "no path": pseudo(path=None),
        "an absolute path": pseudo(path="http://evil.test/v1/models"),
        "no method": pseudo(method=None),
        "no scheme": pseudo(scheme=None),
        "a request in the method": pseudo(method="GET / HTTP/1.1\r\nHost: b\r\n\r\nGET"),
        "a space in the method": pseudo(method="GET /x"),
        "an empty method": pseudo(method=""),
        "a URL as the scheme": pseudo(scheme="http://evil/"),
        "CR LF in the scheme": pseudo(scheme="http\r\nx: y"),
        "an empty authority": pseudo(authority=""),
        "userinfo": pseudo(authority="user@gateway.test"),
        "CR LF in the authority": pseudo(authority="gateway.test\r\nx: y"),
        "a space in the authority": pseudo(authority="gateway.test x"),
        "a path in the authority": pseudo(authority="gateway.test/x"),
        "no authority and no host": pseudo(authority=None),
        "another host": with_field("host", "evil.test"),
        "two hosts": pseudo(authority=None) + [("host", "gateway.test"), ("host", "evil.test")],
        "a pseudo field behind others": [("x", "y")] + GOOD,
        "a pseudo field twice": GOOD + [(":path", "/v1/models")],
        "an unknown pseudo field": with_field(":protocol-x"),
        ":status": with_field(":status", "200"),
        "CONNECT": [(":method", "CONNECT"), (":authority", "evil.test:443")],
        "extended CONNECT": pseudo(method="CONNECT") + [(":protocol", "websocket")],
        "a length and no body": with_field("content-length", "5"),
        "two lengths": GOOD + [("content-length", "0"), ("content-length", "1")],
        "a negative length": with_field("content-length", "-1"),
        "10,000 cookies": GOOD + [("cookie", "a=b")] * 10000,
    }

    @rows(BAD)
    def bad_head_is_refused_and_goes_nowhere(self, fields):
        client = self.h2(witness=False)
        seen = len(self.upstream.requests)
        fields = fields[:4] + [("authorization", f"Bearer {self.key}")] + fields[4:] if len(fields) < 200 else fields
        stream = client.open(fields)
        client.wait(lambda: stream.over or client.goaways)
        if client.goaways:
            self.assertIn(client.goaways[-1][1], (h2.COMPRESSION_ERROR, h2.ENHANCE_YOUR_CALM))
        elif stream.status:
            self.assertIn(stream.status, (400, 405, 431, 501), stream)
        else:
            self.assertEqual(stream.reset, h2.PROTOCOL_ERROR, stream)
        if not client.goaways:
            self.assert_fine(client.ask("GET", "/livez"))
        self.assertEqual(len(self.upstream.requests), seen, "it went upstream")

    LENGTHS = {
        "short": ("100", [b"{}"]),
        "long": ("1", [b"{}"]),
        "long in two frames": ("2", [b"{}", b"GET /admin HTTP/1.1\r\n\r\n"]),
        "zero": ("0", [b"{}"]),
        "a list": ("2, 2", [b"{}"]),
        "a sign": ("+2", [b"{}"]),
    }

    @rows(LENGTHS)
    def body_of_another_length_goes_nowhere(self, length, pieces):
        client = self.h2(witness=False)
        calls = self.calls()
        good = answers.json.dumps(chat()).encode()
        if pieces == [b"{}"] and length == "1":
            length, pieces = str(len(good) - 1), [good]
        elif len(pieces) == 2:
            length, pieces = str(len(good)), [good, pieces[1]]
        elif length == "100":
            length, pieces = str(len(good) + 1), [good]
        stream = client.start("POST", CHAT, [("content-length", length)], True, self.key)
        for n, piece in enumerate(pieces):
            client.frame(h2.DATA, END_STREAM if n == len(pieces) - 1 else 0, stream.id, piece)
        client.wait(lambda: stream.over or client.goaways)
        self.assertTrue(stream.reset == h2.PROTOCOL_ERROR or stream.status == 400, stream)
        self.assert_fine(client.ask("GET", "/livez"))
        self.assertEqual(self.calls(), calls)

    def test_cookie_crumbs_are_one_field(self):
        client = self.h2()
        fields = [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]
        stream = client.ask("POST", CHAT, fields, chat(), self.key)
        self.assert_fine(stream)
        self.assertLessEqual(len(self.upstream.calls()[-1].values("cookie")), 1)

    def test_host_in_the_place_of_authority(self):
        client = self.h2()
        block = client.fields("POST", CHAT, [("host", "gateway.test"), ("content-type", "application/json")], self.key,
                              host=None)
        stream = client.open(block, end=False)
        client.send_body(stream, answers.json.dumps(chat()).encode())
        self.assert_fine(client.finish(stream))
        self.assertEqual(self.upstream.calls()[-1].value("host"), f"127.0.0.1:{self.upstream.port}")

    def test_te_trailers_is_allowed_and_stays_here(self):
        client = self.h2()
        self.assert_fine(client.ask("POST", CHAT, [("te", "trailers")], chat(), self.key))
        self.assertEqual(self.upstream.calls()[-1].values("te"), [])
