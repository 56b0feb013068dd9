//! Why a call gave no answer: one sentence, and what to do next. Not how it is shown.

use containarium_contract::{Face, Hint, OperationId, Problem};

use crate::TokenError;

/// A call that gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The daemon (or something in its place) answered and refused.
    #[error("API error (status {status}): {}", shown(body, problem.is_some()))]
    Api {
        /// The HTTP status.
        status: u16,
        /// The body, verbatim.
        body: String,
        /// The body as a problem, where it is one.
        problem: Option<Problem>,
    },
    /// Nobody answered.
    #[error("request failed: {why}")]
    Unreachable {
        /// What happened on the way.
        why: Why,
    },
    /// The daemon has begun, and nobody can be asked any more how it ended.
    #[error("request failed: {why}")]
    Lost {
        /// The operation that goes on, or is gone on with by the next daemon.
        operation: OperationId,
        /// What happened on the way.
        why: Why,
    },
    /// Somebody answered, but not as Containarium does.
    #[error("the answer is not one of Containarium's: {0}")]
    Protocol(String),
    /// There is no token to send.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// What happened on the way to the daemon; `address` is `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Nothing listens there.
    #[error("dial tcp {address}: connection refused")]
    Refused {
        /// Where to.
        address: String,
    },
    /// No route, or the network is down.
    #[error("dial tcp {address}: no route to host")]
    NoRoute {
        /// Where to.
        address: String,
    },
    /// Nobody picked up in time.
    #[error("dial tcp {address}: i/o timeout")]
    DialTimeout {
        /// Where to.
        address: String,
    },
    /// The name has no address.
    #[error("dial tcp: lookup {host}: no such host")]
    NoSuchHost {
        /// The name.
        host: String,
    },
    /// TLS cannot be set up, as on a machine without any root certificate. Nobody was dialled.
    #[error("TLS cannot be set up: {text}")]
    NoTls {
        /// The cause's own words.
        text: String,
    },
    /// The connection was made but not secured, or failed in a way without a name of its own.
    #[error("dial tcp {address}: {text}")]
    Dial {
        /// Where to.
        address: String,
        /// The cause's own words.
        text: String,
    },
    /// The request was sent, and no whole answer came in time: it may have been done.
    #[error("read tcp {address}: i/o timeout")]
    AnswerTimeout {
        /// Where to.
        address: String,
    },
    /// The request was sent, and the connection broke: it may have been done.
    #[error("read tcp {address}: {text}")]
    Broken {
        /// Where to.
        address: String,
        /// The cause's own words.
        text: String,
    },
}

impl CallError {
    /// The daemon's answer that is no success.
    pub(crate) fn refused(status: u16, body: String) -> Self {
        let problem = serde_json::from_str::<Problem>(&body).ok();
        Self::Api {
            status,
            body,
            problem,
        }
    }

    /// Whether the same question may well be answered in a while: the daemon is away, or something
    /// before it is.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } => true,
            Self::Api { status, .. } => matches!(status, 429 | 502..=504),
            Self::Protocol(_) | Self::Token(_) => false,
        }
    }

    /// The same, met while `operation` was waited for.
    pub(crate) fn lost(self, operation: &OperationId) -> Self {
        match self {
            Self::Unreachable { why } | Self::Lost { why, .. } => Self::Lost {
                operation: operation.clone(),
                why,
            },
            Self::Api { .. } | Self::Protocol(_) | Self::Token(_) => self,
        }
    }

    /// What to do next, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Api {
                problem: Some(Problem {
                    hint: Some(hint), ..
                }),
                ..
            } => Some(hint.clone()),
            Self::Api { status: 401, .. } => Some(format!(
                "the token has expired, or was made with another secret: {}, and give its output \
                 as CONTAINARIUM_JWT_TOKEN",
                mint()
            )),
            Self::Api {
                problem: Some(_), ..
            } => None,
            Self::Api { problem: None, .. } | Self::Protocol(_) => Some(
                "check that the server's URL (CONTAINARIUM_SERVER_URL) leads to a Containarium \
                 daemon, of a version like this one's"
                    .into(),
            ),
            Self::Unreachable { why } => Some(why.hint().into()),
            Self::Lost { operation, .. } => Some(format!(
                "the server goes on with it: see how far it is with `containarium operation get \
                 {operation}`, or the tool get_operation"
            )),
            Self::Token(_) => Some(format!(
                "{}, and give its output as CONTAINARIUM_JWT_TOKEN",
                mint()
            )),
        }
    }
}

impl Why {
    fn hint(&self) -> &'static str {
        match self {
            Self::Refused { .. } => {
                "start the daemon on the server with `containarium daemon --rest`, or correct the \
                 server's URL (CONTAINARIUM_SERVER_URL)"
            }
            Self::NoRoute { .. } | Self::DialTimeout { .. } | Self::NoSuchHost { .. } => {
                "check the server's URL (CONTAINARIUM_SERVER_URL), and that no firewall blocks its \
                 port"
            }
            Self::Dial { text, .. } if text.contains("CaUsedAsEndEntity") => {
                "the server shows the certificate of an authority itself, as a plain `openssl req \
                 -x509` makes one: give it a certificate that this authority has signed"
            }
            Self::Dial { .. } => {
                "if the server's certificate is from a private authority, name that authority's PEM \
                 file in CONTAINARIUM_CA_FILE; if the server speaks plain HTTP, write http:// in \
                 CONTAINARIUM_SERVER_URL"
            }
            Self::NoTls { .. } => {
                "install this machine's root certificates (ca-certificates), or name a PEM file of \
                 the server's authority in CONTAINARIUM_CA_FILE"
            }
            Self::AnswerTimeout { .. } | Self::Broken { .. } => {
                "the server may have done it, or may still be doing it: look at the container, or \
                 at `containarium operation list`, before asking again"
            }
        }
    }
}

