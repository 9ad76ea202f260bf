"""What the gateway answers by itself."""

from tools import upstream as answers
from tools.case import WireCase, rows
from tools.client import chat
from tools.upstream import Upstream

NOTHING = "There is nothing at this path."
NOT_ALLOWED = "This path is not on the gateway's allow-list."
NO_METHOD = "This path does not take this method."


class Native(WireCase):
    @classmethod
    def set_up(cls):
        cls.narrow = cls.gateway.key("narrow", models=["other"])["key"]
        cls.metrics = cls.gateway.key("metrics", "read_metrics")["key"]

    def test_the_root_says_what_stands_here(self):
        response = self.get("/")
        self.assertEqual((response.status, response.body.strip()), (200, b"Ollama is running"))

    def test_health_is_open_and_says_ok(self):
        response = self.get("/health")
        self.assertEqual(response.status, 200)
        document = response.json()
        self.assertEqual(document["status"], "ok")
        self.assertEqual(document["device"], "gateway")
        self.assertIn("version", document)
        self.assertIn("model", document)

    @rows({path: path for path in ("/livez", "/readyz", "/ready")})
    def probe(self, path):
        for method in ("GET", "HEAD"):
            self.assertEqual(self.get(path, method=method).status, 200)

    def test_probes_never_call_the_upstream(self):
        calls = len(self.upstream.requests)
        for path in ("/", "/health", "/livez", "/livez"):
            self.get(path)
        self.assertEqual(len(self.upstream.requests), calls)

    def test_models_are_those_the_caller_may_use(self):
        for key, expected in [(self.key, {"m", "other", "third"}), (self.narrow, {"other"})]:
            response = self.get("/v1/models", key=key)
            self.assertEqual(response.status, 200, response)
            document = response.json()
            self.assertEqual(document["object"], "list")
            self.assertEqual({model["id"] for model in document["data"]}, expected)
            self.assertTrue(response.get("content-type").startswith("application/json"))

    def test_tags_are_those_the_caller_may_use(self):
        for key, expected in [(self.key, {"m", "other", "third"}), (self.narrow, {"other"})]:
            response = self.get("/api/tags", key=key)
            self.assertEqual(response.status, 200, response)
            self.assertEqual({model["name"] for model in response.json()["models"]}, expected)

    @rows({"plain text": ("text/plain", "/metrics", True), "OpenMetrics": (
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "/metrics", True),
        "JSON": ("application/json", "/metrics", False), "anything": ("*/*", "/metrics", False),
        "fixed text": ("application/json", "/metrics/prometheus", True),
        "fixed JSON": ("text/plain", "/metrics/json", False)})
    def metrics_form(self, accept, path, text):
        self.chat()
        response = self.get(path, [("Accept", accept)], key=self.metrics)
        self.assertEqual(response.status, 200, response)
        if text:
            self.assertTrue(response.get("content-type").startswith("text/plain"))
            self.check_prometheus(response.body.decode())
        else:
            document = response.json()
            self.assertGreaterEqual(document["requests_total"], 1)
            self.assertIn("requests_2xx", document)

    def check_prometheus(self, text):
        types = {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.assertNotIn(name, types, "declared twice")
                types[name] = kind
            elif line and not line.startswith("#"):
                name = line.split("{")[0].split(" ")[0]
                base = name
                for suffix in ("_bucket", "_sum", "_count"):
                    if name.endswith(suffix) and types.get(name[:-len(suffix)]) == "histogram":
                        base = name[:-len(suffix)]
                self.assertIn(base, types, line)
                self.assertRegex(line, r'^[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [-+0-9.eInf]+$')
        self.assertEqual(types.get("http_requests_total"), "counter")
        self.assertEqual(types.get("http_request_duration_seconds"), "histogram")

    @rows({f"{method} {path}": (method, path, allow) for method, path, allow in [
        ("POST", "/health", {"GET", "HEAD"}), ("DELETE", "/livez", {"GET", "HEAD"}),
        ("POST", "/v1/models", {"GET", "HEAD"}), ("GET", "/v1/chat/completions", {"POST"}),
        ("PUT", "/api/chat", {"POST"}), ("PATCH", "/metrics", {"GET", "HEAD"})]})
    def wrong_method(self, method, path, allow):
        response = self.get(path, key=self.key, method=method)
        self.assertEqual(response.status, 405, response)
        allowed = {name.strip() for name in response.get("allow", "").split(",")}
        self.assertTrue(allow <= allowed | {"OPTIONS"}, allowed)
        self.assertNotIn(method, allowed)

    def test_an_error_has_one_body_for_every_client(self):
        response = self.post("/v1/chat/completions", chat())
        document = response.json()
        self.assertEqual(set(document), {"type", "error", "detail", "request_id"})
        self.assertEqual(set(document["error"]), {"type", "code", "message", "param", "details"})
        self.assertEqual(document["error"]["type"], "authentication_error")
        self.assertTrue(response.get("content-type").startswith("application/json"))
        self.assertEqual(response.get("cache-control"), "no-store")

    def test_an_ollama_client_gets_its_own_error(self):
        response = self.post("/api/chat", chat())
        self.assertEqual(response.status, 401)
        self.assertEqual(set(response.json()), {"error"})
        self.assertIsInstance(response.json()["error"], str)

    def test_a_person_gets_the_bare_reason(self):
        response = self.post("/v1/chat/completions", chat(), [("Accept", "text/plain")])
        self.assertEqual(response.status, 401)
        self.assertTrue(response.get("content-type").startswith("text/plain"))
        self.assertNotIn(b"{", response.body)

    def test_readiness_says_no_more_than_it_must_to_strangers(self):
        self.assertNotIn(str(self.upstream.port).encode(), self.get("/readyz").body)

    def test_an_answer_carries_no_banner(self):
        for response in [self.get("/livez"), self.chat(), self.get("/nothing")]:
            self.assertIsNone(response.get("server"))
            self.assertIsNone(response.get("x-powered-by"))

    def test_log_lines_keep_their_shape_whatever_comes(self):
        hostile = ['"}', "\\", "\\u2028", "%s%n", "<script>", "'; DROP TABLE keys;--", "a" * 4000,
                   '{"status":"200"}', "${jndi:ldap://x}"]
        for value in hostile:
            response = self.chat(fields=[("User-Agent", value), ("X-Correlation-ID", value)],
                                 model=value + "\u2028\u001b[31m\U0001f600")
            self.gateway.logged(response)  # each line is one JSON object, or this fails

    def test_the_access_log_begins_with_the_promised_seven(self):
        response = self.chat()
        line = self.gateway.logged(response)
        self.assertEqual(list(line)[:7], ["time", "remote_addr", "request", "status", "body_bytes_sent",
                                          "request_time", "user"])
        self.assertTrue(all(isinstance(line[name], str) for name in list(line)[:7]), line)
        self.assertEqual(line["request"], "POST /v1/chat/completions HTTP/1.1")
        self.assertEqual(line["body_bytes_sent"], str(len(response.body)))
        self.assertEqual((line["model"], line["upstream"], line["decision"]), ("m", "main", "pass"))


class InFrontOfOpenAI(WireCase):
    kind = "openai"

    def test_the_root_is_one_line_of_json(self):
        response = self.get("/")
        self.assertEqual(response.status, 200)
        self.assertIsInstance(response.json(), dict)

    def test_ollamas_own_routes_are_not_there(self):
        for path in ("/api/chat", "/api/generate"):
            self.assertEqual(self.chat(path=path).status, 403)


class Endpoints(WireCase):
    sections = {"endpoints": {"allow": ["/v1/files", "/extra/*"], "deny": ["/v1/embeddings"]}}

    def test_what_the_operator_allows_is_there_and_what_is_denied_is_not(self):
        self.assertEqual(self.get("/v1/files", key=self.key).status, 200)
        self.assertEqual(self.get("/extra/thing", key=self.key).status, 200)
        self.assertEqual(self.get("/extra", key=self.key).status, 403)
        self.assertEqual(self.chat(path="/v1/embeddings", input="x").status, 403)


class WithoutIdentity(WireCase):
    sections = {"security": {"auth_enabled": False}}

    def test_anonymous_callers_may_ask_and_nothing_more(self):
        self.assertEqual(self.post("/v1/chat/completions", chat()).status, 200)
        self.assertEqual(self.get("/v1/models").status, 200)
        self.assertIn(self.get("/metrics").status, (401, 403))
        self.assertEqual(self.post("/api/pull", {"model": "m"}).status, 403)
        line = self.gateway.logged(self.post("/v1/chat/completions", chat()))
        self.assertEqual(line["user"], "anonymous")


class OpenMetrics(WireCase):
    sections = {"metrics": {"allow": ["127.0.0.0/8"]}}

    def test_an_allowed_address_reads_metrics_without_a_credential(self):
        self.assertEqual(self.get("/metrics").status, 200)


class Paths(WireCase):
    """Which of its own routes a path is: each is told by its whole text."""

    @classmethod
    def set_up(cls):
        cls.manager = cls.gateway.key("manager", "manage_users,read_models")["key"]

    @rows({"name": ("GET", "/api/v1/users/nobody", 404, 'no user is named "nobody"'),
           "no name": ("GET", "/api/v1/users/", 404, NOTHING), "two names": ("GET", "/api/v1/users/a/b", 404, NOTHING),
           "short": ("GET", "/api/v1/user", 404, NOTHING), "long": ("GET", "/api/v1/userss", 404, NOTHING),
           "only the first letters": ("GET", "/api/v1/", 404, NOTHING),
           "prefix of an open one": ("GET", "/healt", 403, NOT_ALLOWED),
           "behind an open one": ("GET", "/health/", 403, NOT_ALLOWED),
           "another first letter": ("GET", "/xhealth", 403, NOT_ALLOWED),
           "open one, other method": ("DELETE", "/health", 405, NO_METHOD),
           "other method": ("PUT", "/api/v1/users/nobody", 405, NO_METHOD)})
    def path(self, method, path, status, message):
        response = self.get(path, key=self.manager, method=method)
        self.assert_refused(response, status)
        self.assertTrue(response.json()["detail"].startswith(message), response)


class Lists(WireCase):
    """Of several servers, one of which begins its list and never ends it."""
    kind = "openai"

    @classmethod
    def upstream_list(cls):
        cls.endless = Upstream(default=cls.drip)
        cls.addClassCleanup(cls.endless.stop)
        return [{"name": "endless", "kind": "openai", "url": cls.endless.url}] + super().upstream_list()

    @staticmethod
    def drip(connection, _request):
        connection.send(answers.answer_head() + b"Content-Length: 1000\r\n\r\n")
        while connection.send(b" "):
            connection.closed.wait(0.5)
        return False

    def test_a_list_that_never_ends_does_not_hide_the_others(self):
        response = self.get("/v1/models", key=self.key)
        self.assertEqual({model["id"] for model in response.json()["data"]}, {"m", "other", "third"})
