"""`sallyport user`: the same with a running gateway and without one; where a password comes from, and where it
never goes."""

import json
import os
import pty
import select
import socket
import subprocess
import time
import unittest

from tools import oracles
from tools.case import RowsType, rows
from tools.client import request
from tools.gateway import BINARY, Gateway, environment
from tools.signing import PERMISSIONS, ROLES, SigningCase

WORD = "canary-horse-77ab01"
LIMIT_S = 60


def run_user(gateway, *arguments, sent=WORD + "\n", check=None):
    sent = sent.encode() if isinstance(sent, str) else sent
    done = subprocess.run([BINARY, "user", *arguments, "--config", gateway.config], cwd=gateway.folder,
                          env=environment(), input=sent, capture_output=True, timeout=LIMIT_S)
    done.out, done.error = done.stdout.decode(), done.stderr.decode()
    assert not oracles.sanitizers(done.error.splitlines()), done.error
    assert WORD not in done.out + done.error
    if check is not None:
        assert done.returncode == check, (arguments, done.returncode, done.out, done.error)
    return done


class Commands(metaclass=RowsType):
    """Each test twice: `self.gateway` runs, or does not."""

    def user(self, *arguments, sent=WORD + "\n", check=0):
        return run_user(self.gateway, *arguments, sent=sent, check=check)

    def shown(self, *arguments, **more):
        return json.loads(self.user(*arguments, "--json", **more).out)

    def test_a_users_life(self):
        made = self.shown("add", "ann")
        self.assertEqual((made["id"], made["username"], made["role"], made["permissions"], made["disabled"]),
                         ("ann", "ann", "user", ROLES["user"], False))
        self.assertEqual(self.shown("show", "ann"), made)
        self.assertIn("ann", [user["username"] for user in self.shown("list")])
        self.assertEqual(self.shown("role", "ann", "--role", "service")["role"], "service")
        self.assertTrue(self.shown("disable", "ann")["disabled"])
        self.assertFalse(self.shown("enable", "ann")["disabled"])
        self.assertGreaterEqual(self.shown("passwd", "ann")["password_changed_at"], made["password_changed_at"])
        self.user("delete", "ann")
        self.user("show", "ann", check=1)

    @rows({role: role for role in ROLES})
    def role(self, role):
        made = self.shown("add", f"a-{role}", "--role", role)
        self.assertEqual((made["role"], made["permissions"]), (role, ROLES[role]))
        self.user("delete", f"a-{role}")

    def test_for_people_it_is_a_table(self):
        self.user("add", "late.ann", "--role", "guest")
        done = self.user("list")
        self.assertRegex(done.out.splitlines()[0], r"\ANAME +ROLE +DISABLED +SESSIONS +CREATED +LAST LOGIN")
        line = next(line for line in done.out.splitlines() if line.startswith("late.ann"))
        self.assertRegex(line, r"guest +\S+ +0 +20\S+Z +never\Z")
        self.assertIn("late.ann", self.user("delete", "late.ann").out)

    @rows({"a name that is there": (["add", "twice"], "exists"), "nobody to show": (["show", "nobody"], "nobody"),
           "nobody to disable": (["disable", "nobody"], "nobody"), "nobody to delete": (["delete", "nobody"], "nobody"),
           "nobody's password": (["passwd", "nobody"], "nobody")})
    def failure(self, arguments, said):
        if arguments[1] == "twice":
            self.user("add", "twice")
            self.addCleanup(self.user, "delete", "twice")
        done = self.user(*arguments, check=1)
        self.assertEqual(done.out, "")
        self.assertIn(said, done.error)
        done = self.user(*arguments, "--json", check=1)
        self.assertEqual(done.out, "")

    @rows({"no such role": ["add", "x", "--role", "root"], "an empty role": ["add", "x", "--role", ""],
           "no name": ["add"], "two names": ["add", "x", "y"], "an empty name": ["add", ""], "a colon": ["add", "a:b"],
           "a space": ["add", "a b"],
           "controls": ["add", "a\x1b[2J"], "a long name": ["add", "a" * 65], "not UTF-8": ["add", b"\xff"],
           "no role": ["role", "x"], "a role where none goes": ["passwd", "x", "--role", "user"],
           "a password as an argument": ["add", "x", "--password", "whatever-it-is"],
           "a password as a word": ["passwd", "x", "whatever-it-is"], "no such subcommand": ["remove", "x"],
           "no subcommand": [], "an unknown flag": ["list", "--all"], "a flag twice": ["list", "--json", "--config", "a"]})
    def wrong_usage(self, arguments):
        done = self.user(*arguments, check=2)
        self.assertEqual(done.out, "")
        self.assertIn("sallyport user", done.error)
        self.assertNotIn("whatever-it-is", done.error)

    @rows({"nothing": b"", "an empty line": b"\n", "CR LF": b"\r\n", "short": b"1234567\n", "controls": b"canary-\x07-horse\n",
           "a NUL": b"canary-horse\0\n", "Latin-1": b"canary-p\xe4ssword\n", "1025 bytes": b"a" * 1025 + b"\n",
           "a megabyte": b"a" * 1048576})
    def password_that_is_none(self, sent):
        done = self.user("add", "pass", sent=sent, check=None)
        self.assertIn(done.returncode, (1, 2))
        self.assertEqual(done.out, "")
        self.assertIn("password", done.error)
        self.user("show", "pass", check=1)

    @rows({"a line": "%s\n", "without its end": "%s", "CR LF": "%s\r\n", "the first of two": "%s\nanother-word\n"})
    def password_from_standard_input(self, form):
        self.user("add", "stdin", sent=form % WORD)
        self.addCleanup(self.user, "delete", "stdin")
        self.assert_signs_in("stdin", WORD)

    def test_the_last_admin_stays(self):
        names = [user["username"] for user in self.shown("list")]
        if "admin" not in names:
            self.user("add", "admin", "--role", "admin")
        for arguments in (["delete", "admin"], ["disable", "admin"], ["role", "admin", "--role", "user"]):
            done = self.user(*arguments, check=1)
            self.assertIn("make another admin first", done.error)
        self.assertFalse(self.shown("show", "admin")["disabled"])

    @rows({word: word for word in ("", "add", "list", "show", "passwd", "role", "disable", "enable", "delete")})
    def help_of(self, word):
        done = self.user(*filter(None, [word]), "--help")
        self.assertTrue(done.out.startswith("Usage: sallyport user"), done.out)
        self.assertEqual(done.error, "")

    def test_the_password_is_asked_for_twice_on_a_terminal(self):
        for name, second, status in (("typed", WORD, 0), ("differ", WORD + "x", 1)):
            ours, theirs = pty.openpty()
            process = subprocess.Popen([BINARY, "user", "add", name, "--config", self.gateway.config], stdin=theirs,
                                       stdout=subprocess.PIPE, stderr=theirs, env=environment(), start_new_session=True)
            shown = b""
            try:
                for prompt, typed in ((b"Password: ", WORD), (b"again: ", second)):
                    end = time.monotonic() + LIMIT_S
                    while prompt not in shown:
                        self.assertTrue(select.select([ours], [], [], max(0, end - time.monotonic()))[0], shown)
                        shown += os.read(ours, 4096)
                    os.write(ours, typed.encode() + b"\n")
                out, _ = process.communicate(timeout=LIMIT_S)
                while select.select([ours], [], [], 0)[0]:
                    shown += os.read(ours, 4096)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait(LIMIT_S)
                process.stdout.close()
                os.close(ours)
                os.close(theirs)
            self.assertEqual(process.returncode, status, shown)
            self.assertNotIn(b"canary", shown + out)
        self.assert_signs_in("typed", WORD)
        self.user("show", "differ", check=1)
        self.user("delete", "typed")


