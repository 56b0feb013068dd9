//! A builder: a container started from an image, in which a script runs; what that leaves is
//! published with the templates that make it somebody's.

use std::{collections::BTreeMap, time::Duration};

use containarium_contract::ImageRef;
use containarium_incus::{
    Devices, Error as Incus, Exec, FileKind, FilePost, ImagePublish, InstancePost, PublishSource,
    Source,
};
use ulid::Ulid;

use super::{
    Bench, ImageError, Tell, While as _,
    recipe::{FILES, RENDERED, TEMPLATES, prepared_properties},
    shelf::alias,
    step,
};
use crate::Installation;

/// Where the script and its files lie in the builder; the script removes them itself.
const DIR: &str = "/root/containarium-guest";
/// In memory, so that it is never in the image.
const LOG: &str = "/run/containarium-prepare.log";
/// Packages come from a mirror, over whatever line there is.
const SCRIPT: Duration = Duration::from_secs(1200);
const STEP: Duration = Duration::from_secs(300);
/// Lines of a script's log that are shown.
const EVIDENCE: usize = 20;
/// Builders are told apart from containers by their names.
pub(super) const BUILDER: &str = "build-";

/// What is to be built.
pub(super) struct Plan<'a> {
    /// The name that containers will be made by.
    pub(super) image: &'a ImageRef,
    /// From a prepared image, Docker is added; else everything to a base image.
    pub(super) docker: bool,
    /// The fingerprint of what it is made from.
    pub(super) from: &'a str,
}

/// Builds it, and gives the name to the result; its fingerprint.
pub(super) async fn build(
    bench: &Bench,
    plan: &Plan<'_>,
    tell: Tell<'_>,
) -> Result<String, ImageError> {
    let name = builder_name();
    let built = fill(bench, plan, &name, tell).await;
    // The builder goes, whatever came of it; what cannot be removed now, the next one removes.
    let removed = bench.engine.remove(&name).await;
    let fingerprint = built?;
    removed.doing("removing the builder")?;
    tell(step(format!("unpacking {}", plan.image)));
    warm(bench, &fingerprint).await?;
    let alias = alias(plan.image, plan.docker);
    let named = bench.incus.put_image_alias(&alias, &fingerprint).await;
    named.doing("naming the image")?;
    Ok(fingerprint)
}

async fn fill(
    bench: &Bench,
    plan: &Plan<'_>,
    name: &str,
    tell: Tell<'_>,
) -> Result<String, ImageError> {
    let Bench { incus, engine, .. } = bench;
    let installation = &engine.installation;
    tell(step(format!("unpacking {}", plan.image)));
    let post = builder(installation, plan.from, name);
    let made = incus.create_instance(&post).await;
    let made = made.doing("making the builder")?;
    incus.wait(&made, STEP).await.doing("making the builder")?;
    if !plan.docker {
        inspect(bench, plan.image, name).await?;
    }
    let started = engine.start(name).await;
    started.doing("starting the builder")?;

    let directory = FilePost {
        kind: FileKind::Directory,
        ..FilePost::root(0o755)
    };
    let made = incus.push_file(name, DIR, &directory, Vec::new()).await;
    made.doing("filling the builder")?;
    for (file, content, mode) in FILES {
        let path = format!("{DIR}/{file}");
        let whose = FilePost::root(*mode);
        let pushed = incus.push_file(name, &path, &whose, content.to_vec()).await;
        pushed.doing("filling the builder")?;
    }
    run(bench, plan, name, tell).await?;

    tell(step(format!("storing {}", plan.image)));
    engine.kill(name).await.doing("stopping the builder")?;
    template(bench, name).await.doing("the image's templates")?;
    let mut properties = prepared_properties(plan.from);
    let kind = if plan.docker { "with" } else { "without" };
    let description = format!("Containarium: {} {kind} Docker", plan.image);
    properties.insert("description".into(), description);
    let publish = ImagePublish {
        source: PublishSource::Instance {
            name: name.to_owned(),
        },
        // It is read on this host only, and unpacking what was not packed is quickest.
        compression_algorithm: Some("none".into()),
        aliases: Vec::new(),
        properties,
    };
    let begun = incus.publish_image(&publish).await;
    let begun = begun.doing("publishing the image")?;
    let done = incus.wait(&begun, STEP).await;
    let done = done.doing("publishing the image")?;
    Ok(done.fingerprint().unwrap_or_default().to_owned())
}

