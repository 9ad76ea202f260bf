"""The workloads: what is sent, by whom, and what is taken down of each round.

A workload is a row of TABLE. Its `measure` runs one round against one gateway and answers a dictionary of
figures; a round in which one answer had another status than expected raises Failed. wrk makes the closed
loops, bench/load.c the rest. Used by bench/run.
"""
import dataclasses
import json
import os
import re
import subprocess
import typing
import urllib.request

from machine import BENCH, LOAD_CORE, Failed, cpu_ns, on_core, rss_bytes

STREAMS_EACH = 4  # at once on a connection of HTTP/2
READY_EVENTS = 2  # of each stream that have come when bench/load.c says that it is ready
SECURE = ("nginx", "haproxy", "sallyport")
ALL = ("relay", "nginx", "haproxy", "sallyport", "sallyport, policy off")
UNCROWDED, CROWDED, CROWD = "sallyport, nobody known", "sallyport, 1,000,000 known", 1_000_000
UNIT_US = {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}


def small_chat(model="bench", stream=False):
    return json.dumps({"model": model, **({"stream": True} if stream else {}), "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Say in one sentence why a gate with one guard is better than a wall with "
                                    "ten doors, and do not forget the moat."}],
        "temperature": 0.2, "max_tokens": 128}, separators=(",", ":"))


def long_chat():
    """A conversation of 1 MB: prose with line breaks, quotation marks and some letters beyond ASCII."""
    sentence = ("The keeper of the gate reads every letter before it passes, \"even the long ones\", and so the "
                "café behind the wall stays quiet. ")
    turn = (sentence * 8 + "\n\n") * 16
    messages = [{"role": "system", "content": "You are a helpful assistant."}]
    while len(messages) * len(turn.encode()) < 1_020_000:
        messages.append({"role": "user" if len(messages) % 2 else "assistant", "content": turn})
    return json.dumps({"model": "bench", "messages": messages, "max_tokens": 128}, ensure_ascii=False,
                      separators=(",", ":"))


BODIES = {
    "small": small_chat(),
    "long": long_chat(),
    "events": small_chat("every-20000-us", stream=True),
    "slow": small_chat("every-1000000-us", stream=True),
}


def wrk(gateway, workload, seconds, keys=None, expected=200, connections=None):
    """Answers requests done, requests per second, and latencies in microseconds. wrk counts answers that
    are no success, but not which they are; of those that are expected, the first is looked at singly."""
    site = gateway.site
    environment = {**os.environ, "BENCH_KEYS": str(keys or gateway.keys()),
                   "BENCH_BODY": str(site.directory / f"body-{workload.body}"),
                   "BENCH_REQUESTS": str(workload.requests), **({"BENCH_CLOSE": "1"} if workload.close else {}),
                   **({"BENCH_FORWARDED": "1"} if workload.forwarded else {})}
    done = subprocess.run(on_core(LOAD_CORE, "wrk", "-t1", f"-c{connections or workload.connections}", f"-d{seconds}s",
                                  "--latency", "-s", BENCH / "post.lua", gateway.url),
                          env=environment, capture_output=True, text=True, check=False)
    counted = re.search(r"(\d+) requests in", done.stdout)
    if done.stderr or done.returncode != 0 or not counted or int(counted.group(1)) == 0:
        raise Failed(f"{gateway.name}: wrk: {done.stdout} {done.stderr}")
    requests = int(counted.group(1))
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    as_expected = requests if expected == 200 else 0
    if "Socket errors" in done.stdout or (int(refused.group(1)) if refused else 0) != requests - as_expected:
        raise Failed(f"{gateway.name}: not every answer was {expected}: " + " ".join(done.stdout.split()))
    latency = {percent: float(value) * UNIT_US[unit] for percent, value, unit in
               re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s|m)\b", done.stdout)}
    return {"done": requests, "per_s": float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout).group(1)),
            "p50_us": latency["50"], "p99_us": latency["99"]}


