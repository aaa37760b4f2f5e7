//! `bearward login` with a configured account: it signs in, and no browser takes part.

use testkit::authorization_server::{Dialect, Options};

use super::{
    ANY, assert_ended, refresh_token,
    world::{World, free_port, until},
};

const FEELING: &str = "token_endpoint_auth_method = \"none\"\n\
    [providers.demo.authorization]\ncode_parameter = \"authorization_code\"\n\
    [providers.demo.token_request]\nmethod = \"GET\"\nencoding = \"query\"\n\
    omit_on_refresh = [\"client_id\"]\nomit_on_exchange = [\"redirect_uri\"]\n\
    [providers.demo.sign_in]\nendpoint = \"/sign-in\"\nstate_length = 10\nemail = \"demo@example.com\"\n";

fn world(password: &str) -> World {
    let world = World::new(Options {
        dialect: Dialect::Feeling,
        public: true,
        ..Options::default()
    });
    configure(&world, ANY, password);
    world
}

fn configure(world: &World, admin: &str, password: &str) {
    world.configure(admin, &format!("{FEELING}password = {password:?}\n"), "");
}

/// The `redirect_uri` of the one sign-in.
fn sent_redirect_uri(world: &World) -> String {
    let requests = world.server.requests_to("/sign-in");
    assert_eq!(requests.len(), 1);
    let parameters: serde_json::Value = serde_json::from_slice(&requests[0].body).unwrap();
    parameters["redirect_uri"].as_str().unwrap().to_owned()
}

#[test]
fn a_sidecar_signs_in_with_its_own_callback_as_redirect_uri() {
    let world = world("demo-password");
    let admin = format!("127.0.0.1:{}", free_port());
    configure(&world, &admin, "demo-password");
    let _sidecar = world.start(&["run"]);
    until("it signs in", || world.server.stats().sign_ins == 1);
    assert_eq!(
        sent_redirect_uri(&world),
        format!("http://{admin}/callback")
    );
}

#[test]
fn a_login_with_an_account_signs_in_without_a_browser() {
    let world = world("demo-password");
    let ended = world.run(&["login", "demo"]);
    assert_ended(&world, ended, 0, "logged in\n");
    assert!(refresh_token(&world).is_some());
    let stats = world.server.stats();
    assert_eq!((stats.sign_ins, stats.exchanges), (1, 1));
    assert_eq!(sent_redirect_uri(&world), "http://127.0.0.1:9900/callback");
}

#[test]
fn a_refused_account_is_told_and_stores_nothing() {
    let world = world("wrong");
    let ended = world.run(&["login", "demo"]);
    let said = assert_ended(&world, ended, 1, "");
    assert!(
        said.contains("`[providers.demo.sign_in] endpoint`"),
        "{said}"
    );
    assert_eq!(refresh_token(&world), None);
}
