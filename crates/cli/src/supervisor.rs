//! What systemd is told of the daemon, where it waits to be told (`Type=notify`): that it serves,
//! that it stops. A few bytes to a socket, and no library for them.

use std::{
    env, io,
    os::unix::net::{SocketAddr, UnixDatagram},
};

/// Where systemd listens for what its service says.
const SOCKET: &str = "NOTIFY_SOCKET";

/// What can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Requests are answered from now on.
    Ready,
    /// No new ones are; what is under way is finished.
    Stopping,
}

impl Notice {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "READY=1",
            Self::Stopping => "STOPPING=1",
        }
    }
}

/// Tells systemd, if that is who started us. That it does not listen is no reason to end.
pub(crate) fn tell(notice: Notice) {
    let Some(socket) = env::var(SOCKET).ok().filter(|socket| !socket.is_empty()) else {
        return;
    };
    if let Err(error) = send(&socket, notice) {
        tracing::warn!(%error, socket, notice = notice.as_str(), "systemd was not told");
    }
}

fn send(socket: &str, notice: Notice) -> io::Result<()> {
    let to = address(socket)?;
    let from = UnixDatagram::unbound()?;
    from.send_to_addr(notice.as_str().as_bytes(), &to).map(drop)
}

/// A path, or after an `@` a name without one, which only Linux has.
fn address(socket: &str) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = socket.strip_prefix('@') {
        use std::os::linux::net::SocketAddrExt as _;
        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(listener: &UnixDatagram) -> String {
        let mut buffer = [0; 64];
        let length = listener.recv(&mut buffer).unwrap();
        String::from_utf8(buffer.get(..length).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn systemd_is_told_at_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        send(path.to_str().unwrap(), Notice::Ready).unwrap();
        assert_eq!(heard(&listener), "READY=1");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn systemd_is_told_at_a_name_without_a_path() {
        let name = format!("@containarium-test-{}", std::process::id());
        let listener = UnixDatagram::bind_addr(&address(&name).unwrap()).unwrap();
        send(&name, Notice::Stopping).unwrap();
        assert_eq!(heard(&listener), "STOPPING=1");
    }

    #[test]
    fn that_nobody_listens_is_an_error_and_no_more() {
        assert!(send("/nonexistent/notify", Notice::Ready).is_err());
    }
}
