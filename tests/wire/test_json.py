"""JSON bodies: one text that can be read in one way only, forwarded as the very bytes that were read."""

import json

from tools.case import WireCase, rows
from tools.client import chat, request

# Values that stand in the body's member "x". Accepted as they are.
GOOD_VALUES = [
    b"0", b"-0", b"1", b"-1", b"1.5", b"1e5", b"1E+5", b"1e-5", b"0.1", b"123456789012345678901234567890",
    b"true", b"false", b"null", b'""', b'"a"', b'"\\u0061"', b'"\\ud83d\\ude00"', '"\u00e9\U0001f600"'.encode(),
    b'"\\"\\\\\\/\\b\\f\\n\\r\\t"', b'"\x7f"', b"[]", b"{}", b"[1,2]", b'{"a":1}', b'{"a":{"a":{"a":1}}}',
    b'{"":0}', b'{"__proto__":{"x":1},"constructor":2}', b" \t\r\n1 \t\r\n", b'"\\u0000"', b'"\xe2\x80\xa8"',
    b'"\xef\xbf\xbf"', b'[[],{},[[]]]', b'"\xf4\x8f\xbf\xbf"', b'{"a":1,"A":2}', b"-1.0e-10",
    b"[" * 60 + b"]" * 60,
]

BAD_VALUES = [
    # numbers
    b"01", b"-01", b"+1", b"1.", b".5", b"-", b"1e", b"1e+", b"0x10", b"1_000", b"NaN", b"Infinity", b"-Infinity",
    b"1.5.5", b"1e5.5", b"--1", b"1 2", b"\xef\xbc\x91", b"1e400", b"-1e400", b"1" * 65, b"0." + b"1" * 80, b"00",
    # literals
    b"True", b"TRUE", b"tru", b"truee", b"nul", b"None", b"undefined", b"a",
    # strings
    b"'a'", b'"a', b'a"', b'"\\x41"', b'"\\u00"', b'"\\u00g0"', b'"\\U0041"', b'"\\a"', b'"\\', b'"\n"', b'"\t"',
    b'"\x00"', b'"\x1f"', b'"\\ud800"', b'"\\udc00"', b'"\\ud800\\u0061"', b'"\\udc00\\ud800"', b'"\\ud800\\ud800"',
    # UTF-8
    b'"\xff"', b'"\xfe"', b'"\x80"', b'"\xbf"', b'"\xc0\xaf"', b'"\xc1\xbf"', b'"\xe0\x80\xaf"', b'"\xf0\x80\x80\xaf"',
    b'"\xed\xa0\x80"', b'"\xed\xbf\xbf"', b'"\xed\xa0\xbd\xed\xb8\x80"', b'"\xf4\x90\x80\x80"', b'"\xf8\x88\x80\x80\x80"',
    b'"\xe2\x82"', b'"\xe2"', b'"\xc3("',
    # structure
    b"", b"[1,]", b"[,1]", b"[1,,2]", b"[1 2]", b"[", b"]", b"[1", b"[1}", b'{"a":1,}', b'{,"a":1}', b'{"a"}', b'{"a":}',
    b'{"a" 1}', b"{a:1}", b"{1:1}", b"{'a':1}", b'{"a":1', b'{"a":1]', b'{"a":1 "b":2}', b'{"a":1,"b"}', b"{null:1}",
    b'{"a"::1}', b'["a":1]', b"1,", b":1",
    # what others let pass
    b"// x\n1", b"/* x */1", b"1 // x", b"#x\n1", b"\xef\xbb\xbf1", b"\x0b1", b"\x0c1", b"\xc2\xa01", b"\xe2\x80\x831",
    # duplicates
    b'{"a":1,"a":2}', b'{"a":1,"a":1}', b'{"a":1,"b":2,"a":3}', b'{"a":1,"\\u0061":2}', b'[{"a":1,"a":2}]',
    b'{"a":{"b":1,"b":2}}', b'{"":1,"":2}', b'{"\\n":1,"\\u000a":2}', b'{"\\ud83d\\ude00":1,"\xf0\x9f\x98\x80":2}',
    b"[" * 64 + b"]" * 64, b'{"a":' * 70 + b"1" + b"}" * 70,
]

