"""One call of the gateway fails, then the next one, until the whole of what was asked of it went by
without a failure: memory, sockets, files, the store. Whatever it was, the client gets a whole answer, a
refusal, or an answer that can be seen to be broken; nothing passes without its key having been checked;
and the next request is served."""

import errno
import signal

from calls import LARGE, REFUSALS, SOCKETS, SQL, CallCase, named
from case import CLOSED, TRESPASSING, either
from tools import upstream as answers
from tools.case import rows
from tools.client import chat, chat_request, request
from tools.http2 import REFUSED_STREAM, Http2Client
from tools.upstream import wait_until


# Of a reload, which takes a while and much memory.
RELOADS = {"memory": either(2, 1)}


class Calls(CallCase):
    kept, gone = [], []  # keys that must, and must not, be good after a restart

    @classmethod
    def complaints(cls):
        """Once more without a plan: what was said of keys holds after the end."""
        complaints = super().complaints()
        cls.gateway.variables = {}
        cls.gateway.ports.clear()
        cls.gateway.start()
        for keys, status in ((cls.kept, 200), (cls.gone, 401)):
            complaints += [f"{key['id']} is not {status} after a restart" for key in keys
                           if cls.gateway.ask(chat_request(key["key"])).status != status]
        cls.gateway.finish()
        if cls.gateway.integrity() != "ok":
            complaints.append("the store is damaged")
        return complaints

    @rows(named({
        "a chat": ["memory", "crypto", *SOCKETS],
        "a large chat": ["memory", *SOCKETS],
        "a stream": ["memory", *SOCKETS],
        "a list of models": ["memory", *SOCKETS],
        "metrics": ["memory"],
    }))
    def request(self, *row):
        self.answered_or_refused(*row)

    def test_what_finds_no_memory_to_begin_is_counted(self):
        """It gets no answer, and no line in the access log."""
        def counted():
            return self.gateway.gauges()['sallyport_connection_events_total{event="no_memory"}']
        closed, before = 0, counted()

        def act(begin, end):
            nonlocal closed
            begin()
            closed += self.once("a chat") == CLOSED
            end()
        self.each("memory", 0, act)
        self.assertGreater(closed, 0)
        self.assertEqual(counted() - before, closed)

    @rows({name: name for name in ["memory", "crypto", *SOCKETS]})
    def wrong_key_opens_nothing(self, name):
        keys = self.bad_keys()[:-1] if name == "crypto" else self.bad_keys()  # for none there is nothing to do
        self.nothing_opens(name, lambda key: self.outcome(chat_request(key, content=TRESPASSING)), keys)

    # What the store does, and what is said of it.

    @classmethod
    def set_up(cls):
        super().set_up()
        cls.manager = cls.gateway.create("manager", permissions=["manage_users"])["key"]

    def assert_agreed(self, key, status=None):
        """Store and gateway say the same of a key."""
        stored = self.gateway.control("key_show", id=key["id"])["key"]["status"]
        answer = self.chat(key=key["key"]).status
        self.assertEqual((stored, answer), ("live", 200) if stored == "live" else ("revoked", 401))
        if status:
            self.assertEqual(stored, status)

    STORE = ["memory", "receive", "send", "accept", *SQL, "database", "fsync", ("fsync", errno.EINTR), "disk",
             ("disk", errno.ENOSPC)]

    @rows(named({"create": STORE}))
    def key_that_is_given_out_is_kept(self, _, name, error):
        def act(begin, end):
            before = self.gateway.statuses().keys()
            begin()
            key = self.gateway.create("new", models=["m", "other"])
            end()
            after = self.gateway.statuses()
            fresh = after.keys() - before
            self.assertTrue(before <= after.keys())
            if key == CLOSED:
                self.assertLessEqual(len(fresh), 1)  # it may be there; nobody has its secret
            elif key.get("ok") is False:
                if "nothing was changed" in key["message"]:
                    self.assertEqual(fresh, set())
            else:
                self.assertEqual(fresh, {key["id"]})
                self.assertEqual(sorted(key["permissions"]), ["read_models", "run_inference", "use_streaming"])
                self.assertEqual(key["models"], ["m", "other"])
                self.assert_agreed(key, "live")
                self.kept.append(key)
            self.assertEqual(self.gateway.gauges()["sallyport_api_keys"],
                             list(after.values()).count("live"))
        self.each(name, error, act)

    @rows(named({"revoke": STORE}))
    def revocation_holds_or_is_refused(self, _, name, error):
        def act(begin, end):
            key = self.gateway.create("short-lived")
            begin()
            answer = self.gateway.control("key_revoke", id=key["id"])
            end()
            if answer == CLOSED:
                self.assert_agreed(key)
            elif answer["ok"]:
                self.assertEqual(answer["key"]["status"], "revoked")
                self.assert_agreed(key, "revoked")
                self.gone.append(key)
            else:
                self.assert_agreed(key, "live" if "nothing was changed" in answer["message"] else None)
        self.each(name, error, act)

    @rows(named({"revoke": [*STORE, "watch"]}))
    def revocation_over_the_api_holds_or_is_refused(self, _, name, error):
        def act(begin, end):
            key = self.gateway.create("short-lived")
            ask = request("DELETE", f"/api/v1/auth/api-keys/{key['id']}", key=self.manager)
            begin()
            response = self.outcome(ask)
            end()
            if response == CLOSED or not response.complete:
                self.assert_agreed(key)
            elif response.status == 204:
                self.assert_agreed(key, "revoked")
                self.gone.append(key)
            else:
                self.assert_refusal(response, REFUSALS)
                self.assert_agreed(key, "live" if "nothing was changed" in str(response.json()) else None)
        self.each(name, error, act)

    # A new configuration, wholly or not at all.

    def seen(self, client):
        """Whether the rule of the second configuration holds, as one worker sees it."""
        return client.ask(request("GET", "/v1/files", key=self.key)).status == 200

    def as_it_began(self):
        self.gateway.sections["endpoints"] = {}
        self.gateway.write_config()
        said = len(self.gateway.log_text())
        self.gateway.signal(signal.SIGHUP)
        wait_until(lambda: "was reloaded" in self.gateway.log_text()[said:], "a word on the reload")
        with self.client() as second:
            wait_until(lambda: not self.seen(self.first) and not self.seen(second), "the first configuration")

    @rows({name: name for name in ["memory", "open", "read"]})
    def reload_is_whole_or_none(self, name):
        self.gateway.write_config()
        self.addCleanup(self.as_it_began)

        def act(begin, end):
            with self.client() as second:
                now = self.seen(self.first)
                self.assertEqual(self.seen(second), now, "one rule in both workers")
                wanted = not now
                allow = {"allow": ["/v1/files", "/v1/chat/completions"]} if wanted else {}
                self.gateway.sections["endpoints"] = allow
                self.gateway.write_config()
                said = len(self.gateway.log_text())
                begin()
                self.gateway.signal(signal.SIGHUP)
                wait_until(lambda: "reloaded" in self.gateway.log_text()[said:], "a word on the reload")
                end()
                told = "was reloaded" in self.gateway.log_text()[said:]
                wait_until(lambda: self.seen(self.first) == self.seen(second), "one rule in both workers")
                self.assertEqual(self.seen(second), wanted if told else now)
        self.each(name, 0, act, RELOADS.get(name, 1))


