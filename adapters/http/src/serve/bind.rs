//! Sockets that listen.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections the kernel may hold for us before they are accepted.
const BACKLOG: i32 = 1024;
/// Tries to find one free port on both loopbacks when port 0 asks for any.
const TRIES: usize = 16;

/// Listens on every address of `host`; `localhost` means both loopbacks, whatever the hosts file says.
///
/// An address this machine does not have (often `::1` in containers) is skipped as long as another one works.
/// Port 0 picks a free port, the same one on every address. The sockets set `SO_REUSEADDR`, so a restart does not
/// wait for old connections to time out.
///
/// # Errors
/// When the host has no address, or one of them cannot be used; the message names the address.
pub fn bind(host: &str, port: u16) -> io::Result<Vec<TcpListener>> {
    let addresses = resolve(host)?;
    let mut outcome = listen_on(&addresses, port);
    for _ in 1..TRIES {
        match &outcome {
            // The port that was free on the first address was taken on the second: draw again.
            Err(error) if port == 0 && error.kind() == io::ErrorKind::AddrInUse => {
                outcome = listen_on(&addresses, port);
            }
            _ => break,
        }
    }
    outcome
}

fn resolve(host: &str) -> io::Result<Vec<IpAddr>> {
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let mut addresses = Vec::new();
    for address in (bare, 0).to_socket_addrs().map_err(|error| named(&error, host))? {
        if !addresses.contains(&address.ip()) {
            addresses.push(address.ip());
        }
    }
    Ok(addresses)
}

fn listen_on(addresses: &[IpAddr], mut port: u16) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    let mut missing = None;
    for &address in addresses {
        match listen(SocketAddr::new(address, port)) {
            Ok(listener) => {
                port = listener.local_addr()?.port();
                listeners.push(listener);
            }
            Err(error) if is_missing(&error) => {
                missing = Some(named(&error, &SocketAddr::new(address, port)));
            }
            Err(error) => return Err(named(&error, &SocketAddr::new(address, port))),
        }
    }
    match missing {
        Some(error) if listeners.is_empty() => Err(error),
        _ if listeners.is_empty() => {
            Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "the host has no address"))
        }
        _ => Ok(listeners),
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // On Windows the option would let two servers share the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The machine lacks the address or its whole family.
fn is_missing(error: &io::Error) -> bool {
    // `EAFNOSUPPORT` has no kind in std: 97 on Linux, 47 on the BSDs and macOS.
    error.kind() == io::ErrorKind::AddrNotAvailable || matches!(error.raw_os_error(), Some(97 | 47))
}

fn named(error: &io::Error, address: &(impl std::fmt::Display + ?Sized)) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
}
