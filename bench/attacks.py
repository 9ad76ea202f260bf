"""The good client and the attacks on the gateway beside it (bench/steady.c, bench/attack_table.c), as Python
sees them, and what must be as before when an attack is over. Used by bench/under_attack.py, which measures, and
by tests/faults/test_under_attack.py, which asserts.
"""
import dataclasses
import json
import os
import pathlib
import subprocess
import time

from machine import BENCH, Failed, family, rss_bytes

PROGRAMS = {"steady": ("steady.c", "measure.c"), "attack": ("attack.c", "attack_table.c", "measure.c"),
            "upstream": ("upstream.c",)}
PATIENCE_S = 60
SETTLE_S = 10  # within which memory and descriptors must be as before
MEMORY_SHARE = 0.05


def compile_programs(folder):
    for name, sources in PROGRAMS.items():
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-std=gnu17", "-D_GNU_SOURCE",
                        *(BENCH / source for source in sources), "-o", folder / name], check=True)


class Talker:
    """A program of ours that says "ready", and a line of JSON when it was asked."""

    def __init__(self, *command):
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        try:
            self.line()
        except Failed:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"{self.process.args[-1]}: {self.process.stderr.read().strip() or 'ended early'}")
        return line


class Steady(Talker):
    """The good client. `tools` is the folder of the compiled programs."""

    def __init__(self, tools, port, rate, body, keys, prefix=()):
        super().__init__(*prefix, tools / "steady", port, rate, body, keys)

    def begin(self, seconds):
        self.process.stdin.write(f"{int(seconds * 1000)}\n")
        self.process.stdin.flush()

    def end(self):
        return json.loads(self.line())

    def measure(self, seconds):
        self.begin(seconds)
        return self.end()


class Attack(Talker):
    """One attack, under way from `with` to the end of it; after that `figures` say what it was."""

    def __init__(self, tools, name, port, body, keys, wrong_keys, prefix=()):
        super().__init__(*prefix, tools / "attack", name, port, body, keys, wrong_keys)
        self.name, self.figures = name, None

    def __exit__(self, *failure):
        self.process.stdin.close()
        text, said = self.process.stdout.read(), self.process.stderr.read()
        super().__exit__()
        if failure[:1] != (None,):
            return
        if not text.strip():
            raise Failed(f"{self.name}: {said.strip() or 'the attacker ended early'}")
        self.figures = json.loads(text)
        if self.figures["unexpected"]:
            raise Failed(f"{self.name}: not the answers of this attack: {self.figures['statuses']}")


@dataclasses.dataclass
class Row:
    name: str
    title: str


def table(tools):
    """The attacks, as bench/attack.c lists them."""
    done = subprocess.run([tools / "attack"], capture_output=True, text=True, check=True)
    return [Row(*line.split("\t")) for line in done.stdout.splitlines()]


# What must be as it was before.

def descriptors(pid, upstream_port):
    """How many are open, but for connections to the upstream: those are kept for a while, by design."""
    kept = set()
    for line in pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[2].split(":")[1], 16) == upstream_port:
            kept.add(f"socket:[{fields[9]}]")
    count = 0
    for member in family(pid):
        for path in pathlib.Path(f"/proc/{member}/fd").iterdir():
            try:
                count += str(path.readlink()) not in kept
            except FileNotFoundError:
                pass
    return count


@dataclasses.dataclass
class State:
    rss_bytes: int
    descriptors: int

    @classmethod
    def of(cls, pid, upstream_port):
        return cls(rss_bytes(pid), descriptors(pid, upstream_port))

    def is_back(self, before):
        return (self.rss_bytes <= before.rss_bytes * (1 + MEMORY_SHARE)
                and self.descriptors <= before.descriptors)


def settled(pid, upstream_port, before):
    """The state once it is back, or after SETTLE_S."""
    end = time.monotonic() + SETTLE_S
    while True:
        after = State.of(pid, upstream_port)
        if after.is_back(before) or time.monotonic() > end:
            return after
        time.sleep(0.1)
