"""The upstream is not trusted. Before the first byte of an answer reached the client a fault is 502 or
504, its connection is never used again, and the next request is served as if nothing had happened."""

import gzip
import os
import socket
import threading

from tools import upstream as answers
from tools.case import UPSTREAM_KEY, WireCase, rows
from tools.certificates import Certificates
from tools.client import chat_request, request

KINDS = {"plain": {}, "streamed": {"stream": True}}
CHUNKED = b"Transfer-Encoding: chunked\r\n"
# Without it an idle connection is closed after some seconds, which is no sign that it was not kept.
KEPT = b"Keep-Alive: timeout=60\r\n"
FINE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def head(line=b"HTTP/1.1 200 OK\r\n", fields=b"", framing=b"Content-Length: 2\r\n", body=b"{}"):
    return line + b"Content-Type: application/json\r\n" + framing + fields + b"\r\n" + body


GARBAGE = {
    "nothing": b"",
    "half a status line": b"HTTP/1.1 20",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "noise": b"\x00\x01\x02\x03\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>",
    "HTTP/2": head(b"HTTP/2 200\r\n"),
    "HTTP/1.2": head(b"HTTP/1.2 200 OK\r\n"),
    "ICY": head(b"ICY 200 OK\r\n"),
    "small letters": head(b"http/1.1 200 OK\r\n"),
    "status 099": head(b"HTTP/1.1 099 No\r\n"),
    "status 600": head(b"HTTP/1.1 600 No\r\n"),
    "status 20": head(b"HTTP/1.1 20 OK\r\n"),
    "status 2000": head(b"HTTP/1.1 2000 OK\r\n"),
    "status 2x0": head(b"HTTP/1.1 2x0 OK\r\n"),
    "status with a sign": head(b"HTTP/1.1 +20 OK\r\n"),
    "no status": head(b"HTTP/1.1 OK\r\n"),
    "two spaces": head(b"HTTP/1.1  200 OK\r\n"),
    "LF after the status line": head(b"HTTP/1.1 200 OK\n"),
    "LF after a field": head(fields=b"X: y\n"),
    "CR within a field": head(fields=b"X: a\rb\r\n"),
    "NUL within a field": head(fields=b"X: a\x00b\r\n"),
    "a fold": head(fields=b"X: a\r\n b\r\n"),
    "a space before the colon": head(fields=b"X : y\r\n"),
    "no colon": head(fields=b"NoColon\r\n"),
    "no name": head(fields=b": y\r\n"),
    "a status line of 64 KiB": head(b"HTTP/1.1 200 " + b"x" * 65536 + b"\r\n"),
    "a field of 1 MiB": head(fields=b"X: " + b"y" * 2**20 + b"\r\n"),
    "10,000 fields": head(fields=b"X: y\r\n" * 10000),
    "a length and a coding": head(fields=b"Transfer-Encoding: chunked\r\n"),
    "two lengths": head(fields=b"Content-Length: 3\r\n"),
    "a negative length": head(framing=b"Content-Length: -1\r\n"),
    "a signed length": head(framing=b"Content-Length: +2\r\n"),
    "an empty length": head(framing=b"Content-Length:\r\n"),
    "lengths in a list": head(framing=b"Content-Length: 2, 2\r\n"),
    "an endless length": head(framing=b"Content-Length: 99999999999999999999\r\n"),
    "gzip, chunked": head(framing=b"Transfer-Encoding: gzip, chunked\r\n", body=b"2\r\n{}\r\n0\r\n\r\n"),
    "an unknown coding": head(framing=b"Transfer-Encoding: cow\r\n"),
    "two codings": head(framing=b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                        body=b"2\r\n{}\r\n0\r\n\r\n"),
    "chunks in HTTP/1.0": head(b"HTTP/1.0 200 OK\r\n", framing=b"Transfer-Encoding: chunked\r\n",
                               body=b"2\r\n{}\r\n0\r\n\r\n"),
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    "interim answers without end": b"HTTP/1.1 102 Processing\r\n\r\n" * 100000,
}


