//! The client: where Incus is, which project, and how a call is addressed and sent.
//! The calls themselves are in the files named after their nouns.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::address::{Address, BadAddress, Certificates};
use crate::envelope::Verdict;
use crate::error::{Error, Result};
use crate::operation::Operation;
use crate::transport::{self, ANSWER, Call, Reply};
use crate::upload::Upload;

/// How long a plain read may take.
pub(crate) const READ: Duration = Duration::from_secs(5);
/// How long a read may take that looks into every instance (4.5 ms each).
pub(crate) const READ_ALL: Duration = Duration::from_secs(30);
/// How long a change may take that is done, or accepted, when it answers.
pub(crate) const CHANGE: Duration = Duration::from_secs(60);
/// How long sending an image may take.
pub(crate) const SEND_IMAGE: Duration = Duration::from_secs(600);

/// RFC 3986's unreserved characters stay as they are.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Incus, behind its unix socket or its HTTPS port. Cheap to clone; holds no connection.
#[derive(Debug, Clone)]
pub struct Client {
    engine: Arc<Address>,
    project: Option<Arc<str>>,
}

/// A value with the tag that names its version, for `If-Match`.
#[derive(Debug, Clone)]
pub struct Etagged<T> {
    /// The `ETag` header as it came; empty if none did.
    pub etag: String,
    /// What was read.
    pub value: T,
}

impl Client {
    /// Incus at this socket, in its default project. Does not connect.
    pub fn unix(socket: impl Into<PathBuf>) -> Self {
        Self {
            engine: Arc::new(Address::Unix(socket.into())),
            project: None,
        }
    }

    /// Incus at `https://HOST[:PORT]`, which trusts these certificates and is known by its own.
    ///
    /// # Errors
    ///
    /// The URL or a certificate is not one.
    pub fn https(url: &str, certificates: &Certificates) -> std::result::Result<Self, BadAddress> {
        Ok(Self {
            engine: Arc::new(Address::https(url, certificates)?),
            project: None,
        })
    }

    /// The same Incus, with `?project=` on every call.
    #[must_use]
    pub fn in_project(&self, project: &str) -> Self {
        Self {
            engine: self.engine.clone(),
            project: Some(project.into()),
        }
    }

    /// The socket this client dials, where it is one.
    pub fn socket(&self) -> Option<&Path> {
        self.engine.socket()
    }

    /// Where it is.
    pub(crate) fn engine(&self) -> &Address {
        &self.engine
    }

    /// The project of this client's calls; `None` is Incus's default one.
    pub fn project_name(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// The one place where a URL is made: `/1.0`, the encoded segments, the project, the query.
    pub(crate) fn target(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<String> {
        let mut target = String::from("/1.0");
        for segment in segments {
            // These two survive encoding, and a server may resolve them.
            if matches!(*segment, "" | "." | "..") {
                return Err(Error::InvalidName((*segment).to_owned()));
            }
            target.push('/');
            target.extend(utf8_percent_encode(segment, ENCODED));
        }
        let project = self.project.as_deref().map(|name| ("project", name));
        let pairs = project.iter().chain(query);
        for (separator, (key, value)) in std::iter::once('?')
            .chain(std::iter::repeat('&'))
            .zip(pairs)
        {
            target.push(separator);
            target.push_str(key);
            target.push('=');
            target.extend(utf8_percent_encode(value, ENCODED));
        }
        Ok(target)
    }

    /// A call without headers and body, bounded as usual.
    pub(crate) fn call(
        &self,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
        deadline: Duration,
    ) -> Result<Call> {
        Ok(Call {
            method,
            target: self.target(segments, query)?,
            headers: Vec::new(),
            body: Upload::empty(),
            limit: ANSWER,
            deadline,
        })
    }

    /// A call with a JSON body.
    pub(crate) fn call_json(
        &self,
        method: Method,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<Call> {
        let json = serde_json::to_vec(body)
            .map_err(|error| Error::Protocol(format!("cannot be written as JSON: {error}")))?;
        let mut call = self.call(method, segments, &[], CHANGE)?;
        call.headers
            .push((header::CONTENT_TYPE.as_str(), "application/json".to_owned()));
        call.body = Upload::empty().bytes(json);
        Ok(call)
    }

    /// Sends, and reads the whole answer.
    pub(crate) async fn send(&self, call: Call) -> Result<Reply> {
        transport::send(&self.engine, call).await
    }

    /// Sends, and reads Incus's verdict.
    pub(crate) async fn verdict(&self, call: Call) -> Result<Verdict> {
        Verdict::of(&self.send(call).await?)
    }

    /// A plain read.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T> {
        let call = self.call(Method::GET, segments, query, READ)?;
        self.verdict(call).await?.done()
    }

    /// A plain read of something that has versions.
    pub(crate) async fn get_etagged<T: DeserializeOwned>(
        &self,
        segments: &[&str],
    ) -> Result<Etagged<T>> {
        let call = self.call(Method::GET, segments, &[], READ)?;
        let reply = self.send(call).await?;
        let etag = reply.header("etag").unwrap_or_default().to_owned();
        Ok(Etagged {
            etag,
            value: Verdict::of(&reply)?.done()?,
        })
    }

    /// A change that is done when it answers.
    pub(crate) async fn change(
        &self,
        method: Method,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<()> {
        let call = self.call_json(method, segments, body)?;
        self.verdict(call)
            .await?
            .done::<serde_json::Value>()
            .map(drop)
    }

    /// A change that Incus accepts and goes on with.
    pub(crate) async fn begin(
        &self,
        method: Method,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<Operation> {
        let call = self.call_json(method, segments, body)?;
        self.verdict(call).await?.accepted()
    }

    /// A delete that is done when it answers.
    pub(crate) async fn delete(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<()> {
        let call = self.call(Method::DELETE, segments, query, CHANGE)?;
        self.verdict(call)
            .await?
            .done::<serde_json::Value>()
            .map(drop)
    }

    /// A delete that Incus accepts and goes on with.
    pub(crate) async fn begin_delete(&self, segments: &[&str]) -> Result<Operation> {
        let call = self.call(Method::DELETE, segments, &[], CHANGE)?;
        self.verdict(call).await?.accepted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_encoded_and_carries_the_project() {
        let client = Client::unix("/s").in_project("p 1");
        let target = client.target(&["instances", "a/b?c"], &[("path", "/etc/x&y")]);
        assert_eq!(
            target.unwrap(),
            "/1.0/instances/a%2Fb%3Fc?project=p%201&path=%2Fetc%2Fx%26y"
        );
        assert_eq!(Client::unix("/s").target(&[], &[]).unwrap(), "/1.0");
    }

    #[test]
    fn a_name_that_walks_the_path_is_refused() {
        for name in ["", ".", ".."] {
            let refused = Client::unix("/s").target(&["instances", name], &[]);
            assert!(
                matches!(refused, Err(Error::InvalidName(_))),
                "{name:?}: {refused:?}"
            );
        }
    }
}
