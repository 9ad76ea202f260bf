"""Signing in, refreshing and signing out: what is answered, to whom nothing is told, and that what was ended
opens nothing from the next request on."""

import base64
import concurrent.futures
import itertools
import json
import re
import sqlite3
import threading
import time
import urllib.parse

from tools.case import WireCase, rows
from tools.client import chat, request
from tools.gateway import DEFAULTS
from tools.signing import (ADMIN_PASSWORD, LOGINS, ROLES, SigningCase, claims_of, decode, forge, now_s,
                           ok_claims)
from tools.upstream import wait_until

REFRESHES = ("/token/refresh", "/api/v1/auth/refresh")
LOGOUTS = ("/logout", "/api/v1/auth/logout")
LIFETIMES = {"/api/v1/auth/login": 24 * 3600, "/login": 30 * 60}
MEMBERS = {"token", "expires_at", "access_token", "token_type", "expires_in", "refresh_token", "user"}
FORM = "application/x-www-form-urlencoded"


def epoch_s(text):
    return int(time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))) - time.timezone


def form(**members):
    return urllib.parse.urlencode(members).encode()


class Login(SigningCase):
    @classmethod
    def set_up(cls):
        cls.word = cls.person("ann")

    def check(self, response, path, name="ann", role="user"):
        before = now_s()
        self.assertEqual(response.status, 200, response)
        self.assertEqual(response.get("content-type"), "application/json")
        self.assertEqual(response.get("cache-control"), "no-store")
        answer = self.remember(response.json())
        self.assertEqual(set(answer), MEMBERS)
        self.assertEqual(answer["token"], answer["access_token"])
        self.assertEqual(answer["token_type"].lower(), "bearer")
        self.assertEqual(answer["expires_in"], LIFETIMES[path])
        claims = claims_of(answer["token"])
        self.assertEqual(epoch_s(answer["expires_at"]), claims["exp"])
        self.assertTrue(before - 5 <= claims["iat"] <= before, claims)
        self.assertEqual(claims["exp"] - claims["iat"], LIFETIMES[path])
        self.assertEqual(answer["user"], {"id": name, "username": name, "role": role,
                                          "permissions": ROLES[role]})
        self.assertEqual(set(claims), {"sub", "username", "role", "sid", "jti", "typ", "iat", "exp"})
        self.assertEqual((claims["sub"], claims["username"], claims["role"], claims["typ"]),
                         (name, name, role, "access"))
        self.assertRegex(answer["refresh_token"], r"\Asp_refresh_[0-9A-Za-z]{43}\Z")
        self.assertEqual(json.loads(decode(answer["token"].split(".")[0])), {"alg": "HS256", "typ": "JWT"})
        return answer

    @rows({path: path for path in LOGINS})
    def json_at(self, path):
        answer = self.check(self.try_login("ann", self.word, path), path)
        self.assertEqual(self.chat(key=answer["token"]).status, 200)
        self.assert_open(answer["token"])

    @rows({path: path for path in LOGINS})
    def form_at(self, path):
        sent = form(username="ann", password=self.word)
        self.check(self.try_login(None, None, path, form=sent), path)

    def test_a_form_may_carry_what_OAuth2_has_it_carry(self):
        sent = form(grant_type="password", username="ann", password=self.word, scope="", client_id="x",
                    client_secret="y")
        self.check(self.try_login(None, None, form=sent), LOGINS[0])

    def test_a_form_has_escapes_and_plus_signs(self):
        word = self.password() + " +&=%é€"
        self.person("late.ann", password=word)
        sent = form(username="late.ann", password=word).replace(b"late", b"l%61te")
        self.assertIn(b"%", sent)
        self.assertIn(b"+", sent)
        self.check(self.try_login(None, None, form=sent), LOGINS[0], "late.ann")

    def test_the_curl_line_of_the_guide(self):
        # -d with a content type of its own; the answer has `token` and `expires_at`.
        sent = json.dumps({"username": "admin", "password": ADMIN_PASSWORD}).encode()
        response = self.post("/api/v1/auth/login", sent, [*self.sent_from(), ("Accept", "*/*")])
        self.check(response, LOGINS[0], "admin", "admin")
        listed = self.call("GET", "/api/v1/models", response.json()["token"])
        self.assertIn(listed.status, (200, 404))

    @rows({name: name for name in ("Authorization", "X-API-Key", "api-key")})
    def token_in(self, name):
        value = self.admin() if name != "Authorization" else f"Bearer {self.admin()}"
        self.assertEqual(self.post("/v1/chat/completions", chat(), [(name, value)]).status, 200)
        self.assertNotIn(self.admin().encode(), self.upstream.calls()[-1].head)

    @rows({role: role for role in ROLES})
    def role_has_its_rights(self, role):
        answer = self.check(self.try_login(f"role-{role}", self.person(f"role-{role}", role)), LOGINS[0],
                            f"role-{role}", role)
        me = self.call("GET", "/api/v1/auth/me", answer["token"]).json()
        self.assertEqual(me, answer["user"])
        self.assertEqual(self.chat(key=answer["token"]).status, 200)
        self.assertEqual(self.chat(key=answer["token"], stream=True).status, 200 if role != "guest" else 403)
        self.assertEqual(self.call("GET", "/api/v1/users", answer["token"]).status,
                         200 if role == "admin" else 403)

    def test_each_sign_in_is_new(self):
        answers = [self.login("ann", self.word) for _ in range(3)]
        for part in ("sid", "jti"):
            self.assertEqual(len({claims_of(answer["token"])[part] for answer in answers}), 3)
        self.assertEqual(len({answer["refresh_token"] for answer in answers}), 3)

    def test_an_identity_from_outside_is_no_sign_in(self):
        fields = [("Cookie", f"session={'A' * 22}"), ("X-Forwarded-User", "admin")]
        first = self.try_login("ann", self.word, fields=fields)
        self.assertIsNone(first.get("set-cookie"))
        self.assertNotEqual(claims_of(self.remember(first.json())["token"])["sid"], "A" * 22)

    def test_a_new_token_has_a_fresh_id_and_the_same_session(self):
        answer = self.login("ann", self.word)
        again = self.refresh(answer["refresh_token"]).json()
        old, new = claims_of(answer["token"]), claims_of(again["token"])
        self.assertEqual(old["sid"], new["sid"])
        self.assertNotEqual(old["jti"], new["jti"])
        self.assertEqual(set(again), MEMBERS)
        self.assertEqual(again["expires_in"], 30 * 60)

    def test_sign_ins_are_audited(self):
        response = self.try_login("ann", self.word)
        self.remember(response.json())
        line = self.audited(response, "login")
        self.assertEqual((line["actor"], line["status"], line["path"]), ("ann", 200, LOGINS[0]))
        again = self.refresh(response.json()["refresh_token"])
        line = self.audited(again, "refresh")
        self.assertEqual((line["actor"], line["status"]), ("ann", 200))