def h2load(gateway, workload, seconds):
    """As wrk above, over HTTP/2 and TLS 1.3; all requests with the same key, since it sends one head."""
    site, key = gateway.site, gateway.site.keys[0]
    streams = STREAMS_EACH
    done = subprocess.run(on_core(LOAD_CORE, "h2load", "-t1", f"-c{workload.connections // streams}",
                                  f"-m{streams}", f"-D{seconds}", "-d", site.directory / f"body-{workload.body}",
                                  "-H", f"Authorization: Bearer {key}", "-H", "Content-Type: application/json",
                                  "-H", "Accept: application/json", "-H", "User-Agent: OpenAI/Python 1.0",
                                  f"{gateway.url}/v1/chat/completions"),
                          capture_output=True, text=True, check=False)
    counted = re.search(r"(\d+) done, (\d+) succeeded, 0 failed, 0 errored", done.stdout)
    good = re.search(r"status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx", done.stdout)
    # When the time is over, heads may have come of answers that are not done.
    if not counted or not good or not 0 < int(counted.group(1)) == int(counted.group(2)) <= int(good.group(1)):
        raise Failed(f"{gateway.name}: h2load: {done.stdout} {done.stderr}")
    if "TLS Protocol: TLSv1.3" not in done.stdout or "Application protocol: h2" not in done.stdout:
        raise Failed(f"{gateway.name}: h2load spoke something else: {done.stdout}")
    requests = int(counted.group(1))
    mean = re.search(r"time for request:\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)\b", done.stdout)
    return {"done": requests, "per_s": requests / seconds,
            "mean_us": float(mean.group(1)) * UNIT_US[mean.group(2)]}


class Load:
    """bench/load.c at work, or bench/tls_load.c, which is used the same way. It holds its connections from
    `with` to the end of it; `go` lets it measure."""

    def __init__(self, gateway, mode, connections, number, seconds, body, keys=None, expected=200,
                 program="load"):
        site = gateway.site
        self.name = gateway.name
        self.command = on_core(LOAD_CORE, site.directory / program, mode, connections, number, seconds,
                               gateway.port, expected, site.directory / f"body-{body}", keys or gateway.keys())

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.expect("ready")
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.stderr.close()
        self.process.wait(30)

    def expect(self, word=None):
        line = self.process.stdout.readline()
        if not line or (word and line.strip() != word):
            raise Failed(f"{self.name}: {self.process.stderr.read().strip() or 'the load ended early'}")
        return line

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return json.loads(self.expect())


def with_cpu(gateway, run):
    before = cpu_ns(gateway.pid) if gateway.pid else 0
    figures = run()
    if gateway.pid:
        figures["cpu_us"] = (cpu_ns(gateway.pid) - before) / 1000 / max(figures["done"], 1)
        figures["rss_bytes"] = rss_bytes(gateway.pid)
    return figures


def closed_loop(gateway, workload, seconds):
    return with_cpu(gateway, lambda: wrk(gateway, workload, seconds))


def paced(gateway, workload, seconds):
    mode = "stream" if workload.body == "events" else "rate"
    with Load(gateway, mode, workload.connections, workload.number, seconds, workload.body) as load:
        figures = with_cpu(gateway, load.go)
    figures["per_s"] = figures["done"] / figures.pop("seconds")
    if mode == "stream" and figures["per_s"] < 0.9 * workload.connections * 1e6 / workload.number:
        raise Failed(f"{gateway.name}: only {figures['per_s']:.0f} events per second arrived")
    return figures


def http2_loop(gateway, workload, seconds):
    return with_cpu(gateway, lambda: h2load(gateway, workload, seconds))


def handshakes(gateway, workload, seconds):
    """Each request on a new connection, and with it a whole handshake, which bench/tls_load.c sees to."""
    with Load(gateway, "handshake", workload.connections, 0, seconds, workload.body, program="tls_load") as load:
        figures = with_cpu(gateway, load.go)
    figures["per_s"] = figures["done"] / figures.pop("seconds")
    return figures


def held_secure(gateway, workload, _seconds):
    """As `held`, over TLS."""
    mode = "idle-h2" if workload.name == "idle-h2" else "idle"
    wrk(gateway, workload, 1, connections=32)
    before = rss_bytes(gateway.pid)
    with Load(gateway, mode, workload.connections, 0, 0, workload.body, program="tls_load"):
        after = rss_bytes(gateway.pid)
    return {"done": workload.connections, "rss_bytes": after, "fresh_rss_bytes": gateway.fresh_rss_bytes,
            "each_bytes": (after - before) / workload.connections}


def held(gateway, workload, _seconds):
    """Memory that each of many open connections takes, over what the gateway had after a first few."""
    mode = "stream" if workload.body == "slow" else "idle"
    with Load(gateway, "rate", 32, 1500, 1, "small") as load:  # every key once: what a key costs is not asked
        load.go()
    before = rss_bytes(gateway.pid)
    with Load(gateway, mode, workload.connections, workload.number, 0, workload.body):
        after = rss_bytes(gateway.pid)
    return {"done": workload.connections, "rss_bytes": after, "fresh_rss_bytes": gateway.fresh_rss_bytes,
            "each_bytes": (after - before) / workload.connections}


