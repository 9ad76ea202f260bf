"""Keys from end to end: what they are held to, changes, rotation, whose they are; by API and by command, with and
without a running gateway."""

import json
import os
import pty
import re
import subprocess
import threading
import time

from tools.case import WireCase, rows
from tools.client import chat, chat_request, request
from tools.gateway import Gateway, environment
from tools.load import KeyLoad
from tools.upstream import wait_until

PASSWORD = "correct horse battery"
KEYS = "/api/v1/auth/api-keys"


class Case(WireCase):
    sections = {"log": {"access": "access.log", "app": "app.log", "audit": "audit.log"},
                "server": {"trusted_proxies": ["127.0.0.1"]}}
    addresses = 0

    @classmethod
    def set_up(cls):
        cls.admin = cls.gateway.key("admin", ",".join(
            ["read_models", "write_models", "delete_models", "run_inference", "manage_cache", "read_metrics",
             "write_config", "manage_users", "view_audit_logs", "use_streaming", "manage_queue"]))["key"]

    def native(self, method, path, body=None, key=None):
        return self.ask(request(method, path, body=body, key=key or self.admin), method)

    def make(self, key=None, **members):
        members.setdefault("name", "made")
        response = self.native("POST", KEYS, members, key)
        self.assertEqual(response.status, 201, response)
        document = response.json()
        self.gateway.secrets.append(document["key"])
        return document

    def patch(self, made, members, key=None):
        return self.native("PATCH", f"{KEYS}/{made['id']}", members, key)

    def user(self, name, role="user"):
        body = {"username": name, "password": PASSWORD, "role": role}
        self.assertEqual(self.native("POST", "/api/v1/users", body).status, 201)

    def sign_in(self, name):
        body = {"username": name, "password": PASSWORD}
        # From an address of its own each time: one address may try five times a minute.
        Case.addresses += 1
        fields = [("X-Forwarded-For", f"10.1.{Case.addresses // 250}.{Case.addresses % 250 + 1}")]
        response = self.ask(request("POST", "/api/v1/auth/login", fields, body), "POST")
        self.assertEqual(response.status, 200, response)
        return response.json()["access_token"]

    def opens(self, made):
        return self.chat(key=made["key"]).status == 200

    def audit(self, event, made):
        lines = (self.gateway.folder / "audit.log").read_text().splitlines()
        return [record for record in map(json.loads, lines)
                if record["event"] == event and record["path"].endswith("/" + made["id"])]


