//! What a request carries: bytes, or files streamed from disk without being held in memory.
//! Knows lengths, so every upload has a `Content-Length`. Not for answers.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

use crate::error::{Error, Result};

/// Bytes read from a file at a time.
const CHUNK: usize = 128 << 10;

#[derive(Debug)]
enum Part {
    Bytes(Bytes),
    File { file: File, left: u64 },
}

/// The body of a request: parts sent one after the other.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    parts: VecDeque<Part>,
}

impl Upload {
    /// A body without content.
    pub(crate) fn empty() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub(crate) fn bytes(mut self, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if !bytes.is_empty() {
            self.parts.push_back(Part::Bytes(bytes));
        }
        self
    }

    /// Adds a file as long as it is now; it is read while it is sent.
    pub(crate) async fn file(mut self, path: &Path) -> Result<Self> {
        let unreadable = |source| Error::LocalFile {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).await.map_err(unreadable)?;
        let left = file.metadata().await.map_err(unreadable)?.len();
        self.parts.push_back(Part::File { file, left });
        Ok(self)
    }

    fn left(&self) -> u64 {
        let of = |part: &Part| match part {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::File { left, .. } => *left,
        };
        self.parts.iter().map(of).sum()
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match self.parts.front_mut() {
                None => return Poll::Ready(None),
                Some(Part::Bytes(bytes)) => {
                    let bytes = std::mem::take(bytes);
                    self.parts.pop_front();
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Part::File { left: 0, .. }) => {
                    self.parts.pop_front();
                }
                Some(Part::File { file, left }) => {
                    let want = usize::try_from(*left).unwrap_or(CHUNK).min(CHUNK);
                    let mut space = vec![0; want];
                    let mut buffer = ReadBuf::new(&mut space);
                    if let Err(error) = ready!(Pin::new(file).poll_read(context, &mut buffer)) {
                        return Poll::Ready(Some(Err(error)));
                    }
                    let got = buffer.filled().len();
                    if got == 0 {
                        // Shorter than when it was opened: the promised length cannot be kept.
                        return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
                    }
                    *left -= got as u64;
                    space.truncate(got);
                    return Poll::Ready(Some(Ok(Frame::data(space.into()))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}
