//! Listening sockets. Each is bound once and shared by every worker.

use std::{
    fs,
    future::poll_fn,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream as StdUnixStream,
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
};

use rustix::fs::{Mode, fchmod};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::{
    address::ListenAddress,
    inherited,
    stream::{Socket as StreamSocket, Stream},
};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 4096;

/// The mode of a Unix socket: its owner and its group may connect.
const SOCKET_MODE: u32 = 0o660;

/// Attempts to find a port that is free on both addresses of `localhost`.
const PORT_ATTEMPTS: usize = 16;

/// A bound address, not yet registered with a runtime.
#[derive(Debug)]
pub struct Bound {
    /// One socket; two where `localhost` has two addresses; any number where systemd passes them.
    sockets: Vec<Socket>,
    address: ListenAddress,
    /// The file of a Unix socket of its own, removed on drop.
    path: Option<PathBuf>,
}

impl Bound {
    /// Binds `address` and listens.
    ///
    /// A Unix socket gets mode 0660. The socket file of a dead process is replaced; one that still listens is not.
    /// Sockets of systemd are duplicated, as often as they are asked for; what waits in them is lost in no case.
    ///
    /// # Errors
    /// The address is in use, not permitted, or not of this machine, or systemd passes no socket with this name.
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
            ListenAddress::Systemd(name) => {
                let (sockets, address) = inherited::open(name)?;
                Ok(Self::new(sockets, address))
            }
            // No configured address is one of these.
            ListenAddress::Several(_) => Err(io::ErrorKind::Unsupported.into()),
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
                    tracing::info!(listen = %address, "listener.no_ipv6: listening on 127.0.0.1 alone");
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
        let sockets = self.sockets.iter().map(|socket| {
            let is_unix = socket.domain()? == Domain::UNIX;
            let socket = socket.try_clone()?;
            match is_unix {
                true => UnixListener::from_std(socket.into()).map(ListeningSocket::Unix),
                false => TcpListener::from_std(socket.into()).map(ListeningSocket::Tcp),
            }
        });
        Ok(Listener {
            sockets: sockets.collect::<io::Result<_>>()?,
            next: AtomicUsize::new(0),
        })
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

/// Binds under another name in the same folder, since a new socket's mode is the umask's until it is changed.
fn bind_unix(path: &Path) -> io::Result<Socket> {
    remove_dead_socket(path)?;
    let socket = bind_private(path)?;
    // The umask may have taken the group's bits away.
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Binds a Unix socket whose file never has a wider mode than [`SOCKET_MODE`], whatever the umask.
fn bind_private(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Linux takes the mode of the file from the descriptor, and then applies the umask.
    fchmod(&socket, Mode::from_raw_mode(SOCKET_MODE))?;
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(socket)
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

/// The sockets of one listener, registered with one runtime.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<ListeningSocket>,
    /// The socket that is asked first: none can hold up the others.
    next: AtomicUsize,
}

#[derive(Debug)]
enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Accepts the next connection.
    ///
    /// # Errors
    /// Those of `accept(2)`; most of them concern one connection alone, and those about missing descriptors pass.
    pub async fn accept(&self) -> io::Result<Stream> {
        poll_fn(|context| {
            let count = self.sockets.len();
            let first = self.next.fetch_add(1, Ordering::Relaxed);
            (0..count)
                .map(|offset| &self.sockets[first.wrapping_add(offset) % count])
                .map(|socket| socket.accept_now(context))
                .find(Poll::is_ready)
                .unwrap_or(Poll::Pending)
        })
        .await
    }
}

impl ListeningSocket {
    /// Accepts a connection that waits, or has the task woken for the next one.
    fn accept_now(&self, context: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(context).map(tcp_stream),
            Self::Unix(listener) => listener
                .poll_accept(context)
                .map_ok(|(stream, _)| Stream::new(StreamSocket::Unix(stream))),
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
    use std::os::unix::net::UnixListener as StdUnixListener;

    use super::*;

    #[test]
    fn a_unix_socket_never_has_a_mode_that_others_can_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let _socket = bind_private(&path).unwrap();
        // Before the mode is set by the path: the umask alone would leave others their bits.
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777 & !SOCKET_MODE, 0, "{mode:o}");
    }

    #[tokio::test]
    async fn every_socket_of_a_listener_is_accepted_from() {
        let bound = Bound::bind(&"localhost:0".parse().unwrap()).unwrap();
        let listener = bound.listener().unwrap();
        for _ in 0..3 {
            let addresses = bound.address().tcp_addresses();
            let connect = |address| std::net::TcpStream::connect(address).unwrap();
            let clients: Vec<_> = addresses.into_iter().map(connect).collect();
            for _ in &clients {
                listener.accept().await.unwrap();
            }
        }
    }

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
