"""Streams: passed on as they come, stopped when the client leaves, and never complete when they were
cut."""

import threading
import time

from tools import upstream as answers
from tools.case import WireCase, rows
from tools.client import chat_request, request

NDJSON = "application/x-ndjson"
DONE = answers.DONE


class Streams(WireCase):
    def start(self, model, path="/v1/chat/completions"):
        client = self.client()
        self.addCleanup(client.close)
        client.send(chat_request(self.key, model, path=path, stream=True))
        return client, client.read_head()

    def test_the_first_event_arrives_before_the_second_was_sent(self):
        gates = [threading.Event() for _ in range(3)]
        model = self.upstream.on("gated", answers.chunked(
            [answers.delta("one"), gates[0], answers.delta("two"), gates[1], answers.delta("three"), gates[2],
             answers.DONE]))
        client, response = self.start(model)
        self.assertEqual(response.get("content-type"), "text/event-stream")
        for mark, gate in zip([b"one", b"two", b"three"], gates):
            client.read_until(mark, response)
            self.assertTrue(response.body.endswith(b"\n\n"))
            gate.set()
        client.read_body(response)
        self.assertTrue(response.complete)
        self.assertTrue(response.body.endswith(answers.DONE))

    def test_an_ollama_stream_arrives_line_by_line(self):
        gate = threading.Event()
        model = self.upstream.on("lines", answers.chunked(
            [b'{"message":{"content":"one"},"done":false}\n', gate, b'{"done":true}\n'], content_type=NDJSON))
        client, response = self.start(model, "/api/chat")
        client.read_until(b"one", response)
        gate.set()
        self.assertTrue(client.read_body(response).complete)
        self.assertTrue(response.body.endswith(b'{"done":true}\n'))

    def test_an_event_that_is_cut_anywhere_arrives_whole(self):
        whole = answers.delta("w\u00f6rter \u2713") + answers.DONE
        for size in (1, 2, 3, 7):
            model = self.upstream.on(f"cut-{size}", answers.chunked(
                [whole[at:at + size] for at in range(0, len(whole), size)]))
            client, response = self.start(model)
            self.assertEqual(client.read_body(response).body, whole)

    def test_the_upstream_is_let_go_when_the_client_has_gone(self):
        for path, piece, kind in [("/v1/chat/completions", answers.delta("one"), "text/event-stream"),
                                  ("/api/chat", b'{"done":false}\n', NDJSON)]:
            model = self.upstream.on(f"left {path}", self.held(piece, kind))
            client, response = self.start(model, path)
            client.read_until(piece, response)
            held = self.upstream.requests[-1].connection
            start = time.monotonic()
            client.close()
            self.assertTrue(held.closed.wait(10), "the upstream was kept busy for nobody")
            # "Within a second", with room for a machine that is busy with other tests.
            self.assertLess(time.monotonic() - start, 5)

    def test_the_upstream_is_let_go_when_the_client_leaves_before_the_answer(self):
        model = self.upstream.on("silent", answers.silence)
        client = self.client()
        client.send(chat_request(self.key, model))
        count = len(self.upstream.requests)
        self.upstream.wait_for(lambda: any(r.model() == "silent" for r in self.upstream.requests))
        held = next(r for r in self.upstream.requests if r.model() == "silent").connection
        client.close()
        self.assertTrue(held.closed.wait(10), count)

    @staticmethod
    def held(piece, content_type):
        """Sends one piece, then waits for the gateway to let go."""
        def answer(connection, _request):
            connection.send(answers.answer_head(content_type=content_type)
                            + b"Transfer-Encoding: chunked\r\n\r\n" + answers.chunk(piece))
            connection.wait_closed()
            return False
        return answer

    @staticmethod
    def cut(pieces, how, content_type="text/event-stream"):
        """A stream that breaks off after some chunks."""
        def answer(connection, _request):
            connection.send(answers.answer_head(content_type=content_type) + b"Transfer-Encoding: chunked\r\n\r\n")
            for piece in pieces:
                connection.send(answers.chunk(piece))
            connection.send(how)
            return False
        return answer

    CUTS = {"between chunks": b"", "within a size": b"1", "within a chunk": b"20\r\ndata: {",
            "without a last chunk": b"0\r\n", "garbage for a size": b"zz\r\n", "a negative size": b"-1\r\n",
            "a size without end": b"f" * 40 + b"\r\n", "content without its line end": b"3\r\nabcXX"}

    @rows(CUTS)
    def cut_stream_is_seen_to_be_broken(self, how):
        model = self.upstream.on(f"cut {how!r}", self.cut([answers.delta("one")], how))
        client, response = self.start(model)
        self.read_broken(client, response)
        self.assertIn(b"one", response.body)
        self.assertIn(b'data: {"error"', response.body)
        self.assertNotIn(b"[DONE]", response.body)
        client.expect_closed()

    @rows(CUTS)
    def cut_ollama_stream_is_seen_to_be_broken(self, how):
        model = self.upstream.on(f"cut lines {how!r}", self.cut([b'{"done":false}\n'], how, NDJSON))
        client, response = self.start(model, "/api/chat")
        self.read_broken(client, response)
        self.assertTrue(response.body.rstrip().split(b"\n")[-1].startswith(b'{"error"'), response.body)
        self.assertNotIn(b'"done":true', response.body)

    def read_broken(self, client, response):
        """Reads to the end of a stream that must not look complete; the error event is the last of it."""
        while (piece := client.read_chunk(response)) is not None:
            if piece == b"":
                break
            response.body += piece
        self.assertFalse(response.complete and b"error" not in response.body, "a clean end")
        self.assertFalse(response.complete, "the last chunk of a broken stream")

    def test_a_stream_that_was_cut_is_logged_as_broken(self):
        model = self.upstream.on("cut and logged", self.cut([answers.delta("one")], b""))
        client, response = self.start(model)
        self.read_broken(client, response)
        line = self.gateway.logged(response)
        self.gateway.answers.remove(response)  # 200 on the wire, and yet not passed
        self.assertEqual((line["status"], line["decision"]), ("200", "upstream_broken"))

    def test_a_plain_answer_that_was_cut_is_cut_for_the_client_too(self):
        head = answers.answer_head() + b"Content-Length: 100\r\n\r\n" + b'{"half":'
        model = self.upstream.on("short", answers.raw(head))
        with self.client() as client:
            response = client.ask(chat_request(self.key, model))
            self.assertEqual((response.status, response.complete, response.body), (200, False, b'{"half":'), response)
            client.expect_closed()
        self.gateway.answers.remove(response)

    def test_a_long_stream_arrives_whole(self):
        events = [answers.delta(f"word {i} ") for i in range(5000)] + [answers.DONE]
        model = self.upstream.on("long", answers.chunked(events))
        client, response = self.start(model)
        self.assertTrue(client.read_body(response).complete)
        self.assertTrue(response.body == b"".join(events))

    def test_many_streams_run_side_by_side(self):
        gate = threading.Event()
        model = self.upstream.on("side", answers.chunked([answers.delta("one"), gate, answers.DONE]))
        streams = [self.start(model) for _ in range(50)]
        for client, response in streams:
            client.read_until(b"one", response)
        self.assertEqual(self.chat().status, 200, "others are served meanwhile")
        gate.set()
        for client, response in streams:
            self.assertTrue(client.read_body(response).complete)

    def tearDown(self):
        # What breaks off is 200 on the wire; the log may rightly say otherwise.
        self.gateway.answers[:] = [answer for answer in self.gateway.answers
                                   if answer.complete or answer.status != 200]


