//! A subnet of this machine's loopback that no other sim has: 127.x.0.0/16.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use crate::guest::SSH_PORT;

/// The second bytes that are given. 127.0 is everybody's.
const FIRST: u8 = 1;
const LAST: u8 = 254;

/// A subnet, ours as long as this lives.
pub(crate) struct Subnet {
    gateway: Ipv4Addr,
    /// On the gateway, where nobody else would listen: the kernel sees to it that one sim has it.
    _held: TcpListener,
}

impl Subnet {
    /// The first free one from 127.`from` on, counted round.
    pub(crate) fn free(from: u8) -> io::Result<Self> {
        let count = LAST - FIRST + 1;
        let mut taken = io::Error::from(io::ErrorKind::AddrInUse);
        for n in 0..count {
            let second = (u16::from(from.saturating_sub(FIRST)) + u16::from(n)) % u16::from(count);
            let gateway = Ipv4Addr::new(127, FIRST + second as u8, 0, 1);
            match TcpListener::bind((gateway, SSH_PORT)) {
                Ok(held) => {
                    return Ok(Self {
                        gateway,
                        _held: held,
                    });
                }
                Err(error) => taken = error,
            }
        }
        Err(io::Error::new(
            taken.kind(),
            format!("no address of 127.0.0.0/8 has port {SSH_PORT} free: {taken}"),
        ))
    }

    pub(crate) fn gateway(&self) -> Ipv4Addr {
        self.gateway
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_never_have_the_same() {
        let one = Subnet::free(40).unwrap();
        let other = Subnet::free(one.gateway().octets()[1]).unwrap();
        assert_ne!(one.gateway(), other.gateway());
    }

    #[test]
    fn the_search_goes_round() {
        let gateway = Subnet::free(255).unwrap().gateway();
        assert!(
            gateway.is_loopback() && gateway.octets()[1] != 255,
            "{gateway}"
        );
    }
}
