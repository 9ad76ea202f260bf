"""The YAML file of keys (004): its form, what it opens, and that what is changed in it holds within a second."""

import base64
import json
import signal
import subprocess
import time

from tools.case import UPSTREAM_KEY, WireCase, rows
from tools.client import chat, request
from tools.gateway import BINARY, Gateway, environment
from tools.http2 import Http2Client
from tools.upstream import wait_until

MODELS = "/v1/models"
TEAM = "holo-Zx7Qm3xZ0vT5kLw9-pB2nR8sY"  # as 004's generator makes them
PARTNER = "holo-K4wUe6hJ1cV8dN0t_aG5fM3qS"
HASHES = {}


def hash_of(key):
    if key not in HASHES:
        done = subprocess.run([BINARY, "hash-password", "--bcrypt"], input=key, env=environment(),
                              capture_output=True, text=True, check=True, timeout=60)
        HASHES[key] = done.stdout.strip()
    return HASHES[key]


def entry(key_id, key, **members):
    """As the founding document prints it."""
    lines = [f'  - key_id: "{key_id}"', f'    hash: "{hash_of(key)}"']
    lines += [f"    {name}: {json.dumps(value)}" for name, value in members.items()]
    return "\n".join(lines) + "\n"


def team(**members):
    return entry("team-core", TEAM, owner="admin@example.com", scopes=["*"], created_at="2025-01-01T00:00:00Z", **members)


class KeysGateway(Gateway):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.file = self.folder / "ops" / "api_keys.yaml"
        self.file.parent.mkdir()
        self.file.write_text(self.content())
        self.secrets += [TEAM, PARTNER]

    @staticmethod
    def content():
        return "keys:\n" + team() + entry("partner-acme", PARTNER)

    def write(self, text, mark="api_keys.yaml was read anew: ", at_once=False):
        """In place, as people edit; returns when it was taken up. `at_once` does not wait for the gateway to look."""
        before = self.heard().count(mark)
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.file)
        if at_once:
            self.signal(signal.SIGHUP)
        wait_until(lambda: self.heard().count(mark) > before, "the file's new content")


class KeysCase(WireCase):
    gateway_class = KeysGateway
    sections = {"security": {"api_keys_file": "ops/api_keys.yaml"}}

    def tearDown(self):
        self.gateway.write(self.gateway.content())

    def status(self, key, path=MODELS):
        return self.get(path, key=key).status


class WhileAnErrandWaits(KeysCase):
    sections = {"security": {"api_keys_file": "ops/api_keys.yaml", "basic_enabled": True},
                "server": {"trusted_proxies": ["127.0.0.1"]}}

    @classmethod
    def set_up(cls):
        """With an account in the store a name that is none costs a hash too."""
        account = {"username": "somebody", "password": "a canary word 1"}
        answer = cls.gateway.ask(request("POST", "/api/v1/users", (), account, TEAM))
        assert answer.status == 201, answer

    def guess(self, number):
        word = base64.b64encode(f"alice:guess {number}".encode()).decode()
        return request("GET", MODELS, [("Authorization", f"Basic {word}"), ("X-Forwarded-For", f"198.51.100.{number + 1}")])

    @rows({"is taken out": "keys:\n" + entry("partner-acme", PARTNER),
           "may do less": "keys:\n" + entry("team-core", TEAM, scopes=["chat:read"])})
    def key_that(self, text):
        """The password of the new user is hashed when those that were there before are verified."""
        self.assertEqual(self.status(TEAM), 200)
        guesses = [self.client() for _ in range(30)]
        for number, client in enumerate(guesses):
            client.send(self.guess(number))
        self.assert_refused(guesses[0].read(), 401)  # the others wait for theirs by now
        with self.client() as client:
            client.send(request("POST", "/api/v1/users", (), {"username": "planted", "password": "a canary word 1"}, TEAM))
            self.gateway.write(text, at_once=True)
            self.assert_refused(client.read(), 401)
        for client in guesses:
            client.close()
        users = self.gateway.command("user", "list", "--json").stdout
        self.assertNotIn("planted", [user["username"] for user in json.loads(users)])