class Limits(Case):
    WRONG = {
        "endpoints no list": {"endpoints": "/v1/*"}, "endpoint without slash": {"endpoints": ["v1"]},
        "star inside": {"endpoints": ["/a*b"]}, "no endpoint": {"endpoints": []},
        "many endpoints": {"endpoints": ["/x"] * 33}, "bad range": {"ip_ranges": ["10.0.0.1/8"]},
        "a name": {"ip_ranges": ["localhost"]}, "rate word": {"rate": "60"}, "rate zero": {"rate": "0/minute"},
        "burst alone": {"burst": 3}, "burst zero": {"rate": "5/minute", "burst": 0},
        "burst text": {"rate": "5/minute", "burst": "3"}, "days": {"expires_in_days": 0},
        "unknown": {"limits": {}}, "permission": {"permissions": ["fly"]}, "no permission": {"permissions": []},
        "disabled": {"disabled": "yes"},
    }

    def test_a_key_is_held_to_its_endpoints(self):
        made = self.make(endpoints=["/v1/models", "/api/*"])
        self.assertEqual(self.get("/v1/models", key=made["key"]).status, 200)
        self.assertEqual(self.get("/api/tags", key=made["key"]).status, 200)
        response = self.chat(key=made["key"])
        self.assert_refused(response, 403, "PERMISSION_DENIED")
        self.assertEqual(self.gateway.logged(response)["decision"], "key_endpoint")
        self.assert_refused(self.get("/metrics", key=made["key"]), 403)

    def test_a_key_is_held_to_its_addresses(self):
        here = self.make(ip_ranges=["10.0.0.0/8", "127.0.0.1"])
        elsewhere = self.make(ip_ranges=["10.0.0.0/8", "2001:db8::/32"])
        self.assertTrue(self.opens(here))
        response = self.chat(key=elsewhere["key"])
        self.assert_refused(response, 403, "PERMISSION_DENIED")
        line = self.gateway.logged(response)
        self.assertEqual((line["decision"], line["key"]), ("key_address", elsewhere["id"]))

    def test_a_rate_of_its_own_is_shown_and_used(self):
        made = self.make(rate="3/hour")
        for left in (2, 1, 0):
            response = self.chat(key=made["key"])
            self.assertEqual((response.status, response.get("x-ratelimit-limit"),
                              response.get("x-ratelimit-remaining")), (200, "3", str(left)))
        response = self.chat(key=made["key"])
        self.assert_refused(response, 429, "RATE_LIMITED")
        self.assertGreater(int(response.get("retry-after")), 0)
        self.assertTrue(self.opens({"key": self.key}))
        self.assertEqual(self.patch(made, {"rate": "1000/second", "burst": 7}).status, 200)
        response = self.chat(key=made["key"])
        self.assertEqual((response.status, response.get("x-ratelimit-limit")), (200, "1000"))
        self.assertEqual(self.patch(made, {"rate": None}).status, 200)
        self.assertEqual(self.chat(key=made["key"]).get("x-ratelimit-limit"), "100000")

    def test_what_is_no_limit_is_refused_by_name(self):
        made = self.make()
        for name, members in self.WRONG.items():
            with self.subTest(name):
                response = self.patch(made, members)
                self.assert_refused(response, 400, "VALIDATION_ERROR")
                self.assertIn(response.json()["error"]["param"], members)
                if "disabled" not in members:
                    response = self.native("POST", KEYS, {"name": "n", **members})
                    self.assert_refused(response, 400, "VALIDATION_ERROR")
        self.assertTrue(self.opens(made))


