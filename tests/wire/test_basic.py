"""Names and passwords in every request (Basic): accounts, keys as passwords, and what it costs others when
somebody guesses."""

import base64
import hashlib
import json
import signal
import subprocess
import threading
import time

from tools.case import UPSTREAM_KEY, WireCase, rows
from tools.client import chat, request
from tools.gateway import CALLER, Gateway, environment
from tools.http2 import Http2Client
from tools.upstream import wait_until

PASSWORD = "correct horse: battery staple"
SECOND = "another horse, another staple"
CHALLENGES = ["Bearer", 'Basic realm="LLM API", charset="UTF-8"']
MODELS = "/v1/models"


def encoded(name, password):
    text = name if isinstance(name, bytes) else name.encode()
    text += b":" + (password if isinstance(password, bytes) else password.encode())
    return base64.b64encode(text).decode()


def basic(name, password):
    return ("Authorization", "Basic " + encoded(name, password))


def sha1(password):
    """A weak form, and a quick one."""
    return "{SHA}" + base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()


def openssl(form, password):
    return subprocess.run(["openssl", "passwd", form, "-stdin"], input=password, capture_output=True, text=True,
                          check=True).stdout.strip()


def challenges(response):
    return [value.decode() for name, value in response.fields if name.lower() == b"www-authenticate"]


class BasicCase(WireCase):
    sections = {"security": {"basic_enabled": True}}

    @classmethod
    def set_up(cls):
        cls.manager = cls.gateway.key("manager", f"manage_users,read_metrics,{CALLER}")["key"]
        cls.add_user("alice")

    @classmethod
    def add_user(cls, name, password=PASSWORD, role="user"):
        body = {"username": name, "password": password, "role": role}
        response = cls.gateway.ask(request("POST", "/api/v1/users", [], body, cls.manager), "POST")
        assert response.status == 201, response
        cls.keep_secret(name, password)

    @classmethod
    def keep_secret(cls, name, password):
        """Neither the password nor what Basic makes of it may stand anywhere."""
        cls.gateway.secrets += [password, encoded(name, password)]

    def change(self, name, **members):
        response = self.ask(request("PATCH", f"/api/v1/users/{name}", [], members, self.manager), "PATCH")
        self.assertEqual(response.status, 200, response)

    def models(self, name, password, more=()):
        return self.get(MODELS, [basic(name, password), *more])


