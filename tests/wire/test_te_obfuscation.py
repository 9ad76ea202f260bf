"""Transfer-Encoding in disguise (H1-03): every byte that some reader passes over, takes for white space or for
the end of a line, at every place in and around the field. Each disguise is sent twice: beside a length, where a
server that sees through it finds a second request in the body, and alone. Whatever is not plainly one thing
is refused, and nothing of it goes upstream."""

from tools.case import MARK, THOROUGH, WireCase, rows

HEAD = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer " + MARK
        + b"\r\nContent-Type: application/json\r\n")
BODY = b'{"model":"m","messages":[]}'
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
INSIDE = b"GET /api/ps HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer " + MARK + b"\r\n\r\n"

BYTES = [*range(0x00, 0x21), *range(0x7f, 0x100)]
BLANKS = {0x09, 0x20}

# What is answered beside a length, and alone.
REFUSED = (400, 400)
LEGAL = (400, 200)      # the field as RFC 9112 has it
UNKNOWN = (501, 501)    # well formed, but a coding that nobody here knows
ORDINARY = (200, 411)   # another field's value, which frames nothing
TOO_LATE = (411, 411)   # the head ended before it

# Where the byte goes, and what a blank is there; every other byte is refused everywhere.
PLACES = {
    "before the name": (b"%cTransfer-Encoding: chunked", REFUSED),
    "in the name": (b"Transfer-En%ccoding: chunked", REFUSED),
    "for the hyphen": (b"Transfer%cEncoding: chunked", REFUSED),
    "behind the name": (b"Transfer-Encoding%c: chunked", REFUSED),
    "twice behind the name": (b"Transfer-Encoding%c%c: chunked", REFUSED),
    "for the colon": (b"Transfer-Encoding%cchunked", REFUSED),
    "behind the colon": (b"Transfer-Encoding:%cchunked", LEGAL),
    "before the value": (b"Transfer-Encoding: %cchunked", LEGAL),
    "in the value": (b"Transfer-Encoding: chu%cnked", REFUSED),
    "behind the value": (b"Transfer-Encoding: chunked%c", LEGAL),
    "twice around the value": (b"Transfer-Encoding:%cchunked%c", LEGAL),
    "behind the coding and a word": (b"Transfer-Encoding: chunked%cidentity", REFUSED),
    "behind another value": (b"X: X%cTransfer-Encoding: chunked", ORDINARY),
    "behind CR": (b"X: X\r%cTransfer-Encoding: chunked", REFUSED),
    "behind LF": (b"X: X\n%cTransfer-Encoding: chunked", REFUSED),
    "behind CR LF": (b"X: X\r\n%cTransfer-Encoding: chunked", REFUSED),
    "before CR": (b"X: X%c\rTransfer-Encoding: chunked", REFUSED),
    "before LF": (b"X: X%c\nTransfer-Encoding: chunked", REFUSED),
}

