"""The servers around the proxies: the origin, which requires the token, and the token endpoint, which issues it."""
import json
import os
import subprocess
import sys

import certificates
from process import HOST, free_port, start, status, tool, until, write

# As long as a small JWT. The peers have it in their configuration; bearward requests it.
TOKEN = ("eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCJ9." + "bench0Token_9-" * 60)[:640]
PATH = "/small"

# Each listener refuses requests in another version of HTTP than its own, so that every proxy does the same work.
ORIGIN = """
daemon off; user %(user)s; worker_processes 1; pid origin.pid; error_log origin.err warn; worker_rlimit_nofile 8192;
events { worker_connections 4096; multi_accept on; }
http {
  access_log off; server_tokens off; tcp_nodelay on; keepalive_timeout 300s; keepalive_requests 1000000000;
  client_body_temp_path o1; proxy_temp_path o2; fastcgi_temp_path o3; uwsgi_temp_path o4; scgi_temp_path o5;
  map "$server_port $server_protocol" $agreed {
    default "";
    "%(http)d HTTP/1.1" 1; "%(https)d HTTP/1.1" 1; "%(https-h2)d HTTP/2.0" 1;
  }
  server {
    listen %(host)s:%(http)d backlog=4096;
    %(tls)s
    default_type application/json;
    location = /small {
      if ($http_authorization != "Bearer %(token)s") { return 401; }
      if ($agreed = "") { return 505; }
      return 200 '%(body)s';
    }
  }
}
"""

# One version and one cipher suite for all: otherwise a proxy's preference for a cheaper one would be measured.
TLS = """
    listen %(host)s:%(https)d ssl backlog=4096;
    listen %(host)s:%(https-h2)d ssl http2 backlog=4096;
    ssl_certificate "%(chain)s"; ssl_certificate_key "%(key)s"; ssl_protocols TLSv1.3; ssl_prefer_server_ciphers on;
"""


def begin(folder, kinds, cpus):
    """Starts both on these processors; returns their addresses and files for the proxies."""
    endpoint = start(token_endpoint(), folder, "token_endpoint", cpus, stdout=subprocess.PIPE)
    values = {
        "host": HOST, "user": "root" if os.geteuid() == 0 else "nobody", "token": TOKEN, "ca": None,
        "token_port": int(endpoint.stdout.readline()),
        "http": free_port(), "https": free_port(), "https-h2": free_port(),
    }
    tls = ""
    if any(kind.tls for kind in kinds):
        made = certificates.make(folder)
        values["ca"] = made.authority
        tls = TLS % dict(values, chain=made.chain, key=made.key)
    body = json.dumps({"id": 1, "items": ["a" * 230]})
    configuration = write(folder, "origin.conf", ORIGIN % dict(values, tls=tls, body=body))
    process = start([tool("nginx"), "-p", folder, "-e", "origin.err", "-c", configuration], folder, "origin", cpus)
    until(process, lambda: status(values["http"], PATH, [f"Authorization: Bearer {TOKEN}"]) == 200)
    if status(values["http"], PATH) != 401:
        sys.exit("the origin does not require the token")
    return values


def token_endpoint():
    """The command line of a token endpoint that always issues the same token."""
    return [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "token_endpoint.py"), TOKEN]
