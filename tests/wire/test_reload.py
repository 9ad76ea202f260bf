"""Signals: a new configuration, new log files, and an end that lets streams finish."""

import signal
import threading

from tools import upstream as answers
from tools.case import WireCase
from tools.client import chat_request, request
from tools.gateway import Gateway
from tools.upstream import wait_until


class Reload(WireCase):
    def reload(self, change):
        change(self.gateway)
        self.gateway.write_config()
        self.gateway.signal(signal.SIGHUP)

    def tearDown(self):
        self.gateway.sections["endpoints"] = {}
        self.gateway.upstreams = self.upstream_list()
        self.gateway.write_config()
        self.gateway.signal(signal.SIGHUP)
        wait_until(lambda: self.get("/v1/files", key=self.key).status == 403
                   and b"fine" in self.chat().body, "the first configuration again")

    def test_a_good_file_takes_effect_and_no_request_fails(self):
        failed, stop = [], threading.Event()

        def load():
            with self.client() as client:
                while not stop.is_set():
                    response = client.ask(chat_request(self.key))
                    if response.status != 200:
                        failed.append(response)
        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(5):
                # The operator's list stands in the place of the default one.
                allow = ["/v1/files", "/v1/chat/completions"]
                self.reload(lambda gateway: gateway.sections.update(endpoints={"allow": allow}))
                wait_until(lambda: self.get("/v1/files", key=self.key).status == 200, "the new rule")
                self.reload(lambda gateway: gateway.sections.update(endpoints={}))
                wait_until(lambda: self.get("/v1/files", key=self.key).status == 403, "the old rule")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failed, [])

    def test_a_bad_file_changes_nothing_and_says_why(self):
        before = self.gateway.heard().count("lisen")
        self.gateway.config.write_text("[server]\nlisten = 7\nlisen = []\n")
        self.gateway.signal(signal.SIGHUP)
        wait_until(lambda: self.gateway.heard().count("lisen") > before, "a complaint about the file")
        self.assertEqual(self.chat().status, 200)
        self.assertEqual(self.get("/v1/files", key=self.key).status, 403)

    def test_a_running_stream_survives_the_reload(self):
        gate = threading.Event()
        model = self.upstream.on("through", answers.chunked([answers.delta("one"), gate, answers.DONE]))
        with self.client() as client:
            client.send(chat_request(self.key, model, stream=True))
            response = client.read_head()
            client.read_until(b"one", response)
            # Its upstream leaves the configuration, and another comes.
            other = answers.Upstream(default=answers.whole({"other": True}))
            self.addCleanup(other.stop)
            self.reload(lambda gateway: gateway.upstreams.__setitem__(
                slice(None), [{"name": "new", "kind": "ollama", "url": other.url}]))
            wait_until(lambda: b"other" in self.chat().body, "the new upstream")
            gate.set()
            self.assertTrue(client.read_body(response).complete)
            self.assertTrue(response.body.endswith(answers.DONE))

    def test_a_connection_to_an_upstream_that_left_is_not_kept(self):
        kept = answers.whole({"kept": True}, extra=["Keep-Alive: timeout=60"])
        other = answers.Upstream(default=answers.whole({"other": True}))
        self.addCleanup(other.stop)
        request = chat_request(self.key, self.upstream.on("kept", kept))
        with self.client() as client:
            client.send(request[:-1])
            self.assertEqual(self.chat().status, 200)  # the head before it was read by then
            self.reload(lambda gateway: gateway.upstreams.__setitem__(
                slice(None), [{"name": "new", "kind": "ollama", "url": other.url}]))
            wait_until(lambda: b"other" in self.chat().body, "the new upstream")
            client.send(request[-1:])
            self.assertIn(b"kept", client.read().body)
        connection = self.upstream.calls()[-1].connection
        self.assertTrue(connection.closed.wait(answers.DEADLINE_S))

    def test_a_kind_that_is_no_longer_set_is_asked_for(self):
        other = answers.Upstream(default=answers.whole({"other": True}))  # 200 for /api/version too: Ollama
        self.addCleanup(other.stop)
        set_up = [{"name": "new", "kind": "openai", "url": other.url}]
        self.reload(lambda gateway: gateway.upstreams.__setitem__(slice(None), set_up))
        wait_until(lambda: b"other" in self.chat().body, "the new upstream")
        self.assertEqual(self.get("/api/tags", key=self.key).status, 403)
        del set_up[0]["kind"]
        self.reload(lambda gateway: gateway.upstreams.__setitem__(slice(None), set_up))
        wait_until(lambda: self.get("/api/tags", key=self.key).status != 403, "Ollama's endpoints")

    @classmethod
    def upstreams_seen(cls):
        # Requests also went to upstreams that are gone.
        return None


