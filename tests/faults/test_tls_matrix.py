"""A model server behind TLS that fails in every way in which TLS can (HOSTILE TLS-09): certificates that
will not do, handshakes that stop at any byte, answers that end with and without a close_notify, records
that are none. Nothing is sent twice, nothing in clear, and no such connection is used again."""

import concurrent.futures
import socket
import ssl

from breaking import PLACES, Breaking, cut, parts_of
from case import CLOSED, FaultCase, either
from tls_peer import Peer
from tools import oracles
from tools import upstream as answers
from tools.case import UPSTREAM_KEY, rows
from tools.certificates import Certificates
from tools.client import chat_request
from tools.upstream import Upstream, wait_until

KINDS = {"plain": {}, "streamed": {"stream": True}}


class TlsCase(FaultCase):
    """One gateway, and behind it servers by the names of `servers`, told apart by the model."""
    servers = {}  # name -> (certificate, version at most or None)
    members = {}  # name -> further settings

    @classmethod
    def make_gateway(cls):
        cls.addClassCleanup(cls.remove)
        cls.certificates, cls.peers, cls.upstreams = Certificates(), {}, {}
        for name, (certificate, maximum) in cls.servers.items():
            cls.peers[name] = Peer(cls.certificates.context(certificate, maximum))
            cls.upstreams[name] = Upstream(tls=cls.peers[name], default=cls.answer)
        gateway = super().make_gateway()
        gateway.upstreams = [{
            "name": name.replace(" ", "-").replace("'", ""), "kind": "openai", "models": [name],
            "url": upstream.url, "api_key": UPSTREAM_KEY,
            "ca_file": str(cls.certificates.folder / "ca.pem"), **cls.members.get(name, {})}
            for name, upstream in cls.upstreams.items()] + gateway.upstreams
        gateway.write_config()
        return gateway

    @classmethod
    def remove(cls):
        for upstream in cls.upstreams.values():
            upstream.stop()
        cls.certificates.remove()

    @classmethod
    def model_servers(cls):
        return list(cls.upstreams.values())

    @classmethod
    def complaints(cls):
        clear = [f"{name} was sent something in clear: {wire!r}" for name, peer in cls.peers.items()
                 for wire in peer.in_clear()]
        return super().complaints() + clear + oracles.canonical(cls.model_servers())

    def ask(self, kind, model):
        response = self.outcome(chat_request(self.key, model, **KINDS[kind]))
        self.assertNotEqual(response, CLOSED)
        return response

    def assert_502(self, response):
        self.assert_refusal(response, (502,))
        self.assertEqual(response.code(), "UPSTREAM_ERROR")

    def tearDown(self):
        self.assert_at_rest()


def each_kind(names):
    return {f"{name}, {kind}": (name, kind) for name in names for kind in KINDS}


V11 = ssl.TLSVersion.TLSv1_1
V12 = ssl.TLSVersion.TLSv1_2


class CertificateRows(TlsCase):
    good = {"IP address": ("address", None), "name": ("name", None), "TLS 1.2": ("good", V12)}
    bad = {"another name": ("other", None), "signed itself": ("self", None), "expired": ("expired", None),
           "TLS 1.1": ("good", V11), "another's authority": ("good", None),
           "address as common name only": ("common", None), "common name only": ("common name", None),
           "address written as a name": ("address as a name", None), "address for a name": ("address", None),
           "a client's": ("client's", None)}
    servers = {**good, **bad}

    @classmethod
    def make_gateway(cls):
        gateway = super().make_gateway()
        for upstream in gateway.upstreams:
            if upstream.get("models") in (["name"], ["address for a name"], ["common name only"]):
                upstream["url"] = upstream["url"].replace("127.0.0.1", "localhost")
            if upstream.get("models") == ["another's authority"]:
                upstream["ca_file"] = str(cls.certificates.folder / "self.pem")
        gateway.write_config()
        return gateway

    @rows(each_kind(good))
    def it_will_do(self, name, kind):
        response = self.ask(kind, name)
        self.assertEqual(response.status, 200)
        self.assertTrue(response.complete)
        self.assertEqual(self.upstreams[name].requests[-1].value("authorization"), f"Bearer {UPSTREAM_KEY}")
        # It is sent as SNI when it is a name (RFC 6066, section 3).
        self.assertEqual(self.peers[name].names[-1], "localhost" if name == "name" else None)

    @rows(each_kind(bad))
    def it_will_not_do(self, name, kind):
        peer = self.peers[name]
        before = len(peer.sockets)
        self.assert_502(self.ask(kind, name))
        wait_until(lambda: len(peer.sockets) > before, "the connection")
        self.assertEqual(len(peer.sockets), before + 1, "connections")
        self.assertEqual(self.upstreams[name].connections, [], "handshakes that were completed")


VARIES = 16  # how much longer or shorter the next handshake may be, by its signature


