//! The words for a person who logs in: what to register, which browser to use, what to paste.

use url::Url;

use crate::{
    login::{LOGIN_TIMEOUT, redirect},
    oauth::provider::Provider,
};

/// The request to paste.
pub(super) const PASTE: &str = "\
Then paste the address that the browser was sent back to, or the code alone. The
browser may show an error there, which does not matter. You have 10 minutes:";

/// The request to paste, at a terminal.
pub(super) const PASTE_UNSEEN: &str = "\
Then paste the address that the browser was sent back to, or the code alone, and
press Enter. It is not shown. The browser may show an error there, which does not
matter. You have 10 minutes.";

/// The other address, for a browser that cannot return to the sidecar.
pub(super) const OTHER_MACHINE: &str = "\
That browser has to run on this machine. In one on another machine, open the
address below instead. It ends up at an error page: paste the address of that
page here, and press Enter. It is not shown. You have 10 minutes.";

/// The warning to root.
pub(super) const AS_ROOT: &str = "this command runs as root, and so does the login that it stores: a sidecar that runs as another user \
     cannot read it, and without [store] path looks in another folder; log in as that user, for example with \
     `sudo -u USER bearward login …`";

/// Says what to register with the vendor.
pub(super) fn registered(provider: &Provider, redirect_uri: &str) -> String {
    let settings = provider.authorization.as_ref();
    let named = settings.and_then(|settings| settings.redirect_uri_value.as_deref());
    let (key, text) = match named {
        Some(name) => ("redirect_uri_value", name),
        None => ("redirect_uri", redirect_uri),
    };
    format!("{key} is {text}: it has to be registered with the vendor exactly so.")
}

/// Says how a browser comes to `redirect_uri`, and how long the person has.
pub(super) fn way_to_this_machine(redirect_uri: &Url, can_paste: bool) -> String {
    let time = format!("You have {} minutes.", LOGIN_TIMEOUT.as_secs() / 60);
    if !redirect::is_loopback(redirect_uri) {
        return time;
    }
    let (host, port) = (
        redirect_uri.host_str().unwrap_or("127.0.0.1"),
        redirect_uri.port_or_known_default().unwrap_or(80),
    );
    let otherwise = match can_paste {
        true => "or paste the address that it ends up at here, and press Enter. It is not shown.",
        false => "or run this command with --paste.",
    };
    format!(
        "The browser has to run on this machine. From another machine, forward the port\n\
         (ssh -L {port}:{host}:{port} HOST, the same port on both sides),\n{otherwise} {time}"
    )
}
