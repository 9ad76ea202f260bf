"""TLS towards callers, as attackers and as ordinary clients see it: what is agreed on, what ends a
connection, and that nothing of it holds up anybody else (HOSTILE TLS-01 to TLS-08, TLS-12)."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path

from tools import tls
from tools import upstream as answers
from tools.case import WireCase, rows
from tools.client import BadAnswer, Client, chat, chat_request, request
from tools.upstream import wait_until

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
COMMAND_S = 30
SOAK = bool(os.environ.get("SALLYPORT_SOAK"))


class TlsCase(WireCase):
    """Two names, the first of them with a certificate of each kind; listens with TLS and without."""
    server = {}
    limits = {}

    @classmethod
    def setUpClass(cls):
        cls.pairs = Path(tempfile.mkdtemp(prefix="sallyport-tls-"))
        tls.make_pair(cls.pairs, "first")
        tls.make_pair(cls.pairs, "first-rsa", key=("rsa", "rsa_keygen_bits:2048"))
        tls.make_pair(cls.pairs, "second", "DNS:second.test,DNS:*.wild.test")
        names = ("first", "first-rsa", "second")
        cls.sections = {"server": {"listen": ["https://127.0.0.1:0", "http://127.0.0.1:0"],
                                   "tls_cert_path": [str(cls.pairs / f"{name}.pem") for name in names],
                                   "tls_key_path": [str(cls.pairs / f"{name}.key") for name in names],
                                   **cls.server},
                        "limits": cls.limits}
        super().setUpClass()

    @classmethod
    def set_up(cls):
        cls.gateway.tls = tls.client_context(cls.pairs / "first.pem")

    @classmethod
    def tearDownClass(cls):
        try:
            super().tearDownClass()
        finally:
            shutil.rmtree(cls.pairs, ignore_errors=True)

    def plain(self, port=None):
        return Client(port or self.gateway.ports[1], self.gateway.answers)

    def assert_alive(self):
        self.assertEqual(self.chat().status, 200)

    def s_client(self, *options, said=""):
        """What `openssl s_client` makes of the gateway."""
        return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.gateway.port}", *options],
                              input=said, capture_output=True, text=True, errors="replace", timeout=COMMAND_S,
                              check=False)

    def talk(self, *options):
        """A running s_client, for its commands."""
        process = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{self.gateway.port}", *options],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(process.wait, COMMAND_S)
        self.addCleanup(process.kill)
        for pipe in (process.stdin, process.stdout):
            self.addCleanup(lambda pipe=pipe: self.quietly(pipe.close))
        return process

    @staticmethod
    def quietly(close):
        try:
            close()
        except OSError:
            pass

    @staticmethod
    def read_until(process, mark):
        """False: it ended before it said that."""
        for line in process.stdout:
            if mark in line:
                return True
        return False

    def hello(self, port=None, context=None):
        """A handshake in our hands: session, incoming and outgoing bytes, and a connected socket."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = context or ssl.create_default_context(cafile=self.pairs / "first.pem")
        session = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            pass
        sock = socket.create_connection(("127.0.0.1", port or self.gateway.port), COMMAND_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.addCleanup(sock.close)
        return session, incoming, outgoing, sock


class Agreement(TlsCase):
    OLD = ("-cipher", "ALL:@SECLEVEL=0")

    @rows({
        "SSL has no say": (("-tls1",) + OLD, False),
        "TLS 1.1": (("-tls1_1",) + OLD, False),
        "TLS 1.2": (("-tls1_2",), True),
        "TLS 1.3": (("-tls1_3",), True),
        "no forward secrecy": (("-tls1_2", "-cipher", "AES128-GCM-SHA256:AES256-SHA:@SECLEVEL=0"), False),
        "CBC": (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES256-SHA:@SECLEVEL=0"), False),
        "finite field groups": (("-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"), False),
        "no encryption": (("-tls1_2", "-cipher", "NULL:@SECLEVEL=0"), False),
        "no certificate": (("-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"), False),
        "CCM8": (("-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256"), False),
        "ChaCha20": (("-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"), True),
        "the RSA certificate": (("-tls1_2", "-servername", "localhost", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"), True),
        "a fallback from 1.3": (("-tls1_2", "-fallback_scsv"), False),
        "a weak group": (("-tls1_3", "-groups", "P-521"), False),
    })
    def is_agreed_on(self, options, wanted):
        done = self.s_client(*options)
        agreed = bool(re.search(r"Cipher is (?!\(NONE\))\S+", done.stdout))
        self.assertEqual(agreed, wanted, done.stdout + done.stderr)

    def test_nothing_is_compressed_and_no_early_data_taken(self):
        with self.gateway.client() as client:
            client.ask(request(path="/livez"))
            self.assertIsNone(client.sock.compression())
        # s_client prints tickets as they come, and leaves at the end of the answer.
        done = self.s_client("-tls1_3", "-ign_eof",
                             said="GET /livez HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n")
        self.assertIn("Max Early Data: 0", done.stdout)

    @rows({
        "both": (["h2", "http/1.1"], "h2"),
        "only the old": (["http/1.1"], "http/1.1"),
        "none": ([], None),
        "and others": (["spdy/3", "http/1.0", "http/1.1"], "http/1.1"),
    })
    def protocol(self, offered, agreed):
        context = tls.client_context(self.pairs / "first.pem", offered or None)
        with self.client(tls=context) as client:
            self.assertEqual(client.sock.selected_alpn_protocol(), agreed)
            if agreed != "h2":
                self.assertEqual(client.ask(request(path="/livez")).status, 200)

    def test_a_protocol_that_is_not_spoken_is_refused_in_the_handshake(self):
        context = tls.client_context(self.pairs / "first.pem", ["http/1.0", "acme-tls/1"])
        with self.assertRaisesRegex(ssl.SSLError, "(?i)no.application.protocol"):
            self.client(tls=context)

    def test_old_bytes_where_the_new_protocol_was_agreed_on_end_the_connection(self):
        context = tls.client_context(self.pairs / "first.pem", ["h2"])
        with self.client(tls=context) as client:
            client.send(chat_request(self.key))
            received = b""
            while client.fill():
                received = bytes(client.unread)
            self.assertNotIn(b"HTTP/1.1", received)
        self.assertEqual(self.calls(), 0)

    def test_new_bytes_where_the_old_protocol_was_agreed_on_are_a_bad_request(self):
        context = tls.client_context(self.pairs / "first.pem", ["http/1.1"])
        with self.client(tls=context) as client:
            client.send(PREFACE)
            self.assertIn(client.read().status, (400, 501, 505))
            client.expect_closed()

    @rows({
        "the first": ("localhost", "first"),
        "the second": ("second.test", "second"),
        "in other letters": ("SECOND.test", "second"),
        "one below a wildcard": ("a.wild.test", "second"),
        "two below a wildcard": ("a.b.wild.test", "first"),
        "the wildcard's own": ("wild.test", "first"),
        "unknown": ("unknown.test", "first"),
        "none": (None, "first"),
    })
    def name(self, name, pair):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.pairs / f"{pair}.pem")
        with self.client(tls=context, name=name) as client:
            self.assertEqual(client.ask(request(path="/livez", host=name or "gateway.test")).status, 200)

    def test_curl_shows_every_refusal(self):
        """Over HTTP/2 by itself; its body is on its way when the answer comes."""
        body = self.gateway.folder / "body"
        body.write_text("{" + " " * 1_000_000)
        answers_seen = set()
        for size in ("{}", f"@{body}") * 10:
            done = subprocess.run(["curl", "--silent", "--cacert", self.pairs / "first.pem", "--data-binary", size,
                                   "--write-out", "%{http_code} %{http_version} %{exitcode}", "--output", "/dev/null",
                                   f"https://localhost:{self.gateway.port}/v1/chat/completions"],
                                  capture_output=True, text=True, timeout=COMMAND_S, check=False)
            answers_seen.add(done.stdout)
        self.assertEqual(answers_seen, {"401 2 0"})


class Only13(TlsCase):
    limits = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gateway.sections["security"] = {"min_tls_version": "1.3"}
        cls.gateway.write_config()
        cls.gateway.signal(signal.SIGHUP)

    def test_the_oldest_version_is_raised_by_a_reload(self):
        wait_until(lambda: "Cipher is (NONE)" in self.s_client("-tls1_2").stdout, "TLS 1.2 to be refused")
        self.assertIn("TLSv1.3", self.s_client("-tls1_3").stdout)
        self.assert_alive()


class Resumption(TlsCase):
    @rows({"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3})
    def a_session_is_taken_up_again(self, version):
        context = tls.client_context(self.pairs / "first.pem")
        context.maximum_version = version
        with self.client(tls=context) as client:
            client.ask(request(path="/livez"))  # tickets come before the answer
            self.assertFalse(client.sock.session_reused)
            session = client.sock.session
        for _ in range(3):  # on either worker
            sock = socket.create_connection(("127.0.0.1", self.gateway.port))
            with context.wrap_socket(sock, server_hostname="127.0.0.1", session=session) as again:
                self.assertTrue(again.session_reused)
                again.sendall(request(path="/livez"))
                self.assertIn(b"200", again.recv(100))


class Wrong(TlsCase):
    """Bytes that are no handshake, or a handshake that is abused."""
    server = {"header_timeout": "2s"}

    def test_plain_http_is_told_where_it_is(self):
        for piece in (request(path="/livez"), chat_request(self.key)):
            calls = self.calls()
            with self.plain(self.gateway.port) as client:
                client.send(piece)
                response = client.read()
                self.assertEqual(response.status, 400)
                self.assertIn("https", response.json()["error"]["message"].lower())
                client.expect_closed()
            self.assertEqual(self.calls(), calls)

    def test_tls_on_the_plain_port_is_a_bad_request(self):
        session, _, outgoing, _ = self.hello()
        with self.plain() as client:
            client.send(outgoing.read())
            self.assertEqual(client.read().status, 400)
            client.expect_closed()
        del session

    @rows({
        "noise": b"\x80" + bytes(range(255)),
        "SSL 2": bytes.fromhex("802e0100020015000000100100800200800300800400800500800600400700c0") + bytes(16),
        "an alert": b"\x15\x03\x01\x00\x02\x01\x00",
        "data": b"\x17\x03\x03\x00\x10" + bytes(16),
        "an oversize record": b"\x16\x03\x01\xff\xff" + bytes(70000),
        "a length of nothing": b"\x16\x03\x01\x00\x00" * 100,
        "a lower-case method": b"get / HTTP/1.1\r\n\r\n",
    })
    def is_closed(self, piece):
        with self.plain(self.gateway.port) as client:
            client.send(piece)
            try:
                while client.fill():
                    pass
            except BadAnswer as error:
                self.assertIn("Error", str(error))  # reset is as good; late is not
            self.assertNotIn(b"HTTP/", client.unread)
        self.assert_alive()

    def test_a_hello_may_come_byte_by_byte(self):
        session, incoming, outgoing, sock = self.hello()
        first = outgoing.read()
        for at in range(len(first)):
            sock.sendall(first[at:at + 1])
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                incoming.write(sock.recv(65536))
        session.write(request(path="/livez"))
        last = outgoing.read()
        for at in range(len(last)):
            sock.sendall(last[at:at + 1])
        while True:
            try:
                self.assertIn(b"200", session.read())
                break
            except ssl.SSLWantReadError:
                incoming.write(sock.recv(65536))

    def test_half_handshakes_are_given_up_and_hold_up_nobody(self):
        """TLS-07: some with nothing, some with half a hello, some that wait after the server's turn."""
        _, _, outgoing, _ = self.hello()
        first = outgoing.read()
        held = []
        for i in range(5000 if SOAK else 500):
            held.append(socket.create_connection(("127.0.0.1", self.gateway.port)))
            held[-1].sendall((b"", first[:len(first) // 2], first)[i % 3])
        try:
            for _ in range(20):
                self.assert_alive()
            for sock in held:
                sock.settimeout(COMMAND_S)
                try:
                    while sock.recv(65536):
                        pass
                except ConnectionError:
                    pass
        finally:
            for sock in held:
                sock.close()

    def test_renegotiation_is_refused(self):
        process = self.talk("-tls1_2")
        self.assertTrue(self.read_until(process, b"Extended master secret"))
        process.stdin.write(b"R\n")
        process.stdin.flush()
        self.assertTrue(self.read_until(process, b"RENEGOTIATING"))
        rest = process.stdout.read()
        self.assertIn(b"no renegotiation", rest)
        self.assert_alive()

    def test_a_flood_of_key_updates_ends(self):
        process = self.talk("-tls1_3")
        self.assertTrue(self.read_until(process, b"SSL handshake has read"))
        for i in range(1000):
            try:
                process.stdin.write(b"K\n")
                process.stdin.flush()
            except BrokenPipeError:
                break
            if not self.read_until(process, b"KEYUPDATE"):
                break
        else:
            self.fail("a thousand key updates and no end")
        self.assertGreater(i, 2, "honest clients change their keys, too")
        self.assert_alive()

    def test_a_flood_of_empty_records_ends(self):
        """Only an attacker can make them; OpenSSL does not send any. One that is not encrypted is refused."""
        with self.client() as client:
            raw = socket.socket(fileno=os.dup(client.sock.fileno()))
            raw.settimeout(COMMAND_S)
            self.addCleanup(raw.close)
            try:
                for _ in range(1000):
                    raw.sendall(b"\x17\x03\x03\x00\x00" * 1000)
            except ConnectionError:
                return
            self.assertEqual(raw.recv(65536)[:1], b"\x15")


class Records(TlsCase):
    """Whatever the records are, the requests are the same (O6)."""

    def test_a_request_a_byte_is_one_request(self):
        body = chat(content="w\u00f6rter")
        piece = request("POST", "/v1/chat/completions", body=body, key=self.key)
        self.accepted(piece)

    def test_what_is_refused_is_refused_in_any_records(self):
        self.refused(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400)
        self.refused(b"GET /v1/models HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n", 400)

    def test_a_large_body_and_a_large_answer_pass(self):
        model = self.upstream.on("large", answers.whole({"answer": "y" * 3_000_000}))
        response = self.chat(model=model, messages=[{"role": "user", "content": "x" * 3_000_000}])
        self.assertEqual(response.status, 200)
        self.assertEqual(len(response.json()["answer"]), 3_000_000)

    def test_a_reader_that_pauses_gets_all_of_it(self):
        pieces = [answers.delta("z" * 4000) for _ in range(500)]
        model = self.upstream.on("paused", answers.chunked([*pieces, answers.DONE]))
        with self.client(receive_buffer_bytes=4096) as client:
            client.send(chat_request(self.key, model, stream=True))
            response = client.read_head()
            client.read_until(b"z", response)
            # Until the upstream cannot send more: every buffer on the way is full.
            connection = next(r for r in self.upstream.requests if r.model() == "paused").connection
            seen = -1
            while seen != connection.sent_bytes:
                seen = connection.sent_bytes
                threading.Event().wait(0.1)
            self.assertTrue(client.read_body(response).complete)
            self.assertEqual(bytes(response.body), b"".join(pieces) + answers.DONE)


class Leaving(TlsCase):
    """A client that goes without TLS's farewell, or with one and without TCP's."""

    def held(self, model):
        self.upstream.wait_for(lambda: any(r.model() == model for r in self.upstream.requests))
        return next(r for r in self.upstream.requests if r.model() == model).connection

    def end_tcp(self, client):
        client.sock.shutdown(socket.SHUT_WR)

    def reset(self, client):
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()

    @rows({"the end of TCP": "end_tcp", "a reset": "reset"})
    def in_a_stream(self, how):
        def stream(connection, _request):
            connection.send(answers.answer_head(content_type="text/event-stream")
                            + b"Transfer-Encoding: chunked\r\n\r\n" + answers.chunk(answers.delta("one")))
            connection.wait_closed()
            return False
        model = self.upstream.on(f"stream {how}", stream)
        with Client(self.gateway.port, tls=self.gateway.tls) as client:
            client.send(chat_request(self.key, model, stream=True))
            client.read_until(b"one", client.read_head())
            getattr(self, how)(client)
            self.assertTrue(self.held(model).closed.wait(10), "the upstream works for nobody")

    @rows({"the end of TCP": "end_tcp", "a reset": "reset"})
    def before_the_answer(self, how):
        model = self.upstream.on(f"silent {how}", answers.silence)
        with Client(self.gateway.port, tls=self.gateway.tls) as client:
            client.send(chat_request(self.key, model))
            connection = self.held(model)
            getattr(self, how)(client)
            self.assertTrue(connection.closed.wait(10), "the upstream works for nobody")

    @rows({"the end of TCP": "end_tcp", "a reset": "reset"})
    def in_a_request(self, how):
        calls = self.calls()
        piece = chat_request(self.key)
        for at in (10, len(piece) - 5):
            with Client(self.gateway.port, tls=self.gateway.tls) as client:
                client.send(piece[:at])
                getattr(self, how)(client)
                if how == "end_tcp":
                    with self.assertRaises(BadAnswer):  # nor does the gateway say farewell then
                        client.line()
        self.assertEqual(self.calls(), calls)
        self.assert_alive()


class Capped(TlsCase):
    limits = {"connections_per_ip": 5}

    def test_beyond_the_cap_no_handshake_is_made(self):
        """SL-05: the connection closes before the gateway has said anything."""
        held = [self.client() for _ in range(5)]
        try:
            _, _, outgoing, sock = self.hello()
            try:
                sock.sendall(outgoing.read())
                self.assertEqual(sock.recv(100), b"")
            except ConnectionError:
                pass
            for client in held:
                self.assertEqual(client.ask(request(path="/livez")).status, 200)
        finally:
            for client in held:
                client.close()


class Replaced(TlsCase):
    """TLS-06: the certificate's files change under load, mostly for the worse."""
    ROUNDS = 100 if SOAK else 5  # each kind of bad file

    @classmethod
    def set_up(cls):
        super().set_up()
        tls.make_pair(cls.pairs, "spare")
        cls.both = cls.pairs / "both.pem"
        cls.both.write_text((cls.pairs / "first.pem").read_text() + (cls.pairs / "spare.pem").read_text())
        cls.gateway.tls = tls.client_context(cls.both)
        cls.serials = {name: cls.serial_of(cls.pairs / f"{name}.pem") for name in ("first", "spare")}
        cls.saved = {name: [(cls.pairs / f"{name}.{end}").read_bytes() for end in ("pem", "key")]
                     for name in ("first", "spare")}

    @staticmethod
    def serial_of(path):
        return subprocess.run(["openssl", "x509", "-in", path, "-noout", "-serial"], check=True, text=True,
                              capture_output=True).stdout.strip().partition("=")[2].lstrip("0")

    def serial_seen(self):
        with self.client() as client:
            return client.sock.getpeercert()["serialNumber"].lstrip("0")

    def put(self, certificate, key):
        for end, content in (("pem", certificate), ("key", key)):
            new = self.pairs / f"first.{end}.new"
            new.write_bytes(content)
            new.replace(self.pairs / f"first.{end}")

    def bad_pairs(self, now):
        certificate, key = self.saved[now]
        other = self.saved["spare" if now == "first" else "first"][1]
        yield lambda: self.put(certificate, other)
        yield lambda: self.put(certificate[:len(certificate) // 2], key)
        yield lambda: self.put(certificate, key[:len(key) // 2])
        yield lambda: self.put(b"", b"")
        yield (self.pairs / "first.key").unlink

    def complaints(self):
        return self.gateway.heard().count("the certificates were not read anew")

    def test_nothing_fails_and_only_what_fits_is_used(self):
        failed, served, stop = [], [0], threading.Event()

        def load():
            while not stop.is_set():
                try:
                    with self.client() as client:
                        for _ in range(5):
                            response = client.ask(chat_request(self.key))
                            served[0] += 1
                            if response.status != 200:
                                failed.append(response)
                except Exception as error:  # whatever it is, a request was lost
                    failed.append(error)
        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            now = "first"
            for i in range(self.ROUNDS):
                bad = list(self.bad_pairs(now))[i % 5]
                before = self.complaints()
                bad()
                wait_until(lambda: self.complaints() > before, "a complaint about the files")
                self.assertEqual(self.serial_seen(), self.serials[now])
                now = "spare" if now == "first" else "first"
                self.put(*self.saved[now])
                wait_until(lambda: self.serial_seen() == self.serials[now], "the new certificate")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failed, [])
        self.assertGreater(served[0], self.ROUNDS)
