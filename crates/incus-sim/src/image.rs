//! Images: fetched from a server that the sim was told of, named, deleted.

use std::sync::Arc;
use std::time::SystemTime;

use http::Method;
use serde_json::{Value, json};

use crate::answer::{Answer, Asked, Refusal};
use crate::files::Files;
use crate::operation::{Step, Work, begin, begin_telling};
use crate::sim::Shared;
use crate::world::{Config, Image, World, text};

/// `POST /1.0/images` of the kind that fetches; whatever is wrong with it is told late.
pub(crate) fn pull(shared: &Arc<Shared>, asked: &Asked) -> Result<Answer, Refusal> {
    let post = asked.json::<Value>()?;
    let source = post.get("source").cloned().unwrap_or_default();
    if text(&source, "type") != "image" {
        return Err(Refusal::new(500, "the sim has no guests to make images of"));
    }
    let (server, alias) = (text(&source, "server"), text(&source, "alias"));
    let found = find(&shared.world(), server, alias);
    let fingerprint = found.clone().unwrap_or_default();
    let fetched = fingerprint.clone();
    let fetch: Step = (
        "download",
        Box::new(move |world| {
            if !world
                .images
                .iter()
                .any(|image| image.fingerprint == fetched)
            {
                world.images.push(Image {
                    fingerprint: fetched,
                    aliases: Vec::new(),
                    properties: Config::new(),
                    files: Files::default(),
                    made: SystemTime::now(),
                });
            }
            Ok(())
        }),
    );
    let work = work("Downloading image", asked, found.map(drop), fetch);
    let told = json!({ "fingerprint": fingerprint, "size": "1000" });
    Ok(begin_telling(shared, work, told))
}

fn find(world: &World, server: &str, alias: &str) -> Result<String, Refusal> {
    let failed = "Failed getting remote image info: Failed getting image:";
    let Some(aliases) = world.image_servers.get(server) else {
        let host = server.trim_start_matches("https://");
        let text = format!(
            "{failed} Failed parsing stream: Get \"{server}/streams/v1/index.json\": Unable to \
             connect to: {host} ([dial tcp {host}: connect: connection refused])"
        );
        return Err(Refusal::new(500, text));
    };
    let missing = || {
        Refusal::new(
            500,
            format!("{failed} The requested image couldn't be found"),
        )
    };
    aliases.get(alias).cloned().ok_or_else(missing)
}

/// `DELETE /1.0/images/FINGERPRINT`: with all its names.
pub(crate) fn delete(
    shared: &Arc<Shared>,
    asked: &Asked,
    fingerprint: &str,
) -> Result<Answer, Refusal> {
    let has = |image: &Image| image.fingerprint == fingerprint;
    if !shared.world().images.iter().any(has) {
        return Err(Refusal::new(404, "Image not found"));
    }
    let gone = fingerprint.to_owned();
    let remove: Step = (
        "delete",
        Box::new(move |world| {
            world.images.retain(|image| image.fingerprint != gone);
            Ok(())
        }),
    );
    Ok(begin(shared, work("Deleting image", asked, Ok(()), remove)))
}

/// Names are made, moved and removed at once.
pub(crate) fn aliases(world: &mut World, asked: &Asked, path: &[&str]) -> Result<Answer, Refusal> {
    let body = || asked.json::<Value>();
    let (name, target) = match (&asked.method, path) {
        (&Method::POST, [_, _]) => {
            let body = body()?;
            let name = text(&body, "name").to_owned();
            if world.alias(&name).is_ok() {
                return Err(Refusal::new(409, format!("Alias {name:?} already exists")));
            }
            (name, Some(text(&body, "target").to_owned()))
        }
        (&Method::PUT, [_, _, name]) => {
            world.alias(name)?;
            (
                (*name).to_owned(),
                Some(text(&body()?, "target").to_owned()),
            )
        }
        (&Method::DELETE, [_, _, name]) => {
            world.alias(name)?;
            ((*name).to_owned(), None)
        }
        _ => return Err(Refusal::new(404, "not found")),
    };
    let exists = |target: &String| {
        world
            .images
            .iter()
            .any(|image| image.fingerprint == *target)
    };
    if !target.as_ref().is_none_or(exists) {
        return Err(Refusal::new(404, "Image not found"));
    }
    for image in &mut world.images {
        image.aliases.retain(|known| *known != name);
        if Some(&image.fingerprint) == target.as_ref() {
            image.aliases.push(name.clone());
        }
    }
    Ok(Answer::Sync(json!({})))
}

fn work(description: &'static str, asked: &Asked, so_far: Result<(), Refusal>, step: Step) -> Work {
    Work {
        description,
        project: asked.project(),
        // No instance is busy meanwhile.
        name: String::new(),
        first: None,
        so_far,
        steps: vec![step],
    }
}
