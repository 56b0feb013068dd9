//! A table of what can happen to a store's file, and that each is refused and left as it is.

use std::{
    collections::BTreeMap,
    os::unix::fs::{PermissionsExt as _, chown},
    time::Instant,
};

use containarium_contract::OperationState;
use rustix::process::Uid;

use super::{
    super::{Op, Request, StepRecord},
    *,
};
use crate::{doctor::tests::installation, work::Work};

/// Of somebody who is not root and owns nothing here.
const NOBODY: u32 = 65534;

/// A state directory as `init` leaves it, with a container more for each of `containers`.
async fn state(containers: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::make(dir.path()).unwrap();
    store.set_installation(&installation()).await.unwrap();
    store
        .run(move |db| {
            let tx = db.transaction()?;
            for n in 0..containers {
                tx.execute(
                    "INSERT INTO containers (id, username, owner, phase, spec, address, uid_base,
                       running, created_at, updated_at)
                     VALUES (?1, ?1, 'admin', 'ready', ?2, ?3, ?4, 1, 0, 0)",
                    rusqlite::params![
                        format!("user{n}"),
                        SPEC,
                        format!("10.64.{}.{}", n / 250, n % 250),
                        n
                    ],
                )?;
            }
            Ok(tx.commit()?)
        })
        .await
        .unwrap();
    store
        .write(move |tx| {
            (0..containers).try_for_each(|n| tx.insert(&start_of(n), request(n).as_ref()))
        })
        .await
        .unwrap();
    dir
}

/// An operation that is over, of a user.
fn start_of(n: usize) -> Op {
    let work = Work::Start;
    Op {
        id: crate::containarium::operation_id(),
        target: format!("user{n}"),
        container: Some(format!("user{n}")),
        owner: Some("admin".parse().unwrap()),
        actor: "admin".parse().unwrap(),
        cause: "admin asked".into(),
        state: OperationState::Succeeded,
        steps: work.steps().into_iter().map(StepRecord::pending).collect(),
        work,
        attempt: 1,
        deadline: 2000,
        error: None,
        result: Some(serde_json::json!({"message": "Started.", "n": n})),
        created_at: 1000,
        started_at: Some(1001),
        updated_at: 1500,
    }
}

/// What began it.
fn request(n: usize) -> Option<Request> {
    Some(Request {
        subject: "admin".parse().unwrap(),
        key: format!("key{n}").parse().unwrap(),
        digest: vec![1; 32],
    })
}

const SPEC: &str = r#"{"resources":{"cpu":"1","memory":"512MiB","disk":"3GB"},
    "ssh_keys":["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"],
    "image":"images:debian/12","docker":true,"labels":{}}"#;

/// Every file in a directory, by name, with what is in it.
fn content(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap_or_default())
        })
        .collect()
}

/// What is done to a state directory that was sound.
type Happening = fn(&Path);

