"""Who is asked, and over what: trusted hosts, the redirect to https, TLS as a requirement."""

import signal

from tools.case import WireCase, rows
from tools.client import chat, request
from tools.upstream import wait_until

OVER_TLS = [("X-Forwarded-Proto", "https")]
PROMISE = "max-age=31536000"


class TrustedHosts(WireCase):
    sections = {"server": {"trusted_hosts": ["gateway.test", "*.apps.test", "10.0.0.7", "2001:db8::1"]}}

    @rows({host: host for host in (
        "gateway.test", "GATEWAY.Test", "gateway.test:8080", "a.apps.test", "a.b.apps.test:1", "10.0.0.7:80",
        "[2001:db8::1]:443", "[2001:DB8:0::1]")})
    def own_host(self, host):
        self.assertEqual(self.get("/v1/models", key=self.key, host=host).status, 200)

    @rows({host: host for host in (
        "evil.org", "gateway.test.evil.org", "evilgateway.test", "apps.test", "xapps.test", "x.gateway.test",
        "127.0.0.1", "localhost", "10.0.0.70", "[::1]", "[2001:db8::2]")})
    def other_host(self, host):
        calls = self.calls()
        for path in ("/v1/models", "/livez", "/health", "/nothing"):
            response = self.get(path, key=self.key, host=host)
            self.assert_refused(response, 400, "VALIDATION_ERROR")
        self.assertEqual(self.gateway.logged(response)["decision"], "untrusted_host")
        self.assertNotIn(host.encode(), response.body)
        self.assertEqual(self.calls(), calls)

    @rows({host: host for host in (
        "gateway.test.", "gateway..test", "gateway.test:", "gateway.test:0", "a@gateway.test", "gateway.test/x",
        "*.apps.test")})
    def malformed_host(self, host):
        self.assert_refused(self.get("/v1/models", key=self.key, host=host), 400, "VALIDATION_ERROR")

    def test_a_request_without_a_host_is_for_none_of_them(self):
        response = self.get("/v1/models", key=self.key, host=None, version="1.0")
        self.assert_refused(response, 400, "VALIDATION_ERROR")
        self.assertEqual(self.gateway.logged(response)["decision"], "untrusted_host")

    def test_no_other_field_is_taken_for_the_host(self):
        fields = [("X-Forwarded-Host", "gateway.test"), ("X-Host", "gateway.test"), ("Forwarded", "host=gateway.test")]
        self.assertEqual(self.get("/v1/models", fields, key=self.key, host="evil.org").status, 400)

    def test_an_absolute_target_names_the_host_too(self):
        line = request("GET", "http://gateway.test/v1/models", key=self.key)
        self.assertEqual(self.ask(line).status, 200)
        self.assertEqual(self.ask(line.replace(b"gateway.test", b"evil.org")).status, 400)

    def test_a_reload_changes_the_list(self):
        self.gateway.sections["server"]["trusted_hosts"].append("later.test")
        self.gateway.write_config()
        self.gateway.signal(signal.SIGHUP)
        wait_until(lambda: self.get("/livez", host="later.test").status == 200, "the new list")


class AnyHost(WireCase):
    plain = True

    def test_without_a_list_any_host_is_ours(self):
        for host in ("evil.org", "[::1]", "10.0.0.7:1"):
            self.assertEqual(self.get("/v1/models", key=self.key, host=host).status, 200)
        self.assertEqual(self.get("/v1/models", key=self.key, host=None, version="1.0").status, 200)

    def test_plain_http_makes_no_promise_of_tls(self):
        self.assertIsNone(self.get("/livez").get("strict-transport-security"))
        self.assertIsNone(self.get("/livez", OVER_TLS).get("strict-transport-security"))


