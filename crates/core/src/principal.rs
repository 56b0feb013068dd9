//! Who asks: a token's subject with its roles, less what the token or the request gives up.

use std::{fmt, str::FromStr};

use containarium_contract::{Restrictions, Subject, Username, UsernamePattern};

/// What a token's bearer may do at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything, with everybody's containers.
    Admin,
    /// Everything, with its own containers.
    User,
    /// Sees everything, changes nothing.
    Viewer,
}

/// Why a text is not a [`Role`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no role `{0}`; the roles are admin, user and viewer")]
pub struct NotARole(String);

impl FromStr for Role {
    type Err = NotARole;

    fn from_str(text: &str) -> Result<Self, NotARole> {
        match text {
            "admin" => Ok(Self::Admin),
            "user" => Ok(Self::User),
            "viewer" => Ok(Self::Viewer),
            other => Err(NotARole(other.to_owned())),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "admin",
            Self::User => "user",
            Self::Viewer => "viewer",
        })
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The token's subject.
    pub subject: Subject,
    /// Its roles; an unknown one in a token counts for nothing.
    pub roles: Vec<Role>,
    /// What it may not do although its roles would allow it, the token's first. Each must allow a thing,
    /// so that one more can only tighten.
    pub restrictions: Vec<Restrictions>,
}

impl Principal {
    /// Whether it has the role.
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether containers of that name are there for it at all.
    pub fn covers(&self, username: &Username) -> bool {
        self.restrictions.iter().all(|one| one.covers(username))
    }

    /// Whether it changes nothing.
    pub fn is_read_only(&self) -> bool {
        self.restrictions.iter().any(|one| one.read_only)
    }

    /// Whether there are names that it does not cover.
    pub fn is_restricted_to_names(&self) -> bool {
        self.restriction_to_names().is_some()
    }

    pub(crate) fn restriction_to_names(&self) -> Option<&Restrictions> {
        self.restrictions.iter().find(|one| !one.only.is_empty())
    }

    /// Names that are covered, of whoever they are: of each restriction its patterns.
    pub(crate) fn only(&self) -> Vec<Vec<UsernamePattern>> {
        only(&self.restrictions)
    }

    /// How many containers it may have of which, for each restriction that says so.
    ///
    /// Each is counted among what it and those before it cover. So a request that narrows the names does
    /// not get around the number of its token, and learns nothing of names that its token hides.
    pub(crate) fn limits(&self) -> Vec<Limit> {
        let all = self.is(Role::Admin) || self.is(Role::Viewer);
        let numbered = self.restrictions.iter().enumerate();
        numbered
            .filter_map(|(at, one)| {
                let so_far = self.restrictions.get(..=at)?;
                Some(Limit {
                    most: one.max?,
                    owner: (!all).then(|| self.subject.clone()),
                    only: only(so_far),
                })
            })
            .collect()
    }
}

/// How many containers there may be of some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) most: u32,
    /// Of this owner alone.
    pub(crate) owner: Option<Subject>,
    /// Of the names that each of these has.
    pub(crate) only: Vec<Vec<UsernamePattern>>,
}

fn only(restrictions: &[Restrictions]) -> Vec<Vec<UsernamePattern>> {
    let named = restrictions.iter().filter(|one| !one.only.is_empty());
    named.map(|one| one.only.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(restrictions: &[&str]) -> Principal {
        Principal {
            subject: "alice".parse().unwrap(),
            roles: vec![Role::User],
            restrictions: restrictions
                .iter()
                .map(|said| said.parse().unwrap())
                .collect(),
        }
    }

    #[test]
    fn each_restriction_can_only_tighten_those_before_it() {
        let who = agent(&["only=agent-*; max=5", "only=agent-a,web; max=9; read-only"]);
        let covers = |name: &str| who.covers(&name.parse().unwrap());
        assert!(covers("agent-a"));
        assert!(!covers("agent-b"), "the second does not cover it");
        assert!(!covers("web"), "the first does not cover it");
        assert!(who.is_read_only() && who.is_restricted_to_names());
        assert!(!agent(&["max=1"]).is_restricted_to_names());
    }

    #[test]
    fn a_number_is_counted_among_what_was_covered_when_it_was_said() {
        let limits = agent(&["only=agent-*; max=5", "only=agent-a; max=9"]).limits();
        let counted: Vec<_> = limits
            .iter()
            .map(|one| (one.most, one.only.len()))
            .collect();
        assert_eq!(counted, [(5, 1), (9, 2)]);
        assert!(agent(&["only=agent-*"]).limits().is_empty());
    }
}
