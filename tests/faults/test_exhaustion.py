"""Descriptors and disks that run out: what can still be answered is, what cannot is refused, nothing
spins meanwhile, and all is well again when there is room, without a restart."""

import json
import os
import pathlib
import resource
import select
import shutil
import signal
import subprocess
import threading
import time

from case import CLOSED, FaultCase, Guarded
from tools.client import chat_request, request
from tools.gateway import environment
from tools.upstream import wait_until

WINDOW_S = 1.0  # in which the processor's time is measured
BUSY_SHARE = 0.2
LEFT = 20  # descriptors


class Busy:
    def assert_not_spinning(self):
        before = self.gateway.cpu_s()
        time.sleep(WINDOW_S)
        self.assertLess(self.gateway.cpu_s() - before, BUSY_SHARE * WINDOW_S, "it spins")


class Descriptors(Busy):
    """The limit comes down while the gateway runs, below what it made sure of at its start."""

    def setUp(self):
        super().setUp()
        pid = self.gateway.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        used = max(int(number) for number in os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + LEFT, before[1]))
        self.addCleanup(resource.prlimit, pid, resource.RLIMIT_NOFILE, before)
        self.said = len(self.gateway.log_text())

    def exhaust(self, beginning=b""):
        """A hundred clients that have sent this."""
        clients = []
        for _ in range(100):
            client = self.client()
            self.addCleanup(client.close)
            client.send(beginning)
            clients.append(client)
        wait_until(lambda: "no descriptor is left" in self.gateway.log_text()[self.said:], "the limit")
        return clients


class WaitingClients(Descriptors, FaultCase):
    def test_they_make_room(self):
        clients = self.exhaust()
        self.assert_not_spinning()
        self.assertEqual(clients[-1].ask(request("GET", "/livez")).status, 200)
        with self.client() as late:
            response = self.outcome(chat_request(self.key), late)
            self.assertNotEqual(response, CLOSED)
            if response.status != 200:
                self.assert_refusal(response, (502, 503))


