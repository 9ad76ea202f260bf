"""`sallyport key import`: keys of a YAML file (004) become keys of the store, and go on opening what they opened."""

import json
import re
import sqlite3

from test_keys_file import PARTNER, TEAM, KeysGateway, entry, hash_of, team
from tools.case import WireCase, rows
from tools.client import chat, request
from tools.gateway import Gateway

KEYS = "/api/v1/auth/api-keys"
MODELS = "/v1/models"


class ImportCase(WireCase):
    """Each test has a gateway of its own: what was imported is not again."""

    @classmethod
    def upstreams_seen(cls):
        return None

    def begin(self, start=True, kind=Gateway, **sections):
        gateway = kind(self.upstream_list(), {"log": {"audit": "audit.log"}, **sections})
        self.addCleanup(gateway.discard)
        gateway.secrets += [TEAM, PARTNER]
        if start:
            gateway.start()
            self.addCleanup(lambda: self.assertEqual(gateway.finish(), 0))
        return gateway

    def write(self, gateway, text, name="keys.yaml"):
        path = gateway.folder / name
        path.write_text(text)
        return path

    def run_import(self, gateway, text, check=True):
        return gateway.command("key", "import", self.write(gateway, text), check=check)

    def taken(self, gateway, text):
        """name -> id, and the names of what was passed over."""
        path = self.write(gateway, text)
        imported = json.loads(gateway.command("key", "import", path, "--json").stdout)
        return {key["name"]: key["id"] for key in imported["keys"]}, [key["name"] for key in imported["skipped"]]

    def status(self, gateway, key, path=MODELS):
        return gateway.ask(request("GET", path, key=key)).status

    def keys(self, gateway):
        return json.loads(gateway.command("key", "list", "--json").stdout)


