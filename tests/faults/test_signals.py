"""Signals under load: configurations good, bad and the same again, logs opened anew, thousands of
signals at once, and the end. No request is lost, no stream is cut, no line is missing."""

import collections
import contextlib
import re
import signal
import threading

from case import FaultCase, Guarded, Lean, either
from tools import upstream as answers
from tools.client import chat_request, request
from tools.upstream import wait_until

STREAMS = either(8, 100)
BAD = "[server]\nlisten = 7\nlisen = []\n"


class Load:
    """Requests on kept connections, one after the other, until it is told to stop."""

    def __init__(self, case, clients=3):
        self.case, self.clients = case, clients
        self.stopping = threading.Event()
        self.failed, self.ids = [], []
        self.threads = [threading.Thread(target=self.work) for _ in range(clients)]

    def work(self):
        try:
            with self.case.client() as client:
                while not self.stopping.is_set():
                    response = client.ask(chat_request(self.case.key))
                    self.ids.append(response.get("x-request-id"))
                    if response.status != 200 or not response.complete:
                        self.failed.append(response)
        except BaseException as error:
            self.failed.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_until(lambda: len(self.ids) > self.clients, "the first answers")
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)


class Streams:
    """Streams that have begun, and whose second half waits for `go`."""

    def __init__(self, case, count=STREAMS):
        self.case, self.count = case, count
        self.gate = threading.Event()

    def __enter__(self):
        model = self.case.upstream.on("through", self.answer)
        self.open = []
        for _ in range(self.count):
            client = self.case.client()
            client.send(chat_request(self.case.key, model, stream=True))
            response = client.read_head()
            client.read_until(b"one", response)
            self.open.append((client, response))
        return self

    def answer(self, connection, _request):
        """As long as the load takes, but for the gateway's patience between two reads (120 s)."""
        head = answers.answer_head(content_type="text/event-stream") + b"Transfer-Encoding: chunked\r\n\r\n"
        connection.send(head + answers.chunk(answers.delta("one")))
        return self.gate.wait(100) and connection.send(
            answers.chunk(answers.delta("two")) + answers.chunk(answers.DONE) + b"0\r\n\r\n")

    def finish(self):
        self.gate.set()
        for client, response in self.open:
            client.read_body(response)
            self.case.assertTrue(response.complete and response.body.endswith(answers.DONE), response)

    def __exit__(self, *_):
        self.gate.set()
        for client, _ in self.open:
            client.close()


class SignalCase(FaultCase):
    def told(self, text):
        return self.gateway.log_text().count(text)

    def reload(self, config=None):
        """With the configuration as it is, or with this text; until it is done."""
        before = self.told("reloaded")
        if config is None:
            self.gateway.write_config()
        else:
            self.gateway.config.write_text(config)
        self.gateway.signal(signal.SIGHUP)
        wait_until(lambda: self.told("reloaded") > before, "a word on the reload")

    def allow(self, yes):
        allow = ["/v1/files", "/v1/chat/completions"]
        self.gateway.sections["endpoints"] = {"allow": allow} if yes else {}

    def seen(self):
        return self.gateway.ask(request("GET", "/v1/files", key=self.key)).status == 200


class Reload(SignalCase):
    def test_nothing_is_lost_by_good_bad_and_the_same_files(self):
        with Streams(self) as streams, Load(self) as load:
            for number in range(either(10, 100)):
                kind = ("good", "bad", "same")[number % 3]
                if kind == "good":
                    self.allow(number % 2 == 0)
                was = self.seen()
                self.reload(BAD if kind == "bad" else None)
                wanted = number % 2 == 0 if kind == "good" else was
                wait_until(lambda: self.seen() == wanted, f"the rule after file {number}, {kind}")
            streams.finish()
        self.assertEqual(load.failed, [])
        self.assertGreater(self.told("was not reloaded"), 0)
        self.assert_at_rest()

    def test_usr1_loses_no_line(self):
        log = self.gateway.folder / "access.log"
        with Load(self) as load:
            for number in range(either(10, 100)):
                log.rename(self.gateway.folder / f"access.log.{number}")
                self.gateway.signal(signal.SIGUSR1)
                wait_until(log.exists, "a new log file")
        self.assertEqual(load.failed, [])

        def logged():
            text = "".join(path.read_text() for path in self.gateway.folder.glob("access.log*"))
            lines = collections.Counter(re.findall(r'"request_id":"(\w+)"', text))
            return all(lines[one] == 1 for one in load.ids)
        wait_until(logged, "each answer's line, once")

    def test_a_storm_of_signals_is_taken_together(self):
        self.allow(False)
        self.reload()
        before = self.told("reloaded")
        with Streams(self) as streams, Load(self) as load:
            for number in range(10_000):
                self.gateway.signal(signal.SIGHUP if number % 2 else signal.SIGUSR1)
            self.allow(True)
            self.gateway.write_config()
            self.gateway.signal(signal.SIGHUP)
            wait_until(self.seen, "the last configuration")
            streams.finish()
        self.assertEqual(load.failed, [])
        self.assertLess(self.told("reloaded") - before, 10_000)
        self.allow(False)
        self.reload()
        wait_until(lambda: not self.seen(), "the first configuration again")
        self.assert_at_rest()


class Drain(SignalCase):
    def test_term_lets_streams_finish_and_a_request_under_way(self):
        with Streams(self) as streams, contextlib.ExitStack() as stack:
            idle = [stack.enter_context(self.client()) for _ in range(20)]
            for client in idle:
                self.assertEqual(client.ask(request("GET", "/livez")).status, 200)
            half = stack.enter_context(self.client())
            piece = chat_request(self.key)
            half.send(piece[:-5])  # its head is read, its body is not
            wait_until(lambda: self.gateway.gauges()["sallyport_exchanges"] == STREAMS + 2, "it to begin")
            self.gateway.signal(signal.SIGTERM)
            for client in idle:
                client.expect_closed()
            half.send(piece[-5:])
            response = half.read()
            self.assertEqual(response.status, 200)
            self.assertTrue(response.closes())
            self.assertIsNone(self.gateway.process.poll(), "it ended with streams under way")
            streams.finish()
        self.assertEqual(self.gateway.finish(), 0)


class SecondTerm(SignalCase):
    def test_the_second_term_ends_at_once(self):
        with Streams(self, 2) as streams:
            self.gateway.signal(signal.SIGTERM)
            wait_until(lambda: self.told("shutting down"), "the first one to be heard")
            self.gateway.signal(signal.SIGTERM)
            self.assertEqual(self.gateway.process.wait(20), 0)
            for client, response in streams.open:
                client.read_body(response)
                self.assertFalse(response.complete)


class Memory(SignalCase):
    make = Lean

    def work(self, count):
        for number in range(count):
            self.allow(number % 2 == 0)
            self.reload(BAD if number % 5 == 4 else None)
            for _ in range(3):
                self.assertEqual(self.chat().status, 200)
        self.allow(False)
        self.reload()

    def test_reloads_leave_nothing_behind(self):
        self.work(either(20, 50))
        before = self.gateway.rss_bytes()
        self.work(either(40, 100))
        after = self.gateway.rss_bytes()
        self.assertLessEqual(abs(after - before), 0.05 * before, f"{before} bytes before, {after} after")
