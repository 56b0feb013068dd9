//! What is measured, and how: the words of `docs/benchmarks.md` are these.

/// What a value is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Milliseconds; less is better.
    Milliseconds,
    /// Containers in a second; more is better.
    ContainersPerSecond,
    /// Requests in a second; more is better.
    RequestsPerSecond,
    /// 10^6 bytes in a second; more is better.
    MegabytesPerSecond,
    /// 2^20 bytes; less is better.
    Mebibytes,
}

impl Unit {
    /// As it stands behind a number.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::ContainersPerSecond => "containers/s",
            Self::RequestsPerSecond => "requests/s",
            Self::MegabytesPerSecond => "MB/s",
            Self::Mebibytes => "MiB",
        }
    }
}

/// One thing that is measured.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Subject {
    /// The heading it stands under.
    pub(super) section: &'static str,
    /// What.
    pub(super) name: &'static str,
    /// Of what its values are.
    pub(super) unit: Unit,
    /// How it is measured, in each way that can do it.
    pub(super) how: &'static str,
}

const fn of(section: &'static str, name: &'static str, unit: Unit, how: &'static str) -> Subject {
    Subject {
        section,
        name,
        unit,
        how,
    }
}

const COLD: &str = "Create, cold";
const STANDBY: &str = "Create, from a standby container";
const BURST: &str = "Burst";
const LIFE: &str = "Start, stop, delete, exec";
const READ: &str = "List and get";
const ADDED: &str = "What is added to a call";
const RATE: &str = "Requests per second";
const TUNNEL: &str = "Tunnel";
const MEMORY: &str = "Resident memory";
const START_UP: &str = "Start-up";

/// In the order in which they are shown.
pub(super) const SECTIONS: [&str; 10] = [
    COLD, STANDBY, BURST, LIFE, READ, ADDED, RATE, TUNNEL, MEMORY, START_UP,
];

use Unit::{ContainersPerSecond, Mebibytes, MegabytesPerSecond, Milliseconds, RequestsPerSecond};

