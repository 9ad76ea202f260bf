"""The other servers, and what each of them understands when it is handed bytes that the gateway sent on.

A peer answers every request with what it read: X-Method, X-Target, X-Length and X-Digest (of the body), and
where it can X-Fields (a digest of all fields). Node's and Python's servers do so themselves. nginx, HAProxy,
lighttpd and h2o pass the request on to a recorder of ours, which says what it was given, so that what they
understood counts and not what they can show. Behind each request goes a second one of our own: whatever was
left over of the first would be read into it.
"""

import contextlib
import getpass
import grp
import hashlib
import http.client
import http.server
import os
import pathlib
import re
import shutil
import socket
import socketserver
import subprocess
import threading
import time

from tools.client import BadAnswer, Client
from tools.upstream import Violation, parse_head

HERE = pathlib.Path(__file__).resolve().parent
START_S = 15.0
BODY_BYTES_MAX = 1 << 20


def digest(piece):
    return hashlib.sha256(piece).hexdigest()[:32]


def fields_digest(fields):
    return digest(b"".join(name.lower() + b":" + value.strip(b" \t") + b"\n" for name, value in fields))


def understood(method, target, body, fields=None):
    """The fields of an answer, which say what was asked."""
    told = [("X-Method", method), ("X-Target", target), ("X-Length", str(len(body))), ("X-Digest", digest(body))]
    return told + ([("X-Fields", fields_digest(fields))] if fields is not None else [])


class Server(socketserver.ThreadingTCPServer):
    """A server of this process. `count` is the number of requests that were recorded."""
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.port = self.server_address[1]
        self.count = 0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # the connection ends without an answer, or with the peer's own, and that shows

    def close(self):
        self.shutdown()
        self.server_close()


# The recorder behind the proxies: reads what a proxy sends on, and answers with what it was.


class Recording(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        while (line := self.rfile.readline(65536)):
            method, target, version = re.fullmatch(rb"(\S+) (\S+) HTTP/1\.([01])\r\n", line).groups()
            fields = {}
            while (field := self.rfile.readline(65536)) != b"\r\n":
                name, value = re.fullmatch(rb"([^:\s]+):[ \t]*(.*?)[ \t]*\r\n", field).groups()
                fields[name.lower()] = value.lower()
            body = self.body(fields)
            with self.server.lock:
                self.server.count += 1
            told = understood(method.decode(), target.decode(), body)
            head = "".join(f"{name}: {value}\r\n" for name, value in told)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + head.encode() + b"\r\n")
            if fields.get(b"connection", b"close" if version == b"0" else b"") == b"close":
                return

    def body(self, fields):
        if b"transfer-encoding" not in fields:
            return self.rfile.read(int(fields.get(b"content-length", b"0")))
        body = b""
        while (size := int(self.rfile.readline(64), 16)):
            body += self.rfile.read(size)
            assert self.rfile.read(2) == b"\r\n" and len(body) <= BODY_BYTES_MAX
        assert self.rfile.readline(64) == b"\r\n"
        return body


# Python's own server.

# The gateway takes a hundred fields and adds its own; a limit that is met is no disagreement.
http.client._MAXHEADERS = 256


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        self.send_response(200)
        for name, value in understood(self.command, self.path, body, fields):
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        pass


# How each is started: a function of (folder, port, recorder's port) that writes what it needs and returns
# the command.

NGINX = """
user {user}; worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    keepalive_requests 1000000; large_client_header_buffers 4 64k;
    upstream recorder {{ server 127.0.0.1:{recorder}; keepalive 8; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port}; merge_slashes off;
        location / {{
            proxy_pass http://recorder; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_buffer_size 64k; proxy_buffers 4 64k; proxy_busy_buffers_size 128k;
        }}
    }}
}}
"""

HAPROXY = """
global
    nbthread 1
    tune.bufsize 65536
    tune.http.maxhdr 256
defaults
    mode http
    timeout connect 10s
    timeout client 30s
    timeout server 30s
frontend door
    bind 127.0.0.1:{port}
    default_backend recorder
backend recorder
    server recorder 127.0.0.1:{recorder}
"""

LIGHTTPD = """
server.document-root = "{folder}"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{folder}/lighttpd.log"
server.modules = ("mod_proxy")
server.http-parseopts = ("url-normalize" => "disable")
server.max-keep-alive-requests = 1000000
proxy.server = ("" => (("host" => "127.0.0.1", "port" => {recorder})))
"""

H2O = """
num-threads: 1
listen: {{host: 127.0.0.1, port: {port}}}
hosts:
  default:
    paths:
      "/": {{proxy.reverse.url: "http://127.0.0.1:{recorder}/"}}
"""


def configured(template, *command):
    def start(folder, port, recorder):
        path = folder / "config"
        user = f"{getpass.getuser()} {grp.getgrgid(os.getgid()).gr_name}"
        path.write_text(template.format(folder=folder, port=port, recorder=recorder, user=user))
        return [part.format(folder=folder, config=path) for part in command]
    return start


def node(_folder, port, _recorder):
    return ["node", HERE / "echo.mjs", port]


