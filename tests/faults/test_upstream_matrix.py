"""Every way in which a model server can fail, at every place of an answer, plain and streamed, for a client
of HTTP/1.1 and one of HTTP/2. Before the answer has begun for the client there is a refusal; after that the
client sees that it is broken (tests/wire/test_upstream_faults.py has the malformed heads)."""

import concurrent.futures
import socket

from breaking import EVENTS, NO_LAST_CHUNK, PLACES, Breaking, cut, parts_of
from case import CLOSED, FaultCase
from tools import upstream as answers
from tools.case import rows
from tools.client import chat, chat_request, request
from tools.http2 import INTERNAL_ERROR, Http2Client, tls_context

SILENT = "it falls silent"
HALF_CLOSED = "it closes its side only"


def half_closed(piece):
    def answer(connection, _request):
        connection.send(piece)
        connection.sock.shutdown(socket.SHUT_WR)
        connection.wait_closed()
        return False
    return answer


FAULTS = {
    "it closes": lambda piece: answers.raw(piece),
    HALF_CLOSED: half_closed,
    "it resets": lambda piece: answers.raw(piece, reset=True),
    SILENT: lambda piece: answers.raw(piece, hold=True),
    "it talks nonsense": lambda piece: answers.raw(piece + b"\r\nnonsense\x00\r\n\r\n", keep=True),
}


def expected(kind, framing, place, fault):
    """What the client must see: a refusal's status, "broken", "whole", or None: no such case."""
    begun = place in ("after the head", "mid body", NO_LAST_CHUNK)
    if place in ("before the head", "mid head"):
        return 504 if fault == SILENT else 502
    if place == NO_LAST_CHUNK and framing != "chunks":
        return None
    if framing == "close":
        # Only a close ends such an answer, and nothing can be seen to be wrong with its bytes.
        if fault == "it talks nonsense":
            return None
        return "whole" if fault in ("it closes", HALF_CLOSED) else "broken"
    if fault == "it talks nonsense" and begun and framing == "length":
        return None  # any bytes are as good as others
    if fault == SILENT and place == "after the end":
        return None  # a connection that is kept
    return "broken" if begun else "whole"


MATRIX = {
    f"{kind}, {framing}: {fault} {place}": (kind, framing, place, fault)
    for kind, framings in {"plain": ["length", "chunks", "close"], "streamed": ["chunks", "close"]}.items()
    for framing in framings for place in [*PLACES, NO_LAST_CHUNK] for fault in FAULTS
    if expected(kind, framing, place, fault)}


class Matrix(Breaking, FaultCase):
    upstream_members = {"first_byte_timeout": "1s", "read_timeout": "1s", "connect_timeout": "1s",
                        "send_timeout": "1s"}

    @rows({name: row for name, row in MATRIX.items() if row[3] != SILENT})
    def fault(self, *row):
        self.one(*row)
        # On a kept connection whose end is still on its way a POST may fail: it is never sent twice. A
        # GET is, so that nobody sees that end.
        after = self.gateway.ask(request(path="/v1/models", key=self.key))
        self.assertEqual(after.status, 200)
        self.assertNotIn(b"nonsense", after.body)

    def test_silence(self):
        """All at once, for each of them takes its time."""
        silences = {name: row for name, row in MATRIX.items() if row[3] == SILENT}

        def one(name, row):
            try:
                self.one(*row)
                return None
            except Exception as error:
                return f"{name}: {error}"
        with concurrent.futures.ThreadPoolExecutor(len(silences)) as pool:
            complaints = list(pool.map(one, silences.keys(), silences.values()))
        self.assertEqual([complaint for complaint in complaints if complaint], [])
        self.assertEqual(self.chat().status, 200)

    def one(self, kind, framing, place, fault):
        piece = cut(parts_of(kind, framing), place)
        model = self.upstream.on(f"{kind} {framing} {place} {fault}", FAULTS[fault](piece))
        wanted = expected(kind, framing, place, fault)
        response = self.answer_to(model, {"stream": True} if kind == "streamed" else {}, wanted)
        sent = b"".join(EVENTS) if place == NO_LAST_CHUNK else None
        self.check(response, wanted, kind, piece.partition(b"\r\n\r\n")[2] if framing == "close" else sent)
        asked = [request for request in self.upstream.requests if request.model() == model]
        self.assertEqual(len(asked), 1, "it is never sent twice")
        if fault in (SILENT, HALF_CLOSED, "it talks nonsense"):  # else it has gone itself
            self.assertTrue(asked[0].connection.closed.wait(10), "the connection is not kept")

    def answer_to(self, model, members, _wanted):
        response = self.outcome(chat_request(self.key, model, **members))
        self.assertNotEqual(response, CLOSED)
        return response

    def tearDown(self):
        self.assert_at_rest()


class MatrixOverHttp2(Matrix):
    """The same for a client of HTTP/2: what broke off is reset, and its connection goes on."""
    sections = {"server": {"http2_plain": True}}

    def answer_to(self, model, members, wanted):
        with Http2Client(self.gateway.port, tls=self.gateway.tls and tls_context("h2")) as client:
            stream = client.ask("POST", "/v1/chat/completions", body=chat(model, **members), key=self.key)
            self.assertEqual(stream.reset, INTERNAL_ERROR if wanted == "broken" else None, stream)
            self.assertEqual(client.ask("GET", "/livez").status, 200)
            self.assertEqual(client.goaways, [])
            return stream


class Lists(FaultCase):
    """A list of models that cannot be read is an error, and never an empty list."""
    said = b""

    @staticmethod
    def answer(connection, request):
        return answers.whole(Lists.said)(connection, request)

    @rows({"nothing": b"", "half a document": b'{"data": [{"id": "m"}', "text": b"busy", "a list": b"[]",
           "twice the same member": b'{"data": [], "data": [{"id": "m"}]}'})
    def unreadable_list(self, said):
        Lists.said = said
        for path in ("/v1/models", "/v1/models/m", "/api/tags"):
            response = self.gateway.ask(request(path=path, key=self.key))
            self.assert_refusal(response, (502,))

    @rows({"null": b'{"object": "list", "data": null, "models": null}', "empty": b'{"data": [], "models": []}'})
    def empty_list(self, said):
        Lists.said = said
        self.assertEqual(self.gateway.ask(request(path="/v1/models", key=self.key)).json()["data"], [])
        self.assertEqual(self.gateway.ask(request(path="/api/tags", key=self.key)).json()["models"], [])
