//! Who may do what: one pure function, closed by default.

use containarium_contract::{Effect, Subject};

use crate::{Principal, Role};

/// Whether a principal may do a thing to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allow,
    /// It may know that the thing exists, but not do this: 403.
    Forbid,
    /// It may not know that the thing exists: 404, as if it did not.
    Hide,
}

/// Decides about a container of `owner`.
pub fn decide(who: &Principal, effect: Effect, owner: &Subject) -> Decision {
    let owns = who.is(Role::User) && who.subject == *owner;
    let sees = owns || who.is(Role::Viewer);
    match effect {
        _ if who.is(Role::Admin) => Decision::Allow,
        Effect::Read if sees => Decision::Allow,
        Effect::Write | Effect::Destroy if owns => Decision::Allow,
        Effect::Write | Effect::Destroy if sees => Decision::Forbid,
        Effect::Read | Effect::Write | Effect::Destroy if who.is(Role::User) => Decision::Hide,
        Effect::Read | Effect::Write | Effect::Destroy => Decision::Forbid,
    }
}

/// Decides about what belongs to everybody, such as images: whoever has a role may look, admins
/// alone change it. That a user's create prepares an image it needs is the create's affair.
pub fn decide_shared(who: &Principal, effect: Effect) -> Decision {
    let sees = who.is(Role::User) || who.is(Role::Viewer);
    match effect {
        _ if who.is(Role::Admin) => Decision::Allow,
        Effect::Read if sees => Decision::Allow,
        Effect::Read | Effect::Write | Effect::Destroy => Decision::Forbid,
    }
}

/// Whether the roles allow the effect on any container at all; asked before a body is read.
pub fn may_ever(who: &Principal, effect: Effect) -> bool {
    decide(who, effect, &who.subject) == Decision::Allow
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_matrix() {
        let mut drawn = String::new();
        for roles in [
            vec![],
            vec![Role::Admin],
            vec![Role::User],
            vec![Role::Viewer],
        ] {
            let who = Principal {
                subject: "alice".parse().unwrap(),
                roles,
            };
            let role = who
                .roles
                .first()
                .map_or("nobody".to_owned(), Role::to_string);
            for effect in [Effect::Read, Effect::Write, Effect::Destroy] {
                let own = decide(&who, effect, &"alice".parse().unwrap());
                let foreign = decide(&who, effect, &"bob".parse().unwrap());
                let shared = decide_shared(&who, effect);
                let effect = format!("{effect:?}");
                drawn += &format!(
                    "{role:7} {effect:8} own {own:?}, foreign {foreign:?}, shared {shared:?}\n"
                );
            }
        }
        insta::assert_snapshot!(drawn, @r"
        nobody  Read     own Forbid, foreign Forbid, shared Forbid
        nobody  Write    own Forbid, foreign Forbid, shared Forbid
        nobody  Destroy  own Forbid, foreign Forbid, shared Forbid
        admin   Read     own Allow, foreign Allow, shared Allow
        admin   Write    own Allow, foreign Allow, shared Allow
        admin   Destroy  own Allow, foreign Allow, shared Allow
        user    Read     own Allow, foreign Hide, shared Allow
        user    Write    own Allow, foreign Hide, shared Forbid
        user    Destroy  own Allow, foreign Hide, shared Forbid
        viewer  Read     own Allow, foreign Allow, shared Allow
        viewer  Write    own Forbid, foreign Forbid, shared Forbid
        viewer  Destroy  own Forbid, foreign Forbid, shared Forbid
        ");
    }
}
