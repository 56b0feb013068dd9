//! Who may do what: one pure function, closed by default.

use containarium_contract::{Effect, Subject, Username};

use crate::{Error, Principal, Role};

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

/// Decides about the container `username` of `owner`: what the roles allow, less what is restricted. A
/// name outside the restrictions is as if it did not exist, whatever the roles say.
pub fn decide(who: &Principal, effect: Effect, owner: &Subject, username: &Username) -> Decision {
    if who.covers(username) {
        decide_told(who, effect, owner)
    } else {
        Decision::Hide
    }
}

/// The same where the name is covered, or where there is none.
fn decide_told(who: &Principal, effect: Effect, owner: &Subject) -> Decision {
    match by_roles(who, effect, owner) {
        Decision::Allow if !may_change(who, effect) => Decision::Forbid,
        decided => decided,
    }
}

/// Decides about what is told of `target`, which is of `owner`, such as an operation. Only where it is
/// `about_container` is the target a username; anything else is beyond a principal that is restricted to
/// names, also where it was asked for by the same subject with another token.
pub(crate) fn decide_about(
    who: &Principal,
    effect: Effect,
    owner: &Subject,
    target: &str,
    about_container: bool,
) -> Decision {
    let covered = || {
        let username = target.parse::<Username>();
        about_container && username.is_ok_and(|username| who.covers(&username))
    };
    if who.is_restricted_to_names() && !covered() {
        return Decision::Hide;
    }
    decide_told(who, effect, owner)
}

/// Whether the restrictions let anything be changed, where the effect is a change.
fn may_change(who: &Principal, effect: Effect) -> bool {
    match effect {
        Effect::Read => true,
        Effect::Write | Effect::Destroy => !who.is_read_only(),
    }
}

