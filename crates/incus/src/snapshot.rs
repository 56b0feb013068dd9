//! Snapshots of instances: made, listed, removed. Not restored, and not copied from: that is an
//! instance's affair.
//!
//! Wait for the end of one before anything else is asked of its instance: a delete during a snapshot
//! wedges the instance for good.

use http::Method;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::{Error, Result};
use crate::operation::Operation;

/// A snapshot of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// Its name, unique in its instance.
    pub name: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
}

#[derive(Serialize)]
struct SnapshotPost<'a> {
    name: &'a str,
    stateful: bool,
}

impl Client {
    /// The snapshots of an instance.
    pub async fn snapshots(&self, instance: &str) -> Result<Vec<Snapshot>> {
        let segments = ["instances", instance, "snapshots"];
        self.get(&segments, &[("recursion", "1")]).await
    }

    /// Makes a snapshot of an instance's disk.
    pub async fn create_snapshot(&self, instance: &str, name: &str) -> Result<Operation> {
        let post = SnapshotPost {
            name: safe(name)?,
            stateful: false,
        };
        self.begin(Method::POST, &["instances", instance, "snapshots"], &post)
            .await
    }

    /// Removes a snapshot.
    pub async fn delete_snapshot(&self, instance: &str, name: &str) -> Result<Operation> {
        self.begin_delete(&["instances", instance, "snapshots", safe(name)?])
            .await
    }
}

/// Incus takes nearly any name here, and one of `..` removes directories of all instances: only what
/// it takes for an instance's own name is sent.
fn safe(name: &str) -> Result<&str> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let whole = (1..=63).contains(&name.len()) && name.chars().all(harmless);
    if whole && !name.starts_with('-') {
        Ok(name)
    } else {
        Err(Error::InvalidName(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_harms_is_not_sent() {
        for bad in ["", ".", "..", "a/b", "a b", "a\n", "-x", "ü"] {
            assert!(matches!(safe(bad), Err(Error::InvalidName(_))), "{bad:?}");
        }
        assert!(safe(&"a".repeat(64)).is_err());
        assert_eq!(safe("before-1").unwrap(), "before-1");
    }
}
