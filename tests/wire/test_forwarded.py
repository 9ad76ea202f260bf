"""The client's address: what a trusted proxy says of it, and nothing that anybody else says."""

import re
import signal
import socket

from tools.case import WireCase, rows
from tools.client import DEADLINE_S, Client, chat, request
from tools.gateway import TOP
from tools.upstream import wait_until

CLAIMS = [("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-For", "203.0.113.9"), ("X-Real-IP", "203.0.113.9"),
          ("Forwarded", 'for="[::1]"'), ("True-Client-IP", "203.0.113.9"), ("CF-Connecting-IP", "203.0.113.9"),
          ("X-Client-IP", "203.0.113.9"), ("X-Cluster-Client-IP", "203.0.113.9"), ("Client-IP", "203.0.113.9")]


# Lines of X-Forwarded-For, and who the client is then. 192.0.2.0/24 stands for a second proxy further out.
CHAINS = {
    "nothing": ([], "127.0.0.1"),
    "one": (["203.0.113.9"], "203.0.113.9"),
    "a claim before it": (["127.0.0.1, 203.0.113.9"], "203.0.113.9"),
    "through a second proxy": (["203.0.113.9, 192.0.2.7"], "203.0.113.9"),
    "a claim, through a second proxy": (["1.1.1.1, 203.0.113.9, 192.0.2.7"], "203.0.113.9"),
    "several lines": (["1.1.1.1", "203.0.113.9", "192.0.2.7"], "203.0.113.9"),
    "proxies only": (["192.0.2.8, 192.0.2.7"], "192.0.2.8"),
    "a port": (["203.0.113.9:4711"], "203.0.113.9"),
    "IPv6": (["2001:db8::7"], "2001:db8::7"),
    "IPv6 with a port": (["[2001:db8::7]:4711"], "2001:db8::7"),
    "IPv6 through a second proxy": (["2001:db8::7, 2001:db8:f::1"], "2001:db8::7"),
    "a mapped address": (["::ffff:203.0.113.9"], "203.0.113.9"),
    "a zone": (["fe80::1%eth0"], "127.0.0.1"),
    "unknown": (["unknown"], "127.0.0.1"),
    "unknown behind a proxy": (["203.0.113.9, unknown, 192.0.2.7"], "192.0.2.7"),
    "an empty line": ([""], "127.0.0.1"),
    "an address too short": (["203.0.113"], "127.0.0.1"),
    "an octal address": (["0313.0.113.9"], "127.0.0.1"),
    "quotes": (['"203.0.113.9"'], "127.0.0.1"),
    "a thousand entries": (["203.0.113.9, " * 1000 + "203.0.113.10"], "203.0.113.10"),
    "sixty lines": (["203.0.113.9"] * 60, "203.0.113.9"),
}


def said(*values):
    return [("X-Forwarded-For", value) for value in values]


class ForwardedCase(WireCase):
    def seen(self, *values, fields=()):
        """The client's address as the access log has it, for these lines of X-Forwarded-For."""
        return self.gateway.logged(self.get("/livez", [*said(*values), *fields]))["remote_addr"]

    def assert_seen(self, table):
        """The same for many requests at once: their lines reach the log together."""
        answers = {name: self.get("/livez", fields) for name, (fields, _) in table.items()}
        for name, (_, client) in table.items():
            with self.subTest(name=name):
                self.assertEqual(self.gateway.logged(answers[name])["remote_addr"], client)


