"""The deny-list: whoever is on it is kept out, and shown out, and nobody else is; and its file, which has two
masters."""

import json
import re
import signal
import socket
import ssl
import threading
import time

from tools import upstream as answers
from tools.case import WireCase, rows
from tools.client import BadAnswer, Client, chat_request, request
from tools.gateway import Gateway
from tools.http2 import Http2Case, tls_context
from tools.signing import SigningCase
from tools.upstream import wait_until

PATH = "/api/v1/denylist"
LINE = r"{}  # Blocked: {} at \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d( for \d+s)?\n"
PEER = "127.0.0.2"  # somebody who speaks for nobody else


def head(path="/livez", address=None):
    return request("GET", path, [("X-Forwarded-For", address)] if address else [])


class DenyCase:
    """What the classes share; `asked` is asked as somebody at an address behind the proxy."""

    @property
    def file(self):
        return self.gateway.folder / "ops" / "denylist.txt"

    def write(self, text):
        """In one step, as `sed -i` does."""
        self.file.parent.mkdir(exist_ok=True)
        new = self.file.with_name("new")
        new.write_text(text)
        new.replace(self.file)

    def add_line(self, line):
        self.file.parent.mkdir(exist_ok=True)
        with self.file.open("a") as file:
            file.write(line + "\n")

    def status(self, address):
        return self.gateway.ask(head(address=address)).status

    def until_banned(self, *addresses):
        for address in addresses:
            wait_until(lambda: self.status(address) == 403, f"a ban of {address}")

    def until_free(self, *addresses):
        for address in addresses:
            wait_until(lambda: self.status(address) == 200, f"the end of the ban of {address}")

    def said(self, pattern):
        return re.findall(pattern, self.gateway.heard())

    def denylist(self, *arguments, check=True):
        return self.gateway.command("denylist", *arguments, check=check)

    def entries(self):
        return {entry["entry"]: entry for entry in json.loads(self.denylist("list", "--json").stdout)}

    def audited_changes(self, entry):
        return [(record["event"], record["actor"], record["reason"]) for record in self.gateway.audit_log()
                if record["path"] == f"{PATH}/{entry}"]


class PeerCase(DenyCase, WireCase):
    """No proxy is trusted: who sends the bytes is who is banned."""
    plain = True

    def peer(self):
        return Client(self.gateway.port, self.gateway.answers, source=PEER)

    def tearDown(self):
        self.denylist("remove", PEER, check=False)
        self.gateway.answers[:] = [answer for answer in self.gateway.answers if answer.complete]


class Flood(PeerCase):
    def test_a_flood_of_a_banned_peer_finds_the_door_shut(self):
        self.denylist("add", PEER)
        told = shut = 0
        begun = time.monotonic()
        for _ in range(300):
            try:
                with self.peer() as client:
                    self.assertEqual(client.ask(head()).status, 403)
                    told += 1
            except (BadAnswer, ConnectionError):
                shut += 1
        self.assertGreater(told, 0)
        self.assertLessEqual(told, 64 * (int(time.monotonic() - begun) + 2))
        self.assertEqual(told + shut, 300)


