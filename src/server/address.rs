//! Where a listener listens.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` (both of them) or `unix:/run/bearward.sock`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListenAddress {
    /// TCP; port 0 means any free port.
    Tcp(SocketAddr),
    /// TCP on 127.0.0.1 and `[::1]`, at the same port; port 0 means any port that is free on both.
    Localhost(u16),
    /// A Unix socket at this path.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Localhost(_) | Self::Unix(_) => true,
        }
    }

    /// Whether a connection to `host` and `port` ends at this listener, as far as that shows without a name look-up.
    pub fn is_reached_by(&self, host: &str, port: u16) -> bool {
        let is_target = |target: &IpAddr, own: &IpAddr| match target.is_loopback() {
            // By default an unspecified IPv6 address accepts IPv4 connections too.
            true if own.is_unspecified() => own.is_ipv6() || target.is_ipv4(),
            _ => target == own,
        };
        let targets = targets(host);
        let own = self.tcp_addresses();
        let mut own = own.iter().filter(|own| own.port() == port);
        own.any(|own| targets.iter().any(|target| is_target(target, &own.ip())))
    }

    /// The port; a Unix socket has none.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) => Some(address.port()),
            Self::Localhost(port) => Some(*port),
            Self::Unix(_) => None,
        }
    }

    /// The addresses of its TCP sockets; the first one is always bound.
    pub fn tcp_addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Tcp(address) => vec![*address],
            Self::Localhost(port) => vec![
                (Ipv4Addr::LOCALHOST, *port).into(),
                (Ipv6Addr::LOCALHOST, *port).into(),
            ],
            Self::Unix(_) => Vec::new(),
        }
    }
}

/// Returns the addresses of this machine that `host` stands for, or the address that it is.
fn targets(host: &str) -> Vec<IpAddr> {
    let loopback = || vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        // A connection to an unspecified address reaches this machine.
        Ok(address) if address.is_unspecified() => loopback(),
        Ok(address) => vec![address],
        Err(_) if host == "localhost" || host.ends_with(".localhost") => loopback(),
        Err(_) => Vec::new(),
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') {
                Ok(Self::Unix(path.into()))
            } else {
                Err(
                    "the path of a Unix socket has to be absolute, as in unix:/run/bearward.sock"
                        .into(),
                )
            };
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            let port = port.parse();
            return port
                .map(Self::Localhost)
                .map_err(|_| format!("{text:?} has no port number"));
        }
        text.parse()
            .map(Self::Tcp)
            .map_err(|_| format!("{text:?} is not an address with a port, such as 127.0.0.1:8080"))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Localhost(port) => write!(f, "localhost:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_reached_by_each_of_its_addresses_at_its_port() {
        let is_reached = |listen: &str, host: &str, port| {
            listen
                .parse::<ListenAddress>()
                .unwrap()
                .is_reached_by(host, port)
        };
        for (listen, host) in [
            ("127.0.0.1:1", "localhost"),
            ("127.0.0.1:1", "x.localhost"),
            ("127.0.0.1:1", "0.0.0.0"),
            ("127.0.0.1:1", "::ffff:127.0.0.1"),
            ("localhost:1", "::1"),
            ("0.0.0.0:1", "127.0.0.2"),
            ("[::]:1", "127.0.0.1"),
            ("10.0.0.5:1", "10.0.0.5"),
        ] {
            assert!(is_reached(listen, host, 1), "{listen} {host}");
            assert!(!is_reached(listen, host, 2), "{listen} {host}");
        }
        for (listen, host) in [
            ("127.0.0.1:1", "::1"),
            ("127.0.0.1:1", "example.com"),
            ("0.0.0.0:1", "::1"),
            ("10.0.0.5:1", "10.0.0.6"),
            ("unix:/run/x", "localhost"),
        ] {
            assert!(!is_reached(listen, host, 1), "{listen} {host}");
        }
    }

    #[test]
    fn reads_what_the_documentation_shows() {
        for text in [
            "127.0.0.1:8080",
            "[::1]:0",
            "localhost:8080",
            "unix:/run/x.sock",
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for text in ["8080", "unix:x.sock", "localhost:x", "example.com:80", ""] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }
}
