"""A good client among attackers (oracle O5): whatever comes in beside it, it is answered, every time and
without a stall; and when the attack is over, nothing of it is left. How much later the answers come is for
bench/ to measure."""

import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from case import FaultCase, Guarded, Lean
from tools.case import UPSTREAM_KEY, rows
from tools.gateway import TOP
from tools.upstream import wait_until

sys.path.append(str(TOP / "bench"))
import attacks
import machine

RATE = 200  # of the good client, per second
BEGINNING_S, MIDDLE_S, END_S = 0.3, 0.8, 0.3
STALL_S = 2.0
DESCRIPTORS = 18000  # 10,000 connections and what goes with them
SETTLED_S = 3 * attacks.SETTLE_S
SETTLE_S = 2.5  # what is free for two seconds goes back to the system (worker.c)
BODY = ('{"model":"m","messages":[{"role":"user","content":"Is anybody there, behind all of these people? And if '
        'so, who?"}]}')

FOLDER = tempfile.TemporaryDirectory(prefix="sallyport-attack-")
TOOLS = pathlib.Path(FOLDER.name)
attacks.compile_programs(TOOLS)
ATTACKS = {row.name: row.name for row in attacks.table(TOOLS)}


class Sanitized(FaultCase):
    sections = {"server": {"max_connections": 13000}, "log": {"access": "", "app_requests": False}}

    @classmethod
    def setUpClass(cls):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
            raise AssertionError(f"needs {DESCRIPTORS} open files, may have {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
        cls.upstream_port = machine.free_port()
        cls.upstream_process = subprocess.Popen([TOOLS / "upstream", str(cls.upstream_port)])
        try:
            super().setUpClass()
        except BaseException:
            machine.end(cls.upstream_process)
            raise

    @classmethod
    def tearDownClass(cls):
        try:
            super().tearDownClass()
        finally:
            machine.end(cls.upstream_process)

    @classmethod
    def make_gateway(cls):
        """In front of bench's upstream: one that records would be slower than the attackers."""
        upstream = {"name": "main", "kind": "openai", "url": f"http://127.0.0.1:{cls.upstream_port}",
                    "api_key": UPSTREAM_KEY}
        return cls.make([upstream], cls.sections, plain=True)

    @classmethod
    def set_up(cls):
        machine.wait_for_port(cls.upstream_port, cls.upstream_process)
        folder = cls.gateway.folder
        unknown = [cls.gateway.create(f"unknown {number}") for number in range(5)]
        for key in unknown:
            cls.gateway.control("key_revoke", id=key["id"])
        cls.files = [folder / "body.toml", folder / "attacker.toml", folder / "unknown.toml", folder / "good.toml"]
        texts = [BODY, cls.gateway.create("attacker")["key"], "\n".join(key["key"] for key in unknown), cls.key]
        for path, text in zip(cls.files, texts):
            path.write_text(text + "\n")
        cls.quiet = cls.ask_steadily(lambda client: client.measure(MIDDLE_S))
        cls.warm_up()
        cls.before = cls.state()

    @classmethod
    def warm_up(cls):
        pass

    @classmethod
    def ask_steadily(cls, work):
        body, _, _, key = cls.files
        with attacks.Steady(TOOLS, cls.gateway.port, RATE, body, key) as client:
            return work(client)

    @classmethod
    def state(cls):
        return attacks.State.of(cls.gateway.process.pid, cls.upstream_port)

    @classmethod
    def attack(cls, name):
        body, known, unknown, _ = cls.files
        return attacks.Attack(TOOLS, name, cls.gateway.port, body, known, unknown, prefix=("nice", "-n", "19"))

    def under(self, name, client):
        """What became of the good client's requests: while the attack begins, goes on, and ends."""
        attack = self.attack(name)
        client.begin(BEGINNING_S)
        with attack:
            parts = [client.end(), client.measure(MIDDLE_S)]
            client.begin(END_S)
        return [*parts, client.end()], attack.figures

    def assert_back(self, what, is_back):
        try:
            wait_until(lambda: is_back(self.state()), what, SETTLED_S)
        except AssertionError as late:
            raise AssertionError(f"{late}: {self.before} before, {self.state()} after") from None

    def assert_nothing_left(self):
        self.assert_back("descriptors as before", lambda state: state.descriptors <= self.before.descriptors)

    @rows(ATTACKS)
    def good_client(self, name):
        parts, figures = self.ask_steadily(lambda client: self.under(name, client))
        for part in parts:
            self.assertEqual(part["errors"], 0, part)
            self.assertLess(part["max_us"], STALL_S * 1e6, part)
        self.assertEqual(figures["unanswered"], 0, figures)
        print(f"{name}: {figures['per_s']:,.0f}/s; p99 {self.quiet['p99_us']:,.0f} us alone, "
              f"{parts[1]['p99_us']:,.0f} us beside it", file=sys.stderr)
        self.assertIsNone(self.gateway.process.poll(), self.gateway.tail())
        self.assert_at_rest()
        self.assert_nothing_left()


class Released(Sanitized):
    make = Lean

    @classmethod
    def warm_up(cls):
        """Pools and tables keep what they once had, up to their bounds: what a second time adds is left behind."""
        for name in ATTACKS:
            with cls.attack(name):
                cls.ask_steadily(lambda client: client.measure(MIDDLE_S))
        time.sleep(SETTLE_S)

    def assert_nothing_left(self):
        self.assert_back("memory and descriptors as before", lambda state: state.is_back(self.before))
