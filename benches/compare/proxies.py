"""The proxies that are compared, each with the configuration that does what bearward does, and the servers round them."""
import json
import os
import shutil
import sys

from process import HOST

CLIENT_ID, CLIENT_SECRET = "bench", "bench-secret"
# As long as a small JWT; the peers are given it, bearward asks for it.
TOKEN = ("eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCJ9." + "bench0Token9_-" * 60)[:640]
PATH = "/small"

ORIGIN = """
daemon off; user %(user)s; worker_processes 1; pid origin.pid; error_log origin.err warn; worker_rlimit_nofile 8192;
events { worker_connections 4096; multi_accept on; }
http {
  access_log off; server_tokens off; tcp_nodelay on; keepalive_timeout 300s; keepalive_requests 1000000000;
  client_body_temp_path o1; proxy_temp_path o2; fastcgi_temp_path o3; uwsgi_temp_path o4; scgi_temp_path o5;
  server {
    listen %(host)s:%(origin)d backlog=4096;
    default_type application/json;
    location = /small { if ($http_authorization != "Bearer %(token)s") { return 401; } return 200 '%(body)s'; }
  }
}
"""

NGINX = """
daemon off; user %(user)s; worker_processes 1; pid nginx.pid; error_log nginx.err warn; worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
  access_log off; tcp_nodelay on; keepalive_timeout 300s; keepalive_requests 1000000000; client_max_body_size 0;
  client_body_temp_path n1; proxy_temp_path n2; fastcgi_temp_path n3; uwsgi_temp_path n4; scgi_temp_path n5;
  upstream origin { server %(host)s:%(origin)d; keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 300s; }
  server {
    listen %(host)s:%(port)d backlog=4096;
    location / {
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer %(token)s"; proxy_request_buffering off; proxy_max_temp_file_size 0;
    }
  }
}
"""

# More connections are allowed than are used: with a fifth of its descriptors taken, HAProxy closes idle servers' ones.
HAPROXY = """
global
    nbthread 1
    maxconn 8192
defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout http-keep-alive 300s
    http-reuse always
frontend in
    bind %(host)s:%(port)d backlog 4096
    http-request set-header Authorization "Bearer %(token)s"
    default_backend origin
backend origin
    server o1 %(host)s:%(origin)d pool-max-conn 2048
"""

BEARWARD = """
[admin]
listen = "off"
[store]
kind = "memory"
[log]
level = "warn"
[runtime]
workers = 1
[limits]
connections = 2048
[providers.bench]
grant_type = "client_credentials"
token_endpoint = "http://%(host)s:%(token_port)d/token"
token_endpoint_auth_method = "client_secret_post"
client_id = "%(client_id)s"
client_secret = { env = "BENCH_CLIENT_SECRET" }
[routes.bench]
listen = "%(host)s:%(port)d"
upstream = "http://%(host)s:%(origin)d"
provider = "bench"
"""


def tool(name):
    """Where a program is: as its variable says (NGINX, WRK…), else on the path."""
    return os.environ.get(name.upper()) or shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def installed(bearward):
    """Name and way to start of every proxy that is there: (folder, settings) -> argv."""
    proxies = {"bearward": lambda folder, values: [bearward, "run", "-c", write(folder, "bearward.toml", BEARWARD, values)]}
    if nginx := tool("nginx"):
        proxies["nginx"] = lambda folder, values: run_nginx(nginx, folder, "nginx.conf", NGINX, values)
    if haproxy := tool("haproxy"):
        proxies["haproxy"] = lambda folder, values: [haproxy, "-db", "-f", write(folder, "haproxy.cfg", HAPROXY, values)]
    if envoy := tool("envoy"):
        proxies["envoy"] = lambda folder, values: [
            envoy, "-c", write_text(folder, "envoy.json", json.dumps(envoy_config(values))), "--concurrency", "1",
            "-l", "error", "--disable-hot-restart"]
    return proxies


def origin(folder, values):
    """The API behind all proxies: nginx, which is fast enough for any of them. It wants the token."""
    return run_nginx(tool("nginx"), folder, "origin.conf", ORIGIN, values)


def token_endpoint():
    """A token endpoint that always gives the same token."""
    return [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "token_endpoint.py"), TOKEN]


def run_nginx(nginx, folder, name, template, values):
    return [nginx, "-p", folder, "-e", name + ".err", "-c", write(folder, name, template, values)]


def write(folder, name, template, values):
    return write_text(folder, name, template % values)


def write_text(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def settings(origin_port, token_port):
    body = json.dumps({"id": 1, "items": ["a" * 230]})
    user = "root" if os.geteuid() == 0 else "nobody"
    return {"host": HOST, "user": user, "token": TOKEN, "body": body, "origin": origin_port, "token_port": token_port,
            "client_id": CLIENT_ID}


def envoy_config(values):
    address = lambda port: {"socket_address": {"address": HOST, "port_value": port}}
    kind = lambda name: "type.googleapis.com/envoy.extensions." + name
    credential = {
        "name": "envoy.http.injected_credentials.generic",
        "typed_config": {"@type": kind("http.injected_credentials.generic.v3.Generic"), "credential": {"name": "credential"}},
    }
    filters = [
        {"name": "envoy.filters.http.credential_injector",
         "typed_config": {"@type": kind("filters.http.credential_injector.v3.CredentialInjector"), "overwrite": True,
                          "credential": credential}},
        {"name": "envoy.filters.http.router", "typed_config": {"@type": kind("filters.http.router.v3.Router")}},
    ]
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "origin", "timeout": "0s"}}]
    manager = {
        "@type": kind("filters.network.http_connection_manager.v3.HttpConnectionManager"), "stat_prefix": "in",
        "generate_request_id": False, "http_filters": filters,
        "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]},
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    most = {"max_connections": 8192, "max_pending_requests": 8192, "max_requests": 8192}
    endpoint = {"endpoint": {"address": address(values["origin"])}}
    cluster = {
        "name": "origin", "type": "STATIC", "connect_timeout": "5s", "circuit_breakers": {"thresholds": [most]},
        "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    secret = {"name": "credential", "generic_secret": {"secret": {"inline_string": "Bearer " + values["token"]}}}
    listener = {"name": "in", "address": address(values["port"]), "tcp_backlog_size": 4096, "filter_chains": [chain]}
    return {"static_resources": {"secrets": [secret], "listeners": [listener], "clusters": [cluster]}}
