"""An answer of a model server that breaks off: its parts in each kind of framing, what comes before the
fault, and what the client must then see."""

from tools import upstream as answers

TEXT = b'{"id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}}]}'
NO_LAST_CHUNK = "before the last chunk"  # all of the content, and [DONE], without the end that counts
EVENTS = answers.delta("one"), answers.delta("two") + answers.DONE


# Without it an idle connection is closed after some seconds, which is no sign that it was not kept.
KEPT = ["Keep-Alive: timeout=60"]


def plain(framing):
    head = answers.answer_head(extra=KEPT)
    if framing == "length":
        return head + b"Content-Length: %d\r\n\r\n" % len(TEXT), TEXT[:40], TEXT[40:]
    if framing == "chunks":
        return (head + b"Transfer-Encoding: chunked\r\n\r\n", answers.chunk(TEXT[:40]),
                answers.chunk(TEXT[40:]) + b"0\r\n\r\n")
    return head + b"Connection: close\r\n\r\n", TEXT[:40], TEXT[40:]


def streamed(framing):
    head = answers.answer_head(content_type="text/event-stream", extra=KEPT)
    if framing == "chunks":
        return (head + b"Transfer-Encoding: chunked\r\n\r\n", answers.chunk(EVENTS[0]),
                answers.chunk(EVENTS[1]) + b"0\r\n\r\n")
    return head + b"Connection: close\r\n\r\n", *EVENTS


def cut(parts, place):
    """The bytes that come before the fault."""
    head, first, rest = parts
    return {"before the head": b"", "mid head": head[:len(head) // 2], "after the head": head,
            "mid body": head + first, NO_LAST_CHUNK: (head + first + rest).removesuffix(b"0\r\n\r\n"),
            "after the end": head + first + rest}[place]


PLACES = ["before the head", "mid head", "after the head", "mid body", "after the end"]


def parts_of(kind, framing):
    return (plain if kind == "plain" else streamed)(framing)


class Breaking:
    """A mixin of FaultCase."""

    def check(self, response, wanted, kind, to_the_end):
        good = TEXT if kind == "plain" else b"".join(EVENTS)
        if isinstance(wanted, int):
            self.assert_refusal(response, (wanted,))
            self.assertEqual(response.code(), "UPSTREAM_TIMEOUT" if wanted == 504 else "UPSTREAM_ERROR")
            return
        self.assertEqual(response.status, 200, response)
        self.assertEqual(response.complete, wanted == "whole", response)
        if wanted == "whole":
            self.assertEqual(response.body, good if to_the_end is None else to_the_end)
        elif kind == "streamed":
            self.assertIn(b'data: {"error"', response.body)
            self.assertNotIn(b"[DONE]", response.body.replace(to_the_end or b"", b""))
            self.assertNotIn(b"nonsense", response.body)
