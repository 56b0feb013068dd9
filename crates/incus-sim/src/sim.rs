//! The handle: starts the sim, gives it images and faults, and ends it when dropped.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::answer::{Answer, Asked, Body, response};
use crate::crash::Left;
use crate::fault::{Fault, On};
use crate::instance::Harm;
use crate::subnet::Subnet;
use crate::world::{Image, Thing, World};
use crate::{events, files, guest, operation, route};

/// What all connections and operations share.
pub(crate) struct Shared {
    world: Mutex<World>,
    hung: watch::Sender<bool>,
}

impl Shared {
    /// Never held across an `.await`.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same for what was begun in a life of incusd's, unless that is over.
    pub(crate) fn world_of(&self, life: u64) -> Option<MutexGuard<'_, World>> {
        Some(self.world()).filter(|world| world.life == life)
    }

    /// Returns when the sim does not hang.
    pub(crate) async fn awake(&self) {
        // The sender is in `self`, so this cannot end early.
        let mut hung = self.hung.subscribe();
        drop(hung.wait_for(|hung| !hung).await);
    }
}

/// A running sim. Dropping it closes its socket and stops its instances.
pub struct Sim {
    socket: PathBuf,
    subnet: Subnet,
    shared: Arc<Shared>,
    listening: Mutex<Option<Listening>>,
}

/// The incusd of this sim, as long as nobody kills it.
struct Listening {
    kill: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Listening {
    fn on(socket: &Path, shared: Arc<Shared>) -> io::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        let (kill, killed) = oneshot::channel();
        let task = tokio::spawn(serve(listener, shared, killed));
        Ok(Self { kill, task })
    }
}

impl Sim {
    /// The port where running instances answer. Not 22, which wants root.
    pub const SSH_PORT: u16 = guest::SSH_PORT;

    /// Starts an empty Incus, with the project `default`, on `dir/unix.socket`. Call it within a
    /// Tokio runtime.
    pub fn start(dir: &Path) -> io::Result<Self> {
        Self::start_from(dir, std::process::id() as u8)
    }

    /// The same with the first free subnet from 127.`subnet` on: those who start many at once find
    /// theirs at the first try.
    pub fn start_from(dir: &Path, subnet: u8) -> io::Result<Self> {
        let subnet = Subnet::free(subnet)?;
        let socket = dir.join("unix.socket");
        let mut world = World::default();
        dir.clone_into(&mut world.dir);
        let project = Thing {
            name: "default".to_owned(),
            ..Thing::default()
        };
        world.projects.insert(project.name.clone(), project);
        let shared = Arc::new(Shared {
            world: Mutex::new(world),
            hung: watch::Sender::new(false),
        });
        let listening = Listening::on(&socket, shared.clone())?;
        Ok(Self {
            socket,
            subnet,
            shared,
            listening: Mutex::new(Some(listening)),
        })
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The first address of 127.x.0.0/16, which is this sim's alone; for the bridge.
    pub fn gateway(&self) -> Ipv4Addr {
        self.subnet.gateway()
    }

    /// Adds an image with this alias and these properties; answers with its fingerprint. An alias
    /// that another image has moves.
    pub fn add_image(&self, alias: &str, properties: &[(&str, &str)]) -> String {
        let mut world = self.shared.world();
        let fingerprint = format!("51{:062x}", world.next());
        for image in &mut world.images {
            image.aliases.retain(|name| name != alias);
        }
        let properties: BTreeMap<_, _> = properties
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect();
        world.images.push(Image {
            fingerprint: fingerprint.clone(),
            aliases: vec![alias.to_owned()],
            properties,
            made: SystemTime::now(),
            files: files::of_any_image(),
        });
        fingerprint
    }

    /// Puts a file into an image, and so into the instances that are made from it.
    pub fn put_image_file(&self, alias: &str, path: &str, content: &[u8]) {
        let mut world = self.shared.world();
        let named = |image: &&mut Image| image.aliases.iter().any(|name| name == alias);
        if let Some(image) = world.images.iter_mut().find(named) {
            files::put(&mut image.files, path, content);
        }
    }

    /// Lets the image server at this URL have an image of this alias; without one there is no such
    /// server. Answers with its fingerprint.
    pub fn serve_image(&self, server: &str, alias: &str) -> String {
        let mut world = self.shared.world();
        let fingerprint = format!("52{:062x}", world.next());
        let aliases = world.image_servers.entry(server.to_owned()).or_default();
        aliases.insert(alias.to_owned(), fingerprint.clone());
        fingerprint
    }

    /// Makes the next request of this kind go wrong. Several wait in turn.
    pub fn fail_next(&self, on: On, fault: Fault) {
        self.shared.world().faults.push((on, fault));
    }

    /// While it hangs, connections are taken and requests read, but nothing is done, nothing answered
    /// and nobody pinged; afterwards those whose client still waits are.
    pub fn hang(&self, hung: bool) {
        self.shared.hung.send_replace(hung);
    }

    /// Drops the records of all operations, as a restart of incusd does. Operations go on; who waits
    /// for them is told that there is no such operation.
    pub fn forget_operations(&self) {
        self.shared.world().operations.clear();
    }

    /// Does what SIGKILL does to incusd: every connection breaks, listeners' too, what was under way
    /// has no further effect, and no record of it is left. An instance that was being made, or
    /// deleted, stays half made, with [`Left::Part`]. Running instances go on. Nobody listens on
    /// the socket until [`Sim::restart`].
    pub async fn crash(&self) {
        self.crash_leaving(Left::Part).await;
    }

    /// The same with something else left of what was being made.
    pub async fn crash_leaving(&self, left: Left) {
        let listening = self.listening().take();
        if let Some(Listening { kill, task }) = listening {
            drop(kill);
            let _ended = task.await;
        }
        let mut world = self.shared.world();
        world.life += 1;
        world.operations.clear();
        world.instances.crash(left);
        drop(world);
        // One that was stopped is as dead as the others, and the next one runs.
        self.hang(false);
    }

    /// Starts it again after [`Sim::crash`], on the same socket. One that runs is left alone.
    pub fn restart(&self) -> io::Result<()> {
        let mut listening = self.listening();
        if listening.is_none() {
            let _left = std::fs::remove_file(&self.socket);
            *listening = Some(Listening::on(&self.socket, self.shared.clone())?);
        }
        Ok(())
    }

    fn listening(&self) -> MutexGuard<'_, Option<Listening>> {
        self.listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes each step of an operation (create, start, stop, delete) take this long. At first they
    /// take no time.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.world().latency = latency;
    }

