//! Listening sockets. Each is bound once and shared by every worker.

use std::{
    fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream},
    },
    path::{Path, PathBuf},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::{
    address::ListenAddress,
    stream::{Socket as StreamSocket, Stream},
};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 4096;

/// Attempts to find a port that is free on both addresses of `localhost`.
const PORT_ATTEMPTS: usize = 16;

/// A bound address, not yet registered with a runtime.
#[derive(Debug)]
pub struct Bound {
    /// One socket; two where `localhost` has two addresses.
    sockets: Vec<Socket>,
    address: ListenAddress,
    /// The file of a Unix socket, removed on drop.
    path: Option<PathBuf>,
}

impl Bound {
    /// Binds `address` and listens.
    ///
    /// A Unix socket gets mode 0660. The socket file of a dead process is replaced; one that still listens is not.
    ///
    /// # Errors
    /// The address is in use, not permitted, or not of this machine.
    pub fn bind(address: &ListenAddress) -> io::Result<Self> {
        match address {
            ListenAddress::Tcp(address) => {
                let socket = bind_tcp(*address)?;
                let address = ListenAddress::Tcp(tcp_address(&socket)?);
                Ok(Self::new(vec![socket], address))
            }
            ListenAddress::Localhost(port) => Self::bind_localhost(*port),
            ListenAddress::Unix(path) => {
                let mut bound = Self::new(vec![bind_unix(path)?], address.clone());
                bound.path = Some(path.clone());
                Ok(bound)
            }
        }
    }

    fn new(sockets: Vec<Socket>, address: ListenAddress) -> Self {
        Self {
            sockets,
            address,
            path: None,
        }
    }

    /// Binds both addresses of `localhost` at one port. A machine without IPv6 has the first one alone.
    fn bind_localhost(port: u16) -> io::Result<Self> {
        let mut attempts = if port == 0 { PORT_ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            let first = bind_tcp((Ipv4Addr::LOCALHOST, port).into())?;
            let chosen = tcp_address(&first)?.port();
            let address = ListenAddress::Localhost(chosen);
            match bind_tcp((Ipv6Addr::LOCALHOST, chosen).into()) {
                Ok(second) => return Ok(Self::new(vec![first, second], address)),
                Err(error) if is_without_ipv6(&error) => {
                    tracing::info!(listen = %address, "no IPv6 here: listening on 127.0.0.1 alone");
                    return Ok(Self::new(vec![first], address));
                }
                Err(error) if attempts == 0 || error.kind() != io::ErrorKind::AddrInUse => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
    }

    /// The bound address, with the port that the system chose for port 0.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Registers a handle to the sockets with the current runtime.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn listener(&self) -> io::Result<Listener> {
        let mut sockets = self.sockets.iter().map(Socket::try_clone);
        let mut tcp = || -> io::Result<TcpListener> {
            let socket = sockets.next().ok_or(io::ErrorKind::AddrNotAvailable)??;
            TcpListener::from_std(socket.into())
        };
        match self.address {
            ListenAddress::Localhost(_) if self.sockets.len() == 2 => {
                Ok(Listener::Both(tcp()?, tcp()?))
            }
            ListenAddress::Tcp(_) | ListenAddress::Localhost(_) => tcp().map(Listener::Tcp),
            ListenAddress::Unix(_) => {
                let socket = sockets.next().ok_or(io::ErrorKind::AddrNotAvailable)??;
                UnixListener::from_std(socket.into()).map(Listener::Unix)
            }
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn tcp_address(socket: &Socket) -> io::Result<SocketAddr> {
    let address = socket.local_addr()?.as_socket();
    address.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

fn bind_unix(path: &Path) -> io::Result<Socket> {
    remove_dead_socket(path)?;
    let listener = StdUnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    listener.set_nonblocking(true)?;
    Ok(Socket::from(listener))
}

/// Whether the machine has no IPv6: neither the protocol, or no address of it.
fn is_without_ipv6(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // An operator may have removed it already.
            let _ = fs::remove_file(path);
        }
    }
}

fn remove_dead_socket(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => match StdUnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
            _ => Err(io::ErrorKind::AddrInUse.into()),
        },
        // Any other file stays: binding fails and says so.
        _ => Ok(()),
    }
}

/// A listening socket, registered with one runtime.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// TCP on two addresses.
    Both(TcpListener, TcpListener),
    /// Unix.
    Unix(UnixListener),
}

impl Listener {
    /// Accepts the next connection.
    ///
    /// # Errors
    /// Those of `accept(2)`; most of them concern one connection alone, and those about missing descriptors pass.
    pub async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => tcp_stream(listener.accept().await),
            Self::Both(first, second) => {
                // Not biased: neither address can hold up the other.
                let accepted = tokio::select! {
                    accepted = first.accept() => accepted,
                    accepted = second.accept() => accepted,
                };
                tcp_stream(accepted)
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Stream::new(StreamSocket::Unix(stream)))
            }
        }
    }
}

fn tcp_stream(accepted: io::Result<(TcpStream, SocketAddr)>) -> io::Result<Stream> {
    let (stream, _) = accepted?;
    stream.set_nodelay(true)?;
    Ok(Stream::new(StreamSocket::Tcp(stream)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_has_one_port_on_both_addresses() {
        let bound = Bound::bind(&"localhost:0".parse().unwrap()).unwrap();
        let port = bound.address().port().unwrap();
        assert_eq!(bound.address().to_string(), format!("localhost:{port}"));
        for address in bound.address().tcp_addresses() {
            std::net::TcpStream::connect(address).unwrap();
            let error = Bound::bind(&ListenAddress::Tcp(address)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{address}");
        }
    }

    #[test]
    fn localhost_is_refused_where_one_of_its_addresses_is_in_use() {
        let other = Bound::bind(&"[::1]:0".parse().unwrap()).unwrap();
        let port = other.address().port().unwrap();
        let error = Bound::bind(&ListenAddress::Localhost(port)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_second_listener_on_the_same_port_is_refused() {
        let first = Bound::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let error = Bound::bind(first.address()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_dead_unix_socket_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        drop(StdUnixListener::bind(&path).unwrap());
        let address = ListenAddress::Unix(path.clone());
        let bound = Bound::bind(&address).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o660
        );
        assert_eq!(
            Bound::bind(&address).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_in_the_place_of_a_unix_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert!(Bound::bind(&ListenAddress::Unix(path.clone())).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
    }
}
