"""One call of the gateway fails while somebody signs in, asks with a token, refreshes, signs out: then the
next one, until none does. Nobody gets in who should not, a session that was ended stays ended, and what was
not done can be done again."""

import base64
import errno
import hashlib
import itertools
import json
import secrets

from calls import REFUSALS, SQL, CallCase, named
from case import CLOSED, TRESPASSING
from tools.case import rows
from tools.client import chat, request

PASSWORD = secrets.token_hex(12)
MEMORY = ["memory", ("crypto", 0)]
STORE = ["memory", *SQL, "database", "fsync", "disk", ("disk", errno.ENOSPC)]


class Asking(CallCase):
    security = {}
    addresses = itertools.count(1)

    @classmethod
    def make_gateway(cls):
        cls.sections = {"security": cls.security, "server": {"trusted_proxies": ["127.0.0.1/32"]}}
        return super().make_gateway()

    @classmethod
    def set_up(cls):
        super().set_up()
        cls.gateway.secrets.append(PASSWORD)

    def send(self, method, path, body=None, token=None, further=()):
        """From an address of its own: attempts are counted by address."""
        number = next(self.addresses)
        fields = [("X-Forwarded-For", f"198.51.{number // 250}.{number % 250 + 1}"), *further]
        text = json.dumps(body).encode() if body is not None else None
        if text is not None:
            fields.append(("Content-Type", "application/json"))
        return self.outcome(request(method, path, fields, text, key=token))


class SignIn(Asking):
    security = {"admin_password": PASSWORD}

    def login(self):
        response = self.send("POST", "/api/v1/auth/login", {"username": "admin", "password": PASSWORD})
        return self.pair(response)

    def pair(self, response):
        """The tokens of an answer, None when it was refused or got lost."""
        if response == CLOSED or not response.complete:
            return None
        if response.status != 200:
            self.assert_refusal(response, REFUSALS)
            return None
        document = response.json()
        self.gateway.secrets += [document["token"], document["refresh_token"]]
        return document

    def refresh(self, pair):
        return self.send("POST", "/token/refresh", {"refresh_token": pair["refresh_token"]})

    def me(self, token):
        return self.send("GET", "/api/v1/auth/me", token=token)

    def opens(self, pair):
        status = self.me(pair["token"]).status
        self.assertIn(status, (200, 401))
        return status == 200

    # What may come of it.

    @rows(named({"login": STORE}))
    def who_signed_in_has_a_session(self, _, name, error):
        def act(begin, end):
            begin()
            pair = self.login()
            end()
            if pair:
                self.assertTrue(self.opens(pair))
                self.assertEqual(self.refresh(pair).status, 200)
        self.each(name, error, act)

    @rows(named({"token": MEMORY}))
    def token_opens_only_what_it_should(self, _, name, error):
        good = self.login()["token"]
        head, claims, mac = good.split(".")
        forged = ".".join([head, claims, mac[::-1]])

        def act(begin, end):
            for token, statuses in ((good, (200, *REFUSALS)), (forged, (401, *REFUSALS))):
                begin()
                response = self.me(token)
                end()
                if response != CLOSED:
                    self.assertIn(response.status, statuses)
        self.each(name, error, act)

    @rows({name: name for name in ("memory", "crypto")})
    def forged_token_opens_nothing(self, name):
        head, claims, mac = self.login()["token"].split(".")
        self.nothing_opens(name, lambda token: self.send("POST", "/v1/chat/completions",
                                                         chat(content=TRESPASSING), token),
                           [".".join([head, claims, mac[::-1]])])

    @rows(named({"logout": STORE}))
    def ended_session_stays_ended(self, _, name, error):
        def act(begin, end):
            pair = self.login()
            begin()
            response = self.send("POST", "/logout", token=pair["token"])
            end()
            if response != CLOSED and response.complete and response.status == 204:
                self.assertFalse(self.opens(pair))
                self.assertEqual(self.refresh(pair).status, 401)
            elif self.opens(pair):
                self.assertEqual(self.send("POST", "/logout", token=pair["token"]).status, 204)
        self.each(name, error, act)

    @rows(named({"refresh": STORE}))
    def session_has_one_live_refresh_token(self, _, name, error):
        def act(begin, end):
            first = self.login()
            begin()
            second = self.pair(self.refresh(first))
            end()
            if second:
                self.assertTrue(self.opens(second))
            else:  # it was not done; or it was, and the answer got lost: then this is a reuse, and ends it
                self.assertIn(self.refresh(first).status, (200, 401))
            self.refresh(first)
            self.assertFalse(self.opens(first))
            if second:
                self.assertFalse(self.opens(second))
        self.each(name, error, act)


class Basic(Asking):
    """A name and a password in each request; what is not known yet is verified on another thread."""
    security = {"basic_enabled": True, "htpasswd_file": "htpasswd"}

    @classmethod
    def make_gateway(cls):
        gateway = super().make_gateway()
        digest = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
        (gateway.folder / "htpasswd").write_text(f"caller:{{SHA}}{digest}\n")
        return gateway

    def ask(self, password, **members):
        word = base64.b64encode(f"caller:{password}".encode()).decode()
        return self.send("POST", "/v1/chat/completions", chat(**members), None, [("Authorization", f"Basic {word}")])

    answered = {"a chat": lambda self: self.ask(PASSWORD, user=self.mark)}

    @rows(named({"a chat": ["memory", "crypto", "watch"]}))
    def request(self, *row):
        self.answered_or_refused(*row)

    @rows({name: name for name in ("memory", "crypto", "receive", "send")})
    def wrong_password_opens_nothing(self, name):
        self.nothing_opens(name, lambda password: self.ask(password, content=TRESPASSING), [PASSWORD[::-1]])
