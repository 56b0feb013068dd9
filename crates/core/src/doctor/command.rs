//! Programs of the host that are asked something, within a time and without input.

use std::{process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

/// None of them has to ask anybody outside this machine.
const WITHIN: Duration = Duration::from_secs(5);

/// What it printed, or why that is not known.
pub(super) async fn ask(program: &str, arguments: &[&str]) -> Result<String, String> {
    // Administrators' programs are not in everybody's PATH.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let running = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match timeout(WITHIN, running).await {
        Err(_) => Err(format!(
            "{program} did not answer within {} s",
            WITHIN.as_secs()
        )),
        Ok(Err(e)) if e.kind() == std::io::ErrorKind::NotFound => {
            Err(format!("there is no {program} on this machine"))
        }
        Ok(Err(e)) => Err(format!("{program}: {e}")),
        Ok(Ok(done)) if done.status.success() => {
            Ok(String::from_utf8_lossy(&done.stdout).into_owned())
        }
        Ok(Ok(done)) => {
            let said = String::from_utf8_lossy(&done.stderr);
            let first = said.lines().next().unwrap_or_default();
            Err(format!("{program} failed: {first}"))
        }
    }
}
