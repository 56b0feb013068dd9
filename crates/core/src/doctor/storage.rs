//! The containers' storage: what its driver can do, how full it is, and whether the disk below a sparse
//! file has room for what the file promises.

use std::path::Path;

use containarium_incus::{Client, PoolSpace, StoragePool};

use super::Finding;
use crate::{
    Installation,
    setup::{driver::abilities, pool::Gib},
};

const DRIVER: &str = "storage";
const SPACE: &str = "storage-space";

pub(super) async fn examine(incus: &Client, socket: &Path, here: &Installation) -> Vec<Finding> {
    let (pool, space) = tokio::join!(
        incus.storage_pool(&here.pool),
        incus.storage_pool_resources(&here.pool)
    );
    let mut findings = Vec::new();
    let mounted = socket.with_file_name("storage-pools").join(&here.pool);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    match &pool {
        Ok(pool) if read_only(&mounts, &mounted) => findings.push(stuck(pool)),
        Ok(pool) => findings.push(driver(pool)),
        Err(e) => findings.push(
            Finding::problem(DRIVER, format!("storage pool {}: {e}", here.pool))
                .run("containarium init"),
        ),
    }
    match (space, &pool) {
        (Ok(space), Ok(pool)) => {
            let below = pool
                .config
                .get("source")
                .filter(|source| Path::new(source).is_file())
                .and_then(|source| rustix::fs::statvfs(source.as_str()).ok())
                .map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
            findings.push(filling(pool, space, below));
        }
        (Err(e), _) => findings.push(Finding::unknown(SPACE, format!("Incus does not say: {e}"))),
        (Ok(_), Err(_)) => {}
    }
    findings
}

/// The kernel takes a file system out of use when its disk failed it, or was full below it.
fn read_only(mounts: &str, at: &Path) -> bool {
    mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        fields.next().is_some_and(|place| Path::new(place) == at)
            && fields
                .nth(1)
                .is_some_and(|options| options.split(',').any(|option| option == "ro"))
    })
}

fn stuck(pool: &StoragePool) -> Finding {
    Finding::problem(
        DRIVER,
        format!(
            "pool {} ({}) was made read-only by the kernel, because its disk failed or was full \
             below it: nothing in containers can be written. With room again, it comes back when \
             Incus is stopped and started, and the containers with it",
            pool.name, pool.driver
        ),
    )
    .run("dmesg --level=err,crit | tail -n 20")
    .run("systemctl stop incus.socket incus && systemctl start incus  # stops every container")
}

fn driver(pool: &StoragePool) -> Finding {
    let found = format!("pool {} ({})", pool.name, pool.driver);
    let can = abilities(&pool.driver, &pool.config);
    let Some(cost) = can.cost() else {
        let found = format!(
            "{found}: copies on write and has quotas; the probes `clone` and `quota` try it"
        );
        return Finding::ok(DRIVER, found);
    };
    let found = format!("{found}: {cost}. The pool of an installation is chosen once");
    if can.has_quotas {
        Finding::warning(DRIVER, found)
    } else {
        Finding::problem(DRIVER, found)
    }
    .run("containarium purge && containarium init --pool-device /dev/DISK  # everything is lost: for a server without users yet")
}

/// `below` is what is free on the disk that a pool's sparse file lies on.
fn filling(pool: &StoragePool, space: PoolSpace, below: Option<u64>) -> Finding {
    let PoolSpace { used, total } = space;
    let percent = used.saturating_mul(100).checked_div(total).unwrap_or(0);
    let found = format!(
        "pool {}: {} of {} used ({percent} %)",
        pool.name,
        Gib(used),
        Gib(total)
    );
    let grow = |finding: Finding| {
        if below.is_some() {
            let size = (total >> 30) + (total >> 31) + 1;
            finding.run(format!("incus storage set {} size={size}GiB", pool.name))
        } else {
            finding.run("containarium list  # and delete what nobody needs")
        }
    };
    if percent >= 95 {
        return grow(Finding::problem(
            SPACE,
            format!(
                "{found}: creates fail soon, and a container whose disk is full does not start"
            ),
        ));
    }
    if let Some(free) = below
        && free < (5 << 30)
        && free < total.saturating_sub(used)
    {
        return Finding::problem(
            SPACE,
            format!(
                "{found}, but the disk that its sparse file is on has {} left: when that is gone, \
                 every container fails at once",
                Gib(free)
            ),
        )
        .run("df -h; du -xh --max-depth=2 /var | sort -h | tail");
    }
    if percent >= 80 {
        return grow(Finding::warning(SPACE, found));
    }
    match below {
        Some(free) if free < total.saturating_sub(used) => Finding::warning(
            SPACE,
            format!(
                "{found}; the disk that its sparse file is on has {} left, less than the pool \
                 promises: watch that disk, too",
                Gib(free)
            ),
        ),
        Some(_) | None => Finding::ok(SPACE, found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn pool(driver: &str) -> StoragePool {
        StoragePool {
            name: "ct".into(),
            driver: driver.into(),
            ..StoragePool::default()
        }
    }

    #[test]
    fn dir_is_a_problem_and_what_it_costs_is_said() {
        assert_eq!(super::driver(&pool("btrfs")).verdict, Verdict::Ok);
        assert_eq!(super::driver(&pool("zfs")).verdict, Verdict::Ok);
        let dir = super::driver(&pool("dir"));
        assert_eq!(dir.verdict, Verdict::Problem);
        assert!(
            dir.found.contains("no container's disk has a limit"),
            "{}",
            dir.found
        );
    }

    #[test]
    fn a_pool_that_the_kernel_gave_up_is_found() {
        let mounts = |options: &str| {
            format!(
                "/dev/sda1 / ext4 rw 0 0\n/dev/loop0 /i/storage-pools/ct btrfs {options},discard=async 0 0\n"
            )
        };
        let at = Path::new("/i/storage-pools/ct");
        assert!(read_only(&mounts("ro,relatime"), at));
        assert!(!read_only(&mounts("rw,relatime"), at));
        assert!(!read_only(
            &mounts("ro"),
            Path::new("/i/storage-pools/other")
        ));
    }

    #[test]
    fn eighty_percent_is_a_warning_and_a_thin_floor_a_problem() {
        let gib = |n: u64| n << 30;
        let space = |used| PoolSpace {
            used: gib(used),
            total: gib(100),
        };
        let judge = |used, below: Option<u64>| filling(&pool("btrfs"), space(used), below.map(gib));
        assert_eq!(judge(79, None).verdict, Verdict::Ok);
        assert_eq!(judge(80, None).verdict, Verdict::Warning);
        assert_eq!(judge(96, None).verdict, Verdict::Problem);
        assert_eq!(judge(10, Some(200)).verdict, Verdict::Ok);
        assert_eq!(judge(10, Some(50)).verdict, Verdict::Warning);
        let floor = judge(10, Some(3));
        assert_eq!(floor.verdict, Verdict::Problem);
        assert!(floor.found.contains("has 3 GiB left"), "{}", floor.found);
        assert_eq!(
            judge(80, Some(200)).commands,
            ["incus storage set ct size=151GiB"]
        );
    }
}