class KeysFile(KeysCase):
    @rows({"Authorization": ("Authorization", f"Bearer {PARTNER}"), "X-API-Key": ("X-API-Key", PARTNER),
           "api-key": ("api-key", PARTNER)})
    def a_key_is_taken_in(self, *field):
        for _ in range(2):  # verified, remembered
            response = self.post("/v1/chat/completions", chat(stream=True), [field])
            self.assertEqual(response.status, 200, response)
            sent = self.upstream.calls()[-1]
            self.assertEqual(sent.values("authorization"), [f"Bearer {UPSTREAM_KEY}".encode()])
            line = self.gateway.logged(response)
            self.assertEqual((line["user"], line["key"]), ("partner-acme", "partner-acme"))

    def test_scopes_are_rights(self):
        self.assertEqual(self.status(TEAM, "/metrics"), 200)  # "*"
        self.assertEqual(self.status(PARTNER), 200)           # none: chat:read
        self.assert_refused(self.get("/metrics", key=PARTNER), 403, "PERMISSION_DENIED")
        self.gateway.write("keys:\n" + entry("partner-acme", PARTNER, scopes=["read_metrics"]))
        self.assertEqual((self.status(PARTNER), self.status(PARTNER, "/metrics")), (403, 200))

    @rows({"another last character": TEAM[:-1] + "x", "one less": TEAM[:-1], "in capitals": TEAM.upper(),
           "73 bytes": "x" * 73, "our form": "sp_" + "A" * 12 + "_" + "B" * 43 + "C" * 6})
    def a_wrong_key(self, wrong):
        response = self.get(MODELS, key=wrong)
        self.assert_refused(response, 401, "AUTHENTICATION_FAILED")
        self.assertEqual([field for field, _ in response.fields], [field for field, _ in self.get(MODELS, key="sp_").fields])

    def test_an_end_is_kept(self):
        self.gateway.write("keys:\n" + team(expires_at="2025-06-01T00:00:00Z") + entry("partner-acme", PARTNER))
        self.assertEqual((self.status(TEAM), self.status(PARTNER)), (401, 200))
        self.gateway.write("keys:\n" + team(expires_at="2125-06-01T00:00:00Z"))
        self.assertEqual(self.status(TEAM), 200)

    def test_a_removed_entry_closes_its_key_within_a_second(self):
        self.assertEqual((self.status(TEAM), self.status(PARTNER)), (200, 200))
        self.gateway.file.write_text("keys:\n" + entry("partner-acme", PARTNER))
        start = time.monotonic()
        wait_until(lambda: self.status(TEAM) == 401, "the key's end")
        self.assertLess(time.monotonic() - start, 5)  # a second, on a machine that is not busy
        self.assertEqual(self.status(PARTNER), 200)

    def test_a_bad_entry_is_named_and_drops_nothing_else(self):
        self.gateway.write("keys:\n  - key_id: bad\n    hash: plain-text-9Qx\n" + team() + "  - nothing\n"
                           + entry("partner-acme", PARTNER, expire_at="2025-01-01"))
        self.gateway.secrets.append("plain-text-9Qx")
        heard = self.gateway.heard()
        self.assertIn("api_keys.yaml:3: warning: hash must be", heard)
        self.assertIn("the entry is left out", heard)
        self.assertEqual((self.status(TEAM), self.status(PARTNER)), (200, 401))
        self.assertIn("api_keys.yaml:3: ", self.gateway.command("check").stderr)

    def test_what_is_no_such_file_changes_nothing(self):
        self.assertEqual(self.status(TEAM), 200)
        self.gateway.write("keys: [\n", "what it said before stays in use")
        self.assertIn("api_keys.yaml:1: not YAML", self.gateway.heard())
        self.assertEqual(self.status(TEAM), 200)
        before = self.gateway.heard().count("what it said before stays in use")
        self.gateway.file.unlink()
        wait_until(lambda: self.gateway.heard().count("what it said before stays in use") > before, "a complaint")
        self.assertEqual((self.status(TEAM), self.status(PARTNER)), (200, 200))

    def test_a_key_with_a_public_id_is_found_by_it(self):
        key = self.gateway.key("as text")["key"]  # of our form; the file has its hash, too
        self.gateway.command("key", "revoke", key[3:15])
        self.assertEqual(self.status(key), 401)
        self.gateway.write("keys:\n" + entry("made", key, public_id=key[3:15]) + team())
        response = self.get(MODELS, key=key)
        self.assertEqual(response.status, 200)
        self.assertEqual(self.gateway.logged(response)["user"], "made")

    def test_keys_of_the_store_are_revoked_as_ever(self):
        key = self.gateway.key("short")
        response = self.get(f"/api/v1/auth/api-keys/{key['id']}", key=TEAM, method="DELETE")
        self.assertEqual(response.status, 204)
        self.assertEqual(self.status(key["key"]), 401)
        self.assertEqual(self.status(TEAM), 200)

    def test_keys_of_the_store_are_taken_beside_them(self):
        self.assertEqual(self.status(self.key), 200)


