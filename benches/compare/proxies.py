"""The proxies that are compared, each with a configuration that does what bearward does."""
import json

import envoy
from process import tool, write

CLIENT_ID, CLIENT_SECRET = "bench", "bench-secret"

NGINX = """
daemon off; user %(user)s; worker_processes 1; pid nginx.pid; error_log nginx.err warn; worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
  access_log off; tcp_nodelay on; keepalive_timeout 300s; keepalive_requests 1000000000; client_max_body_size 0;
  client_body_temp_path n1; proxy_temp_path n2; fastcgi_temp_path n3; uwsgi_temp_path n4; scgi_temp_path n5;
  upstream origin { server %(host)s:%(origin)d; keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 300s; }
  server {
    listen %(host)s:%(port)d %(listen)s backlog=4096;
    location / {
      proxy_pass %(scheme)s://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer %(token)s"; proxy_request_buffering off; proxy_max_temp_file_size 0;
      %(tls)s
    }
  }
}
"""

NGINX_TLS = """
      proxy_ssl_verify on; proxy_ssl_trusted_certificate "%(ca)s"; proxy_ssl_name localhost; proxy_ssl_server_name on;
      proxy_ssl_protocols TLSv1.3;
"""

# More connections than are used: with a fifth of its descriptors in use, HAProxy closes idle connections to servers.
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
    bind %(host)s:%(port)d %(listen)s backlog 4096
    http-request set-header Authorization "Bearer %(token)s"
    default_backend origin
backend origin
    server o1 %(host)s:%(origin)d %(tls)s pool-max-conn 2048
"""

HAPROXY_TLS = 'ssl verify required ca-file "%(ca)s" sni str(localhost) alpn %(alpn)s'

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
upstream = "%(scheme)s://%(host)s:%(origin)d"
provider = "bench"
%(tls)s
"""

BEARWARD_TLS = 'ca_file = "%(ca)s"'


def installed(bearward, kind):
    """The installed proxies that can do this kind, by name, each with the function that makes its command line."""
    found = {"bearward": lambda folder, values: run_bearward(bearward, kind, folder, values)}
    # nginx as packaged speaks no HTTP/2 to an origin.
    if kind.out != "https-h2" and (nginx := tool("nginx")):
        found["nginx"] = lambda folder, values: run_nginx(nginx, kind, folder, values)
    if haproxy := tool("haproxy"):
        found["haproxy"] = lambda folder, values: run_haproxy(haproxy, kind, folder, values)
    if binary := tool("envoy"):
        found["envoy"] = lambda folder, values: run_envoy(binary, kind, folder, values)
    return found


def run_bearward(bearward, kind, folder, values):
    # It accepts HTTP/2 from clients, and negotiates it by ALPN, without settings.
    values = dict(settings(kind, values), client_id=CLIENT_ID, tls=BEARWARD_TLS % values if kind.tls else "")
    return [bearward, "run", "-c", write(folder, "bearward.toml", BEARWARD % values)]


def run_nginx(nginx, kind, folder, values):
    values = dict(settings(kind, values), listen="http2" if kind.h2_in else "", tls=NGINX_TLS % values if kind.tls else "")
    return [nginx, "-p", folder, "-e", "nginx.err", "-c", write(folder, "nginx.conf", NGINX % values)]


def run_haproxy(haproxy, kind, folder, values):
    alpn = "h2" if kind.out == "https-h2" else "http/1.1"
    tls = HAPROXY_TLS % dict(values, alpn=alpn) if kind.tls else ""
    values = dict(settings(kind, values), listen="proto h2" if kind.h2_in else "", tls=tls)
    return [haproxy, "-db", "-f", write(folder, "haproxy.cfg", HAPROXY % values)]


def run_envoy(binary, kind, folder, values):
    text = json.dumps(envoy.configuration(kind, settings(kind, values)))
    return [binary, "-c", write(folder, "envoy.json", text), "--concurrency", "1", "-l", "error", "--disable-hot-restart"]


def settings(kind, values):
    """The settings of all proxies."""
    return dict(values, origin=values[kind.out], scheme="https" if kind.tls else "http")
