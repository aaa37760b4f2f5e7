//! The vendors' dialects: the method, the place and the exact parameters of each request.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use crate::support::wire::Request;

/// The client secret that every confidential client has.
pub const CLIENT_SECRET: &str = "canary-secret-4c1d";
/// The email of the account that can sign in.
pub const EMAIL: &str = "svc@example.com";
/// The account's password.
pub const PASSWORD: &str = "canary-password-90be";
/// The client's id.
pub const CLIENT_ID: &str = "bearward-under-test";

/// A vendor's dialect of OAuth 2.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Client credentials in a form.
    Hapn,
    /// Authorization code with PKCE, for a client with a secret in the form.
    Happeo,
    /// Authorization code with PKCE, for a public client.
    HappeoPublic,
    /// Authorization code without PKCE, with a secret in the form.
    HappyrMatch,
    /// Authorization code with PKCE; token requests are GETs; the code is in `authorization_code`; a sign-in endpoint.
    Feeling,
}

/// A request, parsed.
#[derive(Debug)]
pub enum ServerRequest {
    /// A consent redirect, or a sign-in.
    Consent {
        redirect_uri: String,
        state: String,
        challenge: Option<String>,
        headless: bool,
    },
    /// The exchange of a code.
    Exchange {
        code: String,
        redirect_uri: Option<String>,
        verifier: Option<String>,
    },
    /// A refresh.
    Refresh { refresh_token: String },
    /// Client credentials.
    Credentials,
    /// The revocation of a refresh token.
    Revoke { token: String },
}

type Parameters = BTreeMap<String, String>;

impl Dialect {
    /// The name of the preset.
    pub fn preset(self) -> &'static str {
        match self {
            Self::Hapn => "hapn",
            Self::Happeo | Self::HappeoPublic => "happeo",
            Self::HappyrMatch => "happyrmatch",
            Self::Feeling => "feeling",
        }
    }

    /// The callback's parameter that carries the code.
    pub fn code_parameter(self) -> &'static str {
        if self == Self::Feeling {
            "authorization_code"
        } else {
            "code"
        }
    }

    fn has_secret(self) -> bool {
        matches!(self, Self::Hapn | Self::Happeo | Self::HappyrMatch)
    }

    fn pkce(self) -> bool {
        matches!(self, Self::Happeo | Self::HappeoPublic | Self::Feeling)
    }

    fn paths(self) -> (&'static str, &'static str) {
        match self {
            Self::Hapn => ("/no/consent/here", "/oauth2/token"),
            Self::Happeo | Self::HappeoPublic | Self::HappyrMatch => {
                ("/oauth/authorize", "/oauth/token")
            }
            Self::Feeling => ("/authorize", "/token"),
        }
    }

    /// Parses `request`.
    ///
    /// # Errors
    /// The difference from the vendor's documentation.
    pub fn parse(self, request: &Request) -> Result<ServerRequest, String> {
        let target = request.head.target();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (authorize, token) = self.paths();
        match path {
            _ if path == authorize => self.consent(&from_query(request, query)?, false),
            "/sign-in" if self == Self::Feeling => self.consent(&from_json(request, query)?, true),
            _ if path == token => self.token(request, query),
            "/oauth/revoke" => self.revocation(&from_form(request, query)?),
            _ => Err(format!("{self:?} has no {path}")),
        }
    }

    fn consent(self, parameters: &Parameters, headless: bool) -> Result<ServerRequest, String> {
        let mut required = vec!["client_id", "redirect_uri", "response_type", "state"];
        if self.pkce() {
            required.extend(["code_challenge", "code_challenge_method"]);
        }
        if headless {
            required.extend(["email", "password"]);
        }
        let optional: &[&str] = if self == Self::Feeling {
            &[]
        } else {
            &["scope"]
        };
        exactly(parameters, &required, optional)?;
        is(parameters, "client_id", CLIENT_ID)?;
        is(parameters, "response_type", "code")?;
        let state = parameters["state"].clone();
        if self.pkce() {
            is(parameters, "code_challenge_method", "S256")?;
            if parameters["code_challenge"].len() != 43 {
                return Err(format!(
                    "a challenge of {} characters",
                    parameters["code_challenge"].len()
                ));
            }
        }
        if headless {
            is(parameters, "email", EMAIL)?;
            is(parameters, "password", PASSWORD)?;
            if state.len() != 10 {
                return Err(format!(
                    "a state of {} characters at the sign-in",
                    state.len()
                ));
            }
        } else if state.len() < 43 {
            return Err(format!("a state of {} characters", state.len()));
        }
        let challenge = parameters.get("code_challenge").cloned();
        Ok(ServerRequest::Consent {
            redirect_uri: parameters["redirect_uri"].clone(),
            state,
            challenge,
            headless,
        })
    }

    fn token(self, request: &Request, query: &str) -> Result<ServerRequest, String> {
        let parameters = if self == Self::Feeling {
            from_query(request, query)?
        } else {
            from_form(request, query)?
        };
        let grant = parameters
            .get("grant_type")
            .map(String::as_str)
            .unwrap_or_default();
        let mut required = vec!["grant_type"];
        // Feeling's refresh names no client; its exchange of a code does.
        if self != Self::Feeling || grant == "authorization_code" {
            required.push("client_id");
        }
        if self.has_secret() {
            required.push("client_secret");
        }
        match grant {
            "client_credentials" if self == Self::Hapn => {}
            "refresh_token" if self != Self::Hapn => required.push("refresh_token"),
            "authorization_code" if self != Self::Hapn => {
                required.push("code");
                if self.pkce() {
                    required.push("code_verifier");
                }
                if self != Self::Feeling {
                    required.push("redirect_uri");
                }
            }
            other => return Err(format!("{self:?} has no grant {other:?}")),
        }
        exactly(&parameters, &required, &[])?;
        self.client(&parameters)?;
        let of = |name: &str| parameters.get(name).cloned();
        Ok(match grant {
            "client_credentials" => ServerRequest::Credentials,
            "refresh_token" => ServerRequest::Refresh {
                refresh_token: of("refresh_token").unwrap_or_default(),
            },
            _ => ServerRequest::Exchange {
                code: of("code").unwrap_or_default(),
                redirect_uri: of("redirect_uri"),
                verifier: of("code_verifier"),
            },
        })
    }

    fn revocation(self, parameters: &Parameters) -> Result<ServerRequest, String> {
        let mut required = vec!["token", "client_id"];
        if self.has_secret() {
            required.push("client_secret");
        }
        exactly(parameters, &required, &["token_type_hint"])?;
        self.client(parameters)?;
        Ok(ServerRequest::Revoke {
            token: parameters["token"].clone(),
        })
    }

    fn client(self, parameters: &Parameters) -> Result<(), String> {
        if parameters.contains_key("client_id") {
            is(parameters, "client_id", CLIENT_ID)?;
        }
        if self.has_secret() {
            is(parameters, "client_secret", CLIENT_SECRET)
        } else {
            Ok(())
        }
    }
}

