"""What the fault tests share: which gateway they run, the control socket spoken to directly, the gauges
of /metrics, and the few oracles that hold even where calls fail."""

import collections
import contextlib
import json
import os
import pathlib
import re
import socket
import sqlite3
import unittest

from plan import Plan
from tools import oracles
from tools.case import UPSTREAM_KEY, RowsType
from tools.client import DEADLINE_S, BadAnswer, chat, chat_request, request
from tools.gateway import CALLER, TOP, Gateway
from tools.upstream import Upstream, wait_until

LONG = bool(os.environ.get("SALLYPORT_SOAK"))
FAILING = pathlib.Path(os.environ.get("SALLYPORT_FAILING", TOP / "build-faults" / "sallyport")).resolve()
RELEASE = pathlib.Path(os.environ.get("SALLYPORT_RELEASE", TOP / "build" / "sallyport")).resolve()
CLOSED = "closed"  # instead of an answer
TRESPASSING = "words-of-nobody-we-know"  # what is asked without a good key says this
# What a request that breaks off is called. Where calls fail that is no violation.
CUT = re.compile(r"closed after|half a head|chunk size None")
POSTED = re.compile(rb"POST [^\r\n]+\r\n(?:[^\r\n]+\r\n)*?x-request-id: (\S+)\r\n", re.I)


def either(short, long):
    return long if LONG else short


def violations(upstreams):
    return [f"O2: {violation}" for upstream in upstreams for violation in upstream.violations
            if not CUT.match(violation)]


def sent_again(upstreams):
    """A POST is sent once, whatever became of it; one that broke off counts too."""
    sent = collections.Counter(found for upstream in upstreams for connection in upstream.connections
                               for found in POSTED.findall(connection.received))
    return [f"sent {count} times: {found.decode()}" for found, count in sent.items() if count > 1]


def trespassers(upstreams):
    return ["what came without a good key went upstream" for upstream in upstreams
            for connection in upstream.connections if TRESPASSING.encode() in connection.received]


class Guarded(Gateway):
    """A gateway whose commands go straight to its control socket: no process for each of them."""

    def restart_killed(self):
        self.kill()
        self.reader.join()  # it sets what the next start waits for
        self.ports.clear()
        return self.start()

    def control(self, verb, **members):
        """The response as a dict, or CLOSED."""
        path = self.control_path()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE_S)
            sock.connect(str(path))
            try:
                sock.sendall(json.dumps({"verb": verb, **members}).encode() + b"\n")
                answer = b""
                while piece := sock.recv(65536):
                    answer += piece
            except ConnectionError:
                return CLOSED
        if not answer.endswith(b"\n"):
            return CLOSED
        document = json.loads(answer)
        if document.get("ok") and document.get("key", {}).get("key"):
            self.secrets.append(document["key"]["key"])
        return document

    def control_path(self):
        return self.folder / "control.sock"

    def create(self, name="caller", **members):
        document = self.control("key_create", **{"name": name, "permissions": CALLER.split(","), **members})
        return document if document == CLOSED or not document["ok"] else document["key"]

    def statuses(self):
        """id -> status of every key in the store."""
        keys, after = {}, 0
        while after is not None:
            page = self.control("key_list", after=after)
            keys.update((key["id"], key["status"]) for key in page["keys"])
            after = page["next"]
        return keys

    def gauges(self):
        with self.client() as client:
            response = client.ask(request("GET", "/metrics/prometheus", key=self.monitor))
            assert response.status == 200, response
            text = response.body.decode()
        return {name: int(value) for name, value in re.findall(r"^(sallyport_\w+(?:\{.*\})?) (\d+)$", text, re.M)}

    def integrity(self):
        # Closed at once: the next start has to read the log as after a crash, not go by our index of it.
        with contextlib.closing(sqlite3.connect(self.folder / "store.db")) as database:
            return database.execute("PRAGMA integrity_check").fetchone()[0]


class Lean(Guarded):
    """The build whose memory is the user's; sanitizers keep what was freed."""
    binary = RELEASE


