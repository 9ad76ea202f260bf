"""Signing in: an admin, people with passwords, addresses of their own for them, and tokens that an attacker
who knows the secret would make."""

import base64
import hmac
import itertools
import json
import secrets
import time

from tools.case import WireCase
from tools.client import request
from tools.upstream import wait_until

ADMIN_PASSWORD = "canary-admin-" + secrets.token_hex(8)
LOGINS = ("/api/v1/auth/login", "/login")
ROLES = {
    "admin": ["read_models", "write_models", "delete_models", "run_inference", "manage_cache", "read_metrics",
              "write_config", "manage_users", "view_audit_logs", "use_streaming", "manage_queue"],
    "user": ["read_models", "run_inference", "read_metrics", "use_streaming"],
    "service": ["read_models", "run_inference", "manage_cache", "read_metrics", "use_streaming"],
    "guest": ["read_models", "run_inference"],
}
PERMISSIONS = ROLES["admin"]


def encode(content):
    """base64url without padding, of bytes or of what JSON makes of it."""
    if not isinstance(content, bytes):
        content = json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def decode(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def sign(secret, text, algorithm="sha256"):
    return encode(hmac.new(secret.encode() if isinstance(secret, str) else secret, text.encode(), algorithm).digest())


def forge(secret, claims, header=None, algorithm="sha256"):
    text = encode({"alg": "HS256", "typ": "JWT"} if header is None else header) + "." + encode(claims)
    return text + "." + sign(secret, text, algorithm)


def claims_of(token):
    return json.loads(decode(token.split(".")[1]))


class Addresses:
    """An address for each attempt, so that no test meets another one's limits."""

    def __init__(self):
        self.numbers = itertools.count(1)

    def next(self):
        number = next(self.numbers)
        return f"198.18.{number >> 8}.{number & 255}"


class SigningCase(WireCase):
    """A gateway with an admin, behind a proxy that says who the client is."""
    security = {}

    @classmethod
    def setUpClass(cls):
        cls.addresses = Addresses()
        cls.sections = {**cls.sections,
                        "server": {"trusted_proxies": ["127.0.0.0/8"], **cls.sections.get("server", {})},
                        "log": {"audit": "audit.log", **cls.sections.get("log", {})},
                        "security": {"admin_password": ADMIN_PASSWORD, **cls.security}}
        super().setUpClass()

    @classmethod
    def remember(cls, answer):
        """What was given out must stand in no file and in no error."""
        for name in ("token", "refresh_token", "key"):
            if answer.get(name):
                cls.gateway.secrets.append(answer[name])
        return answer

    @classmethod
    def password(cls):
        word = "canary-word-" + secrets.token_hex(8)
        cls.gateway.secrets.append(word)
        return word

    @classmethod
    def sent_from(cls, address=None):
        return [("X-Forwarded-For", address or cls.addresses.next())]

    @classmethod
    def try_login(cls, name, password, path=LOGINS[0], address=None, form=None, fields=()):
        body = form if form is not None else {"username": name, "password": password}
        kind = [("Content-Type", "application/x-www-form-urlencoded")] if form is not None else []
        return cls.gateway.ask(request("POST", path, [*cls.sent_from(address), *kind, *fields], body))

    @classmethod
    def login(cls, name="admin", password=ADMIN_PASSWORD, path=LOGINS[0]):
        response = cls.try_login(name, password, path)
        assert response.status == 200, response
        return cls.remember(response.json())

    @classmethod
    def call(cls, method, path, token=None, body=None, fields=()):
        fields = [*fields, ("X-Forwarded-For", "198.51.100.77")]
        return cls.gateway.ask(request(method, path, fields, body, token), method)

    @classmethod
    def admin(cls):
        """An admin's token; signed in once for the class."""
        if "admin_token" not in cls.__dict__:
            cls.admin_token = cls.login()["token"]
        return cls.admin_token

    @classmethod
    def person(cls, name, role="user", password=None):
        """Makes a user and returns the password."""
        password = password or cls.password()
        response = cls.call("POST", "/api/v1/users", cls.admin(),
                            {"username": name, "password": password, "role": role})
        assert response.status == 201, response
        return password

    @classmethod
    def signed_in(cls, name, role="user"):
        return cls.login(name, cls.person(name, role))

    @classmethod
    def refresh(cls, token, path="/token/refresh", address=None):
        response = cls.gateway.ask(request("POST", path, cls.sent_from(address), {"refresh_token": token}))
        if response.status == 200:
            cls.remember(response.json())
        return response

    def assert_open(self, token):
        self.assertEqual(self.call("GET", "/api/v1/auth/me", token).status, 200)

    def assert_shut(self, token):
        self.assert_refused(self.call("GET", "/api/v1/auth/me", token), 401, "AUTHENTICATION_FAILED")

    def audited(self, response, event):
        """The line of the audit log about this answer; what has happened is written a little later."""
        def found():
            lines = (self.gateway.folder / "audit.log").read_bytes().split(b"\n")[:-1]
            return [line for line in map(json.loads, lines)
                    if line["event"] == event and line["request_id"] == response.get("x-request-id")]
        wait_until(found, f"a record of {event}")
        return found()[0]


def now_s():
    return int(time.time())


def ok_claims(sid="A" * 22, **changes):
    """Claims as ours are; a change to None leaves one out."""
    now = now_s()
    claims = {"sub": "admin", "username": "admin", "role": "admin", "sid": sid, "jti": "B" * 22,
              "typ": "access", "iat": now, "exp": now + 600, **changes}
    return {name: value for name, value in claims.items() if value is not None}