    /// The same for what is begun with instances of this name, whatever the others take.
    pub fn set_latency_of(&self, name: &str, latency: Duration) {
        let mut world = self.shared.world();
        world.latency_of.insert(name.to_owned(), latency);
    }

    /// While the pools are full, every create fails late and leaves nothing.
    pub fn fill(&self, full: bool) {
        self.shared.world().full = full;
    }

    /// The pools hold so many bytes that are nobody's instance.
    pub fn use_space(&self, bytes: u64) {
        self.shared.world().used_besides = bytes;
    }

    /// While muted, guests boot without anything that listens: thousands of them cost no sockets.
    pub fn mute_guests(&self, mute: bool) {
        self.shared.world().mute = mute;
    }

    /// Does what somebody on the host does for an instance that was deleted during a snapshot:
    /// removes the snapshot's volume, so that it can be deleted again.
    pub fn unwedge(&self, project: &str, name: &str) {
        let mut world = self.shared.world();
        if let Ok(instance) = world.instance_mut(project, name)
            && instance.harm == Some(Harm::Wedged)
        {
            instance.harm = None;
        }
    }

    /// Stops an instance as if its init had died, with this on its console.
    pub fn kill_guest(&self, project: &str, name: &str, console: &str) {
        let mut world = self.shared.world();
        if let Ok(instance) = world.instance_mut(project, name) {
            instance.status = crate::instance::Status::Stopped;
            instance.console.push_str(console);
            instance.guest = None;
            world.happened_by_itself("instance-shutdown", project, name);
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        if let Some(listening) = self.listening().take() {
            listening.task.abort();
        }
        let mut world = self.shared.world();
        world.life += 1;
        world.instances.clear();
        world.operations.clear();
        drop(world);
        let _gone = std::fs::remove_file(&self.socket);
    }
}

/// Until it is killed; then nothing that it did goes on.
async fn serve(listener: UnixListener, shared: Arc<Shared>, mut killed: oneshot::Receiver<()>) {
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => return,
            },
            _ = &mut killed => break,
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(talk(stream, shared.clone()));
    }
    drop(listener);
    connections.shutdown().await;
}

async fn talk(stream: UnixStream, shared: Arc<Shared>) {
    let (to_listener, listener) = oneshot::channel();
    let to_listener = Mutex::new(Some(to_listener));
    let service = service_fn(|mut request: http::Request<Incoming>| {
        let shared = shared.clone();
        // Before the request is read, which takes it apart.
        let upgrade = hyper::upgrade::on(&mut request);
        let asks = events::Asks::of(&request);
        let to_listener = &to_listener;
        async move {
            let asked = Asked::read(request).await?;
            shared.awake().await;
            if let Some(asks) = asks {
                let heard = shared.world().listen();
                let accepted = asks.accepted();
                let waiting = to_listener
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                if let Some(waiting) = waiting {
                    let _gone = waiting.send((upgrade, asks, heard));
                }
                return Ok(accepted.map(|body| Body::new(body, false)));
            }
            let fault = shared.world().fault(route::kind(&asked));
            let cut = fault == Some(Fault::CutAnswer);
            let late = fault == Some(Fault::AnswerLast);
            let answer = route::answer(&shared, &asked, fault).await;
            if late && let Ok(Answer::Async(operation)) = &answer {
                operation::ended(&shared, operation).await;
            }
            Ok::<_, hyper::Error>(response(answer).map(|body| Body::new(body, cut)))
        }
    });
    // A client that hangs up is its own affair.
    let _ended = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    drop(to_listener);
    if let Ok((upgrade, asks, heard)) = listener.await {
        events::tell(&shared, upgrade, asks, heard).await;
    }
}
