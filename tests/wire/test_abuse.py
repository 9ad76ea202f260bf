"""Who errs too often is banned: the key that proved itself, else the address, and never an address behind which
others may be."""

import itertools
import re

from tools import upstream as answers
from tools.case import WireCase, rows
from tools.client import chat, chat_request, request
from tools.gateway import Gateway
from tools.signing import ADMIN_PASSWORD, SigningCase
from tools.upstream import wait_until

THRESHOLD = 3
LINE = r"(?m)^{}  # Blocked: {} at \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d for 900s$"
WRONG = "sp_" + "A" * 12 + "_" + "b" * 49


class AbuseCase(SigningCase):
    """Clients behind a trusted proxy; each test has addresses of its own."""
    numbers = itertools.count(1)
    sections = {"abuse": {"threshold_errors": THRESHOLD, "login_spray": "ban"},
                "server": {"cors_origins": ["https://b.example"]}}

    @classmethod
    def sent_from(cls, address=None):
        return [("X-Forwarded-For", address or cls.new_address())]

    @classmethod
    def new_address(cls):
        number = next(cls.numbers)
        return f"203.0.{number >> 8}.{number & 255}"

    def from_(self, address, method="GET", path="/v1/models", key=None, body=None, fields=()):
        return self.gateway.ask(request(method, path, [("X-Forwarded-For", address), *fields], body, key), method)

    def err(self, address, times=THRESHOLD, **what):
        for _ in range(times):
            response = self.from_(address, **{"key": WRONG, **what})
            self.assertEqual(response.status, 401, response)

    @property
    def list(self):
        path = self.gateway.folder / "ops" / "denylist.txt"
        return path.read_text() if path.exists() else ""

    def assert_banned(self, entry, reason):
        wait_until(lambda: re.search(LINE.format(re.escape(entry), reason), self.list), f"a ban of {entry}")

    def events(self, event):
        return [record for record in self.gateway.audit_log() if record["event"] == event]