fn by_roles(who: &Principal, effect: Effect, owner: &Subject) -> Decision {
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
/// alone change it, unless they are restricted. That a user's create prepares an image it needs is the
/// create's affair.
pub fn decide_shared(who: &Principal, effect: Effect) -> Decision {
    let sees = who.is(Role::User) || who.is(Role::Viewer) || who.is(Role::Admin);
    let changes = who.is(Role::Admin) && !who.is_read_only() && !who.is_restricted_to_names();
    match effect {
        Effect::Write | Effect::Destroy if changes => Decision::Allow,
        Effect::Read if sees => Decision::Allow,
        Effect::Read | Effect::Write | Effect::Destroy => Decision::Forbid,
    }
}

/// Decides about what is the admins' alone, and shows whatever name there is: what store and engine do
/// not agree about.
pub(crate) fn decide_admin(who: &Principal, effect: Effect) -> Decision {
    if who.is(Role::Admin) && !who.is_restricted_to_names() && may_change(who, effect) {
        Decision::Allow
    } else {
        Decision::Forbid
    }
}

/// Whether the effect is allowed on any container at all; asked before a body is read.
pub fn may_ever(who: &Principal, effect: Effect) -> bool {
    decide_told(who, effect, &who.subject) == Decision::Allow
}

/// Why something is forbidden that may be known.
pub fn refusal(who: &Principal, effect: Effect) -> Error {
    if !may_change(who, effect) {
        Error::ReadOnly
    } else {
        Error::Forbidden
    }
}

/// Why something is forbidden that is no container.
pub(crate) fn refusal_shared(who: &Principal, effect: Effect) -> Error {
    match who.restriction_to_names() {
        Some(named) if may_change(who, effect) => Error::OtherThanNames(named.names()),
        Some(_) | None => refusal(who, effect),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice(roles: &[Role], restrictions: &str) -> Principal {
        Principal {
            subject: "alice".parse().unwrap(),
            roles: roles.to_vec(),
            restrictions: match restrictions {
                "" => Vec::new(),
                said => vec![said.parse().unwrap()],
            },
        }
    }

    #[test]
    fn the_whole_matrix() {
        let mut drawn = String::new();
        for restrictions in ["", "only=dev-*", "read-only"] {
            drawn += &format!("[{restrictions}]\n");
            for roles in [&[][..], &[Role::Admin], &[Role::User], &[Role::Viewer]] {
                let who = alice(roles, restrictions);
                let role = who
                    .roles
                    .first()
                    .map_or("nobody".to_owned(), Role::to_string);
                for effect in [Effect::Read, Effect::Write, Effect::Destroy] {
                    let of = |owner: &str, name: &str| {
                        let (owner, name) = (owner.parse().unwrap(), name.parse().unwrap());
                        format!("{:?}", decide(&who, effect, &owner, &name))
                    };
                    let both = |owner| format!("{}/{}", of(owner, "dev-1"), of(owner, "web"));
                    let (own, foreign) = (both("alice"), both("bob"));
                    let shared = decide_shared(&who, effect);
                    let admin = decide_admin(&who, effect);
                    let ever = may_ever(&who, effect);
                    let effect = format!("{effect:?}");
                    drawn += &format!(
                        "{role:7} {effect:8} own {own}, foreign {foreign}, shared {shared:?}, admin {admin:?}, ever {ever}\n"
                    );
                }
            }
        }
        insta::assert_snapshot!(drawn, @r"
        []
        nobody  Read     own Forbid/Forbid, foreign Forbid/Forbid, shared Forbid, admin Forbid, ever false
        nobody  Write    own Forbid/Forbid, foreign Forbid/Forbid, shared Forbid, admin Forbid, ever false
        nobody  Destroy  own Forbid/Forbid, foreign Forbid/Forbid, shared Forbid, admin Forbid, ever false
        admin   Read     own Allow/Allow, foreign Allow/Allow, shared Allow, admin Allow, ever true
        admin   Write    own Allow/Allow, foreign Allow/Allow, shared Allow, admin Allow, ever true
        admin   Destroy  own Allow/Allow, foreign Allow/Allow, shared Allow, admin Allow, ever true
        user    Read     own Allow/Allow, foreign Hide/Hide, shared Allow, admin Forbid, ever true
        user    Write    own Allow/Allow, foreign Hide/Hide, shared Forbid, admin Forbid, ever true
        user    Destroy  own Allow/Allow, foreign Hide/Hide, shared Forbid, admin Forbid, ever true
        viewer  Read     own Allow/Allow, foreign Allow/Allow, shared Allow, admin Forbid, ever true
        viewer  Write    own Forbid/Forbid, foreign Forbid/Forbid, shared Forbid, admin Forbid, ever false
        viewer  Destroy  own Forbid/Forbid, foreign Forbid/Forbid, shared Forbid, admin Forbid, ever false
        [only=dev-*]
        nobody  Read     own Forbid/Hide, foreign Forbid/Hide, shared Forbid, admin Forbid, ever false
        nobody  Write    own Forbid/Hide, foreign Forbid/Hide, shared Forbid, admin Forbid, ever false
        nobody  Destroy  own Forbid/Hide, foreign Forbid/Hide, shared Forbid, admin Forbid, ever false
        admin   Read     own Allow/Hide, foreign Allow/Hide, shared Allow, admin Forbid, ever true
        admin   Write    own Allow/Hide, foreign Allow/Hide, shared Forbid, admin Forbid, ever true
        admin   Destroy  own Allow/Hide, foreign Allow/Hide, shared Forbid, admin Forbid, ever true
        user    Read     own Allow/Hide, foreign Hide/Hide, shared Allow, admin Forbid, ever true
        user    Write    own Allow/Hide, foreign Hide/Hide, shared Forbid, admin Forbid, ever true
        user    Destroy  own Allow/Hide, foreign Hide/Hide, shared Forbid, admin Forbid, ever true
        viewer  Read     own Allow/Hide, foreign Allow/Hide, shared Allow, admin Forbid, ever true
        viewer  Write    own Forbid/Hide, foreign Forbid/Hide, shared Forbid, admin Forbid, ever false
        viewer  Destroy  own Forbid/Hide, foreign Forbid/Hide, shared Forbid, admin Forbid, ever false
        [read-only]
        nobody  Read     own Forbid/Forbid, foreign Forbid/Forbid, shared Forbid, admin Forbid, ever false
        nobody  Write    own Forbid/Forbid, foreign Forbid/Forbid, shared Forbid, admin Forbid, ever false
        nobody  Destroy  own Forbid/Forbid, foreign Forbid/Forbid, shared Forbid, admin Forbid, ever false
        admin   Read     own Allow/Allow, foreign Allow/Allow, shared Allow, admin Allow, ever true
        admin   Write    own Forbid/Forbid, foreign Forbid/Forbid, shared Forbid, admin Forbid, ever false
        admin   Destroy  own Forbid/Forbid, foreign Forbid/Forbid, shared Forbid, admin Forbid, ever false
        user    Read     own Allow/Allow, foreign Hide/Hide, shared Allow, admin Forbid, ever true
        user    Write    own Forbid/Forbid, foreign Hide/Hide, shared Forbid, admin Forbid, ever false
        user    Destroy  own Forbid/Forbid, foreign Hide/Hide, shared Forbid, admin Forbid, ever false
        viewer  Read     own Allow/Allow, foreign Allow/Allow, shared Allow, admin Forbid, ever true
        viewer  Write    own Forbid/Forbid, foreign Forbid/Forbid, shared Forbid, admin Forbid, ever false
        viewer  Destroy  own Forbid/Forbid, foreign Forbid/Forbid, shared Forbid, admin Forbid, ever false
        ");
    }

    #[test]
    fn a_restriction_never_allows_what_was_not_allowed() {
        let owners = ["alice", "bob"].map(|owner| owner.parse().unwrap());
        let names = ["dev-1", "web"].map(|name| name.parse().unwrap());
        for roles in [
            &[][..],
            &[Role::Admin],
            &[Role::User],
            &[Role::Viewer],
            &[Role::User, Role::Viewer],
        ] {
            for said in ["only=dev-*", "max=0", "read-only", "only=web; read-only"] {
                let (free, bound) = (alice(roles, ""), alice(roles, said));
                for effect in [Effect::Read, Effect::Write, Effect::Destroy] {
                    for (owner, name) in owners.iter().zip(&names) {
                        let may = |who| decide(who, effect, owner, name) == Decision::Allow;
                        assert!(may(&free) || !may(&bound), "{roles:?} {said} {effect:?}");
                    }
                    for decide in [decide_shared, decide_admin] {
                        let may = |who| decide(who, effect) == Decision::Allow;
                        assert!(may(&free) || !may(&bound), "{roles:?} {said} {effect:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_container_is_beyond_whoever_is_restricted_to_names() {
        let who = alice(&[Role::Admin], "only=dev-*");
        let told = |target, about| decide_about(&who, Effect::Read, &who.subject, target, about);
        assert_eq!(told("dev-1", true), Decision::Allow);
        assert_eq!(told("dev-1", false), Decision::Hide);
        assert_eq!(told("web", true), Decision::Hide);
        assert_eq!(told("images:debian/13", false), Decision::Hide);
    }
}
