//! Files of instances: a tree of names, without owners, modes and links.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::answer::{Answer, Asked, Refusal};
use crate::sim::Shared;

/// A path's content; `None` is a directory.
pub(crate) type Files = BTreeMap<String, Option<Vec<u8>>>;

/// The directories that every image has.
pub(crate) fn of_any_image() -> Files {
    ["/", "/etc", "/root", "/tmp", "/var"]
        .map(|path| (path.to_owned(), None))
        .into()
}

/// Puts a file there, and the directories above it.
pub(crate) fn put(files: &mut Files, path: &str, content: &[u8]) {
    for (at, _) in path.match_indices('/').skip(1) {
        if let Some(above) = path.get(..at) {
            files.entry(above.to_owned()).or_insert(None);
        }
    }
    files.insert(path.to_owned(), Some(content.to_vec()));
}

fn above(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((above, _)) => above,
    }
}

fn names_in<'f>(files: &'f Files, directory: &'f str) -> impl Iterator<Item = &'f str> {
    files
        .keys()
        .filter(move |path| *path != "/" && above(path) == directory)
        .filter_map(|path| path.rsplit('/').next())
}

fn path(asked: &Asked) -> Result<&str, Refusal> {
    let path = asked.query.get("path").map(String::as_str);
    path.filter(|path| path.starts_with('/'))
        .ok_or_else(|| Refusal::new(400, "Missing path argument"))
}

fn missing() -> Refusal {
    Refusal::new(404, "Not Found")
}

fn failure(what: &str, path: &str, why: &str) -> Refusal {
    Refusal::new(
        500,
        format!("sftp: \"{what} {path}: {why}\" (SSH_FX_FAILURE)"),
    )
}

/// Looks for a path whose directory must be one.
fn find<'f>(
    files: &'f Files,
    what: &str,
    path: &str,
) -> Result<Option<&'f Option<Vec<u8>>>, Refusal> {
    match files.get(above(path)) {
        Some(None) => Ok(files.get(path)),
        Some(Some(_)) => Err(failure(what, path, "not a directory")),
        None => Err(missing()),
    }
}

/// `GET …/files?path=P`: a file's bytes, or a directory's names.
pub(crate) fn get(shared: &Shared, asked: &Asked, name: &str) -> Result<Answer, Refusal> {
    let world = shared.world();
    let files = &world.instance(&asked.project(), name)?.files;
    let path = path(asked)?;
    match find(files, "lstat", path)?.ok_or_else(missing)? {
        Some(content) => Ok(Answer::File(content.clone())),
        None => Ok(Answer::Directory(
            names_in(files, path).map(Value::from).collect(),
        )),
    }
}

/// `POST …/files?path=P`: makes or overwrites a file, or makes a directory.
pub(crate) fn post(shared: &Shared, asked: &Asked, name: &str) -> Result<Answer, Refusal> {
    let mut world = shared.world();
    let files = &mut world.instance_mut(&asked.project(), name)?.files;
    let path = path(asked)?;
    match (asked.file_type.as_deref(), find(files, "open", path)?) {
        (Some("directory"), None) => files.insert(path.to_owned(), None),
        // Said to be done even where a file is in its place.
        (Some("directory"), Some(_)) => None,
        (Some("file"), Some(Some(_)) | None) => {
            files.insert(path.to_owned(), Some(asked.body.to_vec()))
        }
        (Some("file"), Some(None)) => return Err(failure("open", path, "is a directory")),
        (other, _) => {
            let text = format!("incus-sim makes no {}", other.unwrap_or("untyped file"));
            return Err(Refusal::new(501, text));
        }
    };
    Ok(Answer::Sync(json!({})))
}

/// `DELETE …/files?path=P`: a file, or an empty directory.
pub(crate) fn delete(shared: &Shared, asked: &Asked, name: &str) -> Result<Answer, Refusal> {
    let mut world = shared.world();
    let files = &mut world.instance_mut(&asked.project(), name)?.files;
    let path = path(asked)?;
    if names_in(files, path).next().is_some() {
        return Err(failure("remove", path, "directory not empty"));
    }
    find(files, "remove", path)?.ok_or_else(missing)?;
    files.remove(path);
    Ok(Answer::Sync(json!({})))
}
