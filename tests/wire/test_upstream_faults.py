"""The upstream is not trusted. Before the first byte of an answer reached the client a fault is 502 or
504, its connection is never used again, and the next request is served as if nothing had happened."""

import socket

from tools import upstream as answers
from tools.case import UPSTREAM_KEY, WireCase, rows
from tools.client import chat_request

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


class Faults(WireCase):
    @rows(GARBAGE)
    def malformed_head(self, piece):
        model = self.upstream.on(f"garbage {hash(piece)}", answers.raw(piece))
        response = self.chat(model=model)
        self.assert_refused(response, 502, "UPSTREAM_ERROR")
        self.assertEqual(self.chat().status, 200)

    @rows({"before the head": b"", "within the head": FINE, "after the status line": b"HTTP/1.1 200 OK\r\n"})
    def reset(self, piece):
        model = self.upstream.on(f"reset {piece!r}", answers.raw(piece, reset=True))
        response = self.chat(model=model)
        self.assert_refused(response, 502, "UPSTREAM_ERROR")
        self.assertEqual(self.chat().status, 200)

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

    def test_interim_answers_are_taken_in(self):
        piece = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + head()
        model = self.upstream.on("interim", answers.raw(piece))
        response = self.chat(model=model)
        self.assertEqual((response.status, response.body), (200, b"{}"))

    @rows({"204 with a length": (b"204 No Content", b"Content-Length: 5\r\n"),
           "204 with chunks": (b"204 No Content", b"Transfer-Encoding: chunked\r\n"),
           "304": (b"304 Not Modified", b"Content-Length: 5\r\n")})
    def answer_without_a_body_has_none(self, status, framing):
        piece = b"HTTP/1.1 " + status + b"\r\n" + framing + b"\r\n"
        model = self.upstream.on(f"empty {status} {framing}", answers.raw(piece, keep=True))
        with self.client() as client:
            response = client.ask(chat_request(self.key, model))
            self.assertIn(response.status, (204, 304, 502), response)
            if response.status != 502:
                self.assertEqual(response.body, b"")
                self.assertEqual(client.unread, b"")

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
        model = self.upstream.on("closes", answers.raw(head(fields=b"Connection: close\r\n"), keep=True))
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
            self.assertIn(response.status, (status, 502))
            self.assertIsNone(response.get("location"))
        self.assertEqual(other.connections, [])

    def test_a_chunk_fault_before_any_content_is_an_error(self):
        for body in [b"zz\r\n", b"-1\r\n", b"\r\n", b"2\n{}\r\n0\r\n\r\n", b"1ffffffffffffffff\r\n"]:
            model = self.upstream.on(f"chunk {body!r}", answers.raw(
                head(framing=b"Transfer-Encoding: chunked\r\n", body=body)))
            with self.client() as client:
                response = client.ask(chat_request(self.key, model))
                self.assertTrue(response.status == 502 or not response.complete, (body, response))

    def test_an_answer_in_an_unasked_coding_is_not_passed_unread(self):
        model = self.upstream.on("gzip", answers.whole(b"\x1f\x8b\x08\x00", extra=["Content-Encoding: gzip"]))
        self.chat(model=model)
        sent = self.upstream.calls()[-1]
        self.assertIn(sent.value("accept-encoding"), (None, "identity"))

    def tearDown(self):
        # An answer that broke off is 200 on the wire; the log may rightly say otherwise.
        self.gateway.answers[:] = [answer for answer in self.gateway.answers if answer.complete]


class Absent(WireCase):
    """Nobody listens there."""

    @classmethod
    def upstream_list(cls):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        return [{"name": "gone", "kind": "ollama", "url": f"http://127.0.0.1:{port}", "api_key": UPSTREAM_KEY}]

    def test_an_upstream_that_is_not_there_is_502(self):
        for stream in (False, True):
            self.assert_refused(self.chat(stream=stream), 502, "UPSTREAM_ERROR")

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
