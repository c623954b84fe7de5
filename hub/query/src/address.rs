//! `ip("...")`: whether a text holds an address inside an address, a range or a network.
//!
//! Parts: [`AddressTest`]. Addresses are looked for where digits and dots, or hexadecimal digits and
//! colons, begin one. Promises: linear in the text, but for the 15 to 45 characters of an address.
//! Must not do: resolve names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address must lie in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddressTest {
    /// First and last address, both of one family.
    first: IpAddr,
    last: IpAddr,
}

impl AddressTest {
    /// Reads `10.0.0.1`, `10.0.0.1-10.0.0.9` or `10.0.0.0/8`, and the same for IPv6.
    ///
    /// # Errors
    /// In Loki's words, when it is none of these.
    pub(crate) fn parse(pattern: &str) -> Result<Self, String> {
        Self::read(pattern).ok_or_else(|| format!("ip: invalid pattern: {}", proto_model::labels::quoted(pattern)))
    }

    fn read(pattern: &str) -> Option<Self> {
        if let Some((first, last)) = pattern.split_once('-') {
            let (first, last): (IpAddr, IpAddr) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            return (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Self { first, last });
        }
        if let Some((address, bits)) = pattern.split_once('/') {
            return Self::network(address.parse().ok()?, bits.parse().ok()?);
        }
        let address = pattern.parse().ok()?;
        Some(Self { first: address, last: address })
    }

    fn network(address: IpAddr, bits: u32) -> Option<Self> {
        match address {
            IpAddr::V4(address) => {
                let host = u32::MAX.checked_shr(bits).unwrap_or(0);
                let network = u32::from(address) & !host;
                (bits <= 32).then_some(Self { first: Ipv4Addr::from(network).into(), last: Ipv4Addr::from(network | host).into() })
            }
            IpAddr::V6(address) => {
                let host = u128::MAX.checked_shr(bits).unwrap_or(0);
                let network = u128::from(address) & !host;
                (bits <= 128).then_some(Self { first: Ipv6Addr::from(network).into(), last: Ipv6Addr::from(network | host).into() })
            }
        }
    }

    /// Whether any address in `text` lies inside.
    pub(crate) fn found_in(&self, text: &[u8]) -> bool {
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let taken = if begins_v4(rest) {
                rest.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count()
            } else if begins_v6(rest) {
                rest.iter().take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')).count()
            } else {
                at += 1;
                continue;
            };
            let address = std::str::from_utf8(&rest[..taken]).ok().and_then(|text| text.parse().ok());
            if address.is_some_and(|address| self.contains(address)) {
                return true;
            }
            at += taken + 1;
        }
        false
    }

    fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && self.first <= address && address <= self.last
    }
}

fn begins_v4(text: &[u8]) -> bool {
    text.len() > 3 && text[0].is_ascii_digit() && text[1..4].contains(&b'.')
}

fn begins_v6(text: &[u8]) -> bool {
    match text {
        [b':', b':', third, ..] => third.is_ascii_hexdigit(),
        _ => {
            let digits = text.iter().take(4).take_while(|b| b.is_ascii_hexdigit()).count();
            digits > 0 && text.get(digits) == Some(&b':')
        }
    }
}

#[cfg(test)]
mod tests;
