"""Request targets: one canonical form, matched exactly. Whatever another reader might take for an
allowed or a forbidden path is refused, and never reaches the upstream."""

from tools.case import WireCase, rows
from tools.client import chat, request

# None of these is in canonical form: malformed, 400.
MALFORMED = [
    "/v1/..", "/v1/../v1/models", "/..", "/../../etc/passwd", "/v1/./models", "/v1/models/.",
    "/v1/models/..", "/v1//models", "//v1/models", "//admin", "/v1/models//", "/v1/%2e%2e/api/delete",
    "/v1/%2E%2E/admin", "/v1/%252e%252e/admin", "/v1%2fmodels", "/v1%2Fmodels", "/v1/models%00.json",
    "/v1/models%0d%0aX:%20y", "/v1/models%20", "/%76%31/models", "/v1/m%6fdels", "/v1/models;a=b",
    "/v1/..;/admin", "/v1/models;", "/v1/;/models", "\\admin", "/v1\\models", "/v1/..\\admin",
    "/%c0%ae%c0%ae/", "/v1/%u2025/", "/v1/models|x", "/v1/models<x>", "/v1/models\"x\"", "/v1/models^",
    "/v1/models`id`", "/v1/{models}", "/v1/models%", "/v1/models%zz", "/v1/models.", "/v1./models",
    "http://gateway.test/v1/../admin", "http://gateway.test//v1/models",
    "http://gateway.test/v1/%2e%2e/admin", "/v1/models?a#b", "/v1/models#",
]

# Canonical, but nothing that a caller may reach: 403 (404 under /api/v1/), with or without a trick in it.
FORBIDDEN = {
    "/admin": 403, "/internal": 403, "/V1/models": 403, "/v1/Models": 403, "/v1/models/": 403,
    "/v1/modelsx": 403, "/v1": 403, "/v1/": 403, "/v2/models": 403, "/v1/files": 403,
    "/v1/models:admin": 403, "/v1/models,": 403, "/v1/models~": 403, "/api": 403, "/api/": 403,
    "/api/blobs/sha256:00": 403, "/.env": 403, "/.git/config": 403, "/server-status": 403,
    "/api/v1": 403, "/api/v1/": 404, "/api/v1/nothing": 404, "/api/v1/admin": 404,
    "/api/v1/models/x/y/z": 404, "/console": (403, 404), "/console/": (403, 404),
    "/docs": (403, 404), "/openapi.json": (403, 404), "/debug/pprof": 403,
}

# What goes up one folder, for some reader or other.
DOTS = [".", "%2e", "%252e", "%c0%ae"]
SLASHES = ["/", "%2f", "\\", ";/"]

MANAGEMENT = ["/api/pull", "/api/push", "/api/copy", "/api/create", "/api/delete"]

# The routes a caller has in front of Ollama.
ALLOWED = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/api/chat", "/api/generate",
           "/api/embed", "/api/embeddings"]


class Targets(WireCase):
    @rows({path: path for path in MALFORMED})
    def malformed(self, path):
        for method, body in [("GET", None), ("POST", chat())]:
            self.refused(request(method, path, body=body, key=self.key), 400)

    @rows({f"{dot}{dot}{slash}": (dot, slash) for dot in DOTS for slash in SLASHES})
    def traversal(self, dot, slash):
        asked = len(self.upstream.requests)
        for depth in range(1, 9):
            for method, target in [("GET", "admin"), ("DELETE", "api" + slash + "delete"), ("DELETE", "api/delete")]:
                path = "/v1/models/" + (dot * 2 + slash) * depth + target
                with self.subTest(path=path), self.client() as client:
                    body = {"model": "m"} if method == "DELETE" else None
                    response = client.ask(request(method, path, body=body, key=self.key))
                    self.assert_refused(response, 400, "VALIDATION_ERROR")
                    client.expect_closed()
        self.assertEqual(len(self.upstream.requests), asked)

    @rows({path: (path, status) for path, status in FORBIDDEN.items()})
    def forbidden(self, path, status):
        statuses = status if isinstance(status, tuple) else (status,)
        for method, body in [("GET", None), ("POST", chat())]:
            with self.subTest(method=method):
                response = self.ask(request(method, path, body=body, key=self.key))
                self.assertIn(response.status, statuses, response)

    @rows({path: path for path in [*FORBIDDEN, *ALLOWED, *MANAGEMENT, "/v1/models", "/metrics"]})
    def closed_without_a_credential(self, path):
        for method, body in [("GET", None), ("POST", chat()), ("DELETE", None)]:
            with self.subTest(method=method):
                response = self.ask(request(method, path, body=body))
                # Docs, API description and console are nothing at all while they are off.
                off = path in ("/docs", "/openapi.json", "/console/")
                self.assertIn(response.status, (404, 401) if off else (401,), response)

    @rows({path: path for path in MANAGEMENT})
    def management_is_refused(self, path):
        method = "DELETE" if path == "/api/delete" else "POST"
        response = self.ask(request(method, path, body={"model": "m"}, key=self.key))
        self.assert_ollama_refusal(response, 403)

    def assert_ollama_refusal(self, response, status):
        self.assertEqual(response.status, status, response)
        message = response.json().get("error")
        self.assertTrue(message, response)

    @rows({path: path for path in ALLOWED})
    def allowed(self, path):
        body = {**chat(), "prompt": "x", "input": "x", "stream": False}
        response = self.ask(request("POST", path, body=body, key=self.key))
        self.assertEqual(response.status, 200, response)
        self.assertEqual(self.upstream.calls()[-1].path, path)

    def test_a_query_never_changes_the_path(self):
        response = self.get("/v1/models?x=/../../admin", key=self.key)
        self.assertEqual(response.status, 200, response)

    def test_fields_that_name_another_target_are_ignored_and_dropped(self):
        fields = [("X-Original-URL", "/api/delete"), ("X-Rewrite-URL", "/api/delete"),
                  ("X-HTTP-Method-Override", "DELETE"), ("X-Forwarded-Host", "evil.test"),
                  ("X-Forwarded-Prefix", "/admin")]
        self.assertEqual(self.chat(fields=fields).status, 200)
        sent = self.upstream.calls()[-1]
        self.assertEqual((sent.method, sent.path), ("POST", "/v1/chat/completions"))
        for name, _ in fields:
            self.assertEqual(sent.values(name), [], name)

    def test_an_absolute_target_goes_upstream_as_a_path(self):
        response = self.ask(request("POST", "http://gateway.test/v1/chat/completions", body=chat(),
                                    key=self.key))
        self.assertEqual(response.status, 200, response)
        self.assertEqual(self.upstream.calls()[-1].path, "/v1/chat/completions")

    def test_options_for_the_server_is_no_request_upstream(self):
        calls = self.calls()
        self.assert_refused(self.get("*", method="OPTIONS", key=self.key), 403, "PERMISSION_DENIED")
        self.assert_refused(self.get("*", method="OPTIONS"), 401, "AUTHENTICATION_FAILED")
        self.assertEqual(self.calls(), calls)
