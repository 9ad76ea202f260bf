"""The one key that callers share (security.api_key): first in order, with the rights of use and no others."""

import signal

from tools.case import UPSTREAM_KEY, WireCase, rows
from tools.client import chat, request
from tools.upstream import wait_until

SHARED = "one-for-everybody/7Qm3+xZ0.vT5kLw9"  # any visible characters
PLACES = {
    "Authorization": lambda key: ("Authorization", f"Bearer {key}"),
    "X-API-Key": lambda key: ("X-API-Key", key),
    "api-key": lambda key: ("api-key", key),
}


class SharedKey(WireCase):
    sections = {"security": {"api_key": SHARED}}

    @classmethod
    def set_up(cls):
        cls.gateway.secrets.append(SHARED)

    @rows(PLACES)
    def it_is_taken_in(self, field):
        response = self.post("/v1/chat/completions", chat(stream=True), [field(SHARED)])
        self.assertEqual(response.status, 200, response)
        sent = self.upstream.calls()[-1]
        self.assertEqual(sent.values("authorization"), [f"Bearer {UPSTREAM_KEY}".encode()])
        self.assertEqual(sent.values("x-api-key") + sent.values("api-key"), [])
        line = self.gateway.logged(response)
        self.assertEqual((line["user"], line.get("key") or ""), ("shared", ""))

    def test_it_lists_models_and_runs_them_and_nothing_else(self):
        self.assertEqual(self.get("/v1/models", key=SHARED).status, 200)
        for path in ("/metrics", "/api/v1/users"):
            self.assert_refused(self.get(path, key=SHARED), 403, "PERMISSION_DENIED")
        self.assert_refused(self.get("/api/v1/auth/api-keys", key=SHARED), 403)
        self.assert_refused(self.post("/api/v1/auth/api-keys", {"name": "mine"}, key=SHARED), 403)
        me = self.get("/api/v1/auth/me", key=SHARED).json()
        self.assertEqual((me["username"], sorted(me["permissions"])),
                         ("shared", ["read_models", "run_inference", "use_streaming"]))

    @rows({"one character less": SHARED[:-1], "one more": SHARED + "a", "another last one": SHARED[:-1] + "8",
           "another first one": "O" + SHARED[1:], "twice": SHARED + SHARED, "in capitals": SHARED.upper(),
           "the half": SHARED[:17]})
    def what_is_nearly_the_key(self, wrong):
        response = self.chat(key=wrong)
        self.assert_refused(response, 401, "AUTHENTICATION_FAILED")
        self.assertEqual(response.json()["error"], self.chat(key="another").json()["error"])

    def test_keys_of_the_store_are_taken_beside_it(self):
        self.assertEqual(self.chat().status, 200)

    def test_with_another_credential_it_is_ambiguous(self):
        for first, second in ((SHARED, self.key), (self.key, SHARED)):
            response = self.ask(request("GET", "/v1/models", [("X-API-Key", second)], key=first))
            self.assert_refused(response, 400, "VALIDATION_ERROR")
        self.assertEqual(self.ask(request("GET", "/v1/models", [("X-API-Key", SHARED)], key=SHARED)).status, 200)

    def test_in_the_url_it_is_refused_and_not_written_down(self):
        response = self.get(f"/v1/models?key={SHARED}", key=SHARED)
        self.assert_refused(response, 400, "VALIDATION_ERROR")
        self.assertNotIn(SHARED, self.gateway.logged(response)["request"])


class ItsLimit(WireCase):
    sections = {"security": {"api_key": SHARED}, "limits": {"key": "10/hour", "key_burst": 3}}

    def test_all_who_have_it_are_one_caller(self):
        statuses = [self.post("/v1/chat/completions", chat(), [PLACES[place](SHARED)]).status
                    for place in ("Authorization", "X-API-Key", "api-key", "Authorization")]
        self.assertEqual(statuses, [200, 200, 200, 429])
        self.assertEqual(self.chat().status, 200)  # the store's keys have their own


class TurnedOff(WireCase):
    sections = {"security": {"api_key": SHARED, "api_key_enabled": False}}

    def test_with_api_keys_off_it_is_off(self):
        self.assert_refused(self.chat(key=SHARED), 401)


class Replaced(WireCase):
    sections = {"security": {"api_key": SHARED}}

    def test_a_reload_replaces_it(self):
        second = SHARED[::-1]
        self.assertEqual(self.chat(key=SHARED).status, 200)
        self.assert_refused(self.chat(key=second), 401)
        self.gateway.sections["security"]["api_key"] = second
        self.gateway.write_config()
        self.gateway.signal(signal.SIGHUP)
        wait_until(lambda: self.chat(key=second).status == 200, "the new key")
        self.assert_refused(self.chat(key=SHARED), 401)