class Reopen(WireCase):
    def test_usr1_opens_the_logs_anew_and_loses_no_line(self):
        log = self.gateway.folder / "access.log"
        before = self.chat()
        self.gateway.logged(before)
        moved = self.gateway.folder / "access.log.1"
        log.rename(moved)
        self.gateway.signal(signal.SIGUSR1)
        wait_until(log.exists, "a new log file")
        after = self.chat()
        self.gateway.logged(after)
        self.assertIn(before.get("x-request-id"), moved.read_text())
        self.assertNotIn(after.get("x-request-id"), moved.read_text())
        # The oracles read one file.
        log.write_bytes(moved.read_bytes() + log.read_bytes())
        self.gateway.signal(signal.SIGUSR1)


class Drain(WireCase):
    def test_term_lets_a_stream_finish_and_takes_nothing_new(self):
        gate = threading.Event()
        model = self.upstream.on("last", answers.chunked([answers.delta("one"), gate, answers.DONE]))
        with self.client() as idle, self.client() as client:
            self.assertEqual(idle.ask(request("GET", "/livez")).status, 200)
            client.send(chat_request(self.key, model, stream=True))
            response = client.read_head()
            client.read_until(b"one", response)
            self.gateway.signal(signal.SIGTERM)
            idle.expect_closed()
            wait_until(self.refuses, "the listener to be closed")
            self.assertIsNone(self.gateway.process.poll(), "ended with a stream under way")
            gate.set()
            self.assertTrue(client.read_body(response).complete)
            self.assertTrue(response.body.endswith(answers.DONE))
        self.assertEqual(self.gateway.finish(), 0)

    def refuses(self):
        try:
            with self.client() as client:
                client.ask(request("GET", "/livez"))
        except (ConnectionError, AssertionError):
            return True
        return False


class DrainDeadline(WireCase):
    sections = {"server": {"drain_timeout": "1s"}}

    def test_a_stream_that_does_not_end_is_cut_when_the_time_is_up(self):
        model = self.upstream.on("endless", answers.chunked([answers.delta("one"), threading.Event()]))
        with self.client() as client:
            client.send(chat_request(self.key, model, stream=True))
            response = client.read_head()
            client.read_until(b"one", response)
            self.gateway.signal(signal.SIGTERM)
            client.read_body(response)
            self.assertFalse(response.complete)
        self.gateway.answers.remove(response)
        self.assertEqual(self.gateway.finish(), 0)
        line = self.gateway.logged(response)
        self.assertEqual((line["decision"], line.get("incomplete")), ("shutting_down", True))


class Restart(WireCase):
    def test_keys_outlive_the_gateway_and_revoked_ones_stay_revoked(self):
        gone = self.gateway.key("gone")
        self.gateway.command("key", "revoke", gone["id"])
        self.assertEqual(self.gateway.finish(), 0)
        late = self.gateway.key("made while stopped")
        self.gateway.ports.clear()
        self.gateway.start()
        self.assertEqual(self.chat().status, 200)
        self.assertEqual(self.chat(key=late["key"]).status, 200)
        self.assertEqual(self.chat(key=gone["key"]).status, 401)

    def test_a_second_gateway_on_the_same_store_does_not_start(self):
        second = Gateway(self.upstream_list(), {"store": {"url": f"sqlite:{self.gateway.folder}/store.db"}})
        with self.assertRaises(AssertionError) as caught:
            second.start()
        self.assertIn("did not start", str(caught.exception))
        self.assertEqual(self.chat().status, 200)