class ServedClients(Descriptors, FaultCase):
    def test_they_stay(self):
        whole = chat_request(self.key)
        clients = self.exhaust(whole[:-1])
        closed, _, _ = select.select([client.sock for client in clients], [], [], 0)
        served = [client for client in clients if client.sock not in closed]
        self.assertGreater(len(served), LEFT // 2)
        self.assert_not_spinning()

        # A configuration that cannot be read changes nothing; a command waits for its turn.
        self.gateway.signal(signal.SIGHUP)
        wait_until(lambda: "reloaded" in self.gateway.log_text()[self.said:], "a word on the reload")
        made = []
        command = threading.Thread(target=lambda: made.append(self.gateway.create("late")))
        command.start()

        # Who is connected is answered, or told that there is no way upstream.
        response = self.outcome(whole[-1:], served[0])
        self.assertNotEqual(response, CLOSED)
        if response.status != 200:
            self.assert_refusal(response, (502, 503))

        # Those that wait in the queue are served when there is room.
        with self.client() as last:
            last.send(request("GET", "/livez"))
            for client in clients:
                client.close()
            self.assertEqual(last.read().status, 200)
        command.join(20)
        self.assertEqual(len(made), 1)
        self.assertEqual(self.chat(key=made[0]["key"]).status, 200)
        self.assertEqual(self.chat().status, 200)
        said = len(self.gateway.log_text())
        self.gateway.signal(signal.SIGHUP)
        wait_until(lambda: "was reloaded" in self.gateway.log_text()[said:], "the reload")
        self.assert_at_rest()


class SmallDisk(Guarded):
    """Its files are on a disk of 256 KiB that only it has: mounted in a namespace of its own, over a
    folder that the tests reach by way of /proc."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        (self.folder / "small").mkdir()
        # In a chroot / is no mount point and cannot be made private; stop() sees to what shows outside then.
        self.before = ("unshare", "--mount", "--propagation", "unchanged", "sh", "-c",
                       'mount --make-rprivate / 2>/dev/null; '
                       'mount -t tmpfs -o size=256k,mode=700 none "$0" && exec "$@"',
                       str(self.folder / "small"))

    def stop(self, *arguments, **options):
        try:
            return super().stop(*arguments, **options)
        finally:
            if os.path.ismount(self.folder / "small"):
                subprocess.run(["umount", str(self.folder / "small")], check=True)
                shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def small(self):
        return pathlib.Path(f"/proc/{self.process.pid}/root{self.folder}/small")

    def control_path(self):
        return self.small / "control.sock"

    def log_text(self):
        return (self.small / "app.log").read_text(errors="replace")

    def audit_log(self):
        return []  # what proves it is gone when somebody asks: see prove()

    def prove(self):
        """`audit verify`, as the gateway sees its files."""
        root = f"/proc/{self.process.pid}/root{self.folder}"
        config = self.folder / "seen.toml"
        config.write_text(f'[store]\nurl = "sqlite:{root}/small/store.db"\n'
                          f'[log]\naudit = "{root}/{self.sections["log"]["audit"]}"\n')
        return subprocess.run([self.binary, "audit", "verify", "--config", config], env=environment(),
                              capture_output=True, text=True, timeout=60)

    def fill(self):
        """To the last byte, also what was given back since the last time."""
        with open(self.small / "filler", "ab", buffering=0) as file:
            piece = bytes(4096)
            try:
                while piece:
                    file.write(piece)
            except OSError:
                pass

    def make_room(self):
        (self.small / "filler").unlink()

    def lines(self):
        """The access log's lines, whole ones and others."""
        whole, torn = [], 0
        for line in (self.small / "access.log").read_bytes().split(b"\n")[:-1]:
            try:
                whole.append(json.loads(line))
            except ValueError:
                torn += 1
        return whole, torn


class Disk(Busy, FaultCase):
    make = SmallDisk
    sections = {"store": {"url": "sqlite:small/store.db"},
                "log": {"access": "small/access.log", "app": "small/app.log"}}

    def test_it_runs_full_and_has_room_again(self):
        kept = self.gateway.create("kept")
        self.assertEqual(self.chat(key=kept["key"]).status, 200)
        for turn in range(3):
            self.gateway.fill()
            # Requests go on; lines that cannot be written are counted.
            before = self.gateway.gauges()["sallyport_log_lines_dropped_total"]

            def dropped():
                self.assertEqual(self.chat(key=kept["key"]).status, 200)
                return self.gateway.gauges()["sallyport_log_lines_dropped_total"] > before
            wait_until(dropped, "a line that is lost")
            self.assert_not_spinning()

            # What the store cannot keep is not done, and said not to be.
            made, refused = self.until_refused()
            self.assertIn("nothing was changed", refused["message"])
            self.gateway.fill()  # the write-ahead log was emptied
            refusal = self.gateway.control("key_revoke", id=kept["id"])
            self.assertFalse(refusal["ok"], refusal)
            self.assertIn("nothing was changed", refusal["message"])
            self.assertEqual(self.chat(key=kept["key"]).status, 200)
            self.assertEqual(self.gateway.statuses()[kept["id"]], "live")

            self.gateway.make_room()
            late = self.gateway.create(f"after {turn}")
            self.assertEqual(self.chat(key=late["key"]).status, 200)
            self.assertTrue(self.gateway.control("key_revoke", id=late["id"])["ok"])
            self.assertEqual(self.chat(key=late["key"]).status, 401)
            for key in made:
                self.assertEqual(self.chat(key=key["key"]).status, 200)
            answer = self.chat()
            wait_until(lambda: any(line["request_id"] == answer.get("x-request-id")
                                   for line in self.gateway.lines()[0]), "the log to be written again")
            self.assertLessEqual(self.gateway.lines()[1], turn + 1, "one torn line for each time")
        self.assertTrue(self.gateway.control("key_revoke", id=kept["id"])["ok"])
        self.assertEqual(self.chat(key=kept["key"]).status, 401)
        self.assert_at_rest()
        proof = self.gateway.prove()
        self.assertEqual(proof.returncode, 0, proof.stdout + proof.stderr)

    def until_refused(self):
        """The write-ahead log may have room of its own for a few."""
        made = []
        for number in range(500):
            key = self.gateway.create(f"more {number}")
            if key.get("ok") is False:
                return made, key
            made.append(key)
        self.fail("the disk is full, and 500 keys were made")

    @classmethod
    def tearDownClass(cls):
        # The disk goes with the process: look at the store first.
        try:
            for name in ("store.db", "store.db-wal"):
                shutil.copy(cls.gateway.small / name, cls.gateway.folder / name)
            cls.stored = cls.gateway.integrity()
        finally:
            super().tearDownClass()

    @classmethod
    def complaints(cls):
        return super().complaints() + ([] if cls.stored == "ok" else [f"the store: {cls.stored}"])


class DiskOfAllLogs(Disk):
    sections = {**Disk.sections, "log": {**Disk.sections["log"], "audit": "small/audit.log"}}
