"""Finds programs, starts them, ends those that it started, and reads their cost from the kernel."""
import os
import shutil
import signal
import socket
import subprocess
import time

HOST = "127.0.0.1"
_started = []


def tool(name):
    """The path of a program: from its variable (NGINX, WRK…), else on the path."""
    return os.environ.get(name.upper()) or shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def write(folder, name, text):
    """Writes a file for a program, and returns its path."""
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def start(argv, folder, name, cpus=None, stdout=None):
    """Starts a process on these processors only, with its output in a file of the folder."""
    def prepare():
        if cpus:
            os.sched_setaffinity(0, cpus)
    with open(os.path.join(folder, name + ".log"), "ab") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stdout or log, stderr=log, cwd=folder,
                                   start_new_session=True, preexec_fn=prepare)
    _started.append(process)
    return process


def stop(process):
    """Ends one process that `start` has started, and its children."""
    if process.poll() is None:
        family = tree(process.pid)[1:]
        process.terminate()
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in family:
            try:
                # Still in our process's session: the number has not been given to another process.
                if os.getsid(pid) == process.pid:
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
    if process in _started:
        _started.remove(process)


def stop_all():
    for process in reversed(list(_started)):
        stop(process)


def tree(pid):
    """The process and its descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def cpu_ns(pid):
    """CPU time of every thread of the tree, in ns: from the scheduler, or in ticks if it keeps no account."""
    total = 0
    for one in tree(pid):
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                if os.path.exists("/proc/self/schedstat"):
                    with open(f"/proc/{one}/task/{task}/schedstat") as file:
                        total += int(file.read().split()[0])
                else:
                    with open(f"/proc/{one}/task/{task}/stat") as file:
                        fields = file.read().rpartition(")")[2].split()
                    total += (int(fields[11]) + int(fields[12])) * (10**9 // os.sysconf("SC_CLK_TCK"))
        except OSError:
            continue
    return total


def memory_kib(pid):
    """Memory of the tree in KiB. Pages that are shared within it count once."""
    total = 0
    for one in tree(pid):
        try:
            with open(f"/proc/{one}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except OSError:
            continue
    return total


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def status(port, path, headers=(), wait=0.5):
    """The status of one GET, or 0 if there is no response in time."""
    lines = "".join(f"{header}\r\n" for header in headers)
    try:
        with socket.create_connection((HOST, port), timeout=wait) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n".encode())
            response = connection.recv(64)
        return int(response.split(b" ", 2)[1])
    except (OSError, ValueError, IndexError):
        return 0


def until(process, ready, bound=15.0):
    """Waits until `ready` is true; returns the seconds since the call."""
    begun = time.monotonic()
    while time.monotonic() - begun < bound:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}")
        if ready():
            return time.monotonic() - begun
        time.sleep(0.001)
    raise RuntimeError("no 200 in time")
