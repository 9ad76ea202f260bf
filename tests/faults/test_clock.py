"""The wall clock is set, forward or back, while people are signed in and keys run out: nothing is good for longer
than it was promised to be, and once the clock is right again everybody may come in anew."""

import secrets

from case import Failing, FaultCase
from tools.case import rows
from tools.client import request

PASSWORD = "canary-admin-" + secrets.token_hex(8)
HOUR = 3600
DAY = 24 * HOUR
TOKEN_S, SESSION_S, KEY_S = 24 * HOUR, 14 * DAY, DAY
SETS = {"not at all": 0, "back by a minute": -60, "back by a day": -DAY, "back by a year": -365 * DAY}


class Clock(FaultCase):
    make = Failing
    sections = {"security": {"admin_password": PASSWORD}}

    @classmethod
    def set_up(cls):
        cls.gateway.secrets.append(PASSWORD)

    def setUp(self):
        """Each test has a gateway that begins with the right clock."""
        self.gateway.restart_killed()
        self.gateway.plan.clocks(0)

    def tearDown(self):
        self.gateway.plan.clocks(0)

    def ask(self, method, path, token=None, body=None):
        with self.client() as client:
            return client.ask(request(method, path, (), body, token))

    def pair(self, response):
        self.assertEqual(response.status, 200, response)
        answer = response.json()
        self.gateway.secrets += [answer["token"], answer["refresh_token"]]
        return answer

    def login(self):
        return self.pair(self.ask("POST", "/api/v1/auth/login", body={"username": "admin", "password": PASSWORD}))

    def refresh(self, pair):
        return self.ask("POST", "/token/refresh", body={"refresh_token": pair["refresh_token"]})

    def status(self, credential):
        return self.ask("GET", "/v1/models", credential).status

    # Set back.

    @rows(SETS)
    def token_ends_when_it_was_to(self, set_s):
        token = self.login()["token"]
        self.gateway.plan.clocks(TOKEN_S - 10, set_s)
        self.assertEqual(self.status(token), 200)
        self.gateway.plan.clocks(TOKEN_S + 1, set_s)
        self.assertEqual(self.status(token), 401)

    @rows(SETS)
    def session_ends_when_it_was_to(self, set_s):
        pair = self.login()
        self.gateway.plan.clocks(SESSION_S - 10, set_s)
        pair = self.pair(self.refresh(pair))
        self.assertEqual(self.status(pair["token"]), 200, "a token that was made by the clock that was set back")
        self.gateway.plan.clocks(2 * SESSION_S, set_s)
        self.assertEqual(self.refresh(pair).status, 401)

    @rows(SETS)
    def key_ends_when_it_was_to(self, set_s):
        key = self.gateway.create("for a day", expires_in_days=1)["key"]
        self.gateway.plan.clocks(KEY_S - 10, set_s)
        self.assertEqual(self.status(key), 200)
        self.gateway.plan.clocks(KEY_S + 1, set_s)
        self.assertEqual(self.status(key), 401)

    @rows(SETS)
    def who_signs_in_afterwards_is_in(self, set_s):
        self.gateway.plan.clocks(HOUR, set_s)
        self.assertEqual(self.status(self.login()["token"]), 200)
        self.assertEqual(self.status(self.key), 200)

    # Set ahead, and set right again.

    def test_what_ended_early_is_good_again_when_the_clock_is_right(self):
        pair = self.login()
        self.gateway.plan.clocks(0, 2 * DAY)
        self.assertEqual(self.status(pair["token"]), 401)
        self.gateway.plan.clocks(0)
        self.assertEqual(self.status(pair["token"]), 200)
        self.assertEqual(self.refresh(pair).status, 200)

    def test_what_was_made_while_it_was_ahead_opens_nothing_afterwards(self):
        old = self.login()
        self.gateway.plan.clocks(0, DAY)
        made, renewed = self.login(), self.pair(self.refresh(old))
        for pair in (made, renewed):
            self.assertEqual(self.status(pair["token"]), 200)
        self.gateway.plan.clocks(0)
        for pair in (made, renewed):
            self.assertEqual(self.status(pair["token"]), 401)
            self.assertEqual(self.refresh(pair).status, 401)
        self.assertEqual(self.status(self.login()["token"]), 200)

    def test_a_start_does_not_help_it(self):
        self.gateway.plan.clocks(0, DAY)
        pair = self.login()
        self.gateway.restart_killed()
        self.gateway.plan.clocks(0)
        self.gateway.restart_killed()
        self.assertEqual(self.status(pair["token"]), 401)
        self.assertEqual(self.refresh(pair).status, 401)
