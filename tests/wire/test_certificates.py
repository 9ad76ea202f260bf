"""Certificates for callers: a pair that is no pair stops the start and says why, and one that changes
while the gateway runs is taken when it fits. ACME challenges are answered from a folder."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from tools.case import WireCase
from tools.client import request
from tools.gateway import BINARY, environment
from tools.upstream import wait_until

NAMES = "subjectAltName=DNS:localhost"


def make_pair(folder, name):
    """A key and a certificate that signs itself."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", "-addext", NAMES,
                    "-days", "90"], cwd=folder, check=True, capture_output=True)


class Start(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="sallyport-certificates-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def run_binary(self, command, certificate, key):
        (self.folder / "sallyport.toml").write_text(
            f'[server]\nlisten = ["https://127.0.0.1:0"]\ntls_cert_path = "{certificate}"\n'
            f'tls_key_path = "{key}"\n[store]\nurl = "sqlite:store.db"\n')
        return subprocess.run([BINARY, command, "--config", "sallyport.toml"], cwd=self.folder, text=True,
                              env=environment(), capture_output=True, timeout=30, check=False)

    def test_what_does_not_fit_together_is_a_configuration_error(self):
        make_pair(self.folder, "a")
        make_pair(self.folder, "b")
        for certificate, key, said in [("a.pem", "b.key", "b.key: the key does not belong"),
                                       ("none.pem", "a.key", "none.pem: it cannot be read"),
                                       ("a.key", "a.key", "a.key: it holds no certificate")]:
            for command in ("serve", "check"):
                with self.subTest(command=command, said=said):
                    done = self.run_binary(command, certificate, key)
                    self.assertEqual(done.returncode, 78, done.stderr)
                    self.assertIn(said, done.stderr)
                    self.assertNotIn("PRIVATE", done.stdout)

    def test_a_pair_that_fits_is_fine(self):
        make_pair(self.folder, "a")
        done = self.run_binary("check", "a.pem", "a.key")
        self.assertEqual(done.returncode, 0, done.stderr)


class Change(WireCase):
    """While it runs; whose certificate clients see is looked at in the unit tests."""

    @classmethod
    def setUpClass(cls):
        cls.pairs = Path(tempfile.mkdtemp(prefix="sallyport-certificates-"))
        for name in ("live", "next"):
            make_pair(cls.pairs, name)
        cls.sections = {"server": {"listen": ["http://127.0.0.1:0", "https://127.0.0.1:0"],
                                   "tls_cert_path": str(cls.pairs / "live.pem"),
                                   "tls_key_path": str(cls.pairs / "live.key")}}
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.pairs, ignore_errors=True)

    def wait_for(self, text):
        wait_until(lambda: text in self.gateway.heard(), text)

    def test_a_pair_is_taken_when_both_halves_fit(self):
        os.replace(self.pairs / "next.pem", self.pairs / "live.pem")
        self.wait_for("the certificates were not read anew")
        os.replace(self.pairs / "next.key", self.pairs / "live.key")
        self.wait_for("the certificates were read anew")
        self.assertEqual(self.ask(request("GET", "/livez")).status, 200)


class Acme(WireCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="sallyport-acme-"))
        cls.sections = {"server": {"acme_directory": str(cls.folder)}}
        (cls.folder / "token-_9").write_text("token-_9.thumbprint")
        (cls.folder / "empty").write_text("")
        (cls.folder / ("t" * 128)).write_text("long name")
        (cls.folder / ("t" * 129)).write_text("too long a name")
        (cls.folder / "full").write_text("x" * 4096)
        (cls.folder / "large").write_text("x" * 4097)
        (cls.folder / "dot.txt").write_text("dot")
        (cls.folder / "folder").mkdir()
        (cls.folder / "folder" / "below").write_text("below")
        (cls.folder / "link").symlink_to("/etc/hostname")
        (cls.folder / "near").symlink_to("token-_9")
        os.mkfifo(cls.folder / "fifo")
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.folder, ignore_errors=True)

    def challenge(self, token, method="GET"):
        return self.ask(request(method, f"/.well-known/acme-challenge/{token}"), method)

    def test_a_file_is_answered_without_a_credential(self):
        for token, body in [("token-_9", b"token-_9.thumbprint"), ("empty", b""), ("t" * 128, b"long name"),
                            ("full", b"x" * 4096)]:
            response = self.challenge(token)
            self.assertEqual((response.status, response.body), (200, body))
            self.assertEqual(response.get("content-type"), "text/plain")

    def test_head_has_no_body(self):
        response = self.challenge("token-_9", "HEAD")
        self.assertEqual((response.status, response.get("content-length")), (200, "19"))

    def test_everything_else_is_not_there(self):
        for token in ["none", "", "large", "dot.txt", "folder", "folder/below", "link", "near", "fifo", ".", "..",
                      "../etc/passwd", "%2e%2e%2fetc%2fpasswd", "token-_9/", "t" * 129, "token%2d_9x", "tok~n"]:
            with self.subTest(token=token):
                self.assertIn(self.challenge(token).status, (400, 404))

    def test_other_methods_are_refused(self):
        response = self.challenge("token-_9", "POST")
        self.assertEqual((response.status, response.get("allow")), (405, "GET, HEAD"))

    def test_the_path_itself_is_no_route(self):
        self.assertEqual(self.get("/.well-known/acme-challenge").status, 401)
        self.assertEqual(self.get("/.well-known/acme-challengex/token-_9").status, 401)


class NoAcme(WireCase):
    def test_without_a_folder_nothing_is_there(self):
        response = self.get("/.well-known/acme-challenge/token")
        self.assertEqual(response.status, 404)
        self.assertIn("server.acme_directory", response.body.decode())


if __name__ == "__main__":
    unittest.main()
