"""One call fails while an entry is put on the deny-list, or taken off it: then the next one, until none does.
What was said to be done is done, in the file as in what is looked at for each request; what was refused is not."""

import errno
import itertools

from calls import CallCase, named
from case import CLOSED
from plan import SHORT
from tools.case import rows
from tools.client import request
from tools.upstream import wait_until

CALLS = ["memory", "send", "open", "read", "write", ("write", SHORT), ("write", errno.EINTR), "fsync", "rename",
         ("rename", errno.EBUSY), "truncate"]
NEVER = [("add", "rename"), ("add", "truncate"), ("remove", "truncate"), ("remove", "read")]  # it does without
UNNOTICED = [("write", errno.EINTR), ("rename", errno.EBUSY)]  # a file that is mounted is written in place
ROWS = {label: row for label, row in named({"add": CALLS, "remove": CALLS}).items() if row[:2] not in NEVER}


class DenyList(CallCase):
    sections = {"abuse": {"denylist_file": "denylist.txt"}, "server": {"trusted_proxies": ["127.0.0.1/32"]}}
    addresses = (f"203.0.{number // 250}.{number % 250 + 1}" for number in itertools.count())

    @classmethod
    def set_up(cls):
        super().set_up()
        cls.gateway.control("denylist_add", entry="198.51.100.1")  # so that the file is never empty

    def listed(self):
        return {row["entry"] for row in self.gateway.control("denylist_list")["entries"]}

    def written(self):
        path = self.gateway.folder / "denylist.txt"
        if not path.exists():
            return set()
        return {line.split()[0] for line in path.read_text().splitlines() if line and line[0] != "#"}

    def refused(self, address):
        fields = [("X-Forwarded-For", address)]
        return self.gateway.ask(request(path="/v1/models", fields=fields, key=self.key)).status == 403

    def views(self, entry):
        """Is it there: as the gateway says, as it acts, and in the file?"""
        return {entry in self.listed(), self.refused(entry), entry in self.written()}

    def assert_agreed(self, entry, before, wanted, answer):
        if answer != CLOSED and answer["ok"]:
            self.assertEqual(self.views(entry), {wanted})
            return
        # What was written and could not be taken up is read again, once a second.
        wait_until(lambda: len(self.views(entry)) == 1, "one view of it")
        if answer != CLOSED and "nothing was changed" in answer["message"]:
            self.assertEqual(self.views(entry), {before})

    @rows(ROWS)
    def change_is_made_or_refused(self, kind, name, error):
        def act(begin, end):
            entry = next(self.addresses)
            if kind == "remove":
                self.assertIs(self.gateway.control("denylist_add", entry=entry)["ok"], True)
            begin()
            answer = self.gateway.control(f"denylist_{kind}", entry=entry)
            end()
            self.assert_agreed(entry, kind == "remove", kind == "add", answer)
            if (name, error) in UNNOTICED:
                self.assertIs(answer["ok"], True)
            if entry in self.listed():
                self.assertIs(self.gateway.control("denylist_remove", entry=entry)["ok"], True)
        self.each(name, error, act)
