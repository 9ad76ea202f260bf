"""CORS: a page of a listed origin reads every answer, any other page reads none, and a browser's
preflight is answered without a credential, without charge and without the upstream."""

import signal
import threading

from tools import upstream as answers
from tools.case import WireCase, rows
from tools.client import chat, chat_request, request
from tools.upstream import wait_until

PAGE = "https://app.example.com"
LOCAL = "http://localhost:5500"
ALLOW = "access-control-allow-origin"

# Every field that the OpenAI and Anthropic libraries set in a browser.
BROWSER_FIELDS = [
    "authorization", "content-type", "x-api-key", "x-correlation-id", "idempotency-key", "user-agent",
    "openai-beta", "openai-organization", "openai-project", "anthropic-version", "anthropic-beta",
    "anthropic-dangerous-direct-browser-access", "x-stainless-lang", "x-stainless-package-version",
    "x-stainless-os", "x-stainless-arch", "x-stainless-runtime", "x-stainless-runtime-version",
    "x-stainless-retry-count", "x-stainless-timeout", "x-stainless-helper", "x-stainless-helper-method"]

STRANGERS = {
    "another": "https://evil.org", "reflected": "https://attacker.example",
    "our name in front": "https://app.example.com.evil.org", "our name behind": "https://evilapp.example.com",
    "null": "null", "our name within": "https://evil.org/app.example.com",
    "a dot that is none": "https://appxexample.com",
    "a name below ours": "https://x.app.example.com", "plain http": "http://app.example.com",
    "a third party's list": "https://jsfiddle.net", "a backtick": "https://app.example.com`.evil.org",
    "an underscore": "https://app.example.com_.evil.org", "a brace": "https://app.example.com{.evil.org",
    "an exclamation mark": "https://app.example.com!.evil.org", "capitals": "https://APP.example.com",
    "its own port": "https://app.example.com:443", "another port": "https://app.example.com:8443",
    "a slash": "https://app.example.com/", "two in one": f"{PAGE} https://evil.org",
    "two with a comma": f"{PAGE}, {LOCAL}",
    "a star": "*", "nothing": "", "a long one": "https://" + "a" * 15000}


def preflight(path="/v1/chat/completions", origin=PAGE, method="POST", fields=("authorization",), extra=()):
    asked = [("Access-Control-Request-Headers", ",".join(fields))] if fields else []
    return request("OPTIONS", path, [("Origin", origin), ("Access-Control-Request-Method", method), *asked, *extra])


class CorsCase(WireCase):
    def assert_readable(self, response, origin=PAGE):
        names = [name for name, _ in response.fields]
        self.assertEqual(names.count(ALLOW.encode()), 1, response)
        self.assertEqual(response.get(ALLOW), origin, response)
        self.assertEqual(response.get("vary"), "Origin")
        self.assertIsNone(response.get("access-control-allow-credentials"))

    def assert_unreadable(self, response):
        names = [name for name, _ in response.fields if name.startswith(b"access-control-")]
        self.assertEqual(names, [], response)


