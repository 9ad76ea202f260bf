"""Malformed heads: what could be read in two ways is refused, and its connection closed. Every vector
is a request that would pass but for the one thing its row is about, so accepting it shows upstream."""

from tools.case import MARK, WireCase, rows
from tools.client import request

GET = b"GET /api/ps HTTP/1.1\r\n"
LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
HOST = b"Host: gateway.test\r\n"
AUTHORIZATION = b"Authorization: Bearer " + MARK + b"\r\n"
TYPE = b"Content-Type: application/json\r\n"
BODY = b'{"model":"m","messages":[]}'
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)


def post(extra=b"", framing=LENGTH, body=BODY, line=LINE, host=HOST, end=b"\r\n"):
    return line + host + AUTHORIZATION + TYPE + framing + extra + end + body


def get(line=GET, host=HOST, extra=b"", end=b"\r\n"):
    return line + host + AUTHORIZATION + extra + end


def coding(value, name=b"Transfer-Encoding: "):
    return post(framing=name + value + b"\r\n", body=CHUNKS)


def length(value):
    return post(framing=b"Content-Length:" + value + b"\r\n")


def named(table):
    """Rows without a name are named after their vector."""
    return {repr(key)[2:-1]: value for key, value in table.items()}


SMUGGLING = {
    "CL.TE": (post(framing=b"Content-Length: 6\r\n" + CHUNKED, body=b"0\r\n\r\nG"), 400),
    "TE.CL": (post(framing=CHUNKED + b"Content-Length: 4\r\n",
                   body=b"5c\r\nPOST /admin HTTP/1.1\r\n\r\n"), 400),
    "a length and a coding that agree": (post(framing=LENGTH + CHUNKED, body=CHUNKS), 400),
    "two codings": (post(framing=CHUNKED + CHUNKED, body=CHUNKS), 400),
    "a coding in HTTP/1.0": (post(line=LINE.replace(b"1.1", b"1.0"), framing=CHUNKED, body=CHUNKS), 400),
    "Transfer-Encoding with a tab before its colon": (coding(b"chunked", b"Transfer-Encoding\t: "), 400),
    "Transfer-Encoding with a space before its colon": (coding(b"chunked", b"Transfer-Encoding : "), 400),
    "Transfer-Encoding with a vertical tab": (coding(b"\x0bchunked"), 400),
    "Transfer-Encoding with a form feed": (coding(b"chunked\x0c"), 400),
    "Transfer-Encoding behind a bare CR": (post(extra=b"X: X\rTransfer-Encoding: chunked\r\n"), 400),
    "Transfer-Encoding behind a bare LF": (post(extra=b"X: X\nTransfer-Encoding: chunked\r\n"), 400),
    "Transfer-Encoding in a fold": (post(extra=b"X: X\r\n Transfer-Encoding: chunked\r\n"), 400),
    "a folded Transfer-Encoding": (coding(b"\r\n chunked"), 400),
    "a doubled hyphen": (post(extra=b"Transfer--Encoding: chunked\r\n"), 400),
    "an underscore": (post(extra=b"Transfer_Encoding: chunked\r\n"), 400),
    "a soft hyphen": (post(extra=b"Content\xadLength: 5\r\n"), 400),
    "Content-Encoding: chunked": (post(extra=b"Content-Encoding: chunked\r\n"), 415),
}
CONTENT_CODING = SMUGGLING.pop("Content-Encoding: chunked")[0]

CODINGS = {value: (coding(value), status) for value, status in {
    b"chunked, chunked": 400, b"chunked, identity": 400, b"gzip, chunked": 400,
    b"chunked;x=y": 400, b'"chunked"': 400, b",chunked": 400, b"chunked,": 400, b"": 400, b" ": 400,
    b"chunked\x00": 400, b"chunked\x7f": 400, b"chunked x": 400, b"identity": 501, b"gzip": 501,
    b"deflate": 501, b"cow": 501, b"chunke": 501, b"chunkedd": 501,
    b"\xe3\x83\x81chunked": 400,
}.items()}

