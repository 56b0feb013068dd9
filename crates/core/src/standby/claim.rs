//! Making a standby its user's.

use std::time::Duration;

use containarium_contract::State;
use tokio::time::Instant;

use crate::{Containarium, Error, Record, login, operations::Run, step::Step};

/// How long the sshd of a thawed one may take to speak.
const CLAIM: Duration = Duration::from_secs(5);
impl Containarium {
    /// Makes the standby that a create has taken its user's. A step that can be done again.
    pub(crate) async fn claim(&self, run: &mut Run, record: &Record) -> Result<(), Error> {
        let (engine, instance) = (&self.inner.engine, record.instance());
        run.settled(&instance).await?;
        if !run.is_resumed() || engine.state(&instance).await? == Some(State::Frozen) {
            engine.thaw(&instance).await?;
        }
        let sshd = engine.installation.at(record.address, 22);
        let (limited, let_in, speaks) = tokio::join!(
            engine.become_of(record),
            engine.let_in(record),
            login::banner(sshd, Instant::now() + CLAIM)
        );
        limited?;
        let why = match (let_in?, speaks) {
            (true, true) => {
                self.inner.inventory.set_tags(&instance, |tags| {
                    tags.standby = None;
                    tags.ready = false;
                });
                return Ok(());
            }
            (false, _) => "its user could not be let in",
            (true, false) => "its sshd is silent",
        };
        Err(Error::Step {
            what: "create",
            username: record.username.clone(),
            step: Step::Claim,
            why: why.to_owned(),
            evidence: engine.evidence(&instance).await,
        })
    }
}
