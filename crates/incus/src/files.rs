//! Files of an instance, running or not: put one in, get one out, take one away, list a directory.

use http::{Method, header};

use crate::client::{CHANGE, Client, READ_ALL};
use crate::envelope::Verdict;
use crate::error::{Error, Result};
use crate::upload::Upload;

/// What is to be made at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileKind {
    /// A file; the content is its content. An existing one is overwritten.
    #[default]
    File,
    /// A directory; there is no content. An existing one stays as it is.
    Directory,
    /// A symbolic link; the content is its target.
    Symlink,
}

impl FileKind {
    fn word(self) -> &'static str {
        match self {
            FileKind::File => "file",
            FileKind::Directory => "directory",
            FileKind::Symlink => "symlink",
        }
    }
}

/// Whose a new file is. On a file that exists Incus ignores all three without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePost {
    /// Owner, as seen inside.
    pub uid: u32,
    /// Group, as seen inside.
    pub gid: u32,
    /// Permissions, such as `0o640`.
    pub mode: u32,
    /// What is made.
    pub kind: FileKind,
}

impl FilePost {
    /// A file of root's with these permissions.
    pub fn root(mode: u32) -> Self {
        Self {
            uid: 0,
            gid: 0,
            mode,
            kind: FileKind::File,
        }
    }
}

impl Client {
    /// Makes or overwrites a file, directory or link. Its parent must exist. Links inside the
    /// instance are followed. On a full volume Incus may cut the connection
    /// ([`Error::Protocol`]).
    pub async fn push_file(
        &self,
        name: &str,
        path: &str,
        post: &FilePost,
        content: Vec<u8>,
    ) -> Result<()> {
        let segments = ["instances", name, "files"];
        let mut call = self.call(Method::POST, &segments, &[("path", path)], CHANGE)?;
        call.headers = vec![
            (
                header::CONTENT_TYPE.as_str(),
                "application/octet-stream".to_owned(),
            ),
            ("x-incus-type", post.kind.word().to_owned()),
            ("x-incus-uid", post.uid.to_string()),
            ("x-incus-gid", post.gid.to_string()),
            ("x-incus-mode", format!("{:04o}", post.mode & 0o7777)),
        ];
        if post.kind == FileKind::File {
            call.headers.push(("x-incus-write", "overwrite".to_owned()));
        }
        call.body = Upload::empty().bytes(content);
        self.verdict(call)
            .await?
            .done::<serde_json::Value>()
            .map(drop)
    }

    /// The names in a directory. What is none is [`Error::Conflict`].
    pub async fn list_directory(&self, name: &str, path: &str) -> Result<Vec<String>> {
        let segments = ["instances", name, "files"];
        let call = self.call(Method::GET, &segments, &[("path", path)], READ_ALL)?;
        let reply = self.send(call).await?;
        match reply.header("x-incus-type") {
            Some(other) if other != "directory" => {
                Err(Error::Conflict(format!("{path} is a {other}")))
            }
            Some(_) | None => Verdict::of(&reply)?.done(),
        }
    }

    /// Removes a file, a link (and not what it leads to) or an empty directory.
    pub async fn delete_file(&self, name: &str, path: &str) -> Result<()> {
        self.delete(&["instances", name, "files"], &[("path", path)])
            .await
    }

    /// Reads a file, at most 32 MiB of it ([`Error::Protocol`] beyond). A directory is
    /// [`Error::Conflict`].
    pub async fn pull_file(&self, name: &str, path: &str) -> Result<Vec<u8>> {
        let segments = ["instances", name, "files"];
        let call = self.call(Method::GET, &segments, &[("path", path)], READ_ALL)?;
        let reply = self.send(call).await?;
        match reply.header("x-incus-type") {
            Some("file") => Ok(reply.body.into()),
            Some(other) => Err(Error::Conflict(format!("{path} is a {other}"))),
            None => Err(match Verdict::of(&reply)? {
                Verdict::No { code, text } => Error::refused(code, text),
                Verdict::Sync(_) | Verdict::Async(_) => {
                    Error::Protocol("a file came without its type".to_owned())
                }
            }),
        }
    }
}
