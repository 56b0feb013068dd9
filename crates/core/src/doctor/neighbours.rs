//! Other installations on the same Incus: their containers must have other user ids than ours. Older
//! versions gave every installation the same.

use containarium_incus::{Client, Project};

use super::Finding;
use crate::{Installation, mark::Mark, setup::uids};

const CHECK: &str = "neighbours";

/// Nothing where there is no other.
pub(super) async fn examine(incus: &Client, here: &Installation) -> Option<Finding> {
    match incus.projects().await {
        Ok(projects) => judge(here, &projects),
        Err(e) => Some(Finding::unknown(CHECK, format!("Incus does not say: {e}"))),
    }
}

fn judge(here: &Installation, projects: &[Project]) -> Option<Finding> {
    let ours = uids::ids(here.uid_first, here.uid_ranges);
    let mut others = Vec::new();
    let mut unknown = Vec::new();
    for project in projects {
        let Some(mark) = Mark::of(project).filter(|mark| mark.id != here.id) else {
            continue;
        };
        let Some(other) = mark.installation else {
            unknown.push(project.name.as_str());
            continue;
        };
        let theirs = uids::ids(other.uid_first, other.uid_ranges);
        if theirs.start < ours.end && ours.start < theirs.end {
            return Some(Finding::problem(
                CHECK,
                format!(
                    "the installations {} and {} give their containers the same user ids ({} to \
                     {}): whoever breaks out of one is root in another; the one that was made last \
                     must be purged and made again",
                    here.name,
                    other.name,
                    theirs.start.max(ours.start),
                    theirs.end.min(ours.end) - 1
                ),
            ));
        }
        others.push(other.name);
    }
    if !unknown.is_empty() {
        let found = format!(
            "which user ids these installations have is not written in Incus: {}; restart their \
             daemons with this version",
            unknown.join(", ")
        );
        return Some(Finding::unknown(CHECK, found));
    }
    (!others.is_empty()).then(|| {
        Finding::ok(
            CHECK,
            format!("no user id is shared with {}", others.join(", ")),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        doctor::{Verdict, tests::installation},
        mark::tags,
    };

    fn project(of: &Installation) -> Project {
        Project {
            name: of.name.clone(),
            config: tags(of, Path::new("/s")).into(),
            ..Project::default()
        }
    }

    #[test]
    fn two_with_the_same_user_ids_are_a_problem() {
        let here = installation();
        let mut other = Installation {
            id: "02".into(),
            name: "other".into(),
            ..installation()
        };
        let stranger = Project::default();
        assert!(judge(&here, &[project(&here), stranger]).is_none());
        let same = judge(&here, &[project(&here), project(&other)]).unwrap();
        assert_eq!(same.verdict, Verdict::Problem);
        assert!(same.found.contains("ct and other"), "{}", same.found);
        other.uid_first = 1_000_000;
        other.uid_ranges = 10;
        let apart = judge(&here, &[project(&here), project(&other)]).unwrap();
        assert_eq!(apart.verdict, Verdict::Ok, "{}", apart.found);
        let mut old = project(&other);
        old.config.remove("user.containarium.installation");
        let unknown = judge(&here, &[old]).unwrap();
        assert_eq!(unknown.verdict, Verdict::Unknown, "{}", unknown.found);
    }
}
