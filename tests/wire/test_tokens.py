"""Tokens that were not made by the gateway, or not for this: none of them opens anything or reaches an upstream,
also when the attacker knows the secret and signs whatever they like."""

import json

from tools.case import rows
from tools.client import chat, request
from tools.signing import SigningCase, claims_of, decode, encode, forge, now_s, ok_claims, sign

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
RSA_PEM = """-----BEGIN PUBLIC KEY-----
MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf
9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==
-----END PUBLIC KEY-----
"""

# What stands in a header, signed with the gateway's own secret: any but ours opens nothing.
HEADERS = {
    **{f"alg {alg!r}": {"alg": alg, "typ": "JWT"} for alg in
       ("none", "None", "NONE", "nOnE", "", None, ["HS256"], {"x": 1}, 256, True, "HS384", "HS512", "RS256", "ES256",
        "EdDSA", "PS256", "hs256", "HS256 ", "HS256\u0000", "A128KW", "dir")},
    "no alg": {"typ": "JWT"}, "nothing": {}, "a list": ["HS256"], "a string": "HS256", "null": None,
    "another typ": {"alg": "HS256", "typ": "at+jwt"}, "JWE": {"alg": "dir", "enc": "A256GCM"},
    "zip": {"alg": "HS256", "typ": "JWT", "zip": "DEF"}, "p2c": {"alg": "PBES2-HS256+A128KW", "p2c": 10 ** 9},
    "cty": {"alg": "HS256", "typ": "JWT", "cty": "JWT"},
    **{f"crit {crit!r}": {"alg": "HS256", "typ": "JWT", "crit": crit} for crit in
       (["exp"], ["b64"], [], ["unheard-of"], "exp", None)},
    "b64 false": {"alg": "HS256", "typ": "JWT", "b64": False, "crit": ["b64"]},
    **{f"kid {str(kid)[:24]!r}": {"alg": "HS256", "typ": "JWT", "kid": kid} for kid in
       ("../../dev/null", "' OR 1=1--", "x" * 65536, "\u0000", 1, ["a"], "| id", "", None)},
    "a duplicate alg": b'{"alg":"HS256","alg":"none","typ":"JWT"}',
    "alg twice the same": b'{"alg":"HS256","alg":"HS256","typ":"JWT"}',
    "an escape": b'{"al\\u0067":"HS256","typ":"JWT"}', "a space": b'{"alg": "HS256","typ":"JWT"}',
    "a BOM": b'\xef\xbb\xbf{"alg":"HS256","typ":"JWT"}', "trailing bytes": b'{"alg":"HS256","typ":"JWT"} x',
    "a newline": b'{"alg":"HS256","typ":"JWT"}\n', "not JSON": b"HS256", "empty": b"",
    "8 KiB": {"alg": "HS256", "typ": "JWT", "x": "y" * 8192},
}


def with_upstream(case, header):
    """Header members that name a key, which would be fetched from the recording upstream."""
    return {name: case.upstream.url + "/jwks.json" if value == "URL" else value for name, value in header.items()}


KEYS_IN_HEADERS = {
    "jwk": {"alg": "HS256", "typ": "JWT", "jwk": {"kty": "oct", "k": encode(b"attacker" * 4)}},
    "jku": {"alg": "RS256", "typ": "JWT", "jku": "URL", "kid": "a"},
    "jku and our alg": {"alg": "HS256", "typ": "JWT", "jku": "URL"},
    "x5u": {"alg": "RS256", "typ": "JWT", "x5u": "URL"},
    "x5c": {"alg": "RS256", "typ": "JWT", "x5c": [encode(b"certificate")]},
    "x5t": {"alg": "HS256", "typ": "JWT", "x5t": encode(b"digest")},
}

FOREIGN_SECRETS = {
    "an RSA key": RSA_PEM, "an RSA key without its end": RSA_PEM.strip(), "empty": "", "NULs": b"\0" * 32,
    "secret": "secret", "the word of the documents": "your-secure-random-secret-at-least-32-chars",
    "a JWK": json.dumps({"kty": "RSA", "n": "x", "e": "AQAB"}), "the attacker's": "attacker" * 4,
}