class Refusals(SigningCase):
    @classmethod
    def set_up(cls):
        cls.word = cls.person("ann")
        cls.gone = cls.person("dora")
        assert cls.call("PATCH", "/api/v1/users/dora", cls.admin(), {"disabled": True}).status == 200

    def test_whatever_was_wrong_is_one_answer(self):
        cases = {"wrong password": ("ann", "not it at all"), "unknown": ("nobody", "not it at all"),
                 "disabled": ("dora", self.gone), "disabled, wrong": ("dora", "not it at all"),
                 "empty password": ("ann", ""), "empty name": ("", "not it at all"), "both empty": ("", ""),
                 "other case": ("Ann", self.word), "a space more": ("ann ", self.word),
                 "password and more": ("ann", self.word + "x"), "less of it": ("ann", self.word[:-1]),
                 "too long a password": ("ann", "a" * 1025), "too long a name": ("a" * 65, self.word),
                 "SQL": ("ann' OR '1'='1", "' OR 1=1--"), "a format": ("%s%n", "%s%n"),
                 "control characters": ("ann\x1b[2J", "x\x07"), "a colon": ("ann:x", self.word),
                 "no-break spaces": ("ann\u00a0", self.word), "zero width": ("an\u200bn", self.word)}
        answers = {name: self.try_login(*case) for name, case in cases.items()}
        first = answers["wrong password"]
        self.assert_refused(first, 401, "AUTHENTICATION_FAILED")
        self.assertTrue(first.get("www-authenticate").startswith("Bearer"))
        self.assertEqual(first.json()["error"]["type"], "authentication_error")
        self.assertIsNone(first.json()["error"]["param"])
        for name, answer in answers.items():
            with self.subTest(name=name):
                self.assertEqual(answer.status, 401, answer)
                self.assertEqual(answer.json()["error"], first.json()["error"])
                self.assertEqual([field for field, _ in answer.fields], [field for field, _ in first.fields])

    def test_a_password_of_others_is_none(self):
        self.assertEqual(self.try_login("admin", self.word).status, 401)

    @rows({
        "nothing": (b"", None), "no object": (b"[]", None), "a string": (b'"x"', None), "null": (b"null", None),
        "not JSON": (b"{", None), "two documents": (b"{}{}", None), "a BOM": (b"\xef\xbb\xbf{}", None),
        "not UTF-8": (b'{"username":"\xff","password":"x"}', None),
        "no members": (b"{}", "username"), "no password": (b'{"username":"ann"}', "password"),
        "no name": (b'{"password":"x"}', "username"),
        "a number": (b'{"username":1,"password":"x"}', "username"),
        "null for a name": (b'{"username":null,"password":"x"}', "username"),
        "an object": (b'{"username":{"$ne":null},"password":"x"}', "username"),
        "a list": (b'{"username":"ann","password":["x"]}', "password"),
        "true": (b'{"username":"ann","password":true}', "password"),
        "an unknown member": (b'{"username":"ann","password":"x","role":"admin"}', "role"),
        "a member in another case": (b'{"Username":"ann","password":"x"}', "Username"),
        "the member verb": (b'{"username":"ann","password":"x","verb":"user_create"}', "verb"),
        "the member id": (b'{"username":"ann","password":"x","id":"x"}', "id"),
        "twice": (b'{"username":"ann","username":"admin","password":"x"}', None),
        "twice, escaped": (b'{"username":"ann","\\u0075sername":"admin","password":"x"}', None),
        "a NUL": (b'{"username":"ann\\u0000","password":"x"}', None),
        "a lone surrogate": (b'{"username":"\\ud800","password":"x"}', None),
        "deep": (b'{"username":' + b"[" * 5000 + b"]" * 5000 + b"}", None),
    })
    def json_that_is_wrong(self, body, param):
        for path in LOGINS:
            response = self.gateway.ask(request("POST", path, self.sent_from(), body))
            self.assert_refused(response, 400, "VALIDATION_ERROR")
            self.assertEqual(response.json()["error"]["param"], param)

    @rows({
        "nothing": (b"", "username"), "no password": (b"username=ann", "password"),
        "no name": (b"password=x", "username"), "an unknown member": (b"username=a&password=x&role=admin", "role"),
        "twice": (b"username=a&username=b&password=x", None), "a pair without a name": (b"=x&username=a", None),
        "the member verb": (b"username=a&password=x&verb=user_create", "verb"),
        "the member id": (b"username=a&password=x&id=x", "id"),
        "an escape cut short": (b"username=a&password=%4", None), "no escape": (b"username=a&password=%zz", None),
        "not UTF-8": (b"username=%ff&password=x", None), "overlong UTF-8": (b"username=%c0%80&password=x", None),
        "a NUL in a name": (b"username%00x=ann&password=x", None),
        "a name in an escape, twice": (b"username=a&%75sername=b&password=x", None),
        "JSON": (b'{"username":"a","password":"x"}', None),
        "a hundred members": (b"&".join(b"m%d=x" % i for i in range(100)), None),
        "ampersands": (b"&&&&username=a&password=x", None),
    })
    def form_that_is_wrong(self, body, param):
        response = self.try_login(None, None, form=body)
        self.assert_refused(response, 400, "VALIDATION_ERROR")
        if param:
            self.assertEqual(response.json()["error"]["param"], param)

    @rows({"no type": (None, 415), "text": ("text/plain", 415), "XML": ("application/xml", 415),
           "multipart": ("multipart/form-data; boundary=x", 415), "almost a form": (FORM + "x", 415),
           "two types": (f"application/json, {FORM}", 415), "another charset": ("application/json; charset=utf-16", 415)})
    def content_type(self, kind, status):
        body = b'{"username":"ann","password":"x"}'
        fields = [*self.sent_from(), ("Content-Length", str(len(body)))] + ([("Content-Type", kind)] if kind else [])
        piece = ("POST /login HTTP/1.1\r\nHost: a\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields) + "\r\n").encode()
        self.assert_refused(self.gateway.ask(piece + body), status)

    def test_refresh_takes_no_form(self):
        for path in REFRESHES:
            piece = request("POST", path, [*self.sent_from(), ("Content-Type", FORM)], b"refresh_token=x")
            self.assert_refused(self.gateway.ask(piece), 415)

    @rows({path: path for path in LOGINS + REFRESHES})
    def a_large_body_at(self, path):
        response = self.gateway.ask(request("POST", path, self.sent_from(), b'{"username":"' + b"a" * 70000 + b'"}'))
        self.assert_refused(response, 413, "PAYLOAD_TOO_LARGE")
        chunks = b"fff\r\n" + b" " * 0xfff + b"\r\n"
        head = request("POST", path, [*self.sent_from(), ("Transfer-Encoding", "chunked"),
                                      ("Content-Type", "application/json")])
        self.assert_refused(self.gateway.ask(head + chunks * 20 + b"0\r\n\r\n"), 413, "PAYLOAD_TOO_LARGE")

    @rows({path: path for path in LOGINS + REFRESHES + LOGOUTS})
    def wrong_method_at(self, path):
        response = self.call("GET", path, self.admin())
        self.assert_refused(response, 405)
        self.assertIn("POST", response.get("allow"))
        if path not in LOGOUTS:
            self.assertEqual(self.call("GET", path).status, 405)

    @rows({path: path for path in LOGINS})
    def nothing_of_a_sign_in_is_taken_from_the_url(self, path):
        query = form(username="ann", password=self.word).decode()
        for sent in (b"{}", b'{"username":"ann"}'):
            piece = request("POST", f"{path}?{query}", self.sent_from(), sent)
            self.assert_refused(self.gateway.ask(piece), 400, "VALIDATION_ERROR")
        piece = request("POST", f"{path}?password={self.word}", self.sent_from(), {"username": "ann"})
        response = self.gateway.ask(piece)
        self.assert_refused(response, 400, "VALIDATION_ERROR")
        self.assertNotIn(self.word, self.gateway.logged(response)["request"])

    def test_nor_is_a_refresh_token(self):
        answer = self.login("ann", self.word)
        response = self.gateway.ask(request("POST", f"/token/refresh?refresh_token={answer['refresh_token']}",
                                            self.sent_from(), {}))
        self.assert_refused(response, 400, "VALIDATION_ERROR")
        self.assertNotIn(answer["refresh_token"], self.gateway.logged(response)["request"])
        self.assertEqual(self.refresh(answer["refresh_token"]).status, 200)

    def test_a_token_in_the_url_opens_nothing_and_is_not_logged(self):
        for query in ("access_token=%s", "token=%s", "x=y&a=%s"):
            token = self.admin()
            for path in ("/v1/models", "/api/v1/auth/me", "/livez"):
                response = self.call("GET", f"{path}?{query % token}")
                self.assertIn(response.status, (200,) if path == "/livez" else (400, 401))
                line = json.dumps(self.gateway.logged(response))
                for part in token.split("."):
                    self.assertNotIn(part, line)
                if path != "/livez":
                    self.assert_refused(self.call("GET", f"{path}?{query % token}", token), 400)

    def test_a_token_in_a_cookie_opens_nothing(self):
        self.assert_refused(self.call("GET", "/api/v1/auth/me", fields=[("Cookie", f"token={self.admin()}")]), 401)

    def test_two_credentials(self):
        other = self.login("ann", self.word)["token"]
        for pair in ((self.admin(), other), (self.admin(), self.key), (self.key, self.admin()), ("x", self.admin())):
            response = self.call("GET", "/api/v1/auth/me", fields=[("Authorization", f"Bearer {pair[0]}"),
                                                                   ("X-API-Key", pair[1])])
            self.assert_refused(response, 400, "VALIDATION_ERROR")
        twice = [("Authorization", f"Bearer {self.admin()}"), ("X-API-Key", self.admin())]
        self.assertEqual(self.call("GET", "/api/v1/auth/me", fields=twice).status, 200)

    def test_a_credential_on_the_way_in_is_no_matter(self):
        wrong = [("Authorization", "Bearer wrong")]
        response = self.try_login("ann", self.word, fields=wrong)
        self.assertEqual(response.status, 200)
        self.remember(response.json())


class Costs(SigningCase):
    security = {"basic_enabled": True}
    TRIES = 11

    def spent_s(self, ask, name):
        """The gateway's processor time, which what else runs on the machine does not lengthen."""
        before = self.gateway.cpu_s()
        self.assertEqual(ask(name, "not it at all").status, 401)
        return self.gateway.cpu_s() - before

    def by_basic(self, name, password):
        encoded = base64.b64encode(f"{name}:{password}".encode()).decode()
        return self.ask(request("GET", "/v1/models", [*self.sent_from(), ("Authorization", "Basic " + encoded)]))

    @rows({"a login": "try_login", "Basic": "by_basic"})
    def a_name_that_nobody_has_costs_what_a_wrong_password_costs(self, way):
        ask, spent = getattr(self, way), {"known": 0.0, "unknown": 0.0}
        self.person(f"known-{way.replace('_', '-')}")
        for number in range(self.TRIES):
            spent["known"] += self.spent_s(ask, f"known-{way.replace('_', '-')}")
            spent["unknown"] += self.spent_s(ask, f"unknown-{number}")
        ratio = spent["unknown"] / spent["known"]
        self.assertTrue(0.5 < ratio < 2, f"{ratio}: {spent}")


class Rates(SigningCase):
    @classmethod
    def set_up(cls):
        cls.word = cls.person("ann")
        cls.other = cls.person("ben")

    def assert_held_back(self, response):
        self.assert_refused(response, 429, "RATE_LIMITED")
        self.assertRegex(response.get("retry-after"), r"\A[1-9][0-9]?\Z")
        self.assertLessEqual(int(response.get("retry-after")), 60)

    def test_an_address_may_try_five_times_a_minute(self):
        address = self.addresses.next()
        answers = [self.try_login(f"nobody-{i}", "not it at all", address=address) for i in range(6)]
        self.assertEqual([answer.status for answer in answers], [401] * 5 + [429])
        self.assert_held_back(answers[5])
        self.assertEqual(answers[0].get("x-ratelimit-limit"), "5")
        self.assert_held_back(self.try_login("ann", self.word, address=address))  # the right one, too
        # Nobody else is held back, at the same account neither.
        self.assertEqual(self.remember(self.try_login("ann", self.word).json())["user"]["id"], "ann")
        # And who is in already stays in.
        self.assertEqual(self.ask(request("GET", "/api/v1/auth/me", self.sent_from(address),
                                          key=self.admin())).status, 200)

    def test_the_two_routes_are_one_limit(self):
        address = self.addresses.next()
        answers = [self.try_login("ann", "not it at all", LOGINS[i % 2], address) for i in range(8)]
        self.assertEqual([answer.status for answer in answers], [401] * 5 + [429] * 3)

    def test_what_is_malformed_counts(self):
        address = self.addresses.next()
        statuses = [self.ask(request("POST", "/login", self.sent_from(address), b"{}")).status for _ in range(6)]
        self.assertEqual(statuses, [400] * 5 + [429])

    def test_a_subnet_of_IPv6_is_one_address(self):
        statuses = [self.try_login("ann", "not it at all", address=f"2001:db8:7:7:{i:x}::1").status for i in range(1, 7)]
        self.assertEqual(statuses, [401] * 5 + [429])
        response = self.try_login("ann", self.word, address="2001:db8:7:8::1")
        self.assertEqual(response.status, 200)
        self.remember(response.json())

    def test_at_one_time_it_is_five_as_well(self):
        address = self.addresses.next()
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(lambda i: self.try_login(f"who-{i}", "not it at all", address=address).status,
                                     range(24)))
        self.assertEqual(statuses.count(401), 5, statuses)
        self.assertEqual(set(statuses), {401, 429})

    def test_a_victim_is_not_locked_out(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: self.try_login("ben", "not it at all"), range(30)))
        self.assertEqual(self.remember(self.try_login("ben", self.other).json())["user"]["id"], "ben")

    def test_claims_of_being_somebody_else_are_no_new_address(self):
        address = self.addresses.next()
        statuses = [self.try_login("ann", "not it at all", address=f"1.1.1.{i}, {address}").status for i in range(6)]
        self.assertEqual(statuses, [401] * 5 + [429])

    def test_refreshing_has_a_limit_of_its_own(self):
        address = self.addresses.next()
        routes = itertools.cycle(REFRESHES)
        self.tries_until_refused(lambda: self.refresh("sp_refresh_" + "A" * 43, next(routes), address), 120)


