//! What is done to instances that are there: change, start, stop, freeze, delete. Making one is in
//! `create.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::json;

use crate::answer::{Answer, Asked, Refusal};
use crate::fault::Fault;
use crate::guest::{Guest, SSH_PORT};
use crate::instance::{Devices, Harm, Status};
use crate::operation::{Step, Work, begin};
use crate::sim::Shared;
use crate::world::World;

const WEDGED: &str = "Error deleting storage volume: Cannot remove a volume that has snapshots";
const NO_INIT: &str = "Failed to run: /usr/libexec/incus/incusd forkstart a1: exit status 1";
const NOT_HEARD: &str =
    "Failed shutting down instance, status is \"Running\": context deadline exceeded";

#[derive(Deserialize)]
struct Patch {
    #[serde(default)]
    config: BTreeMap<String, Option<String>>,
    #[serde(default)]
    devices: Devices,
    #[serde(default)]
    description: Option<String>,
}

/// `PATCH /1.0/instances/NAME`: merges by key and by whole device.
pub(crate) fn patch(shared: &Shared, asked: &Asked, name: &str) -> Result<Answer, Refusal> {
    let (project, patch) = (asked.project(), asked.json::<Patch>()?);
    let mut world = shared.world();
    let version = world.next();
    for (device, settings) in &patch.devices {
        if !settings.contains_key("type") {
            let text = format!(
                "Invalid devices: Device validation failed for {device:?}: Failed loading device \
                 {device:?}: Missing device type in config"
            );
            return Err(Refusal::new(500, text));
        }
        world.instance(&project, name)?;
        world.check_nic(device, settings)?;
    }
    let instance = world.instance_mut(&project, name)?;
    asked.check_tag(&instance.etag())?;
    if let Some(word) = instance.busy {
        return Err(busy(word));
    }
    for (key, value) in patch.config {
        match value.filter(|value| !value.is_empty()) {
            Some(value) => instance.config.insert(key, value),
            None => instance.config.remove(&key),
        };
    }
    instance.description = patch
        .description
        .unwrap_or(std::mem::take(&mut instance.description));
    instance.version = version;
    let key = instance.key();
    if !patch.devices.is_empty() {
        world.instances.add_devices(&key, patch.devices);
    }
    world.happened("instance-updated", &project, name);
    Ok(Answer::Sync(json!({})))
}

#[derive(Deserialize)]
struct StatePut {
    action: String,
    #[serde(default)]
    force: bool,
}

/// `PUT /1.0/instances/NAME/state`: that it is so already is told late.
pub(crate) fn state(
    shared: &Arc<Shared>,
    asked: &Asked,
    name: &str,
    fault: Option<Fault>,
) -> Result<Answer, Refusal> {
    let (project, put) = (asked.project(), asked.json::<StatePut>()?);
    let (status, under_way, numb) = {
        let world = shared.world();
        let instance = world.instance(&project, name)?;
        (instance.status, instance.busy, instance.numb)
    };
    let to = |word, status, action| become_(&project, name, word, status, action);
    let start = |fault, action| starting(&project, name, fault, action);
    let stopped = if put.force {
        "instance-stopped"
    } else {
        "instance-shutdown"
    };
    let refuse = |code, text| (Err(Refusal::new(code, text)), Vec::new());
    let (description, (so_far, steps)) = match (put.action.as_str(), status) {
        ("start", Status::Stopped) => (
            "Starting instance",
            (Ok(()), vec![start(fault.clone(), "instance-started")]),
        ),
        ("start", _) => (
            "Starting instance",
            refuse(500, "The instance is already running"),
        ),
        ("stop", Status::Stopped) => (
            "Stopping instance",
            refuse(400, "The instance is already stopped"),
        ),
        ("stop", Status::Frozen) if !put.force => {
            ("Stopping instance", (Ok(()), vec![deafen(&project, name)]))
        }
        ("stop", Status::Running) if numb && !put.force => {
            ("Stopping instance", refuse(500, NOT_HEARD))
        }
        ("stop", _) => (
            "Stopping instance",
            (Ok(()), vec![to("stop", Status::Stopped, Some(stopped))]),
        ),
        ("restart", Status::Stopped) => (
            "Restarting instance",
            refuse(400, "The instance is already stopped"),
        ),
        ("restart", _) => {
            let steps = vec![
                to("restart", Status::Stopped, None),
                start(fault.clone(), "instance-restarted"),
            ];
            ("Restarting instance", (Ok(()), steps))
        }
        ("freeze", Status::Stopped) => (
            "Freezing instance",
            refuse(500, "The instance isn't running"),
        ),
        ("freeze", Status::Frozen) => (
            "Freezing instance",
            refuse(500, "The container is already frozen"),
        ),
        ("freeze", _) => (
            "Freezing instance",
            (
                Ok(()),
                vec![to("freeze", Status::Frozen, Some("instance-paused"))],
            ),
        ),
        ("unfreeze", Status::Frozen) => (
            "Unfreezing instance",
            (
                Ok(()),
                vec![to("unfreeze", Status::Running, Some("instance-resumed"))],
            ),
        ),
        ("unfreeze", Status::Stopped) => (
            "Unfreezing instance",
            refuse(500, "The container isn't running"),
        ),
        ("unfreeze", _) => (
            "Unfreezing instance",
            refuse(500, "The container is already running"),
        ),
        (action, _) => return Err(Refusal::new(400, format!("Unknown action: '{action}'"))),
    };
    let so_far = under_way.map_or(so_far, |word| Err(busy(word)));
    let work = Work {
        description,
        project: project.clone(),
        name: name.to_owned(),
        first: None,
        so_far,
        steps,
    };
    Ok(begin(shared, work.with(fault)))
}

