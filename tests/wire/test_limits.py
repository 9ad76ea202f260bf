"""Rate limits: never more than the bucket holds, said in the fields that clients read, and charged in
the contract's order."""

import re
import threading
import time

from tools.case import WireCase
from tools.client import chat, chat_request, request
from tools.upstream import wait_until


class ByKey(WireCase):
    # So slow a refill that no token comes back while the test runs.
    sections = {"limits": {"key": "10/hour", "key_burst": 5}}

    def test_a_key_gets_its_burst_and_no_more(self):
        key = self.gateway.key("burst")["key"]
        responses = [self.chat(key=key) for _ in range(8)]
        self.assertEqual([response.status for response in responses], [200] * 5 + [429] * 3)
        self.assertEqual([int(response.get("x-ratelimit-remaining")) for response in responses[:5]],
                         [4, 3, 2, 1, 0])
        refused = responses[-1]
        self.assert_refused(refused, 429, "RATE_LIMITED")
        self.assertEqual(refused.get("x-ratelimit-limit"), "10")
        self.assertEqual(refused.get("x-ratelimit-remaining"), "0")
        self.assertGreaterEqual(int(refused.get("retry-after")), 1)
        self.assertGreater(int(refused.get("x-ratelimit-reset")), time.time())
        self.assertLess(int(refused.get("x-ratelimit-reset")), time.time() + 2 * 3600)

    def test_each_key_has_its_own(self):
        first, second = (self.gateway.key(name)["key"] for name in ("first", "second"))
        self.assertEqual([self.chat(key=first).status for _ in range(6)][-1], 429)
        self.assertEqual(self.chat(key=second).status, 200)

    def test_a_key_is_one_however_it_is_sent(self):
        key = self.gateway.key("spelt")["key"]
        ways = [("Authorization", f"Bearer {key}"), ("authorization", f"bearer {key}"), ("X-API-Key", key),
                ("api-key", key), ("x-api-key", key), ("X-API-Key", key)]
        statuses = [self.post("/v1/chat/completions", chat(), [way]).status for way in ways]
        self.assertEqual(statuses, [200] * 5 + [429])

    def test_many_at_once_get_no_more(self):
        key = self.gateway.key("crowd")["key"]
        statuses = []

        def work():
            for _ in range(4):  # a refusal before the body closes the connection
                statuses.append(self.chat(key=key).status)
        threads = [threading.Thread(target=work) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((statuses.count(200), statuses.count(429)), (5, 35))

    def test_pipelined_requests_are_each_charged(self):
        key = self.gateway.key("pipe")["key"]
        with self.client() as client:
            client.send(request(path="/v1/models", key=key) * 7)
            self.assertEqual([client.read().status for _ in range(7)], [200] * 5 + [429] * 2)

    def test_a_refused_request_never_reaches_the_upstream(self):
        key = self.gateway.key("count")["key"]
        calls = self.calls()
        for _ in range(9):
            self.chat(key=key)
        self.assertEqual(self.calls() - calls, 5)

    def test_the_limit_comes_before_the_body(self):
        key = self.gateway.key("order")["key"]
        statuses = [self.post("/v1/chat/completions", b"{no json", key=key).status for _ in range(6)]
        self.assertEqual(statuses, [400] * 5 + [429])


class ByAddress(WireCase):
    sections = {"limits": {"ip": "10/hour", "ip_burst": 5}}

    def test_strangers_get_the_addresses_burst_and_callers_their_own(self):
        # One test, since all of them come from one address.
        statuses = [self.post("/v1/chat/completions", chat(), [("X-API-Key", f"wrong-{i}")]).status
                    for i in range(8)]
        self.assertEqual(statuses, [401] * 5 + [429] * 3)
        refused = self.post("/v1/chat/completions", chat())
        self.assert_refused(refused, 429, "RATE_LIMITED")
        self.assertGreaterEqual(int(refused.get("retry-after")), 1)
        self.assertEqual(refused.get("x-ratelimit-limit"), "10")
        # What is not charged goes on.
        self.assertEqual(self.get("/livez").status, 200)
        self.assertEqual(self.get("/health").status, 200)


class AddressGivenBack(WireCase):
    sections = {"limits": {"ip": "10/hour", "ip_burst": 3}}

    def test_an_address_that_proves_who_it_is_gets_its_token_back(self):
        self.assertEqual([self.chat().status for _ in range(20)], [200] * 20)
        with self.client() as client:
            self.assertEqual([client.ask(chat_request(self.key)).status for _ in range(10)], [200] * 10)


class AddressCountsAll(WireCase):
    sections = {"limits": {"ip": "10/hour", "ip_burst": 5, "ip_counts": "all"}}

    def test_every_request_is_charged_to_the_address(self):
        statuses = [self.chat().status for _ in range(7)]
        self.assertEqual(statuses, [200] * 5 + [429] * 2)


class Shown(WireCase):
    sections = {"limits": {"key": "100/minute", "key_burst": 100}}

    def test_every_answer_to_a_caller_shows_its_limit(self):
        for response in [self.chat(), self.get("/v1/models", key=self.key), self.get("/nothing", key=self.key),
                         self.chat(model="m", stream=True)]:
            for name in ("limit", "remaining", "reset"):
                self.assertRegex(response.get(f"x-ratelimit-{name}", ""), r"^\d+$", response)

    def test_what_comes_back_comes_back(self):
        key = self.gateway.key("again")["key"]
        first = int(self.chat(key=key).get("x-ratelimit-remaining"))
        self.assertEqual(first, 99)
        end = time.monotonic() + 10
        while int(self.chat(key=key).get("x-ratelimit-remaining")) < 90:
            self.assertLess(time.monotonic(), end)


class Caps(WireCase):
    plain = True
    sections = {"limits": {"connections_per_ip": 5}}

    def test_an_address_holds_so_many_connections_and_no_more(self):
        held = [self.client() for _ in range(5)]
        try:
            for client in held:
                self.assertEqual(client.ask(request("GET", "/livez")).status, 200)
            with self.client() as client:
                try:
                    response = client.ask(request("GET", "/livez"))
                    self.assertEqual(response.status, 429)
                    client.expect_closed()
                except AssertionError as error:
                    self.assertIn("ends within a line", str(error))  # closed without a word is right, too
        finally:
            for client in held:
                client.close()
        end = time.monotonic() + 10
        while True:
            try:
                if self.get("/livez").status == 200:
                    break
            except AssertionError:
                pass
            self.assertLess(time.monotonic(), end, "a closed connection is counted for ever")


class BodyMemory(WireCase):
    """All request bodies together stay under one budget; a body that finds no room is told so."""
    sections = {"server": {"max_body": "1MB", "max_body_memory": "1MB"}}

    def test_bodies_beyond_the_budget_get_503_and_room_comes_back(self):
        piece = chat_request(self.key, content="x" * 2000)
        self.metrics = self.gateway.key("metrics", "read_metrics")["key"]
        held = []
        try:
            for _ in range(32):  # a block of 32 KiB each
                client = self.client()
                client.send(piece[:-10])
                held.append(client)
            wait_until(lambda: self.used_bytes() == 1 << 20, "every block to be taken")
            self.assert_refused(self.chat(), 503, "SERVICE_UNAVAILABLE")
            held[0].send(piece[-10:])
            self.assertEqual(held[0].read().status, 200)
            self.assertEqual(self.chat().status, 200)
        finally:
            for client in held:
                client.close()
        wait_until(lambda: self.used_bytes() == 0, "all blocks to come back")

    def used_bytes(self):
        text = self.get("/metrics/prometheus", key=self.metrics).body.decode()
        return int(re.search(r"^sallyport_body_memory_bytes (\d+)", text, re.M)[1])
