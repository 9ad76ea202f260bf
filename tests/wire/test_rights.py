"""Who may do what: every native route, by every kind of caller; and that nobody gets at what is others', or gives
more rights than they have."""

import json
import re
import sqlite3

from tools.case import UPSTREAM_KEY, WireCase, rows
from tools.client import request
from tools.gateway import TOP
from tools.signing import PERMISSIONS, ROLES, SigningCase, claims_of

ROW = re.compile(r'^\s*\{"(/[^"]*)",\s*METHOD_(\w+),\s*(\w[\w |]*),[^}]*\}', re.M)

# What each route needs: "open"; a permission; "known", anybody with a credential; "signed", somebody who has
# signed in; "keys", the same or manage_users. The order of src/api/routes.c does not matter.
NEEDS = {
    ("GET", "/"): "open", ("GET", "/health"): "open", ("GET", "/livez"): "open", ("GET", "/readyz"): "open",
    ("GET", "/ready"): "open", ("GET", "/.well-known/acme-challenge/"): "open",
    ("GET", "/metrics"): "read_metrics", ("GET", "/metrics/prometheus"): "read_metrics",
    ("GET", "/metrics/json"): "read_metrics",
    ("POST", "/api/v1/auth/login"): "open", ("POST", "/login"): "open",
    ("POST", "/api/v1/auth/refresh"): "open", ("POST", "/token/refresh"): "open",
    ("POST", "/api/v1/auth/logout"): "signed", ("POST", "/logout"): "signed",
    ("GET", "/api/v1/auth/me"): "known",
    ("GET", "/api/v1/auth/sessions"): "signed", ("DELETE", "/api/v1/auth/sessions"): "signed",
    ("DELETE", "/api/v1/auth/sessions/*"): "signed",
    ("GET", "/api/v1/auth/api-keys"): "keys", ("POST", "/api/v1/auth/api-keys"): "keys",
    ("PATCH", "/api/v1/auth/api-keys/*"): "keys", ("POST", "/api/v1/auth/api-keys/*/rotate"): "keys",
    ("GET", "/api/v1/auth/api-keys/*"): "keys", ("DELETE", "/api/v1/auth/api-keys/*"): "keys",
    ("GET", "/api/v1/users"): "manage_users", ("POST", "/api/v1/users"): "manage_users",
    ("GET", "/api/v1/users/*"): "manage_users", ("PATCH", "/api/v1/users/*"): "manage_users",
    ("DELETE", "/api/v1/users/*"): "manage_users",
    ("GET", "/api/v1/denylist"): "write_config", ("POST", "/api/v1/denylist"): "write_config",
    ("DELETE", "/api/v1/denylist"): "write_config",
    ("GET", "/api/v1/audit"): "view_audit_logs", ("GET", "/api/v1/audit/verify"): "view_audit_logs",
}
# Those that end the session they are asked with.
ENDING = {("POST", "/api/v1/auth/logout"), ("POST", "/logout"), ("DELETE", "/api/v1/auth/sessions")}


def routes():
    text = (TOP / "src" / "api" / "routes.c").read_text()
    found = [(match[2], match[1]) for match in ROW.finditer(text)]
    assert len(found) == text.count('{"/'), "some rows were not read"
    return found


