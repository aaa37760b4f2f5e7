#!/usr/bin/env python3
"""Compares bearward with whichever of nginx, HAProxy and Envoy is installed: the same requests through each in turn.

Everything runs on loopback and ends with this script. nginx is needed (it is the origin), and wrk; perf adds a column.
A machine that others use is noisy: read the ratios, which are medians over rounds of two measures taken side by side,
and of those the instructions first."""
import argparse
import atexit
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

# The folder is the project's: nothing is left in it.
sys.dont_write_bytecode = True

import proxies
from process import HOST, cpu_ns, free_port, memory_kib, start, status, stop, stop_all, tree, until_200

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HEADERS = ["User-Agent: service/1.0", "Accept: application/json", "Accept-Encoding: gzip", "X-Request-Id: 4f1c9a52e7d84c0f"]
# How often each is started to see how long that takes.
STARTS = 5
# key, heading, format
MEASURES = [
    ("instructions", "instructions/request", "{:,.0f}"),
    ("user", "of them user", "{:,.0f}"),
    ("cpu", "CPU µs/request", "{:.2f}"),
    ("rate", "requests/s", "{:,.0f}"),
    ("cpu_many", "CPU µs/request, 1024 connections", "{:.2f}"),
    ("idle", "idle MiB", "{:.1f}"),
    ("connection", "KiB/connection", "{:.1f}"),
    ("begin", "ms to the first 200", "{:.0f}"),
]


