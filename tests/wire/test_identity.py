"""Who is calling: one credential in one place, checked, stripped, and never carried from one request to
the next."""

from tools import oracles
from tools.case import UPSTREAM_KEY, WireCase, rows
from tools.client import chat, chat_request, request

PLACES = {
    "Authorization": lambda key: ("Authorization", f"Bearer {key}"),
    "Authorization with a small bearer": lambda key: ("Authorization", f"bearer {key}"),
    "X-API-Key": lambda key: ("X-API-Key", key),
    "x-api-key": lambda key: ("x-api-key", key),
    "api-key": lambda key: ("api-key", key),
}

WRONG = {
    "empty": "", "short": "x", "a foreign key": "sk-proj-0123456789abcdef", "SQL": "' OR 1=1--",
    "a path": "../../dev/null", "our prefix": "sp_", "a format": "%s%n%x",
    "of our shape": "sp_" + "A" * 12 + "_" + "B" * 43 + "C" * 6,
    "a JWT": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.", "8 KiB": "x" * 8000,
}


class Identity(WireCase):
    @rows(PLACES)
    def credential_in(self, field):
        name, value = field(self.key)
        response = self.post("/v1/chat/completions", chat(), [(name, value)])
        self.assertEqual(response.status, 200, response)
        sent = self.upstream.calls()[-1]
        self.assertEqual(sent.value("authorization"), f"Bearer {UPSTREAM_KEY}")
        self.assertEqual(sent.values("x-api-key") + sent.values("api-key") + sent.values("cookie"), [])
        self.assertNotIn(self.key.encode(), sent.head)

    def test_no_credential_is_401_with_a_challenge(self):
        response = self.post("/v1/chat/completions", chat())
        self.assert_refused(response, 401, "AUTHENTICATION_FAILED")
        self.assertTrue(response.get("www-authenticate", "").startswith("Bearer"))

    @rows({f"{name} in {place}": (value, place) for name, value in WRONG.items() if value
           for place in ("Authorization", "X-API-Key", "api-key")})
    def wrong_credential(self, value, place):
        first = self.post("/v1/chat/completions", chat(), [PLACES[place](value)])
        self.assert_refused(first, 401, "AUTHENTICATION_FAILED")
        # Indistinguishable from any other wrong one.
        other = self.post("/v1/chat/completions", chat(), [PLACES["X-API-Key"]("another")])
        self.assertEqual(first.json()["error"], other.json()["error"])
        self.assertEqual([name for name, _ in first.fields], [name for name, _ in other.fields])

    @rows({"no scheme": "KEY", "Basic": "Basic dXNlcjpwYXNz", "two words": "Bearer KEY KEY",
           "a list": "Bearer KEY, Bearer KEY", "two spaces": "Bearer  KEY", "no value": "Bearer",
           "a scheme run together": "BearerKEY", "Digest": "Digest username=x", "Token": "Token KEY"})
    def authorization_that_is_no_bearer(self, value):
        response = self.post("/v1/chat/completions", chat(),
                             [("Authorization", value.replace("KEY", self.key))])
        if value == "Bearer  KEY":  # one separator or several: either reading names the same key
            self.assertIn(response.status, (200, 401))
        else:
            self.assertIn(response.status, (400, 401), response)

    @rows({"one character less": lambda key: key[:-1], "one more": lambda key: key + "a",
           "other letters": lambda key: key.swapcase(), "last character": lambda key: key[:-1] + "-",
           "the id of one, the secret of another": None})
    def a_key_that_is_nearly_right(self, change):
        if change:
            wrong = change(self.key)
        else:
            other = self.gateway.key("other")["key"]
            wrong = self.key[:15] + other[15:]
        self.assert_refused(self.chat(key=wrong), 401, "AUTHENTICATION_FAILED")

    @rows({f"{a} and {b}": (a, b) for a, b in [("Authorization", "X-API-Key"), ("Authorization", "api-key"),
                                               ("X-API-Key", "api-key")]})
    def two_credentials(self, first, second):
        other = self.gateway.key(f"second in {second}")["key"]
        for pair in [(self.key, other), (self.key, "wrong"), ("wrong", self.key)]:
            response = self.post("/v1/chat/completions", chat(),
                                 [PLACES[first](pair[0]), PLACES[second](pair[1])])
            self.assert_refused(response, 400, "VALIDATION_ERROR")

    @rows({"key": "key=%s", "api_key": "a=b&api_key=%s", "any name": "zz=%s"})
    def key_in_the_url(self, query):
        calls = self.calls()
        response = self.get("/v1/models?" + query % self.key, key=self.key)
        self.assert_refused(response, 400, "VALIDATION_ERROR")
        self.assertNotIn(self.key.encode(), response.body)
        line = self.gateway.logged(response)
        for part in oracles.secret_parts(self.key):
            self.assertNotIn(part, line["request"])
        self.assertEqual(self.calls(), calls)

    def test_a_key_within_a_value_of_the_url_is_not_logged(self):
        line = self.gateway.logged(self.get(f"/v1/models?x=y{self.key}", key=self.key))
        for part in oracles.secret_parts(self.key):
            self.assertNotIn(part, line["request"])

    def test_a_key_in_a_cookie_or_in_the_body_is_no_credential(self):
        self.assert_refused(self.post("/v1/chat/completions", chat(), [("Cookie", f"api_key={self.key}")]), 401)
        self.assert_refused(self.post("/v1/chat/completions", {**chat(), "api_key": "x"}), 401)

    def test_identity_does_not_pass_from_one_request_to_the_next(self):
        other = self.gateway.key("narrow", models=["other"])["key"]
        # Refused ones without a body: a refusal before the body closes the connection.
        pieces = [chat_request(self.key), request(path="/v1/models"), chat_request(other, model="other"),
                  request(path="/v1/models", key="wrong"), request(path="/v1/models", key=other),
                  request(path="/nowhere"), chat_request(self.key), request(path="/v1/models")]
        expected = [200, 401, 200, 401, 200, 401, 200, 401]
        with self.client() as client:  # one after the other
            responses = [client.ask(piece) for piece in pieces]
        with self.client() as client:  # all at once
            client.send(b"".join(pieces))
            responses += [client.read() for _ in pieces]
        self.assertEqual([response.status for response in responses], expected * 2)
        for response in (responses[4], responses[12]):
            self.assertEqual([model["id"] for model in response.json()["data"]], ["other"])

    def test_a_model_refused_on_a_connection_is_refused_for_that_request_only(self):
        other = self.gateway.key("narrow again", models=["other"])["key"]
        with self.client() as client:
            for key, model, status in [(self.key, "m", 200), (other, "other", 200), (other, "m", 404)]:
                self.assertEqual(client.ask(chat_request(key, model)).status, status)

    def test_a_revoked_key_opens_nothing_once_revoke_has_returned(self):
        key = self.gateway.key("short")
        with self.client() as kept:
            self.assertEqual(kept.ask(chat_request(key["key"])).status, 200)
            self.gateway.command("key", "revoke", key["id"])
            self.assert_refused(self.chat(key=key["key"]), 401, "AUTHENTICATION_FAILED")
            self.assert_refused(kept.ask(chat_request(key["key"])), 401)
            for _ in range(20):
                self.assertEqual(self.chat(key=key["key"]).status, 401)

    def test_identity_fields_from_outside_are_dropped(self):
        fields = [("X-Forwarded-User", "admin"), ("X-Remote-User", "admin"), ("X-Client-Cert", "x"),
                  ("Client-Cert", ":x:"),
                  ("X-Forwarded-For", "127.0.0.1"), ("Forwarded", "for=127.0.0.1"), ("X-Real-IP", "127.0.0.1"),
                  ("Cookie", "session=canary"), ("Proxy-Authorization", "Basic canary")]
        response = self.chat(fields=fields)
        self.assertEqual(response.status, 200)
        sent = self.upstream.calls()[-1]
        for name, value in fields:
            self.assertNotIn(value.encode(), sent.values(name), name)
        self.assertEqual(self.gateway.logged(response)["remote_addr"], "127.0.0.1")

    def test_the_log_names_the_key_and_not_its_secret(self):
        line = self.gateway.logged(self.chat())
        self.assertEqual(line["user"], "caller")
        self.assertEqual(line["key"], self.key[3:15])