# Claims that are changed, as a function of now; signed with the right secret.
CLAIMS = {
    **{f"no {name}": lambda now, name=name: {name: None} for name in
       ("sub", "username", "role", "sid", "jti", "typ", "iat", "exp")},
    "expired": lambda now: {"iat": now - 100, "exp": now - 1},
    "expires now": lambda now: {"iat": now - 100, "exp": now},
    "ten years": lambda now: {"exp": now + 10 * 365 * 86400},
    "before it began": lambda now: {"iat": now + 30, "exp": now + 10},
    "issued later": lambda now: {"iat": now + 300, "exp": now + 600},
    "exp in words": lambda now: {"exp": str(now + 600)},
    "exp negative": lambda now: {"exp": -1},
    "exp fraction": lambda now: {"exp": now + 600.5},
    "exp true": lambda now: {"exp": True},
    "exp list": lambda now: {"exp": [now + 600]},
    "exp zero": lambda now: {"exp": 0},
    "exp huge": lambda now: {"exp": 2 ** 64 + now},
    "iat negative": lambda now: {"iat": -1},
    "iat in words": lambda now: {"iat": str(now)},
    "nbf": lambda now: {"nbf": now + 3600},
    "nbf in the past": lambda now: {"nbf": now - 3600},
    "aud": lambda now: {"aud": "other"}, "aud list": lambda now: {"aud": ["sallyport", "other"]},
    "iss": lambda now: {"iss": "https://iss.evil"},
    "scope": lambda now: {"scope": "*"}, "scope list": lambda now: {"scope": ["*"]},
    "permissions": lambda now: {"permissions": ["manage_users"]},
    "a refresh token's kind": lambda now: {"typ": "refresh"}, "an ID token": lambda now: {"typ": "ID"},
    "another case of the kind": lambda now: {"typ": "Access"}, "kind null": lambda now: {"typ": 0},
    "role and a space": lambda now: {"role": "admin "}, "role list": lambda now: {"role": ["admin"]},
    "role and CR": lambda now: {"role": "admin\r"}, "role empty": lambda now: {"role": ""},
    "sid short": lambda now: {"sid": "A"}, "sid long": lambda now: {"sid": "A" * 200},
    "sid number": lambda now: {"sid": 1}, "sid unknown": lambda now: {"sid": "A" * 22},
    "sid SQL": lambda now: {"sid": "' OR 1=1--" + "A" * 12}, "sid path": lambda now: {"sid": "../" * 7 + "A"},
    "sub object": lambda now: {"sub": {"x": 1}}, "sub empty": lambda now: {"sub": ""},
    "sub of somebody else": lambda now: {"sub": "ann"}, "username of somebody else": lambda now: {"username": "ann"},
    "sub NUL": lambda now: {"sub": "admin\u0000"}, "sub CR LF": lambda now: {"sub": "admin\r\nX: y"},
    "sub long": lambda now: {"sub": "a" * 4000}, "jti object": lambda now: {"jti": {}},
}

# The payload's own bytes; GOOD is what is good, without its braces.
PAYLOADS = {
    "exp twice": b'{GOOD,"exp":9999999999}', "sub twice": b'{"sub":"ann",GOOD}',
    "sub twice, escaped": b'{"s\\u0075b":"ann",GOOD}', "exp 1e309": b'{GOOD2,"exp":1e309}',
    "exp 1e10": b'{GOOD2,"exp":1e10}', "exp NaN": b'{GOOD2,"exp":NaN}', "exp +1": b'{GOOD2,"exp":+9999999999}',
    "exp 09": b'{GOOD2,"exp":09999999999}', "exp null": b'{GOOD2,"exp":null}',
    "a BOM": b"\xef\xbb\xbf{GOOD}", "trailing": b"{GOOD}x", "two": b"{GOOD}{GOOD}", "invalid UTF-8": b'{GOOD,"\xff":1}',
    "deep": b'{GOOD,"x":' + b"[" * 1500 + b"]" * 1500 + b"}", "a list": b"[{GOOD}]", "empty": b"", "nothing": b"{}",
    "a comment": b"{GOOD/**/}", "a comma": b"{GOOD,}", "quotes": b"{'sub':'admin'}",
    "cut": b"{GOOD", "a member more": b'{GOOD,"x":1}', "__proto__": b'{GOOD,"__proto__":{"role":"admin"}}',
}


