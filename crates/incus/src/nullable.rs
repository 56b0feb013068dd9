//! Decoding what Incus leaves out: `null` where a list or map is empty, `-1` where a number is unknown.
//! Not for validation: a value of another type still fails.

use serde::{Deserialize, Deserializer};

/// `null` becomes the type's default.
pub(crate) fn nullable<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// Incus's signed numbers as unsigned ones; `null` and negative ones, which stand for "unknown",
/// become 0.
pub(crate) fn count<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = Option::<i64>::deserialize(from)?.unwrap_or_default();
    Ok(u64::try_from(number).unwrap_or_default())
}