class Routes(SigningCase):
    @classmethod
    def set_up(cls):
        cls.words = {role: cls.person(f"one-more-{role}", role) for role in ROLES}
        cls.callers = {"nobody": None, "somebody unknown": "sp_wrong"}
        cls.callers.update({f"a {role}": cls.signed_in(f"a-{role}", role)["token"] for role in ROLES})
        cls.callers.update({f"key {name}": cls.gateway.key(name, name)["key"] for name in PERMISSIONS})
        cls.callers["key of all"] = cls.gateway.key("all", ",".join(PERMISSIONS))["key"]

    @staticmethod
    def rights_of(caller):
        kind, name = caller.split(" ", 1)
        if caller == "key of all":
            return set(PERMISSIONS)
        return {name} if kind == "key" else set(ROLES[name])

    def expected(self, need, caller):
        """The statuses of a caller whose request would otherwise be wrong, or about nothing."""
        passes = {200, 204, 400, 404}
        if need == "open":
            return passes | {401}
        if caller in ("nobody", "somebody unknown"):
            return {401}
        rights, signed = self.rights_of(caller), caller.startswith("a ")
        allowed = (need == "known" or need in rights or need == "signed" and signed
                   or need == "keys" and (signed or "manage_users" in rights))
        return passes if allowed else {403}

    def test_the_table_here_is_the_table_there(self):
        self.assertEqual(set(routes()), set(NEEDS))
        self.assertEqual(len(routes()), len(NEEDS))

    @rows({f"{method} {path}": (method, path) for method, path in NEEDS})
    def route(self, method, path):
        calls = self.calls()
        for caller, credential in self.callers.items():
            with self.subTest(caller=caller):
                sent = path.replace("*", "A" * 12) + ("A" if path.endswith("challenge/") else "")
                body = {"unheard_of": 1} if method in ("POST", "PATCH") else None
                if (method, path) in ENDING:
                    body = None
                    if caller.startswith("a "):
                        role = caller[2:]
                        credential = self.login(f"one-more-{role}", self.words[role])["token"]
                if NEEDS[method, path] == "open" and method == "POST":  # a limit of its own
                    response = self.ask(request(method, sent, self.sent_from(), body, credential))
                    self.assertEqual(response.status, 400, response)
                    continue
                response = self.call(method, sent, credential, body)
                self.assertIn(response.status, self.expected(NEEDS[method, path], caller), response)
                if response.status in (401, 403):
                    self.assert_refused(response, response.status,
                                        "PERMISSION_DENIED" if response.status == 403 else "AUTHENTICATION_FAILED")
        self.assertEqual(self.calls(), calls)

    @rows({path: (path, status) for path, status in {
        "/api/v1/": 404, "/api/v1/nothing": 404, "/api/v1/users/": 404, "/api/v1/auth/api-keys/": 404,
        "/api/v1/users/a/b": 404, "/api/v1/auth/sessions/": 404, "/nothing": 403, "/login/": 403, "/API/v1/users": 403,
        "/api/v1/users;x=y": 404, "/api/v1/Users": 404}.items()})
    def path_that_is_no_route(self, path, status):
        self.assertIn(self.call("GET", path).status, (400, 401))
        self.assertIn(self.call("GET", path, self.callers["a admin"]).status, (400, status))


ENDPOINT = re.compile(r'^\s*\{"(/[^"]*)",\s*METHOD_(\w+),', re.M)


def endpoints():
    text = (TOP / "src" / "llm" / "endpoint.c").read_text()
    found = [(match[2], match[1]) for match in ENDPOINT.finditer(text)]
    assert len(found) == text.count('{"/'), "some rows were not read"
    return found


class Endpoints(WireCase):
    """What is passed on, in front of one server of each kind and with those that manage models."""

    sections = {"endpoints": {"manage": True}}

    @classmethod
    def upstream_list(cls):
        return [{"name": kind, "kind": kind, "url": cls.upstream.url, "api_key": UPSTREAM_KEY, "models": [f"of-{kind}"]}
                for kind in ("ollama", "openai", "anthropic", "llama.cpp", "vllm")]

    @classmethod
    def set_up(cls):
        cls.all = cls.gateway.key("all", ",".join(PERMISSIONS))["key"]
        cls.without = cls.gateway.key("without", "read_metrics")["key"]

    def send(self, method, path, key):
        body = {"model": "of-ollama", "messages": []} if method != "GET" else None
        return self.get(path.replace("*", "of-ollama"), key=key, method=method, body=body)

    @rows({f"{method} {path}": (method, path) for method, path in endpoints()})
    def endpoint(self, method, path):
        asked = len(self.upstream.requests)
        for key, status in [(None, 401), ("sp_wrong", 401), (self.without, 403)]:
            response = self.send(method, path, key)
            self.assertEqual(response.status, status, response)
            self.assertEqual(response.get("www-authenticate"), "Bearer" if status == 401 else None)
        self.assertEqual(len(self.upstream.requests), asked)
        # The path is one that is passed on, so it was the credential.
        self.assertNotIn(self.send(method, path, self.all).status, (401, 403, 405))


