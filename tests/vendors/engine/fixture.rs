//! The fixture of a vendor: what its servers accept and what they answer, as data.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

/// `tests/vendors/NAME.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fixture {
    /// The page that the fixture is written from.
    #[expect(dead_code, reason = "for readers, and demanded of every fixture")]
    pub(crate) source: String,
    /// The day it was read.
    #[expect(dead_code, reason = "for readers, and demanded of every fixture")]
    pub(crate) read: String,
    /// A configuration in place of the one on the vendor's page.
    pub(crate) operator: Option<String>,
    /// Variables for `{ env = … }` in the configuration.
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
    /// Values of the commands on the vendor's page that are no secrets.
    #[serde(default)]
    #[allow(dead_code, reason = "only the tests of the pages run their commands")]
    pub(crate) exports: BTreeMap<String, String>,
    /// Files for `{ file = … }`, by path and content. `{rsa_pem}`, `{ec_pem}`, `{certificate_pem}` and `{rsa_pem_json}`, the
    /// inside of a JSON string, stand for test keys.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// Every token request that is accepted.
    pub(crate) token: Vec<Token>,
    /// The consent request, where there is a login.
    pub(crate) authorize: Option<Authorize>,
    /// A login with an account, where the vendor has it beside the consent request.
    pub(crate) sign_in: Option<SignIn>,
    /// GETs of captured values.
    #[serde(default)]
    pub(crate) get: Vec<Get>,
    pub(crate) api: Api,
    /// The revocation at a logout, where there is one.
    pub(crate) revoke: Option<Revoke>,
    /// How the token endpoint refuses a dead refresh token.
    pub(crate) refused: Option<Refusal>,
}

/// A kind of token request that the vendor accepts, and its response.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    pub(crate) grant: Grant,
    /// Method and URL, without a query.
    pub(crate) request: Target,
    pub(crate) encoding: Encoding,
    pub(crate) auth: Auth,
    pub(crate) client_id: Option<String>,
    pub(crate) client_secret: Option<String>,
    /// Demanded fields; `*` is any value.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// Demanded parameters, without those of client authentication. `*` is any value; `{code}`, `{refresh_token}`,
    /// `{redirect_uri}`, `{code_verifier}` and `{access_token}` are the right one.
    #[serde(default)]
    pub(crate) params: BTreeMap<String, String>,
    /// Parameters that may come beside them, with any value. `{any}`: the vendor ignores unknown ones.
    #[serde(default)]
    pub(crate) optional: Vec<String>,
    pub(crate) status: u16,
    #[serde(default = "json_type")]
    pub(crate) content_type: String,
    /// The response. `{new_access_token}` and `{new_refresh_token}` are made, `{refresh_token}` repeats the one sent.
    pub(crate) body: String,
    #[serde(default)]
    pub(crate) rotation: Rotation,
    /// Whether the access tokens so far die.
    #[serde(default)]
    pub(crate) revokes_old_access_token: bool,
    /// The JWT of the client, or of the parameter `assertion` where that is demanded.
    pub(crate) assertion: Option<Assertion>,
}

/// What a token request presents.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Grant {
    /// The client's own credentials.
    Client,
    /// An authorization code.
    Exchange,
    /// A refresh token.
    Refresh,
}

/// Where the parameters of a request are.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Encoding {
    Form,
    Json,
    Query,
    /// A form or the query.
    Either,
}

/// How the client authenticates itself.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Auth {
    /// RFC 6749 §2.3.1: id and secret are form-encoded.
    Basic,
    /// Id and secret as they are.
    BasicRaw,
    Post,
    None,
    /// RFC 7523 §2.2: `client_assertion`.
    Jwt,
    /// A JWT in `Authorization: Bearer`.
    JwtBearerHeader,
}

/// What becomes of a refresh token that was used.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rotation {
    /// It is dead.
    #[default]
    New,
    /// It stays the only one.
    Same,
    /// It stays good beside the new one.
    Grace,
}

