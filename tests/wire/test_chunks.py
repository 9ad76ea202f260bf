"""Chunked bodies: decoded strictly, and forwarded under one framing of our own."""

from tools.case import MARK, WireCase, rows

HEAD = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer " + MARK
        + b"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
BODY = b'{"model":"m","messages":[]}'
SIZE = b"%x" % len(BODY)
END = b"0\r\n\r\n"


def sized(size):
    return HEAD + size + b"\r\n" + BODY + b"\r\n" + END


def trailed(trailer):
    return HEAD + SIZE + b"\r\n" + BODY + b"\r\n0\r\n" + trailer + b"\r\n"


SIZES = [
    b"0x1b", b"+1b", b"-1b", b"-0", b" 1b", b"1b ", b"\t1b", b"1b\t", b"", b"1b_", b"1_b", b"1g", b"1b\x00",
    b"1b,", b"1b,1b", b"\x0c1b", b"FFFFFFFFFFFFFFFF", b"10000000000000001b", b"8000000000000000",
    b"7fffffffffffffff0", b"0" * 64 + b"1b", b"0" * 10000 + b"1b", b"'1b'", b"1b\r", b"\r1b", b"\xef\xbc\x91b",
]

LINE_ENDS = {
    "LF after the size": (HEAD + SIZE + b"\n" + BODY + b"\r\n" + END, 400),
    "CR after the size": (HEAD + SIZE + b"\r" + BODY + b"\r\n" + END, 400),
    "LF after the content": (HEAD + SIZE + b"\r\n" + BODY + b"\n" + END, 400),
    "CR after the content": (HEAD + SIZE + b"\r\n" + BODY + b"\r" + END, 400),
    "nothing after the content": (HEAD + SIZE + b"\r\n" + BODY + END, 400),
    "more content than the size": (HEAD + b"5\r\n" + BODY + b"\r\n" + END, 400),
    "two bytes that are no line end": (HEAD + SIZE + b"\r\n" + BODY + b"XX" + END, 400),
    "LF after the last size": (HEAD + SIZE + b"\r\n" + BODY + b"\r\n0\n\r\n", 400),
    "LF at the very end": (HEAD + SIZE + b"\r\n" + BODY + b"\r\n0\r\n\n", 400),
    "CR and no LF at the very end": (HEAD + SIZE + b"\r\n" + BODY + b"\r\n0\r\n\rX", 400),
    "CR twice after the last size": (HEAD + SIZE + b"\r\n" + BODY + b"\r\n0\r\r\n\r\n", 400),
    "LF at the end of the trailers": (HEAD + SIZE + b"\r\n" + BODY + b"\r\n0\r\nX: y\r\n\n", 400),
    "a last chunk of zeros without end": (HEAD + SIZE + b"\r\n" + BODY + b"\r\n" + b"0" * 64 + b"\r\n\r\n", 400),
}

EXTENSIONS = {
    "CR in it": (sized(SIZE + b";a=b\rc"), 400),
    "LF in it": (sized(SIZE + b";a=b\nc"), 400),
    "CR in its white space": (sized(SIZE + b"; \r a"), 400),
    "CR LF in quotes": (sized(SIZE + b';a="\r\n0\r\n\r\n"'), 400),
    "a control byte": (sized(SIZE + b";a=\x00"), 400),
    "no name": (sized(SIZE + b";=b"), 400),
    "quotes that do not end": (sized(SIZE + b';a="b'), 400),
    "no semicolon": (sized(SIZE + b" a=b"), 400),
    "more than 256 bytes": (sized(SIZE + b";a=" + b"b" * 300), 400),
    "more than 256 bytes in all":
        (HEAD + b"".join(b"1;abcdefghijklmnopqrstuvwxyz=1234567890\r\n%c\r\n" % byte for byte in BODY) + END, 400),
}

