"""kill -9 while keys are made and revoked: what was acknowledged is there after the next start, and what
was revoked stays revoked."""

import random
import threading

from case import CLOSED, FaultCase, either
from tools.client import chat_request
from tools.upstream import wait_until

ROUNDS = either(20, 200)


class Round(threading.Thread):
    """Makes keys and revokes every second of them until the gateway is gone."""

    def __init__(self, gateway):
        super().__init__(daemon=True)
        self.gateway = gateway
        self.live, self.revoked = [], []  # acknowledged; a key between the two is in neither
        self.done = 0

    def run(self):
        try:
            while True:
                key = self.gateway.create(f"key {self.done}")
                if key == CLOSED:
                    return
                self.done += 1
                if self.done % 2:
                    self.live.append(key)
                    continue
                answer = self.gateway.control("key_revoke", id=key["id"])
                if answer == CLOSED:
                    return
                assert answer["ok"], answer
                self.revoked.append(key)
        except (ConnectionError, FileNotFoundError):
            return


class Kill(FaultCase):
    def test_what_was_acknowledged_outlives_a_kill(self):
        seed = random.randrange(2**32)
        chance = random.Random(seed)
        live, revoked = [], []
        for number in range(ROUNDS):
            self.where = f"round {number} of seed {seed}"
            work = Round(self.gateway)
            work.start()
            at = chance.randrange(6)
            wait_until(lambda: work.done >= at, f"keys to be made, {self.where}")
            threading.Event().wait(chance.random() * 0.02)  # anywhere within what comes next
            self.gateway.kill()
            work.join(30)
            self.gateway.restart_killed()
            self.check(work.live, work.revoked)
            live += work.live
            revoked += work.revoked
        self.assertGreater(len(revoked), ROUNDS // 2, "nothing was revoked: the test tests nothing")
        self.check(live, revoked)
        self.assertEqual(self.gateway.integrity(), "ok")

    def check(self, live, revoked):
        statuses = self.gateway.statuses()
        with self.client() as client:
            for key in live:
                self.assertEqual(statuses.get(key["id"]), "live", self.where)
                self.assertEqual(client.ask(chat_request(key["key"])).status, 200, key["id"])
        for key in revoked:
            self.assertEqual(statuses.get(key["id"]), "revoked", self.where)
            self.assertEqual(self.chat(key=key["key"]).status, 401, key["id"])
