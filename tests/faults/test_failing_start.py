"""One call fails while the gateway starts: it starts all the same and knows its keys, or it ends with a
status that says so. There is no third: a gateway that starts without its keys would lock everybody out,
one without its rules let everybody in."""

import unittest

from case import Failing, either
from tools import oracles
from tools.case import RowsType, rows
from tools.client import chat_request
from tools.upstream import Upstream

SAMPLES = either(8, 1000)  # of one class of calls
NEVER = 2**40


class Restarted(Failing):
    """Stays in its folder from one start to the next."""

    def discard(self):
        self.kill()

    def again(self):
        """Starts; False when it ended instead."""
        self.ports.clear()
        try:
            super().start()
            return True
        except AssertionError:
            self.process.wait(30)
            return False
        finally:
            if not self.ports:
                self.reader.join()


class Start(unittest.TestCase, metaclass=RowsType):
    @classmethod
    def setUpClass(cls):
        cls.upstream = Upstream()
        cls.gateway = Restarted([{"name": "main", "kind": "ollama", "url": cls.upstream.url}])
        cls.gateway.start()
        cls.key = cls.gateway.create()["key"]
        cls.bound = cls.gateway.create("bound", models=["other"])["key"]
        cls.elsewhere = cls.gateway.create("elsewhere", ip_ranges=["192.0.2.0/24"])["key"]
        revoked = cls.gateway.create("revoked")
        cls.gateway.control("key_revoke", id=revoked["id"])
        cls.revoked = revoked["key"]
        cls.stop()

    @classmethod
    def tearDownClass(cls):
        super(Restarted, cls.gateway).discard()
        cls.upstream.stop()

    @classmethod
    def stop(cls):
        status = cls.gateway.finish()
        if status != 0:
            raise AssertionError(f"exit status {status}:\n{cls.gateway.tail()}")

    def count(self, name):
        plan = self.gateway.plan
        plan.fail(name, NEVER)
        self.assertTrue(self.gateway.again())
        calls = plan.calls(name)
        self.stop()
        return calls

    # OpenSSL's own memory is not among them: while it begins, it crashes without.
    @rows({name: name for name in ["memory", "open", "read", "socket", "watch", "sql", "database", "disk", "fsync",
                                   "write", "rename", "thread"]})
    def failure(self, name):
        self.addCleanup(self.gateway.kill)  # one that a failed assertion left
        calls = self.count(name)
        self.assertGreater(calls, 0)
        step = max(1, calls // SAMPLES)
        for nth in range(1, calls + 1, step):
            with self.subTest(call=nth, of=calls):
                self.one(name, nth)

    def one(self, name, nth):
        self.gateway.kill()  # as above
        self.gateway.said.clear()
        self.gateway.plan.fail(name, nth)
        started = self.gateway.again()
        came = self.gateway.plan.stop(name)
        self.assertTrue(came or nth > 1, "no such call was made")
        if started:
            for key, model, status in ((self.key, "m", 200), (self.bound, "other", 200), (self.bound, "m", 404),
                                       (self.elsewhere, "m", 403), (self.revoked, "m", 401), ("wrong", "m", 401),
                                       (None, "m", 401)):
                self.assertEqual(self.gateway.ask(chat_request(key, model)).status, status, (key, model))
            self.stop()
        else:
            self.assertIn(self.gateway.process.returncode, (1, 78), self.gateway.tail())
            self.assertNotEqual(self.gateway.said, [], "a word on why")
        self.assertEqual(oracles.sanitizers(self.gateway.said), [])
