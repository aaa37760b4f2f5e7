//! `bearward login` with a configured account: it signs in, and no browser takes part.

use testkit::authorization_server::{Dialect, Options};

use super::{ANY, assert_ended, refresh_token, world::World};

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
    world.configure(ANY, &format!("{FEELING}password = {password:?}\n"), "");
    world
}

#[test]
fn a_login_with_an_account_signs_in_without_a_browser() {
    let world = world("demo-password");
    let ended = world.run(&["login", "demo"]);
    assert_ended(&world, ended, 0, "logged in\n");
    assert!(refresh_token(&world).is_some());
    let stats = world.server.stats();
    assert_eq!((stats.sign_ins, stats.exchanges), (1, 1));
}

#[test]
fn a_refused_account_is_told_and_stores_nothing() {
    let world = world("wrong");
    let ended = world.run(&["login", "demo"]);
    let said = assert_ended(&world, ended, 1, "");
    assert!(said.contains("`sign_in.endpoint`"), "{said}");
    assert_eq!(refresh_token(&world), None);
}
