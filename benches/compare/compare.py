#!/usr/bin/env python3
"""Compares bearward with whichever of nginx, HAProxy and Envoy is installed: the same requests through each in turn,
for each kind of exchange (--kinds): HTTP/1.1 on both sides, https or HTTP/2 to the origin, HTTP/2 from the callers.

Everything runs on loopback and ends with this script. nginx is needed (it is the origin), and wrk, or h2load (of
nghttp2) for HTTP/2 from the callers; openssl for https; perf adds rows.
A machine that others use is noisy: read the ratios, which are medians over rounds of two measures taken side by side,
and of those the instructions first."""
import argparse
import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile

# The folder is the project's: nothing is left in it.
sys.dont_write_bytecode = True

import counters
import kinds
import proxies
import servers
import table
from process import stop_all, tool
from running import Proxy

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# How often each is started to see how long that takes.
STARTS = 5


def main():
    chosen = arguments()
    if not tool("nginx"):
        sys.exit("nginx is not installed: it is needed to compare anything")
    measured = kinds.chosen(chosen.kinds)
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
    values = servers.begin(folder, measured, others)
    perf = counters.working()
    for kind in measured:
        ways = proxies.installed(bearward, kind)
        if chosen.only:
            ways = {name: way for name, way in ways.items() if name in chosen.only}
        if not ways:
            print(f"{kind.name}: none of {', '.join(chosen.only)} takes part", file=sys.stderr)
            continue
        compare(kind, ways, chosen, lambda name: Proxy(name, ways[name], kind, folder, values, own), others, perf)


def arguments():
    names = lambda text: text.split(",")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bearward", help="the binary; left out: it is built")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=1, help="of one measure")
    parser.add_argument("--only", type=names, help="names of proxies, with commas between them")
    parser.add_argument("--kinds", type=names, help="of " + ",".join(kind.name for kind in kinds.KINDS)
                        + "; left out: all whose programs are installed")
    return parser.parse_args()


def build():
    subprocess.run([os.environ.get("CARGO", "cargo"), "build", "--release", "--locked"], cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    return os.path.join(ROOT, target, "release", "bearward")


def compare(kind, names, chosen, begin, cpus, perf):
    """Measures one kind with each proxy in turn, and shows what came out."""
    running = [begin(name) for name in names]
    if kind.whole:
        for _ in range(STARTS):
            # The others have nothing to do meanwhile.
            for proxy in running:
                again = begin(proxy.name)
                again.stop()
                proxy.samples.append({"begin": again.begin})
        for proxy in running:
            proxy.samples.append(proxy.grow(cpus))
    for proxy in running:
        # Connections are made and keys agreed upon before anything counts.
        proxy.load(kind.connections, 1, cpus)
    for number in range(chosen.rounds):
        turn = number % len(running)
        for proxy in running[turn:] + running[:turn]:
            proxy.samples.append(proxy.load(kind.connections, chosen.seconds, cpus, perf))
        print(f"\r{kind.name}: round {number + 1} of {chosen.rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for proxy in running:
        proxy.stop()
    table.show(kind, running)


if __name__ == "__main__":
    main()
