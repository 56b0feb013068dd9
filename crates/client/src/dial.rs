//! From reqwest's nested errors to the one sentence about what happened on the way.
//!
//! reqwest tells apart only "connect" and the rest; what a person needs is at the end of the chain
//! of sources, so that chain is read here and nowhere else.

use std::{error::Error, io::ErrorKind, iter::successors};

use crate::{BaseUrl, Why};

/// What `error`, met on the way to `server`, means.
pub(crate) fn why(server: &BaseUrl, error: &reqwest::Error) -> Why {
    let address = server.address();
    let kind = chain(error)
        .filter_map(|e| e.downcast_ref::<std::io::Error>())
        .map(|e| e.kind())
        .last();
    if error.is_connect() {
        // hyper-util names the step, and only as text.
        if chain(error).any(|e| e.to_string() == "dns error") {
            return Why::NoSuchHost {
                host: server.host().to_owned(),
            };
        }
        return match kind {
            Some(ErrorKind::ConnectionRefused) => Why::Refused { address },
            Some(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) => {
                Why::NoRoute { address }
            }
            Some(ErrorKind::TimedOut) => Why::DialTimeout { address },
            _ if error.is_timeout() => Why::DialTimeout { address },
            _ => Why::Dial {
                address,
                text: deepest(error),
            },
        };
    }
    match kind {
        _ if error.is_timeout() => Why::AnswerTimeout { address },
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => Why::Broken {
            address,
            text: "connection reset by peer".into(),
        },
        _ => Why::Broken {
            address,
            text: deepest(error),
        },
    }
}

fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    successors(Some(error), |e: &&'e (dyn Error + 'static)| (*e).source())
}

/// The last cause's words. An `io::Error` that wraps another hides it from `source`.
fn deepest(error: &reqwest::Error) -> String {
    let last = chain(error).last().map(ToString::to_string);
    last.unwrap_or_else(|| error.to_string())
}
