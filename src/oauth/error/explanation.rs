//! A failed request in words: what happened, where, and what to do next.
//!
//! There are two texts. Clients get one without a byte of what the server sent but its `error` code, and without
//! paths of this machine. Operators get the other one.

use std::fmt;

use super::{
    ErrorCode, Fault, ProxyFault, RequestFacts, ResponseFacts, TokenRequestError, refusal,
};

/// The beginning of a sentence about a response.
const RESPONDED: &str = "responded with";

/// The readers of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Clients of a route.
    Clients,
    /// People who may see log and status.
    Operators,
}

/// The text of an error.
pub(super) struct Explanation<'a> {
    pub(super) error: &'a TokenRequestError,
    pub(super) audience: Audience,
}

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let predicate = self.predicate();
        write!(f, "{} {predicate}", self.subject(&predicate))
    }
}

impl Explanation<'_> {
    fn request(&self) -> Option<&RequestFacts> {
        self.error.request_facts()
    }

    /// The facts of the response, for operators.
    fn response(&self) -> Option<&ResponseFacts> {
        let is_shown = self.audience == Audience::Operators;
        self.error.response_facts().filter(|_| is_shown)
    }

    /// Names a key with its table, such as `[providers.hapn.token_request] ca_file`.
    pub(super) fn key(&self, key: &str) -> String {
        let Some(request) = self.request() else {
            return format!("`{key}`");
        };
        let provider = &request.provider;
        match key.rsplit_once('.') {
            Some((table, key)) => format!("`[providers.{provider}.{table}] {key}`"),
            None => format!("`[providers.{provider}] {key}`"),
        }
    }

    /// The key of the endpoint and its address, or the request that got the response which is described.
    fn subject(&self, predicate: &str) -> String {
        let key = self.key(self.error.endpoint.as_str());
        let Some((request, url)) = self
            .request()
            .and_then(|one| Some((one, one.url.as_ref()?)))
        else {
            return key;
        };
        match self.response() {
            Some(_) if predicate.starts_with(RESPONDED) => format!("{} {url}", request.method),
            Some(_) => format!("{key} ({} {url})", request.method),
            None => format!("{key} ({})", url.origin().ascii_serialization()),
        }
    }

    fn predicate(&self) -> String {
        match &self.error.fault {
            Fault::Setup(reason) => format!("cannot be called: {reason}"),
            Fault::Unusable(reason) => format!("cannot be called: {reason}"),
            Fault::MissingVariable(missing) => format!(
                "cannot be called: {missing}; configure it in {}, or log in again if the login captures it",
                self.key("vars")
            ),
            Fault::NotCaptured { name, reason } => format!(
                "gave no value for {}: {reason}; check its settings, and log in again",
                self.key(&format!("capture.{name}"))
            ),
            Fault::Discovery(reason) => format!(
                "has no usable discovery document: {reason}; nothing was sent to its endpoints{}",
                self.response().map_or_else(String::new, |response| {
                    format!("; the last response was {}", outcome(response))
                })
            ),
            Fault::Dns => self.not_reached(format!("the host name {} is not found", self.host())),
            Fault::Connect => self.not_reached(self.connect_failure()),
            Fault::Timeout if self.error.is_possibly_sent => format!(
                "sent no complete response {}: check the server, or raise {}",
                self.in_time(),
                self.key("token_request.timeout")
            ),
            Fault::Timeout => self.not_reached(format!(
                "no connection to {} {}",
                self.address(),
                self.in_time()
            )),
            Fault::Tls(fault) => {
                let ca_file = self.key("token_request.ca_file");
                let with_dates = self.audience == Audience::Operators;
                let reason = fault.describe(&self.address(), &ca_file, with_dates);
                format!("has no working TLS: {reason}")
            }
            Fault::Proxy { proxy, fault } => self.proxy_failure(proxy, *fault),
            Fault::Protocol => {
                "sent no complete HTTP response: check the address, and the log of the server"
                    .to_owned()
            }
            Fault::Limited => {
                "limits requests (429 Too Many Requests): wait, and let fewer clients share the account"
                    .to_owned()
            }
            Fault::Server(status) => {
                format!("{}: see the log of the server", self.responded(*status))
            }
            Fault::Redirect(status) => self.redirect(*status),
            Fault::Refused(refused) => refusal::explain(*refused, self),
            Fault::Rejected { status, code } => self.rejection(*status, code.as_ref()),
            Fault::Temporary(status) => format!(
                "{} and an error that `error_map` calls temporary: wait",
                self.responded(*status)
            ),
            Fault::ApiBase(reason) => format!(
                "responded without a usable base of the API: {reason}; check {}",
                self.key("api_base")
            ),
            Fault::NotAToken(reason) => self.unusable("token", reason, "token_response"),
            Fault::NotACode(reason) => {
                self.unusable("code", reason, "authorization.code_parameter")
            }
            Fault::NotADeviceCode(reason) => {
                self.unusable("device code", reason, "token_request")
            }
            Fault::SignInRefused { code } => format!(
                "refused the sign-in{}: check {}, `password` and {}",
                code.as_ref()
                    .map_or_else(String::new, |code| format!(" with the error \"{code}\"")),
                self.key("sign_in.email"),
                self.key("client_id")
            ),
        }
    }

    fn not_reached(&self, what: String) -> String {
        let unused = self.request().and_then(|request| request.unused_proxy);
        let hint = unused.map_or_else(String::new, |variable| {
            format!(
                "{variable} is set and not used: set {}, or ",
                self.key("token_request.proxy")
            )
        });
        format!(
            "cannot be reached: {what}; {hint}check the address, the server and the network between"
        )
    }

    fn connect_failure(&self) -> String {
        let address = self.address();
        match self.error.connect_error() {
            Some(std::io::ErrorKind::ConnectionRefused) => format!("{address} refuses connections"),
            Some(kind) => format!("{address} accepts no connection ({kind})"),
            None => format!("{address} accepts no connection"),
        }
    }

    fn proxy_failure(&self, proxy: &str, fault: ProxyFault) -> String {
        let key = |name: &str| self.key(&format!("token_request.{name}"));
        let says = match fault {
            ProxyFault::NotFound => {
                format!("has a host name that is not found: check {}", key("proxy"))
            }
            ProxyFault::Connect => format!("accepts no connection: check {}", key("proxy")),
            ProxyFault::Timeout => format!("makes no connection in time: check {}", key("proxy")),
            ProxyFault::NoTunnel => format!(
                "does not open a connection to it: check {}, and the rules of the proxy",
                key("proxy")
            ),
            ProxyFault::NotAProxy => {
                format!("is no working HTTP proxy: check {}", key("proxy"))
            }
            ProxyFault::Credentials => format!(
                "responded with 407 Proxy Authentication Required: check {} and `password`",
                key("proxy.username")
            ),
        };
        format!("cannot be reached through the proxy {proxy}, which {says}")
    }

    fn redirect(&self, status: u16) -> String {
        let target = self
            .response()
            .and_then(|response| response.location.as_deref());
        let key = self.key(self.error.endpoint.as_str());
        match target {
            Some(target) => format!(
                "{}, a redirect to {target}, which is not followed: if that is right, configure it as {key}",
                self.responded(status)
            ),
            None => format!(
                "{}, a redirect, which is not followed: configure its target as {key}",
                self.responded(status)
            ),
        }
    }

    fn rejection(&self, status: u16, code: Option<&ErrorCode>) -> String {
        let with = code.map_or_else(
            || "no OAuth error code".to_owned(),
            |code| format!("the error \"{code}\""),
        );
        let key = self.key(self.error.endpoint.as_str());
        let advice = match (code, status) {
            (None, 404 | 405 | 410) => format!("is {key} right? check its path"),
            (None, 401 | 403) => format!(
                "check {key}, `client_id`, `client_secret` and `token_endpoint_auth_method`"
            ),
            _ => format!("check {key} and {}", self.key("token_request")),
        };
        format!("{} and {with}: {advice}", self.responded(status))
    }

    /// A success without what was asked for. A page is that of a login, a proxy or a firewall.
    fn unusable(&self, what: &str, reason: &str, settings: &str) -> String {
        let endpoint = self.key(self.error.endpoint.as_str());
        let Some(response) = self.response() else {
            return format!(
                "responded without a usable {what}: {reason}; check {endpoint} and {}",
                self.key(settings)
            );
        };
        let responded = self.responded(response.status.as_u16());
        if response.is_page {
            return format!(
                "{responded}: a proxy, a firewall or a login page responds in place of the server; check {endpoint}"
            );
        }
        if response.members.is_empty() {
            return format!(
                "{responded}, without a usable {what}: {reason}; check {endpoint} and {}",
                self.key(settings)
            );
        }
        let members: Vec<_> = response
            .members
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        let place = match settings {
            "token_response" => self.key("token_response.access_token"),
            other => self.key(other),
        };
        format!(
            "{responded}, without a usable {what}: {reason}; its members are {}: set {place}",
            members.join(", ")
        )
    }

    /// Says what came: the status, and for operators the kind of the body.
    fn responded(&self, status: u16) -> String {
        match self.response() {
            Some(response) => format!("{RESPONDED} {}", outcome(response)),
            None => match http::StatusCode::from_u16(status) {
                Ok(status) => format!("{RESPONDED} {}", shown(status)),
                Err(_) => format!("{RESPONDED} status {status}"),
            },
        }
    }

    fn in_time(&self) -> String {
        self.request().map_or_else(
            || "in time".to_owned(),
            |request| format!("within {}", humantime::format_duration(request.timeout)),
        )
    }

    fn host(&self) -> String {
        let url = self.request().and_then(|request| request.url.as_ref());
        let host = url.and_then(|url| url.host_str());
        host.map_or_else(|| "of its address".to_owned(), ToOwned::to_owned)
    }

    fn address(&self) -> String {
        let address = self.request().and_then(RequestFacts::address);
        address.unwrap_or_else(|| "the server".to_owned())
    }

    /// The place that the client's secret comes from. It is not for clients.
    pub(super) fn secret_origin(&self) -> Option<&str> {
        let is_shown = self.audience == Audience::Operators;
        let origin = self.request()?.secret_origin.as_deref();
        origin.filter(|_| is_shown)
    }

    pub(super) fn client_auth(&self) -> Option<crate::oauth::provider::ClientAuth> {
        Some(self.request()?.client_auth)
    }

    pub(super) fn scope(&self) -> Option<&str> {
        self.request()?.scope.as_deref()
    }

    pub(super) fn grant(&self) -> Option<&str> {
        self.error.grant()
    }
}

/// Names the status and the body, such as `404 Not Found (text/html, titled "Sign in")`.
fn outcome(response: &ResponseFacts) -> String {
    let status = shown(response.status);
    let kind = match (response.is_page, response.media_type.as_deref()) {
        (true, None) => Some("an HTML page"),
        (_, kind) => kind,
    };
    match (kind, &response.title) {
        (Some(kind), Some(title)) => format!("{status} ({kind}, titled {title:?})"),
        (Some(kind), None) => format!("{status} ({kind})"),
        (None, _) => status,
    }
}

fn shown(status: http::StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => format!("status {}", status.as_u16()),
    }
}
