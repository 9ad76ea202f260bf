"""`sallyport hash-password`: what it prints, what it refuses, and that the password is seen nowhere, on
the terminal least of all."""

import fcntl
import os
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import termios
import time
import unittest

from tools import oracles
from tools.case import RowsType, rows
from tools.gateway import BINARY, environment

ARGON2ID = re.compile(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}\n")
BCRYPT = re.compile(r"\$2y\$12\$[./A-Za-z0-9]{53}\n")
CANARY = "canary-horse-5c1e"
LIMIT_S = 60

# Arguments, standard input, and the shape of what is printed.
GOOD = {
    "a line": ([], CANARY + "\n", ARGON2ID),
    "a line without its end": ([], CANARY, ARGON2ID),
    "a line that ends in CR LF": ([], CANARY + "\r\n", ARGON2ID),
    "the first of two lines": ([], CANARY + "\nanother\n", ARGON2ID),
    "eight characters": (["--bcrypt"], "12345678\n", BCRYPT),
    "spaces count": ([], "   4 6 8\n", ARGON2ID),
    "not only ASCII": ([], "pässwörter\n", ARGON2ID),
    "1024 bytes": ([], "a" * 1024 + "\r\n", ARGON2ID),
    "by its name": (["--algorithm", "argon2id"], CANARY + "\n", ARGON2ID),
    "bcrypt": (["--bcrypt"], CANARY + "\n", BCRYPT),
    "bcrypt by its name": (["--algorithm", "bcrypt"], CANARY + "\n", BCRYPT),
    "bcrypt after an equals sign": (["--algorithm=bcrypt"], CANARY + "\n", BCRYPT),
    "72 bytes for bcrypt": (["--bcrypt"], "a" * 72 + "\n", BCRYPT),
}

# Arguments, standard input, and what is said of it.
REFUSED = {
    "nothing": ([], b"", "no password"),
    "an empty line": ([], b"\n" + CANARY.encode(), "no password"),
    "only CR LF": ([], b"\r\n", "no password"),
    "seven characters": ([], b"1234567\n", "8 characters"),
    "seven characters in more bytes": ([], "äöüßabc\n".encode(), "8 characters"),
    "a NUL": ([], b"canary-horse\0x\n", "control characters"),
    "a tab": ([], b"canary-horse\tx\n", "control characters"),
    "Latin-1": ([], b"canary-p\xe4ssword\n", "UTF-8"),
    "1025 bytes": ([], b"a" * 1025 + b"\n", "1024"),
    "a megabyte": ([], b"a" * 1048576 + b"\n", "1024"),
    "73 bytes for bcrypt": (["--bcrypt"], b"a" * 73 + b"\n", "72"),
    "seven characters for bcrypt": (["--bcrypt"], b"1234567\n", "8 characters"),
}

# Never looked at, and never said again.
WRONG_USAGE = {
    "a password as argument": [CANARY],
    "a password behind an option": ["--bcrypt", CANARY],
    "a password as an option's value": ["--password", CANARY],
    "a password behind an equals sign": ["--password=" + CANARY],
    "a password in place of an algorithm": ["--algorithm", CANARY],
    "the same with an equals sign": ["--algorithm=" + CANARY],
    "an option that begins like another": ["--algorithms", "bcrypt"],
    "no algorithm": ["--algorithm"],
    "an empty algorithm": ["--algorithm="],
    "an empty argument": [""],
    "a dash": ["-"],
    "the end of options": ["--", CANARY],
}


def unwound(done):
    return oracles.sanitizers(done.stderr.splitlines())


