"""Every way in which a model server can fail, at every place of an answer, plain and streamed. Before
the answer has begun for the client there is a refusal; after that the client sees that it is broken
(tests/wire/test_upstream_faults.py has the malformed heads)."""

import concurrent.futures

from breaking import PLACES, Breaking, cut, parts_of
from case import CLOSED, FaultCase
from tools import upstream as answers
from tools.case import rows
from tools.client import chat_request, request

SILENT = "it falls silent"
FAULTS = {
    "it closes": lambda piece: answers.raw(piece),
    "it resets": lambda piece: answers.raw(piece, reset=True),
    SILENT: lambda piece: answers.raw(piece, hold=True),
    "it talks nonsense": lambda piece: answers.raw(piece + b"\r\nnonsense\x00\r\n\r\n", keep=True),
}


def expected(kind, framing, place, fault):
    """What the client must see: a refusal's status, "broken", "whole", or None: no such case."""
    begun = place in ("after the head", "mid body")
    if place in ("before the head", "mid head"):
        return 504 if fault == SILENT else 502
    if framing == "close":
        # Only a close ends such an answer, and nothing can be seen to be wrong with its bytes.
        if fault == "it talks nonsense":
            return None
        return "whole" if fault == "it closes" else "broken"
    if fault == "it talks nonsense" and begun and framing == "length":
        return None  # any bytes are as good as others
    if fault == SILENT and place == "after the end":
        return None  # a connection that is kept
    return "broken" if begun else "whole"


MATRIX = {
    f"{kind}, {framing}: {fault} {place}": (kind, framing, place, fault)
    for kind, framings in {"plain": ["length", "chunks", "close"], "streamed": ["chunks", "close"]}.items()
    for framing in framings for place in PLACES for fault in FAULTS
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
        members = {"stream": True} if kind == "streamed" else {}
        response = self.outcome(chat_request(self.key, model, **members))
        self.assertNotEqual(response, CLOSED)
        self.check(response, expected(kind, framing, place, fault), kind,
                   piece.partition(b"\r\n\r\n")[2] if framing == "close" else None)
        faulty = next(r for r in self.upstream.requests if r.model() == model).connection
        if fault in (SILENT, "it talks nonsense"):  # else it has gone itself
            self.assertTrue(faulty.closed.wait(10), "the connection is not kept")

    def tearDown(self):
        self.assert_at_rest()


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