/// See its words.
pub(super) static CREATE_ANSWER: Subject = of(
    COLD,
    "create → answer",
    Milliseconds,
    "ours: `POST /v1/containers` until it is answered, which is when a login works; raw: the same instance made and \
     started by one request until its operation has ended, which is before it has booted; incus: `incus launch` of the \
     same, until it exits",
);
/// See its words.
pub(super) static CREATE_BANNER: Subject = of(
    COLD,
    "create → SSH banner",
    Milliseconds,
    "the same, and then port 22 dialled until it says `SSH-`",
);
/// See its words.
pub(super) static CREATE_LOGIN: Subject = of(
    COLD,
    "create → ssh login",
    Milliseconds,
    "the same, and then `ssh … true` until it exits with 0",
);
/// See its words.
pub(super) static STANDBY_ANSWER: Subject = of(
    STANDBY,
    "create → answer (standby)",
    Milliseconds,
    "ours, while the daemon has a standby container ready",
);
/// See its words.
pub(super) static STANDBY_LOGIN: Subject = of(
    STANDBY,
    "create → ssh login (standby)",
    Milliseconds,
    "the same, and then `ssh … true` until it exits with 0",
);
/// See its words.
pub(super) static BURST_LIMITED: Subject = of(
    BURST,
    "burst of creates",
    ContainersPerSecond,
    "ours: so many creates at once, until all are answered; raw: so many at once, of which as many are being made and \
     started as the machine has threads, which is the daemon's limit, until all have said `SSH-`",
);
/// See its words.
pub(super) static BURST_FREE: Subject = of(
    BURST,
    "burst of creates, raw without a limit",
    ContainersPerSecond,
    "the same creates of ours, against raw ones all at once",
);
/// See its words.
pub(super) static STOP: Subject = of(
    LIFE,
    "stop",
    Milliseconds,
    "a running container is asked to shut down, until it has; incus: `incus stop`",
);
/// See its words.
pub(super) static START: Subject = of(
    LIFE,
    "start → SSH banner",
    Milliseconds,
    "a stopped container is started, until it says `SSH-`; incus: `incus start`",
);
/// See its words.
pub(super) static EXEC: Subject = of(
    LIFE,
    "exec",
    Milliseconds,
    "ours and raw: `ssh … true` straight to the container's address; incus: `incus exec … -- true`",
);
/// See its words.
pub(super) static EXEC_TUNNEL: Subject = of(
    LIFE,
    "exec, through the tunnel",
    Milliseconds,
    "ours: `containarium ssh … -- true`; raw: `ssh … true` straight to the same container",
);
/// See its words.
pub(super) static DELETE: Subject = of(
    LIFE,
    "delete of a running one",
    Milliseconds,
    "ours: `DELETE …?force=true&purge=true`; raw: kill, then delete; incus: `incus delete --force`",
);
/// See its words.
pub(super) static LIST: Subject = of(
    READ,
    "list",
    Milliseconds,
    "ours: `GET /v1/containers` on a new connection; raw: `GET /1.0/instances?recursion=1` on a new connection; incus: \
     `incus list`. The containers are empty and stopped",
);
/// See its words.
pub(super) static LIST_COMMAND: Subject = of(
    READ,
    "list by command",
    Milliseconds,
    "ours: `containarium list`; incus: `incus list`; both from exec to exit",
);
/// See its words.
pub(super) static GET: Subject = of(
    READ,
    "get",
    Milliseconds,
    "ours: `GET /v1/containers/NAME`; raw: `GET /1.0/instances/NAME`; incus: `incus info NAME`",
);
/// See its words.
pub(super) static ADDED_READ: Subject = of(
    ADDED,
    "by the daemon to a read",
    Milliseconds,
    "the whole of `GET /v1/containers?limit=1` on a connection that is kept: HTTP, the token, the answer from memory, \
     JSON. What is added cannot be more",
);
/// See its words.
pub(super) static ADDED_CREATE: Subject = of(
    ADDED,
    "by the daemon to a create",
    Milliseconds,
    "create → SSH banner, ours less raw of the same round; what chance does is in it, so it may be below zero",
);
/// See its words.
pub(super) static ADDED_START: Subject = of(
    ADDED,
    "by the daemon to a start",
    Milliseconds,
    "the same of start → SSH banner",
);
/// See its words.
pub(super) static ADDED_STOP: Subject = of(
    ADDED,
    "by the daemon to a stop",
    Milliseconds,
    "the same of stop",
);
/// See its words.
pub(super) static ADDED_DELETE: Subject = of(
    ADDED,
    "by the daemon to a delete",
    Milliseconds,
    "the same of delete of a running one",
);
/// See its words.
pub(super) static PAGE_REST: Subject = of(
    ADDED,
    "a page of 50 by REST alone",
    Milliseconds,
    "`GET /v1/containers?limit=50` on a connection that is kept",
);
/// See its words.
pub(super) static PAGE_STDIO: Subject = of(
    ADDED,
    "the same by mcp-server",
    Milliseconds,
    "`tools/call` of list_containers over stdio right after, which answers 50 at once",
);
/// See its words.
pub(super) static PAGE_HTTP: Subject = of(
    ADDED,
    "the same by /mcp",
    Milliseconds,
    "`tools/call` of list_containers over Streamable HTTP (2026-07-28) right after, on a connection that is kept",
);
/// See its words.
pub(super) static ADDED_MCP_GET: Subject = of(
    ADDED,
    "by MCP to a get",
    Milliseconds,
    "`tools/call` of get_container less `GET /v1/containers/NAME` on a new connection right before",
);
/// See its words.
pub(super) static RATE_ONE: Subject = of(
    RATE,
    "list, 1 connection",
    RequestsPerSecond,
    "one request after the other for a second; ours on a connection that is kept, raw on a new one each",
);
/// See its words.
pub(super) static RATE_EIGHT: Subject = of(
    RATE,
    "list, 8 connections",
    RequestsPerSecond,
    "the same by eight at once",
);
/// See its words.
pub(super) static THROUGHPUT: Subject = of(
    TUNNEL,
    "throughput",
    MegabytesPerSecond,
    "zeros of the container's `head -c … /dev/zero`; ours: through `containarium ssh`, so that daemon and proxy command \
     carry it; raw: the same ssh straight to the container",
);
/// See its words.
pub(super) static DAEMON_IDLE: Subject = of(
    MEMORY,
    "daemon, idle",
    Mebibytes,
    "VmRSS two seconds after it was ready, before the first call",
);
/// See its words.
pub(super) static DAEMON_LOAD: Subject = of(
    MEMORY,
    "daemon, under load",
    Mebibytes,
    "VmHWM, the most that it had, after all that is measured here",
);
/// See its words.
pub(super) static MCP_IDLE: Subject = of(
    MEMORY,
    "mcp-server, idle",
    Mebibytes,
    "VmRSS after the handshake and tools/list",
);
/// See its words.
pub(super) static MCP_LOAD: Subject = of(
    MEMORY,
    "mcp-server, under load",
    Mebibytes,
    "VmHWM, the most that it had, after the calls of this run",
);
/// See its words.
pub(super) static MCP_START: Subject = of(
    START_UP,
    "mcp-server → tools/list",
    Milliseconds,
    "from exec to the answer of its first tools/list",
);
/// See its words.
pub(super) static DAEMON_START: Subject = of(
    START_UP,
    "daemon → ready",
    Milliseconds,
    "from exec until `GET /ready` says 200: it listens, has opened its store and has heard from Incus",
);
