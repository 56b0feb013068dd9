//! Removing a deleted container for good: its time is over, or its space is needed.

use containarium_contract::Deleted;

use crate::{Error, delete::remove, operations::Run, step::Step, store::Phase};

/// A purge, from wherever an earlier daemon left it.
pub(crate) async fn run(run: &mut Run) -> Result<(), Error> {
    let record = run.record();
    let name = format!("{}-container", run.op().target);
    match &record {
        // Brought back while this waited for its turn.
        Some(record) if record.phase != Phase::Deleted => return Err(Error::Cancelled),
        Some(record) => {
            run.begin(Step::Remove)?;
            run.no_way_back();
            remove(run, "purge", record, None).await?;
            run.passed(Step::Remove);
        }
        None => {}
    }
    let answer = Deleted {
        message: format!("{name} and everything in it is removed for good."),
        container_name: name,
        deleted_until: None,
    };
    run.begin_anyway(Step::Commit);
    run.succeed(&answer, move |tx| match record {
        Some(record) => tx.forget(&record.id),
        None => Ok(()),
    })
    .await
}
