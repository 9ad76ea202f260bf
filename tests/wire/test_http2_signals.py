"""Signals while HTTP/2 connections are open: an end that loses nothing that was asked, new configurations and
new log files under running streams."""

import signal
import threading
import unittest

from tools import http2 as h2
from tools import upstream as answers
from tools.case import UPSTREAM_KEY
from tools.client import chat
from tools.gateway import Gateway
from tools.http2 import Http2Case, Http2Client, frame, tls_context
from tools.upstream import Upstream, wait_until

CHAT = "/v1/chat/completions"
LONG = b"z" * (4 * 1024 * 1024)


class Drain(unittest.TestCase):
    def setUp(self):
        self.upstream = Upstream()
        self.addCleanup(self.upstream.stop)
        self.gateway = Gateway([{"name": "main", "kind": "openai", "url": self.upstream.url,
                                 "api_key": UPSTREAM_KEY}], {"server": {"http2_plain": True}}).start()
        self.addCleanup(self.gateway.discard)
        self.key = self.gateway.key()["key"]

    def tls(self):
        return tls_context("h2") if self.gateway.tls else None

    def h2(self, **options):
        client = Http2Client(self.gateway.port, self.gateway.answers, self.tls(), **options)
        self.addCleanup(client.close)
        return client

    def start(self, client, model="m", **members):
        return client.start("POST", CHAT, body=chat(model, **members), key=self.key)

    def term(self):
        self.gateway.signal(signal.SIGTERM)

    def stop(self):
        self.gateway.stop([self.upstream], [self.upstream])  # exit status 0, and all oracles

    def test_streams_finish_and_requests_on_their_way_are_answered(self):
        gate = threading.Event()
        model = self.upstream.on("last", answers.chunked([answers.delta("one"), gate, answers.DONE]))
        client = self.h2()
        streams = [self.start(client, model, stream=True) for _ in range(20)]
        for stream in streams:
            client.read_until(b"one", stream)
        self.term()
        self.assertTrue(client.wait(lambda: client.goaways))
        self.assertEqual(client.goaways, [(2**31 - 1, h2.NO_ERROR)])
        late = client.finish(self.start(client))  # between the two
        self.assertEqual((late.status, late.ended), (200, True))
        self.assertTrue(client.wait(lambda: len(client.goaways) == 2))
        self.assertEqual(client.goaways[1], (late.id, h2.NO_ERROR))
        refused = self.start(client)
        self.assertTrue(client.ping())
        self.assertFalse(refused.status)
        gate.set()
        for stream in streams:
            client.finish(stream)
            self.assertTrue(stream.body.endswith(answers.DONE), stream)
        client.wait(lambda: False)
        self.assertIsNone(client.failed)
        self.stop()

    def test_idle_connections_end_and_do_not_hold_the_gateway(self):
        clients = [self.h2() for _ in range(10)]
        for client in clients[:5]:
            self.assertEqual(client.ask("GET", "/livez").status, 200)
        self.assertTrue(all(client.ping() for client in clients))
        half = self.h2()  # and one that has begun to ask
        self.assertTrue(half.ping())  # or our word on its settings might come within the head
        half.frame(h2.HEADERS, 0, 1, b"\x82")
        self.term()
        for client in clients + [half]:
            client.expect_end(h2.NO_ERROR)
            self.assertEqual(len(client.goaways), 2, client)
            client.close()
        self.stop()

    def test_a_client_that_reads_slowly_gets_all_of_its_answer(self):
        model = self.upstream.on("long", answers.whole(b'"' + LONG + b'"'))
        slow, idle = self.h2(receive_buffer_bytes=4096), self.h2()
        self.assertTrue(idle.ping())
        stream = self.start(slow, model)
        self.assertTrue(slow.wait(lambda: stream.body))
        self.term()
        idle.expect_end(h2.NO_ERROR)  # the second one has come, and this one has not read anything since
        slow.finish(stream)
        self.assertTrue(stream.ended and len(stream.body) == len(LONG) + 2)
        slow.close()
        self.stop()

    def test_an_upload_that_was_begun_is_taken(self):
        client = self.h2()
        stream = client.start("POST", CHAT, body=True, key=self.key)
        client.send_body(stream, b'{"model":"m","messages":[]', end=False)
        self.assertTrue(client.ping())
        self.term()
        self.assertTrue(client.wait(lambda: len(client.goaways) == 2))
        client.send_body(stream, b"}")
        self.assertEqual(client.finish(stream).status, 200)
        client.close()
        self.stop()

    def test_new_connections_are_not_taken_any_more(self):
        gate = threading.Event()
        client = self.h2()
        stream = self.start(client, self.upstream.on("held", answers.chunked([answers.delta("one"), gate])), stream=True)
        client.read_until(b"one", stream)
        self.term()
        self.assertTrue(client.wait(lambda: client.goaways))

        def refused():
            try:
                with Http2Client(self.gateway.port, tls=self.tls()) as other:
                    other.sock.settimeout(1)
                    return not other.ping()
            except (OSError, AssertionError):
                return True
        wait_until(refused, "the listener closes")
        gate.set()
        client.finish(stream)
        client.close()
        self.stop()

    def test_a_client_that_reads_nothing_does_not_hold_it_for_ever(self):
        self.gateway.sections["server"]["drain_timeout"] = "2s"
        self.gateway.write_config()
        self.gateway.signal(signal.SIGHUP)
        wait_until(lambda: "was reloaded" in self.gateway.heard(), "the reload")
        client = self.h2(window=0, reads=False)
        stream = self.start(client, self.upstream.on("held", answers.chunked([answers.delta("one")])), stream=True)
        self.assertTrue(client.wait(lambda: stream.status))
        self.gateway.answers.clear()
        self.term()
        self.gateway.process.wait(30)
        line = self.gateway.logged(stream)
        self.assertEqual((line["decision"], line.get("incomplete")), ("shutting_down", True))


