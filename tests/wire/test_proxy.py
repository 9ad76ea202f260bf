"""What goes through: bodies byte for byte in both directions, the fields that may, and the connection's
behaviour around them."""

import json
import os
import re
import threading
import time

from tools import upstream as answers
from tools.case import UPSTREAM_KEY, WireCase, rows
from tools.client import chat, chat_request, request


class Bodies(WireCase):
    sections = {"server": {"max_body": "32MB"}}

    @rows({"small": 10, "one block": 32768, "a block and a byte": 32769, "1 MiB": 2**20, "20 MiB": 20 * 2**20})
    def request_body_arrives_byte_for_byte(self, size):
        start, end = b'{"model":"m",\r\n\t"x" : "', b'" }\n'
        body = start + (os.urandom(size // 2).hex().encode()) + end
        response = self.ask(request("POST", "/v1/chat/completions", (), body, self.key))
        self.assertEqual(response.status, 200, response)
        self.assertTrue(self.upstream.calls()[-1].body == body, "the same bytes")

    @rows({"empty": 0, "one byte": 1, "64 KiB": 65536, "5 MiB": 5 * 2**20})
    def answer_body_arrives_byte_for_byte(self, size):
        body = os.urandom(size)
        for name, answer in {
                "Content-Length": answers.whole(body, content_type="application/octet-stream"),
                "chunks": answers.chunked([body[at:at + 9999] for at in range(0, size, 9999)],
                                          content_type="application/octet-stream"),
                "until close": answers.raw(answers.answer_head() + b"Connection: close\r\n\r\n" + body)}.items():
            with self.subTest(framing=name):
                model = self.upstream.on(f"body-{size}-{name}", answer)
                response = self.chat(model=model)
                self.assertEqual(response.status, 200, response)
                self.assertTrue(response.complete)
                self.assertTrue(response.body == body, "the same bytes")

    @rows({status: status for status in (200, 201, 400, 404, 409, 422)})
    def status_passes(self, status):
        model = self.upstream.on(f"status-{status}", answers.whole({"error": {"message": "no"}}, status))
        self.assertEqual(self.chat(model=model).status, status)

    @rows({status: status for status in (401, 403, 407, 500)})
    def upstream_trouble_is_not_the_callers(self, status):
        model = self.upstream.on(f"trouble-{status}", answers.whole(
            {"error": "secret-of-the-upstream"}, status, extra=["WWW-Authenticate: Basic realm=inside"]))
        response = self.chat(model=model)
        self.assert_refused(response, 502, "UPSTREAM_ERROR")
        self.assertNotIn(b"secret-of-the-upstream", response.body)
        self.assertIsNone(response.get("www-authenticate"))

    @rows({status: status for status in (503, 504)})
    def upstream_overload_passes_as_it_is(self, status):
        model = self.upstream.on(f"overload-{status}", answers.whole({"error": "busy"}, status))
        self.assertEqual(self.chat(model=model).status, status)

    def test_a_limit_of_the_upstream_passes_with_its_retry_after(self):
        model = self.upstream.on("limited", answers.whole({"error": "slow down"}, 429, extra=["Retry-After: 7"]))
        response = self.chat(model=model)
        self.assertEqual((response.status, response.get("retry-after")), (429, "7"))


class Fields(WireCase):
    def test_host_and_origin_are_those_of_the_upstream(self):
        self.chat(fields=[("Origin", "http://evil.test"), ("Referer", "http://evil.test/x")])
        sent = self.upstream.calls()[-1]
        self.assertEqual(sent.value("host"), f"127.0.0.1:{self.upstream.port}")
        self.assertIn(sent.value("origin"), (None, self.upstream.url))
        self.assertIsNone(sent.value("referer"))

    def test_hop_by_hop_fields_end_here(self):
        fields = [("Connection", "keep-alive, X-Mine, TE"), ("Keep-Alive", "timeout=5"), ("X-Mine", "1"),
                  ("TE", "trailers"), ("Trailer", "X"), ("Upgrade", "websocket"), ("Proxy-Connection", "x"),
                  ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")]
        self.assertEqual(self.chat(fields=fields).status, 200)
        sent = self.upstream.calls()[-1]
        for name, value in fields:
            self.assertNotIn(value.encode(), sent.values(name), name)

    def test_connection_takes_nothing_from_what_we_add(self):
        named = "close, X-Request-ID, Authorization, Content-Length, Content-Type, Host, Via, X-Mine, Accept-Encoding"
        response = self.chat(fields=[("Connection", named), ("X-Mine", "1"), ("X-Request-ID", "mine")])
        self.assertEqual(response.status, 200, response)
        sent = self.upstream.calls()[-1]
        ours = {"Authorization": f"Bearer {UPSTREAM_KEY}", "X-Request-ID": response.get("x-request-id"),
                "Content-Length": str(len(sent.body)), "Host": f"127.0.0.1:{self.upstream.port}",
                "Via": "1.1 sallyport", "Accept-Encoding": "identity"}
        for name, value in ours.items():
            self.assertEqual(sent.values(name), [value.encode()], name)
        self.assertEqual(sent.values("x-mine") + sent.values("connection"), [])

    def test_ordinary_fields_pass(self):
        fields = [("X-Stainless-Lang", "js"), ("anthropic-version", "2023-06-01"),
                  ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("User-Agent", "test/1")]
        self.assertEqual(self.chat(fields=fields).status, 200)
        sent = self.upstream.calls()[-1]
        for name, value in fields:
            self.assertEqual(sent.value(name), value, name)

    def test_an_answer_loses_what_is_not_for_the_client(self):
        dropped = ["Set-Cookie: a=b", "Server: nginx/1.2", "X-Powered-By: x", "Via: 1.1 inside", "Alt-Svc: h3",
                   "Strict-Transport-Security: max-age=1", "Access-Control-Allow-Origin: *",
                   "WWW-Authenticate: Basic", "X-RateLimit-Limit: 123456", "X-Frame-Options: ALLOWALL",
                   "Keep-Alive: timeout=99", "X-Request-Id: theirs", "Connection: keep-alive, X-Inner",
                   "X-Inner: 1", "Content-Security-Policy: default-src *"]
        kept = ["openai-processing-ms: 12", "X-Other: yes"]
        model = self.upstream.on("fields", answers.whole({"x": 1}, extra=dropped + kept))
        response = self.chat(model=model)
        self.assertEqual(response.status, 200, response)
        for line in dropped:
            name, value = line.split(": ", 1)
            self.assertNotIn((name.lower().encode(), value.encode()), response.fields, name)
        for line in kept:
            name, value = line.split(": ", 1)
            self.assertEqual(response.get(name), value)

    def test_a_field_cannot_be_smuggled_into_an_answer(self):
        response = self.chat(fields=[("X-Correlation-ID", "good.id-1")])
        self.assertEqual(response.get("x-correlation-id"), "good.id-1")
        for bad in ["a b", "a\tb", "x" * 129, "a;b", "<b>"]:
            self.assertIsNone(self.chat(fields=[("X-Correlation-ID", bad)]).get("x-correlation-id"), bad)

    def test_every_answer_has_its_own_request_id(self):
        ids = {self.chat(fields=[("X-Request-Id", "mine")]).get("x-request-id") for _ in range(20)}
        self.assertEqual(len(ids), 20)
        self.assertNotIn("mine", ids)


class Connections(WireCase):
    def test_connections_are_kept_on_both_sides(self):
        with self.client() as client:
            self.assertEqual(client.ask(chat_request(self.key)).status, 200)
            before = len(self.upstream.connections)
            for _ in range(50):
                response = client.ask(chat_request(self.key))
                self.assertEqual(response.status, 200)
                self.assertFalse(response.closes())
        self.assertLessEqual(len(self.upstream.connections) - before, 2)

    def test_a_refusal_whose_short_body_is_here_keeps_the_connection(self):
        before = len(self.upstream.requests)
        with self.client() as client:
            client.send(chat_request("sp_wrong") + chat_request(self.key) + chat_request("sp_wrong"))
            refused = client.read()
            self.assertEqual(refused.status, 401)
            self.assertFalse(refused.closes())
            self.assertEqual(client.read().status, 200)
            self.assertEqual(client.read().status, 401)
        self.assertEqual(len(self.upstream.requests) - before, 1)

    def test_a_refusal_whose_body_is_not_all_here_closes(self):
        piece = chat_request("sp_wrong", content="x" * 3000)
        with self.client() as client:
            client.send(piece[:-10])
            refused = client.read()
            self.assertEqual(refused.status, 401)
            self.assertTrue(refused.closes())

    def test_a_client_that_asks_to_close_is_closed(self):
        with self.client() as client:
            response = client.ask(chat_request(self.key, fields=[("Connection", "close")]))
            self.assertEqual(response.status, 200)
            self.assertTrue(response.closes())
            client.expect_closed()

    def test_an_old_client_gets_an_answer_that_ends_with_the_connection(self):
        body = chat()
        for model in ["m", self.upstream.on("old", answers.chunked([b"a", b"b"]))]:
            body["model"] = model
            with self.client() as client:
                response = client.ask(request("POST", "/v1/chat/completions", (), body, self.key, version="1.0"))
                self.assertEqual(response.status, 200, response)
                self.assertIsNone(response.get("transfer-encoding"))
                client.expect_closed()
        self.assertEqual(response.body, b"ab")

    def test_head_is_get_without_a_body(self):
        for path in ["/livez", "/health", "/", "/v1/models"]:
            with self.client() as client:
                got = client.ask(request("GET", path, key=self.key))
                head = client.ask(request("HEAD", path, key=self.key), "HEAD")
                self.assertEqual((head.status, head.get("content-type"), head.body),
                                 (got.status, got.get("content-type"), b""), path)
                self.assertEqual(client.ask(request("GET", "/livez")).status, 200)

    def test_expect_is_answered_once_the_caller_may_send(self):
        piece = chat_request(self.key, fields=[("Expect", "100-continue")])
        head, body = piece.split(b"\r\n\r\n")
        with self.client() as client:
            client.send(head + b"\r\n\r\n")
            interim = client.read_head()
            self.assertEqual(interim.status, 100)
            client.send(body)
            self.assertEqual(client.read().status, 200)
        self.assertEqual(self.upstream.calls()[-1].values("expect"), [])

    def test_a_stranger_that_expects_gets_its_refusal_instead(self):
        piece = chat_request("wrong", fields=[("Expect", "100-continue")])
        head, body = piece.split(b"\r\n\r\n")
        with self.client() as client:
            client.send(head + b"\r\n\r\n")
            self.assertEqual(client.read_head().status, 401)

    def test_an_old_client_that_expects_is_not_told_to_continue(self):
        piece = request("POST", "/v1/chat/completions", [("Expect", "100-continue")], chat(), self.key, version="1.0")
        with self.client() as client:
            client.send(piece)
            self.assertEqual(client.read_head().status, 200)

    def test_a_refusal_before_the_body_reaches_a_client_that_is_still_sending(self):
        inner = request("POST", "/v1/chat/completions", body=chat(), key=self.key)
        calls = self.calls()
        size = 8 * 2**20
        head = request("POST", "/v1/chat/completions", [("Content-Length", str(size))], b"", "wrong")
        with self.client() as client:
            client.send(head + inner)
            response = client.read()
            self.assert_refused(response, 401)
            self.assertTrue(response.closes())
            client.expect_closed()  # half: what we go on to send is read and thrown away
            for _ in range(size // 65536 - 1):
                self.assertTrue(client.send(b"x" * 65536), "a reset while the body was still being sent")
        self.assertEqual(self.calls(), calls)

    def test_a_body_over_the_limit_is_refused_before_it_comes(self):
        head = request("POST", "/v1/chat/completions", [("Content-Length", str(11 * 2**20))], b"", self.key)
        with self.client() as client:
            client.send(head)
            self.assert_refused(client.read(), 413, "PAYLOAD_TOO_LARGE")
            client.expect_closed()

    def test_a_client_that_leaves_within_a_body_leaves_nothing_behind(self):
        calls = self.calls()
        for cut in (10, 200, -1):
            with self.client() as client:
                client.send(chat_request(self.key)[:cut])
        self.assertEqual(self.chat().status, 200)
        self.assertEqual(self.calls(), calls + 1)

    def test_many_clients_at_once_each_get_their_own_answer(self):
        def echo(connection, sent):
            return answers.whole({"echo": json.loads(sent.body)["messages"][0]["content"]})(connection, sent)
        model = self.upstream.on("echo", echo)
        wrong = []

        def work(number):
            with self.client() as client:
                for i in range(10):
                    mark = f"mark-{number}-{i}"
                    response = client.ask(chat_request(self.key, model, content=mark))
                    if response.status != 200 or response.json()["echo"] != mark:
                        wrong.append(response)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


class Upgrades(WireCase):
    @rows({"an unknown protocol": [("Connection", "Upgrade"), ("Upgrade", "foo")],
           "WebSocket": [("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
                         ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")],
           "HTTP/2": [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABk")],
           "one that is not in Connection": [("Upgrade", "websocket")]})
    def upgrade_is_not_taken_and_the_next_request_is_one(self, fields):
        calls = self.calls()
        with self.client() as client:
            client.send(request("GET", "/api/ps", fields, key=self.key) + request("GET", "/api/ps", key=self.key))
            for _ in range(2):
                response = client.read_head()  # 101 would be one
                self.assertEqual(response.status, 200)
                client.read_body(response)
                self.assertTrue(response.complete)
        asked = self.upstream.calls()[calls:]
        self.assertEqual(len(asked), 2)
        for sent in asked:
            self.assertEqual(sent.values("upgrade") + sent.values("http2-settings") + sent.values("connection"), [])


class Expectations(WireCase):
    sections = {"server": {"max_body": "1MB"}}

    @classmethod
    def set_up(cls):
        made = cls.gateway.command("key", "create", "--name", "spent", "--permissions", "run_inference", "--rate",
                                   "1/hour", "--burst", "1", "--json")
        cls.spent = json.loads(made.stdout)["key"]
        cls.gateway.secrets.append(cls.spent)
        cls.gateway.ask(chat_request(cls.spent))

    LENGTH, CHUNKS = ("Content-Length", "66"), ("Transfer-Encoding", "chunked")

    @rows({"a body that is too large": (413, [("Content-Length", str(2**20 + 1))]),
           "another content type": (415, [LENGTH, ("Content-Type", "text/plain")]),
           "another content type, chunked": (415, [CHUNKS, ("Content-Type", "text/plain")]),
           "a compressed body": (415, [LENGTH, ("Content-Encoding", "gzip")]),
           "a compressed body, chunked": (415, [CHUNKS, ("Content-Encoding", "gzip")]),
           "a limit": (429, [LENGTH], "spent"), "a limit, chunked": (429, [CHUNKS], "spent"),
           "a stranger, chunked": (401, [CHUNKS], "stranger")})
    def expectation_is_answered_by_the_refusal_alone(self, status, fields, who="key"):
        key = "sp_wrong" if who == "stranger" else getattr(self, who)
        calls = self.calls()
        piece = request("POST", "/v1/chat/completions", [("Expect", "100-continue"), *fields], b"", key)
        with self.client() as client:
            client.send(piece)
            response = client.read_head()  # 100 would be one
            self.assert_refused(client.read_body(response), status)
            self.assertTrue(response.closes())  # whether a body follows is not known
            client.expect_closed()
        self.assertEqual(self.calls(), calls)

    def test_chunks_follow_once_they_may_be_sent(self):
        body = json.dumps(chat()).encode()
        piece = request("POST", "/v1/chat/completions", [("Expect", "100-continue"), self.CHUNKS], b"", self.key)
        with self.client() as client:
            client.send(piece)
            self.assertEqual(client.read_head().status, 100)
            client.send(answers.chunk(body) + b"0\r\n\r\n")
            self.assertEqual(client.read().status, 200)
        self.assertEqual(self.upstream.calls()[-1].body, body)


class Pipelines(WireCase):
    COUNT = 1000

    def body_bytes(self):
        text = self.get("/metrics/prometheus", key=self.watcher).body.decode()
        return int(re.search(r"^sallyport_body_memory_bytes (\d+)$", text, re.M)[1])

    def test_a_thousand_requests_wait_for_the_first(self):
        self.watcher = self.gateway.key("watcher", "read_metrics")["key"]
        gate = threading.Event()

        def answer(connection, sent):
            mark = json.loads(sent.body)["messages"][0]["content"]
            if mark == "0":
                gate.wait(answers.DEADLINE_S)
            return answers.whole({"mark": mark})(connection, sent)
        model = self.upstream.on("queue", answer)
        pieces = [chat_request(self.key, model, content=str(i)) for i in range(self.COUNT)]
        self.chat()
        calls, before = self.calls(), self.gateway.rss_bytes()
        with self.client() as client:
            sender = threading.Thread(target=client.send, args=(b"".join(pieces),))
            sender.start()
            answers.wait_until(lambda: self.calls() == calls + 1, "the first one upstream")
            first_bytes = self.body_bytes()
            for _ in range(20):  # others are served meanwhile, by all workers
                self.assertEqual(self.chat().status, 200)
            self.assertEqual(self.calls(), calls + 21)
            self.assertEqual(self.body_bytes(), first_bytes)
            self.assertLess(first_bytes, 2 * 2**20)
            self.assertLess(self.gateway.rss_bytes() - before, 16 * 2**20)
            gate.set()
            marks = [client.read().json()["mark"] for _ in pieces]
            sender.join()
        self.assertEqual(marks, [str(i) for i in range(self.COUNT)])


class Lingering(WireCase):
    """What a refused client goes on to send is thrown away: so much of it, and for so long."""

    MOST_BYTES = 32 * 2**20
    KERNEL_BYTES = 24 * 2**20  # what may lie in the sockets when the gateway stops reading

    def turn_away(self, client):
        size = 2**30
        client.send(request("POST", "/v1/chat/completions", [("Content-Length", str(size))], b"", "sp_wrong"))
        self.assert_refused(client.read(), 401)
        client.expect_closed()

    def test_a_refused_client_is_cut_off_after_32_MB_or_5_seconds(self):
        with self.client() as slow, self.client() as fast:
            begun = time.monotonic()
            self.turn_away(slow)
            self.turn_away(fast)
            piece, sent = b"x" * 2**18, 0
            while fast.send(piece):
                sent += len(piece)
                self.assertLess(sent, self.MOST_BYTES + self.KERNEL_BYTES)
            while slow.send(b"x"):
                self.assertLess(time.monotonic() - begun, answers.DEADLINE_S, "still open")
                time.sleep(0.02)
            self.assertGreater(time.monotonic() - begun, 4)


class Backpressure(WireCase):
    def test_a_slow_reader_pauses_the_upstream(self):
        piece, count = b"x" * 65536, 1024  # 64 MiB
        model = self.upstream.on("flood", answers.chunked([piece] * count, content_type="text/plain"))
        with self.client(receive_buffer_bytes=65536) as client:
            client.send(chat_request(self.key, model))
            response = client.read_head()
            connection = self.upstream.wait_requests(len(self.upstream.requests)).connection
            # Sockets on the way hold some megabytes; the gateway must not hold the rest.
            sent, still = -1, 0
            while still < 20:
                still = still + 1 if connection.sent_bytes == sent else 0
                sent = connection.sent_bytes
                threading.Event().wait(0.02)
            self.assertLess(sent, 32 * 2**20, "the upstream was read on while nobody took it")
            client.read_body(response)
            self.assertTrue(response.complete)
            self.assertEqual(len(response.body), len(piece) * count)


class Busy(WireCase):
    upstream_members = {"max_concurrency": 1}

    def test_an_upstream_with_all_slots_taken_is_503(self):
        gate = threading.Event()
        model = self.upstream.on("held", answers.chunked([b"a", gate, b"b"]))
        with self.client() as client:
            client.send(chat_request(self.key, model))
            response = client.read_head()
            client.read_until(b"a", response)
            refused = self.chat()
            self.assert_refused(refused, 503, "SERVICE_UNAVAILABLE")
            self.assertGreaterEqual(int(refused.get("retry-after")), 1)
            gate.set()
            self.assertTrue(client.read_body(response).complete)
        answers.wait_until(lambda: self.chat().status == 200, "the slot to be free again")
