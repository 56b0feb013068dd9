//! Connections into containers: who may have one, the dial, and word of the container's end. What
//! travels on them is the daemon's business.

use std::{
    collections::HashMap,
    io,
    os::fd::AsFd as _,
    pin::pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use containarium_contract::{Effect, EngineHealth, OpenTunnel, Port, State};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::Interest,
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};

use crate::{Containarium, Error, Principal, Record};

/// Tunnels at a time: each holds three file descriptors and some 300 KiB.
const TUNNELS: usize = 512;
/// Tunnels into one container at a time, so that nobody takes them all.
const TUNNELS_OF_ONE: usize = 128;
/// Where its sshd listens.
const SSH: u16 = 22;
/// How long a container may take to answer a dial.
const DIAL: Duration = Duration::from_secs(5);
/// A container that runs answers within a millisecond; one that does not is asked about after this.
const ASK: Duration = Duration::from_millis(50);

/// What somebody is about to do to a container that ends its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// Nothing.
    Stays,
    /// It is being stopped or deleted, and that may yet fail.
    Ending,
    /// It was; `stopped` or `deleted`.
    Ended(&'static str),
}

/// The tunnels of a daemon, and the containers at their ends.
#[derive(Debug)]
pub(crate) struct Tunnels {
    places: Arc<Semaphore>,
    fates: Mutex<HashMap<String, Weak<watch::Sender<Fate>>>>,
}

impl Default for Tunnels {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(TUNNELS)),
            fates: Mutex::default(),
        }
    }
}

impl Tunnels {
    /// The fate of a container, shared by its tunnels and by who decides about it.
    fn fate(&self, id: &str) -> Arc<watch::Sender<Fate>> {
        let mut fates = self.fates.lock().unwrap_or_else(PoisonError::into_inner);
        fates.retain(|_, fate| fate.strong_count() > 0);
        let known = fates.get(id).and_then(Weak::upgrade);
        // Those of a container that was stopped know it; started again, it begins anew.
        let known = known.filter(|fate| !matches!(*fate.borrow(), Fate::Ended(_)));
        let fate = known.unwrap_or_else(|| Arc::new(watch::Sender::new(Fate::Stays)));
        fates.insert(id.to_owned(), Arc::downgrade(&fate));
        fate
    }

    /// Tells the tunnels of a container that its end is being worked on.
    pub(crate) fn ending(&self, record: &Record) -> Ending {
        let fate = self.fate(&record.id);
        fate.send_replace(Fate::Ending);
        Ending { fate }
    }

    /// Ends the tunnels of a container that has stopped, or went, past us; `stopped` or `deleted`.
    pub(crate) fn ended(&self, record: &Record, how: &'static str) {
        self.ending(record).done(how);
    }

    /// A place for one more tunnel into the container.
    fn place(&self, record: &Record) -> Result<Place, Error> {
        let fate = self.fate(&record.id);
        let permit = Arc::clone(&self.places).try_acquire_owned();
        match permit {
            // Each of them holds the fate, and this one does already.
            Ok(permit) if Arc::strong_count(&fate) <= TUNNELS_OF_ONE => Ok(Place {
                receiver: fate.subscribe(),
                _fate: fate,
                _permit: permit,
            }),
            Ok(_) => Err(Error::TunnelsTaken(TUNNELS_OF_ONE)),
            Err(_) => Err(Error::TunnelsTaken(TUNNELS)),
        }
    }
}

/// A stop or delete under way. Dropped before it [is done](Self::done), the container stays.
pub(crate) struct Ending {
    fate: Arc<watch::Sender<Fate>>,
}

impl Ending {
    /// It was `stopped` or `deleted`.
    pub(crate) fn done(self, how: &'static str) {
        self.fate.send_replace(Fate::Ended(how));
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.fate.send_if_modified(|fate| {
            let failed = *fate == Fate::Ending;
            if failed {
                *fate = Fate::Stays;
            }
            failed
        });
    }
}

struct Place {
    receiver: watch::Receiver<Fate>,
    _fate: Arc<watch::Sender<Fate>>,
    _permit: OwnedSemaphorePermit,
}

/// A connection into a container.
pub struct Tunnel {
    /// The connection.
    pub stream: TcpStream,
    /// What becomes of the container.
    pub container: Reached,
}

/// The container at the end of a tunnel.
pub struct Reached {
    core: Containarium,
    record: Arc<Record>,
    place: Place,
    /// The connection again, to hear of its end while nobody reads or writes.
    watched: TcpStream,
}

impl Reached {
    /// When it was made, Unix seconds.
    pub fn created_at(&self) -> u64 {
        self.record.created_at
    }

    /// Waits until it has ended: we have stopped or deleted it, or its connection broke and the
    /// engine says why. A sentence that says so.
    pub async fn ended(&self) -> String {
        tokio::select! {
            how = self.ended_by_us() => how,
            Some(how) = async {
                self.watched.ready(Interest::ERROR).await.ok()?;
                self.settled().await;
                self.lost().await
            } => how,
            else => std::future::pending().await,
        }
    }