class Changes(Case):
    def test_a_change_counts_from_the_next_request_on_all_workers(self):
        made = self.make()
        clients = [self.client() for _ in range(8)]
        self.addCleanup(lambda: [client.close() for client in clients])
        for round_number in range(20):
            allowed = round_number % 2 == 1
            models = ["m"] if allowed else ["other"]
            self.assertEqual(self.patch(made, {"models": models}).json()["models"], models)
            for client in clients:
                self.assertEqual(client.ask(chat_request(made["key"])).status, 200 if allowed else 404)

    def test_every_field_can_be_set_and_lifted(self):
        made = self.make()
        members = {"name": "new", "owner": "zoe", "permissions": ["run_inference"], "models": ["m"],
                   "endpoints": ["/v1/*"], "ip_ranges": ["127.0.0.1"], "rate": "60/minute", "burst": 5,
                   "disabled": False}
        shown = self.patch(made, {**members, "expires_in_days": 3}).json()
        self.assertEqual({name: shown[name] for name in members}, members)
        self.assertIsNotNone(shown["expires_at"])
        lifted = self.patch(made, {"models": None, "endpoints": None, "ip_ranges": None, "rate": None,
                                   "expires_in_days": None}).json()
        self.assertEqual([lifted[name] for name in ("models", "endpoints", "ip_ranges", "rate", "burst", "expires_at")],
                         [[], [], [], None, None, None])
        self.assertEqual(self.native("GET", f"{KEYS}/{made['id']}").json()["owner"], "zoe")

    def test_a_disabled_key_opens_nothing_until_it_is_enabled(self):
        made = self.make()
        self.assertEqual(self.patch(made, {"disabled": True}).json()["status"], "disabled")
        self.assert_refused(self.chat(key=made["key"]), 401, "AUTHENTICATION_FAILED")
        self.assertEqual(self.patch(made, {"disabled": False}).json()["status"], "live")
        self.assertTrue(self.opens(made))

    def test_who_waited_does_not_pass_on_rights_that_are_gone(self):
        made = self.make()
        piece = chat_request(made["key"])
        calls = self.calls()
        with self.client() as client:
            client.send(piece[:-1])
            wait_until(lambda: self.native("GET", f"{KEYS}/{made['id']}").json()["last_used_at"], "the head was read")
            self.assertEqual(self.patch(made, {"models": ["other"]}).status, 200)
            client.send(piece[-1:])
            self.assertIn(client.read().status, (401, 404))
        self.assertEqual(self.calls(), calls)

    def test_nothing_and_nobody(self):
        made = self.make()
        self.assert_refused(self.patch(made, {}), 400)
        self.assert_refused(self.native("PATCH", f"{KEYS}/AAAAAAAAAAAA", {"name": "x"}), 404)
        self.assertEqual(self.native("DELETE", f"{KEYS}/{made['id']}").status, 204)
        self.assert_refused(self.patch(made, {"disabled": False}), 404)
        self.assertFalse(self.opens(made))

    def test_changes_are_in_the_audit_log(self):
        made = self.make(name="audited")
        self.patch(made, {"permissions": ["read_models"], "disabled": True})
        self.native("DELETE", f"{KEYS}/{made['id']}")
        self.assertEqual(self.audit("key_create", made)[0]["reason"], "audited")
        self.assertEqual(self.audit("key_update", made)[0]["reason"], 'disabled permissions ["read_models"]')
        self.assertEqual(len(self.audit("key_revoke", made)), 1)

    def test_rotation(self):
        old = self.make(models=["m"], rate="50/second")
        response = self.native("POST", f"{KEYS}/{old['id']}/rotate", {"grace_seconds": 600})
        self.assertEqual(response.status, 201, response)
        new = response.json()
        self.gateway.secrets.append(new["key"])
        self.assertEqual((new["models"], new["rate"], new["replaces"]), (["m"], "50/second", old["id"]))
        self.assertTrue(self.opens(old) and self.opens(new))
        response = self.native("POST", f"{KEYS}/{new['id']}/rotate")
        self.assertEqual(response.status, 201, response)
        last = response.json()
        self.gateway.secrets.append(last["key"])
        self.assertFalse(self.opens(new))
        self.assertTrue(self.opens(last))
        self.assert_refused(self.native("POST", f"{KEYS}/{new['id']}/rotate"), 404)
        for grace in (-1, 604801, "1"):
            response = self.native("POST", f"{KEYS}/{last['id']}/rotate", {"grace_seconds": grace})
            self.assert_refused(response, 400)
        self.assertTrue(self.opens(last))
        self.assertIn(new["id"], self.audit("key_update", old)[0]["reason"])

    def test_what_is_rotated_ends_no_later_than_it_would_have(self):
        old = self.make(expires_in_days=1)
        new = self.native("POST", f"{KEYS}/{old['id']}/rotate", {"grace_seconds": 604800}).json()
        self.gateway.secrets.append(new["key"])
        self.assertEqual(self.native("GET", f"{KEYS}/{old['id']}").json()["expires_at"], old["expires_at"])
        self.assertEqual(new["replaced_ends_at"], old["expires_at"])

    def test_the_grace_ends(self):
        old = self.make()
        response = self.native("POST", f"{KEYS}/{old['id']}/rotate", {"grace_seconds": 1})
        self.gateway.secrets.append(response.json()["key"])
        wait_until(lambda: not self.opens(old), "the old key's end")

    def test_nothing_passes_after_the_answer_to_a_revoke(self):
        """Two hundred keys, each under load until some time after it was revoked; tests/faults has many more."""
        ways = [lambda made: self.native("DELETE", f"{KEYS}/{made['id']}").status == 204,
                lambda made: self.patch(made, {"disabled": True}).status == 200,
                lambda made: self.native("POST", f"{KEYS}/{made['id']}/rotate").status == 201]
        for round_number in range(200):
            made = self.make(name=f"round {round_number}")
            with KeyLoad(self.client, made["key"]) as load:
                self.assertTrue(ways[round_number % 3](made))
                load.over()
                self.assertEqual(self.get("/v1/models", key=made["key"]).status, 401)
            self.assertEqual(load.late, [], f"round {round_number}")

    def test_no_request_is_refused_while_a_key_is_changed(self):
        made = self.make()
        wrong, stop = [], threading.Event()

        def load():
            with self.client() as client:
                while not stop.is_set():
                    status = client.ask(request(path="/v1/models", key=made["key"])).status
                    if status != 200:
                        wrong.append(status)

        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(60):
            self.assertEqual(self.patch(made, {"name": f"name {number}"}).status, 200)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


