//! The users of this machine that are connected to a port of ours, from the kernel's tables of TCP sockets.

use std::fs;

/// The tables of sockets (proc_net(5)), for IPv4 and IPv6. Other systems than Linux have none.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// `TCP_TIME_WAIT`: no process has the socket any more.
const TIME_WAIT: &str = "06";

/// The user that may read the memory of every process, and the owner of sockets without a process.
const ROOT: u32 = 0;

/// Whether a process of another user than `own` is connected to `port` of this machine.
///
/// Connections from other machines and network namespaces are not seen. A client that waits for a response is.
pub(super) fn has_foreign_client(port: u16, own: u32) -> bool {
    let tables = TABLES
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    tables.into_iter().any(|table| {
        let users = table.lines().filter_map(|line| connected_user(line, port));
        users.into_iter().any(|user| user != own && user != ROOT)
    })
}

/// The user whose socket a line of the table shows, if it is connected to `port`.
fn connected_user(line: &str, port: u16) -> Option<u32> {
    let mut fields = line.split_ascii_whitespace().skip(2);
    let (remote, state) = (fields.next()?, fields.next()?);
    let (_, remote_port) = remote.split_once(':')?;
    if u16::from_str_radix(remote_port, 16) != Ok(port) || state == TIME_WAIT {
        return None;
    }
    // Queues, timer and retransmissions stand before it.
    fields.nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_the_user_that_is_connected_to_the_port() {
        let line = |state: &str, remote: &str| {
            format!(
                "   3: 0100007F:9C40 {remote} {state} 00000000:00000000 00:00000000 00000000  1000        0 22 1 0 20 4 30 10 -1"
            )
        };
        let user = |line: &str| connected_user(line, 0x26AC);
        assert_eq!(user(&line("01", "0100007F:26AC")), Some(1000));
        assert_eq!(
            user(&line("08", "00000000000000000000000001000000:26AC")),
            Some(1000)
        );
        assert_eq!(user(&line("06", "0100007F:26AC")), None, "closed");
        assert_eq!(user(&line("01", "0100007F:26AD")), None, "another port");
        for text in [
            "",
            "  sl  local_address rem_address   st tx_queue",
            "a b c:26AC 01",
        ] {
            assert_eq!(user(text), None, "{text}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn connections_of_this_user_are_not_foreign() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let _client = std::net::TcpStream::connect(address).unwrap();
        let own = rustix::process::geteuid().as_raw();
        assert!(!has_foreign_client(address.port(), own));
        // Root's connections count for no user.
        assert_eq!(has_foreign_client(address.port(), own + 1), own != ROOT);
    }
}
