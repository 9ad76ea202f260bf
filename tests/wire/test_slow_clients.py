"""Slow and greedy clients (HOSTILE SL-01 to SL-07, RX-01, RX-05): whoever holds connections and asks nothing
makes room for whoever asks. SALLYPORT_SOAK=1 holds as many as the machine's descriptors allow."""

import os
import re
import resource
import select
import signal
import socket
import threading

from tools import upstream as answers
from tools.case import WireCase
from tools.client import BadAnswer, Client, chat_request, request
from tools.gateway import Gateway
from tools.upstream import wait_until

SOAK = bool(os.environ.get("SALLYPORT_SOAK"))
HELD = min(10000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 500) if SOAK else 500
CHURNED = 20000 if SOAK else 2000
WINDOW_S = 1.0  # in which the processor's time is measured
BUSY_SHARE = 0.2


def descriptors(gateway):
    return len(os.listdir(f"/proc/{gateway.process.pid}/fd"))


def cpu_s(gateway):
    fields = open(f"/proc/{gateway.process.pid}/stat", encoding="ascii").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Pace(WireCase):
    """A body has as long to pause as body_timeout says, and that is its grace before its rate counts."""
    sections = {"server": {"body_timeout": "1s", "min_body_rate": 1000}}
    plain = True  # what TLS sends beside answers looks like one

    def trickle(self, piece_bytes):
        """Sends a body of 4000 bytes in pieces, ten a second; the answer's status."""
        piece = chat_request(self.key, content="x" * 4000)
        at = piece.index(b"\r\n\r\n") + 4
        with self.client() as client:
            client.send(piece[:at])
            while at < len(piece):
                if not client.send(piece[at:at + piece_bytes]):
                    break
                at += piece_bytes
                if select.select([client.sock], [], [], 0.1)[0]:
                    break
            response = client.read()
            if response.status == 408:
                client.expect_closed()
            return response.status, at

    def test_a_trickle_is_given_up_although_it_never_pauses(self):
        calls = self.calls()
        status, sent = self.trickle(10)
        self.assertEqual(status, 408)
        self.assertLess(sent, 3000)
        self.assertEqual(self.calls(), calls)

    def test_a_slow_client_above_the_rate_is_served(self):
        self.assertEqual(self.trickle(250)[0], 200)


class NoPace(WireCase):
    sections = {"server": {"body_timeout": "1s", "min_body_rate": 0}}
    plain = True
    trickle = Pace.trickle

    def test_without_a_rate_only_pauses_count(self):
        self.assertEqual(self.trickle(150)[0], 200)


class Held(WireCase):
    """SL-01 to SL-04: many that are slow in every way, beyond server.max_connections."""
    sections = {"server": {"max_connections": max(100, HELD * 4 // 5), "header_timeout": "60s",
                           "body_timeout": "60s"}}
    plain = True

    @classmethod
    def set_up(cls):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))

    def open(self, i):
        piece = (b"", b"GET / HTTP/1.1\r\nHost: a\r\nX: ", request(path="/livez"))[i % 3]
        sock = socket.create_connection(("127.0.0.1", self.gateway.port), 30)
        sock.sendall(piece)
        return sock

    def on_kept_connections(self, count):
        """Asks as often as that; one that was closed since its last answer is replaced, as all clients do."""
        while count:
            with self.client() as client:
                fresh = True
                while count:
                    try:
                        yield client.ask(chat_request(self.key)).status
                    except BadAnswer as error:
                        if fresh or not re.search("(ConnectionResetError after|ends within a line:) b''$", str(error)):
                            raise
                        break
                    fresh, count = False, count - 1

    def test_a_good_client_gets_every_answer(self):
        held, statuses, failed, stop = [], [], [], threading.Event()

        def ask():
            try:
                while not stop.is_set():
                    statuses.append(self.chat().status)
                    statuses.append(self.get("/livez").status)
                    statuses.extend(self.on_kept_connections(3))
            except Exception as error:  # whatever it is, an answer was not had
                failed.append(error)
        asking = threading.Thread(target=ask)
        asking.start()
        try:
            for i in range(HELD):
                held.append(self.open(i))
            count = len(statuses)
            wait_until(lambda: failed or len(statuses) > count + 20, "answers while all are held", 60)
            stop.set()
            asking.join()
            before = cpu_s(self.gateway)
            threading.Event().wait(WINDOW_S)
            self.assertLess(cpu_s(self.gateway) - before, BUSY_SHARE * WINDOW_S, "it spins")
        finally:
            stop.set()
            asking.join()
            for sock in held:
                sock.close()
        self.assertEqual(failed, [])
        self.assertEqual(set(statuses), {200})
        self.until_alone()


