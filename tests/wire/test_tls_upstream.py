"""An upstream behind TLS: only the right certificate for the right name will do, and nothing is ever
sent in clear instead."""

import ssl

from tools.case import UPSTREAM_KEY, WireCase
from tools.certificates import Certificates
from tools.gateway import Gateway
from tools.upstream import Upstream


class Tls(WireCase):
    """One gateway, and an upstream for each certificate, told apart by the model."""

    @classmethod
    def setUpClass(cls):
        cls.certificates = Certificates()
        cls.upstreams = {name: Upstream(tls=cls.certificates.context(name))
                         for name in ("good", "other", "common", "expired", "self")}
        cls.upstreams["old"] = Upstream(tls=cls.certificates.context("good", ssl.TLSVersion.TLSv1_1))
        cls.upstreams["plain"] = Upstream()
        super().setUpClass()

    @classmethod
    def upstream_list(cls):
        ca = str(cls.certificates.folder / "ca.pem")
        made = [{"name": name, "kind": "openai", "models": [name], "ca_file": ca,
                 "connect_timeout": "3s", "api_key": UPSTREAM_KEY,
                 "url": upstream.url.replace("http:", "https:")} for name, upstream in cls.upstreams.items()]
        by_name = {**made[0], "name": "by-name", "models": ["by-name"],
                   "url": f"https://localhost:{cls.upstreams['good'].port}"}
        without = {**made[0], "name": "no-ca", "models": ["no-ca"]}
        del without["ca_file"]
        return [*made, by_name, without]

    @classmethod
    def upstreams_seen(cls):
        # To the one without TLS a hello is half a request, rightly.
        return [upstream for name, upstream in cls.upstreams.items() if name != "plain"]

    @classmethod
    def tearDownClass(cls):
        try:
            super().tearDownClass()
        finally:
            for upstream in cls.upstreams.values():
                upstream.stop()
            cls.certificates.remove()

    def test_the_right_certificate_will_do(self):
        for model in ("good", "by-name", "good"):
            self.assertEqual(self.chat(model=model).status, 200)
        self.assertEqual(self.upstreams["good"].requests[-1].value("authorization"), f"Bearer {UPSTREAM_KEY}")

    def test_a_stream_comes_through(self):
        response = self.chat(model="good", stream=True)
        self.assertTrue(response.complete and response.body.endswith(b"data: [DONE]\n\n"), response)

    def refuse(self, model, name=None):
        self.assert_refused(self.chat(model=model), 502, "UPSTREAM_ERROR")
        upstream = self.upstreams[name or model]
        self.assertFalse(any(connection.received for connection in upstream.connections if name is None),
                         "something was sent all the same")

    def test_another_name_is_refused(self):
        self.refuse("other")

    def test_a_common_name_alone_is_refused(self):
        self.refuse("common")

    def test_an_expired_certificate_is_refused(self):
        self.refuse("expired")

    def test_a_certificate_that_signed_itself_is_refused(self):
        self.refuse("self")

    def test_an_authority_that_is_not_trusted_is_refused(self):
        self.refuse("no-ca", "good")

    def test_an_old_version_is_refused(self):
        self.refuse("old")

    def test_an_upstream_without_tls_is_never_sent_a_request(self):
        self.assertIn(self.chat(model="plain").status, (502, 504))
        self.assertEqual(self.upstreams["plain"].requests, [])
        for connection in self.upstreams["plain"].connections:
            self.assertNotIn(b"HTTP/1.1", connection.received)


class WrongAuthority(WireCase):
    def test_an_authority_that_cannot_be_read_is_said_at_start(self):
        broken = Gateway([{"name": "x", "kind": "openai", "url": "https://localhost:1", "ca_file": "no-such.pem"}])
        with self.assertRaises(AssertionError) as caught:
            broken.start()
        self.assertIn("no-such.pem", str(caught.exception))