LENGTHS = {value: (length(value), 400) for value in [
    b" +27", b" -1", b" 0x1b", b" 2_7", b" 2 7", b" 27,27", b" 27, 28", b"", b" ", b" 27;", b" 2.7e1",
    b" 18446744073709551616", b" 18446744073709551643", b" 9223372036854775808", b" 99999999999999999999999",
    b" \x0c27", b" 27\x00", b" 27\x0b", b"\r\n 27", b"\r\n\t27", b" twenty", b' "27"', b" 1e1", b" \xd9\xa2\xd9\xa7",
]}
LENGTHS.update({
    b"twice the same": (post(framing=LENGTH + LENGTH), 400),
    b"twice, different": (post(framing=LENGTH + b"Content-Length: 5\r\n"), 400),
    b"twice in other letters": (post(framing=LENGTH + LENGTH.lower()), 400),
})

LINE_ENDS = {
    "LF after the request line": (get(line=b"GET /api/ps HTTP/1.1\n"), 400),
    "LF after a field": (get(extra=b"X: y\n"), 400),
    "LF at the end of the head": (get(end=b"\n"), 400),
    "LF only, everywhere": (get().replace(b"\r\n", b"\n"), 400),
    "CR LF LF": (get(extra=b"X: y\r\n\nX: z\r\n"), 400),
    "CR CR LF": (get(extra=b"X: y\r\r\n"), 400),
    "CR alone after the request line": (get(line=b"GET /api/ps HTTP/1.1\r"), 400),
    "CR alone after a field": (get(extra=b"X: y\r"), 400),
    "CR alone at the end of the head": (get(end=b"\rX"), 400),
    "CR in a value": (get(extra=b"X: a\rb\r\n"), 400),
    "CR at the start of a value": (get(extra=b"X:\r y\r\n"), 400),
    "CR in the request line": (get(line=b"GET /api/\rps HTTP/1.1\r\n"), 400),
    "LF in the request line": (get(line=b"GET /api/\nps HTTP/1.1\r\n"), 400),
    "LF before the request line": (b"\n" + get(), 400),
    "CR alone before the request line": (b"\r" + get(), 400),
    "LF in a name": (get(extra=b"Te\nst: x\r\n"), 400),
}

WHITE_SPACE = {
    "a fold": (get(extra=b"X: a\r\n b\r\n"), 400),
    "a fold with a tab": (get(extra=b"X: a\r\n\tb\r\n"), 400),
    "a fold as first field": (get(line=GET + b" y\r\n"), 400),
    "an empty fold": (get(extra=b"X: a\r\n \r\n"), 400),
    "a space before the colon": (get(extra=b"X : y\r\n"), 400),
    "a tab before the colon": (get(extra=b"X\t: y\r\n"), 400),
    "a space in a name": (get(extra=b"X Y: z\r\n"), 400),
    "a space before the first name": (get(line=GET + b" X: y\r\n"), 400),
    "a tab before the first name": (get(line=GET + b"\tX: y\r\n"), 400),
    "two spaces after the method": (get(line=b"GET  /api/ps HTTP/1.1\r\n"), 400),
    "two spaces before the version": (get(line=b"GET /api/ps  HTTP/1.1\r\n"), 400),
    "a tab in the request line": (get(line=b"GET\t/api/ps HTTP/1.1\r\n"), 400),
    "a space before the method": (get(line=b" GET /api/ps HTTP/1.1\r\n"), 400),
    "a space after the version": (get(line=b"GET /api/ps HTTP/1.1 \r\n"), 400),
    "a tab after the version": (get(line=b"GET /api/ps HTTP/1.1\t\r\n"), 400),
    "a space in the target": (get(line=b"GET /api/p s HTTP/1.1\r\n"), 400),
    "a vertical tab as white space": (get(line=b"GET\x0b/api/ps\x0bHTTP/1.1\r\n"), 400),
}

CONTROL_BYTES = {f"{byte:02x} in a {place}": (get(extra=line % byte), 400)
                 for place, line in [("value", b"X: a%cb\r\n"), ("name", b"X%cY: b\r\n")]
                 for byte in [0x00, 0x01, 0x08, 0x0b, 0x0c, 0x0e, 0x1b, 0x1f, 0x7f, 0x80, 0xa0, 0xff]}