PROXIES = {
    "nginx": configured(NGINX, "nginx", "-p", "{folder}", "-e", "{folder}/nginx.log", "-c", "{config}"),
    "haproxy": configured(HAPROXY, "haproxy", "-db", "-f", "{config}"),
    "lighttpd": configured(LIGHTTPD, "lighttpd", "-D", "-f", "{config}"),
    "h2o": configured(H2O, "h2o", "-c", "{config}"),
}
PEERS = {"python": None, "node": node, **PROXIES}


def program(name):
    """Debian keeps servers where not every user's PATH looks."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def missing(name):
    return name != "python" and program(name) is None


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def wait_for_port(port, process, log):
    end = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"it did not start:\n{log.read_text(errors='replace')}") from None
            time.sleep(0.02)


@contextlib.contextmanager
def running(name, folder):
    """The peer of this name: its port, and its recorder or None."""
    if name == "python":
        with contextlib.closing(Server(Handler)) as server:
            yield server.port, None
        return
    recorder = Server(Recording) if name in PROXIES else None
    port, log = free_port(), folder / "output"
    command = [str(part) for part in PEERS[name](folder, port, recorder and recorder.port)]
    with open(log, "wb") as output:
        process = subprocess.Popen([program(command[0]), *command[1:]], cwd=folder, stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=output)
    try:
        wait_for_port(port, process, log)
        yield port, recorder
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if recorder:
            recorder.close()


# The comparison.

class Sample:
    """One request as the gateway sent it on, and what it says by our own reading."""

    def __init__(self, mutant, piece):
        self.mutant = mutant
        self.piece = piece
        cut = piece.index(b"\r\n\r\n") + 4
        try:
            head = parse_head(piece[:cut])
        except Violation as violation:
            raise AssertionError(f"mutant {mutant}: the tests' own reader refuses it: {violation}") from None
        body = piece[cut:]
        assert len(body) == int(head.value("content-length") or 0), mutant
        self.method = head.method
        self.names = [name for name, _ in head.fields]
        self.told = understood(head.method, head.path, body, head.fields)


def read_samples(path):
    samples = []
    with open(path, "rb") as file:
        while (line := file.readline()):
            mutant, length = map(int, line.split())
            samples.append(Sample(mutant, file.read(length)))
    return samples


# What a peer refuses by a rule or a limit of its own. A refusal is no other reading, as long as nothing of the
# request is passed on; but each must have one of these reasons, or it is a finding.
SINGLE = {b"content-range", b"if-modified-since", b"if-unmodified-since", b"if-none-match", b"if-match",
          b"if-range", b"range", b"user-agent", b"depth", b"destination", b"overwrite"}
REFUSALS = [
    ("nginx", "a field twice that may stand once", lambda names: any(names.count(name) > 1 for name in SINGLE)),
    ("lighttpd", "a field twice that may stand once", lambda names: any(names.count(name) > 1 for name in SINGLE)),
    ("haproxy", "a name longer than 255 bytes", lambda names: max(map(len, names)) > 255),
    ("h2o", "more than 100 fields", lambda names: len(names) > 100),
]


class Refused(Exception):
    """The peer wants none of it."""


class Verdict:
    """What came of it: disagreements as (sample, sentence), refusals counted by reason, and sentences about
    the whole."""

    def __init__(self):
        self.found = []
        self.refused = {}
        self.whole = []


def compare(response, told):
    """What the peer understood otherwise, as a sentence, or None."""
    if response.status != 200:
        return f"answered with {response.status}"
    for name, value in told:
        got = response.get(name)
        if got != value and not (name == "X-Fields" and got is None):
            return f"{name} is {got!r}, not {value!r}"
    return None


def play(port, number, sample):
    """Hands one request to a peer, and one of our own behind it. A sentence when something was different."""
    target = f"/sentinel/{number}"
    behind = f"GET {target} HTTP/1.1\r\nHost: peer.test\r\n\r\n".encode()
    with Client(port) as client:
        client.send(sample.piece + behind)
        try:
            first = client.read(sample.method)
            if first.status in (400, 431) and first.closes():
                raise Refused
            wrong = compare(first, sample.told)
            if wrong:
                return wrong
            wrong = compare(client.read("GET"), understood("GET", target, b""))
            return wrong and f"the request behind it: {wrong}"
        except BadAnswer as error:
            return str(error)


def reason(name, sample):
    """Why this peer refuses this request; None when no reason is known."""
    for peer, why, applies in REFUSALS:
        if peer == name and applies(sample.names):
            return why
    return None


def ask(name, folder, samples):
    verdict = Verdict()
    with running(name, folder) as (port, recorder):
        passed_on = 0
        for number, sample in enumerate(samples):
            try:
                wrong = play(port, number, sample)
                passed_on += 2
            except Refused:
                why = reason(name, sample)
                wrong = None if why else "refused"
                if why:
                    verdict.refused[why] = verdict.refused.get(why, 0) + 1
            if wrong:
                verdict.found.append((sample, wrong))
        if recorder and not verdict.found and recorder.count != passed_on:
            verdict.whole.append(f"{passed_on} requests were read, {recorder.count} were passed on")
    return verdict
