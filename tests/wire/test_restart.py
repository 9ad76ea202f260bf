"""An operator at work under load: reloads, new log files, and restarts in which the listening socket stays
open because it is inherited. Nothing is lost and no stream is cut, plain and over TLS."""

import os
import shutil
import signal
import socket
import sys
import threading

from tools import oracles, tls
from tools import upstream as answers
from tools.case import WireCase
from tools.client import BadAnswer, Client, chat_request, request
from tools.gateway import Gateway
from tools.upstream import wait_until

SOAK = bool(os.environ.get("SALLYPORT_SOAK"))
RELOADS = 100 if SOAK else 20
RESTARTS = 50 if SOAK else 10

# Stands between us and the gateway: gives it descriptors from 3 on, and says that they are for it.
HAND_OVER = """
import os, sys
pid, count = sys.argv[1], int(sys.argv[2])
for i, fd in enumerate(sys.argv[3:3 + count]):
    os.dup2(int(fd), 100 + i)
    os.close(int(fd))
for i in range(count):
    os.dup2(100 + i, 3 + i, True)
    os.close(100 + i)
os.environ["LISTEN_PID"] = pid or str(os.getpid())
os.environ["LISTEN_FDS"] = str(count)
os.execv(sys.argv[3 + count], sys.argv[3 + count:])
"""


class Load:
    """Asks until it is stopped, on kept connections and on new ones. What was lost is in `lost`."""

    def __init__(self, case, ask, threads=2):
        self.case, self.ask = case, ask
        self.stop = threading.Event()
        self.lost, self.served = [], 0
        self.threads = [threading.Thread(target=work) for work in [self.anew, self.kept] * threads]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def note(self, response):
        self.served += 1
        if response.status != 200 or not response.complete:
            self.lost.append(response)

    def anew(self):
        while not self.stop.is_set():
            try:
                with self.case.client() as client:
                    self.note(client.ask(self.ask))
            except Exception as error:  # whatever it was, a request is lost
                self.lost.append(error)

    def kept(self):
        while not self.stop.is_set():
            try:
                with self.case.client() as client:
                    first = True
                    while not self.stop.is_set():
                        response = self.again(client, first)
                        if response is None or response.closes():
                            break
                        first = False
            except Exception as error:
                self.lost.append(error)

    def again(self, client, first):
        """None: the gateway closed between two requests, as it may; the client opens a new connection."""
        try:
            response = client.ask(self.ask)
        except BadAnswer:
            if first or client.unread:
                raise
            return None
        self.note(response)
        return response


class Streams:
    """Some that are under way; each says a word when told to, and ends when told to."""

    def __init__(self, case, name, words, doors=(0,)):
        self.gates = [threading.Event() for _ in range(words + 1)]
        pieces = [answers.delta("first")]
        for i, gate in enumerate(self.gates[:-1]):
            pieces += [gate, answers.delta(f"word-{i}.")]
        model = case.upstream.on(name, answers.chunked([*pieces, self.gates[-1], answers.DONE]))
        self.open, self.at = [], 0
        for door in doors:
            client = case.client_at(door)
            client.send(chat_request(case.key, model, stream=True))
            response = client.read_head()
            client.read_until(b"first", response)
            self.open.append((client, response))

    def say(self):
        self.gates[self.at].set()
        for client, response in self.open:
            client.read_until(b"word-%d." % self.at, response)
        self.at += 1

    def finish(self, case):
        for gate in self.gates:
            gate.set()
        for client, response in self.open:
            client.read_body(response)
            case.assertTrue(response.complete, response)
            case.assertTrue(response.body.endswith(answers.DONE), response)
            client.close()


class Doors(WireCase):
    """Both ways in: door 0 is plain, door 1 speaks TLS."""
    sections = {"server": {"listen": ["http://127.0.0.1:0", "https://127.0.0.1:0"], **tls.settings()}}

    def client_at(self, door):
        return Client(self.gateway.ports[door], self.gateway.answers, tls=tls.context() if door else None)