class Sessions(SigningCase):
    @classmethod
    def set_up(cls):
        cls.word = cls.person("ann")
        cls.other = cls.person("ben")

    def in_as(self, name="ann"):
        return self.login(name, self.word if name == "ann" else self.other)

    def test_refresh_turns_the_tokens_over(self):
        first = self.in_as()
        for path in REFRESHES * 2:
            response = self.refresh(first["refresh_token"], path)
            self.assertEqual(response.status, 200, response)
            second = response.json()
            self.assertNotEqual(second["refresh_token"], first["refresh_token"])
            self.assert_open(second["token"])
            self.assert_open(first["token"])  # its time is its own
            first = second

    def test_a_refresh_token_used_twice_ends_the_whole_family(self):
        first = self.in_as()
        bystander = self.in_as()
        second = self.refresh(first["refresh_token"]).json()
        third = self.refresh(second["refresh_token"]).json()
        reused = self.refresh(first["refresh_token"])
        self.assert_refused(reused, 401, "AUTHENTICATION_FAILED")
        for answer in (first, second, third):
            self.assert_shut(answer["token"])
            self.assertEqual(self.refresh(answer["refresh_token"]).status, 401)
        self.assert_open(bystander["token"])
        self.assertEqual(self.audited(reused, "refresh_reuse")["actor"], "ann")

    def test_whatever_is_wrong_with_a_refresh_token_is_one_answer(self):
        used, ended = self.in_as(), self.in_as()
        self.refresh(used["refresh_token"])
        self.assertEqual(self.call("POST", "/logout", ended["token"]).status, 204)
        wrong = {"used": used["refresh_token"], "ended": ended["refresh_token"],
                 "unknown": "sp_refresh_" + "A" * 43, "empty": "", "short": "sp_refresh_", "a key": self.key,
                 "an access token": ended["token"], "SQL": "' OR 1=1--", "long": "sp_refresh_" + "A" * 5000,
                 "a hash of one": "0" * 64, "other case": ended["refresh_token"].swapcase(),
                 "a space": " " + ended["refresh_token"]}
        answers = {name: self.refresh(token) for name, token in wrong.items()}
        first = answers["unknown"]
        for name, answer in answers.items():
            with self.subTest(name=name):
                self.assert_refused(answer, 401, "AUTHENTICATION_FAILED")
                self.assertEqual(answer.json()["error"], first.json()["error"])
                self.assertEqual([field for field, _ in answer.fields], [field for field, _ in first.fields])

    @rows({"no member": (b"{}", "refresh_token"), "null": (b'{"refresh_token":null}', "refresh_token"),
           "a number": (b'{"refresh_token":1}', "refresh_token"),
           "more": (b'{"refresh_token":"x","username":"admin"}', "username")})
    def refresh_that_is_malformed(self, body, param):
        response = self.ask(request("POST", "/token/refresh", self.sent_from(), body))
        self.assert_refused(response, 400, "VALIDATION_ERROR")
        self.assertEqual(response.json()["error"]["param"], param)

    def test_of_many_refreshes_at_one_time_one_wins(self):
        for round_ in range(3):
            first = self.in_as()
            barrier = threading.Barrier(16)

            def many(_):
                barrier.wait(30)
                return [self.refresh(first["refresh_token"]) for _ in range(4)]
            with concurrent.futures.ThreadPoolExecutor(16) as pool:
                answers = [answer for some in pool.map(many, range(16)) for answer in some]
            won = [answer for answer in answers if answer.status == 200]
            self.assertEqual(len(answers), 64)
            self.assertEqual(len(won), 1, [answer.status for answer in answers])
            self.assertEqual({answer.status for answer in answers}, {200, 401})
            # The others are reuse: nothing of the family is left.
            self.assert_shut(won[0].json()["token"])
            self.assert_shut(first["token"])
            self.assertEqual(self.refresh(won[0].json()["refresh_token"]).status, 401)

    @rows({path: path for path in LOGOUTS})
    def logout_at(self, path):
        here, there = self.in_as(), self.in_as()
        second = self.refresh(here["refresh_token"]).json()
        response = self.call("POST", path, here["token"])
        self.assertEqual((response.status, bytes(response.body)), (204, b""))
        for answer in (here, second):
            self.assert_shut(answer["token"])
        self.assertEqual(self.refresh(second["refresh_token"]).status, 401)
        self.assert_open(there["token"])
        self.assert_refused(self.call("POST", path, here["token"]), 401)  # as often as one likes
        self.assertEqual(self.audited(response, "logout")["actor"], "ann")

    def test_logout_ends_the_session_of_a_refresh_token_too(self):
        here, there, elses = self.in_as(), self.in_as(), self.in_as("ben")
        body = {"refresh_token": there["refresh_token"]}
        self.assertEqual(self.call("POST", "/logout", here["token"], body).status, 204)
        self.assert_shut(here["token"])
        self.assert_shut(there["token"])
        # Somebody else's stays as it is, and nothing tells that it is one.
        mine = self.in_as()
        body = {"refresh_token": elses["refresh_token"]}
        self.assertEqual(self.call("POST", "/logout", mine["token"], body).status, 204)
        self.assert_shut(mine["token"])
        self.assert_open(elses["token"])
        self.assertEqual(self.refresh(elses["refresh_token"]).status, 200)

    @rows({"null": {"refresh_token": None}, "its own": "own", "one of nobody": {"refresh_token": "sp_refresh_" + "B" * 43},
           "none at all": {}, "not one": {"refresh_token": "x"}, "empty": {"refresh_token": ""}})
    def logout_with(self, body):
        here = self.in_as()
        body = {"refresh_token": here["refresh_token"]} if body == "own" else body
        self.assertEqual(self.call("POST", "/logout", here["token"], body).status, 204)
        self.assert_shut(here["token"])
        self.assertEqual(self.refresh(here["refresh_token"]).status, 401)

    @rows({"a number": b'{"refresh_token":1}', "a member more": b'{"all":true}', "not JSON": b"{", "a list": b"[]"})
    def logout_that_is_malformed(self, body):
        here = self.in_as()
        self.assert_refused(self.call("POST", "/logout", here["token"], body), 400, "VALIDATION_ERROR")
        self.assert_open(here["token"])

    def test_logout_is_for_those_who_signed_in(self):
        self.assert_refused(self.call("POST", "/logout"), 401)
        self.assert_refused(self.call("POST", "/logout", self.key), 403, "PERMISSION_DENIED")
        self.assertEqual(self.chat().status, 200)
        # A refresh token alone signs nobody out: whoever has it can refresh, and then sign out.
        answer = self.in_as()
        self.assert_refused(self.call("POST", "/logout", None, {"refresh_token": answer["refresh_token"]}), 401)
        self.assert_open(answer["token"])

    def test_one_kind_of_token_is_no_other(self):
        answer, other = self.in_as(), self.in_as("ben")
        self.assert_shut(answer["refresh_token"])
        for place in ("X-API-Key", "api-key"):
            fields = [(place, answer["refresh_token"])]
            self.assert_refused(self.call("GET", "/api/v1/auth/me", fields=fields), 401)
        self.assertEqual(self.refresh(answer["token"]).status, 401)
        self.assertEqual(self.refresh(self.key).status, 401)
        # The refresh token says whose it is, whoever presents it.
        response = self.ask(request("POST", "/token/refresh", self.sent_from(),
                                    {"refresh_token": other["refresh_token"]}, answer["token"]))
        self.assertEqual(self.remember(response.json())["user"]["id"], "ben")

    def test_a_token_is_of_the_kind_and_person_it_was_made_for(self):
        answer = self.in_as()
        secret, claims = self.gateway.sections["security"]["jwt_secret"], claims_of(answer["token"])
        self.assert_open(forge(secret, claims))
        for change in ({"typ": "refresh"}, {"typ": "ID"}, {"sid": "A" * 22}, {"sub": "admin"},
                       {"username": "admin"}, {"sub": "admin", "username": "admin"}):
            self.assert_shut(forge(secret, {**claims, **change}))
        # A role in a token is no right.
        token = forge(secret, {**claims, "role": "admin"})
        self.assertIn(self.call("GET", "/api/v1/users", token).status, (401, 403))

    def test_sessions_are_seen_and_ended_by_whose_they_are(self):
        token = self.signed_in("cyd")["token"]
        listed = self.call("GET", "/api/v1/auth/sessions", token).json()
        self.assertEqual(listed["object"], "list")
        self.assertEqual(len(listed["data"]), 1)
        one = listed["data"][0]
        self.assertEqual(set(one), {"id", "created_at", "expires_at", "current"})
        self.assertEqual((one["id"], one["current"]), (claims_of(token)["sid"], True))
        self.assertEqual(epoch_s(one["expires_at"]) - epoch_s(one["created_at"]), 14 * 86400)
        elses = claims_of(self.in_as()["token"])["sid"]
        for wrong in (elses, "A" * 22, "x", "..", one["id"][:-1], one["id"] + "A"):
            response = self.call("DELETE", f"/api/v1/auth/sessions/{wrong}", token)
            self.assertIn(response.status, (400, 404), wrong)
        self.assertEqual(self.call("DELETE", f"/api/v1/auth/sessions/{one['id']}", token).status, 204)
        self.assert_shut(token)

    def test_another_session_can_be_ended_and_all_of_them(self):
        word = self.person("eve")
        answers = [self.login("eve", word) for _ in range(4)]
        tokens = [answer["token"] for answer in answers]
        elses = self.in_as()
        path = f"/api/v1/auth/sessions/{claims_of(tokens[1])['sid']}"
        self.assertEqual(self.call("DELETE", path, tokens[0]).status, 204)
        self.assert_refused(self.call("DELETE", path, tokens[0]), 404, "NOT_FOUND")
        self.assert_shut(tokens[1])
        self.assertEqual(self.refresh(answers[1]["refresh_token"]).status, 401)
        sessions = self.call("GET", "/api/v1/auth/sessions", tokens[0]).json()["data"]
        self.assertEqual([one["current"] for one in sessions], [True, False, False])
        self.assertEqual(self.call("DELETE", "/api/v1/auth/sessions", tokens[0]).status, 204)
        for token in tokens:
            self.assert_shut(token)
        self.assert_open(elses["token"])

    def test_a_key_has_no_sessions(self):
        for method in ("GET", "DELETE"):
            self.assert_refused(self.call(method, "/api/v1/auth/sessions", self.key), 403, "PERMISSION_DENIED")

    def test_me_is_of_a_key_too(self):
        me = self.call("GET", "/api/v1/auth/me", self.key).json()
        self.assertEqual(me, {"id": self.key[3:15], "username": "caller", "role": None,
                              "permissions": ["read_models", "run_inference", "use_streaming"]})

    def test_an_account_has_a_hundred_sessions_at_most(self):
        # The oldest makes room: nobody is kept out by sessions that were left open.
        word = self.person("fay")
        answers = [self.login("fay", word) for _ in range(101)]
        self.assert_shut(answers[0]["token"])
        self.assertEqual(self.refresh(answers[0]["refresh_token"]).status, 401)
        self.assert_open(answers[1]["token"])
        self.assertEqual(len(self.call("GET", "/api/v1/auth/sessions", answers[100]["token"]).json()["data"]), 100)