NAMES = {line: (get(extra=line + b"\r\n"), 400) for line in [
    b": x", b":", b"Content-Length 10", b"NoColon", b"X(Y): z", b"X@Y: z", b"X[Y]: z", b'X"Y": z',
    b"X,Y: z", b"X;Y: z", b"X=Y: z", b"X/Y: z", b"X_Y: z", b"X{Y}: z", b"X\\Y: z", b"X?Y: z",
    b"=GET / HTTP/1.1", b"GET / HTTP/1.1",
]}

HOSTS = {
    "none": (get(host=b""), 400),
    "two": (get(host=HOST + HOST), 400),
    "two, different": (get(host=HOST + b"host: other.test\r\n"), 400),
    "an absolute target of another host": (get(line=b"GET http://other.test/api/ps HTTP/1.1\r\n"), 400),
    "an absolute target with userinfo":
        (get(line=b"GET http://gateway.test@other/api/ps HTTP/1.1\r\n"), 400),
    "an absolute target without a host": (get(line=b"GET http:///api/ps HTTP/1.1\r\n"), 400),
    "another scheme": (get(line=b"GET ftp://gateway.test/api/ps HTTP/1.1\r\n"), 400),
}
HOSTS.update({f"Host:{value.decode('latin-1')}": (get(host=b"Host:" + value + b"\r\n"), 400) for value in [
    b"", b" ", b" a,b", b" a b", b" a@b", b" a#b", b" a/b", b" a?b", b" a:99999", b" a:", b" a:0", b" a:8x",
    b" [::1", b" ::1", b" [::g]", b" [::1]x", b" user:pw@a", b" a\\b", b" \xc3\xa4.test", b" a%20b", b" a:80:80",
    b" [1.2.3.4]", b" a:-1", b" a:+80",
]})

REQUEST_LINES = {
    "HTTP/0.9": (b"GET /api/ps\r\n\r\n", 400),
    "HTTP/1.2": (get(line=b"GET /api/ps HTTP/1.2\r\n"), 505),
    "HTTP/2.0": (get(line=b"GET /api/ps HTTP/2.0\r\n"), 505),
    "HTTP/0.9 spelt out": (get(line=b"GET /api/ps HTTP/0.9\r\n"), 505),
    "HTTP/01.1": (get(line=b"GET /api/ps HTTP/01.1\r\n"), 400),
    "HTTP/1.01": (get(line=b"GET /api/ps HTTP/1.01\r\n"), 400),
    "HTTP/1.1.": (get(line=b"GET /api/ps HTTP/1.1.\r\n"), 400),
    "HTTP/1": (get(line=b"GET /api/ps HTTP/1\r\n"), 400),
    "HTTP/1.": (get(line=b"GET /api/ps HTTP/1.\r\n"), 400),
    "HTTP/11": (get(line=b"GET /api/ps HTTP/11\r\n"), 400),
    "http/1.1": (get(line=b"GET /api/ps http/1.1\r\n"), 400),
    "HTTP 1.1": (get(line=b"GET /api/ps HTTP 1.1\r\n"), 400),
    "RTSP": (get(line=b"GET /api/ps RTSP/1.0\r\n"), 400),
    "ICE": (get(line=b"SOURCE /api/ps ICE/1.0\r\n"), 501),
    "CONNECT": (get(line=b"CONNECT other.test:443 HTTP/1.1\r\n"), 501),
    "TRACE": (get(line=b"TRACE / HTTP/1.1\r\n"), 501),
    "an unknown method": (get(line=b"BREW /api/ps HTTP/1.1\r\n"), 501),
    "a method in small letters": (get(line=b"get /api/ps HTTP/1.1\r\n"), 501),
    "a method that is no token": (get(line=b'G=":/ /api/ps HTTP/1.1\r\n'), 400),
    "a method of 1 KiB": (get(line=b"G" * 1024 + b" /api/ps HTTP/1.1\r\n"), 400),
    "an asterisk for GET": (get(line=b"GET * HTTP/1.1\r\n"), 400),
    "no target": (get(line=b"GET HTTP/1.1\r\n"), 400),
    "a target without a slash": (get(line=b"GET api/ps HTTP/1.1\r\n"), 400),
    "a fragment": (get(line=b"GET /api/ps#/admin HTTP/1.1\r\n"), 400),
    "a target beyond ASCII": (get(line=b"GET /api/p\xc3\xa9s HTTP/1.1\r\n"), 400),
    "a control byte in the target": (get(line=b"GET /api/\x01ps HTTP/1.1\r\n"), 400),
    "NUL in the target": (get(line=b"GET /api/ps\x00 HTTP/1.1\r\n"), 400),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 501),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)), 400),
    "a PROXY line": (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get(), 501),
    "garbage": (b"\x00\x00\x00\x00\r\n\r\n", 400),
}