class Tokens(SigningCase):
    @classmethod
    def set_up(cls):
        cls.person("ann")
        cls.token = cls.admin()
        cls.claims = claims_of(cls.token)
        cls.secret = cls.gateway.sections["security"]["jwt_secret"]

    def setUp(self):
        # Whatever is refused: the good one is as good as before, and after.
        self.assertEqual(self.chat(key=self.token).status, 200)
        self.before = self.calls()

    def tearDown(self):
        self.assertEqual(self.calls(), self.before)
        self.assertEqual(self.chat(key=self.token).status, 200)

    def assert_worthless(self, token, statuses=(401,)):
        for name, value in (("Authorization", f"Bearer {token}"), ("X-API-Key", token)):
            for piece in (request("POST", "/v1/chat/completions", [(name, value)], chat()),
                          request("GET", "/api/v1/users", [(name, value)])):
                response = self.ask(piece)
                self.assertIn(response.status, statuses, response)
                if response.status == 401:
                    self.assert_refused(response, 401, "AUTHENTICATION_FAILED")
                    self.assertTrue(response.get("www-authenticate").startswith("Bearer"))

    def test_one_that_is_signed_right_opens_what_it_should(self):
        # So that the vectors below fail for what they are, and not for how they are made.
        self.before += 1
        self.assertEqual(self.chat(key=forge(self.secret, self.claims)).status, 200)
        for header in ({"typ": "JWT", "alg": "HS256"}, {"alg": "HS256"}):  # as other libraries write it
            self.assert_open(forge(self.secret, self.claims, header))
        now = now_s()
        self.assert_open(forge(self.secret, {**self.claims, "iat": now + 30, "exp": now + 900}))  # another clock

    @rows(HEADERS)
    def header(self, header):
        statuses = (401, 431) if len(header if isinstance(header, bytes) else json.dumps(header)) > 4000 else (401,)
        text = encode(header) + "." + encode(self.claims)
        self.assert_worthless(text + "." + sign(self.secret, text), statuses)
        if statuses == (401,):
            for third in ("", encode(b"x"), sign("", text), sign(self.secret, text, "sha512")):
                self.assert_worthless(text + "." + third)
            self.assert_worthless(text)

    @rows(KEYS_IN_HEADERS)
    def key_in_the_header(self, header):
        connections = len(self.upstream.connections)
        header = with_upstream(self, header)
        self.assert_worthless(forge(b"attacker" * 4, self.claims, header))
        self.assert_worthless(forge(self.secret, self.claims, header))
        self.assertEqual(len(self.upstream.connections), connections, "something was fetched")

    @rows(FOREIGN_SECRETS)
    def signed_with(self, secret):
        self.assert_worthless(forge(secret, self.claims))
        self.assert_worthless(forge(secret, self.claims, {"alg": "HS256"}))

    def test_another_hash_under_the_secret(self):
        for algorithm in ("sha1", "sha384", "sha512", "md5"):
            self.assert_worthless(forge(self.secret, self.claims, algorithm=algorithm))

    @rows(CLAIMS)
    def claims_are(self, change):
        changes = change(now_s())
        self.assert_worthless(forge(self.secret, {name: value for name, value in {**self.claims, **changes}.items()
                                                  if value is not None}))

    @rows(PAYLOADS)
    def payload(self, text):
        good = json.dumps(self.claims, separators=(",", ":")).encode()[1:-1]
        without = json.dumps({name: value for name, value in self.claims.items() if name != "exp"},
                             separators=(",", ":")).encode()[1:-1]
        text = text.replace(b"GOOD2", without).replace(b"GOOD", good)
        text = encode(b'{"alg":"HS256","typ":"JWT"}') + "." + encode(text)
        self.assert_worthless(text + "." + sign(self.secret, text))

    def test_a_payload_in_UTF_16(self):
        text = encode({"alg": "HS256", "typ": "JWT"}) + "." + encode(json.dumps(self.claims).encode("utf-16"))
        self.assert_worthless(text + "." + sign(self.secret, text))

    def test_each_token_has_one_spelling(self):
        header, payload, signature = self.token.split(".")
        last = ALPHABET.index(signature[-1])  # 43 characters hold 258 bits: two are spare, and are 0
        for bits in (1, 2, 3):
            self.assert_worthless(f"{header}.{payload}.{signature[:-1]}{ALPHABET[last ^ bits]}")
        for text in (f"{self.token}=", f"{header}=.{payload}.{signature}", f"{header}.{payload}==.{signature}",
                     f"{header}.{payload}.{signature}.", f".{self.token}", f"{header}..{signature}", f".{payload}.{signature}",
                     f"{header}.{payload}.", f"{header}.{payload}", f"{self.token}.{self.token}", "...", "..", "e30.e30.e30",
                     self.token.replace("-", "+").replace("_", "/") + "+", self.token + "%0a", self.token[:-1],
                     self.token + "A", f"{header}.{payload}.{signature[:-4]}", self.token.swapcase()):
            self.assert_worthless(text)
        for i in range(0, len(self.token), 7):  # one character, anywhere
            other = "A" if self.token[i] != "A" else "B"
            self.assert_shut(self.token[:i] + other + self.token[i + 1:])

    def test_whitespace_around_and_within(self):
        for value in (f"Bearer {self.token[:9]} {self.token[9:]}", f"Bearer {self.token}\t", f"Bearer {self.token},",
                      f"Bearer {self.token}, Bearer {self.token}", f"Bearer\t{self.token}", f"Bearer={self.token}",
                      f"Bearer \"{self.token}\"", f"JWT {self.token}", f"Token {self.token}", self.token,
                      f"Bearer Bearer {self.token}", f"Basic {self.token}"):
            response = self.call("GET", "/api/v1/auth/me", fields=[("Authorization", value)])
            if value.endswith("\t"):  # around a field's value it means nothing (RFC 9110, 5.5)
                self.assertIn(response.status, (200, 401))
            else:
                self.assertIn(response.status, (400, 401), value)
        for value in (f"bearer {self.token}", f"BEARER {self.token}"):
            self.assertEqual(self.call("GET", "/api/v1/auth/me", fields=[("Authorization", value)]).status, 200)

    def test_two_fields_are_refused(self):
        fields = [("Authorization", f"Bearer {self.token}")] * 2
        self.assert_refused(self.call("GET", "/api/v1/auth/me", fields=fields), 400, "VALIDATION_ERROR")

    @rows({"8 KiB": 8192, "64 KiB": 65536, "1 MiB": 1 << 20})
    def size(self, size):
        text = encode({"alg": "HS256", "typ": "JWT"}) + "." + encode({**self.claims, "x": "y" * size})
        token = text + "." + sign(self.secret, text)
        with self.client() as client:
            client.send(request("GET", "/v1/models", key=token))
            self.assertIn(client.read().status, (401, 431))

    def test_JSON_serialisations_are_none(self):
        header, payload, signature = self.token.split(".")
        for text in ({"protected": header, "payload": payload, "signature": signature},
                     {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}):
            self.assert_worthless(json.dumps(text, separators=(",", ":")))

    def test_a_JWE_is_none(self):
        parts = [encode({"alg": "dir", "enc": "A256GCM"}), "", encode(b"i" * 12), encode(b"c" * 40), encode(b"t" * 16)]
        self.assert_worthless(".".join(parts))

    def test_a_role_that_was_written_in_gives_no_right(self):
        answer = self.login("ben", self.person("ben", "guest"))
        claims = claims_of(answer["token"])
        for role in ("admin", "user", "unheard_of"):
            token = forge(self.secret, {**claims, "role": role})
            self.assertEqual(self.call("GET", "/api/v1/users", token).status, 403)
            self.assertEqual(self.call("GET", "/metrics", token).status, 403)
        self.assertEqual(json.loads(decode(answer["token"].split(".")[1]))["role"], "guest")

    def test_a_token_for_a_session_of_somebody_else_opens_nothing(self):
        sid = claims_of(self.login("ann2", self.person("ann2"))["token"])["sid"]
        self.assert_worthless(forge(self.secret, ok_claims(sid)))
        self.assert_worthless(forge(self.secret, {**self.claims, "sid": sid}))
