"""An upstream that takes its time. Each of its timeouts is 504, or an answer that is seen to be broken, and
closes the connection; no byte here and there makes it wait for ever. No test measures time: what drips has
an end, which is reached when nothing ends it before."""

import concurrent.futures
import select
import socket
import time

from tools import upstream as answers
from tools.case import UPSTREAM_KEY, WireCase
from tools.client import chat_request
from tools.upstream import parse_head

KINDS = {"plain": {}, "streamed": {"stream": True}}
JSON_HEAD = answers.answer_head() + b"Content-Length: 2\r\n\r\n"
EVENTS_HEAD = answers.answer_head(content_type="text/event-stream") + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = {"plain": JSON_HEAD + b"{}", "streamed": EVENTS_HEAD + answers.chunk(answers.DONE) + b"0\r\n\r\n"}
INTERIM = b"HTTP/1.1 102 Processing\r\n\r\n"
LARGE = "x" * 8_000_000  # more than sockets hold


def single_bytes(piece):
    return [piece[at:at + 1] for at in range(len(piece))]


def each_kind(table):
    return {f"{kind}, {name}": (kind, row) for kind in KINDS for name, row in table.items()}


class Timed(WireCase):
    def at_once(self, table, one):
        """All rows of a table side by side, for each of them takes its time."""
        def complaint(name):
            try:
                one(name, *table[name])
                return None
            except Exception as error:
                return f"{name}: {error}"
        with concurrent.futures.ThreadPoolExecutor(len(table)) as pool:
            self.assertEqual([text for text in pool.map(complaint, table) if text], [])
        self.assertEqual(self.chat().status, 200)

    def assert_closed(self, model):
        held = next(r for r in self.upstream.requests if r.model() == model).connection
        self.assertTrue(held.closed.wait(10), "the connection is closed, not kept")

    def tearDown(self):
        # An answer that broke off is 200 on the wire; the log rightly says otherwise.
        self.gateway.answers[:] = [answer for answer in self.gateway.answers if answer.complete]


class Slow(Timed):
    upstream_members = {"first_byte_timeout": "1s", "read_timeout": "1s", "connect_timeout": "1s",
                        "send_timeout": "1s"}

    SILENT = {"before the head": b"", "within the status line": b"HTTP/1.1 20",
              "within a name": b"HTTP/1.1 200 OK\r\nContent-",
              "before the blank line": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
              "after an interim head": INTERIM, "within an interim head": INTERIM[:20]}

    def test_part_of_a_head_and_then_silence_is_504(self):
        self.at_once(each_kind(self.SILENT), lambda name, kind, piece:
                     self.assert_timeout(f"silent {name}", kind, answers.raw(piece, hold=True)))

    def test_a_head_that_drips_is_given_up(self):
        def one(name, kind, before):
            pieces = [before + b"H", *single_bytes(WHOLE[kind][1:])]
            self.assert_timeout(f"drips {name}", kind, answers.dripped(pieces, 0.1))
        self.at_once(each_kind({"from the first byte on": b"", "after an interim head": INTERIM}), one)

    def assert_timeout(self, model, kind, answer):
        self.upstream.on(model, answer)
        response = self.chat(model=model, **KINDS[kind])
        self.assert_refused(response, 504, "UPSTREAM_TIMEOUT")
        self.assertEqual(self.gateway.logged(response)["decision"], "upstream_timeout")
        self.assert_closed(model)

    def test_interim_heads_without_end_are_given_up(self):
        """Each of them is a beginning; their number is not without bound."""
        model = self.upstream.on("interim drips", answers.dripped([INTERIM] * 40 + [WHOLE["plain"]], 0.1))
        self.assert_refused(self.chat(model=model), 502, "UPSTREAM_ERROR")
        self.assert_closed(model)

    def test_a_body_that_stops_is_cut(self):
        model = self.upstream.on("stops", answers.raw(
            answers.answer_head() + b"Content-Length: 100\r\n\r\n" + b"{", hold=True))
        with self.client() as client:
            response = client.ask(chat_request(self.key, model))
            self.assertEqual((response.status, response.complete), (200, False), response)
            client.expect_closed()
        self.assertEqual(self.gateway.logged(response)["decision"], "upstream_timeout")
        self.assert_closed(model)

    def test_a_stream_that_stops_is_seen_to_be_broken(self):
        model = self.upstream.on("stream stops", answers.raw(
            EVENTS_HEAD + answers.chunk(answers.delta("one")), hold=True))
        with self.client() as client:
            client.send(chat_request(self.key, model, stream=True))
            response = client.read_body(client.read_head())
            self.assertFalse(response.complete)
            self.assertIn(b'data: {"error"', response.body)
            client.expect_closed()
        self.assertEqual(self.gateway.logged(response)["decision"], "upstream_timeout")
        self.assert_closed(model)