UNIQUE = {name.decode(): (post(extra=name + b": a\r\n" + name + b": b\r\n"), 400)
          for name in [b"Authorization", b"X-API-Key", b"api-key", b"Content-Type", b"Expect"]}
UNIQUE["Expect"] = (post(extra=b"Expect: 100-continue\r\n" * 2), 400)
UNIQUE["Authorization of two people"] = (
    post(extra=b"Authorization: Bearer sp_other\r\n"), 400)

BODIES = {
    "GET with a length": (get(extra=b"Content-Length: 3\r\n") + b"abc", 400),
    "GET with chunks": (get(extra=CHUNKED) + b"3\r\nabc\r\n0\r\n\r\n", 400),
    "HEAD with chunks": (get(line=b"HEAD /api/ps HTTP/1.1\r\n", extra=CHUNKED) + b"3\r\nabc\r\n0\r\n\r\n", 400),
    "HEAD with a length": (get(line=b"HEAD /api/ps HTTP/1.1\r\n", extra=b"Content-Length: 3\r\n") + b"abc", 400),
    "an unknown expectation": (post(extra=b"Expect: x\r\n"), 417),
    "an expectation in a list": (post(extra=b"Expect: y 100-continue\r\n"), 417),
}

PASSES = {
    "an empty line before the request": b"\r\n" + post(),
    "a length with leading zeros": post(framing=b"Content-Length: 0%d\r\n" % len(BODY)),
    "a length with white space around it": post(framing=b"Content-Length:\t %d \r\n" % len(BODY)),
    "white space around a value": post(extra=b"X-Other: \t y \t\r\n"),
    "no white space before a value": post(extra=b"X-Other:y\r\n"),
    "an empty value": post(extra=b"X-Other:\r\n"),
    "a tab within a value": post(extra=b"X-Other: a\tb\r\n"),
    "names in other letters": post().replace(b"Content-Length", b"cOnTENT-leNGth"),
    "a host with a port": post(host=b"Host: gateway.test:8080\r\n"),
    "an IPv6 host": post(host=b"Host: [::1]:8080\r\n"),
    "an absolute target": post(line=b"POST http://gateway.test/v1/chat/completions HTTP/1.1\r\n"),
    "an absolute target in other letters":
        post(line=b"POST http://Gateway.TEST/v1/chat/completions HTTP/1.1\r\n"),
    "HTTP/1.0 without a host": post(line=LINE.replace(b"1.1", b"1.0"), host=b""),
    "chunks": post(framing=CHUNKED, body=CHUNKS),
    "chunked in other letters": post(framing=b"Transfer-Encoding: Chunked\r\n", body=CHUNKS),
    "an upgrade that is not taken": post(extra=b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                                               b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"),
    "Connection that names our own fields":
        post(extra=b"Connection: X-Request-ID, Authorization, Content-Length, X-Forwarded-For, Host\r\n"),
}


class Heads(WireCase):
    @rows(SMUGGLING)
    def smuggling(self, piece, status):
        self.refused(piece, status)

    @rows(named(CODINGS))
    def transfer_encoding(self, piece, status):
        self.refused(piece, status)

    @rows(named(LENGTHS))
    def content_length(self, piece, status):
        self.refused(piece, status)

    @rows(LINE_ENDS)
    def line_end(self, piece, status):
        self.refused(piece, status)

    @rows(WHITE_SPACE)
    def white_space(self, piece, status):
        self.refused(piece, status)

    @rows(CONTROL_BYTES)
    def control_byte(self, piece, status):
        self.refused(piece, status)

    @rows(named(NAMES))
    def name(self, piece, status):
        self.refused(piece, status)

    @rows(HOSTS)
    def host(self, piece, status):
        self.refused(piece, status)

    @rows(REQUEST_LINES)
    def request_line(self, piece, status):
        self.refused(piece, status)

    @rows(UNIQUE)
    def field_twice(self, piece, status):
        self.refused(piece, status)

    @rows(BODIES)
    def body_out_of_place(self, piece, status):
        self.refused(piece, status)

    @rows(PASSES)
    def well_formed(self, piece):
        self.accepted(piece, BODY)

    def test_the_request_of_these_vectors_is_seen_upstream(self):
        self.accepted(get(), b"", "GET")

    def test_a_target_of_64_KiB_is_refused(self):
        self.refused(get(line=b"GET /" + b"a" * 65535 + b" HTTP/1.1\r\n"), 414)

    def test_a_content_coding_named_chunked_is_refused(self):
        response = self.ask(CONTENT_CODING.replace(MARK, self.key.encode()))
        self.assert_refused(response, 415, "UNSUPPORTED_MEDIA_TYPE")


class BodiesOutOfPlace(WireCase):
    """What takes no body is refused with one, and the body is never read as a request."""

    INSIDE = get()
    CASES = {
        "DELETE": (b"DELETE /v1/chat/completions HTTP/1.1\r\n", b"POST"),
        "OPTIONS": (b"OPTIONS /v1/chat/completions HTTP/1.1\r\n", b"POST"),
        "DELETE of what is only read": (b"DELETE /v1/models HTTP/1.1\r\n", b"GET, HEAD"),
        "OPTIONS of what is only read": (b"OPTIONS /v1/models HTTP/1.1\r\n", b"GET, HEAD"),
    }

    def sent(self, line, framing, body):
        behind = request("GET", "/livez")
        return get(line=line, extra=framing).replace(MARK, self.key.encode()) + body + behind

    def inside(self):
        return self.INSIDE.replace(MARK, self.key.encode())

    @rows(CASES)
    def with_a_length(self, line, allow):
        asked, body = len(self.upstream.requests), self.inside()
        with self.client() as client:
            client.send(self.sent(line, b"Content-Length: %d\r\n" % len(body), body))
            response = client.read()
            self.assert_refused(response, 405, "METHOD_NOT_ALLOWED")
            self.assertEqual(response.get("allow"), allow.decode())
            self.assertFalse(response.closes())
            self.assertEqual(client.read().status, 200)  # the request behind, and nothing else
            client.send(request("GET", "/livez", [("Connection", "close")]))
            self.assertEqual(client.read().status, 200)
            client.expect_closed()
        self.assertEqual(len(self.upstream.requests), asked)

    @rows(CASES)
    def with_chunks(self, line, allow):
        asked, body = len(self.upstream.requests), self.inside()
        with self.client() as client:
            client.send(self.sent(line, CHUNKED, b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)))
            response = client.read()
            self.assert_refused(response, 405, "METHOD_NOT_ALLOWED")
            self.assertEqual(response.get("allow"), allow.decode())
            self.assertTrue(response.closes())  # where the chunks end is not looked for
            client.expect_closed()
        self.assertEqual(len(self.upstream.requests), asked)


