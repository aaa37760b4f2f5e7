"""Instructions, which perf counts where the processor lets it."""
import os
import subprocess
import tempfile

from process import tool, tree

EVENTS = ["instructions:u", "instructions:k"]


def working():
    """perf, if it counts instructions here."""
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
    """The command with perf before it, which counts for this process and its children while the command runs."""
    return [*words(perf, path), "-p", ",".join(map(str, tree(pid))), "--", *argv]


def words(perf, path):
    return [perf, "stat", "-x,", "-o", path, "-e", ",".join(EVENTS)]


def place():
    """Where perf may write."""
    return os.path.join(tempfile.gettempdir(), f"bearward-perf-{os.getpid()}")


def read(path):
    """Of the user and of the kernel, or None: perf writes words where the processor, or the machine it is simulated on,
    counts nothing. The file is removed."""
    try:
        with open(path) as file:
            counts = {line.split(",")[2]: line.split(",")[0] for line in file if line.count(",") > 2}
        os.remove(path)
    except OSError:
        return None
    found = [counts.get(event, "") for event in EVENTS]
    return tuple(map(int, found)) if all(count.isdigit() for count in found) else None
