"""Turns what was measured into bench/report/: report.md, raw.csv and one chart for each figure that matters.
Used by bench/run.

Everything shown is a median over the rounds; a ratio is taken within each round first.
"""
import csv
import dataclasses
import statistics
import typing

import attacks
import chart
import under_attack
import workloads

OURS = "sallyport"
COLUMNS = ["workload", "round", "gateway", "done", "cpu_us", "per_s", "p50_us", "p99_us", "rss_bytes",
           "fresh_rss_bytes", "each_bytes", "mean_us", "right_cpu_us", "to_right"]


@dataclasses.dataclass
class Cost:
    """Of the limits of one request."""
    nanoseconds: float
    instructions: float


@dataclasses.dataclass
class Result:
    rounds: int
    seconds: int
    command: str
    machine: list
    load_before: float
    load_after: float = 0
    samples: list = dataclasses.field(default_factory=list)
    calls: dict = dataclasses.field(default_factory=dict)  # (workload, gateway): calls per unit
    scanner: dict = dataclasses.field(default_factory=dict)  # kind of text: bytes per second
    decide: dict = dataclasses.field(default_factory=dict)  # setting: a Cost
    attacks: list = dataclasses.field(default_factory=list)  # an under_attack.Outcome each

    def by_round(self, workload, gateway, column):
        return {sample["round"]: sample[column] for sample in self.samples
                if sample["workload"] == workload and sample["gateway"] == gateway and column in sample}

    def median(self, workload, gateway, column):
        values = self.by_round(workload, gateway, column).values()
        return statistics.median(values) if values else None

    def ratio(self, workload, column, gateway, peer):
        ours, theirs = (self.by_round(workload, name, column) for name in (gateway, peer))
        return median_ratio(ours, theirs)

    def added(self, workload, gateway):
        """What the gateway adds to the median latency, by round."""
        direct = self.by_round(workload, "direct", "p50_us")
        return {number: value - direct[number]
                for number, value in self.by_round(workload, gateway, "p50_us").items() if number in direct}


def median_ratio(ours, theirs):
    ratios = [ours[number] / theirs[number] for number in ours if theirs.get(number, 0) > 0]
    return statistics.median(ratios) if ratios else None


def cpu_ratio(workload, peer="nginx"):
    return lambda result: result.ratio(workload, "cpu_us", OURS, peer)


def better_peer_ratio(workload):
    """Beside the peer that needed less in that round."""
    def get(result):
        ours, *peers = (result.by_round(workload, name, "cpu_us") for name in (OURS, "nginx", "haproxy"))
        least = {number: min(peer[number] for peer in peers) for number in ours
                 if all(number in peer for peer in peers)}
        return median_ratio(ours, least) if least else None
    return get


def added_ratio(result):
    return median_ratio(result.added("rate", OURS), result.added("rate", "relay"))


def median_of(workload, column, scale=1, gateway=OURS):
    def get(result):
        value = result.median(workload, gateway, column)
        return None if value is None else value / scale
    return get


@dataclasses.dataclass
class Goal:
    text: str
    value: typing.Callable
    bound: float
    unit: str
    at_least: bool = False


GOALS = [
    Goal("small chat: processor time beside nginx", cpu_ratio("chat"), 0.85, "x"),
    Goal("small chat: processor time with 1,000,000 known addresses beside none",
         lambda r: r.ratio("known", "cpu_us", workloads.CROWDED, workloads.UNCROWDED), 1.05, "x"),
    Goal("small chat: system calls", lambda r: r.calls.get(("chat", OURS)), 5, "calls"),
    Goal("1 MB body: processor time beside nginx", cpu_ratio("body"), 1.0, "x"),
    Goal("new connection: processor time beside nginx", cpu_ratio("connect"), 1.05, "x"),
    Goal("paced stream: processor time per event beside nginx", cpu_ratio("stream"), 1.0, "x"),
    Goal("2,000 per second: added median latency beside the relay's", added_ratio, 1.15, "x"),
    Goal("idle connection: memory", median_of("idle", "each_bytes", 1024), 0.75, "KB"),
    Goal("slow stream: memory", median_of("slow", "each_bytes", 1024), 10, "KB"),
    Goal("fresh process: memory", median_of("idle", "fresh_rss_bytes", 1 << 20), 13, "MB"),
    Goal("TLS, small chat: processor time beside the better of nginx and HAProxy", better_peer_ratio("tls"), 1.0,
         "x"),
    Goal("HTTP/2, small chat: processor time beside HAProxy", cpu_ratio("h2", "haproxy"), 1.1, "x"),
    Goal("TLS handshake and request: processor time beside nginx", cpu_ratio("handshake"), 1.0, "x"),
    Goal("idle TLS connection: memory", median_of("idle-tls", "each_bytes", 1024), 15, "KB"),
    Goal("wrong key: processor time beside a right one",
         median_of("wrong-key", "to_right", gateway="sallyport, no address limit"), 0.5, "x"),
    Goal("all limits on: time per decision",
         lambda r: r.decide["all on"].nanoseconds / 1000 if r.decide else None, 0.3, "us"),
    Goal("under attack: the good client's p99 beside its quiet one, at the worst attack",
         lambda r: max((one.ratio("p99") for one in r.attacks), default=None), 2, "x"),
    Goal("while attackers are banned: the good client's p99 beside its quiet one",
         lambda r: max((one.ratio("p99") for one in r.attacks if one.row.name in under_attack.BANNED),
                       default=None), 2, "x"),
    Goal("after an attack: memory beside before, at the worst", lambda r: max(
        (1 + one.memory_growth() for one in r.attacks), default=None), 1 + attacks.MEMORY_SHARE, "x"),
    Goal("JSON scanner: chat text", lambda r: r.scanner.get("chat text", 0) / 1e9 or None, 1, "GB/s", True),
    Goal("JSON scanner: base64", lambda r: r.scanner.get("base64", 0) / 1e9 or None, 1, "GB/s", True),
    Goal("JSON scanner: tool schemas", lambda r: r.scanner.get("tool schemas", 0) / 1e6 or None, 500, "MB/s",
         True),
]


