"""One call of the gateway fails, then the next one: the loop that goes through them, and what a request may
come to meanwhile."""

import errno
import itertools
import string
import zlib

from case import CLOSED, Failing, FaultCase
from plan import SHORT
from tools.client import chat_request, request

CALLS_MAX = 600     # of one class within one scenario; more would be a loop without end
CRYPTO_MAX = 20_000  # OpenSSL takes its memory in small pieces
REFUSALS = (500, 502, 503, 504)
SOCKETS = ["receive", "send", "accept", "watch"]
LARGE = "x" * 200_000
ERRORS = {**errno.errorcode, SHORT: "cut short"}
SQL_ERRORS = {5: "BUSY", 7: "NOMEM", 10: "IOERR", 11: "CORRUPT"}
SQL = ["sql", *(("sql", error) for error in SQL_ERRORS)]  # its own is FULL
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
GETS = ["a list of models", "metrics"]  # which say nothing of which request they are


def forged(key, other):
    """A key of this one's id with the other one's secret, and a checksum that is right."""
    text, check = key[:16] + other[16:59], ""
    rest = zlib.crc32(text.encode())
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        check = BASE62[digit] + check
    return text + check


def named(scenarios):
    """Rows of (scenario, class of calls, error; 0: the class's own)."""
    table = {}
    for scenario, classes in scenarios.items():
        for one in classes:
            name, error = one if isinstance(one, tuple) else (one, 0)
            names = SQL_ERRORS if name == "sql" else ERRORS
            label = f"{scenario}: {name} {names[error]}" if error else f"{scenario}: {name}"
            table[label] = (scenario, name, error)
    return table


class CallCase(FaultCase):
    make = Failing
    numbers = itertools.count(1)
    mark = "call-0."  # stands in each request that is made under a plan

    @classmethod
    def set_up(cls):
        # The first connection is with the first worker, so that those of the tests go to the second,
        # which takes a message between the two.
        cls.first = cls.gateway.client()
        cls.first.ask(request("GET", "/livez"))
        cls.good = {name: scenario(cls()).body for name, scenario in cls.answered.items()}

    @classmethod
    def tearDownClass(cls):
        cls.first.close()
        super().tearDownClass()

    def each(self, name, error, act, step=1):
        """Calls `act` with the first, second, ... call failing, or every `step`th, until none does. `act`
        is given a function that begins this, and one that ends it."""
        plan = self.gateway.plan
        for nth in range(1, CRYPTO_MAX if name == "crypto" else CALLS_MAX, step):
            with self.subTest(call=nth):
                try:
                    act(lambda: plan.fail(name, nth, error), lambda: plan.stop(name))
                finally:
                    came = plan.stop(name)
                    self.assertIsNone(self.gateway.process.poll(), self.gateway.tail())
                self.assertEqual(self.chat().status, 200, "the next request")
            if not came:
                break
        else:
            self.fail("there is no end to the calls")
        self.assertGreater(nth, 1, f"no {name} call was made")

    def setUp(self):
        self.assertEqual(self.chat().status, 200)

    def tearDown(self):
        self.assert_at_rest()

    # What a request may come to.

    answered = {
        "a chat": lambda self: self.outcome(chat_request(self.key, user=self.mark)),
        "a large chat": lambda self: self.outcome(chat_request(self.key, user=self.mark, content=LARGE)),
        "a stream": lambda self: self.outcome(chat_request(self.key, user=self.mark, stream=True)),
        "a list of models": lambda self: self.outcome(request(path="/v1/models", key=self.key)),
        "metrics": lambda self: self.outcome(request(path="/metrics/prometheus", key=self.gateway.monitor)),
    }

    def right(self, scenario, response):
        if response == CLOSED:
            return
        self.assertIn(response.status, (200, *REFUSALS), response)
        if not response.complete:
            return
        if response.status == 200:
            if scenario != "metrics":
                self.assertEqual(response.body, self.good[scenario])
        else:
            self.assert_refusal(response, REFUSALS)

    def asked(self, words, before=0):
        """How often the model server was asked something that says these words."""
        return sum(words.encode() in request.body for request in self.upstream.requests[before:])

    def once(self, scenario):
        """Asks; the model server is asked once at most, and once if there is an answer of its own."""
        self.mark, before = f"call-{next(self.numbers)}.", len(self.upstream.requests)
        response = self.answered[scenario](self)
        asked = self.asked(self.mark, before)
        self.assertLessEqual(asked, 1, "requests upstream")
        if response != CLOSED and response.status == 200 and scenario not in GETS:
            self.assertEqual(asked, 1, "requests upstream")
        return response

    def answered_or_refused(self, scenario, name, error, step=1):
        def act(begin, end):
            begin()
            response = self.once(scenario)
            end()
            self.right(scenario, response)
        self.each(name, error, act, step)

    def bad_keys(self):
        revoked = self.gateway.create("revoked")
        self.gateway.control("key_revoke", id=revoked["id"])
        self.assertEqual(forged(self.key, self.key), self.key)
        return forged(self.key, revoked["key"]), revoked["key"], None

    def nothing_opens(self, name, ask, keys):
        """`ask` is given keys that are no good, and says TRESPASSING."""
        for key in keys:
            def act(begin, _end, key=key):
                calls = self.calls()
                begin()
                response = ask(key)
                if response != CLOSED:
                    self.assertIn(response.status, (401, *REFUSALS), response)
                    if response.complete:
                        self.assert_refusal(response, (401, *REFUSALS))
                self.assertEqual(self.calls(), calls, "requests upstream")
            self.each(name, 0, act)