class Running(Commands, SigningCase):
    @classmethod
    def set_up(cls):
        cls.gateway.secrets.append(WORD)

    def assert_signs_in(self, name, word):
        self.login(name, word)

    def test_it_holds_when_the_command_has_returned(self):
        self.user("add", "rob")
        for arguments, old in ((["passwd", "rob"], 200), (["role", "rob", "--role", "guest"], 200), (["disable", "rob"], 401)):
            answer = self.login("rob", WORD)
            self.user(*arguments)
            self.assert_shut(answer["token"])
            response = self.try_login("rob", WORD)
            self.assertEqual(response.status, old)
            if old == 200:
                self.remember(response.json())
        self.user("enable", "rob")
        answer = self.login("rob", WORD)
        self.user("delete", "rob")
        self.assert_shut(answer["token"])
        self.assertEqual(self.try_login("rob", WORD).status, 401)

    def test_a_command_is_audited(self):
        self.user("add", "aud")
        self.user("delete", "aud")
        lines = [json.loads(line) for line in (self.gateway.folder / "audit.log").read_text().splitlines()]
        lines = [(line["event"], line["actor"], line["method"]) for line in lines if line["path"] == "/api/v1/users/aud"]
        self.assertEqual(lines, [("user_create", "local", "CLI"), ("user_delete", "local", "CLI")])

    @rows({verb: {"verb": verb, **members} for verb, members in {
        "login": {"username": "admin", "password": "x"}, "login_for_minutes": {"username": "admin", "password": "x"},
        "refresh": {"refresh_token": "sp_refresh_" + "A" * 43}, "logout": {}, "me": {}, "session_list": {},
        "session_end": {}, "nothing": {}, "": {}}.items()})
    def verb_on_the_control_socket(self, request):
        # What is for requests only does no harm to a gateway that gets it as a command.
        for path in self.gateway.folder.glob("**/control.sock"):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(LIMIT_S)
                client.connect(str(path))
                client.sendall(json.dumps(request).encode() + b"\n")
                said = b""
                while not said.endswith(b"\n"):
                    piece = client.recv(65536)
                    self.assertTrue(piece, "the gateway ended the conversation")
                    said += piece
            response = json.loads(said)
            self.assertFalse(response["ok"], response)
            break
        else:
            self.fail("there is no control socket")
        self.assert_open(self.admin())