class Peers(PeerCase):
    def test_a_banned_peer_is_refused_at_the_door(self):
        with self.peer() as client:
            self.assertEqual(client.ask(head()).status, 200)
        self.denylist("add", PEER, "--reason", "too rude")
        with self.peer() as client:
            response = client.ask(head())
            self.assert_refused(response, 403, "PERMISSION_DENIED")
            self.assertTrue(response.closes())
            client.expect_closed()
        self.assertEqual(self.gateway.logged(response)["decision"], "banned_address")
        self.assertEqual(self.get("/livez").status, 200)
        self.denylist("remove", PEER)
        with self.peer() as client:
            self.assertEqual(client.ask(head()).status, 200)

    @rows({"half a head": "half", "between requests": "kept", "a stream": "stream"})
    def a_ban_ends_connections(self, what):
        gone = threading.Event()

        def endless(connection, _request):
            connection.send(answers.answer_head(200, "text/event-stream") + b"Transfer-Encoding: chunked\r\n\r\n")
            connection.send(answers.chunk(answers.delta("one")))
            connection.wait_closed()
            gone.set()
            return False
        model = self.upstream.on("endless", endless)
        client = Client(self.gateway.port, source=PEER)
        self.addCleanup(client.close)
        if what == "half":
            client.send(head()[:20])
        elif what == "kept":
            self.assertEqual(client.ask(head()).status, 200)
        else:
            client.send(chat_request(self.key, model, stream=True))
            response = client.read_head()
            client.read_until(b"one", response)
        self.denylist("add", PEER)
        begun = time.monotonic()
        try:
            client.expect_closed()
        except BadAnswer as error:
            self.assertRegex(str(error), "ConnectionReset|0\r\n") if what == "stream" else self.fail(error)
        self.assertLess(time.monotonic() - begun, 3.0)
        if what == "stream":
            self.assertTrue(gone.wait(5), "the model server goes on")
            wait_until(lambda: any(line["decision"] == "banned" for line in self.gateway.access_log()), "its line")

    def test_a_private_address_may_be_banned_by_hand(self):
        self.add_line(PEER)
        wait_until(lambda: PEER in self.entries(), "the line")
        with self.peer() as client:
            self.assertEqual(client.ask(head()).status, 403)