class Trusted(ForwardedCase):
    sections = {"server": {"trusted_proxies": ["127.0.0.0/8", "192.0.2.0/24", "2001:db8:f::/48"]},
                "limits": {"ip": "10/hour", "ip_burst": 3, "connections_per_ip": 3}}

    def test_the_client_is_the_rightmost_address_that_is_no_proxy(self):
        self.assert_seen({name: (said(*values), client) for name, (values, client) in CHAINS.items()})

    def test_no_other_field_names_the_client(self):
        others = [field for field in CLAIMS if field[0] != "X-Forwarded-For"]
        self.assertEqual(self.seen(fields=others), "127.0.0.1")
        self.assertEqual(self.seen("203.0.113.8", fields=others), "203.0.113.8")

    def test_limits_are_the_clients_and_not_the_proxys(self):
        def guesses(client):
            return [self.post("/v1/chat/completions", chat(), said(client)).status for _ in range(4)]
        self.assertEqual(guesses("198.51.100.1"), [401] * 3 + [429])
        self.assertEqual(guesses("1.1.1.1, 198.51.100.1")[0], 429)  # a claim is no new identity
        self.assertEqual(guesses("198.51.100.2"), [401] * 3 + [429])

    def test_a_subnet_of_IPv6_is_one_client(self):
        statuses = [self.post("/v1/chat/completions", chat(), said(f"2001:db8:1:2:{i:x}::{i:x}")).status
                    for i in range(1, 5)]
        self.assertEqual(statuses, [401] * 3 + [429])
        self.assertEqual(self.post("/v1/chat/completions", chat(), said("2001:db8:1:3::1")).status, 401)

    def test_a_proxy_may_hold_many_connections(self):
        held = [self.client() for _ in range(8)]
        try:
            for client in held:
                self.assertEqual(client.ask(request("GET", "/livez")).status, 200)
        finally:
            for client in held:
                client.close()

    def test_nothing_of_it_goes_upstream(self):
        self.assertEqual(self.chat(fields=[*said("203.0.113.9", "192.0.2.7"), ("X-Forwarded-Proto", "https"),
                                           ("X-Forwarded-Host", "a"), *CLAIMS[2:]]).status, 200)
        head = self.upstream.calls()[-1].head.lower()
        for word in (b"forwarded", b"203.0.113.9", b"192.0.2.7", b"client-ip"):
            self.assertNotIn(word, head)


class Hops(ForwardedCase):
    sections = {"server": {"trusted_proxies": ["private"], "proxy_hops": 1},
                "metrics": {"allow": ["10.1.1.1"]}}

    def test_one_proxy_means_that_its_word_is_the_last(self):
        # Callers of one's own network have addresses that proxies may have, too.
        self.assertEqual(self.seen("203.0.113.9, 10.1.1.1"), "10.1.1.1")
        self.assertEqual(self.seen("10.1.1.1"), "10.1.1.1")

    def test_lists_of_addresses_mean_the_client(self):
        self.assertEqual(self.get("/metrics", said("10.1.1.1")).status, 200)
        self.assertEqual(self.get("/metrics", said("10.1.1.1, 203.0.113.9")).status, 401)
        self.assertEqual(self.get("/metrics").status, 401)


class Untrusted(ForwardedCase):
    sections = {"limits": {"ip": "10/hour", "ip_burst": 3}, "server": {"trusted_proxies": ["192.0.2.0/24"]}}

    def test_whatever_a_client_claims_it_is_who_it_is(self):
        self.assert_seen({f"{name}: {value}": ([(name, value)], "127.0.0.1") for name, value in CLAIMS})
        statuses = [self.post("/v1/chat/completions", chat(), said(f"198.51.100.{i}")).status for i in range(5)]
        self.assertEqual(statuses, [401] * 3 + [429] * 2)

    def test_a_reload_changes_whom_is_believed(self):
        self.assertEqual(self.seen("203.0.113.9"), "127.0.0.1")
        self.gateway.sections["server"]["trusted_proxies"] = ["127.0.0.1"]
        self.gateway.write_config()
        self.gateway.signal(signal.SIGHUP)
        wait_until(lambda: self.seen("203.0.113.9") == "203.0.113.9", "the new list")
        self.gateway.sections["server"]["trusted_proxies"] = ["192.0.2.0/24"]
        self.gateway.write_config()
        self.gateway.signal(signal.SIGHUP)
        wait_until(lambda: self.seen("203.0.113.9") == "127.0.0.1", "the old list")