class Listing(KeysCase):
    @classmethod
    def set_up(cls):
        cls.manager = cls.gateway.key("manager", "manage_users")["key"]

    def test_they_are_listed_behind_those_of_the_store(self):
        keys = self.get("/api/v1/auth/api-keys", key=self.manager).json()["data"]
        self.assertEqual([key["name"] for key in keys], ["caller", "manager", "team-core", "partner-acme"])
        self.assertEqual([key.get("source") for key in keys[2:]], ["file", "file"])
        self.assertNotIn("hash", keys[2])
        listed = json.loads(self.gateway.command("key", "list", "--json").stdout)
        self.assertEqual([key["name"] for key in listed], [key["name"] for key in keys])
        self.assertIn("file", self.gateway.command("key", "list").stdout)

    def test_one_is_shown(self):
        key = self.get("/api/v1/auth/api-keys/team-core", key=self.manager).json()
        self.assertEqual((key["owner"], key["source"], key["status"]), ("admin@example.com", "file", "live"))
        self.assertEqual(key["created_at"], "2025-01-01T00:00:00Z")
        shown = json.loads(self.gateway.command("key", "show", "team-core", "--json").stdout)
        self.assertEqual(shown["id"], "team-core")
        self.assert_refused(self.get("/api/v1/auth/api-keys/team-cor", key=self.manager), 404)

    @rows({"revoked": ("DELETE", "", None, ("revoke",), "take it out there"),
           "changed": ("PATCH", "", {"disabled": True}, ("update", "--disable"), "change it there"),
           "rotated": ("POST", "/rotate", {}, ("rotate",), "put the hash of a new key there")})
    def it_is_not_changed_here(self, method, more, body, words, instead):
        path = "/api/v1/auth/api-keys/team-core" + more
        response = self.ask(request(method, path, body=body, key=self.manager), method)
        self.assert_refused(response, 409, "CONFLICT")
        self.assertIn("api_keys.yaml, line 2: " + instead, response.json()["detail"])
        done = self.gateway.command("key", words[0], "team-core", *words[1:], check=False)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn(f"api_keys.yaml, line 2: {instead}", done.stderr)
        self.assertEqual(self.status(TEAM), 200)
        # Who may not manage keys is not told where it stands.
        self.assert_refused(self.ask(request(method, path, body=body, key=PARTNER), method), 403)

    def test_many_come_in_pages(self):
        many = "".join(f'  - {{key_id: k{number}, hash: "{hash_of(TEAM)}", public_id: {number:012}}}\n' for number in range(300))
        self.gateway.write("keys:\n" + many)
        listed = json.loads(self.gateway.command("key", "list", "--json").stdout)
        names = [key["name"] for key in listed if key.get("source") == "file"]
        self.assertEqual(names, [f"k{number}" for number in range(300)])

    def test_strangers_see_none(self):
        self.assert_refused(self.get("/api/v1/auth/api-keys/team-core", key=PARTNER), 403)


class OverHttp2(KeysCase):
    plain = True
    sections = {"security": {"api_keys_file": "ops/api_keys.yaml"}, "server": {"http2_plain": True}}

    def test_many_streams_with_one_key_are_one_try(self):
        with Http2Client(self.gateway.port, self.gateway.answers) as client:
            streams = [client.start("POST", "/v1/chat/completions", [], chat(), key=PARTNER) for _ in range(20)]
            self.assertEqual([client.finish(stream).status for stream in streams], [200] * 20)


class Guessing(KeysCase):
    plain = True
    sections = {"security": {"api_keys_file": "ops/api_keys.yaml"}, "server": {"trusted_proxies": ["127.0.0.1"]}}

    def test_unknown_keys_hold_nobody_up_who_is_known(self):
        self.gateway.write("keys:\n" + team())  # each costs one check, and that is slow enough
        self.assertEqual(self.status(TEAM), 200)
        clients = []
        for number in range(60):
            client = self.client()
            client.sock.settimeout(60)
            client.send(request("GET", MODELS, [("X-Forwarded-For", f"198.51.100.{number + 1}")], key=f"guess-{number}"))
            clients.append(client)
        for _ in range(5):
            self.assertEqual(self.status(TEAM), 200)
            self.assertEqual(self.chat().status, 200)
        statuses = set()
        for client in clients:
            with client:
                statuses.add(client.read().status)
        self.assertEqual(statuses, {401, 503})

    def test_one_wrong_key_is_not_verified_again_and_again(self):
        far = ("X-Forwarded-For", "203.0.113.9")
        self.tries_until_refused(lambda: self.ask(request("GET", MODELS, [far], key="wrong")), 5)
        for key in (self.key, TEAM, PARTNER):  # others from there do not pay for it
            self.assertEqual(self.ask(request("GET", MODELS, [far], key=key)).status, 200)


class ByDefault(KeysCase):
    """ops/api_keys.yaml beside the configuration needs no option."""
    sections = {}

    def test_the_file_is_found(self):
        self.assertEqual(self.status(TEAM), 200)