/// The JWT that the vendor demands.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Assertion {
    pub(crate) alg: String,
    /// Members of its header; `*` is any value.
    #[serde(default)]
    pub(crate) header: BTreeMap<String, String>,
    /// `*` is any value.
    #[serde(default)]
    pub(crate) claims: BTreeMap<String, serde_json::Value>,
    /// From `iat` to `exp`, in seconds.
    pub(crate) max_lifetime: u64,
    /// The key that it is signed with.
    pub(crate) key: KeyKind,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyKind {
    Rsa,
    Ec,
    /// The client secret.
    Secret,
}

/// The consent request and the redirect that follows it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Authorize {
    pub(crate) request: Target,
    pub(crate) params: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) optional: Vec<String>,
    /// All parameters of the redirect, with `{code}` and `{state}`.
    pub(crate) callback: BTreeMap<String, String>,
    /// Whether the exchange has to prove the challenge (RFC 7636).
    #[serde(default)]
    pub(crate) pkce: bool,
}

/// A login with an account and its response, both in JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    pub(crate) request: Target,
    pub(crate) params: BTreeMap<String, String>,
    /// All members of the response, with `{code}` and `{state}`.
    pub(crate) response: BTreeMap<String, String>,
}

/// The response to a GET with the new token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Get {
    pub(crate) request: Target,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// One call of the client through the sidecar.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Api {
    /// What the client sends: method and path.
    pub(crate) send: String,
    /// What the API must see, with the query.
    pub(crate) arrives: Target,
    /// Demanded fields; `*` is any value, `{access_token}` the newest token.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// How the API refuses a dead token; left out where a refusal is not tried.
    pub(crate) refusal: Option<Refusal>,
}

/// A revocation and its response. Client id and secret are those of the first `[[token]]` that has them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revoke {
    pub(crate) request: Target,
    pub(crate) encoding: Encoding,
    pub(crate) auth: Auth,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) params: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) optional: Vec<String>,
    pub(crate) status: u16,
    #[serde(default = "json_type")]
    pub(crate) content_type: String,
    pub(crate) body: String,
}

/// The response to a dead token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    #[serde(default = "json_type")]
    pub(crate) content_type: String,
    #[serde(default)]
    pub(crate) body: String,
}

/// `POST https://…`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub(crate) struct Target {
    pub(crate) method: String,
    pub(crate) url: String,
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text
            .split_once(' ')
            .and_then(|(method, url)| Some((method, url.strip_prefix("https://")?)));
        let Some((method, rest)) = parts else {
            return Err(format!("{text:?} is not a method and an https URL"));
        };
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Ok(Self {
            method: method.to_owned(),
            // A host has no case.
            url: format!("https://{}{path}", host.to_lowercase()),
        })
    }
}

fn json_type() -> String {
    "application/json".to_owned()
}

impl Fixture {
    /// Reads a fixture from its TOML text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let fixture: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if fixture.token.is_empty() {
            return Err("no [[token]]".to_owned());
        }
        let is_exchanged = fixture
            .token
            .iter()
            .any(|token| token.grant == Grant::Exchange);
        if is_exchanged != fixture.authorize.is_some() {
            return Err("[authorize] and an exchange belong together".to_owned());
        }
        Ok(fixture)
    }

    /// The operator's configuration: the fixture's own, or the block of the page `docs/providers/NAME.md`.
    pub(crate) fn configuration(&self, name: &str, root: &Path) -> Result<String, String> {
        if let Some(operator) = &self.operator {
            return Ok(operator.clone());
        }
        let path = root.join(format!("docs/providers/{name}.md"));
        let page =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut blocks = page.split("```toml\n").skip(1);
        let (Some(block), None) = (blocks.next(), blocks.next()) else {
            return Err(format!("{}: not exactly one TOML block", path.display()));
        };
        let (block, _) = block.split_once("```").ok_or("a block without an end")?;
        Ok(block.to_owned())
    }

    /// Whether a new token can be had without a person.
    pub(crate) fn is_renewable(&self) -> bool {
        self.authorize.is_none() || self.token.iter().any(|token| token.grant == Grant::Refresh)
    }
}
