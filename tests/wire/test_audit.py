"""The audit log as an operator sees it: what is changed is written down before it is changed, who was turned
away is written down too, however many they were, and the file can be proved. That this is so of every refusal
in every other test is oracle O9."""

import base64
import collections
import json
import os
import re
import signal
import subprocess
import tempfile
import threading

from tools import oracles
from tools import upstream as answers
from tools.case import WireCase
from tools.client import chat, chat_request, request
from tools.gateway import BINARY, CALLER, Gateway, environment
from tools.upstream import wait_until

REFUSED = ("denied", "rate_limited")
TICKS_S = 60.0  # within which what waits for its ten seconds is on disk, also on a busy machine


class AuditCase(WireCase):
    """A gateway of its own for each test: a log is begun, and ended."""
    sections = {}

    def begin(self, sections=None, **log):
        gateway = Gateway(self.upstream_list(), {"log": {"audit": "audit.log", **log}, **(sections or {})})
        self.addCleanup(gateway.discard)
        return gateway

    @staticmethod
    def records(gateway):
        return [json.loads(line) for line in (gateway.folder / "audit.log").read_text().splitlines()]

    @classmethod
    def upstreams_seen(cls):
        return None  # other gateways asked it


class Audit(AuditCase):
    def test_changes_are_written_down_and_proved(self):
        gateway = self.begin().start()
        key = json.loads(gateway.command("key", "create", "--name", "reports", "--json").stdout)
        gateway.command("key", "revoke", key["id"])
        gateway.write_config()
        gateway.signal(signal.SIGHUP)
        wait_until(lambda: len(self.records(gateway)) == 4, "the reload's record")
        self.assertEqual(gateway.finish(), 0)
        records = self.records(gateway)
        self.assertEqual([record["event"] for record in records],
                         ["start", "key_create", "key_revoke", "config_change", "stop"])
        self.assertEqual([record["seq"] for record in records], [1, 2, 3, 4, 5])
        created = records[1]
        self.assertTrue(created["path"].endswith(key["id"]), created)
        self.assertEqual((created["actor"], created["reason"]), ("local", "reports"))
        self.assertNotIn(key["key"][16:], (gateway.folder / "audit.log").read_text())
        self.assertEqual(gateway.command("audit", "verify").returncode, 0)
        shown = json.loads(gateway.command("audit", "show", "--event", "key_revoke", "--json").stdout)
        self.assertEqual(len(shown), 1)

    def test_a_command_without_a_gateway_is_written_down_too(self):
        gateway = self.begin()
        gateway.write_config()
        gateway.command("key", "create", "--name", "early")
        self.assertIn("key_create", [record["event"] for record in self.records(gateway)])
        self.assertEqual(gateway.command("audit", "verify").returncode, 0)

    def test_a_changed_line_is_named(self):
        gateway = self.begin().start()
        gateway.command("key", "create", "--name", "reports")
        self.assertEqual(gateway.finish(), 0)
        path = gateway.folder / "audit.log"
        path.write_text(path.read_text().replace("reports", "weather"))
        done = gateway.command("audit", "verify", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(":2:", done.stdout + done.stderr)

    def test_a_new_file_that_is_none_leaves_the_old_one_in_use(self):
        gateway = self.begin().start()
        path = gateway.folder / "audit.log"
        os.rename(path, gateway.folder / "audit.log.1")
        path.symlink_to("/dev/full")
        gateway.signal(signal.SIGUSR1)
        wait_until(lambda: "stays in use" in gateway.heard(), "a complaint")
        path.unlink()
        gateway.command("key", "create", "--name", "fine")
        self.assertIn("fine", (gateway.folder / "audit.log.1").read_text())

    def test_rotated_files_are_proved_together(self):
        gateway = self.begin().start()
        gateway.command("key", "create", "--name", "first")
        os.rename(gateway.folder / "audit.log", gateway.folder / "audit.log.1")
        gateway.signal(signal.SIGUSR1)
        wait_until((gateway.folder / "audit.log").exists, "a new file")
        gateway.command("key", "create", "--name", "second")
        self.assertEqual(gateway.finish(), 0)
        self.assertEqual(gateway.command("audit", "verify").returncode, 0)
        (gateway.folder / "audit.log.1").unlink()
        self.assertEqual(gateway.command("audit", "verify", check=False).returncode, 1)

    def test_it_is_a_file(self):
        gateway = self.begin(audit="-")
        gateway.write_config()
        done = gateway.command("check", check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("log.audit", done.stdout + done.stderr)

    # On by default.

    def test_it_is_kept_without_a_word_in_the_file(self):
        gateway = self.begin(audit=None)
        gateway.start()
        gateway.key("made")
        self.assertEqual(gateway.finish(), 0)
        self.assertEqual(len(oracles.json_lines(gateway.folder / "logs" / "audit.log")), 3)
        self.assertEqual(gateway.command("audit", "verify").returncode, 0)

    def test_the_environment_names_it_too(self):
        gateway = self.begin()
        gateway.variables = {"AUDIT_LOG_FILE": "named.log"}
        gateway.start()
        self.assertEqual(gateway.finish(), 0)
        self.assertTrue((gateway.folder / "named.log").exists())
        self.assertFalse((gateway.folder / "audit.log").exists())

    def test_it_can_be_turned_off(self):
        gateway = self.begin({"security": {"audit_logging_enabled": False}}).start()
        key = gateway.key("made")
        self.assertEqual(gateway.ask(chat_request("wrong")).status, 401)
        self.assertEqual(gateway.ask(chat_request(key["key"])).status, 200)
        gateway.signal(signal.SIGUSR1)
        gateway.write_config()
        gateway.signal(signal.SIGHUP)
        wait_until(lambda: "was reloaded" in gateway.heard(), "the reload")
        self.assertEqual(gateway.finish(), 0)
        left = [path.name for path in gateway.folder.rglob("audit*")]
        self.assertEqual(left, [])

    def test_nothing_starts_while_it_cannot_be_opened(self):
        gateway = self.begin(audit="sallyport.toml/audit.log")
        for arguments in (["serve"], ["key", "create", "--name", "x"]):
            done = gateway.command(*arguments, check=False)
            self.assertIn(done.returncode, (1, 78), arguments)
            self.assertRegex(done.stderr, "log.audit: cannot be opened: .*audit_logging_enabled")
        gateway.sections["log"]["audit"] = "/dev/full"
        gateway.write_config()
        done = gateway.command("serve", check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("no regular file", done.stderr)

    def test_a_command_in_another_folder_begins_no_second_one(self):
        gateway = self.begin(audit=None).start()
        self.assertEqual(gateway.finish(), 0)
        with tempfile.TemporaryDirectory() as elsewhere:
            done = subprocess.run([BINARY, "key", "create", "--name", "x", "--config", gateway.config], cwd=elsewhere,
                                  env=environment(), capture_output=True, text=True, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("start in the folder", done.stderr)

    def test_the_demo_s_key_is_written_down(self):
        with tempfile.TemporaryDirectory() as folder:
            command = [BINARY, "serve", "--demo", "--listen", "127.0.0.1:0"]
            with subprocess.Popen(command, cwd=folder, env=environment(), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
                said = next(line for line in process.stdout if "sp_" in line)
                process.terminate()
                process.stdout.read()
            self.assertEqual(process.returncode, 0)
            with open(f"{folder}/logs/audit.log", encoding="utf-8") as log:
                text = log.read()
        self.assertEqual(re.findall(r'"event":"(\w+)"', text), ["start", "user_create", "key_create", "stop"])
        self.assertIn(said.strip()[3:15], text)
        self.assertNotIn(said.strip()[16:36], text)


class Refusals(AuditCase):
    """Who was turned away."""

    def refusals(self, gateway):
        return [record for record in self.records(gateway) if record["event"] in REFUSED]

    def test_each_is_written_down_with_what_is_known_of_it(self):
        gateway = self.begin({"limits": {"key": "5/hour", "key_burst": 5}}).start()
        caller, reader = gateway.key("caller"), gateway.key("reader", "read_models")
        unknown = caller["key"][:-1] + ("a" if caller["key"][-1] != "a" else "b")
        tries = [
            ("denied", 401, "no_credential", "", request("GET", "/v1/models?x=y")),
            ("denied", 401, "bad_credential", "", chat_request(unknown)),
            ("denied", 403, "endpoint", caller["id"], request("GET", "/v1/nowhere", key=caller["key"])),
            ("denied", 403, "permission", reader["id"], chat_request(reader["key"])),
            *[("rate_limited", 429, "key_rate", caller["id"], chat_request(caller["key"]))] * 2,
        ]
        for _ in range(5):
            self.assertEqual(gateway.ask(chat_request(caller["key"])).status, 200)
        given = [gateway.ask(piece) for *_, piece in tries]
        self.assertEqual(gateway.ask(chat_request(reader["key"], fields=[("X-API-Key", "other")])).status, 400)
        self.assertEqual(gateway.finish(), 0)
        records = {record["reason"]: record for record in self.refusals(gateway)}
        self.assertEqual(len(records), 5)
        for (event, status, reason, actor, piece), answer in zip(tries[:5], given):
            record, line = records[reason], piece.split(b" ")
            self.assertEqual(answer.status, status)
            self.assertEqual(
                [record[name] for name in ("event", "actor", "ip", "method", "path", "status", "request_id")],
                [event, actor, "127.0.0.1", line[0].decode(), line[1].decode().partition("?")[0], status,
                 answer.get("x-request-id")])
        self.assertEqual([records[reason].get("count") for reason in ("no_credential", "key_rate")], [None, 2])
        self.assertEqual(gateway.command("audit", "verify").returncode, 0)

    def test_one_is_on_disk_while_the_gateway_runs(self):
        gateway = self.begin().start()
        response = gateway.ask(chat_request("wrong"))
        wait_until(lambda: self.refusals(gateway), "the record", TICKS_S)
        self.assertEqual(self.refusals(gateway)[0]["request_id"], response.get("x-request-id"))
        self.assertEqual(gateway.command("audit", "verify").returncode, 0)

    def test_a_flood_is_few_records_that_count_it_all(self):
        gateway = self.begin({"limits": {"ip": "50/hour", "ip_burst": 50}}).start()
        key = gateway.key("victim")["key"]
        statuses, each, threads = [], 500, []

        def work(number):
            with gateway.client() as client:
                for i in range(each):
                    wrong = f"{key[:-8]}{number:02}{i:06}"
                    path = f"/v1/{key}/{i}" if i % 2 else "/v1/models"
                    fields = [("X-API-Key", wrong), ("User-Agent", key), ("X-Correlation-ID", f"flood-{i}")]
                    statuses.append(client.ask(request("GET", path, fields)).status)
        for number in range(4):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
        for thread in threads:
            thread.join()
        self.assertEqual((statuses.count(401), statuses.count(429)), (50, 4 * each - 50))
        self.assertEqual(gateway.finish(), 0)
        counted = dict.fromkeys(REFUSED, 0)
        for record in self.refusals(gateway):
            counted[record["event"]] += record.get("count", 1)
        self.assertEqual(counted, {"denied": 50, "rate_limited": 4 * each - 50})
        self.assertLess(len(self.refusals(gateway)), len(statuses) / 20)
        text = (gateway.folder / "audit.log").read_text()
        for part in oracles.secret_parts(key):
            self.assertNotIn(part, text)
        self.assertNotIn(key[-12:-8], text)
        self.assertEqual(gateway.command("audit", "verify").returncode, 0)

    def test_a_path_that_holds_a_key_is_written_down_without_it(self):
        gateway = self.begin().start()
        key = gateway.key("shown")["key"]
        for path in (f"/v1/{key}/x", f"/v1/{key.replace('_', '%5F')}", f"/v1/x?key={key}"):
            self.assertIn(gateway.ask(request("GET", path)).status, (400, 401))
        self.assertEqual(gateway.finish(), 0)
        text = (gateway.folder / "audit.log").read_text()
        self.assertIn("[REDACTED]", text)
        for part in oracles.secret_parts(key):
            self.assertNotIn(part, text)

    def test_a_login_that_fails_is_one_event_and_one_too_many_another(self):
        gateway = self.begin().start()
        wrong = request("POST", "/api/v1/auth/login", body={"username": "eve", "password": "not this one"})
        statuses = [gateway.ask(wrong).status for _ in range(8)]
        self.assertEqual(statuses, [401] * 5 + [429] * 3)
        self.assertEqual(gateway.finish(), 0)
        counted = {record["event"]: record.get("count", 1) for record in self.records(gateway)}
        self.assertEqual(counted, {"start": 1, "login_failed": 5, "rate_limited": 3, "stop": 1})

    def test_a_wrong_password_in_a_request_is_a_login_that_failed_too(self):
        gateway = self.begin({"security": {"basic_enabled": True}}).start()
        manager = gateway.key("manager", f"manage_users,read_metrics,{CALLER}")["key"]
        body = {"username": "eve", "password": "canary-eve-right"}
        self.assertEqual(gateway.ask(request("POST", "/api/v1/users", body=body, key=manager), "POST").status, 201)

        def ask(name, password):
            field = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
            return gateway.ask(request("GET", "/v1/models?x=y", [("Authorization", field)]))

        tries = [ask("eve", "canary-eve-wrong") for _ in range(8)]
        self.assertEqual([answer.status for answer in tries], [401] * 5 + [429] * 3)
        # The same record for a name that nobody has, who may have typed the password there.
        strangers = [ask(f"canary-name-{number}", "canary-eve-wrong") for number in range(2)]
        self.assertEqual(strangers[0].json()["error"], tries[0].json()["error"])
        self.assertEqual(ask("eve", "canary-eve-right").status, 429)
        self.assertEqual(gateway.ask(chat_request("canary-no-key")).status, 401)
        self.assertEqual(gateway.finish(), 0)
        counted = collections.Counter()
        for record in self.records(gateway):
            counted[record["event"]] += record.get("count", 1)
        self.assertEqual(counted, {"start": 1, "key_create": 1, "user_create": 1, "login_failed": 7, "rate_limited": 4,
                                   "denied": 1, "stop": 1})
        failed = next(record for record in self.records(gateway) if record["event"] == "login_failed")
        self.assertEqual([failed[name] for name in ("actor", "ip", "method", "path", "status", "reason", "request_id")],
                         ["", "127.0.0.1", "GET", "/v1/models", 401, "bad_password", tries[0].get("x-request-id")])
        self.assertNotIn("canary-", (gateway.folder / "audit.log").read_text())
        self.assertEqual(gateway.logged(tries[0])["decision"], "bad_password")
        self.assertEqual(gateway.command("audit", "verify").returncode, 0)

    def test_what_the_model_server_refuses_is_not_ours(self):
        gateway = self.begin().start()
        key = gateway.key("caller")["key"]
        model = self.upstream.on("limited", answers.whole({"error": "slow down"}, 429))
        self.assertEqual(gateway.ask(request("POST", "/v1/chat/completions", body=chat(model), key=key)).status, 429)
        self.assertEqual(gateway.finish(), 0)
        self.assertEqual(self.refusals(gateway), [])

    def test_the_metrics_say_how_it_is(self):
        gateway = self.begin().start()
        key = gateway.key("monitor", "read_metrics")["key"]
        text = gateway.ask(request("GET", "/metrics/prometheus", key=key)).body.decode()
        self.assertIn("\nsallyport_audit_dropped_total 0\n", text)
        self.assertIn("\nsallyport_audit_failing 0\n", text)
