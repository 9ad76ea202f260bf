"""The base of all wire tests: one recording upstream and one gateway for a whole class, tables whose
rows are tests of their own, and the oracles that look at a single request (O3, O6)."""

import os
import re
import time
import unittest

from tools.client import chat, chat_request, request
from tools.gateway import Gateway
from tools.upstream import Upstream, wait_until

THOROUGH = bool(os.environ.get("SALLYPORT_THOROUGH"))
UPSTREAM_KEY = "upstream-canary-7f1d9c52"
MARK = b"@KEY@"  # stands for the caller's key in a table's bytes

# What an error body says beside each status of a request that cannot be read.
CODES = {400: "VALIDATION_ERROR", 408: "REQUEST_TIMEOUT", 413: "PAYLOAD_TOO_LARGE", 414: "URI_TOO_LONG",
         415: "UNSUPPORTED_MEDIA_TYPE", 417: "EXPECTATION_FAILED", 431: "HEADERS_TOO_LARGE",
         501: "NOT_IMPLEMENTED", 505: "HTTP_VERSION_NOT_SUPPORTED"}


def rows(table):
    """Makes one test of each row: method(self, *row) for every `name: row` of the table."""
    def decorate(method):
        method.table = table
        return method
    return decorate


class RowsType(type):
    def __new__(mcs, name, bases, members):
        for key, method in list(members.items()):
            table = getattr(method, "table", None)
            if table is None:
                continue
            del members[key]
            for row, values in table.items():
                values = values if isinstance(values, tuple) else (values,)
                test_name = f"test_{key} [{row}]"
                assert test_name not in members, test_name
                members[test_name] = mcs.bind(method, values)
        return super().__new__(mcs, name, bases, members)

    @staticmethod
    def bind(method, values):
        return lambda self: method(self, *values)


class WireCase(unittest.TestCase, metaclass=RowsType):
    kind = "ollama"     # serves OpenAI's routes too
    sections = {}
    upstream_members = {}
    answer = None       # the upstream's default
    gateway_class = Gateway
    plain = False       # it is about plain HTTP, or about its ports: SALLYPORT_TLS changes nothing
    longMessage = True

    @classmethod
    def setUpClass(cls):
        cls.upstream = Upstream(default=cls.answer and cls.answer.__func__)
        try:
            cls.gateway = cls.gateway_class(cls.upstream_list(), cls.sections, plain=cls.plain).start()
            cls.key = cls.gateway.key()["key"]
            cls.set_up()
        except BaseException:
            if getattr(cls, "gateway", None):
                cls.gateway.discard()
            cls.upstream.stop()
            raise

    @classmethod
    def upstream_list(cls):
        return [{"name": "main", "kind": cls.kind, "url": cls.upstream.url, "api_key": UPSTREAM_KEY,
                 **cls.upstream_members}]

    @classmethod
    def set_up(cls):
        pass

    @classmethod
    def upstreams_seen(cls):
        """The upstreams that recorded all requests, for oracle O1; None when a test had further ones."""
        return [cls.upstream]

    @classmethod
    def tearDownClass(cls):
        try:
            seen = cls.upstreams_seen()
            cls.gateway.stop(seen, seen or [cls.upstream])
        finally:
            cls.upstream.stop()

    # Asking.

    def client(self, **options):
        return self.gateway.client(**options)

    def ask(self, piece, method="GET"):
        return self.gateway.ask(piece, method)

    def get(self, path, fields=(), key=None, method="GET", **more):
        return self.ask(request(method, path, fields, key=key, **more), method)

    def post(self, path, body, fields=(), key=None, method="POST"):
        return self.ask(request(method, path, fields, body, key))

    def chat(self, key=None, fields=(), path="/v1/chat/completions", **members):
        return self.post(path, chat(**members), fields, key or self.key)

    def calls(self):
        return len(self.upstream.calls())

    def open_connections(self, client):
        """How many the gateway has, the client's own among them."""
        cls = type(self)
        if "monitor_key" not in vars(cls):
            cls.monitor_key = self.gateway.key("connections", "read_metrics")["key"]
        text = client.ask(request("GET", "/metrics/prometheus", key=cls.monitor_key)).body.decode()
        return int(re.search(r"^sallyport_connections (\d+)$", text, re.M)[1])

    def until_alone(self):
        """No connection of before is left, nor the one that asked for that."""
        with self.client() as client:
            wait_until(lambda: self.open_connections(client) == 1, "all other connections to be gone")
            client.leave()

    def tries_until_refused(self, ask, per_minute):
        """How often `ask` may fail in a minute before it gets 429: that often, and once more for each part of the
        minute that a slow machine has taken for it."""
        began, tries = time.monotonic(), 0
        while tries < 4 * per_minute and (response := ask()).status == 401:
            tries += 1
        self.assertEqual(response.status, 429)
        self.assertGreaterEqual(tries, per_minute)
        self.assertLessEqual(tries, per_minute + int((time.monotonic() - began) * per_minute / 60))
        return response

    # Outcomes.

    def assert_refused(self, response, status, code=None):
        self.assertEqual(response.status, status, response)
        self.assertTrue(response.complete, response)
        document = response.json()
        self.assertEqual(document["type"], "error")
        self.assertEqual(document["detail"], document["error"]["message"])
        self.assertEqual(document["request_id"], response.get("x-request-id"))
        if code:
            self.assertEqual(document["error"]["code"], code)

    def ways(self, piece):
        """Oracle O6: the ways in which the same bytes may arrive, as functions of a client."""
        yield "whole", lambda client: client.send(piece), 0
        yield "byte by byte", lambda client: client.send_bytewise(piece), 0
        step = 1 if THOROUGH and len(piece) <= 2048 else max(1, len(piece) // 12)
        for at in range(1, len(piece), step):
            yield f"split at {at}", lambda client, at=at: client.send_split(piece, at), 0
        valid = chat_request(self.key)
        yield "after a valid request", lambda client: client.send(valid + piece), 1

    def refused(self, piece, status):
        """Oracles O3 and O6: whichever way these bytes come, they are refused and the connection is
        closed, and nothing of them goes upstream: no list that the gateway would ask for, either."""
        piece = piece.replace(MARK, self.key.encode())
        head = piece.startswith(b"HEAD ")
        for name, send, before in self.ways(piece):
            asked = len(self.upstream.requests)
            with self.subTest(way=name), self.client() as client:
                send(client)
                for _ in range(before):
                    self.assertEqual(client.read().status, 200)
                response = client.read("HEAD" if head else "GET")
                if head:
                    self.assertEqual(response.status, status, response)
                else:
                    self.assert_refused(response, status, CODES[status])
                self.assertTrue(response.closes(), "Connection: close")
                client.expect_closed()
                self.assertEqual(len(self.upstream.requests), asked + before, "requests upstream")

    def accepted(self, piece, body=None, method="POST"):
        """The counterpart: whichever way these bytes come, they are one request upstream."""
        piece = piece.replace(MARK, self.key.encode())
        for name, send, before in self.ways(piece):
            calls = self.calls()
            with self.subTest(way=name), self.client() as client:
                send(client)
                for _ in range(before):
                    self.assertEqual(client.read().status, 200)
                response = client.read(method)
                self.assertEqual(response.status, 200, response)
                self.assertEqual(self.calls(), calls + before + 1, "requests upstream")
                if body is not None:
                    self.assertEqual(self.upstream.calls()[-1].body, body)
