//! The containers' network: one that a person chose, or a /16 that nothing on the host uses.

use std::{fmt, net::Ipv4Addr, str::FromStr};

/// A network: its first address and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    first: u32,
    prefix: u8,
}

/// How long the prefix of the containers' network may be. A longer one has no room: ten addresses
/// are kept free and the upper half is Incus's, for DHCP.
const PREFIXES: std::ops::RangeInclusive<u8> = 16..=27;
/// Networks that are nobody's on the Internet (RFC 1918, RFC 6598).
const PRIVATE: [Subnet; 4] = [
    Subnet::of([10, 0, 0, 0], 8),
    Subnet::of([172, 16, 0, 0], 12),
    Subnet::of([192, 168, 0, 0], 16),
    Subnet::of([100, 64, 0, 0], 10),
];

/// A network that containers can have, as a person writes it: `10.20.0.0/24`.
impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let subnet = Self::parse(text)
            .ok_or("a subnet is an IPv4 network with its prefix, like 10.20.0.0/24")?;
        if subnet.to_string() != text {
            return Err(format!("{text} is an address in the subnet {subnet}"));
        }
        if !PREFIXES.contains(&subnet.prefix) {
            return Err(format!(
                "the prefix of a subnet is {} to {}: /{} has no room for containers, or too much",
                PREFIXES.start(),
                PREFIXES.end(),
                subnet.prefix
            ));
        }
        let private = |of: &Subnet| of.prefix <= subnet.prefix && of.overlaps(subnet);
        if !PRIVATE.iter().any(private) {
            return Err(format!(
                "{subnet} is somebody's on the Internet; take one of 10.0.0.0/8, 172.16.0.0/12 or \
                 192.168.0.0/16"
            ));
        }
        Ok(subnet)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.prefix)
    }
}

impl Subnet {
    const fn of(first: [u8; 4], prefix: u8) -> Self {
        Self {
            first: u32::from_be_bytes(first),
            prefix,
        }
    }

    /// One address.
    pub(crate) fn single(address: Ipv4Addr) -> Self {
        Self::of(address.octets(), 32)
    }

    /// Reads `10.1.2.3/16`, and an address alone as a network of its own.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
        let address: Ipv4Addr = address.parse().ok()?;
        let prefix: u8 = prefix.parse().ok().filter(|p| *p <= 32)?;
        Some(Self {
            first: u32::from(address) & mask(prefix),
            prefix,
        })
    }

    /// Whether some address is in both.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        let mask = mask(self.prefix.min(other.prefix));
        self.first & mask == other.first & mask
    }

    /// The address of its gateway: the first.
    pub(crate) fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from(self.first + 1)
    }

    /// The length of its prefix.
    pub(crate) fn prefix(self) -> u8 {
        self.prefix
    }

    /// What Incus may give by DHCP: the upper half, as containers have addresses of the lower one,
    /// from us.
    pub(super) fn dhcp_range(self) -> String {
        let size = 1_u32 << (32 - u32::from(self.prefix));
        let (first, last) = (self.first + size / 2 + 1, self.first + size - 2);
        format!("{}-{}", Ipv4Addr::from(first), Ipv4Addr::from(last))
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// The first /16 of 10.64.0.0 to 10.255.0.0 that overlaps none of `used`. Lower ones are where
/// offices and clouds begin to count.
pub(crate) fn free(used: &[Subnet]) -> Option<Subnet> {
    (64..=255_u32)
        .map(|second| Subnet {
            first: (10 << 24) | (second << 16),
            prefix: 16,
        })
        .find(|candidate| !used.iter().any(|used| used.overlaps(*candidate)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_free_of_what_is_used() {
        let used = [Subnet::parse("10.64.0.0/16").unwrap()];
        assert_eq!(free(&used).unwrap().gateway(), Ipv4Addr::new(10, 65, 0, 1));
        assert_eq!(free(&[Subnet::parse("10.0.0.0/8").unwrap()]), None);
    }

    #[test]
    fn a_chosen_subnet_is_private_whole_and_has_room() {
        let good: Subnet = "10.20.30.0/24".parse().unwrap();
        assert_eq!(good.gateway(), Ipv4Addr::new(10, 20, 30, 1));
        assert_eq!(good.dhcp_range(), "10.20.30.129-10.20.30.254");
        let whole: Subnet = "172.20.0.0/16".parse().unwrap();
        assert_eq!(whole.dhcp_range(), "172.20.128.1-172.20.255.254");
        for bad in [
            "10.20.30.0",
            "10.20.30.1/24",
            "10.0.0.0/8",
            "10.0.0.0/28",
            "8.8.8.0/24",
            "x",
        ] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_small_route_inside_counts_too() {
        let used = [
            Subnet::parse("10.64.7.9/32").unwrap(),
            Subnet::parse("10.65.0.1/16").unwrap(),
        ];
        assert_eq!(free(&used).unwrap().gateway(), Ipv4Addr::new(10, 66, 0, 1));
    }
}