class Doors(DenyCase, Http2Case):
    """HTTP/2, TLS, and a proxy that speaks for many."""
    server = {"trusted_proxies": ["127.0.0.1/32"]}
    with_tls = True
    plain = True

    def slow_model(self, name):
        gate, gone = threading.Event(), threading.Event()
        self.addCleanup(gate.set)

        def answer(connection, asked):
            sent = answers.chunked([answers.delta("one"), gate, answers.delta("two")])(connection, asked)
            if not sent:
                gone.set()
            return sent
        return self.upstream.on(name, answer), gate, gone

    def test_no_handshake_is_made_with_a_banned_peer(self):
        self.denylist("add", PEER)
        try:
            sock = socket.socket()
            self.addCleanup(sock.close)
            sock.bind((PEER, 0))
            sock.settimeout(5)
            sock.connect(("127.0.0.1", self.gateway.ports[1]))
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                tls_context("h2").wrap_socket(sock, server_hostname="localhost")
        finally:
            self.denylist("remove", PEER)
        with Client(self.gateway.ports[1], tls=tls_context("http/1.1"), source=PEER) as client:
            self.assertEqual(client.ask(head()).status, 200)

    @rows({"HTTP/1.1": False, "one HTTP/2 connection": True})
    def no_neighbour_behind_the_proxy_is_hit(self, http2):
        first, second = "198.51.100.1", "198.51.100.2"
        self.addCleanup(self.denylist, "remove", first, check=False)
        model, gate, _ = self.slow_model(f"slow-{http2}")
        if http2:
            client = self.h2()
            streams = [client.start("POST", "/v1/chat/completions", [("X-Forwarded-For", address)],
                                    body={"model": model, "stream": True, "messages": []}, key=self.key)
                       for address in (first, second)]
            for stream in streams:
                client.read_until(b"one", stream)
            self.denylist("add", first)
            self.assertTrue(client.wait(lambda: streams[0].over))
            self.assertIsNotNone(streams[0].reset, streams)
            gate.set()
            self.assert_fine(client.finish(streams[1]))
            again = client.ask("GET", "/livez", [("X-Forwarded-For", first)])
            self.assertEqual(again.status, 403)
            self.assertEqual(client.ask("GET", "/livez", [("X-Forwarded-For", second)]).status, 200)
        else:
            clients = [Client(self.gateway.port) for _ in range(2)]
            read = []
            for client, address in zip(clients, (first, second)):
                self.addCleanup(client.close)
                client.send(chat_request(self.key, model, [("X-Forwarded-For", address)], stream=True))
                read.append(client.read_head())
                client.read_until(b"one", read[-1])
            self.denylist("add", first)
            try:
                clients[0].read_body(read[0])
            except BadAnswer:
                pass
            self.assertFalse(read[0].complete, read[0])
            gate.set()
            clients[1].read_body(read[1])
            self.assertTrue(read[1].complete)
            self.assertEqual(clients[1].ask(head(address=second)).status, 200)
            self.assertEqual(clients[1].ask(head(address=first)).status, 403)
        self.denylist("remove", first)
        self.until_free(first)

    def test_who_does_not_read_holds_no_model_server_beyond_the_ban(self):
        banned = "198.51.100.3"
        self.addCleanup(self.denylist, "remove", banned, check=False)
        sent, gone = [0], threading.Event()

        def endless(connection, _request):
            piece = answers.chunk(answers.delta("y" * 4000))
            connection.send(answers.answer_head(200, "text/event-stream") + b"Transfer-Encoding: chunked\r\n\r\n")
            while connection.send(piece):
                sent[0] += 1
            gone.set()
            return False
        client = self.h2(receive_buffer_bytes=4096, reads=False, witness=False)
        client.start("POST", "/v1/chat/completions", [("X-Forwarded-For", banned)], key=self.key,
                     body={"model": self.upstream.on("endless", endless), "stream": True, "messages": []})
        wait_until(lambda: sent[0], "the answer to begin")
        seen = -1
        while seen != sent[0]:  # until everything between the model and the client is full
            seen = sent[0]
            time.sleep(0.3)
        self.denylist("add", banned)
        self.assertTrue(gone.wait(5), "the model server goes on")
        wait_until(lambda: any(line["decision"] == "banned" and line["remote_addr"] == banned
                               for line in self.gateway.access_log()), "its line")
        client.reset()

    def test_a_banned_key_is_refused_and_its_streams_end(self):
        key = self.gateway.key("busy")
        model, _, _ = self.slow_model("slow-key")
        client = self.h2()
        stream = client.start("POST", "/v1/chat/completions", body={"model": model, "stream": True, "messages": []},
                              key=key["key"])
        client.read_until(b"one", stream)
        self.denylist("add", "key:" + key["id"], "--reason", "invalid_image", "--seconds", "900")
        self.assertTrue(client.wait(lambda: stream.over))
        self.assertIsNotNone(stream.reset)
        refused = self.chat(key["key"])
        self.assert_refused(refused, 403, "PERMISSION_DENIED")
        self.assertEqual(self.gateway.logged(refused)["decision"], "banned_key")
        self.assertEqual(self.chat().status, 200)
        self.assertEqual(self.entries()["key:" + key["id"]]["kind"], "key")
        self.denylist("remove", "key:" + key["id"])
        self.assertEqual(self.chat(key["key"]).status, 200)


