"""What the founding documents show, done as it stands there: their commands by their own tools, with nothing changed
but the host and what stands in angle brackets, and the variables, files and lines that they promise. Each test says
which lines of which document it covers."""

import datetime
import json
import re
import subprocess

from tools.case import WireCase, rows
from tools.client import request
from tools.gateway import Gateway, environment
from tools.signing import ADMIN_PASSWORD, PERMISSIONS, SigningCase, claims_of
from tools.upstream import wait_until

HOST = {"000": "https://inferno.example.com", "003": "http://localhost:8080", "004": "https://yourdomain.com"}


class DocumentCase:
    def shell(self, document, script, **placeholders):
        """Runs a script of a document; answers what it printed."""
        for name, value in placeholders.items():
            self.assertIn(name.replace("_", "-"), script)
            script = script.replace(f"<{name.replace('_', '-')}>", value).replace(name.replace("_", "-"), value)
        scheme = "https" if self.gateway.tls else "http"
        script = script.replace(HOST[document], f"{scheme}://127.0.0.1:{self.gateway.port}")
        trust = self.gateway.folder / "curlrc"
        trust.write_text("silent\nshow-error\n" + ("insecure\n" if self.gateway.tls else ""))
        done = subprocess.run(["bash", "-c", f'curl() {{ command curl --config "{trust}" "$@"; }}\n{script}'],
                              env=environment(), cwd=self.gateway.folder, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    @classmethod
    def upstreams_seen(cls):
        return None  # curl asked, not a client of ours


class Inferno(DocumentCase, SigningCase):
    """Documents 000 and 001: tokens, keys, headers."""

    def test_000_lines_15_to_26_logging_in(self):
        made = self.remember(json.loads(self.shell("000", '''
curl -X POST https://inferno.example.com/api/v1/auth/login \\
-H "Content-Type: application/json" \\
-d '{"username": "admin", "password": "your-password"}'
'''.replace("your-password", ADMIN_PASSWORD))))
        self.assertTrue(made["token"].startswith("eyJ"))
        self.assertRegex(made["expires_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

    def test_000_lines_3_to_14_a_token_and_a_key(self):
        for field, credential in (("Authorization: Bearer <your-jwt-token>", self.admin()),
                                  ("X-API-Key: <your-api-key>", self.key)):
            command = f'curl -H "{field}" \\\nhttps://inferno.example.com/api/v1/auth/me\n'
            placeholder = re.search(r"<(.*)>", field)[1].replace("-", "_")
            self.assertIn("permissions", json.loads(self.shell("000", command, **{placeholder: credential})))

    def test_000_lines_28_to_56_making_and_revoking_a_key(self):
        made = self.remember(json.loads(self.shell("000", '''
curl -X POST https://inferno.example.com/api/v1/auth/api-keys \\
-H "Authorization: Bearer <admin-token>" \\
-H "Content-Type: application/json" \\
-d '{
"name": "production-key",
"permissions": ["read_models", "run_inference"],
"expires_in_days": 90
}'
''', admin_token=self.admin())))
        self.assertEqual((made["name"], made["permissions"]), ("production-key", ["read_models", "run_inference"]))
        ends = datetime.datetime.fromisoformat(made["expires_at"].replace("Z", "+00:00"))
        days = (ends - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / 86400
        self.assertAlmostEqual(days, 90, delta=0.1)
        self.assertEqual(self.chat(key=made["key"]).status, 200)
        self.assertEqual(self.shell("000", '''
curl -X DELETE https://inferno.example.com/api/v1/auth/api-keys/<key-id> \\
-H "Authorization: Bearer <admin-token>"
''', key_id=made["id"], admin_token=self.admin()), "")
        self.assertEqual(self.chat(key=made["key"]).status, 401)

    def test_000_lines_39_to_51_the_permissions_there_are(self):
        made = self.call("POST", "/api/v1/auth/api-keys", self.admin(), {"name": "all", "permissions": [
            "read_models", "write_models", "delete_models", "run_inference", "manage_cache", "read_metrics",
            "write_config", "manage_users", "view_audit_logs", "use_streaming", "manage_queue"]})
        self.assertEqual(self.remember(made.json())["permissions"], PERMISSIONS)

    def test_000_lines_57_to_64_and_67_to_77_the_headers_of_limits(self):
        answer = self.chat()
        for name in ("limit", "remaining", "reset"):
            self.assertRegex(answer.get(f"x-ratelimit-{name}"), r"^\d+$")

    def test_000_lines_92_to_107_the_form_of_an_error(self):
        error = self.call("GET", "/v1/models", "wrong").json()["error"]
        self.assertEqual((error["code"], error["details"]), ("AUTHENTICATION_FAILED", None))
        self.assertIn("message", error)

    def test_001_lines_67_to_73_tokens(self):
        token = self.login()["token"]
        claims = claims_of(token)
        self.assertEqual(claims["exp"] - claims["iat"], 24 * 3600)
        self.assertEqual(self.call("GET", "/v1/models", token).status, 200)

    def test_001_lines_101_to_115_what_the_audit_log_captures(self):
        self.try_login("admin", "wrong")
        user = self.signed_in("audited")
        key = self.remember(self.call("POST", "/api/v1/auth/api-keys", user["token"], {"name": "k"}).json())
        self.call("DELETE", f"/api/v1/auth/api-keys/{key['id']}", user["token"])
        wanted = {"login", "user_create", "key_create", "key_revoke"}
        wait_until(lambda: wanted <= {record["event"] for record in self.gateway.audit_log()}, "records")

    def test_002_lines_15_to_19_a_session(self):
        pair = self.remember(self.try_login("admin", ADMIN_PASSWORD, "/login").json())
        self.assertEqual((pair["token_type"].lower(), set(pair) >= {"access_token", "refresh_token"}), ("bearer", True))
        next_pair = self.remember(self.refresh(pair["refresh_token"], "/token/refresh").json())
        self.assertNotEqual(pair["refresh_token"], next_pair["refresh_token"])
        self.assert_open(next_pair["access_token"])
        gone = self.call("POST", "/logout", next_pair["access_token"], {"refresh_token": next_pair["refresh_token"]})
        self.assertEqual(gone.status, 204)
        self.assert_shut(next_pair["access_token"])
        self.assertEqual(self.refresh(next_pair["refresh_token"]).status, 401)


class Holo(DocumentCase, SigningCase):
    """Document 004."""
    sections = {"abuse": {"threshold_errors": 5}}

    def test_004_lines_76_to_83_using_a_key(self):
        answer = json.loads(self.shell("004", '''
curl -X POST https://yourdomain.com/v1/chat/completions \\
  -H "Authorization: Bearer YOUR_API_KEY_HERE" \\
  -H "Content-Type: application/json" \\
  -d '{...}'
'''.replace("YOUR_API_KEY_HERE", self.key).replace(
            "{...}", '{"model": "Hcompany/Holo1.5-7B", "messages": [{"role": "user", "content": "Hello!"}]}')))
        self.assertIn("choices", answer)

    def test_004_lines_155_to_164_the_deny_list(self):
        key = self.gateway.key("suspicious-client")
        path = self.gateway.folder / "ops" / "denylist.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("192.168.1.100  # Blocked: 5 errors in 30s at 2025-11-03 10:30:00\n"
                        f"key:{key['id']}  # Blocked: invalid_image at 2025-11-03 10:31:00\n")
        ask = lambda **what: self.gateway.ask(request("GET", "/v1/models", [
            ("X-Forwarded-For", what.get("address", "203.0.113.9"))], key=what.get("key", self.key))).status
        wait_until(lambda: ask(address="192.168.1.100") == 403, "a ban of the address")
        self.assertEqual((ask(key=key["key"]), ask()), (403, 200))
        path.write_text("")  # to unblock, remove the entry; a restart is not needed
        wait_until(lambda: ask(address="192.168.1.100") == 200 and ask(key=key["key"]) == 200, "the end of it")

    def test_004_lines_168_to_185_and_383_to_401_the_figures(self):
        key = self.gateway.key("ADMIN_KEY", "read_metrics")["key"]
        figures = json.loads(self.shell("004", '''
curl -H "Authorization: Bearer ADMIN_KEY" \\
  https://yourdomain.com/metrics
'''.replace("ADMIN_KEY", key)))
        self.assertEqual({"denied_count", "tracked_entities", "threshold_errors", "window_seconds"},
                         set(figures["abuse_stats"]))
        self.assertLessEqual({"requests_total", "requests_2xx", "requests_4xx", "requests_5xx", "latency_p50_ms",
                              "latency_p95_ms"}, set(figures))

    def test_004_lines_403_to_415_health(self):
        self.assertEqual(json.loads(self.shell("004", "curl https://yourdomain.com/health\n"))["status"], "ok")


class Limited(DocumentCase, WireCase):
    """A gateway for each test, with the limits that a document shows."""

    def begin(self, sections=None, **variables):
        defaults = {"limits": {name: None for name in ("ip", "ip_burst", "key", "key_burst")}}
        gateway = Gateway(self.upstream_list(), {**defaults, **(sections or {})})
        self.addCleanup(gateway.discard)
        gateway.variables = variables
        self.gateway = gateway.start()
        return gateway

    def statuses(self, count, key=None, path="/v1/models"):
        return [self.gateway.ask(request("GET", path, key=key)).status for _ in range(count)]

    def test_003_lines_405_to_416_authentication(self):
        key = self.begin().key("your-key")["key"]
        self.assertRegex(self.shell("003", "curl -I http://localhost:8080/v1/models\n"), r"^HTTP/(1\.1|2) 401 ")
        answer = self.shell("003", 'curl -H "Authorization: Bearer your-key" http://localhost:8080/v1/models\n'
                            .replace("your-key", key))
        self.assertEqual(json.loads(answer)["object"], "list")

    def test_003_lines_426_to_435_fifty_requests(self):
        key = self.begin().key("your-key")["key"]
        codes = self.shell("003", '''
for i in {1..50}; do
    curl -s -o /dev/null -w "%{http_code}\\n" \\
         -H "Authorization: Bearer your-key" \\
         http://localhost:8080/v1/models
done
'''.replace("your-key", key)).split()
        self.assertEqual(len(codes), 50)
        self.assertEqual(set(codes), {"200", "429"})
        self.assertEqual(codes[:20], ["200"] * 20)  # the burst; two come back each second
        self.assertIn("429", codes[20:])

    def test_003_lines_437_to_444_a_blocked_endpoint(self):
        key = self.begin().key("your-key", "read_models,run_inference,write_models")["key"]
        self.assertIn("403", self.shell("003", '''
curl -H "Authorization: Bearer your-key" \\
     -X POST http://localhost:8080/api/pull \\
     -d '{"name": "malicious-model"}' -w '%{http_code}'
'''.replace("your-key", key)))

    def test_004_lines_108_to_134_bursts(self):
        self.begin(RATE_LIMIT_IP="60/minute      # 60 requests per minute", BURST_IP="10   # Allow burst of 10",
                   RATE_LIMIT_KEY="120/minute     # 120 requests per minute", BURST_KEY="20   # Allow burst of 20",
                   ABUSE_THRESHOLD_ERRORS="5      # Block after 5 errors")
        key = self.gateway.key("k")["key"]
        self.assertEqual(self.statuses(20, key), [200] * 20)
        while (answer := self.gateway.ask(request("GET", "/v1/models", key=key))).status == 200:
            pass
        self.assertEqual((answer.status, answer.get("x-ratelimit-limit"), answer.get("x-ratelimit-remaining")),
                         (429, "120", "0"))
        self.assertRegex(answer.get("retry-after"), r"^[1-9]\d*$")
        strangers = self.statuses(12)  # who shows a key has used up nothing of the address's
        self.assertEqual((strangers[:10], strangers[-1]), ([401] * 10, 429))

    def test_004_lines_144_to_153_abuse_variables(self):
        self.begin({"server": {"trusted_proxies": ["127.0.0.0/8"]}, "abuse": {"threshold_errors": None}},
                   ABUSE_THRESHOLD_ERRORS="5      # Block after 5 errors",
                   ABUSE_WINDOW_SECONDS="30       # Within 30 seconds", DENYLIST_FILE="ops/denylist.txt")
        ask = lambda: self.gateway.ask(request("GET", "/v1/models", [("X-Forwarded-For", "203.0.113.5")])).status
        self.assertEqual([ask() for _ in range(6)], [401] * 5 + [403])
        path = self.gateway.folder / "ops" / "denylist.txt"
        wait_until(lambda: path.exists() and "203.0.113.5" in path.read_text(), "a line")
        self.assertRegex(path.read_text(), r"^203\.0\.113\.5  # Blocked: 5 errors in 30s at \d{4}-\d\d-\d\d "
                                           r"\d\d:\d\d:\d\d for 900s\n$")

    def test_001_lines_49_to_51_sixty_in_a_minute(self):
        self.begin({"limits": {"key": "1000/second", "key_burst": 1000},
                    "security": {"max_requests_per_minute": 60, "max_requests_per_hour": 1000}})
        key = self.gateway.key("k")["key"]
        self.assertEqual(self.statuses(61, key), [200] * 60 + [429])

    def test_002_line_30_five_a_minute_on_health(self):
        self.begin({"limits": {"route": [{"path": "/health", "rate": "5/minute"}]}})
        self.assertEqual(self.statuses(6, path="/health"), [200] * 5 + [429])
        self.assertEqual(self.statuses(10, path="/livez"), [200] * 10)

    @rows({"no secret": ({},), "a short one": ({"INFERNO_JWT_SECRET": "short"},),
           "the sample": ({"INFERNO_JWT_SECRET": "your-secure-random-secret-at-least-32-chars"},)})
    def start_of_001_lines_12_to_21(self, variables):
        gateway = Gateway([], {"security": {"jwt_secret": None}})
        self.addCleanup(gateway.discard)
        gateway.write_config()
        done = subprocess.run([gateway.binary, "serve", "--config", gateway.config], cwd=gateway.folder,
                              env=environment(**variables), capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertIn("INFERNO_JWT_SECRET" if not variables else "security.jwt_secret", done.stderr)