class Reloads(Doors):
    def said(self, text):
        return self.gateway.heard().count(text)

    def reload(self, i):
        good = i % 2 == 0
        if good:
            self.gateway.sections["endpoints"] = {"deny": ["/v1/files"]} if i % 4 else {}
            self.gateway.write_config()
        else:
            self.gateway.config.write_text("[server]\nlisen = 7\n")
        mark = "was reloaded" if good else "lisen"
        before = self.said(mark)
        self.gateway.signal(signal.SIGHUP)
        wait_until(lambda: self.said(mark) > before, "a word on the reload")

    def test_nothing_is_lost_in_reloads(self):
        class Door:
            def __init__(self, case, door):
                self.client = lambda: case.client_at(door)
        # A stream's words stand apart: the upstream's patience with a gate has an end.
        streams = Streams(self, "reloads", RELOADS, doors=(0, 1, 0, 1))
        with Load(Door(self, 0), chat_request(self.key), 1) as plain, \
                Load(Door(self, 1), chat_request(self.key), 1) as secure:
            for i in range(RELOADS):
                self.reload(i)
                self.gateway.signal(signal.SIGUSR1)
                streams.say()
            served = plain.served, secure.served
            wait_until(lambda: plain.served > served[0] and secure.served > served[1], "answers at the end")
        streams.finish(self)
        self.assertEqual(plain.lost + secure.lost, [])


class Spread(Doors):
    """A few long connections use both workers. Whoever wakes up for a connection is its worker."""

    def wakes(self):
        tasks = f"/proc/{self.gateway.process.pid}/task"
        found = {}
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/status", encoding="ascii") as lines:
                status = dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)
            if status["Name"].startswith("sp-worker-"):
                found[status["Name"]] = int(status["voluntary_ctxt_switches"])
        return found

    def worker_of(self, client):
        before = self.wakes()
        for _ in range(100):
            self.assertEqual(client.ask(request(path="/livez")).status, 200)
        after = self.wakes()
        return max(after, key=lambda name: after[name] - before[name])

    def setUp(self):
        if len(self.wakes()) != 2:
            self.skipTest("there are not two workers")
        self.until_alone()

    def test_two_connections_are_on_two_workers(self):
        for doors in ((0, 0), (1, 1), (0, 1)):
            with self.client_at(doors[0]) as first, self.client_at(doors[1]) as second:
                self.assertNotEqual(self.worker_of(first), self.worker_of(second))
            self.until_alone()  # or one that is not gone yet would count

    def test_streams_count_too(self):
        """A stream weighs two: the next two connections go to the other worker."""
        streams = Streams(self, "spread", 0, doors=(0,))
        try:
            with self.client_at(0) as first, self.client_at(1) as second:
                self.assertEqual(self.worker_of(first), self.worker_of(second))
        finally:
            streams.finish(self)


class Heir(Gateway):
    """A gateway that finds its listening sockets open."""

    def __init__(self, *arguments, sockets=(), pid="", **options):
        super().__init__(*arguments, **options)
        self.descriptors = tuple(sock.fileno() for sock in sockets)
        self.before = (sys.executable, "-c", HAND_OVER, pid, str(len(sockets)),
                       *(str(fd) for fd in self.descriptors))

    def next(self):
        """The process after this one, in the same folder."""
        heir = Heir()
        shutil.rmtree(heir.folder)
        for name in ("folder", "config", "sections", "upstreams", "secrets", "answers", "tls", "descriptors",
                     "before"):
            setattr(heir, name, getattr(self, name))
        return heir


class Inherited(WireCase):
    server = {}

    @classmethod
    def setUpClass(cls):
        cls.door = socket.create_server(("127.0.0.1", 0), backlog=512)
        cls.sections = {"server": {"listen": [f"127.0.0.1:{cls.door.getsockname()[1]}"], **cls.server}}
        cls.gateway_class = lambda *arguments, **options: Heir(*arguments, sockets=[cls.door], **options)
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        try:
            super().tearDownClass()
        finally:
            cls.door.close()

    def client_at(self, _door):
        return self.client()

    def restart(self):
        """TERM to the old process and the start of the new one at once; the old one ends by itself."""
        old, new = self.gateway, self.gateway.next()
        old.signal(signal.SIGTERM)
        new.start()
        type(self).gateway = new
        return old

    def assert_ended(self, old):
        self.assertEqual(old.finish(), 0)
        self.assertEqual(oracles.sanitizers(old.said), [])

    def test_nothing_is_lost_in_restarts(self):
        with Load(self, chat_request(self.key)) as load:
            for i in range(RESTARTS):
                streams = Streams(self, f"restart-{i}", 0, doors=(0, 0))
                old = self.restart()
                self.assertIsNone(old.process.poll(), "ended with streams under way")
                served = load.served
                wait_until(lambda: load.served > served + 5, "answers from the new process")
                streams.finish(self)
                self.assert_ended(old)
        self.assertEqual(load.lost, [])

    def test_a_key_made_by_the_new_process_counts(self):
        old = self.restart()
        key = self.gateway.key("after")["key"]
        self.assertEqual(self.chat(key=key).status, 200)
        self.assert_ended(old)


