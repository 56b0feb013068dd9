//! What can go wrong, as facts. How it is told to a caller is the daemon's business.

use std::{sync::Arc, time::Duration};

use containarium_contract::{
    ByteSize, ContainerId, Fingerprint, ImageRef, OperationId, OperationState, Port, Restrictions,
    Username,
};

use crate::{fault::Fault, images::ImageError, step::Step, store::StoreError};

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such container, or not for this caller.
    #[error("there is no container of {0}")]
    NoContainer(Username),
    /// The caller's roles do not allow it.
    #[error("the roles of this token do not allow it")]
    Forbidden,
    /// The token, or the request, gave up changing things.
    #[error("the token, or the client, is read-only: nothing is changed")]
    ReadOnly,
    /// The name is none of those that the token, or the request, is restricted to.
    #[error("the token, or the client, is restricted to containers named {}", .only.names())]
    NotNamed {
        /// The restriction that does not cover it.
        only: Restrictions,
    },
    /// What is no container, for a token that is restricted to some.
    #[error("the token, or the client, is restricted to containers named {0}")]
    OtherThanNames(String),
    /// There are as many containers as the token may have.
    #[error("the token, or the client, is restricted to {most} containers, and there are {there}")]
    TooMany {
        /// How many it may have.
        most: u32,
        /// How many there are.
        there: u64,
    },
    /// Only admins say whose a container shall be.
    #[error("only an admin may create a container for another owner")]
    ForeignOwner,
    /// The name is taken.
    #[error("{} exists already", .0.container_name())]
    NameTaken(Username),
    /// The name is taken by one that is being made, for another request.
    #[error("{} is being created already, as another request asked", .username.container_name())]
    BeingMade {
        /// The container.
        username: Username,
        /// What makes it.
        operation: OperationId,
    },
    /// Another container has the name by now.
    #[error("{} is another one by now", .0.container_name())]
    Replaced(Username),
    /// It would not be kept, and only that was wanted.
    #[error(
        "this server keeps no deleted containers, so deleting {} would be for good",
        .0.container_name()
    )]
    Irreversible(Username),
    /// At once, and only if kept.
    #[error("`purge` and `onlyKept` exclude each other")]
    PurgeKept,
    /// It runs, and `force` was not given.
    #[error("{} is running", .0.container_name())]
    NotStopped(Username),
    /// It is being made or removed.
    #[error("{} is being {what}", .username.container_name())]
    Busy {
        /// The container.
        username: Username,
        /// `created` or `deleted`.
        what: &'static str,
    },
    /// It does not run, so nothing in it can be reached.
    #[error("{} is not running", .0.container_name())]
    NotRunning(Username),
    /// No program in it listens there.
    #[error("nothing listens on port {port} of {}", .username.container_name())]
    NoListener {
        /// The container.
        username: Username,
        /// The port.
        port: Port,
    },
    /// It runs and cannot be reached there.
    #[error("{} cannot be reached on port {port}: {why}", .username.container_name())]
    NoDial {
        /// The container.
        username: Username,
        /// The port.
        port: Port,
        /// What happened.
        why: String,
    },
    /// There are as many tunnels as there may be.
    #[error("{0} tunnels are open, and no more can be")]
    TunnelsTaken(usize),
    /// There is no prepared image for what was asked.
    #[error("{cause}")]
    Image {
        /// Whose container was to be made, where one was.
        username: Option<Username>,
        /// Why there is none; shared by all who waited for it.
        cause: Arc<ImageError>,
        /// What is there instead.
        available: Vec<ImageRef>,
    },
    /// There is no prepared image of that name.
    #[error("no image {0} is prepared here")]
    NoImage(ImageRef),
    /// The default image is not to go.
    #[error("{0} is the default image of this installation and stays")]
    DefaultImage(ImageRef),
    /// Images are changed one at a time.
    #[error("an image is being prepared; {0} can be deleted after that")]
    ImagesBusy(ImageRef),
    /// A quota smaller than what the image itself needs.
    #[error("`{field}`: {given} is too little; at least {least} is needed")]
    TooSmall {
        /// The field of the request.
        field: &'static str,
        /// What was asked for.
        given: ByteSize,
        /// What is needed.
        least: ByteSize,
        /// Whose container was to be made.
        username: Username,
    },
    /// A time outside its bounds.
    #[error("`timeout`: {0} is not between 1 and 600 seconds")]
    Timeout(u32),
    /// A time to wait outside its bounds.
    #[error("`timeout`: {0} is not between 0 and 120 seconds")]
    Wait(u32),
    /// No addresses or user ids are left.
    #[error("this server has no address or user id range left for another container")]
    Exhausted,
    /// The storage is full. Incus's own sentence names paths of the host: it is for the log.
    #[error("no space is left: the containers' storage, or this container's own disk, is full")]
    NoSpace(#[source] containarium_incus::Error),
    /// A container's own disk is full, however often it was given more.
    #[error(
        "the disk of {} is full: it has its {disk} and {more} more, which it was given for earlier starts",
        .username.container_name()
    )]
    DiskFull {
        /// The container.
        username: Username,
        /// What was asked for.
        disk: ByteSize,
        /// What it got beyond that.
        more: ByteSize,
    },
    /// The engine does not answer.
    #[error("Incus does not answer")]
    EngineAway(#[source] containarium_incus::Error),
    /// A container did not stop in time.
    #[error("{} did not stop within {} s and still runs", .username.container_name(), .after.as_secs())]
    StillRunning {
        /// The container.
        username: Username,
        /// The time it had.
        after: Duration,
    },
    /// No such key may log in to the container.
    #[error("no key with the fingerprint {fingerprint} may log in to {}", .username.container_name())]
    NoSuchKey {
        /// The container.
        username: Username,
        /// The one that was named.
        fingerprint: Fingerprint,
        /// Those that are there.
        there: Vec<Fingerprint>,
    },
    /// The last key is taken away only with `force`.
    #[error("{fingerprint} is the last key of {}: nobody could log in without it", .username.container_name())]
    LastKey {
        /// The container.
        username: Username,
        /// The key.
        fingerprint: Fingerprint,
    },
    /// So many keys that nobody could mean it.
    #[error("{} cannot have more than {most} SSH keys", .username.container_name())]
    TooManyKeys {
        /// The container.
        username: Username,
        /// The limit.
        most: usize,
    },
    /// sshd in the container does not read the managed keys: its configuration was changed, or its
    /// image was prepared before keys could be changed.
    #[error(
        "sshd in {} does not read the keys that Containarium manages: its configuration was changed \
         inside, or its image is older than that",
        .0.container_name()
    )]
    KeysNotRead(Username),
    /// What a tenant put where the keys belong cannot be moved out of the way.
    #[error(
        "the keys of {} cannot be written, and are what they were: /etc/containarium was changed inside it",
        .username.container_name()
    )]
    KeysInTheWay {
        /// The container.
        username: Username,
        /// What Incus said.
        #[source]
        cause: containarium_incus::Error,
    },
    /// A create, start, stop, delete or change of keys failed in a step.
    #[error(
        "{} of {} failed in step `{}`: {why}{}",
        .what, .username.container_name(), .step.as_str(), quoted(.evidence)
    )]
    Step {
        /// `create`, `start`, `stop`, `delete` or `change of keys`.
        what: &'static str,
        /// The container.
        username: Username,
        /// Where it failed.
        step: Step,
        /// What was so.
        why: String,
        /// The last lines of the container's console, where there are any.
        evidence: String,
    },
    /// The engine does not answer, and so it was not asked.
    #[error("Incus does not answer")]
    EngineSilent,
    /// The daemon takes nothing on any more.
    #[error("the daemon is stopping")]
    Stopping,
    /// The daemon stops in the middle; the next one goes on.
    #[error("the daemon is stopping; operation {0} goes on when it is back")]
    Suspended(OperationId),
    /// Its end cannot be written down.
    #[error("operation {0} cannot be brought to its end now; the daemon goes on with it by itself")]
    Unended(OperationId),
    /// Somebody cancelled it.
    #[error("it was cancelled, and what was begun is undone")]
    Cancelled,
    /// It was cancelled when a container had been asked to shut down.
    #[error(
        "the stop was cancelled; {} had been asked to shut down before, and may still do so",
        .0.container_name()
    )]
    AskedToStop(Username),
    /// It was taken up again and again.
    #[error("it was begun {0} times, and each time the daemon ended in the middle: it is given up")]
    GivenUp(u32),
    /// Its deadline has passed.
    #[error("its deadline has passed")]
    Overdue,
    /// There is no such operation, or not for this caller.
    #[error("there is no operation {0}")]
    NoOperation(OperationId),
    /// It is over.
    #[error("operation {id} has {} already", .state.as_str())]
    OverAlready {
        /// The operation.
        id: OperationId,
        /// How it ended.
        state: OperationState,
    },
    /// There is nothing to bring back.
    #[error("no deleted container of {0} is kept")]
    NothingDeleted(Username),
    /// The one that was named is not kept.
    #[error("no deleted container of {username} with the id {id} is kept")]
    NotKept {
        /// Whose.
        username: Username,
        /// The one that was named.
        id: ContainerId,
    },
    /// The name of what is to be brought back is taken.
    #[error(
        "the name of the deleted container is taken: {} exists. Once that one is deleted and kept, \
         too, this one comes back by its id {id}",
        .username.container_name()
    )]
    NameTakenAgain {
        /// Whose.
        username: Username,
        /// The one that was to be brought back.
        id: String,
    },
    /// Neither all nor some, or both.
    #[error("`instances`: name those to adopt, or say `all`, not both")]
    AdoptWhat,
    /// There is no such unclaimed container.
    #[error("there is no unclaimed container `{0}`")]
    NotUnclaimed(String),
    /// The engine does not have it.
    #[error("{} is gone: Incus does not have it", .0.container_name())]
    Lost(Username),
    /// It was told already, when it happened.
    #[error("{}", .0.error)]
    Failed(Fault),
    /// The error of a question that several reads asked together.
    #[error(transparent)]
    Shared(Arc<Error>),
    /// The engine failed in a way that has no word of its own.
    #[error("the engine failed: {0}")]
    Engine(#[source] containarium_incus::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn quoted(evidence: &str) -> String {
    if evidence.is_empty() {
        String::new()
    } else {
        format!("\n{evidence}")
    }
}

impl From<containarium_incus::Error> for Error {
    fn from(error: containarium_incus::Error) -> Self {
        use containarium_incus::Error as Incus;
        match error {
            full @ Incus::NoSpace(_) => Self::NoSpace(full),
            away @ (Incus::Unreachable { .. } | Incus::Timeout { .. } | Incus::Protocol(_)) => {
                Self::EngineAway(away)
            }
            other @ (Incus::NotFound(_)
            | Incus::AlreadyExists(_)
            | Incus::Busy(_)
            | Incus::Precondition(_)
            | Incus::Conflict(_)
            | Incus::InUse(_)
            | Incus::Running(_)
            | Incus::Stopped(_)
            | Incus::Frozen(_)
            | Incus::ImageNotProvided(_)
            | Incus::Forbidden(_)
            | Incus::Refused { .. }
            | Incus::OperationFailed(_)
            | Incus::OperationVanished(_)
            | Incus::InvalidName(_)
            | Incus::LocalFile { .. }) => Self::Engine(other),
        }
    }
}
