"""Certificates that tests make for themselves, good ones and others."""

import pathlib
import shutil
import ssl
import subprocess
import tempfile

# Signed by the authority: name -> (alternative names, days from now).
SIGNED = {
    "good": ("IP:127.0.0.1,DNS:localhost", "2"),
    "address": ("IP:127.0.0.1", "2"),
    "name": ("DNS:localhost", "2"),
    "other": ("DNS:other.test", "2"),
    "address as a name": ("DNS:127.0.0.1", "2"),
    "common": (None, "2"),
    "common name": (None, "2"),
    "expired": ("IP:127.0.0.1", "-1"),
    "client's": ("IP:127.0.0.1", "2"),
}
FURTHER = {"client's": ["extendedKeyUsage=clientAuth"]}
COMMON_NAMES = {"common name": "localhost"}  # of all others 127.0.0.1


class Certificates:
    """An authority of our own and what it has signed."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-tls-"))
        self.new_key("ca")
        self.openssl("req", "-x509", "-key", "ca.key", "-subj", "/CN=Test authority", "-days", "2",
                     "-out", "ca.pem")
        for name, (names, days) in SIGNED.items():
            self.sign(name, names, days)
        self.new_key("self")
        self.openssl("req", "-x509", "-key", "self.key", "-subj", "/CN=127.0.0.1", "-days", "2",
                     "-addext", "subjectAltName=IP:127.0.0.1", "-out", "self.pem")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def new_key(self, name):
        self.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")

    def sign(self, name, names, days):
        self.new_key(name)
        extension = self.folder / f"{name}.ext"
        extension.write_text("\n".join([f"subjectAltName={names}" if names else "basicConstraints=CA:FALSE",
                                         *FURTHER.get(name, [])]) + "\n")
        self.openssl("req", "-new", "-key", f"{name}.key", "-subj",
                     f"/CN={COMMON_NAMES.get(name, '127.0.0.1')}", "-out", f"{name}.csr")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                     "-CAcreateserial", "-days", days, "-extfile", extension.name, "-out", f"{name}.pem")

    def context(self, name, maximum=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        if maximum:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = maximum
        return context

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)