const TORN: &[(&str, Happening, &str)] = &[
    (
        "emptied",
        |dir| fs::write(dir.join(FILE), "").unwrap(),
        "is empty",
    ),
    (
        "emptied, beside a log that was not",
        |dir| {
            fs::write(dir.join(FILE), "").unwrap();
            fs::write(dir.join("containarium.db-wal"), [1; 4096]).unwrap();
        },
        "is empty",
    ),
    (
        "removed, beside its log",
        |dir| {
            fs::remove_file(dir.join(FILE)).unwrap();
            fs::write(dir.join("containarium.db-wal"), [1; 4096]).unwrap();
        },
        "is missing, and containarium.db-wal beside it",
    ),
    (
        "removed, where a daemon was",
        |dir| {
            drop(Lock::take(dir).unwrap());
            fs::remove_file(dir.join(FILE)).unwrap();
        },
        "is missing, and daemon.lock beside it",
    ),
    (
        "removed, where tokens were made",
        |dir| {
            fs::write(dir.join("jwt.secret"), "x").unwrap();
            fs::remove_file(dir.join(FILE)).unwrap();
        },
        "is missing, and jwt.secret beside it",
    ),
    (
        "a directory",
        |dir| {
            fs::remove_file(dir.join(FILE)).unwrap();
            fs::create_dir(dir.join(FILE)).unwrap();
        },
        "is no file",
    ),
    (
        "overwritten",
        |dir| fs::write(dir.join(FILE), [7; 65536]).unwrap(),
        "is no SQLite database",
    ),
    (
        "a few bytes long",
        |dir| fs::write(dir.join(FILE), "SQL").unwrap(),
        "is no SQLite database",
    ),
    (
        "cut off after its head",
        |dir| cut(dir, |_| 100),
        "is damaged",
    ),
    (
        "cut in half",
        |dir| cut(dir, |length| length / 2),
        "is damaged",
    ),
    (
        "cut in the middle of a page",
        |dir| cut(dir, |length| length - 1000),
        "is damaged",
    ),
    (
        "flipped in the middle",
        |dir| {
            let mut bytes = fs::read(dir.join(FILE)).unwrap();
            let middle = bytes.len() / 2 / 4096 * 4096;
            bytes[middle..middle + 64]
                .iter_mut()
                .for_each(|b| *b ^= 0xff);
            fs::write(dir.join(FILE), bytes).unwrap();
        },
        "is damaged",
    ),
    (
        "a database of somebody else",
        |dir| {
            fs::remove_file(dir.join(FILE)).unwrap();
            let other = Connection::open(dir.join(FILE)).unwrap();
            other
                .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1);")
                .unwrap();
        },
        "does not hold the tables",
    ),
    (
        "a container that does not parse",
        |dir| {
            change(
                dir,
                "UPDATE containers SET spec = '{' WHERE username = 'user7'",
            )
        },
        "a row cannot be read",
    ),
    (
        "an address that is none",
        |dir| {
            change(
                dir,
                "UPDATE containers SET address = 'x' WHERE username = 'user7'",
            )
        },
        "a row cannot be read",
    ),
    (
        "an installation that does not parse",
        |dir| change(dir, "UPDATE installation SET json = '{}'"),
        "a row cannot be read",
    ),
    (
        "an operation whose work does not parse",
        |dir| {
            change(
                dir,
                "UPDATE operations SET work = '{\"kind\":\"strat\"}' WHERE target = 'user7'",
            )
        },
        "a row cannot be read: operation: unknown variant `strat`",
    ),
    (
        "an operation with a time below zero",
        |dir| {
            change(
                dir,
                "UPDATE operations SET deadline = -1 WHERE target = 'user7'",
            )
        },
        "a row cannot be read: operation: ",
    ),
    (
        "a key of no operation",
        |dir| change(dir, "UPDATE keys SET operation = 'x' WHERE key = 'key7'"),
        "a row cannot be read: key: ",
    ),
    (
        "an event that does not parse",
        |dir| change(dir, "UPDATE events SET json = '{}' WHERE target = 'user7'"),
        "a row cannot be read: event: ",
    ),
];

fn cut(dir: &Path, to: fn(u64) -> u64) {
    let file = OpenOptions::new().write(true).open(dir.join(FILE)).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(to(length)).unwrap();
}

fn change(dir: &Path, sql: &str) {
    let db = Connection::open(dir.join(FILE)).unwrap();
    assert_eq!(db.execute(sql, []).unwrap(), 1);
}

#[tokio::test]
async fn a_store_that_is_torn_is_refused_with_the_repair_and_left_as_it_is() {
    for (what, happening, says) in TORN {
        let dir = state(100).await;
        happening(dir.path());
        let before = content(dir.path());
        let refused = Store::alone(dir.path()).await.map(drop).unwrap_err();
        let StoreError::Unsound(unsound) = &refused else {
            panic!("{what}: {refused}");
        };
        let told = refused.to_string();
        assert!(told.contains(says), "{what}: {told}");
        let file = dir.path().join(FILE);
        assert!(told.starts_with(&file.display().to_string()), "{told}");
        let (_, commands) = unsound.repair();
        let commands = commands.join("\n");
        for part in [
            "cp A_COPY",
            "containarium init --recover --state-dir",
            "containarium admin adopt --all",
        ] {
            assert!(commands.contains(part), "{what}: {commands}");
        }
        let mut after = content(dir.path());
        for own in ["daemon.lock", "containarium.db-shm"] {
            after.remove(own);
        }
        // What SQLite makes to look at a log, and leaves empty.
        after.retain(|name, bytes| before.contains_key(name) || !bytes.is_empty());
        for (name, bytes) in &before {
            if name != "daemon.lock" {
                assert!(after.get(name) == Some(bytes), "{what}: {name} was changed");
            }
        }
        assert_eq!(
            after.len(),
            before.keys().filter(|name| *name != "daemon.lock").count(),
            "{what}: something was made"
        );
    }
}

