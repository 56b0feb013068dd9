//! What a person chooses at `init`: a disk, a pool that is there, a subnet.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use containarium_core::{
    Installation, Store,
    images::Remotes,
    setup::{self, Driver, Init, PoolChoice, SetupError},
};
use containarium_incus::{Client, StoragePoolPost};
use containarium_testkit::{Bed, program};

/// A second installation beside the bed's, without images; taken away when it is `ended`.
pub(crate) struct Second {
    pub(crate) bed: Bed,
    pub(crate) state: tempfile::TempDir,
    pub(crate) name: String,
}

impl Second {
    async fn beside() -> Option<Self> {
        let bed = Bed::made().await?;
        let name = format!("{:.13}ch", bed.installation.name);
        let state = tempfile::tempdir().unwrap();
        Some(Self { bed, state, name })
    }

    pub(crate) fn incus(&self) -> Client {
        Client::unix(&self.bed.socket)
    }

    /// What it said and what came of it.
    pub(crate) async fn lay_out(
        &self,
        pool: PoolChoice,
        subnet: Option<&str>,
    ) -> (String, Result<Installation, SetupError>) {
        self.lay_out_with(pool, None, subnet).await
    }

    async fn lay_out_with(
        &self,
        pool: PoolChoice,
        driver: Option<Driver>,
        subnet: Option<&str>,
    ) -> (String, Result<Installation, SetupError>) {
        let said = Mutex::new(String::new());
        let report = |line: &str| {
            let mut said = said.lock().unwrap();
            said.push_str(line);
            said.push('\n');
        };
        let ask = Init {
            name: self.name.clone(),
            state_dir: self.state.path().to_owned(),
            engine: self.bed.socket.clone(),
            pool,
            driver,
            subnet: subnet.map(|text| text.parse().unwrap()),
            image: None,
            remotes: Remotes::default(),
            recover: false,
        };
        let done = setup::lay_out(&ask, &report).await;
        (said.into_inner().unwrap(), done)
    }

    pub(crate) async fn purge(&self) {
        let Ok(store) = Store::open(self.state.path()) else {
            return;
        };
        if let Ok(known) = store.installation().await {
            setup::purge(&self.incus(), &known, &self.name, &|_| {})
                .await
                .unwrap();
        }
    }
}

/// Does `work`, then takes the installation away whatever came of it.
pub(crate) async fn with_second<W, F>(work: W)
where
    W: FnOnce(Arc<Second>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let Some(second) = Second::beside().await else {
        return;
    };
    let second = Arc::new(second);
    let worked = tokio::spawn(work(second.clone())).await;
    second.purge().await;
    let pools = second.incus().storage_pools().await.unwrap();
    assert!(
        pools.iter().all(|pool| pool.name != second.name),
        "{pools:?}"
    );
    let networks = second.incus().networks().await.unwrap();
    assert!(networks.iter().all(|network| network.name != second.name));
    worked.unwrap();
}

/// A disk made of a file; gone when dropped.
struct Disk {
    device: PathBuf,
    _file: tempfile::NamedTempFile,
}