class Keys(SigningCase):
    PATH = "/api/v1/auth/api-keys"

    @classmethod
    def set_up(cls):
        cls.ann, cls.ben = cls.signed_in("ann")["token"], cls.signed_in("ben")["token"]
        cls.guest = cls.signed_in("gus", "guest")["token"]
        cls.manager = cls.gateway.key("manager", "manage_users,read_models,run_inference")["key"]

    def make(self, token, status=201, **members):
        response = self.call("POST", self.PATH, token, {"name": "made", **members})
        self.assertEqual(response.status, status, response)
        return self.remember(response.json()) if status == 201 else response

    def ids(self, token):
        ids, after = [], 0
        while after is not None:
            listed = self.call("GET", f"{self.PATH}?after={after}", token).json()
            self.assertEqual((listed["object"], listed["has_more"]), ("list", listed["next"] is not None))
            ids += [key["id"] for key in listed["data"]]
            after = listed["next"]
        return ids

    def test_the_curl_lines_of_the_guide(self):
        key = self.make(self.admin(), name="production-key", permissions=["read_models", "run_inference"],
                        expires_in_days=90)
        self.assertEqual((key["name"], key["permissions"]), ("production-key", ["read_models", "run_inference"]))
        self.assertLessEqual({"id", "key", "name", "permissions", "created_at", "expires_at"}, set(key))
        self.assertEqual(self.chat(key=key["key"]).status, 200)
        self.assertEqual(self.call("DELETE", f"{self.PATH}/{key['id']}", self.admin()).status, 204)
        for _ in range(10):
            self.assert_refused(self.chat(key=key["key"]), 401, "AUTHENTICATION_FAILED")
        self.assert_refused(self.call("DELETE", f"{self.PATH}/{key['id']}", self.admin()), 404, "NOT_FOUND")

    def test_a_key_is_shown_once(self):
        key = self.make(self.ann)
        for response in (self.call("GET", self.PATH, self.ann), self.call("GET", f"{self.PATH}/{key['id']}", self.ann)):
            self.assertIn(key["id"].encode(), response.body)
            self.assertNotIn(key["key"][16:].encode(), response.body)
            self.assertNotIn(b'"key":', response.body)

    def test_ones_own_are_seen_and_revoked_and_nobody_elses(self):
        mine, bens = self.make(self.ann), self.make(self.ben)
        self.assertEqual((mine["owner"], bens["owner"]), ("ann", "ben"))
        self.assertIn(mine["id"], self.ids(self.ann))
        self.assertNotIn(bens["id"], self.ids(self.ann))
        admins = self.make(self.admin())["id"]
        self.assertLess({mine["id"], bens["id"], admins}, set(self.ids(self.admin())))
        for method in ("GET", "DELETE"):
            unknown = self.call(method, f"{self.PATH}/{'A' * 12}", self.ann)
            self.assert_refused(unknown, 404, "NOT_FOUND")
            for other in (bens["id"], admins, self.key[3:15]):
                response = self.call(method, f"{self.PATH}/{other}", self.ann)
                self.assert_refused(response, 404, "NOT_FOUND")
                self.assertEqual(response.body.replace(other.encode(), b"").replace(
                    response.get("x-request-id").encode(), b""), unknown.body.replace(b"A" * 12, b"").replace(
                        unknown.get("x-request-id").encode(), b""))
        self.assertEqual(self.chat(key=bens["key"]).status, 200)
        self.assertEqual(self.call("DELETE", f"{self.PATH}/{mine['id']}", self.ann).status, 204)
        self.assertEqual(self.chat(key=mine["key"]).status, 401)

    @rows({"a path": "../%s", "an encoded slash": "x%%2f%s", "a suffix": "%s/", "an encoded suffix": "%s%%00",
           "a list": "%s,%s", "a query": "AAAAAAAAAAAA?id=%s", "dots": "./%s", "star": "*", "a number": "1"})
    def ways_around_an_id(self, way):
        bens = self.make(self.ben)
        path = f"{self.PATH}/" + (way % ((bens["id"],) * way.replace("%%", "").count("%s")))
        for method in ("GET", "DELETE"):
            self.assertIn(self.call(method, path, self.ann).status, (400, 403, 404), path)
        self.assertEqual(self.chat(key=bens["key"]).status, 200)

    def test_a_key_in_the_place_of_its_id_is_not_echoed(self):
        key = self.make(self.ann)
        response = self.call("DELETE", f"{self.PATH}/{key['key']}", self.ann)
        self.assertIn(response.status, (400, 404))
        self.assertEqual(self.chat(key=key["key"]).status, 200)

    @rows({name: (name, value) for name, value in {
        "id": "A" * 12, "key": "sp_x", "user_id": 1, "quota": -1, "secret": "x", "role": "admin", "created_at": "x",
        "number": 1, "revoked_at": None, "verb": "user_create", "Permissions": ["manage_users"]}.items()})
    def member_that_is_not_theirs_to_set(self, name, value):
        for token in (self.ann, self.admin()):
            response = self.make(token, 400, **{name: value})
            self.assert_refused(response, 400, "VALIDATION_ERROR")
            self.assertEqual(response.json()["error"]["param"], name)

    @rows({"a name that is a number": ("name", 1), "an empty name": ("name", ""), "a long name": ("name", "a" * 65),
           "a name with controls": ("name", "a\x1b[2J"), "permissions in words": ("permissions", "read_models"),
           "an unknown permission": ("permissions", ["admin"]), "a number among them": ("permissions", [1]),
           "a permission and a space": ("permissions", ["read_models "]), "scopes unknown": ("scopes", ["admin"]),
           "days zero": ("expires_in_days", 0), "days negative": ("expires_in_days", -1),
           "days a fraction": ("expires_in_days", 1.5), "days in words": ("expires_in_days", "90"),
           "days true": ("expires_in_days", True), "days for ever": ("expires_in_days", 10 ** 9),
           "days beyond 64 bits": ("expires_in_days", 10 ** 30), "models empty": ("models", []),
           "65 models": ("models", ["m"] * 65), "a model that is a number": ("models", [1]),
           "models null": ("models", None)})
    def value_that_is_wrong(self, name, value):
        self.assert_refused(self.make(self.admin(), 400, **{name: value}), 400, "VALIDATION_ERROR")

    def test_nobody_gives_more_rights_than_they_have(self):
        for token in (self.ann, self.guest, self.manager):
            for wish in ({"permissions": ["manage_users"] if token != self.manager else ["write_config"]},
                         {"permissions": PERMISSIONS}, {"scopes": ["*"]}, {"permissions": ["view_audit_logs"]}):
                self.assert_refused(self.make(token, 403, **wish), 403, "PERMISSION_DENIED")
        self.assert_refused(self.make(self.guest, 403, permissions=["use_streaming"]), 403)
        # Nothing asked for: what is usual, as far as they have it.
        self.assertEqual(self.make(self.guest)["permissions"], ["read_models", "run_inference"])
        self.assertEqual(self.make(self.ann)["permissions"], ["read_models", "run_inference", "use_streaming"])
        self.make(self.ann, 400, permissions=[])

    def test_keys_for_others_are_made_by_who_manages_users(self):
        for owner in ("ben", "admin", "Ann", "ann "):
            self.assert_refused(self.make(self.ann, 403, owner=owner), 403, "PERMISSION_DENIED")
        self.assertEqual(self.make(self.ann, owner="ann")["owner"], "ann")
        key = self.make(self.admin(), owner="ben")
        self.assertIn(key["id"], self.ids(self.ben))

    def test_a_key_makes_keys_only_with_manage_users(self):
        for response in (self.call("GET", self.PATH, self.key), self.call("POST", self.PATH, self.key, {"name": "x"}),
                         self.call("DELETE", f"{self.PATH}/{self.key[3:15]}", self.key)):
            self.assert_refused(response, 403, "PERMISSION_DENIED")
        self.assertEqual(self.make(self.manager)["permissions"], ["read_models", "run_inference"])

    def test_a_key_for_one_model_gives_no_others(self):
        narrow = self.gateway.key("narrow", ",".join(PERMISSIONS), models=["other"])["key"]
        self.assert_refused(self.make(narrow, 403, models=["m"]), 403, "PERMISSION_DENIED")
        self.assert_refused(self.make(narrow, 403, models=["other", "m"]), 403, "PERMISSION_DENIED")
        self.assert_refused(self.make(narrow, 403), 403, "PERMISSION_DENIED")  # for all of them
        made = self.make(narrow, models=["other"])
        self.assertEqual(made["models"], ["other"])
        self.assertEqual(self.chat(key=made["key"], model="m").status, 404)
        self.assertEqual(self.chat(key=made["key"], model="other").status, 200)
        response = self.call("POST", "/api/v1/users", narrow, {"username": "nat", "password": self.password()})
        self.assert_refused(response, 403, "PERMISSION_DENIED")
        response = self.call("PATCH", "/api/v1/users/ann", narrow, {"password": self.password()})
        self.assert_refused(response, 403, "PERMISSION_DENIED")

    def test_what_is_wrong_with_a_key_is_one_answer(self):
        revoked = self.make(self.ann)
        self.call("DELETE", f"{self.PATH}/{revoked['id']}", self.ann)
        wrong = [revoked["key"], revoked["key"][:-1], "sp_" + "A" * 12 + "_" + "B" * 49, "x", self.key.swapcase(),
                 "' OR 1=1--", "sp_%00"]
        answers = [self.chat(key=key) for key in wrong]
        for answer in answers:
            self.assert_refused(answer, 401, "AUTHENTICATION_FAILED")
            self.assertEqual(answer.json()["error"], answers[0].json()["error"])
            self.assertEqual([name for name, _ in answer.fields], [name for name, _ in answers[0].fields])

    def test_a_long_list_comes_in_pages(self):
        token = self.signed_in("pia", "admin")["token"]
        for i in range(4):
            self.make(token, name=f"wide {i}", owner="pia", models=[f"{i}{j:02}" + "x" * 250 for j in range(64)])
        self.assertTrue(self.call("GET", self.PATH, token).json()["has_more"])
        seen = self.ids(token)
        self.assertGreaterEqual(len(seen), 5)
        self.assertEqual(len(seen), len(set(seen)))
        for wrong in ("after=x", "after=-1", "after=", "after=1&after=2", "before=1", "after=99999999999999999999"):
            self.assert_refused(self.call("GET", f"{self.PATH}?{wrong}", token), 400, "VALIDATION_ERROR")