class Basic(BasicCase):
    def test_name_and_password_open_and_do_not_go_upstream(self):
        for _ in range(2):  # verified, remembered
            response = self.post("/v1/chat/completions", chat(stream=True), [basic("alice", PASSWORD)])
            self.assertEqual(response.status, 200, response)
            sent = self.upstream.calls()[-1]
            self.assertEqual(sent.values("authorization"), [f"Bearer {UPSTREAM_KEY}".encode()])
            line = self.gateway.logged(response)
            self.assertEqual((line["user"], line.get("key") or ""), ("alice", ""))

    def test_the_challenge_names_both_schemes(self):
        for response in (self.get(MODELS), self.get(MODELS, key="wrong"), self.models("nobody", "at all")):
            self.assert_refused(response, 401, "AUTHENTICATION_FAILED")
            self.assertEqual(challenges(response), CHALLENGES)

    @rows({"a wrong password": ("wrong1", "not the password"), "another case": ("wrong2", PASSWORD.upper()),
           "one character less": ("wrong3", PASSWORD[:-1]), "one more": ("wrong4", PASSWORD + "x"),
           "no password": ("wrong5", ""), "1 KiB and more": ("wrong6", "x" * 1025)})
    def what_is_wrong(self, name, password):
        self.add_user(name)
        first = self.models(name, password)
        self.assert_refused(first, 401, "AUTHENTICATION_FAILED")
        unknown = self.models(f"nobody like {name}", password)
        self.assertEqual(first.json()["error"], unknown.json()["error"])
        self.assertEqual([field for field, _ in first.fields], [field for field, _ in unknown.fields])

    @rows({"no name": basic("", PASSWORD), "neither": basic("", ""), "a name of 65 bytes": basic("a" * 65, PASSWORD),
           "no colon": ("Authorization", "Basic " + base64.b64encode(b"alice").decode()),
           "nothing": ("Authorization", "Basic "), "no value": ("Authorization", "Basic"),
           "no base64": ("Authorization", "Basic alice:" + "x" * 8),
           "without padding": ("Authorization", "Basic " + encoded("alice", PASSWORD).rstrip("=")),
           "more padding": ("Authorization", "Basic " + encoded("alice", PASSWORD) + "="),
           "white space in it": ("Authorization", "Basic " + encoded("alice", PASSWORD)[:8] + " "
                                 + encoded("alice", PASSWORD)[8:]),
           "bits left over": ("Authorization", "Basic YTpi" + "YR=="),
           "base64url": ("Authorization", "Basic " + base64.urlsafe_b64encode(b"alice:\xc3\xbf\xc3\xbf").decode()),
           "a NUL": basic("alice", PASSWORD + "\0"), "a NUL in the name": basic("alice\0", PASSWORD),
           "a line feed": basic("alice\n", PASSWORD), "not UTF-8": basic(b"alice", b"p\xe4ssword"),
           "4 KiB": basic("alice", "x" * 4096), "12 KiB": basic("alice", "x" * 9000),
           "another scheme": ("Authorization", "Digest " + encoded("alice", PASSWORD))})
    def what_is_malformed(self, *field):
        self.assert_refused(self.get(MODELS, [field]), 401, "AUTHENTICATION_FAILED")
        self.assertEqual(self.models("alice", PASSWORD).status, 200)  # and charged alice nothing

    def test_only_the_first_colon_divides(self):
        self.add_user("colon", "::pa:ss:word:")
        self.assertEqual(self.models("colon", "::pa:ss:word:").status, 200)
        self.assert_refused(self.models("colon", ":pa:ss:word:"), 401)

    def test_letters_beyond_ascii(self):
        """In the password; a user's name has none, the one in an htpasswd file may."""
        self.add_user("juergen", "p\u00e4ssw\u00f6rter \u2603")
        response = self.models("juergen", "p\u00e4ssw\u00f6rter \u2603")
        self.assertEqual(response.status, 200, response)
        self.assertEqual(self.gateway.logged(response)["user"], "juergen")
        self.assert_refused(self.models("J\u00fcrgen \U0001f600", PASSWORD), 401)

    def test_the_scheme_is_read_without_case(self):
        for scheme in ("basic", "BASIC", "Basic "):
            field = ("Authorization", f"{scheme} {encoded('alice', PASSWORD)}")
            self.assertEqual(self.get(MODELS, [field]).status, 200, scheme)

    @rows({"any name": "whoever", "no name": "", "alice": "alice"})
    def a_key_as_password(self, name):
        response = self.models(name, self.key)
        self.assertEqual(response.status, 200, response)
        self.assertEqual(self.gateway.logged(response)["user"], "caller")
        wrong = self.key[:15] + "_" + "0" * 49
        self.assert_refused(self.models(name, wrong), 401)

    def test_with_another_credential_it_is_ambiguous(self):
        for other in (("X-API-Key", self.key), ("api-key", "wrong"), ("X-API-Key", encoded("alice", PASSWORD))):
            self.assert_refused(self.models("alice", PASSWORD, [other]), 400, "VALIDATION_ERROR")

    def test_what_one_may_do_is_the_roles_to_say(self):
        self.add_user("guest", role="guest")
        self.assertEqual(self.models("guest", PASSWORD).status, 200)
        streamed = self.post("/v1/chat/completions", chat(stream=True), [basic("guest", PASSWORD)])
        self.assert_refused(streamed, 403, "PERMISSION_DENIED")
        self.assert_refused(self.get("/metrics", [basic("guest", PASSWORD)]), 403)
        self.change("guest", role="user")  # holds from the next request on
        self.assertEqual(self.get("/metrics", [basic("guest", PASSWORD)]).status, 200)
        # Nobody has signed in: there are no keys and sessions of one's own.
        self.assert_refused(self.get("/api/v1/auth/sessions", [basic("guest", PASSWORD)]), 403)
        self.assert_refused(self.get("/api/v1/auth/api-keys", [basic("guest", PASSWORD)]), 403)
        me = self.get("/api/v1/auth/me", [basic("guest", PASSWORD)]).json()
        self.assertEqual(me["username"], "guest")

    def test_a_change_holds_at_the_next_request(self):
        self.add_user("bob")
        self.assertEqual(self.models("bob", PASSWORD).status, 200)
        self.keep_secret("bob", SECOND)
        self.change("bob", password=SECOND)
        self.assert_refused(self.models("bob", PASSWORD), 401)
        self.assertEqual(self.models("bob", SECOND).status, 200)
        self.change("bob", disabled=True)
        self.assert_refused(self.models("bob", SECOND), 401)
        self.change("bob", disabled=False)
        self.assertEqual(self.models("bob", SECOND).status, 200)
        response = self.ask(request("DELETE", "/api/v1/users/bob", key=self.manager), "DELETE")
        self.assertEqual(response.status, 204)
        self.assert_refused(self.models("bob", SECOND), 401)

    def test_a_password_changed_while_the_body_comes_opens_nothing(self):
        self.add_user("slow")
        self.keep_secret("slow", SECOND)
        body = json.dumps(chat()).encode()
        fields = [basic("slow", PASSWORD), ("Content-Length", str(len(body)))]
        calls = self.calls()
        with self.client() as client:
            client.send(request("POST", "/v1/chat/completions", [*fields, ("Expect", "100-continue")], b""))
            self.assertEqual(client.read_head().status, 100)  # it is known now
            self.change("slow", password=SECOND)
            client.send(body)
            self.assert_refused(client.read(), 401)
        self.assertEqual(self.calls(), calls)

    def test_a_body_that_came_with_the_head_is_not_lost(self):
        """It arrives while the password is verified."""
        for number, padding in enumerate((10, 100, 5000, 200000)):
            name = f"body{number}"
            self.add_user(name)
            piece = request("POST", "/v1/chat/completions", [basic(name, PASSWORD)], chat(content="x" * padding))
            with self.client() as client:
                client.send_split(piece, len(piece) - 7)
                client.send(request("GET", MODELS, [basic(name, PASSWORD)]))  # and the next request
                self.assertEqual(client.read().status, 200)
                self.assertEqual(client.read().status, 200)
            self.assertEqual(len(self.upstream.calls()[-1].body), len(json.dumps(chat(content="x" * padding))))

    def test_a_body_refused_after_the_wait_leaves_the_connection_in_order(self):
        self.add_user("orderly")
        piece = request("POST", "/v1/chat/completions", [basic("orderly", "wrong")], chat())
        with self.client() as client:
            client.send(piece + request("GET", MODELS, key=self.key))
            self.assert_refused(client.read(), 401)
            self.assertEqual(client.read().status, 200)

    def test_many_first_requests_at_once_are_one_try(self):
        """A program that opens all its connections together has tried its password once."""
        self.add_user("crowd")
        statuses = []
        threads = [threading.Thread(target=lambda: statuses.append(self.models("crowd", PASSWORD).status))
                   for _ in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(statuses, [200] * 24)

    def test_tries_are_counted_for_each_name(self):
        self.add_user("guessed")
        statuses = [self.models("guessed", f"wrong {number}").status for number in range(6)]
        self.assertEqual(statuses, [401] * 5 + [429])
        response = self.models("guessed", PASSWORD)  # not remembered: it would have to be tried
        self.assert_refused(response, 429, "RATE_LIMITED")
        self.assertGreaterEqual(int(response.get("retry-after")), 1)
        login = self.post("/api/v1/auth/login", {"username": "guessed", "password": PASSWORD})
        self.assertEqual(login.status, 429)  # one count for both ways
        self.assertEqual(self.models("alice", PASSWORD).status, 200)
        self.assertEqual(self.gateway.logged(response)["user"], "")

    def test_who_is_remembered_is_not_locked_out(self):
        self.add_user("known")
        self.assertEqual(self.models("known", PASSWORD).status, 200)
        for number in range(6):
            self.models("known", f"wrong {number}")
        self.assertEqual(self.models("known", PASSWORD).status, 200)

    def test_bcrypt_is_not_cut_at_72_bytes(self):
        long = "a" * 72
        self.add_user("long", long + "x")
        self.assertEqual(self.models("long", long + "x").status, 200)
        self.assert_refused(self.models("long", long + "y"), 401)
        self.assert_refused(self.models("long", long), 401)


class OverHttp2(BasicCase):
    plain = True
    sections = {"security": {"basic_enabled": True}, "server": {"http2_plain": True}}

    def test_it_is_the_same_there(self):
        with Http2Client(self.gateway.port, self.gateway.answers) as client:
            for _ in range(2):
                answer = client.ask("POST", "/v1/chat/completions", [basic("alice", PASSWORD)], chat())
                self.assertEqual(answer.status, 200, answer)
            wrong = client.ask("GET", MODELS, [basic("alice", "wrong")])
            self.assertEqual((wrong.status, challenges(wrong)), (401, CHALLENGES))
            self.assertEqual(client.ask("GET", MODELS, key=self.key).status, 200)

    def test_many_streams_wait_for_one_try(self):
        self.add_user("streams")
        with Http2Client(self.gateway.port, self.gateway.answers) as client:
            streams = [client.start("POST", "/v1/chat/completions", [basic("streams", PASSWORD)],
                                    chat(content="x" * 1000)) for _ in range(20)]
            self.assertEqual([client.finish(stream).status for stream in streams], [200] * 20)

    def test_a_large_body_waits_with_its_head(self):
        self.add_user("large")
        with Http2Client(self.gateway.port, self.gateway.answers) as client:
            answer = client.ask("POST", "/v1/chat/completions", [basic("large", PASSWORD)],
                                chat(content="x" * 300000))
            self.assertEqual(answer.status, 200, answer)

    def test_a_stream_reset_while_it_waits_ends_alone(self):
        self.add_user("resets")
        with Http2Client(self.gateway.port, self.gateway.answers) as client:
            stays = client.start("GET", MODELS, [basic("resets", PASSWORD)])
            goes = client.start("GET", MODELS, [basic("resets", PASSWORD)])
            client.frame(3, 0, goes.id, b"\0\0\0\x08")
            self.assertEqual(client.finish(stays).status, 200)
            self.assertEqual(client.ask("GET", MODELS, key=self.key).status, 200)


class UnderAttack(BasicCase):
    """Guesses from many addresses, each with a limit of its own: the lane for passwords fills up."""
    plain = True
    sections = {"security": {"basic_enabled": True}, "server": {"trusted_proxies": ["127.0.0.1"]}}

    def guess(self, number, password="wrong"):
        return request("GET", MODELS, [basic("alice", f"{password} {number}"),
                                       ("X-Forwarded-For", f"198.51.{number // 250}.{number % 250 + 1}")])

    def flood(self, count):
        clients = [self.client() for _ in range(count)]
        for number, client in enumerate(clients):
            client.send(self.guess(number))
        return clients

    def test_an_overflow_is_503_and_callers_with_keys_do_not_notice(self):
        self.assertEqual(self.models("alice", PASSWORD).status, 200)
        clients = self.flood(120)
        try:
            for _ in range(5):
                self.assertEqual(self.chat().status, 200)
                self.assertEqual(self.models("alice", PASSWORD).status, 200)  # remembered
            answers = [client.read() for client in clients]
        finally:
            for client in clients:
                client.close()
        statuses = [answer.status for answer in answers]
        self.assertEqual(set(statuses), {401, 503}, statuses)
        self.assertGreaterEqual(statuses.count(401), 30)
        for answer in answers:
            if answer.status == 503:
                self.assert_refused(answer, 503, "SERVICE_UNAVAILABLE")
                self.assertEqual(answer.get("retry-after"), "1")
                self.assertEqual(self.gateway.logged(answer)["decision"], "login_busy")

    def test_guesses_that_nobody_waits_for_are_not_worked_on(self):
        for client in self.flood(30):
            client.close()
        start = time.monotonic()
        self.add_user("late")
        self.assertEqual(self.models("late", PASSWORD).status, 200)
        waited = time.monotonic() - start
        start = time.monotonic()
        for client in self.flood(30):
            with client:
                self.assertEqual(client.read().status, 401)
        self.assertLess(waited, time.monotonic() - start)
        gone = [line for line in self.gateway.access_log() if line["decision"] == "client_gone"]
        self.assertGreaterEqual(len(gone), 1)

    def test_a_reload_while_they_wait_loses_nobody(self):
        self.add_user("waits")
        clients = self.flood(10)
        last = self.client()
        last.send(request("POST", "/v1/chat/completions", [basic("waits", PASSWORD)], chat()))
        self.gateway.signal(signal.SIGHUP)
        for client in clients:
            with client:
                self.assertEqual(client.read().status, 401)
        with last:
            self.assertEqual(last.read().status, 200)

    def test_who_is_disabled_while_an_errand_waits_changes_nothing(self):
        for name in ("chief", "boss"):
            self.add_user(name)
            self.gateway.command("user", "role", name, "--role", "admin")
            self.assertEqual(self.models(name, PASSWORD).status, 200)
        clients = self.flood(30)
        body = {"username": "planted", "password": SECOND, "role": "admin"}
        with self.client() as client:
            client.send(request("POST", "/api/v1/users", [basic("boss", PASSWORD)], body))
            self.gateway.command("user", "disable", "boss")
            self.assert_refused(client.read(), 401)
        for client in clients:
            client.close()
        names = [user["username"] for user in json.loads(self.gateway.command("user", "list", "--json").stdout)]
        self.assertNotIn("planted", names)

    def test_an_address_pays_before_anything_is_verified(self):
        self.gateway.sections["limits"].update(ip="6/hour", ip_burst=3)
        self.gateway.write_config()
        self.gateway.signal(signal.SIGHUP)
        far = ("X-Forwarded-For", "203.0.113.77")
        wait_until(lambda: self.get("/nowhere", [far]).get("x-ratelimit-limit") == "6", "the new limit")
        one = ("X-Forwarded-For", "203.0.113.78")
        try:
            for _ in range(5):  # good ones are given back
                self.assertEqual(self.models("alice", PASSWORD, [one]).status, 200)
            statuses = [self.models(f"nobody{number}", "x", [one]).status for number in range(4)]
            self.assertEqual(statuses, [401, 401, 401, 429])
            self.assertEqual(self.models("alice", PASSWORD, [one]).status, 429)
        finally:
            self.gateway.sections["limits"].update(ip="100000/second", ip_burst=100000)
            self.gateway.write_config()
            self.gateway.signal(signal.SIGHUP)
            wait_until(lambda: self.get("/nowhere", [far]).get("x-ratelimit-limit") == "100000", "the old limit")


class FileGateway(Gateway):
    """Has an htpasswd file beside its configuration."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.names = self.folder / ".htpasswd"
        self.write(carol=sha1(PASSWORD), dave=openssl("-apr1", PASSWORD), erin=openssl("-5", PASSWORD))

    def write(self, *lines, **entries):
        """In one step; returns when it was taken up."""
        new = self.folder / ".htpasswd.new"
        new.write_text("".join(line + "\n" for line in lines)
                       + "".join(f"{name}:{stored}\n" for name, stored in entries.items()))
        heard = self.heard().count(".htpasswd was read anew: ")
        new.replace(self.names)
        if self.process:
            wait_until(lambda: self.heard().count(".htpasswd was read anew: ") > heard, "the file's new content")


class FileCase(BasicCase):
    """The file alone turns Basic on (003)."""
    gateway_class = FileGateway
    sections = {"security": {"htpasswd_file": ".htpasswd"}}

    @classmethod
    def set_up(cls):
        super().set_up()
        cls.keep_secret("carol", PASSWORD)

    def tearDown(self):
        self.gateway.write(carol=sha1(PASSWORD), dave=openssl("-apr1", PASSWORD), erin=openssl("-5", PASSWORD))

    def status(self, name, password=PASSWORD):
        return self.models(name, password).status


class HtpasswdFile(FileCase):
    def test_its_names_may_use_models_and_nothing_else(self):
        for name in ("carol", "dave", "erin"):
            response = self.post("/v1/chat/completions", chat(stream=True), [basic(name, PASSWORD)])
            self.assertEqual(response.status, 200, response)
            self.assertEqual(self.gateway.logged(response)["user"], name)
            self.assert_refused(self.get("/metrics", [basic(name, PASSWORD)]), 403)
        self.assert_refused(self.models("erin", PASSWORD + "x"), 401)
        self.assertEqual(self.status("alice"), 200)  # users are taken beside it
        self.assertEqual(self.get(MODELS, key=self.key).status, 200)

    def test_it_is_taken_up_while_it_runs(self):
        self.assertEqual(self.status("carol"), 200)
        self.gateway.write(carol=sha1(SECOND), frank=sha1(PASSWORD), dave=openssl("-apr1", PASSWORD))
        self.assertEqual((self.status("carol"), self.status("carol", SECOND)), (401, 200))
        self.assertEqual((self.status("frank"), self.status("dave")), (200, 200))
        self.gateway.write(frank=sha1(PASSWORD))
        self.assertEqual((self.status("carol", SECOND), self.status("dave"), self.status("frank")), (401, 401, 200))

    def test_a_bad_line_is_named_and_drops_nothing_else(self):
        secret = "not-a-hash-but-a-password-9Qx"
        self.gateway.secrets.append(secret)
        self.gateway.write("# people", f"mallory:{secret}", "no colon", f"carol:{sha1(PASSWORD)}", f"carol:{sha1(SECOND)}",
                           gina=sha1(PASSWORD))
        heard = self.gateway.heard()
        self.assertIn(".htpasswd:2: ", heard)
        self.assertIn(".htpasswd:3: ", heard)
        self.assertIn(".htpasswd:5: warning: the same name as in line 4", heard)
        self.assertIn("in a weak form", heard)
        self.assertIn(".htpasswd:3: ", self.gateway.command("check").stderr)
        self.assertEqual((self.status("carol"), self.status("gina")), (200, 200))
        self.assertEqual((self.status("mallory", secret), self.status("carol", SECOND)), (401, 401))

    def test_a_file_that_vanishes_keeps_its_names_in(self):
        self.assertEqual(self.status("carol"), 200)
        self.gateway.names.unlink()
        wait_until(lambda: "what it said before stays in use" in self.gateway.heard(), "a complaint")
        self.assertEqual((self.status("carol"), self.status("dave")), (200, 200))
        self.gateway.write(dave=sha1(PASSWORD))
        self.assertEqual((self.status("carol"), self.status("dave")), (401, 200))

    def test_an_entry_does_not_open_a_closed_account(self):
        self.add_user("hugo")
        self.gateway.write(hugo=sha1(PASSWORD))
        self.change("hugo", disabled=True)
        self.assertEqual(self.status("hugo"), 401)

    def test_a_remembered_entry_does_not_open_an_account_made_later(self):
        self.gateway.write(ines=sha1(PASSWORD))
        self.assertEqual(self.status("ines"), 200)
        self.add_user("ines", SECOND)
        self.assertEqual((self.status("ines"), self.status("ines", SECOND)), (401, 200))
        self.change("ines", disabled=True)
        self.assertEqual((self.status("ines"), self.status("ines", SECOND)), (401, 401))

    def test_an_entry_removed_while_the_body_comes_opens_nothing(self):
        self.assertEqual(self.status("carol"), 200)
        body = json.dumps(chat()).encode()
        fields = [basic("carol", PASSWORD), ("Content-Length", str(len(body))), ("Expect", "100-continue")]
        with self.client() as client:
            client.send(request("POST", "/v1/chat/completions", fields, b""))
            self.assertEqual(client.read_head().status, 100)
            self.gateway.write(dave=sha1(PASSWORD))
            client.send(body)
            self.assert_refused(client.read(), 401)

    def test_a_reload_reads_it_too_and_may_do_without_it(self):
        self.assertEqual(self.status("carol"), 200)
        self.gateway.sections["security"].pop("htpasswd_file")
        self.gateway.write_config()
        self.gateway.signal(signal.SIGHUP)
        try:
            wait_until(lambda: self.status("carol") == 401, "the file's end")
            self.assertEqual(challenges(self.get(MODELS)), ["Bearer"])
        finally:
            self.gateway.sections["security"]["htpasswd_file"] = ".htpasswd"
            self.gateway.write_config()
            self.gateway.signal(signal.SIGHUP)
            wait_until(lambda: self.status("carol") == 200, "the file again")


class SlowFile(FileCase):
    """bcrypt of the cost that other programs use by default now: a request waits for long."""

    @classmethod
    def set_up(cls):
        super().set_up()
        done = subprocess.run([cls.gateway.binary, "hash-password", "--bcrypt"], input=PASSWORD, env=environment(),
                              capture_output=True, text=True, check=True, timeout=60)
        cls.slow = done.stdout.strip()

    def test_a_client_that_leaves_while_it_waits_leaves_nothing_behind(self):
        self.gateway.write(ines=self.slow)
        for _ in range(2):
            with self.client() as client:
                client.send(request("GET", MODELS, [basic("ines", PASSWORD)]))
                client.send(request("GET", MODELS, key=self.key))
        self.assertEqual(self.status("ines"), 200)

    def test_the_file_changes_while_it_waits(self):
        self.gateway.write(jens=self.slow)
        with self.client() as client:
            client.send(request("GET", MODELS, [basic("jens", PASSWORD)]))
            self.gateway.write(carol=sha1(PASSWORD))
            self.assertIn(client.read().status, (200, 401))  # whichever came first
        self.assertEqual(self.status("jens"), 401)

    def test_72_bytes_are_not_all(self):
        done = subprocess.run([self.gateway.binary, "hash-password", "--bcrypt"], input="a" * 72, env=environment(),
                              capture_output=True, text=True, check=True, timeout=60)
        self.gateway.write(kurt=done.stdout.strip())
        self.assertEqual((self.status("kurt", "a" * 72), self.status("kurt", "a" * 72 + "x")), (200, 401))


class TheEnd(BasicCase):
    def test_who_waits_when_the_gateway_ends_is_answered(self):
        clients = [self.client() for _ in range(6)]
        for client in clients:  # so that it is served already
            self.assertEqual(client.ask(request("GET", MODELS, key=self.key)).status, 200)
        for number, client in enumerate(clients):
            client.send(request("GET", MODELS, [basic(f"last{number}", "wrong")]))
        self.gateway.signal(signal.SIGTERM)
        wait_until(lambda: "shutting down" in self.gateway.heard(), "the end")
        self.gateway.signal(signal.SIGTERM)  # now
        for client in clients:
            with client:
                self.assertIn(client.read().status, (401, 503))


class Off(WireCase):
    def test_without_it_no_name_is_asked_for_and_none_is_taken(self):
        response = self.get(MODELS, [basic("alice", PASSWORD)])
        self.assert_refused(response, 401, "AUTHENTICATION_FAILED")
        self.assertEqual(challenges(response), ["Bearer"])
        self.assert_refused(self.get(MODELS, [basic("any", self.key)]), 401)


class SharedKeyAsPassword(WireCase):
    sections = {"security": {"basic_enabled": True, "api_key": "one-for-everybody-7Qm3xZ0vT5"}}

    def test_it_goes_with_any_name(self):
        response = self.get(MODELS, [basic("any", "one-for-everybody-7Qm3xZ0vT5")])
        self.assertEqual(response.status, 200)
        self.assertEqual(self.gateway.logged(response)["user"], "shared")