# What may still become an answer: silence after it is a timeout (test_upstream_time.py).
UNFINISHED = {"nothing", "half a status line", "half a head"}


def each_kind(table):
    return {f"{name}, {kind}": (kind, row) for name, row in table.items() for kind in KINDS}


class UpstreamCase(WireCase):
    @classmethod
    def set_up(cls):
        cls.decisions = []  # (answer, what the log must say of it)

    @classmethod
    def tearDownClass(cls):
        """Lines are on disk within a second: all are looked at together."""
        try:
            wrong = [(answer, line["decision"]) for answer, wanted in cls.decisions
                     if (line := cls.gateway.logged(answer))["decision"] != wanted]
            assert not wrong, wrong[:10]
        finally:
            super().tearDownClass()

    def asked(self, model):
        return [request for request in self.upstream.requests if request.model() == model]

    def assert_let_go(self, model):
        """Asked once, and the connection was closed by the gateway: the test's upstream holds it open."""
        asked = self.asked(model)
        self.assertEqual(len(asked), 1, "it may have been run and billed: it is never sent twice")
        self.assertTrue(asked[0].connection.closed.wait(10), "the connection is closed, not kept")

    def assert_broken(self, response, model):
        self.assert_refused(response, 502, "UPSTREAM_ERROR")
        self.decisions.append((response, "upstream_broken"))
        self.assertEqual(len(self.asked(model)), 1, "it may have been run and billed: it is never sent twice")
        self.assertEqual(self.chat().status, 200)

    def tearDown(self):
        # An answer that broke off is 200 on the wire; the log rightly says otherwise.
        self.gateway.answers[:] = [answer for answer in self.gateway.answers if answer.complete]