class Cors(CorsCase):
    sections = {"server": {"cors_origins": [PAGE, LOCAL]}}

    @classmethod
    def set_up(cls):
        cls.metrics = cls.gateway.key("metrics", "read_metrics")["key"]

    def test_a_listed_page_reads_every_answer_refusals_included(self):
        self.upstream.on("cut", answers.raw(b""))
        from_page = [("Origin", PAGE)]
        asked = [
            (200, self.chat(fields=from_page)),
            (200, self.chat(fields=from_page, stream=True)),
            (200, self.get("/v1/models", from_page, key=self.key)),
            (200, self.get("/livez", from_page)),
            (200, self.get("/livez", from_page, method="HEAD")),
            (401, self.post("/v1/chat/completions", chat(), from_page)),
            (401, self.get("/nothing", from_page)),
            (400, self.post("/v1/chat/completions", b"{", from_page, self.key)),
            (403, self.get("/nothing", from_page, key=self.key)),
            (403, self.get("/metrics", from_page, key=self.key)),
            (404, self.get("/api/v1/nothing", from_page, key=self.key)),
            (405, self.get("/v1/chat/completions", from_page, key=self.key)),
            (415, self.post("/v1/chat/completions", b"x", [*from_page, ("Content-Type", "text/plain")], self.key)),
            (502, self.chat(fields=from_page, model="cut")),
        ]
        for status, response in asked:
            with self.subTest(status=status):
                self.assertEqual(response.status, status, response)
                self.assert_readable(response)
                exposed = response.get("access-control-expose-headers").lower()
                for name in ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after",
                             "x-request-id"):
                    self.assertIn(name, exposed)
        self.assert_readable(self.chat(fields=[("Origin", LOCAL)]), LOCAL)

    @rows({name: origin for name, origin in STRANGERS.items()})
    def stranger(self, origin):
        for response in (self.chat(fields=[("Origin", origin)]),
                         self.post("/v1/chat/completions", chat(), [("Origin", origin)]),
                         self.ask(preflight(origin=origin))):
            self.assert_unreadable(response)
            self.assertEqual(response.get("vary"), "Origin")
        self.assertEqual(response.status, 400)

    def test_a_page_that_is_not_listed_is_served_all_the_same(self):
        # The credential decides; the browser keeps the answer from the page.
        self.assertEqual(self.chat(fields=[("Origin", "https://evil.org")]).status, 200)

    def test_what_is_asked_without_an_origin_speaks_of_vary_only(self):
        response = self.chat()
        self.assert_unreadable(response)
        self.assertEqual(response.get("vary"), "Origin")

    def test_two_origins_are_malformed(self):
        response = self.chat(fields=[("Origin", PAGE), ("Origin", PAGE)])
        self.assertEqual(response.status, 400)
        self.assert_unreadable(response)

    def test_an_origin_of_64_KiB_is_too_long(self):
        response = self.chat(fields=[("Origin", "https://" + "a" * 65536)])
        self.assertEqual(response.status, 431)
        self.assert_unreadable(response)

    def test_a_preflight_is_answered_without_a_credential_and_without_the_upstream(self):
        seen = len(self.upstream.requests)
        response = self.ask(preflight(fields=BROWSER_FIELDS))
        self.assertEqual((response.status, bytes(response.body)), (204, b""), response)
        self.assert_readable(response)
        self.assertEqual(response.get("access-control-allow-methods"), "POST, GET, OPTIONS")
        self.assertEqual(response.get("access-control-max-age"), "600")
        allowed = [name.strip().lower() for name in response.get("access-control-allow-headers").split(",")]
        self.assertEqual(set(BROWSER_FIELDS) - set(allowed), set())
        self.assertEqual(len(self.upstream.requests), seen)
        line = self.gateway.logged(response)
        self.assertEqual((line["decision"], line["user"], line["key"]), ("pass", "", ""))

    def test_a_preflight_leaves_the_connection_open_for_the_request(self):
        with self.client() as client:
            self.assertEqual(client.ask(preflight()).status, 204)
            self.assertEqual(client.ask(chat_request(self.key, fields=[("Origin", PAGE)])).status, 200)

    def test_a_preflight_does_not_tell_which_paths_exist(self):
        seen = {self.ask(preflight(path)).status for path in ("/v1/chat/completions", "/livez", "/admin", "/")}
        self.assertEqual(seen, {204})

    @rows({"another origin": {"origin": "https://evil.org"}, "no origin of its own": {"origin": "null"},
           "a method that is not listed": {"method": "DELETE"}, "a method in small letters": {"method": "post"},
           "a field that is not listed": {"fields": ["authorization", "x-evil"]},
           "two methods": {"extra": [("Access-Control-Request-Method", "POST")]},
           "a field in a second line": {"extra": [("Access-Control-Request-Headers", "x-evil")]}})
    def refused_preflight(self, changes):
        seen = len(self.upstream.requests)
        response = self.ask(preflight(**changes))
        self.assert_refused(response, 400, "VALIDATION_ERROR")
        self.assert_unreadable(response)
        self.assertEqual(self.gateway.logged(response)["decision"], "preflight")
        self.assertEqual(len(self.upstream.requests), seen)

    def test_refused_preflights_are_counted(self):
        self.ask(preflight(method="DELETE"))
        text = self.get("/metrics/prometheus", key=self.metrics).body.decode()
        self.assertRegex(text, r'(?m)^\w+\{reason="preflight"\} [1-9]')

    def test_access_to_the_private_network_is_not_granted(self):
        response = self.ask(preflight(extra=[("Access-Control-Request-Private-Network", "true")]))
        self.assertEqual(response.status, 204)
        self.assertIsNone(response.get("access-control-allow-private-network"))

    def test_other_options_are_like_any_method(self):
        for fields in ([], [("Origin", PAGE)], [("Access-Control-Request-Method", "POST")]):
            with self.subTest(fields=fields):
                self.assertEqual(self.get("/v1/chat/completions", fields, method="OPTIONS").status, 401)
                known = self.get("/v1/chat/completions", fields, key=self.key, method="OPTIONS")
                self.assertEqual((known.status, known.get("allow")), (405, "POST"))
                self.assertEqual(self.get("/livez", fields, method="OPTIONS").status, 405)
        marks = [("Origin", PAGE), ("Access-Control-Request-Method", "POST")]
        self.assertEqual(self.post("/v1/chat/completions", b"{}", marks, method="OPTIONS").status, 401)
        self.assertIn(self.get("*", marks, method="OPTIONS").status, (400, 401))

    def test_what_the_upstream_says_of_other_origins_does_not_pass(self):
        extra = ["Access-Control-Allow-Origin: *", "Access-Control-Allow-Credentials: true",
                 "Access-Control-Expose-Headers: X-Secret"]
        self.upstream.on("loud", answers.whole({"object": "x"}, extra=extra))
        response = self.chat(fields=[("Origin", PAGE)], model="loud")
        self.assert_readable(response)
        self.assertNotIn("X-Secret", response.get("access-control-expose-headers"))
        self.assert_unreadable(self.chat(fields=[("Origin", "https://evil.org")], model="loud"))

    def test_a_reload_changes_the_list(self):
        other = "https://other.example.com"
        self.assert_unreadable(self.get("/livez", [("Origin", other)]))
        self.gateway.sections["server"]["cors_origins"] = [PAGE, LOCAL, other]
        self.gateway.write_config()
        self.gateway.signal(signal.SIGHUP)
        wait_until(lambda: self.get("/livez", [("Origin", other)]).get(ALLOW) == other, "the new list")


