//! The whole on a real Incus, from HTTP and MCP to what is true inside a container.
//!
//! Runs with `scripts/with-engine cargo nextest run --profile live`. No two tests share an engine, since some fill or kill it.
//! Each has a daemon and a store of its own and begins with no container.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use containarium_incus::{Client, Instance};
use containarium_testkit::{Bed, Login, TestDaemon, wait_for};
use tokio::time::{Instant, sleep};

mod anywhere;
mod away;
mod bench;
mod choices;
mod docker;
mod doctor;
mod ends;
mod engine;
mod facts;
mod full;
mod https;
mod images;
mod incus;
mod lost;
mod mcp;
mod metrics;
mod neighbours;
mod power;
mod quotas;
mod reference;
mod restart;
mod restrictions;
mod scale;
mod scripts;
mod ssh_keys;
mod standby;
mod state;
mod state_dir;
mod system;
mod tenant_full;
mod timings;
mod traps;
mod turns;
mod two;
mod undelete;

/// How long what a failure left may still be seen.
const SOON: Duration = Duration::from_secs(30);

/// An empty bed and a daemon on it; `None` where there is no engine to test on.
async fn start() -> Option<(Bed, TestDaemon)> {
    let bed = Bed::made().await?;
    let daemon = TestDaemon::on(&bed).await;
    Some((bed, daemon))
}

/// Waits until all instances of a project say of themselves that they were there for their users, which comes after the
/// answer of a create.
async fn tagged(project: &Client) {
    let end = Instant::now() + SOON;
    loop {
        let all = project.instances().await.unwrap();
        let ready = |one: &Instance| {
            let phase = one.config.get("user.containarium.phase");
            phase.is_some_and(|phase| phase == "ready")
        };
        if all.iter().all(ready) {
            return;
        }
        assert!(Instant::now() < end, "not all are tagged: {all:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// A login works before the last unit has started; `running` is said when all have, and none failed.
async fn booted(login: &Login) {
    wait_for(SOON, "all units have started", async || {
        let said = login
            .run("systemctl is-system-running; systemctl --failed --no-legend")
            .await;
        if said.stdout.trim() == "running" {
            Ok(())
        } else {
            Err(said)
        }
    })
    .await;
}
