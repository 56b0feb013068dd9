//! Making an instance: what is judged at once, what late, and what it then is.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::Value;

use crate::answer::{Answer, Asked, Refusal};
use crate::change::{busy, starting};
use crate::fault::{Fault, NO_SPACE};
use crate::files::Files;
use crate::instance::{Devices, Instance, Status, bytes};
use crate::operation::{Work, begin};
use crate::sim::Shared;
use crate::world::{Config, World, text};

#[derive(Deserialize)]
struct Post {
    name: String,
    #[serde(default)]
    start: bool,
    #[serde(default)]
    description: String,
    #[serde(default)]
    profiles: Option<Vec<String>>,
    #[serde(default)]
    config: Config,
    #[serde(default)]
    devices: Devices,
    source: Value,
}

/// `POST /1.0/instances`: only the name is judged at once.
pub(crate) fn create(
    shared: &Arc<Shared>,
    asked: &Asked,
    fault: Option<Fault>,
) -> Result<Answer, Refusal> {
    let (project, post) = (asked.project(), asked.json::<Post>()?);
    let name = post.name.clone();
    let named = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() || name.len() > 63 || !name.chars().all(named) {
        let text =
            "Invalid instance name: Name can only contain alphanumeric and hyphen characters";
        return Err(Refusal::new(400, text));
    }
    if !shared.world().projects.contains_key(&project) {
        return Err(Refusal::new(
            404,
            "Failed loading project: Project not found",
        ));
    }
    if text(&post.source, "type") == "copy" {
        let source = text(&post.source, "source");
        shared.world().instance(&project, source)?;
    }
    let mut steps = Vec::new();
    let start = post.start;
    let so_far = match &fault {
        Some(Fault::FailLate { code, text }) => Err(Refusal::new(*code, text)),
        Some(_) | None => insert(&mut shared.world(), &project, post),
    };
    if so_far.is_ok() {
        // It is on record by now; only its volume takes time.
        steps.push(("create", Box::new(|_: &mut World| Ok(())) as Box<_>));
        if start {
            steps.push(starting(&project, &name, fault, "instance-started"));
        }
    }
    Ok(begin(
        shared,
        Work {
            description: "Creating instance",
            project,
            name,
            first: Some("instance-created"),
            so_far,
            steps,
        },
    ))
}

fn insert(world: &mut World, project: &str, post: Post) -> Result<(), Refusal> {
    let (mut config, mut devices) = (post.config, post.devices);
    let mut files = Files::new();
    let mut empty = false;
    match text(&post.source, "type") {
        "image" => {
            let Some(image) = world.image(&post.source) else {
                return Err(Refusal::new(
                    500,
                    "Image not provided for instance creation",
                ));
            };
            files.clone_from(&image.files);
            config.insert("volatile.base_image".to_owned(), image.fingerprint.clone());
        }
        "copy" => {
            let name = text(&post.source, "source");
            let source = world.instance(project, name)?;
            files.clone_from(&source.files);
            empty = source.empty;
            config = source.config.clone().into_iter().chain(config).collect();
            devices = source.devices.clone().into_iter().chain(devices).collect();
        }
        "none" => empty = true,
        _ => {}
    }
    if let Ok(taken) = world.instance(project, &post.name) {
        let text = "Failed creating instance record: Add instance info to the database: Failed to \
                    create \"instances\" entry: UNIQUE constraint failed: instances.project_id, \
                    instances.name";
        return Err(match taken.busy {
            Some("create") => busy("create"),
            Some(_) | None => Refusal::new(500, text),
        });
    }
    if world.full {
        return Err(Refusal::new(500, NO_SPACE));
    }
    let failed = "Failed creating instance record:";
    if let Some(limit) = config
        .get("limits.memory")
        .filter(|limit| bytes(limit) == 0)
    {
        return Err(Refusal::new(
            500,
            format!("{failed} Invalid value: {limit}"),
        ));
    }
    let pool = devices.get("root").and_then(|root| root.get("pool"));
    if !pool.is_some_and(|pool| world.pools.contains_key(pool)) {
        let text = format!(
            "{failed} Failed initializing instance: Failed loading storage pool: Storage pool not \
             found"
        );
        return Err(Refusal::new(404, text));
    }
    for (device, settings) in &devices {
        world.check_nic(device, settings)?;
    }
    let instance = Instance {
        name: post.name.clone(),
        project: project.to_owned(),
        description: post.description,
        profiles: post.profiles.unwrap_or_default(),
        config,
        devices,
        version: world.next(),
        status: Status::Stopped,
        busy: None,
        made: SystemTime::now(),
        started: None,
        console: String::new(),
        guest: None,
        files,
        snapshots: BTreeMap::new(),
        in_snapshot: false,
        harm: None,
        empty,
        numb: false,
        listed: OnceCell::new(),
    };
    world.instances.insert(instance);
    Ok(())
}