class CorsOff(CorsCase):
    def test_nothing_is_said_and_a_preflight_is_like_any_request(self):
        response = self.chat(fields=[("Origin", PAGE)])
        self.assertEqual(response.status, 200)
        self.assert_unreadable(response)
        self.assertIsNone(response.get("vary"))
        response = self.ask(preflight())
        self.assertEqual(response.status, 401)
        self.assert_unreadable(response)


class CorsForAll(CorsCase):
    sections = {"server": {"cors_origins": ["*"], "cors_methods": ["POST", "GET", "DELETE"],
                           "cors_headers": ["X-Mine"]}}

    def test_the_star_is_never_the_origin_itself(self):
        for response in (self.chat(fields=[("Origin", PAGE)]), self.get("/v1/models", [("Origin", LOCAL)])):
            self.assert_readable(response, "*")
        self.assert_unreadable(self.chat(fields=[("Origin", "null")]))

    def test_lists_of_ones_own_take_the_place_of_the_defaults(self):
        response = self.ask(preflight(method="DELETE", fields=["x-mine"]))
        self.assertEqual(response.status, 204)
        self.assertEqual(response.get("access-control-allow-methods"), "POST, GET, DELETE")
        self.assertEqual(response.get("access-control-allow-headers"), "X-Mine")
        self.assertEqual(self.ask(preflight(fields=["authorization"])).status, 400)


class CorsLimits(CorsCase):
    # So slow a refill that no token comes back while the test runs.
    sections = {"server": {"cors_origins": [PAGE]},
                "limits": {"ip": "10/hour", "ip_burst": 3, "requests_in_flight_per_ip": 1}}

    def test_preflights_cost_nothing_but_room(self):
        statuses = [self.ask(preflight()).status for _ in range(8)]
        self.assertEqual(statuses, [204] * 8)
        # A page is told of the limit that it has run into.
        from_page = [("Origin", PAGE)]
        responses = [self.post("/v1/chat/completions", chat(), from_page) for _ in range(4)]
        self.assertEqual([response.status for response in responses], [401] * 3 + [429])
        self.assert_readable(responses[-1])
        self.assertEqual(self.ask(preflight()).status, 204)

    def test_an_address_that_is_over_its_caps_gets_no_preflight(self):
        go_on = threading.Event()
        self.upstream.on("held", answers.chunked([answers.delta("a"), go_on, answers.DONE]))
        with self.client() as holder:
            holder.send(chat_request(self.key, model="held", stream=True))
            head = holder.read_head()
            try:
                response = self.ask(preflight())
                self.assertEqual(response.status, 429)
                self.assertEqual(self.gateway.logged(response)["decision"], "too_many_in_flight")
            finally:
                go_on.set()
            holder.read_body(head)
        wait_until(lambda: self.ask(preflight()).status == 204, "the place to come back")
