"""One running proxy, and its measures."""
import os
import subprocess
import sys
import tempfile
import threading

import counters
import load
from process import cpu_ns, free_port, memory_kib, start, stop, until


class Proxy:
    def __init__(self, name, way, kind, folder, values, cpus):
        self.name, self.kind, self.port, self.samples = name, kind, free_port(), []
        # A folder of its own, so that its files do not change while it runs.
        folder = tempfile.mkdtemp(dir=folder)
        argv = way(folder, dict(values, port=self.port))
        self.process = start(argv, folder, name, cpus)
        try:
            self.begin = until(self.process, lambda: load.responds(kind, self.port)) * 1000
        except RuntimeError as error:
            with open(os.path.join(folder, name + ".log"), errors="replace") as log:
                raise RuntimeError(f"{name} ({kind.name}): {error}: {log.read()[-500:].strip()}") from None

    def stop(self):
        stop(self.process)

    def load(self, connections, seconds, cpus, perf=None):
        """One measure: of the load, of the kernel, and of perf if it is there."""
        argv = load.command(self.kind, self.port, connections, seconds)
        counted = counters.place()
        if perf:
            argv = counters.counting(perf, self.process.pid, argv, counted)
        before = cpu_ns(self.process.pid)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 30,
                              preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        spent = cpu_ns(self.process.pid) - before
        report = load.report(self.kind, done.stdout)
        if not report:
            raise RuntimeError(f"{self.name} ({self.kind.name}): {done.stdout[-300:]}{done.stderr[-300:]}")
        if report.wrong:
            print(f"  {self.name}: {report.wrong}", file=sys.stderr)
        sample = {"cpu": spent / 1000 / report.requests, "rate": report.rate}
        if perf and (counts := counters.read(counted)):
            user, kernel = counts
            sample.update(instructions=(user + kernel) / report.requests, user=user / report.requests)
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
            sample = self.load(1024, 2, cpus)
        finally:
            over.set()
            watcher.join()
        return {"idle": idle / 1024, "connection": (most - idle) / 1024, "cpu_many": sample["cpu"]}