class Failing(Guarded):
    """A gateway whose calls fail as its plan says."""
    binary = FAILING

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.plan = Plan(self.folder / "plan")
        self.variables = {"FAULT_PLAN": str(self.plan.path)}


class OwnHosts:
    """Of a gateway's class: model.test is where `name_is` says, by a hosts file that this gateway alone sees."""
    NAME = "model.test"

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.hosts = self.folder / "hosts"
        self.name_is("127.0.0.1")
        self.before = ("unshare", "--mount", "--propagation", "unchanged", "sh", "-c",
                       'mount --make-rprivate / 2>/dev/null; mount --bind "$0" /etc/hosts && exec "$@"',
                       str(self.hosts))

    def name_is(self, *addresses):
        # In place: it is this file that is mounted.
        self.hosts.write_text("".join(f"{address} {self.NAME}\n" for address in addresses))

    def call_upstream_by_name(self, port):
        self.upstreams[0]["url"] = f"http://{self.NAME}:{port}"
        self.write_config()


class FaultCase(unittest.TestCase, metaclass=RowsType):
    make = Guarded
    sections = {}
    upstream_members = {}
    answer = None  # the upstream's default
    longMessage = True

    @classmethod
    def setUpClass(cls):
        cls.upstream = Upstream(default=cls.answer)
        try:
            cls.gateway = cls.make_gateway()
            cls.set_up_before()
            cls.gateway.start()
            cls.key = cls.gateway.create()["key"]
            cls.gateway.monitor = cls.gateway.create("monitor", permissions=["read_metrics"])["key"]
            cls.set_up()
        except BaseException:
            if getattr(cls, "gateway", None):
                cls.gateway.discard()
            cls.upstream.stop()
            raise

    @classmethod
    def make_gateway(cls):
        upstream = {"name": "main", "kind": "ollama", "url": cls.upstream.url, "api_key": UPSTREAM_KEY}
        return cls.make([{**upstream, **cls.upstream_members}], cls.sections)

    @classmethod
    def set_up_before(cls):
        pass

    @classmethod
    def set_up(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        try:
            status = cls.gateway.finish()
            complaints = oracles.sanitizers(cls.gateway.said) + cls.complaints()
            if status != 0:
                complaints.append(f"exit status {status}:\n{cls.gateway.tail()}")
            if complaints:
                raise AssertionError("\n".join(complaints))
        finally:
            cls.gateway.discard()
            cls.upstream.stop()

    @classmethod
    def model_servers(cls):
        return [cls.upstream]

    @classmethod
    def complaints(cls):
        upstreams = cls.model_servers()
        return (violations(upstreams) + sent_again(upstreams) + trespassers(upstreams)
                + oracles.credentials_upstream(cls.gateway.secrets, upstreams)
                + oracles.secrets_in_files(cls.gateway.secrets + [UPSTREAM_KEY], cls.gateway.folder,
                                           cls.gateway.said)
                + oracles.proved(cls.gateway))

    # Asking.

    def client(self):
        return self.gateway.client()

    def chat(self, key=None, **members):
        return self.gateway.ask(chat_request(key or self.key, **members))

    def calls(self):
        return len(self.upstream.calls())

    def outcome(self, piece, client=None):
        """The answer, perhaps one that is not complete, or CLOSED. No answer in time is a failure."""
        with client or self.client() as client:
            try:
                client.send(piece)
                response = client.read_head()
            except BadAnswer as error:
                return self.broken(error)
            try:
                return client.read_body(response)
            except BadAnswer as error:
                self.broken(error)
                response.complete = False
                return response

    def broken(self, error):
        text = str(error)
        if not re.search("Connection(Reset|Aborted)Error|ends within a line", text):
            raise error
        return CLOSED

    def assert_refusal(self, response, statuses):
        self.assertIn(response.status, statuses, response)
        self.assertTrue(response.complete, response)
        self.assertTrue(response.json()["error"], response)

    def assert_at_rest(self):
        """Nothing is in progress but the question itself."""
        wait_until(lambda: self.gateway.gauges()["sallyport_exchanges"] == 1, "no request in progress")
        gauges = self.gateway.gauges()
        self.assertEqual(gauges["sallyport_body_memory_bytes"], 0)
