"""What the good client feels of an attack: small authorised chats at a steady rate, first alone, then beside
one attack, in rounds. Used by bench/run.

The attacker must not take from the good client what the gateway leaves it: they share the second core, where
the attacker has the lowest priority. Whether that is enough is measured too: a second client asks the upstream
directly, at the same time and rate; what it feels of the attack is what the measurement itself does.
"""
import dataclasses
import statistics
import time

import gateways
import workloads
from attacks import Attack, Row, State, Steady, settled
from machine import LOAD_CORE, Failed, cpu_ns, on_core

GATEWAY, BANNING = "sallyport", "sallyport, banning"
BANNED = {"banned-keys"}  # the attacks whose gateway bans, though it is loopback that they come from
RATE = 500  # of the good client, per second
ATTACKER_KEYS = 10
LOWEST = ("chrt", "--idle", "0")  # whoever else wants the core has it at once, which nice does not promise
COLUMNS = ["attack", "round", "attacks_per_s", "unanswered", "closed", "cpu_share", "errors",
           *[f"{name}{when}_{figure}_us" for name in ("", "direct_") for when in ("quiet", "attacked")
             for figure in ("p50", "p99", "max")]]


@dataclasses.dataclass
class Outcome:
    """What became of one attack; `samples` has the rounds."""
    row: Row
    samples: list
    before: State
    after: State

    def median(self, column):
        return statistics.median(sample[column] for sample in self.samples)

    def ratio(self, figure, prefix=""):
        """Attacked beside quiet: the median of the rounds' ratios."""
        return statistics.median(sample[f"{prefix}attacked_{figure}_us"] / sample[f"{prefix}quiet_{figure}_us"]
                                 for sample in self.samples)

    def total(self, column):
        return sum(sample[column] for sample in self.samples)

    def worst_us(self):
        return max(sample["attacked_max_us"] for sample in self.samples)

    def memory_growth(self):
        return self.after.rss_bytes / self.before.rss_bytes - 1


def measure_together(clients, seconds):
    for client in clients.values():
        client.begin(seconds)
    return {name: client.end() for name, client in clients.items()}


def one_round(site, gateway, row, clients, seconds):
    quiet = measure_together(clients, seconds)
    cpu, start = cpu_ns(gateway.pid), time.monotonic()
    attack = Attack(site.directory, row.name, gateway.port, site.directory / "body-small", site.attacker_keys_file,
                    site.wrong_keys_file, prefix=on_core(LOAD_CORE, *LOWEST))
    with attack:
        attacked = measure_together(clients, seconds)
    sample = {"attack": row.name, "attacks_per_s": attack.figures["per_s"],
              "unanswered": attack.figures["unanswered"], "closed": attack.figures["closed"],
              "cpu_share": (cpu_ns(gateway.pid) - cpu) / 1e9 / (time.monotonic() - start),
              "errors": sum(figures["errors"] for figures in [*quiet.values(), *attacked.values()])}
    if sample["errors"]:
        told = [f"{name}: {figures['first_error']}" for figures in (quiet, attacked)
                for name, figures in figures.items() if figures["errors"]]
        raise Failed(f"{row.name}: the good client met errors: {'; '.join(told)}")
    for name, prefix in (("gateway", ""), ("direct", "direct_")):
        for when, figures in (("quiet", quiet), ("attacked", attacked)):
            for figure in ("p50", "p99", "max"):
                sample[f"{prefix}{when}_{figure}_us"] = figures[name][f"{figure}_us"]
    return sample


def share_keys(site):
    """Some are the attacker's, the others the good client's."""
    site.attacker_keys_file, site.good_keys_file = (site.directory / name for name in ("attacker-keys", "good-keys"))
    site.attacker_keys_file.write_text("\n".join(site.keys[:ATTACKER_KEYS]) + "\n")
    site.good_keys_file.write_text("\n".join(site.keys[ATTACKER_KEYS:]) + "\n")


def run_attack(site, row, rounds, seconds):
    """One attack on a fresh gateway that has seen some traffic."""
    chat = next(workload for workload in workloads.TABLE if workload.name == "chat")
    body = site.directory / "body-small"
    on_load_core = on_core(LOAD_CORE)
    with gateways.running(site, [BANNING if row.name in BANNED else GATEWAY]) as (gateway,), \
            Steady(site.directory, gateway.port, RATE, body, site.good_keys_file, on_load_core) as steady, \
            Steady(site.directory, site.upstream, RATE, body, "-", on_load_core) as direct:
        clients = {"gateway": steady, "direct": direct}
        workloads.wrk(gateway, chat, 1)  # each key once, the logs' rings once round
        measure_together(clients, 0.5)
        time.sleep(1)
        before = State.of(gateway.pid, site.upstream)
        samples = [{"round": number + 1, **one_round(site, gateway, row, clients, seconds)}
                   for number in range(rounds)]
        if row.name in BANNED and not any(sample["closed"] for sample in samples):
            raise Failed(f"{row.name}: nobody was banned")
        return Outcome(row, samples, before, settled(gateway.pid, site.upstream, before))