# Whole bodies.
BAD_BODIES = {
    "two models": b'{"model":"m","model":"other","messages":[]}',
    "two models, one escaped": b'{"model":"m","mod\\u0065l":"other","messages":[]}',
    "two streams": b'{"model":"m","stream":false,"stream":true}',
    "a duplicate within tools": b'{"model":"m","tools":[{"name":"a","name":"b"}]}',
    "empty": b"", "white space": b" \r\n\t ", "two documents": b'{"model":"m"}{"model":"m"}',
    "something after the end": b'{"model":"m"}x', "a comma after the end": b'{"model":"m"},',
    "NUL after the end": b'{"model":"m"}\x00', "a byte order mark": b'\xef\xbb\xbf{"model":"m"}',
    "UTF-16": '{"model":"m"}'.encode("utf-16"), "UTF-16 without a mark": '{"model":"m"}'.encode("utf-16-le"),
    "UTF-32": '{"model":"m"}'.encode("utf-32"), "cut short": b'{"model":"m"', "a form": b"model=m&messages=x",
    "an array": b'[{"model":"m"}]', "a string": b'"m"', "a number": b"1", "null": b"null",
    "deep arrays": b"[" * 100000, "deep objects": b'{"a":' * 100000,
    "too many members": b'{"model":"m",' + b",".join(b'"k%d":1' % i for i in range(100001)) + b"}",
}

# Members of the wrong kind, and the parameter that the refusal names.
BAD_MEMBERS = {
    "no model": ({"messages": []}, "model"),
    "model null": ({"model": None}, "model"), "model a number": ({"model": 1}, "model"),
    "model a list": ({"model": ["m"]}, "model"), "model an object": ({"model": {}}, "model"),
    "model empty": ({"model": ""}, "model"), "model with NUL": ({"model": "m\0"}, "model"),
    "model with a line end": ({"model": "m\r\nX: y"}, "model"), "model of 1 MiB": ({"model": "m" * 2**20}, "model"),
    "stream a string": ({"model": "m", "stream": "true"}, "stream"),
    "stream a number": ({"model": "m", "stream": 1}, "stream"),
    "stream a list": ({"model": "m", "stream": [True]}, "stream"),
}

BAD_TYPES = {
    "none": [], "text": ["text/plain"], "a form": ["application/x-www-form-urlencoded"],
    "multipart": ["multipart/form-data; boundary=x"], "UTF-16": ["application/json; charset=utf-16"],
    "UTF-7": ["application/json; charset=utf-7"], "JSON with a tail": ["application/jsonx"],
    "JSON lines": ["application/x-ndjson"], "a list": ["application/json, text/plain"], "empty": [""],
}
GOOD_TYPES = ["application/json", "Application/JSON", "application/json; charset=utf-8",
              "application/json;charset=UTF-8", 'application/json; charset="utf-8"']
LIMIT = 4 * 2**20
BAD_CODINGS = ["gzip", "deflate", "br", "zstd", "x", "gzip, gzip"]


def body_with(value):
    return b'{"model":"m","messages":[],"x":' + value + b"}"


