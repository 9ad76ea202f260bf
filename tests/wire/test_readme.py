"""The README's commands, run as they are printed, against the demo; and the lines the demo prints
itself. Only the address differs, so that tests can run side by side."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

from tools import oracles
from tools.gateway import BINARY, LISTENING, START_S, STOP_S, TOP, environment

BLOCK = re.compile(r"^<!-- test: ([a-z-]+) -->\n```[a-z]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRINTED_CURL = re.compile(r"^[ \t]*(curl (?:.*\\\n)*.*)$", re.MULTILINE)
KEY = re.compile(r"\bsp_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}\b")
ADDRESS = "127.0.0.1:8080"


def readme_blocks():
    return dict(BLOCK.findall((TOP / "README.md").read_text(encoding="utf-8")))


class ReadmeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.blocks = readme_blocks()
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-readme-"))
        cls.process = subprocess.Popen([BINARY, "serve", "--demo", "--listen", "127.0.0.1:0"],
                                       cwd=cls.folder, env=environment(), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        cls.said = []
        cls.ready = threading.Event()
        cls.reader = threading.Thread(target=cls.listen, daemon=True)
        cls.reader.start()
        if not cls.ready.wait(START_S):
            cls.process.kill()
            raise AssertionError("the demo did not print address, key and four curl lines:\n" + cls.text())

    @classmethod
    def text(cls):
        return "\n".join(cls.said)

    @classmethod
    def listen(cls):
        for line in cls.process.stdout:
            cls.said.append(line.rstrip("\n"))
            text = cls.text()
            if LISTENING.search(text) and KEY.search(text) and len(PRINTED_CURL.findall(text)) >= 4:
                cls.ready.set()

    @classmethod
    def tearDownClass(cls):
        cls.process.terminate()
        status = cls.process.wait(STOP_S)
        cls.reader.join(STOP_S)
        shutil.rmtree(cls.folder, ignore_errors=True)
        complaints = oracles.sanitizers(cls.said)
        if status != 0 or complaints:
            raise AssertionError(f"exit status {status}: {complaints}\n{cls.text()}")

    def run_shell(self, text):
        address = "127.0.0.1:" + LISTENING.search(self.text())[2]
        extra = {"SALLYPORT_KEY": KEY.search(self.text())[0]}
        done = subprocess.run(["sh", "-ec", text.replace(ADDRESS, address)], env=environment(**extra),
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_chat_answers(self):
        self.assertIn('"chat.completion"', self.run_shell(self.blocks["chat"]))

    def test_stream_ends_with_done(self):
        out = self.run_shell(self.blocks["stream"])
        self.assertGreater(out.count("data: "), 3)
        self.assertTrue(out.rstrip().endswith("data: [DONE]"), out[-200:])

    def test_models_are_listed(self):
        self.assertIn("sallyport-demo", self.run_shell(self.blocks["models"]))

    def test_without_a_key_it_is_401(self):
        self.assertRegex(self.run_shell(self.blocks["no-key"]), r"^HTTP/1\.1 401 ")

    def test_a_blocked_path_is_403(self):
        self.assertRegex(self.run_shell(self.blocks["blocked"]), r"^HTTP/1\.1 403 ")

    def test_the_demo_s_own_lines_work(self):
        lines = PRINTED_CURL.findall(self.text())
        answers = [self.run_shell(line.replace("curl ", "curl --fail ", 1)) for line in lines]
        self.assertTrue(any("data: [DONE]" in answer for answer in answers))
        self.assertTrue(any('"chat.completion"' in answer for answer in answers))
        self.assertTrue(any('"refresh_token"' in answer for answer in answers))

    def test_the_configuration_is_valid(self):
        path = self.folder / "readme.toml"
        path.write_text(self.blocks["configuration"])
        done = subprocess.run([BINARY, "check", "--config", path], capture_output=True, text=True, timeout=60,
                              env=environment(OPENAI_UPSTREAM_KEY="sk-not-a-real-one"))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_block_is_run_here(self):
        self.assertEqual(set(self.blocks), {"chat", "stream", "models", "no-key", "blocked", "configuration"})


class Figures(unittest.TestCase):
    """What the README says it costs is what the report has measured."""
    ROWS = {"small chat, kept-alive": "small chat: processor time beside nginx",
            "chat of 1 MB": "1 MB body: processor time beside nginx",
            "a new connection for each request": "new connection: processor time beside nginx",
            "streams, per event": "paced stream: processor time per event beside nginx"}
    SENTENCE = re.compile(r"An idle connection takes ([0-9.]+) KB over plain HTTP/1.1, an open stream ([0-9.]+) KB, "
                          r"the process ([0-9.]+) MB\.")

    @classmethod
    def setUpClass(cls):
        cls.readme = (TOP / "README.md").read_text(encoding="utf-8")
        report = (TOP / "bench" / "report" / "report.md").read_text(encoding="utf-8")
        cls.measured = dict(re.findall(r"^\| ([^|]+?) \| ([0-9.]+) [^|]*\| <= ", report, re.MULTILINE))

    def test_the_table(self):
        said = dict(re.findall(r"^\| ([^|]+?) \| ([0-9.]+) \|$", self.readme, re.MULTILINE))
        self.assertEqual(said, {row: self.measured[name] for row, name in self.ROWS.items()})

    def test_the_memory(self):
        said = self.SENTENCE.search(" ".join(self.readme.split())).groups()
        measured = [self.measured[f"{what}: memory"] for what in ("idle connection", "slow stream", "fresh process")]
        self.assertEqual(said, (f"{float(measured[0]):.1f}", f"{float(measured[1]):.1f}", f"{float(measured[2]):.0f}"))


if __name__ == "__main__":
    unittest.main()