class Errors(AbuseCase):
    def test_wrong_keys_ban_the_address_as_004_writes_it(self):
        address = self.new_address()
        self.err(address)
        response = self.from_(address, key=self.key)
        self.assert_refused(response, 403, "PERMISSION_DENIED")
        self.assertIn("block", response.json()["detail"])
        self.assert_banned(address, f"{THRESHOLD} errors in 30s")
        self.assertEqual(self.from_(self.new_address(), key=self.key).status, 200)  # a neighbour behind the proxy
        bans = lambda: [record for record in self.events("ban") if record["path"].endswith("/" + address)]
        wait_until(bans, "a record of it")
        self.assertEqual([(record["actor"], record["reason"]) for record in bans()],
                         [("system", f"{THRESHOLD} errors in 30s")])

    def test_a_ban_ends_with_its_line(self):
        address = self.new_address()
        self.err(address)
        self.assert_banned(address, ".*")
        self.gateway.command("denylist", "remove", address)
        self.assertEqual(self.from_(address, key=self.key).status, 200)
        self.err(address, THRESHOLD - 1)  # a lifted ban starts from zero
        self.assertEqual(self.from_(address, key=self.key).status, 200)

    @rows({
        "no credential": ({}, 401), "a key in the URL": ({"path": "/v1/models?x=" + WRONG}, 400),
        "two credentials": ({"key": "x.y.z", "fields": [("X-API-Key", "other")]}, 400),
    })
    def counted(self, what, status):
        address = self.new_address()
        for _ in range(THRESHOLD):
            self.assertEqual(self.from_(address, **what).status, status)
        self.assertEqual(self.from_(address, key=self.key).status, 403)

    def test_errors_with_a_key_ban_the_key_and_not_the_office(self):
        address, mistaken = self.new_address(), self.gateway.key("mistaken")
        for body in ([], {}, {"model": 7}):
            response = self.from_(address, "POST", "/v1/chat/completions", mistaken["key"], body)
            self.assertEqual(response.status, 400, response)
        self.assertEqual(self.from_(address, key=mistaken["key"]).status, 403)
        self.assertEqual(self.from_(self.new_address(), key=mistaken["key"]).status, 403)
        self.assertEqual(self.from_(address, key=self.key).status, 200)
        self.assert_banned(f"key:{mistaken['id']}", f"{THRESHOLD} errors in 30s")

    @rows({"a private one": ("10.1.2.3",), "this machine": ("127.0.0.9",), "IPv6": ("fd00::7",)})
    def protected_address(self, address):
        self.err(address, 4 * THRESHOLD)
        self.assertEqual(self.from_(address, key=self.key).status, 200)
        self.assertNotIn(address, self.list)

    def test_what_does_not_count(self):
        address, reader = self.new_address(), self.gateway.key("reader", "read_models")["key"]
        for _ in range(2 * THRESHOLD):
            self.assertEqual(self.from_(address, path="/v1/nothing", key=self.key).status, 403)
            self.assertEqual(self.from_(address, "POST", "/v1/chat/completions", reader, chat()).status, 403)
            self.assertEqual(self.from_(address, path="/api/v1/nothing", key=self.key).status, 404)
            self.assertEqual(self.from_(address, "DELETE", "/health").status, 405)
            self.assertEqual(self.from_(address, "OPTIONS", "/v1/models", fields=[
                ("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET")]).status, 400)
        self.assertEqual(self.from_(address, key=self.key).status, 200)
        self.assertNotIn(address, self.list)

    def test_pictures_of_somebody_s_page_ban_nobody_who_looks_at_it(self):
        address = self.new_address()
        for _ in range(3 * THRESHOLD):
            self.assertEqual(self.from_(address, fields=[("Sec-Fetch-Site", "cross-site")]).status, 401)
        self.assertEqual(self.from_(address, key=self.key).status, 200)
        self.err(address, fields=[("Sec-Fetch-Site", "cross-site")])  # with a credential it excuses nothing
        self.assertEqual(self.from_(address, key=self.key).status, 403)

    def test_a_form_of_somebody_s_page_signs_nobody_in(self):
        address = self.new_address()
        for _ in range(3 * THRESHOLD):
            response = self.try_login(None, None, "/login", address, b"username=admin&password=guess",
                                      [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://a.example")])
            self.assert_refused(response, 403, "PERMISSION_DENIED")
        self.assertEqual(self.try_login("admin", ADMIN_PASSWORD, address=address).status, 200)
        allowed = self.try_login("admin", ADMIN_PASSWORD, address=address, fields=[
            ("Sec-Fetch-Site", "cross-site"), ("Origin", "https://b.example")])
        self.assertEqual(allowed.status, 200)

    def test_the_mistakes_of_a_colleague_ban_nobody(self):
        address, token = self.new_address(), self.admin()
        for _ in range(3 * THRESHOLD):
            self.assertEqual(self.from_(address, path="/api/v1/audit?limit=many", key=token).status, 400)
        self.assertEqual(self.from_(address, key=token).status, 200)

    def test_a_model_server_that_fails_bans_nobody(self):
        address = self.new_address()
        model = self.upstream.on("broken", answers.whole({"error": "broken"}, status=500))
        for _ in range(3 * THRESHOLD):
            self.assertEqual(self.from_(address, "POST", "/v1/chat/completions", self.key, chat(model)).status, 502)
        self.assertEqual(self.from_(address, key=self.key).status, 200)

    def test_the_figures_of_004(self):
        address = self.new_address()
        self.err(address, 1)
        key = self.gateway.key("metrics", "read_metrics")["key"]
        stats = self.from_(address, path="/metrics/json", key=key).json()["abuse_stats"]
        self.assertEqual(set(stats), {"denied_count", "tracked_entities", "threshold_errors", "window_seconds"})
        self.assertEqual((stats["threshold_errors"], stats["window_seconds"]), (THRESHOLD, 30))
        self.assertGreaterEqual(stats["tracked_entities"], 1)


class Patterns(AbuseCase):
    sections = {"abuse": {"threshold_errors": 0, "login_spray": "ban", "key_addresses": "ban"}}

    def test_many_names_from_one_address(self):
        address, statuses = self.new_address(), []
        for number in range(30):
            statuses.append(self.try_login(f"name-{number}", "wrong", address=address).status)
            if statuses[-1] == 403:
                break
        # The limit of five tries a minute per address is met first; names that are only tried count no more.
        self.assertNotIn(403, statuses)
        self.assertIn(429, statuses)

    def test_one_name_many_times_is_no_spray(self):
        for _ in range(15):
            self.assertIn(self.try_login("admin", "wrong", address="203.0.113.9").status, (401, 429))
        self.assertEqual(self.from_("203.0.113.9", key=self.key).status, 200)

    def test_many_models_are_flagged(self):
        address, key = self.new_address(), self.gateway.key("asker", models=["m"])["key"]
        for number in range(25):
            response = self.from_(address, "POST", "/v1/chat/completions", key, chat(model=f"model-{number}"))
            self.assertEqual(response.status, 404, response)
        wait_until(lambda: any(one["reason"] == "model_enumeration" for one in self.events("flag")), "a flag")
        self.assertIn("model_enumeration", [record["reason"] for record in self.events("flag")])
        self.assertEqual(self.from_(address, key=key).status, 200)

    def test_a_key_from_many_addresses(self):
        key, statuses = self.gateway.key("lent"), []
        for _ in range(25):
            statuses.append(self.from_(self.new_address(), key=key["key"]).status)
        self.assertEqual(statuses[:19], [200] * 19)
        self.assertEqual(statuses[-1], 403)
        self.assert_banned(f"key:{key['id']}", "key_addresses")


class Spray(AbuseCase):
    """Names and passwords in every request."""
    sections = {"abuse": {"threshold_errors": 0, "login_spray": "ban"}}
    security = {"basic_enabled": True}

    def test_many_names_ban_the_address(self):
        address, statuses = self.new_address(), []
        for number in range(15):
            response = self.from_(address, fields=[("Authorization", "Basic " + basic(f"name-{number}", "wrong"))])
            statuses.append(response.status)
        self.assertEqual(statuses[:9], [401] * 9)
        self.assertEqual(statuses[-1], 403)
        self.assert_banned(address, "login_spray")


def basic(name, password):
    import base64
    return base64.b64encode(f"{name}:{password}".encode()).decode()


class Untrusted(WireCase):
    """Nobody is a trusted proxy: who says that it forwards may be one, and is not banned."""
    sections = {"abuse": {"threshold_errors": THRESHOLD, "protect": []}}

    def setUp(self):
        self.gateway = Gateway(self.upstream_list(), self.sections)
        self.addCleanup(self.gateway.discard)
        self.gateway.start()
        self.made = self.gateway.key("good")["key"]

    def ask(self, fields=(), key=WRONG):
        return self.gateway.ask(request("GET", "/v1/models", fields, key=key)).status

    @classmethod
    def upstreams_seen(cls):
        return None

    def test_who_forwards_is_not_banned_and_the_operator_is_told(self):
        for _ in range(3 * THRESHOLD):
            self.assertEqual(self.ask([("X-Forwarded-For", "203.0.113.1")]), 401)
        self.assertEqual(self.ask(key=self.made), 200)
        said = lambda: self.gateway.heard().count("is not in server.trusted_proxies")
        wait_until(said, "a warning")
        self.assertEqual(said(), 1)

    def test_not_even_for_heads_that_cannot_be_read(self):
        for _ in range(3 * THRESHOLD):
            broken = request("GET", "/v1/models", [("X-Forwarded-For", "203.0.113.1"), ("Bad Name", "x")])
            self.assertEqual(self.gateway.ask(broken).status, 400)
        self.assertEqual(self.ask(key=self.made), 200)

    def test_who_does_not_is(self):
        for _ in range(THRESHOLD):
            self.assertEqual(self.ask(), 401)
        wait_until(lambda: self.gateway.folder.joinpath("ops", "denylist.txt").exists(), "a ban")
        self.assertIn("127.0.0.1  # Blocked", self.gateway.folder.joinpath("ops", "denylist.txt").read_text())
