//! Checks how a client authenticates itself.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::header::AUTHORIZATION;
use url::form_urlencoded::byte_serialize;

use super::{
    assertion,
    fixture::{Assertion, Auth},
    ledger::Ledger,
    request::{Parameters, Request},
};

/// RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The client as the vendor knows it.
pub(crate) struct Credentials<'a> {
    pub(crate) auth: Auth,
    pub(crate) id: Option<&'a str>,
    pub(crate) secret: Option<&'a str>,
    pub(crate) assertion: Option<&'a Assertion>,
    /// Whether `client_id` may be sent or left out.
    pub(crate) id_is_optional: bool,
    /// Whether the `authorization` field is for something else.
    pub(crate) has_own_authorization: bool,
}

impl Credentials<'_> {
    /// Removes the parameters of client authentication and pushes to `reasons` what is wrong with them.
    pub(crate) fn check(
        &self,
        request: &Request,
        parameters: &mut Parameters,
        ledger: &mut Ledger,
        reasons: &mut Vec<String>,
    ) {
        self.check_authorization(request, ledger, reasons);
        match self.auth {
            Auth::Post => {
                self.take("client_id", self.id, parameters, reasons);
                self.take("client_secret", self.secret, parameters, reasons);
            }
            Auth::None if self.id.is_some() => {
                self.take_id(!self.id_is_optional, parameters, reasons);
            }
            Auth::Jwt => {
                self.take_id(false, parameters, reasons);
                self.take(
                    "client_assertion_type",
                    Some(ASSERTION_TYPE),
                    parameters,
                    reasons,
                );
                match (parameters.remove("client_assertion"), self.assertion) {
                    (Some(token), Some(demanded)) => {
                        assertion::verify(&token, demanded, self.secret, ledger, reasons);
                    }
                    _ => reasons.push("no client_assertion".to_owned()),
                }
            }
            _ if self.id_is_optional => self.take_id(false, parameters, reasons),
            _ => {}
        }
    }

    fn take_id(&self, is_demanded: bool, parameters: &mut Parameters, reasons: &mut Vec<String>) {
        if is_demanded || parameters.contains_key("client_id") {
            self.take("client_id", self.id, parameters, reasons);
        }
    }

    fn take(
        &self,
        name: &str,
        demanded: Option<&str>,
        parameters: &mut Parameters,
        reasons: &mut Vec<String>,
    ) {
        let found = parameters.remove(name);
        match (found.as_deref(), demanded) {
            (None, Some(_)) => reasons.push(format!("no {name}")),
            (Some(found), Some(demanded)) if found != demanded => {
                reasons.push(format!("{name} is {found:?} in place of {demanded:?}"));
            }
            (Some(_), None) => reasons.push(format!("{name}, which the vendor does not know")),
            _ => {}
        }
    }

    fn check_authorization(
        &self,
        request: &Request,
        ledger: &mut Ledger,
        reasons: &mut Vec<String>,
    ) {
        let found = request.field(AUTHORIZATION.as_str());
        let demanded = match self.auth {
            Auth::Basic => Some(self.basic(|text| byte_serialize(text.as_bytes()).collect())),
            Auth::BasicRaw => Some(self.basic(str::to_owned)),
            Auth::JwtBearerHeader => {
                match (
                    found.and_then(|value| value.strip_prefix("Bearer ")),
                    self.assertion,
                ) {
                    (Some(token), Some(demanded)) => {
                        assertion::verify(token, demanded, self.secret, ledger, reasons);
                    }
                    _ => reasons.push("no JWT in authorization".to_owned()),
                }
                return;
            }
            Auth::Post | Auth::None | Auth::Jwt => None,
        };
        if found != demanded.as_deref() && !self.has_own_authorization {
            reasons.push(format!(
                "authorization is {} in place of {}",
                readable(found),
                readable(demanded.as_deref())
            ));
        }
    }

    fn basic(&self, encode: impl Fn(&str) -> String) -> String {
        let (id, secret) = (self.id.unwrap_or_default(), self.secret.unwrap_or_default());
        let pair = format!("{}:{}", encode(id), encode(secret));
        format!("Basic {}", STANDARD.encode(pair))
    }
}

/// A Basic value is decoded.
fn readable(value: Option<&str>) -> String {
    let Some(value) = value else {
        return "nothing".to_owned();
    };
    let decoded = value
        .strip_prefix("Basic ")
        .and_then(|pair| STANDARD.decode(pair).ok());
    match decoded {
        Some(pair) => format!("Basic ({})", String::from_utf8_lossy(&pair)),
        None => value.to_owned(),
    }
}