class NotRunning(Commands, unittest.TestCase):
    """The command is the writer itself; what it did is there when a gateway starts."""

    @classmethod
    def setUpClass(cls):
        cls.gateway = Gateway()
        cls.gateway.secrets.append(WORD)
        run_user(cls.gateway, "add", "admin", "--role", "admin", check=0)

    @classmethod
    def tearDownClass(cls):
        complaints = oracles.secrets_in_files([WORD], cls.gateway.folder, [])
        cls.gateway.discard()
        assert not complaints, complaints

    def assert_signs_in(self, name, word):
        self.assertEqual(self.shown("show", name)["username"], name)

    def test_a_gateway_finds_what_was_done(self):
        self.user("add", "early", "--role", "service")
        gateway = self.gateway.start()
        try:
            answer = gateway.ask(self.login_request("early"))
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(answer.json()["user"]["permissions"], [name for name in PERMISSIONS
                                                                    if name in ROLES["service"]])
            self.assertEqual(self.shown("show", "early")["sessions"], 1)
            self.assertEqual(gateway.finish(), 0)
            self.user("disable", "early")
            gateway.ports.clear()
            gateway.start()
            token = answer.json()["token"]
            self.assertEqual(gateway.ask(self.me_request(token)).status, 401)
            self.assertEqual(gateway.ask(self.login_request("early")).status, 401)
        finally:
            self.assertEqual(gateway.finish(), 0)
            gateway.ports.clear()
        self.assertEqual(oracles.sanitizers(gateway.said), [])
        self.user("delete", "early")

    @staticmethod
    def login_request(name):
        return request("POST", "/login", (), {"username": name, "password": WORD})

    @staticmethod
    def me_request(token):
        return request("GET", "/api/v1/auth/me", key=token)


class WrongConfiguration(unittest.TestCase):
    def test_it_is_78(self):
        gateway = Gateway(sections={"security": {"unheard_of": 1}})
        self.addCleanup(gateway.discard)
        done = run_user(gateway, "list", check=78)
        self.assertIn("unheard_of", done.error)
        self.assertEqual(done.out, "")