class Proxy:
    """A running one."""

    def __init__(self, name, way, folder, values, cpus):
        self.name, self.port, self.samples = name, free_port(), []
        # A folder of its own: its files must not change while it runs.
        folder = tempfile.mkdtemp(dir=folder)
        argv = way(folder, dict(values, port=self.port))
        self.process = start(argv, folder, name, cpus)
        try:
            self.begin = until_200(self.process, self.port, proxies.PATH) * 1000
        except RuntimeError as error:
            with open(os.path.join(folder, name + ".log"), errors="replace") as log:
                raise RuntimeError(f"{name}: {error}: {log.read()[-500:].strip()}") from None

    def load(self, connections, seconds, cpus, counters):
        """One measure: what wrk says, what the kernel says, and what perf says where it can."""
        wrk = [proxies.tool("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
        argv = wrk + [word for header in HEADERS for word in ("-H", header)] + [f"http://{HOST}:{self.port}{proxies.PATH}"]
        counted = os.path.join(tempfile.gettempdir(), f"bearward-perf-{os.getpid()}")
        if counters:
            pids = ",".join(map(str, tree(self.process.pid)))
            events = "instructions:u,instructions:k"
            argv = [counters, "stat", "-x,", "-o", counted, "-e", events, "-p", pids, "--", *argv]
        before = cpu_ns(self.process.pid)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 30,
                              preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        spent = cpu_ns(self.process.pid) - before
        match = re.search(r"(\d+) requests in ([\d.]+)s", done.stdout)
        if not match or not int(match[1]):
            raise RuntimeError(f"{self.name}: {done.stdout[-300:]}{done.stderr[-300:]}")
        requests = int(match[1])
        sample = {"cpu": spent / 1000 / requests, "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])}
        wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
        errors = re.search(r"Socket errors: (.*)", done.stdout)
        if wrong or errors:
            print(f"  {self.name}: {(wrong or errors)[0]}", file=sys.stderr)
        if counters:
            with open(counted) as file:
                counts = {line.split(",")[2]: line.split(",")[0] for line in file if line.count(",") > 2}
            os.remove(counted)
            # perf writes words where the processor, or the machine it is simulated on, counts nothing.
            if all(count.isdigit() for count in counts.values()) and len(counts) == 2:
                user, kernel = int(counts["instructions:u"]), int(counts["instructions:k"])
                sample.update(instructions=(user + kernel) / requests, user=user / requests)
        return sample

    def grow(self, cpus):
        """Memory of a fresh process, and what 1024 connections add to it."""
        idle, most, over = memory_kib(self.process.pid), 0, threading.Event()

        def watch():
            nonlocal most
            while not over.wait(0.1):
                most = max(most, memory_kib(self.process.pid))
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            sample = self.load(1024, 2, cpus, None)
        finally:
            over.set()
            watcher.join()
        return {"idle": idle / 1024, "connection": (most - idle) / 1024, "cpu_many": sample["cpu"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bearward", help="the binary; left out: it is built")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=1, help="of one measure")
    parser.add_argument("--only", help="names of proxies, with commas between them")
    chosen = parser.parse_args()
    for name in ("nginx", "wrk"):
        if not proxies.tool(name):
            sys.exit(f"{name} is not installed: it is needed to compare anything")
    bearward = os.path.abspath(chosen.bearward) if chosen.bearward else build()

    folder = tempfile.mkdtemp(prefix="bearward-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(stop_all)
    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sign, lambda *_: sys.exit(130))
    os.environ["BENCH_CLIENT_SECRET"] = proxies.CLIENT_SECRET

    # The proxy has a processor to itself where there are two.
    cpus = sorted(os.sched_getaffinity(0))
    own, others = set(cpus[:1]), set(cpus[1:] or cpus)
    values = servers(folder, others)
    ways = proxies.installed(bearward)
    if chosen.only:
        ways = {name: way for name, way in ways.items() if name in chosen.only.split(",")}
    running = []
    for name, way in ways.items():
        running.append(Proxy(name, way, folder, values, own))
    for _ in range(STARTS):
        # The others have nothing to do meanwhile.
        for proxy in running:
            again = Proxy(proxy.name, ways[proxy.name], folder, values, own)
            stop(again.process)
            proxy.samples.append({"begin": again.begin})
    for proxy in running:
        proxy.samples.append(proxy.grow(others))
    counters = working_perf(running[0])
    for number in range(chosen.rounds):
        turn = number % len(running)
        for proxy in running[turn:] + running[:turn]:
            proxy.samples.append(proxy.load(64, chosen.seconds, others, counters))
        print(f"\rround {number + 1} of {chosen.rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    table(running)


def build():
    subprocess.run([os.environ.get("CARGO", "cargo"), "build", "--release", "--locked"], cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    return os.path.join(ROOT, target, "release", "bearward")


def servers(folder, cpus):
    """Starts the token endpoint and the origin."""
    endpoint = start(proxies.token_endpoint(), folder, "token_endpoint", cpus, stdout=subprocess.PIPE)
    values = proxies.settings(free_port(), int(endpoint.stdout.readline()))
    origin = start(proxies.origin(folder, values), folder, "origin", cpus)
    until_200(origin, values["origin"], proxies.PATH, [f"Authorization: Bearer {proxies.TOKEN}"])
    if status(values["origin"], proxies.PATH) != 401:
        sys.exit("the origin does not ask for the token")
    return values


def working_perf(proxy):
    """perf, if it counts instructions here."""
    perf = proxies.tool("perf")
    if not perf:
        return None
    try:
        return perf if "user" in proxy.load(1, 1, os.sched_getaffinity(0), perf) else None
    except (OSError, RuntimeError):
        return None


def table(running):
    """Medians, and in brackets the median of the ratios to nginx's value in the same round."""
    reference = next((proxy for proxy in running if proxy.name == "nginx"), running[0])
    print(f"| one worker, 64 connections, 256 bytes (ratio to {reference.name}) | "
          + " | ".join(proxy.name for proxy in running) + " |")
    print("|---|" + "---:|" * len(running))
    for key, heading, form in MEASURES:
        cells = []
        for proxy in running:
            pairs = [(ours[key], theirs[key]) for ours, theirs in zip(proxy.samples, reference.samples)
                     if key in ours and theirs.get(key)]
            middle = statistics.median(ours for ours, _ in pairs) if pairs else 0
            ratio = statistics.median(ours / theirs for ours, theirs in pairs) if pairs else 0
            cells.append(f"{form.format(middle)} ({ratio:.2f})" if pairs else "-")
        if any(cell != "-" for cell in cells):
            print(f"| {heading} | " + " | ".join(cells) + " |")
    for proxy in running:
        stop(proxy.process)


if __name__ == "__main__":
    main()
