//! The connections of the node's own processes, as the kernel lists them (`/proc/net/tcp`, `proc_pid_net(5)`).
//!
//! Must not know what is at their other end.

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    net::{IpAddr, SocketAddr},
};

use procfs::{
    FromReadSI as _, current_system_info,
    net::{TcpNetEntries, TcpState},
};

use super::HostError;

/// Where the TCP connections of this network namespace lead to. Those that are being made do not count, nor those that
/// are over and only wait for stragglers.
///
/// # Errors
/// [`HostError`] when a list cannot be read; that a family is switched off is not an error.
pub(super) fn connected_to() -> Result<BTreeSet<IpAddr>, HostError> {
    let mut remote = BTreeSet::new();
    // Of the thread, which may be in another namespace than the process.
    for path in ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"] {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(HostError::kernel(format!("opening {path}"), error)),
        };
        let TcpNetEntries(entries) = TcpNetEntries::from_read(file, current_system_info())
            .map_err(|error| {
                HostError::kernel(format!("reading {path}"), io::Error::other(error))
            })?;
        let live = entries.into_iter().filter(|entry| {
            matches!(
                entry.state,
                TcpState::Established
                    | TcpState::FinWait1
                    | TcpState::FinWait2
                    | TcpState::CloseWait
                    | TcpState::LastAck
                    | TcpState::Closing
            )
        });
        remote.extend(live.map(|entry| canonical(entry.remote_address)));
    }
    Ok(remote)
}

/// A socket of IPv6 may speak IPv4.
fn canonical(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn only_connections_count() {
        for address in ["127.83.0.7:0", "[::ffff:127.83.0.8]:0"] {
            let listener = TcpListener::bind(address).expect("an address of the loopback");
            let at = listener.local_addr().expect("bound");
            let ip = canonical(at);
            assert!(!connected_to().expect("the lists").contains(&ip), "{ip}");
            let _stream = TcpStream::connect(at).expect("it listens");
            assert!(connected_to().expect("the lists").contains(&ip), "{ip}");
        }
    }
}
