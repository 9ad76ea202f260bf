"""A call is interrupted, or moves half of the bytes that it was given: no failure, and nobody can tell that it
happened. Whoever asks is answered, what is written is whole, what is read is understood."""

import errno
import signal

from calls import CallCase, named
from plan import SHORT
from test_failing_tls import TlsCalls
from tools import upstream as answers
from tools.case import rows
from tools.client import chat
from tools.http2 import Http2Client
from tools.upstream import wait_until

NAMES = {errno.EINTR: "interrupted", SHORT: "cut short"}
SENT = [("send", errno.EINTR), ("send", SHORT)]
SOCKETS = [*SENT, ("receive", errno.EINTR), ("accept", errno.EINTR)]
FILES = [("read", errno.EINTR), ("read", SHORT)]


class Invisible(CallCase):
    def same(self, name, error, ask):
        """Whatever `ask` returns, it is a good answer each time."""
        def act(begin, end):
            begin()
            ask()
            end()
        self.each(name, error, act)

    def whole(self, scenario):
        response = self.once(scenario)
        self.assertEqual((response.status, response.complete), (200, True), response)
        self.assertEqual(response.body, self.good[scenario])

    def request(self, scenario, name, error):
        self.same(name, error, lambda: self.whole(scenario))


class Kept(Invisible):
    @rows(named({scenario: SOCKETS for scenario in ("a chat", "a large chat", "a stream", "a list of models")}))
    def over_a_kept_connection(self, *row):
        self.request(*row)

    @rows(named({"key": [*SOCKETS, ("write", errno.EINTR)]}))
    def key_is_made_and_revoked(self, _, name, error):
        def change():
            key = self.gateway.create("short-lived")
            self.assertIs(self.gateway.control("key_revoke", id=key["id"])["ok"], True)
        self.same(name, error, change)

    @rows(named({"reload": FILES}))
    def reload(self, _, name, error):
        def change():
            said = len(self.gateway.log_text())
            self.gateway.signal(signal.SIGHUP)
            wait_until(lambda: "reloaded" in self.gateway.log_text()[said:], "a word on the reload")
            self.assertIn("was reloaded", self.gateway.log_text()[said:])
        self.gateway.write_config()
        self.same(name, error, change)


class Fresh(Invisible):
    """Every request has a connection upstream of its own."""

    @staticmethod
    def answer(connection, request):
        return answers.whole({"fresh": True}, extra=["Connection: close"])(connection, request) and False

    answered = {"a chat": CallCase.answered["a chat"]}

    @rows(named({"a chat": [*SOCKETS, ("connect", errno.EINTR)]}))
    def over_a_new_connection(self, *row):
        self.request(*row)


class Tls(Invisible, TlsCalls):
    @rows(named({scenario: [*SENT, ("receive", errno.EINTR)] for scenario in TlsCalls.answered}))
    def with_a_server_behind_tls(self, *row):
        self.request(*row)


class Http2(Invisible):
    sections = {"server": {"http2_plain": True}}

    def ask(self, **members):
        with Http2Client(self.gateway.port) as client:
            return client.ask("POST", "/v1/chat/completions", body=chat(user=self.mark, **members), key=self.key)

    answered = {"a chat": lambda self: self.ask(), "a stream": lambda self: self.ask(stream=True)}

    @rows(named({scenario: SOCKETS for scenario in answered}))
    def over_a_stream(self, *row):
        self.request(*row)


class Logs(CallCase):
    sections = {"security": {"audit_logging_enabled": False}}  # whose writes would be counted too

    @rows({NAMES[error]: error for error in NAMES})
    def line_is_whole(self, error):
        dropped = "sallyport_log_lines_dropped_total"
        for nth in range(1, 4):
            self.gateway.plan.fail("write", nth, error)
            wait_until(lambda: self.gateway.logged(self.chat()) and self.gateway.plan.failed("write"), "such a write")
            self.assertEqual(self.gateway.gauges()[dropped], 0)
