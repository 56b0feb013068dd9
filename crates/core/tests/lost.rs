//! A store that is lost, on an incusd in memory: `init` says so, and takes the installation up again
//! when it is told to.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{collections::BTreeMap, path::Path};

use containarium_core::{
    Installation, Lock, Store, StoreError,
    images::Remotes,
    mark,
    setup::{self, Init, PoolChoice, SetupError},
};
use containarium_incus::{Client, NetworkPost, ProjectPost, ProjectPut, StoragePoolPost};
use containarium_incus_sim::Sim;
use tempfile::TempDir;

const ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// What an init of long ago left in Incus, and its store.
struct Old {
    sim: Sim,
    incus: Client,
    here: Installation,
    state: TempDir,
    _place: TempDir,
}

async fn old(subnet: u8) -> Old {
    let place = tempfile::tempdir().unwrap();
    let sim = Sim::start_from(place.path(), subnet).unwrap();
    let incus = Client::unix(sim.socket());
    let here = Installation {
        id: ID.into(),
        name: "ct".into(),
        pool: "ct".into(),
        gateway: sim.gateway(),
        prefix: 16,
        uid_first: 700_055_552,
        uid_ranges: 1234,
        default_image: "local:debian/12".parse().unwrap(),
        ssh_port: 22,
        simulated: false,
    };
    let config = |more: &[(&str, &str)]| -> BTreeMap<String, String> {
        let tag = [("user.containarium.install", ID)];
        let all = tag.iter().chain(more);
        all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    let name = || "ct".to_owned();
    let project = ProjectPost {
        name: name(),
        config: config(&[]),
        ..ProjectPost::default()
    };
    incus.create_project(&project).await.unwrap();
    let pool = StoragePoolPost {
        name: name(),
        driver: "btrfs".into(),
        config: config(&[("size", "100GiB")]),
        ..StoragePoolPost::default()
    };
    incus.create_storage_pool(&pool).await.unwrap();
    let network = NetworkPost {
        name: name(),
        kind: "bridge".into(),
        config: config(&[("ipv4.address", &format!("{}/16", here.gateway))]),
        ..NetworkPost::default()
    };
    incus.create_network(&network).await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let store = Store::make(state.path()).unwrap();
    store.set_installation(&here).await.unwrap();
    Old {
        sim,
        incus,
        here,
        state,
        _place: place,
    }
}

impl Old {
    async fn init(&self, state_dir: &Path, recover: bool) -> Result<Installation, SetupError> {
        let ask = Init {
            name: "ct".into(),
            state_dir: state_dir.to_owned(),
            engine: self.sim.socket().to_owned(),
            pool: PoolChoice::File(None),
            driver: None,
            subnet: None,
            image: None,
            remotes: Remotes::default(),
            recover,
        };
        setup::lay_out(&ask, &|_| {}).await
    }

    async fn marked(&self) -> bool {
        mark::renew(&self.incus, &self.here, self.state.path())
            .await
            .unwrap()
    }

    fn lose(&self) {
        for file in std::fs::read_dir(self.state.path()).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
    }

    async fn tag(&self, key: &str) -> Option<String> {
        let project = self.incus.project("ct").await.unwrap().value;
        project.config.get(key).cloned()
    }
}

#[tokio::test]
async fn an_installation_whose_store_is_lost_is_taken_up_when_it_is_said() {
    let old = old(71).await;
    assert!(old.marked().await, "an older installation gets the mark");
    assert!(!old.marked().await, "once");
    old.lose();
    let refused = old.init(old.state.path(), false).await.unwrap_err();
    let state = old.state.path().display().to_string();
    let command = format!("containarium init --name ct --state-dir {state} --recover");
    assert_eq!(refused.command(), Some(command), "{refused}");
    let told = refused.to_string();
    assert!(told.contains(ID) && told.contains(&state), "{told}");
    // Refusing made nothing.
    assert_eq!(std::fs::read_dir(old.state.path()).unwrap().count(), 0);

    let found = old.init(old.state.path(), true).await.unwrap();
    assert_eq!(found, old.here);
    let store = Store::open(old.state.path()).unwrap();
    assert_eq!(store.installation().await.unwrap(), old.here);
    // Whoever asks twice, or forgets to leave the word out, does no harm.
    assert_eq!(old.init(old.state.path(), true).await.unwrap(), old.here);
    assert_eq!(old.init(old.state.path(), false).await.unwrap(), old.here);
}

#[tokio::test]
async fn a_store_that_is_gone_beside_its_secret_is_taken_up_too() {
    let old = old(72).await;
    old.marked().await;
    old.lose();
    std::fs::write(old.state.path().join("jwt.secret"), "of then").unwrap();
    let refused = Store::alone(old.state.path()).await.map(drop).unwrap_err();
    assert!(matches!(refused, StoreError::Unsound(_)), "{refused}");
    let refused = old.init(old.state.path(), false).await.unwrap_err();
    assert!(matches!(refused, SetupError::Lost { .. }), "{refused}");
    assert_eq!(old.init(old.state.path(), true).await.unwrap(), old.here);
    Store::alone(old.state.path()).await.unwrap();
}

#[tokio::test]
async fn an_installation_that_is_alive_is_not_taken_up() {
    let old = old(73).await;
    old.marked().await;
    let other = tempfile::tempdir().unwrap();
    let living = Lock::take(old.state.path()).unwrap();
    for recover in [false, true] {
        let refused = old.init(other.path(), recover).await.unwrap_err();
        assert!(matches!(refused, SetupError::Served { .. }), "{refused}");
        let told = refused.to_string();
        let dir = old.state.path().display().to_string();
        assert!(told.contains(&dir), "{told}");
    }
    drop(living);
    // Its store is there: that is the way, and not this one.
    let refused = old.init(other.path(), false).await.unwrap_err();
    let dir = old.state.path().display();
    let way = format!("containarium init --name ct --state-dir {dir}");
    assert_eq!(refused.command(), Some(way), "{refused}");
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 0);
    // Who says so takes it.
    assert_eq!(old.init(other.path(), true).await.unwrap(), old.here);
}

#[tokio::test]
async fn one_of_an_older_version_is_taken_up_from_what_it_made() {
    let old = old(74).await;
    old.lose();
    let found = old.init(old.state.path(), true).await.unwrap();
    assert_eq!(
        (found.id.as_str(), found.name.as_str(), found.pool.as_str()),
        (ID, "ct", "ct")
    );
    assert_eq!((found.gateway, found.prefix), (old.here.gateway, 16));
    assert!(old.tag("user.containarium.installation").await.is_some());
}

#[tokio::test]
async fn what_is_nobodys_or_not_there_is_not_taken_up() {
    let old = old(75).await;
    old.lose();
    let put = ProjectPut::default();
    old.incus.update_project("ct", &put).await.unwrap();
    for recover in [false, true] {
        let refused = old.init(old.state.path(), recover).await.unwrap_err();
        assert!(matches!(refused, SetupError::Foreign { .. }), "{refused}");
    }
    assert!(!old.marked().await, "nobody's project is not touched");
    assert_eq!(old.tag("user.containarium.install").await, None);
    old.incus.delete_project("ct", true).await.unwrap();
    let refused = old.init(old.state.path(), true).await.unwrap_err();
    assert!(
        matches!(refused, SetupError::NothingToRecover(_)),
        "{refused}"
    );
}