class Reload(Http2Case):
    def reload(self, timeout):
        self.gateway.sections["server"]["idle_timeout"] = timeout
        self.gateway.write_config()
        self.gateway.signal(signal.SIGHUP)

    def test_20_reloads_under_50_streams_lose_nothing(self):
        gate = threading.Event()
        model = self.upstream.on("through", answers.chunked([answers.delta("one"), gate, answers.DONE]))
        client, other = self.h2(), self.h2()
        streams = [self.start_chat(client, model, stream=True) for _ in range(50)]
        for stream in streams:
            client.read_until(b"one", stream)
        for n in range(20):
            self.reload(f"{60 + n}s")
            if n % 5 == 0:
                self.gateway.signal(signal.SIGUSR1)
            for _ in range(5):
                self.assert_fine(self.ask_chat(client))
                self.assert_fine(self.ask_chat(other))
            self.assert_fine(self.h2().ask("GET", "/livez"))
        gate.set()
        for stream in streams:
            self.assert_fine(client.finish(stream))
            self.assertTrue(stream.body.endswith(answers.DONE))
        self.assertEqual((client.goaways, other.goaways), ([], []))

    def test_new_logs_have_the_lines_of_streams_that_began_before(self):
        gate = threading.Event()
        model = self.upstream.on("log", answers.chunked([answers.delta("one"), gate, answers.DONE]))
        client = self.h2()
        stream = self.start_chat(client, model, stream=True)
        client.read_until(b"one", stream)
        log = self.gateway.folder / "access.log"
        before = self.ask_chat(client)
        self.gateway.logged(before)
        old = log.rename(self.gateway.folder / "access.log.1")
        self.gateway.signal(signal.SIGUSR1)
        wait_until(log.exists, "a new log")
        gate.set()
        self.assert_fine(client.finish(stream))
        self.gateway.logged(stream)
        with log.open("ab") as both:  # for the oracles, which read one
            both.write(old.read_bytes())
