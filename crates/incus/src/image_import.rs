//! Sending an image to Incus, streamed from files: unified (one tarball) or split (two parts).

use std::path::Path;

use http::{Method, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::client::{Client, SEND_IMAGE};
use crate::error::Result;
use crate::operation::Operation;
use crate::upload::Upload;

/// Parts are files of ours, so a long fixed word cannot be met inside them by accident.
const BOUNDARY: &str = "incus-image-7d9f1c64a0e84b5c9a3e2f5b8c1d6e70";

impl Client {
    /// Sends one tarball that holds `metadata.yaml`, `rootfs/` and perhaps `templates/`. The
    /// operation's metadata will hold the `fingerprint` ([`Operation::fingerprint`]).
    pub async fn import_image_unified(&self, path: &Path, aliases: &[&str]) -> Result<Operation> {
        let body = Upload::empty().file(path).await?;
        self.import(body, "application/octet-stream".to_owned(), path, aliases)
            .await
    }

    /// Sends a metadata tarball and a root filesystem (tarball or squashfs).
    pub async fn import_image_split(
        &self,
        metadata: &Path,
        rootfs: &Path,
        aliases: &[&str],
    ) -> Result<Operation> {
        let head = |name: &str| {
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; \
                 filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
            )
        };
        let body = Upload::empty()
            .bytes(head("metadata"))
            .file(metadata)
            .await?
            .bytes("\r\n")
            .bytes(head("rootfs"))
            .file(rootfs)
            .await?
            .bytes(format!("\r\n--{BOUNDARY}--\r\n"));
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        self.import(body, kind, rootfs, aliases).await
    }

    async fn import(
        &self,
        body: Upload,
        kind: String,
        path: &Path,
        aliases: &[&str],
    ) -> Result<Operation> {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut call = self.call(Method::POST, &["images"], &[], SEND_IMAGE)?;
        call.body = body;
        call.headers.push((header::CONTENT_TYPE.as_str(), kind));
        call.headers.push(("x-incus-public", "false".to_owned()));
        if let Some(name) = path.file_name() {
            call.headers
                .push(("x-incus-filename", encode(&name.to_string_lossy())));
        }
        if !aliases.is_empty() {
            let pairs: Vec<_> = aliases
                .iter()
                .map(|alias| format!("alias={}", encode(alias)))
                .collect();
            call.headers.push(("x-incus-aliases", pairs.join("&")));
        }
        self.verdict(call).await?.accepted()
    }
}
