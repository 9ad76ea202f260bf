"""A name with two addresses, one of which says nothing, as behind a firewall that drops what it does not like."""

import socket

from case import FaultCase, Guarded, OwnHosts
from tools.client import request
from tools.upstream import Upstream, whole


class TwoAddresses(OwnHosts, Guarded):
    pass


class Silent(FaultCase):
    make = TwoAddresses
    upstream_members = {"kind": None, "connect_timeout": "4s", "first_byte_timeout": "1s"}

    @classmethod
    def make_gateway(cls):
        # A queue that is full: what knocks next is not answered at all. The system sorts this address first.
        cls.silent = socket.socket()
        cls.silent.bind(("127.0.0.1", 0))
        cls.silent.listen(0)
        cls.addClassCleanup(cls.silent.close)
        cls.waiting = [cls.knock() for _ in range(3)]
        cls.upstream.stop()
        port = cls.silent.getsockname()[1]
        cls.upstream = Upstream(default=whole({"fine": True}, extra=["Connection: close"]),
                                address=("127.0.0.2", port))
        gateway = super().make_gateway()
        gateway.name_is("127.0.0.1", "127.0.0.2")
        gateway.call_upstream_by_name(port)
        return gateway

    @classmethod
    def knock(cls):
        sock = socket.socket()
        cls.addClassCleanup(sock.close)
        sock.setblocking(False)
        sock.connect_ex(cls.silent.getsockname())
        return sock

    def test_it_was_found_to_be_ollama(self):
        self.assertEqual(self.gateway.ask(request("GET", "/api/version", key=self.key)).status, 200)

    def test_the_other_address_is_asked_and_stays_the_first(self):
        self.assertEqual(self.chat().status, 200)
        # From here on whoever comes to the silent one is taken, and never answered.
        self.silent.listen(100)
        for _ in range(3):
            self.assertEqual(self.chat().status, 200)
