//! Who listens on a port of this machine, from `/proc/net` and the processes' open files.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// A socket that waits for callers, or a UDP one that is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) address: IpAddr,
    pub(super) port: u16,
    inode: String,
}

/// A process, as people know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) command: String,
}

/// TCP listeners.
pub(super) fn tcp() -> Vec<Listener> {
    of(&["/proc/net/tcp", "/proc/net/tcp6"], "0A")
}

/// UDP sockets that are bound and not connected.
pub(super) fn udp() -> Vec<Listener> {
    of(&["/proc/net/udp", "/proc/net/udp6"], "07")
}

fn of(files: &[&str], state: &str) -> Vec<Listener> {
    files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .flat_map(|text| read(&text, state))
        .collect()
}

/// Reads the text of `/proc/net/tcp` and its like.
fn read(text: &str, state: &str) -> Vec<Listener> {
    let one = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        if *fields.get(3)? != state {
            return None;
        }
        Some(Listener {
            address: self::address(address)?,
            port: u16::from_str_radix(port, 16).ok()?,
            inode: (*fields.get(9)?).to_owned(),
        })
    };
    text.lines().skip(1).filter_map(one).collect()
}

/// The kernel writes words in the host's byte order, which is the network's reversed here.
fn address(hex: &str) -> Option<IpAddr> {
    let words: Vec<u32> = (0..hex.len() / 8)
        .map(|n| u32::from_str_radix(hex.get(n * 8..n * 8 + 8)?, 16).ok())
        .collect::<Option<_>>()?;
    match words.as_slice() {
        [word] => Some(Ipv4Addr::from(word.swap_bytes()).into()),
        [a, b, c, d] => {
            let whole = [*a, *b, *c, *d].map(u32::swap_bytes);
            let bits = whole
                .iter()
                .fold(0_u128, |bits, word| bits << 32 | u128::from(*word));
            Some(Ipv6Addr::from(bits).to_canonical())
        }
        _ => None,
    }
}

/// Whether a listener takes what would be sent to `address`.
pub(super) fn takes(listener: &Listener, address: IpAddr) -> bool {
    listener.address.is_unspecified() || address.is_unspecified() || listener.address == address
}

/// The process that holds a socket; `None` where this user may not see it.
pub(super) fn holder(listener: &Listener) -> Option<Process> {
    let socket = format!("socket:[{}]", listener.inode);
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let open = fs::read_dir(entry.path().join("fd"))
            .into_iter()
            .flatten()
            .flatten();
        let holds = |file: fs::DirEntry| {
            fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == socket.as_str())
        };
        if open.into_iter().any(holds) {
            return Some(Process {
                pid,
                command: command(pid),
            });
        }
    }
    None
}

/// The command line of a process, without its arguments' secrets: the program and its first word.
fn command(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let program = words.next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    match words.next() {
        Some(word) if !word.is_empty() && !word.starts_with('-') && !word.contains('/') => {
            format!("{program} {word}")
        }
        _ => program,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lines_become_listeners() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0\n\
             1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0 100 0 0 10 0\n\
             2: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0 100 0 0 10 0\n\
             3: 0000000000000000FFFF00000100007F:0017 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 78 1 0 100 0 0 10 0\n";
        let listeners = read(text, "0A");
        let said: Vec<(String, u16)> = listeners
            .iter()
            .map(|l| (l.address.to_string(), l.port))
            .collect();
        assert_eq!(
            said,
            [
                ("127.0.0.1".into(), 8080),
                ("::".into(), 22),
                ("127.0.0.1".into(), 23)
            ]
        );
    }

    #[test]
    fn whoever_listens_is_found_by_name() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let all = tcp();
        let ours = all.iter().find(|l| l.port == port).unwrap();
        assert!(takes(ours, "127.0.0.1".parse().unwrap()));
        assert!(takes(ours, "0.0.0.0".parse().unwrap()));
        assert!(!takes(ours, "192.0.2.1".parse().unwrap()));
        assert_eq!(holder(ours).unwrap().pid, std::process::id());
        drop(socket);
        assert!(tcp().iter().all(|l| l.port != port));
    }
}