class ProxyProtocol(ForwardedCase):
    sections = {"server": {"trusted_proxies": ["192.0.2.0/24"]}}

    @rows({"version 1": (b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\n", 501),
           "version 1, unknown": (b"PROXY UNKNOWN\r\n", 501),
           "version 2": (b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\x7f\x00\x00\x01\x12\x67\x00\x50",
                         400)})
    def proxy_protocol(self, start, status):
        self.refused(start + request("GET", "/api/ps", key=self.key), status)


class UnixClient(Client):
    def __init__(self, path, witness):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(str(path))
        self.witness, self.unread, self.ended = witness, bytearray(), False


class UnixSocket(WireCase):
    """A peer on this machine without an address: believed when the word `unix` is in the list."""
    plain = True
    sections = {"server": {"listen": ["127.0.0.1:0", "unix:door.sock"], "trusted_proxies": ["unix"]},
                "limits": {"ip": "10/hour", "ip_burst": 3}, "security": {"tls_required": True}}

    def client(self):
        return UnixClient(self.gateway.folder / "door.sock", self.gateway.answers)

    def ask(self, piece, method="GET"):
        with self.client() as client:
            return client.ask(piece, method)

    def test_the_proxy_on_the_socket_speaks_for_its_clients(self):
        response = self.get("/livez", [*said("203.0.113.9"), ("X-Forwarded-Proto", "https")])
        self.assertEqual(response.get("strict-transport-security"), "max-age=31536000")
        self.assertEqual(self.gateway.logged(response)["remote_addr"], "203.0.113.9")
        guess = request("POST", "/v1/chat/completions", [*said("198.51.100.1"), ("X-Forwarded-Proto", "https")], chat())
        self.assertEqual([self.ask(guess).status for _ in range(4)], [401] * 3 + [429])
        self.assertEqual(self.chat(fields=said("198.51.100.2")).status, 403)

    def test_who_says_nothing_is_this_machine(self):
        self.assertEqual([self.chat().status for _ in range(5)], [200] * 5)
        self.assertEqual(self.gateway.logged(self.get("/livez"))["remote_addr"], "unix")

    def test_others_are_not_believed(self):
        response = self.gateway.ask(request("GET", "/livez", said("203.0.113.9")))
        self.assertEqual(self.gateway.logged(response)["remote_addr"], "127.0.0.1")


class Doors(WireCase):
    """Every native route, as the table has it: what is not marked as open answers nobody unknown."""
    ROW = re.compile(r'^\s*\{"(/[^"]*)",\s*METHOD_(\w+),\s*(\w[\w |]*),[^}]*\}', re.M)

    def test_only_what_is_marked_open_answers_without_a_credential(self):
        text = (TOP / "src" / "api" / "routes.c").read_text()
        found = [(match[1], match[2], match[3].strip(), ".open = true" in match[0])
                 for match in self.ROW.finditer(text)]
        self.assertGreaterEqual(len(found), 8, "the table was not read")
        self.assertEqual(len(found), text.count('{"/'), "some rows were not read")
        for path, method, right, is_open in found:
            path = path.replace("*", "AAAAAAAAAAAA")
            with self.subTest(method=method, path=path):
                response = self.get(path, method=method)
                if is_open:
                    self.assertEqual(right, "PERMISSIONS_NONE")
                else:
                    self.assertEqual(response.status, 401, response)
                    self.assertEqual(self.get(path, key="sp_wrong", method=method).status, 401)
                if method == "GET" and response.status == 200:
                    head = self.get(path, method="HEAD")
                    self.assertEqual((head.status, bytes(head.body)), (200, b""))
                    self.assertEqual(head.get("content-length"), response.get("content-length"))

    def test_a_head_is_a_get_without_its_body_upstream_too(self):
        for path in ("/v1/models", "/api/tags", "/api/version"):
            whole = self.get(path, key=self.key)
            head = self.get(path, key=self.key, method="HEAD")
            self.assertEqual((head.status, bytes(head.body)), (whole.status, b""), path)
            self.assertEqual(head.get("content-type"), whole.get("content-type"))
