//! `containarium doctor`, with each trap set for real where this machine lets it: on its own bridge and
//! pool, so that nobody else falls in.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use containarium_core::doctor::{self, Doctor, Finding, Verdict};
use containarium_incus::{InstancePost, Source};
use containarium_testkit::{Bed, Key, wait_for};
use tokio_util::sync::CancellationToken;

use super::{SOON, start};

/// A state directory like the bed's, so that locks and modes are its own.
pub(crate) fn copied(bed: &Bed) -> tempfile::TempDir {
    let state = tempfile::tempdir().unwrap();
    run(&format!("chmod 0700 {}", state.path().display()));
    for file in std::fs::read_dir(&bed.state).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), state.path().join(file.file_name())).unwrap();
        }
    }
    state
}

pub(crate) fn doctor(bed: &Bed, state: &Path) -> Doctor {
    Doctor {
        state_dir: state.to_owned(),
        engine: bed.socket.clone(),
        address: IpAddr::from([127, 0, 0, 1]),
        // Nobody's.
        port: 1,
        quick: false,
    }
}

pub(crate) async fn examined(doctor: &Doctor) -> Vec<Finding> {
    doctor.examine(&CancellationToken::new(), &|_| {}).await
}

pub(crate) async fn quick(bed: &Bed, state: &Path) -> Vec<Finding> {
    let quick = Doctor {
        quick: true,
        ..doctor(bed, state)
    };
    examined(&quick).await
}

/// The one finding of a check.
pub(crate) fn of<'f>(findings: &'f [Finding], check: &str) -> &'f Finding {
    let of: Vec<&Finding> = findings.iter().filter(|f| f.check == check).collect();
    let [one] = of.as_slice() else {
        panic!("{check}: {findings:#?}");
    };
    one
}

