//! What `init` decided, once, about where containers live.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddrV4},
};

use containarium_contract::{ImageRef, Username};
use serde::{Deserialize, Serialize};

/// One installation of Containarium on one Incus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// A ULID; stands in the Incus project's config and in every instance's tags.
    pub id: String,
    /// The name of the Incus project and bridge, and of the storage pool unless that was there
    /// before; `containarium` by default.
    pub name: String,
    /// The storage pool that containers are in. Empty in stores written before there was a choice;
    /// whoever reads one puts `name` there.
    #[serde(default)]
    pub pool: String,
    /// The bridge's own address, which is the containers' gateway and name server.
    pub gateway: Ipv4Addr,
    /// The length of the subnet's prefix.
    pub prefix: u8,
    /// The first user id on the host that containers may be mapped to.
    pub uid_first: u32,
    /// How many ranges of 65536 user ids follow from there.
    pub uid_ranges: u32,
    /// The image of a create that names none.
    pub default_image: ImageRef,
    /// The port where containers' sshd listens: 22, except in a simulation, whose user may not be
    /// root.
    #[serde(default = "ssh")]
    pub ssh_port: u16,
    /// Whether the engine is a simulation, so that nothing real is created.
    #[serde(default)]
    pub simulated: bool,
}

fn ssh() -> u16 {
    22
}

/// User ids that each container gets.
pub(crate) const UIDS: u32 = 65536;

/// Addresses below this offset in the subnet are the bridge's and kept free for later.
const FIRST_HOST: u32 = 10;

impl Installation {
    /// Where a port of the container at this address is. To everybody sshd's is 22.
    pub(crate) fn at(&self, address: Ipv4Addr, port: u16) -> SocketAddrV4 {
        let port = if port == 22 { self.ssh_port } else { port };
        SocketAddrV4::new(address, port)
    }

    /// Logs in from this host.
    pub(crate) fn ssh_command(&self, username: &Username, address: Ipv4Addr) -> String {
        match self.ssh_port {
            22 => format!("ssh {username}@{address}"),
            port => format!("ssh -p {port} {username}@{address}"),
        }
    }

    /// How many addresses containers may have: the lower half of the subnet; the upper half is
    /// Incus's, for DHCP.
    fn hosts(&self) -> u32 {
        (1 << (31 - u32::from(self.prefix.min(30)))) - FIRST_HOST
    }

    /// The address number `n` of the subnet, counted round.
    fn address(&self, n: u32) -> Ipv4Addr {
        let subnet = u32::from(self.gateway) & (u32::MAX << (32 - u32::from(self.prefix)));
        Ipv4Addr::from(subnet + FIRST_HOST + n % self.hosts())
    }

    /// The number of an address of this subnet.
    fn number(&self, address: Ipv4Addr) -> u32 {
        u32::from(address).wrapping_sub(u32::from(self.address(0)))
    }

    /// The first free address after `last`: an address rests before somebody else gets it, so
    /// that a laptop does not meet another host key under an address it knows.
    pub fn free_address(
        &self,
        taken: &HashSet<Ipv4Addr>,
        last: Option<Ipv4Addr>,
    ) -> Option<Ipv4Addr> {
        let first = last.map_or(0, |last| self.number(last).wrapping_add(1) % self.hosts());
        (0..self.hosts())
            .map(|n| self.address(first + n))
            .find(|a| !taken.contains(a))
    }

    /// The first user id of the lowest free range.
    pub fn free_uids(&self, taken: &HashSet<u32>) -> Option<u32> {
        (0..self.uid_ranges)
            .map(|n| self.uid_first + n * UIDS)
            .find(|base| !taken.contains(base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn installation() -> Installation {
        Installation {
            id: "i".into(),
            name: "containarium".into(),
            pool: "containarium".into(),
            gateway: Ipv4Addr::new(10, 90, 0, 1),
            prefix: 16,
            uid_first: 1_000_000,
            uid_ranges: 3,
            default_image: "local:debian/12".parse().unwrap(),
            ssh_port: 22,
            simulated: false,
        }
    }

    #[test]
    fn what_an_older_init_wrote_has_sshd_on_22_and_is_real() {
        let mut written = serde_json::to_value(installation()).unwrap();
        let fields = written.as_object_mut().unwrap();
        fields.remove("ssh_port");
        fields.remove("simulated");
        let read: Installation = serde_json::from_value(written).unwrap();
        assert_eq!(read, installation());
    }

    #[test]
    fn the_command_names_the_port_where_ssh_would_not_guess_it() {
        let (alice, address) = ("alice".parse().unwrap(), Ipv4Addr::new(10, 90, 0, 10));
        let mut here = installation();
        assert_eq!(here.ssh_command(&alice, address), "ssh alice@10.90.0.10");
        here.ssh_port = 22022;
        assert_eq!(
            here.ssh_command(&alice, address),
            "ssh -p 22022 alice@10.90.0.10"
        );
        assert_eq!(here.at(address, 22).port(), 22022);
        assert_eq!(here.at(address, 80).port(), 80);
    }

    #[test]
    fn addresses_go_round_and_skip_what_is_taken() {
        let here = installation();
        let at = |c, d| Ipv4Addr::new(10, 90, c, d);
        assert_eq!(here.free_address(&[].into(), None), Some(at(0, 10)));
        assert_eq!(
            here.free_address(&[at(0, 11)].into(), Some(at(0, 10))),
            Some(at(0, 12))
        );
        assert_eq!(
            here.free_address(&[].into(), Some(at(127, 255))),
            Some(at(0, 10))
        );
    }

    #[test]
    fn ranges_end() {
        let here = installation();
        assert_eq!(here.free_uids(&[1_000_000].into()), Some(1_065_536));
        assert_eq!(
            here.free_uids(&[1_000_000, 1_065_536, 1_131_072].into()),
            None
        );
    }

    proptest! {
        #[test]
        fn every_address_is_inside_and_free(taken in proptest::collection::vec(0_u32..40_000, 0..50), last in 0_u32..40_000) {
            let here = installation();
            let taken: HashSet<_> = taken.into_iter().map(|n| here.address(n)).collect();
            let free = here.free_address(&taken, Some(here.address(last))).unwrap();
            prop_assert!(!taken.contains(&free));
            prop_assert_eq!(&free.octets()[..2], &[10, 90]);
            prop_assert!(free.octets()[2] < 128 && free > here.gateway);
        }
    }
}
