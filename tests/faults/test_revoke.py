"""Keys that are in use while they are revoked: once the answer to that is there, nothing passes. In the long form ten
thousand of them, one after the other."""

from case import FaultCase, either
from tools.client import request
from tools.load import KeyLoad

ROUNDS = either(200, 10000)


class Revoke(FaultCase):
    sections = {"log": {"access": "", "app_requests": False}}  # some millions of requests that nobody looks at

    def test_nothing_passes_after_the_answer_to_a_revoke(self):
        passed = 0
        with self.client() as client:
            for number in range(ROUNDS):
                made = self.gateway.create(f"round {number}")
                # Whether they stand in a file is found out of the first ones; of all of them that would take hours.
                del self.gateway.secrets[100:]
                with KeyLoad(self.client, made["key"]) as load:
                    answer = self.gateway.control("key_revoke", id=made["id"])
                    load.over()
                    self.assertEqual(client.ask(request(path="/v1/models", key=made["key"])).status, 401, made["id"])
                self.assertTrue(answer["ok"], answer)
                self.assertEqual(load.late, [], f"round {number}")
                passed += sum(load.passed)
        self.assertGreaterEqual(passed, 2 * ROUNDS)
        self.assertEqual(list(self.gateway.statuses().values()).count("revoked"), ROUNDS)
        self.assert_at_rest()
