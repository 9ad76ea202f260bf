"""Two event loops are one gateway: limits are exact over both, a revocation holds for both when it is
answered, and what one loop answers, one of two answers too."""

import pathlib
import re
import threading

from case import FaultCase, either
from tools import upstream as answers
from tools.case import UPSTREAM_KEY
from tools.client import chat, chat_request, request
from tools.upstream import wait_until

THREADS, EACH, BURST = 8, either(12, 100), either(50, 500)


def together(count, work):
    """Runs work(i) in `count` threads that begin at once; what they return."""
    results, start = [None] * count, threading.Barrier(count)

    def run(i):
        start.wait(30)
        results[i] = work(i)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


class Exact(FaultCase):
    sections = {"server": {"workers": 2}, "limits": {"key": "1/hour", "key_burst": BURST}}

    @classmethod
    def make_gateway(cls):
        gateway = super().make_gateway()
        gateway.upstreams.insert(0, {"name": "narrow", "kind": "ollama", "url": cls.upstream.url,
                                     "api_key": UPSTREAM_KEY, "models": ["narrow"], "max_concurrency": 4})
        gateway.write_config()
        return gateway

    def switches(self):
        """How often each worker's thread has run."""
        tasks = pathlib.Path(f"/proc/{self.gateway.process.pid}/task")
        names = {(task / "comm").read_text().strip(): task / "status" for task in tasks.iterdir()}
        return {name: int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", path.read_text(), re.M)[1])
                for name, path in names.items() if name.startswith("sp-worker")}

    def test_a_keys_burst_is_exact_over_both(self):
        key = self.gateway.create("crowd")["key"]

        def work(_):
            statuses = []
            with self.client() as client:
                for _ in range(EACH):
                    response = client.ask(request(path="/v1/models", key=key))
                    statuses.append(response.status)
            return statuses
        statuses = sum(together(THREADS, work), [])
        self.assertEqual(statuses.count(200), BURST)
        self.assertEqual(statuses.count(429), THREADS * EACH - BURST)

    def test_connections_are_shared_out(self):
        clients = [self.client() for _ in range(6)]
        try:
            for client in clients:
                self.assertEqual(client.ask(request("GET", "/livez")).status, 200)
            before = self.switches()
            self.assertEqual(len(before), 2, before)
            for client in clients * 5:
                self.assertEqual(client.ask(request("GET", "/livez")).status, 200)
            after = self.switches()
            for name in before:
                self.assertGreater(after[name], before[name], f"{name} has nothing to do")
        finally:
            for client in clients:
                client.close()

    def test_an_upstreams_places_are_exact_over_both(self):
        gate = threading.Event()
        self.addCleanup(gate.set)

        def answer(connection, request):
            gate.wait(15)
            return answers.whole({"narrow": True})(connection, request)
        self.upstream.on("narrow", answer)
        key = self.gateway.create("narrow")["key"]
        for _ in range(3):
            gate.clear()
            before, refused, done = self.calls(), threading.Semaphore(0), []

            def work(_):
                response = self.chat(key=key, model="narrow")
                if response.status != 200:
                    refused.release()
                return response.status
            thread = threading.Thread(target=lambda: done.extend(together(12, work)))
            thread.start()
            for _ in range(8):
                self.assertTrue(refused.acquire(timeout=15), "eight of twelve are refused")
            wait_until(lambda: self.calls() - before >= 4, "four of twelve upstream")
            self.assertEqual(self.calls() - before, 4)
            gate.set()
            thread.join(30)
            self.assertEqual(done.count(200), 4)
            self.assertTrue(all(status in (200, 429, 503) for status in done), done)
        self.assert_at_rest()

    def test_a_revocation_holds_for_both_when_it_is_answered(self):
        for _ in range(either(20, 200)):
            key = self.gateway.create("brief")
            with self.client() as first, self.client() as second:
                for client in (first, second):
                    self.assertEqual(client.ask(chat_request(key["key"])).status, 200)
                self.assertTrue(self.gateway.control("key_revoke", id=key["id"])["ok"])
                for client in (first, second):
                    self.assertEqual(client.ask(chat_request(key["key"])).status, 401)


class Same(FaultCase):
    """One worker and two give the same answers."""
    sections = {"server": {"workers": 2}}

    @classmethod
    def set_up(cls):
        cls.sections = {"server": {"workers": 1}}
        cls.one = cls.make_gateway()
        cls.one.start()
        cls.one_key = cls.one.create()["key"]

    @classmethod
    def tearDownClass(cls):
        try:
            assert cls.one.finish() == 0, cls.one.tail()
        finally:
            cls.one.discard()
            super().tearDownClass()

    def requests(self, key):
        yield chat_request(key)
        yield chat_request(key, stream=True)
        yield chat_request(key, path="/api/chat")
        yield chat_request(None)
        yield chat_request("wrong")
        yield chat_request(key, content="x" * 100_000)
        yield request(path="/v1/models", key=key)
        yield request(path="/v1/models/other", key=key)
        yield request(path="/api/tags", key=key)
        yield request(path="/nothing", key=key)
        yield request("DELETE", "/v1/chat/completions", key=key)
        yield request("POST", "/v1/chat/completions", (), b'{"model": "m", "model": "n"}', key)
        yield request("POST", "/v1/chat/completions", (), chat(model=7), key)
        yield request("POST", "/v1/chat/completions", [("Content-Length", "x")], b"", key)
        yield b"GET / HTTP/9\r\n\r\n"

    def told(self, gateway, piece):
        response = gateway.ask(piece)
        request_id = response.get("x-request-id").encode()
        fields = [(name, b"" if value == request_id or name == b"date" else value)
                  for name, value in response.fields]
        return response.status, fields, bytes(response.body).replace(request_id, b"")

    def test_the_answers_are_the_same(self):
        for ones, twos in zip(self.requests(self.one_key), self.requests(self.key)):
            self.assertEqual(self.told(self.one, ones), self.told(self.gateway, twos))
        wait_until(lambda: self.gateway.gauges()["sallyport_exchanges"] == 1, "rest")
