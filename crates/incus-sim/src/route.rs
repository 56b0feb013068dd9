//! Which request is what: the list of all that the sim answers.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::answer::{Answer, Asked, Refusal};
use crate::fault::{Fault, On};
use crate::instance::Instance;
use crate::instances::Key;
use crate::sim::Shared;
use crate::world::{Thing, World};
use crate::{change, create, exec, files, image, operation, snapshot};

/// What kind of request this is, as far as faults care.
pub(crate) fn kind(asked: &Asked) -> On {
    let segments: Vec<&str> = asked.segments.iter().map(String::as_str).collect();
    match (asked.method.as_str(), segments.get(1..).unwrap_or_default()) {
        ("GET", ["operations", _, "wait"]) => On::Wait,
        ("GET", ["operations"]) => On::Operations,
        ("GET", _) => On::Read,
        ("POST", ["instances"]) => On::Create,
        ("PATCH", ["instances", _]) => On::Patch,
        ("PUT", ["instances", _, "state"]) => On::ChangeState,
        ("DELETE", ["instances", _]) => On::Delete,
        ("POST", ["instances", _, "snapshots"]) => On::Snapshot,
        ("POST", ["instances", _, "exec"]) => On::Exec,
        ("POST", ["instances", _, "files"]) => On::PutFile,
        ("DELETE", ["instances", _, "files"]) => On::DeleteFile,
        _ => On::Other,
    }
}

/// Does what is asked.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    asked: &Asked,
    fault: Option<Fault>,
) -> Result<Answer, Refusal> {
    if let Some(Fault::Refuse { code, text }) = fault {
        return Err(Refusal::new(code, text));
    }
    let segments: Vec<&str> = asked.segments.iter().map(String::as_str).collect();
    let Some((&"1.0", path)) = segments.split_first() else {
        return Err(unknown());
    };
    match (asked.method.as_str(), path) {
        ("POST", ["instances"]) => create::create(shared, asked, fault),
        ("POST", ["images"]) => image::pull(shared, asked),
        ("DELETE", ["images", fingerprint]) => image::delete(shared, asked, fingerprint),
        ("PATCH", ["instances", name]) => change::patch(shared, asked, name),
        ("DELETE", ["instances", name]) => change::delete(shared, asked, name, fault),
        ("PUT", ["instances", name, "state"]) => change::state(shared, asked, name, fault),
        ("POST", ["instances", name, "snapshots"]) => snapshot::create(shared, asked, name, fault),
        ("DELETE", ["instances", name, "snapshots", snapshot]) => {
            snapshot::delete(shared, asked, name, snapshot)
        }
        ("POST", ["instances", name, "exec"]) => exec::post(shared, asked, name, fault),
        ("GET", ["instances", name, "files"]) => files::get(shared, asked, name),
        ("POST", ["instances", name, "files"]) => files::post(shared, asked, name),
        ("DELETE", ["instances", name, "files"]) => files::delete(shared, asked, name),
        ("GET", ["operations", id]) => operation::get(shared, id),
        ("GET", ["operations", id, "wait"]) => {
            let seconds = asked
                .query
                .get("timeout")
                .and_then(|text| text.parse::<u64>().ok());
            operation::wait(shared, id, seconds.map(Duration::from_secs)).await
        }
        ("GET", _) => read(&shared.world(), asked, path),
        (_, ["images", "aliases", ..]) => image::aliases(&mut shared.world(), asked, path),
        _ => things(&mut shared.world(), asked, path),
    }
}

fn read(world: &World, asked: &Asked, path: &[&str]) -> Result<Answer, Refusal> {
    let project = asked.project();
    let recursion = asked.query.get("recursion").map_or("0", String::as_str);
    let list = |things: &std::collections::BTreeMap<String, Thing>| -> Value {
        things.values().map(Thing::json).collect()
    };
    let one = |thing: Option<&Thing>, missing: &str| {
        thing
            .map(|thing| Answer::Tagged {
                metadata: thing.json(),
                etag: thing.etag(),
            })
            .ok_or_else(|| Refusal::new(404, missing))
    };
    Ok(Answer::Sync(match path {
        [] => world.server(),
        ["resources"] => world.resources(),
        ["projects"] => list(&world.projects),
        ["projects", name] => return one(world.projects.get(*name), "Project not found"),
        ["storage-pools"] => list(&world.pools),
        ["storage-pools", name] => return one(world.pools.get(*name), "Storage pool not found"),
        ["storage-pools", name, "resources"] => world.pool_resources(name)?,
        ["networks"] => list(&world.networks),
        ["networks", name] => return one(world.networks.get(*name), "Network not found"),
        ["images"] => world.images_json(),
        ["images", "aliases", name] => world.alias(name)?,
        ["instances"] => return Ok(world.instances_of(&project, recursion)),
        ["instances", name, "snapshots"] => snapshot::list(world, &project, name)?,
        ["operations"] => world.operations_of(&project, recursion),
        ["storage-pools", name, "volumes"] => world.volumes(&project, name)?,
        ["networks", name, "leases"] => world.leases(&project, name)?,
        ["instances", name] => {
            let instance = world.instance(&project, name)?;
            return Ok(Answer::Tagged {
                metadata: instance.json(),
                etag: instance.etag(),
            });
        }
        ["instances", name, "state"] => world.instance(&project, name)?.state(),
        ["instances", name, "console"] => {
            return Ok(Answer::Text(
                world.instance(&project, name)?.console.clone(),
            ));
        }
        _ => return Err(unknown()),
    }))
}

/// Projects, pools and networks: made, replaced, removed.
fn things(world: &mut World, asked: &Asked, path: &[&str]) -> Result<Answer, Refusal> {
    let version = world.next();
    let (things, missing) = match path.first() {
        Some(&"projects") => (&mut world.projects, "Project not found"),
        Some(&"storage-pools") => (&mut world.pools, "Storage pool not found"),
        Some(&"networks") => (&mut world.networks, "Network not found"),
        Some(_) | None => return Err(unknown()),
    };
    match (&asked.method, path) {
        (&Method::POST, [noun]) => {
            let thing = Thing {
                version,
                ..asked.json::<Thing>()?
            };
            if things.contains_key(&thing.name) {
                let text = format!("An entry of {noun} named {:?} already exists", thing.name);
                return Err(Refusal::new(409, text));
            }
            things.insert(thing.name.clone(), thing);
        }
        (&Method::PUT, [_, name]) => {
            let thing = things
                .get_mut(*name)
                .ok_or_else(|| Refusal::new(404, missing))?;
            asked.check_tag(&thing.etag())?;
            let put = asked.json::<Thing>()?;
            (thing.description, thing.config) = (put.description, put.config);
            thing.version = version;
        }
        (&Method::DELETE, [noun, name]) => {
            let removed = things
                .remove(*name)
                .ok_or_else(|| Refusal::new(404, missing))?;
            let projects = *noun == "projects";
            let within: Vec<Key> = world
                .instances
                .of(name)
                .filter(|_| projects)
                .map(Instance::key)
                .collect();
            if asked
                .query
                .get("force")
                .is_some_and(|force| force == "true")
            {
                for key in &within {
                    world.instances.remove(key);
                }
            } else if !within.is_empty() {
                world.projects.insert(removed.name.clone(), removed);
                return Err(Refusal::new(500, "Only empty projects can be removed."));
            }
        }
        _ => return Err(unknown()),
    }
    Ok(Answer::Sync(json!({})))
}

fn unknown() -> Refusal {
    Refusal::new(404, "not found")
}
