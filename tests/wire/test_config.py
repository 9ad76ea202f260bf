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
    "a token that lives too long": ("[security]\ntoken_expiry_hours = 745\n", 2,
                                    ["security.token_expiry_hours", "744"]),
    "a file of keys that is not there": ("[security]\napi_keys_file = \"gone.yaml\"\n", None,
                                         ["security.api_keys_file", "gone.yaml"]),
}

SIGNING = "Hq7wZ2nKx9Vb4Tm1Rd8Yc5Lf3Gs6Pj0A"
RETIRING = "uE3kXv8Nq1Wz6Bt9Mh4Cy7Dr2Fp5Lg0S"

# Credentials of the environment that no start takes: variables, and what must be said.
WEAK = {
    "001's JWT secret": ({"INFERNO_JWT_SECRET": "your-secure-random-secret-at-least-32-chars"},
                         ["security.jwt_secret", "of your own", "openssl rand", "INFERNO_JWT_SECRET"]),
    "a short JWT secret": ({"INFERNO_JWT_SECRET": SIGNING[:31]}, ["security.jwt_secret", "32 bytes"]),
    "002's secret key": ({"SECRET_KEY": "change-me-in-production"}, ["security.jwt_secret", "SECRET_KEY"]),
    "002's sample file": ({"SECRET_KEY": "change-me-to-a-secure-random-string"}, ["security.jwt_secret"]),
    "a short secret that only verifies": ({"INFERNO_JWT_SECRET": SIGNING, "SECRET_KEY": RETIRING[:31]},
                                          ["security.jwt_secret_retiring", "32 bytes", "SECRET_KEY"]),
    "001's admin password": ({"INFERNO_ADMIN_PASSWORD": "your-secure-admin-password"},
                             ["security.admin_password", "of your own"]),
    "a short admin password": ({"INFERNO_ADMIN_PASSWORD": "eleven chrs"},
                               ["security.admin_password", "12 characters"]),
    "003's key in production": ({"API_KEY": "your-secret-key", "ENVIRONMENT": "production",
                                 "TRUST_PROXY_HEADERS": "true"}, ["security.api_key", "of your own"]),
    "a shared key that signs tokens": ({"API_KEY": SIGNING, "INFERNO_JWT_SECRET": SIGNING},
                                       ["security.api_key", "security.jwt_secret too"]),
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

    @rows(WEAK)
    def weak_credential(self, variables, words):
        self.file.write_text(GOOD)
        for done in (self.check(**variables), self.run_binary("serve", "--config", self.file, **variables)):
            self.assert_wrong(done, None, words)
            for value in variables.values():
                if value not in ("production", "true"):
                    self.assertNotIn(value, done.stderr)

    @rows({"nothing": ({}, "nobody could be let in"),
           "a password without a secret": ({"INFERNO_ADMIN_PASSWORD": SIGNING[:20]}, "nobody can sign in")})
    def start_without_a_way_in(self, variables, said):
        done = self.run_binary("serve", "--config", self.file, text=GOOD, **variables)
        self.assert_wrong(done, None, ["security.jwt_secret", said])

    def test_secret_key_verifies_beside_another_secret_and_signs_alone(self):
        done = self.check("--effective", text=GOOD, INFERNO_JWT_SECRET=SIGNING, SECRET_KEY=RETIRING)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r'(?m)^jwt_secret = "\*+" +# environment INFERNO_JWT_SECRET$')
        self.assertRegex(done.stdout, r'(?m)^jwt_secret_retiring = "\*+" +# environment SECRET_KEY$')
        done = self.check("--effective", SECRET_KEY=RETIRING)
        self.assertRegex(done.stdout, r'(?m)^jwt_secret = "\*+" +# environment SECRET_KEY$')
        self.assertRegex(done.stdout, r"(?m)^# jwt_secret_retiring +# not set$")

    def test_credentials_of_generic_names_are_announced(self):
        done = self.check(text=GOOD, API_KEY="3f9c1a7e5d8b2460", SECRET_KEY=SIGNING)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("security.api_key: warning: it comes from environment API_KEY", done.stderr)
        self.assertIn("security.jwt_secret: warning: it comes from environment SECRET_KEY", done.stderr)
        done = self.check(INFERNO_JWT_SECRET=SIGNING, SALLYPORT_SECURITY_API_KEY="3f9c1a7e5d8b2460")
        self.assertNotIn("other programs", done.stderr)

    def test_003s_key_is_warned_about_outside_production(self):
        done = self.check(text=GOOD, API_KEY="your-secret-key")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"security\.api_key: warning: .* refused in production")

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
                       'api_key = "canary-51d0c2a7"\n[security]\n'
                       'jwt_secret = "canary-51d0c2a7 signs what is here"\n'
                       'jwt_secret_retiring = "canary-51d0c2a7 verifies what was"\n'
                       'admin_password = "canary-51d0c2a7 too"\napi_key = "canary-51d0c2a7-shared"\n')
        for arguments in (["--effective"], ["--effective", "--json"]):
            done = self.check(*arguments, text=text)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertNotIn("canary-51d0c2a7", done.stdout + done.stderr)
            self.assertIn("127.0.0.1:0", done.stdout)

    def test_the_environment_wins_over_the_file(self):
        done = self.check("--effective", text=GOOD + "[log]\nlevel = \"info\"\n", LOG_LEVEL="debug")
        self.assertRegex(done.stdout, re.compile(r"level = \"debug\""))
