"""One call of the gateway fails, then the next one, with a model server behind TLS: what test_failing_calls
looks at, and OpenSSL's own memory. However it fails, no certificate passes that should not."""

import itertools
import signal

from calls import REFUSALS, CallCase, named
from case import CLOSED, either
from tls_peer import Peer
from tools import upstream as answers
from tools.case import UPSTREAM_KEY, rows
from tools.certificates import Certificates
from tools.client import chat_request
from tools.upstream import Upstream, wait_until

KEPT = ["memory", "crypto", "receive", "send"]
FRESH = [*KEPT, "connect", "socket", "watch"]
# A handshake takes OpenSSL a thousand pieces of memory.
STEPS = {"crypto": either(31, 1)}
RARE = {"crypto": either(301, 3), "memory": either(7, 1)}  # where each of them costs a reload


class TlsCalls(CallCase):
    answered = {name: CallCase.answered[name] for name in ("a chat", "a stream")}

    @classmethod
    def make_gateway(cls):
        cls.certificates = Certificates()
        cls.addClassCleanup(cls.certificates.remove)
        cls.peers = {name: Peer(cls.certificates.context(name)) for name in ("good", "other")}
        cls.upstream.stop()  # the plain one
        cls.upstream = Upstream(tls=cls.peers["good"], default=cls.answer)
        cls.other = Upstream(tls=cls.peers["other"])
        cls.addClassCleanup(cls.other.stop)
        cls.upstream_members = {"ca_file": str(cls.certificates.folder / "ca.pem")}
        gateway = super().make_gateway()
        gateway.upstreams.insert(0, {**gateway.upstreams[0], "name": "other", "models": ["other"],
                                     "url": cls.other.url})
        gateway.write_config()
        return gateway

    @classmethod
    def set_up(cls):
        # What OpenSSL makes once for the whole process, it makes here: its errors' texts too.
        assert cls.gateway.ask(chat_request(cls.key, "other")).status == 502
        super().set_up()

    @classmethod
    def model_servers(cls):
        return [cls.upstream, cls.other]

    @classmethod
    def complaints(cls):
        clear = [f"sent in clear: {wire!r}" for peer in cls.peers.values() for wire in peer.in_clear()]
        passed = ["the wrong certificate was accepted"] if cls.other.requests else []
        return super().complaints() + clear + passed

    def request(self, scenario, name, error):
        self.answered_or_refused(scenario, name, error, STEPS.get(name, 1))


class Kept(TlsCalls):
    @rows(named({"a chat": KEPT, "a stream": KEPT}))
    def over_a_kept_connection(self, *row):
        self.request(*row)


class Fresh(TlsCalls):
    turns = itertools.count(60)

    @staticmethod
    def answer(connection, request):
        """Every request has a connection, and a handshake, of its own."""
        head = answers.answer_head(content_type="text/event-stream",
                                   extra=["Connection: close", "Transfer-Encoding: chunked"])
        body = answers.chunk(answers.delta("one")) + answers.chunk(answers.DONE) + b"0\r\n\r\n"
        return answers.raw(head + b"\r\n" + body)(connection, request)

    @rows(named({"a chat": FRESH, "a stream": FRESH}))
    def over_a_new_connection(self, *row):
        self.request(*row)

    @rows({name: name for name in FRESH})
    def wrong_certificate_does_not_pass(self, name):
        def act(begin, end):
            begin()
            response = self.outcome(chat_request(self.key, "other"))
            end()
            if response != CLOSED and response.complete:
                self.assert_refusal(response, REFUSALS)
            self.assertEqual(self.other.requests, [])
        self.each(name, 0, act, STEPS.get(name, 1))

    def test_no_memory_at_the_moment_of_verifying(self):
        """One by one, whatever the steps: the last allocations of a handshake that is refused."""
        plan = self.gateway.plan
        plan.fail("crypto", 1 << 40)
        self.assert_refusal(self.gateway.ask(chat_request(self.key, "other")), (502,))
        made = plan.calls("crypto")
        plan.stop("crypto")
        for nth in range(max(1, made - 250), made + 2):
            with self.subTest(call=nth):
                plan.fail("crypto", nth)
                response = self.outcome(chat_request(self.key, "other"))
                plan.stop("crypto")
                if response != CLOSED and response.complete:
                    self.assert_refusal(response, REFUSALS)

    # A new configuration, for which all of TLS is made anew.

    def reload(self, begin=lambda: None):
        for upstream in self.gateway.upstreams:
            upstream["read_timeout"] = f"{next(self.turns)}s"  # so that it is another upstream
        self.gateway.write_config()
        said = len(self.gateway.log_text())
        begin()
        self.gateway.signal(signal.SIGHUP)
        wait_until(lambda: "reloaded" in self.gateway.log_text()[said:], "a word on the reload")

    @rows({name: name for name in ["memory", "crypto", "open", "read"]})
    def reload_is_whole_or_none(self, name):
        def act(begin, end):
            self.reload(begin)
            end()
            self.assert_refusal(self.gateway.ask(chat_request(self.key, "other")), (502,))
        self.each(name, 0, act, RARE.get(name, 1))

    @rows({name: name for name in ["memory", "crypto", "send", "receive"]})
    def first_handshake_of_a_configuration(self, name):
        """What OpenSSL puts off until then is not spoilt for all that follow."""
        def act(begin, end):
            self.reload()
            begin()
            response = self.once("a chat")
            end()
            self.right("a chat", response)
        self.each(name, 0, act, RARE.get(name, 1))