class Logs(CallCase):
    sections = {"security": {"audit_logging_enabled": False}}  # whose writes would be counted too

    @rows({"ENOSPC": errno.ENOSPC, "EIO": errno.EIO})
    def log_that_cannot_be_written_goes_on(self, error):
        dropped = "sallyport_log_lines_dropped_total"
        for nth in range(1, 4):
            before = self.gateway.gauges()[dropped]
            self.gateway.plan.fail("write", nth, error)
            wait_until(lambda: self.chat().status == 200 and self.gateway.plan.failed("write"), "a failed write")
            wait_until(lambda: self.gateway.gauges()[dropped] > before, "the lost line to be counted")
            self.gateway.logged(self.chat())


class Fresh(CallCase):
    """Every request has a connection upstream of its own."""

    @staticmethod
    def answer(connection, request):
        close = ["Connection: close"]
        if b'"stream": true' not in request.body:
            return answers.whole({"fresh": True}, extra=close)(connection, request) and False
        head = answers.answer_head(content_type="text/event-stream", extra=[*close, "Transfer-Encoding: chunked"])
        events = b"".join(answers.chunk(piece) for piece in (answers.delta("one"), answers.DONE))
        return answers.raw(head + b"\r\n" + events + b"0\r\n\r\n")(connection, request)

    @classmethod
    def make_gateway(cls):
        # A name, so that it is looked up.
        cls.upstream_members = {"url": f"http://localhost:{cls.upstream.port}"}
        return super().make_gateway()

    answered = {name: CallCase.answered[name] for name in ("a chat", "a stream")}
    CALLS = ["memory", *SOCKETS, "connect", "socket", ("socket", errno.ENOBUFS)]

    @rows(named({"a chat": CALLS, "a stream": CALLS}))
    def request(self, *row):
        self.answered_or_refused(*row)

    def test_name_that_does_not_resolve_is_asked_for_again(self):
        plan = self.gateway.plan

        def act(begin, end):
            client = self.client()  # one connection, since each worker has addresses of its own
            plan.fail("connect", 1)  # so that the address is not believed any more
            self.assert_refusal(client.ask(chat_request(self.key)), REFUSALS)
            plan.stop("connect")
            begin()
            response = self.outcome(chat_request(self.key), client)
            end()
            self.right("a chat", response)
        self.each("resolve", 0, act)


class Http2(CallCase):
    """The same of a client that speaks HTTP/2: what the gateway says was not begun was not."""
    sections = {"server": {"http2_plain": True}}

    def ask(self, key, **members):
        with Http2Client(self.gateway.port) as client:
            stream = client.start("POST", "/v1/chat/completions", body=chat(**members), key=key)
            client.wait(lambda: stream.over)
        not_begun = stream.reset == REFUSED_STREAM or any(last < stream.id for last, _ in client.goaways)
        self.assertFalse(not_begun and (stream.status or self.asked(members.get("user", TRESPASSING))), stream)
        return stream if stream.status else CLOSED

    answered = {
        "a chat": lambda self: self.ask(self.key, user=self.mark),
        "a large chat": lambda self: self.ask(self.key, user=self.mark, content=LARGE),
        "a stream": lambda self: self.ask(self.key, user=self.mark, stream=True),
    }

    @rows(named({scenario: ["memory", *SOCKETS] for scenario in answered}))
    def request(self, *row):
        self.answered_or_refused(*row)

    @rows({name: name for name in ["memory", *SOCKETS]})
    def wrong_key_opens_nothing(self, name):
        self.nothing_opens(name, lambda key: self.ask(key, content=TRESPASSING), self.bad_keys())
