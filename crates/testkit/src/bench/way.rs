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

/// All that take turns, from another one on in each round: what the one before leaves to the disk and the
/// kernel hits all alike.
pub(super) fn in_turn<T: Copy>(all: &[T], round: u32) -> impl Iterator<Item = T> {
    let first = round as usize % all.len().max(1);
    let (later, now) = all.split_at(first);
    now.iter().chain(later).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_first_in_turn_and_none_is_left_out() {
        let order = |round| in_turn(&Way::ALL, round).map(Way::name).collect::<Vec<_>>();
        assert_eq!(order(0), ["ours", "raw", "incus"]);
        assert_eq!(order(1), ["raw", "incus", "ours"]);
        assert_eq!(order(5), ["incus", "ours", "raw"]);
        assert_eq!(in_turn(&[Way::Ours], 7).count(), 1);
        assert_eq!(in_turn::<Way>(&[], 7).count(), 0);
    }
}