class Patient(Timed):
    """What takes long as a whole, and is in time with each of its parts."""
    PAUSE_S = 1.2
    upstream_members = {"first_byte_timeout": "3s", "read_timeout": "2s"}
    IN_TIME = {
        "interim heads": (INTERIM[:9], INTERIM[9:], INTERIM[:9], INTERIM[9:], WHOLE["plain"]),
        "an interim head and half of the next": (
            INTERIM + INTERIM[:9], INTERIM[9:] + INTERIM[:9], INTERIM[9:] + WHOLE["plain"][:9], WHOLE["plain"][9:]),
        "a head, then a body": (JSON_HEAD[:9], JSON_HEAD[9:], b"{", b"}"),
        "a head that ends with some of the body": (JSON_HEAD[:9], JSON_HEAD[9:] + b"{", b"}"),
        "a body by single bytes": (JSON_HEAD, b"{", b"}"),
    }

    def test_an_answer_that_is_in_time_with_each_part_is_taken(self):
        def one(name, *pieces):
            model = self.upstream.on(name, answers.dripped(pieces, self.PAUSE_S))
            response = self.chat(model=model)
            self.assertEqual((response.status, response.body), (200, b"{}"), response)
        self.at_once(self.IN_TIME, one)


class Uploading(answers.Upstream):
    """Drips an answer while it reads a request, by and by."""

    def __init__(self, **options):
        super().__init__(**options)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)

    def answer_one(self, connection):
        head = connection.take_until(b"\r\n\r\n")
        if head is None:
            return False
        request = parse_head(head)
        request.connection = connection
        with self.lock:
            self.requests.append(request)
            self.lock.notify_all()
        for piece in single_bytes(WHOLE["plain"]):
            if not connection.send(piece) or not self.read_some(connection):
                return False
            time.sleep(0.025)
        connection.wait_closed()
        return False

    @staticmethod
    def read_some(connection):
        """As much as is likely to let the gateway send more."""
        end = len(connection.received) + 80_000
        while len(connection.received) < end and select.select([connection.sock], [], [], 0.02)[0]:
            if not connection.fill():
                return False
        return True


class WhileSending(Timed):
    """A head that drips while the request is still being read: that the one goes on is no reason to wait
    for the other."""
    LIMITS = {"first_byte_timeout": "1s", "read_timeout": "1s", "send_timeout": "1s"}

    @classmethod
    def upstream_list(cls):
        cls.uploading = Uploading()
        cls.addClassCleanup(cls.uploading.stop)
        return [{"name": "main", "kind": "ollama", "url": cls.uploading.url, "api_key": UPSTREAM_KEY, **cls.LIMITS}]

    @classmethod
    def upstreams_seen(cls):
        return [cls.uploading]

    def test_a_head_that_drips_meanwhile_is_given_up(self):
        response = self.chat(content=LARGE)
        self.assert_refused(response, 504, "UPSTREAM_TIMEOUT")
        connection = self.uploading.requests[0].connection
        self.assertTrue(connection.closed.wait(10))
        self.assertGreater(len(connection.received), 100_000, "it went on reading")
        self.assertEqual(len(self.uploading.connections), 1)
