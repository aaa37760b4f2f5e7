#!/usr/bin/env python3
"""Compares bearward with the installed ones of nginx, HAProxy and Envoy: the same requests through each in turn, for each
kind of exchange (--kinds): HTTP/1.1 on both sides, https or HTTP/2 to the origin, HTTP/2 from the clients.

Everything runs on loopback and ends with this script. It needs nginx (the origin) and wrk; h2load (of nghttp2) for HTTP/2
from the clients; openssl for https. perf adds rows.
A shared machine is noisy: read the ratios, which are medians over rounds of two measures taken side by side, and of
those the instructions first."""
import argparse
import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile

# No files are left in the project's folder.
sys.dont_write_bytecode = True

import counters
import kinds
import proxies
import servers
import table
from process import stop_all, tool
from running import Proxy

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# The number of starts that are timed.
STARTS = 5


def main():
    chosen = arguments()
    if not tool("nginx"):
        sys.exit("nginx is not installed: install it, or set NGINX; it is the origin")
    measured = kinds.chosen(chosen.kinds)
    bearward = os.path.abspath(chosen.bearward) if chosen.bearward else build()

    folder = tempfile.mkdtemp(prefix="bearward-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(stop_all)
    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sign, lambda *_: sys.exit(130))
    os.environ["BENCH_CLIENT_SECRET"] = proxies.CLIENT_SECRET

    # With two processors or more, the proxy has one of its own.
    cpus = sorted(os.sched_getaffinity(0))
    own, others = set(cpus[:1]), set(cpus[1:] or cpus)
    values = servers.begin(folder, measured, others)
    perf = counters.working()
    for kind in measured:
        ways = proxies.installed(bearward, kind)
        if chosen.only:
            ways = {name: way for name, way in ways.items() if name in chosen.only}
        if not ways:
            print(f"{kind.name}: {', '.join(chosen.only)}: no such proxy takes part", file=sys.stderr)
            continue
        compare(kind, ways, chosen, lambda name: Proxy(name, ways[name], kind, folder, values, own), others, perf)


def arguments():
    names = lambda text: text.split(",")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bearward", help="the binary; default: a new build with the profile dist")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=1, help="of one measure")
    parser.add_argument("--only", type=names, help="names of proxies, separated by commas")
    parser.add_argument("--kinds", type=names, help="of " + ",".join(kind.name for kind in kinds.KINDS)
                        + "; left out: all whose programs are installed")
    return parser.parse_args()


def build():
    subprocess.run([os.environ.get("CARGO", "cargo"), "build", "--profile", "dist", "--locked"], cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    return os.path.join(ROOT, target, "dist", "bearward")


def compare(kind, names, chosen, begin, cpus, perf):
    """Measures one kind with each proxy in turn, and prints the table."""
    running = [begin(name) for name in names]
    if kind.whole:
        for _ in range(STARTS):
            # The other proxies are idle meanwhile.
            for proxy in running:
                again = begin(proxy.name)
                again.stop()
                proxy.samples.append({"begin": again.begin})
        for proxy in running:
            proxy.samples.append(proxy.grow(cpus))
    for proxy in running:
        # Opens connections and agrees on keys before the measures.
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
