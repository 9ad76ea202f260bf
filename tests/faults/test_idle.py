"""What a connection costs that waits: the build whose memory is the user's, with connections that have
all had an answer and say no more. Most of it is the object itself; buffers would be many times that."""

import contextlib
import unittest

from case import FaultCase, Lean
from tools.client import Client, chat_request

FIRST, MORE = 200, 2000
REQUESTS = 4000  # before anything is measured: the log's rings have been through all of their pages
BYTES_EACH = 768
NOISE_BYTES = 128 * 1024  # of the allocator, and of the pages of other tables


class Idle(FaultCase):
    make = Lean
    sections = {"server": {"workers": 1, "max_connections": 4000}}

    @classmethod
    def set_up(cls):
        with cls.gateway.client() as client:
            for _ in range(REQUESTS):
                assert client.ask(chat_request(cls.key), "POST").status == 200

    def open(self, stack, count):
        for _ in range(count):
            client = stack.enter_context(Client(self.gateway.port))
            self.assertEqual(client.ask(chat_request(self.key), "POST").status, 200)

    def test_a_connection_that_waits_owns_no_buffers(self):
        with contextlib.ExitStack() as stack:
            self.open(stack, FIRST)
            before = self.gateway.rss_bytes()
            self.open(stack, MORE)
            grown = self.gateway.rss_bytes() - before
        self.assertLess(grown, MORE * BYTES_EACH + NOISE_BYTES, f"{grown / MORE:.0f} bytes each")
        self.assertGreater(grown, 0)


if __name__ == "__main__":
    unittest.main()