TRAILERS = {
    "Host": (trailed(b"Host: evil.test\r\n"), 400),
    "Content-Length": (trailed(b"Content-Length: 5\r\n"), 400),
    "Transfer-Encoding": (trailed(b"Transfer-Encoding: chunked\r\n"), 400),
    "Authorization": (trailed(b"Authorization: Bearer x\r\n"), 400),
    "no colon": (trailed(b"NoColon\r\n"), 400),
    "a space before the colon": (trailed(b"X : y\r\n"), 400),
    "a fold": (trailed(b"X: y\r\n z\r\n"), 400),
    "LF after a line": (trailed(b"X: y\n"), 400),
    "CR in a value": (trailed(b"X: y\rz\r\n"), 400),
    "NUL in a value": (trailed(b"X: \x00\r\n"), 400),
    "too many bytes": (trailed(b"X: " + b"y" * 9000 + b"\r\n"), 400),
    "too many lines": (trailed(b"X: y\r\n" * 200), 400),
}

PASSES = {
    "one chunk": sized(SIZE),
    "capital digits": sized(SIZE.upper()),
    "leading zeros": sized(b"000" + SIZE),
    "one byte a chunk": HEAD + b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + END,
    "an extension": sized(SIZE + b";a=b"),
    "an extension without a value": sized(SIZE + b";a"),
    "a quoted extension": sized(SIZE + b';a="b c;d"'),
    "two extensions": sized(SIZE + b";a=b;c=d"),
    "an extension of the last chunk": HEAD + SIZE + b"\r\n" + BODY + b"\r\n0;a=b\r\n\r\n",
    "a trailer": trailed(b"X-Trailer: y\r\n"),
}


class Chunks(WireCase):
    @rows({f"{i} {size[:20]!r}": size for i, size in enumerate(SIZES)})
    def size(self, size):
        self.refused(sized(size), 400)

    @rows(LINE_ENDS)
    def line_end(self, piece, status):
        self.refused(piece, status)

    @rows(EXTENSIONS)
    def extension(self, piece, status):
        self.refused(piece, status)

    @rows(TRAILERS)
    def trailer(self, piece, status):
        self.refused(piece, status)

    @rows(PASSES)
    def well_formed(self, piece):
        self.accepted(piece, BODY)

    def test_a_trailer_never_becomes_a_field(self):
        self.accepted(trailed(b"X-Trailer: y\r\nX-Role: admin\r\n"), BODY)
        sent = self.upstream.calls()[-1]
        self.assertEqual(sent.values("x-trailer") + sent.values("x-role"), [])

    def send_chunks(self, size, count):
        """A JSON body of `count` chunks of `size` bytes."""
        start, end = b'{"model":"m","messages":[],"x":"', b'"}'
        body = start + b"x" * (size * count - len(start) - len(end)) + end
        piece = HEAD.replace(MARK, self.key.encode()) + b"".join(
            b"%x\r\n%s\r\n" % (size, body[at:at + size]) for at in range(0, len(body), size)) + END
        with self.client() as client:
            client.send(piece)
            return client.read(), body

    def test_many_chunks_of_ten_bytes_pass(self):
        response, body = self.send_chunks(10, 100000)
        self.assertEqual(response.status, 200, response)
        self.assertEqual(self.upstream.calls()[-1].body, body)

    def test_more_framing_than_content_is_refused(self):
        response, _ = self.send_chunks(1, 100000)
        self.assert_refused(response, 400, "VALIDATION_ERROR")

    def test_a_million_chunks_are_refused_long_before_their_end(self):
        calls, step, end = self.calls(), b"1\r\nx\r\n" * 4096, 1_000_000 * 6
        with self.client() as client:
            client.send(HEAD.replace(MARK, self.key.encode()) + b'12\r\n{"model":"m","x":"\r\n')
            sent = 0
            while sent < end and not client.is_readable():
                client.send(step)
                client.wait_read()
                sent += len(step)
            self.assertLess(sent, end // 10)
            response = client.read()
            self.assert_refused(response, 400, "VALIDATION_ERROR")
            self.assertIn("chunk_overhead", response.json()["detail"])
            self.assertTrue(response.closes())
            client.expect_closed()
        self.assertEqual(self.calls(), calls)

    def test_a_request_after_a_refused_body_is_not_read(self):
        calls = self.calls()
        inner = HEAD + SIZE + b"\r\n" + BODY + b"\r\n" + END
        with self.client() as client:
            client.send((sized(b"zz") + inner).replace(MARK, self.key.encode()))
            self.assertEqual(client.read().status, 400)
            client.expect_closed()
        self.assertEqual(self.calls(), calls)
