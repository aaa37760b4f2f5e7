"""The programs that send the requests: their command lines, and their reports."""
import re
import subprocess
from dataclasses import dataclass

from process import HOST, status, tool
from servers import PATH

HEADERS = ["User-Agent: service/1.0", "Accept: application/json", "Accept-Encoding: gzip", "X-Request-Id: 4f1c9a52e7d84c0f"]


@dataclass(frozen=True)
class Report:
    requests: int
    rate: float
    # The requests that got no success, in words.
    wrong: str


def command(kind, port, connections, seconds):
    """The command line of a load of this kind."""
    fields = [word for header in HEADERS for word in ("-H", header)]
    if kind.h2_in:
        return [tool("h2load"), "-t1", f"-c{connections}", f"-m{kind.streams}", f"-D{seconds}", *fields, url(port)]
    return [tool("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", *fields, url(port)]


def report(kind, text):
    """The program's report, or None if there was no response."""
    found = of_h2load(text) if kind.h2_in else of_wrk(text)
    return found if found and found.requests else None


def of_wrk(text):
    requests = re.search(r"(\d+) requests in ", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    wrong = re.search(r"Non-2xx or 3xx responses: \d+|Socket errors: .*", text)
    return Report(int(requests[1]), float(rate[1]), wrong[0] if wrong else "") if requests and rate else None


def of_h2load(text):
    requests = re.search(r"(\d+) done, \d+ succeeded, (\d+) failed", text)
    rate = re.search(r"finished in .*, ([\d.]+) req/s", text)
    if not requests or not rate:
        return None
    return Report(int(requests[1]), float(rate[1]), f"{requests[2]} failed" if int(requests[2]) else "")


def responds(kind, port):
    """Whether one request of this kind gets a 200."""
    if not kind.h2_in:
        return status(port, PATH) == 200
    try:
        done = subprocess.run([tool("h2load"), "-n1", "-c1", url(port)], capture_output=True, text=True, timeout=2)
    except subprocess.TimeoutExpired:
        return False
    return "status codes: 1 2xx" in done.stdout


def url(port):
    return f"http://{HOST}:{port}{PATH}"