class Faults(UpstreamCase):
    @rows(each_kind(GARBAGE))
    def malformed_head(self, kind, piece):
        model = self.upstream.on(f"garbage {kind} {hash(piece)}", answers.raw(piece))
        self.assert_broken(self.chat(model=model, **KINDS[kind]), model)

    @rows(each_kind({name: piece for name, piece in GARBAGE.items() if name not in UNFINISHED}))
    def malformed_head_on_a_connection_that_stays_open(self, kind, piece):
        model = self.upstream.on(f"held garbage {kind} {hash(piece)}", answers.raw(piece, hold=True))
        self.assert_broken(self.chat(model=model, **KINDS[kind]), model)
        self.assert_let_go(model)

    @rows(each_kind({
        f"{place}, {how}": (piece, how == "RST")
        for place, piece in {"before the head": b"", "after the status line": b"HTTP/1.1 200 OK\r\n",
                             "within the head": FINE, "after an interim head": b"HTTP/1.1 100 Continue\r\n\r\n"}.items()
        for how in ("FIN", "RST")}))
    def end_before_the_head(self, kind, row):
        """Also on a kept connection, where a GET would be asked again."""
        piece, reset = row
        model = self.upstream.on(f"ends {kind} {row}", answers.raw(piece, reset=reset))
        with self.client() as client:
            self.assertEqual(client.ask(chat_request(self.key)).status, 200)
            response = client.ask(chat_request(self.key, model, **KINDS[kind]))
        self.assert_broken(response, model)
        connection = self.asked(model)[0].connection
        self.assertGreater(sum(r.connection is connection for r in self.upstream.requests), 1, "a kept one")

    @rows({"with Ollama": ("/api/chat", False), "with text": ("/v1/chat/completions", True)})
    def shape_of_the_refusal(self, path, plain):
        model = self.upstream.on(f"shape {path}", answers.raw(b"garbage\r\n\r\n"))
        fields = [("Accept", "text/plain")] if plain else []
        response = self.chat(model=model, path=path, fields=fields)
        self.assertEqual(response.status, 502)
        if plain:
            self.assertTrue(response.get("content-type").startswith("text/plain"), response)
        else:
            self.assertTrue(response.json()["error"])

    @rows({
        "several": b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
        "as many as there may be": b"HTTP/1.1 102 Processing\r\n\r\n" * 8,
        # They have none, whatever they say (RFC 9112, section 6.3).
        "with a length": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n",
        "with a coding": b"HTTP/1.1 103 Early Hints\r\n" + CHUNKED + b"\r\n"})
    def interim_answer_is_taken_in(self, piece):
        model = self.upstream.on(f"interim {hash(piece)}", answers.raw(piece + head(), keep=True))
        response = self.chat(model=model)
        self.assertEqual((response.status, response.body), (200, b"{}"))

    @rows({"one more than there may be": b"HTTP/1.1 102 Processing\r\n\r\n" * 9,
           "with a length, and a body": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello",
           "with a coding, and a body": b"HTTP/1.1 103 Early Hints\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
           "with a length and a coding": b"HTTP/1.1 103 Hints\r\nContent-Length: 5\r\n" + CHUNKED + b"\r\n",
           "with a length that is none": b"HTTP/1.1 103 Early Hints\r\nContent-Length: -1\r\n\r\n"})
    def interim_answer_is_refused(self, piece):
        model = self.upstream.on(f"bad interim {hash(piece)}", answers.raw(piece + head(), hold=True))
        self.assert_broken(self.chat(model=model), model)
        self.assert_let_go(model)

    @rows({"204 with a length": (204, b"Content-Length: 5\r\n"), "204 with chunks": (204, CHUNKED),
           "204 with a length, and a body": (204, b"Content-Length: 5\r\n\r\nhello"),
           "304 with a body": (304, b"Content-Length: 5\r\n\r\nhello")})
    def answer_that_must_not_have_a_body_has_none(self, status, framing):
        """A server that frames one may send it: nothing more is read from there."""
        piece = b"HTTP/1.1 %d None\r\n" % status + KEPT + framing + (b"" if b"\r\n\r\n" in framing else b"\r\n")
        model = self.upstream.on(f"empty {status} {framing}", answers.raw(piece, hold=True))
        self.assert_empty(model, status)
        self.assert_let_go(model)

    @rows({"204": (204, b""), "204 of no length": (204, b"Content-Length: 0\r\n"), "304": (304, b""),
           # That of the answer that it stands for (RFC 9110, section 8.6).
           "304 with a length": (304, b"Content-Length: 5\r\n")})
    def answer_that_has_no_body_leaves_its_connection_usable(self, status, framing):
        piece = b"HTTP/1.1 %d None\r\n" % status + framing + b"\r\n"
        model = self.upstream.on(f"rightly empty {status} {framing}", answers.raw(piece, keep=True))
        with self.client() as client:
            self.assert_empty(model, status, client)
            self.assertEqual(client.ask(chat_request(self.key)).status, 200)
        self.assertIs(self.asked(model)[0].connection, self.upstream.requests[-1].connection)

    def assert_empty(self, model, status, client=None):
        client = client or self.client()
        self.addCleanup(client.close)
        response = client.ask(chat_request(self.key, model))
        self.assertEqual((response.status, response.body, client.unread), (status, b"", b""), response)

    @rows({"a length, and a body": b"Content-Length: 5\r\n\r\nhello",
           "chunks, and a body": CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n"})
    def answer_to_head_has_no_body(self, rest):
        """/api/version is passed on with the method that it came with."""
        self.upstream.default = answers.raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + KEPT + rest, hold=True)
        self.addCleanup(setattr, self.upstream, "default", answers.chat_answer)
        with self.client() as client:
            response = client.ask(request("HEAD", "/api/version", key=self.key), "HEAD")
            self.assertEqual((response.status, client.unread), (200, b""))
            self.assertEqual(self.upstream.requests[-1].method, "HEAD")
            self.assertTrue(self.upstream.requests[-1].connection.closed.wait(10), "it is not kept")
            self.upstream.default = answers.chat_answer
            self.assertNotIn(b"hello", client.ask(chat_request(self.key)).body)

    def test_bytes_after_the_answer_never_become_the_next_one(self):
        poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
        for name, piece in {"a length": head() + poison,
                            "chunks": head(framing=b"Transfer-Encoding: chunked\r\n",
                                           body=b"2\r\n{}\r\n0\r\n\r\n") + poison}.items():
            model = self.upstream.on(f"poison {name}", answers.raw(piece, keep=True))
            with self.client() as client:
                for _ in range(5):
                    response = client.ask(chat_request(self.key, model))
                    self.assertTrue(response.status == 502 or response.body == b"{}", response)
                    if response.closes():
                        break
                    self.assertNotIn(b"poison", client.ask(chat_request(self.key)).body)
            for _ in range(3):
                self.assertNotIn(b"poison", self.chat().body)

    def test_bytes_before_any_request_are_no_answer(self):
        self.assertEqual(self.chat().status, 200)  # leaves a kept connection
        answers.wait_until(lambda: self.upstream.connections[-1].received, "a connection")
        for connection in self.upstream.connections:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        for _ in range(5):
            response = self.chat()
            self.assertEqual(response.status, 200)
            self.assertNotIn(b"poison", response.body)

    def test_a_kept_connection_that_the_upstream_closed_is_replaced(self):
        for _ in range(5):
            self.assertEqual(self.chat().status, 200)
            for connection in self.upstream.connections:
                try:
                    connection.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.assertEqual(self.chat().status, 200)

    def test_a_promise_to_close_is_kept_for_the_upstream(self):
        model = self.upstream.on("closes", answers.raw(head(fields=KEPT + b"Connection: close\r\n"), keep=True))
        for _ in range(3):
            self.assertEqual(self.chat(model=model).status, 200)
            held = self.upstream.requests[-1].connection
            self.assertTrue(held.closed.wait(10), "the connection is not used again")

    def test_a_redirect_is_not_followed(self):
        other = answers.Upstream()
        self.addCleanup(other.stop)
        for status in (301, 302, 307, 308):
            model = self.upstream.on(f"redirect {status}", answers.whole(
                b"", status, extra=[f"Location: {other.url}/inside"]))
            response = self.chat(model=model)
            self.assert_refused(response, 502, "UPSTREAM_ERROR")
            self.assertIsNone(response.get("location"))
        self.assertEqual(other.connections, [])

    @rows(each_kind({"letters": b"zz\r\n", "a sign": b"-1\r\n", "none": b"\r\n", "LF": b"2\n{}\r\n0\r\n\r\n",
                     "too large": b"1ffffffffffffffff\r\n", "a space": b" 2\r\n{}\r\n0\r\n\r\n",
                     "a prefix": b"0x2\r\n{}\r\n0\r\n\r\n", "no line end after it": b"2\r\n{}0\r\n\r\n"}))
    def chunk_fault(self, kind, body):
        """The head is on its way by then: the client sees that its answer has no end."""
        content_type = b"text/event-stream" if kind == "streamed" else b"application/json"
        model = self.upstream.on(f"chunk {kind} {body!r}", answers.raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: " + content_type + b"\r\n" + CHUNKED + b"\r\n" + body, hold=True))
        with self.client() as client:
            response = client.ask(chat_request(self.key, model, **KINDS[kind]))
            self.assertEqual((response.status, response.complete), (200, False), response)
            client.expect_closed()
        self.decisions.append((response, "upstream_broken"))
        self.assert_let_go(model)

    @rows(each_kind({"gzip": "gzip", "unknown": "cow", "two": "identity, gzip"}))
    def answer_in_an_unasked_coding_is_not_passed_unread(self, kind, coding):
        packed = gzip.compress(b"a canary" * 100)
        model = self.upstream.on(f"{coding} {kind}", answers.raw(
            answers.answer_head(extra=[f"Content-Encoding: {coding}"]) + b"Content-Length: %d\r\n\r\n" % len(packed)
            + packed, hold=True))
        response = self.chat(model=model, **KINDS[kind])
        self.assert_broken(response, model)
        self.assertNotIn(b"\x1f\x8b", response.body)
        self.assertEqual(self.asked(model)[0].value("accept-encoding"), "identity")
        self.assert_let_go(model)

    @rows({f"{status}, {name}": (status, value, wanted)
           for status in (429, 503) for name, (value, wanted) in {
               "none": (None, "1"), "some": ("7", "7"), "nothing": ("", "1"), "zero": ("0", "1"),
               "a day": ("86400", "86400"), "more than a day": ("86401", "86400"), "for ever": ("1000000000", "86400"),
               "more than a number holds": ("18446744073709551616", "1"),
               "a date": ("Mon, 01 Dec 2098 10:00:00 GMT", "1"),
               "garbage": ("soon", "1"), "a sign": ("-1", "1"), "a fraction": ("1.5", "1")}.items()})
    def advice_to_wait_is_a_bounded_number_of_seconds(self, status, value, wanted):
        model = self.upstream.on(f"wait {status} {value}", answers.whole(
            b"{}", status, extra=[] if value is None else [f"Retry-After: {value}"]))
        response = self.chat(model=model)
        self.assertEqual((response.status, response.get("retry-after")), (status, wanted))


class HangsUp(answers.Upstream):
    """Waits until something was sent, reads nothing of it, and hangs up."""

    def __init__(self, hang_up):
        super().__init__()
        self.hang_up = hang_up

    def serve(self, sock):
        connection = answers.Connection(self, sock)
        self.connections.append(connection)
        sock.settimeout(answers.DEADLINE_S)
        sock.recv(1, socket.MSG_PEEK)
        self.hang_up(connection)
        sock.close()  # a reset, since there are bytes that it has not read


def half_close(connection):
    connection.sock.shutdown(socket.SHUT_WR)
    connection.wait_closed()


class Early(answers.Upstream):
    """Answers as soon as it has read a request's head, and reads on when its answer was seen."""

    def __init__(self):
        super().__init__()
        self.seen = threading.Semaphore(0)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)

    def answer_one(self, connection):
        head_bytes = connection.take_until(b"\r\n\r\n")
        if head_bytes is None:
            return False
        early = answers.parse_head(head_bytes)
        early.connection = connection
        self.requests.append(early)
        connection.send(head(fields=KEPT))
        self.seen.acquire(timeout=answers.DEADLINE_S)
        connection.wait_closed()
        return False


WAYS = {"reset": answers.Connection.reset, "close": lambda connection: None, "half-close": half_close}
SIZES = {"a small body": 10, "a large body": 8_000_000}


class Unheard(UpstreamCase):
    """It hangs up, or answers, before it has read the request. Nobody knows whether it was run: it is not sent
    again, however little of it was read."""
    @classmethod
    def upstream_list(cls):
        cls.others = {**{name: HangsUp(way) for name, way in WAYS.items()}, "early": Early()}
        for other in cls.others.values():
            cls.addClassCleanup(other.stop)
        return [{"name": name, "kind": "ollama", "url": other.url, "models": [name]}
                for name, other in cls.others.items()] + super().upstream_list()

    @classmethod
    def upstreams_seen(cls):
        return [cls.upstream, *cls.others.values()]

    @rows({f"{way}, {size}, {kind}": (way, size, kind) for way in WAYS for size in SIZES for kind in KINDS})
    def request_that_was_not_read(self, way, size, kind):
        before = len(self.others[way].connections)
        response = self.chat(model=way, content="x" * SIZES[size], **KINDS[kind])
        self.assert_refused(response, 502, "UPSTREAM_ERROR")
        self.decisions.append((response, "upstream_broken"))
        self.assertEqual(self.chat().status, 200)
        self.assertEqual(len(self.others[way].connections), before + 1)

    def test_an_answer_before_the_request_was_read_ends_the_connection(self):
        """It is taken, and the next request does not go in the middle of this one."""
        early = self.others["early"]
        with self.client() as client:
            for _ in range(2):
                response = client.ask(chat_request(self.key, "early", content="x" * 8_000_000))
                self.assertEqual((response.status, response.body), (200, b"{}"))
                early.seen.release()
                self.assertTrue(early.connections[-1].closed.wait(10), "the connection is closed, not kept")
        self.assertEqual(len(early.connections), 2)
        self.assertEqual(len(early.requests), 2)


def noise(connection, _request):
    """Bytes that are no TLS record, on a connection whose handshake was fine."""
    os.write(connection.sock.fileno(), b"these are in clear\r\n" * 10)
    connection.wait_closed()
    return False


class Tls(UpstreamCase):
    """A connection that was never trusted, and one that was, and broke."""

    @classmethod
    def upstream_list(cls):
        certificates = Certificates()
        cls.addClassCleanup(certificates.remove)
        cls.others = {name: answers.Upstream(tls=certificates.context(certificate), default=noise)
                      for name, certificate in {"trusted": "address", "not trusted": "self"}.items()}
        for other in cls.others.values():
            cls.addClassCleanup(other.stop)
        ca_file = str(certificates.folder / "ca.pem")
        return [{"name": name.replace(" ", "-"), "kind": "openai", "url": other.url, "models": [name],
                 "ca_file": ca_file}
                for name, other in cls.others.items()] + super().upstream_list()

    @classmethod
    def upstreams_seen(cls):
        return [cls.upstream, *cls.others.values()]

    @rows({f"{name}, {kind}": (name, decision, kind) for kind in KINDS
           for name, decision in {"trusted": "upstream_broken", "not trusted": "upstream_tls"}.items()})
    def failure_is_told_apart(self, name, decision, kind):
        before = len(self.others[name].requests)
        response = self.chat(model=name, **KINDS[kind])
        self.assert_refused(response, 502, "UPSTREAM_ERROR")
        self.decisions.append((response, decision))
        self.assertEqual(len(self.others[name].requests) - before, 1 if name == "trusted" else 0)


class Full(WireCase):
    """A listener whose queue is full: what wants to connect hears nothing at all."""
    upstream_members = {"connect_timeout": "1s"}

    @classmethod
    def upstream_list(cls):
        cls.listener = socket.socket()
        cls.addClassCleanup(cls.listener.close)
        cls.listener.bind(("127.0.0.1", 0))
        cls.listener.listen(0)
        while cls.connects():
            pass
        return [{**super().upstream_list()[0], "name": "full", "models": ["full"],
                 "url": f"http://127.0.0.1:{cls.listener.getsockname()[1]}"}, *super().upstream_list()]

    @classmethod
    def connects(cls):
        """One more in the queue; false when there is no room for it."""
        sock = socket.socket()
        cls.addClassCleanup(sock.close)
        sock.settimeout(0.5)
        try:
            sock.connect(cls.listener.getsockname())
        except socket.timeout:
            return False
        return True

    @rows(KINDS)
    def upstream_that_cannot_be_connected_to(self, members):
        response = self.chat(model="full", **members)
        self.assert_refused(response, 504, "UPSTREAM_TIMEOUT")
        self.assertEqual(self.gateway.logged(response)["decision"], "upstream_timeout")
        self.assertEqual(self.chat().status, 200)


class Absent(WireCase):
    """Nobody listens there."""

    @classmethod
    def upstream_list(cls):
        nobody, url = answers.nobody()
        cls.addClassCleanup(nobody.close)
        return [{"name": "gone", "kind": "ollama", "url": url, "api_key": UPSTREAM_KEY}]

    def test_an_upstream_that_is_not_there_is_502(self):
        for stream in (False, True):
            response = self.chat(stream=stream)
            self.assert_refused(response, 502, "UPSTREAM_ERROR")
            self.assertEqual(self.gateway.logged(response)["decision"], "upstream_refused")

    def test_the_gateway_itself_is_well(self):
        self.assertEqual(self.get("/livez").status, 200)
        self.assertEqual(self.get("/health").status, 200)


class Unresolved(WireCase):
    @classmethod
    def upstream_list(cls):
        return [{"name": "gone", "kind": "ollama", "url": "http://no-such-host.invalid:1"}]

    def test_an_upstream_without_an_address_is_502(self):
        self.assertIn(self.chat().status, (502, 504))


class Unconfigured(WireCase):
    @classmethod
    def upstream_list(cls):
        return []

    def test_without_an_upstream_proxied_routes_are_503(self):
        response = self.chat()
        self.assertEqual(response.status, 503, response)
        self.assertGreaterEqual(int(response.get("retry-after")), 1)