class Import(ImportCase):
    def test_keys_open_when_the_command_has_returned_and_after_a_restart(self):
        gateway = self.begin()
        before = [self.status(gateway, key) for key in (TEAM, PARTNER)]
        self.assertEqual(before, [401, 401])
        ids, skipped = self.taken(gateway, "keys:\n" + team() + entry("partner-acme", PARTNER))
        self.assertEqual((list(ids), skipped), (["team-core", "partner-acme"], []))
        for _ in range(2):
            for _ in range(2):  # verified, remembered
                self.assertEqual([self.status(gateway, key) for key in (TEAM, PARTNER)], [200, 200])
            self.assertEqual((self.status(gateway, TEAM, "/metrics"), self.status(gateway, PARTNER, "/metrics")), (200, 403))
            response = gateway.ask(request("POST", "/v1/chat/completions", [("X-API-Key", PARTNER)], chat(stream=True)))
            self.assertEqual(response.status, 200)
            line = gateway.logged(response)
            self.assertEqual((line["user"], line["key"]), ("partner-acme", ids["partner-acme"]))
            shown = json.loads(gateway.command("key", "show", ids["team-core"], "--json").stdout)
            self.assertEqual((shown["owner"], shown["source"], shown["status"]), ("admin@example.com", "imported", "live"))
            self.assertEqual(shown["created_at"], "2025-01-01T00:00:00Z")
            self.assertIsNotNone(shown["last_used_at"])
            self.assertEqual(gateway.finish(), 0)
            gateway.ports.clear()
            gateway.start()

    def test_without_a_gateway_too(self):
        gateway = self.begin(start=False)
        done = self.run_import(gateway, "keys:\n" + team())
        self.assertRegex(done.stdout, r"\AImported team-core as [A-Za-z0-9]{12}\.\n\Z")
        again = self.run_import(gateway, "keys:\n" + team())
        self.assertEqual(again.stdout, "Passed over team-core: it is in the store, or was revoked there.\n"
                                       "No key was imported.\n")
        gateway.start()
        self.assertEqual(self.status(gateway, TEAM), 200)
        self.assertEqual(gateway.finish(), 0)

    def test_each_wrong_entry_is_named_and_nothing_is_imported(self):
        gateway = self.begin()
        gateway.secrets.append("plain-text-9Qx")
        text = ("keys:\n" + team() + "  - key_id: bad\n    hash: plain-text-9Qx\n  - nothing\n"
                + entry("long", PARTNER, owner="x" * 65) + entry("typo", PARTNER, expire_at="2025-01-01"))
        done = self.run_import(gateway, text, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("sallyport key: nothing was imported:\n", done.stderr)
        named = re.findall(r"keys\.yaml:(\d+): ", done.stderr)
        lines = text.split("\n")
        wanted = [next(number for number, line in enumerate(lines, 1) if part in line)
                  for part in ("hash: plain", "- nothing", "expire_at", "key_id: \"long\"")]
        self.assertEqual(named, [str(number) for number in wanted], done.stderr)
        self.assertNotIn("left out", done.stderr)
        self.assertEqual([key["name"] for key in self.keys(gateway)], [])
        self.assertEqual(self.status(gateway, TEAM), 401)
        self.assertNotIn("key_create", (gateway.folder / "audit.log").read_text())

    @rows({"no YAML": ("keys: [\n", "keys.yaml:1: not YAML"), "another shape": ("- a\n", "must be one member"),
           "not UTF-8": (b"keys:\n  - \xff\n", "no text in UTF-8"), "a NUL": (b"keys:\0\n", "no text in UTF-8"),
           "too large": ("#" * (1024 * 1024 + 1), "keys.yaml")})
    def what_is_no_such_file(self, text, sentence):
        gateway = self.begin(start=False)
        path = gateway.folder / "keys.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        done = gateway.command("key", "import", path, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(sentence, done.stderr)

    def test_wrong_use(self):
        gateway = self.begin(start=False)
        self.assertEqual(gateway.command("key", "import", check=False).returncode, 2)
        self.assertIn("FILE is missing", gateway.command("key", "import", check=False).stderr)
        done = gateway.command("key", "import", gateway.folder / "none.yaml", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("none.yaml: it does not exist", done.stderr)
        self.assertIn("all of the file or nothing", gateway.command("key", "import", "--help").stdout)

    def test_what_is_there_or_over_is_passed_over(self):
        gateway = self.begin()
        ids, _ = self.taken(gateway, "keys:\n" + team())
        gateway.command("key", "revoke", ids["team-core"])
        self.assertEqual(self.status(gateway, TEAM), 401)
        both = "keys:\n" + team() + entry("old", TEAM + "x", expires_at="2025-01-01") + entry("partner-acme", PARTNER)
        ids, skipped = self.taken(gateway, both)
        self.assertEqual((list(ids), skipped), (["partner-acme"], ["team-core", "old"]))
        self.assertEqual((self.status(gateway, TEAM), self.status(gateway, PARTNER)), (401, 200))

    def test_it_is_a_key_like_any_other(self):
        gateway = self.begin()
        manager = gateway.key("manager", "manage_users,run_inference,read_models,use_streaming")["key"]
        ids, _ = self.taken(gateway, "keys:\n" + entry("partner-acme", PARTNER))
        path = f"{KEYS}/{ids['partner-acme']}"

        def change(**members):
            response = gateway.ask(request("PATCH", path, body=members, key=manager), "PATCH")
            self.assertEqual(response.status, 200, response)

        self.assertEqual(self.status(gateway, PARTNER), 200)
        change(endpoints=["/v1/chat/*"], rate="5/hour")
        self.assertEqual(self.status(gateway, PARTNER), 403)
        response = gateway.ask(request("POST", "/v1/chat/completions", body=chat(), key=PARTNER))
        self.assertEqual((response.status, response.get("x-ratelimit-limit")), (200, "5"))
        change(endpoints=None, ip_ranges=["192.0.2.0/24"])
        self.assertEqual(self.status(gateway, PARTNER), 403)
        change(ip_ranges=None, disabled=True)
        self.assertEqual(self.status(gateway, PARTNER), 401)
        change(disabled=False, rate=None)
        self.assertEqual(self.status(gateway, PARTNER), 200)
        response = gateway.ask(request("POST", path + "/rotate", body={}, key=manager), "POST")
        self.assertEqual(response.status, 201, response)
        gateway.secrets.append(response.json()["key"])
        self.assertEqual((self.status(gateway, PARTNER), self.status(gateway, response.json()["key"])), (401, 200))

    def test_one_with_a_public_id_keeps_it(self):
        gateway = self.begin()
        made = json.loads(gateway.command("key", "create", "--name", "made", "--yaml", "--json").stdout)
        gateway.secrets.append(made["key"])
        ids, _ = self.taken(gateway, "keys:\n" + made["yaml"])
        self.assertEqual(ids, {"made": made["id"]})
        self.assertEqual(self.status(gateway, made["key"]), 200)
        self.assertEqual(gateway.ask(request("GET", MODELS, key=made["key"][:-1] + ("x" if made["key"][-1] != "x" else "y"))).status, 401)
        gateway.command("key", "revoke", made["id"])
        self.assertEqual(self.status(gateway, made["key"]), 401)

    def test_it_is_recorded_before_it_is_done(self):
        gateway = self.begin()
        ids, _ = self.taken(gateway, "keys:\n" + team() + entry("partner-acme", PARTNER))
        records = [json.loads(line) for line in (gateway.folder / "audit.log").read_text().splitlines()]
        made = {record["path"].rpartition("/")[2]: record for record in records if record["event"] == "key_create"}
        self.assertEqual(list(made), list(ids.values()))
        self.assertEqual({record["actor"] for record in made.values()}, {"local"})
        self.assertIn('imported "partner-acme" permissions ["read_models","run_inference","use_streaming"]',
                      [record["reason"] for record in made.values()])

    def test_a_whole_file_fits(self):
        gateway = self.begin()
        text = "keys:\n" + "".join(
            f'  - {{key_id: "a key with a long name, number {number}", hash: "{hash_of(TEAM)}", owner: somebody@example.com,'
            f' scopes: ["chat:read", read_metrics], created_at: "2025-01-01T00:00:00Z", public_id: {number:012}}}\n'
            for number in range(300))
        ids, skipped = self.taken(gateway, text)
        self.assertEqual((len(ids), skipped), (300, []))
        with sqlite3.connect(gateway.folder / "store.db") as database:
            self.assertEqual(database.execute("SELECT count(*) FROM api_keys WHERE bcrypt <> ''").fetchone(), (300,))

    def test_more_than_can_be_tried_are_refused(self):
        gateway = self.begin()
        salts = "abcdefghijklmnop"
        hashes = [hash_of(TEAM)[:40] + salt + hash_of(TEAM)[41:] for salt in salts]
        self.taken(gateway, "keys:\n" + "".join(f'  - {{key_id: k{n}, hash: "{h}"}}\n' for n, h in enumerate(hashes)))
        done = self.run_import(gateway, "keys:\n" + entry("partner-acme", PARTNER), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("without public_id the store takes 16", done.stderr)
        self.assertEqual(len(self.keys(gateway)), 16)


class Served(ImportCase):
    """The file that is imported is the one that the gateway reads."""

    def test_it_is_said_that_the_file_opens_too(self):
        gateway = self.begin(kind=KeysGateway, security={"api_keys_file": "ops/api_keys.yaml"})
        done = gateway.command("key", "import", gateway.file)
        self.assertIn("These keys also stand in ", done.stdout)
        ids = {key["name"]: key["id"] for key in self.keys(gateway) if key.get("source") == "imported"}
        done = gateway.command("key", "revoke", ids["partner-acme"], check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"was revoked, but the same key stands in .*api_keys\.yaml, line \d+, too")
        self.assertEqual(self.status(gateway, PARTNER), 200)
        gateway.write("keys: []\n")
        self.assertEqual((self.status(gateway, PARTNER), self.status(gateway, TEAM)), (401, 200))
        gateway.command("key", "revoke", ids["team-core"])
        self.assertEqual(self.status(gateway, TEAM), 401)
