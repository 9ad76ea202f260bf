"""The disk fails under the audit log: changes are refused and not made, callers go on and are refused as
before; who was refused meanwhile is in the log once the disk works again, all of them, without a restart."""

import contextlib
import errno
import signal

from case import Failing, FaultCase
from plan import SHORT
from tools.case import rows
from tools.client import request
from tools.upstream import wait_until

FAULTS = {"write ENOSPC": {"write": errno.ENOSPC}, "write EIO": {"write": errno.EIO}, "fsync EIO": {"fsync": 0},
          "fsync ENOSPC": {"fsync": errno.ENOSPC}, "half a line": {"write": SHORT},
          "half a line that stays": {"write": SHORT, "truncate": 0}}
DUE_S = 60.0  # a refusal waits ten seconds for others like it, longer on a busy machine


class AuditDisk(FaultCase):
    make = Failing
    sections = {"log": {"app": "/dev/stderr"}}  # a pipe: what is written there does not fail
    refused = 0

    @classmethod
    def complaints(cls):
        recorded = sum(record.get("count", 1) for record in cls.gateway.audit_log() if record["event"] == "denied")
        return super().complaints() + (
            [] if recorded == cls.refused else [f"{cls.refused} were refused, {recorded} are in the audit log"])

    def refuse(self, count):
        for _ in range(count):
            self.assertEqual(self.chat(key="wrong").status, 401)
            type(self).refused += 1

    def wait_for_failing(self, value):
        wait_until(lambda: self.gateway.gauges()["sallyport_audit_failing"] == value,
                   f"sallyport_audit_failing to be {value}", DUE_S)

    @contextlib.contextmanager
    def failing(self, faults):
        try:
            for name, error in faults.items():
                self.gateway.plan.fail(name, 1, error, lasting=True)
            yield
        finally:
            for name in faults:
                self.gateway.plan.stop(name)

    @rows(FAULTS)
    def change_is_refused_and_made_later(self, faults):
        kept, before = self.gateway.create("kept"), self.gateway.statuses()
        with self.failing(faults):
            for _ in range(3):
                for answer in (self.gateway.create("never"), self.gateway.control("key_revoke", id=kept["id"]),
                               self.gateway.control("denylist_add", entry="203.0.113.9")):
                    self.assertIs(answer.get("ok"), False, answer)
                    self.assertIn("the audit log could not be written; nothing was changed", answer["message"])
                self.assertEqual(self.gateway.gauges()["sallyport_audit_failing"], 1)
                self.assertEqual(self.chat(key=kept["key"]).status, 200)
                self.refuse(5)
            self.assertEqual(self.gateway.statuses(), before)
            self.assertEqual(self.gateway.control("denylist_list")["entries"], [])
        self.assertIs(self.gateway.control("key_revoke", id=kept["id"])["ok"], True)
        self.assertEqual(self.gateway.gauges()["sallyport_audit_failing"], 0)
        self.assertEqual(self.chat(key=kept["key"]).status, 401)
        type(self).refused += 1

    def reload(self, allowed):
        """With another list of endpoints. What the log says then."""
        self.gateway.sections["endpoints"] = {"allow": allowed}
        self.gateway.write_config()
        said = len(self.gateway.said)
        self.gateway.signal(signal.SIGHUP)
        wait_until(lambda: "reloaded" in "\n".join(self.gateway.said[said:]), "a word on the reload")
        return "\n".join(self.gateway.said[said:])

    def files(self):
        status = self.gateway.ask(request(path="/v1/files", key=self.key)).status
        type(self).refused += status == 403
        return status

    def changes(self):
        return [record["event"] for record in self.gateway.audit_log()].count("config_change")

    @rows(FAULTS)
    def reload_is_refused_and_made_later(self, faults):
        chat, files = "/v1/chat/completions", "/v1/files"
        self.assertIn("was reloaded", self.reload([chat]))
        before = self.changes()
        with self.failing(faults):
            for _ in range(2):
                said = self.reload([chat, files])
                self.assertIn("the audit log could not be written, so nothing is changed", said)
                self.assertIn("the configuration was not reloaded", said)
                self.assertNotIn("was reloaded", said)
                self.assertEqual(self.files(), 403)
                self.assertEqual(self.chat().status, 200)
        self.assertEqual((self.files(), self.changes()), (403, before))
        self.assertIn("was reloaded", self.reload([chat, files]))
        wait_until(lambda: self.files() == 200, "the new configuration in all workers")
        self.assertEqual(self.changes(), before + 1)

    @rows({"write ENOSPC": FAULTS["write ENOSPC"], "fsync EIO": FAULTS["fsync EIO"]})
    def refusals_wait_for_the_disk(self, faults):
        """Nobody changes anything: it is found out, and over, by itself."""
        self.refuse(5)
        with self.failing(faults):
            self.wait_for_failing(1)
            self.refuse(5)
        self.wait_for_failing(0)