/// Looks what the base image is, before anything of it runs.
async fn inspect(bench: &Bench, image: &ImageRef, name: &str) -> Result<(), ImageError> {
    let mut text = String::new();
    // The second is mostly a link to the first, and links are not followed.
    for path in ["/usr/lib/os-release", "/etc/os-release"] {
        match bench.incus.pull_file(name, path).await {
            Ok(read) => {
                text = String::from_utf8_lossy(&read).into_owned();
                break;
            }
            Err(Incus::NotFound(_) | Incus::Conflict(_)) => {}
            Err(other) => return Err(other).doing("looking into the image"),
        }
    }
    if !has_apt(&text) {
        let what = field(&text, "PRETTY_NAME").unwrap_or_else(|| "of no known system".into());
        return Err(ImageError::Unfit {
            image: image.clone(),
            what,
        });
    }
    // It would make its own user and network in the builder while we make ours.
    let whose = FilePost::root(0o644);
    let off = "/etc/cloud/cloud-init.disabled";
    match bench.incus.push_file(name, off, &whose, Vec::new()).await {
        // Most images have no cloud-init.
        Ok(()) | Err(Incus::NotFound(_)) => Ok(()),
        Err(other) => Err(other).doing("looking into the image"),
    }
}

async fn run(bench: &Bench, plan: &Plan<'_>, name: &str, tell: Tell<'_>) -> Result<(), ImageError> {
    let (script, what) = if plan.docker {
        ("prepare-docker.sh", "installing Docker in")
    } else {
        ("prepare.sh", "installing packages in")
    };
    tell(step(format!("{what} {}", plan.image)));
    // Incus takes 126 and 127, also of a command in the script, for its own not finding bash.
    let command = format!("{DIR}/{script} > {LOG} 2>&1 || exit 1");
    let exec = Exec {
        environment: network(&bench.engine.installation),
        ..Exec::new(["bash", "-c", &command])
    };
    let ran = tokio::select! {
        ran = bench.incus.exec(name, &exec, SCRIPT) => ran,
        () = bench.closing.cancelled() => return Err(ImageError::Stopping(plan.image.clone())),
    };
    let code = ran.doing(format!("running {script}"))?;
    if code == 0 {
        return Ok(());
    }
    let log = bench.incus.pull_file(name, LOG).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(EVIDENCE)..);
    Err(ImageError::Script {
        image: plan.image.clone(),
        script: format!(
            "{script} (in a container on {})",
            bench.engine.installation.gateway
        ),
        evidence: last.unwrap_or_default().join("\n"),
    })
}

/// Whether `/etc/os-release` speaks of a system with apt.
fn has_apt(os_release: &str) -> bool {
    let ids = ["ID", "ID_LIKE"].map(|name| field(os_release, name).unwrap_or_default());
    ids.iter()
        .flat_map(|ids| ids.split_whitespace())
        .any(|id| ["debian", "ubuntu"].contains(&id))
}

fn field(os_release: &str, name: &str) -> Option<String> {
    let line = os_release
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    let value: String = line.trim_matches(['"', '\'']).chars().take(80).collect();
    Some(value.replace(|c: char| c.is_control(), " "))
}

fn builder_name() -> String {
    format!("{BUILDER}{}", Ulid::generate().to_string().to_lowercase())
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
        .chain([("boot.autostart".to_owned(), "false".to_owned())])
        .collect();
    InstancePost {
        start: false,
        config,
        devices,
        description: "Containarium: builds an image".into(),
        ..InstancePost::new(name, Source::fingerprint(image))
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

async fn template(bench: &Bench, name: &str) -> Result<(), Incus> {
    let mut metadata = bench.incus.instance_metadata(name).await?;
    let rendered: serde_json::Value = serde_json::from_str(RENDERED).unwrap_or_default();
    if let Some(fields) = metadata.as_object_mut() {
        fields.insert("templates".into(), rendered);
    }
    bench.incus.put_instance_metadata(name, &metadata).await?;
    for (template, content) in TEMPLATES {
        bench
            .incus
            .put_instance_template(name, template, content.to_vec())
            .await?;
    }
    Ok(())
}

/// The first create from an image unpacks it into the pool, which takes seconds: done here, so
/// that no user waits for it.
async fn warm(bench: &Bench, fingerprint: &str) -> Result<(), ImageError> {
    let name = builder_name();
    let post = builder(&bench.engine.installation, fingerprint, &name);
    let made = bench.incus.create_instance(&post).await;
    let made = made.doing("unpacking the image")?;
    let made = bench.incus.wait(&made, STEP).await;
    made.doing("unpacking the image")?;
    let removed = bench.engine.remove(&name).await;
    removed.doing("removing a builder")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_with_apt_is_told_by_its_os_release() {
        let alpine = "NAME=\"Alpine Linux\"\nID=alpine\nPRETTY_NAME=\"Alpine Linux v3.20\"\n";
        let mint = "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n";
        assert!(has_apt(
            "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\n"
        ));
        assert!(has_apt("ID=ubuntu\nID_LIKE=debian\n") && has_apt(mint));
        assert!(!has_apt(alpine) && !has_apt("") && !has_apt("ID=debianish\n"));
        assert_eq!(
            field(alpine, "PRETTY_NAME").as_deref(),
            Some("Alpine Linux v3.20")
        );
    }
}
