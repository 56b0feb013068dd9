//! Traps of the network and of storage, set for real on the test's own bridge and pool, and `doctor`.

use containarium_core::{Store, doctor::Verdict};
use containarium_incus::{Client, StoragePoolPost};
use containarium_testkit::Bed;

use super::{
    SOON,
    doctor::{copied, doctor, examined, of, quick, run},
    full::Ballast,
};

/// A command that takes something back, run when dropped.
struct Back(String);

impl Drop for Back {
    fn drop(&mut self) {
        run(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_drop_the_bridge_are_found_by_reading_and_by_trying() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let state = copied(&bed);
    let bridge = &bed.installation.name;
    for (hook, rule, check) in [
        ("forward", format!("iifname {bridge}"), "forward"),
        (
            "input",
            format!("iifname {bridge} udp dport 53"),
            "name-server",
        ),
    ] {
        let table = format!("inet {bridge}drop");
        run(&format!("nft add table {table}"));
        let back = Back(format!("nft delete table {table}"));
        run(&format!(
            "nft add chain {table} c {{ type filter hook {hook} priority 0 ; policy accept ; }}"
        ));
        run(&format!("nft add rule {table} c {rule} drop"));
        let findings = examined(&doctor(&bed, state.path())).await;
        drop(back);
        let read = of(&findings, check);
        assert_eq!(read.verdict, Verdict::Problem, "{read:#?}");
        assert!(
            read.found.contains(&format!("a rule of {table} c")),
            "{}",
            read.found
        );
        let tried = of(&findings, "network");
        assert_eq!(tried.verdict, Verdict::Problem, "{tried:#?}");
        assert!(
            tried.found.contains(check),
            "it points to the rule: {}",
            tried.found
        );
    }
    let after = quick(&bed, state.path()).await;
    assert_eq!(of(&after, "forward").verdict, Verdict::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_proposes_against_a_policy_that_drops_is_enough() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let state = copied(&bed);
    let bridge = &bed.installation.name;
    // A policy that drops would be everybody's, so only our bridge comes into the chain that drops.
    let table = format!("inet {bridge}drop");
    run(&format!("nft add table {table}"));
    let back = Back(format!("nft delete table {table}"));
    run(&format!(
        "nft add chain {table} c {{ type filter hook forward priority 0 ; }}"
    ));
    run(&format!("nft add rule {table} c iifname {bridge} drop"));
    run(&format!("nft add rule {table} c oifname {bridge} drop"));
    let found = quick(&bed, state.path()).await;
    let proposed = of(&found, "forward").commands.clone();
    assert_eq!(proposed.len(), 2, "{proposed:?}");
    for command in &proposed {
        run(command);
    }
    let findings = examined(&doctor(&bed, state.path())).await;
    drop(back);
    assert_eq!(
        of(&findings, "forward").verdict,
        Verdict::Ok,
        "{findings:#?}"
    );
    assert_eq!(of(&findings, "network").verdict, Verdict::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vpns_route_that_came_later_is_found() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let state = copied(&bed);
    let link = format!("{}vpn", bed.installation.name);
    let [a, b, ..] = bed.installation.gateway.octets();
    run(&format!("ip link add {link} type bridge"));
    let back = Back(format!("ip link delete {link}"));
    run(&format!("ip link set {link} up"));
    // In a table of its own, as VPNs have it.
    run(&format!(
        "ip route add {a}.{b}.200.0/24 dev {link} table 51999"
    ));
    let findings = quick(&bed, state.path()).await;
    drop(back);
    let subnet = of(&findings, "subnet");
    assert_eq!(subnet.verdict, Verdict::Problem);
    assert!(
        subnet
            .found
            .contains(&format!("{a}.{b}.200.0/24 via `{link}`")),
        "{}",
        subnet.found
    );
    assert_eq!(
        of(&quick(&bed, state.path()).await, "subnet").verdict,
        Verdict::Ok
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_without_quotas_is_found_by_its_name_and_by_writing() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let state = copied(&bed);
    let store = Store::open(state.path()).unwrap();
    let mut installation = store.installation().await.unwrap();
    installation.pool = format!("{}dir", bed.installation.name);
    store.set_installation(&installation).await.unwrap();
    let incus = Client::unix(&bed.socket);
    let post = StoragePoolPost {
        name: installation.pool.clone(),
        driver: "dir".into(),
        ..StoragePoolPost::default()
    };
    incus.create_storage_pool(&post).await.unwrap();
    let findings = examined(&doctor(&bed, state.path())).await;
    incus.delete_storage_pool(&installation.pool).await.unwrap();
    let driver = of(&findings, "storage");
    assert_eq!(driver.verdict, Verdict::Problem, "{driver:#?}");
    let quota = of(&findings, "quota");
    assert_eq!(quota.verdict, Verdict::Problem, "{quota:#?}");
    assert!(
        quota.found.contains("one user can fill the disk"),
        "{}",
        quota.found
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_pool_is_told_before_users_meet_it() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let state = copied(&bed);
    let findings = {
        let _ballast = Ballast::in_dir(&bed.pool());
        examined(&doctor(&bed, state.path())).await
    };
    let space = of(&findings, "storage-space");
    assert_eq!(space.verdict, Verdict::Problem, "{space:#?}");
    let clone = of(&findings, "clone");
    assert_eq!(clone.verdict, Verdict::Problem, "{clone:#?}");
    bed.emptied(SOON).await;
}
