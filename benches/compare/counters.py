"""Instructions, which perf counts if the processor lets it."""
import os
import subprocess
import tempfile

from process import tool, tree

EVENTS = ["instructions:u", "instructions:k"]


def working():
    """The path of perf, if it counts instructions on this machine."""
    perf = tool("perf")
    if not perf:
        return None
    path = place()
    try:
        subprocess.run([*words(perf, path), "--", "true"], capture_output=True, timeout=10)
        return perf if read(path) else None
    except (OSError, subprocess.TimeoutExpired):
        return None


def counting(perf, pid, argv, path):
    """The command line of `argv` under perf, which counts for the process `pid` and its children meanwhile."""
    return [*words(perf, path), "-p", ",".join(map(str, tree(pid))), "--", *argv]


def words(perf, path):
    return [perf, "stat", "-x,", "-o", path, "-e", ",".join(EVENTS)]


def place():
    """The path of perf's output."""
    return os.path.join(tempfile.gettempdir(), f"bearward-perf-{os.getpid()}")


def read(path):
    """The instructions of user and kernel. None if the processor or its virtual machine counts nothing: perf then writes
    words. Removes the file."""
    try:
        with open(path) as file:
            counts = {line.split(",")[2]: line.split(",")[0] for line in file if line.count(",") > 2}
        os.remove(path)
    except OSError:
        return None
    found = [counts.get(event, "") for event in EVENTS]
    return tuple(map(int, found)) if all(count.isdigit() for count in found) else None
