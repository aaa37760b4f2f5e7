"""The kinds of exchange that are compared: the protocols of clients and origin, and the programs that each needs."""
import sys
from dataclasses import dataclass

from process import tool


@dataclass(frozen=True)
class Kind:
    name: str
    heading: str
    # The listener of the origin: http, https or https-h2.
    out: str = "http"
    # HTTP/2 with prior knowledge from the clients.
    h2_in: bool = False
    connections: int = 64
    # Requests at a time on each connection.
    streams: int = 1
    # Whether start, memory and many connections are measured too.
    whole: bool = False

    @property
    def tls(self):
        return self.out != "http"

    @property
    def needs(self):
        """The programs that the measures of this kind need."""
        return ["h2load" if self.h2_in else "wrk"] + (["openssl"] if self.tls else [])

    @property
    def load(self):
        """The number of requests at a time, in words."""
        return f"{self.connections} connections" + (f" of {self.streams} streams" if self.streams > 1 else "")


KINDS = [
    Kind("plain", "HTTP/1.1 to HTTP/1.1", whole=True),
    Kind("https", "HTTP/1.1 to https HTTP/1.1", out="https"),
    Kind("https-h2", "HTTP/1.1 to https HTTP/2", out="https-h2"),
    Kind("h2c", "HTTP/2 to HTTP/1.1", h2_in=True, connections=8, streams=16),
]


def chosen(names):
    """The kinds of these names, or all whose programs are installed. Exits with a message if there is none."""
    known = {kind.name: kind for kind in KINDS}
    if unknown := [name for name in names or [] if name not in known]:
        sys.exit(f"no such kind: {', '.join(unknown)}; choose from {', '.join(known)}")
    found = []
    for kind in [known[name] for name in names] if names else KINDS:
        missing = [name for name in kind.needs if not tool(name)]
        if not missing:
            found.append(kind)
            continue
        lack = f"{kind.name} needs {' and '.join(missing)}, which is not installed"
        if names:
            sys.exit(lack)
        print(lack, file=sys.stderr)
    return found or sys.exit("nothing can be compared")
