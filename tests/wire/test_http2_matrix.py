"""One table of requests over HTTP/1.1 and HTTP/2, each plain and over TLS: whichever way a request comes, the
client gets the same answer, the upstream the same request, and the log the same line."""

import json

from tools import upstream as answers
from tools.case import rows
from tools.client import BadAnswer, Client, chat, request
from tools.http2 import Http2Case, Http2Client, tls_context

CARRIERS = [(1, False), (2, False), (1, True), (2, True)]  # HTTP's version, TLS
# What belongs to a connection, or says that the way was a safe one.
FRAMING = {b"connection", b"transfer-encoding", b"strict-transport-security", b"date"}
CHANGING = {b"x-ratelimit-remaining", b"x-ratelimit-reset"}
LOG_CHANGING = {"request_id", "time", "request_time", "upstream_ms", "overhead_us"}
CHAT = "/v1/chat/completions"
PAGE = ("Origin", "https://page.test")
STRANGE = ("Origin", "https://strange.test")
LIMIT = 1024 * 1024 + 4096
BAD_KEY = "sp_000000000000_" + "0" * 49
GIVEN, NONE = object(), object()  # the caller's key, and no key


def text(size):
    """A chat of exactly `size` bytes."""
    empty = json.dumps(chat(content="")).encode()
    return json.dumps(chat(content="x" * (size - len(empty)))).encode()


class Row:
    def __init__(self, method="POST", path=CHAT, fields=(), body=None, key=GIVEN, complete=True):
        self.method, self.path, self.fields, self.body, self.key = method, path, fields, body, key
        self.complete = complete


def post(body, **options):
    return Row(body=json.dumps(body).encode() if isinstance(body, dict) else body, **options)


def get(path, **options):
    return Row("GET", path, **options)


ROWS = {
    "a chat": post(chat()),
    "a stream": post(chat(stream=True)),
    "a stream of Ollama's": post(chat(stream=True), path="/api/chat"),
    "a long answer": post(chat("long")),
    "a long stream": post(chat("long stream", stream=True)),
    "no body at all": Row(body=b""),
    "a body of 1": post(b"1"),
    "a body of 1 that is no JSON": post(b"{"),
    "a body of 64 KiB": post(text(65536)),
    "a body of 1 MiB": post(text(1024 * 1024)),
    "a body one over the limit": post(text(LIMIT + 1)),
    "a body far over the limit": post(text(4 * 1024 * 1024)),
    "duplicate members": post(b'{"model":"m","model":"other","messages":[]}'),
    "no model": post({"messages": []}),
    "a model nobody has": post(chat("nobody's")),
    "models": get("/v1/models"),
    "tags": get("/api/tags"),
    "HEAD models": Row("HEAD", "/v1/models"),
    "HEAD of a page": Row("HEAD", "/livez", key=NONE),
    "alive": get("/livez", key=NONE),
    "ready": get("/readyz", key=NONE),
    "the root": get("/", key=NONE),
    "not there": get("/none"),
    "a path nobody listed": get("/v1/files"),
    "a path with dots": get("/v1/../admin"),
    "a path with a fragment": get("/v1/models%23"),
    "a path with an encoded slash": get("/v1%2fmodels"),
    "a key in the query": get("/v1/models?key=" + BAD_KEY),
    "another method": Row("DELETE", "/v1/models"),
    "an unknown method": Row("BREW", "/v1/models"),
    "no key": post(chat(), key=NONE),
    "no key for a list": get("/v1/models", key=NONE),
    "a wrong key": post(chat(), key=BAD_KEY),
    "no key at all in the field": post(chat(), key=""),
    "two credentials": post(chat(), fields=[("x-api-key", BAD_KEY)]),
    "a type that is none": post(chat(), fields=[("Content-Type", "text/plain")]),
    "an encoded body": post(chat(), fields=[("Content-Encoding", "gzip")]),
    "a body where none belongs": Row("GET", "/v1/models", body=b"{}"),
    "plain text is preferred": get("/none", fields=[("Accept", "text/plain")]),
    "a correlation id": post(chat(), fields=[("X-Correlation-ID", "abc.1-2_3")]),
    "a bad correlation id": post(chat(), fields=[("X-Correlation-ID", "a b")]),
    "fields for the upstream": post(chat(), fields=[("X-One", "1"), ("X-Two", "a, b"), ("X-Two", "c")]),
    "fields not for the upstream": post(chat(), fields=[("X-Forwarded-For", "10.1.2.3"), ("Via", "1.1 x"),
                                                        ("Forwarded", "for=1.2.3.4"), ("X-Real-IP", "1.2.3.4")]),
    "cookies": post(chat(), fields=[("Cookie", "a=1; b=2")]),
    "a page": post(chat(), fields=[PAGE]),
    "a strange page": post(chat(), fields=[STRANGE]),
    "a refused page": post(chat(), fields=[PAGE], key=NONE),
    "a preflight": Row("OPTIONS", CHAT, [PAGE, ("Access-Control-Request-Method", "POST")], key=NONE),
    "a strange preflight": Row("OPTIONS", CHAT, [STRANGE, ("Access-Control-Request-Method", "POST")], key=NONE),
    "an unknown expectation": post(chat(), fields=[("Expect", "the unexpected")]),
    "101 fields": get("/livez", fields=[(f"x-{n}", "1") for n in range(110)], key=NONE),
    "a long head": get("/livez", fields=[("x-long", "v" * 9000)] * 4, key=NONE),
    "a long path": get("/" + "p" * 20000, key=NONE),
    "upstream: 400": post(chat("400")),
    "upstream: 401": post(chat("401")),
    "upstream: 404": post(chat("404")),
    "upstream: 429": post(chat("429")),
    "upstream: 500": post(chat("500")),
    "upstream: 503": post(chat("503")),
    "upstream: 204": post(chat("204")),
    "upstream: empty": post(chat("empty")),
    "upstream: fields of its own": post(chat("own fields")),
    "upstream: garbage": post(chat("garbage")),
    "upstream: closes": post(chat("closes")),
    "upstream: resets": post(chat("resets")),
    "upstream: short": post(chat("short"), complete=False),
    "upstream: ends a stream": post(chat("cut", stream=True), complete=False),
    "upstream: ends a stream of Ollama's": post(chat("cut lines", stream=True), path="/api/chat", complete=False),
    "upstream: bad chunk": post(chat("bad chunk", stream=True), complete=False),
}