class Users(SigningCase):
    PATH = "/api/v1/users"

    @classmethod
    def set_up(cls):
        cls.word = cls.person("ann")
        cls.manager = cls.gateway.key("manager", "manage_users,read_models,run_inference")["key"]

    def make(self, token, status=201, **members):
        response = self.call("POST", self.PATH, token, {"password": self.password(), **members})
        self.assertEqual(response.status, status, response)
        return response

    def test_a_users_life(self):
        made = self.make(self.admin(), username="cyd", role="service").json()
        self.assertEqual(set(made), {"id", "username", "role", "permissions", "disabled", "sessions", "created_at",
                                     "password_changed_at", "last_login_at"})
        self.assertEqual((made["id"], made["username"], made["role"], made["disabled"], made["sessions"],
                          made["last_login_at"]), ("cyd", "cyd", "service", False, 0, None))
        self.assertEqual(self.call("GET", f"{self.PATH}/cyd", self.admin()).json(), made)
        self.assertIn(made, self.call("GET", self.PATH, self.admin()).json()["data"])
        changed = self.call("PATCH", f"{self.PATH}/cyd", self.admin(), {"role": "guest", "disabled": True}).json()
        self.assertEqual((changed["role"], changed["disabled"], changed["permissions"]),
                         ("guest", True, ROLES["guest"]))
        self.assertEqual(self.call("DELETE", f"{self.PATH}/cyd", self.admin()).status, 204)
        for method, body in (("GET", None), ("PATCH", {"role": "user"}), ("DELETE", None)):
            self.assert_refused(self.call(method, f"{self.PATH}/cyd", self.admin(), body), 404, "NOT_FOUND")

    def test_no_password_comes_out(self):
        for response in (self.call("GET", self.PATH, self.admin()), self.call("GET", f"{self.PATH}/ann", self.admin())):
            for word in (b"$argon2", b"$2", self.word.encode(), b'"password":'):
                self.assertNotIn(word, response.body)

    @rows({name: name for name in ("a.b", "a-b_c", "a..b", "7", "A", "a" * 64)})
    def name_in_a_path(self, name):
        self.make(self.admin(), username=name)
        path = f"{self.PATH}/{name}"
        response = self.call("GET", path, self.admin())
        self.assertEqual((response.status, response.status == 200 and response.json()["username"]), (200, name), response)
        self.assertEqual(self.call("DELETE", path, self.admin()).status, 204)

    @rows({"empty": "", "long": "a" * 65, "long in bytes": "ä" * 33, "controls": "a\x00b", "a tab": "a\tb", "a line": "a\nb",
           "DEL": "a\x7f", "C1": "a\x9b", "a quote": 'a"b', "an apostrophe": "a'b", "a backslash": "a\\b",
           "a colon": "a:b", "a space": "a b", "a slash": "a/b", "dots": "..", "a dot at its end": "a.",
           "a dot before it": ".a", "an escape": "a%b", "an umlaut": "ä", "an address": "ann@example.com",
           "a tag": "<script>alert(1)</script>", "a variable": "$HOME", "a star": "*"})
    def name_that_is_none(self, name):
        response = self.make(self.admin(), 400, username=name)
        self.assert_refused(response, 400, "VALIDATION_ERROR")

    @rows({"short": "a" * 7, "empty": "", "long": "a" * 1025, "controls": "canary-\x07-word", "not text": 12345678,
           "null": None, "a list": ["canary-words"]})
    def password_that_is_none(self, word):
        for response in (self.call("POST", self.PATH, self.admin(), {"username": "x", "password": word}),
                         self.call("PATCH", f"{self.PATH}/ann", self.admin(), {"password": word})):
            self.assert_refused(response, 400, "VALIDATION_ERROR")
            self.assertEqual(response.json()["error"]["param"], "password")
        self.login("ann", self.word)

    @rows({name: (name, value) for name, value in {
        "id": "x", "permissions": ["manage_users"], "disabled": True, "created_at": "x", "number": 1, "sessions": 0,
        "is_admin": True, "password_hash": "$argon2id$x", "verb": "key_create", "Role": "admin"}.items()})
    def member_that_is_not_theirs_to_set(self, name, value):
        response = self.make(self.admin(), 400, username="mass", **{name: value})
        self.assert_refused(response, 400, "VALIDATION_ERROR")
        self.assertEqual(response.json()["error"]["param"], name)
        if name != "disabled":
            response = self.call("PATCH", f"{self.PATH}/ann", self.admin(), {name: value})
            self.assert_refused(response, 400, "VALIDATION_ERROR")
        self.assertEqual(self.call("GET", f"{self.PATH}/mass", self.admin()).status, 404)

    @rows({"nothing": {}, "a role that is none": {"role": "root"}, "a role and a space": {"role": "admin "},
           "a role that is a list": {"role": ["user"]}, "disabled in words": {"disabled": "true"},
           "disabled null": {"disabled": None}, "a new name": {"username": "ann2"}})
    def change_that_is_none(self, body):
        self.assert_refused(self.call("PATCH", f"{self.PATH}/ann", self.admin(), body), 400, "VALIDATION_ERROR")

    def test_a_name_is_there_once(self):
        response = self.make(self.admin(), 409, username="ann", role="guest")
        self.assert_refused(response, 409, "CONFLICT")
        self.assertEqual(self.call("GET", f"{self.PATH}/ann", self.admin()).json()["role"], "user")

    def test_who_manages_users_makes_nobody_mightier_than_themselves(self):
        for role in ("admin", "user", "service"):  # each has a right that this key has not
            self.assert_refused(self.make(self.manager, 403, username="mighty", role=role), 403, "PERMISSION_DENIED")
        self.make(self.manager, username="gus", role="guest")
        self.assert_refused(self.call("PATCH", f"{self.PATH}/gus", self.manager, {"role": "admin"}), 403)
        self.assertEqual(self.call("PATCH", f"{self.PATH}/gus", self.manager, {"disabled": True}).status, 200)
        for name in ("admin", "ann"):
            for method, body in (("PATCH", {"password": self.password()}), ("PATCH", {"disabled": True}),
                                 ("PATCH", {"role": "guest"}), ("DELETE", None)):
                response = self.call(method, f"{self.PATH}/{name}", self.manager, body)
                self.assert_refused(response, 403, "PERMISSION_DENIED")
        self.login("ann", self.word)

    def test_the_last_admin_stays(self):
        path = f"{self.PATH}/admin"
        for method, body in (("DELETE", None), ("PATCH", {"disabled": True}), ("PATCH", {"role": "user"})):
            self.assert_refused(self.call(method, path, self.admin(), body), 409, "CONFLICT")
        self.assert_open(self.admin())
        # One who is disabled is none; with a second one the first may go.
        self.make(self.admin(), username="boss", role="admin")
        self.assertEqual(self.call("PATCH", f"{self.PATH}/boss", self.admin(), {"disabled": True}).status, 200)
        self.assert_refused(self.call("DELETE", path, self.admin()), 409, "CONFLICT")
        self.assertEqual(self.call("DELETE", f"{self.PATH}/boss", self.admin()).status, 204)

    def test_changes_are_audited_before_they_are_made(self):
        made = self.make(self.admin(), username="aud")
        self.assertEqual(self.audited(made, "user_create")["actor"], "admin")
        changed = self.call("PATCH", f"{self.PATH}/aud", self.admin(), {"role": "guest", "password": self.password()})
        self.assertEqual(self.audited(changed, "user_update")["reason"], "password role guest")
        gone = self.call("DELETE", f"{self.PATH}/aud", self.admin())
        self.assertEqual(self.audited(gone, "user_delete")["path"], "/api/v1/users/aud")


class ManyUsers(SigningCase):
    def test_they_come_in_pages(self):
        word = self.person("ann")
        store = self.gateway.folder / "store.db"
        self.assertEqual(self.gateway.finish(), 0)
        database = sqlite3.connect(store)
        columns = "password, role, disabled, created_epoch_s, password_epoch_s, last_login_epoch_s"
        with database:
            for i in range(400):
                database.execute(f"INSERT INTO users (name, {columns}) SELECT ?, {columns} FROM users WHERE name = 'ann'",
                                 (f"many-{i:03}-" + "a" * 50,))
        database.close()
        self.gateway.ports.clear()
        self.gateway.start()
        names, after = [], 0
        while after is not None:
            listed = self.call("GET", f"/api/v1/users?after={after}", self.admin()).json()
            names += [user["username"] for user in listed["data"]]
            after = listed["next"]
        self.assertEqual(len([name for name in names if name.startswith("many-")]), 400)
        self.assertEqual(len(names), len(set(names)))
        listed = json.loads(self.gateway.command("user", "list", "--json").stdout)
        self.assertEqual([user["username"] for user in listed], names)
        self.assertEqual(claims_of(self.login("ann", word)["token"])["sub"], "ann")
