"""The kinds of exchange that are compared: what the callers speak, what the origin speaks, and who can take part."""
import sys
from dataclasses import dataclass

from process import tool


@dataclass(frozen=True)
class Kind:
    name: str
    heading: str
    # The listener of the origin that it goes to: http, https or https-h2.
    out: str = "http"
    # HTTP/2 with prior knowledge from the callers.
    h2_in: bool = False
    connections: int = 64
    # Requests at a time on each connection.
    streams: int = 1
    # Start, memory and many connections are measured too.
    whole: bool = False

    @property
    def tls(self):
        return self.out != "http"

    @property
    def needs(self):
        """The programs without which it cannot be measured."""
        return ["h2load" if self.h2_in else "wrk"] + (["openssl"] if self.tls else [])

    @property
    def load(self):
        """How much is asked at a time, in words."""
        return f"{self.connections} connections" + (f" of {self.streams} streams" if self.streams > 1 else "")


KINDS = [
    Kind("plain", "HTTP/1.1 to HTTP/1.1", whole=True),
    Kind("https", "HTTP/1.1 to https HTTP/1.1", out="https"),
    Kind("https-h2", "HTTP/1.1 to https HTTP/2", out="https-h2"),
    Kind("h2c", "HTTP/2 to HTTP/1.1", h2_in=True, connections=8, streams=16),
]


def chosen(names):
    """The kinds of these names, or all whose programs are installed. Ends with a message where that cannot be."""
    known = {kind.name: kind for kind in KINDS}
    if unknown := [name for name in names or [] if name not in known]:
        sys.exit(f"no such kind: {', '.join(unknown)}; there are {', '.join(known)}")
    found = []
    for kind in [known[name] for name in names] if names else KINDS:
        missing = [name for name in kind.needs if not tool(name)]
        if not missing:
            found.append(kind)
            continue
        lack = f"{kind.name} cannot be measured without {' and '.join(missing)}"
        if names:
            sys.exit(lack)
        print(lack, file=sys.stderr)
    return found or sys.exit("nothing can be compared")
