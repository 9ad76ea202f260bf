"""Starts the gateway in a folder of its own and stops it again. Stopping is where most oracles speak:
the exit status, what the sanitizers said, the access log against the answers the clients saw, and
every secret against everything that was written."""

import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from tools import oracles, tls
from tools.client import Client

TOP = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("SALLYPORT_BINARY", TOP / "build-test" / "sallyport")).resolve()
START_S = 30.0
STOP_S = 40.0

LISTENING = re.compile(r"listening on (\S+):(\d+)")

# What every test gateway is given unless it says otherwise: no limits in the way, and nobody is banned for what
# the tests do wrong.
DEFAULTS = {
    "server": {"listen": ["127.0.0.1:0"], "workers": int(os.environ.get("SALLYPORT_WORKERS", "2"))},
    "limits": {"ip": "100000/second", "ip_burst": 100000, "key": "100000/second", "key_burst": 100000},
    "abuse": {"threshold_errors": 0, "login_spray": "flag"},
    "security": {"jwt_secret": secrets.token_hex(32)},
    "store": {"url": "sqlite:store.db"},
    "log": {"access": "access.log", "app": "app.log", "audit": "audit.log"},
}

CALLER = "read_models,run_inference,use_streaming"


def environment(**extra):
    """The caller's environment without anything that a gateway would read."""
    kept = {name: value for name, value in os.environ.items()
            if name in ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")}
    kept["ASAN_OPTIONS"] = "detect_leaks=1:exitcode=99:allocator_may_return_null=1"
    kept["UBSAN_OPTIONS"] = "print_stacktrace=1"
    kept.update(extra)
    return kept


def toml_table(head, members):
    return [head, *(f"{key} = {json.dumps(value)}" for key, value in members.items() if value is not None)]


def toml(sections, upstreams):
    """A list of dictionaries in a section is tables of their own: {"limits": {"route": [{...}]}}."""
    lines, tables = [], [("upstream", upstream) for upstream in upstreams]
    for name, members in sections.items():
        lists = {key: value for key, value in members.items() if isinstance(value, list) and value
                 and isinstance(value[0], dict)}
        lines += toml_table(f"[{name}]", {key: value for key, value in members.items() if key not in lists})
        tables += [(f"{name}.{key}", row) for key, rows in lists.items() for row in rows]
    for name, row in tables:
        lines += toml_table(f"[[{name}]]", row)
    return "\n".join(lines) + "\n"


class Gateway:
    binary = BINARY
    before = ()    # a command that starts it, as prlimit or unshare do
    descriptors = ()  # open ones that it gets, too
    variables = {}  # further ones of its environment; the commands do not get them

    def __init__(self, upstreams=(), sections=None, arguments=(), plain=False):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-wire-"))
        self.config = self.folder / "sallyport.toml"
        self.sections = {name: dict(members) for name, members in DEFAULTS.items()}
        for name, members in (sections or {}).items():
            self.sections.setdefault(name, {}).update(members)
        server = self.sections["server"]
        self.tls = None  # what clients trust, if they speak TLS
        if tls.EVERYWHERE and not plain and server["listen"][0].startswith("127.0.0.1:") and "tls_cert_path" not in server:
            self.tls = tls.context()
            server.update(tls.settings(), tls_enabled=True)
        self.upstreams = [dict(upstream) for upstream in upstreams]
        self.arguments = list(arguments)
        self.secrets = []   # what must appear in no file and never upstream
        self.answers = []   # every final answer that a client of ours has read
        self.said = []      # lines of standard error
        self.ports = []
        self.process = None
        self.write_config()

    def write_config(self):
        # In one step: a reload that is still under way must not read half a file.
        new = self.folder / "sallyport.toml.new"
        new.write_text(toml(self.sections, self.upstreams))
        new.replace(self.config)

    # Life.

    def start(self):
        if not self.binary.exists():
            raise AssertionError(f"no gateway at {self.binary}: build it first, or set SALLYPORT_BINARY")
        command = [*self.before, self.binary, "serve", "--config", self.config, *self.arguments]
        self.process = subprocess.Popen(command, cwd=self.folder, env=environment(**self.variables),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, errors="replace",
                                        pass_fds=self.descriptors)
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self.listen, daemon=True)
        self.reader.start()
        if not self.ready.wait(START_S) or not self.ports:
            self.discard()
            raise AssertionError("the gateway did not start:\n" + "\n".join(self.said))
        return self

    def listen(self):
        wanted = sum(not entry.startswith("unix:") for entry in self.sections["server"]["listen"])
        for line in self.process.stderr:
            self.said.append(line.rstrip("\n"))
            match = LISTENING.search(line)
            if match:
                self.ports.append(int(match[2]))
                if len(self.ports) == wanted:
                    self.ready.set()
        self.ready.set()

    @property
    def port(self):
        return self.ports[0]

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def finish(self):
        """TERM, and wait. Returns the exit status."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the gateway did not end on TERM:\n" + self.tail()) from None
        self.reader.join(STOP_S)
        return status

    def stop(self, counted, upstreams):
        """Ends the gateway and asks all oracles that look at the whole of its life. `counted` are the
        upstreams that recorded every request it passed on, or None."""
        try:
            status = self.finish()
            complaints = oracles.sanitizers(self.said)
            if status != 0:
                complaints.append(f"exit status {status}:\n{self.tail()}")
            complaints += oracles.whole_life(self, counted, upstreams)
            if complaints:
                raise AssertionError("\n".join(complaints))
        finally:
            self.discard()

    def discard(self):
        """Ends it at once and removes its folder."""
        self.kill()
        if not os.environ.get("SALLYPORT_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self):
        """What the gateway's process holds in memory."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def tail(self):
        return "\n".join(self.said[-60:])

    # Use.

    def client(self, **options):
        options.setdefault("tls", self.tls)
        return Client(self.port, self.answers, **options)

    def ask(self, piece, method="GET"):
        with self.client() as client:
            return client.ask(piece, method)

    def command(self, *arguments, check=True):
        done = subprocess.run([self.binary, *arguments, "--config", self.config], cwd=self.folder,
                              env=environment(), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60)
        report = oracles.sanitizers(done.stderr.splitlines())
        if report:
            raise AssertionError("\n".join(report))
        if check and done.returncode != 0:
            raise AssertionError(f"{arguments}: exit {done.returncode}: {done.stderr}")
        return done

    def key(self, name="caller", permissions=CALLER, models=None):
        arguments = ["key", "create", "--name", name, "--permissions", permissions, "--json"]
        if models:
            arguments += ["--models", ",".join(models)]
        key = json.loads(self.command(*arguments).stdout)
        self.secrets.append(key["key"])
        return key

    def access_log(self):
        """The lines written so far, each of them one JSON object, or an AssertionError."""
        path = self.folder / "access.log"
        return oracles.json_lines(path) if path.exists() else []

    def log_text(self):
        """What the application's log holds so far."""
        path = self.folder / "app.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def heard(self):
        """All it has said so far, in whichever place."""
        return "\n".join([*self.said, self.log_text()])

    def audit_log(self):
        """The records written so far."""
        path = self.folder / "audit.log"
        return oracles.json_lines(path) if path.exists() else []

    def logged(self, response, timeout_s=5.0):
        """The access log's line of this answer; lines are on disk within a second."""
        wanted = response.get("x-request-id")
        end = time.monotonic() + timeout_s
        while True:
            for line in self.access_log():
                if line.get("request_id") == wanted:
                    return line
            if time.monotonic() > end:
                raise AssertionError(f"no line in the access log for {wanted}")
            time.sleep(0.02)
