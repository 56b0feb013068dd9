//! Quantities as people write them: `4GB`, `8GiB`, `4` cores.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A number of bytes that remembers how it was written.
///
/// `GB` is 10⁹ bytes and `GiB` is 2³⁰, as everywhere in Incus; a bare number is bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "NumberOrText", into = "String")]
pub struct ByteSize {
    bytes: u64,
    text: String,
}

/// Why a text is not a [`ByteSize`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASize {
    /// Outside the grammar.
    #[error("a size is a whole number with a unit (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB)")]
    Grammar,
    /// Nothing, or more than a pebibyte.
    #[error("a size is more than zero and at most 1024TiB")]
    Range,
}

/// A whole number of CPU cores, 1 to 4096.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "NumberOrText", into = "String")]
pub struct Cpus(u32);

/// Why a text is not [`Cpus`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a CPU limit is a whole number of cores, 1 to 4096")]
pub struct NotCpus;

const MAX_BYTES: u64 = 1 << 50;

const UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

impl ByteSize {
    /// The number of bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// So many bytes, written with the largest binary unit that divides them.
    pub fn from_bytes(bytes: u64) -> Self {
        let binary = UNITS.iter().rev().find(|(unit, size)| {
            (unit.ends_with("iB") || *unit == "B") && bytes >= *size && bytes.is_multiple_of(*size)
        });
        let text = match binary {
            Some((unit, size)) if *unit != "B" => format!("{}{unit}", bytes / size),
            Some(_) | None => bytes.to_string(),
        };
        Self { bytes, text }
    }
}

impl FromStr for ByteSize {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(end).ok_or(NotASize::Grammar)?;
        let unit = unit.strip_prefix(' ').unwrap_or(unit);
        if number.is_empty() || number.len() > 20 {
            return Err(NotASize::Grammar);
        }
        let (unit, size) = match unit {
            "" => ("", 1),
            _ => *UNITS
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(unit))
                .ok_or(NotASize::Grammar)?,
        };
        let bytes = number
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(size))
            .filter(|bytes| (1..=MAX_BYTES).contains(bytes))
            .ok_or(NotASize::Range)?;
        Ok(Self {
            bytes,
            text: format!("{}{unit}", bytes / size),
        })
    }
}

impl Cpus {
    /// The number of cores.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The smaller of the two.
    #[must_use]
    pub fn capped_at(self, cores: u32) -> Self {
        Self(self.0.min(cores.max(1)))
    }
}

impl FromStr for Cpus {
    type Err = NotCpus;

    fn from_str(text: &str) -> Result<Self, NotCpus> {
        let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        let cores = text
            .parse()
            .ok()
            .filter(|n| digits && (1..=4096).contains(n));
        cores.map(Self).ok_or(NotCpus)
    }
}

/// JSON's two ways to give a quantity.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

impl NumberOrText {
    fn into_text(self) -> String {
        match self {
            Self::Number(n) => n.to_string(),
            Self::Text(text) => text,
        }
    }
}

impl TryFrom<NumberOrText> for ByteSize {
    type Error = NotASize;
    fn try_from(given: NumberOrText) -> Result<Self, NotASize> {
        given.into_text().parse()
    }
}

impl TryFrom<NumberOrText> for Cpus {
    type Error = NotCpus;
    fn try_from(given: NumberOrText) -> Result<Self, NotCpus> {
        given.into_text().parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.text
    }
}

impl From<Cpus> for String {
    fn from(cpus: Cpus) -> Self {
        cpus.0.to_string()
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// In: text or a whole number. Out: text.
fn text_or_number(generator: &SchemaGenerator) -> Schema {
    if generator.contract().is_serialize() {
        json_schema!({ "type": "string" })
    } else {
        json_schema!({ "type": ["string", "integer"] })
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        text_or_number(generator)
    }
}

impl JsonSchema for Cpus {
    fn schema_name() -> Cow<'static, str> {
        "Cpus".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        text_or_number(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_read_as_incus_reads_them() {
        let bytes = |text: &str| text.parse::<ByteSize>().map(|size| size.bytes());
        assert_eq!(bytes("4GB"), Ok(4_000_000_000));
        assert_eq!(bytes("2048MB"), Ok(2_048_000_000));
        assert_eq!(bytes("8GiB"), Ok(8 << 30));
        assert_eq!(bytes("8 gib"), Ok(8 << 30));
        assert_eq!(bytes("1048576"), Ok(1 << 20));
        for bad in [
            "", "GB", "4G", "1.5GB", "-1GB", "4GB4", "4  GB", "4GB\n", "０GB",
        ] {
            assert_eq!(bytes(bad), Err(NotASize::Grammar), "{bad:?}");
        }
        for absurd in [
            "0",
            "0GB",
            "2000TB",
            "99999999999999999999",
            "18446744073709551615TB",
        ] {
            assert_eq!(bytes(absurd), Err(NotASize::Range), "{absurd:?}");
        }
    }

    #[test]
    fn cores_are_whole() {
        assert_eq!("4".parse::<Cpus>().map(Cpus::get), Ok(4));
        for bad in ["", "0", "4097", "0.5", "-1", "+4", "4 cores", "1e3"] {
            assert_eq!(bad.parse::<Cpus>(), Err(NotCpus), "{bad:?}");
        }
    }

    #[test]
    fn json_gives_quantities_as_text_or_number() {
        for json in ["\"4\"", "4"] {
            assert_eq!(serde_json::from_str::<Cpus>(json).unwrap().get(), 4);
        }
        assert_eq!(
            serde_json::from_str::<ByteSize>("1024").unwrap().bytes(),
            1024
        );
        assert!(serde_json::from_str::<Cpus>("4.0").is_err());
    }

    proptest! {
        #[test]
        fn a_size_is_shown_the_way_it_was_given(n in 1_u64..1_000, unit in 0..UNITS.len()) {
            let text = format!("{n}{}", UNITS[unit].0);
            prop_assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }

        #[test]
        fn bytes_survive_being_written(bytes in 1..=MAX_BYTES) {
            let size = ByteSize::from_bytes(bytes);
            prop_assert_eq!(size.to_string().parse::<ByteSize>().unwrap().bytes(), bytes);
        }
    }
}