ONE = answers.delta("one")
ERROR = answers.event({"error": {"message": "out of memory", "type": "server_error"}})
# What no server should send, and which yet is between the model server and the caller.
ODD = {
    "no blank line": (b"data: {}\n" * 100,),
    "no line end": (b"data: {}",),
    "CR only": (b"data: {}\r\r", b"data: [DONE]\r\r"),
    "CR and LF": (b"data: {}\r\n\r\n", b"data: [DONE]\r\n\r\n"),
    "CR and LF apart": (b"data: {}\r", b"\n\r", b"\n", DONE),
    "a byte-order mark": (b"\xef\xbb\xbf", ONE, DONE),
    "invalid UTF-8": (b"data: \xff\xc0\xaf\xed\xa0\x80\n\n", DONE),
    "half a character": (b"data: \xe2\x9c", b"\n\n", DONE),
    "NUL": (b"data: \x00\n\n\x00", b"id: \x00\n\n", DONE),
    "no [DONE]": (ONE, ONE),
    "more after [DONE]": (ONE, DONE, ONE, DONE),
    "an error in the middle": (ONE, ERROR, ONE, DONE),
    "an error event in the middle": (ONE, b"event: error\n" + ERROR, DONE),
    "bare JSON between": (ONE, b'{"error": {"message": "busy"}}\n', ONE, DONE),
    "chunks within chunks": (b"5\r\nhello\r\n0\r\n\r\n", ONE, DONE),
    "nothing but [DONE]": (DONE,),
    "nothing": (),
}
LARGE = {
    "a line of 10 MiB": [b"data: ", *[b"x" * 65536] * 160, b"\n\n", DONE],
    "a flood of comments": [b": still here\n\n" * 4096] * 200 + [DONE],
    "a flood of blank lines": [b"\n" * 65536] * 160 + [DONE],
    "a field name of 10 MiB": [b"x" * 65536] * 160 + [b"\n\n", DONE],
}
GROWTH_BYTES = 32 * 1024 * 1024  # sanitizers keep what was freed for a while


