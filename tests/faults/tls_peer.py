"""The TLS side of a model server, record by record in the test's own hands: it can stop in the middle of
a handshake, close with or without a close_notify, and say what is no record at all.

`Peer` stands where tools.upstream.Upstream expects an ssl.SSLContext, and `TlsSocket` where it expects a
socket."""

import socket
import ssl
import struct

from tools.upstream import DEADLINE_S

RECORDS = (b"\x16\x03", b"\x15\x03")  # how every TLS connection begins: a handshake, or an alert


class Cut(Exception):
    """The handshake has come to where it is to stop."""


class TlsSocket:
    def __init__(self, sock, context, cut):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.cut = cut            # how many bytes of the handshake are sent, or None: all
        self.wire = bytearray()   # all that came, as it came
        self.sent_bytes = 0
        self.corked = None        # what waits to be sent in one piece

    def flush(self):
        piece = self.outgoing.read()
        if self.cut is not None and self.sent_bytes + len(piece) >= self.cut:
            self.sock.sendall(piece[:self.cut - self.sent_bytes])
            raise Cut
        self.send_raw(piece)

    def drive(self, step, *arguments):
        while True:
            try:
                result = step(*arguments)
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                piece = self.sock.recv(65536)
                self.wire += piece
                if piece:
                    self.incoming.write(piece)
                else:
                    self.incoming.write_eof()
            except ssl.SSLError:
                self.flush()  # the alert
                raise

    def handshake(self):
        self.drive(self.tls.do_handshake)
        self.cut = None

    # What tools.upstream.Connection calls.

    def recv(self, size):
        return self.drive(self.tls.read, size)

    def sendall(self, piece):
        self.drive(self.tls.write, piece)

    def settimeout(self, timeout_s):
        self.sock.settimeout(timeout_s)

    def setsockopt(self, *arguments):
        self.sock.setsockopt(*arguments)

    def shutdown(self, how):
        self.sock.shutdown(how)

    def close(self):
        """Without a close_notify: that is another thing to do."""
        self.sock.close()

    # What only tests do.

    def notify_close(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass  # the other side's
        self.flush()

    def send_raw(self, piece):
        if self.corked is not None:
            self.corked += piece
        elif piece:
            self.sock.sendall(piece)
            self.sent_bytes += len(piece)

    def cork(self):
        self.corked = bytearray()

    def uncork(self):
        piece, self.corked = self.corked, None
        self.send_raw(piece or b"")

    def wait_end(self):
        """Until the gateway closes the connection; True when it did."""
        self.sock.settimeout(DEADLINE_S)
        try:
            while piece := self.sock.recv(65536):
                self.wire += piece
        except socket.timeout:
            return False
        except ConnectionError:
            pass
        return True


class Peer:
    """How a server speaks TLS. `cut` and `ending` are what happens to the next handshakes: so many bytes
    of it are sent, and then it closes, resets, or falls silent."""

    def __init__(self, context):
        self.context = context
        self.context.sni_callback = self.note_name
        self.cut, self.ending = None, "close"
        self.sockets = []  # of all connections, good and bad
        self.names = []    # the server names that were asked for; None: none was

    def note_name(self, _tls, name, _context):
        self.names.append(name)

    def wrap_socket(self, sock, server_side):
        assert server_side
        made = TlsSocket(sock, self.context, self.cut)
        self.sockets.append(made)
        try:
            made.handshake()
        except Cut:
            if self.ending == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif self.ending == "silence":
                made.wait_end()
            sock.close()
            raise ssl.SSLError("cut") from None
        except (OSError, ssl.SSLError):
            sock.close()
            raise
        return made

    def in_clear(self):
        """The connections on which anything but TLS was sent."""
        return [bytes(made.wire[:80]) for made in self.sockets if made.wire and not
                (made.wire.startswith(RECORDS) and b"HTTP/1" not in made.wire)]
