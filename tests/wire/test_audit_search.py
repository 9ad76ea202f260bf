"""The audit log over HTTP: searching and proving it, and nothing of it for those without the right."""

import json
import signal

from tools.case import rows
from tools.signing import SigningCase
from tools.upstream import wait_until

PATH = "/api/v1/audit"
KEYS = 120  # some pages of records


class Searches(SigningCase):
    @classmethod
    def set_up(cls):
        cls.first = cls.person("ann")
        word = cls.person("42")
        made = [cls.gateway.key(f"made {number}") for number in range(KEYS // 2)]
        log = cls.gateway.folder / "audit.log"
        log.rename(cls.gateway.folder / "audit.log.1")
        cls.gateway.signal(signal.SIGUSR1)
        wait_until(log.exists, "a new file")
        made += [cls.gateway.key(f"made {number}") for number in range(KEYS // 2, KEYS)]
        cls.made = [key["id"] for key in made]
        cls.remember(cls.try_login("42", word, address="198.18.99.1").json())
        wait_until(lambda: '"actor":"42"' in log.read_text(), "a record of the sign-in")

    def search(self, query="", token=None, status=200):
        response = self.call("GET", PATH + query, token or self.admin())
        self.assertEqual(response.status, status, response)
        return response.json() if status == 200 else response

    def records(self, query, before=""):
        found = []
        for _ in range(KEYS * 4):
            page = self.search(query + before)
            self.assertEqual((page["object"], page["has_more"]), ("list", page["next"] is not None))
            found += page["data"]
            if page["next"] is None:
                return found
            before = f"&before={page['next']}"
        raise AssertionError("the pages do not end")

    def stored(self):
        return [json.loads(line) for name in ("audit.log.1", "audit.log")
                for line in (self.gateway.folder / name).read_text().splitlines()]

    def test_the_newest_are_shown_first(self):
        shown = self.search()["data"]
        self.assertEqual(len(shown), 50)
        numbers = [record["seq"] for record in shown]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] - 50, -1)))
        stored = {record["seq"]: record for record in self.stored()}
        self.assertEqual(shown, [stored[number] for number in numbers])

    @rows({f"{limit} at a time": (limit,) for limit in (1, 7, 500)})
    def pages(self, limit):
        found = self.records(f"?event=key_create&limit={limit}")
        ids = [record["path"].rsplit("/", 1)[1] for record in reversed(found)]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual([one for one in ids if one in self.made], self.made)

    @rows({
        "an event": ("event=login", lambda record: record["event"] == "login"),
        "an actor": ("actor=local", lambda record: record["actor"] == "local"),
        "a name of digits": ("actor=42", lambda record: record["actor"] == "42"),
        "an address": ("ip=198.18.99.1", lambda record: record["ip"] == "198.18.99.1"),
        "two things": ("event=key_create&actor=local", lambda record: record["event"] == "key_create"),
        "nobody": ("actor=nobody", lambda record: False),
        "part of a name": ("actor=loca", lambda record: False),
        "since long": ("since=2020-01-01T00:00:00Z", lambda record: True),
        "since tomorrow": ("since=2999-01-01T00:00:00Z", lambda record: False),
        "until long ago": ("until=2020-01-01T00:00:00Z", lambda record: False),
    })
    def search_for(self, query, fits):
        newest = self.search("?limit=1")["data"][0]["seq"]
        found = self.records(f"?{query}&limit=100", f"&before={newest + 1}")
        expected = [record for record in self.stored() if fits(record) and record["seq"] <= newest]
        self.assertEqual(found, expected[::-1])

    @rows({
        "no event": ("event=nothing", "event"), "no time": ("since=yesterday", "since"), "no end": ("until=1", "until"),
        "no address": ("ip=here", "ip"), "none": ("limit=0", "limit"), "too many": ("limit=501", "limit"),
        "no number": ("limit=many", "limit"), "a negative number": ("before=-1", "before"),
        "an unknown word": ("order=asc", "order"), "twice": ("limit=1&limit=2", None),
        "a number too large": ("before=9223372036854775808", "before"),
    })
    def refused(self, query, param):
        response = self.search("?" + query, status=400)
        self.assertEqual(response.json()["error"]["param"], param, response)

    def test_the_whole_log_is_proved(self):
        verdict = self.call("GET", PATH + "/verify", self.admin()).json()
        self.assertEqual((verdict["ok"], verdict["files"]), (True, 2), verdict)
        self.assertGreater(verdict["records"], KEYS)
        self.assertEqual(verdict["records"], verdict["last_seq"])
        self.assertEqual(self.search("/verify?part=1", status=400).json()["error"]["param"], "part")

    def test_it_is_for_auditors_only(self):
        calls = self.calls()
        auditor = self.gateway.key("auditor", "view_audit_logs")["key"]
        for path in ("", "/verify"):
            self.assertEqual(self.call("GET", PATH + path, auditor).status, 200)
            self.assert_refused(self.call("GET", PATH + path), 401, "AUTHENTICATION_FAILED")
            self.assert_refused(self.call("GET", PATH + path, self.login("ann", self.first)["token"]), 403,
                                "PERMISSION_DENIED")
            self.assertEqual(self.call("POST", PATH + path, auditor, {}).status, 405)
        self.assertEqual(self.calls(), calls)


class Tampered(SigningCase):
    def test_a_changed_line_is_found_and_located(self):
        self.gateway.key("reports")
        path = self.gateway.folder / "audit.log"
        self.admin()
        wait_until(lambda: b'"event":"login"' in path.read_bytes(), "a record of the sign-in")
        before = path.read_bytes()
        changed = before.replace(b'"reason":"reports"', b'"reason":"weather"')
        self.assertNotEqual(before, changed)
        path.write_bytes(changed)
        line = changed.split(b"\n").index(next(one for one in changed.split(b"\n") if b"weather" in one)) + 1
        verdict = self.call("GET", PATH + "/verify", self.admin()).json()
        path.write_bytes(before)
        self.assertEqual((verdict["ok"], verdict["file"], verdict["line"], verdict["seq"]),
                         (False, "audit.log", line, line), verdict)
        self.assertIn("changed", verdict["fault"])
        self.assertEqual(self.call("GET", PATH + "/verify", self.admin()).json()["ok"], True)

    def test_a_key_that_is_missing_is_our_own_fault(self):
        path = self.gateway.folder / "audit.key"
        kept = self.gateway.folder / "kept.key"
        path.rename(kept)
        response = self.call("GET", PATH + "/verify", self.admin())
        kept.rename(path)
        self.assert_refused(response, 503, None)
        self.assertNotIn(str(self.gateway.folder), response.body.decode())
        wait_until(lambda: "audit.key is missing" in self.gateway.heard(), "a reason")


class TurnedOff(SigningCase):
    security = {"audit_logging_enabled": False}

    def test_there_is_none(self):
        for path in ("", "/verify"):
            response = self.call("GET", PATH + path, self.admin())
            self.assertEqual(response.status, 404, response)
            self.assertIn("audit_logging_enabled", response.json()["error"]["message"])
