//! Promises of variables, in presets and in operators' own providers.

use super::{good, one_error};

/// A provider with these lines, and a route to its `api_base`.
fn own(lines: &str) -> String {
    format!(
        "[routes.r]\nlisten = \"127.0.0.1:1\"\nprovider = \"p\"\n[providers.p]\n\
         grant_type = \"client_credentials\"\nclient_id = \"id\"\n\
         client_secret = {{ env = \"SECRET\" }}\n{lines}\n"
    )
}

const ADDRESSES: &str = "token_endpoint = \"https://{tenant}.example.com/token\"\n\
                         api_base = \"https://api.example.com/{tenant}\"\n";

#[test]
fn a_value_stands_in_every_text_of_its_provider() {
    let text = own(&format!(
        "{ADDRESSES}vars = {{ tenant = \"acme\" }}\nscope = [\"{{tenant}}.read\"]\n\
         [providers.p.token_request]\nparams = {{ audience = \"urn:{{tenant}}\" }}\n"
    ));
    let (config, _) = good(&text);
    let provider = &config.providers[0];
    assert_eq!(provider.server_id(), "https://acme.example.com/token");
    assert_eq!(provider.scope.as_deref(), Some("acme.read"));
    let audience = &provider.token_request.params["audience"];
    assert_eq!(audience.texts().collect::<Vec<_>>(), ["urn:acme"]);
    assert_eq!(config.routes[0].upstream.fixed().unwrap().path, "/acme");
}

#[test]
fn a_missing_variable_is_named_with_its_description_and_example() {
    let error = one_error(
        "[providers.p]\npreset = \"databricks\"\nclient_id = \"id\"\nclient_secret = { env = \"SECRET\" }\n",
    );
    assert!(
        error.contains("provider `p` needs the variable `host`"),
        "{error}"
    );
    let error = one_error(&own(
        "token_endpoint = \"https://{tenant}.example.com/t\"\napi_base = \"https://a.example\"\n",
    ));
    assert!(
        error.contains("has the variable \"tenant\", which has no value"),
        "{error}"
    );
}

#[test]
fn a_value_cannot_move_a_host() {
    for value in ["evil.com/", "evil.com#", "a.b", "", "a b", "{uuid}", "ü"] {
        let error = one_error(&own(&format!(
            "{ADDRESSES}vars = {{ tenant = \"{value}\" }}\n"
        )));
        assert!(
            error.contains("does not fit its pattern"),
            "{value}: {error}"
        );
    }
}

#[test]
fn a_pattern_is_matched_whole() {
    let text = |value: &str| {
        own(&format!(
            "{ADDRESSES}[providers.p.vars.tenant]\npattern = \"[a-z]+|[0-9]+\"\ndefault = \"{value}\"\n"
        ))
    };
    assert_eq!(
        good(&text("acme")).0.providers[0].server_id(),
        "https://acme.example.com/token"
    );
    assert!(one_error(&text("acme9")).contains("does not fit its pattern"));
    let error = one_error(&text("a").replace("[a-z]+", "[a-z"));
    assert!(error.contains("is not a regular expression"), "{error}");
}

#[test]
fn a_choice_sets_several_texts() {
    let zoho = |region: &str| {
        format!(
            "[providers.p]\npreset = \"zoho\"\nclient_id = \"id\"\nclient_secret = {{ env = \"SECRET\" }}\n\
             vars = {{ region = \"{region}\" }}\n"
        )
    };
    let (config, _) = good(&zoho("eu"));
    assert_eq!(
        config.providers[0].server_id(),
        "https://accounts.zoho.eu/oauth/v2/token"
    );
    let error = one_error(&zoho("ue"));
    assert!(
        error.contains("the variable `region` = \"ue\" is not a choice"),
        "{error}"
    );
    assert!(error.contains("\"eu\""), "{error}");
}

#[test]
fn an_unknown_variable_gets_a_suggestion() {
    let error = one_error(
        "[providers.p]\npreset = \"zoho\"\nclient_id = \"id\"\nclient_secret = { env = \"SECRET\" }\n\
         vars = { region = \"eu\", regoin = \"eu\" }\n",
    );
    assert!(error.contains("has the variable \"regoin\""), "{error}");
    assert!(error.contains("did you mean `region`?"), "{error}");
}

