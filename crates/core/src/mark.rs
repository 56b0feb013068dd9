//! What Incus remembers of an installation, on its project: enough to take it up again where the
//! state directory is lost, and for another installation to keep away from its user ids.
//!
//! A copy: the store owns these facts. Written by every `init` and every start of a daemon, so that
//! installations of older versions get it, too.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use containarium_incus::{Client, Error, Project, ProjectPut};

use crate::{Installation, Lock, Store, engine::INSTALL_TAG};

/// All that `init` decided, as JSON.
const INSTALLATION: &str = "user.containarium.installation";
/// The state directory of whoever wrote it last, on his machine.
const STATE: &str = "user.containarium.state";

/// What a project says of the installation that it is of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The installation's id.
    pub(crate) id: String,
    /// What its `init` decided; not there where an older version made it and no daemon of a newer
    /// one has run since.
    pub(crate) installation: Option<Installation>,
    /// Where its store was.
    pub(crate) state_dir: Option<PathBuf>,
}

impl Mark {
    /// What is written on this project; `None` where it is of no installation.
    pub(crate) fn of(project: &Project) -> Option<Self> {
        let id = project.config.get(INSTALL_TAG)?.clone();
        let json = project.config.get(INSTALLATION);
        let installation = json.and_then(|json| serde_json::from_str::<Installation>(json).ok());
        Some(Self {
            // What is of another id was written by hand, or for another project.
            installation: installation.filter(|i| i.id == id && i.name == project.name),
            state_dir: project.config.get(STATE).map(PathBuf::from),
            id,
        })
    }

    /// The state directory on this machine, other than `own`, that has this installation still.
    pub(crate) async fn elsewhere(&self, own: &Path) -> Option<PathBuf> {
        let dir = self.state_dir.as_deref()?;
        let same = match (dir.canonicalize(), own.canonicalize()) {
            (Ok(dir), Ok(own)) => dir == own,
            (Err(_), _) | (_, Err(_)) => dir == own,
        };
        if same {
            return None;
        }
        let there = Store::existing(dir).ok()?.installation().await.ok()?;
        (there.id == self.id).then(|| dir.to_owned())
    }
}

/// Whether a daemon works with this state directory on this machine now.
pub(crate) fn is_served(state_dir: &Path) -> bool {
    Lock::is_held(state_dir)
}

/// The configuration that says so.
pub(crate) fn tags(installation: &Installation, state_dir: &Path) -> [(String, String); 3] {
    // A struct of strings and numbers can be written.
    let json = serde_json::to_string(installation).unwrap_or_default();
    let dir = std::path::absolute(state_dir).unwrap_or_else(|_| state_dir.to_owned());
    [
        (INSTALL_TAG.to_owned(), installation.id.clone()),
        (INSTALLATION.to_owned(), json),
        (STATE.to_owned(), dir.display().to_string()),
    ]
}

/// Writes it on the installation's project where it is not there, or not so any more; whether it
/// did. A project that is not of this installation is not touched.
pub async fn renew(
    incus: &Client,
    installation: &Installation,
    state_dir: &Path,
) -> Result<bool, Error> {
    if installation.simulated {
        return Ok(false);
    }
    let found = incus.project(&installation.name).await?;
    let config = &found.value.config;
    let tags = BTreeMap::from(tags(installation, state_dir));
    if config.get(INSTALL_TAG) != Some(&installation.id)
        || tags
            .iter()
            .all(|(key, value)| config.get(key) == Some(value))
    {
        return Ok(false);
    }
    let mut config = config.clone();
    config.extend(tags);
    let put = ProjectPut {
        description: found.value.description,
        config,
        if_match: Some(found.etag),
    };
    incus.update_project(&installation.name, &put).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::installation;

    fn marked() -> Project {
        Project {
            name: "ct".into(),
            config: tags(&installation(), Path::new("/var/lib/x")).into(),
            ..Project::default()
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mark = Mark::of(&marked()).unwrap();
        assert_eq!(mark.installation, Some(installation()));
        assert_eq!(mark.state_dir, Some("/var/lib/x".into()));
        assert_eq!(Mark::of(&Project::default()), None);
    }

    #[test]
    fn what_is_of_another_is_not_believed() {
        let mut other = marked();
        other.config.insert(INSTALL_TAG.into(), "02".into());
        let mark = Mark::of(&other).unwrap();
        assert_eq!((mark.id.as_str(), mark.installation), ("02", None));
        let mut torn = marked();
        torn.config.insert(INSTALLATION.into(), "{".into());
        assert_eq!(Mark::of(&torn).unwrap().installation, None);
    }
}