/// `DELETE /1.0/instances/NAME`: that it runs is told at once.
pub(crate) fn delete(
    shared: &Arc<Shared>,
    asked: &Asked,
    name: &str,
    fault: Option<Fault>,
) -> Result<Answer, Refusal> {
    let project = asked.project();
    let so_far = {
        let mut world = shared.world();
        let instance = world.instance_mut(&project, name)?;
        if instance.status != Status::Stopped {
            return Err(Refusal::new(400, "Instance is running"));
        }
        if instance.in_snapshot {
            // The snapshot's record goes, its volume stays, and nobody removes that any more.
            instance.harm = Some(Harm::Wedged);
            instance.snapshots.clear();
        }
        match (instance.busy, instance.harm) {
            (Some(word), _) => Err(busy(word)),
            (None, Some(Harm::Wedged)) => Err(Refusal::new(500, WEDGED)),
            (None, Some(Harm::Left(left))) => {
                let instance = world.instance(&project, name)?;
                left.not_deleted(&world.dir, instance)
            }
            (None, None) => Ok(()),
        }
    };
    let key = (project.clone(), name.to_owned());
    let remove: Step = (
        "delete",
        Box::new(move |world| {
            world.instances.remove(&key);
            world.happened("instance-deleted", &key.0, &key.1);
            Ok(())
        }),
    );
    let (description, name) = ("Deleting instance", name.to_owned());
    let work = Work {
        description,
        project,
        name,
        first: None,
        so_far,
        steps: vec![remove],
    };
    Ok(begin(shared, work.with(fault)))
}

pub(crate) fn busy(word: &str) -> Refusal {
    Refusal::new(
        500,
        format!("Instance is busy running a {word:?} operation"),
    )
}

fn become_(
    project: &str,
    name: &str,
    word: &'static str,
    status: Status,
    action: Option<&'static str>,
) -> Step {
    let (project, name) = (project.to_owned(), name.to_owned());
    let step = move |world: &mut World| {
        let instance = world.instance_mut(&project, &name)?;
        instance.status = status;
        if status == Status::Stopped {
            instance.numb = false;
            let guest = instance.guest.take();
            world.ended.extend(guest);
        }
        if let Some(action) = action {
            world.happened(action, &project, &name);
        }
        Ok(())
    };
    (word, Box::new(step))
}

/// A stop, not by force, of a frozen instance: it is not heard, and afterwards Incus takes the instance for
/// running while its processes stay frozen.
fn deafen(project: &str, name: &str) -> Step {
    let (project, name) = (project.to_owned(), name.to_owned());
    let step = move |world: &mut World| {
        let instance = world.instance_mut(&project, &name)?;
        (instance.status, instance.numb) = (Status::Running, true);
        Err(Refusal::new(500, NOT_HEARD))
    };
    ("stop", Box::new(step))
}

pub(crate) fn starting(
    project: &str,
    name: &str,
    fault: Option<Fault>,
    action: &'static str,
) -> Step {
    let (project, name) = (project.to_owned(), name.to_owned());
    let step = move |world: &mut World| {
        let instance = world.instance(&project, &name)?;
        let address = instance.address();
        if let Some(Harm::Left(left)) = instance.harm {
            return Err(left.not_started(&world.dir, instance));
        }
        if instance.empty {
            return Err(Refusal::new(500, NO_INIT));
        }
        if let Some(Fault::FailStart { code, text }) = fault {
            return Err(Refusal::new(code, text));
        }
        if let Some(address) = world.instances.contested(instance) {
            let text = format!(
                "Failed start validation for device \"eth0\": IP address \"{address}\" already \
                 defined on another NIC"
            );
            return Err(Refusal::new(409, text));
        }
        let listens = address.filter(|_| !world.mute);
        let instance = world.instance_mut(&project, &name)?;
        instance.started = Some(SystemTime::now());
        instance
            .config
            .insert("volatile.last_state.power".to_owned(), "RUNNING".to_owned());
        if let Some(Fault::DieAfterStart { console }) = fault {
            instance.console = console;
            world.happened(action, &project, &name);
            world.happened_by_itself("instance-shutdown", &project, &name);
            return Ok(());
        }
        instance.guest = listens.map(Guest::boot).transpose().map_err(|error| {
            Refusal::new(
                500,
                format!("incus-sim cannot listen on {address:?}, port {SSH_PORT}: {error}"),
            )
        })?;
        instance.console = "incus-sim: this guest is only a banner\n".to_owned();
        instance.status = Status::Running;
        world.happened(action, &project, &name);
        Ok(())
    };
    ("start", Box::new(step))
}
