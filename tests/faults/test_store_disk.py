"""The disk fails under the key store (HOSTILE RX-04): the change is refused and not made, also not by the
next start; the database is opened anew, for an fsync that failed says nothing about the next one; who has
a key goes on; and when the disk works again, so does everything, without a restart."""

import errno
import os

from case import Failing, FaultCase
from tools.case import rows
from tools.client import chat_request
from tools.upstream import wait_until

CALLS_MAX = 50
FAULTS = {"fsync EIO": ("fsync", 0), "fsync ENOSPC": ("fsync", errno.ENOSPC), "write EIO": ("disk", 0),
          "write ENOSPC": ("disk", errno.ENOSPC)}


class StoreDisk(FaultCase):
    make = Failing
    sections = {"security": {"audit_logging_enabled": False}}  # it has a disk of its own: test_audit_disk.py

    @classmethod
    def complaints(cls):
        stored = cls.gateway.integrity()
        return super().complaints() + ([] if stored == "ok" else [f"the store: {stored}"])

    def log_descriptors(self):
        """The gateway's descriptors of the write-ahead log: one, of its one connection."""
        folder, found = f"/proc/{self.gateway.process.pid}/fd", []
        for name in os.listdir(folder):
            try:
                if os.readlink(f"{folder}/{name}").endswith("/store.db-wal"):
                    found.append(name)
            except FileNotFoundError:
                pass  # a connection's, which has just gone
        self.assertEqual(len(found), 1, found)
        return found

    def assert_unchanged(self, answer):
        self.assertIs(answer.get("ok"), False, answer)
        self.assertIn("nothing was changed", answer["message"])

    def each_refused(self, name, error, act):
        """Calls `act` with the first, second, ... call failing, until none does, and yields after each
        change that this had refused."""
        plan, refused = self.gateway.plan, 0
        for nth in range(1, CALLS_MAX):
            with self.subTest(call=nth):
                plan.fail(name, nth, error)
                answer = act()
                if not plan.stop(name):
                    break
                if answer.get("ok") is False:
                    refused += 1
                    self.assert_unchanged(answer)
                    yield nth
        else:
            self.fail("there is no end to the calls")
        self.assertGreater(refused, 0, "no call that failed had a change refused")

    @rows(FAULTS)
    def database_is_opened_anew(self, name, error):
        before, said = self.log_descriptors(), len(self.gateway.log_text())
        for _ in self.each_refused(name, error, lambda: self.gateway.create("one")):
            after = self.log_descriptors()
            self.assertNotEqual(after, before)
            before = after
            self.assertIs(self.gateway.control("key_revoke", id=self.gateway.create("next")["id"])["ok"], True)
        wait_until(lambda: "it was opened anew" in self.gateway.log_text()[said:], "a word on it")
        self.assertEqual(self.gateway.integrity(), "ok")

    @rows(FAULTS)
    def reading_goes_on_while_the_disk_fails(self, name, error):
        kept = self.gateway.create("kept")
        before = self.gateway.statuses()
        self.gateway.plan.fail(name, 1, error, lasting=True)
        try:
            for _ in range(3):
                self.assert_unchanged(self.gateway.create("never"))
                self.assert_unchanged(self.gateway.control("key_revoke", id=kept["id"]))
                self.assertEqual(self.chat(key=kept["key"]).status, 200)
                self.assertEqual(self.chat(key=kept["key"][:-1] + "!").status, 401)
                self.assertEqual(self.gateway.statuses(), before)
        finally:
            self.gateway.plan.stop(name)
        late = self.gateway.create("late")
        self.assertEqual(self.chat(key=late["key"]).status, 200)
        self.assertIs(self.gateway.control("key_revoke", id=kept["id"])["ok"], True)
        self.assertEqual(self.chat(key=kept["key"]).status, 401)
        self.assertEqual(self.gateway.integrity(), "ok")

    @rows(FAULTS)
    def what_was_refused_does_not_come_back_after_a_kill(self, name, error):
        kept = self.gateway.create("kept")
        before = self.gateway.statuses()
        acts = (lambda: self.gateway.create("one"), lambda: self.gateway.control("key_revoke", id=kept["id"]))
        for act in acts:
            for nth in self.each_refused(name, error, act):
                self.gateway.kill()
                self.gateway.restart_killed()
                self.assertEqual(self.gateway.statuses(), before)
                self.assertEqual(self.gateway.ask(chat_request(kept["key"])).status, 200, nth)
            before = self.gateway.statuses()
        self.assertEqual(before[kept["id"]], "revoked")
        self.assertEqual(self.chat(key=kept["key"]).status, 401)
        self.assertEqual(self.gateway.integrity(), "ok")
