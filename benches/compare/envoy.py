"""Envoy's configuration."""
from process import HOST


def configuration(kind, values):
    """One listener and one cluster; `credential_injector` adds the token."""
    secret = {"name": "credential", "generic_secret": {"secret": {"inline_string": "Bearer " + values["token"]}}}
    return {"static_resources": {"secrets": [secret], "listeners": [listener(values)], "clusters": [cluster(kind, values)]}}


def listener(values):
    """The first bytes decide on the codec: HTTP/2 needs no setting."""
    injected = {
        "name": "envoy.http.injected_credentials.generic",
        "typed_config": {**typed("http.injected_credentials.generic.v3.Generic"), "credential": {"name": "credential"}},
    }
    filters = [
        {"name": "envoy.filters.http.credential_injector",
         "typed_config": {**typed("filters.http.credential_injector.v3.CredentialInjector"), "overwrite": True,
                          "credential": injected}},
        {"name": "envoy.filters.http.router", "typed_config": typed("filters.http.router.v3.Router")},
    ]
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "origin", "timeout": "0s"}}]
    manager = {
        **typed("filters.network.http_connection_manager.v3.HttpConnectionManager"), "stat_prefix": "in",
        "generate_request_id": False, "http_filters": filters,
        "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]},
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {"name": "in", "address": address(values["port"]), "tcp_backlog_size": 4096, "filter_chains": [chain]}


def cluster(kind, values):
    most = {"max_connections": 8192, "max_pending_requests": 8192, "max_requests": 8192}
    endpoint = {"endpoint": {"address": address(values["origin"])}}
    found = {
        "name": "origin", "type": "STATIC", "connect_timeout": "5s", "circuit_breakers": {"thresholds": [most]},
        "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    if kind.tls:
        found["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": tls(values)}
    if kind.out == "https-h2":
        # As ALPN decides.
        both = {"http_protocol_options": {}, "http2_protocol_options": {}}
        found["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                **typed("upstreams.http.v3.HttpProtocolOptions"), "auto_config": both}}
    return found


def tls(values):
    """Without a name to match, Envoy accepts a certificate of the authority for any host; without a version, TLS 1.2."""
    version = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}
    name = {"san_type": "DNS", "matcher": {"exact": "localhost"}}
    trusted = {"trusted_ca": {"filename": values["ca"]}, "match_typed_subject_alt_names": [name]}
    return {**typed("transport_sockets.tls.v3.UpstreamTlsContext"), "sni": "localhost",
            "common_tls_context": {"tls_params": version, "validation_context": trusted}}


def address(port):
    return {"socket_address": {"address": HOST, "port_value": port}}


def typed(name):
    return {"@type": "type.googleapis.com/envoy.extensions." + name}