#[tokio::test]
async fn what_the_repair_says_repairs() {
    for (what, happening, _) in TORN {
        let dir = state(100).await;
        let copy = dir.path().join("copy");
        fs::copy(dir.path().join(FILE), &copy).unwrap();
        happening(dir.path());
        let refused = Store::alone(dir.path()).await.map(drop).unwrap_err();
        let StoreError::Unsound(unsound) = &refused else {
            panic!("{what}: {refused}");
        };
        let (_, commands) = unsound.repair();
        let kept = |line: &&String| !line.starts_with("containarium ");
        for line in commands.iter().filter(kept) {
            let line = line.replace("A_COPY", &copy.display().to_string());
            let ran = std::process::Command::new("sh")
                .args(["-ec", &line])
                .output();
            let ran = ran.unwrap();
            assert!(ran.status.success(), "{what}: {line}: {ran:?}");
        }
        let (store, _lock) = Store::alone(dir.path()).await.unwrap();
        assert_eq!(store.containers().len(), 100, "{what}");
    }
}

#[tokio::test]
async fn a_directory_without_an_installation_stays_as_empty_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    for place in [dir.path().to_owned(), dir.path().join("none")] {
        let refused = Store::alone(&place).await.map(drop).unwrap_err();
        assert!(matches!(refused, StoreError::NotInitialised), "{refused}");
    }
    assert!(content(dir.path()).is_empty());
}

#[tokio::test]
async fn an_init_that_was_killed_leaves_nothing_that_could_be_taken_for_a_store() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(NEW), "half").unwrap();
    fs::write(dir.path().join("containarium.db.new-journal"), "half").unwrap();
    let refused = Store::open(dir.path()).map(drop).unwrap_err();
    assert!(matches!(refused, StoreError::NotInitialised), "{refused}");
    let store = Store::make(dir.path()).unwrap();
    store.set_installation(&installation()).await.unwrap();
    assert!(!dir.path().join(NEW).exists());
    drop(store);
    let again = Store::make(dir.path()).unwrap();
    assert_eq!(again.installation().await.unwrap(), installation());
}

#[tokio::test]
async fn the_log_of_a_daemon_that_was_killed_is_no_harm() {
    let dir = state(10).await;
    let (store, _lock) = Store::alone(dir.path()).await.unwrap();
    store.write(|tx| tx.touch("user3", 77)).await.unwrap();
    // As a SIGKILL leaves it: nothing is written back.
    let copy = tempfile::tempdir().unwrap();
    for (name, bytes) in content(dir.path()) {
        fs::write(copy.path().join(name), bytes).unwrap();
    }
    assert!(fs::metadata(log(&copy.path().join(FILE))).unwrap().len() > 0);
    let (store, _lock) = Store::alone(copy.path()).await.unwrap();
    let user3 = store.container(&"user3".parse().unwrap());
    assert_eq!(user3.unwrap().updated_at, 77);
}

/// Runs `work` as a user who is nobody here, on a thread that ends with it.
fn as_nobody<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(|| {
        if rustix::process::geteuid().is_root() {
            rustix::thread::set_thread_uid(Uid::from_raw(NOBODY)).unwrap();
        }
        work()
    });
    thread.join().unwrap()
}

#[tokio::test]
async fn a_store_that_may_not_be_read_is_said_to_be_that() {
    let dir = state(1).await;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir.path().join(FILE), fs::Permissions::from_mode(0o000)).unwrap();
    let place = dir.path().to_owned();
    let refused = as_nobody(move || Store::open(&place).map(drop).unwrap_err());
    let StoreError::Unsound(unsound) = refused else {
        panic!("{refused}");
    };
    assert_eq!(unsound.harm, Harm::Denied);
    assert!(unsound.repair().0.contains("root"));
}

#[tokio::test]
async fn a_store_that_may_be_read_and_not_written_is_said_to_be_that() {
    let dir = state(1).await;
    if rustix::process::geteuid().is_root() {
        chown(dir.path(), Some(NOBODY), None).unwrap();
    }
    fs::set_permissions(dir.path().join(FILE), fs::Permissions::from_mode(0o444)).unwrap();
    let place = dir.path().to_owned();
    let refused = as_nobody(move || Store::open(&place).map(drop).unwrap_err());
    let StoreError::Unsound(unsound) = refused else {
        panic!("{refused}");
    };
    assert_eq!(unsound.harm, Harm::ReadOnly);
}

#[tokio::test]
async fn a_start_looks_through_ten_thousand_containers_in_seconds() {
    let dir = state(10_000).await;
    let begun = Instant::now();
    let opened = Store::open(dir.path()).unwrap();
    let checked = begun.elapsed();
    opened.readable().await.unwrap();
    let all = begun.elapsed();
    let size = fs::metadata(dir.path().join(FILE)).unwrap().len() >> 10;
    println!("{size} KiB: opened and checked in {checked:?}, every row read in {all:?}");
    // Ten times what it costs here, unoptimised, with two cores that others use, too.
    assert!(all.as_secs_f64() < 10.0, "{all:?}");
}