class Rights(WireCase):
    @classmethod
    def set_up(cls):
        cls.narrow = cls.gateway.key("narrow", models=["other"])["key"]
        cls.plain = cls.gateway.key("plain", "read_models,run_inference")["key"]
        cls.reader = cls.gateway.key("reader", "read_models")["key"]
        cls.runner = cls.gateway.key("runner", "run_inference")["key"]

    def test_an_unknown_and_a_forbidden_model_look_the_same(self):
        self.assertEqual(self.chat(key=self.narrow, model="other").status, 200)
        forbidden = self.chat(key=self.narrow, model="m")
        unknown = self.chat(key=self.narrow, model="never-heard-of")
        self.assert_refused(forbidden, 404, "NOT_FOUND")
        self.assertEqual(forbidden.json()["error"], unknown.json()["error"])

    @rows({name: name for name in ["Other", "other ", " other", "other:latest", "oth\u0435r", "other\u200b",
                                   "other\\u0000", "*", "./other"]})
    def model_that_is_nearly_right(self, model):
        self.assertEqual(self.chat(key=self.narrow, model=model).status, 404)

    def test_an_escaped_model_name_is_the_same_name(self):
        body = b'{"model":"\\u006fther","messages":[]}'
        self.assertEqual(self.post("/v1/chat/completions", body, key=self.narrow).status, 200)
        body = b'{"model":"\\u006d","messages":[]}'
        self.assertEqual(self.post("/v1/chat/completions", body, key=self.narrow).status, 404)

    def test_streaming_is_a_right_of_its_own(self):
        self.assertEqual(self.chat(key=self.plain).status, 200)
        self.assertEqual(self.chat(key=self.plain, stream=False).status, 200)
        self.assert_refused(self.chat(key=self.plain, stream=True), 403, "PERMISSION_DENIED")

    def test_ollama_streams_unless_it_is_told_not_to(self):
        self.assertEqual(self.chat(key=self.plain, path="/api/chat").status, 403)
        self.assertEqual(self.chat(key=self.plain, path="/api/chat", stream=False).status, 200)

    def test_reading_models_and_running_them_are_two_rights(self):
        self.assertEqual(self.get("/v1/models", key=self.reader).status, 200)
        self.assert_refused(self.chat(key=self.reader), 403, "PERMISSION_DENIED")
        self.assertEqual(self.chat(key=self.runner).status, 200)
        self.assert_refused(self.get("/v1/models", key=self.runner), 403, "PERMISSION_DENIED")

    def test_a_right_is_checked_before_the_body_is_read(self):
        response = self.post("/v1/chat/completions", b"{not json", key=self.reader)
        self.assert_refused(response, 403)
        response = self.post("/v1/chat/completions", b"{not json")
        self.assert_refused(response, 401)

    def test_metrics_need_their_right(self):
        self.assert_refused(self.get("/metrics", key=self.plain), 403, "PERMISSION_DENIED")

    def test_the_upstream_sees_its_own_key_whatever_the_caller_sent(self):
        self.ask(request("POST", "/v1/chat/completions", [("X-Api-Key", self.plain)], chat()))
        self.assertEqual(self.upstream.calls()[-1].value("authorization"), f"Bearer {UPSTREAM_KEY}")
