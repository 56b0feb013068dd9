//! Finding a /16 that nothing on the host uses.

use std::net::Ipv4Addr;

/// A network: its first address and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subnet {
    first: u32,
    prefix: u8,
}

impl Subnet {
    /// Reads `10.1.2.3/16`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: Ipv4Addr = address.parse().ok()?;
        let prefix: u8 = prefix.parse().ok().filter(|p| *p <= 32)?;
        Some(Self {
            first: u32::from(address) & mask(prefix),
            prefix,
        })
    }

    fn overlaps(self, other: Self) -> bool {
        let mask = mask(self.prefix.min(other.prefix));
        self.first & mask == other.first & mask
    }

    /// The address of its gateway.
    pub(super) fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from(self.first + 1)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// The host's IPv4 routes from the text of `/proc/net/route`; the default route is not one.
pub(super) fn routes(text: &str) -> Vec<Subnet> {
    let read = |line: &str| {
        let mut fields = line.split_whitespace();
        // The numbers are in the host's byte order, which is the network's reversed here.
        let mut hex = |skip| {
            u32::from_str_radix(fields.nth(skip)?, 16)
                .ok()
                .map(u32::swap_bytes)
        };
        let (first, mask) = (hex(1)?, hex(5)?);
        let prefix = u8::try_from(mask.leading_ones()).ok()?;
        (prefix > 0).then_some(Subnet { first, prefix })
    };
    text.lines().skip(1).filter_map(read).collect()
}

/// The first /16 of 10.64.0.0 to 10.255.0.0 that overlaps none of `used`. Lower ones are where
/// offices and clouds begin to count.
pub(super) fn free(used: &[Subnet]) -> Option<Subnet> {
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
    fn a_subnet_is_free_of_routes() {
        let routes = routes(
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
             eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
             eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
             vpn0\t0000400A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n",
        );
        assert_eq!(routes.first(), Subnet::parse("192.0.2.0/24").as_ref());
        assert_eq!(routes.len(), 2);
        assert_eq!(
            free(&routes).unwrap().gateway(),
            Ipv4Addr::new(10, 65, 0, 1)
        );
        assert_eq!(free(&[Subnet::parse("10.0.0.0/8").unwrap()]), None);
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