class Lists(DenyCase, SigningCase):
    """By the API, by commands and by hand, of clients behind a proxy."""

    @classmethod
    def fresh(cls):
        return cls.addresses.next()

    def api(self, method, address=None, status=None, **members):
        path = PATH + (f"?entry={address}" if method == "DELETE" else "")
        body = {"entry": address, **members} if method == "POST" else None
        response = self.call(method, path, self.admin(), body)
        self.assertEqual(response.status, status or {"GET": 200, "POST": 201, "DELETE": 204}[method], response)
        return response

    def test_what_the_api_bans_is_banned_when_it_answers(self):
        address = self.fresh()
        entry = self.api("POST", address, reason="5 errors in 30s", seconds=900).json()
        self.assertEqual((entry["entry"], entry["kind"], entry["reason"]), (address, "address", "5 errors in 30s"))
        self.assertEqual(self.status(address), 403)
        self.assertRegex(self.file.read_text(), LINE.format(re.escape(address), "5 errors in 30s"))
        listed = {entry["entry"]: entry for entry in self.api("GET").json()["data"]}
        self.assertEqual(listed[address]["expires_at"], entry["expires_at"])
        self.api("DELETE", address)
        self.assertEqual(self.status(address), 200)
        self.assertNotIn(address, self.file.read_text())
        self.api("DELETE", address, status=404)
        self.assertEqual(self.audited_changes(address),
                         [("ban", "admin", "5 errors in 30s"), ("unban", "admin", "")])

    @rows({name: name for name in ("line", "command", "api", "time", "emptied file")})
    def lifted_by(self, way):
        address, other = self.fresh(), self.fresh()
        self.api("POST", other)
        self.api("POST", address, seconds=2 if way == "time" else 900)
        self.assertEqual(self.status(address), 403)
        if way == "line":
            self.write("".join(line for line in self.file.open() if address not in line))
        elif way == "command":
            self.denylist("remove", address)
            self.assertEqual(self.status(address), 200)
        elif way == "api":
            self.api("DELETE", address)
            self.assertEqual(self.status(address), 200)
        elif way == "emptied file":
            self.file.write_text("")
        self.until_free(address)
        if way == "emptied file":
            self.until_free(other)
            self.assertEqual(self.entries(), {})
            return
        wait_until(lambda: address not in self.file.read_text(), "the line's end")
        self.assertEqual(self.status(other), 403)
        reason = {"line": "by_line", "time": "over"}.get(way)
        if reason:
            wait_until(lambda: ("unban", "system", reason) in self.audited_changes(address), "a record")

    @rows({name: name for name in ("appended", "replaced", "in place", "half a line first")})
    def edited_by_hand(self, way):
        address, other = self.fresh(), self.fresh()
        self.api("POST", other)
        before, line = self.file.read_text(), f"{address}  # I do not like them\n"
        if way == "appended":
            self.add_line(line.strip())
        elif way == "replaced":
            self.write(line + before)
        elif way == "in place":
            self.file.write_text(before + "# a note of mine\n" + line)
        else:
            second = self.fresh()
            with self.file.open("a") as file:
                file.write("# I was about to")
            self.api("POST", second)  # not into the middle of that
            self.assertRegex(self.file.read_text(), "# I was about to\n" + LINE.format(re.escape(second), "by hand"))
            self.add_line(line.strip())
        self.until_banned(address)
        wait_until(lambda: ("ban", "system", "by_line") in self.audited_changes(address), "a record")
        self.api("DELETE", other)
        self.assertIn(line, self.file.read_text())
        self.assertEqual(self.status(address), 403)
        self.assertEqual(self.status(other), 200)

    def test_a_broken_line_is_named_and_drops_nothing_else(self):
        first, second = self.fresh(), self.fresh()
        self.write(f"{first}\nnot an entry\n10.0.0.1/8\n{second} # fine\n")
        self.until_banned(first, second)
        wait_until(lambda: self.said(r"denylist\.txt:2: .*denylist\.txt:3: |denylist\.txt:3: "), "both lines")
        self.assertEqual(len(self.said(r"denylist\.txt:2: ")), 1)
        done = self.gateway.command("check")
        self.assertRegex(done.stderr, r"denylist\.txt:2: warning: .*\n.*denylist\.txt:3: warning: ")
        self.api("DELETE", first)
        self.assertEqual(self.file.read_text(), f"not an entry\n10.0.0.1/8\n{second} # fine\n")
        self.write("")
        self.until_free(second)

    def test_a_removed_file_keeps_the_bans_and_comes_back(self):
        address = self.fresh()
        self.api("POST", address)
        text = self.file.read_text()
        self.file.unlink()
        wait_until(lambda: self.file.exists() and self.file.read_text() == text, "the file")
        self.assertEqual(self.status(address), 403)
        self.file.unlink()
        second = self.fresh()
        self.api("POST", second)
        self.assertTrue(self.file.read_text().startswith(text))
        self.assertEqual((self.status(address), self.status(second)), (403, 403))

    def test_a_file_that_cannot_be_read_keeps_the_bans(self):
        address, second = self.fresh(), self.fresh()
        self.api("POST", address)
        aside = self.file.with_name("aside")
        self.file.rename(aside)
        self.file.mkdir()  # also for root
        self.addCleanup(lambda: aside.exists() and (self.file.rmdir(), aside.rename(self.file)))
        failing = "sallyport_denylist_failing 1"
        wait_until(lambda: failing in bytes(self.call("GET", "/metrics/prometheus", self.admin()).body).decode(),
                   "a complaint")
        wait_until(lambda: self.said("cannot be read"), "a complaint in the log")
        self.assertEqual(self.status(address), 403)
        self.api("POST", second, status=503)
        self.assertEqual(self.status(second), 200)
        self.file.rmdir()
        aside.rename(self.file)
        wait_until(lambda: self.said("can be used again"), "the end of it")
        self.assertEqual(len(self.said("cannot be read")), 1)
        self.api("POST", second)
        self.assertEqual((self.status(address), self.status(second)), (403, 403))

    @rows({"a range": ("198.51.0.0/16", "198.51.7.1", "198.52.0.1"),
           "IPv6": ("2001:db8::1", "2001:DB8:0:0:ffff::2", "2001:db8:0:1::1"),
           "a mapped address": ("::ffff:203.0.113.9", "203.0.113.9", "203.0.113.8"),
           "an address that is sent mapped": ("203.0.113.9", "::ffff:203.0.113.9", "::ffff:203.0.113.8"),
           "one address of IPv6": ("2001:db8:2::7/128", "2001:db8:2::7", "2001:db8:2::8"),
           "a range of IPv6": ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1")})
    def forms(self, entry, banned, free):
        self.denylist("add", entry)
        self.assertEqual((self.status(banned), self.status(free)), (403, 200))
        self.denylist("remove", entry)
        self.assertEqual(self.status(banned), 200)

    @rows({"no entry": ({}, "entry"), "no address": ({"entry": "203.0.113.300"}, "entry"),
           "bits behind the length": ({"entry": "10.0.0.1/8"}, "entry"),
           "a line of its own": ({"entry": "203.0.113.9\n203.0.113.8"}, "entry"),
           "a reason on two lines": ({"entry": "203.0.113.9", "reason": "a\n203.0.113.8"}, "reason"),
           "a long reason": ({"entry": "203.0.113.9", "reason": "a" * 129}, "reason"),
           "negative seconds": ({"entry": "203.0.113.9", "seconds": -1}, "seconds"),
           "too many": ({"entry": "203.0.113.9", "seconds": 31536001}, "seconds"),
           "no number": ({"entry": "203.0.113.9", "seconds": "9"}, "seconds"),
           "an unknown member": ({"entry": "203.0.113.9", "minutes": 1}, "minutes")})
    def usage(self, body, param):
        before = self.file.read_text() if self.file.exists() else None
        response = self.call("POST", PATH, self.admin(), body)
        self.assert_refused(response, 400)
        self.assertEqual(response.json()["error"]["param"], param)
        self.assertEqual(self.file.read_text() if self.file.exists() else None, before)

    def test_the_list_comes_in_pages(self):
        names = [f"198.19.{i >> 8}.{i & 255}" for i in range(300)]
        self.write("".join(f"{name}  # Blocked: {'long ' * 20} at 2025-11-03 10:30:00\n" for name in names))
        self.until_banned(names[-1])
        found, after = [], ""
        while after is not None:
            page = self.call("GET", PATH + (f"?after={after}" if after else ""), self.admin()).json()
            found += [entry["entry"] for entry in page["data"]]
            after = page["next"]
        self.assertEqual(found, names)
        self.assertEqual(list(self.entries()), names)
        self.write("")
        self.until_free(names[-1])

    def test_metrics_count_the_entries(self):
        self.write("")
        wait_until(lambda: not self.entries(), "an empty list")
        address = self.fresh()
        for entry in (address, "198.51.0.0/16", "key:AbCdEf123456"):
            self.denylist("add", entry)
        self.denylist("remove", "198.51.0.0/16")
        body = bytes(self.call("GET", "/metrics/prometheus", self.admin()).body).decode()
        for kind, count in (("address", 1), ("range", 0), ("key", 1)):
            self.assertIn(f'sallyport_denylist_entries{{kind="{kind}"}} {count}\n', body)
        self.denylist("remove", address)
        self.denylist("remove", "key:AbCdEf123456")


class Restarts(DenyCase, WireCase):
    """A gateway of its own for each test."""

    def setUp(self):
        self.gateway = Gateway(self.upstream_list(), {"server": {"trusted_proxies": ["127.0.0.0/8"]}})
        self.addCleanup(self.gateway.discard)

    @classmethod
    def upstreams_seen(cls):
        return None  # other gateways asked it

    def again(self):
        self.gateway.ports = []
        self.gateway.start()

    def test_bans_survive_the_end_and_kill_9(self):
        self.gateway.start()
        self.denylist("add", "203.0.113.9", "--seconds", "900")
        self.denylist("add", "198.51.0.0/16")
        before = self.entries()
        self.gateway.kill()
        self.again()
        self.assertEqual(self.entries(), before)
        self.assertEqual((self.status("203.0.113.9"), self.status("198.51.7.7")), (403, 403))
        self.assertEqual(self.gateway.finish(), 0)
        self.again()
        self.assertEqual((self.status("203.0.113.9"), self.status("198.51.7.8")), (403, 403))

    def test_a_command_needs_no_gateway(self):
        self.assertEqual(self.denylist("list").stdout, "Nobody is banned.\n")
        self.assertFalse(self.file.parent.exists())
        self.denylist("add", "203.0.113.9", "--reason", "early")
        self.assertRegex(self.file.read_text(), LINE.format("203.0.113.9", "early"))
        self.denylist("add", "203.0.113.8")
        self.denylist("remove", "203.0.113.8")
        self.assertEqual(self.denylist("remove", "203.0.113.8", check=False).returncode, 1)
        self.assertEqual(self.denylist("add", "203.0.113", check=False).returncode, 2)
        self.assertEqual(self.denylist("add", check=False).returncode, 2)
        self.assertEqual(self.audited_changes("203.0.113.8"), [("ban", "local", "by hand"), ("unban", "local", "")])
        self.gateway.start()
        self.assertEqual((self.status("203.0.113.9"), self.status("203.0.113.8")), (403, 200))

    def test_what_cannot_be_read_at_the_start_is_told(self):
        self.file.mkdir(parents=True)
        done = self.gateway.command("serve", check=False)
        self.assertEqual(done.returncode, 78)
        self.assertRegex(done.stderr, r"denylist\.txt: abuse\.denylist_file: it cannot be read")
        self.assertEqual(self.gateway.command("check", check=False).returncode, 78)
        self.assertEqual(self.denylist("add", "203.0.113.9", check=False).returncode, 1)
        self.assertEqual(self.gateway.command("key", "create", "--name", "x", check=False).returncode, 0)

    def test_a_link_stays_one_and_the_mode_is_kept(self):
        real = self.gateway.folder / "real.txt"
        real.write_text("203.0.113.9\n203.0.113.8\n")
        real.chmod(0o604)
        self.file.parent.mkdir()
        self.file.symlink_to(real)
        self.gateway.start()
        self.denylist("remove", "203.0.113.9")
        self.denylist("add", "203.0.113.7")
        self.assertTrue(self.file.is_symlink())
        self.assertEqual(real.stat().st_mode & 0o777, 0o604)
        self.assertRegex(real.read_text(), r"^203\.0\.113\.8\n203\.0\.113\.7 ")

    def test_a_reload_takes_the_file_at_once(self):
        self.gateway.start()
        self.write("203.0.113.9\n")
        self.gateway.signal(signal.SIGHUP)
        self.until_banned("203.0.113.9")