class Limits(WireCase):
    sections = {"server": {"max_header_line": 8192, "max_header_bytes": 65536}}

    def test_a_line_at_the_limit_passes_and_one_byte_more_does_not(self):
        for more, statuses in [(0, {200}), (1, {431})]:
            value = "v" * (8192 - len("X-Long: ") + more)
            response = self.chat(fields=[("X-Long", value)])
            self.assertIn(response.status, statuses)

    def test_a_long_target_is_refused(self):
        response = self.get("/v1/" + "a" * 9000, key=self.key)
        self.assert_refused(response, 414, "URI_TOO_LONG")

    def test_an_endless_line_is_refused_without_its_end(self):
        with self.client() as client:
            client.send(b"GET /" + b"a" * 20000)
            self.assertEqual(client.read().status, 414)
            client.expect_closed()

    def test_an_endless_field_is_refused_without_its_end(self):
        with self.client() as client:
            client.send(b"GET / HTTP/1.1\r\nX: " + b"a" * 20000)
            self.assertEqual(client.read().status, 431)
            client.expect_closed()

    def head_of(self, size):
        """A request whose head, with the empty line, has so many bytes."""
        lines = [b"X-%d: " % i + b"v" * 8000 + b"\r\n" for i in range(8)]
        head = post(extra=b"".join(lines) + b"X-Last: \r\n", body=b"").replace(MARK, self.key.encode())
        return head.replace(b"X-Last: ", b"X-Last: " + b"v" * (size - len(head))) + BODY

    def test_a_head_of_64_KiB_passes_and_one_byte_more_does_not(self):
        with self.client() as client:
            self.assertEqual(client.ask(self.head_of(65536)).status, 200)
            self.assertEqual(client.ask(self.head_of(65536)).status, 200)
            self.assert_refused(client.ask(self.head_of(65537)), 431, "HEADERS_TOO_LARGE")
            client.expect_closed()

    def test_a_head_that_is_too_large_is_refused(self):
        response = self.chat(fields=[(f"X-{i}", "v" * 8000) for i in range(10)])
        self.assert_refused(response, 431, "HEADERS_TOO_LARGE")

    def test_a_hundred_fields_pass_and_one_more_does_not(self):
        # Host, Authorization, Content-Type and Content-Length are four of them.
        self.assertEqual(self.chat(fields=[(f"X-{i}", "v") for i in range(96)]).status, 200)
        response = self.chat(fields=[(f"X-{i}", "v") for i in range(97)])
        self.assert_refused(response, 431, "HEADERS_TOO_LARGE")

    def test_a_hundred_pipelined_requests_are_answered_in_order(self):
        with self.client() as client:
            pieces = [request("GET", "/livez" if i % 2 else "/nothing-here", key=self.key)
                      for i in range(100)]
            client.send(b"".join(pieces))
            statuses = [client.read().status for _ in pieces]
        self.assertEqual(statuses, [200 if i % 2 else 403 for i in range(100)])


