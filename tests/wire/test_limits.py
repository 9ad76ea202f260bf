"""Rate limits: never more than the bucket holds, said in the fields that clients read, and charged in
the contract's order."""

import json
import os
import re
import signal
import socket
import struct
import threading
import time

from tools.case import WireCase
from tools.client import Client, chat, chat_request, request
from tools.gateway import CALLER
from tools.upstream import DONE, chunked, delta, raw, silence, wait_until


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


SOAK = bool(os.environ.get("SALLYPORT_SOAK"))
BEHIND = {"server": {"trusted_proxies": ["127.0.0.0/8"]}}
MODELS_PATH = "/v1/models"


def sent_from(address):
    return [("X-Forwarded-For", address)]


class LimitCase(WireCase):
    def statuses(self, count, path=MODELS_PATH, **options):
        return [self.get(path, **options).status for _ in range(count)]

    def owned_key(self, name, owner):
        made = self.gateway.command("key", "create", "--name", name, "--owner", owner, "--permissions", CALLER, "--json")
        key = json.loads(made.stdout)["key"]
        self.gateway.secrets.append(key)
        return key

    def decision(self, response):
        return self.gateway.logged(response)["decision"]


class Admission:
    """What is admitted in a time is burst + rate * time, whoever asks and on whichever loop: by the clock of
    the clients, who cannot know better than from when to when a request was on its way."""
    SECONDS = 60 if SOAK else 3
    # A burst that lasts for four seconds: it would be lost time if the clients all paused for longer.
    BURST, RATE = 200, 50

    def test_admissions_are_burst_plus_rate_times_time(self):
        key = self.gateway.key("steady")["key"]
        piece = request("GET", MODELS_PATH, key=key)
        admitted, refused = [], []  # (sent, received)

        def ask_until(end):
            with self.client() as client:
                while True:
                    sent = time.monotonic()
                    status = client.ask(piece).status
                    (admitted if status == 200 else refused).append((sent, time.monotonic()))
                    if status == 429 and sent > end:
                        return
                    time.sleep(0.002)  # many times the rate, and no more answers than can be kept
        end = time.monotonic() + self.SECONDS
        threads = [threading.Thread(target=ask_until, args=(end,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # One more than that, for a loop reads its clock once a turn, and its turn may have begun before we asked.
        most = self.BURST + self.RATE * (max(late for _, late in admitted) - min(early for early, _ in admitted)) + 1
        self.assertLessEqual(len(admitted), most)
        # At the last refusal nothing was left, and all that had come in had been given out.
        least = self.BURST + self.RATE * (max(early for early, _ in refused) - min(late for _, late in admitted)) - 1
        self.assertGreaterEqual(len(admitted), least)


class OneLoop(Admission, WireCase):
    sections = {"server": {"workers": 1}, "limits": {"key": "50/second", "key_burst": 200}}


class TwoLoops(Admission, WireCase):
    sections = {"server": {"workers": 2}, "limits": {"key": "50/second", "key_burst": 200}}


class Windows(LimitCase):
    sections = {**BEHIND, "security": {"max_requests_per_minute": 6, "max_requests_per_hour": 9}}

    def test_a_minute_is_the_users_whatever_key_they_use(self):
        first, second = (self.owned_key(name, "ann") for name in ("first", "second"))
        other = self.owned_key("third", "ben")
        self.assertEqual(self.statuses(4, key=first) + self.statuses(4, key=second), [200] * 6 + [429] * 2)
        refused = self.get(MODELS_PATH, key=first)
        self.assert_refused(refused, 429, "RATE_LIMITED")
        self.assertEqual(self.decision(refused), "user_minute")
        self.assertEqual((refused.get("x-ratelimit-limit"), refused.get("x-ratelimit-remaining")), ("6", "0"))
        self.assertLessEqual(int(refused.get("retry-after")), 63)
        self.assertGreaterEqual(int(refused.get("retry-after")), 50)
        shown = self.get(MODELS_PATH, key=other)
        self.assertEqual((shown.status, shown.get("x-ratelimit-remaining")), (200, "5"))

    def test_an_address_has_twice_as_much(self):
        fields = sent_from("198.51.100.7")
        answers = [self.get(MODELS_PATH, fields) for _ in range(14)]
        self.assertEqual([answer.status for answer in answers], [401] * 12 + [429] * 2)
        self.assertEqual(self.decision(answers[-1]), "ip_minute")
        self.assertEqual(answers[0].get("x-ratelimit-limit"), "12")
        # Whoever shows a key from there gets in no more until then; from elsewhere they do.
        key = self.gateway.key("there")["key"]
        self.assertEqual(self.get(MODELS_PATH, fields, key=key).status, 429)
        self.assertEqual(self.get(MODELS_PATH, key=key).status, 200)

    def test_who_is_known_does_not_use_up_the_addresses(self):
        fields = sent_from("198.51.100.8")
        keys = [self.gateway.key(f"one-{i}")["key"] for i in range(4)]
        self.assertEqual([self.get(MODELS_PATH, fields, key=keys[i // 6]).status for i in range(24)], [200] * 24)
        self.assertEqual(self.get(MODELS_PATH, fields).get("x-ratelimit-remaining"), "11")


class Hour(LimitCase):
    sections = {"security": {"max_requests_per_hour": 5}}

    def test_an_hour_without_a_minute(self):
        key = self.gateway.key("hourly")["key"]
        self.assertEqual(self.statuses(6, key=key), [200] * 5 + [429])
        refused = self.get(MODELS_PATH, key=key)
        self.assertEqual(self.decision(refused), "user_hour")
        self.assertGreater(int(refused.get("retry-after")), 3000)


def route(path, rate, per=None, burst=None):
    return {"path": path, "rate": rate, "per": per, "burst": burst}


class Routes(LimitCase):
    sections = {**BEHIND, "limits": {"route": [
        route("/health", "5/minute"), route("/*", "1000/hour"), route("/v1/models", "4/hour", "key"),
        route("/v1/chat/*", "6/hour", "user", 3), route("/v1/embeddings", "3/hour", "all")]}}

    def test_health_five_a_minute_livez_never(self):
        fields = sent_from("198.51.100.1")
        self.assertEqual(self.statuses(7, "/health", fields=fields), [200] * 5 + [429] * 2)
        refused = self.get("/health", fields)
        self.assert_refused(refused, 429, "RATE_LIMITED")
        self.assertEqual(self.decision(refused), "route_rate")
        self.assertEqual((refused.get("x-ratelimit-limit"), refused.get("x-ratelimit-remaining")), ("5", "0"))
        self.assertRegex(refused.get("retry-after"), r"\A([1-9]|1[0-2])\Z")
        self.assertEqual(self.get("/health", sent_from("198.51.100.2")).status, 200)
        self.assertEqual(self.statuses(50, "/livez", fields=fields), [200] * 50)

    def test_livez_is_counted_by_no_pattern(self):
        fields = sent_from("198.51.100.3")
        shown = self.get("/readyz", fields).get("x-ratelimit-remaining")
        self.assertEqual(shown, "999")
        self.statuses(5, "/livez", fields=fields)
        self.assertEqual(self.get("/readyz", fields).get("x-ratelimit-remaining"), "998")

    def test_per_key(self):
        first, second = (self.owned_key(name, "ann") for name in ("first", "second"))
        self.assertEqual(self.statuses(5, key=first), [200] * 4 + [429])
        self.assertEqual(self.statuses(5, key=second), [200] * 4 + [429])
        self.assertEqual(self.chat(key=self.gateway.key("free")["key"]).status, 200)

    def test_per_user(self):
        first, second = (self.owned_key(name, "ben") for name in ("third", "fourth"))
        self.assertEqual([self.chat(key=key).status for key in (first, second, first, second, first)],
                         [200] * 3 + [429] * 2)

    def test_per_all(self):
        keys = [self.gateway.key(name)["key"] for name in ("red", "green", "blue", "black")]
        answers = [self.post("/v1/embeddings", {"model": "m", "input": "a"}, sent_from(f"198.51.100.{i}"), key)
                   for i, key in enumerate(keys)]
        self.assertEqual([answer.status for answer in answers], [200] * 3 + [429])


class Parallel(LimitCase):
    """What is counted is counted down, wherever a client dies."""
    plain = True  # it counts connections that are cut, not said goodbye to
    sections = {**BEHIND, "limits": {"key": "100000/hour", "parallel_per_key": 3,
                                    "requests_in_flight_per_ip": 4, "connections_per_ip": 40}}

    @classmethod
    def set_up(cls):
        cls.watcher = cls.gateway.key("watcher", "read_metrics")["key"]

    def settled(self):
        def is_settled():
            text = self.get("/metrics/prometheus", sent_from("198.51.100.200"), key=self.watcher).body.decode()
            return int(re.search(r"^sallyport_exchanges (\d+)", text, re.M)[1]) == 1  # this one
        wait_until(is_settled, "all requests to be over")

    def fill(self, keys, count, address="127.0.0.1"):
        """As many requests as `count`, which wait for the upstream until the gate is opened."""
        gate = threading.Event()
        model = self.upstream.on("held", chunked([delta("one"), gate, DONE]))
        held = []
        for i in range(count):
            client = self.client()
            client.send(chat_request(keys[i % len(keys)], model, sent_from(address), stream=True))
            response = client.read_head()
            held.append((client, response))
        return gate, held

    def let_go(self, gate, held):
        gate.set()
        for client, response in held:
            if response.status == 200:
                self.assertTrue(client.read_body(response).complete)
            client.close()
        self.settled()

    def test_a_key_has_so_many_at_once(self):
        key = self.gateway.key("busy")["key"]
        gate, held = self.fill([key], 3)
        self.assertEqual([response.status for _, response in held], [200] * 3)
        refused = self.chat(key=key)
        self.assert_refused(refused, 429, "RATE_LIMITED")
        self.assertEqual(self.decision(refused), "key_parallel")
        self.assertGreaterEqual(int(refused.get("retry-after")), 1)
        self.assertEqual(refused.get("x-ratelimit-remaining"), "99997")  # nothing was charged to the bucket
        self.assertEqual(self.chat().status, 200)  # another key
        self.let_go(gate, held)
        self.assertEqual(self.chat(key=key).status, 200)

    def test_an_address_has_so_many_at_once_and_is_shown_its_limit(self):
        keys = [self.gateway.key(name)["key"] for name in ("a", "b")]
        gate, held = self.fill(keys, 4, "198.51.100.1")
        refused = self.get(MODELS_PATH, sent_from("198.51.100.1"), key=keys[0])
        self.assert_refused(refused, 429, "RATE_LIMITED")
        self.assertEqual(self.decision(refused), "too_many_in_flight")
        self.assertEqual(refused.get("x-ratelimit-limit"), "100000")
        self.assertGreaterEqual(int(refused.get("retry-after")), 1)
        self.let_go(gate, held)

    def die(self, key, piece, ready=None):
        """A client that sends so much, waits for that to have come to something, and is gone."""
        client = Client(self.gateway.port)  # unwitnessed: what it reads is no whole answer
        client.send(piece)
        if ready:
            ready(client)
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    def test_counters_come_back_to_zero(self):
        key = self.gateway.key("mortal")["key"]
        gate = threading.Event()
        streamed = self.upstream.on("streamed", chunked([delta("one"), gate, DONE]))
        silent = self.upstream.on("silent", silence)
        broken = self.upstream.on("broken", raw(b"HTTP/1.1 200 Fine\r\nContent-Type: text/event-stream\r\n", reset=True))
        whole_request = chat_request(key, silent)

        def asked(count):
            return lambda _: self.upstream.wait_for(
                lambda: sum(call.model() == "silent" for call in self.upstream.requests) >= count, "the request")

        for n in range(1, 6):
            self.die(key, whole_request[:40])                           # in the head
            self.die(key, whole_request[:-10])                          # in the body
            self.die(key, whole_request, asked(n))                      # while it waits
            self.die(key, chat_request(key, streamed, stream=True), lambda client: client.read_head())
            self.assertEqual(self.chat(key, model=broken).status, 502)  # the upstream dies
            self.assertEqual(self.post("/v1/chat/completions", b"{", key=key).status, 400)
            self.settled()
        gate.set()
        # All of it is there, and no more.
        for address, keys, most in (("127.0.0.1", [key], 3), ("127.0.0.1", [key, self.key], 4)):
            gate, held = self.fill(keys, most + 1, address)
            self.assertEqual([response.status for _, response in held], [200] * most + [429])
            self.let_go(gate, held)


class GivenBack(LimitCase):
    """A refused request consumes nothing elsewhere."""
    sections = {**BEHIND, "security": {"max_requests_per_minute": 60},
                "limits": {"ip": "50/hour", "ip_burst": 50, "ip_counts": "all", "key": "3/hour", "key_burst": 3,
                           "route": [route("/v1/*", "40/hour"), route("/v1/*", "30/hour", "all")]}}

    def left(self, address):
        """Of the address's bucket, at least: as a stranger is shown, whom it costs one more."""
        shown = self.get("/unknown", sent_from(address))
        self.assertEqual((shown.status, shown.get("x-ratelimit-limit")), (401, "50"))
        return int(shown.get("x-ratelimit-remaining"))

    def test_a_429_gives_back_everything(self):
        fields = sent_from("198.51.100.1")
        key = self.gateway.key("small")["key"]
        self.assertEqual(self.statuses(3, fields=fields, key=key), [200] * 3)
        self.assertEqual(self.left("198.51.100.1"), 46)
        self.assertEqual(self.statuses(20, fields=fields, key=key), [429] * 20)
        self.assertEqual(self.left("198.51.100.1"), 45)
        # The rows too: what is left of all's 30 is there for others.
        keys = [self.gateway.key(f"k{i}")["key"] for i in range(10)]
        statuses = [self.get(MODELS_PATH, sent_from("198.51.100.9"), key=keys[i // 3]).status for i in range(30)]
        self.assertEqual(statuses, [200] * 27 + [429] * 3)


class Faulty(LimitCase):
    sections = {**BEHIND, "limits": {"ip": "10/hour", "ip_burst": 6}}

    def test_heads_that_cannot_be_read_cost_their_address(self):
        shown = [self.ask(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n") for _ in range(4)]
        self.assertEqual([(answer.status, answer.get("x-ratelimit-remaining")) for answer in shown],
                         [(400, "5"), (400, "4"), (400, "3"), (400, "2")])
        self.assertEqual([self.get(MODELS_PATH).status for _ in range(3)], [401, 401, 429])


class Documented(LimitCase):
    """The loops that the founding documents ask people to run, with the limits that are the default."""
    sections = {**BEHIND, "limits": {"ip": None, "ip_burst": None, "key": None, "key_burst": None}}

    def test_fifty_requests_of_003(self):
        began = time.monotonic()
        statuses = self.statuses(50, key=self.gateway.key("fifty")["key"])
        self.assertEqual(statuses[:20], [200] * 20)
        self.assertIn(429, statuses)
        self.assertEqual(set(statuses), {200, 429})
        self.assertLessEqual(statuses.count(200), 20 + 2 * (time.monotonic() - began))

    def test_bursts_of_004(self):
        began = time.monotonic()
        answers = [self.get(MODELS_PATH, sent_from("198.51.100.4")) for _ in range(14)]
        statuses = [answer.status for answer in answers]
        self.assertEqual(statuses[:10], [401] * 10)
        self.assertLessEqual(statuses.count(401), 10 + time.monotonic() - began)
        refused = answers[statuses.index(429)]
        self.assertEqual((refused.get("x-ratelimit-limit"), refused.get("x-ratelimit-remaining"),
                          refused.get("retry-after")), ("60", "0", "1"))


class Off(LimitCase):
    sections = {"security": {"rate_limiting_enabled": False, "max_requests_per_minute": 2},
                "limits": {"ip": "1/hour", "ip_burst": 1, "key": "1/hour", "key_burst": 1, "parallel_per_key": 1,
                           "route": [route("/*", "1/hour"), route("/*", "1/hour", "all")]}}

    def test_off_is_off(self):
        key = self.gateway.key("free")["key"]
        self.assertEqual(self.statuses(5, key=key), [200] * 5)
        answers = [self.get("/health") for _ in range(5)] + [self.get(MODELS_PATH) for _ in range(5)]
        self.assertEqual([answer.status for answer in answers], [200] * 5 + [401] * 5)
        self.assertIsNone(answers[-1].get("x-ratelimit-limit"))

    def test_but_not_caps_and_attempts_to_sign_in(self):
        attempt = {"username": "nobody", "password": "not it at all"}
        self.assertEqual([self.post("/login", attempt).status for _ in range(6)], [401] * 5 + [429])
        gate = threading.Event()
        model = self.upstream.on("held", chunked([delta("one"), gate, DONE]))
        key = self.gateway.key("one")["key"]
        with self.client() as client:
            client.send(chat_request(key, model, stream=True))
            response = client.read_head()
            self.assertEqual((response.status, self.chat(key=key).status), (200, 429))
            gate.set()
            client.read_body(response)


class Tries(LimitCase):
    def test_they_are_counted_before_the_body(self):
        """A body that is announced and never sent costs nothing but the head."""
        heads = request("POST", "/login", [("Content-Length", "60000")], b"")
        held = []
        try:
            for _ in range(5):
                held.append(self.client())
                held[-1].send(heads)
            wait_until(lambda: self.ask(heads).status == 429, "the sixth to be refused without its body")
        finally:
            for client in held:
                client.close()


class Reloaded(LimitCase):
    sections = {"limits": {"key": "5/hour", "key_burst": 5, "route": [route("/v1/chat/*", "3/hour", "all")]}}

    def reload(self, probe, **limits):
        self.gateway.sections["limits"].update(limits)
        self.gateway.write_config()
        self.gateway.signal(signal.SIGHUP)
        wait_until(probe, "the new limits")

    def test_a_reload_refills_nothing(self):
        key = self.gateway.key("patient")["key"]
        self.assertEqual([self.chat().status for _ in range(3)] + self.statuses(5, key=key), [200] * 8)
        def probe(limit):
            return lambda: self.get(MODELS_PATH, key=key).get("x-ratelimit-limit") == limit
        self.reload(probe("6"), key="6/hour", route=[route("/v1/embeddings", "9/hour"),
                                                     route("/v1/chat/*", "4/hour", "all", 3)])
        self.assertEqual(self.get(MODELS_PATH, key=key).status, 429)
        self.assertEqual(self.chat().status, 429)
