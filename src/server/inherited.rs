//! The listening sockets that systemd passes to the process, by their names (sd_listen_fds(3)).
//!
//! They stay open to the end of the process, and a listener works on a duplicate: it can close and come back, and a
//! connection that nothing accepts waits in the kernel for the next process.

use std::{collections::BTreeSet, io, path::PathBuf, sync::OnceLock};

use listenfd::ListenFd;
use socket2::{SockAddr, Socket};
use thiserror::Error;

use super::address::ListenAddress;

/// The sockets of this process. Descriptors belong to the process as a whole, and can be received once.
static RECEIVED: OnceLock<Result<InheritedSockets, InheritedError>> = OnceLock::new();

/// Receives the sockets, and removes `LISTEN_PID` and `LISTEN_FDS` from the environment.
///
/// To be called first in the process: it changes the environment, and trusts that the descriptors are the sockets.
pub fn receive() {
    RECEIVED.get_or_init(InheritedSockets::from_environment);
}

/// Returns duplicates of the sockets with this name, and where they listen.
///
/// # Errors
/// systemd passes no such socket, or one that does not listen.
pub(super) fn open(name: &str) -> io::Result<(Vec<Socket>, ListenAddress)> {
    match RECEIVED.get() {
        Some(Ok(received)) => received.open(name),
        Some(Err(error)) => Err(io::Error::other(error.clone())),
        None => InheritedSockets::default().open(name),
    }
}

/// The names under which systemd passes sockets that none of `used` is.
pub fn unused_names(used: &[ListenAddress]) -> Vec<&'static str> {
    let Some(Ok(received)) = RECEIVED.get() else {
        return Vec::new();
    };
    let is_used = |name: &str| {
        let mut used = used.iter();
        used.any(|address| matches!(address, ListenAddress::Systemd(used) if used == name))
    };
    let names = received.names().into_iter();
    names.filter(|name| !is_used(name)).collect()
}

/// A reason why a socket cannot be inherited.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
enum InheritedError {
    #[error(
        "systemd passes no sockets: start the service with a .socket unit that has \
         FileDescriptorName={0} in its [Socket] section"
    )]
    NoSockets(String),
    #[error(
        "systemd passes no socket with this name, but {known}: write FileDescriptorName={name} into \
         the [Socket] section of the .socket unit, or one of these names into `listen`"
    )]
    UnknownName { name: String, known: String },
    #[error(
        "the socket does not listen: the .socket unit needs ListenStream= and Accept=no in its \
         [Socket] section"
    )]
    NotListening,
    #[error("the sockets of systemd cannot be received: {0}")]
    Protocol(String),
}

/// The inherited sockets with their names, of which several may be equal.
#[derive(Debug, Default)]
struct InheritedSockets {
    /// `None`: not a stream socket.
    sockets: Vec<(String, Option<Socket>)>,
}

impl InheritedSockets {
    /// Takes the descriptors that `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES` describe.
    fn from_environment() -> Result<Self, InheritedError> {
        // One crate reads the names, the other one owns the descriptors without unsafe code here.
        let names = received_names();
        let mut descriptors = ListenFd::from_env();
        let named = names.map_err(|error| InheritedError::Protocol(error.to_string()))?;
        let sockets = named.into_iter().enumerate().map(|(index, name)| {
            let tcp = descriptors.take_tcp_listener(index);
            let tcp = tcp.ok().flatten().map(Socket::from);
            let mut unix = || descriptors.take_unix_listener(index).ok().flatten();
            (name, tcp.or_else(|| unix().map(Socket::from)))
        });
        Ok(Self {
            sockets: sockets.collect(),
        })
    }

