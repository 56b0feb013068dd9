//! From a base image to a prepared one: a builder container is started from it, a script runs
//! inside, and what it leaves is published with the templates that make it somebody's.

use std::{collections::BTreeMap, time::Duration};

use containarium_contract::ImageRef;
use containarium_incus::{
    Client, Devices, Exec, FileKind, FilePost, ImagePublish, InstancePost, PublishSource, Source,
};
use ulid::Ulid;

use super::{SetupError, While as _, base_image, tail};
use crate::{
    Installation,
    engine::{self, Engine},
};

/// Where the script and its files lie in the builder; the script removes them itself.
const DIR: &str = "/root/containarium-guest";
/// In memory, so that it is never in the image.
const LOG: &str = "/run/containarium-prepare.log";
/// Packages come from a mirror, over whatever line there is.
const SCRIPT: Duration = Duration::from_secs(1200);
const STEP: Duration = Duration::from_secs(300);
/// Builders are told apart from containers by their names.
pub(super) const BUILDER: &str = "build-";

const FILES: &[(&str, &[u8], u32)] = &[
    (
        "prepare.sh",
        include_bytes!("../../guest/prepare.sh"),
        0o755,
    ),
    (
        "prepare-docker.sh",
        include_bytes!("../../guest/prepare-docker.sh"),
        0o755,
    ),
    ("identity", include_bytes!("../../guest/identity"), 0o755),
    ("scrub", include_bytes!("../../guest/scrub"), 0o755),
    (
        "containarium-identity.service",
        include_bytes!("../../guest/containarium-identity.service"),
        0o644,
    ),
    (
        "containarium-docker.service",
        include_bytes!("../../guest/containarium-docker.service"),
        0o644,
    ),
    (
        "ssh.service",
        include_bytes!("../../guest/ssh.service"),
        0o644,
    ),
];

/// Rendered by incusd when a container is created, from `user.containarium.*`.
const TEMPLATES: &[(&str, &[u8])] = &[
    ("identity.tpl", include_bytes!("../../guest/identity.tpl")),
    ("ssh_keys.tpl", include_bytes!("../../guest/ssh_keys.tpl")),
    ("empty.tpl", include_bytes!("../../guest/empty.tpl")),
];
/// Which template is rendered to which file, and when.
const RENDERED: &str = include_str!("../../guest/templates.json");

/// Makes the prepared image of `image`, without Docker from the base image, with Docker from the
/// one without.
pub(super) async fn prepare(
    incus: &Client,
    installation: &Installation,
    image: &ImageRef,
    docker: bool,
) -> Result<(), SetupError> {
    let name = format!("{BUILDER}{}", Ulid::generate().to_string().to_lowercase());
    let engine = Engine::new(incus, installation.clone());
    let built = build(incus, &engine, image, docker, &name).await;
    // The builder goes, whatever came of it; what cannot be removed now, the next init removes.
    let removed = engine.remove(&name).await;
    built.and(removed.doing("removing the builder"))
}