class Odd(WireCase):
    """The bytes of a stream are the model server's: they arrive as they were sent, or not at all."""

    @rows({f"{name}, {kind}": (kind, pieces) for name, pieces in ODD.items()
           for kind in ("text/event-stream", NDJSON)})
    def bytes_are_passed_on_as_they_are(self, content_type, pieces):
        model = self.upstream.on(f"odd {content_type} {hash(pieces)}",
                                 answers.chunked(pieces, content_type=content_type))
        with self.client() as client:
            for _ in range(2):  # and nothing of it is in the way of the next
                response = client.ask(chat_request(self.key, model, stream=True))
                self.assertEqual((response.status, response.complete), (200, True))
                self.assertEqual(response.body, b"".join(pieces))


class Large(WireCase):
    plain = True  # of what OpenSSL takes and gives back sanitizers keep too much

    @rows({name: (pieces,) for name, pieces in LARGE.items()})
    def length_of_a_line_takes_no_memory(self, pieces):
        model = self.upstream.on(f"large {len(pieces)} {pieces[1][:9]}", answers.chunked(pieces))
        self.read_whole(model, pieces)
        before = self.gateway.rss_bytes()
        for _ in range(4):
            self.read_whole(model, pieces)
        self.assertLess(self.gateway.rss_bytes() - before, GROWTH_BYTES)

    def read_whole(self, model, pieces):
        response = self.chat(model=model, stream=True)
        self.assertTrue(response.complete)
        self.assertTrue(response.body == b"".join(pieces), "another byte")  # no difference of 10 MiB is printed


class Keeping(WireCase):
    def test_a_connection_that_carried_a_stream_carries_the_next_request(self):
        with self.client() as client:
            for stream in (True, False, True):
                response = client.ask(chat_request(self.key, stream=stream))
                self.assertEqual((response.status, response.complete), (200, True))

    def test_a_stream_for_an_old_client_ends_with_the_connection(self):
        gate = threading.Event()
        model = self.upstream.on("old", answers.chunked([answers.delta("one"), gate, answers.DONE]))
        with self.client() as client:
            client.send(request("POST", "/v1/chat/completions", (),
                                {"model": model, "messages": [], "stream": True}, self.key, version="1.0"))
            response = client.read_head()
            self.assertIsNone(response.get("transfer-encoding"))
            while b"one" not in client.unread:
                self.assertTrue(client.fill())
            gate.set()
            client.read_body(response)
            self.assertTrue(response.body.endswith(answers.DONE))
