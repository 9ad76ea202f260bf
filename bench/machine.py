"""The machine that is measured on: starting processes on a core, and what the kernel says about them.

Used by bench/run and its modules. Processor time is user and system time of all threads of a gateway and
of its children, from /proc/PID/task/*/schedstat (nanoseconds); memory is VmRSS, summed the same way.
"""
import datetime
import functools
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import time

BENCH = pathlib.Path(__file__).resolve().parent
TOP = BENCH.parent
GATE_CORE, LOAD_CORE = "0", "1"
DESCRIPTORS = 20000  # 9,000 clients, and the relay has a connection to the upstream for each


class Failed(Exception):
    """A sentence for the person who runs the measurement."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def descriptors():
    """Raises the limit of open files, here and for all that is started; answers what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(soft, most)


def on_core(core, *command):
    return ["taskset", "-c", core, *map(str, command)]


class Processes:
    """What a part of the run has started; all of it is ended, newest first, whatever happens."""

    def __init__(self):
        self.started = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.started):
            end(process)

    def start(self, core, *command, output, errors, **options):
        process = subprocess.Popen(on_core(core, *command), stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=errors, **options)
        self.started.append(process)
        return process


def end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_port(port, process):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failed(f"{process.args[3]} ended with status {process.returncode} before it listened")
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.01)
    raise Failed(f"nothing listens on port {port} after 10 s")


def family(pid):
    """The process and its children: nginx's master and worker."""
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [pid, *map(int, text.split())]


def cpu_ns(pid):
    return sum(int((thread / "schedstat").read_text().split()[0])
               for member in family(pid) for thread in pathlib.Path(f"/proc/{member}/task").iterdir())


def rss_bytes(pid):
    total = 0
    for member in family(pid):
        text = pathlib.Path(f"/proc/{member}/status").read_text()
        total += int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1)) * 1024
    return total


def settled_rss_bytes(pid):
    """Once it no longer changes: nginx listens before it has started its worker."""
    before = -1
    for _ in range(20):
        now = rss_bytes(pid)
        if now == before:
            break
        before = now
        time.sleep(0.1)
    return now


class CallCounter:
    """Counts the system calls of a process between start and stop: by perf, which hardly disturbs it, or
    by strace where perf may not. strace makes every call slow, so that more is done per wake-up."""

    def __init__(self, pid, directory):
        self.report = directory / "calls"
        self.report.unlink(missing_ok=True)
        pids = [str(member) for member in family(pid)]
        self.by = "perf" if perf_works() else "strace"
        if self.by == "perf":
            command = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-o", self.report, "-p",
                       ",".join(pids)]
        else:
            command = ["strace", "-f", "-c", "-o", self.report, *(f"-p{member}" for member in pids)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.7)  # neither says when it has attached; what comes before that is not measured

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        text = self.report.read_text()
        if self.by == "perf":
            return int(re.search(r"^(\d+),", text, re.MULTILINE).group(1))
        return sum(int(line.split()[3]) for line in text.splitlines()
                   if re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+\d+\s", line) and line.split()[-1] != "total")


@functools.cache
def perf_works():
    command = ["perf", "stat", "-e", "raw_syscalls:sys_enter", "true"]
    return bool(shutil.which("perf")) and subprocess.run(command, capture_output=True, check=False).returncode == 0


def first_line(*command):
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def describe(binary):
    """What a reader must know about the machine, as pairs."""
    processor = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return [("Date", datetime.date.today().isoformat()),
            ("Processor", f"{processor.group(1) if processor else os.uname().machine}, {os.cpu_count()} cores"),
            ("Kernel", f"Linux {os.uname().release}"),
            ("Sallyport", first_line(binary, "version")),
            ("nginx", first_line(nginx_program(), "-v").split(": ")[-1]),
            ("HAProxy", first_line("haproxy", "-v").split(" - ")[0]),
            ("wrk", first_line("wrk", "-v").split(" [")[0]),
            ("System calls counted by", "perf stat" if perf_works() else "strace")]


def nginx_program():
    return shutil.which("nginx") or "/usr/sbin/nginx"
