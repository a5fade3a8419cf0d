//! A loopback port that nobody else gets while we hold it.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A port that is bound but does not listen: connections to it are refused, and a program that is told its number may
/// listen on it, since servers bind with `SO_REUSEADDR`. Whoever asks the system for any free port is given another.
#[derive(Debug)]
pub struct Held {
    socket: Socket,
}

impl Held {
    /// Any free port.
    pub fn any() -> Self {
        Self::bind(0).expect("a loopback interface")
    }

    /// That port, unless somebody listens on it.
    pub fn this(port: u16) -> Self {
        Self::bind(port).unwrap_or_else(|error| panic!("port {port} is not free: {error}"))
    }

    /// Its number.
    pub fn port(&self) -> u16 {
        let address = self.socket.local_addr().expect("an address");
        address.as_socket().expect("an address of the internet").port()
    }

    fn bind(port: u16) -> std::io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        Ok(Self { socket })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_held_port_refuses_until_somebody_listens() {
        let held = Held::any();
        let address = (Ipv4Addr::LOCALHOST, held.port());
        assert!(TcpStream::connect(address).is_err());
        let listener = TcpListener::bind(address).unwrap();
        TcpStream::connect(address).unwrap();
        drop(listener);
        assert!(TcpStream::connect(address).is_err());
        TcpListener::bind(address).unwrap();
        Held::this(held.port());
    }
}