class Full(WireCase):
    """RX-05: nobody waits, so nobody can be shed: only health checks are answered beyond the limit."""
    sections = {"server": {"max_connections": 10, "workers": 1}}
    plain = True

    def test_beyond_the_limit_only_health_is_answered(self):
        gate = threading.Event()
        model = self.upstream.on("busy", answers.chunked([answers.delta("one"), gate, answers.DONE]))
        streams = []
        try:
            for _ in range(10):
                client = self.client()
                streams.append((client, None))
                client.send(chat_request(self.key, model, stream=True))
                response = client.read_head()
                client.read_until(b"one", response)
                streams[-1] = (client, response)
            with self.client() as client:
                response = client.ask(request(path="/livez"))
                self.assertEqual((response.status, response.closes()), (200, True))
                client.expect_closed()
            with self.client() as client:
                response = client.ask(chat_request(self.key))
                self.assert_refused(response, 503, "SERVICE_UNAVAILABLE")
                self.assertTrue(response.closes())
            with self.client() as client:  # one that says nothing is not kept for long
                client.expect_closed()
        finally:
            gate.set()
            for client, response in streams:
                if response:
                    self.assertTrue(client.read_body(response).complete)
                client.close()
        wait_until(lambda: self.chat().status == 200, "room again")

    def test_one_that_has_just_asked_is_spared(self):
        """Its request lies there unread when another comes, and there is no more room."""
        self.until_alone()
        others = []
        first, second = self.client(), self.client()
        try:
            for client in (first, second):
                self.assertEqual(client.ask(request(path="/livez")).status, 200)
            others = [self.client() for _ in range(6)]
            for client in others:
                self.assertEqual(client.ask(request(path="/livez")).status, 200)
            self.gateway.signal(signal.SIGSTOP)  # so that what comes is seen in one turn, in this order
            os.waitid(os.P_PID, self.gateway.process.pid, os.WSTOPPED | os.WNOWAIT)
            try:
                others.append(self.client())
                first.send(chat_request(self.key))
            finally:
                self.gateway.signal(signal.SIGCONT)
            self.assertEqual(first.read().status, 200)
            second.expect_closed()
        finally:
            for client in (first, second, *others):
                client.close()

    def test_the_oldest_that_waits_makes_room(self):
        self.until_alone()
        first = self.client()
        self.addCleanup(first.close)
        self.assertEqual(first.ask(request(path="/livez")).status, 200)
        others = [self.client() for _ in range(20)]
        try:
            first.expect_closed()
            self.assertEqual(others[-1].ask(chat_request(self.key)).status, 200)
        finally:
            for client in others:
                client.close()


class FewFiles(Gateway):
    before = ("prlimit", "--nofile=256:256")


class FewDescriptors(WireCase):
    """RX-01, SL-06: too few descriptors for server.max_connections."""
    plain = True
    gateway_class = FewFiles

    def test_the_start_says_how_many_connections_there_can_be(self):
        self.assertIn("server.max_connections", "\n".join(self.gateway.said))
        self.assertIn("LimitNOFILE", "\n".join(self.gateway.said))

    def test_a_thousand_leave_the_way_upstream_open(self):
        held = []
        try:
            for _ in range(1000):
                held.append(socket.create_connection(("127.0.0.1", self.gateway.port), 30))
            self.assertEqual([self.chat().status for _ in range(10)], [200] * 10)
            self.assertEqual(self.get("/livez").status, 200)
            before = cpu_s(self.gateway)
            threading.Event().wait(WINDOW_S)
            self.assertLess(cpu_s(self.gateway) - before, BUSY_SHARE * WINDOW_S, "it spins")
        finally:
            for sock in held:
                sock.close()
        self.assertEqual([self.chat().status for _ in range(10)], [200] * 10)

    def test_when_they_run_out_those_that_wait_make_room(self):
        """The limit shrinks under the running process, so that accept itself fails."""
        pid = self.gateway.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors(self.gateway) + 20, 256))
        held = []
        try:
            for _ in range(100):
                held.append(socket.create_connection(("127.0.0.1", self.gateway.port), 30))
            for _ in range(10):
                self.assertEqual(self.get("/livez").status, 200)
            wait_until(lambda: "no descriptor is left" in self.gateway.heard(), "a complaint")
            self.assertEqual(self.gateway.heard().count("no descriptor is left"), 1)
            start = cpu_s(self.gateway)
            threading.Event().wait(WINDOW_S)
            self.assertLess(cpu_s(self.gateway) - start, BUSY_SHARE * WINDOW_S, "it spins")
        finally:
            for sock in held:
                sock.close()
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        self.assertEqual(self.chat().status, 200)


class Churn(WireCase):
    """SL-07: connections that come and go leave nothing behind, whatever they did before."""

    def test_nothing_is_left(self):
        self.chat()
        before = None
        for i in range(CHURNED):
            with Client(self.gateway.port) as client:
                if i % 3 == 1:
                    client.send(b"GET / HT")
                elif i % 3 == 2:
                    client.send(request(path="/livez"))
            if i == 200:
                before = descriptors(self.gateway)
        wait_until(lambda: descriptors(self.gateway) <= before + 5, "the descriptors to come back")
        self.assertEqual(self.chat().status, 200)