class Whose(Case):
    def test_ones_own_keys_and_nobody_elses(self):
        self.user("anna")
        token = self.sign_in("anna")
        own = self.make(token, name="own")
        other = self.make(owner="bert")
        self.assertEqual(own["owner"], "anna")
        self.assertEqual(self.patch(own, {"name": "mine"}, token).status, 200)
        self.assert_refused(self.patch(other, {"name": "mine"}, token), 404)
        self.assert_refused(self.native("POST", f"{KEYS}/{other['id']}/rotate", None, token), 404)
        response = self.native("POST", f"{KEYS}/{own['id']}/rotate", None, token)
        self.assertEqual(response.status, 201, response)
        own = response.json()
        self.gateway.secrets.append(own["key"])
        for members in ({"owner": "bert"}, {"permissions": ["manage_users"]}, {"scopes": ["*"]}, {"rate": "9/second"}):
            with self.subTest(members):
                self.assert_refused(self.patch(own, members, token), 403)
                self.assert_refused(self.native("POST", KEYS, {"name": "n", **members}, token), 403)
        for members in ({"owner": ""}, {"rate": None}, {"burst": None}):
            with self.subTest(members):
                self.assert_refused(self.patch(own, members, token), 403)
        self.assertTrue(self.opens(own) and self.opens(other))

    def test_who_has_fewer_rights_now_keeps_none_by_rotating_or_changing(self):
        self.user("dora", "service")
        own = self.make(self.sign_in("dora"), name="own", permissions=["manage_cache", "run_inference"])
        self.assertEqual(self.native("PATCH", "/api/v1/users/dora", {"role": "guest"}).status, 200)
        token = self.sign_in("dora")
        self.assert_refused(self.native("POST", f"{KEYS}/{own['id']}/rotate", None, token), 403)
        self.assert_refused(self.patch(own, {"name": "n"}, token), 403)
        self.assertEqual(self.patch(own, {"disabled": True}, token).status, 200)
        self.assert_refused(self.patch(own, {"disabled": False}, token), 403)
        response = self.patch(own, {"disabled": False, "permissions": ["run_inference"]}, token)
        self.assertEqual(response.status, 200, response)

    def role(self, name, role):
        self.assertEqual(self.native("PATCH", f"/api/v1/users/{name}", {"role": role}).status, 200)

    def test_a_key_loses_what_the_role_of_its_owner_loses(self):
        self.user("gil")
        own = self.make(self.sign_in("gil"), name="own", permissions=["run_inference", "read_models", "read_metrics"])
        free = self.make(owner="nobody's account", permissions=["read_metrics"])
        clients = [self.client() for _ in range(8)]  # on every worker
        self.addCleanup(lambda: [client.close() for client in clients])
        for role, metrics in [("guest", 403), ("user", 200), ("guest", 403), ("service", 200)]:
            self.role("gil", role)
            for client in clients:
                self.assertEqual(client.ask(request(path="/metrics", key=own["key"])).status, metrics, role)
            self.assertTrue(self.opens(own))
            self.assertEqual(self.get("/metrics", key=free["key"]).status, 200)
            shown = self.native("GET", f"{KEYS}/{own['id']}").json()
            lost = ["read_metrics"] if metrics == 403 else []
            self.assertEqual((shown["permissions"], shown["withheld_permissions"]),
                             (["read_models", "run_inference"] + ([] if lost else ["read_metrics"]), lost))
            listed = {key["id"]: key for key in json.loads(self.gateway.command("key", "list", "--json").stdout)}
            self.assertEqual(listed[own["id"]]["withheld_permissions"], lost)
        self.role("gil", "guest")
        self.assertRegex(self.gateway.command("key", "show", own["id"]).stdout, r"withheld +read_metrics\n")

    def test_who_waited_while_the_role_was_lowered_is_refused(self):
        self.user("hal")
        own = self.make(self.sign_in("hal"), name="own")
        piece = chat_request(own["key"])
        calls = self.calls()
        with self.client() as client:
            client.send(piece[:-1])
            wait_until(lambda: self.native("GET", f"{KEYS}/{own['id']}").json()["last_used_at"], "the head was read")
            self.role("hal", "guest")
            client.send(piece[-1:])
            self.assert_refused(client.read(), 403, "PERMISSION_DENIED")
        self.assertEqual(self.calls(), calls)

    def test_a_key_is_bound_by_an_account_made_later(self):
        made = self.make(owner="ida", permissions=["run_inference", "manage_users"])
        self.assertEqual(self.native("GET", "/api/v1/users", key=made["key"]).status, 200)
        self.user("ida")
        self.assert_refused(self.native("GET", "/api/v1/users", key=made["key"]), 403, "PERMISSION_DENIED")
        self.assertTrue(self.opens(made))

    def test_a_key_that_manages_gives_no_more_than_it_has(self):
        held = self.make(permissions=["manage_users", "run_inference"], models=["m"],
                         endpoints=["/v1/*", KEYS, KEYS + "/*"], ip_ranges=["127.0.0.0/8"])
        within = {"models": ["m"], "endpoints": ["/v1/chat/*"], "ip_ranges": ["127.0.0.1"],
                  "permissions": ["run_inference"]}
        made = self.make(held["key"], **within)
        self.assertTrue(self.opens(made))
        for name, wide in [("models", ["m", "other"]), ("endpoints", ["/v1*"]), ("endpoints", ["/*"]),
                           ("ip_ranges", ["127.0.0.1", "10.0.0.1"]), ("ip_ranges", ["0.0.0.0/0"]),
                           ("permissions", ["read_models"])]:
            with self.subTest(name=name, wide=wide):
                response = self.native("POST", KEYS, {"name": "n", **within, name: wide}, held["key"])
                self.assert_refused(response, 403, "PERMISSION_DENIED")
                self.assertEqual(response.json()["error"]["param"], name)
                self.assert_refused(self.patch(made, {name: wide}, held["key"]), 403)
                if name != "permissions":
                    self.assert_refused(self.patch(made, {name: None}, held["key"]), 403)
        strong = self.make(scopes=["*"])
        self.assert_refused(self.native("POST", f"{KEYS}/{strong['id']}/rotate", None, held["key"]), 403)
        self.assert_refused(self.patch(strong, {"owner": "me"}, held["key"]), 403)

    def test_a_disabled_account_shuts_its_keys_and_a_deleted_one_ends_them(self):
        self.user("carl")
        token = self.sign_in("carl")
        own = self.make(token, name="own")
        given = self.make(owner="carl")
        for _ in range(10):
            self.assertEqual(self.native("PATCH", "/api/v1/users/carl", {"disabled": True}).status, 200)
            self.assertFalse(self.opens(own) or self.opens(given))
            self.assertEqual(self.native("GET", f"{KEYS}/{own['id']}").json()["status"], "suspended")
            self.assertEqual(self.native("PATCH", "/api/v1/users/carl", {"disabled": False}).status, 200)
            self.assertTrue(self.opens(own) and self.opens(given))
        self.assertEqual(self.native("DELETE", "/api/v1/users/carl").status, 204)
        self.assertFalse(self.opens(own) or self.opens(given))
        self.assertEqual(self.native("GET", f"{KEYS}/{own['id']}").json()["status"], "revoked")
        self.user("carl")
        self.assertFalse(self.opens(own) or self.opens(given))

    def test_no_key_made_beside_a_deletion_opens_anything(self):
        for round_number in range(20):
            name = f"fay{round_number}"
            self.user(name)
            token, made = self.sign_in(name), []

            def make(token=token, made=made):
                for _ in range(30):
                    response = self.native("POST", KEYS, {"name": "n"}, token)
                    if response.status != 201:
                        return
                    made.append(response.json())

            thread = threading.Thread(target=make)
            thread.start()
            wait_until(lambda: made or not thread.is_alive(), "a key")
            self.assertEqual(self.native("DELETE", f"/api/v1/users/{name}").status, 204)
            thread.join()
            self.gateway.secrets += [key["key"] for key in made]
            self.assertTrue(made)
            self.assertFalse(any(self.opens(key) for key in made))


