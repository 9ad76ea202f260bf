"""Answers that wait for slow clients share one budget (server.max_body_memory), so that no number of them makes
the gateway large. What finds no room in it breaks off, and looks like that; what had room is whole once it is
read; and when they have gone all is as before."""

from tools import http2 as h2
from tools import upstream as answers
from tools.client import BadAnswer, chat_request
from tools.http2 import Http2Case
from tools.upstream import wait_until

MANY = 40  # more than the budget has room for, by far: each holds two of 32 blocks at least
FEW = 8
LONG = b'"' + b"x" * 8_000_000 + b'"'  # more than sockets hold
GROWTH_BYTES = 32 * 1024 * 1024


class Budget(Http2Case):
    plain = True
    server = {"max_body_memory": "1MB", "max_body": "1MB", "idle_timeout": "60s"}

    @classmethod
    def set_up(cls):
        cls.monitor = cls.gateway.key("monitor", "read_metrics")["key"]

    def gauge(self, name):
        text = self.get("/metrics/prometheus", key=self.monitor).body.decode()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))

    def setUp(self):
        self.model = self.upstream.on("long", answers.whole(LONG))
        for _ in range(4):
            self.assertEqual(self.chat().status, 200)
        self.before = self.gateway.rss_bytes()

    def assert_well_again(self):
        """Nothing grew, the model server was let go of, and everybody is served."""
        self.assertLess(self.gateway.rss_bytes() - self.before, GROWTH_BYTES)
        wait_until(lambda: self.gauge("sallyport_exchanges") == 1, "no request in progress")
        for _ in range(8):
            self.assertEqual(self.chat().status, 200)

    def assert_heard(self):
        """However much of the memory others hold, who comes now gets an answer."""
        for _ in range(5):
            self.assertEqual(self.get("/livez").status, 200)
            self.assertEqual(self.chat().status, 200)
        self.assert_refused(self.chat(key="sp_nobody"), 401)

    def test_streams_that_find_no_room_break_off_alone(self):
        client = self.h2(window=0, reads=False)
        calls = self.calls()
        streams = []
        for _ in range(MANY):
            streams.append(self.start_chat(client, self.model))
            client.wait(lambda: streams[-1].status)
        client.wait(lambda: streams[-1].over)
        self.assert_heard()
        self.assertTrue(client.ping())
        self.assertEqual({stream.reset for stream in streams}, {None, h2.INTERNAL_ERROR})
        self.assertEqual([stream for stream in streams if stream.ended], [])
        self.assertEqual(self.gateway.logged(streams[-1])["decision"], "overloaded")
        held = [call for call in self.upstream.calls()[calls:calls + MANY] if not call.connection.closed.is_set()]
        client.reset()
        decisions = [self.gateway.logged(stream)["decision"] for stream in streams]
        self.assertEqual(set(decisions), {"overloaded", "client_gone"})
        self.assertEqual(decisions.count("client_gone"), len(held), "the model server talks to nobody")
        self.assert_well_again()

    def test_streams_that_found_room_are_whole_once_they_are_read(self):
        client = self.h2(window=0, reads=False)
        streams = [self.start_chat(client, self.model) for _ in range(FEW)]
        client.wait(lambda: all(stream.status for stream in streams))
        self.assertEqual(self.chat().status, 200, "others are served meanwhile")
        client.reads = True
        for stream in streams:
            client.open_window(stream.id, len(LONG))
        for stream in streams:
            self.assert_fine(client.finish(stream))
            self.assertTrue(stream.body == LONG)
        client.close()

    def test_clients_that_find_no_room_are_closed(self):
        begun = []
        for _ in range(MANY):
            client = self.client(receive_buffer_bytes=4096)
            self.addCleanup(client.close)
            client.send(chat_request(self.key, self.model))
            response = self.unless_closed(client.read_head)  # there may be no room even for that
            if response:
                self.assertEqual(response.status, 200)
                begun.append((client, response))
        self.assert_heard()
        for client, response in begun:
            self.unless_closed(lambda client=client, response=response: client.read_body(response))
        whole = [response for _client, response in begun if response.complete]
        self.assertTrue(0 < len(whole) < MANY, f"{len(whole)} of {MANY} found room")
        self.assertTrue(all(response.body == LONG for response in whole))
        cut = next(response for _client, response in begun if not response.complete)
        self.assertEqual(self.gateway.logged(cut)["decision"], "overloaded")
        self.assert_well_again()

    @staticmethod
    def unless_closed(read):
        try:
            return read()
        except BadAnswer as error:
            if "in time" in str(error):
                raise
            return None
