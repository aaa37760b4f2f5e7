//! Where a listener listens.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// The most bytes of a socket's name (systemd.socket(5), `FileDescriptorName=`).
const MAX_SOCKET_NAME: usize = 255;

/// `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` (both of them), `unix:/run/bearward.sock` or `systemd:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListenAddress {
    /// TCP; port 0 means any free port.
    Tcp(SocketAddr),
    /// TCP on 127.0.0.1 and `[::1]`, at the same port; port 0 means any port that is free on both.
    Localhost(u16),
    /// A Unix socket at this path; an inherited one may be abstract, which is written with an `@` before its name.
    Unix(PathBuf),
    /// The sockets that systemd passes under this name. A configured address only: a bound one is where they listen.
    Systemd(String),
    /// The addresses of several inherited sockets with one name. A bound address only.
    Several(Vec<ListenAddress>),
}

impl ListenAddress {
    /// The address of sockets that listen at `addresses`: `localhost` where they are its two.
    pub(super) fn of_sockets(mut addresses: Vec<Self>) -> Self {
        if let [Self::Tcp(one), Self::Tcp(other)] = addresses[..] {
            let ips = [one.ip(), other.ip()];
            let has_both = ips.contains(&Ipv4Addr::LOCALHOST.into())
                && ips.contains(&Ipv6Addr::LOCALHOST.into());
            if has_both && one.port() == other.port() {
                return Self::Localhost(one.port());
            }
        }
        match addresses.len() {
            1 => addresses.remove(0),
            _ => Self::Several(addresses),
        }
    }

    /// Whether only this machine can reach it. Where systemd listens is not known before the start, and counts as no.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Localhost(_) | Self::Unix(_) => true,
            Self::Systemd(_) => false,
            Self::Several(addresses) => addresses.iter().all(Self::is_local),
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

    /// The port, of several sockets the first one's; a Unix socket has none.
    pub fn port(&self) -> Option<u16> {
        self.tcp_addresses().first().map(SocketAddr::port)
    }

    /// Its addresses as a `Host` names them, without ports; one that stands for every address is left out.
    pub fn host_names(&self) -> Vec<String> {
        let addresses = self.tcp_addresses().into_iter();
        let ips = addresses.map(|address| address.ip());
        let named = ips.filter(|ip| !ip.is_unspecified());
        let name = |ip| match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        named.map(name).collect()
    }

    /// The addresses of its TCP sockets; the first one is always bound.
    pub fn tcp_addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Tcp(address) => vec![*address],
            Self::Localhost(port) => vec![
                (Ipv4Addr::LOCALHOST, *port).into(),
                (Ipv6Addr::LOCALHOST, *port).into(),
            ],
            Self::Unix(_) | Self::Systemd(_) => Vec::new(),
            Self::Several(addresses) => addresses.iter().flat_map(Self::tcp_addresses).collect(),
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
        if let Some(name) = text.strip_prefix("systemd:") {
            // As systemd has it (fdname_is_valid).
            let is_valid = (1..=MAX_SOCKET_NAME).contains(&name.len())
                && name
                    .bytes()
                    .all(|byte| matches!(byte, b' '..=b'~') && byte != b':');
            return if is_valid {
                Ok(Self::Systemd(name.to_owned()))
            } else {
                Err(
                    "the name of a socket of systemd is 1 to 255 characters of ASCII without `:`"
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
            Self::Systemd(name) => write!(f, "systemd:{name}"),
            Self::Several(addresses) => {
                for (index, address) in addresses.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{address}")?;
                }
                Ok(())
            }
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
            "systemd:web",
            "systemd:bearward.socket",
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for text in [
            "8080",
            "unix:x.sock",
            "localhost:x",
            "example.com:80",
            "systemd:",
            "systemd:a:b",
            "systemd:ä",
            "",
        ] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
        let long = format!("systemd:{}", "x".repeat(MAX_SOCKET_NAME + 1));
        assert!(long.parse::<ListenAddress>().is_err());
    }

    #[test]
    fn several_sockets_are_one_address() {
        let address = |texts: &[&str]| {
            let addresses = texts.iter().map(|text| text.parse().unwrap()).collect();
            ListenAddress::of_sockets(addresses)
        };
        let localhost = address(&["[::1]:80", "127.0.0.1:80"]);
        assert_eq!(localhost, ListenAddress::Localhost(80));
        assert_eq!(address(&["10.0.0.5:80"]).to_string(), "10.0.0.5:80");

        let local = address(&["unix:/run/x", "127.0.0.1:80", "[::1]:81"]);
        assert_eq!(local.to_string(), "unix:/run/x, 127.0.0.1:80, [::1]:81");
        assert!(local.is_local() && local.is_reached_by("::1", 81));
        assert_eq!(local.port(), Some(80));
        assert!(!address(&["127.0.0.1:80", "10.0.0.5:80"]).is_local());
    }
}
