"""The gateways that are measured, each with one worker on the first core, and how each is started.

A gateway is a row of TABLE: a name, and a function that writes its configuration and answers the command.
All stand in front of the same upstream and know the same keys. Used by bench/run.
"""
import contextlib
import getpass
import grp
import json
import os
import pathlib
import secrets
import shutil
import subprocess

from machine import (BENCH, GATE_CORE, TOP, Failed, Processes, free_port, nginx_program, settled_rss_bytes,
                     wait_for_port)

BINARY = pathlib.Path(os.environ.get("SALLYPORT_BINARY", TOP / "build" / "sallyport"))


class Site:
    """What the gateways of one run have in common: a folder, the upstream's port, and keys."""

    def __init__(self, directory, upstream, key_count):
        self.directory, self.upstream = directory, upstream
        self.keys_file, self.wrong_keys_file = directory / "keys", directory / "wrong-keys"
        self.certificate, self.certificate_key = make_certificate(directory)
        self.keys = self.make_keys("store", key_count, self.keys_file)
        # Well formed keys that no gateway knows: those of another store.
        self.make_keys("other-store", 50, self.wrong_keys_file)
        self.signing_secret = secrets.token_hex(32)
        self.make_user("store", "admin")
        rows = [(key, f"bench-{number}") for number, key in enumerate(self.keys)]
        (directory / "nginx-keys.map").write_text("".join(f'"Bearer {k}" "{n}";\n' for k, n in rows))
        (directory / "haproxy-keys.map").write_text("".join(f"{k} {n}\n" for k, n in rows))

    def make_keys(self, store, count, path):
        config = self.directory / f"{store}.toml"
        # The store is copied for each gateway, which begins an audit log of its own.
        config.write_text(f'[store]\nurl = "sqlite:{store}/bench.db"\n[security]\naudit_logging_enabled = false\n')
        keys = []
        for number in range(count):
            command = [BINARY, "key", "create", "--config", config, "--name", f"bench-{number}", "--json"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise Failed(f"sallyport key create: {done.stderr.strip()}")
            keys.append(json.loads(done.stdout)["key"])
        path.write_text("\n".join(keys) + "\n")
        return keys

    def make_user(self, store, name):
        command = [BINARY, "user", "add", name, "--config", self.directory / f"{store}.toml", "--role", "admin"]
        done = subprocess.run(command, input=secrets.token_urlsafe(16) + "\n", capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise Failed(f"sallyport user add: {done.stderr.strip()}")


def make_certificate(directory):
    """For TLS, the same for all gateways: ECDSA on P-256, what most servers have today. HAProxy wants both
    parts in one file, which is no matter to the others."""
    certificate, key = directory / "certificate.pem", directory / "certificate-key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
               "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"openssl req: {done.stderr.strip()}")
    certificate.write_text(certificate.read_text() + key.read_text())
    return certificate, key


def filled(template, values):
    text = (BENCH / template).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    return text


def relay(site, _directory, port, _tls):
    return [site.directory / "relay", port, site.upstream]


def nginx_with(body_buffer):
    def start(site, directory, port, tls):
        user = f"{getpass.getuser()} {grp.getgrgid(os.getgid()).gr_name}"
        (directory / "nginx.conf").write_text(filled("nginx.conf.in", {
            "USER": user, "KEYS": site.directory / "nginx-keys.map", "DIR": directory, "PORT": port,
            "UPSTREAM": site.upstream, "BODY_BUFFER": body_buffer, "TLS": "ssl http2 " if tls else "",
            "CERTIFICATE": f"ssl_certificate {site.certificate}; ssl_certificate_key {site.certificate_key}; "
                           "ssl_protocols TLSv1.2 TLSv1.3;" if tls else ""}))
        return [nginx_program(), "-p", directory, "-c", directory / "nginx.conf", "-e",
                directory / "nginx-error.log"]
    return start


def haproxy(site, directory, port, tls):
    (directory / "haproxy.cfg").write_text(filled("haproxy.cfg.in", {
        "KEYS": site.directory / "haproxy-keys.map", "DIR": directory, "PORT": port,
        "UPSTREAM": site.upstream, "TLS": f" ssl crt {site.certificate} alpn h2,http/1.1" if tls else ""}))
    return [shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", directory / "haproxy.cfg"]


HIGH, NONE = "1000000/second", "0/minute"


def sallyport_with(auth="true", ip=HIGH, key=HIGH, access_log=True, **others):
    """`others`: what the template has beyond that, by its name there."""
    def start(site, directory, port, tls):
        shutil.copytree(site.directory / "store", directory / "store")
        config = directory / "sallyport.toml"
        config.write_text(filled("sallyport.toml.in", {
            "PORT": port, "UPSTREAM": site.upstream, "DIR": directory, "AUTH": auth,
            "SECRET": site.signing_secret, "IP": ip, "KEY": key,
            "ACCESS_LOG": directory / "access.log" if access_log else "", "TLS": "https://" if tls else "",
            "CERTIFICATE": f'tls_cert_path = "{site.certificate}"\ntls_key_path = "{site.certificate_key}"'
                           if tls else "",
            **{"PROXIES": "", "IP_BURST": 1000000, "IP_COUNTS": "all", "THRESHOLD": 0, "PROTECT": "private", **others}}))
        return [BINARY, "serve", "--config", config]
    return start


# Behind a proxy that names the clients; their addresses pay only while nobody knows them.
BEHIND_PROXY = sallyport_with(ip="10/day", IP_BURST=10, IP_COUNTS="unauthenticated", PROXIES='"127.0.0.0/8"',
                              THRESHOLD=0)
TABLE = {
    "relay": relay,
    "nginx": nginx_with("64k"),
    "nginx, large buffers": nginx_with("1m"),  # for each request in flight, if its body is as large
    "haproxy": haproxy,
    "sallyport": sallyport_with(),
    "sallyport, policy off": sallyport_with("false", NONE, NONE, False),
    "sallyport, no address limit": sallyport_with(ip=NONE),
    "sallyport, nobody known": BEHIND_PROXY,
    "sallyport, 1,000,000 known": BEHIND_PROXY,
    "sallyport, banning": sallyport_with(THRESHOLD=1, PROTECT="10.0.0.0/8"),  # loopback too
}
KEYLESS = {"relay", "sallyport, policy off"}


class Gateway:
    """One that runs. `pid` None: there is no gateway, the load speaks to the upstream."""

    def __init__(self, name, site, port, pid, tls=False):
        self.name, self.site, self.port, self.pid = name, site, port, pid
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        self.fresh_rss_bytes = settled_rss_bytes(pid) if pid else 0

    def keys(self):
        """The file of the keys that the load is to send, or "-"."""
        return "-" if self.name in KEYLESS or not self.pid else self.site.keys_file


@contextlib.contextmanager
def running(site, names, tls=False):
    """The gateways of these names, each freshly started in a folder of its own; ended at the end. Those that
    speak TLS offer HTTP/2 and HTTP/1.1 on the same port."""
    with Processes() as processes:
        gateways = []
        for number, name in enumerate(names):
            if name == "direct":
                gateways.append(Gateway(name, site, site.upstream, None))
                continue
            directory = site.directory / f"gateway-{number}"
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            port = free_port()
            command = TABLE[name](site, directory, port, tls)
            with open(directory / "output", "w", encoding="utf-8") as output, \
                    open(site.directory / "errors", "a", encoding="utf-8") as errors:
                process = processes.start(GATE_CORE, *command, output=output, errors=errors)
            wait_for_port(port, process)
            gateways.append(Gateway(name, site, port, process.pid, tls))
        yield gateways