class Commands(Case):
    """The same by commands; without a gateway they are the writer."""

    @classmethod
    def upstreams_seen(cls):
        return None  # one test has a gateway of its own

    def json(self, *arguments):
        return json.loads(self.gateway.command(*arguments, "--json").stdout)

    def new(self, *arguments):
        key = self.json("key", "create", "--name", "made", *arguments)
        self.gateway.secrets.append(key["key"])
        return key

    def test_update_rotate_and_revoke_beside_a_running_gateway(self):
        made = self.new("--endpoints", "/v1/*", "--ip-ranges", "127.0.0.1", "--rate", "60/minute", "--burst", "5")
        self.assertEqual((made["endpoints"], made["rate"], made["burst"]), (["/v1/*"], "60/minute", 5))
        self.assertEqual(self.chat(key=made["key"]).get("x-ratelimit-limit"), "60")
        self.json("key", "update", made["id"], "--disable")
        self.assertFalse(self.opens(made))
        self.json("key", "update", made["id"], "--enable", "--unset", "rate,ip_ranges")
        self.assertTrue(self.opens(made))
        new = self.json("key", "rotate", made["id"], "--grace-seconds", "0")
        self.gateway.secrets.append(new["key"])
        self.assertFalse(self.opens(made))
        self.assertTrue(self.opens(new))
        self.gateway.command("key", "revoke", new["id"])
        self.assertFalse(self.opens(new))

    def test_everything_without_a_gateway_too(self):
        gateway = Gateway(self.upstream_list(), self.sections)
        self.addCleanup(gateway.discard)
        gateway.write_config()

        def run(*arguments):
            return json.loads(gateway.command(*arguments, "--json").stdout)

        kept = run("key", "create", "--name", "kept", "--rate", "7/second")
        shut = run("key", "create", "--name", "shut")
        old = run("key", "create", "--name", "old")
        gone = run("key", "create", "--name", "gone")
        run("key", "update", kept["id"], "--name", "renamed", "--models", "m")
        run("key", "update", shut["id"], "--disable")
        new = run("key", "rotate", old["id"])
        run("key", "revoke", gone["id"])
        self.assertEqual(run("key", "prune"), {"removed": 0, "older_than_days": 30})
        gateway.start()
        for key, status in [(kept, 200), (shut, 401), (old, 401), (new, 200), (gone, 401)]:
            self.assertEqual(gateway.ask(chat_request(key["key"])).status, status, key["name"])
        self.assertEqual(run("key", "show", kept["id"])["name"], "renamed")
        self.assertEqual(gateway.finish(), 0)

    def test_prune(self):
        made = self.new()
        self.gateway.command("key", "revoke", made["id"])
        self.assertIn("Forgot 0 keys", self.gateway.command("key", "prune", "--older-than-days", "1").stdout)
        time.sleep(1.1)  # ended before this second
        self.assertGreaterEqual(self.json("key", "prune", "--older-than-days", "0")["removed"], 1)
        self.assertEqual(self.gateway.command("key", "show", made["id"], check=False).returncode, 1)
        self.assertEqual(self.gateway.command("key", "prune", "--older-than-days", "-1", check=False).returncode, 2)

    @rows({"nothing": (), "both": ("--enable", "--disable"), "unset and set": ("--models", "m", "--unset", "models"),
           "unset twice": ("--unset", "rate,rate"), "unset nothing": ("--unset", ","),
           "unset unknown": ("--unset", "name"), "burst": ("--burst", "x"), "a value": ("--disable=yes",),
           "rate": ("--rate", "fast"), "range": ("--ip-ranges", "10.0.0.1/8"), "an empty list": ("--models", "")})
    def wrong_use(self, *flags):
        made = self.new()
        done = self.gateway.command("key", "update", made["id"], *flags, check=False)
        self.assertEqual(done.returncode, 2, done)
        self.assertTrue(self.opens(made))

    def test_yaml_stores_nothing_and_prints_an_entry(self):
        before = self.json("key", "list")
        done = self.gateway.command("key", "create", "--name", "team-core", "--owner", "admin@example.com",
                                    "--scopes", "*", "--expires-in-days", "365", "--yaml")
        self.assertEqual(self.json("key", "list"), before)
        plain = re.findall(r"\bsp_[A-Za-z0-9]{12}_[A-Za-z0-9]{49}\b", done.stdout)
        self.assertEqual(len(plain), 1)
        hash_ = re.search(r"\$2b\$12\$[./A-Za-z0-9]{53}", done.stdout)[0]
        entry = done.stdout[done.stdout.index("  - key_id:"):]
        time_ = r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"'
        self.assertRegex(entry, rf"""\A  - key_id: "team-core"
    public_id: "{plain[0][3:15]}"
    hash: "{re.escape(hash_)}"
    owner: "admin@example.com"
    scopes: \["\*"\]
    created_at: {time_}
    expires_at: {time_}
\Z""")
        verify = "import crypt, sys; key, stored = sys.argv[1:]; sys.exit(crypt.crypt(key, stored) != stored)"
        verified = subprocess.run(["python3", "-c", verify, plain[0], hash_], capture_output=True)
        self.assertEqual(verified.returncode, 0, verified.stderr)
        # Nobody is an owner that the file's reader takes; an empty one it is not.
        done = self.gateway.command("key", "create", "--name", "team-core", "--yaml")
        self.assertNotIn("owner:", done.stdout)
        for flags in (["--models", "m"], ["--rate", "1/s"], ["--scopes", "fly"]):
            done = self.gateway.command("key", "create", "--name", "n", "--yaml", *flags, check=False)
            self.assertEqual(done.returncode, 2, flags)

    def test_create_asks_on_a_terminal(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = subprocess.Popen([self.gateway.binary, "key", "create", "--json", "--config", self.gateway.config],
                                   stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=environment(), cwd=self.gateway.folder)
        os.close(theirs)
        os.write(ours, b"asked\nme@example.com\n\n\n")
        said, asked = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, asked)
        key = json.loads(said)
        self.gateway.secrets.append(key["key"])
        self.assertEqual((key["name"], key["owner"]), ("asked", "me@example.com"))
        self.assertEqual(key["permissions"], ["read_models", "run_inference", "use_streaming"])
        self.assertIsNotNone(key["expires_at"])
        self.assertEqual(asked.count(": "), 4, asked)
        self.assertTrue(self.opens(key))

    def test_create_does_not_ask_without_a_terminal(self):
        self.assertEqual(self.gateway.command("key", "create", check=False).returncode, 2)