def verdict(goal, value):
    part = value / goal.bound
    short = 1 / part if goal.at_least else part
    return part, "reached" if short <= 1 else "within 10 %" if short <= 1.1 else "**missed**"


def goals_table(result):
    rows = ["| | measured | to reach | measured / to reach | |", "|---|---:|---:|---:|---|"]
    for goal in GOALS:
        value = goal.value(result)
        if value is not None:
            part, word = verdict(goal, value)
            sign = ">=" if goal.at_least else "<="
            rows.append(f"| {goal.text} | {value:,.2f} {goal.unit} | {sign} {goal.bound:g} {goal.unit} | "
                        f"{part:.2f} | {word} |")
    return rows


def number(value, digits=1, unit=""):
    return "" if value is None else f"{value:,.{digits}f}{unit}"


def speed_table(result, workload):
    rows = [f"| | CPU us per {workload.unit} | spread | x nginx | x haproxy | x relay | {workload.unit}s/s | p50 us | p99 us "
            f"| RSS MB | system calls |", "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for name in workload.gateways:
        cpu = result.by_round(workload.name, name, "cpu_us").values()
        spread = f"{min(cpu):.1f} to {max(cpu):.1f}" if cpu else ""
        rss = result.median(workload.name, name, "rss_bytes")
        rows.append("| " + " | ".join([
            name, number(result.median(workload.name, name, "cpu_us")), spread,
            number(result.ratio(workload.name, "cpu_us", name, "nginx"), 2),
            number(result.ratio(workload.name, "cpu_us", name, "haproxy"), 2),
            number(result.ratio(workload.name, "cpu_us", name, "relay"), 2),
            number(result.median(workload.name, name, "per_s"), 0),
            number(result.median(workload.name, name, "p50_us"), 0),
            number(result.median(workload.name, name, "p99_us"), 0),
            number(rss and rss / (1 << 20)), number(result.calls.get((workload.name, name)), 2)]) + " |")
    return rows


def rate_table(result, workload):
    relay = result.added(workload.name, "relay")
    rows = ["", "| | added to the median, us | x relay |", "|---|---:|---:|"]
    for name in workload.gateways[1:]:
        added = result.added(workload.name, name)
        if added:
            rows.append(f"| {name} | {statistics.median(added.values()):,.1f} | "
                        f"{number(median_ratio(added, relay), 2)} |")
    return rows


def memory_table(result, workload):
    rows = [f"| | KB per {workload.unit} | spread | RSS when started, MB | RSS with all, MB |",
            "|---|---:|---|---:|---:|"]
    for name in workload.gateways:
        each = [value / 1024 for value in result.by_round(workload.name, name, "each_bytes").values()]
        fresh, full = (result.median(workload.name, name, column) for column in ("fresh_rss_bytes", "rss_bytes"))
        rows.append(f"| {name} | {statistics.median(each):,.2f} | {min(each):,.2f} to {max(each):,.2f} | "
                    f"{fresh / (1 << 20):,.1f} | {full / (1 << 20):,.1f} |")
    return rows


def wrong_key_table(result, workload):
    rows = ["| | CPU us, wrong key | CPU us, right key | ratio | wrong keys/s |", "|---|---:|---:|---:|---:|"]
    for name in workload.gateways:
        columns = [result.median(workload.name, name, column)
                   for column in ("cpu_us", "right_cpu_us", "to_right", "per_s")]
        rows.append("| {} | {:,.1f} | {:,.1f} | {:.2f} | {:,.0f} |".format(name, *columns))
    return rows


def limits_table(result):
    rows = ["| | nanoseconds per decision | instructions per decision |", "|---|---:|---:|"]
    return rows + [f"| {setting} | {cost.nanoseconds:,.0f} | {cost.instructions:,.0f} |"
                   for setting, cost in result.decide.items()]


def attacks_table(result):
    """What the good client feels of each attack."""
    rows = ["| | attacks/s | gateway's CPU | p50 us quiet | attacked | p99 us quiet | attacked | ratio | past the "
            "gateway | worst, ms | errors | RSS MB before | after | descriptors before | after |",
            "|---|" + "---:|" * 14]
    for one in result.attacks:
        rows.append("| " + " | ".join([
            f"**{one.row.name}**: {one.row.title}", number(one.median("attacks_per_s"), 0),
            f"{one.median('cpu_share'):.0%}",
            *(number(one.median(f"{when}_{figure}_us"), 0) for figure in ("p50", "p99")
              for when in ("quiet", "attacked")),
            number(one.ratio("p99"), 2), number(one.ratio("p99", "direct_"), 2), number(one.worst_us() / 1000),
            str(one.total("errors")), *(number(state.rss_bytes / (1 << 20)) for state in (one.before, one.after)),
            str(one.before.descriptors), str(one.after.descriptors)]) + " |")
    return rows


def charts_of(result, workload):
    """(file name, title, {gateway: values of the rounds}) of each chart of this workload."""
    def column(name, scale=1):
        values = {gateway: [value / scale for value in result.by_round(workload.name, gateway, name).values()]
                  for gateway in workload.gateways}
        return {gateway: list_ for gateway, list_ in values.items() if list_}

    title = workload.title
    if workload.fresh:
        return [(f"{workload.name}.svg", f"{title}: KB per {workload.unit}", column("each_bytes", 1024))]
    if workload.name == "rate":
        added = {name: list(result.added("rate", name).values()) for name in workload.gateways[1:]}
        return [("rate.svg", f"{title}: microseconds added to the median latency",
                 {name: values for name, values in added.items() if values})]
    return [(f"{workload.name}.svg", f"{title}: processor microseconds per {workload.unit}", column("cpu_us"))]


def section(result, workload):
    lines = ["", f"## {workload.title}", ""]
    for file, title, _ in charts_of(result, workload):
        lines += [f"![{title}]({file})", ""]
    if workload.fresh:
        return lines + memory_table(result, workload)
    if workload.name == "wrong-key":
        return lines + wrong_key_table(result, workload)
    lines += speed_table(result, workload)
    return lines + (rate_table(result, workload) if workload.name == "rate" else [])


def text(result):
    lines = ["# What Sallyport costs", "",
             f"Written by `{result.command}`: {result.rounds} interleaved rounds of {result.seconds} s. Figures are "
             "medians over the rounds, ratios medians of the ratios within each round. "
             "[How it is measured](../README.md); [every sample](raw.csv).", "",
             "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in result.machine]
    lines += [f"| Load average | {result.load_before:.1f} at the start, {result.load_after:.1f} at the end |",
              "", "## Figures to reach", "", *goals_table(result)]
    for workload in workloads.TABLE:
        if any(sample["workload"] == workload.name for sample in result.samples):
            lines += section(result, workload)
    if result.decide:
        lines += ["", "## Limits", "", "What is asked and charged for one request, of 1,000 callers in turn: with "
                  "limits switched off, with the standard configuration, and with everything on: the limits per "
                  "minute and hour, a route's, both caps on requests in flight, and 1,000 bans.", "",
                  *limits_table(result)]
    if result.attacks:
        lines += ["", "## Under attack", "", f"The good client asks {under_attack.RATE} times a second. \"Past the "
                  "gateway\" is the same ratio for a client that asks the upstream directly at the same time: what "
                  "the measurement itself does.", "", *attacks_table(result)]
    return "\n".join(lines)


def write_attacks(result, path):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, under_attack.COLUMNS, lineterminator="\n")
        writer.writeheader()
        for one in result.attacks:
            for sample in one.samples:
                writer.writerow({key: round(value, 3) if isinstance(value, float) else value
                                 for key, value in sample.items()})


def write(result, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(text(result) + "\n", encoding="utf-8")
    with open(folder / "raw.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for sample in result.samples:
            writer.writerow({key: round(value, 3) if isinstance(value, float) else value
                             for key, value in sample.items()})
    if result.attacks:
        write_attacks(result, folder / "attacks.csv")
    for workload in workloads.TABLE:
        for name, title, values in charts_of(result, workload):
            if values:
                (folder / name).write_text(chart.bars(title, values), encoding="utf-8")