def wrong_keys(gateway, workload, seconds):
    """The processor time of a refused request, and of a good one just before it."""
    wrong = gateway.site.wrong_keys_file
    with Load(gateway, "idle", 1, 0, 0, "small", keys=wrong, expected=401):
        pass
    right = with_cpu(gateway, lambda: wrk(gateway, workload, seconds))
    figures = with_cpu(gateway, lambda: wrk(gateway, workload, seconds, keys=wrong, expected=401))
    return {**figures, "right_cpu_us": right["cpu_us"], "to_right": figures["cpu_us"] / right["cpu_us"]}


def metric(gateway, name):
    with urllib.request.urlopen(f"{gateway.url}/metrics/prometheus", timeout=10) as answer:
        return float(re.search(rf"^{name} (\S+)", answer.read().decode(), re.MULTILINE).group(1))


def make_known(gateway):
    """Lets a gateway that is to know a crowd meet it, and sees to it that it knows nearly all of it:
    while the table grows some lose their place."""
    if gateway.name != CROWDED:
        return
    done = subprocess.run(on_core(LOAD_CORE, gateway.site.directory / "crowd", gateway.port, CROWD),
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{gateway.name}: {done.stderr}")
    cells, lost = (metric(gateway, name) for name in ("sallyport_rate_cells", "sallyport_rate_evictions_total"))
    if cells < CROWD or lost > CROWD / 20:
        raise Failed(f"{gateway.name}: room for {cells:.0f} limits, {lost:.0f} forgotten")


@dataclasses.dataclass
class Workload:
    name: str
    title: str
    measure: typing.Callable
    body: str = "small"
    connections: int = 32
    number: int = 0  # per second, or the microseconds between events
    requests: int = 1000  # different ones that wrk sends
    close: bool = False
    forwarded: bool = False  # each request names another client
    tls: bool = False
    gateways: tuple = ALL
    prepare: typing.Callable = lambda gateway: None  # once, before the first round
    count_calls: bool = False
    fresh: bool = False  # a new process for each measurement: memory is rarely given back
    unit: str = "request"


TABLE = [
    Workload("chat", "Small chat, kept-alive connections", closed_loop, count_calls=True),
    Workload("known", "Small chat, when a million other addresses are known", closed_loop, forwarded=True,
             prepare=make_known, gateways=(UNCROWDED, CROWDED)),
    Workload("body", "Chat of 1 MB", closed_loop, body="long", connections=8, requests=4, count_calls=True,
             gateways=("relay", "nginx", "nginx, large buffers", *ALL[2:])),
    Workload("connect", "A new connection for each request", closed_loop, close=True, count_calls=True),
    Workload("stream", "64 streams, an event each 20 ms", paced, body="events", connections=64, number=20000,
             count_calls=True, unit="event"),
    Workload("rate", "2,000 requests per second", paced, number=2000, gateways=("direct", *ALL)),
    Workload("idle", "Idle kept-alive connections", held, connections=9000, fresh=True, unit="connection"),
    Workload("slow", "1,000 streams, an event each second", held, body="slow", connections=1000,
             number=1_000_000, fresh=True, unit="stream"),
    Workload("tls", "TLS 1.3: small chat, kept-alive connections", closed_loop, tls=True, gateways=SECURE,
             count_calls=True),
    Workload("h2", "HTTP/2 over TLS 1.3: small chat", http2_loop, tls=True, gateways=SECURE, count_calls=True),
    Workload("handshake", "TLS 1.3: a new connection with a whole handshake for each request", handshakes,
             tls=True, gateways=SECURE, count_calls=True),
    Workload("idle-tls", "Idle connections, TLS 1.3", held_secure, connections=9000, fresh=True, tls=True,
             gateways=SECURE, unit="connection"),
    Workload("idle-h2", "Idle connections, HTTP/2 over TLS 1.3", held_secure, connections=9000, fresh=True,
             tls=True, gateways=SECURE, unit="connection"),
    Workload("wrong-key", "Wrong keys as fast as they come", wrong_keys,
             gateways=("nginx", "haproxy", "sallyport, no address limit")),
]