async fn build(
    incus: &Client,
    engine: &Engine,
    image: &ImageRef,
    docker: bool,
    name: &str,
) -> Result<(), SetupError> {
    let installation = &engine.installation;
    let from = if docker {
        engine::alias(image, false)
    } else {
        base_image::alias(image)
    };
    let post = builder(installation, &from, name);
    let made = incus
        .create_instance(&post)
        .await
        .doing("making the builder")?;
    incus
        .wait(&made, STEP)
        .await
        .doing("starting the builder")?;

    let directory = FilePost {
        kind: FileKind::Directory,
        ..FilePost::root(0o755)
    };
    incus
        .push_file(name, DIR, &directory, Vec::new())
        .await
        .doing("filling the builder")?;
    for (file, content, mode) in FILES {
        let path = format!("{DIR}/{file}");
        let pushed = incus
            .push_file(name, &path, &FilePost::root(*mode), content.to_vec())
            .await;
        pushed.doing("filling the builder")?;
    }

    let script = if docker {
        "prepare-docker.sh"
    } else {
        "prepare.sh"
    };
    let command = format!("exec {DIR}/{script} > {LOG} 2>&1");
    let exec = Exec {
        environment: network(installation),
        ..Exec::new(["bash", "-c", &command])
    };
    let code = incus
        .exec(name, &exec, SCRIPT)
        .await
        .doing(format!("running {script}"))?;
    if code != 0 {
        let log = incus.pull_file(name, LOG).await.unwrap_or_default();
        let what = format!(
            "{script} in a container on {} (exit {code})",
            installation.gateway
        );
        return Err(SetupError::Command {
            what,
            evidence: tail(&log),
        });
    }

    engine.kill(name).await.doing("stopping the builder")?;
    template(incus, name).await.doing("the image's templates")?;
    let kind = if docker {
        "with Docker"
    } else {
        "without Docker"
    };
    let publish = ImagePublish {
        source: PublishSource::Instance {
            name: name.to_owned(),
        },
        // It is read on this host only, and unpacking what was not packed is quickest.
        compression_algorithm: Some("none".into()),
        aliases: Vec::new(),
        properties: BTreeMap::from([(
            "description".to_owned(),
            format!("Containarium: {image} {kind}"),
        )]),
    };
    let begun = incus
        .publish_image(&publish)
        .await
        .doing("publishing the image")?;
    let done = incus
        .wait(&begun, STEP)
        .await
        .doing("publishing the image")?;
    let fingerprint = done.fingerprint().unwrap_or_default();
    let alias = engine::alias(image, docker);
    incus
        .put_image_alias(&alias, fingerprint)
        .await
        .doing("naming the image")?;
    warm(incus, engine, &alias).await
}

fn builder(installation: &Installation, image: &str, name: &str) -> InstancePost {
    let device = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    };
    let pool = installation.pool.as_str();
    let bridge = installation.name.as_str();
    let devices = Devices::from([
        (
            "root".to_owned(),
            device(&[("type", "disk"), ("path", "/"), ("pool", pool)]),
        ),
        (
            "eth0".to_owned(),
            device(&[("type", "nic"), ("name", "eth0"), ("network", bridge)]),
        ),
    ]);
    // An image that is prepared already gets its address from its templates.
    let config = network(installation)
        .into_iter()
        .map(|(key, value)| (format!("user.containarium.{}", key.to_lowercase()), value))
        .collect();
    InstancePost {
        start: true,
        config,
        devices,
        description: "Containarium: builds an image".into(),
        ..InstancePost::new(name, Source::alias(image))
    }
}

/// The builder's network; its address is one that no container ever gets.
fn network(installation: &Installation) -> BTreeMap<String, String> {
    let gateway = installation.gateway;
    let own = std::net::Ipv4Addr::from(u32::from(gateway) + 1);
    BTreeMap::from([
        (
            "ADDRESS".to_owned(),
            format!("{own}/{}", installation.prefix),
        ),
        ("GATEWAY".to_owned(), gateway.to_string()),
        ("DNS".to_owned(), gateway.to_string()),
    ])
}

async fn template(incus: &Client, name: &str) -> Result<(), containarium_incus::Error> {
    let mut metadata = incus.instance_metadata(name).await?;
    let rendered: serde_json::Value = serde_json::from_str(RENDERED).unwrap_or_default();
    if let Some(fields) = metadata.as_object_mut() {
        fields.insert("templates".into(), rendered);
    }
    incus.put_instance_metadata(name, &metadata).await?;
    for (template, content) in TEMPLATES {
        incus
            .put_instance_template(name, template, content.to_vec())
            .await?;
    }
    Ok(())
}

/// The first create from an image unpacks it into the pool, which takes seconds: done here, so
/// that no user waits for it.
async fn warm(incus: &Client, engine: &Engine, alias: &str) -> Result<(), SetupError> {
    let name = format!("{BUILDER}{}", Ulid::generate().to_string().to_lowercase());
    let post = InstancePost {
        start: false,
        ..builder(&engine.installation, alias, &name)
    };
    let made = incus
        .create_instance(&post)
        .await
        .doing("unpacking the image")?;
    incus.wait(&made, STEP).await.doing("unpacking the image")?;
    engine.remove(&name).await.doing("removing a builder")
}