pub(crate) fn run(line: &str) -> String {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap();
    let ran = Command::new(program).args(words).output().unwrap();
    assert!(ran.status.success(), "{line}: {ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_server_passes_undisturbed_and_nothing_is_left() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let state = copied(&bed);
    let login = Key::new();
    let login = login.login(&daemon.create("alice", &login).await);
    let born = login.says("cut -d' ' -f22 /proc/1/stat").await;
    let port = daemon.url.rsplit(':').next().unwrap().parse().unwrap();
    let findings = examined(&Doctor {
        port,
        ..doctor(&bed, state.path())
    })
    .await;
    for check in [
        "engine",
        "engine-version",
        "storage",
        "images",
        "ids",
        "lxcfs",
        "modes",
        "daemon",
        "subnet",
        "bridge",
        "forward",
        "name-server",
        "store",
        "clone",
        "quota",
        "quota-escape",
        "network",
        "docker",
    ] {
        let finding = of(&findings, check);
        assert_eq!(finding.verdict, Verdict::Ok, "{finding:#?}");
    }
    // The copied store does not know alice, and that is all that it finds beside her.
    let left = of(&findings, "leftovers");
    assert!(
        left.found.contains("not in the store: c-"),
        "{}",
        left.found
    );
    assert_eq!(login.says("cut -d' ' -f22 /proc/1/stat").await, born);
    assert_eq!(bed.instances().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_run_left_goes_with_the_next_and_an_interrupted_one_leaves_nothing() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let state = copied(&bed);
    let images = bed.incus().images().await.unwrap();
    let image = images
        .iter()
        .flat_map(|image| &image.aliases)
        .find(|alias| alias.name.starts_with("containarium/plain/"))
        .map(|alias| alias.name.as_str())
        .unwrap();
    let left = |name: &str, tag: &str| {
        let mut post = InstancePost::new(name, Source::alias(image));
        post.config
            .insert("user.containarium.install".into(), tag.into());
        let root = [
            ("type", "disk"),
            ("path", "/"),
            ("pool", bed.installation.pool.as_str()),
        ];
        let root = root.map(|(key, value)| (key.to_owned(), value.to_owned()));
        post.devices.insert("root".into(), root.into());
        post
    };
    for post in [
        left("doctor-left", &bed.installation.id),
        left("doctor-other", "theirs"),
    ] {
        let made = bed.incus().create_instance(&post).await.unwrap();
        bed.incus().wait(&made, SOON).await.unwrap();
    }
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let (dir, bed_too) = (state.path().to_owned(), bed.clone());
    let running = tokio::spawn(async move { doctor(&bed_too, &dir).examine(&stop, &|_| {}).await });
    wait_for(SOON, "the probe runs", async || {
        let there = bed.instances().await;
        let runs = |i: &containarium_incus::Instance| i.status_code.is_running();
        if there.iter().any(runs) {
            Ok(())
        } else {
            Err(there.len())
        }
    })
    .await;
    // Only one at a time tries things.
    let second = examined(&doctor(&bed, state.path())).await;
    assert!(
        of(&second, "probes")
            .found
            .contains("another `containarium doctor`")
    );
    cancel.cancel();
    let findings = running.await.unwrap();
    assert_eq!(of(&findings, "probes").found, "interrupted");
    let names: Vec<String> = bed.instances().await.into_iter().map(|i| i.name).collect();
    assert_eq!(names, ["doctor-other"], "somebody else's is left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_engine_away_the_rest_is_still_told() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let state = copied(&bed);
    bed.kill_engine();
    let findings = examined(&doctor(&bed, state.path())).await;
    bed.start_engine();
    let engine = of(&findings, "engine");
    assert_eq!(
        (engine.verdict, engine.commands.len()),
        (Verdict::Problem, 1),
        "{engine:#?}"
    );
    assert_eq!(of(&findings, "storage").verdict, Verdict::Unknown);
    assert_eq!(of(&findings, "probes").verdict, Verdict::Unknown);
    for check in ["ids", "store", "subnet", "forward"] {
        assert_eq!(of(&findings, check).verdict, Verdict::Ok, "{check}");
    }
}

/// A file as it was, put back when dropped.
struct AsItWas(PathBuf, Option<Vec<u8>>);

impl AsItWas {
    fn of(path: &str) -> Self {
        Self(path.into(), std::fs::read(path).ok())
    }
}

impl Drop for AsItWas {
    fn drop(&mut self) {
        match &self.1 {
            Some(text) => std::fs::write(&self.0, text).unwrap(),
            None => std::fs::remove_file(&self.0).unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_low_and_a_file_that_is_open_are_repaired() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let state = copied(&bed);
    let limit = "/proc/sys/fs/inotify/max_user_instances";
    let _kept = AsItWas::of("/etc/sysctl.d/60-containarium.conf");
    let _limit = AsItWas::of(limit);
    // One less than it should be: others on this machine do not notice.
    std::fs::write(limit, "8191").unwrap();
    let secret = state.path().join("jwt.secret");
    std::fs::write(&secret, "0123456789012345678901234567890123456789").unwrap();
    run(&format!("chmod 0644 {}", secret.display()));

    let before = quick(&bed, state.path()).await;
    assert_eq!(of(&before, "inotify").verdict, Verdict::Warning);
    assert_eq!(of(&before, "modes").verdict, Verdict::Problem);
    let done: Vec<_> = before.iter().flat_map(doctor::repair).collect();
    assert!(
        done.iter().all(|repaired| repaired.error.is_none()),
        "{done:?}"
    );

    let after = quick(&bed, state.path()).await;
    assert_eq!(of(&after, "inotify").verdict, Verdict::Ok);
    assert_eq!(of(&after, "modes").verdict, Verdict::Ok);
    let kept = std::fs::read_to_string("/etc/sysctl.d/60-containarium.conf").unwrap();
    assert!(
        kept.contains("fs.inotify.max_user_instances=8192"),
        "{kept}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_runs_is_known_from_somebody_else_at_its_port() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let state = copied(&bed);
    let at = async |port: u16| {
        let findings = examined(&Doctor {
            port,
            quick: true,
            ..doctor(&bed, state.path())
        })
        .await;
        of(&findings, "daemon").clone()
    };
    let ours = at(daemon.url.rsplit(':').next().unwrap().parse().unwrap()).await;
    assert_eq!(ours.verdict, Verdict::Ok, "{ours:#?}");
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let taken = tokio::time::timeout(Duration::from_secs(20), at(port))
        .await
        .unwrap();
    assert_eq!(taken.verdict, Verdict::Problem);
    assert!(
        taken
            .found
            .contains(&format!("(pid {})", std::process::id())),
        "{}",
        taken.found
    );
}
