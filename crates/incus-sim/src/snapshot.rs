//! Snapshots of instances: names with dates. While one is made its instance does not count as busy,
//! which is how a delete comes to wedge it.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::answer::{Answer, Asked, Refusal};
use crate::fault::Fault;
use crate::operation::{NOT_BUSY, Step, Work, begin};
use crate::sim::Shared;
use crate::world::{World, text, time};

/// `GET …/snapshots`, of which only the whole objects are told.
pub(crate) fn list(world: &World, project: &str, name: &str) -> Result<Value, Refusal> {
    let snapshots = &world.instance(project, name)?.snapshots;
    let told = |(name, made): (&String, &SystemTime)| {
        json!({"name": name, "created_at": time(*made), "expires_at": "0001-01-01T00:00:00Z",
            "stateful": false, "size": 0})
    };
    Ok(snapshots.iter().map(told).collect())
}

/// `POST …/snapshots`: that the name is taken is told late.
pub(crate) fn create(
    shared: &Arc<Shared>,
    asked: &Asked,
    name: &str,
    fault: Option<Fault>,
) -> Result<Answer, Refusal> {
    let (project, post) = (asked.project(), asked.json::<Value>()?);
    let snapshot = text(&post, "name").to_owned();
    let so_far = {
        let mut world = shared.world();
        let instance = world.instance_mut(&project, name)?;
        let taken = instance.snapshots.contains_key(&snapshot);
        instance.in_snapshot |= !taken;
        let text = format!(
            "Failed creating instance snapshot record {snapshot:?}: Add snapshot info to the \
             database: Failed to create \"instances_snapshots\" entry: UNIQUE constraint failed: \
             instances_snapshots.instance_id, instances_snapshots.name"
        );
        if taken {
            Err(Refusal::new(500, text))
        } else {
            Ok(())
        }
    };
    let key = (project.clone(), name.to_owned());
    let take: Step = (
        NOT_BUSY,
        Box::new(move |world| {
            let instance = world.instance_mut(&key.0, &key.1)?;
            // Where the instance was deleted meanwhile, this says that all went well.
            let wedged = !std::mem::take(&mut instance.in_snapshot) || instance.harm.is_some();
            if !wedged {
                instance.snapshots.insert(snapshot, SystemTime::now());
                world.happened("instance-snapshot-created", &key.0, &key.1);
            }
            Ok(())
        }),
    );
    let work = Work {
        description: "Snapshotting instance",
        project,
        name: name.to_owned(),
        first: None,
        so_far,
        steps: vec![take],
    };
    Ok(begin(shared, work.with(fault)))
}

/// `DELETE …/snapshots/SNAPSHOT`.
pub(crate) fn delete(
    shared: &Arc<Shared>,
    asked: &Asked,
    name: &str,
    snapshot: &str,
) -> Result<Answer, Refusal> {
    let project = asked.project();
    if !shared
        .world()
        .instance(&project, name)?
        .snapshots
        .contains_key(snapshot)
    {
        let text = format!(
            "Failed to fetch snapshot {snapshot:?} of instance {name:?} in project {project:?}: \
             Instance_snapshot not found"
        );
        return Err(Refusal::new(404, text));
    }
    let key = (project.clone(), name.to_owned());
    let gone = snapshot.to_owned();
    let remove: Step = (
        NOT_BUSY,
        Box::new(move |world| {
            let instance = world.instance_mut(&key.0, &key.1)?;
            instance.snapshots.remove(&gone);
            world.happened("instance-snapshot-deleted", &key.0, &key.1);
            Ok(())
        }),
    );
    let work = Work {
        description: "Deleting snapshot",
        project,
        name: name.to_owned(),
        first: None,
        so_far: Ok(()),
        steps: vec![remove],
    };
    Ok(begin(shared, work))
}
