//! The vendor's servers, all hosts of them: they accept what the fixture lists, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard},
};

use super::{
    credentials::Credentials,
    demands::{Demands, inside},
    fixture::{Auth, Encoding, Fixture, Grant, Refusal, Revoke, Rotation, SignIn, Token},
    ledger::{CANARY, Ledger, Life},
    request::{Parameters, Request, Response},
};

/// What an accepted API request gets.
const API_BODY: &str = r#"{"ok":true,"success":true}"#;

/// A fake vendor.
pub(crate) struct Fake {
    fixture: Fixture,
    /// What `{redirect_uri}` stands for.
    redirect_uri: String,
    /// Where the consent leads back to.
    callback: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ledger: Ledger,
    /// Each request that the vendor would refuse, and why.
    mismatches: Vec<String>,
    /// Entries of the fixture that were used.
    used: BTreeSet<String>,
    counts: Counts,
    /// Whether the test has killed the access tokens.
    awaits_dead_access_token: bool,
    awaits_dead_refresh_token: bool,
}

/// How often something was accepted, or refused as the test awaits it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counts {
    pub(crate) tokens: u32,
    pub(crate) api_calls: u32,
    pub(crate) dead_access_tokens: u32,
    pub(crate) dead_refresh_tokens: u32,
    pub(crate) revocations: u32,
    pub(crate) gets: u32,
}

