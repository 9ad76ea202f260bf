"""A model server that moves: its name has another address than it had. An address is believed for half a
minute, and no longer than it can be connected to."""

import socket

from case import Failing, FaultCase, OwnHosts
from tools import upstream as answers

OLD, NEW = "127.0.0.1", "127.0.0.2"
LIFETIME_S = 30


class Moved(OwnHosts, Failing):
    pass


class MovedNames(FaultCase):
    make = Moved
    # One worker, and no connection is kept: each request asks where the name is.
    sections = {"server": {"workers": 1}}
    answer = staticmethod(answers.whole(b"{}", extra=["Connection: close"]))

    @classmethod
    def make_gateway(cls):
        gateway = super().make_gateway()
        gateway.call_upstream_by_name(cls.upstream.port)
        return gateway

    @classmethod
    def set_up(cls):
        cls.other = answers.Upstream(default=cls.answer, address=(NEW, cls.upstream.port))
        cls.addClassCleanup(cls.other.stop)

    def asked(self):
        """Where one more request goes; None: nowhere."""
        before = len(self.upstream.requests), len(self.other.requests)
        response = self.chat()
        after = len(self.upstream.requests), len(self.other.requests)
        if after == before:
            self.assert_refusal(response, (502,))
            return None
        self.assertEqual(response.status, 200, response)
        return OLD if after[0] > before[0] else NEW


class Believed(MovedNames):
    def test_an_address_is_asked_for_again_after_half_a_minute(self):
        self.assertEqual(self.asked(), OLD)
        self.gateway.name_is(NEW)
        self.gateway.plan.clocks(LIFETIME_S - 10)
        self.assertEqual(self.asked(), OLD)
        self.gateway.plan.clocks(LIFETIME_S + 1)
        self.assertEqual(self.asked(), NEW)


class Gone(MovedNames):
    def test_an_address_that_cannot_be_connected_to_is_asked_for_again(self):
        self.assertEqual(self.asked(), OLD)
        self.gateway.name_is(NEW)
        self.upstream.listener.shutdown(socket.SHUT_RDWR)  # at once: a close would let in one more
        self.assertIsNone(self.asked())
        self.assertEqual(self.asked(), NEW)