fn mint() -> String {
    // The same words for every face: a token is made on the server.
    Hint::MintToken.render(Face::Rest)
}

/// A problem is shown verbatim; a proxy's page of HTML is not.
fn shown(body: &str, is_problem: bool) -> String {
    const ENOUGH: usize = 200;
    if is_problem {
        return body.to_owned();
    }
    let words = body.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = words
        .chars()
        .filter(|c| !c.is_control())
        .take(ENOUGH)
        .collect();
    if words.chars().count() > ENOUGH {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use containarium_contract::{INVALID_TOKEN, Reason};

    fn api(status: u16, body: &str) -> CallError {
        CallError::Api {
            status,
            body: body.into(),
            problem: serde_json::from_str(body).ok(),
        }
    }

    #[test]
    fn a_bad_token_reads_as_the_handbook_prints_it() {
        let error = api(401, INVALID_TOKEN);
        assert_eq!(
            error.to_string(),
            r#"API error (status 401): {"error": "invalid token", "code": 401}"#
        );
        let hint = error.hint().unwrap();
        assert!(
            hint.contains("`containarium token generate --username admin"),
            "{hint}"
        );
    }

    #[test]
    fn a_problem_is_shown_verbatim_and_brings_its_own_hint() {
        let problem = Problem::new(Reason::NotFound, "there is no container `bob`");
        let body = problem.clone().with_hint("call list_containers").to_body();
        let error = api(404, &body);
        assert_eq!(error.to_string(), format!("API error (status 404): {body}"));
        assert_eq!(error.hint().as_deref(), Some("call list_containers"));
        assert_eq!(api(404, &problem.to_body()).hint(), None);
    }

    #[test]
    fn what_the_daemon_has_begun_is_told_by_its_operation() {
        let id: OperationId = "01JD3ZQ8M4K6T1W9V5R2X7Y0BC".parse().unwrap();
        let why = Why::AnswerTimeout {
            address: "h:1".into(),
        };
        let lost = CallError::Unreachable { why }.lost(&id);
        assert_eq!(
            lost.to_string(),
            "request failed: read tcp h:1: i/o timeout"
        );
        let hint = lost.hint().unwrap();
        assert!(
            hint.contains(&format!("`containarium operation get {id}`")),
            "{hint}"
        );
    }

    #[test]
    fn a_page_of_a_proxy_is_shown_shortened_on_one_line() {
        let error = api(
            502,
            &format!(
                "<html>\n<h1>Bad\u{1b}[31m  Gateway</h1>{}",
                "x".repeat(9000)
            ),
        );
        let text = error.to_string();
        assert!(text.starts_with("API error (status 502): <html> <h1>Bad[31m Gateway</h1>xx"));
        assert!(text.ends_with('…') && text.chars().count() < 240, "{text}");
        assert!(error.hint().unwrap().contains("CONTAINARIUM_SERVER_URL"));
    }

    #[test]
    fn an_authoritys_own_certificate_is_told_from_an_unknown_one() {
        let hint = |text: &str| {
            let why = Why::Dial {
                address: "h:1".into(),
                text: format!("invalid peer certificate: {text}"),
            };
            CallError::Unreachable { why }.hint().unwrap()
        };
        assert!(hint("Other(OtherError(CaUsedAsEndEntity))").contains("has signed"));
        assert!(hint("UnknownIssuer").contains("CONTAINARIUM_CA_FILE"));
    }

    #[test]
    fn the_ways_not_to_arrive_read_like_this() {
        let address = || "h:1".to_owned();
        let whys = [
            Why::Refused { address: address() },
            Why::NoRoute { address: address() },
            Why::DialTimeout { address: address() },
            Why::NoSuchHost { host: "h".into() },
            Why::NoTls {
                text: "no certificates".into(),
            },
            Why::Dial {
                address: address(),
                text: "invalid peer certificate".into(),
            },
            Why::AnswerTimeout { address: address() },
            Why::Broken {
                address: address(),
                text: "connection reset by peer".into(),
            },
        ];
        let lines: Vec<_> = whys
            .into_iter()
            .map(|why| CallError::Unreachable { why }.to_string())
            .collect();
        assert_eq!(
            lines,
            [
                "request failed: dial tcp h:1: connection refused",
                "request failed: dial tcp h:1: no route to host",
                "request failed: dial tcp h:1: i/o timeout",
                "request failed: dial tcp: lookup h: no such host",
                "request failed: TLS cannot be set up: no certificates",
                "request failed: dial tcp h:1: invalid peer certificate",
                "request failed: read tcp h:1: i/o timeout",
                "request failed: read tcp h:1: connection reset by peer",
            ]
        );
    }
}
