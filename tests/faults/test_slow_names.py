"""A name server that takes its time: whoever waits for the same name shares one question and one answer,
so that the few threads that ask are not filled, and nothing depends on who came first or still waits."""

import signal

from case import Failing, FaultCase
from tools.case import UPSTREAM_KEY
from tools.client import BadAnswer, chat_request
from tools.upstream import wait_until

MANY, FEW = 300, 20  # more than may wait for those threads; some


class Names(FaultCase):
    make = Failing
    upstream_members = {"connect_timeout": "60s"}

    @classmethod
    def make_gateway(cls):
        gateway = super().make_gateway()
        numeric = {**gateway.upstreams[0], "name": "numeric", "models": ["numeric"], "api_key": UPSTREAM_KEY}
        gateway.upstreams[0]["url"] = f"http://localhost:{cls.upstream.port}"
        gateway.upstreams.insert(0, numeric)
        gateway.write_config()
        return gateway

    def setUp(self):
        self.clients = []
        self.gateway.plan.hold("resolve")
        self.addCleanup(self.gateway.plan.hold, "resolve", False)
        self.addCleanup(lambda: [client.close() for client in self.clients])

    def begin(self, count, model="m"):
        """So many more chats, each on a connection of its own, that wait for the name."""
        for _ in range(count):
            self.clients.append(self.client())
            self.clients[-1].send(chat_request(self.key, model))
        self.wait_waiting(len(self.clients))

    def wait_waiting(self, count):
        wait_until(lambda: self.gateway.gauges()["sallyport_exchanges"] == count + 1, f"{count} that wait")
        wait_until(lambda: self.gateway.plan.calls("resolve") >= 1, "the question")

    def let_go(self, questions=1):
        self.assertEqual(self.gateway.plan.calls("resolve"), questions)
        self.assertEqual([request.model() for request in self.upstream.calls()], [])
        self.gateway.plan.hold("resolve", False)

    def assert_answered(self):
        for client in self.clients:
            self.assertEqual(client.read().status, 200)
        self.assertEqual(self.gateway.plan.calls("resolve"), 1, "questions")
        self.assert_at_rest()


class Answered(Names):
    def test_one_answer_is_for_all(self):
        self.begin(MANY)
        self.assertEqual(self.chat(model="numeric").status, 200)
        self.upstream.requests.clear()
        self.let_go()
        self.assert_answered()


class Refused(Names):
    def test_one_failure_is_for_all(self):
        self.gateway.plan.fail("resolve", 1)
        self.begin(MANY)
        self.let_go()
        for client in self.clients:
            self.assert_refusal(client.read(), (502,))
        self.assertEqual(self.gateway.plan.calls("resolve"), 1, "questions")
        self.assertEqual(self.chat().status, 200, "the next one asks again")
        self.assert_at_rest()


class Left(Names):
    def test_who_has_gone_is_not_waited_for(self):
        self.begin(FEW)
        for client in self.clients[:FEW // 2]:  # whoever asked first is among them
            client.close()
        del self.clients[:FEW // 2]
        self.wait_waiting(FEW // 2)
        self.let_go()
        self.assert_answered()

    def tearDown(self):
        self.assertEqual(self.chat().status, 200)


class Reloaded(Names):
    def test_an_answer_is_for_both_configurations(self):
        self.begin(FEW)
        self.gateway.upstreams[1]["first_byte_timeout"] = "61s"  # so that it is another upstream
        self.gateway.write_config()
        self.gateway.signal(signal.SIGHUP)
        wait_until(lambda: "was reloaded" in self.gateway.log_text(), "the reload")
        self.begin(FEW)
        self.let_go()
        self.assert_answered()


class Stopped(Names):
    sections = {"server": {"drain_timeout": "1s"}}

    @classmethod
    def make_gateway(cls):
        """Three spellings are three names, and two of them are asked for at a time."""
        gateway = super().make_gateway()
        for host in ("Localhost", "LOCALHOST"):
            gateway.upstreams.insert(0, {**gateway.upstreams[1], "name": host, "models": [host],
                                         "url": f"http://{host}:{cls.upstream.port}"})
        gateway.write_config()
        return gateway

    def test_the_end_does_not_wait_for_who_waits(self):
        for model in ("m", "Localhost", "LOCALHOST"):
            self.begin(FEW, model)
        self.gateway.signal(signal.SIGTERM)
        wait_until(lambda: "connections still open" in self.gateway.log_text(), "the end")
        self.let_go(questions=2)
        # Whose name is being looked up may still be answered: the loops turn until that is over.
        for client in self.clients[:2 * FEW]:
            self.assert_refused_or_closed(client, 200)
        for client in self.clients[2 * FEW:]:
            self.assert_refused_or_closed(client)
        self.assertEqual(self.gateway.finish(), 0)
        self.assertEqual(self.gateway.plan.calls("resolve"), 2, "the third was not asked for any more")

    def assert_refused_or_closed(self, client, *also):
        try:
            response = client.read()
        except BadAnswer as error:
            self.broken(error)
        else:
            if response.status not in also:
                self.assert_refusal(response, (502, 503))
