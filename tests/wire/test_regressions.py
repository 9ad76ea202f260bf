"""What went wrong once. Each test is named after what the gateway must do since."""

import os
import select
import signal
import socket
import tempfile
import threading

from tools import upstream as answers
from tools.case import WireCase
from tools.client import chat_request, request
from tools.gateway import Gateway
from tools.upstream import Upstream

LONG_LIST = 30000


def long_list(connection, request):
    """A server with very many models, for which everything else is as usual."""
    if request.path != "/v1/models":
        return answers.chat_answer(connection, request)
    entries = [{"id": f"model-{number}"} for number in range(LONG_LIST)]
    return answers.whole({"object": "list", "data": entries})(connection, request)


class Regressions(WireCase):
    plain = True
    kind = "openai"

    @classmethod
    def upstream_list(cls):
        cls.early = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=cls.speak_first, daemon=True).start()
        cls.hasty = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=cls.answer_the_head, daemon=True).start()
        cls.queue_folder = tempfile.TemporaryDirectory()
        path = os.path.join(cls.queue_folder.name, "s")
        cls.queue = socket.socket(socket.AF_UNIX)
        cls.queue.bind(path)
        cls.queue.listen(0)
        early, hasty = (f"http://127.0.0.1:{sock.getsockname()[1]}" for sock in (cls.early, cls.hasty))
        return super().upstream_list() + [
            {"name": "early", "kind": "openai", "url": early, "models": ["early"],
             "first_byte_timeout": "1s"},
            {"name": "hasty", "kind": "openai", "url": hasty, "models": ["hasty"]},
            {"name": "queue", "kind": "openai", "url": f"unix:{path}", "models": ["queue"]}]

    @classmethod
    def upstreams_seen(cls):
        return None  # three of them record nothing

    @classmethod
    def tearDownClass(cls):
        try:
            super().tearDownClass()
        finally:
            cls.early.close()
            cls.hasty.close()
            cls.queue.close()
            cls.queue_folder.cleanup()

    @classmethod
    def speak_first(cls):
        """Answers as soon as somebody connects, as a balancer without servers does, and waits."""
        held = []
        while True:
            try:
                sock, _ = cls.early.accept()
            except OSError:
                return
            held.append(sock)
            sock.sendall(b"HTTP/1.1 429 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    @classmethod
    def answer_the_head(cls):
        """Answers as soon as the head is there, and closes on the body that is still coming."""
        while True:
            try:
                sock, _ = cls.hasty.accept()
            except OSError:
                return
            with sock, sock.makefile("rb") as reader:
                while reader.readline() not in (b"\r\n", b""):
                    pass
                sock.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def test_an_error_event_adds_nothing_to_an_answer_of_declared_length(self):
        piece = b"data: {}\n\ndata: "
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 20\r\n\r\n"
        model = self.upstream.on("sized", answers.raw(head + piece))
        with self.client() as client:
            client.send(chat_request(self.key, model, stream=True))
            response = client.read()
            self.assertFalse(response.complete, "padded to its length with our own words")
            self.assertEqual(bytes(response.body), piece)
            client.expect_closed()
        self.gateway.answers.remove(response)  # 200 on the wire, and yet not passed

    def test_an_upstream_that_answers_before_it_is_asked_is_heard(self):
        # Its words and the connection's own readiness have to come in one event.
        self.assertEqual({self.chat(model="early").status for _ in range(20)}, {429})

    def test_an_answer_that_comes_while_the_body_is_sent_is_heard(self):
        # The gateway must still be at its first go of writing when the connection ends.
        statuses = {self.chat(model="hasty", content="x" * 5000000).status for _ in range(10)}
        self.assertEqual(statuses, {413})

    def test_a_full_queue_of_a_unix_socket_is_waited_for(self):
        waiting = []
        self.addCleanup(lambda: [sock.close() for sock in waiting])
        while True:
            sock = socket.socket(socket.AF_UNIX)
            waiting.append(sock)
            sock.setblocking(False)
            try:
                sock.connect(self.queue.getsockname())
            except BlockingIOError:
                break
        with self.client() as client:
            client.send(chat_request(self.key, "queue"))
            self.assertEqual(select.select([client.sock], [], [], 0.2)[0], [], "refused at once")
            for _ in waiting[:-1]:
                self.queue.accept()[0].close()
            sock, _ = self.queue.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            self.assertEqual(client.read().status, 200)

    def test_a_long_list_of_models_takes_no_quadratic_time(self):
        # As it was, the client's patience ended long before the list was made.
        other = Upstream(default=long_list)
        self.addCleanup(other.stop)
        gateway = Gateway([{"name": "long", "kind": "openai", "url": other.url}]).start()
        self.addCleanup(gateway.discard)
        response = gateway.ask(request("GET", "/v1/models", key=gateway.key()["key"]))
        self.assertEqual(len(response.json()["data"]), LONG_LIST)

    def test_a_list_of_models_that_cannot_be_had_is_a_line_in_the_log(self):
        lists = {
            "answered 401 when asked for its models": answers.whole({"error": "no"}, 401),
            "is no JSON object": answers.whole(b"\x1f\x8b not JSON"),
            "found no room": answers.whole(b" " * (5 * 2**20)),
        }
        other = Upstream(default=lambda connection, asked: current(connection, asked))
        self.addCleanup(other.stop)
        gateway = Gateway([{"name": "bad", "kind": "openai", "url": other.url}]).start()
        self.addCleanup(gateway.discard)
        ask = request("GET", "/v1/models", key=gateway.key()["key"])
        for words, current in lists.items():
            self.assertEqual(gateway.ask(ask).status, 502)
            answers.wait_until(lambda: words in gateway.heard(), words)

    def test_why_a_model_server_failed_is_a_line_in_the_log(self):
        nobody, gone = answers.nobody()
        self.addCleanup(nobody.close)
        other = Upstream()
        self.addCleanup(other.stop)
        head = answers.answer_head(200) + b"Transfer-Encoding: chunked\r\n\r\n"
        reasons = {
            "gone": "upstream gone: cannot connect: Connection refused",
            other.on("no head", answers.raw(b"SSH-2.0-nobody\r\n\r\n")): "its answer cannot be read: bad_status_line",
            other.on("switch", answers.raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")): "it switches protocols",
            other.on("interim", answers.raw(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000)): "too many interim heads",
            other.on("no chunk", answers.raw(head + b"zz\r\n")): "its answer cannot be read: bad_chunk",
            other.on("packed", answers.whole(b"{}", extra=["Content-Encoding: gzip"])): "200 with a Content-Encoding",
        }
        gateway = Gateway([{"name": "gone", "kind": "openai", "url": gone, "models": ["gone"]},
                           {"name": "other", "kind": "openai", "url": other.url, "models": list(reasons)[1:]}]).start()
        self.addCleanup(gateway.discard)
        key = gateway.key()["key"]
        for model, words in reasons.items():
            with gateway.client() as client:
                client.send(chat_request(key, model))
                client.read()
            answers.wait_until(lambda: words in gateway.heard(), words)

    def test_term_closes_a_connection_whose_last_answer_had_begun_before(self):
        gate = threading.Event()
        model = self.upstream.on("last", answers.chunked([answers.delta("one"), gate, answers.DONE]))
        gateway = Gateway(self.upstream_list()[:1]).start()
        self.addCleanup(gateway.discard)
        with gateway.client() as idle, gateway.client() as client:
            self.assertEqual(idle.ask(request("GET", "/livez")).status, 200)
            client.send(chat_request(gateway.key()["key"], model, stream=True))
            response = client.read_head()
            client.read_until(b"one", response)
            gateway.signal(signal.SIGTERM)
            idle.expect_closed()
            gate.set()
            self.assertTrue(client.read_body(response).complete)
            client.expect_closed()
        self.assertEqual(gateway.finish(), 0)

    def test_a_percent_encoded_key_in_a_query_is_refused_and_not_written_down(self):
        path = "/v1/chat/completions?k=" + self.key.replace("_", "%5F")
        response = self.chat(path=path)
        self.assert_refused(response, 400, "VALIDATION_ERROR")
        self.assertNotIn("%5F", self.gateway.logged(response)["request"])

    def test_a_head_that_begins_within_a_credential_is_not_written_down(self):
        # So it does behind a request whose length was too large.
        before = request("POST", "/v1/chat/completions", body=b"{}")
        secret = self.key[30:]
        for line in [secret, f"Basic {secret}", f"Cookie: a={secret}", f"{secret} /x HTTP/1.1"]:
            with self.client() as client:
                client.send(before + line.encode() + b"\r\nAccept: */*\r\n\r\n")
                self.assertEqual(client.read().status, 401)
                response = client.read()
            self.assertIn(response.status, (400, 501))
            self.assertEqual(self.gateway.logged(response)["request"], "")
        response = self.ask(b"get /x HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(self.gateway.logged(response)["request"], "get /x HTTP/1.1")

    def test_a_head_request_that_cannot_be_read_gets_no_body(self):
        rest = b"HEAD /v1/models HTTP/1.1\r\nHost: a b\r\n\r\n"
        for piece in [rest, b"\r\n" + rest]:
            with self.client() as client:
                client.send(piece)
                self.assertEqual(client.read("HEAD").status, 400)
                client.expect_closed()

    def test_guesses_at_an_open_path_are_charged(self):
        limits = {"limits": {"ip": "5/hour", "ip_burst": 5}}
        gateway = Gateway(self.upstream_list()[:1], limits).start()
        self.addCleanup(gateway.discard)
        guess = request("GET", "/readyz", key="sp_" + "a" * 12 + "_" + "b" * 43)
        self.assertEqual([gateway.ask(guess).status for _ in range(7)], [401] * 5 + [429] * 2)
        self.assertEqual(gateway.ask(request("GET", "/readyz")).status, 200)
