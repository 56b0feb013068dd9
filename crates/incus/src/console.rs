//! The console's log: what an instance wrote while booting, readable when it has stopped, too.
//! Not for attaching to a console.

use http::{Method, header};

use crate::client::{Client, READ};
use crate::envelope::Verdict;
use crate::error::Result;
use crate::transport::Limit;

/// The most kept of a console's log, in bytes; the end is kept.
const CONSOLE: usize = 64 << 10;

impl Client {
    /// The last 64 KiB of the console's log; what is not UTF-8 is replaced.
    pub async fn console_log(&self, name: &str) -> Result<String> {
        let mut call = self.call(Method::GET, &["instances", name, "console"], &[], READ)?;
        call.limit = Limit::Tail(CONSOLE);
        let reply = self.send(call).await?;
        // The log comes bare, though that of an instance never started says it were JSON; JSON
        // that is there is an envelope, and a refusal.
        let json = reply.header(header::CONTENT_TYPE.as_str()) == Some("application/json");
        if json && !reply.body.is_empty() {
            return Verdict::of(&reply)?.done();
        }
        Ok(String::from_utf8_lossy(&reply.body).into_owned())
    }
}