impl Disk {
    fn new() -> Self {
        let file = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
        file.as_file().set_len(1 << 30).unwrap();
        let path = file.path().to_str().unwrap();
        let device = run("losetup", &["--find", "--show", path]).into();
        Self {
            device,
            _file: file,
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("losetup", &["--detach", self.device.to_str().unwrap()]);
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let ran = Command::new(program).args(arguments).output().unwrap();
    assert!(ran.status.success(), "{program} {arguments:?}: {ran:?}");
    String::from_utf8(ran.stdout).unwrap().trim().to_owned()
}

fn mounted_from(device: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.contains(&format!(" {} ", device.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_and_a_subnet_that_were_chosen_are_used_and_stay() {
    let disk = Arc::new(Disk::new());
    let used = disk.clone();
    with_second(async move |second| {
        let device = used.device.clone();
        let chosen = || PoolChoice::Device(device.clone());
        let (said, made) = second.lay_out(chosen(), Some("10.253.7.0/24")).await;
        let made = made.unwrap();
        assert_eq!(
            (made.prefix, made.gateway.to_string().as_str()),
            (24, "10.253.7.1")
        );
        assert!(
            said.contains(&format!("btrfs on {}, which you chose", device.display())),
            "{said}"
        );
        assert!(said.contains("10.253.7.1/24, which you chose"), "{said}");
        let pool = second.incus().storage_pool(&second.name).await.unwrap();
        assert_eq!(pool.driver, "btrfs");
        let bridge = second.incus().network(&second.name).await.unwrap();
        assert_eq!(bridge.config["ipv4.address"], "10.253.7.1/24");
        let uplink = run(
            "sh",
            &["-c", "ip -j route get 198.51.100.1 | jq -r '.[0].dev'"],
        );
        let mtu = |link: &str| -> u32 {
            let text = std::fs::read_to_string(format!("/sys/class/net/{link}/mtu")).unwrap();
            text.trim().parse().unwrap()
        };
        assert!(
            mtu(&second.name) <= mtu(&uplink),
            "packets that the uplink does not take"
        );
        assert_eq!(
            bridge.config["ipv4.dhcp.ranges"],
            "10.253.7.129-10.253.7.254"
        );

        // Again with the same words, or none, is the same installation; with others it is refused.
        let (_, same) = second.lay_out(chosen(), Some("10.253.7.0/24")).await;
        assert_eq!(same.unwrap(), made);
        let (_, none) = second.lay_out(PoolChoice::File(None), None).await;
        assert_eq!(none.unwrap(), made);
        for (pool, subnet) in [
            (PoolChoice::File(None), Some("10.253.8.0/24")),
            (PoolChoice::File(Some(64 << 30)), None),
            (PoolChoice::Existing("other".into()), None),
            (PoolChoice::Device("/dev/null".into()), None),
        ] {
            let (_, other) = second.lay_out(pool, subnet).await;
            assert!(matches!(other, Err(SetupError::Fixed { .. })), "{other:?}");
        }
    })
    .await;
    assert!(!mounted_from(&disk.device));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_with_something_on_it_is_not_formatted() {
    let disk = Arc::new(Disk::new());
    run("mkfs.btrfs", &["--quiet", disk.device.to_str().unwrap()]);
    let used = disk.clone();
    with_second(async move |second| {
        let (_, refused) = second
            .lay_out(PoolChoice::Device(used.device.clone()), None)
            .await;
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.contains("TYPE=btrfs") && refused.contains("wipefs --all"),
            "{refused}"
        );
        let wiped = run(
            "blkid",
            &["-p", "-o", "value", used.device.to_str().unwrap()],
        );
        assert!(wiped.contains("btrfs"), "it was left alone");

        let place = tempfile::tempdir().unwrap();
        let place = place.path().to_str().unwrap();
        run("mount", &[used.device.to_str().unwrap(), place]);
        let (_, mounted) = second
            .lay_out(PoolChoice::Device(used.device.clone()), None)
            .await;
        run("umount", &[place]);
        let mounted = mounted.unwrap_err().to_string();
        assert!(
            mounted.contains(&format!("is mounted on {place}")),
            "{mounted}"
        );
        // Nothing was begun: an init with other words is the first.
        assert!(Store::open(second.state.path()).is_err());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_there_is_used_with_a_warning_and_outlives_the_purge() {
    with_second(async move |second| {
        let pool = format!("{}p", second.name);
        let post = StoragePoolPost {
            name: pool.clone(),
            driver: "dir".into(),
            ..StoragePoolPost::default()
        };
        second.incus().create_storage_pool(&post).await.unwrap();
        let there = || PoolChoice::Existing(pool.clone());
        let (_, refused) = second.lay_out(there(), None).await;
        let begun = Store::open(second.state.path()).is_ok();
        let (said, made) = second.lay_out_with(there(), Some(Driver::Dir), None).await;
        let (_, missing) = second
            .lay_out(PoolChoice::Existing("nosuch".into()), None)
            .await;
        second.purge().await;
        let left = second.incus().storage_pool(&pool).await;
        let removed = second.incus().delete_storage_pool(&pool).await;
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.contains("its driver is dir") && refused.contains("--pool-driver dir"),
            "{refused}"
        );
        assert!(!begun, "it was refused before anything was made");
        assert_eq!(made.unwrap().pool, pool);
        assert!(
            said.contains("WARNING") && said.contains("no container's disk has a limit"),
            "{said}"
        );
        assert!(
            matches!(missing, Err(SetupError::Fixed { what: "--pool", .. })),
            "{missing:?}"
        );
        assert_eq!(left.unwrap().driver, "dir");
        removed.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_best_driver_is_taken_and_those_that_were_not_tried_are_said() {
    with_second(async move |second| {
        let server = second.incus().server().await.unwrap();
        let offered = server.environment.storage_supported_drivers;
        let offers = |name: &str| offered.iter().any(|driver| driver.name == name);
        let (said, made) = second.lay_out(PoolChoice::File(None), None).await;
        made.unwrap();
        let pool = second.incus().storage_pool(&second.name).await.unwrap();
        assert!(
            said.contains(&format!("made, {} in a sparse file", pool.driver)),
            "{said}"
        );
        let mut tried = false;
        for driver in ["zfs", "lvm", "btrfs"] {
            let not_tried = format!("{driver}: Incus does not offer it");
            assert_eq!(said.contains(&not_tried), !offers(driver), "{said}");
            // A better one that is offered was tried, and what came of it was said.
            if !tried && offers(driver) && driver != pool.driver {
                assert!(said.contains(&format!(": {driver}: ")), "{said}");
            }
            tried |= driver == pool.driver;
        }
        assert!(tried, "one of them: {said}");
        let (_, other) = second
            .lay_out_with(PoolChoice::File(None), Some(Driver::Dir), None)
            .await;
        let other = other.unwrap_err().to_string();
        assert!(other.contains("--pool-driver is"), "{other}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_without_limits_are_made_for_who_names_them_and_have_no_size() {
    with_second(async move |second| {
        let size = PoolChoice::File(Some(20 << 30));
        let (_, sized) = second.lay_out_with(size, Some(Driver::Dir), None).await;
        let sized = sized.unwrap_err().to_string();
        assert!(sized.contains("neither --pool-size"), "{sized}");
        let (said, made) = second
            .lay_out_with(PoolChoice::File(None), Some(Driver::Dir), None)
            .await;
        made.unwrap();
        let pool = second.incus().storage_pool(&second.name).await.unwrap();
        assert_eq!(pool.driver, "dir");
        assert!(
            said.contains("WARNING") && said.contains("one user can fill the disk"),
            "{said}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_init_proves_that_storage_clones_and_holds_its_quotas() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let ran = Command::new(program("containarium"))
        .args(["init", "--name", &bed.installation.name, "--state-dir"])
        .arg(&bed.state)
        .arg("--engine")
        .arg(format!("unix:{}", bed.socket.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{ran:?}");
    assert!(
        said.contains("a container was made of the prepared image in 0."),
        "{said}"
    );
    assert!(said.contains("was refused: "), "{said}");
    assert_eq!(bed.instances().await.len(), 0, "what it made is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subnet_or_pool_that_cannot_be_had_is_refused_before_anything_is_made() {
    with_second(async move |second| {
        let [a, b, ..] = second.bed.installation.gateway.octets();
        let taken = format!("{a}.{b}.77.0/24");
        let (_, refused) = second.lay_out(PoolChoice::File(None), Some(&taken)).await;
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.contains(&format!("--subnet {taken} overlaps")),
            "{refused}"
        );
        assert!(refused.contains(&second.bed.installation.name), "{refused}");
        let (_, missing) = second
            .lay_out(PoolChoice::Existing("nosuch".into()), None)
            .await;
        let missing = missing.unwrap_err().to_string();
        assert!(
            missing.contains(&second.bed.installation.pool),
            "it says what there is: {missing}"
        );
        let projects = second.incus().projects().await.unwrap();
        assert!(projects.iter().all(|project| project.name != second.name));
    })
    .await;
}
