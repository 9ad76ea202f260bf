"""Configuration: what is wrong is refused at start, all of it at once, with file, line, key and the
nearest key there is."""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from tools import oracles
from tools.case import RowsType, rows
from tools.gateway import BINARY, environment

GOOD = '[server]\nlisten = ["127.0.0.1:0"]\n[store]\nurl = "sqlite:store.db"\n'

# File, and what must be said of it: line and words.
WRONG = {
    "an unknown key": ("[server]\nlisen = []\n", 2, ["server.lisen", "server.listen"]),
    "an unknown section": ("[servr]\nlisten = []\n", 2, ["servr", "server"]),
    "a key at the top": ("listen = []\n", 1, ["listen"]),
    "a wrong type": ("[server]\nworkers = \"two\"\n", 2, ["server.workers"]),
    "a number out of range": ("[server]\nworkers = -1\n", 2, ["server.workers"]),
    "a size without a unit that exists": ("[server]\nmax_body = \"10XB\"\n", 2, ["server.max_body"]),
    "a bad duration": ("[server]\nidle_timeout = \"soon\"\n", 2, ["server.idle_timeout"]),
    "a bad rate": ("[limits]\nip = \"60/fortnight\"\n", 2, ["limits.ip"]),
    "a bad choice": ("[server]\npreset = \"lax\"\n", 2, ["server.preset", "standard", "agents"]),
    "a bad listener": ("[server]\nlisten = [\"127.0.0.1:99999\"]\n", 2, ["server.listen"]),
    "a bad URL": ("[[upstream]]\nname = \"a\"\nurl = \"nonsense\"\n", 3, ["url"]),
    "a bad kind": ("[[upstream]]\nkind = \"olama\"\nurl = \"http://localhost\"\n", 2, ["ollama"]),
    "an unknown key of an upstream": ("[[upstream]]\nurl = \"http://localhost\"\napi_kay = \"x\"\n", 3, ["api_key"]),
    "two upstreams of one name": (
        "[[upstream]]\nname = \"a\"\nurl = \"http://localhost\"\n[[upstream]]\nname = \"a\"\nurl = \"http://x\"\n",
        None, ["a"]),
    "bad TOML": ("[server]\nlisten = [\n", None, []),
    "a table twice": ("[security]\nauth_enabled = true\n[security]\napi_key_enabled = true\n", 3, ["security"]),
    "a store that is none": ("[store]\nurl = \"mysql://x\"\n", 2, ["store.url"]),
    "an address that is none": ("[metrics]\nallow = [\"300.0.0.0/8\"]\n", 2, ["metrics.allow"]),
    "an environment that is none": ("[server]\nenvironment = \"prod\"\n", 2, ["production"]),
    "no auth in production": ("[server]\nenvironment = \"production\"\n[security]\nauth_enabled = false\n",
                              None, ["auth_enabled"]),
}


class Config(unittest.TestCase, metaclass=RowsType):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="sallyport-config-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.file = self.folder / "sallyport.toml"

    def run_binary(self, *arguments, text=None, **variables):
        if text is not None:
            self.file.write_text(text)
        done = subprocess.run([BINARY, *arguments], cwd=self.folder, env=environment(**variables), text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        self.assertEqual(oracles.sanitizers(done.stderr.splitlines()), [])
        return done

    def check(self, *arguments, text=None, **variables):
        return self.run_binary("check", "--config", self.file, *arguments, text=text, **variables)

    def assert_wrong(self, done, line, words):
        self.assertEqual(done.returncode, 78, done.stderr)
        said = done.stderr
        self.assertIn("sallyport.toml", said)
        if line is not None:
            self.assertRegex(said, rf"sallyport\.toml:{line}\b")
        for word in words:
            self.assertIn(word, said)

    @rows(WRONG)
    def wrong_file(self, text, line, words):
        self.assert_wrong(self.check(text=text), line, words)

    def test_serve_refuses_what_check_refuses(self):
        self.file.write_text("[server]\nlisen = []\n")
        self.assert_wrong(self.run_binary("serve", "--config", self.file), 2, ["server.listen"])

    def test_all_problems_are_told_at_once(self):
        done = self.check(text="[server]\nlisen = []\nworkers = \"x\"\n[limits]\nip = \"x\"\n")
        self.assertEqual(done.returncode, 78)
        for line in (2, 3, 5):
            self.assertRegex(done.stderr, rf"sallyport\.toml:{line}\b")

    def test_a_good_file_is_fine(self):
        done = self.check(text=GOOD)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_file_that_is_not_there_is_refused(self):
        done = self.run_binary("check", "--config", self.folder / "nowhere.toml")
        self.assertEqual(done.returncode, 78)
        self.assertIn("nowhere.toml", done.stderr)

    def test_wrong_usage_is_another_exit_status(self):
        for arguments in (["serve", "--no-such-option"], ["no-such-command"], ["key", "no-such-verb"], []):
            done = self.run_binary(*arguments)
            self.assertEqual(done.returncode, 2, (arguments, done.stderr))

    def test_help_is_no_failure(self):
        for arguments in (["--help"], ["serve", "--help"], ["check", "--help"], ["key", "--help"], ["version"]):
            done = self.run_binary(*arguments)
            self.assertEqual(done.returncode, 0, arguments)
            self.assertTrue(done.stdout.strip(), arguments)

    def test_a_secret_is_masked_wherever_the_value_is_shown(self):
        text = GOOD + ('[[upstream]]\nname = "a"\nkind = "openai"\nurl = "http://localhost:1"\n'
                       'api_key = "canary-51d0c2a7"\n')
        for arguments in (["--effective"], ["--effective", "--json"]):
            done = self.check(*arguments, text=text)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertNotIn("canary-51d0c2a7", done.stdout + done.stderr)
            self.assertIn("127.0.0.1:0", done.stdout)

    def test_the_environment_wins_over_the_file(self):
        done = self.check("--effective", text=GOOD + "[log]\nlevel = \"info\"\n", LOG_LEVEL="debug")
        self.assertRegex(done.stdout, re.compile(r"level = \"debug\""))