def spread(length, boundaries):
    """Where to cut so many bytes: at both ends, around each boundary, and in between."""
    length -= VARIES
    step = max(1, length // either(8, 200))
    around = {at + near for at in boundaries for near in (-1, 0, 1)}
    return sorted(at for at in {0, 1, length, *range(0, length, step), *around} if 0 <= at <= length)


def record_ends(flight):
    """Where its records end."""
    at, ends = 0, []
    while at + 5 <= len(flight):
        at += 5 + int.from_bytes(flight[at + 3:at + 5], "big")
        ends.append(at)
    return ends


class Handshakes(TlsCase):
    servers = {"TLS 1.3": ("good", None), "TLS 1.2": ("good", V12),
               **{f"silent {at}": ("good", None) for at in (0, 3, 60, 400)}}
    members = {name: {"connect_timeout": "1s"} for name in servers if name.startswith("silent")}

    @staticmethod
    def answer(connection, request):
        """A new connection for each, and so a new handshake."""
        return answers.whole({"fresh": True}, extra=["Connection: close"])(connection, request) and False

    def length_of(self, name):
        """What a whole handshake takes of the server, and where its records end."""
        sent = bytearray()
        original = self.peers[name].wrap_socket

        def recording(sock, server_side):
            class Recording:
                def __getattr__(self, member):
                    return getattr(sock, member)

                def sendall(self, piece):
                    if made is None:
                        sent.extend(piece)
                    sock.sendall(piece)
            made = None
            made = original(Recording(), server_side)
            return made
        self.peers[name].wrap_socket = recording
        try:
            self.assertEqual(self.ask("plain", name).status, 200)
        finally:
            del self.peers[name].wrap_socket
        self.assertGreater(len(sent), 300)
        return len(sent), record_ends(sent)

    @rows({f"{name}, {ending}": (name, ending) for name in ("TLS 1.3", "TLS 1.2") for ending in ("close", "reset")})
    def cut_at_any_byte(self, name, ending):
        peer, upstream = self.peers[name], self.upstreams[name]
        length, ends = self.length_of(name)
        for number, at in enumerate(spread(length, ends)):
            with self.subTest(at=at, of=length):
                before, served = len(peer.sockets), len(upstream.connections)
                peer.cut, peer.ending = at, ending
                try:
                    response = self.ask(list(KINDS)[number % 2], name)
                finally:
                    peer.cut = None
                self.assert_502(response)
                self.assertEqual(len(peer.sockets), before + 1, "connections")
                self.assertEqual(len(upstream.connections), served, "handshakes that were completed")
        self.assertEqual(self.ask("plain", name).status, 200)

    def test_silence_at_any_byte(self):
        """All at once, for each of them takes its time."""
        def one(name):
            peer = self.peers[name]
            peer.cut, peer.ending = int(name.split()[1]), "silence"
            response = self.ask("plain", name)
            self.assert_refusal(response, (504,))
            self.assertEqual(len(peer.sockets), 1, "connections")
        with concurrent.futures.ThreadPoolExecutor(len(self.members)) as pool:
            list(pool.map(one, self.members))


# What ends, or breaks, an answer, in one segment with it where it says something; True when the gateway then
# closed the connection, or nobody waited for that.

def goodbye(connection):
    connection.sock.notify_close()
    connection.sock.uncork()
    return connection.sock.wait_end()


def goodbye_and_close(connection):
    connection.sock.notify_close()
    connection.sock.uncork()
    return True


def closes(connection):
    connection.sock.uncork()
    return True


def half_closes(connection):
    connection.sock.uncork()
    connection.sock.shutdown(socket.SHUT_WR)
    return connection.sock.wait_end()


def resets(connection):
    connection.sock.uncork()
    connection.reset()
    return True


def says(piece):
    def fault(connection):
        connection.sock.send_raw(piece)
        connection.sock.uncork()
        return connection.sock.wait_end()
    return fault


NOTIFIED = {"it says goodbye": goodbye, "it says goodbye and closes": goodbye_and_close}
CUT_OFF = {"it closes without a word": closes, "it half-closes without a word": half_closes, "it resets": resets}
GARBAGE = {
    "a record that does not decrypt": says(b"\x17\x03\x03\x00\x40" + bytes(range(64))),
    "a record that is too long": says(b"\x17\x03\x03\xff\xff" + bytes(64)),
    "bytes that are no record": says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "an alert in clear": says(b"\x15\x03\x03\x00\x02\x02\x28"),
}
FAULTS = {**NOTIFIED, **CUT_OFF, **GARBAGE}


def expected(framing, place, fault):
    """What the client must see: a refusal's status, "broken" or "whole". Only a close_notify ends what has
    no other end (RFC 9112, section 9.8)."""
    if place in ("before the head", "mid head"):
        return 502
    if framing == "close":
        return "whole" if fault in NOTIFIED else "broken"
    return "whole" if place == "after the end" else "broken"


class Ends(Breaking, TlsCase):
    servers = {"TLS 1.3": ("good", None), "TLS 1.2": ("good", V12)}

    MATRIX = {f"{kind}, {framing}, {place}": (kind, framing, place)
              for kind, framings in {"plain": ["length", "chunks", "close"], "streamed": ["chunks", "close"]}.items()
              for framing in framings for place in PLACES}

    @rows({f"{name}: {fault}": (name, fault) for name in servers for fault in FAULTS})
    def end(self, name, fault):
        for row, (kind, framing, place) in self.MATRIX.items():
            with self.subTest(row=row):
                self.one(name, fault, kind, framing, place)

    def one(self, name, fault, kind, framing, place):
        upstream, ended = self.upstreams[name], []
        piece = cut(parts_of(kind, framing), place)

        def answer(connection, _request):
            connection.sock.cork()
            connection.send(piece)
            ended.append(connection if FAULTS[fault](connection) else "a connection that was kept")
            return False
        before = len(upstream.requests)
        upstream.on(name, answer)
        response = self.ask(kind, name)
        del upstream.answers[name]
        self.check(response, expected(framing, place, fault), kind,
                   piece.partition(b"\r\n\r\n")[2] if framing == "close" else None)
        after = self.ask(kind, name)
        if fault in CUT_OFF and after.status == 502:  # the end was still on its way, and a POST is not sent twice
            after = self.ask(kind, name)
        self.assertEqual(after.status, 200)
        wait_until(lambda: ended, "the gateway to close the connection")
        asked = [each.connection for each in upstream.requests[before:]]
        self.assertEqual(asked[:1], ended)
        self.assertEqual(asked.count(ended[0]), 1, "the connection is used again")
        self.assertEqual(len(asked), 2, "each is sent once")
