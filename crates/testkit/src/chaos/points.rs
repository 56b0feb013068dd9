//! One kill point: an operation during which the daemon kills itself there, the same again while the
//! next daemon resumes it, and what is so in the end.

use std::time::Duration;

use containarium_core::Store;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Calls, Life, Outcome, Under, clean, key};
use crate::empty;

/// A key to be added and removed.
const SSH_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
/// An image that is no default.
const IMAGE: &str = "local:debian/13";
/// A container that no store knows, and whose it says it is.
const UNCLAIMED: &str = "c-01jd3zq8m4k6t1w9v5r2x7y0bc";
const ADOPTED: &str = "e7000";
/// Such as `small_debian` asks for.
const STANDBY: &str = "local:debian/12,docker=1";
/// How long an engine that answers may take to list its images.
const LISTED: Duration = Duration::from_secs(20);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Method, path and body.
type Request = (&'static str, String, Option<Value>);

/// The create that an operation of this kind with this step needs. Keys and claims are the real guest's affair.
fn made(kind: &str, step: &str, under: &Under, name: &str) -> Value {
    match (kind, step) {
        ("add_ssh_key" | "remove_ssh_key", _) | ("create", "claim") => under.small_debian(name),
        _ => under.small(name),
    }
}

/// The request that begins an operation of this kind with this step; `made` is the one of a create.
fn request(kind: &str, step: &str, name: &str, made: &Value) -> Request {
    let at = format!("/v1/containers/{name}");
    match kind {
        "create" => ("POST", "/v1/containers".into(), Some(made.clone())),
        "delete" if step == "remove" => ("DELETE", format!("{at}?force=true&purge=true"), None),
        "delete" | "purge" => ("DELETE", format!("{at}?force=true"), None),
        "undelete" => ("POST", format!("{at}/undelete"), Some(json!({}))),
        "start" => ("POST", format!("{at}/start"), Some(json!({}))),
        "stop" => ("POST", format!("{at}/stop"), Some(json!({"force": true}))),
        "add_ssh_key" => (
            "POST",
            format!("{at}/ssh-keys"),
            Some(json!({"key": SSH_KEY})),
        ),
        "remove_ssh_key" => {
            let key: containarium_contract::SshPublicKey = SSH_KEY.parse().unwrap();
            let fingerprint = key.fingerprint().to_string().replace('/', "%2F");
            let fingerprint = fingerprint.replace('+', "%2B");
            (
                "DELETE",
                format!("{at}/ssh-keys/{fingerprint}?force=true"),
                None,
            )
        }
        "prepare_image" => {
            let wish = json!({"image": IMAGE, "enableDocker": false});
            ("POST", "/v1/images".into(), Some(wish))
        }
        "delete_image" => ("DELETE", "/v1/images/local:debian%2F13".into(), None),
        "adopt" => {
            let which = json!({"instances": [UNCLAIMED]});
            ("POST", "/v1/admin/adopt".into(), Some(which))
        }
        "purge_unclaimed" => ("DELETE", format!("/v1/admin/unclaimed/{UNCLAIMED}"), None),
        _ => panic!("how is an operation `{kind}` begun?"),
    }
}

/// Brings about what an operation of this kind needs.
pub async fn prepare(kind: &str, calls: &Calls, under: &Under, name: &str) {
    let now = calls.container(name).await;
    let state = now
        .as_ref()
        .map(|row| row["state"].as_str().unwrap().to_owned());
    let kept = is_kept(calls, name).await;
    let made = made(kind, "", under, name);
    let does = async |kind: &str, step: &str| {
        let (method, path, body) = request(kind, step, name, &made);
        calls.does(method, &path, &key(), body.as_ref()).await
    };
    match (kind, state.as_deref()) {
        ("create", None) | ("start", Some("stopped")) => {}
        ("create", Some(_)) => drop(does("delete", "remove").await),
        ("start", None) => {
            does("create", "").await;
            does("stop", "").await;
        }
        ("start", Some(_)) => drop(does("stop", "").await),
        ("undelete", Some(_)) => drop(does("delete", "").await),
        ("undelete", None) if kept => {}
        ("undelete", None) => {
            does("create", "").await;
            does("delete", "").await;
        }
        ("delete" | "purge" | "stop" | "add_ssh_key" | "remove_ssh_key", state) => {
            match state {
                // Two that are kept of one name are too many to tell apart.
                None if kept && kind != "purge" => drop(does("undelete", "").await),
                None => drop(does("create", "").await),
                Some("stopped") => drop(does("start", "").await),
                Some(_) => {}
            }
            if kind == "remove_ssh_key" {
                does("add_ssh_key", "").await;
            }
            if kind == "purge" {
                does("delete", "").await;
            }
        }
        ("prepare_image", _) => {}
        ("delete_image", _) => {
            if let Some(sim) = under.simulated() {
                let made = containarium_core::images::prepared_properties("base");
                let made: Vec<_> = made.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
                sim.add_image("containarium/plain/local/debian/13", &made);
            }
        }
        ("adopt" | "purge_unclaimed", _) => unclaimed(calls, under).await,
        _ => panic!("what does an operation `{kind}` need where it is {state:?}?"),
    }
}

/// Lets the daemon kill itself at `point` of an operation on `name`, and again while that is resumed;
/// then all of it must have been done once, and nothing left behind. `life` runs before and after.
pub async fn die_at(point: &str, under: &Under, life: &mut Life, name: &str) {
    let (kind, step) = point.split_once('.').unwrap();
    let step = step.split('.').next().unwrap();
    let calls = life.calls();
    calls.ready(under.patience()).await;
    prepare(kind, &calls, under, name).await;
    // A create claims one only where there is one.
    life.standby = (step == "claim").then_some(STANDBY);
    let until = kept_until(&calls, name).await;
    life.kill().await;
    if kind == "purge" {
        let until = until.unwrap();
        crate::wait_for(under.patience(), "its time is over", async || {
            let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
            if now > until { Ok(()) } else { Err(now) }
        })
        .await;
    }
    let key = key();
    let (method, path, body) = request(kind, step, name, &made(kind, step, under, name));
    let first = life.start(Some(point)).await;
    if kind == "purge" {
        // Nobody asks for it: its time is over.
        dies(life, under, point).await;
    } else {
        assert!(first.is_ok(), "{point}: nothing was under way");
        let calls = life.calls();
        calls.ready(under.patience()).await;
        if step == "claim" {
            stands_by(&calls, under).await;
        }
        match calls.ask(method, &path, Some(&key), body.as_ref()).await {
            Outcome::Unknown(_) => dies(life, under, point).await,
            Outcome::Answered(answer) => panic!("{point} was not reached: {answer:?}"),
        }
    }
    // Again, while it is resumed, if it comes through there again.
    let resumed = life.start(Some(point)).await;
    if kind == "purge" {
        settles(life, under, name).await;
    } else {
        if resumed.is_ok() {
            let asked = life
                .calls()
                .ask(method, &path, Some(&key), body.as_ref())
                .await;
            if let Outcome::Unknown(_) = asked {
                dies(life, under, point).await;
            }
        }
    }
    // Also one that did not come through there: what follows must not end it.
    life.kill().await;
    life.start(None).await.unwrap();
    let calls = life.calls();
    calls.ready(under.patience()).await;
    if kind != "purge" {
        let done = calls.does(method, &path, &key, body.as_ref()).await;
        let again = calls.does(method, &path, &key, body.as_ref()).await;
        let of =
            |answer: &crate::Answer| answer.header("containarium-operation").map(str::to_owned);
        assert!(of(&done).is_some(), "{point}: {done:?}");
        assert_eq!(
            of(&done),
            of(&again),
            "{point}: the same key is the same operation"
        );
        assert_eq!(done.body, again.body, "{point}");
    }
    clean(&calls, under).await;
    is_so(kind, step, &calls, name).await;
}

/// Sees to it that there is one container that no store knows.
async fn unclaimed(calls: &Calls, under: &Under) {
    if calls.container(ADOPTED).await.is_some() {
        let path = format!("/v1/containers/{ADOPTED}?force=true&purge=true");
        calls.does("DELETE", &path, &key(), None).await;
    }
    let id = UNCLAIMED.trim_start_matches("c-").to_owned();
    let number = ADOPTED.trim_start_matches('e').parse().unwrap();
    let store = Store::open(under.state.path()).unwrap();
    let mut post = empty(&store.installation().await.unwrap(), number);
    post.name = UNCLAIMED.to_owned();
    post.config.insert("user.containarium.id".into(), id);
    let incus = &under.incus;
    if incus.instance(UNCLAIMED).await.is_err() {
        let made = incus.create_instance(&post).await.unwrap();
        incus.wait(&made, under.patience()).await.unwrap();
    }
}

/// Waits until a standby could be claimed.
async fn stands_by(calls: &Calls, under: &Under) {
    crate::wait_for(under.patience(), "a standby waits", async || {
        let info = calls.get("/v1/system/info").await.json();
        if info["info"]["standby"][0]["ready"] == 1 {
            Ok(())
        } else {
            Err(info)
        }
    })
    .await;
}

/// Waits until the daemon has killed itself.
async fn dies(life: &mut Life, under: &Under, point: &str) {
    let end = Instant::now() + under.patience();
    while !life.is_dead() {
        assert!(
            Instant::now() < end,
            "{point} was not reached:\n{}",
            life.told()
        );
        sleep(PAUSE).await;
    }
}

/// Waits until the daemon has killed itself or the deleted container is gone.
async fn settles(life: &mut Life, under: &Under, name: &str) {
    let end = Instant::now() + under.patience();
    while !life.is_dead() {
        let found = life
            .calls()
            .ask("GET", "/v1/containers?state=deleted", None, None)
            .await;
        if let Outcome::Answered(answer) = found
            && !answer.body.contains(&format!("\"{name}\""))
        {
            return;
        }
        assert!(
            Instant::now() < end,
            "{name} is not purged:\n{}",
            life.told()
        );
        sleep(PAUSE).await;
    }
}

/// Whether it is so as the operation was to make it.
async fn is_so(kind: &str, step: &str, calls: &Calls, name: &str) {
    let now = calls.container(name).await;
    let state = now.as_ref().map(|row| row["state"].as_str().unwrap());
    let kept = is_kept(calls, name).await;
    let keys = now.as_ref().map(|row| row["sshKeys"].to_string());
    match kind {
        "create" | "undelete" | "start" => assert_eq!((state, kept), (Some("running"), false)),
        "stop" => assert_eq!((state, kept), (Some("stopped"), false)),
        "delete" if step == "remove" => assert_eq!((state, kept), (None, false)),
        "delete" => assert_eq!((state, kept), (None, true)),
        "purge" => assert_eq!((state, kept), (None, false)),
        "add_ssh_key" => assert!(keys.unwrap().contains("AAAAILM+rvN")),
        "remove_ssh_key" => assert!(!keys.unwrap().contains("AAAAILM+rvN")),
        "prepare_image" | "delete_image" => {
            // An engine that is busy for a moment may be told as unreachable.
            let images = crate::wait_for(LISTED, "images are listed", async || {
                let images = calls.get("/v1/images").await;
                match images.json()["engine"].as_str() {
                    Some("ok") => Ok(images),
                    Some(_) | None => Err(images),
                }
            });
            let images = images.await;
            let there = images.body.contains(IMAGE);
            assert_eq!(there, kind == "prepare_image", "{images:?}");
        }
        "adopt" | "purge_unclaimed" => {
            let adopted = calls.container(ADOPTED).await.is_some();
            assert_eq!(adopted, kind == "adopt");
        }
        _ => panic!("what does `{kind}` do?"),
    }
}

/// Whether a deleted one of that name can be brought back.
async fn is_kept(calls: &Calls, name: &str) -> bool {
    kept_until(calls, name).await.is_some()
}

/// Until when the deleted one of that name is kept.
async fn kept_until(calls: &Calls, name: &str) -> Option<String> {
    let kept = calls.get("/v1/containers?state=deleted").await.json();
    let kept = kept["containers"].as_array().unwrap();
    let row = kept.iter().find(|row| row["username"] == name)?;
    Some(row["deletedUntil"].as_str().unwrap().to_owned())
}
