//! The way into a container: one TCP connection to one of its ports, through the daemon's own.

use std::{fmt, num::NonZeroU16, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Effect, Stream, StreamKind, Username};

/// A TCP port, 1 to 65535.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "i64", into = "u16")]
#[schemars(with = "u16", extend("minimum" = 1))]
pub struct Port(NonZeroU16);

/// Why a number or a text is not a [`Port`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a port is a whole number from 1 to 65535")]
pub struct NotAPort;

impl Port {
    /// Where sshd listens.
    pub const SSH: Self = Self(NonZeroU16::MIN.saturating_add(21));

    /// The number.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl TryFrom<i64> for Port {
    type Error = NotAPort;
    fn try_from(number: i64) -> Result<Self, NotAPort> {
        let port = u16::try_from(number).ok().and_then(NonZeroU16::new);
        port.map(Self).ok_or(NotAPort)
    }
}

impl From<Port> for u16 {
    fn from(port: Port) -> Self {
        port.get()
    }
}

impl FromStr for Port {
    type Err = NotAPort;
    fn from_str(text: &str) -> Result<Self, NotAPort> {
        text.parse().map(Self).map_err(|_| NotAPort)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Connect to a port of a container.
///
/// A WebSocket. Binary messages are what travels; an empty one says that its sender has finished
/// writing and still reads. Whoever is silent for 60 s is taken for gone, so a client whose own
/// output may stall sends a ping every 20 s. The close frame says why a tunnel ended: 1000 when both sides had
/// finished, 1001 when the container or the daemon stopped, 1008 when the token expired, 1011 when the connection to the
/// container broke. What fails before that is an ordinary problem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenTunnel {
    /// Whose container
    pub username: Username,
    /// The port inside, 1 to 65535
    #[serde(default = "ssh")]
    pub port: Port,
}

impl OpenTunnel {
    /// The header of the `101` that says when the container was made, Unix seconds: another one of
    /// the same name has another host key.
    pub const CREATED_HEADER: &'static str = "containarium-created-at";
}

fn ssh() -> Port {
    Port::SSH
}

impl Stream for OpenTunnel {
    const ID: &'static str = "open_tunnel";
    const PATH: &'static str = "/v1/containers/{username}/tunnel";
    const EFFECT: Effect = Effect::Write;
    const KIND: StreamKind = StreamKind::WebSocket;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Spec, accept};
    use serde_json::{Value, json};

    fn port(value: Value) -> Result<u16, (u16, String)> {
        let fields = json!({"username": "alice", "port": value});
        accept::<OpenTunnel>(&Spec::of_stream::<OpenTunnel>().request, fields)
            .map(|open| open.port.get())
            .map_err(|problem| (problem.code, problem.error))
    }

    #[test]
    fn it_is_ssh_unless_another_is_named() {
        let open: OpenTunnel = serde_json::from_value(json!({"username": "alice"})).unwrap();
        assert_eq!(open.port.get(), 22);
        assert_eq!(port(json!(65535)), Ok(65535));
    }

    #[test]
    fn what_is_no_port_is_refused_by_name() {
        for bad in [0, -1, 65536, 70000] {
            let (code, sentence) = port(json!(bad)).unwrap_err();
            assert_eq!(
                (code, sentence.as_str()),
                (422, "`port`: a port is a whole number from 1 to 65535")
            );
            assert!(bad.to_string().parse::<Port>().is_err(), "{bad}");
        }
        assert_eq!(port(json!("http")).unwrap_err().0, 400);
    }
}