class HashPassword(unittest.TestCase, metaclass=RowsType):
    def run_binary(self, *arguments, sent=b"", **more):
        done = subprocess.run([BINARY, "hash-password", *arguments], input=sent, env=environment(), timeout=LIMIT_S,
                              stdout=more.get("stdout", subprocess.PIPE), stderr=subprocess.PIPE)
        done.stderr = done.stderr.decode()
        self.assertEqual(unwound(done), [])
        self.assertNotIn("canary", done.stderr)
        return done

    @rows(GOOD)
    def good(self, arguments, sent, shape):
        done = self.run_binary(*arguments, sent=sent.encode())
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertTrue(shape.fullmatch(done.stdout.decode()), done.stdout)

    @rows(REFUSED)
    def refused(self, arguments, sent, said):
        done = self.run_binary(*arguments, sent=sent)
        self.assertEqual((done.returncode, done.stdout), (1, b""), done.stderr)
        self.assertIn(said, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)

    @rows({name: (arguments,) for name, arguments in WRONG_USAGE.items()})
    def wrong_usage(self, arguments):
        done = self.run_binary(*arguments, sent=CANARY.encode())
        self.assertEqual((done.returncode, done.stdout), (2, b""), done.stderr)
        self.assertIn("never", done.stderr)

    def test_the_same_password_is_never_the_same_twice(self):
        said = {self.run_binary(sent=b"canary-horse\n").stdout for _ in range(3)}
        self.assertEqual(len(said), 3)

    def test_help(self):
        done = self.run_binary("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"--bcrypt", done.stdout)

    def test_what_follows_the_line_is_left_to_the_next_command(self):
        done = subprocess.run(["sh", "-c", '"$0" hash-password > hash; cat', BINARY], input=b"canary-horse\nrest\n",
                              cwd=self.folder(), env=environment(), capture_output=True, timeout=LIMIT_S)
        self.assertEqual(done.stdout, b"rest\n")

    def test_an_answer_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            done = self.run_binary(sent=b"canary-horse\n", stdout=full)
        self.assertEqual(done.returncode, 1)
        self.assertIn("written", done.stderr)

    def test_standard_input_that_cannot_be_read(self):
        folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, folder)
        done = subprocess.run([BINARY, "hash-password"], stdin=folder, env=environment(), text=True,
                              capture_output=True, timeout=LIMIT_S)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("cannot be read", done.stderr)

    def test_another_program_knows_the_hash(self):
        if not shutil.which("htpasswd"):
            self.skipTest("no htpasswd here")
        folder = self.folder()
        made = self.run_binary("--bcrypt", sent=b"canary-horse\n").stdout.decode()
        with open(f"{folder}/file", "w", encoding="utf-8") as file:
            file.write("me:" + made)
        for word, status in (("canary-horse", 0), ("canary-hors", 3)):
            done = subprocess.run(["htpasswd", "-vb", f"{folder}/file", "me", word], capture_output=True, timeout=LIMIT_S)
            self.assertEqual(done.returncode, status, done.stderr)

    def folder(self):
        folder = tempfile.mkdtemp(prefix="sallyport-hash-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return folder


class Terminal:
    """The command on a pseudo terminal. What it shows, echo included, is in `shown`; its answer goes
    to a pipe, so that the two cannot be mixed up."""

    def __init__(self, *arguments):
        self.ours, theirs = pty.openpty()
        self.shown = b""
        self.process = subprocess.Popen([BINARY, "hash-password", *arguments], stdin=theirs, stdout=subprocess.PIPE,
                                        stderr=theirs, env=environment(), start_new_session=True,
                                        preexec_fn=self.own_terminal)
        self.theirs = theirs

    @staticmethod
    def own_terminal():
        """Its session has this as its terminal, so that keys become signals to it."""
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def echoes(self):
        return bool(termios.tcgetattr(self.theirs)[3] & termios.ECHO)

    def until(self, word):
        end = time.monotonic() + LIMIT_S
        while word not in self.shown:
            left = end - time.monotonic()
            assert left > 0 and select.select([self.ours], [], [], left)[0], self.shown
            self.shown += os.read(self.ours, 4096)

    def type(self, text):
        os.write(self.ours, text)

    def finish(self):
        out, _ = self.process.communicate(timeout=LIMIT_S)
        while select.select([self.ours], [], [], 0)[0]:
            self.shown += os.read(self.ours, 4096)
        return self.process.returncode, out.decode()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(LIMIT_S)
        self.process.stdout.close()
        os.close(self.ours)
        os.close(self.theirs)


class HashPasswordOnATerminal(unittest.TestCase, metaclass=RowsType):
    def terminal(self, *arguments):
        terminal = Terminal(*arguments)
        self.addCleanup(terminal.close)
        return terminal

    def answer(self, first, second, *arguments):
        terminal = self.terminal(*arguments)
        terminal.until(b"Password: ")
        self.assertFalse(terminal.echoes())
        terminal.type(first)
        if second is not None:
            terminal.until(b"again: ")
            terminal.type(second)
        status, out = terminal.finish()
        self.assertTrue(terminal.echoes(), "echo is on again")
        self.assertNotIn(b"canary", terminal.shown)
        return status, out, terminal.shown.decode()

    def test_it_asks_twice_and_shows_nothing(self):
        status, out, _ = self.answer(b"canary-horse\n", b"canary-horse\n")
        self.assertEqual(status, 0)
        self.assertTrue(ARGON2ID.fullmatch(out), out)

    def test_bcrypt(self):
        status, out, _ = self.answer(b"canary-horse\n", b"canary-horse\n", "--bcrypt")
        self.assertEqual(status, 0)
        self.assertTrue(BCRYPT.fullmatch(out), out)

    @rows({
        "two that differ": (b"canary-horse\n", b"canary-hors\n", "differ"),
        "the second is empty": (b"canary-horse\n", b"\n", "differ"),
        "the second never comes": (b"canary-horse\n", b"\x04", "no password"),
        "nothing at all": (b"\n", None, "no password"),
        "the end of the file": (b"\x04", None, "no password"),
        "too short": (b"canary\n", b"canary\n", "8 characters"),
    })
    def refused(self, first, second, said):
        status, out, shown = self.answer(first, second)
        self.assertEqual((status, out), (1, ""))
        self.assertIn(said, shown)

    @rows({"Ctrl-C": (b"\x03", signal.SIGINT), "Ctrl-backslash": (b"\x1c", signal.SIGQUIT)})
    def keys_that_end_it_leave_the_echo_on(self, key, ends_with):
        terminal = self.terminal()
        terminal.until(b"Password: ")
        terminal.type(b"canary-ho" + key)
        status, out = terminal.finish()
        self.assertEqual((status, out), (-ends_with, ""), terminal.shown)
        self.assertTrue(terminal.echoes(), "echo is on again")
        self.assertNotIn(b"canary", terminal.shown)

    def test_it_asks_again_after_a_stop(self):
        terminal = self.terminal()
        terminal.until(b"Password: ")
        terminal.shown = b""
        terminal.type(b"canary-ho\x1a")  # nobody waits for this session: it is continued at once
        terminal.until(b"Password: ")
        self.assertFalse(terminal.echoes())
        terminal.type(b"canary-horse\n")
        terminal.until(b"again: ")
        terminal.type(b"canary-horse\n")
        status, out = terminal.finish()
        self.assertEqual(status, 0, terminal.shown)
        self.assertTrue(ARGON2ID.fullmatch(out), out)
        self.assertNotIn(b"canary", terminal.shown)