CHANGES = {
    "another password": lambda case, name: case.change(name, {"password": case.password()}),
    "another role": lambda case, name: case.change(name, {"role": "guest"}),
    "more rights": lambda case, name: case.change(name, {"role": "admin"}),
    "disabled": lambda case, name: case.change(name, {"disabled": True}),
    "deleted": lambda case, name: case.call("DELETE", f"/api/v1/users/{name}", case.admin()),
    "the command": lambda case, name: case.gateway.command("user", "disable", name) and None,
}


class Changes(SigningCase):
    def change(self, name, changes):
        return self.call("PATCH", f"/api/v1/users/{name}", self.admin(), changes)

    @rows({name: name for name in CHANGES})
    def change_ends_sessions(self, change):
        name = "p" + re.sub(r"\W", "", change)
        word = self.person(name)
        answers = [self.login(name, word) for _ in range(3)]
        own = self.call("POST", "/api/v1/auth/api-keys", answers[0]["token"], {"name": "own"})
        self.assertEqual(own.status, 201, own)
        self.remember(own.json())
        with self.client() as kept:
            chat_piece = request("POST", "/v1/chat/completions", (), chat(), answers[0]["token"])
            self.assertEqual(kept.ask(chat_piece).status, 200)
            response = CHANGES[change](self, name)
            if response:
                self.assertIn(response.status, (200, 204), response)
            calls = self.calls()
            self.assert_refused(kept.ask(chat_piece), 401, "AUTHENTICATION_FAILED")
            for answer in answers:
                self.assert_shut(answer["token"])
                self.assertEqual(self.refresh(answer["refresh_token"]).status, 401)
            self.assertEqual(self.calls(), calls)
        # Their own key goes with a user who is let in no more.
        self.assertEqual(self.chat(key=own.json()["key"]).status,
                         401 if change in ("disabled", "deleted", "the command") else 200)
        old = self.try_login(name, word)
        self.assertEqual(old.status, 200 if change in ("another role", "more rights") else 401)
        if old.status == 200:
            self.remember(old.json())

    def test_what_stays_the_same_ends_nothing(self):
        answer = self.signed_in("ann")
        for same in ({"role": "user"}, {"disabled": False}):
            self.assertEqual(self.change("ann", same).status, 200)
            self.assert_open(answer["token"])

    def test_ones_own_new_password_keeps_the_session_it_was_set_in(self):
        word = self.person("boss", "admin")
        here, there = self.login("boss", word), self.login("boss", word)
        new = self.password()
        self.assertEqual(self.call("PATCH", "/api/v1/users/boss", here["token"], {"password": new}).status, 200)
        self.assert_open(here["token"])
        self.assert_shut(there["token"])
        self.assertEqual(self.refresh(here["refresh_token"]).status, 200)
        self.assertEqual(self.try_login("boss", word).status, 401)
        self.login("boss", new)

    def test_who_is_enabled_again_signs_in_anew(self):
        word = self.person("dan")
        old = self.login("dan", word)
        self.change("dan", {"disabled": True})
        self.change("dan", {"disabled": False})
        self.assert_shut(old["token"])
        self.assertEqual(self.refresh(old["refresh_token"]).status, 401)
        self.assert_open(self.login("dan", word)["token"])

    def test_a_new_user_of_an_old_name_inherits_nothing(self):
        old = self.signed_in("eva")
        self.assertEqual(self.call("DELETE", "/api/v1/users/eva", self.admin()).status, 204)
        self.signed_in("eva")
        self.assert_shut(old["token"])
        self.assertEqual(self.refresh(old["refresh_token"]).status, 401)

    def test_who_waits_with_a_body_is_asked_again(self):
        answer = self.signed_in("fin")
        calls = self.calls()
        piece = request("POST", "/v1/chat/completions", (), chat(), answer["token"])
        with self.client() as client:
            client.send(piece[:-5])
            # The head has been read when another request on the loop is answered after it.
            for _ in range(4):
                self.get("/livez")
            self.assertEqual(self.change("fin", {"disabled": True}).status, 200)
            client.send(piece[-5:])
            self.assert_refused(client.read(), 401, "AUTHENTICATION_FAILED")
        self.assertEqual(self.calls(), calls)