class SlowHeads(WireCase):
    sections = {"server": {"header_timeout": "1s", "body_timeout": "1s", "idle_timeout": "1s"}}

    def test_a_head_that_does_not_end_is_given_up(self):
        with self.client() as client:
            client.send(b"GET /livez HTTP/1.1\r\nHost: gate")
            self.assertEqual(client.read().status, 408)
            client.expect_closed()

    def test_the_deadline_of_a_head_is_absolute(self):
        with self.client() as client:
            client.send(b"GET /livez HTTP/1.1\r\nHost: a\r\n")
            client.sock.settimeout(0.1)
            for _ in range(60):  # one more byte each time nothing came for a moment
                client.send(b"X")
                try:
                    if client.sock.recv(1):
                        break
                except TimeoutError:
                    continue
            else:
                self.fail("a trickle of bytes kept the head alive")

    def test_a_body_that_stops_is_given_up(self):
        with self.client() as client:
            piece = request("POST", "/v1/chat/completions", body=BODY, key=self.key)
            client.send(piece[:-5])
            self.assert_refused(client.read(), 408, "REQUEST_TIMEOUT")
            client.expect_closed()

    def test_a_chunked_body_without_its_end_is_given_up(self):
        for cut in (len(b"0\r\n\r\n"), 1):
            with self.client() as client:
                client.send(post(framing=CHUNKED, body=CHUNKS[:-cut]).replace(MARK, self.key.encode()))
                self.assert_refused(client.read(), 408, "REQUEST_TIMEOUT")
                client.expect_closed()

    def test_an_idle_connection_is_closed_without_a_word(self):
        with self.client() as client:
            self.assertEqual(client.ask(request("GET", "/livez")).status, 200)
            client.expect_closed()