#[test]
fn a_value_of_run_time_stands_only_where_it_can() {
    let error = one_error(&own(
        "token_endpoint = \"https://{uuid}.example.com/token\"\napi_base = \"https://a.example\"\n",
    ));
    assert!(
        error.contains("`token_endpoint` has {uuid} in its host"),
        "{error}"
    );
    let error = one_error(&own(
        "base_url = \"https://{scope}.example.com\"\ntoken_endpoint = \"/t\"\napi_base = \"https://a.example\"\n",
    ));
    assert!(error.contains("`base_url` cannot have {scope}"), "{error}");
}

#[test]
fn a_captured_value_in_a_host_needs_its_list_of_hosts() {
    let text = |allow: &str| {
        own(&format!(
            "token_endpoint = \"https://as.example/token\"\napi_base = \"https://{{shard}}/v1\"\n\
             [providers.p.capture.shard]\ncallback = \"shard\"\n{allow}"
        ))
    };
    let error = one_error(&text(""));
    assert!(
        error.contains("the captured value {shard} in its host"),
        "{error}"
    );
    let (config, _) = good(&text("allow = [\"*.example.com\"]\n"));
    assert!(config.routes[0].upstream.fixed().is_none());
}

#[test]
fn braces_that_enclose_no_name_are_reported_and_can_be_escaped() {
    let text = |value: &str| {
        own(&format!(
            "token_endpoint = \"https://as.example/token\"\napi_base = \"https://a.example\"\n\
             [providers.p.token_request]\nparams = {{ filter = '{value}' }}\n"
        ))
    };
    let error = one_error(&text(r#"{"a":1}"#));
    assert!(
        error.contains("a brace of `params` does not enclose the name of a variable"),
        "{error}"
    );
    good(&text(r#"\{"a":1\}"#));
}

#[test]
fn a_host_list_names_hosts_that_a_url_can_have() {
    let lists = |name: &str| {
        [
            format!("api_base = {{ from = \"/u\", allow = [\"{name}\"] }}\n"),
            format!(
                "api_base = \"https://api.example\"\n[providers.p.capture.realm]\n\
                 callback = \"r\"\nallow = [\"{name}\"]\n"
            ),
        ]
    };
    let token_endpoint = "token_endpoint = \"https://as.example/token\"\n";
    for name in [
        "*",
        "",
        "*.",
        "a.example:443",
        "https://a.example",
        "a.example/x",
        "a.*.example",
        "*a.example",
        "*.127.0.0.1",
        "münchen.example",
        "a b",
    ] {
        for list in lists(name) {
            let error = one_error(&own(&format!("{token_endpoint}{list}")));
            assert!(
                error.contains("in `allow` is not a host name"),
                "{name}: {error}"
            );
        }
    }
    for name in [
        "*.Example.com",
        "a_b.example",
        "localhost",
        "127.0.0.1",
        "[::1]",
    ] {
        for list in lists(name) {
            good(&own(&format!("{token_endpoint}{list}")));
        }
    }
}

#[test]
fn a_claim_may_have_an_optional_variable_that_nothing_declares() {
    let optional = own(
        "token_endpoint = \"https://as.example/token\"\napi_base = \"https://a.example\"\n\
                        [providers.p.assertion]\nclaims = { sub = \"{subject?}\" }\n",
    );
    good(&optional);
    let error = one_error(&optional.replace('?', ""));
    assert!(error.contains("variable \"subject\""), "{error}");
}

#[test]
fn the_scope_stands_only_in_texts_of_a_provider_that_has_one() {
    let text = own(
        "token_endpoint = \"https://as.example/token\"\napi_base = \"https://a.example\"\n\
                    token_request.params = { audience = \"{scope}\" }\n",
    );
    let error = one_error(&text);
    assert!(
        error.contains("has {scope}, and the provider has no `scope`"),
        "{error}"
    );
    good(&text.replace("token_request", "scope = \"a\"\ntoken_request"));
    good(&text.replace("{scope}", "{scope?}"));
}
