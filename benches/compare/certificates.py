"""A certificate authority, and a certificate of it for the origin, made by openssl for one run."""
import os
import subprocess
from dataclasses import dataclass

from process import HOST, tool, write

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
LEAF = f"""
subjectAltName = DNS:localhost, IP:{HOST}
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
"""


@dataclass(frozen=True)
class Certificates:
    """The paths of PEM files."""

    authority: str
    chain: str
    key: str


def make(folder):
    """Makes certificates that are valid for two days: a run takes minutes, but the clock may be set meanwhile."""
    write(folder, "leaf.cnf", LEAF)
    openssl(folder, "req", "-x509", *KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=benchmark",
            "-addext", "keyUsage=critical,keyCertSign")
    openssl(folder, "req", *KEY, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=origin")
    openssl(folder, "x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", "leaf.cnf", "-out", "leaf.pem")
    return Certificates(*(os.path.join(folder, name) for name in ("ca.pem", "leaf.pem", "leaf.key")))


def openssl(folder, *argv):
    done = subprocess.run([tool("openssl"), *argv], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"openssl {argv[0]}: {done.stderr[-300:]}")
