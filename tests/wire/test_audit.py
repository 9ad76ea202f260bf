"""The audit log as an operator sees it: what is changed is written down before it is changed, and the file can be
proved."""

import json
import os
import signal

from tools.case import WireCase
from tools.gateway import Gateway
from tools.upstream import wait_until


class Audit(WireCase):
    """A gateway of its own for each test: a log is begun, and ended."""
    sections = {}

    def begin(self, **log):
        gateway = Gateway(self.upstream_list(), {"log": {"audit": "audit.log", **log}})
        self.addCleanup(gateway.discard)
        return gateway

    @staticmethod
    def records(gateway):
        return [json.loads(line) for line in (gateway.folder / "audit.log").read_text().splitlines()]

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
        wait_until(lambda: "stays in use" in (gateway.folder / "app.log").read_text(), "a complaint")
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
