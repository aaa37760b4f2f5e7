//! Listening sockets. Each is bound once and shared by every worker.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream},
    },
    path::{Path, PathBuf},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::{
    address::ListenAddress,
    stream::{Socket as StreamSocket, Stream},
};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 4096;

/// A bound socket, not yet registered with a runtime.
#[derive(Debug)]
pub struct Bound {
    socket: Socket,
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
        let (socket, address, path) = match address {
            ListenAddress::Tcp(address) => {
                let socket = Socket::new(
                    Domain::for_address(*address),
                    Type::STREAM,
                    Some(Protocol::TCP),
                )?;
                socket.set_reuse_address(true)?;
                socket.bind(&(*address).into())?;
                socket.listen(BACKLOG)?;
                let bound = socket
                    .local_addr()?
                    .as_socket()
                    .ok_or(io::ErrorKind::AddrNotAvailable)?;
                (socket, ListenAddress::Tcp(bound), None)
            }
            ListenAddress::Unix(path) => {
                remove_dead_socket(path)?;
                let listener = StdUnixListener::bind(path)?;
                fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
                (
                    Socket::from(listener),
                    ListenAddress::Unix(path.clone()),
                    Some(path.clone()),
                )
            }
        };
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            address,
            path,
        })
    }

    /// The bound address, with the port that the system chose for port 0.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Registers a handle to the socket with the current runtime.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn listener(&self) -> io::Result<Listener> {
        let socket = self.socket.try_clone()?;
        match self.address {
            ListenAddress::Tcp(_) => TcpListener::from_std(socket.into()).map(Listener::Tcp),
            ListenAddress::Unix(_) => UnixListener::from_std(socket.into()).map(Listener::Unix),
        }
    }
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
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::new(StreamSocket::Tcp(stream)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Stream::new(StreamSocket::Unix(stream)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