/// RFC 7636 §4.2, S256.
pub fn challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// A GET with everything in the query.
fn from_query(request: &Request, query: &str) -> Result<Parameters, String> {
    method(request, "GET")?;
    if !request.body.is_empty() {
        return Err("a GET with a body".into());
    }
    parse(query.as_bytes())
}

/// A POST of a form, with nothing in the query.
fn from_form(request: &Request, query: &str) -> Result<Parameters, String> {
    method(request, "POST")?;
    kind(request, "application/x-www-form-urlencoded")?;
    nothing_in(query)?;
    parse(&request.body)
}

/// A POST of a JSON object of strings, with nothing in the query.
fn from_json(request: &Request, query: &str) -> Result<Parameters, String> {
    method(request, "POST")?;
    kind(request, "application/json")?;
    nothing_in(query)?;
    let body: Value = serde_json::from_slice(&request.body).map_err(|error| error.to_string())?;
    let members = body.as_object().ok_or("no JSON object")?;
    let text = |(name, value): (&String, &Value)| {
        value
            .as_str()
            .map(|value| (name.clone(), value.to_owned()))
            .ok_or(format!("{name} is no string"))
    };
    members.iter().map(text).collect()
}

fn method(request: &Request, wanted: &str) -> Result<(), String> {
    if request.head.method() == wanted {
        Ok(())
    } else {
        Err(format!("{} for {wanted}", request.head.method()))
    }
}

fn kind(request: &Request, wanted: &str) -> Result<(), String> {
    let kind = request.head.values("content-type").join(", ");
    if kind.split(';').next() == Some(wanted) {
        Ok(())
    } else {
        Err(format!("Content-Type {kind:?}"))
    }
}

fn nothing_in(query: &str) -> Result<(), String> {
    if query.is_empty() {
        Ok(())
    } else {
        Err("parameters in the query as well".into())
    }
}

fn parse(text: &[u8]) -> Result<Parameters, String> {
    let mut parameters = Parameters::new();
    for (name, value) in form_urlencoded::parse(text) {
        if parameters
            .insert(name.to_string(), value.into_owned())
            .is_some()
        {
            return Err(format!("{name} comes twice"));
        }
    }
    Ok(parameters)
}

/// Checks that all `required` names are there, and no others than those and `optional`.
fn exactly(parameters: &Parameters, required: &[&str], optional: &[&str]) -> Result<(), String> {
    if let Some(missing) = required
        .iter()
        .find(|name| !parameters.contains_key(**name))
    {
        return Err(format!("{missing} is missing"));
    }
    let known =
        |name: &&String| required.contains(&name.as_str()) || optional.contains(&name.as_str());
    match parameters.keys().find(|name| !known(name)) {
        Some(more) => Err(format!("{more} does not belong there")),
        None => Ok(()),
    }
}

fn is(parameters: &Parameters, name: &str, wanted: &str) -> Result<(), String> {
    let value = &parameters[name];
    if value == wanted {
        Ok(())
    } else {
        Err(format!("{name} is {value:?}"))
    }
}