class HandedOver(WireCase):
    def test_who_is_refused_once_the_audit_log_is_another_s_is_still_answered(self):
        with socket.create_server(("127.0.0.1", 0)) as door:
            listen = {"server": {"listen": [f"127.0.0.1:{door.getsockname()[1]}"]}}
            old = Heir(self.upstream_list(), listen, sockets=[door], plain=True).start()
            self.addCleanup(old.discard)
            key = old.key("no streams", "run_inference")["key"]
            head, body = chat_request(key, fields=[("Expect", "100-continue")], stream=True).split(b"\r\n\r\n")
            with old.client() as client:
                client.send(head + b"\r\n\r\n")
                self.assertEqual(client.read_head().status, 100)  # it has begun
                old.signal(signal.SIGTERM)
                new = old.next().start()  # which waits until the folder is its own
                self.addCleanup(new.kill)
                client.send(body)
                self.assertEqual(client.read().status, 403)
            self.assertEqual(old.finish(), 0)
            self.assertEqual(oracles.sanitizers(old.said), [])
            self.assertEqual(new.ask(chat_request("wrong")).status, 401)
            self.assertEqual(new.finish(), 0)
            self.assertEqual(new.command("audit", "verify").returncode, 0)
            events = [record["event"] for record in new.audit_log()]
            self.assertEqual(events, ["start", "key_create", "stop", "start", "denied", "stop"])


class InheritedTls(Inherited):
    server = {"tls_enabled": True, **tls.settings()}

    @classmethod
    def set_up(cls):
        cls.gateway.tls = tls.context()


class NotForIt(WireCase):
    """Sockets that are another's, or that nobody asked for."""

    def start(self, sockets, listen, pid=""):
        gateway = Heir(self.upstream_list(), {"server": {"listen": listen}}, sockets=sockets, pid=pid, plain=True)
        self.addCleanup(gateway.discard)
        return gateway.start()

    def sockets(self, *names):
        made = [socket.create_server(("127.0.0.1", 0)) for _ in names]
        for sock in made:
            self.addCleanup(sock.close)
        return made

    @staticmethod
    def log_of(gateway):
        return "\n".join(gateway.said)

    def test_one_that_is_not_listed_is_named_and_closed(self):
        used, unused = self.sockets("used", "unused")
        ports = [sock.getsockname()[1] for sock in (used, unused)]
        gateway = self.start([used, unused], [f"127.0.0.1:{ports[0]}"])
        self.assertEqual(gateway.ports, [ports[0]])
        wait_until(lambda: f"127.0.0.1:{ports[1]} is not used" in self.log_of(gateway), "a warning")
        unused.close()
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", ports[1]))
        self.assertEqual(gateway.ask(request(path="/livez")).status, 200)
        self.assertEqual(gateway.finish(), 0)

    def test_those_of_another_process_are_left_alone(self):
        other, = self.sockets("other")
        gateway = self.start([other], ["127.0.0.1:0"], pid="1")
        self.assertNotIn("is not used", self.log_of(gateway))
        self.assertNotEqual(gateway.port, other.getsockname()[1])
        self.assertEqual(gateway.ask(request(path="/livez")).status, 200)
        self.assertEqual(gateway.finish(), 0)

    def test_what_is_no_listening_socket_is_dropped(self):
        first, second = socket.socketpair()
        self.addCleanup(first.close)
        self.addCleanup(second.close)
        gateway = self.start([second], ["127.0.0.1:0"])
        second.close()
        first.settimeout(10)
        self.assertEqual(first.recv(1), b"")
        self.assertEqual(gateway.finish(), 0)

    def test_an_address_that_is_taken_is_refused_and_the_socket_named(self):
        sock = socket.create_server(("127.0.0.2", 0))
        self.addCleanup(sock.close)
        busy, = self.sockets("busy")
        with self.assertRaises(AssertionError) as caught:
            self.start([sock], [f"127.0.0.1:{busy.getsockname()[1]}"])
        self.assertIn("cannot listen", str(caught.exception))
        self.assertIn("is not used", str(caught.exception))