class Json(WireCase):
    sections = {"server": {"max_body": "4MB"}}

    def send(self, body, fields=()):
        return self.ask(request("POST", "/v1/chat/completions", fields, body, self.key))

    @rows({f"{i} {value[:24]!r}": value for i, value in enumerate(GOOD_VALUES)})
    def good_value(self, value):
        body = body_with(value)
        response = self.send(body)
        self.assertEqual(response.status, 200, response)
        self.assertEqual(self.upstream.calls()[-1].body, body, "forwarded byte for byte")

    @rows({f"{i} {value[:24]!r}": value for i, value in enumerate(BAD_VALUES)})
    def bad_value(self, value):
        calls = self.calls()
        self.assert_refused(self.send(body_with(value)), 400, "VALIDATION_ERROR")
        self.assertEqual(self.calls(), calls)

    @rows(BAD_BODIES)
    def bad_body(self, body):
        calls = self.calls()
        self.assert_refused(self.send(body), 400, "VALIDATION_ERROR")
        self.assertEqual(self.calls(), calls)

    @rows(BAD_MEMBERS)
    def bad_member(self, document, param):
        response = self.send(json.dumps(document).encode())
        self.assert_refused(response, 400, "VALIDATION_ERROR")
        self.assertEqual(response.json()["error"]["param"], param)

    @rows({name: (types,) for name, types in BAD_TYPES.items()})
    def content_type(self, types):
        head = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + self.key.encode()
                + b"\r\n" + b"".join(b"Content-Type: " + name.encode() + b"\r\n" for name in types))
        body = json.dumps(chat()).encode()
        response = self.ask(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.assert_refused(response, 415, "UNSUPPORTED_MEDIA_TYPE")

    @rows({name: name for name in GOOD_TYPES})
    def good_content_type(self, name):
        self.assertEqual(self.chat(fields=[("Content-Type", name)]).status, 200)

    @rows({name: name for name in BAD_CODINGS})
    def content_encoding(self, name):
        self.assert_refused(self.chat(fields=[("Content-Encoding", name)]), 415, "UNSUPPORTED_MEDIA_TYPE")

    def test_a_bad_body_is_bad_however_it_is_cut(self):
        for body in [BAD_BODIES["two models, one escaped"], body_with(b'"\xed\xa0\x80"')]:
            piece = request("POST", "/v1/chat/completions", (), body, self.key)
            for name, send, before in self.ways(piece):
                with self.subTest(way=name), self.client() as client:
                    send(client)
                    for _ in range(before):
                        self.assertEqual(client.read().status, 200)
                    self.assert_refused(client.read(), 400)

    def test_many_members_pass(self):
        body = b'{"model":"m",' + b",".join(b'"k%d":1' % i for i in range(50000)) + b"}"
        self.assertEqual(self.send(body).status, 200)

    def test_many_equal_keys_in_different_objects_pass(self):
        body = body_with(b"[" + b",".join([b'{"role":"user","content":"x"}'] * 20000) + b"]")
        self.assertEqual(self.send(body).status, 200)

    @staticmethod
    def body_of(size):
        start, end = b'{"model":"m","x":"', b'"}'
        return start + b"x" * (size - len(start) - len(end)) + end

    def test_a_length_at_the_limit_waits_for_its_body_and_one_more_does_not(self):
        body = self.body_of(LIMIT)
        with self.client() as client:
            client.send_pieces(request("POST", "/v1/chat/completions", [("Content-Length", str(LIMIT))], b"", self.key),
                               body[:1])
            client.wait_read()  # by then the head was judged
            self.assertFalse(client.is_readable())
            self.assertEqual(client.ask(body[1:]).status, 200)
        with self.client() as client:
            client.send(request("POST", "/v1/chat/completions", [("Content-Length", str(LIMIT + 1))], b"", self.key))
            self.assert_refused(client.read(), 413, "PAYLOAD_TOO_LARGE")
            client.expect_closed()

    def test_chunks_up_to_the_limit_pass_and_one_byte_more_does_not(self):
        for more, status in [(0, 200), (1, 413)]:
            body = self.body_of(LIMIT + more)
            response = self.send(b"".join(b"%x\r\n%s\r\n" % (len(body[at:at + 65536]), body[at:at + 65536])
                                          for at in range(0, len(body), 65536)) + b"0\r\n\r\n",
                                 [("Transfer-Encoding", "chunked")])
            self.assertEqual(response.status, status, response)

    def test_a_body_at_the_limit_passes_and_one_byte_more_does_not(self):
        for more, status in [(0, 200), (1, 413)]:
            response = self.send(self.body_of(LIMIT + more))
            self.assertEqual(response.status, status, response)
            if status == 413:
                self.assert_refused(response, 413, "PAYLOAD_TOO_LARGE")
                self.assertIn("server.max_body", response.json()["detail"])

    def test_a_chunked_body_is_counted_as_it_is_read(self):
        piece = b"%x\r\n%s\r\n" % (65536, b" " * 65536)
        head = request("POST", "/v1/chat/completions", [("Transfer-Encoding", "chunked")], b"", self.key)
        with self.client() as client:
            client.send(head)
            for _ in range(70):
                if not client.send(piece):
                    break
            self.assert_refused(client.read(), 413, "PAYLOAD_TOO_LARGE")

    def test_a_post_without_a_length_is_told_to_send_one(self):
        piece = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                 b"Authorization: Bearer " + self.key.encode() + b"\r\n\r\n")
        self.assert_refused(self.ask(piece), 411, "LENGTH_REQUIRED")

    def test_a_refusal_never_repeats_the_body(self):
        response = self.send(b'{"model":"m","x":"canary-9c1e" "y"}')
        self.assert_refused(response, 400)
        self.assertNotIn(b"canary-9c1e", response.body)
