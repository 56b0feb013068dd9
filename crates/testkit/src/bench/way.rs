//! Who does a thing.

/// The three that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Containarium: its REST API, or its command where a row says so.
    Ours,
    /// The requests that Incus needs, sent to its socket by hand.
    Raw,
    /// The `incus` command.
    Incus,
}

impl Way {
    /// In the order in which they take turns, and are shown.
    pub(super) const ALL: [Self; 3] = [Self::Ours, Self::Raw, Self::Incus];

    /// Its name in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Raw => "raw",
            Self::Incus => "incus",
        }
    }

    /// Its place in [`Self::ALL`].
    pub(super) fn place(self) -> usize {
        match self {
            Self::Ours => 0,
            Self::Raw => 1,
            Self::Incus => 2,
        }
    }
}