class Lasting(SigningCase):
    """What outlives the process. Each test has a gateway of its own."""

    def setUp(self):
        self.own = self.gateway_class(self.upstream_list(), self.sections)
        self.addCleanup(self.own.discard)
        self.own.start()

    def again(self, kill=False):
        if kill:
            self.own.kill()
            self.own.reader.join(30)
        else:
            self.assertEqual(self.own.finish(), 0)
        self.own.ports.clear()
        self.own.start()

    def at(self, method, path, token=None, body=None):
        return self.own.ask(request(method, path, self.sent_from(), body, token), method)

    def enter(self):
        response = self.at("POST", "/login", None, {"username": "admin", "password": ADMIN_PASSWORD})
        self.assertEqual(response.status, 200, response)
        return response.json()

    @rows({"a restart": False, "a kill": True})
    def sessions_are_kept_over(self, kill):
        stays, gone, used = self.enter(), self.enter(), self.enter()
        second = self.at("POST", "/token/refresh", None, {"refresh_token": used["refresh_token"]}).json()
        self.assertEqual(self.at("POST", "/logout", gone["token"]).status, 204)
        self.again(kill)
        for token, status in ((stays["token"], 200), (gone["token"], 401), (used["token"], 200),
                              (second["token"], 200)):
            self.assertEqual(self.at("GET", "/api/v1/auth/me", token).status, status)
        answer = self.at("POST", "/token/refresh", None, {"refresh_token": stays["refresh_token"]})
        self.assertEqual(answer.status, 200)
        # Reuse is still told from a use: it ends the family.
        answer = self.at("POST", "/token/refresh", None, {"refresh_token": used["refresh_token"]})
        self.assertEqual(answer.status, 401)
        self.assertEqual(self.at("GET", "/api/v1/auth/me", second["token"]).status, 401)
        self.assertEqual(len([0 for line in self.own.said if "admin_password" in line]), 0)

    def test_killed_while_it_refreshes_there_are_never_two_families(self):
        answer = self.enter()
        token = answer["refresh_token"]
        for _ in range(5):
            with self.own.client() as client:
                client.send(request("POST", "/token/refresh", self.sent_from(), {"refresh_token": token}))
                time.sleep(0)  # anywhere between the first byte and the answer
                self.own.kill()
            self.own.reader.join(30)
            self.own.ports.clear()
            self.own.start()
            again = self.at("POST", "/token/refresh", None, {"refresh_token": token})
            self.assertIn(again.status, (200, 401))
            database = sqlite3.connect(self.own.folder / "store.db")
            live = database.execute("SELECT id, (SELECT count(*) FROM refresh_tokens r WHERE r.session_id = s.id "
                                    "AND r.used_epoch_s = 0) FROM sessions s WHERE revoked_epoch_s = 0").fetchall()
            database.close()
            if again.status == 200:  # the first did not happen: one family, one token that is good
                self.assertEqual([count for _, count in live], [1])
                token = again.json()["refresh_token"]
            else:  # it did: the second use ended it
                self.assertEqual(live, [])
                token = self.enter()["refresh_token"]

    def test_another_secret_is_the_end_of_all_tokens(self):
        answer = self.enter()
        self.own.sections["security"]["jwt_secret"] = "another-canary-" + "0f4c" * 12
        self.own.write_config()
        self.again()
        self.assertEqual(self.at("GET", "/api/v1/auth/me", answer["token"]).status, 401)
        # Refresh tokens do not depend on it.
        again = self.at("POST", "/token/refresh", None, {"refresh_token": answer["refresh_token"]})
        self.assertEqual(again.status, 200)
        self.assertEqual(self.at("GET", "/api/v1/auth/me", again.json()["token"]).status, 200)

    def test_a_retiring_secret_only_verifies(self):
        answer, old = self.enter(), DEFAULTS["security"]["jwt_secret"]
        self.own.sections["security"].update(jwt_secret="another-canary-" + "0f4c" * 12, jwt_secret_retiring=old)
        self.own.write_config()
        self.again()
        self.assertEqual(self.at("GET", "/api/v1/auth/me", answer["token"]).status, 200)
        new = self.at("POST", "/token/refresh", None, {"refresh_token": answer["refresh_token"]}).json()
        claims = claims_of(new["token"])
        self.assertNotEqual(forge(old, claims), new["token"])
        self.assertEqual(self.at("GET", "/api/v1/auth/me", forge(old, claims)).status, 200)

    def test_what_was_recorded_survives_a_kill_and_tries_that_failed_are_counted(self):
        for _ in range(3):
            self.own.ask(request("POST", "/login", [("X-Forwarded-For", "198.18.255.1")],
                                 {"username": "admin", "password": "canary-wrong-word"}))
        self.assertEqual(self.own.finish(), 0)
        self.own.ports.clear()
        self.own.start()
        answer = self.enter()
        path = self.own.folder / "audit.log"
        wait_until(lambda: b'"event":"login",' in path.read_bytes(), "a record of the sign-in")
        self.own.kill()
        log = path.read_text()
        lines = [json.loads(line) for line in log.splitlines()]
        failed = [line for line in lines if line["event"] == "login_failed"]
        self.assertEqual(sum(line["count"] or 1 for line in failed), 3)
        self.assertEqual({(line["status"], line["actor"]) for line in failed}, {(401, "")})
        self.assertEqual([line["actor"] for line in lines if line["event"] == "login"], ["admin"])
        for secret in (answer["token"].split(".")[2], answer["refresh_token"][11:], "canary-wrong-word"):
            self.assertNotIn(secret, log)

    def test_nothing_of_a_credential_is_in_the_store(self):
        answer = self.enter()
        for path in self.own.folder.glob("store.db*"):
            content = path.read_bytes()
            for secret in (answer["token"], answer["refresh_token"], answer["refresh_token"][11:31], ADMIN_PASSWORD):
                self.assertNotIn(secret.encode(), content)