# What no single byte makes.
WORDS = {
    b"Transfer-Encoding: chunked": LEGAL,
    b"Transfer-Encoding:chunked": LEGAL,
    b"TRANSFER-ENCODING: CHUNKED": LEGAL,
    b"transfer-encoding: chunked": LEGAL,
    b"tRANSFER-eNCODING: cHUNKED": LEGAL,
    b"Transfer-Encoding: \t chunked \t ": LEGAL,
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked": REFUSED,
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity": REFUSED,
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked": UNKNOWN,
    b"Transfer-Encoding:\r\nTransfer-Encoding: chunked": REFUSED,
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding:": REFUSED,
    b"Transfer-Encoding: chunked\r\n chunked": REFUSED,
    b"Transfer-Encoding:\r\n chunked": REFUSED,
    b"Transfer-Encoding:\r\n\tchunked": REFUSED,
    b"Transfer-Encoding\r\n: chunked": REFUSED,
    b"Transfer-\r\nEncoding: chunked": REFUSED,
    b"X: X\r\n Transfer-Encoding: chunked": REFUSED,
    b"X: X\r\n\r\nTransfer-Encoding: chunked": TOO_LATE,
    b"Transfer-Encoding: chunked, chunked": REFUSED,
    b"Transfer-Encoding: chunked, identity": REFUSED,
    b"Transfer-Encoding: identity, chunked": REFUSED,
    b"Transfer-Encoding: gzip, chunked": REFUSED,
    b"Transfer-Encoding: ,chunked": REFUSED,
    b"Transfer-Encoding: chunked,": REFUSED,
    b"Transfer-Encoding: ": REFUSED,
    b"Transfer-Encoding: \"chunked\"": REFUSED,
    b"Transfer-Encoding: 'chunked'": UNKNOWN,
    b"Transfer-Encoding: (comment) chunked": REFUSED,
    b"Transfer-Encoding: chunked;q=1": REFUSED,
    b"Transfer-Encoding: chunked x": REFUSED,
    b"Transfer-Encoding: x chunked": REFUSED,
    b"Transfer-Encoding: xchunked": UNKNOWN,
    b"Transfer-Encoding: chunkedx": UNKNOWN,
    b"Transfer-Encoding: chunk": UNKNOWN,
    b"Transfer-Encoding: identity": UNKNOWN,
    b"Transfer-Encoding: cow": UNKNOWN,
    b"Transfer-Encoding:: chunked": REFUSED,
    b"Transfer-Encoding: : chunked": REFUSED,
    b"Transfer-Encoding=chunked": REFUSED,
    b"Transfer-Encoding; chunked": REFUSED,
    b"Transfer_Encoding: chunked": REFUSED,
    b"Transfer\xe2\x80\x90Encoding: chunked": REFUSED,
    b"\xef\xbb\xbfTransfer-Encoding: chunked": REFUSED,
    b"Transfer-Encoding\xc2\xa0: chunked": REFUSED,
    b"Transfer-Encoding: \xe3\x83\x81hunked": REFUSED,
    b"\"Transfer-Encoding\": chunked": REFUSED,
    b": Transfer-Encoding: chunked": REFUSED,
    b"X: \"\r\nTransfer-Encoding: chunked\r\nY: \"": LEGAL,  # quotes hold no line together
    b"Content-Encoding: chunked": (415, 411),
}


def beside_a_length(field, passes):
    """A body that is the whole of it by its length, and a request and more by its chunks."""
    body = BODY if passes else CHUNKS + INSIDE
    return field + b"\r\nContent-Length: @LENGTH@\r\n\r\n" + body


def alone(field):
    return field + b"\r\n\r\n" + CHUNKS


class TransferEncodingInDisguise(WireCase):
    def filled(self, piece):
        """The request with the caller's key and the length of its body put in."""
        piece = (HEAD + piece).replace(MARK, self.key.encode())
        length = len(piece) - piece.index(b"@LENGTH@") - len(b"@LENGTH@\r\n\r\n") if b"@LENGTH@" in piece else 0
        return piece.replace(b"@LENGTH@", b"%d" % length)

    def judge(self, piece, status):
        if THOROUGH and status in (400, 501):
            self.refused(piece, status)
            return
        calls = self.calls()
        with self.client() as client:
            client.send(piece)
            response = client.read()
            self.assertEqual(response.status, status, response)
            if response.status == 411:  # what follows is read as the next request, and is none
                response = client.read()
                self.assertEqual(response.status, 400, response)
            if response.status in (400, 501):
                self.assertTrue(response.closes(), response)
                client.expect_closed()
        expected = 1 if response.status == 200 else 0
        self.assertEqual(self.calls(), calls + expected, "requests upstream")
        if expected:
            self.assertEqual(self.upstream.calls()[-1].body, BODY)

    def disguise(self, field, expected):
        beside, by_itself = expected
        with self.subTest(field=field, way="beside a length"):
            self.judge(self.filled(beside_a_length(field, beside in (200, 415))), beside)
        with self.subTest(field=field, way="alone"):
            self.judge(self.filled(alone(field)), by_itself)

    @rows(PLACES)
    def byte(self, form, blank):
        for byte in BYTES:
            field = form.replace(b"%c", bytes([byte]))
            whole_line = b"\r\nTransfer-Encoding:" in field  # CR or LF has made one
            self.disguise(field, LEGAL if whole_line else blank if byte in BLANKS else REFUSED)

    @rows({repr(field)[2:-1]: (field, expected) for field, expected in WORDS.items()})
    def words(self, field, expected):
        self.disguise(field, expected)
