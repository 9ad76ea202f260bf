"""Whether the other end of a loopback connection has read what it was sent. The kernel is asked for that one
socket (sock_diag(7), without rights); /proc/net/tcp would be all sockets of the machine, each time."""

import socket
import struct
import time

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 1
ANY_COOKIE = b"\xff" * 8
LISTEN = 10           # a state; the listener is what is found once its connection is no more
STATE_AT, UNREAD_AT = 17, 72  # in struct nlmsghdr and inet_diag_msg
POLL_S = 0.00003      # a sleep, since a spin keeps the gateway from reading where cores are few
UNTOLD_S = 0.002      # what to wait where the kernel has no sock_diag, as some containers have not


def question(near, far):
    """Asks about the socket at `near` that is connected to `far`."""
    ports = struct.pack("!HH", near[1], far[1])
    addresses = b"".join(socket.inet_aton(end[0]).ljust(16, b"\0") for end in (near, far))
    about = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0xffffffff)
    rest = about + ports + addresses + struct.pack("=I", 0) + ANY_COOKIE
    return struct.pack("=IHHII", 16 + len(rest), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0) + rest


class Peer:
    def __init__(self, sock):
        here, there = sock.getsockname(), sock.getpeername()
        self.kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
        self.question = question(there, here)
        self.told = self.ask(question(here, there)) is not None

    def close(self):
        self.kernel.close()

    def ask(self, about):
        """The kernel's words about a socket, or None when it knows of none."""
        self.kernel.send(about)
        answer = self.kernel.recv(4096)
        return answer if struct.unpack_from("=H", answer, 4)[0] == SOCK_DIAG_BY_FAMILY else None

    def has_read(self):
        answer = self.ask(self.question)
        if answer is None or answer[STATE_AT] == LISTEN:  # gone, and will read no more
            return True
        return struct.unpack_from("=I", answer, UNREAD_AT)[0] == 0

    def wait_read(self, timeout_s):
        """False when it has not read everything in time."""
        if not self.told:
            time.sleep(UNTOLD_S)
            return True
        end = time.monotonic() + timeout_s
        while not self.has_read():
            if time.monotonic() > end:
                return False
            time.sleep(POLL_S)
        return True