class Off(WireCase):
    """Without a secret nobody signs in, and nothing says that one could."""
    sections = {"security": {"jwt_secret": None, "api_key": "canary-shared-key-5d1f0a7cc2"}}

    @rows({path: path for path in LOGINS + REFRESHES})
    def open_route(self, path):
        response = self.post(path, {"username": "admin", "password": "x"})
        self.assert_refused(response, 404, "NOT_FOUND")

    @rows({path: path for path in LOGOUTS})
    def route_of_a_token(self, path):
        self.assert_refused(self.ask(request("POST", path)), 401)
        self.assert_refused(self.ask(request("POST", path, key=self.key)), 404, "NOT_FOUND")

    def test_tokens_open_nothing(self):
        for secret in (b"", b"\0" * 32, "canary-shared-key-5d1f0a7cc2", DEFAULTS["security"]["jwt_secret"]):
            self.assert_refused(self.get("/v1/models", key=forge(secret, ok_claims())), 401)


class ShortLived(SigningCase):
    security = {"token_expiry_hours": 1, "access_token_minutes": 5, "refresh_token_days": 1}

    def test_times_are_as_configured(self):
        self.assertEqual(self.login(path="/api/v1/auth/login")["expires_in"], 3600)
        answer = self.login(path="/login")
        self.assertEqual(answer["expires_in"], 300)
        self.assertEqual(self.refresh(answer["refresh_token"]).json()["expires_in"], 300)
        one = self.call("GET", "/api/v1/auth/sessions", answer["token"]).json()["data"][-1]
        self.assertTrue(86400 <= epoch_s(one["expires_at"]) - epoch_s(one["created_at"]) <= 86400 + 60)