    fn names(&self) -> BTreeSet<&str> {
        self.sockets.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn open(&self, name: &str) -> io::Result<(Vec<Socket>, ListenAddress)> {
        let (mut sockets, mut addresses) = (Vec::new(), Vec::new());
        for (_, socket) in self.sockets.iter().filter(|(known, _)| known == name) {
            let listening = socket.as_ref().filter(|socket| {
                // A connection, as `Accept=yes` passes it, is a stream socket too.
                socket.is_listener().unwrap_or(false)
            });
            let socket = listening.ok_or_else(|| io::Error::other(InheritedError::NotListening))?;
            // systemd hands over blocking sockets unless the unit says NonBlocking=.
            socket.set_nonblocking(true)?;
            addresses.push(address_of(&socket.local_addr()?)?);
            sockets.push(socket.try_clone()?);
        }
        if sockets.is_empty() {
            return Err(io::Error::other(self.missing(name)));
        }
        Ok((sockets, ListenAddress::of_sockets(addresses)))
    }

    fn missing(&self, name: &str) -> InheritedError {
        let name = name.to_owned();
        if self.sockets.is_empty() {
            return InheritedError::NoSockets(name);
        }
        let known: Vec<_> = self
            .names()
            .into_iter()
            .map(|known| format!("{known:?}"))
            .collect();
        InheritedError::UnknownName {
            name,
            known: known.join(", "),
        }
    }
}

/// The names of the descriptors, in their order.
fn received_names() -> io::Result<Vec<String>> {
    // Names without descriptors are those of another process, whose environment came down to this one.
    if sd_notify::listen_fds()?.len() == 0 {
        return Ok(Vec::new());
    }
    let named = sd_notify::listen_fds_with_names()?;
    Ok(named.map(|(_, name)| name).collect())
}

/// The address of a socket; an abstract Unix socket has an `@` before its name, as systemd writes it.
fn address_of(address: &SockAddr) -> io::Result<ListenAddress> {
    let tcp = address.as_socket().map(ListenAddress::Tcp);
    let path = || address.as_pathname().map(PathBuf::from);
    let abstract_name = || {
        let name = address.as_abstract_namespace()?;
        Some(format!("@{}", String::from_utf8_lossy(name)).into())
    };
    tcp.or_else(|| path().or_else(abstract_name).map(ListenAddress::Unix))
        .ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        os::{
            linux::net::SocketAddrExt,
            unix::net::{SocketAddr, UnixListener},
        },
    };

    use super::*;

    fn inherited(sockets: Vec<(&str, Socket)>) -> InheritedSockets {
        let sockets = sockets.into_iter();
        InheritedSockets {
            sockets: sockets
                .map(|(name, socket)| (name.to_owned(), Some(socket)))
                .collect(),
        }
    }

    fn tcp(address: &str) -> Socket {
        TcpListener::bind(address).unwrap().into()
    }

    #[test]
    fn sockets_with_one_name_are_one_listener_which_can_close_and_come_back() {
        let first = tcp("127.0.0.1:0");
        let port = first.local_addr().unwrap().as_socket().unwrap().port();
        let second = tcp(&format!("[::1]:{port}"));
        let inherited = inherited(vec![
            ("web", first),
            ("other", tcp("127.0.0.1:0")),
            ("web", second),
        ]);
        for _ in 0..2 {
            let (sockets, address) = inherited.open("web").unwrap();
            assert_eq!(address, ListenAddress::Localhost(port));
            assert_eq!(sockets.len(), 2);
        }
        // A client connects while nothing accepts, and is served when the listener is back.
        let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (sockets, _) = inherited.open("web").unwrap();
        sockets[0].accept().unwrap();
    }

    #[test]
    fn unix_sockets_show_where_they_listen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.sock");
        let name = format!("bearward-{}", std::process::id());
        let hidden = SocketAddr::from_abstract_name(&name).unwrap();
        let inherited = inherited(vec![
            ("web", UnixListener::bind(&path).unwrap().into()),
            ("web", UnixListener::bind_addr(&hidden).unwrap().into()),
        ]);
        let (_, address) = inherited.open("web").unwrap();
        assert_eq!(
            address.to_string(),
            format!("unix:{}, unix:@{name}", path.display())
        );
        assert!(address.is_local());
    }

    #[test]
    fn a_socket_that_is_missing_is_named_with_what_there_is() {
        let error = |sockets, name| inherited(sockets).open(name).unwrap_err().to_string();
        let message = error(
            vec![("b", tcp("127.0.0.1:0")), ("a", tcp("127.0.0.1:0"))],
            "web",
        );
        assert!(
            message.contains(r#"but "a", "b": write FileDescriptorName=web"#),
            "{message}"
        );
        let message = error(vec![], "web");
        assert!(message.contains("passes no sockets"), "{message}");
        assert!(message.contains("FileDescriptorName=web"), "{message}");
    }

    #[test]
    fn a_socket_that_does_not_listen_is_refused() {
        let listener = tcp("127.0.0.1:0");
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let connection = TcpStream::connect(address).unwrap();
        let inherited = InheritedSockets {
            sockets: vec![
                ("connection".to_owned(), Some(connection.into())),
                ("datagram".to_owned(), None),
            ],
        };
        for name in ["connection", "datagram"] {
            let message = inherited.open(name).unwrap_err().to_string();
            assert!(message.contains("Accept=no"), "{message}");
        }
    }
}
