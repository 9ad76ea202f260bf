"""Clients that stop reading, or pretend to go on: they hold nothing for long that another needs, and what they
were given does not look whole when it is not."""

from tools import http2 as h2
from tools import upstream as answers
from tools.case import WireCase
from tools.client import BadAnswer, chat, chat_request, request
from tools.http2 import Http2Case, frame, number
from tools.upstream import wait_until

CHAT = "/v1/chat/completions"
LONG = b"x" * 1200000
SLOTS = 5


def endless(connection, _request):
    piece = answers.chunk(answers.delta("y" * 4000))
    connection.send(answers.answer_head(200, "text/event-stream") + b"Transfer-Encoding: chunked\r\n\r\n")
    while connection.send(piece):
        pass
    return False


def talks_on(connection, _request):
    """A word now and then, as models have it."""
    piece = answers.chunk(answers.delta("word"))
    connection.send(answers.answer_head(200, "text/event-stream") + b"Transfer-Encoding: chunked\r\n\r\n")
    while connection.send(piece):
        connection.closed.wait(0.1)
    return False


class Http2(Http2Case):
    server = {"idle_timeout": "1s"}
    upstream_members = {"max_concurrency": SLOTS}

    @classmethod
    def upstreams_seen(cls):
        return None  # what is reset may have reached the upstream or not

    def test_a_trickle_of_frames_is_no_reading(self):
        model = self.upstream.on("endless", endless)
        before = self.calls()
        client = self.h2(receive_buffer_bytes=4096, witness=False)
        for _ in range(SLOTS):
            client.start("POST", CHAT, body=chat(model, stream=True), key=self.key)
        wait_until(lambda: self.calls() == before + SLOTS, "the upstream to be asked")
        calls = self.upstream.calls()[before:]

        def released():
            client.send(frame(h2.WINDOW_UPDATE, 0, 0, number(1)))
            return all(call.connection.closed.is_set() for call in calls)
        wait_until(released, "the model server's slots to be free")
        client.reset()
        self.assertEqual(self.chat().status, 200)

    def test_a_model_that_talks_on_is_no_reading(self):
        before = self.calls()
        client = self.h2(window=0, reads=False, witness=False)
        client.start("POST", CHAT, body=chat(self.upstream.on("talks on", talks_on), stream=True), key=self.key)
        wait_until(lambda: self.calls() > before, "the upstream to be asked")
        call = self.upstream.calls()[before]
        self.assertTrue(call.connection.closed.wait(answers.DEADLINE_S), "held for one who reads nothing")

    def test_an_answer_that_was_not_taken_whole_is_logged_as_broken(self):
        model = self.upstream.on("whole", answers.whole(b'"' + b"x" * 5000 + b'"'))
        client = self.h2(window=1000, reads=False, witness=False)
        stream = client.finish(client.start("POST", CHAT, body=chat(model), key=self.key))
        self.assertEqual((stream.status, stream.reset, len(stream.body)), (200, h2.CANCEL, 1000))
        line = self.gateway.logged(stream)
        self.assertEqual((line["decision"], line.get("incomplete")), ("client_gone", True))


class BrokenOff(Http2Case):
    server = {"idle_timeout": "60s"}
    upstream_members = {"max_concurrency": 1}

    def test_a_model_server_that_broke_off_has_room_though_its_words_are_not_read(self):
        head = answers.answer_head(200, "text/event-stream") + b"Transfer-Encoding: chunked\r\n\r\n"
        model = self.upstream.on("breaks off", answers.raw(head + answers.chunk(answers.delta("y" * 4000))))
        client = self.h2(window=1000, reads=False, witness=False)
        stream = client.start("POST", CHAT, body=chat(model, stream=True), key=self.key)
        client.wait(lambda: len(stream.body) == 1000)
        wait_until(lambda: self.chat().status == 200, "the model server's slot to be free")
        self.assertFalse(stream.over, "the one who does not read was sent away")


class Full(Http2Case):
    server = {"max_connections": 20, "idle_timeout": "60s"}

    def is_served(self):
        """While the requests of those before are on their way, a newcomer that has not asked yet gives way."""
        try:
            return self.chat().status == 200
        except BadAnswer:
            return False

    def test_those_whose_answers_wait_for_them_make_room(self):
        held = []
        for _ in range(22):
            client = self.h2(window=0, reads=False, witness=False)
            self.addCleanup(client.close)
            client.start("GET", "/livez")
            held.append(client)
        wait_until(self.is_served, "room")
        self.assertEqual([self.chat().status for _ in range(5)], [200] * 5)


class Beginning(WireCase):
    sections = {"server": {"max_connections": 10, "workers": 1}}

    def test_one_whose_head_is_on_its_way_is_not_the_oldest(self):
        whole = chat_request(self.key)
        with self.client() as client:
            self.assertEqual(client.ask(request(path="/livez")).status, 200)
            others = [self.client() for _ in range(5)]
            client.send(whole[:60])
            self.assertEqual(others[-1].ask(request(path="/livez")).status, 200)  # it was read by now
            others += [self.client() for _ in range(5)]
            try:
                client.send(whole[60:])
                self.assertEqual(client.read().status, 200)
            finally:
                for other in others:
                    other.close()


class Ends(WireCase):
    sections = {"server": {"idle_timeout": "1s"}}

    def test_a_last_answer_is_read_whole_whatever_else_is_sent(self):
        model = self.upstream.on("long", answers.whole(b'"' + LONG + b'"'))
        with self.client(receive_buffer_bytes=4096) as client:
            client.send(chat_request(self.key, model, fields=[("Connection", "close")]))
            response = client.read_head()
            client.send(b"\r\n")
            client.read_body(response)
            self.assertTrue(response.complete and len(response.body) == len(LONG) + 2)
            client.expect_closed()

    def test_an_http10_answer_that_is_cut_does_not_end_in_order(self):
        model = self.upstream.on("endless", endless)
        before = self.calls()
        with self.client(receive_buffer_bytes=4096) as client:
            client.send(request("POST", CHAT, body=chat(model, stream=True), key=self.key, version="1.0"))
            wait_until(lambda: self.calls() > before, "the upstream to be asked")
            call = self.upstream.calls()[before]
            self.assertTrue(call.connection.closed.wait(answers.DEADLINE_S))
            with self.assertRaisesRegex(BadAnswer, "Reset|SSLEOFError"):
                while client.fill():
                    pass
