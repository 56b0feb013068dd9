//! Whether the storage does what its driver promises: a container is cloned and written full. What is
//! only read from a name has surprised others.

use containarium_incus::Client;
use tokio_util::sync::CancellationToken;

use super::{Init, Report, SetupError, While as _, driver::abilities};
use crate::{
    Installation, Store,
    doctor::{Finding, Trials, Verdict, try_out},
};

/// Said where nothing stands in the way, and nothing was proven either.
const UNPROVEN: &str = "NOT PROVEN: that a container's disk ends at its size could not be tried (see \
    above), so one user may be able to fill the disk for all; `containarium doctor` tries it again";

/// Tries it, tells what came of it, and refuses a storage that promises limits and has none.
pub(super) async fn prove(
    incus: &Client,
    installation: &Installation,
    store: &Store,
    ask: &Init,
    report: Report<'_>,
) -> Result<(), SetupError> {
    let name = &installation.pool;
    let pool = incus.storage_pool(name).await;
    let pool = pool.doing("looking for the storage pool")?;
    let promises = abilities(&pool.driver, &pool.config).has_quotas;
    let findings = try_out(
        incus,
        installation,
        store,
        &ask.state_dir,
        Trials::Storage,
        &CancellationToken::new(),
        report,
    )
    .await;
    let told = judge(promises, findings).map_err(|found| SetupError::Unproven {
        pool: name.clone(),
        found,
    })?;
    for (warning, found) in told {
        let warning = if warning { "WARNING: " } else { "" };
        report(&format!(
            "{warning}storage pool {name} ({}): {found}",
            pool.driver
        ));
    }
    Ok(())
}

/// What to tell, and whether as a warning; or what stands in the way of a storage that `promises` limits.
fn judge(promises: bool, findings: Vec<Finding>) -> Result<Vec<(bool, String)>, String> {
    let limit = |finding: &Finding| finding.check == "quota" && finding.verdict == Verdict::Ok;
    let unproven = promises && !findings.iter().any(limit);
    let unproven = unproven.then(|| Ok((true, UNPROVEN.to_owned())));
    findings
        .into_iter()
        .map(|finding| match finding.verdict {
            Verdict::Ok => Ok((false, finding.found)),
            Verdict::Problem if promises => Err(finding.found),
            Verdict::Unknown | Verdict::Warning | Verdict::Problem => Ok((true, finding.found)),
        })
        // Last, where it is read.
        .chain(unproven)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_storage_that_promises_nothing_may_have_no_limits() {
        let findings = || {
            vec![
                Finding::ok("clone", "made in 0.1 s"),
                Finding::unknown("quota-escape", "cannot be told"),
                Finding::problem("quota", "160 MiB were written"),
            ]
        };
        assert_eq!(judge(true, findings()), Err("160 MiB were written".into()));
        let told = judge(false, findings()).unwrap();
        let warned: Vec<bool> = told.into_iter().map(|(warning, _)| warning).collect();
        assert_eq!(warned, [false, true, true]);
    }

    #[test]
    fn a_promise_that_could_not_be_tried_is_said_to_be_unproven() {
        let told = |promises, findings| {
            let told = judge(promises, findings).unwrap().pop();
            told.filter(|(warning, found)| *warning && found.starts_with("NOT PROVEN: "))
        };
        let silent = || vec![Finding::unknown("quota", "it could not be tried")];
        assert!(told(true, silent()).is_some());
        // It may end before it comes to that.
        assert!(told(true, vec![Finding::unknown("probes", "interrupted")]).is_some());
        assert!(told(true, Vec::new()).is_some());
        assert!(told(true, vec![Finding::ok("quota", "was refused")]).is_none());
        // This one is told what it lacks already.
        assert!(told(false, silent()).is_none());
    }
}