    async fn ended_by_us(&self) -> String {
        let mut fate = self.place.receiver.clone();
        let ended = fate.wait_for(|fate| matches!(fate, Fate::Ended(_))).await;
        match ended.map(|fate| fate.clone()) {
            Ok(Fate::Ended(how)) => format!("{} is {how}", self.record.username.container_name()),
            // The sender lives as long as this.
            Ok(Fate::Stays | Fate::Ending) | Err(_) => std::future::pending().await,
        }
    }

    /// Waits while it is being stopped or deleted: what then closes its connections is that, and
    /// [`Self::ended`] has the words.
    pub async fn settled(&self) {
        let mut fate = self.place.receiver.clone();
        let _settled = fate.wait_for(|fate| *fate == Fate::Stays).await;
    }

    /// Where its connection broke: asks the engine, once, whether the container still runs, and says
    /// so where it does not.
    pub async fn lost(&self) -> Option<String> {
        let name = self.record.username.container_name();
        match self.core.inner.engine.state(&self.record.instance()).await {
            Ok(None) => Some(format!("{name} is deleted")),
            Ok(Some(State::Stopped | State::Stopping)) => Some(format!("{name} is stopped")),
            Ok(Some(_)) | Err(_) => None,
        }
    }
}

impl Containarium {
    /// Connects to a port of a container.
    pub async fn open_tunnel(&self, who: &Principal, ask: OpenTunnel) -> Result<Tunnel, Error> {
        let OpenTunnel { username, port } = ask;
        let record = self.find_there(who, Effect::Write, &username)?;
        // Before the dial, so that nothing that happens after it is missed.
        let place = self.inner.tunnels.place(&record)?;
        let stream = self.dial(&record, port).await?;
        // Keystrokes leave at once. A container that vanished without a word is found out.
        let _set = stream.set_nodelay(true);
        let vanished = self.inner.patience.vanished;
        let _set = SockRef::from(&stream).set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(vanished)
                .with_interval(vanished / 3)
                .with_retries(3),
        );
        let watched = stream.as_fd().try_clone_to_owned();
        let watched = watched.and_then(|fd| TcpStream::from_std(fd.into()));
        let watched = watched.map_err(|e| no_dial(&record, port, e.to_string()))?;
        Ok(Tunnel {
            stream,
            container: Reached {
                core: self.clone(),
                record,
                place,
                watched,
            },
        })
    }

    /// The engine is asked only where the container does not answer at once.
    async fn dial(&self, record: &Record, port: Port) -> Result<TcpStream, Error> {
        let at = self
            .inner
            .engine
            .installation
            .at(record.address, port.get());
        let dial = timeout(DIAL, TcpStream::connect(at));
        let asked_late = async {
            sleep(ASK).await;
            self.stopped(record).await
        };
        let dialled = {
            let (mut dial, mut asked_late) = (pin!(dial), pin!(asked_late));
            tokio::select! {
                biased;
                dialled = dial.as_mut() => dialled,
                stopped = asked_late.as_mut() => match stopped? {
                    true => return Err(Error::NotRunning(record.username.clone())),
                    false => dial.await,
                },
            }
        };
        match dialled {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(_)) | Err(_) if self.stopped(record).await? => {
                Err(Error::NotRunning(record.username.clone()))
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                if port.get() == SSH {
                    self.doubt(record);
                }
                Err(Error::NoListener {
                    username: record.username.clone(),
                    port,
                })
            }
            Ok(Err(error)) => Err(no_dial(record, port, error.to_string())),
            Err(_) => {
                let why = format!("no answer within {} s", DIAL.as_secs());
                Err(no_dial(record, port, why))
            }
        }
    }

    async fn stopped(&self, record: &Record) -> Result<bool, Error> {
        // A container goes on while the engine is away.
        if self.health() == EngineHealth::Unreachable {
            let known = self.inner.inventory.state(&record.instance());
            return Ok(known.is_some_and(|(state, _)| state != State::Running));
        }
        let state = self.inner.engine.state(&record.instance()).await?;
        Ok(state != Some(State::Running))
    }
}

fn no_dial(record: &Record, port: Port, why: String) -> Error {
    Error::NoDial {
        username: record.username.clone(),
        port,
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_is_started_again_is_not_taken_for_stopped() {
        let tunnels = Tunnels::default();
        let before = tunnels.fate("c");
        let ending = Ending {
            fate: tunnels.fate("c"),
        };
        ending.fate.send_replace(Fate::Ending);
        assert_eq!(*before.borrow(), Fate::Ending);
        ending.done("stopped");
        assert_eq!(*before.borrow(), Fate::Ended("stopped"));
        assert_eq!(*tunnels.fate("c").borrow(), Fate::Stays);
    }

    #[test]
    fn a_stop_that_fails_lets_the_container_stay() {
        let tunnels = Tunnels::default();
        let fate = tunnels.fate("c");
        fate.send_replace(Fate::Ending);
        drop(Ending {
            fate: tunnels.fate("c"),
        });
        assert_eq!(*fate.borrow(), Fate::Stays);
    }
}