class Outcome:
    """What can be compared: what differs with every request is replaced by its name."""

    def __init__(self, response, head_only, upstream):
        self.response = response
        self.id = response.get("x-request-id").encode()
        fields = sorted((name, b"-" if name in CHANGING else self.plain(value)) for name, value in response.fields
                        if name not in FRAMING and (name != b"content-length" or head_only))
        self.seen = {"status": response.status, "fields": fields, "body": self.plain(bytes(response.body)),
                     "complete": response.complete, "upstream": upstream}

    def plain(self, value):
        return value.replace(self.id, b"<id>")

    def take_line(self, line):
        line = {name: value for name, value in line.items() if name not in LOG_CHANGING}
        line["request"] = line["request"].replace("HTTP/2.0", "HTTP/1.1")
        self.seen["log"] = line


class Matrix(Http2Case):
    with_tls = True
    outcomes = {}
    server = {"max_body": str(LIMIT), "cors_origins": ["https://page.test"]}

    @classmethod
    def set_up(cls):
        head = answers.answer_head
        stream_head = head(200, "text/event-stream") + b"Transfer-Encoding: chunked\r\n\r\n"
        lines_head = head(200, "application/x-ndjson") + b"Transfer-Encoding: chunked\r\n\r\n"
        cls.upstream.answers |= {
            **{str(status): answers.whole({"error": "from upstream"}, status)
               for status in (400, 401, 404, 429, 500, 503)},
            "204": answers.raw(b"HTTP/1.1 204 None\r\n\r\n", keep=True),
            "empty": answers.whole(b""),
            "long": answers.whole({"text": "long " * 200000}),
            "long stream": answers.chunked([answers.delta(f"word {n} ") for n in range(3000)] + [answers.DONE]),
            "own fields": answers.whole({}, extra=["Set-Cookie: a=1", "Server: x", "X-Own: 1", "X-Own: 2",
                                                   "Cache-Control: public", "Connection: X-Gone", "X-Gone: 1"]),
            "garbage": answers.raw(b"garbage\r\n\r\n"),
            "closes": answers.raw(b""),
            "resets": answers.raw(b"", reset=True),
            "short": answers.raw(head() + b"Content-Length: 100\r\n\r\n" + b'{"half":'),
            "cut": answers.raw(stream_head + answers.chunk(answers.delta("one"))),
            "cut lines": answers.raw(lines_head + answers.chunk(b'{"done":false}\n')),
            "bad chunk": answers.raw(stream_head + answers.chunk(answers.delta("one")) + b"zz\r\n"),
        }

        for name, row in ROWS.items():
            for carrier in CARRIERS:
                cls.outcomes[name, carrier] = cls.outcome(row, carrier)
        cls.read_log()

    @classmethod
    def outcome(cls, row, carrier):
        calls = len(cls.upstream.calls())
        try:
            response = cls.over(row, *carrier)
        except AssertionError as failure:
            return failure
        seen = [(asked.method, asked.path, sorted(pair for pair in asked.fields if pair[0] != b"x-request-id"),
                 asked.body) for asked in cls.upstream.calls()[calls:]]
        return Outcome(response, row.method == "HEAD", seen)

    @classmethod
    def over(cls, row, version, tls):
        key = {GIVEN: cls.key, NONE: None}.get(row.key, row.key)
        port = cls.gateway.ports[1] if tls else cls.gateway.port
        if version == 1:
            with Client(port, cls.gateway.answers) as client:
                if tls:
                    client.sock = tls_context("http/1.1").wrap_socket(client.sock, server_hostname="localhost")
                client.send(request(row.method, row.path, row.fields, row.body, key))
                return client.read(row.method)
        with Http2Client(port, cls.gateway.answers, tls_context("h2") if tls else None) as client:
            stream = client.ask(row.method, row.path, row.fields, row.body, key)
            if not client.ping() or client.goaways:
                raise BadAnswer("the connection did not go on")
            return stream

    @classmethod
    def read_log(cls):
        """Lines are on disk within a second of the last answer."""
        outcomes = [outcome for outcome in cls.outcomes.values() if isinstance(outcome, Outcome)]
        cls.gateway.logged(outcomes[-1].response)
        lines = {line["request_id"]: line for line in cls.gateway.access_log()}
        for outcome in outcomes:
            outcome.take_line(lines[outcome.id.decode()])

    @rows({name: name for name in ROWS})
    def same_on_every_carrier(self, name):
        first = self.outcomes[name, CARRIERS[0]]
        if isinstance(first, AssertionError):
            raise first
        self.assertEqual(first.seen["complete"], ROWS[name].complete)
        for carrier in CARRIERS[1:]:
            with self.subTest(carrier=carrier):
                outcome = self.outcomes[name, carrier]
                if isinstance(outcome, AssertionError):
                    raise outcome
                for part, expected in first.seen.items():
                    self.assertEqual(outcome.seen[part], expected, part)