impl Fake {
    pub(crate) fn new(fixture: Fixture, redirect_uri: String, callback: String) -> Self {
        let mut state = State::default();
        // A refresh token that is given to the operator.
        for token in &fixture.token {
            if let Some(given) = token.params.get("refresh_token")
                && !given.starts_with('{')
            {
                state.ledger.adopt_refresh_token(given);
            }
        }
        Self {
            fixture,
            redirect_uri,
            callback,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn fixture(&self) -> &Fixture {
        &self.fixture
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Every request so far that the vendor would refuse.
    pub(crate) fn mismatches(&self) -> Vec<String> {
        self.state().mismatches.clone()
    }

    /// Records a connection that was no request to this vendor.
    pub(crate) fn note_broken_connection(&self, problem: &str) {
        self.state().mismatches.push(problem.to_owned());
    }

    /// Lets every access token die.
    pub(crate) fn kill_access_tokens(&self) {
        let mut state = self.state();
        state.ledger.kill_access_tokens();
        state.awaits_dead_access_token = true;
    }

    /// Lets every refresh token die, as when the user disconnects the app.
    pub(crate) fn kill_refresh_tokens(&self) {
        let mut state = self.state();
        state.ledger.kill_refresh_tokens();
        state.awaits_dead_refresh_token = true;
    }

    /// Entries that no request has used.
    pub(crate) fn unused(&self) -> Vec<String> {
        let fixture = &self.fixture;
        let mut entries: Vec<String> = (0..fixture.token.len()).map(token_entry).collect();
        entries.extend((0..fixture.get.len()).map(get_entry));
        let rest = [
            ("[authorize]", fixture.authorize.is_some()),
            ("[api]", true),
            (
                "[api] refusal",
                fixture.api.refusal.is_some() && fixture.is_renewable(),
            ),
            ("[revoke]", fixture.revoke.is_some()),
            ("[refused]", fixture.refused.is_some()),
        ];
        entries.extend(
            rest.iter()
                .filter(|(_, exists)| *exists)
                .map(|(entry, _)| (*entry).to_owned()),
        );
        let state = self.state();
        entries.retain(|entry| !state.used.contains(entry));
        entries
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with the state")
    }

    /// The response to `request`.
    pub(crate) fn answer(&self, request: &Request) -> Response {
        let state = &mut *self.state();
        let fixture = &self.fixture;
        let answer = if let Some(authorize) = &fixture.authorize
            && request.is_to(&authorize.request)
        {
            self.consent(request, state)
        } else if let Some(sign_in) = &fixture.sign_in
            && request.is_to(&sign_in.request)
        {
            self.sign_in(sign_in, request, state)
        } else if fixture
            .token
            .iter()
            .any(|token| request.is_to(&token.request))
        {
            self.token(request, state)
        } else if let Some(revoke) = &fixture.revoke
            && request.is_to(&revoke.request)
        {
            self.revoke(revoke, request, state)
        } else if request.is_to(&fixture.api.arrives) {
            self.api(request, state)
        } else {
            self.get(request, state)
        };
        answer.unwrap_or_else(|reasons| {
            let mismatch = format!(
                "{} {}: {}",
                request.method,
                request.url,
                reasons.join("; ")
            );
            let body = serde_json::json!({ "error": "refused_by_the_fake", "error_description": mismatch });
            state.mismatches.push(mismatch);
            Response::json(400, body.to_string())
        })
    }

    fn consent(&self, request: &Request, state: &mut State) -> Result<Response, Vec<String>> {
        let authorize = self.fixture.authorize.as_ref().ok_or_else(Vec::new)?;
        let mut reasons = Vec::new();
        let parameters = request.parameters(Encoding::Query, &mut reasons);
        self.demands(state).check_parameters(
            &authorize.params,
            &authorize.optional,
            &parameters,
            &mut reasons,
        );
        accepted(reasons)?;
        state.used.insert("[authorize]".to_owned());
        let challenge = parameters.get("code_challenge").filter(|_| authorize.pkce);
        let code = state.ledger.new_code(challenge.cloned());
        let sent = parameters.get("state").map_or("", String::as_str);
        let callback = authorize.callback.iter().map(|(name, value)| {
            (
                name,
                value.replace("{code}", &code).replace("{state}", sent),
            )
        });
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(callback)
            .finish();
        Ok(Response {
            status: 302,
            content_type: "text/html".to_owned(),
            location: Some(format!("{}?{query}", self.callback)),
            body: String::new(),
        })
    }

    fn sign_in(
        &self,
        sign_in: &SignIn,
        request: &Request,
        state: &mut State,
    ) -> Result<Response, Vec<String>> {
        let mut reasons = Vec::new();
        let parameters = request.parameters(Encoding::Json, &mut reasons);
        self.demands(state)
            .check_parameters(&sign_in.params, &[], &parameters, &mut reasons);
        accepted(reasons)?;
        let code = state
            .ledger
            .new_code(parameters.get("code_challenge").cloned());
        let sent = parameters.get("state").map_or("", String::as_str);
        let members = sign_in.response.iter().map(|(name, value)| {
            let value = value.replace("{code}", &code).replace("{state}", sent);
            (name.clone(), value.into())
        });
        let body = serde_json::Value::Object(members.collect());
        Ok(Response::json(200, body.to_string()))
    }

    fn token(&self, request: &Request, state: &mut State) -> Result<Response, Vec<String>> {
        let candidates = self.fixture.token.iter().enumerate();
        let mut fewest: Option<Vec<String>> = None;
        for (index, token) in candidates.filter(|(_, token)| request.is_to(&token.request)) {
            let mut reasons = Vec::new();
            let parameters = self.check_token_request(token, request, state, &mut reasons);
            if reasons.is_empty() {
                return self.issue(index, token, &parameters, state);
            }
            let name = format!("as grant = {:?}", token.grant);
            reasons.insert(0, name);
            if fewest
                .as_ref()
                .is_none_or(|fewest| reasons.len() < fewest.len())
            {
                fewest = Some(reasons);
            }
        }
        Err(fewest.unwrap_or_default())
    }

    fn check_token_request(
        &self,
        token: &Token,
        request: &Request,
        state: &mut State,
        reasons: &mut Vec<String>,
    ) -> Parameters {
        let all = request.parameters(token.encoding, reasons);
        let mut parameters = all.clone();
        let credentials = Credentials {
            auth: token.auth,
            id: token.client_id.as_deref(),
            secret: token.client_secret.as_deref(),
            assertion: token.assertion.as_ref(),
            id_is_optional: token.optional.iter().any(|name| name == "client_id"),
            has_own_authorization: has_authorization(&token.headers),
        };
        credentials.check(request, &mut parameters, &mut state.ledger, reasons);
        self.demands(state)
            .check_fields(&token.headers, request, reasons);
        self.demands(state)
            .check_parameters(&token.params, &token.optional, &parameters, reasons);
        // An assertion that is the grant itself.
        if token.params.contains_key("assertion")
            && let (Some(demanded), Some(sent)) = (&token.assertion, parameters.get("assertion"))
        {
            let secret = token.client_secret.as_deref();
            super::assertion::verify(sent, demanded, secret, &mut state.ledger, reasons);
        }
        all
    }

    /// A token response, unless the code or the refresh token is dead.
    fn issue(
        &self,
        index: usize,
        token: &Token,
        parameters: &Parameters,
        state: &mut State,
    ) -> Result<Response, Vec<String>> {
        let sent = parameters.get("refresh_token").map_or("", String::as_str);
        match token.grant {
            Grant::Client => {}
            Grant::Exchange => {
                let code = parameters.get("code").map_or("", String::as_str);
                state.ledger.use_code(code);
            }
            Grant::Refresh => match state.ledger.refresh_token(sent) {
                Life::Live => {}
                Life::Dead if state.awaits_dead_refresh_token => {
                    state.counts.dead_refresh_tokens += 1;
                    state.used.insert("[refused]".to_owned());
                    return Ok(refusal(self.fixture.refused.as_ref()));
                }
                Life::Dead => return Err(vec!["a dead refresh token".to_owned()]),
                Life::Unknown => return Err(vec![format!("an unknown refresh token, {sent:?}")]),
            },
        }
        state.used.insert(token_entry(index));
        state.counts.tokens += 1;
        if token.revokes_old_access_token {
            state.ledger.kill_access_tokens();
        }
        let mut body = token.body.clone();
        if body.contains("{new_refresh_token}") {
            if token.grant == Grant::Refresh && token.rotation == Rotation::New {
                state.ledger.kill_refresh_token(sent);
            }
            body = body.replace("{new_refresh_token}", &state.ledger.new_refresh_token());
        }
        let body = body
            .replace("{refresh_token}", sent)
            .replace("{new_access_token}", &state.ledger.new_access_token());
        Ok(Response {
            content_type: token.content_type.clone(),
            ..Response::json(token.status, body)
        })
    }

    fn revoke(
        &self,
        revoke: &Revoke,
        request: &Request,
        state: &mut State,
    ) -> Result<Response, Vec<String>> {
        let mut reasons = Vec::new();
        let mut parameters = request.parameters(revoke.encoding, &mut reasons);
        let client = self
            .fixture
            .token
            .iter()
            .find(|token| token.client_id.is_some());
        let credentials = Credentials {
            auth: revoke.auth,
            id: client
                .and_then(|client| client.client_id.as_deref())
                .filter(|_| revoke.auth != Auth::None),
            secret: client.and_then(|client| client.client_secret.as_deref()),
            assertion: client.and_then(|client| client.assertion.as_ref()),
            id_is_optional: false,
            has_own_authorization: has_authorization(&revoke.headers),
        };
        credentials.check(request, &mut parameters, &mut state.ledger, &mut reasons);
        self.demands(state)
            .check_fields(&revoke.headers, request, &mut reasons);
        self.demands(state).check_parameters(
            &revoke.params,
            &revoke.optional,
            &parameters,
            &mut reasons,
        );
        let is_dead = |token: &String| state.ledger.refresh_token(token) == Life::Dead;
        if parameters.values().any(is_dead) {
            reasons.push("a dead refresh token".to_owned());
        }
        accepted(reasons)?;
        state.used.insert("[revoke]".to_owned());
        state.counts.revocations += 1;
        state.ledger.kill_access_tokens();
        state.ledger.kill_refresh_tokens();
        Ok(Response {
            content_type: revoke.content_type.clone(),
            ..Response::json(revoke.status, revoke.body.as_str())
        })
    }

    fn api(&self, request: &Request, state: &mut State) -> Result<Response, Vec<String>> {
        let api = &self.fixture.api;
        let mut reasons = Vec::new();
        let found = match &request.query {
            Some(query) => format!("{}?{query}", request.url),
            None => request.url.clone(),
        };
        if found != api.arrives.url {
            reasons.push(format!("{found} in place of {}", api.arrives.url));
        }
        if request.method == "GET" && !request.body.is_empty() {
            reasons.push("a body".to_owned());
        }
        let is_dead = state.awaits_dead_access_token
            && api.headers.iter().any(|(name, template)| {
                let sent = request.field(name).unwrap_or_default();
                inside(template, "{access_token}", sent)
                    .is_some_and(|token| state.ledger.access_token(token) == Life::Dead)
            });
        if is_dead {
            accepted(reasons)?;
            state.counts.dead_access_tokens += 1;
            state.used.insert("[api] refusal".to_owned());
            return Ok(refusal(api.refusal.as_ref()));
        }
        self.demands(state)
            .check_fields(&api.headers, request, &mut reasons);
        check_other_fields(&api.headers, request, &mut reasons);
        accepted(reasons)?;
        state.used.insert("[api]".to_owned());
        state.counts.api_calls += 1;
        Ok(Response::json(200, API_BODY))
    }

    fn get(&self, request: &Request, state: &mut State) -> Result<Response, Vec<String>> {
        let entries = self.fixture.get.iter().enumerate();
        let found = entries
            .filter(|(_, get)| request.is_to(&get.request))
            .find(|(_, get)| request.query.as_deref() == query_of(&get.request.url));
        let Some((index, get)) = found else {
            let query = request.query.as_deref().unwrap_or_default();
            return Err(vec![format!("no entry, with the query {query:?}")]);
        };
        let mut reasons = Vec::new();
        self.demands(state)
            .check_fields(&get.headers, request, &mut reasons);
        accepted(reasons)?;
        state.used.insert(get_entry(index));
        state.counts.gets += 1;
        Ok(Response::json(200, get.body.as_str()))
    }

    fn demands<'a>(&'a self, state: &'a State) -> Demands<'a> {
        Demands {
            ledger: &state.ledger,
            redirect_uri: &self.redirect_uri,
        }
    }
}

/// No field has a token but those that the vendor reads it from.
fn check_other_fields(
    demanded: &BTreeMap<String, String>,
    request: &Request,
    reasons: &mut Vec<String>,
) {
    for (name, value) in &request.headers {
        let is_demanded = demanded.keys().any(|demanded| name == demanded.as_str());
        let text = String::from_utf8_lossy(value.as_bytes());
        if !is_demanded && (text.contains(CANARY) || name == "authorization") {
            reasons.push(format!("the field {name}: {text}"));
        }
    }
}

fn accepted(reasons: Vec<String>) -> Result<(), Vec<String>> {
    if reasons.is_empty() {
        Ok(())
    } else {
        Err(reasons)
    }
}

fn token_entry(index: usize) -> String {
    format!("[[token]] {}", index + 1)
}

fn get_entry(index: usize) -> String {
    format!("[[get]] {}", index + 1)
}

fn has_authorization(fields: &BTreeMap<String, String>) -> bool {
    fields
        .keys()
        .any(|name| name.eq_ignore_ascii_case("authorization"))
}

fn query_of(url: &str) -> Option<&str> {
    url.split_once('?').map(|(_, query)| query)
}

fn refusal(refusal: Option<&Refusal>) -> Response {
    match refusal {
        Some(refusal) => Response {
            content_type: refusal.content_type.clone(),
            ..Response::json(refusal.status, refusal.body.as_str())
        },
        None => Response::json(400, r#"{"error":"invalid_grant"}"#),
    }
}