class Redirect(WireCase):
    plain = True
    sections = {"server": {"https_redirect": True, "trusted_proxies": ["127.0.0.1"]}}

    @rows({
        "a path": ("GET", "/v1/models", "gateway.test", "https://gateway.test/v1/models"),
        "a query": ("GET", "/v1/models?a=b&c=%0d%0aX:y", "gateway.test",
                    "https://gateway.test/v1/models?a=b&c=%0d%0aX:y"),
        "port 80": ("GET", "/", "gateway.test:80", "https://gateway.test/"),
        "another port": ("GET", "/", "gateway.test:8080", "https://gateway.test:8080/"),
        "an address": ("GET", "/x", "[::1]:80", "https://[::1]/x"),
        "HEAD": ("HEAD", "/v1/models", "gateway.test", "https://gateway.test/v1/models"),
        "a path that is two slashes": ("GET", "//evil.org/x", "gateway.test", None),
        "an absolute target": ("GET", "http://gateway.test/x", "gateway.test", "https://gateway.test/x"),
    })
    def to_https(self, method, path, host, location):
        response = self.get(path, key=self.key, method=method, host=host)
        if location is None:
            self.assertEqual(response.status, 400)
            return
        self.assertEqual((response.status, response.get("location")), (307, location), response)
        self.assertEqual(bytes(response.body), b"")
        self.assertEqual(response.get("cache-control"), "no-store")
        self.assertIsNone(response.get("strict-transport-security"))

    @rows({method: method for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS")})
    def what_cannot_be_redirected(self, method):
        calls = self.calls()
        response = self.post("/v1/chat/completions", chat(), key=self.key, method=method)
        self.assert_refused(response, 403, "PERMISSION_DENIED")
        self.assertIsNone(response.get("location"))
        self.assertEqual(self.gateway.logged(response)["decision"], "https_only")
        self.assertEqual(self.calls(), calls)

    def test_there_is_nowhere_to_go_without_a_host(self):
        self.assertEqual(self.get("/v1/models", key=self.key, host=None, version="1.0").status, 403)

    def test_what_came_over_tls_passes_and_is_asked_to_stay_there(self):
        for response in (self.chat(fields=OVER_TLS), self.get("/v1/models", OVER_TLS, key=self.key),
                         self.get("/nothing", OVER_TLS)):
            self.assertEqual(response.get("strict-transport-security"), PROMISE)
            self.assertIn(response.status, (200, 401))

    @rows({"http": [("X-Forwarded-Proto", "http")], "both": [("X-Forwarded-Proto", "https,http")],
           "twice": OVER_TLS * 2, "another field": [("X-Forwarded-Scheme", "https"), ("X-Forwarded-Ssl", "on"),
                                                    ("Forwarded", "proto=https"), ("Front-End-Https", "on")]})
    def not_https(self, fields):
        self.assertEqual(self.get("/v1/models", fields, key=self.key).status, 307)

    def test_probes_of_this_machine_are_answered(self):
        for path in ("/livez", "/readyz", "/health"):
            self.assertEqual(self.get(path).status, 200)

    def test_proof_of_ownership_is_never_redirected(self):
        response = self.get("/.well-known/acme-challenge/token", fields=[("X-Forwarded-For", "203.0.113.9")])
        self.assertNotIn(response.status, (307, 308))
        self.assertNotEqual(self.gateway.logged(response)["decision"], "https_only")


class TlsRequired(WireCase):
    plain = True
    sections = {"server": {"trusted_proxies": ["127.0.0.1"]}, "security": {"tls_required": True}}
    PASSED_ON = [("X-Forwarded-For", "203.0.113.9")]

    def test_this_machine_needs_none(self):
        self.assertEqual(self.chat().status, 200)

    def test_a_proxy_that_says_https_needs_none(self):
        response = self.chat(fields=[*self.PASSED_ON, *OVER_TLS])
        self.assertEqual((response.status, response.get("strict-transport-security")), (200, PROMISE))

    @rows({"nothing said": [], "http": [("X-Forwarded-Proto", "http")], "both": [("X-Forwarded-Proto", "https, http")]})
    def unencrypted(self, fields):
        calls = self.calls()
        for response in (self.chat(fields=[*self.PASSED_ON, *fields]),
                         self.get("/v1/models", [*self.PASSED_ON, *fields], key=self.key)):
            self.assert_refused(response, 403, "PERMISSION_DENIED")
            self.assertIn("https://", response.json()["detail"])
            self.assertIsNone(response.get("strict-transport-security"))
        self.assertEqual(self.gateway.logged(response)["decision"], "tls_required")
        self.assertEqual(self.calls(), calls)

    def test_a_client_does_not_become_this_machine_by_saying_so(self):
        for claim in ("127.0.0.1", "::1", "127.0.0.1, 127.0.0.1", "unknown"):
            self.assertEqual(self.chat(fields=[("X-Forwarded-For", claim)]).status, 403, claim)


class TlsRequiredWithoutProxies(WireCase):
    plain = True
    sections = {"security": {"tls_required": True}}

    def test_a_proxy_that_nobody_named_is_not_this_machine(self):
        self.assertEqual(self.chat().status, 200)
        for fields in ([("X-Forwarded-For", "203.0.113.9")], OVER_TLS, [("X-Forwarded-Proto", "http")]):
            response = self.chat(fields=fields)
            self.assert_refused(response, 403, "PERMISSION_DENIED")
            self.assertIn("server.trusted_proxies", response.json()["detail"])
