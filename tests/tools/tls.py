"""TLS for clients of the gateway. SALLYPORT_TLS=1 runs every wire test through it: each gateway of a test
then listens with the certificate made here, and each client shakes hands before it speaks."""

import atexit
import functools
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile

EVERYWHERE = bool(os.environ.get("SALLYPORT_TLS"))


def make_pair(folder, name, names="IP:127.0.0.1,DNS:localhost", key=("ec", "ec_paramgen_curve:P-256")):
    """NAME.key, and NAME.pem that it signs itself, in `folder`."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", key[0], "-pkeyopt", key[1], "-nodes", "-keyout",
                    f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", "-addext",
                    f"subjectAltName={names}", "-days", "90"], cwd=folder, check=True, capture_output=True)


class Socket(ssl.SSLSocket):
    """One that can be half closed: the end of TCP, without TLS's own."""

    def shutdown(self, how):
        socket.socket.shutdown(self, how)


def client_context(certificate, alpn=None):
    """Trusts this certificate and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = Socket
    context.load_verify_locations(certificate)
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


@functools.lru_cache(None)
def folder():
    made = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-tls-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    make_pair(made, "gateway")
    return made


@functools.lru_cache(None)
def context():
    return client_context(folder() / "gateway.pem")


def settings():
    """Members of [server] for a listener with TLS."""
    return {"tls_cert_path": str(folder() / "gateway.pem"), "tls_key_path": str(folder() / "gateway.key")}
